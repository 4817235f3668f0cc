"""Queue and log of messages: taken once, sent once, tried again with pauses, held back in quiet hours."""

import datetime as dt
from smtplib import SMTPDataError, SMTPRecipientsRefused, SMTPServerDisconnected

import pytest
from django.core import mail as outbox
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection as database
from django.test import override_settings
from django.utils import translation

from core import messaging, robots
from core.messaging import Delivered, Quiet, deliver_due, outcome_words, queue, retry
from core.models import Event, Message, Notice, Robot
from core.tasks import deliver_messages
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db
State = Message.State


@pytest.fixture(autouse=True)
def by_worker(settings):
    settings.JOBS = "worker"


@pytest.fixture
def user():
    return make_user(email="wang@example.com")


class Server(BaseEmailBackend):
    """A mail server that does what the test wants: raises, takes nothing, or keeps what was sent."""

    def __init__(self, *problems, refuses_to_open=None, before=None):
        super().__init__()
        self.problems, self.sent, self.opened, self.before = list(problems), [], 0, before
        self.refuses_to_open = refuses_to_open

    def open(self):
        self.opened += 1
        if self.refuses_to_open:
            raise self.refuses_to_open

    def close(self):
        pass

    def send_messages(self, messages):
        if self.before:
            self.before()
        problem = self.problems.pop(0) if self.problems else None
        if isinstance(problem, Exception):
            raise problem
        if problem == "nothing":
            return 0
        self.sent += messages
        return len(messages)


def _mail(user, at, key="digest-1", **values):
    values = {"address": user.email, "language": "zh-hans", "subject": "提醒", "text": "您好", **values}
    queue(messages=[messaging.mail(key=key, kind="test", user_id=user.pk, **values)], at=at)
    return Message.objects.get(key=key, channel="mail")


def _page(user, at, key="digest-1", language="zh-hans", **values):
    message = messaging.page(
        key=key,
        kind="test",
        user_id=user.pk,
        language=language,
        subject="s",
        text_zh="中",
        text_en="en",
        url="/my/",
        **values,
    )
    queue(messages=[message], at=at)
    return Message.objects.get(key=key, channel="page")


def _round(at, server=None, **values):
    return deliver_due(at=at, clock=lambda: at, connection=server, **values)


def _fate(message):
    message.refresh_from_db()
    return message.state, message.tries, message.outcome


# --- queue ------------------------------------------------------------------------------------------------------------
def test_the_same_cause_tells_the_same_person_once(user, at):
    _mail(user, at)
    _mail(user, at, subject="another")
    assert list(Message.objects.values_list("subject", flat=True)) == ["提醒"]


def test_a_subject_is_one_line_and_not_too_long(user, at):
    row = _mail(user, at, subject="a\r\nBcc: all@example.com " + "x" * 300)
    assert row.subject.startswith("a Bcc: all@example.com x")
    assert len(row.subject) == 200


def test_sc_25_links_come_from_the_settings():
    with override_settings(WAGTAILADMIN_BASE_URL="https://training.example.com"):
        assert messaging.absolute_url("/my/") == "https://training.example.com/my/"


# --- page -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_a_page_message_becomes_a_notice_in_both_languages_once(user, at, language):
    row = _page(user, at, language=language)
    assert row.text == ("en" if language == "en" else "中")
    assert _round(at) == Delivered(sent=1)
    assert _round(at) == Delivered()
    assert list(Notice.objects.values_list("user", "text_zh", "text_en", "url")) == [(user.pk, "中", "en", "/my/")]
    assert _fate(row) == (State.SENT, 1, "")


def test_pages_take_the_same_queries_for_one_and_for_many(at, django_assert_num_queries):
    def fill(number, key):
        messages = [
            messaging.page(
                key=key, kind="test", user_id=make_user().pk, language="en", subject="s", text_zh="中", text_en="e"
            )
            for _ in range(number)
        ]
        queue(messages=messages, at=at)

    fill(1, "a")
    with django_assert_num_queries(7):
        _round(at)
    fill(9, "b")
    with django_assert_num_queries(7):
        assert _round(at) == Delivered(sent=9)


# --- mail -------------------------------------------------------------------------------------------------------------
def test_a_mail_is_sent_once_with_a_name_of_its_own(user, at, settings):
    settings.WAGTAILADMIN_BASE_URL = "https://training.example.com"
    row = _mail(user, at)
    assert _round(at) == Delivered(sent=1)
    assert _round(at) == Delivered()
    [mail] = outbox.outbox
    assert (mail.subject, mail.body, mail.to) == ("提醒", "您好", ["wang@example.com"])
    assert mail.extra_headers == {
        "Message-ID": f"<message-{row.pk}-{int(at.timestamp())}@training.example.com>",
        "Auto-Submitted": "auto-generated",
    }
    assert _fate(row) == (State.SENT, 1, "")


