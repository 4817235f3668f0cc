"""Employees, their posts over time and their leave."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils.translation import get_language, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from people.models.units import OrgUnit


class Position(models.Model):
    """A job title with its job family."""

    title = models.CharField(pgettext_lazy("a position", "title"), max_length=100)
    title_en = models.CharField(_("English title"), max_length=100, blank=True)
    job_family = models.CharField(_("job family"), max_length=60, blank=True)

    class Meta:
        ordering = ["title"]
        constraints = [models.UniqueConstraint(fields=["title"], name="position_title_once")]

    def __str__(self):
        return self.label

    @property
    def label(self) -> str:
        """The title in the active language."""
        return self.title_en if self.title_en and (get_language() or "").startswith("en") else self.title


class EmployeeQuerySet(models.QuerySet):
    def in_unit(self, unit):
        """People whose present (or, for leavers, last) post is in the unit or below it."""
        return self.filter(unit__path__startswith=unit.path)

    def active_on(self, day):
        """People who work here on that day: hired by then, not yet left, not suspended now."""
        return self.filter(Q(hired_on=None) | Q(hired_on__lte=day), Q(left_on=None) | Q(left_on__gte=day)).exclude(
            state=Employee.State.SUSPENDED
        )

    def reporting_to(self, manager):
        """Everybody below the manager in the reporting tree, at any depth; never the manager."""
        return self.filter(pk__in=ReportsBelow(manager.pk)).exclude(pk=manager.pk)


class ReportsBelow(models.expressions.RawSQL):
    """The ids of everybody below a manager in the reporting tree. One recursive query, on both databases.

    UNION (not UNION ALL) ends the recursion even if a circle got into the data.
    """

    def __init__(self, manager_id: int):
        super().__init__(
            "WITH RECURSIVE below(id) AS (SELECT id FROM people_employee WHERE manager_id = %s"
            " UNION SELECT e.id FROM people_employee e JOIN below b ON e.manager_id = b.id) SELECT id FROM below",
            (manager_id,),
            output_field=models.BigIntegerField(),
        )


class Employee(models.Model):
    """The record of a person who works or worked here. A sign-in is optional and comes with the first invitation.

    ``employee_no`` is text: leading zeros live. ``unit``, ``position`` and ``manager`` are the present post (for a
    leaver the last one): always equal to the newest Placement, kept so by people.domain.moves and the roster import,
    so that lists and scopes need no join through the history. ``left_on`` is the last day at work.

    The one door to other people's records is people.domain.access.visible_employees.
    """

    class State(models.TextChoices):
        ACTIVE = "active", pgettext_lazy("a person", "active")
        SUSPENDED = "suspended", _("suspended")
        LEFT = "left", _("left")

    employee_no = models.CharField(_("employee no."), max_length=40, unique=True)
    name = models.CharField(pgettext_lazy("a person", "name"), max_length=100)
    name_latin = models.CharField(_("name in Latin letters"), max_length=100, blank=True)
    # "wangwei ww": what people type to find a name (people.domain.queries.pinyin_of)
    pinyin = models.CharField(max_length=200, blank=True, editable=False)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="employee"
    )
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.ACTIVE)
    # Indexed by employee_in_unit.
    unit = models.ForeignKey(
        OrgUnit, null=True, blank=True, on_delete=models.PROTECT, related_name="employees", db_index=False
    )
    position = models.ForeignKey(Position, null=True, blank=True, on_delete=models.PROTECT, related_name="employees")
    # No constraint in the database: the import checks managers as a set, and a deferred check costs 40 % of it (SPEED).
    manager = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="reports", db_constraint=False
    )
    hired_on = models.DateField(_("hired on"), null=True, blank=True)
    left_on = models.DateField(_("last day"), null=True, blank=True)
    email = models.CharField(_("e-mail"), max_length=254, blank=True)
    mobile = models.CharField(_("mobile"), max_length=30, blank=True)
    language = models.CharField(_("language"), max_length=10, choices=settings.LANGUAGES, default="zh-hans")

    objects = EmployeeQuerySet.as_manager()

    class Meta:
        ordering = ["employee_no"]
        verbose_name = _("employee")
        verbose_name_plural = _("employees")
        constraints = [
            # Somebody who left has a last day, and only somebody who left has one.
            models.CheckConstraint(
                condition=Q(state="left", left_on__isnull=False) | (~Q(state="left") & Q(left_on=None)),
                name="left_has_day",
            ),
            models.CheckConstraint(
                condition=Q(left_on=None) | Q(hired_on=None) | Q(left_on__gte=F("hired_on")), name="left_after_hired"
            ),
            models.CheckConstraint(condition=Q(manager=None) | ~Q(manager=F("id")), name="not_own_manager"),
        ]
        indexes = [
            models.Index(fields=["unit", "employee_no"], name="employee_in_unit"),
            models.Index(fields=["state", "unit"], name="employee_state"),
            models.Index(Lower("email"), name="employee_email"),  # a sign-in by e-mail address reads one row, not all
        ]

    def __str__(self):
        return self.name

    @property
    def label(self) -> str:
        """The name to show: as written, with the Latin form for readers of English."""
        if self.name_latin and (get_language() or "").startswith("en") and self.name_latin != self.name:
            return f"{self.name_latin} {self.name}"
        return self.name


class PlacementQuerySet(models.QuerySet):
    def on(self, day):
        """Posts held on that day."""
        return self.filter(Q(ends_on=None) | Q(ends_on__gte=day), starts_on__lte=day)


class Placement(models.Model):
    """An employee's unit, position and line manager from one day to another. A transfer ends one and begins the next.

    ``ends_on`` is the last day of the post; open while empty.
    """

    # Indexed by the constraint and the index below. Who held which position or had which manager is asked of the
    # present post only, and each index more costs an import of a large company a tenth of its time.
    employee = models.ForeignKey(Employee, on_delete=models.CASCADE, related_name="placements", db_index=False)
    unit = models.ForeignKey(OrgUnit, on_delete=models.PROTECT, related_name="placements", db_index=False)
    position = models.ForeignKey(
        Position, null=True, on_delete=models.PROTECT, related_name="placements", db_index=False
    )
    manager = models.ForeignKey(
        Employee,
        null=True,
        on_delete=models.SET_NULL,
        related_name="managed_placements",
        db_constraint=False,
        db_index=False,
    )
    starts_on = models.DateField()
    ends_on = models.DateField(null=True)

    objects = PlacementQuerySet.as_manager()

    class Meta:
        ordering = ["employee", "starts_on"]
        constraints = [
            models.UniqueConstraint(fields=["employee", "starts_on"], name="placement_one_start"),
            # Nobody holds two open posts.
            models.UniqueConstraint(fields=["employee"], condition=Q(ends_on=None), name="placement_one_open"),
            models.CheckConstraint(condition=Q(ends_on=None) | Q(ends_on__gte=F("starts_on")), name="placement_order"),
        ]
        indexes = [models.Index(fields=["unit", "starts_on"], name="placement_in_unit")]

    def __str__(self):
        return f"{self.employee_id}: {self.unit_id} {self.starts_on}–{self.ends_on or ''}"


class Leave(models.Model):
    """Days on which an employee is away and owes nothing: from and to, both included."""

    employee = models.ForeignKey(Employee, on_delete=models.CASCADE, related_name="leaves")
    starts_on = models.DateField(_("from"))
    ends_on = models.DateField(_("to"))
    reason = models.CharField(_("reason"), max_length=200, blank=True)

    class Meta:
        ordering = ["employee", "starts_on"]
        constraints = [models.CheckConstraint(condition=Q(ends_on__gte=F("starts_on")), name="leave_order")]

    def __str__(self):
        return f"{self.employee_id}: {self.starts_on}–{self.ends_on}"
