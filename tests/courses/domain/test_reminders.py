"""The ladder: who is told what on which day, one digest a person, and nudges with a limit."""

import datetime as dt

import pytest
from django.core import mail as outbox
from django.utils import timezone, translation

from core.messaging import deliver_due, retry
from core.models import Event, Message, Notice, Robot
from courses.domain import reminders
from courses.domain.exceptions import exempt_enrolment, extend_due
from courses.domain.reminders import (
    InQuietHours,
    Skip,
    StepTwice,
    StepValues,
    TooManyAtOnce,
    due_chats,
    find_due,
    give_own_ladder,
    nudge,
    preview,
    remove_group_chat,
    remove_own_ladder,
    save_ladder,
    send_reminders,
    set_up_ladder,
    tell_chats,
    visible_messages,
)
from courses.domain.tallies import recount
from courses.models import Enrolment, GroupChat, Ladder, LadderStep, Nudge, ReminderDue
from people.models import Employee
from tests.factories.courses import local, make_audience, make_course, make_enrolment, make_programme, make_run
from tests.factories.people import grant, make_employee, make_leave, make_unit, make_user
from tests.people.world import actor_for

pytestmark = pytest.mark.django_db

# The run of November 2026 is due on the 30th.
DUE = dt.date(2026, 11, 30)


def morning(days: int) -> dt.datetime:
    """Nine o'clock so many days from the due day."""
    day = DUE + dt.timedelta(days=days)
    return local(day.year, day.month, day.day, 9)


@pytest.fixture(autouse=True)
def by_worker(settings):
    settings.JOBS = "worker"


class House:
    """A branch: chief > manager > staff. Each has a sign-in and an address."""

    def __init__(self):
        self.group = make_unit(name="集团")
        self.branch = make_unit(self.group, name="东一网点")
        self.chief = self.person("总监", unit=self.group)
        self.manager = self.person("主管", manager=self.chief)
        self.run = make_run(make_course(steps=4, code="ETQ-01", title_zh="销售礼仪", title_en="Sales etiquette"))
        self.ladder = set_up_ladder()

    def person(self, name, unit=None, **fields):
        values = {"with_user": True, "email": f"p{Employee.objects.count()}@example.com", **fields}
        return make_employee(unit=unit or self.branch, name=name, **values)

    def staff(self, name="王伟", state="assigned", run=None, due_at=None, steps_done=0, **fields):
        employee = self.person(name, manager=fields.pop("manager", self.manager), **fields)
        more = {"steps_done": steps_done} | ({"due_at": due_at} if due_at else {})
        if state == "completed":
            more.pop("steps_done")
        return make_enrolment(employee, run or self.run, state=state, **more)

    def told(self):
        """{(who the duty is of, days, to): who was told}"""
        return {(row.enrolment.employee.name, row.days, row.to): row.employee.name for row in ReminderDue.objects.all()}


@pytest.fixture
def house():
    return House()


def _send(days, hour=9):
    at = morning(days).replace(hour=hour)
    return send_reminders(on=timezone.localdate(at), at=at)


def _mails():
    return [(message.user.employee.name, message.subject) for message in Message.objects.filter(channel="mail")]


# --- which step -------------------------------------------------------------------------------------------------------
def test_each_step_tells_whom_it_is_for_on_its_day(house):
    house.staff()
    seen = []
    for days in range(-9, 10):
        find_due(on=DUE + dt.timedelta(days=days), at=morning(days))
        seen += [(days, key[1:], who) for key, who in house.told().items()]
        ReminderDue.objects.filter(on=DUE + dt.timedelta(days=days)).update(on=DUE)  # keep, but do not list again
    first = {}
    for days, key, who in seen:
        first.setdefault((key, who), days)
    assert first == {
        ((-7, "employee"), "王伟"): -7,
        ((-3, "employee"), "王伟"): -3,
        ((0, "employee"), "王伟"): 0,
        ((1, "employee"), "王伟"): 1,
        ((1, "manager"), "主管"): 1,
        ((3, "manager"), "主管"): 3,
        ((7, "upper"), "总监"): 7,
    }


