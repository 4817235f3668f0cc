"""Development: the course that closes what a scorecard or a requirement found missing."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import pgettext_lazy

from core.periods import MonthField
from courses.models import Course, Enrolment
from kpi.models.measures import Indicator
from kpi.models.scorecards import ScorecardLine
from people.models import Employee


class CourseForIndicator(models.Model):
    """Which course helps with which indicator: what is offered for a lost point. Said by HR."""

    indicator = models.ForeignKey(Indicator, on_delete=models.CASCADE, related_name="courses")
    course = models.ForeignKey(Course, on_delete=models.CASCADE, related_name="+")

    class Meta:
        ordering = ["indicator", "course"]
        constraints = [models.UniqueConstraint(fields=["indicator", "course"], name="course_for_indicator_once")]

    def __str__(self):
        return f"{self.indicator_id} {self.course_id}"


class DevelopmentItem(models.Model):
    """One step of a person's plan: a course taken because of a lost point (``line``) or by agreement.

    ``from_month`` is the month whose measure it wants to move; whether it did is asked later by comparing people who took
    it with people like them who did not (kpi.domain.development).
    """

    class State(models.TextChoices):
        OFFERED = "offered", pgettext_lazy("development", "offered")
        PLANNED = "planned", pgettext_lazy("development", "planned")
        DONE = "done", pgettext_lazy("development", "done")
        DECLINED = "declined", pgettext_lazy("development", "not now")

    employee = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="development_items")
    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="+")
    indicator = models.ForeignKey(Indicator, null=True, on_delete=models.PROTECT, related_name="+")
    line = models.ForeignKey(ScorecardLine, null=True, on_delete=models.PROTECT, related_name="development_items")
    from_month = MonthField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.OFFERED)
    enrolment = models.ForeignKey(Enrolment, null=True, on_delete=models.PROTECT, related_name="+")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["employee", "-at", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["employee", "course"],
                condition=Q(state__in=["offered", "planned"]),
                name="course_planned_once",
            )
        ]

    def __str__(self):
        return f"{self.employee_id} {self.course_id} {self.state}"
