"""The pages of closing a month, of a closed month, and of figures of any day."""

import csv
import datetime as dt
import io

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from core.models import Job
from courses.domain import closing, exceptions, progress
from courses.models import ClosedFigure, MonthClose, SignOff, Tally
from people.domain.units import move_unit
from tests.factories.courses import NOVEMBER, local, make_course, make_enrolment, make_run
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

NOW = local(2026, 12, 5, 9)
CLOSE = reverse("courses:close_month", args=[NOVEMBER])
CLOSED = reverse("courses:closed_month", args=[NOVEMBER])


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)


class World:
    """A group with an east of two branches and a west; a manager in the east; a person for every role."""

    def __init__(self):
        self.group = make_unit(name="集团", name_en="Group", code="G")
        self.east, self.west = (
            make_unit(self.group, name="东城", code="E"),
            make_unit(self.group, name="西城", code="W"),
        )
        self.one, self.two = make_unit(self.east, name="东一", code="E1"), make_unit(self.east, name="东二", code="E2")
        self.manager = make_employee(unit=self.east, with_user=True, name="主管")
        self.run = make_run(make_course(steps=1, code="ETQ-01", title_zh="销售礼仪", title_en="Etiquette"))
        self.step = self.run.course.steps.get()

        def duty(unit, number, **fields):
            person = make_employee(
                unit=unit, manager=fields.pop("manager", None), employee_no=number, name=f"员{number}"
            )
            return make_enrolment(person, self.run, **fields)

        self.duties = [duty(self.one, f"1{n}", state="completed", manager=self.manager) for n in range(5)]
        self.duties += [duty(self.one, "15", manager=self.manager), duty(self.two, "20"), duty(self.west, "30")]
        self.users = {"manager": self.manager.user}
        for name, role, unit in (
            ("hr", "hr", self.group),
            ("hr east", "hr", self.east),
            ("hr west", "hr", self.west),
            ("auditor", "auditor", None),
            ("author", "author", None),
            ("admin", "admin", None),
        ):
            self.users[name] = make_user(username=name)
            grant(self.users[name], role, unit)
        self.users["employee"] = make_employee(unit=self.one, with_user=True).user

    def close(self):
        close = closing.begin_close(month=NOVEMBER, by=self.users["hr"], at=NOW)
        closing.sign_below(close=close, unit=self.group, by=self.users["hr"], at=NOW)
        closing.sign_off(close=close, unit=self.group, by=self.users["hr"], at=NOW)
        closing.close_month(close=close, by=self.users["hr"], at=NOW)
        return close


@pytest.fixture
def world():
    return World()


@pytest.fixture
def as_(client, world):
    def sign_in(name):
        client.force_login(world.users[name])
        return client

    return sign_in


def _act(name, *units):
    return reverse(f"courses:{name}", args=[NOVEMBER, *(unit.pk for unit in units)])


def _rows(response):
    return [(row.unit.code, row.standing, row.may_sign, row.may_take_back) for row in response.context["rows"]]


def _said(response):
    return [str(message) for message in response.wsgi_request._messages]


# --- who may ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["manager", "auditor", "author", "admin", "employee"])
def test_pm_m06_closing_is_for_hr(as_, world, name):
    client = as_(name)
    assert client.get(CLOSE).status_code == 403
    for act in ("begin_close", "call_off_close", "recount_month", "finish_close"):
        assert client.post(_act(act)).status_code == 403
    for act in ("sign_unit", "sign_below", "take_back_signature", "take_back_below"):
        assert client.post(_act(act, world.one)).status_code == 403
    assert not MonthClose.objects.exists()


def test_pm_m06_hr_signs_units_of_the_role_and_only_hr_of_a_root_begins_and_closes(as_, world):
    client = as_("hr east")
    for act in ("begin_close", "call_off_close", "finish_close"):
        assert client.post(_act(act)).status_code == 404
    closing.begin_close(month=NOVEMBER, by=None, at=NOW)
    for act in ("sign_unit", "sign_below", "take_back_signature", "take_back_below"):
        for unit in (world.west, world.group):
            assert client.post(_act(act, unit)).status_code == 404
    assert client.get(f"{CLOSE}?unit={world.west.pk}").status_code == 404
    assert client.get(f"{CLOSE}?unit=x").status_code == 404
    assert client.get(f"{CLOSE}?unit={world.one.pk}").status_code == 200
    assert client.post(_act("sign_unit", world.one)).status_code == 302
    assert SignOff.objects.values_list("unit__code", "by__username").get() == ("E1", "hr east")