def test_after_some_days_without_a_run_only_the_newest_step_is_told(house):
    house.staff()
    find_due(on=DUE + dt.timedelta(days=5), at=morning(5))
    assert house.told() == {("王伟", 1, "employee"): "王伟", ("王伟", 3, "manager"): "主管"}


@pytest.mark.parametrize(
    ("state", "fields"),
    [("completed", {}), ("exempt", {}), ("withdrawn", {}), ("assigned", {"voluntary": True})],
)
def test_nobody_is_reminded_of_what_is_not_owed(house, state, fields):
    make_enrolment(house.person("李娜", manager=house.manager), house.run, state=state, **fields)
    assert find_due(on=DUE, at=morning(0)) == 0


@pytest.mark.parametrize("case", ["planned", "closed", "no longer accepted", "not begun"])
def test_runs_that_take_no_work_are_not_chased(house, case):
    house.staff()
    at = morning(0)
    if case in {"planned", "closed"}:
        house.run.state = case
    elif case == "no longer accepted":
        house.run.accept_until, at = house.run.due_at, morning(3)
    else:
        at = house.run.opens_at - dt.timedelta(days=1)
    house.run.save()
    assert find_due(on=timezone.localdate(at), at=at) == 0


@pytest.mark.parametrize("fields", [{"state": "suspended"}, {"state": "left", "left_on": dt.date(2026, 11, 20)}])
def test_who_is_not_at_work_is_not_chased_and_not_told_on(house, fields):
    make_enrolment(house.person("李娜", manager=house.manager, **fields), house.run)
    assert find_due(on=DUE + dt.timedelta(days=3), at=morning(3)) == 0


def test_who_is_on_leave_is_left_in_peace_and_hears_on_the_first_day_back(house):
    enrolment = house.staff()
    make_leave(enrolment.employee, DUE, DUE + dt.timedelta(days=2))
    for days in (0, 1, 2):
        find_due(on=DUE + dt.timedelta(days=days), at=morning(days))
    assert house.told() == {("王伟", 1, "manager"): "主管"}
    find_due(on=DUE + dt.timedelta(days=3), at=morning(3))
    assert house.told()["王伟", 1, "employee"] == "王伟"


def test_a_manager_on_leave_hears_on_the_first_day_back(house):
    house.staff()
    make_leave(house.manager, DUE, DUE + dt.timedelta(days=4))
    find_due(on=DUE + dt.timedelta(days=4), at=morning(4))
    assert "manager" not in {to for _name, _days, to in house.told()}
    find_due(on=DUE + dt.timedelta(days=5), at=morning(5))
    assert house.told()["王伟", 3, "manager"] == "主管"


def test_a_granted_extension_begins_the_ladder_anew(house):
    enrolment = house.staff()
    find_due(on=DUE, at=morning(0))
    extend_due(enrolment=enrolment, until=dt.date(2026, 12, 10), by=make_user(), at=morning(0), reason="x")
    find_due(on=dt.date(2026, 12, 1), at=morning(1))
    assert ReminderDue.objects.count() == 1  # nothing on the first: it is nine days before the new day
    find_due(on=dt.date(2026, 12, 10), at=morning(10))
    rows = ReminderDue.objects.order_by("due_on").values_list("due_on", "days", "to")
    assert list(rows) == [(DUE, 0, "employee"), (dt.date(2026, 12, 10), 0, "employee")]


def test_who_cannot_sign_in_is_told_to_the_manager(house):
    house.staff("李娜", with_user=False)
    locked = house.staff("赵敏")
    locked.employee.user.is_active = False
    locked.employee.user.save()
    find_due(on=DUE, at=morning(0))
    assert house.told() == {("李娜", 0, "employee"): "主管", ("赵敏", 0, "employee"): "主管"}


