"""Figures for group chats, without names, as of the moment they go out."""

import datetime as dt

import pytest

from core.models import Message
from courses.domain.group_chats import due_chats, remove_group_chat, tell_chats
from courses.domain.tallies import recount
from courses.models import Enrolment, GroupChat
from tests.factories.people import make_unit, make_user
from tests.factories.reminders import DUE, deliver, morning

pytestmark = pytest.mark.django_db


def test_a_group_chat_is_told_figures_and_no_names(house, chat):
    for number in range(3):
        house.staff(f"员{number}", state="completed" if number else "assigned")
    assert tell_chats(on=DUE - dt.timedelta(days=3), at=morning(-3)) == 1
    assert tell_chats(on=DUE - dt.timedelta(days=3), at=morning(-3)) == 0
    message = Message.objects.get()
    assert (message.subject, message.text, message.reference) == (
        "东一网点完成进度",
        "《销售礼仪》（11月30日截止）：3项中已完成2项（66.6%），还有1项未完成。",
        f"unit:{house.branch.pk}",
    )
    assert tell_chats(on=DUE, at=morning(0)) == 1


def test_a_chat_hears_when_all_are_done_and_nothing_of_units_without_duties(house, chat):
    house.staff(state="completed")
    GroupChat.objects.create(unit=make_unit(house.group), robot=chat.robot)
    tell_chats(on=DUE, at=morning(0))
    assert list(Message.objects.values_list("text", flat=True)) == [
        "《销售礼仪》（今天截止）：1项已全部完成，感谢大家！"
    ]


def test_figures_held_back_over_night_are_those_of_the_morning(house, chat, monkeypatch):
    said = []
    monkeypatch.setattr("core.messaging.robots.post", lambda **values: said.append(values["text"]))
    duty, _other = house.staff("王伟"), house.staff("李娜")
    other = GroupChat.objects.create(unit=house.group, robot=chat.robot)
    night = morning(0).replace(hour=22)
    recount(run=house.run)
    assert tell_chats(on=DUE, at=night) == 2
    deliver(night)
    assert said == []
    Enrolment.objects.filter(pk=duty.pk).update(
        state="completed", completed_at=night, on_time=True, unit_done=house.branch
    )
    recount(run=house.run)
    remove_group_chat(chat=other, by=make_user(), at=night)
    deliver(morning(1).replace(hour=8))
    assert said == ["《销售礼仪》（11月30日已截止）：2项中已完成1项（50.0%），还有1项未完成。"]
    messages = Message.objects.order_by("reference").values_list("reference", "state", "text")
    expected = [(f"unit:{house.group.pk}", "dropped", messages[0][2]), (f"unit:{house.branch.pk}", "sent", said[0])]
    assert sorted(messages) == sorted(expected)


def test_old_figures_and_robots_that_are_off_say_nothing(house, chat):
    house.staff()
    assert len(due_chats(on=DUE + dt.timedelta(days=3), at=morning(3))) == 1
    assert due_chats(on=DUE + dt.timedelta(days=4), at=morning(4)) == []
    chat.robot.active = False
    chat.robot.save()
    assert due_chats(on=DUE, at=morning(0)) == []
