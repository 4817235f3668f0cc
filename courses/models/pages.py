"""Courses as authors write them: pages in the content tree, one per language, with drafts, moderation and history."""

import uuid
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _
from wagtail.admin.forms import WagtailAdminPageForm
from wagtail.admin.panels import FieldPanel
from wagtail.fields import StreamField
from wagtail.models import Page
from wagtail.search import index

from certificates.models import CertificateDesign
from core.search import han_terms
from courses.blocks import LessonBody
from courses.models.runs import Course


class CourseCataloguePage(Page):
    """The list of courses."""

    parent_page_types = ["portal.HomePage"]
    subpage_types = ["courses.CoursePage"]
    max_count_per_parent = 1
    template = "courses/catalogue_page.html"

    class Meta:
        verbose_name = _("course catalogue")


# A mixin of page types calls what a Page has; Wagtail has no types, so to mypy that is anything.
_MixedIntoPages: Any = object


class _TwoPreviews(_MixedIntoPages):
    """Previewed as a learner sees it on a phone, or beside the other language."""

    @property
    def preview_modes(self):
        return [("", _("As on a phone")), ("pair", _("Chinese and English side by side"))]

    def get_preview_template(self, request, mode_name):
        return "courses/preview_pair.html" if mode_name == "pair" else self.template

    def get_preview_context(self, request, mode_name):
        context = super().get_preview_context(request, mode_name)
        context["is_preview"] = True
        if mode_name == "pair":
            other = self.get_translations().select_related("locale").first()
            pair = [self, other.specific.get_latest_revision_as_object()] if other else [self]
            # Chinese left, English right, whichever of the two is being edited
            context["pair"] = sorted(pair, key=lambda page: page.locale.language_code != settings.LANGUAGE_CODE)
            context["part"] = self.preview_part
        return context


class CoursePageForm(WagtailAdminPageForm):
    """Code, theme and certificate are one for all languages: they are edited on the page of the first language only."""

    SHARED = ("code", "theme", "certificate_design", "by_choice", "test_out")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        source = self.instance.page_of_first_language()
        if source is None:
            return
        for name in self.SHARED:
            if name in self.fields:
                value = getattr(source, self.instance._meta.get_field(name).attname)
                self.initial[name] = value
                self.fields[name].disabled = True
                self.fields[name].help_text = _("Set on the Chinese page; the same in every language.")


class CoursePage(_TwoPreviews, Page):
    """A course in one language. Its children are its steps: any page type that is a CourseStep.

    It names no child types: a page type becomes a step by naming CoursePage as its parent.
    """

    parent_page_types = ["courses.CourseCataloguePage"]
    template = "courses/course_page.html"
    preview_part = "courses/_course_about.html"
    base_form_class = CoursePageForm

    code = models.CharField(
        _("course code"), max_length=20, help_text=_("The same in every language, for example ETQ-01.")
    )
    theme = models.CharField(_("theme"), max_length=12, choices=Course.Theme.choices, default=Course.Theme.OTHER)
    summary = models.TextField(_("summary"), max_length=300)
    outcomes = models.TextField(_("after this course you can …"), blank=True, help_text=_("One line each."))
    picture = models.ForeignKey(
        "core.Picture", verbose_name=_("picture"), null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    certificate_design = models.ForeignKey(
        CertificateDesign,
        verbose_name=_("certificate design"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text=_("Issued when the last required step is done. Leave empty for a course without a certificate."),
    )

    by_choice = models.BooleanField(
        _("open to everybody by choice"),
        default=True,
        help_text=_("People who do not owe this course may take it; it counts as voluntary."),
    )
    test_out = models.BooleanField(
        _("can be tested out of"),
        default=False,
        help_text=_(
            "Who already knows it may take the quiz at once; passing every required quiz completes the course."
        ),
    )

    search_fields = [
        *Page.search_fields,
        index.SearchField("code"),
        index.SearchField("summary"),
        index.SearchField("outcomes"),
        index.SearchField("han"),
    ]

    def han(self) -> str:
        """The Chinese of the page in a form that the search index understands."""
        return han_terms(f"{self.title} {self.summary} {self.outcomes}")

    @property
    def outcome_lines(self) -> list[str]:
        return [line.strip() for line in self.outcomes.splitlines() if line.strip()]

    content_panels = [
        *Page.content_panels,
        FieldPanel("code"),
        FieldPanel("theme"),
        FieldPanel("summary"),
        FieldPanel("outcomes"),
        FieldPanel("picture"),
        FieldPanel("certificate_design"),
        FieldPanel("by_choice"),
        FieldPanel("test_out"),
    ]

    class Meta:
        verbose_name = _("course")

    def page_of_first_language(self) -> "CoursePage | None":
        """The page of this course in the first language, unless this is it (or there is none yet)."""
        if self.pk is None and self.translation_key is None:
            return None
        pages = CoursePage.objects.filter(
            translation_key=self.translation_key, locale__language_code=settings.LANGUAGE_CODE
        )
        return pages.exclude(pk=self.pk).first()

    def clean(self):
        super().clean()
        taken = (
            CoursePage.objects.filter(code=self.code).exclude(translation_key=self.translation_key).first()
            or Course.objects.filter(code=self.code).exclude(translation_key=self.translation_key).first()
        )
        if self.code and taken:
            message = _("This code belongs to the course “%(title)s”. Choose another one.") % {"title": taken.title}
            raise ValidationError({"code": message})


class CourseStep(models.Model):
    """What a page must be to count as a step of a course. Mixed into page types: LessonPage here, QuizPage above us.

    A step is completed by one call from whoever knows: courses.domain.progress.complete_step.
    """

    minutes = models.PositiveSmallIntegerField(_("minutes"), default=5, help_text=_("How long it takes on a phone."))
    required = models.BooleanField(_("required"), default=True)

    is_test = False  # is passing it a proof that the course is known? Then a course may let people test out of it.

    translation_key: uuid.UUID  # of the page type it is mixed into
    step_url_name: str  # the name of the view that opens this kind of step for a learner; takes (enrolment_id, step_id)

    class Meta:
        abstract = True

    @classmethod
    def failed_steps(cls, enrolment) -> set[int]:
        """The ids of the steps of this kind that the person failed at, in an attempt that counts."""
        return set()


class LessonPage(_TwoPreviews, CourseStep, Page):  # noqa: DJ008 - Page has one
    """A lesson: a few minutes of reading made of blocks."""

    parent_page_types = ["courses.CoursePage"]
    subpage_types: list[str] = []
    template = "courses/lesson_page.html"
    preview_part = "courses/_lesson_text.html"
    step_url_name = "courses:lesson"

    intro = models.CharField(_("introduction"), max_length=300, blank=True)
    body = StreamField(LessonBody(), verbose_name=_("content"), blank=True)

    content_panels = [
        *Page.content_panels,
        FieldPanel("intro"),
        FieldPanel("body"),
        FieldPanel("minutes"),
        FieldPanel("required"),
    ]

    class Meta:
        verbose_name = _("lesson")
