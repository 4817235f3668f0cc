"""Two pages of the content admin: the way to the courses, and what their authors still have to do."""

from __future__ import annotations

from django.http import HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from courses.domain.publishing import missing_translations, unpublished_drafts
from courses.models import CourseCataloguePage
from people.domain.access import binds


@binds("PM-C09")
@require_safe
def course_tree(request):
    """To the courses of the author's language in the page tree."""
    pages = list(CourseCataloguePage.objects.select_related("locale").order_by("path"))
    pages.sort(key=lambda page: page.locale.language_code != get_language())
    if not pages:
        return HttpResponseRedirect(reverse("wagtailadmin_explore_root"))
    return HttpResponseRedirect(reverse("wagtailadmin_explore", args=[pages[0].pk]))


@binds("PM-C09")
@require_safe
def course_report(request):
    """Pages of courses that are not live in some language, and those with changes nobody has published."""
    context = {
        "page_title": _("Translations and drafts of courses"),
        "header_icon": "globe",
        "missing": missing_translations(),
        "drafts": unpublished_drafts(),
    }
    return render(request, "courses/admin_report.html", context)
