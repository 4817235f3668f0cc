"""Every change of a duty, in the order it happened: what makes "as it was on that day" answerable."""

from django.conf import settings
from django.db import models

from courses.models.enrolments import Enrolment
from courses.models.runs import CourseRun
from people.models import OrgUnit


class EnrolmentChange(models.Model):
    """How one enrolment stood from ``at`` on. Written by a trigger of the database, never by our code.

    The trigger (migration 0005) copies the row whenever an enrolment is made and whenever its state, punctuality, unit,
    due time or kind changes; ``at`` is Enrolment.changed_at, the time that whoever made the change passed in. So a
    change in bulk leaves as many rows as a change by hand. Append-only.
    """

    enrolment = models.ForeignKey(Enrolment, on_delete=models.PROTECT, related_name="changes", db_index=False)
    run = models.ForeignKey(CourseRun, on_delete=models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField()
    state = models.CharField(max_length=12)
    on_time = models.BooleanField(null=True)
    voluntary = models.BooleanField()
    due_at = models.DateTimeField()
    unit = models.ForeignKey(OrgUnit, on_delete=models.PROTECT, related_name="+", db_index=False)
    reason = models.CharField(max_length=10)
    reason_text = models.CharField(max_length=300, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )

    class Meta:
        ordering = ["enrolment", "pk"]
        indexes = [
            models.Index(fields=["run", "at"], name="change_in_run"),
            models.Index(fields=["enrolment", "at"], name="change_of_enrolment"),
        ]

    def __str__(self):
        return f"{self.enrolment_id} {self.state} {self.at}"