def test_a_manager_who_cannot_sign_in_is_told_nothing(house):
    house.staff("李娜", manager=house.person("无号", with_user=False))
    house.staff("赵敏", manager=None)
    find_due(on=DUE + dt.timedelta(days=1), at=morning(1))
    assert house.told() == {("李娜", 1, "employee"): "李娜", ("赵敏", 1, "employee"): "赵敏"}


def test_a_day_begins_at_local_midnight(house):
    house.staff(due_at=local(2026, 12, 1, 0))  # a moment after the 30th, in UTC still the 30th
    find_due(on=DUE, at=morning(0))
    assert house.told() == {("王伟", -3, "employee"): "王伟"}


def test_an_inactive_ladder_chases_nobody(house):
    house.staff()
    Ladder.objects.update(active=False)
    assert find_due(on=DUE, at=morning(0)) == 0


def test_without_a_ladder_nothing_happens(house):
    house.staff()
    Ladder.objects.all().delete()
    report = _send(0)
    assert (report.rows, report.people, Message.objects.count()) == (0, 0, 0)


def test_a_programme_with_steps_of_its_own_is_chased_by_those(house):
    course = make_course(title_zh="谈判")
    programme = make_programme(make_audience(house.group), plan=[(course, house.run.month)])
    own = give_own_ladder(programme=programme, by=None, at=morning(-9))
    own.steps.all().delete()
    LadderStep.objects.create(ladder=own, days=-5, to="employee")
    house.staff("王伟")
    house.staff("李娜", run=make_run(course))
    find_due(on=DUE - dt.timedelta(days=5), at=morning(-5))
    assert house.told() == {("王伟", -7, "employee"): "王伟", ("李娜", -5, "employee"): "李娜"}
    assert remove_own_ladder(programme=programme, by=None, at=morning(-5))
    assert not remove_own_ladder(programme=programme, by=None, at=morning(-5))


def test_finding_takes_the_same_queries_for_one_and_for_many(house, django_assert_num_queries):
    house.staff()
    with django_assert_num_queries(7):
        find_due(on=DUE + dt.timedelta(days=1), at=morning(1))
    ReminderDue.objects.all().delete()
    for number in range(6):
        house.staff(f"新{number}")
    with django_assert_num_queries(7):
        assert find_due(on=DUE + dt.timedelta(days=1), at=morning(1)) == 14


# --- the digest -------------------------------------------------------------------------------------------------------
def test_one_digest_a_day_bundles_everything(house):
    other = make_run(make_course(steps=1, title_zh="谈判", title_en="Negotiation"))
    mine = house.staff("王伟", employee_no="000100")
    make_enrolment(mine.employee, other, due_at=local(2026, 11, 29, 20))
    make_enrolment(house.manager, house.run)
    house.staff("李娜", state="in_progress", steps_done=2, employee_no="000101")
    report = _send(1)
    assert (report.people, report.mails) == (4, 4)  # the chief hears of the manager
    assert sorted(Message.objects.values_list("user__employee__name", "channel")) == [
        (name, channel) for name in sorted(["王伟", "李娜", "主管", "总监"]) for channel in ("mail", "page")
    ]
    texts = {message.user.employee.name: message for message in Message.objects.filter(channel="mail")}
    assert texts["王伟"].subject == "2门课程待完成，最早的11月29日已截止"
    assert texts["王伟"].text == (
        "王伟，您好：\n\n以下课程等您完成：\n"
        "· 《谈判》：11月29日已截止，尚未开始，12月31日前补学仍计入\n"
        "· 《销售礼仪》：11月30日已截止，尚未开始，12月31日前补学仍计入\n\n"
        "继续学习：http://127.0.0.1:8000/my/\n\n"
        "这样的消息每天最多一封，全部完成后不再发送。"
    )
    assert texts["主管"].subject == "待完成：《销售礼仪》，11月30日已截止；您的团队还有2人未完成"
    assert texts["主管"].text == (
        "主管，您好：\n\n以下课程等您完成：\n"
        "· 《销售礼仪》：11月30日已截止，尚未开始，12月31日前补学仍计入\n\n"
        "继续学习：http://127.0.0.1:8000/my/\n\n"
        "您的团队还有2人未完成：\n"
        "· 王伟（东一网点）：《谈判》，11月29日已截止，尚未开始\n"
        "· 王伟（东一网点）：《销售礼仪》，11月30日已截止，尚未开始\n"
        "· 李娜（东一网点）：《销售礼仪》，11月30日已截止，已完成2/4步\n\n"
        "您的团队：http://127.0.0.1:8000/team/\n\n"
        "这样的消息每天最多一封，全部完成后不再发送。"
    )
    page = Message.objects.get(channel="page", user__employee__name="主管")
    assert page.text == "待完成：《销售礼仪》，11月30日已截止；您的团队还有2人未完成：王伟、李娜"
    assert page.text_other == (
        "To finish: “Sales etiquette”, was due on 30 November; 2 people of your team have not finished yet: 王伟, 李娜"
    )


