"""What was measured: one number of one subject in one month, with where it comes from."""

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import get_language, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from core.models.jobs import Job, private_storage
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
    {"file": name, "sheet": "", "row": 12, "import": id} for what came in by file, {"by_hand": true, …} for what a person
    corrected. The one in force is the one that nothing supersedes. Without a value it takes the one before back: nothing
    is measured any more (a correction can show that there was nothing to measure). Write through kpi.domain.measures.
    """

    indicator = models.ForeignKey(Indicator, on_delete=models.PROTECT, related_name="measures", db_index=False)
    employee = models.ForeignKey(Employee, null=True, on_delete=models.PROTECT, related_name="measures", db_index=False)
    org_unit = models.ForeignKey(OrgUnit, null=True, on_delete=models.PROTECT, related_name="measures", db_index=False)
    month = MonthField()
    value = models.DecimalField(max_digits=14, decimal_places=4, null=True)
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
            # Only what was measured once can be taken back.
            models.CheckConstraint(
                condition=Q(value__isnull=False) | Q(supersedes__isnull=False), name="measure_taken_back_was_there"
            ),
        ]
        indexes = [
            models.Index(fields=["employee", "month", "indicator"], name="measure_of_employee"),
            models.Index(fields=["org_unit", "month", "indicator"], name="measure_of_unit"),
            models.Index(fields=["indicator", "month"], name="measure_of_indicator"),
        ]

    def __str__(self):
        return f"{self.indicator_id} {self.month} {self.employee_id or self.org_unit_id}: {self.value}"


class MeasureImport(models.Model):
    """One file of measures: kept from its upload through check and application to its undoing, applied at most once.

    ``month`` is that of rows that name none. ``counts`` are new, corrected, unchanged and refused; ``report`` keeps what
    the check has to say: ``faults`` and ``samples`` (the first ones), ``ignored`` headings, and the ``problem`` of a file
    that cannot be read. ``reason`` is why values that stood before are corrected. ``written`` are ranges of ids of the
    measures that it wrote. Undoing writes measures that supersede these.
    """

    class State(models.TextChoices):
        UPLOADED = "uploaded", pgettext_lazy("file of measures", "being checked")
        UNREADABLE = "unreadable", pgettext_lazy("file of measures", "cannot be read")
        CHECKED = "checked", pgettext_lazy("file of measures", "checked")
        APPLYING = "applying", pgettext_lazy("file of measures", "being applied")
        APPLIED = "applied", pgettext_lazy("file of measures", "applied")
        UNDOING = "undoing", pgettext_lazy("file of measures", "being taken back")
        UNDONE = "undone", pgettext_lazy("file of measures", "taken back")
        DISCARDED = "discarded", pgettext_lazy("file of measures", "put aside")

    file = models.FileField(upload_to="measures/", storage=private_storage)
    file_name = models.CharField(max_length=255)
    month = MonthField(null=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.UPLOADED)
    counts = models.JSONField(default=dict)
    report = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    written = models.JSONField(default=list)
    reason = models.CharField(max_length=300, blank=True)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    uploaded_at = models.DateTimeField()
    applied_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    applied_at = models.DateTimeField(null=True)
    undone_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    undone_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-uploaded_at", "-pk"]

    def __str__(self):
        return f"{self.file_name} ({self.state})"
