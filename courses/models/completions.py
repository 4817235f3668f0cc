"""That a step was done: the first time wins, and nothing takes it away."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from courses.models.enrolments import Enrolment
from courses.models.runs import Step


class StepCompletion(models.Model):
    """One step of one enrolment, done. Added once, never edited or deleted (a trigger in the database refuses both)."""

    class How(models.TextChoices):
        READ = "read", _("read to the end")
        PASSED = "passed", _("passed")
        HR = "hr", _("recorded by HR")
        TESTED_OUT = "tested_out", _("tested out")

    enrolment = models.ForeignKey(Enrolment, on_delete=models.PROTECT, related_name="completions")
    step = models.ForeignKey(Step, on_delete=models.PROTECT, related_name="completions")
    at = models.DateTimeField()
    how = models.CharField(max_length=10, choices=How.choices, default=How.READ)

    class Meta:
        ordering = ["enrolment", "at"]
        constraints = [models.UniqueConstraint(fields=["enrolment", "step"], name="step_done_once")]

    def __str__(self):
        return f"{self.enrolment_id}/{self.step_id}"
