"""A course as a record, its steps, and the months in which it runs."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import get_language, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from certificates.models import CertificateDesign
from core.periods import MonthField


class Bilingual(models.Model):
    """A title in both languages, copied from the pages when they are published, so that lists need no page."""

    title_zh = models.CharField(max_length=255, blank=True)
    title_en = models.CharField(max_length=255, blank=True)

    class Meta:
        abstract = True

    def __str__(self):
        return self.title

    @property
    def title(self) -> str:
        first, second = (
            (self.title_en, self.title_zh)
            if (get_language() or "").startswith("en")
            else (self.title_zh, self.title_en)
        )
        return first or second


class Course(Bilingual):
    """A course: one record behind its pages in several languages, matched by their translation key.

    Runs, enrolments and steps hang here, so a learner may change language in the middle. Not the content: that is the
    CoursePage. ``version`` rises whenever publishing changes the list of required steps.
    """

    class Theme(models.TextChoices):
        ETIQUETTE = "etiquette", _("Sales etiquette")
        NEGOTIATION = "negotiation", _("Negotiation")
        SIX_STEPS = "six-steps", _("The six-step sale")
        CASES = "cases", _("Marketing cases")
        PRODUCTS = "products", _("Product knowledge")
        TALENTS = "talents", _("Personal talents")
        OTHER = "other", _("Other")

    translation_key = models.UUIDField(unique=True)
    code = models.CharField(_("course code"), max_length=20, unique=True)
    theme = models.CharField(_("theme"), max_length=12, choices=Theme.choices, default=Theme.OTHER)
    version = models.PositiveIntegerField(default=1)
    certificate_design = models.ForeignKey(
        CertificateDesign, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    by_choice = models.BooleanField(default=True)  # may be taken by people who do not owe it
    test_out = models.BooleanField(default=False)  # passing its quizzes proves it without reading the lessons

    class Meta:
        ordering = ["code"]


class Step(Bilingual):
    """A lesson, a quiz or another step of a course, behind its pages in several languages.

    ``live`` and ``position`` follow the page tree at publication; a step that was ever part of a run is never deleted.
    ``kind`` is the model of the page (``courses.lessonpage``).
    """

    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="steps")
    translation_key = models.UUIDField(unique=True)
    kind = models.CharField(max_length=60)
    position = models.PositiveIntegerField(default=0)
    minutes = models.PositiveSmallIntegerField(default=5)
    required = models.BooleanField(default=True)
    live = models.BooleanField(default=True)

    class Meta:
        ordering = ["course", "position", "pk"]


class CourseRun(models.Model):
    """One course in one month: when it opens, when it is due, and until when late work is accepted.

    Opening freezes its steps (RunStep); whatever authors publish later does not change what is owed.
    """

    class State(models.TextChoices):
        PLANNED = "planned", pgettext_lazy("run", "planned")
        OPEN = "open", pgettext_lazy("run", "open")
        CLOSED = "closed", pgettext_lazy("run", "closed")

    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="runs")
    month = MonthField(_("month"))
    opens_at = models.DateTimeField(_("opens"))
    due_at = models.DateTimeField(_("due"))
    accept_until = models.DateTimeField(_("accepted until"))
    state = models.CharField(max_length=10, choices=State.choices, default=State.PLANNED)
    course_version = models.PositiveIntegerField(default=1)
    opened_at = models.DateTimeField(null=True)
    joiner_days = models.PositiveSmallIntegerField(default=7)  # with fewer days left a joiner starts next month

    class Meta:
        ordering = ["-month", "course"]
        constraints = [
            # One course runs once in a month, however many programmes plan it.
            models.UniqueConstraint(fields=["course", "month"], name="run_once_a_month"),
            models.CheckConstraint(
                condition=Q(opens_at__lt=F("due_at")) & Q(accept_until__gte=F("due_at")), name="run_times_in_order"
            ),
        ]

    def __str__(self):
        return f"{self.course.code} {self.month}"


class RunStep(models.Model):
    """A step as it was frozen when the run opened."""

    run = models.ForeignKey(CourseRun, on_delete=models.CASCADE, related_name="steps")
    step = models.ForeignKey(Step, on_delete=models.PROTECT, related_name="+")
    position = models.PositiveIntegerField()
    required = models.BooleanField(default=True)

    class Meta:
        ordering = ["run", "position"]
        constraints = [models.UniqueConstraint(fields=["run", "step"], name="run_step_once")]

    def __str__(self):
        return f"{self.run_id}.{self.position}"
