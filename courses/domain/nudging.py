"""Reminding by hand: one tap nudges people who owe something, with limits so that nobody is pestered."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, Exists, Max, OuterRef, QuerySet
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from core.events import record_event
from core.messaging import Quiet, message_kind, queue
from core.models import Message
from core.periods import Month
from courses.domain.ladders import general_ladder, quiet_hours, runs_taking_work
from courses.domain.reminder_messages import away_on, messages_to, required_steps, said_anew
from courses.domain.reminder_words import Open, Words, nudge_words
from courses.models import CourseRun, Enrolment, Nudge
from people.models import Employee

_State = Enrolment.State
_UNFINISHED = (_State.ASSIGNED, _State.IN_PROGRESS)

NUDGES_A_WEEK = 3
MOST_NUDGED = 500  # people nudged by one tap; larger groups are what the ladder is for


class TooManyAtOnce(Exception):
    """More people than one tap may nudge; the number is ``people``."""

    def __init__(self, people: int):
        super().__init__(str(people))
        self.people = people


class Skip:
    """Why somebody was not nudged."""

    GONE, DONE, AWAY, NO_SIGN_IN, TODAY, WEEK = ("gone", "done", "away", "no-sign-in", "today", "week")


@dataclass(frozen=True)
class NudgeReport:
    """Who was nudged, and who was not and why: (employee, a word of Skip)."""

    nudged: list[Employee]
    skipped: list[tuple[Employee, str]]


def nudge(*, people: QuerySet[Employee], by, at: dt.datetime) -> NudgeReport:
    """This function will remind people by hand: a line in their page, and a mail that waits for the quiet hours' end.

    ``people`` comes through the door (PM-M03). A person is nudged once a day, whoever taps (the database holds it), and
    at most three times in seven days; not while on leave, not without a sign-in, and never when nothing is open. One
    event on the chain ``reminders``. Raises TooManyAtOnce.
    """
    on = timezone.localdate(at)
    number = people.count()
    if number > MOST_NUDGED:
        raise TooManyAtOnce(number)
    chosen = list(people.select_related("user", "unit").order_by("employee_no"))
    duties = _open_duties([one.pk for one in chosen], at)
    reasons = _reasons_to_skip(chosen, duties, on)
    wanted = [one for one in chosen if one.pk not in reasons]
    with transaction.atomic():
        Nudge.objects.bulk_create(
            (Nudge(employee=one, by=by, at=at, on=on) for one in wanted), ignore_conflicts=True, batch_size=500
        )
        mine = set(Nudge.objects.filter(employee__in=wanted, on=on, by=by, at=at).values_list("employee_id", flat=True))
        reasons |= {one.pk: Skip.TODAY for one in wanted if one.pk not in mine}  # somebody tapped a moment before
        nudged = [one for one in wanted if one.pk in mine]
        quiet = quiet_hours(general_ladder())
        messages: list[Message] = []
        for one in nudged:
            messages += _nudge_messages(one, duties[one.pk], by=by, on=on, at=at, quiet=quiet)
        queue(messages=messages, at=at)
        if nudged:
            record_event(
                chain="reminders",
                action="nudged",
                subject=by,
                actor=by,
                at=at,
                after={"people": [one.employee_no for one in nudged]},
            )
    return NudgeReport(nudged=nudged, skipped=[(one, reasons[one.pk]) for one in chosen if one.pk in reasons])


def _open_duties(people: list[int], at: dt.datetime) -> dict[int, list[Open]]:
    """{employee id: what is owed and can be done now, the most urgent first}. Two queries."""
    enrolments = list(
        Enrolment.objects.filter(
            employee__in=people, voluntary=False, run__in=runs_taking_work(at).order_by().values("pk")
        )
        .unfinished()
        .select_related("run__course", "unit")
        .order_by("due_at", "pk")
    )
    steps = required_steps({one.run_id for one in enrolments})
    found: dict[int, list[Open]] = defaultdict(list)
    for one in enrolments:
        found[one.employee_id].append(Open(enrolment=one, steps_total=steps.get(one.run_id, 0)))
    return found


def _reasons_to_skip(people: list[Employee], duties: dict[int, list[Open]], on: dt.date) -> dict[int, str]:
    ids = [one.pk for one in people]
    away = away_on(ids, on)
    rows = Nudge.objects.filter(employee__in=ids, on__gt=on - dt.timedelta(days=7), on__lte=on)
    nudges = {
        employee: (number, last)
        for employee, number, last in rows.order_by()
        .values_list("employee_id")
        .annotate(number=Count("pk"), last=Max("on"))
    }
    reasons = {}
    for one in people:
        number, last = nudges.get(one.pk, (0, None))
        gone = one.state == Employee.State.SUSPENDED or (one.left_on is not None and one.left_on < on)
        for applies, reason in (
            (gone, Skip.GONE),
            (not duties.get(one.pk), Skip.DONE),
            (one.pk in away, Skip.AWAY),
            (one.user is None or not one.user.is_active, Skip.NO_SIGN_IN),
            (last == on, Skip.TODAY),
            (number >= NUDGES_A_WEEK, Skip.WEEK),
        ):
            if applies:
                reasons[one.pk] = reason
                break
    return reasons


def nudge_key(on: dt.date) -> str:
    return f"nudge-{on.isoformat()}"


def _nudge_words(receiver: Employee, own: list[Open], *, by, on: dt.date) -> dict[str, Words]:
    words = {}
    for language in ("zh-hans", "en"):
        with translation.override(language):
            name = by.employee.label if getattr(by, "employee", None) else str(by)
            words[language] = nudge_words(receiver=receiver, by=name, own=own, on=on)
    return words


def _nudge_messages(
    receiver: Employee, own: list[Open], *, by, on: dt.date, at: dt.datetime, quiet: Quiet | None
) -> list[Message]:
    return messages_to(
        key=nudge_key(on),
        kind="nudge",
        receiver=receiver,
        words=_nudge_words(receiver, own, by=by, on=on),
        url=reverse("portal:my_month"),
        by_mail=True,
        quiet=quiet,
        at=at,
    )


# --- what it says when it goes out at last ----------------------------------------------------------------------------
def _nudges_now(messages: list[Message], at: dt.datetime) -> dict[int, Message]:
    """The nudges with what is open now; without those to people who owe nothing any more."""
    on, users = timezone.localdate(at), {message.user_id for message in messages}
    nudges = {
        (nudge.employee.user_id, nudge_key(nudge.on)): nudge
        for nudge in Nudge.objects.filter(
            employee__user__in=users, on__in={timezone.localdate(message.created_at) for message in messages}
        ).select_related("employee", "by__employee")
    }
    duties = _open_duties([nudge.employee_id for nudge in nudges.values()], at)
    anew = {}
    for message in messages:
        nudge = nudges.get((message.user_id, message.key))
        if nudge is not None and (own := duties.get(nudge.employee_id)):
            words = _nudge_words(nudge.employee, own, by=nudge.by, on=on)
            anew[message.pk] = said_anew(message, words, reverse("portal:my_month"))
    return anew


message_kind("nudge", title=_("Nudge"), renew=_nudges_now)


# --- whom to nudge ----------------------------------------------------------------------------------------------------
def people_with_open_duties(*, people: QuerySet[Employee], enrolments: QuerySet[Enrolment]) -> QuerySet[Employee]:
    """This function will narrow some people to those who have an unfinished, owed duty among the enrolments."""
    theirs = enrolments.filter(state__in=_UNFINISHED, voluntary=False, employee=OuterRef("pk")).order_by()
    return people.filter(Exists(theirs))


def open_in_month(month: Month) -> QuerySet[Enrolment]:
    """This function will return the unfinished duties of a month whose run is open."""
    return Enrolment.objects.filter(run__month=month, run__state=CourseRun.State.OPEN).unfinished()


def nudged_today(*, employees: Iterable[int], on: dt.date) -> set[int]:
    """This function will return which of these people were nudged on a day. One query."""
    return set(Nudge.objects.filter(employee__in=list(employees), on=on).values_list("employee_id", flat=True))
