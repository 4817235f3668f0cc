"""Messages that leave the house, through one interface whatever the channel: in the page, by mail, to a group chat.

Whoever has something to say makes messages with ``page``, ``mail`` and ``chat`` and hands them to ``queue`` in the
transaction of what they speak of. The worker calls ``deliver_all`` every minute (core.tasks). The table of messages is
the queue and the log in one.

What is promised:

- A message is taken by a conditional update, so of several workers one sends it. It is sent outside any transaction,
  then its outcome is written.
- One that was sent is never sent again on purpose. A worker that dies after sending and before writing leaves a message
  that says SENDING; after LEASE another worker takes it over and sends it a second time: a message that comes twice is
  better than one that never comes. The second mail has the Message-ID of the first, by which mail programs know it.
- What goes to the page is a row beside it: written in one transaction with the outcome, so exactly once.
- What fails for the moment is tried again with growing pauses (PAUSES) and given up after the last; what can never work
  (no address, refused by the mail server, a wrong key) fails at once. A failed one can be sent again by hand (retry).
- In its quiet hours a message is held back, however late the worker comes to it.
- What it says is what is true when it goes out: its kind is asked for its words right before (message_kind).
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from smtplib import SMTPException, SMTPRecipientsRefused, SMTPResponseException
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core import robots
from core.events import record_event
from core.models import Message, Notice, Robot

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

log = logging.getLogger(__name__)

LEASE = dt.timedelta(minutes=10)  # longer than any mail server or robot may take for one message
PAUSES = [dt.timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 240)]
MAX_TRIES = len(PAUSES) + 1

_Channel, _State = Message.Channel, Message.State


# --- quiet hours ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Quiet:
    """Hours of the day in which nobody is disturbed; they may go over midnight. The same time twice: no such hours."""

    start: dt.time
    end: dt.time

    def until(self, at: dt.datetime) -> dt.datetime:
        """This function will return the moment itself, or the end of the quiet hours in which it lies."""
        local = timezone.localtime(at)
        time, day = local.time(), local.date()
        over_midnight = self.start > self.end
        if over_midnight:
            if self.end <= time < self.start:
                return at
            if time >= self.start:
                day += dt.timedelta(days=1)
        elif not self.start <= time < self.end:
            return at
        return timezone.make_aware(dt.datetime.combine(day, self.end))


# --- kinds ------------------------------------------------------------------------------------------------------------
# Takes messages of a kind and the moment; returns them as they are to be said then, by the id of the one that waits.
Renew = Callable[[list[Message], dt.datetime], dict[int, Message]]


@dataclass(frozen=True)
class MessageKind:
    """The cause of messages in one word, how pages call it, and what they say when they go out at last."""

    title: StrOrPromise
    renew: Renew | None = None


KINDS: dict[str, MessageKind] = {"test": MessageKind(_("Test message"))}


def message_kind(name: str, *, title: StrOrPromise, renew: Renew | None = None) -> None:
    """Declare a kind of message. ``renew`` is asked right before sending; what it leaves out is dropped as needless.

    Quiet hours, a mail server that was away or a hand that sends again may lie between making and sending.
    """
    KINDS[name] = MessageKind(title, renew)


def kind_title(name: str) -> str:
    """This function will return how pages call a kind of message."""
    return str(KINDS[name].title) if name in KINDS else str(_("Message"))


# --- making messages --------------------------------------------------------------------------------------------------
def absolute_url(path: str) -> str:
    """This function will return the full address of a page. The host is that of SITE_URL, never of a request (SC-25)."""
    return urljoin(settings.WAGTAILADMIN_BASE_URL.rstrip("/") + "/", path)


def _line(text: str, length: int) -> str:
    """On one line, and no longer than the column: a subject with a line break could carry headers of its own."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def page(
    *,
    key: str,
    kind: str,
    user_id: int,
    language: str,
    subject: str,
    text_zh: str,
    text_en: str,
    url: str = "",
    reference: str = "",
    not_before: dt.datetime | None = None,
) -> Message:
    """This function will make a message for a user's page, in both languages; nothing is saved (see queue)."""
    texts = [_line(text_en, 300), _line(text_zh, 300)]
    if not language.startswith("en"):
        texts.reverse()
    return Message(
        key=key,
        channel=_Channel.PAGE,
        kind=kind,
        user_id=user_id,
        language=language,
        subject=_line(subject, 200),
        text=texts[0],
        text_other=texts[1],
        url=url,
        reference=reference,
        not_before=not_before,  # type: ignore[misc]  # queue puts the present moment where there is none
    )


