"""Finding certificates: through the door of people, and by code for everybody."""

from __future__ import annotations

import datetime as dt
import re

from django.db.models import QuerySet
from django.utils import timezone

from certificates.models import Certificate
from core.periods import Month
from people.domain.access import Actor, visible_employees
from people.models import Employee, OrgUnit


def visible_certificates(actor: Actor, row: str = "PM-K01") -> QuerySet[Certificate]:
    """This function will return the certificates of the people the actor may see (read) or act on, newest first."""
    return Certificate.objects.filter(employee__in=visible_employees(actor, row).order_by()).select_related(
        "employee__unit", "design_version"
    )


def certificates_of(employee: Employee) -> QuerySet[Certificate]:
    """This function will return one person's certificates, newest first. The caller has the person through the door."""
    return Certificate.objects.filter(employee=employee)


def printable(certificates: QuerySet[Certificate]) -> QuerySet[Certificate]:
    """This function will keep those that may be printed: a revoked certificate is not."""
    return certificates.filter(revoked_at=None)


def issued_in(certificates: QuerySet[Certificate], *, month: Month, unit: OrgUnit | None) -> QuerySet[Certificate]:
    """This function will keep those issued in a month (local time) to people of a unit or below it; None: of any unit."""
    zone = timezone.get_default_timezone()
    begins = dt.datetime.combine(month.first_day, dt.time.min, zone)
    ends = dt.datetime.combine(month.next.first_day, dt.time.min, zone)
    certificates = certificates.filter(issued_at__gte=begins, issued_at__lt=ends)
    return certificates.filter(employee__unit__path__startswith=unit.path) if unit else certificates


def in_print_order(certificates: QuerySet[Certificate]) -> QuerySet[Certificate]:
    """This function will put certificates in the order in which they are handed out: by unit, person and number."""
    return certificates.order_by("employee__unit__path", "employee__employee_no", "number")


def certificate_by_code(code: str) -> Certificate | None:
    """This function will return the certificate with a check code, for the public page; what is no code finds nothing."""
    if not re.fullmatch(r"[0-9a-f]{32}", code):
        return None
    return Certificate.objects.filter(code=code).first()


def state_of(certificate: Certificate, *, on: dt.date) -> str:
    """This function will say ``valid``, ``expired`` or ``revoked``; the last day of validity is still valid."""
    if certificate.revoked_at:
        return "revoked"
    return "expired" if certificate.expires_on and on > certificate.expires_on else "valid"


def masked(name: str) -> str:
    """This function will hide most of a name: 王晓琳 -> 王*琳, 王伟 -> 王*, Wang Xiaolin -> W*** X******."""
    if " " in name or name.isascii():
        return " ".join(word[:1] + "*" * (len(word) - 1) for word in name.split())
    if len(name) <= 2:
        return name[:1] + "*" * (len(name) - 1)
    return name[:1] + "*" * (len(name) - 2) + name[-1:]