def test_a_mail_is_sent_outside_any_transaction(user, at):
    depth = len(database.savepoint_ids)
    seen = []
    _mail(user, at)
    _round(at, Server(before=lambda: seen.append(len(database.savepoint_ids))))
    assert seen == [depth]


def test_a_mail_that_fails_is_tried_again_with_growing_pauses_and_given_up(user, at):
    row = _mail(user, at)
    moment, server = at, Server(*[SMTPServerDisconnected("gone") for _ in range(9)])
    fates = []
    for _ in range(6):
        _round(moment - dt.timedelta(seconds=1), server)  # too early: nothing happens
        _round(moment, server)
        row.refresh_from_db()
        fates.append((row.state, row.tries, row.not_before - moment))
        moment = row.not_before
    minutes = [dt.timedelta(minutes=number) for number in (1, 5, 15, 60, 240)]
    assert fates[:5] == [("waiting", tries, pause) for tries, pause in enumerate(minutes, start=1)]
    assert (row.state, row.tries, row.outcome) == (State.FAILED, 6, "broken: gone")
    assert row.ended_at is not None
    assert server.sent == []


@pytest.mark.parametrize(
    ("problem", "state", "outcome"),
    [
        (SMTPRecipientsRefused({"x": (550, b"no such user")}), State.FAILED, "refused: 550 no such user"),
        (SMTPRecipientsRefused({"x": (450, b"later")}), State.WAITING, "refused: 450 later"),
        (SMTPDataError(451, b"busy"), State.WAITING, "refused: 451 busy"),
        ("nothing", State.DROPPED, "no-mail"),
        (ValueError("ours"), State.WAITING, "fault"),
    ],
)
def test_the_outcome_says_what_the_server_said(user, at, problem, state, outcome):
    row = _mail(user, at)
    _round(at, Server(problem))
    assert _fate(row) == (state, 1, outcome)


def test_without_an_address_or_with_a_closed_sign_in_nothing_is_sent(user, at):
    nowhere = _mail(user, at, key="a", address="")
    closed = make_user(email="x@example.com", is_active=False)
    to_closed = _mail(closed, at, key="b")
    server = Server()
    assert _round(at, server) == Delivered(failed=1, dropped=1)
    assert (_fate(nowhere), _fate(to_closed)) == (
        (State.FAILED, 1, "no-address"),
        (State.DROPPED, 1, "closed"),
    )
    assert server.sent == []


def test_a_mail_server_that_is_away_costs_one_message_a_try_and_no_other_channel(user, at):
    rows = [_mail(user, at, key=f"k{n}") for n in range(3)]
    page = _page(user, at)
    server = Server(refuses_to_open=ConnectionRefusedError("refused"))
    assert _round(at, server) == Delivered(sent=1, put_off=1, unreachable=True)
    assert sorted(_fate(row)[1] for row in rows) == [0, 0, 1]
    assert _fate(page)[0] == State.SENT
    assert server.opened == 1


# --- several workers --------------------------------------------------------------------------------------------------
def test_a_message_that_another_worker_took_is_not_sent(user, at):
    row = _mail(user, at)
    stale = Message.objects.get(pk=row.pk)
    server = Server()
    messaging._one(stale, lambda: at, Delivered(), lambda: server.send_messages(["first"]))
    messaging._one(stale, lambda: at, Delivered(), lambda: server.send_messages(["second"]))
    assert server.sent == ["first"]


def test_a_message_left_by_a_dead_worker_is_taken_over_after_the_lease_and_not_before(user, at):
    row = _mail(user, at)
    Message.objects.filter(pk=row.pk).update(state=State.SENDING, tries=1, not_before=at + messaging.LEASE)
    server = Server()
    _round(at + messaging.LEASE - dt.timedelta(seconds=1), server)
    assert server.sent == []
    _round(at + messaging.LEASE, server)
    assert len(server.sent) == 1
    assert _fate(row) == (State.SENT, 2, "")


def test_a_worker_that_comes_back_late_does_not_overwrite_the_outcome(user, at):
    row = _mail(user, at)

    def somebody_else_is_done():
        Message.objects.filter(pk=row.pk).update(state=State.SENT, tries=2)

    _round(at, Server(SMTPServerDisconnected("gone"), before=somebody_else_is_done))
    assert _fate(row) == (State.SENT, 2, "")


