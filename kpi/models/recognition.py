"""Recognition: programmes of honours, who was nominated, how it was decided, what was granted; and thanks."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import get_language, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from certificates.models import Certificate, CertificateDesign
from core.models import Picture
from core.periods import MonthField
from kpi.models.rules import Rule, RuleVersion
from people.models import Employee, OrgUnit


def _in_language(zh: str, en: str) -> str:
    return en if en and (get_language() or "").startswith("en") else zh


class AwardProgramme(models.Model):
    """A kind of honour that is given again and again: service star, model collective, innovation winner, QC group."""

    class Kind(models.TextChoices):
        PERSON = "person", _("person")
        TEAM = "team", _("team")
        UNIT = "unit", pgettext_lazy("award", "unit")
        PROJECT = "project", _("project")

    rule = models.OneToOneField(Rule, on_delete=models.PROTECT, related_name="award_programme")
    kind = models.CharField(_("for"), max_length=10, choices=Kind.choices)
    design = models.ForeignKey(CertificateDesign, on_delete=models.PROTECT, related_name="+")
    active = models.BooleanField(pgettext_lazy("award", "in use"), default=True)

    class Meta:
        ordering = ["rule__code"]

    def __str__(self):
        return self.rule.label


class AwardRound(models.Model):
    """One time that an honour is given: nominating -> voting -> publicity -> granted, under one published rule version."""

    class State(models.TextChoices):
        NOMINATING = "nominating", pgettext_lazy("award", "open for nominations")
        VOTING = "voting", pgettext_lazy("award", "the committee decides")
        PUBLICITY = "publicity", pgettext_lazy("award", "made public for objections")
        GRANTED = "granted", pgettext_lazy("award", "granted")
        CANCELLED = "cancelled", pgettext_lazy("award", "cancelled")

    programme = models.ForeignKey(AwardProgramme, on_delete=models.PROTECT, related_name="rounds")
    version = models.ForeignKey(RuleVersion, on_delete=models.PROTECT, related_name="award_rounds")
    name = models.CharField(pgettext_lazy("of a thing", "name"), max_length=100)
    name_en = models.CharField(_("English name"), max_length=100, blank=True)
    first_month = MonthField(_("first month"))
    last_month = MonthField(_("last month"))
    places = models.PositiveIntegerField(_("places"))
    state = models.CharField(max_length=12, choices=State.choices, default=State.NOMINATING)
    nominate_until = models.DateField(_("nominations until"))
    publicity_from = models.DateField(null=True)
    publicity_until = models.DateField(null=True)
    granted_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    committee = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+")

    class Meta:
        ordering = ["-last_month", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["programme", "first_month", "last_month"], name="award_round_once"),
            models.CheckConstraint(condition=Q(last_month__gte=F("first_month")), name="round_months_in_order"),
        ]

    def __str__(self):
        return self.label

    @property
    def label(self) -> str:
        """The name in the active language."""
        return _in_language(self.name, self.name_en)


class AwardQuota(models.Model):
    """How many of a round's places fall to one unit, by headcount and largest remainder."""

    round = models.ForeignKey(AwardRound, on_delete=models.CASCADE, related_name="quotas")
    unit = models.ForeignKey(OrgUnit, on_delete=models.PROTECT, related_name="+")
    people = models.PositiveIntegerField()
    places = models.PositiveIntegerField()

    class Meta:
        ordering = ["round", "unit__path"]
        constraints = [models.UniqueConstraint(fields=["round", "unit"], name="award_quota_once")]

    def __str__(self):
        return f"{self.round_id}/{self.unit_id}: {self.places}"


class Nomination(models.Model):
    """Somebody or something put forward in a round, with the citation and a check list of evidence.

    ``checks`` is what the rule asked for and what was found at the time: [{"code", "name_zh", "name_en", "met", "found",
    "link"}]. For a person ``employee``; for a unit ``unit``; a team or project has a title and members.
    """

    class State(models.TextChoices):
        NOMINATED = "nominated", pgettext_lazy("nomination", "nominated")
        ELIGIBLE = "eligible", pgettext_lazy("nomination", "meets the conditions")
        INELIGIBLE = "ineligible", pgettext_lazy("nomination", "does not meet the conditions")
        CHOSEN = "chosen", pgettext_lazy("nomination", "chosen")
        NOT_CHOSEN = "not_chosen", pgettext_lazy("nomination", "not chosen this time")
        WITHDRAWN = "withdrawn", pgettext_lazy("nomination", "taken back")
        GRANTED = "granted", pgettext_lazy("nomination", "granted")

    round = models.ForeignKey(AwardRound, on_delete=models.PROTECT, related_name="nominations")
    employee = models.ForeignKey(Employee, null=True, on_delete=models.PROTECT, related_name="nominations")
    unit = models.ForeignKey(OrgUnit, null=True, on_delete=models.PROTECT, related_name="+")
    title = models.CharField(_("name of the team or project"), max_length=100, blank=True)
    title_en = models.CharField(_("its English name"), max_length=100, blank=True)
    members = models.ManyToManyField(Employee, related_name="team_nominations")
    citation = models.CharField(_("citation"), max_length=500)
    citation_en = models.CharField(_("citation (English)"), max_length=500, blank=True)
    state = models.CharField(max_length=12, choices=State.choices, default=State.NOMINATED)
    checks = models.JSONField(default=list)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering = ["round", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["round", "employee"],
                condition=Q(employee__isnull=False) & ~Q(state="withdrawn"),
                name="person_nominated_once",
            ),
            models.CheckConstraint(
                condition=Q(employee__isnull=False) | Q(unit__isnull=False) | ~Q(title=""), name="nominee_is_named"
            ),
        ]

    def __str__(self):
        return f"{self.round_id}/{self.pk}"

    @property
    def label(self) -> str:
        """Who or what is put forward, in the active language."""
        if self.employee is not None:
            return self.employee.label
        if self.title:
            return _in_language(self.title, self.title_en)
        return self.unit.label if self.unit else ""

    @property
    def said(self) -> str:
        """The citation in the active language."""
        return _in_language(self.citation, self.citation_en)


