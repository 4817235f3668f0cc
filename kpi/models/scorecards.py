"""What a scorecard rule makes of the measures of one subject."""

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from core.periods import MonthField
from kpi.models.rules import RuleVersion
from people.models import Employee, OrgUnit


class Scorecard(models.Model):
    """One subject's card over a span of months under one rule version, computed and kept. Append-only.

    ``earned`` is the sum of the rounded lines and the bonus; ``total`` what is left of it under a veto (equal without
    one). ``coefficient`` belongs to the grade. ``inputs`` keeps what stands beside the lines, the values behind bonus and
    vetoes: {"values": {indicator code: value}, "measures": [ids], "left_out": [quizzes that may not carry pay yet]}. A
    card is never recomputed in place: another one with the same subject and months stands beside it, and a review says
    on which one it rests.
    """

    version = models.ForeignKey(RuleVersion, on_delete=models.PROTECT, related_name="scorecards")
    employee = models.ForeignKey(Employee, null=True, on_delete=models.PROTECT, related_name="scorecards")
    org_unit = models.ForeignKey(OrgUnit, null=True, on_delete=models.PROTECT, related_name="scorecards")
    first_month = MonthField()
    last_month = MonthField()
    bonus = models.DecimalField(max_digits=6, decimal_places=2)
    earned = models.DecimalField(max_digits=6, decimal_places=2)
    total = models.DecimalField(max_digits=6, decimal_places=2)
    veto = models.CharField(max_length=40, blank=True)  # the code of the veto that caps the total
    grade = models.CharField(max_length=4)
    coefficient = models.DecimalField(max_digits=6, decimal_places=4)
    # Null so that the column is added without making the table anew (which drops what refuses changes, on SQLite).
    inputs = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    computed_at = models.DateTimeField()
    computed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(employee=None, org_unit__isnull=False) | Q(employee__isnull=False, org_unit=None),
                name="scorecard_has_one_subject",
            )
        ]
        indexes = [
            models.Index(fields=["employee", "last_month"], name="scorecard_of_employee"),
            models.Index(fields=["org_unit", "last_month"], name="scorecard_of_unit"),
        ]

    def __str__(self):
        return f"{self.employee_id or self.org_unit_id} {self.first_month}–{self.last_month}: {self.total}"


class ScorecardLine(models.Model):
    """One line of a card: the value, the score it gives (100 is full), the weight that counted and the points. Append-only.

    ``weight`` is the published one; ``weight_counted`` what it became after lines that fell out were shared among the
    others. ``points`` = score x weight_counted / 100, half-up to 0.01. ``inputs`` keeps what the score was made of:
    {"values": {indicator code: value}, "measures": [ids], "attempts": [ids], "enrolments": [ids], "rating": exact score
    as text, "advisory": [{"quiz", "name", "reasons"}]}, so that the page that explains it needs nothing else.
    """

    class State(models.TextChoices):
        COUNTED = "counted", _("counted")
        MISSING = "missing", _("nothing measured: its weight went to the other lines")
        ADVISORY = "advisory", _("for information: the test is not yet good enough to carry pay")

    scorecard = models.ForeignKey(Scorecard, on_delete=models.PROTECT, related_name="lines")
    position = models.PositiveSmallIntegerField()
    code = models.CharField(max_length=40)
    name_zh = models.CharField(max_length=100)
    name_en = models.CharField(max_length=100, blank=True)
    kind = models.CharField(max_length=10)
    state = models.CharField(max_length=10, choices=State.choices)
    weight = models.DecimalField(max_digits=6, decimal_places=2)
    weight_counted = models.DecimalField(max_digits=10, decimal_places=6)
    value = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    score = models.DecimalField(max_digits=10, decimal_places=4, null=True)
    points = models.DecimalField(max_digits=6, decimal_places=2)
    inputs = models.JSONField(default=dict, encoder=DjangoJSONEncoder)

    class Meta:
        ordering = ["scorecard", "position"]
        constraints = [
            models.UniqueConstraint(fields=["scorecard", "code"], name="line_once"),
            models.CheckConstraint(condition=Q(state="counted") | Q(points=0), name="only_counted_lines_give_points"),
        ]

    def __str__(self):
        return f"{self.scorecard_id} {self.code}: {self.points}"

    @property
    def label(self) -> str:
        """The line's name as it was published, in the active language."""
        return self.name_en if self.name_en and (get_language() or "").startswith("en") else self.name_zh
