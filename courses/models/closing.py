"""A month that is closed: who signed which unit, and the figures as they stood."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import get_language

from core.periods import MonthField
from courses.models.runs import CourseRun
from people.models import OrgUnit


class MonthClose(models.Model):
    """The closing of one month: begun once, signed unit by unit from the branches up, and then closed for good.

    Closing freezes the tallies of every run of the month (ClosedFigure) and seals them: ``digest`` is the SHA-256 of
    their canonical form and stands in the event chain ``months``; ``newest_change`` is the last row of EnrolmentChange
    that the figures know of, so what came before the close and what came after it is told apart exactly. Nothing that
    happens later changes a closed month (the database refuses it); what changes afterwards is shown beside it as an
    adjustment. Not the same as CourseRun.state: late work is accepted until the run's own last day, before and after
    its month is closed.
    """

    class State(models.TextChoices):
        SIGNING = "signing"
        CLOSED = "closed"

    month = MonthField(unique=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.SIGNING)
    begun_at = models.DateTimeField()
    begun_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    digest = models.CharField(max_length=64, blank=True)
    newest_change = models.BigIntegerField(null=True)

    class Meta:
        ordering = ["-month"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state="closed", closed_at__isnull=False, newest_change__isnull=False) & ~Q(digest="")
                | Q(state="signing", closed_at=None, digest="", newest_change=None),
                name="closed_month_is_sealed",
            )
        ]

    def __str__(self):
        return f"{self.month} {self.state}"


class SignOff(models.Model):
    """Somebody answered for the figures of one unit and everything below it: those counts, on that day.

    A unit is signed after every unit right below it. Taken back only while nobody above has signed. ``signed_from``: HR
    of this unit above signed in one act what nobody below had signed yet; None: signed for itself.
    """

    close = models.ForeignKey(MonthClose, on_delete=models.PROTECT, related_name="sign_offs")
    unit = models.ForeignKey(OrgUnit, on_delete=models.PROTECT, related_name="+")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    note = models.CharField(max_length=300, blank=True)
    signed_from = models.ForeignKey(OrgUnit, null=True, on_delete=models.PROTECT, related_name="+")
    figures = models.JSONField()  # {"assigned": …, "completed": …, "on_time": …, "exempt": …, "withdrawn": …}

    class Meta:
        ordering = ["unit__path"]
        constraints = [models.UniqueConstraint(fields=["close", "unit"], name="unit_signed_once")]

    def __str__(self):
        return f"{self.close_id}/{self.unit_id}"


class ClosedFigure(models.Model):
    """The tally of one run in one unit at the close, with the unit as it was called and where it hung. Append-only.

    ``path`` gives the order and the depth of the tree at that moment; ``parent`` the unit above it then.
    """

    close = models.ForeignKey(MonthClose, on_delete=models.PROTECT, related_name="figures")
    run = models.ForeignKey(CourseRun, on_delete=models.PROTECT, related_name="+")
    unit = models.ForeignKey(OrgUnit, on_delete=models.PROTECT, related_name="+")
    parent = models.ForeignKey(OrgUnit, null=True, on_delete=models.PROTECT, related_name="+")
    path = models.CharField(max_length=255)
    depth = models.PositiveSmallIntegerField()
    unit_code = models.CharField(max_length=40)
    unit_zh = models.CharField(max_length=100)
    unit_en = models.CharField(max_length=100, blank=True)
    assigned = models.IntegerField()
    started = models.IntegerField()
    completed = models.IntegerField()
    on_time = models.IntegerField()
    exempt = models.IntegerField()
    withdrawn = models.IntegerField()
    voluntary = models.IntegerField()
    voluntary_done = models.IntegerField()

    class Meta:
        ordering = ["close", "path", "run"]
        constraints = [models.UniqueConstraint(fields=["close", "run", "unit"], name="closed_figure_once")]

    def __str__(self):
        return f"{self.close_id}/{self.run_id}/{self.unit_code}"

    @property
    def unit_label(self) -> str:
        """The unit's name at the close, in the active language."""
        return self.unit_en if self.unit_en and (get_language() or "").startswith("en") else self.unit_zh
