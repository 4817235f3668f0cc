"""When who is reminded of what, and who asked whom."""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from core.models import Robot
from courses.models.enrolments import Enrolment
from courses.models.programmes import Programme
from people.models import Employee, OrgUnit


class Ladder(models.Model):
    """The steps by which open duties are chased, and the hours in which nobody is disturbed.

    One without a programme is the rule for all; a programme may have its own. ``quiet_from`` … ``quiet_until`` may go
    over midnight. ``send_at``: when the digest of the day goes out.
    """

    programme = models.OneToOneField(
        Programme, verbose_name=_("programme"), null=True, blank=True, on_delete=models.CASCADE, related_name="ladder"
    )
    active = models.BooleanField(pgettext_lazy("ladder", "active"), default=True)
    send_at = models.TimeField(_("digest goes out at"), default="09:00")
    quiet_from = models.TimeField(_("quiet from"), default="20:00")
    quiet_until = models.TimeField(_("quiet until"), default="08:00")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["active"], condition=Q(programme=None), name="one_general_ladder"),
        ]

    def __str__(self):
        return str(self.programme or _("for every programme"))


class LadderStep(models.Model):
    """On the day so many days from the due day (before: negative), tell this person."""

    class To(models.TextChoices):
        EMPLOYEE = "employee", _("the employee")
        MANAGER = "manager", _("the manager")
        UPPER = "upper", _("the manager's manager")
        GROUP_CHAT = "group_chat", _("the group chat of the unit (figures only)")

    ladder = models.ForeignKey(Ladder, on_delete=models.CASCADE, related_name="steps")
    days = models.SmallIntegerField(
        _("days from the due day"), validators=[MinValueValidator(-31), MaxValueValidator(62)]
    )
    to = models.CharField(pgettext_lazy("ladder", "to"), max_length=12, choices=To.choices)
    by_mail = models.BooleanField(_("also by e-mail"), default=True)  # the page always says it

    class Meta:
        ordering = ["ladder", "days", "to"]
        constraints = [models.UniqueConstraint(fields=["ladder", "days", "to"], name="ladder_step_once")]

    def __str__(self):
        return f"{self.days:+d} {self.to}"


class GroupChat(models.Model):
    """A robot in the group chat of a unit: it tells figures of that unit, never names."""

    unit = models.ForeignKey(OrgUnit, on_delete=models.CASCADE, related_name="group_chats")
    robot = models.ForeignKey(Robot, on_delete=models.CASCADE, related_name="group_chats")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["unit", "robot"], name="group_chat_once")]

    def __str__(self):
        return f"{self.unit_id}/{self.robot_id}"


class ReminderDue(models.Model):
    """That a step of the ladder was reached for a duty and told to somebody: once, whatever runs how often.

    ``due_on`` is the due day the step was counted from: a later one (an extension) begins the ladder anew. ``digest``
    is the key of the messages in which it was said (core.models.Message keeps how they fared).
    """

    enrolment = models.ForeignKey(Enrolment, on_delete=models.CASCADE, related_name="reminders")
    step = models.ForeignKey(LadderStep, null=True, on_delete=models.SET_NULL, related_name="+")
    days = models.SmallIntegerField()
    to = models.CharField(max_length=12, choices=LadderStep.To.choices)
    employee = models.ForeignKey(Employee, on_delete=models.CASCADE, related_name="+")  # who was told
    on = models.DateField()
    due_on = models.DateField()
    told_at = models.DateTimeField(null=True)
    digest = models.CharField(max_length=100, blank=True)  # the key of the messages it went out with

    class Meta:
        ordering = ["enrolment", "on"]
        constraints = [models.UniqueConstraint(fields=["enrolment", "due_on", "days", "to"], name="reminded_once")]
        indexes = [models.Index(fields=["employee", "told_at"], name="reminder_waiting")]

    def __str__(self):
        return f"{self.enrolment_id} {self.days:+d} {self.to}"


class Nudge(models.Model):
    """One tap: somebody reminded a person by hand. Limited by courses.domain.nudging, so that nobody is pestered."""

    employee = models.ForeignKey(Employee, on_delete=models.CASCADE, related_name="nudges")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    on = models.DateField()

    class Meta:
        ordering = ["-at"]
        constraints = [
            # Whoever taps twice, or two managers at once: a person is nudged once a day.
            models.UniqueConstraint(fields=["employee", "on"], name="nudged_once_a_day"),
        ]

    def __str__(self):
        return f"{self.employee_id} {self.on}"
