"""Who is told that there is a rule to read, when, and how often at most."""

import datetime as dt

import pytest

from core.messaging import deliver_due
from core.models import Event, Message
from courses.domain.nudging import Skip, TooManyAtOnce
from kpi.domain import rule_reminders, rules
from kpi.models import Acknowledgement
from people.models import Employee
from tests.factories.kpi import T01, make_indicators
from tests.factories.people import make_employee, make_leave, make_unit, make_user

DAY = dt.timedelta(days=1)


@pytest.fixture
def readers(db):
    unit = make_unit()
    return [make_employee(unit, employee_no=f"00000{number}", with_user=True) for number in range(1, 4)]


def publish(scope, at, code="card", effective_from=dt.date(2026, 12, 1)):
    make_indicators()
    proposer, publisher = make_user(f"{code}-a{at.day}"), make_user(f"{code}-b{at.day}")
    rule = rules.make_rule(
        family="scorecard", code=code, name="计分卡", name_en="The card", scope=scope, by=proposer, at=at
    )
    draft = rules.propose_version(rule=rule, parameters=T01, text_zh="按五项计分。", by=proposer, at=at)
    draft = rules.begin_consultation(version=draft, by=proposer, at=at)
    return rules.publish_version(version=draft, effective_from=effective_from, by=publisher, at=at)


def told():
    rows = Message.objects.filter(kind="rule").order_by("created_at", "user__username", "channel")
    return [(row.user.username, row.channel, row.key.split("-", 2)[2]) for row in rows.select_related("user")]


# --- by the clock -----------------------------------------------------------------------------------------------------
def test_each_step_of_the_clock_is_told_once(readers, at):
    version = publish(readers[0].unit, at)
    reader = readers[0]
    rules.acknowledge(version=version, employee=reader, by=reader.user, at=at)
    numbers = {}
    for days in (0, 1, 9, 10, 11, 13, 14, 20, 21, 60):
        on = at.date() + days * DAY
        numbers[days] = rule_reminders.tell_by_the_clock(on=on, at=at + days * DAY)
    assert numbers == {0: 2, 1: 0, 9: 0, 10: 2, 11: 0, 13: 2, 14: 0, 20: 2, 21: 0, 60: 0}
    steps = ("announced", "soon", "in-force", "week")
    assert told() == [(name, "page", step) for step in steps for name in ("000002", "000003")]


def test_who_joins_later_is_told_as_well(readers, at):
    publish(readers[0].unit, at)
    rule_reminders.tell_by_the_clock(on=at.date(), at=at)
    make_employee(readers[0].unit, employee_no="000009", with_user=True)
    assert rule_reminders.tell_by_the_clock(on=at.date() + DAY, at=at + DAY) == 1


def test_who_is_on_leave_hears_of_it_afterwards(readers, at):
    publish(readers[0].unit, at)
    make_leave(readers[0], at.date(), at.date() + DAY)
    assert rule_reminders.tell_by_the_clock(on=at.date(), at=at) == 2
    assert rule_reminders.tell_by_the_clock(on=at.date() + 2 * DAY, at=at + 2 * DAY) == 1


def test_the_line_is_said_in_both_languages_with_the_way_to_the_rule(readers, at, settings):
    version = publish(readers[0].unit, at)
    rule_reminders.tell_by_the_clock(on=at.date(), at=at)
    row = Message.objects.filter(user=readers[0].user).get()
    assert (row.text, row.text_other, row.url) == (
        "《计分卡》自2026年12月1日起施行。请阅读并确认。",
        "“The card” is in force from 1 December 2026 on. Please read and acknowledge it.",
        f"/rules/{version.pk}/",
    )


# --- by hand ----------------------------------------------------------------------------------------------------------
def test_pm_f06_a_hand_reminds_those_who_have_not_read_it(readers, at):
    version, hr = publish(readers[0].unit, at), make_user("hr")
    Employee.objects.filter(pk=readers[1].pk).update(email="b@example.com")
    rules.acknowledge(version=version, employee=readers[0], by=readers[0].user, at=at)
    report = rule_reminders.remind(version=version, people=Employee.objects.all(), by=hr, at=at)
    assert report == rule_reminders.Reminded(reminded=readers[1:], skipped=[])
    day = at.date().isoformat()
    assert told() == [("000002", "mail", day), ("000002", "page", day), ("000003", "page", day)]
    assert Event.objects.get(action="readers reminded").after == {"people": ["000002", "000003"]}


def test_nobody_is_pestered(readers, at):
    version, hr = publish(readers[0].unit, at), make_user("hr")
    make_leave(readers[1], at.date(), at.date())
    without = make_employee(readers[0].unit, employee_no="000009")
    people = Employee.objects.filter(pk__in=[readers[0].pk, readers[1].pk, without.pk])

    def skipped(days):
        report = rule_reminders.remind(version=version, people=people, by=hr, at=at + days * DAY)
        return {one.employee_no: reason for one, reason in report.skipped}

    assert skipped(0) == {"000002": Skip.AWAY, "000009": Skip.NO_SIGN_IN}
    assert skipped(0) == {"000001": Skip.TODAY, "000002": Skip.AWAY, "000009": Skip.NO_SIGN_IN}
    assert [skipped(day).get("000001") for day in (1, 2, 3, 6, 7)] == [None, None, Skip.WEEK, Skip.WEEK, None]


def test_one_tap_does_not_wake_a_whole_company(readers, at, monkeypatch):
    version = publish(readers[0].unit, at)
    monkeypatch.setattr(rule_reminders, "MOST_AT_ONCE", 2)
    with pytest.raises(TooManyAtOnce):
        rule_reminders.remind(version=version, people=Employee.objects.all(), by=make_user(), at=at)
    assert told() == []


def test_nobody_is_reminded_of_what_is_out_of_force_or_not_published(readers, at):
    version = publish(readers[0].unit, at)
    rule = version.rule
    draft = rules.propose_version(rule=rule, by=make_user("c"), at=at)
    draft = rules.begin_consultation(version=draft, by=None, at=at)
    for one, on in ((draft, at), (version, at + 60 * DAY)):
        if on != at:
            day = dt.date(2027, 1, 1)
            rules.publish_version(version=draft, effective_from=day, by=make_user("d"), at=at)
        with pytest.raises(rule_reminders.NothingToRead):
            rule_reminders.remind(version=one, people=Employee.objects.all(), by=make_user(), at=on)


def test_what_waited_is_not_said_to_who_has_read_it_meanwhile(readers, at):
    version = publish(readers[0].unit, at)
    rule_reminders.remind(version=version, people=Employee.objects.all(), by=make_user(), at=at)
    rules.acknowledge(version=version, employee=readers[0], by=readers[0].user, at=at)
    done = deliver_due(at=at + dt.timedelta(hours=1), clock=lambda: at + dt.timedelta(hours=1))
    assert (done.sent, done.dropped) == (2, 1)
    assert Acknowledgement.objects.count() == 1