def test_a_digest_is_in_the_receivers_language(house):
    house.staff("Ann", language="en")
    with translation.override("zh-hans"):
        _send(0)
    message = Message.objects.get(channel="mail")
    assert message.subject == "To finish: “Sales etiquette”, due today"
    assert message.text == (
        "Dear Ann,\n\nThis course is waiting for you:\n· “Sales etiquette”: due today, not begun\n\n"
        "Go on learning: http://127.0.0.1:8000/my/\n\n"
        "You get at most one such message a day, and none when everything is done."
    )


def test_a_manager_hears_why(house):
    away = house.staff("李娜", employee_no="000101")
    make_leave(away.employee, DUE, DUE + dt.timedelta(days=9))
    house.staff("赵敏", with_user=False, employee_no="000102")
    _send(1)
    text = Message.objects.get(channel="mail", user=house.manager.user).text
    assert "李娜（东一网点）：《销售礼仪》，11月30日已截止，休假至12月9日" in text
    assert "赵敏（东一网点）：《销售礼仪》，11月30日已截止，还不能登录，需人力资源发出邀请" in text


def test_a_long_list_is_cut_in_the_mail_and_in_the_line(house):
    for number in range(33):
        house.staff(f"员{number:02d}", with_user=False, employee_no=f"0002{number:02d}")
    _send(1)
    mail = Message.objects.get(channel="mail", user=house.manager.user)
    assert mail.text.count("· ") == 30
    assert "……另有3人，见页面。" in mail.text
    page = Message.objects.get(channel="page", user=house.manager.user)
    assert page.text == "您的团队还有33人未完成：员00、员01、员02等，另有30人"


def test_running_twice_changes_nothing(house):
    house.staff()
    _send(1)

    def everything():
        return (list(ReminderDue.objects.values()), list(Message.objects.values()))

    before = everything()
    again = _send(1, hour=15)
    assert (again.rows, again.people, again.chats) == (0, 0, 0)
    assert everything() == before


def test_what_is_new_after_the_digest_of_the_day_waits_for_tomorrow(house):
    enrolment = house.staff()
    _send(0)
    late = make_enrolment(enrolment.employee, make_run(make_course(title_zh="谈判")))
    assert _send(0, hour=15).rows == 1
    assert Message.objects.filter(channel="mail").count() == 1
    _send(1)
    tomorrow = Message.objects.filter(channel="mail", key="digest-2026-12-01", user=enrolment.employee.user).get()
    assert tomorrow.text.count("· ") == 2
    assert ReminderDue.objects.filter(enrolment=late, told_at=None).count() == 0


