"""How Wagtail serves the pages of this app: the home page to everybody, news to who is signed in (PM-C02)."""

from django.contrib.auth.views import redirect_to_login
from django.shortcuts import render
from wagtail import hooks

from bulletins.domain.queries import newest_bulletin
from courses.models import CoursePage
from people.domain.access import actor_of, require
from portal.dashboards import latest_news
from portal.models import HomePage, NewsPage


@hooks.register("before_serve_page")
def serve_page(page, request, args, kwargs):
    """The answer for a page of ours, or None to let Wagtail serve it."""
    if isinstance(page, HomePage):
        return _home(request, page)
    if isinstance(page, NewsPage):
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        require(actor_of(request), "PM-C02")
        return render(request, "portal/news_page.html", {"page": page, "home": page.get_parent()})
    return None


def _home(request, page: HomePage):
    """The front door says what this is; what belongs to the house (news, courses) is for who is signed in."""
    context = {"page": page}
    if request.user.is_authenticated:
        language = page.locale.language_code
        courses = CoursePage.objects.live().filter(locale=page.locale).select_related("picture").order_by("path")
        bulletin = newest_bulletin(language)
        context["bulletin"] = (bulletin, bulletin.get_url(request)) if bulletin else None
        context["news"] = [(one, one.get_url(request)) for one in latest_news(language, 4)]
        context["courses"] = [
            (one, one.get_url(request)) for one in courses.prefetch_related("picture__renditions")[:6]
        ]
    return render(request, "portal/home_page.html", context)
