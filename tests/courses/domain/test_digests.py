"""One digest a person a day: what it says, that it keeps quiet at night, and is true when it goes out."""

import datetime as dt

import pytest
from django.core import mail as outbox
from django.utils import timezone, translation

from core.messaging import retry
from core.models import Message, Notice
from courses.domain import digests
from courses.domain.exceptions import exempt_enrolment, extend_due
from courses.domain.reminders import send_reminders
from courses.domain.reminders_due import find_due
from courses.models import Enrolment, LadderStep, ReminderDue
from people.models import Employee
from tests.factories.courses import local, make_course, make_enrolment, make_run
from tests.factories.people import make_leave, make_user
from tests.factories.reminders import DUE, deliver, morning, send

pytestmark = pytest.mark.django_db


def _mails():
    return [(message.user.employee.name, message.subject) for message in Message.objects.filter(channel="mail")]


def test_one_digest_a_day_bundles_everything(house):
    other = make_run(make_course(steps=1, title_zh="谈判", title_en="Negotiation"))
    mine = house.staff("王伟", employee_no="000100")
    make_enrolment(mine.employee, other, due_at=local(2026, 11, 29, 20))
    make_enrolment(house.manager, house.run)
    house.staff("李娜", state="in_progress", steps_done=2, employee_no="000101")
    report = send(1)
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
        send(0)
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
    send(1)
    text = Message.objects.get(channel="mail", user=house.manager.user).text
    assert "李娜（东一网点）：《销售礼仪》，11月30日已截止，休假至12月9日" in text
    assert "赵敏（东一网点）：《销售礼仪》，11月30日已截止，还不能登录，需人力资源发出邀请" in text


def test_a_long_list_is_cut_in_the_mail_and_in_the_line(house):
    for number in range(33):
        house.staff(f"员{number:02d}", with_user=False, employee_no=f"0002{number:02d}")
    send(1)
    mail = Message.objects.get(channel="mail", user=house.manager.user)
    assert mail.text.count("· ") == 30
    assert "……另有3人，见页面。" in mail.text
    page = Message.objects.get(channel="page", user=house.manager.user)
    assert page.text == "您的团队还有33人未完成：员00、员01、员02等，另有30人"


def test_a_step_can_be_told_in_the_page_only(house):
    LadderStep.objects.filter(to="employee", days=0).update(by_mail=False)
    house.staff()
    send(0)
    assert list(Message.objects.values_list("channel", flat=True)) == ["page"]


def test_without_an_address_there_is_no_mail(house):
    house.staff(email="")
    send(0)
    assert list(Message.objects.values_list("channel", flat=True)) == ["page"]


def test_telling_takes_the_same_queries_for_one_and_for_many(house, django_assert_num_queries):
    house.staff()
    with django_assert_num_queries(21):
        send(1)
    for number in range(6):
        house.staff(f"新{number}", manager=house.person(f"管{number}", manager=house.chief))
    with django_assert_num_queries(21):
        assert send(2).people == 12


def test_many_people_are_told_batch_by_batch(house, monkeypatch):
    monkeypatch.setattr(digests, "BATCH", 2)
    for number in range(5):
        house.staff(f"员{number}")
    assert send(0).people == 5
    assert Message.objects.filter(channel="page").count() == 5


def test_a_round_that_another_worker_is_doing_is_left_to_it(house, monkeypatch):
    house.staff()
    find_due(on=DUE, at=morning(0))
    digest = digests._digest

    def slow(rows, **values):
        ReminderDue.objects.update(told_at=morning(0), digest="digest-2026-11-30")
        return digest(rows, **values)

    monkeypatch.setattr(digests, "_digest", slow)
    assert digests.tell(on=DUE, at=morning(0)).people == 0
    assert not Message.objects.exists()


def test_a_digest_made_in_the_quiet_hours_waits_and_is_dropped_when_done_by_then(house):
    done, still_open = house.staff("王伟"), house.staff("李娜")
    night = morning(0).replace(hour=22)
    send_reminders(on=DUE, at=night)
    mails = Message.objects.filter(channel="mail")
    assert {mail.not_before for mail in mails} == {morning(1).replace(hour=8)}
    deliver(night)
    assert outbox.outbox == []
    assert Notice.objects.count() == 2  # the page disturbs nobody
    exempt_enrolment(enrolment=done, by=make_user(), at=night, reason="x")
    deliver(morning(1).replace(hour=7, minute=59))
    assert outbox.outbox == []
    deliver(morning(1).replace(hour=8))
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
    deliver(morning(2).replace(hour=8))
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
    deliver(morning(1).replace(hour=8))
    assert _text_of(duty.employee)[:2] == ("sent", "待完成：《销售礼仪》，11月30日已截止")


def test_a_digest_sent_again_by_hand_names_only_what_is_owed_then(house):
    mine = house.staff()
    other = make_enrolment(mine.employee, make_run(make_course(steps=1, title_zh="谈判")))
    send(0)
    Message.objects.filter(channel="mail").update(state="failed", tries=1, ended_at=morning(0))
    exempt_enrolment(enrolment=other, by=make_user(), at=morning(0), reason="x")
    retry(message=Message.objects.get(channel="mail"), by=make_user(), at=morning(2))
    deliver(morning(2))
    assert [mail.subject for mail in outbox.outbox] == ["待完成：《销售礼仪》，11月30日已截止"]
    assert "谈判" not in outbox.outbox[0].body


def test_the_line_in_the_page_names_only_who_still_owes(house):
    done, _open = house.staff("王伟", employee_no="000100"), house.staff("李娜", employee_no="000101")
    send(1)
    exempt_enrolment(enrolment=done, by=make_user(), at=morning(1), reason="x")
    deliver(morning(1))
    notice = Notice.objects.get(user=house.manager.user)
    assert notice.text_zh == "您的团队还有1人未完成：李娜"
    assert notice.text_en == "1 person of your team has not finished yet: 李娜"


def test_renewing_digests_takes_the_same_queries_for_one_and_for_many(house, django_assert_num_queries):
    house.staff()
    send(1)
    with django_assert_num_queries(5):
        assert len(digests._digests_now(list(Message.objects.all()), morning(1))) == 4
    for number in range(6):
        house.staff(f"新{number}", manager=house.person(f"管{number}", manager=house.chief))
    send(3)
    with django_assert_num_queries(5):
        assert len(digests._digests_now(list(Message.objects.all()), morning(3))) > 20


def test_digests_of_very_many_duties_are_renewed_in_parts(house, monkeypatch):
    for number in range(3):
        house.staff(f"员{number}")
    send(1)
    messages = list(Message.objects.all())
    whole = {pk: (one.subject, one.text) for pk, one in digests._digests_now(messages, morning(1)).items()}
    monkeypatch.setattr(digests, "MOST_ROWS", 1)
    assert len(list(digests._parts(messages, morning(1)))) > 2
    assert {pk: (one.subject, one.text) for pk, one in digests._digests_now(messages, morning(1)).items()} == whole
    assert len(whole) == len(messages) == 8


def test_pg_14_who_changed_team_between_finding_and_telling_is_not_named_to_the_old_manager(house):
    enrolment = house.staff()
    find_due(on=DUE + dt.timedelta(days=1), at=morning(1))
    Employee.objects.filter(pk=enrolment.employee_id).update(manager=house.person("新管", manager=house.chief))
    digests.tell(on=DUE + dt.timedelta(days=1), at=morning(1))
    assert _mails() == [("王伟", "待完成：《销售礼仪》，11月30日已截止")]
