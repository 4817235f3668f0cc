"""The published rules: whatever can change a grade, pay or an award points at exactly one version of one of them."""

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Q
from django.utils.translation import get_language, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from courses.models import Audience
from people.models import Employee, OrgUnit


class Rule(models.Model):
    """One rule of the house and for whom it is: a scorecard, a pay rule or an award rule. Its content stands in versions.

    ``scope`` is the unit whose HR owns it; ``audience`` narrows it (None: everybody in the scope). A scorecard is of
    employees or of units (``subject``); pay and award rules always speak of employees.
    """

    class Family(models.TextChoices):
        SCORECARD = "scorecard", _("scorecard")
        PAY = "pay", _("pay rule")
        AWARD = "award", _("award rule")

    class Subject(models.TextChoices):
        EMPLOYEE = "employee", _("employees")
        UNIT = "unit", _("units")

    family = models.CharField(_("kind of rule"), max_length=10, choices=Family.choices)
    code = models.CharField(_("code"), max_length=40, unique=True)
    name = models.CharField(pgettext_lazy("of a thing", "name"), max_length=100)
    name_en = models.CharField(_("English name"), max_length=100, blank=True)
    subject = models.CharField(_("whom it scores"), max_length=10, choices=Subject.choices, default=Subject.EMPLOYEE)
    scope = models.ForeignKey(OrgUnit, on_delete=models.PROTECT, related_name="rules")
    audience = models.ForeignKey(Audience, null=True, blank=True, on_delete=models.PROTECT, related_name="rules")

    class Meta:
        ordering = ["family", "code"]
        constraints = [
            models.CheckConstraint(condition=Q(family="scorecard") | Q(subject="employee"), name="only_cards_of_units"),
            models.CheckConstraint(condition=Q(subject="employee") | Q(audience=None), name="audience_is_of_people"),
        ]

    def __str__(self):
        return self.label

    @property
    def label(self) -> str:
        """The name in the active language."""
        return self.name_en if self.name_en and (get_language() or "").startswith("en") else self.name


class RuleVersion(models.Model):
    """What a rule says from ``effective_from`` on: typed parameters and a text that staff can read, in both languages.

    Drafted by one person of HR, put to consultation, published by another. Published it is immutable (the database
    refuses any change) and sealed by ``content_hash``, the SHA-256 of its canonical form. ``notice_days`` lie between
    publication and effect. ``parameters`` are of the family's shape: kpi.domain.parameters reads and checks them.
    """

    class State(models.TextChoices):
        DRAFT = "draft", pgettext_lazy("rule", "draft")
        CONSULTING = "consulting", pgettext_lazy("rule", "in consultation")
        PUBLISHED = "published", pgettext_lazy("rule", "published")

    rule = models.ForeignKey(Rule, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.DRAFT)
    parameters = models.JSONField(encoder=DjangoJSONEncoder)
    text_zh = models.TextField(_("text (Chinese)"))
    text_en = models.TextField(_("text (English)"), blank=True)
    notice_days = models.PositiveSmallIntegerField(_("days of notice"), default=7)
    effective_from = models.DateField(_("in force from"), null=True)
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    # Who changed the draft last, and how often it was changed: the mark by which two writers do not overwrite each other.
    edited_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    revision = models.PositiveIntegerField(default=1)
    published_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField(null=True)
    content_hash = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["rule", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["rule", "number"], name="rule_version_once"),
            # One version at a time is being worked on, so two people do not publish past each other.
            models.UniqueConstraint(fields=["rule"], condition=~Q(state="published"), name="one_version_in_work"),
            models.CheckConstraint(
                condition=~Q(state="published", effective_from=None)
                & ~Q(state="published", published_at=None)
                & ~Q(state="published", content_hash=""),
                name="published_rule_is_sealed",
            ),
            # TRUST PM-V12, PM-Y12: who proposes does not approve.
            models.CheckConstraint(
                condition=Q(published_by=None) | Q(proposed_by=None) | ~Q(published_by=F("proposed_by")),
                name="rule_published_by_another",
            ),
            # Nor does who changed it last.
            models.CheckConstraint(
                condition=Q(published_by=None) | Q(edited_by=None) | ~Q(published_by=F("edited_by")),
                name="rule_not_published_by_editor",
            ),
        ]

    def __str__(self):
        return f"{self.rule} v{self.number}"

    @property
    def text(self) -> str:
        """What staff read, in the active language."""
        return self.text_en if self.text_en and (get_language() or "").startswith("en") else self.text_zh


class ConsultationNote(models.Model):
    """What was asked or said about a version before it was published, and what came of it. Append-only."""

    class Kind(models.TextChoices):
        MEETING = "meeting", _("meeting")
        COMMENT = "comment", _("comment")
        ANSWER = "answer", pgettext_lazy("consultation", "answer")

    version = models.ForeignKey(RuleVersion, on_delete=models.PROTECT, related_name="notes")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    text = models.CharField(max_length=1000)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering = ["at", "pk"]

    def __str__(self):
        return f"{self.version_id} {self.kind}"


class Acknowledgement(models.Model):
    """One employee has read one published version. A read receipt, not agreement. Append-only.

    ``content_hash`` is the version's own at that moment, so that what was read can be proved.
    """

    version = models.ForeignKey(RuleVersion, on_delete=models.PROTECT, related_name="acknowledgements")
    employee = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="acknowledgements")
    at = models.DateTimeField()
    content_hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["at", "pk"]
        constraints = [models.UniqueConstraint(fields=["version", "employee"], name="acknowledged_once")]

    def __str__(self):
        return f"{self.version_id} {self.employee_id}"
