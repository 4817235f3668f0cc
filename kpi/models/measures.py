"""What was measured: one number of one subject in one month, with where it comes from."""

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import get_language, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from core.periods import MonthField
from people.models import Employee, OrgUnit


class Indicator(models.Model):
    """A thing that is measured month by month: training completion, an exam, complaints, satisfaction, inspections, sales.

    ``unit`` says how its values are written; ``better`` which way is good. ``source`` says who writes it: the platform
    at month close (training, exam) or people by file. Not a scorecard line: the same indicator can stand on many cards.
    """

    class Unit(models.TextChoices):
        PERCENT = "percent", _("per cent")
        POINTS = "points", _("points")
        COUNT = "count", _("count")
        RATING = "rating", _("rating (1–5)")

    class Better(models.TextChoices):
        HIGHER = "higher", _("higher is better")
        LOWER = "lower", _("lower is better")

    class Source(models.TextChoices):
        TRAINING = "training", _("training completion, from the closed month")
        EXAM = "exam", _("assessment results, from the stored answers")
        FILE = "file", _("from a file")

    code = models.CharField(_("code"), max_length=40, unique=True)
    name = models.CharField(pgettext_lazy("of a thing", "name"), max_length=100)
    name_en = models.CharField(_("English name"), max_length=100, blank=True)
    unit = models.CharField(_("unit of measurement"), max_length=10, choices=Unit.choices)
    better = models.CharField(_("direction"), max_length=10, choices=Better.choices, default=Better.HIGHER)
    source = models.CharField(_("source"), max_length=10, choices=Source.choices, default=Source.FILE)
    about = models.CharField(_("how it is measured"), max_length=300, blank=True)
    about_en = models.CharField(_("how it is measured (English)"), max_length=300, blank=True)
    active = models.BooleanField(pgettext_lazy("indicator", "in use"), default=True)

    class Meta:
        ordering = ["code"]

    def __str__(self):
        return self.label

    @property
    def label(self) -> str:
        """The name in the active language."""
        return self.name_en if self.name_en and (get_language() or "").startswith("en") else self.name


class Measure(models.Model):
    """The value of one indicator for one employee or one unit in one month. Append-only; a correction supersedes.

    ``value`` is in the indicator's unit (98.25 is 98.25 %), to four places; ``numerator`` and ``denominator`` say what it
    is a share of where it is one; ``n`` of how many observations it is made and ``spread`` their standard deviation where
    known. ``evidence`` names what it rests on: {"enrolments": [ids], "attempts": [ids]} for what the platform measured,
    {"file": name, "row": 12} for what came in by file. The one in force is the one that nothing supersedes.
    """

    indicator = models.ForeignKey(Indicator, on_delete=models.PROTECT, related_name="measures", db_index=False)
    employee = models.ForeignKey(Employee, null=True, on_delete=models.PROTECT, related_name="measures", db_index=False)
    org_unit = models.ForeignKey(OrgUnit, null=True, on_delete=models.PROTECT, related_name="measures", db_index=False)
    month = MonthField()
    value = models.DecimalField(max_digits=14, decimal_places=4)
    numerator = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    denominator = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    n = models.PositiveIntegerField(null=True)
    spread = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    source = models.CharField(max_length=10, choices=Indicator.Source.choices)
    evidence = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    captured_at = models.DateTimeField()
    captured_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    supersedes = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="superseded_by")
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["indicator", "month", "pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(employee=None, org_unit__isnull=False) | Q(employee__isnull=False, org_unit=None),
                name="measure_has_one_subject",
            ),
            # The first measure of a subject and month stands once; every later one names what it supersedes.
            models.UniqueConstraint(
                fields=["indicator", "month", "employee"],
                condition=Q(supersedes=None, employee__isnull=False),
                name="first_measure_of_a_person",
            ),
            models.UniqueConstraint(
                fields=["indicator", "month", "org_unit"],
                condition=Q(supersedes=None, org_unit__isnull=False),
                name="first_measure_of_a_unit",
            ),
            models.CheckConstraint(condition=Q(supersedes=None) | ~Q(reason=""), name="measure_corrected_with_reason"),
            models.CheckConstraint(condition=Q(denominator=None) | Q(denominator__gt=0), name="measure_share_of_some"),
        ]
        indexes = [
            models.Index(fields=["employee", "month", "indicator"], name="measure_of_employee"),
            models.Index(fields=["org_unit", "month", "indicator"], name="measure_of_unit"),
            models.Index(fields=["indicator", "month"], name="measure_of_indicator"),
        ]

    def __str__(self):
        return f"{self.indicator_id} {self.month} {self.employee_id or self.org_unit_id}: {self.value}"