def mail(
    *,
    key: str,
    kind: str,
    user_id: int,
    address: str,
    language: str,
    subject: str,
    text: str,
    url: str = "",
    reference: str = "",
    not_before: dt.datetime | None = None,
    quiet: Quiet | None = None,
) -> Message:
    """This function will make a mail to a user, in the user's language; nothing is saved (see queue).

    The text says its links in full (absolute_url). ``quiet``: hours in which it is held back.
    """
    return Message(
        key=key,
        channel=_Channel.MAIL,
        kind=kind,
        user_id=user_id,
        address=address,
        language=language,
        subject=_line(subject, 200),
        text=text,
        url=url,
        reference=reference,
        not_before=not_before,  # type: ignore[misc]
        quiet_from=quiet.start if quiet else None,
        quiet_until=quiet.end if quiet else None,
    )


def chat(
    *,
    key: str,
    kind: str,
    robot: Robot,
    language: str,
    subject: str,
    text: str,
    url: str = "",
    reference: str = "",
    not_before: dt.datetime | None = None,
    quiet: Quiet | None = None,
) -> Message:
    """This function will make a message for the robot of a group chat; nothing is saved (see queue)."""
    return Message(
        key=key,
        channel=_Channel.ROBOT,
        kind=kind,
        robot=robot,
        language=language,
        subject=_line(subject, 200),
        text=text,
        url=url,
        reference=reference,
        not_before=not_before,  # type: ignore[misc]
        quiet_from=quiet.start if quiet else None,
        quiet_until=quiet.end if quiet else None,
    )


def queue(*, messages: Iterable[Message], at: dt.datetime) -> None:
    """This function will put messages in the queue, in the caller's transaction; the same key and receiver only once.

    With JOBS=immediate there is no worker: what is due then is delivered right after the commit.
    """
    found = list(messages)
    for message in found:
        message.created_at = at
        message.not_before = max(message.not_before or at, at)
    Message.objects.bulk_create(found, batch_size=500, ignore_conflicts=True)
    if found and settings.JOBS == "immediate":
        transaction.on_commit(lambda: deliver_due(at=at))


# --- delivering -------------------------------------------------------------------------------------------------------
class _Transient(Exception):
    """It did not work this time and may work later. The text is the outcome as stored (see outcome_words)."""


class _Permanent(Exception):
    """It will never work as it is."""


class _Needless(Exception):
    """There is nobody to tell any more."""


class _NoConnection(_Transient):
    """The mail server does not answer, so the other mails need not be tried now."""


@dataclass
class Delivered:
    """What one round of delivery did. ``put_off``: to be tried again, or held back in its quiet hours.

    ``unreachable``: the mail server does not answer, so no other mail was tried.
    """

    sent: int = 0
    put_off: int = 0
    failed: int = 0
    dropped: int = 0
    unreachable: bool = False

    def __bool__(self) -> bool:
        return bool(self.sent or self.put_off or self.failed or self.dropped)


def deliver_due(
    *,
    at: dt.datetime,
    limit: int = 500,
    clock: Callable[[], dt.datetime] = timezone.now,
    connection: BaseEmailBackend | None = None,
    channels: Iterable[str] = tuple(_Channel),
) -> Delivered:
    """This function will send what waits and is due, at most ``limit`` messages of each channel (see the module).

    Safe to run in several workers at once. ``clock`` says what time it is between two messages; ``connection`` replaces
    the mail server of the settings. Call it outside a transaction: what was sent must be written at once.
    """
    done = Delivered()

    def now() -> dt.datetime:
        return max(at, clock())  # never before the moment for which this is done

    for channel in channels:
        rows = list(
            Message.objects.filter(
                state__in=[_State.WAITING, _State.SENDING], not_before__lte=at, channel=channel
            ).order_by("not_before", "pk")[:limit]
        )
        rows = _renewed(rows, at, done)
        if not rows:
            continue
        if channel == _Channel.PAGE:
            _tell_pages(rows, at, done)
        elif channel == _Channel.MAIL:
            _send_mails(rows, done, now, connection)
        else:
            _post_chats(rows, done, now)
    return done