def test_pm_m06_a_month_is_recounted_by_hr_of_the_whole_company_until_it_is_closed(as_, world):
    Tally.objects.filter(run=world.run, unit=world.west).update(assigned=7)
    client = as_("hr east")
    client.post(_act("begin_close"))
    assert not [item for item in client.get(CLOSE).context["items"] if item["may_recount"]]
    assert _said(client.post(_act("recount_month")))[-1] == "没有重新计数：只有最上级单位的人力资源可以重新计数。"
    assert Tally.objects.get(run=world.run, unit=world.west).assigned == 7
    client = as_("hr")
    assert [item["key"] for item in client.get(CLOSE).context["items"] if item["may_recount"]] == ["drift"]
    client.post(_act("recount_month"))
    assert Tally.objects.get(run=world.run, unit=world.west).assigned == 1
    world.close()
    Tally.objects.filter(run=world.run, unit=world.west).update(assigned=7)
    assert _said(client.post(_act("recount_month")))[-1] == "没有重新计数：本月已月结，数字已封存。"
    assert Tally.objects.get(run=world.run, unit=world.west).assigned == 7


def test_changes_are_posts(as_, world):
    client = as_("hr")
    for act in ("begin_close", "call_off_close", "recount_month", "finish_close"):
        assert client.get(_act(act)).status_code == 405
    assert client.get(_act("sign_unit", world.one)).status_code == 405


# --- closing step by step -----------------------------------------------------------------------------------------------
def test_the_way_through_a_closing_offers_one_next_act_after_the_other(as_, world):
    client = as_("hr")
    assert client.get(CLOSE).context["next"]["post"] == _act("begin_close")
    assert client.post(_act("begin_close")).url == CLOSE
    page = client.get(CLOSE)
    assert page.context["next"]["post"] == _act("sign_below", world.group)
    assert page.context["may_call_off"]
    assert _rows(page) == [
        ("G", "waiting", False, False), ("E", "waiting", False, False), ("W", "ready", True, False),
    ]  # fmt: skip
    assert client.post(_act("sign_unit", world.west), {"note": "两人休假"}).status_code == 302
    page = client.get(CLOSE)
    assert _rows(page)[2] == ("W", "signed", False, True)
    assert not page.context["may_call_off"]
    client.post(_act("sign_below", world.group))
    assert client.get(CLOSE).context["next"]["post"] == _act("sign_unit", world.group)
    client.post(_act("sign_unit", world.group))
    assert client.get(CLOSE).context["next"]["post"] == _act("finish_close")
    assert client.post(_act("finish_close")).url == CLOSED
    page = client.get(CLOSE)
    assert (page.context["closed"], page.context["next"]["link"]) == (True, CLOSED)
    signed = SignOff.objects.order_by("pk").values_list("unit__code", "signed_from__code", "note")
    assert list(signed) == [("W", None, "两人休假"), ("E", "G", ""), ("E1", "G", ""), ("E2", "G", ""), ("G", None, "")]


def test_refusals_are_said_in_words_and_change_nothing(as_, world):
    client = as_("hr")
    client.post(_act("begin_close"))
    for act, units, words in (
        ("sign_unit", [world.east], "还不能进行：须先签署东一、东二。"),
        ("finish_close", [], "还不能进行：须先签署集团。"),
        ("take_back_signature", [world.one], "该单位的签署已不存在。"),
    ):
        assert _said(client.post(_act(act, *units)))[-1] == words
    assert not SignOff.objects.exists()
    client.post(_act("sign_below", world.group))
    client.post(_act("sign_unit", world.group))
    exceptions.exempt_enrolment(enrolment=world.duties[7], by=world.users["hr"], at=NOW, reason="借调")
    said = _said(client.post(_act("finish_close")))[-1]
    assert said == "集团、西城的数字在签署后有变动，请重新签署后再月结。"
    assert _said(client.post(_act("take_back_signature", world.west)))[-1] == "上级集团已签署，须先收回它的签署。"
    assert _said(client.post(_act("call_off_close")))[-1] == "已有单位签署。请先收回签署，再取消月结。"
    assert MonthClose.objects.get().state == "signing"