def test_a_step_can_be_told_in_the_page_only(house):
    LadderStep.objects.filter(to="employee", days=0).update(by_mail=False)
    house.staff()
    _send(0)
    assert list(Message.objects.values_list("channel", flat=True)) == ["page"]


def test_without_an_address_there_is_no_mail(house):
    house.staff(email="")
    _send(0)
    assert list(Message.objects.values_list("channel", flat=True)) == ["page"]


def test_telling_takes_the_same_queries_for_one_and_for_many(house, django_assert_num_queries):
    house.staff()
    with django_assert_num_queries(21):
        _send(1)
    for number in range(6):
        house.staff(f"新{number}", manager=house.person(f"管{number}", manager=house.chief))
    with django_assert_num_queries(21):
        assert _send(2).people == 12


def test_many_people_are_told_batch_by_batch(house, monkeypatch):
    monkeypatch.setattr(reminders, "BATCH", 2)
    for number in range(5):
        house.staff(f"员{number}")
    assert _send(0).people == 5
    assert Message.objects.filter(channel="page").count() == 5


def test_a_round_that_another_worker_is_doing_is_left_to_it(house, monkeypatch):
    house.staff()
    find_due(on=DUE, at=morning(0))
    digest = reminders._digest

    def slow(rows, **values):
        ReminderDue.objects.update(told_at=morning(0), digest="digest-2026-11-30")
        return digest(rows, **values)

    monkeypatch.setattr(reminders, "_digest", slow)
    assert reminders.tell(on=DUE, at=morning(0)).people == 0
    assert not Message.objects.exists()


# --- stops, and keeps quiet -------------------------------------------------------------------------------------------
def test_it_stops_when_done(house):
    enrolment = house.staff()
    _send(-3)
    Enrolment.objects.filter(pk=enrolment.pk).update(
        state="completed", completed_at=morning(-2), on_time=True, unit_done=house.branch
    )
    for days in range(-2, 9):
        assert _send(days).rows == 0


def _deliver(at):
    return deliver_due(at=at, clock=lambda: at)


def test_a_digest_made_in_the_quiet_hours_waits_and_is_dropped_when_done_by_then(house):
    done, still_open = house.staff("王伟"), house.staff("李娜")
    night = morning(0).replace(hour=22)
    send_reminders(on=DUE, at=night)
    mails = Message.objects.filter(channel="mail")
    assert {mail.not_before for mail in mails} == {morning(1).replace(hour=8)}
    _deliver(night)
    assert outbox.outbox == []
    assert Notice.objects.count() == 2  # the page disturbs nobody
    exempt_enrolment(enrolment=done, by=make_user(), at=night, reason="x")
    _deliver(morning(1).replace(hour=7, minute=59))
    assert outbox.outbox == []
    _deliver(morning(1).replace(hour=8))
    assert [mail.to for mail in outbox.outbox] == [[still_open.employee.email]]
    assert sorted(mails.values_list("state", "outcome")) == [("dropped", "needless"), ("sent", "")]


def _text_of(employee):
    message = Message.objects.get(channel="mail", user=employee.user)
    return message.state, message.subject, [line for line in message.text.split("\n") if line.startswith("·")]


def test_a_mail_held_back_over_night_names_only_what_is_owed_in_the_morning_and_as_of_then(house):
    mine = house.staff("王伟", employee_no="000100")
    make_enrolment(mine.employee, make_run(make_course(steps=1, title_zh="谈判")))
    done, extended = house.staff("李娜", employee_no="000101"), house.staff("赵敏", employee_no="000102")
    moved = house.staff("钱进", employee_no="000103")
    night = morning(1).replace(hour=22)
    send_reminders(on=timezone.localdate(night), at=night)
    by = make_user()
    exempt_enrolment(enrolment=mine, by=by, at=night, reason="x")
    Enrolment.objects.filter(pk=done.pk).update(
        state="completed", completed_at=night, on_time=False, unit_done=house.branch
    )
    extend_due(enrolment=extended, until=dt.date(2026, 12, 10), by=by, at=night, reason="x")
    Employee.objects.filter(pk=moved.employee_id).update(manager=house.chief)
    _deliver(morning(2).replace(hour=8))
    assert _text_of(mine.employee) == (
        "sent",
        "待完成：《谈判》，11月30日已截止",
        ["· 《谈判》：11月30日已截止，尚未开始，12月31日前补学仍计入"],
    )
    assert _text_of(house.manager) == (
        "sent",
        "您的团队还有1人未完成",
        ["· 王伟（东一网点）：《谈判》，11月30日已截止，尚未开始"],
    )
    assert {one.to[0]: one.body for one in outbox.outbox}[house.manager.email].count("·") == 1
    assert [_text_of(one.employee)[0] for one in (done, extended, moved)] == ["dropped", "dropped", "sent"]


