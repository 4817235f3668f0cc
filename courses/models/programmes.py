"""Who takes what, and when: audiences, programmes and their plan."""

from django.db import models
from django.utils.translation import get_language, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from core.periods import MonthField
from courses.models.runs import Course
from people.models import Employee, OrgUnit


class Audience(models.Model):
    """A saved rule that selects people.

    ``rule`` is data, read by courses.domain.audiences: {"units": [codes, with everything below], "positions": [titles],
    "job_families": [...], "hired_from": "2026-01-01", "hired_until": "..."}. A key that is absent does not restrict;
    keys are joined by "and", the values of one key by "or". An empty rule selects everybody in the scope.
    ``scope`` is the unit whose HR owns the rule; it never selects anybody outside it.
    """

    name = models.CharField(pgettext_lazy("of a thing", "name"), max_length=100)
    name_en = models.CharField(_("English name"), max_length=100, blank=True)
    scope = models.ForeignKey(OrgUnit, on_delete=models.PROTECT, related_name="audiences")
    rule = models.JSONField(default=dict)

    class Meta:
        ordering = ["name"]
        verbose_name = _("audience")

    def __str__(self):
        return self.label

    @property
    def label(self) -> str:
        return self.name_en if self.name_en and (get_language() or "").startswith("en") else self.name


class PeopleList(models.Model):
    """A list of people chosen one by one, for audiences that no rule describes: {"list": id} in a rule."""

    name = models.CharField(pgettext_lazy("of a thing", "name"), max_length=100)
    scope = models.ForeignKey(OrgUnit, on_delete=models.PROTECT, related_name="people_lists")
    members = models.ManyToManyField(Employee, related_name="people_lists")

    class Meta:
        ordering = ["name"]
        verbose_name = _("list of people")

    def __str__(self):
        return self.name


class Programme(models.Model):
    """An audience and a plan of which course runs in which month."""

    name = models.CharField(pgettext_lazy("of a thing", "name"), max_length=100)
    name_en = models.CharField(_("English name"), max_length=100, blank=True)
    audience = models.ForeignKey(Audience, on_delete=models.PROTECT, related_name="programmes")
    active = models.BooleanField(pgettext_lazy("programme", "active"), default=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("programme")

    def __str__(self):
        return self.label

    @property
    def label(self) -> str:
        return self.name_en if self.name_en and (get_language() or "").startswith("en") else self.name


class PlanLine(models.Model):
    """One course in one month of a programme's plan.

    A draft until ``published_at``: only then it becomes a run. ``prepared_at`` says since when its people are enrolled
    ahead of the month, unseen by anybody; ``opened_at`` when the duty began. Who joins later comes in by
    courses.domain.catching_up.catch_up.
    """

    programme = models.ForeignKey(Programme, on_delete=models.CASCADE, related_name="plan")
    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="plan_lines")
    month = MonthField(_("month"))
    published_at = models.DateTimeField(null=True, editable=False)
    prepared_at = models.DateTimeField(null=True, editable=False)
    opened_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["programme", "month", "course"]
        constraints = [models.UniqueConstraint(fields=["programme", "course", "month"], name="plan_line_once")]

    def __str__(self):
        return f"{self.programme_id} {self.month} {self.course_id}"
