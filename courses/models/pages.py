"""Courses as authors write them: pages in the content tree, one per language, with drafts, moderation and history."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from wagtail.admin.panels import FieldPanel
from wagtail.fields import StreamField
from wagtail.models import Page

from certificates.models import CertificateDesign
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


class CoursePage(Page):
    """A course in one language. Its children are its steps: any page type that is a CourseStep.

    It names no child types: a page type becomes a step by naming CoursePage as its parent.
    """

    parent_page_types = ["courses.CourseCataloguePage"]
    template = "courses/course_page.html"

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

    content_panels = [
        *Page.content_panels,
        FieldPanel("code"),
        FieldPanel("theme"),
        FieldPanel("summary"),
        FieldPanel("outcomes"),
        FieldPanel("picture"),
        FieldPanel("certificate_design"),
    ]

    class Meta:
        verbose_name = _("course")


class CourseStep(models.Model):
    """What a page must be to count as a step of a course. Mixed into page types: LessonPage here, QuizPage above us.

    A step is completed by one call from whoever knows: courses.domain.progress.complete_step.
    """

    minutes = models.PositiveSmallIntegerField(_("minutes"), default=5, help_text=_("How long it takes on a phone."))
    required = models.BooleanField(_("required"), default=True)

    step_url_name: str  # the name of the view that opens this kind of step for a learner; takes (enrolment_id, step_id)

    class Meta:
        abstract = True


class LessonPage(CourseStep, Page):
    """A lesson: a few minutes of reading made of blocks."""

    parent_page_types = ["courses.CoursePage"]
    subpage_types: list[str] = []
    template = "courses/lesson_page.html"
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