def test_a_digest_that_waits_past_its_day_says_the_due_day_as_of_the_new_day(house):
    duty = house.staff()
    send_reminders(on=DUE, at=morning(0).replace(hour=22))
    assert _text_of(duty.employee)[1] == "待完成：《销售礼仪》，今天截止"
    _deliver(morning(1).replace(hour=8))
    assert _text_of(duty.employee)[:2] == ("sent", "待完成：《销售礼仪》，11月30日已截止")


def test_a_digest_sent_again_by_hand_names_only_what_is_owed_then(house):
    mine = house.staff()
    other = make_enrolment(mine.employee, make_run(make_course(steps=1, title_zh="谈判")))
    _send(0)
    Message.objects.filter(channel="mail").update(state="failed", tries=1, ended_at=morning(0))
    exempt_enrolment(enrolment=other, by=make_user(), at=morning(0), reason="x")
    retry(message=Message.objects.get(channel="mail"), by=make_user(), at=morning(2))
    _deliver(morning(2))
    assert [mail.subject for mail in outbox.outbox] == ["待完成：《销售礼仪》，11月30日已截止"]
    assert "谈判" not in outbox.outbox[0].body


def test_the_line_in_the_page_names_only_who_still_owes(house):
    done, _open = house.staff("王伟", employee_no="000100"), house.staff("李娜", employee_no="000101")
    _send(1)
    exempt_enrolment(enrolment=done, by=make_user(), at=morning(1), reason="x")
    _deliver(morning(1))
    notice = Notice.objects.get(user=house.manager.user)
    assert notice.text_zh == "您的团队还有1人未完成：李娜"
    assert notice.text_en == "1 person of your team has not finished yet: 李娜"


def test_renewing_digests_takes_the_same_queries_for_one_and_for_many(house, django_assert_num_queries):
    house.staff()
    _send(1)
    with django_assert_num_queries(5):
        assert len(reminders._digests_now(list(Message.objects.all()), morning(1))) == 4
    for number in range(6):
        house.staff(f"新{number}", manager=house.person(f"管{number}", manager=house.chief))
    _send(3)
    with django_assert_num_queries(5):
        assert len(reminders._digests_now(list(Message.objects.all()), morning(3))) > 20


def test_digests_of_very_many_duties_are_renewed_in_parts(house, monkeypatch):
    for number in range(3):
        house.staff(f"员{number}")
    _send(1)
    messages = list(Message.objects.all())
    whole = {pk: (one.subject, one.text) for pk, one in reminders._digests_now(messages, morning(1)).items()}
    monkeypatch.setattr(reminders, "MOST_ROWS", 1)
    assert len(list(reminders._parts(messages, morning(1)))) > 2
    assert {pk: (one.subject, one.text) for pk, one in reminders._digests_now(messages, morning(1)).items()} == whole
    assert len(whole) == len(messages) == 8


