"""Telling people that there is a rule to read: by the clock a few times, by hand with a limit.

By the clock: when a version is published, three days before it is in force, on that day, and a week later. Each person
hears only of the newest of these steps that has come, and once of each; who joins later hears of it on the next night.
It is a line in the page. By hand: a line and a mail, once a day and at most three times in seven days.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core.batches import batches
from core.events import record_event
from core.messaging import absolute_url, message_kind, queue
from core.models import Message
from courses.domain.ladders import general_ladder, quiet_hours
from courses.domain.nudging import Skip, TooManyAtOnce
from courses.domain.reminder_messages import messages_to
from courses.domain.reminder_words import Words
from kpi.domain import rules
from kpi.models import RuleVersion
from people.models import Employee, Leave

KIND = "rule"
MOST_AT_ONCE = 500  # people reminded by one tap; larger groups are what the clock is for
A_WEEK = 3  # times in seven days
_LANGUAGES = ("zh-hans", "en")
_BATCH = 500

# Steps of the clock after the publication: a word for the key and the days from the day in force.
_STEPS = (("soon", -3), ("in-force", 0), ("week", 7))


@dataclass(frozen=True)
class Reminded:
    """Who was reminded, and who was not and why: (employee, a word of Skip)."""

    reminded: list[Employee]
    skipped: list[tuple[Employee, str]]


class NothingToRead(Exception):
    """The version is not published, or a later one is in force: nobody has to read it."""


# --- by hand ----------------------------------------------------------------------------------------------------------
def remind(*, version: RuleVersion, people: QuerySet[Employee], by, at: dt.datetime) -> Reminded:
    """This function will remind people by hand of a version they have not acknowledged.

    ``people`` come through the door. Once a day and person, whoever taps (the database holds it), at most three times in
    seven days; not while on leave, not without a sign-in, nobody who has read it. One event on the chain ``rules``.
    Raises TooManyAtOnce and NothingToRead.
    """
    on = timezone.localdate(at)
    _require_current(version, on)
    wanted = people.filter(pk__in=rules.missing_of(version, on).order_by().values("pk"))
    number = wanted.count()
    if number > MOST_AT_ONCE:
        raise TooManyAtOnce(number)
    chosen = list(wanted.select_related("user", "unit").order_by("employee_no"))
    reasons = _reasons_to_skip(version, chosen, on)
    reminded = [one for one in chosen if one.pk not in reasons]
    with transaction.atomic():
        quiet = quiet_hours(general_ladder())
        messages: list[Message] = []
        for one in reminded:
            messages += _messages(version, one, key=_key(version, on), on=on, at=at, by_mail=True, quiet=quiet)
        queue(messages=messages, at=at)
        if reminded:
            after = {"people": [one.employee_no for one in reminded]}
            record_event(chain="rules", action="readers reminded", subject=version, actor=by, at=at, after=after)
    return Reminded(reminded=reminded, skipped=[(one, reasons[one.pk]) for one in chosen if one.pk in reasons])


def _require_current(version: RuleVersion, on: dt.date) -> None:
    if not rules.current_versions(RuleVersion.objects.filter(pk=version.pk), on=on).exists():
        raise NothingToRead


def _key(version: RuleVersion, on: dt.date) -> str:
    return f"rule-{version.pk}-{on.isoformat()}"


def _reference(version_id: int) -> str:
    return f"rule:{version_id}"


def _reasons_to_skip(version: RuleVersion, people: list[Employee], on: dt.date) -> dict[int, str]:
    users = [one.user_id for one in people if one.user_id]
    days = {_key(version, on - dt.timedelta(days=back)): on - dt.timedelta(days=back) for back in range(7)}
    told: dict[int, list[dt.date]] = {}
    rows = Message.objects.filter(key__in=days, channel=Message.Channel.PAGE, user__in=users)
    for user, key in rows.order_by().values_list("user_id", "key"):
        told.setdefault(user, []).append(days[key])
    away = set(
        Leave.objects.filter(employee__in=people, starts_on__lte=on, ends_on__gte=on).values_list(
            "employee_id", flat=True
        )
    )
    reasons = {}
    for one in people:
        theirs = told.get(one.user_id or 0, [])
        for applies, reason in (
            (one.pk in away, Skip.AWAY),
            (one.user is None or not one.user.is_active, Skip.NO_SIGN_IN),
            (on in theirs, Skip.TODAY),
            (len(theirs) >= A_WEEK, Skip.WEEK),
        ):
            if applies:
                reasons[one.pk] = reason
                break
    return reasons


def reminded_today(*, version: RuleVersion, employees: Iterable[Employee], on: dt.date) -> set[int]:
    """This function will return which of these people were reminded by hand on a day. One query."""
    users = {one.user_id: one.pk for one in employees if one.user_id}
    rows = Message.objects.filter(key=_key(version, on), channel=Message.Channel.PAGE, user__in=list(users))
    return {users[user] for user in rows.values_list("user_id", flat=True)}


# --- by the clock -----------------------------------------------------------------------------------------------------
def _begins(version: RuleVersion) -> dt.date:
    assert version.effective_from is not None  # a published version has its day (published_rule_is_sealed)
    return version.effective_from


def step_of(version: RuleVersion, on: dt.date) -> str:
    """This function will return the newest step of the clock that a published version has reached on a day."""
    reached = "announced"
    for name, days in _STEPS:
        if on >= _begins(version) + dt.timedelta(days=days):
            reached = name
    return reached


def tell_by_the_clock(*, on: dt.date, at: dt.datetime) -> int:
    """This function will tell everybody who has a rule to read and was not told at this step yet; returns how many lines.

    Batch by batch, each in a transaction; safe to run again and to be cut off: the key tells a person once.
    """
    number = 0
    versions = rules.current_versions(RuleVersion.objects.all(), on=on)
    for version in versions.select_related("rule__scope", "rule__audience__scope").order_by("pk"):
        key = f"rule-{version.pk}-{step_of(version, on)}"
        told = Message.objects.filter(key=key, channel=Message.Channel.PAGE, user=OuterRef("user"))
        away = Leave.objects.filter(employee=OuterRef("pk"), starts_on__lte=on, ends_on__gte=on)
        people = rules.missing_of(version, on).filter(user__is_active=True).exclude(Exists(told)).exclude(Exists(away))
        ids = list(people.order_by("pk").values_list("pk", flat=True))
        for some in batches(ids, _BATCH):
            messages: list[Message] = []
            for one in Employee.objects.filter(pk__in=some).select_related("user").order_by("pk"):
                messages += _messages(version, one, key=key, on=on, at=at, by_mail=False, quiet=None)
            with transaction.atomic():
                queue(messages=messages, at=at)
            number += len(messages)
    return number


# --- words ------------------------------------------------------------------------------------------------------------
def _messages(
    version: RuleVersion, receiver: Employee, *, key: str, on: dt.date, at: dt.datetime, by_mail: bool, quiet
) -> list[Message]:
    url = reverse("kpi:rule", args=[version.pk])
    words = {}
    for language in _LANGUAGES:
        with translation.override(language):
            line = _line(version, on)
            text = [
                line,
                _("Reading it takes a few minutes. Acknowledging says that you have read it, not that you agree."),
                absolute_url(url),
            ]
            subject = _("A rule to read: %(name)s") % {"name": version.rule.label}
            words[language] = Words(subject, line, "\n\n".join(text))
    return messages_to(
        key=key,
        kind=KIND,
        receiver=receiver,
        words=words,
        url=url,
        by_mail=by_mail,
        quiet=quiet,
        at=at,
        reference=_reference(version.pk),
    )


def _line(version: RuleVersion, on: dt.date) -> str:
    values = {"name": version.rule.label, "day": date_format(_begins(version), "DATE_FORMAT")}
    if _begins(version) > on:
        return _("“%(name)s” is in force from %(day)s on. Please read and acknowledge it.") % values
    return _("“%(name)s” is in force since %(day)s. Please read and acknowledge it.") % values


def _still_to_read(messages: list[Message], at: dt.datetime) -> dict[int, Message]:
    """What waited is dropped when its receiver has read the rule meanwhile, or it is out of force."""
    on = timezone.localdate(at)
    by_version: dict[str, list[Message]] = {}
    for message in messages:
        by_version.setdefault(message.reference, []).append(message)
    ids = {int(reference.partition(":")[2]) for reference in by_version}
    current = rules.current_versions(RuleVersion.objects.filter(pk__in=ids), on=on)
    left: dict[int, Message] = {}
    for version in current.select_related("rule__scope", "rule__audience__scope"):
        theirs = by_version[_reference(version.pk)]
        users = {message.user_id for message in theirs}
        missing = rules.missing_of(version, on).filter(user__in=users).order_by()
        waiting = set(missing.values_list("user_id", flat=True))
        left |= {message.pk: message for message in theirs if message.user_id in waiting}
    return left


message_kind(KIND, title=gettext_lazy("A rule to read"), renew=_still_to_read)
