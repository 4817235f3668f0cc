"""Who looked at what of another person."""

from django.conf import settings
from django.db import models

from people.models import Employee


class Look(models.Model):
    """Somebody looked at another person's pay or result: what that person sees as "who looked" (TRUST AU-02, PM-Y13). Append-only."""

    class About(models.TextChoices):
        PAY = "pay"
        RESULT = "result"

    employee = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="looks")
    viewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    about = models.CharField(max_length=6, choices=About.choices)
    what = models.CharField(max_length=100)  # a kind and of what: "line P-2026-10", "card 2026-07/2026-09"
    at = models.DateTimeField()

    class Meta:
        ordering = ["-at", "-pk"]
        # A person's own page: the newest looks at one matter.
        indexes = [models.Index(fields=["employee", "about", "at"], name="look_at_employee")]

    def __str__(self):
        return f"{self.employee_id} {self.about} {self.at}"