# --- whose names ------------------------------------------------------------------------------------------------------
def test_pg_14_no_name_of_another_team_in_any_message(house):
    """Two teams under one chief: each mail holds canaries of people below its receiver only, by the oracle of TRUST."""
    other = house.person("别管", manager=house.chief)
    foreign = house.person("远管", manager=None)
    for manager, prefix in ((house.manager, "甲"), (other, "乙"), (foreign, "丙")):
        for number in range(3):
            house.staff(f"{prefix}{number}CANARY", manager=manager, with_user=number > 0)
    for days in (-7, -3, 0, 1, 3, 7, 9):
        _send(days)
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


def test_pg_14_who_changed_team_between_finding_and_telling_is_not_named_to_the_old_manager(house):
    enrolment = house.staff()
    find_due(on=DUE + dt.timedelta(days=1), at=morning(1))
    Employee.objects.filter(pk=enrolment.employee_id).update(manager=house.person("新管", manager=house.chief))
    reminders.tell(on=DUE + dt.timedelta(days=1), at=morning(1))
    assert _mails() == [("王伟", "待完成：《销售礼仪》，11月30日已截止")]


# --- the preview ------------------------------------------------------------------------------------------------------
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
    assert _send(1).people == 3
    assert preview(on=DUE + dt.timedelta(days=1), at=morning(1)).people == 0


# --- the ladder itself ------------------------------------------------------------------------------------------------
HOURS = {"send_at": dt.time(9), "quiet_from": dt.time(20), "quiet_until": dt.time(8), "active": True}


def test_setting_up_makes_one_ladder_with_the_usual_steps(house):
    assert set_up_ladder() == house.ladder
    assert Ladder.objects.count() == 1
    assert set(house.ladder.steps.values_list("days", "to")) == set(reminders.USUAL_STEPS)


def test_saving_keeps_rows_that_stay_and_writes_one_event(house, at):
    kept = house.ladder.steps.get(days=-3, to="employee").pk
    by = make_user()
    steps = [StepValues(-3, "employee", False), StepValues(2, "manager")]
    save_ladder(ladder=house.ladder, steps=steps, by=by, at=at, **HOURS)
    rows = house.ladder.steps.order_by("days").values_list("days", "to", "by_mail")
    assert list(rows) == [(-3, "employee", False), (2, "manager", True)]
    assert house.ladder.steps.get(days=-3).pk == kept
    save_ladder(ladder=house.ladder, steps=steps, by=by, at=at, **HOURS)  # the same again says nothing new
    [event] = Event.objects.filter(chain="reminders")
    assert (event.action, event.after["steps"]) == (
        "ladder changed",
        [[-3, "employee", False], [2, "manager", True]],
    )


def test_a_step_twice_and_a_digest_in_the_quiet_hours_are_refused(house, at):
    with pytest.raises(StepTwice):
        save_ladder(ladder=house.ladder, steps=[StepValues(1, "manager")] * 2, by=None, at=at, **HOURS)
    for time in (dt.time(7, 59), dt.time(20), dt.time(23)):
        with pytest.raises(InQuietHours):
            save_ladder(ladder=house.ladder, steps=[], by=None, at=at, **{**HOURS, "send_at": time})
    assert house.ladder.steps.count() == len(reminders.USUAL_STEPS)


def test_who_saves_steps_does_not_undo_that_somebody_switched_the_reminders_off(house, at):
    read = Ladder.objects.get()
    Ladder.objects.update(active=False, quiet_from=dt.time(19))  # by somebody else, at the same moment
    saved = save_ladder(
        ladder=read, steps=[StepValues(2, "manager")], by=None, at=at, **{**HOURS, "send_at": dt.time(10)}
    )
    hours = (False, dt.time(10), dt.time(19), dt.time(8))
    assert list(Ladder.objects.values_list("active", "send_at", "quiet_from", "quiet_until")) == [hours]
    assert (saved.active, saved.send_at, saved.quiet_from, saved.quiet_until) == hours
    [event] = Event.objects.filter(chain="reminders")
    assert [(told["active"], told["hours"]) for told in (event.before, event.after)] == [
        (False, ["09:00", "19:00", "08:00"]),
        (False, ["10:00", "19:00", "08:00"]),
    ]


