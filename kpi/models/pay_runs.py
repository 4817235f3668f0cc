"""Performance pay: what is shared out, among whom, and how every fen came about. Money is whole fen."""

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Q
from django.utils.translation import get_language, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from core.models.jobs import private_storage
from core.periods import MonthField
from kpi.models.reviews import Review, ReviewCycle
from kpi.models.rules import RuleVersion
from people.models import Employee, OrgUnit


class PayBase(models.Model):
    """The performance pay base of one person from a month on, as payroll gave it. Append-only; a later row supersedes."""

    employee = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="pay_bases")
    from_month = MonthField()
    base_fen = models.BigIntegerField()
    source = models.CharField(max_length=200)  # the file and row it came from
    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["employee", "from_month", "pk"]
        constraints = [models.CheckConstraint(condition=Q(base_fen__gte=0), name="pay_base_not_negative")]

    def __str__(self):
        return f"{self.employee_id} {self.from_month}"


class PayAttendance(models.Model):
    """How much of a period one person was at work, as payroll gave it. Append-only; a later row supersedes.

    ``attended`` of ``attended_of`` days (or shifts, to two places). Who has no row is counted by the days in post.
    """

    employee = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="pay_attendances", db_index=False)
    first_month = MonthField()
    last_month = MonthField()
    attended = models.DecimalField(max_digits=6, decimal_places=2)
    attended_of = models.DecimalField(max_digits=6, decimal_places=2)
    source = models.CharField(max_length=200)  # the file and row it came from
    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["employee", "first_month", "pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(attended_of__gt=0, attended__gte=0, attended__lte=F("attended_of")),
                name="pay_attendance_is_a_share",
            ),
            models.CheckConstraint(condition=Q(last_month__gte=F("first_month")), name="pay_attendance_in_order"),
        ]
        indexes = [models.Index(fields=["employee", "first_month", "last_month"], name="pay_attendance_of")]

    def __str__(self):
        return f"{self.employee_id} {self.first_month}: {self.attended}/{self.attended_of}"


class PayRun(models.Model):
    """One sharing-out of performance pay for one review cycle, under one version of one pay rule.

    The preparer, the checker and everybody paid are different people, held by the database. From ``submitted`` on its
    lines and pools do not change; a correction is a run of its own (``corrects``), paid from the reserve at the ratio
    that was frozen. ``inputs_hash`` seals what went in, ``lines_hash`` what came out: computing a closed run again gives
    the same bytes. Totals are in fen.

    Who prepares or checks a run is left out of it (``left_out``: [{"employee": id, "why": code}]) and paid by a run that
    ``follows`` it, made by others at the ratio of the first. ``checker`` is who was asked to check, ``checked_by`` who did.
    """

    class Kind(models.TextChoices):
        REGULAR = "regular", pgettext_lazy("pay run", "regular")
        CORRECTION = "correction", pgettext_lazy("pay run", "correction")

    class State(models.TextChoices):
        DRAFT = "draft", pgettext_lazy("pay run", "draft")
        COMPUTED = "computed", pgettext_lazy("pay run", "computed")
        SUBMITTED = "submitted", pgettext_lazy("pay run", "submitted")
        APPROVED = "approved", pgettext_lazy("pay run", "approved")
        EXPORTED = "exported", pgettext_lazy("pay run", "exported")
        CLOSED = "closed", pgettext_lazy("pay run", "closed")

    code = models.CharField(_("code"), max_length=40, unique=True)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.REGULAR)
    corrects = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="corrections")
    follows = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="followed_by")
    cycle = models.ForeignKey(ReviewCycle, on_delete=models.PROTECT, related_name="pay_runs")
    version = models.ForeignKey(RuleVersion, on_delete=models.PROTECT, related_name="pay_runs")
    scope = models.ForeignKey(OrgUnit, on_delete=models.PROTECT, related_name="pay_runs")
    state = models.CharField(max_length=10, choices=State.choices, default=State.DRAFT)
    prepared_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    prepared_at = models.DateTimeField()
    computed_at = models.DateTimeField(null=True)
    submitted_at = models.DateTimeField(null=True)
    checker = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    checked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    checked_at = models.DateTimeField(null=True)
    rejection = models.CharField(max_length=500, blank=True)  # why the checker sent it back last
    exported_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    reserve_fen = models.BigIntegerField(default=0)
    total_fen = models.BigIntegerField(default=0)
    lines_count = models.PositiveIntegerField(default=0)
    inputs_hash = models.CharField(max_length=64, blank=True)
    lines_hash = models.CharField(max_length=64, blank=True)
    export_hash = models.CharField(max_length=64, blank=True)
    left_out = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    variance = models.JSONField(default=dict, encoder=DjangoJSONEncoder)  # against the run before
    variance_note = models.CharField(max_length=500, blank=True)
    variance_signed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    variance_signed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-prepared_at", "-pk"]
        constraints = [
            # TRUST MC-15: who makes it does not check it. That neither is paid by it stands in triggers.
            models.CheckConstraint(
                condition=Q(checked_by=None) | ~Q(checked_by=F("prepared_by")), name="pay_run_maker_is_not_checker"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["draft", "computed", "submitted"]) | Q(checked_by__isnull=False),
                name="approved_pay_run_was_checked",
            ),
            models.CheckConstraint(
                condition=Q(kind="regular", corrects=None) | Q(kind="correction", corrects__isnull=False),
                name="correction_names_its_run",
            ),
            # One run pays everybody of a unit for a cycle; another one only follows it, for whom that one left out.
            models.UniqueConstraint(
                fields=["cycle", "scope"],
                condition=Q(kind="regular", follows=None),
                name="one_regular_run_of_a_cycle",
            ),
            models.UniqueConstraint(
                fields=["follows"], condition=Q(follows__isnull=False), name="one_run_follows_another"
            ),
        ]

    def __str__(self):
        return self.code