def deliver_all(
    *, at: dt.datetime, is_over: Callable[[], bool] = lambda: False, connection: BaseEmailBackend | None = None
) -> Delivered:
    """This function will send what waits and is due, round after round until nothing is left or ``is_over`` says so.

    When the mail server does not answer, no further mail is tried: they wait for the next call. Call it outside a
    transaction.
    """
    total, channels = Delivered(), list(_Channel)
    while done := deliver_due(at=at, connection=connection, channels=channels):
        total.sent += done.sent
        total.put_off += done.put_off
        total.failed += done.failed
        total.dropped += done.dropped
        if done.unreachable:
            total.unreachable = True
            channels.remove(_Channel.MAIL)
        if is_over():
            break
    return total


def deliver_now(*, message: Message, clock: Callable[[], dt.datetime] = timezone.now) -> Message:
    """This function will send one waiting message to a group chat at once and return it with its outcome."""
    _post_chats([message], Delivered(), clock)
    return Message.objects.get(pk=message.pk)


_SAID = ("subject", "text", "text_other", "url")


def _renewed(rows: list[Message], at: dt.datetime, done: Delivered) -> list[Message]:
    """Ask each kind what its messages say by now, write that, and drop those that nobody needs any more."""
    anew: dict[int, Message] = {row.pk: row for row in rows}
    for name in {row.kind for row in rows}:
        kind = KINDS.get(name)
        if kind and kind.renew:
            theirs = [row for row in rows if row.kind == name]
            said = kind.renew(theirs, at)
            for row in theirs:
                anew.pop(row.pk)
            anew |= said
    gone = {row.pk for row in rows if row.pk not in anew}
    # Those as well that a dead worker left behind: if they stayed, they would be read before all others every time.
    found: dict[tuple[str, int], list[int]] = defaultdict(list)
    for row in rows:
        if row.pk in gone:
            found[row.state, row.tries].append(row.pk)
    for (state, tries), some in found.items():
        as_they_were = Message.objects.filter(pk__in=some, state=state, tries=tries)
        done.dropped += as_they_were.update(state=_State.DROPPED, outcome="needless", ended_at=at)
    return [row for row in rows if row.pk in anew and _say(row, anew[row.pk])]


def _say(row: Message, anew: Message) -> bool:
    """Give a message the words of another, also on the log. False when another worker has it."""
    values = {name: getattr(anew, name) for name in _SAID if getattr(anew, name) != getattr(row, name)}
    for name, value in values.items():
        setattr(row, name, value)
    return not values or bool(_as_it_was(row).update(**values))


def _tell_pages(rows: list[Message], at: dt.datetime, done: Delivered) -> None:
    """Put the lines into the pages and say so, all of it in one transaction."""
    notices = []
    for row in rows:
        english = row.language.startswith("en")
        notices.append(
            Notice(
                user_id=row.user_id,  # type: ignore[misc]  # the database holds that a page message has one
                text_zh=(row.text_other or row.text) if english else row.text,
                text_en=row.text if english else (row.text_other or row.text),
                url=row.url,
                created_at=at,
                key=f"message-{row.pk}",  # so that even a second writer would tell it once
            )
        )
    with transaction.atomic():
        moved = Message.objects.filter(
            pk__in=[row.pk for row in rows], state__in=[_State.WAITING, _State.SENDING], not_before__lte=at
        ).update(state=_State.SENT, tries=F("tries") + 1, outcome="", ended_at=at)
        if moved != len(rows):  # another worker tells some of them: leave all of it, the next round is a minute away
            transaction.set_rollback(True)
            return
        Notice.objects.bulk_create(notices, batch_size=500, ignore_conflicts=True)
    done.sent += moved