def test_two_who_change_hours_at_the_same_moment_do_not_put_the_digest_into_the_quiet_hours(house, at):
    read = Ladder.objects.get()
    Ladder.objects.update(quiet_from=dt.time(17))
    with pytest.raises(InQuietHours):
        save_ladder(ladder=read, steps=[], by=None, at=at, **{**HOURS, "send_at": dt.time(18)})
    assert house.ladder.steps.count() == len(reminders.USUAL_STEPS)


def test_who_saves_a_ladder_does_not_bring_back_one_that_was_removed(house, at):
    read = Ladder.objects.get()
    Ladder.objects.all().delete()
    with pytest.raises(Ladder.DoesNotExist):
        save_ladder(ladder=read, steps=[], by=None, at=at, **HOURS)
    assert not Ladder.objects.exists()


# --- group chats ------------------------------------------------------------------------------------------------------
@pytest.fixture
def chat(house):
    robot = Robot.objects.create(name="r", kind="wecom", url="https://qyapi.weixin.qq.com/x?key=k")
    return GroupChat.objects.create(unit=house.branch, robot=robot)


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
    _deliver(night)
    assert said == []
    Enrolment.objects.filter(pk=duty.pk).update(
        state="completed", completed_at=night, on_time=True, unit_done=house.branch
    )
    recount(run=house.run)
    remove_group_chat(chat=other, by=make_user(), at=night)
    _deliver(morning(1).replace(hour=8))
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


# --- nudges -----------------------------------------------------------------------------------------------------------
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
    skip = reminders._reasons_to_skip

    def slow(*values):
        found = skip(*values)
        Nudge.objects.create(employee=enrolment.employee, by=make_user(), at=morning(-5), on=morning(-5).date())
        return found

    monkeypatch.setattr(reminders, "_reasons_to_skip", slow)
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
    _deliver(morning(-5))
    assert set(Message.objects.values_list("state", flat=True)) == {"dropped"}


def test_a_nudge_of_the_night_names_only_what_is_open_in_the_morning(house):
    mine = house.staff()
    other = make_enrolment(mine.employee, make_run(make_course(steps=1, title_zh="谈判")))
    night = morning(-1).replace(hour=23)
    nudge(people=Employee.objects.filter(name="王伟"), by=house.manager.user, at=night)
    exempt_enrolment(enrolment=other, by=make_user(), at=night, reason="x")
    _deliver(morning(0).replace(hour=8))
    [mail] = outbox.outbox
    assert (mail.subject, mail.body.count("·"), "主管请您完成未完成的课程。" in mail.body) == (
        "待完成：《销售礼仪》，今天截止",
        1,
        True,
    )


def test_too_many_people_are_refused(house, monkeypatch):
    monkeypatch.setattr(reminders, "MOST_NUDGED", 1)
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


# --- the log ----------------------------------------------------------------------------------------------------------
def test_pm_m04_messages_are_seen_for_the_people_and_chats_of_the_role(house, chat):
    far = make_unit(house.group, name="西城")
    house.staff("近")
    house.staff("远", unit=far)
    _send(0)
    tell_chats(on=DUE, at=morning(0))
    users = {name: make_user() for name in ("hr", "far hr", "auditor", "admin")}
    grant(users["hr"], "hr", house.branch)
    grant(users["far hr"], "hr", far)
    grant(users["auditor"], "auditor")
    grant(users["admin"], "admin")

    def seen(name):
        rows = visible_messages(actor_for(users[name]), "PM-M04").filter(channel__in=["mail", "robot"])
        return sorted(message.user.employee.name if message.user else "群" for message in rows)

    assert {name: seen(name) for name in users} == {
        "hr": ["群", "近"],
        "far hr": ["远"],
        "auditor": ["群", "近", "远"],
        "admin": [],
    }
