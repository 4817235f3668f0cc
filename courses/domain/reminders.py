"""The ladder that chases open duties to 100 %: the work of a day, and what it would do.

It is done in two movements, and may be done as often as anybody likes:

1. ``find_due`` (``reminders_due``) looks for each open duty at the newest step of its ladder (``ladders``) that its due
   day has reached, and writes a row that says who is to be told. It is one INSERT .. SELECT for each step and due day,
   whatever the size of the company.
2. ``tell`` (``digests``) bundles the rows of each person into one digest and puts it in the queue (core.messaging).

Group chats are told figures (``group_chats``); somebody who does not wait for the ladder nudges by hand (``nudging``).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from django.db.models import Count

from courses.domain.digests import Report, tell
from courses.domain.group_chats import ChatDue, due_chats, tell_chats
from courses.domain.reminders_due import due_steps, find_due
from courses.models import LadderStep

_To = LadderStep.To

SENT_KIND = "courses.send_reminders"


def send_reminders(*, on: dt.date, at: dt.datetime) -> Report:
    """This function will do the work of a day: find who is to be told, and queue one digest a person and the chats'.

    A second call on the same day queues nothing for people who had their digest: what is new waits for tomorrow.
    Messages wait for the end of the quiet hours of the general ladder.
    """
    report = Report(rows=find_due(on=on, at=at))
    tell(on=on, at=at, report=report)
    report.chats = tell_chats(on=on, at=at)
    return report


@dataclass(frozen=True)
class PreviewLine:
    """What a step would do: how many people would be told of how many duties that are due on a day."""

    step: LadderStep
    due_on: dt.date
    people: int
    duties: int
    without_sign_in: bool = False  # told to the manager instead


@dataclass
class Preview:
    """Who would be told what: the lines, and how many people in all (each gets one digest)."""

    lines: list[PreviewLine] = field(default_factory=list)
    people: int = 0
    chats: list[ChatDue] = field(default_factory=list)


def preview(*, on: dt.date, at: dt.datetime) -> Preview:
    """This function will count what find_due and tell would do, and change nothing."""
    found = Preview(chats=due_chats(on=on, at=at))
    receivers: set[int] = set()
    for due in due_steps(on=on, at=at):
        by_person = due.duties.order_by().values_list(due.receiver_id).annotate(number=Count("pk"))
        rows = list(by_person)
        if not rows:
            continue
        receivers |= {row[0] for row in rows}
        found.lines.append(
            PreviewLine(
                step=due.step,
                due_on=due.due_on,
                people=len(rows),
                duties=sum(row[-1] for row in rows),
                without_sign_in=due.step.to == _To.EMPLOYEE and due.receiver != "employee",
            )
        )
    found.people = len(receivers)
    return found
