"""Importing questions from a file, in the content admin: file, check with the differences, apply."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import get_language, gettext_lazy, ngettext
from django.utils.translation import gettext as _
from django.views.generic import FormView, TemplateView
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.permissions import policy_registry

from assessments.forms import QuestionFileForm
from assessments.imports.excel import (
    AppliedAlready,
    CheckedFile,
    apply_import,
    check_file,
    template_columns,
    template_rows,
)
from assessments.imports.template import TEMPLATE_NOTES
from assessments.models import Question, QuestionImport
from core.spreadsheets import download
from people.domain.access import binds

SHOWN = 200


class MayImport:
    """Authors only: whoever may add and change questions. Outside that: refused as every page of the bank is."""

    permission_rows = ("PM-Q02",)

    def dispatch(self, request, *args, **kwargs):
        if not may(request.user, "add", "change"):
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)


def may(user, *actions: str) -> bool:
    policy = policy_registry.get_by_type(Question)
    return all(policy.user_has_permission(user, action) for action in actions)


class ImportUploadView(MayImport, WagtailAdminTemplateMixin, FormView):
    """The first step: the template to download, and the file."""

    template_name = "assessments/admin/import_upload.html"
    page_title = gettext_lazy("Import questions")
    header_icon = "upload"
    _show_breadcrumbs = True
    form_class = QuestionFileForm

    @cached_property
    def breadcrumbs_items(self):
        return breadcrumbs(self.page_title)

    def form_valid(self, form):
        file = form.cleaned_data["file"]
        checked = check_file(file=file, language=get_language())
        if checked.problem:
            form.add_error("file", f"{checked.problem} {checked.cure}")
            return self.form_invalid(form)
        upload = QuestionImport(
            file_name=file.name[:255], counts=checked.counts, uploaded_by=self.request.user, uploaded_at=timezone.now()
        )
        ending = "csv" if file.name.lower().endswith(".csv") else "xlsx"
        file.seek(0)
        upload.file.save(f"questions.{ending}", file, save=False)
        upload.save()
        return redirect("wagtailsnippets_assessments_question:import_preview", upload.pk)


class ImportPreviewView(MayImport, WagtailAdminTemplateMixin, TemplateView):
    """The second step: what the file would do, and the button that does it. Only for whoever uploaded it."""

    template_name = "assessments/admin/import_preview.html"
    page_title = gettext_lazy("Check before importing")
    header_icon = "upload"
    _show_breadcrumbs = True
    http_method_names = ["get", "post"]

    @cached_property
    def breadcrumbs_items(self):
        return breadcrumbs(self.page_title)

    @cached_property
    def upload(self) -> QuestionImport:
        found = QuestionImport.objects.filter(pk=self.kwargs["pk"], uploaded_by=self.request.user).first()
        if found is None:
            raise Http404
        return found

    def checked(self) -> CheckedFile:
        """The file is read again: the bank may have changed since it was uploaded."""
        try:
            with self.upload.file.open("rb") as file:
                return check_file(file=file, language=get_language())
        except FileNotFoundError:
            return CheckedFile(problem=_("The uploaded file is gone."), cure=_("Upload it again."))

    def get(self, request, *args, **kwargs):
        if self.upload.state == QuestionImport.State.APPLIED:
            messages.info(request, _("This file has been imported already."))
            return redirect("wagtailsnippets_assessments_question:list")
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs):
        checked = self.checked()
        by_outcome = {
            outcome: [row for row in checked.rows if row.outcome == outcome]
            for outcome in ("new", "changed", "unchanged")
        }
        return super().get_context_data(
            **kwargs,
            upload=self.upload,
            checked=checked,
            counts=checked.counts,
            new=by_outcome["new"][:SHOWN],
            changed=by_outcome["changed"][:SHOWN],
            faults=checked.faults[:SHOWN],
            more_faults=max(0, len(checked.faults) - SHOWN),
            can_apply=bool(by_outcome["new"] or by_outcome["changed"] or by_outcome["unchanged"]),
            can_publish=may(self.request.user, "publish"),
            shown=SHOWN,
        )

    def post(self, request, *args, **kwargs):
        publish = request.POST.get("how") == "publish"
        if publish and not may(request.user, "publish"):
            raise PermissionDenied
        checked = self.checked()
        if checked.problem:
            messages.error(request, f"{checked.problem} {checked.cure}")
            return redirect("wagtailsnippets_assessments_question:import")
        try:
            counts = apply_import(
                upload=self.upload, checked=checked, publish=publish, by=request.user, at=timezone.now()
            )
        except AppliedAlready:
            messages.info(request, _("This file has been imported already."))
        else:
            written = counts["new"] + counts["changed"]
            text = ngettext("%(count)d question imported.", "%(count)d questions imported.", written) % {
                "count": written
            }
            if counts["refused"]:
                left = ngettext("%(count)d row was left out.", "%(count)d rows were left out.", counts["refused"])
                text += " " + left % {"count": counts["refused"]}
            messages.success(request, text)
        return redirect("wagtailsnippets_assessments_question:list")


def breadcrumbs(title) -> list[dict]:
    return [
        {"url": reverse("wagtailadmin_home"), "label": _("Home")},
        {"url": reverse("wagtailsnippets_assessments_question:list"), "label": _("Questions")},
        {"url": "", "label": title},
    ]


@binds("PM-Q02")
def template_download(request):
    """The template: headers in the language of the page, two worked rows for each kind, a sheet of notes."""
    if not may(request.user, "add"):
        raise PermissionDenied
    language = get_language()
    columns = template_columns()
    return download(
        kind="xlsx",
        name="questions-template",
        title=_("Questions"),
        header=[column.label(language) for column in columns],
        rows=template_rows(language),
        notes=[str(note) for note in TEMPLATE_NOTES],
        widths=[column.width for column in columns],
    )