def test_a_message_that_takes_its_worker_down_again_and_again_is_given_up(user, at):
    row = _mail(user, at)
    Message.objects.filter(pk=row.pk).update(state=State.SENDING, tries=messaging.MAX_TRIES)
    server = Server()
    _round(at, server)
    assert (_fate(row)[0], server.sent) == (State.FAILED, [])


# --- quiet hours ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("hours", "time", "until"),
    [
        ((20, 8), (19, 59), None),
        ((20, 8), (20, 0), (1, 8)),
        ((20, 8), (23, 30), (1, 8)),
        ((20, 8), (0, 0), (0, 8)),
        ((20, 8), (7, 59), (0, 8)),
        ((20, 8), (8, 0), None),
        ((12, 14), (13, 0), (0, 14)),
        ((12, 14), (14, 0), None),
        ((12, 12), (12, 0), None),
    ],
)
def test_quiet_hours_may_go_over_midnight(at, hours, time, until):
    quiet = Quiet(dt.time(hours[0]), dt.time(hours[1]))
    moment = at.replace(hour=time[0], minute=time[1])
    expected = moment if until is None else at.replace(hour=until[1]) + dt.timedelta(days=until[0])
    assert quiet.until(moment) == expected


def test_a_worker_that_comes_late_does_not_wake_anybody(user, at):
    row = _mail(user, at, quiet=Quiet(dt.time(20), dt.time(8)))
    night, morning = at.replace(hour=23), at.replace(hour=8) + dt.timedelta(days=1)
    server = Server()
    assert _round(night, server) == Delivered(put_off=1)
    row.refresh_from_db()
    assert (row.state, row.tries, row.not_before) == (State.WAITING, 0, morning)
    assert _round(morning, server) == Delivered(sent=1)


# --- needless, dropped, again -----------------------------------------------------------------------------------------
def test_a_message_that_nobody_needs_any_more_is_dropped_before_it_is_sent(user, at, monkeypatch):
    rows = [_mail(user, at, key="a"), _mail(user, at, key="b")]
    kind = messaging.MessageKind("t", lambda found, at: {rows[1].pk: rows[1]})
    monkeypatch.setitem(messaging.KINDS, "test", kind)
    server = Server()
    assert _round(at, server) == Delivered(sent=1, dropped=1)
    assert [_fate(row)[::2] for row in rows] == [(State.DROPPED, "needless"), (State.SENT, "")]


def test_needless_messages_left_by_dead_workers_end_and_do_not_block_the_channel(user, at, monkeypatch):
    left = [_mail(user, at, key=f"left{n}") for n in range(3)]
    earlier = at - dt.timedelta(minutes=1)
    for tries, row in enumerate(left, start=1):
        Message.objects.filter(pk=row.pk).update(state=State.SENDING, tries=tries, not_before=earlier)
    needed = _mail(user, at)
    kind = messaging.MessageKind("t", lambda found, at: {row.pk: row for row in found if row.pk == needed.pk})
    monkeypatch.setitem(messaging.KINDS, "test", kind)
    server = Server()
    assert [_round(at, server, limit=3), _round(at, server, limit=3)] == [Delivered(dropped=3), Delivered(sent=1)]
    assert [_fate(row) for row in [*left, needed]] == [
        *((State.DROPPED, tries, "needless") for tries in (1, 2, 3)),
        (State.SENT, 1, ""),
    ]


def test_a_needless_message_that_another_worker_has_just_taken_over_is_left_to_it(user, at, monkeypatch):
    row = _mail(user, at)
    Message.objects.filter(pk=row.pk).update(state=State.SENDING, tries=1)

    def renew(found, at):
        Message.objects.filter(pk=row.pk).update(tries=2, not_before=at + messaging.LEASE)
        return {}

    monkeypatch.setitem(messaging.KINDS, "test", messaging.MessageKind("t", renew))
    assert _round(at, Server()) == Delivered()
    assert _fate(row) == (State.SENDING, 2, "")


def test_a_message_says_what_is_true_when_it_is_sent_at_last(user, at, monkeypatch):
    row, moments = _mail(user, at), []

    def renew(found, at):
        moments.append(at)
        return {one.pk: Message(subject=f"{len(moments)}", text="now", url="/now/") for one in found}

    monkeypatch.setitem(messaging.KINDS, "test", messaging.MessageKind("t", renew))
    server, later = Server(SMTPServerDisconnected("gone")), at + dt.timedelta(hours=1)
    _round(at, server)
    _round(later, server)
    [mail] = server.sent
    row.refresh_from_db()
    assert (mail.subject, mail.body, row.subject, row.text, row.url) == ("2", "now", "2", "now", "/now/")
    assert moments == [at, later]