def test_undo_takes_back_what_the_toast_offers(as_, world):
    client = as_("hr")
    client.post(_act("begin_close"))
    client.post(_act("sign_below", world.group))
    assert SignOff.objects.count() == 4
    client.post(_act("take_back_below", world.group))
    assert SignOff.objects.count() == 0
    client.post(_act("call_off_close"))
    assert MonthClose.objects.count() == 0


def test_before_the_due_day_the_page_says_when(as_, world, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: local(2026, 11, 20, 9))
    page = as_("hr").get(CLOSE)
    assert "post" not in page.context["next"]
    assert "11月30日" in page.context["next"]["text"]
    assert as_("hr").get(reverse("courses:close_month", args=["2026-08"])).status_code == 200
    assert as_("hr").get("/hr/months/nonsense/close/").status_code == 404


def test_the_page_names_on_whom_it_waits(as_, world):
    as_("hr").post(_act("begin_close"))
    rows = {row.unit.code: row for row in as_("hr").get(CLOSE).context["rows"]}
    assert (rows["E"].waits_words, rows["E"].on_whom) == ("等待东一、东二", "hr east")
    assert (rows["W"].waits_words, rows["W"].on_whom) == ("", "hr west")


def test_the_closing_page_takes_the_same_queries_for_few_and_many_units(as_, world, django_assert_num_queries):
    client = as_("hr")
    client.post(_act("begin_close"))
    client.get(CLOSE)
    for _round in range(2):
        with django_assert_num_queries(18):
            assert client.get(CLOSE).status_code == 200
        for _number in range(5):
            make_enrolment(make_employee(unit=make_unit(make_unit(world.group))), world.run)


# --- the closed month ---------------------------------------------------------------------------------------------------
def test_pm_x01_the_closed_month_is_seen_as_completion_is(as_, world):
    assert as_("hr").get(CLOSED).status_code == 404  # not closed yet
    world.close()
    for name, statuses in {
        "hr": (200, 200, 200), "hr east": (200, 200, 404), "auditor": (200, 200, 200), "author": (200, 200, 200),
        "manager": (200, 404, 404), "employee": (403, 403, 403), "admin": (403, 403, 403),
    }.items():  # fmt: skip
        client = as_(name)
        addresses = (CLOSED, _act("closed_unit", world.one), _act("closed_unit", world.west))
        assert tuple(client.get(address).status_code for address in addresses) == statuses, name


def _figures(response):
    return [(row.one.code, row.own, row.closed.completed, row.adjusted.completed) for row in response.context["rows"]]


def test_the_closed_month_shows_what_stood_and_what_came_since(as_, world):
    world.close()
    later = NOW + dt.timedelta(days=1)
    progress.complete_step(enrolment=world.duties[6], step=world.step, at=later)
    exceptions.exempt_enrolment(enrolment=world.duties[7], by=world.users["hr west"], at=later, reason="借调")
    move_unit(unit=world.two, under=world.west, by=None, at=later)
    page = as_("hr").get(CLOSED)
    assert _figures(page) == [("E", False, 5, 6), ("W", False, 0, 0)]
    closed, adjusted = page.context["closed"], page.context["adjusted"]
    assert (closed.rate, closed.on_time_rate, closed.assigned) == ("62.5", "62.5", 8)
    assert (adjusted.rate, adjusted.on_time_rate, adjusted.assigned) == ("85.7", "71.4", 7)
    rows = [
        (row["employee"].employee_no, row["before"]["label"], row["now"]["label"], row["by"], row["why"])
        for row in page.context["changes"]
    ]
    assert rows == [("20", "待学习", "补学完成", "员20", ""), ("30", "待学习", "免修", "hr west", "借调")]
    east = as_("hr").get(_act("closed_unit", world.east))  # the branch that moved away since belongs here
    assert _figures(east) == [("E1", False, 5, 5), ("E2", False, 0, 1)]
    assert [row["employee"].employee_no for row in east.context["changes"]] == ["20"]
    assert page.context["close"].digest in page.text
    assert page.context["signatures"][0]["label"] == "集团"


