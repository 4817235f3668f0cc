"""Printing many certificates: asked for in one place, done as a job."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.utils.translation import gettext as _

from certificates.domain.queries import in_print_order, printable, visible_certificates
from core.jobs import start_job
from core.models import Job
from people.domain.access import Actor

MOST = 20_000  # certificates in one print: about as much as a print shop takes in one file
FORMATS = ("pdf", "zip")


class NothingToPrint(Exception):
    """None of the chosen certificates can be printed."""


class TooManyToPrint(Exception):
    """More than MOST were chosen."""


class NotYours(Exception):
    """The choice holds a certificate the actor may not see: the whole print is refused."""


def print_certificates(*, ids: Iterable[int], form: str, by: Actor, at: dt.datetime) -> Job:
    """This function will start the job that prints certificates as one PDF or as a zip of single ones.

    All of them must be visible to the actor, or none is printed. Revoked ones are left out. The order is by unit, person
    and number. Raises NothingToPrint, TooManyToPrint, NotYours, ValueError (no such form).
    """
    if form not in FORMATS:
        raise ValueError(form)
    ids = set(ids)
    if len(ids) > MOST:
        raise TooManyToPrint(len(ids))
    visible = visible_certificates(by).filter(pk__in=ids)
    if visible.count() != len(ids):
        raise NotYours
    ordered = list(in_print_order(printable(visible)).values_list("pk", flat=True))
    if not ordered:
        raise NothingToPrint
    return start_job(kind="certificates.print", arguments={"ids": ordered, "form": form}, by=by.user, at=at)


def words_of(refusal: Exception) -> str:
    """The refusal in words for the person who asked."""
    if isinstance(refusal, TooManyToPrint):
        return _("That is more than %(most)s certificates. Print by unit or by month instead.") % {"most": f"{MOST:,}"}
    if isinstance(refusal, NotYours):
        return _("One of the chosen certificates is not among those you may print. Nothing was printed.")
    return _("There is no certificate to print in this choice.")