def _send_mails(
    rows: list[Message], done: Delivered, clock: Callable[[], dt.datetime], connection: BaseEmailBackend | None
) -> None:
    active = set(
        Message.objects.filter(pk__in=[row.pk for row in rows], user__is_active=True).values_list("pk", flat=True)
    )
    server = _MailServer(connection)
    try:
        for row in rows:
            if not _one(row, clock, done, lambda row=row: server.send(row, is_active=row.pk in active)):  # type: ignore[misc]
                break
    finally:
        server.close()


def _post_chats(rows: list[Message], done: Delivered, clock: Callable[[], dt.datetime]) -> None:
    found = Robot.objects.in_bulk([row.robot_id for row in rows if row.robot_id])
    for row in rows:
        _one(row, clock, done, lambda row=row: _post(found.get(row.robot_id), row, clock))  # type: ignore[misc]


def _one(row: Message, clock: Callable[[], dt.datetime], done: Delivered, send: Callable[[], None]) -> bool:
    """Take one message, send it, write what became of it. False when there is no use in trying the next one."""
    now = clock()
    if row.quiet_from is not None and row.quiet_until is not None:
        until = Quiet(row.quiet_from, row.quiet_until).until(now)
        if until > now:
            done.put_off += _as_it_was(row).update(state=_State.WAITING, not_before=until)
            return True
    if not _as_it_was(row).update(state=_State.SENDING, tries=row.tries + 1, not_before=now + LEASE):
        return True  # another worker was faster
    go_on = True
    values: dict = {"state": _State.SENT, "outcome": ""}
    try:
        if row.tries >= MAX_TRIES:  # taken over again and again: it takes its worker down
            raise _Permanent("fault")
        send()
        done.sent += 1
    except _Needless as problem:
        values = {"state": _State.DROPPED, "outcome": str(problem)}
        done.dropped += 1
    except _Transient as problem:
        go_on = not isinstance(problem, _NoConnection)
        done.unreachable = done.unreachable or not go_on
        values = _later(row.tries + 1, clock(), str(problem))
        done.failed += values["state"] == _State.FAILED
        done.put_off += values["state"] == _State.WAITING
    except _Permanent as problem:
        values = {"state": _State.FAILED, "outcome": str(problem)}
        done.failed += 1
    except Exception:
        log.exception("Message %s could not be sent by %s", row.pk, row.channel)
        values = _later(row.tries + 1, clock(), "fault")
        done.failed += values["state"] == _State.FAILED
        done.put_off += values["state"] == _State.WAITING
    values["outcome"] = values["outcome"][:300].replace("\x00", "")
    values["ended_at"] = clock() if values["state"] != _State.WAITING else None
    if values["state"] == _State.FAILED:
        log.warning("Message %s was given up: %s", row.pk, values["outcome"])
    Message.objects.filter(pk=row.pk, state=_State.SENDING, tries=row.tries + 1).update(**values)
    return go_on


def _as_it_was(row: Message) -> QuerySet[Message]:
    """The row, if nobody has touched it since it was read: each take raises ``tries``."""
    return Message.objects.filter(pk=row.pk, state=row.state, tries=row.tries)


def _later(tries: int, now: dt.datetime, outcome: str) -> dict:
    if tries >= MAX_TRIES:
        return {"state": _State.FAILED, "outcome": outcome}
    return {"state": _State.WAITING, "not_before": now + PAUSES[tries - 1], "outcome": outcome}