def test_pm_x01_names_of_adjustments_are_those_of_people_in_reach(as_, world):
    world.close()
    later = NOW + dt.timedelta(days=1)
    for number in (5, 6, 7):
        progress.complete_step(enrolment=world.duties[number], step=world.step, at=later)

    def numbers(name):
        page = as_(name).get(CLOSED)
        return [row["employee"].employee_no for row in page.context["changes"]]

    assert (numbers("hr"), numbers("auditor")) == (["15", "20", "30"], ["15", "20", "30"])
    assert (numbers("hr east"), numbers("hr west")) == (["15", "20"], ["30"])
    assert (numbers("manager"), numbers("author")) == (["15"], [])
    page = as_("manager").get(CLOSED)
    assert (page.context["closed"].completed, page.context["adjusted"].completed) == (5, 6)
    assert page.context["unit"] is None


def test_who_sees_counts_only_sees_none_over_fewer_than_five_people(as_, world):
    world.close()
    page = as_("author").get(_act("closed_unit", world.west))
    assert page.context["hidden"]
    assert not page.context["names"]
    rows = {row.one.code: row.hidden for row in as_("author").get(CLOSED).context["rows"]}
    assert rows == {"E": False, "W": True}


def test_the_seal_can_be_checked(as_, world):
    world.close()
    address = reverse("courses:check_seal", args=[NOVEMBER, world.group.pk])
    client = as_("hr")
    assert client.get(CLOSED).context["check"] is None
    assert client.get(address).status_code == 405
    assert as_("hr east").post(address).status_code == as_("manager").post(address).status_code == 404
    client = as_("hr")
    for _twice in range(2):
        assert client.post(address).url == reverse("courses:closed_unit", args=[NOVEMBER, world.group.pk]) + "#the-seal"
    page = client.get(CLOSED)
    assert page.context["check"] == closing.SealCheck(NOW, sound=True)
    assert "2026年12月5日" in page.content.decode()
    assert Job.objects.count() == 1


def test_looking_at_closing_counts_no_duties_and_says_what_counting_found(as_, world, monkeypatch):
    Tally.objects.filter(run=world.run, unit=world.west).update(assigned=7)
    client = as_("hr")
    client.get(CLOSE)
    counted = client.get(CLOSE).context["items"][-1]
    assert (counted["key"], counted["count"], counted["counted"]) == ("drift", 0, None)
    client.post(_act("recount_month"))
    world.close()

    def never(**_kwargs):
        raise AssertionError("every duty is counted")

    for name in ("tallies.count", "count_at", "drift", "verify_close"):
        monkeypatch.setattr(f"courses.domain.closing.{name}", never)
    (closed, page) = (client.get(f"{CLOSED}?check=1"), client.get(CLOSE))
    assert (closed.status_code, page.status_code) == (200, 200)
    counted = page.context["items"][-1]["counted"]
    assert (counted.at, counted.differences) == (NOW, 1)


def test_the_closed_month_takes_the_same_queries_for_few_and_many(as_, world, django_assert_num_queries):
    for _number in range(3):
        make_enrolment(make_employee(unit=make_unit(world.east)), world.run)
    world.close()
    client = as_("hr")
    client.get(CLOSED)
    for number in (5, 6):
        progress.complete_step(enrolment=world.duties[number], step=world.step, at=NOW + dt.timedelta(days=1))
        with django_assert_num_queries(18):
            assert client.get(CLOSED).status_code == 200


