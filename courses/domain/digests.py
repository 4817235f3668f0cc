"""The digest: what a person is to be told on a day, in one message, that says what is true when it goes out.

It bundles the rows of ``reminders_due``, and is put in the queue (core.messaging).
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from core.messaging import Quiet, message_kind, queue
from core.models import Message
from courses.domain.ladders import general_ladder, quiet_hours, runs_taking_work
from courses.domain.reminder_messages import away_on, messages_to, required_steps, said_anew
from courses.domain.reminder_words import Open, Words, digest_words
from courses.domain.reminders_due import at_work
from courses.models import Enrolment, LadderStep, ReminderDue

_State = Enrolment.State
_To = LadderStep.To
_UNFINISHED = (_State.ASSIGNED, _State.IN_PROGRESS)

BATCH = 500  # digests written in one transaction,
MOST_ROWS = 20_000  # or so many duties told in them


@dataclass
class Report:
    """What a round of reminders did: steps reached, people told, mails among it, group chats told."""

    rows: int = 0
    people: int = 0
    mails: int = 0
    chats: int = 0


def digest_key(on: dt.date) -> str:
    return f"digest-{on.isoformat()}"


def _untold(on: dt.date, at: dt.datetime) -> QuerySet[ReminderDue]:
    """Rows that still speak of an open duty, of people who are here today and had no digest yet."""
    had_one = Message.objects.filter(key=digest_key(on), user=OuterRef("employee__user"))
    return (
        _owed(at).filter(at_work("employee", on), told_at=None, employee__user__is_active=True).exclude(Exists(had_one))
    )


def _owed(at: dt.datetime) -> QuerySet[ReminderDue]:
    """Rows that still speak of an open duty."""
    return ReminderDue.objects.filter(
        enrolment__state__in=_UNFINISHED,
        enrolment__voluntary=False,
        enrolment__run__in=runs_taking_work(at).order_by().values("pk"),
    )


def _in_order(rows: QuerySet[ReminderDue]) -> list[ReminderDue]:
    """The rows that are true at this moment with all that a digest says of them, the most urgent of a person first."""
    found = rows.select_related(
        "employee__user",
        "step",
        "enrolment__run__course",
        "enrolment__unit",
        "enrolment__employee__user",
        "enrolment__employee__manager",
    ).order_by("employee", "enrolment__due_at", "enrolment__employee__employee_no", "enrolment", "-days")
    return [row for row in found if _is_still_so(row)]


def _is_still_so(row: ReminderDue) -> bool:
    """Is the row true at this moment? The due day may have moved, and a name is told to who is the manager now only."""
    enrolment, person = row.enrolment, row.enrolment.employee
    if timezone.localdate(enrolment.due_at) != row.due_on:
        return False
    if row.employee_id == person.pk:
        return row.to == _To.EMPLOYEE
    if row.to == _To.UPPER:
        return person.manager is not None and person.manager.manager_id == row.employee_id
    return person.manager_id == row.employee_id


def tell(*, on: dt.date, at: dt.datetime, report: Report | None = None) -> Report:
    """This function will queue one digest for each person who is to be told something, some hundred at a time.

    The rows are marked and the messages queued in one transaction. Whoever else does the same at the same moment finds
    the rows marked and leaves them.
    """
    report = report or Report()
    quiet = quiet_hours(general_ladder())
    steps = required_steps(runs_taking_work(at).order_by().values("pk"))
    last = 0
    while True:
        waiting = _untold(on, at).filter(employee__gt=last).order_by("employee").values_list("employee_id")
        people, rows = [], 0
        for employee_id, number in waiting.annotate(number=Count("pk"))[:BATCH]:
            people.append(employee_id)
            rows += number
            if rows > MOST_ROWS:  # of somebody with very many people below
                break
        if not people:
            return report
        last = people[-1]
        _tell_some(people, on=on, at=at, quiet=quiet, steps=steps, report=report)


def _tell_some(
    people: list[int], *, on: dt.date, at: dt.datetime, quiet: Quiet | None, steps: dict[int, int], report: Report
) -> None:
    rows = _in_order(_untold(on, at).filter(employee__in=people))
    away = away_on({row.enrolment.employee_id for row in rows}, on)
    by_person: dict[int, list[ReminderDue]] = defaultdict(list)
    for row in rows:
        by_person[row.employee_id].append(row)
    messages: list[Message] = []
    for theirs in by_person.values():
        messages += _digest(theirs, on=on, at=at, quiet=quiet, steps=steps, away=away)
    with transaction.atomic():
        marked = ReminderDue.objects.filter(pk__in=[row.pk for row in rows], told_at=None).update(
            told_at=at, digest=digest_key(on)
        )
        if marked != len(rows):  # somebody else tells these people right now
            transaction.set_rollback(True)
            return
        queue(messages=messages, at=at)
    report.people += len(by_person)
    report.mails += sum(1 for message in messages if message.channel == Message.Channel.MAIL)


def _digest(
    rows: list[ReminderDue],
    *,
    on: dt.date,
    at: dt.datetime,
    quiet: Quiet | None,
    steps: dict[int, int],
    away: dict[int, dt.date],
) -> list[Message]:
    """The messages of one person: a line for the page in both languages, and a mail where there is an address."""
    words, url = _digest_words(rows, on=on, steps=steps, away=away)
    return messages_to(
        key=digest_key(on),
        kind="reminder",
        receiver=rows[0].employee,
        words=words,
        url=url,
        by_mail=any(row.step is None or row.step.by_mail for row in rows),
        quiet=quiet,
        at=at,
    )


def _digest_words(
    rows: list[ReminderDue], *, on: dt.date, steps: dict[int, int], away: dict[int, dt.date]
) -> tuple[dict[str, Words], str]:
    """What one person is told in each language, and the page it leads to."""
    receiver = rows[0].employee
    duties = {row.enrolment_id: row for row in reversed(rows)}  # of several steps of one duty the newest
    own: list[Open] = []
    team: list[Open] = []
    for row in sorted(duties.values(), key=lambda row: rows.index(row)):
        person = row.enrolment.employee
        duty = Open(
            enrolment=row.enrolment,
            steps_total=steps.get(row.enrolment.run_id, 0),
            away_until=away.get(person.pk),
            can_sign_in=person.user is not None and person.user.is_active,
        )
        (own if person.pk == receiver.pk else team).append(duty)
    words = {}
    for language in ("zh-hans", "en"):
        with translation.override(language):
            words[language] = digest_words(receiver=receiver, own=own, team=team, on=on)
    return words, reverse("portal:my_month" if own else "portal:my_team")


# --- what it says when it goes out at last ----------------------------------------------------------------------------
def _digests_now(messages: list[Message], at: dt.datetime) -> dict[int, Message]:
    """The digests with what is still owed of them, as seen from today; without those of which nothing is left."""
    on, anew = timezone.localdate(at), {}
    for some in _parts(messages, at):
        told = Q(digest__in={message.key for message in some}, employee__user__in={one.user_id for one in some})
        rows: dict[tuple[int, str], list[ReminderDue]] = defaultdict(list)
        for row in _in_order(_owed(at).filter(told)):
            rows[row.employee.user_id, row.digest].append(row)  # type: ignore[index]
        enrolments = [row.enrolment for theirs in rows.values() for row in theirs]
        steps = required_steps({one.run_id for one in enrolments})
        away = away_on({one.employee_id for one in enrolments}, on)
        for message in some:
            if theirs := rows.get((message.user_id, message.key)):  # type: ignore[arg-type]
                anew[message.pk] = said_anew(message, *_digest_words(theirs, on=on, steps=steps, away=away))
    return anew


def _parts(messages: list[Message], at: dt.datetime) -> Iterator[list[Message]]:
    """The messages in parts that speak of some thousand duties each: those above have very many people below."""
    told = Q(digest__in={one.key for one in messages}, employee__user__in={one.user_id for one in messages})
    rows = _owed(at).filter(told).order_by().values_list("employee__user").annotate(number=Count("pk"))
    numbers, part, sum_of_part = dict(rows), [], 0
    for message in messages:
        part.append(message)
        sum_of_part += numbers.get(message.user_id, 0)
        if sum_of_part > MOST_ROWS:
            yield part
            part, sum_of_part = [], 0
    if part:
        yield part


message_kind("reminder", title=_("Reminder"), renew=_digests_now)
