"""The performance review: a cycle, one review for each person in it, who rated, what was calibrated and contested."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import get_language, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from core.periods import MonthField
from kpi.models.rules import RuleVersion
from kpi.models.scorecards import Scorecard
from people.models import Employee, OrgUnit, Position


class ReviewCycle(models.Model):
    """One round of reviews over a span of months, under one version of one scorecard.

    ``snapshot_on`` is the day whose units, positions and managers are copied into the reviews. Deadlines are the last
    moments at which something is still taken; silence after them is never agreement.
    """

    class Kind(models.TextChoices):
        MONTHLY = "monthly", _("monthly")
        QUARTERLY = "quarterly", _("quarterly")
        YEARLY = "yearly", _("yearly")

    class State(models.TextChoices):
        DRAFT = "draft", pgettext_lazy("cycle", "draft")
        ANNOUNCED = "announced", pgettext_lazy("cycle", "announced")
        OPEN = "open", pgettext_lazy("cycle", "open")
        CALIBRATING = "calibrating", pgettext_lazy("cycle", "calibrating")
        PUBLISHED = "published", pgettext_lazy("cycle", "published")
        CLOSED = "closed", pgettext_lazy("cycle", "closed")

    name = models.CharField(pgettext_lazy("of a thing", "name"), max_length=100)
    name_en = models.CharField(_("English name"), max_length=100, blank=True)
    kind = models.CharField(_("rhythm"), max_length=10, choices=Kind.choices)
    scope = models.ForeignKey(OrgUnit, on_delete=models.PROTECT, related_name="review_cycles")
    version = models.ForeignKey(RuleVersion, on_delete=models.PROTECT, related_name="cycles")
    first_month = MonthField(_("first month"))
    last_month = MonthField(_("last month"))
    state = models.CharField(max_length=12, choices=State.choices, default=State.DRAFT)
    snapshot_on = models.DateField(_("day of the snapshot"))
    self_until = models.DateTimeField(_("own rating until"))
    peers_until = models.DateTimeField(_("colleagues’ ratings until"))
    manager_until = models.DateTimeField(_("manager’s rating until"))
    appeal_days = models.PositiveSmallIntegerField(_("days to object"), default=7)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-last_month", "-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(last_month__gte=F("first_month")), name="cycle_months_in_order"),
            models.UniqueConstraint(fields=["version", "scope", "first_month", "last_month"], name="cycle_once"),
        ]

    def __str__(self):
        return self.label

    @property
    def label(self) -> str:
        """The name in the active language."""
        return self.name_en if self.name_en and (get_language() or "").startswith("en") else self.name


class Review(models.Model):
    """One person in one cycle, with unit, position and manager as they were on the day of the snapshot.

    ``scorecard`` is the card it rests on; ``total``, ``grade`` and ``coefficient`` are the result after calibration. From
    ``published_at`` on they never change (the database refuses it): an appeal that is upheld makes the next ``number``
    of the same person, which ``supersedes`` this one. ``acknowledged`` is a read receipt, not agreement.
    """

    class State(models.TextChoices):
        DRAFTED = "drafted", pgettext_lazy("review", "waiting for the own rating")
        SELF_DONE = "self_done", pgettext_lazy("review", "waiting for the manager")
        MANAGER_DONE = "manager_done", pgettext_lazy("review", "rated")
        CALIBRATED = "calibrated", pgettext_lazy("review", "calibrated")
        PUBLISHED = "published", pgettext_lazy("review", "published, not yet read")
        ACKNOWLEDGED = "acknowledged", pgettext_lazy("review", "read")
        CONTESTED = "contested", pgettext_lazy("review", "contested")
        UPHELD = "upheld", pgettext_lazy("review", "objection upheld")
        REJECTED = "rejected", pgettext_lazy("review", "objection rejected")
        FINAL = "final", pgettext_lazy("review", "final")
        SUPERSEDED = "superseded", pgettext_lazy("review", "replaced by a newer one")

    cycle = models.ForeignKey(ReviewCycle, on_delete=models.PROTECT, related_name="reviews")
    employee = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="reviews")
    number = models.PositiveSmallIntegerField(default=1)
    supersedes = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="superseded_by")
    state = models.CharField(max_length=12, choices=State.choices, default=State.DRAFTED)
    unit = models.ForeignKey(OrgUnit, null=True, on_delete=models.PROTECT, related_name="+")
    unit_path_zh = models.CharField(max_length=300, blank=True)
    unit_path_en = models.CharField(max_length=300, blank=True)
    position = models.ForeignKey(Position, null=True, on_delete=models.PROTECT, related_name="+")
    manager = models.ForeignKey(Employee, null=True, on_delete=models.PROTECT, related_name="reviews_to_give")
    scorecard = models.ForeignKey(Scorecard, null=True, on_delete=models.PROTECT, related_name="reviews")
    total = models.DecimalField(max_digits=6, decimal_places=2, null=True)
    grade = models.CharField(max_length=4, blank=True)
    coefficient = models.DecimalField(max_digits=6, decimal_places=4, null=True)
    published_at = models.DateTimeField(null=True)
    published_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    object_until = models.DateTimeField(null=True)  # the last moment at which this result can be contested
    acknowledged_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ["cycle", "employee", "number"]
        constraints = [
            models.UniqueConstraint(fields=["cycle", "employee", "number"], name="review_number_once"),
            models.UniqueConstraint(
                fields=["cycle", "employee"], condition=~Q(state="superseded"), name="one_review_in_force"
            ),
            models.CheckConstraint(
                condition=Q(published_at=None)
                | (Q(total__isnull=False, scorecard__isnull=False, object_until__isnull=False) & ~Q(grade="")),
                name="published_review_has_a_result",
            ),
        ]
        indexes = [
            models.Index(fields=["employee", "-published_at"], name="review_of_employee"),
            models.Index(fields=["cycle", "unit", "state"], name="review_of_unit"),
            models.Index(fields=["manager", "state"], name="review_of_manager"),
        ]

    def __str__(self):
        return f"{self.cycle_id}/{self.employee_id} #{self.number}"

    @property
    def unit_path(self) -> str:
        """Where the person was on the day of the snapshot, in the active language."""
        return self.unit_path_en if self.unit_path_en and (get_language() or "").startswith("en") else self.unit_path_zh


class Rating(models.Model):
    """What one person says of another in a review: 1 to 5 for each line that is rated, and words.

    Asked of the person, the manager and peers (a peer's name is shown to HR and auditors only, TRUST PM-V09; a peer part
    with fewer raters than the rule's minimum is hidden and dropped). Open while ``submitted_at`` is empty.
    """

    class Role(models.TextChoices):
        SELF = "self", pgettext_lazy("rating", "self")
        MANAGER = "manager", pgettext_lazy("rating", "manager")
        PEER = "peer", pgettext_lazy("rating", "colleague")

    review = models.ForeignKey(Review, on_delete=models.PROTECT, related_name="ratings")
    rater = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="ratings_given")
    role = models.CharField(max_length=8, choices=Role.choices)
    answers = models.JSONField(default=dict)  # {line code: 1…5}
    comment = models.CharField(max_length=1000, blank=True)
    asked_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["review", "role", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["review", "rater"], name="rated_once_by_each"),
            models.UniqueConstraint(fields=["review", "role"], condition=~Q(role="peer"), name="one_rating_of_a_role"),
        ]
        indexes = [models.Index(fields=["rater", "submitted_at"], name="rating_to_give")]

    def __str__(self):
        return f"{self.review_id} {self.role}"


class CalibrationGroup(models.Model):
    """The reviews of one unit and below that are looked at side by side, and how many of them may have the top grade.

    ``quota`` only caps the top: exact share x people, plus what smaller years left over (``carried_in``); what is not a
    whole place goes on to the next cycle of the same unit (``carried_out``). There is no quota at the bottom.
    """

    cycle = models.ForeignKey(ReviewCycle, on_delete=models.PROTECT, related_name="calibration_groups")
    unit = models.ForeignKey(OrgUnit, on_delete=models.PROTECT, related_name="+")
    people = models.PositiveIntegerField()
    carried_in = models.DecimalField(max_digits=8, decimal_places=4, default=0)
    quota = models.PositiveIntegerField()
    carried_out = models.DecimalField(max_digits=8, decimal_places=4, default=0)
    settled_at = models.DateTimeField(null=True)
    settled_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["cycle", "unit__path"]
        constraints = [models.UniqueConstraint(fields=["cycle", "unit"], name="calibration_group_once")]

    def __str__(self):
        return f"{self.cycle_id}/{self.unit_id}"


class Calibration(models.Model):
    """One change of a result when reviews were compared, with a reason that the employee can read. Append-only."""

    review = models.ForeignKey(Review, on_delete=models.PROTECT, related_name="calibrations")
    group = models.ForeignKey(CalibrationGroup, null=True, on_delete=models.PROTECT, related_name="changes")
    total_before = models.DecimalField(max_digits=6, decimal_places=2)
    total_after = models.DecimalField(max_digits=6, decimal_places=2)
    grade_before = models.CharField(max_length=4)
    grade_after = models.CharField(max_length=4)
    reason = models.CharField(max_length=500)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering = ["review", "at", "pk"]
        constraints = [models.CheckConstraint(condition=~Q(reason=""), name="calibrated_with_reason")]

    def __str__(self):
        return f"{self.review_id}: {self.total_before} → {self.total_after}"


class Appeal(models.Model):
    """A person objects to a published result; somebody who did not rate decides. ``line`` is what it is about, if one."""

    class State(models.TextChoices):
        OPEN = "open", pgettext_lazy("appeal", "open")
        UPHELD = "upheld", pgettext_lazy("appeal", "upheld")
        REJECTED = "rejected", pgettext_lazy("appeal", "rejected")

    review = models.OneToOneField(Review, on_delete=models.PROTECT, related_name="appeal")
    line = models.CharField(max_length=40, blank=True)
    text = models.CharField(max_length=1000)
    at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)
    decision = models.CharField(max_length=1000, blank=True)

    class Meta:
        ordering = ["at", "pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state="open", decided_at=None)
                | (Q(state__in=["upheld", "rejected"], decided_at__isnull=False) & ~Q(decision="")),
                name="appeal_decided_with_words",
            )
        ]

    def __str__(self):
        return f"{self.review_id} {self.state}"
