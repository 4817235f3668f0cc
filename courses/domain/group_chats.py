"""Figures for group chats: how far the courses of a unit are, told by a robot and without a name."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core import messaging
from core.events import record_event
from core.messaging import Quiet, message_kind, queue
from core.models import Message, Robot
from courses.domain.ladders import general_ladder, ladders_in_force, newest_step, quiet_hours
from courses.domain.queries import Figures
from courses.domain.reminder_words import chat_words
from courses.models import Course, CourseRun, GroupChat, LadderStep, Tally
from people.models import OrgUnit

_To = LadderStep.To

CHAT_CATCH_UP = 3  # days after which a missed figure is no news any more


@dataclass(frozen=True)
class ChatDue:
    """A group chat to which figures are due: the courses that are due on a day, with the figures of its unit."""

    chat: GroupChat
    due_on: dt.date
    days: int
    courses: list[tuple]

    @property
    def key(self) -> str:
        return f"figures-{self.chat.unit_id}-{self.due_on.isoformat()}-{self.days}"


def _asked_figures(key: str) -> tuple[int, dt.date, int]:
    """The unit, the due day and the step of the key of a ChatDue."""
    _kind, unit_id, rest = key.split("-", 2)
    return int(unit_id), dt.date.fromisoformat(rest[:10]), int(rest[11:])


def due_chats(*, on: dt.date, at: dt.datetime) -> list[ChatDue]:
    """This function will return which group chats are to be told figures on a day. Six queries.

    Only of the newest step, and not when it was reached more than three days ago: old figures are no news.
    """
    chats = list(GroupChat.objects.filter(robot__active=True).select_related("unit", "robot").order_by("pk"))
    if not chats:
        return []
    runs: dict[tuple[dt.date, int], list[CourseRun]] = defaultdict(list)
    for steps, governed in ladders_in_force(at):
        for run in governed:
            due_on = timezone.localdate(run.due_at)
            days = (on - due_on).days
            step = newest_step(steps, _To.GROUP_CHAT, days)
            if step is not None and days - step.days <= CHAT_CATCH_UP:
                runs[due_on, step.days].append(run)
    figures = _figures_of((run for some in runs.values() for run in some), [chat.unit_id for chat in chats])
    told = set(
        Message.objects.filter(kind="figures", robot__in={chat.robot_id for chat in chats}).values_list(
            "key", "robot_id"
        )
    )
    found = []
    for (due_on, days), some in sorted(runs.items(), key=lambda item: item[0]):
        for chat in chats:
            courses = _counted(some, chat.unit_id, figures)
            due = ChatDue(chat=chat, due_on=due_on, days=days, courses=courses)
            if courses and (due.key, chat.robot_id) not in told:
                found.append(due)
    return found


def tell_chats(*, on: dt.date, at: dt.datetime) -> int:
    """This function will queue the figures that are due to group chats, each once, and return how many."""
    quiet = quiet_hours(general_ladder())
    messages = [_chat_message(due, on=on, at=at, quiet=quiet) for due in due_chats(on=on, at=at)]
    with transaction.atomic():
        queue(messages=messages, at=at)
    return len(messages)


def _figures_of(runs: Iterable[CourseRun], units: Iterable[int]) -> dict[tuple[int, int], Figures]:
    """The figures of runs in units, by both. One query."""
    tallies = Tally.objects.filter(run__in={run.pk for run in runs}, unit__in=set(units))
    return {
        (row.run_id, row.unit_id): Figures(assigned=row.assigned, completed=row.completed, on_time=row.on_time)
        for row in tallies
    }


def _counted(
    runs: Iterable[CourseRun], unit_id: int, figures: dict[tuple[int, int], Figures]
) -> list[tuple[Course, Figures]]:
    """The courses that somebody of a unit owes, with their figures."""
    found = [(run.course, figures.get((run.pk, unit_id), Figures())) for run in runs]
    return [(course, one) for course, one in found if one.assigned]


def _chat_message(due: ChatDue, *, on: dt.date, at: dt.datetime | None = None, quiet: Quiet | None = None) -> Message:
    """Figures for a group chat as they are said on a day; with ``at``, to go out then or after the quiet hours."""
    with translation.override("zh-hans"):  # a group has no language of its own; the house speaks Chinese
        words = chat_words(unit=due.chat.unit, courses=due.courses, due_on=due.due_on, on=on)
    return messaging.chat(
        key=due.key,
        kind="figures",
        robot=due.chat.robot,
        language="zh-hans",
        subject=words.subject,
        text=words.text,
        url=reverse("portal:my_month"),
        reference=unit_reference(due.chat.unit_id),
        not_before=quiet.until(at) if quiet and at else at,
        quiet=quiet,
    )


def unit_reference(unit_id: int) -> str:
    return f"unit:{unit_id}"


# --- what they say when they go out at last ---------------------------------------------------------------------------
def _figures_now(messages: list[Message], at: dt.datetime) -> dict[int, Message]:
    """The figures as they stand now; without those of chats that tell them no more, or whose step is gone. Six queries."""
    asked = {message.pk: _asked_figures(message.key) for message in messages}
    chats = {
        (chat.robot_id, chat.unit_id): chat
        for chat in GroupChat.objects.filter(robot__in={one.robot_id for one in messages}).select_related(
            "unit", "robot"
        )
    }
    runs: dict[tuple[dt.date, int], list[CourseRun]] = defaultdict(list)
    for steps, governed in ladders_in_force(at):
        told = {step.days for step in steps if step.to == _To.GROUP_CHAT}
        for run in governed:
            for days in told:
                runs[timezone.localdate(run.due_at), days].append(run)
    wanted = {(due_on, days) for _unit_id, due_on, days in asked.values()}
    figures = _figures_of([run for key in wanted for run in runs.get(key, ())], {one[0] for one in asked.values()})
    anew = {}
    for message in messages:
        unit_id, due_on, days = asked[message.pk]
        chat = chats.get((message.robot_id, unit_id))  # type: ignore[arg-type]
        courses = _counted(runs.get((due_on, days), []), unit_id, figures)
        if chat is not None and courses:
            anew[message.pk] = _chat_message(
                ChatDue(chat=chat, due_on=due_on, days=days, courses=courses), on=timezone.localdate(at)
            )
    return anew


message_kind("figures", title=_("Figures for the group chat"), renew=_figures_now)


# --- robots -----------------------------------------------------------------------------------------------------------
def add_group_chat(*, robot: Robot, unit: OrgUnit, by, at: dt.datetime) -> GroupChat:
    """This function will let a robot tell the figures of a unit. One event on the chain ``robots``.

    The database refuses the same pair twice (IntegrityError).
    """
    with transaction.atomic():
        chat = GroupChat.objects.create(robot=robot, unit=unit)
        after = {"unit": unit.code}
        record_event(chain="robots", action="unit added", subject=robot, actor=by, at=at, after=after)
    return chat


def remove_group_chat(*, chat: GroupChat, by, at: dt.datetime) -> None:
    """This function will end that a robot tells the figures of a unit. One event on the chain ``robots``."""
    with transaction.atomic():
        robot, before = chat.robot, {"unit": chat.unit.code}
        if GroupChat.objects.filter(pk=chat.pk).delete()[0]:
            record_event(chain="robots", action="unit removed", subject=robot, actor=by, at=at, before=before)


def try_robot(*, robot: Robot, by, at: dt.datetime) -> Message:
    """This function will post a test message to a group chat at once and return it with its outcome.

    Call it outside a transaction: the message is on the log before it is sent.
    """
    with translation.override("zh-hans"):
        words = {"name": by.employee.label if getattr(by, "employee", None) else str(by)}
        message = messaging.chat(
            key=f"test-{at.timestamp():.6f}",
            kind="test",
            robot=robot,
            language="zh-hans",
            subject=gettext("Test message"),
            text=gettext("%(name)s tries whether messages arrive here. They do.") % words,
        )
    message.created_at, message.not_before = at, at + messaging.LEASE  # no worker is to take it meanwhile
    message.tries = messaging.MAX_TRIES - 1  # tried once: who asked looks at what came back
    message.save()
    return messaging.deliver_now(message=message, clock=lambda: at)


def last_messages_of_robots() -> dict[int, Message]:
    """This function will return the newest message to each robot. One query."""
    newest = Message.objects.filter(robot=OuterRef("robot")).order_by("-pk").values("pk")[:1]
    rows = Message.objects.filter(robot__isnull=False, pk=Subquery(newest)).select_related("robot")
    return {row.robot_id: row for row in rows if row.robot_id}
