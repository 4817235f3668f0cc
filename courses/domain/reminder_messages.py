"""The messages that remind somebody of duties: what their words rest on, the line in the page, the mail, the log."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.db.models import Count, Q, QuerySet

from core import messaging
from core.messaging import Quiet
from core.models import Message
from courses.domain.group_chats import unit_reference
from courses.domain.reminder_words import Words
from courses.models import GroupChat, RunStep
from people.domain.access import Actor, visible_employees, visible_units
from people.models import Employee, Leave, User


def required_steps(runs: QuerySet | Iterable[int]) -> dict[int, int]:
    """This function will return how many steps there are to do: {run id: number}."""
    steps = RunStep.objects.filter(run__in=runs, required=True).order_by()
    return dict(steps.values_list("run").annotate(number=Count("pk")))


def away_on(people: Iterable[int], on: dt.date) -> dict[int, dt.date]:
    """This function will return who of some people is on leave on a day: {employee id: the last day of the leave}."""
    rows = Leave.objects.filter(employee__in=people, starts_on__lte=on, ends_on__gte=on)
    return dict(rows.order_by("ends_on").values_list("employee_id", "ends_on"))


def messages_to(
    *,
    key: str,
    kind: str,
    receiver: Employee,
    words: dict[str, Words],
    url: str,
    by_mail: bool,
    quiet: Quiet | None,
    at: dt.datetime,
    reference: str = "",
) -> list[Message]:
    """This function will return the messages to one person: a line in the page, a mail where there is an address.

    ``words`` are those of each language, ``zh-hans`` and ``en``; the mail goes in the receiver's.
    """
    language = receiver.language if receiver.language in words else "zh-hans"
    user, subject = receiver.user, words[language].subject
    if user is None:
        return []
    line = {one: words[one].line for one in words}
    made = [
        messaging.page(
            key=key,
            kind=kind,
            user_id=user.pk,
            language=language,
            subject=subject,
            text_zh=line["zh-hans"],
            text_en=line["en"],
            url=url,
            reference=reference,
        )
    ]
    address = address_of(user)
    if by_mail and address:
        made.append(
            messaging.mail(
                key=key,
                kind=kind,
                user_id=user.pk,
                address=address,
                language=language,
                subject=subject,
                text=words[language].text,
                url=url,
                reference=reference,
                not_before=quiet.until(at) if quiet else at,
                quiet=quiet,
            )
        )
    return made


def address_of(user: User) -> str:
    """This function will return where mails to a user go: the address on the record, else that of the sign-in."""
    employee = getattr(user, "employee", None)
    return (employee.email if employee else "") or user.email


def said_anew(message: Message, words: dict[str, Words], url: str) -> Message:
    """This function will return a message to the same receiver by the same channel, with other words."""
    own = words[message.language]
    same = {"key": message.key, "kind": message.kind, "user_id": message.user_id, "language": message.language}
    if message.channel == Message.Channel.PAGE:
        lines = {"text_zh": words["zh-hans"].line, "text_en": words["en"].line}
        return messaging.page(**same, subject=own.subject, **lines, url=url)  # type: ignore[arg-type]
    return messaging.mail(**same, address=message.address, subject=own.subject, text=own.text, url=url)  # type: ignore[arg-type]


# --- the log ----------------------------------------------------------------------------------------------------------
def visible_messages(actor: Actor, row: str) -> QuerySet[Message]:
    """This function will return the messages the actor may see under a row: those to the people of the row.

    With them those to group chats of the units of the role. Whoever sees everybody sees every message, also to sign-ins
    that are nobody's record.
    """
    if "A" in actor.letters(row):
        return Message.objects.all()
    people = visible_employees(actor, row).order_by()
    chats = GroupChat.objects.filter(unit__in=visible_units(actor, row).order_by().values("pk"))
    references = [unit_reference(unit_id) for unit_id in chats.values_list("unit_id", flat=True).distinct()]
    return Message.objects.filter(
        Q(user__employee__in=people.values("pk")) | Q(channel=Message.Channel.ROBOT, reference__in=references)
    )