class PayPool(models.Model):
    """The money of one unit in a run: given (closed), at most (ceiling), or whatever comes out (open).

    The top pool (no ``parent``) is that of the run's scope: ``amount_fen`` is the money given, of which the run's
    ``reserve_fen`` is kept back. A pool with a ``parent`` holds what its unit got of it. ``ratio`` is what one raw fen is
    paid at (paid / raw where nobody stands at a limit), an exact fraction "n/d", frozen with the run: what a later
    correction is paid at. ``seal`` follows from the seals before it (kpi.domain.pay_seals).
    """

    class Mode(models.TextChoices):
        OPEN = "open", pgettext_lazy("pay pool", "open")
        CEILING = "ceiling", pgettext_lazy("pay pool", "ceiling")
        CLOSED = "closed", pgettext_lazy("pay pool", "closed")

    run = models.ForeignKey(PayRun, on_delete=models.PROTECT, related_name="pools")
    unit = models.ForeignKey(OrgUnit, on_delete=models.PROTECT, related_name="+")
    parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="parts")
    mode = models.CharField(max_length=10, choices=Mode.choices)
    amount_fen = models.BigIntegerField(null=True)
    unit_coefficient = models.DecimalField(max_digits=6, decimal_places=4, default=1)
    raw = models.CharField(max_length=80, blank=True)  # exact sum of the raw lines in fen, "n/d"
    paid_fen = models.BigIntegerField(default=0)
    ratio = models.CharField(max_length=80, blank=True)
    seal = models.CharField(max_length=64, null=True)

    class Meta:
        ordering = ["run", "unit__path"]
        constraints = [
            models.UniqueConstraint(fields=["run", "unit"], name="pay_pool_once"),
            models.CheckConstraint(
                condition=Q(mode="open", amount_fen=None) | Q(mode__in=["ceiling", "closed"], amount_fen__gte=0),
                name="pay_pool_has_its_amount",
            ),
        ]

    def __str__(self):
        return f"{self.run_id}/{self.unit_id}"