def test_a_failed_message_is_sent_again_by_hand_once(user, at):
    row = _mail(user, at)
    _round(at, Server(SMTPRecipientsRefused({"x": (550, b"no")})))
    row.refresh_from_db()
    later = at + dt.timedelta(hours=2)
    assert [retry(message=row, by=user, at=later), retry(message=row, by=user, at=later)] == [True, False]
    assert _round(later) == Delivered(sent=1)
    [event] = Event.objects.filter(chain="messages")
    assert (event.action, event.actor, event.before) == ("sent again", user, {"outcome": "refused: 550 no"})


def test_immediate_houses_deliver_after_the_commit(user, at, settings, django_capture_on_commit_callbacks):
    settings.JOBS = "immediate"
    with django_capture_on_commit_callbacks(execute=True):
        _page(user, at)
        assert not Notice.objects.exists()
    assert Notice.objects.count() == 1


def test_the_worker_goes_round_until_nothing_is_left(user, at, monkeypatch):
    rounds = [Delivered(sent=1), Delivered(put_off=1), Delivered()]
    monkeypatch.setattr("core.messaging.deliver_due", lambda **values: rounds.pop(0))
    deliver_messages(at)
    assert rounds == []


def test_the_worker_tries_one_mail_when_the_mail_server_is_away_and_all_of_the_other_channels(user, at, monkeypatch):
    away, deliver = Server(refuses_to_open=ConnectionRefusedError("refused")), messaging.deliver_due
    rows = [_mail(user, at, key=f"k{n}") for n in range(3)]
    pages = [_page(user, at, key=f"k{n}") for n in range(3)]

    def one_at_a_time(**values):
        return deliver(**{**values, "connection": away, "limit": 1, "clock": lambda: at})

    monkeypatch.setattr("core.messaging.deliver_due", one_at_a_time)
    deliver_messages(at)
    assert sorted(_fate(row) for row in rows) == [
        (State.WAITING, 0, ""),
        (State.WAITING, 0, ""),
        (State.WAITING, 1, "unreachable: refused"),
    ]
    assert [_fate(row)[0] for row in pages] == [State.SENT] * 3
    assert away.opened == 1


# --- group chats ------------------------------------------------------------------------------------------------------
@pytest.fixture
def robot():
    return Robot.objects.create(name="r", kind="wecom", url="https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=k")


def _chat(robot, at):
    message = messaging.chat(
        key="c", kind="test", robot=robot, language="en", subject="November", text="98 %", url="/hr/"
    )
    queue(messages=[message], at=at)
    return Message.objects.get(channel="robot")


def test_a_chat_message_is_posted_with_the_full_link(robot, at, monkeypatch, settings):
    settings.WAGTAILADMIN_BASE_URL = "https://training.example.com"
    said = []
    monkeypatch.setattr(robots, "post", lambda **values: said.append(values))
    row = _chat(robot, at)
    assert _round(at) == Delivered(sent=1)
    assert said == [
        {"robot": robot, "title": "November", "text": "98 %", "url": "https://training.example.com/hr/", "at": at}
    ]
    assert _fate(row) == (State.SENT, 1, "")


@pytest.mark.parametrize(
    ("problem", "fate"),
    [
        (robots.PostFailed("robot-refused: 45009 too fast"), (State.WAITING, 1, "robot-refused: 45009 too fast")),
        (robots.PostFailed("robot-refused: 93000", is_final=True), (State.FAILED, 1, "robot-refused: 93000")),
        (robots.AddressRefused("host"), (State.FAILED, 1, "address: host")),
    ],
)
def test_a_chat_message_keeps_what_the_vendor_said(robot, at, monkeypatch, problem, fate):
    def post(**values):
        raise problem

    monkeypatch.setattr(robots, "post", post)
    row = _chat(robot, at)
    _round(at)
    assert _fate(row) == fate


@pytest.mark.parametrize("how", ["off", "removed"])
def test_a_robot_that_is_off_or_gone_says_nothing(robot, at, how):
    row = _chat(robot, at)
    if how == "off":
        Robot.objects.update(active=False)
    else:
        Robot.objects.all().delete()
    assert _round(at) == Delivered(dropped=1)
    assert _fate(row) == (State.DROPPED, 1, "off")


def test_outcomes_are_said_in_words(robot, at):
    row = _chat(robot, at)
    row.outcome = "robot-refused: 93000 invalid webhook url"
    with translation.override("en"):
        assert outcome_words(row) == (
            "The group chat’s server refused it. The address is not valid any more: copy it anew from the group chat."
            " (93000 invalid webhook url)"
        )
        row.outcome = "no-mail"
        assert outcome_words(row) == "This site sends no e-mail."
        row.outcome = ""
        assert outcome_words(row) == ""