def test_the_completion_page_of_a_closed_month_leads_to_it(as_, world):
    page = reverse("courses:completion_unit", args=[NOVEMBER, world.group.pk])
    names = reverse("courses:completion_people", args=[NOVEMBER])
    assert CLOSED not in as_("hr").get(page).text
    world.close()
    assert CLOSED in as_("hr").get(page).text
    assert CLOSED in as_("manager").get(names).text
    assert CLOSED in as_("hr").get(reverse("courses:months")).text
    assert CLOSE in as_("hr").get(reverse("courses:month", args=[NOVEMBER])).text


def test_the_desk_says_what_can_be_closed_or_signed(as_, world):
    def matters(name):
        found = as_(name).get(reverse("portal:hr_desk")).context["matters"]
        return [(one.title, one.url) for one in found if one.url == CLOSE]

    assert matters("hr") == [("1个月可以月结", CLOSE)]
    assert matters("hr east") == []
    as_("hr").post(_act("begin_close"))
    assert matters("hr") == [("2026年11月：5个单位等待签署", CLOSE)]
    assert matters("hr east") == [("2026年11月：3个单位等待签署", CLOSE)]
    as_("hr").post(_act("sign_below", world.group))
    as_("hr").post(_act("sign_unit", world.group))
    assert matters("hr") == [("2026年11月可以正式月结", CLOSE)]
    assert matters("hr east") == []
    as_("hr").post(_act("finish_close"))
    assert matters("hr") == []


# --- files --------------------------------------------------------------------------------------------------------------
def _csv(response):
    return list(csv.reader(io.StringIO(b"".join(response.streaming_content).decode("utf-8-sig"))))


def _status(response):
    response.getvalue()  # a file is closed when it was read
    return response.status_code


def test_pm_x02_closed_figures_as_a_file(as_, world):
    world.close()
    address = reverse("courses:closed_export", args=[NOVEMBER, world.east.pk, "csv"])
    rows = _csv(as_("hr east").get(address))
    assert [row[1:4] + row[5:10] + row[12:] for row in rows[1:]] == [
        ["E", "东城", "ETQ-01", "7", "5", "5", "0", "0", "71.4", "71.4"],
        ["E1", "东一", "ETQ-01", "6", "5", "5", "0", "0", "83.3", "83.3"],
        ["E2", "东二", "ETQ-01", "1", "0", "0", "0", "0", "0.0", "0.0"],
    ]
    readers = ("hr", "hr west", "auditor", "manager", "author")
    statuses = {name: _status(as_(name).get(address)) for name in readers}
    assert statuses == {"hr": 200, "hr west": 404, "auditor": 200, "manager": 404, "author": 403}
    book = as_("hr").get(reverse("courses:closed_export", args=[NOVEMBER, world.east.pk, "xlsx"]))
    assert b"".join(book.streaming_content)[:2] == b"PK"


def test_pm_x02_adjustments_as_a_file_hold_the_people_in_reach(as_, world):
    world.close()
    for number in (5, 6):
        progress.complete_step(enrolment=world.duties[number], step=world.step, at=NOW + dt.timedelta(days=1))
    address = reverse("courses:closed_changes_export", args=[NOVEMBER, "csv"])
    assert [row[0] for row in _csv(as_("hr").get(address))] == ["工号", "15", "20"]
    assert [row[0] for row in _csv(as_("manager").get(address))] == ["工号", "15"]
    assert as_("author").get(address).status_code == 403


def test_pm_x02_the_signed_report_is_a_pdf(as_, world):
    world.close()
    address = _act("closed_report", world.east)
    response = as_("hr east").post(address)
    assert (response.status_code, response["Content-Type"], response.content[:5]) == (200, "application/pdf", b"%PDF-")
    assert as_("hr west").post(address).status_code == 404
    assert as_("author").post(address).status_code == 403
    assert as_("manager").post(address).status_code == 404
    assert as_("hr").get(address).status_code == 405


