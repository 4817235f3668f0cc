"""Who may act for which unit, and the one-time links that bring people in."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from people.models.employees import Employee
from people.models.units import OrgUnit


class RoleGrant(models.Model):
    """A role of a user for a unit and everything below it, until a day.

    A manager needs no grant: managing is being named as somebody's manager. Author, moderator, auditor and administrator are
    granted for the whole house: the unit stays empty. Grant and revoke through people.domain.roles.
    """

    class Role(models.TextChoices):
        HR = "hr", _("HR")
        PAY_MAKER = "pay_maker", _("pay preparer")
        PAY_CHECKER = "pay_checker", _("pay checker")
        AUTHOR = "author", _("content author")
        MODERATOR = "moderator", _("content moderator")  # an author who also publishes what others submit
        AUDITOR = "auditor", _("auditor")
        ADMIN = "admin", _("administrator")

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="role_grants")
    role = models.CharField(_("role"), max_length=12, choices=Role.choices)
    unit = models.ForeignKey(OrgUnit, null=True, blank=True, on_delete=models.PROTECT, related_name="role_grants")
    starts_on = models.DateField(_("from"))
    until = models.DateField(_("until"), null=True, blank=True)  # the last day of the role
    granted_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(role__in=["hr", "pay_maker", "pay_checker"], unit__isnull=False)
                | Q(role__in=["author", "moderator", "auditor", "admin"], unit=None),
                name="role_has_its_scope",
            ),
            models.CheckConstraint(condition=Q(until=None) | Q(until__gte=F("starts_on")), name="role_order"),
        ]

    def __str__(self):
        return f"{self.user_id} {self.role} {self.unit_id or ''}"


class Invitation(models.Model):
    """A one-time link that lets an employee set a password: at most 72 hours, stored as a hash (TRUST SC-34, MC-14)."""

    employee = models.ForeignKey(Employee, on_delete=models.CASCADE, related_name="invitations")
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self):
        return f"{self.employee_id} {self.expires_at:%Y-%m-%d}"