class _MailServer:
    """One connection for all mails of a round, opened with the first and opened anew when it broke."""

    def __init__(self, connection: BaseEmailBackend | None):
        self.connection = connection or get_connection()
        self.is_open = False

    def send(self, row: Message, *, is_active: bool) -> None:
        if not is_active:
            raise _Needless("closed")
        if not row.address:
            raise _Permanent("no-address")
        self._open()
        host = urlsplit(settings.WAGTAILADMIN_BASE_URL).hostname or "localhost"
        email = EmailMessage(
            row.subject,
            row.text,
            to=[row.address],
            headers={
                "Message-ID": f"<message-{row.pk}-{int(row.created_at.timestamp())}@{host}>",
                "Auto-Submitted": "auto-generated",  # no holiday notices in answer, please
            },
        )
        try:
            sent = self.connection.send_messages([email])
        except SMTPRecipientsRefused as refused:
            code, words = next(iter(refused.recipients.values()), (0, b""))
            raise (_Permanent if code >= 500 else _Transient)(f"refused: {code} {_text(words)}")
        except SMTPResponseException as answer:
            self.close()
            # It may be about us as a sender (530, 550 at MAIL FROM), which somebody puts right: so never final at once.
            raise _Transient(f"refused: {answer.smtp_code} {_text(answer.smtp_error)}")
        except (SMTPException, OSError) as trouble:
            self.close()
            raise _Transient(f"broken: {trouble}")
        if not sent:
            raise _Needless("no-mail")

    def _open(self) -> None:
        if self.is_open:
            return
        try:
            self.connection.open()
        except (SMTPException, OSError) as trouble:
            raise _NoConnection(f"unreachable: {trouble}")
        self.is_open = True

    def close(self) -> None:
        self.is_open = False
        try:
            self.connection.close()
        except (SMTPException, OSError):
            pass  # it is closed then


def _text(words: bytes | str) -> str:
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)


def _post(robot: Robot | None, row: Message, clock: Callable[[], dt.datetime]) -> None:
    if robot is None or not robot.active:
        raise _Needless("off")
    try:
        robots.post(robot=robot, title=row.subject, text=row.text, url=row.url and absolute_url(row.url), at=clock())
    except robots.AddressRefused as refused:
        raise _Permanent(f"address: {refused.code}")
    except robots.PostFailed as failed:
        raise (_Permanent if failed.is_final else _Transient)(failed.outcome)


# --- by hand ----------------------------------------------------------------------------------------------------------
def retry(*, message: Message, by, at: dt.datetime, address: str = "") -> bool:
    """This function will put a failed message back in the queue; False when it is not a failed one any more.

    ``address`` is where a mail goes from now on, if the person's has been put right meanwhile. One event on the chain
    ``messages``.
    """
    values: dict = {"state": _State.WAITING, "tries": 0, "not_before": at, "ended_at": None, "outcome": ""}
    if address and message.channel == _Channel.MAIL:
        values["address"] = address
    with transaction.atomic():
        moved = Message.objects.filter(pk=message.pk, state=_State.FAILED).update(**values)
        if not moved:
            return False
        record_event(
            chain="messages",
            action="sent again",
            subject=message,
            actor=by,
            at=at,
            before={"outcome": message.outcome},
            after={"key": message.key, "channel": message.channel},
        )
        if settings.JOBS == "immediate":
            transaction.on_commit(lambda: deliver_due(at=at))
    return True


# --- words ------------------------------------------------------------------------------------------------------------
OUTCOMES = {
    "no-address": _("There is no e-mail address. Add one to the person’s record."),
    "refused": _("The mail server refused it. Check the address."),
    "unreachable": _("The mail server does not answer."),
    "broken": _("The connection to the mail server broke."),
    "no-mail": _("This site sends no e-mail."),
    "closed": _("The sign-in is closed."),
    "needless": _("No longer needed when it was to be sent."),
    "off": _("The robot was switched off or removed."),
    "address": _("The robot’s address is not allowed."),
    "robot-unreachable": _("The group chat’s server does not answer."),
    "robot-refused": _("The group chat’s server refused it."),
    "fault": _("A fault of this site; the administrator finds it in the log."),
}


def outcome_words(message: Message) -> str:
    """This function will say a stored outcome in the active language, with what the other side said behind it."""
    if not message.outcome:
        return ""
    code, _colon, detail = message.outcome.partition(":")
    words = str(OUTCOMES.get(code, code))
    advice = robots.advice(message.robot.kind if message.robot else "", detail) if code == "robot-refused" else ""
    return " ".join(part for part in (words, advice, f"({detail.strip()})" if detail.strip() else "") if part)