def test_a_long_report_is_drawn_by_a_job_in_parts(
    as_, world, monkeypatch, settings, tmp_path, django_capture_on_commit_callbacks
):
    monkeypatch.setattr("courses.views.closed_month.AT_ONCE", 2)
    monkeypatch.setattr("courses.closed_report.AT_ONCE", 2)
    world.close()
    with django_capture_on_commit_callbacks(execute=True):
        response = as_("hr").post(_act("closed_report", world.group))
    job = Job.objects.get(kind="courses.closed_report")
    assert (job.state, job.total) == ("done", 3)  # five units, two at a time
    assert response.url == reverse("courses:closed_report_job", args=[job.pk])
    client = as_("hr")
    assert client.get(response.url).status_code == 200
    file = client.get(reverse("courses:closed_report_file", args=[job.pk]))
    assert b"".join(file.streaming_content)[:5] == b"%PDF-"
    for name, status in (("hr east", 404), ("auditor", 404), ("author", 403)):
        assert as_(name).get(response.url).status_code == status


# --- any day ------------------------------------------------------------------------------------------------------------
def test_pm_x01_figures_of_any_day_and_any_tree(as_, world):
    progress.complete_step(enrolment=world.duties[6], step=world.step, at=local(2026, 12, 2, 9))
    move_unit(unit=world.two, under=world.west, by=None, at=local(2026, 12, 3, 9))

    def figures(name="hr", **query):
        page = as_(name).get(reverse("courses:as_of", args=[NOVEMBER]), query)
        assert page.status_code == 200
        return [(row["label"], row["then"].completed, row["then"].assigned) for row in page.context["rows"]]

    assert figures(day="2026-12-01") == [("集团", 5, 8), ("东城", 5, 7), ("西城", 0, 1)]
    assert figures(day="2026-12-02") == [("集团", 6, 8), ("东城", 6, 7), ("西城", 0, 1)]
    assert figures(day="2026-12-03") == [("集团", 6, 8), ("东城", 5, 6), ("西城", 1, 2)]
    assert figures(day="2026-12-03", layout="2026-12-02") == [("集团", 6, 8), ("东城", 6, 7), ("西城", 0, 1)]
    assert figures("hr east", day="2026-12-02") == [("东城", 6, 7), ("东一", 5, 6), ("东二", 1, 1)]
    assert figures(day="2026-10-01") == [("集团", 0, 0), ("东城", 0, 0), ("西城", 0, 0)]


def test_figures_of_any_day_refuse_what_is_no_past_day(as_, world):
    address = reverse("courses:as_of", args=[NOVEMBER])
    for query in ({"day": "2026-12-06"}, {"day": "x"}, {"day": ""}, {"day": "2026-12-01", "layout": "2027-01-01"}):
        assert as_("hr").get(address, query).status_code == 422
    assert as_("hr").get(address).status_code == 200
    assert as_("hr east").get(address, {"day": "2026-12-01", "unit": world.west.pk}).status_code == 404
    assert as_("hr east").get(address, {"day": "2026-12-01", "unit": "x"}).status_code == 404


@pytest.mark.parametrize(("name", "status"), [("auditor", 200), ("author", 200), ("manager", 403), ("employee", 403)])
def test_pm_x01_figures_of_any_day_are_for_who_sees_units(as_, world, name, status):
    assert as_(name).get(reverse("courses:as_of", args=[NOVEMBER])).status_code == status


# --- the command --------------------------------------------------------------------------------------------------------
def test_the_command_closes_a_month_and_may_be_run_twice(world, capsys):
    for _time in range(2):
        call_command("close_month", "2026-11", begin=True, sign_all=True, close=True, verify=True)
    assert "2026-11: was closed before" in capsys.readouterr().out
    assert (MonthClose.objects.get().state, ClosedFigure.objects.count()) == ("closed", 5)
    call_command("close_month", "2026-11")
    assert "2026-11: closed" in capsys.readouterr().out


def test_the_command_says_what_hinders(world, monkeypatch):
    with pytest.raises(CommandError, match="has not begun"):
        call_command("close_month", "2026-11", close=True)
    call_command("close_month", "2026-11", begin=True)
    with pytest.raises(CommandError, match="not signed: G"):
        call_command("close_month", "2026-11", close=True)
    with pytest.raises(CommandError, match="is not closed"):
        call_command("close_month", "2026-11", verify=True)
    with pytest.raises(CommandError, match="no course was opened"):
        call_command("close_month", "2026-08", begin=True)
    with pytest.raises(CommandError, match="not a month"):
        call_command("close_month", "x")