class PayLine(models.Model):
    """What one person gets for one span of days in one unit. A mover has several lines (segments); all are kept.

    ``raw`` = base x individual coefficient x unit coefficient x attendance, exact, in fen, "n/d". ``share_fen`` is its
    floored share of the pool, ``extra_fen`` the left-over fen it was handed, ``paid_fen`` what is paid (after cap and
    floor). ``reason`` is the code of the segment. An adjustment (``adjusts``) is a line of a correction run: its raw
    values are the new ones, ``paid_fen`` the difference. ``number`` counts the lines of a run by employee number; ``seal``
    follows from the line before, so that a line that is changed, taken out, put in or moved is found and named.
    """

    class Reason(models.TextChoices):
        WHOLE = "whole", pgettext_lazy("pay line", "the whole time")
        JOINED = "joined", pgettext_lazy("pay line", "joined in the period")
        LEFT = "left", pgettext_lazy("pay line", "left in the period")
        MOVED_IN = "moved_in", pgettext_lazy("pay line", "moved in")
        MOVED_OUT = "moved_out", pgettext_lazy("pay line", "moved out")
        NO_REVIEW = "no_review", pgettext_lazy("pay line", "no review: paid at the coefficient 1")
        APPEAL = "appeal", pgettext_lazy("pay line", "objection upheld")
        CORRECTION = "correction", pgettext_lazy("pay line", "correction")

    class Bound(models.TextChoices):
        NONE = "", pgettext_lazy("pay line", "not limited")
        CAP = "cap", pgettext_lazy("pay line", "at the cap")
        FLOOR = "floor", pgettext_lazy("pay line", "at the floor")

    employee_no: str  # no column: carried along by whoever is about to write and seal the line

    run = models.ForeignKey(PayRun, on_delete=models.PROTECT, related_name="lines")
    pool = models.ForeignKey(PayPool, on_delete=models.PROTECT, related_name="lines")
    cycle = models.ForeignKey(ReviewCycle, on_delete=models.PROTECT, related_name="+")
    employee = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="pay_lines")
    segment = models.PositiveSmallIntegerField(default=1)
    starts_on = models.DateField()
    ends_on = models.DateField()
    reason = models.CharField(max_length=12, choices=Reason.choices, default=Reason.WHOLE)
    reason_text = models.CharField(max_length=300, blank=True)
    review = models.ForeignKey(Review, null=True, on_delete=models.PROTECT, related_name="pay_lines")
    adjusts = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="adjustments")
    unit_path_zh = models.CharField(max_length=300, blank=True)
    unit_path_en = models.CharField(max_length=300, blank=True)
    base_fen = models.BigIntegerField()
    coefficient = models.DecimalField(max_digits=6, decimal_places=4)
    unit_coefficient = models.DecimalField(max_digits=6, decimal_places=4)
    attended = models.DecimalField(max_digits=6, decimal_places=2)  # days
    attended_of = models.DecimalField(max_digits=6, decimal_places=2)
    raw = models.CharField(max_length=80)
    share_fen = models.BigIntegerField()
    extra_fen = models.BigIntegerField(default=0)
    bound = models.CharField(max_length=6, choices=Bound.choices, blank=True)
    paid_fen = models.BigIntegerField()
    number = models.PositiveIntegerField(null=True)
    seal = models.CharField(max_length=64, null=True)

    class Meta:
        ordering = ["run", "number"]
        constraints = [
            models.UniqueConstraint(fields=["run", "employee", "segment"], name="pay_line_once"),
            # TRUST MC-10: nobody is paid twice for one cycle, whatever run it is in.
            models.UniqueConstraint(
                fields=["cycle", "employee", "segment"], condition=Q(adjusts=None), name="paid_once_in_a_cycle"
            ),
            models.CheckConstraint(condition=Q(attended_of__gt=0, attended__gte=0), name="attendance_is_a_share"),
            models.CheckConstraint(condition=Q(adjusts__isnull=False) | Q(paid_fen__gte=0), name="pay_not_negative"),
        ]
        indexes = [
            models.Index(fields=["employee", "cycle"], name="pay_line_of_employee"),
            models.Index(fields=["run", "number"], name="pay_line_in_run"),
        ]

    def __str__(self):
        return f"{self.run_id}/{self.employee_id}.{self.segment}"

    @property
    def unit_path(self) -> str:
        """Where the person was in these days, in the active language."""
        return self.unit_path_en if self.unit_path_en and (get_language() or "").startswith("en") else self.unit_path_zh

    @property
    def attendance(self) -> str:
        """Days attended of the days of the period as people write them: 61.5 / 64."""
        return " / ".join(f"{value:.2f}".rstrip("0").rstrip(".") for value in (self.attended, self.attended_of))


class PayReturn(models.Model):
    """What payroll answered about one line of an exported run. Append-only; the newest answer of a line counts."""

    class State(models.TextChoices):
        PAID = "paid", pgettext_lazy("payroll", "paid")
        CHANGED = "changed", pgettext_lazy("payroll", "paid with another amount")
        REFUSED = "refused", pgettext_lazy("payroll", "not paid")

    line = models.ForeignKey(PayLine, on_delete=models.PROTECT, related_name="answers")
    state = models.CharField(max_length=8, choices=State.choices)
    amount_fen = models.BigIntegerField()
    note = models.CharField(max_length=300, blank=True)
    source = models.CharField(max_length=200)
    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["line", "at", "pk"]

    def __str__(self):
        return f"{self.line_id} {self.state}"


class PayFile(models.Model):
    """A file of bases, of attendance or of payroll's answers: uploaded, checked, and applied once by whoever uploaded it."""

    class Kind(models.TextChoices):
        BASES = "bases", pgettext_lazy("pay file", "bases")
        ATTENDANCE = "attendance", pgettext_lazy("pay file", "attendance")
        ANSWERS = "answers", pgettext_lazy("pay file", "payroll’s answers")

    kind = models.CharField(max_length=10, choices=Kind.choices)
    file = models.FileField(upload_to="pay/", storage=private_storage)
    name = models.CharField(max_length=150)
    digest = models.CharField(max_length=64)  # SHA-256 of the file
    first_month = MonthField(null=True)
    last_month = MonthField(null=True)
    run = models.ForeignKey(PayRun, null=True, on_delete=models.PROTECT, related_name="files")
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    uploaded_at = models.DateTimeField()
    applied_at = models.DateTimeField(null=True)
    applied_rows = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-uploaded_at", "-pk"]

    def __str__(self):
        return f"{self.kind} {self.name}"
