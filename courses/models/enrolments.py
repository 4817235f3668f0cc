"""This month's duty of this person in this unit: the record everything else hangs on."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from certificates.models import Certificate
from courses.models.runs import CourseRun
from people.models import Employee, OrgUnit, Position


class EnrolmentQuerySet(models.QuerySet):
    def counted(self):
        """Those in the denominator: owed, and neither exempt nor withdrawn."""
        return self.filter(voluntary=False).exclude(state__in=[Enrolment.State.EXEMPT, Enrolment.State.WITHDRAWN])

    def by_choice(self):
        """Those taken by choice and not given up again: beside every denominator."""
        return self.filter(voluntary=True).exclude(state=Enrolment.State.WITHDRAWN)

    def unfinished(self):
        return self.filter(state__in=[Enrolment.State.ASSIGNED, Enrolment.State.IN_PROGRESS])

    def in_unit(self, unit):
        """Duties that count in the unit or below it."""
        return self.filter(unit__path__startswith=unit.path)


class Enrolment(models.Model):
    """One person's duty in one course run, of one version of the course.

    ``unit`` is where the duty counts: it follows the person until the due time and stays from then on. ``unit_set`` and
    ``unit_done`` (with the positions) are stamped once: when it was set, and when it was done. Overdue is not a state: it
    is unfinished work after ``due_at`` (see is_overdue). ``on_time`` is decided once, at completion.
    Change state only through courses.domain (opening, progress, exceptions), which keeps the tallies in step; each change
    says when by ``changed_at``, and the database keeps it in EnrolmentChange. A ``voluntary`` one was taken by choice:
    it is owed to nobody and stands beside the denominator.
    """

    class State(models.TextChoices):
        ASSIGNED = "assigned", _("assigned")
        IN_PROGRESS = "in_progress", _("in progress")
        COMPLETED = "completed", _("completed")
        EXEMPT = "exempt", _("exempt")
        WITHDRAWN = "withdrawn", _("withdrawn")

    class Reason(models.TextChoices):
        PLAN = "plan", _("planned for the month")
        JOINED = "joined", _("joined during the month")
        LEAVE = "leave", _("on leave for the whole window")
        LEFT = "left", _("left the company")
        HR = "hr", _("decided by HR")
        PAST = "past", _("past training, recorded by HR")
        CHOICE = "choice", _("taken by choice")
        MOVED = "moved", _("no longer in the audience")

    employee = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="enrolments")
    run = models.ForeignKey(CourseRun, on_delete=models.PROTECT, related_name="enrolments")
    course_version = models.PositiveIntegerField()
    state = models.CharField(max_length=12, choices=State.choices, default=State.ASSIGNED)
    reason = models.CharField(max_length=10, choices=Reason.choices, default=Reason.PLAN)
    voluntary = models.BooleanField(default=False)
    reason_text = models.CharField(max_length=300, blank=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    due_at = models.DateTimeField()
    unit = models.ForeignKey(OrgUnit, on_delete=models.PROTECT, related_name="enrolments")
    unit_set = models.ForeignKey(OrgUnit, on_delete=models.PROTECT, related_name="+")
    position_set = models.ForeignKey(Position, null=True, on_delete=models.PROTECT, related_name="+")
    unit_done = models.ForeignKey(OrgUnit, null=True, on_delete=models.PROTECT, related_name="+")
    position_done = models.ForeignKey(Position, null=True, on_delete=models.PROTECT, related_name="+")
    assigned_at = models.DateTimeField()
    changed_at = models.DateTimeField()  # the time of the newest change that EnrolmentChange keeps
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    on_time = models.BooleanField(null=True)
    steps_done = models.PositiveSmallIntegerField(default=0)  # required steps done
    last_step = models.ForeignKey(
        "courses.Step", null=True, on_delete=models.SET_NULL, related_name="+"
    )  # the place kept
    certificate = models.OneToOneField(Certificate, null=True, on_delete=models.PROTECT, related_name="enrolment")

    objects = EnrolmentQuerySet.as_manager()

    class Meta:
        ordering = ["-run__month", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["employee", "run"], name="enrolment_once"),
            # Done work says when, where and whether in time; unfinished work says none of it.
            models.CheckConstraint(
                condition=Q(
                    state="completed", completed_at__isnull=False, on_time__isnull=False, unit_done__isnull=False
                )
                | (~Q(state="completed") & Q(completed_at=None, on_time=None, unit_done=None)),
                name="completed_is_stamped",
            ),
        ]
        indexes = [
            models.Index(fields=["run", "unit", "state"], name="enrolment_in_unit"),
            models.Index(fields=["run", "employee"], name="enrolment_run_employee"),
        ]

    def __str__(self):
        return f"{self.employee_id} in {self.run_id}: {self.state}"

    def is_overdue(self, at) -> bool:
        """Is it owed and unfinished after its due time?"""
        return self.state in {self.State.ASSIGNED, self.State.IN_PROGRESS} and at > self.due_at and not self.voluntary
