"""Reminders by the clock and by hand: once a day at the hour of the ladder, never in the quiet hours."""

import datetime as dt
import io

import pytest
from django.core.management import call_command

from core.models import Job, Message
from courses import tasks
from courses.domain import digests, ladders, reminders
from courses.models import Ladder, ReminderDue
from tests.factories.courses import local, make_enrolment, make_run
from tests.factories.people import make_employee, make_unit

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def by_worker(settings):
    settings.JOBS = "worker"


@pytest.fixture
def duty():
    ladders.set_up_ladder()
    person = make_employee(unit=make_unit(), with_user=True, name="王伟", email="wang@example.com")
    return make_enrolment(person, make_run())


@pytest.fixture
def rounds(monkeypatch):
    """The days for which reminders were sent."""
    done = []

    def send(*, on, at):
        done.append((on.day, at.hour))
        return digests.Report()

    monkeypatch.setattr(reminders, "send_reminders", send)
    return done


def test_the_clock_reminds_once_a_day_at_its_hour(duty, rounds):
    for day in (27, 28):
        for hour in (7, 8, 9, 10, 15, 21, 23):
            tasks.send_reminders_by_the_clock(local(2026, 11, day, hour))
    assert rounds == [(27, 9), (28, 9)]
    assert Job.objects.filter(kind=reminders.SENT_KIND).count() == 1


def test_a_worker_that_was_away_makes_up_for_it_but_not_in_the_night(duty, rounds):
    tasks.send_reminders_by_the_clock(local(2026, 11, 27, 16))
    tasks.send_reminders_by_the_clock(local(2026, 11, 28, 22))
    assert rounds == [(27, 16)]


def test_a_house_without_a_ladder_is_left_alone(duty, rounds):
    Ladder.objects.all().delete()
    tasks.send_reminders_by_the_clock(local(2026, 11, 27, 9))
    assert rounds == []


@pytest.fixture
def noon(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: local(2026, 11, 30, 12))


def _command(*arguments):
    out = io.StringIO()
    call_command("send_reminders", *arguments, stdout=out)
    return out.getvalue().splitlines()


def test_the_command_only_says_what_it_would_do_when_asked(duty, noon):
    assert _command("--dry-run") == [
        "due 2026-11-30, day +0: 1 people told of 1 duties (employee)",
        "1 people and 0 group chats would be told; nothing was changed.",
    ]
    assert not Message.objects.exists()


def test_the_command_sends_and_a_second_run_changes_nothing(duty, noon, mailoutbox):
    assert _command() == ["1 steps reached, 1 people told (1 by mail), 0 group chats", "2 messages sent, 0 failed"]
    before = list(Message.objects.values())
    assert _command() == ["0 steps reached, 0 people told (0 by mail), 0 group chats", "0 messages sent, 0 failed"]
    assert (list(Message.objects.values()), len(mailoutbox)) == (before, 1)


def test_the_command_takes_a_day(duty, noon):
    _command("--on", "2026-11-27")
    assert list(ReminderDue.objects.values_list("on", "days")) == [(dt.date(2026, 11, 27), -3)]


def test_the_command_tries_one_mail_when_the_mail_server_is_away(duty, noon, monkeypatch):
    make_enrolment(make_employee(unit=make_unit(), with_user=True, email="li@example.com"), duty.run)

    def away(self):
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.open", away)
    assert _command()[1:] == [
        "2 messages sent, 0 failed",
        "The mail server does not answer: the mails wait, and the worker tries them again.",
    ]
    assert sorted(Message.objects.filter(channel="mail").values_list("tries", flat=True)) == [0, 1]
