"""The work of a day: done as often as anybody likes, until nothing is owed; and what it would do."""

import datetime as dt

import pytest

from core.models import Message
from courses.domain.reminders import preview
from courses.models import Enrolment, ReminderDue
from people.models import Employee
from tests.factories.courses import make_course, make_enrolment, make_run
from tests.factories.reminders import DUE, morning, send

pytestmark = pytest.mark.django_db


def test_running_twice_changes_nothing(house):
    house.staff()
    send(1)

    def everything():
        return (list(ReminderDue.objects.values()), list(Message.objects.values()))

    before = everything()
    again = send(1, hour=15)
    assert (again.rows, again.people, again.chats) == (0, 0, 0)
    assert everything() == before


def test_what_is_new_after_the_digest_of_the_day_waits_for_tomorrow(house):
    enrolment = house.staff()
    send(0)
    late = make_enrolment(enrolment.employee, make_run(make_course(title_zh="谈判")))
    assert send(0, hour=15).rows == 1
    assert Message.objects.filter(channel="mail").count() == 1
    send(1)
    tomorrow = Message.objects.filter(channel="mail", key="digest-2026-12-01", user=enrolment.employee.user).get()
    assert tomorrow.text.count("· ") == 2
    assert ReminderDue.objects.filter(enrolment=late, told_at=None).count() == 0


def test_it_stops_when_done(house):
    enrolment = house.staff()
    send(-3)
    Enrolment.objects.filter(pk=enrolment.pk).update(
        state="completed", completed_at=morning(-2), on_time=True, unit_done=house.branch
    )
    for days in range(-2, 9):
        assert send(days).rows == 0


def test_pg_14_no_name_of_another_team_in_any_message(house):
    """Two teams under one chief: each mail holds canaries of people below its receiver only, by the oracle of TRUST."""
    other = house.person("别管", manager=house.chief)
    foreign = house.person("远管", manager=None)
    for manager, prefix in ((house.manager, "甲"), (other, "乙"), (foreign, "丙")):
        for number in range(3):
            house.staff(f"{prefix}{number}CANARY", manager=manager, with_user=number > 0)
    for days in (-7, -3, 0, 1, 3, 7, 9):
        send(days)
    canaries = {one.name: one for one in Employee.objects.filter(name__contains="CANARY")}
    checked = 0
    for message in Message.objects.select_related("user__employee"):
        receiver = message.user.employee
        for name, person in canaries.items():
            if name in message.text + message.text_other + message.subject:
                above = {person.pk, person.manager_id, person.manager.manager_id}
                assert receiver.pk in above, (receiver.name, name)
                assert name not in message.subject or receiver == person
                checked += 1
    assert checked > 30


def test_the_preview_counts_what_would_be_told_and_changes_nothing(house):
    house.staff("王伟")
    house.staff("李娜")
    house.staff("赵敏", with_user=False)
    found = preview(on=DUE + dt.timedelta(days=1), at=morning(1))
    assert [(line.step.days, line.step.to, line.people, line.duties, line.without_sign_in) for line in found.lines] == [
        (1, "employee", 2, 2, False),
        (1, "employee", 1, 1, True),
        (1, "manager", 1, 3, False),
    ]
    assert found.people == 3
    assert not ReminderDue.objects.exists()
    assert send(1).people == 3
    assert preview(on=DUE + dt.timedelta(days=1), at=morning(1)).people == 0