class Vote(models.Model):
    """One committee member on one nomination; ``recused`` when close to the nominee, with the reason. Append-only."""

    class Choice(models.TextChoices):
        YES = "yes", pgettext_lazy("vote", "for")
        NO = "no", pgettext_lazy("vote", "against")
        ABSTAIN = "abstain", pgettext_lazy("vote", "abstain")
        RECUSED = "recused", pgettext_lazy("vote", "recused")

    nomination = models.ForeignKey(Nomination, on_delete=models.PROTECT, related_name="votes")
    member = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    choice = models.CharField(max_length=8, choices=Choice.choices)
    reason = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["nomination", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["nomination", "member"], name="one_vote_each"),
            models.CheckConstraint(condition=~Q(choice="recused", reason=""), name="recused_with_reason"),
        ]

    def __str__(self):
        return f"{self.nomination_id} {self.choice}"


class Objection(models.Model):
    """Something said against a chosen nomination while it is public; answered before anything is granted."""

    class State(models.TextChoices):
        OPEN = "open", pgettext_lazy("objection", "open")
        UPHELD = "upheld", pgettext_lazy("objection", "upheld")
        REJECTED = "rejected", pgettext_lazy("objection", "rejected")

    nomination = models.ForeignKey(Nomination, on_delete=models.PROTECT, related_name="objections")
    text = models.CharField(max_length=1000)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    answer = models.CharField(max_length=1000, blank=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["at", "pk"]
        constraints = [
            models.CheckConstraint(condition=Q(state="open") | ~Q(answer=""), name="objection_answered_with_words")
        ]

    def __str__(self):
        return f"{self.nomination_id} {self.state}"


class Award(models.Model):
    """An honour that was granted: what stands on the wall and in a person's record. Revoked with a reason, never deleted.

    Everything it says is copied when it is granted, like a certificate. A team or project gives one award to each member
    and one to itself (``employee`` empty).
    """

    nomination = models.ForeignKey(Nomination, on_delete=models.PROTECT, related_name="awards")
    employee = models.ForeignKey(Employee, null=True, on_delete=models.PROTECT, related_name="awards")
    certificate = models.OneToOneField(Certificate, null=True, on_delete=models.PROTECT, related_name="award")
    name_zh = models.CharField(max_length=200)
    name_en = models.CharField(max_length=200, blank=True)
    holder = models.CharField(max_length=100)
    holder_en = models.CharField(max_length=100, blank=True)
    unit_zh = models.CharField(max_length=300, blank=True)
    unit_en = models.CharField(max_length=300, blank=True)
    citation = models.CharField(max_length=500)
    citation_en = models.CharField(max_length=500, blank=True)
    granted_at = models.DateTimeField()
    granted_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    on_wall = models.BooleanField(default=True)  # the person may ask not to be shown
    photo = models.ForeignKey(Picture, null=True, on_delete=models.PROTECT, related_name="+")  # set by HR, for the wall
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    revoked_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-granted_at", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["nomination", "employee"], condition=Q(employee__isnull=False), name="award_of_a_person_once"
            ),
            models.UniqueConstraint(fields=["nomination"], condition=Q(employee=None), name="award_of_a_group_once"),
            models.CheckConstraint(
                condition=Q(revoked_at=None, revoked_reason="") | (Q(revoked_at__isnull=False) & ~Q(revoked_reason="")),
                name="award_revoked_with_reason",
            ),
        ]

    def __str__(self):
        return f"{self.name_zh} {self.holder}"

    @property
    def label(self) -> str:
        """What was given, in the active language."""
        return _in_language(self.name_zh, self.name_en)

    @property
    def holder_label(self) -> str:
        """Who holds it: as written, with the Latin form for readers of English."""
        if self.employee_id and self.holder_en and self.holder_en != self.holder:
            return _in_language(self.holder, f"{self.holder_en} {self.holder}")
        return _in_language(self.holder, self.holder_en)

    @property
    def unit_label(self) -> str:
        """The unit when it was given, from the top, in the active language."""
        return _in_language(self.unit_zh, self.unit_en)

    @property
    def said(self) -> str:
        """The citation in the active language."""
        return _in_language(self.citation, self.citation_en)


class Thanks(models.Model):
    """A colleague says thank you. No points, no money, no ranking; the one thanked can hide it."""

    giver = models.ForeignKey(Employee, on_delete=models.CASCADE, related_name="thanks_given")
    receiver = models.ForeignKey(Employee, on_delete=models.CASCADE, related_name="thanks_received")
    text = models.CharField(max_length=300)
    at = models.DateTimeField()
    hidden_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-at", "-pk"]
        verbose_name_plural = _("thanks")
        constraints = [models.CheckConstraint(condition=~Q(giver=F("receiver")), name="thanks_to_another")]

    def __str__(self):
        return f"{self.giver_id} → {self.receiver_id}"
