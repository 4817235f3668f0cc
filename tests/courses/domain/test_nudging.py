"""Nudges by hand, with a limit."""

import datetime as dt

import pytest
from django.core import mail as outbox

from core.models import Event, Message
from courses.domain import nudging
from courses.domain.exceptions import exempt_enrolment
from courses.domain.nudging import Skip, TooManyAtOnce, nudge
from courses.models import Enrolment, Nudge
from people.models import Employee
from tests.factories.courses import make_course, make_enrolment, make_run
from tests.factories.people import make_leave, make_user
from tests.factories.reminders import DUE, deliver, morning

pytestmark = pytest.mark.django_db


def _nudge(house, people, days=-5, by=None):
    names = [one.employee.name if isinstance(one, Enrolment) else one.name for one in people]
    at = morning(days)
    report = nudge(people=Employee.objects.filter(name__in=names), by=by or house.manager.user, at=at)
    return [one.name for one in report.nudged], {one.name: why for one, why in report.skipped}


def test_a_nudge_is_a_line_and_a_mail_that_says_who_asks(house):
    assert _nudge(house, [house.staff()]) == (["王伟"], {})
    page, mail = Message.objects.order_by("-channel")
    assert page.text == "主管请您完成未完成的课程。待完成：《销售礼仪》，11月30日截止"
    assert page.text_other.startswith("主管 asks you to finish what is open. To finish: “Sales etiquette”, due on")
    assert mail.subject == "待完成：《销售礼仪》，11月30日截止"
    assert "主管请您完成未完成的课程。\n· 《销售礼仪》：11月30日截止，尚未开始" in mail.text
    [event] = Event.objects.filter(chain="reminders")
    assert (event.action, event.actor) == ("nudged", house.manager.user)


def test_who_is_skipped_is_said_with_the_reason(house):
    away = house.staff("假")
    make_leave(away.employee, DUE - dt.timedelta(days=9), DUE)
    people = [
        house.staff("开"),
        house.staff("完", state="completed"),
        house.staff("免", state="exempt"),
        away,
        house.staff("无", with_user=False),
        house.staff("停", state="assigned"),
    ]
    Employee.objects.filter(name="停").update(state="suspended")
    assert _nudge(house, people) == (
        ["开"],
        {"完": Skip.DONE, "免": Skip.DONE, "假": Skip.AWAY, "无": Skip.NO_SIGN_IN, "停": Skip.GONE},
    )


def test_a_person_is_nudged_once_a_day_and_three_times_in_seven_days(house):
    person = [house.staff()]
    other = make_user()
    results = [_nudge(house, person, days)[1].get("王伟", "told") for days in (-20, -19, -18, -17, -14, -13, -12)]
    assert results == ["told", "told", "told", Skip.WEEK, Skip.WEEK, "told", "told"]
    assert _nudge(house, person, -12, by=other) == ([], {"王伟": Skip.TODAY})


def test_two_taps_at_the_same_moment_tell_once(house, monkeypatch):
    enrolment = house.staff()
    skip = nudging._reasons_to_skip

    def slow(*values):
        found = skip(*values)
        Nudge.objects.create(employee=enrolment.employee, by=make_user(), at=morning(-5), on=morning(-5).date())
        return found

    monkeypatch.setattr(nudging, "_reasons_to_skip", slow)
    assert _nudge(house, [enrolment]) == ([], {"王伟": Skip.TODAY})
    assert not Message.objects.exists()


def test_a_nudge_in_the_night_waits_with_its_mail(house):
    house.staff()
    nudge(people=Employee.objects.filter(name="王伟"), by=house.manager.user, at=morning(-5).replace(hour=23))
    assert list(Message.objects.order_by("channel").values_list("channel", "not_before")) == [
        ("mail", morning(-4).replace(hour=8)),
        ("page", morning(-5).replace(hour=23)),
    ]


def test_a_nudge_to_somebody_who_is_done_by_then_is_dropped(house):
    enrolment = house.staff()
    _nudge(house, [enrolment])
    exempt_enrolment(enrolment=enrolment, by=make_user(), at=morning(-5), reason="x")
    deliver(morning(-5))
    assert set(Message.objects.values_list("state", flat=True)) == {"dropped"}


def test_a_nudge_of_the_night_names_only_what_is_open_in_the_morning(house):
    mine = house.staff()
    other = make_enrolment(mine.employee, make_run(make_course(steps=1, title_zh="谈判")))
    night = morning(-1).replace(hour=23)
    nudge(people=Employee.objects.filter(name="王伟"), by=house.manager.user, at=night)
    exempt_enrolment(enrolment=other, by=make_user(), at=night, reason="x")
    deliver(morning(0).replace(hour=8))
    [mail] = outbox.outbox
    assert (mail.subject, mail.body.count("·"), "主管请您完成未完成的课程。" in mail.body) == (
        "待完成：《销售礼仪》，今天截止",
        1,
        True,
    )


def test_too_many_people_are_refused(house, monkeypatch):
    monkeypatch.setattr(nudging, "MOST_NUDGED", 1)
    people = [house.staff("甲"), house.staff("乙")]
    with pytest.raises(TooManyAtOnce) as refused:
        _nudge(house, people)
    assert (refused.value.people, Nudge.objects.count()) == (2, 0)


def test_nudging_takes_the_same_queries_for_one_and_for_many(house, django_assert_num_queries):
    _nudge(house, [house.staff("始")])  # the chain of events begins with the first nudge
    house.staff("甲0")
    with django_assert_num_queries(18):
        nudge(people=Employee.objects.filter(name__startswith="甲"), by=house.manager.user, at=morning(-5))
    for number in range(6):
        house.staff(f"乙{number}")
    with django_assert_num_queries(18):
        nudge(people=Employee.objects.filter(name__startswith="乙"), by=house.manager.user, at=morning(-5))
