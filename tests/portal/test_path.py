"""The path to 100 %: one reason and one owner for each missing person, and pages down to names."""

import datetime as dt
import re

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import translation

from assessments.domain.attempts import quiz_of
from assessments.models import Attempt
from core.periods import Month
from courses.domain.matters import find_matters
from courses.models import CourseRun, DutyRequest, Enrolment, Nudge
from people.domain.access import Actor
from people.models import Employee, Invitation, Placement
from portal import path, path_views
from portal.path import Action, Owner, Reason
from tests.factories.assessments import make_quiz, make_quiz_step
from tests.factories.courses import make_course, make_enrolment, make_run
from tests.factories.people import grant, make_employee, make_leave, make_unit, make_user

pytestmark = pytest.mark.django_db

MONTH = Month(2026, 11)


@pytest.fixture(autouse=True)
def today(monkeypatch, at):
    """Wednesday 18 November 2026, 10:00."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: at.astimezone(dt.UTC))
    cache.clear()
    with translation.override("en"):
        yield at


@pytest.fixture
def house():
    """A group of two branches; a manager in the first, HR and an auditor elsewhere."""
    group = make_unit(name="集团", name_en="Group")
    west, east = make_unit(group, name_en="Hangzhou West"), make_unit(group, name_en="Hangzhou East")
    office = make_unit(group, name_en="Office")
    people = {"group": group, "west": west, "east": east, "run": make_run(make_course(title_en="Etiquette"))}
    people["manager"] = make_employee(west, with_user=True, name="周文静")
    for role in ("hr", "auditor", "author", "admin"):
        people[role] = make_employee(office, with_user=True)
        grant(people[role].user, role, group if role == "hr" else None)
    people["other_hr"] = make_employee(office, with_user=True)
    grant(people["other_hr"].user, "hr", east)
    return people


@pytest.fixture
def as_(client):
    def sign_in(employee):
        client.force_login(employee.user, backend="people.sign_in.EmployeeNumberBackend")
        client.cookies["django_language"] = "en"
        return client

    return sign_in


def _one(house, **fields):
    """Somebody of the west with a duty that nobody began."""
    employee = make_employee(house["west"], house["manager"], with_user=True, **fields)
    return make_enrolment(employee, house["run"])


def _missing(house, at, who="hr", month=MONTH):
    actor = Actor(user=house[who].user, on=at.date())
    duties = path.missing_duties(people=None, month=month)
    ids = list(path.missing_numbers(duties))
    return path.missing_people(employees=ids, duties=duties, month=month, at=at, actor=actor)


def _only(house, at, **kwargs):
    (found,) = _missing(house, at, **kwargs)
    return found.reason, found.owner, found.words, found.action and found.action.label


# --- the one reason -------------------------------------------------------------------------------------------------------
def test_nothing_done_is_the_last_reason(house, at):
    enrolment = _one(house)
    assert _only(house, at) == (Reason.NOT_BEGUN, Owner.EMPLOYEE, "nothing done yet; due on 30 November", "Nudge")
    (found,) = _missing(house, at)
    assert (found.duties, found.courses) == ([enrolment], ["Etiquette"])


def test_begun_says_how_far_and_when_last_seen(house, at):
    enrolment = _one(house)
    Enrolment.objects.filter(pk=enrolment.pk).update(
        state="in_progress", steps_done=1, started_at=at - dt.timedelta(days=4), changed_at=at
    )
    assert _only(house, at)[:3] == (Reason.BEGUN, Owner.EMPLOYEE, "1 of 3 steps, last seen 4 days ago")
    step = house["run"].steps.first().step
    enrolment.completions.create(step=step, at=at - dt.timedelta(days=1))
    assert _only(house, at)[2] == "1 of 3 steps, last seen yesterday"


def test_overdue_comes_before_begun(house, at):
    enrolment = _one(house)
    due = at - dt.timedelta(days=3)
    Enrolment.objects.filter(pk=enrolment.pk).update(state="in_progress", due_at=due, changed_at=at)
    assert _only(house, at)[:3] == (Reason.OVERDUE, Owner.EMPLOYEE, "was due on 15 November; 0 of 3 steps")


def test_new_is_who_joined_this_month(house, at):
    _one(house, hired_on=dt.date(2026, 11, 1))
    assert _only(house, at) == (Reason.NEW, Owner.MANAGER, "joined on 1 November", "Nudge")
    Employee.objects.update(hired_on=dt.date(2026, 10, 31))
    assert _only(house, at)[0] == Reason.NOT_BEGUN


def test_moved_here_recently_comes_before_new(house, at):
    employee = _one(house, hired_on=dt.date(2026, 11, 1)).employee
    Placement.objects.filter(employee=employee).update(ends_on=dt.date(2026, 11, 9), unit=house["east"])
    Placement.objects.create(employee=employee, unit=house["west"], starts_on=dt.date(2026, 11, 10))
    assert _only(house, at)[:3] == (Reason.MOVED, Owner.MANAGER, "moved here on 10 November")
    # Another post in the same unit is no move, nor is one of long ago.
    Placement.objects.filter(employee=employee, ends_on=None).update(unit=house["east"])
    assert _only(house, at)[0] == Reason.NEW


def test_who_did_not_pass_is_the_managers(house, at):
    course = make_course()
    step = make_quiz_step(make_quiz(attempts_allowed=3), course=course)
    run = make_run(course)
    enrolment = make_enrolment(make_employee(house["west"], house["manager"], with_user=True), run)
    quiz = quiz_of(step=step)
    for number in (1, 2, 3):
        Attempt.objects.create(
            enrolment=enrolment,
            step=step,
            quiz=quiz,
            number=number,
            state="submitted",
            rules={},
            started_at=at,
            submitted_at=at,
            max_score=5,
            passed=False,
        )
        if number == 2:
            expected = (Reason.STUCK, Owner.MANAGER, "2 attempts, not passed yet", "Give more time")
            assert _only(house, at) == expected
    assert _only(house, at) == (Reason.STUCK, Owner.MANAGER, "3 attempts, none left", "Open the record")


def test_who_asked_waits_for_the_manager_or_for_hr(house, at):
    enrolment = _one(house)
    asked = DutyRequest.objects.create(
        enrolment=enrolment, kind="extension", code="workload", text="", until=dt.date(2026, 12, 5), asked_at=at
    )
    assert _only(house, at) == (Reason.ASKED, Owner.MANAGER, "asked for time until 5 December", "Decide")
    DutyRequest.objects.filter(pk=asked.pk).update(kind="exemption", until=None)
    assert _only(house, at) == (Reason.ASKED, Owner.HR, "asked to be exempt", "Decide")
    assert _only(house, at, who="manager")[3] == "Open the record"  # a manager does not exempt
    DutyRequest.objects.filter(pk=asked.pk).update(state="refused", decided_at=at)
    assert _only(house, at)[0] == Reason.NOT_BEGUN


def test_on_leave_is_nobodys_move_now(house, at):
    employee = _one(house).employee
    make_leave(employee, dt.date(2026, 11, 16), dt.date(2026, 11, 20))
    assert _only(house, at) == (Reason.ON_LEAVE, Owner.NOBODY, "back on 21 November", None)
    make_leave(employee, dt.date(2026, 11, 21), dt.date(2026, 12, 2))  # joins on to it
    words = "back on 3 December, after the due day"
    assert _only(house, at) == (Reason.ON_LEAVE, Owner.NOBODY, words, "Exempt")
    assert _only(house, at, who="manager")[3] is None


def test_a_leave_that_begins_tomorrow_is_none_today(house, at):
    make_leave(_one(house).employee, dt.date(2026, 11, 19), dt.date(2026, 11, 30))
    assert _only(house, at)[0] == Reason.NOT_BEGUN


def test_who_cannot_sign_in_is_hrs(house, at):
    employee = make_employee(house["west"], house["manager"])
    make_enrolment(employee, house["run"])
    assert _only(house, at) == (Reason.NO_SIGN_IN, Owner.HR, "has no sign-in yet", "Invite")
    assert _only(house, at, who="manager")[3] is None
    until = at + dt.timedelta(hours=5)
    Invitation.objects.create(employee=employee, token_hash="x", created_at=at, expires_at=until)
    expected = "invited, the link is good until 18 November 2026, 15:00"
    assert _only(house, at)[2:] == (expected, "Invite again")
    Employee.objects.filter(pk=employee.pk).update(state="suspended")
    assert _only(house, at)[2:] == ("is suspended", "Look at the sign-in")
    Employee.objects.filter(pk=employee.pk).update(state="active", user=make_user(is_active=False))
    assert _only(house, at)[2:] == ("the sign-in is locked", "Look at the sign-in")


def test_who_left_is_the_first_reason(house, at):
    employee = _one(house).employee
    Employee.objects.filter(pk=employee.pk).update(state="left", left_on=dt.date(2026, 11, 9), user=None)
    found = _only(house, at)
    assert found[:3] == (Reason.LEFT, Owner.HR, "left on 9 November; the duty is still open")
    assert found[3] == "Open the record"  # left before the due day: withdrawn without asking


def test_pm_m05_who_left_after_the_due_day_is_settled_on_the_desk(house, at, as_):
    employee = _one(house, employee_no="777").employee
    CourseRun.objects.update(due_at=at - dt.timedelta(days=9))
    Employee.objects.filter(pk=employee.pk).update(state="left", left_on=dt.date(2026, 11, 12), user=None)
    (found,) = _missing(house, at)
    address = reverse("courses:matters") + "?kind=leaver&q=777"
    assert (found.reason, found.action) == (Reason.LEFT, Action("Settle", address))
    find_matters(at=at)
    assert [row["employee"] for row in as_(house["hr"]).get(address).context["rows"]] == [employee]
    for who in ("manager", "auditor", "other_hr"):  # not theirs to settle
        assert _only(house, at, who=who)[3] == "Open the record"


def test_reasons_go_by_their_published_order(house, at):
    """Everything at once: taken away one by one from the front, the next reason shows."""
    course = make_course()
    step = make_quiz_step(make_quiz(attempts_allowed=3), course=course)
    employee = make_employee(house["west"], house["manager"], hired_on=dt.date(2026, 11, 2))
    enrolment = make_enrolment(employee, make_run(course), state="in_progress", due_at=at - dt.timedelta(days=1))
    Placement.objects.filter(employee=employee).update(unit=house["east"], ends_on=dt.date(2026, 11, 4))
    move = Placement.objects.create(employee=employee, unit=house["west"], starts_on=dt.date(2026, 11, 5))
    leave = make_leave(employee, at.date(), at.date())
    asked = DutyRequest.objects.create(
        enrolment=enrolment, kind="exemption", code="other", text="", until=None, asked_at=at
    )
    attempt = Attempt.objects.create(
        enrolment=enrolment,
        step=step,
        quiz=quiz_of(step=step),
        number=1,
        state="submitted",
        rules={},
        started_at=at,
        submitted_at=at,
        max_score=5,
        passed=False,
    )
    person, duty = Employee.objects.filter(pk=employee.pk), Enrolment.objects.filter(pk=enrolment.pk)
    person.update(state="left", left_on=dt.date(2026, 11, 17))
    takes_away = [
        lambda: person.update(state="active", left_on=None),
        lambda: person.update(user=make_user()),
        leave.delete,
        lambda: DutyRequest.objects.filter(pk=asked.pk).update(state="taken_back", decided_at=at),
        lambda: Attempt.objects.filter(pk=attempt.pk).update(state="voided"),
        lambda: Placement.objects.filter(pk=move.pk).update(unit=house["east"]),
        lambda: person.update(hired_on=dt.date(2025, 1, 1)),
        lambda: duty.update(due_at=house["run"].due_at, changed_at=at),
        lambda: duty.update(state="assigned", changed_at=at),
    ]
    seen = [_only(house, at)[0]]
    for take_away in takes_away:
        take_away()
        seen.append(_only(house, at)[0])
    assert seen == [
        "left",
        "no_sign_in",
        "on_leave",
        "asked",
        "stuck",
        "moved",
        "new",
        "overdue",
        "begun",
        "not_begun",
    ]


def test_pm_t03_who_is_hr_of_another_unit_exempts_nobody_here(house, at):
    """The manager is HR of the east as well: in the west that gives no right."""
    grant(house["manager"].user, "hr", house["east"])
    for unit, manager in ((house["west"], house["manager"]), (house["east"], None)):
        employee = make_employee(unit, manager, with_user=True)
        make_enrolment(employee, house["run"])
        make_leave(employee, at.date(), dt.date(2026, 12, 20))
    actions = [one.action and one.action.label for one in _missing(house, at, who="manager")]
    assert actions == [None, "Exempt"]


def test_a_person_with_two_duties_is_one_row_with_the_weightier_reason(house, at):
    first = _one(house)
    second = make_enrolment(first.employee, make_run(make_course(title_en="Safety")), state="in_progress")
    (found,) = _missing(house, at)
    assert (found.reason, found.duties) == (Reason.BEGUN, [first, second])


def test_who_is_done_excused_or_takes_part_by_choice_is_not_missing(house, at):
    for state in ("completed", "exempt", "withdrawn"):
        make_enrolment(make_employee(house["west"]), house["run"], state=state)
    make_enrolment(make_employee(house["west"]), house["run"], voluntary=True)
    make_enrolment(make_employee(house["west"]), make_run(state="planned"))
    assert _missing(house, at) == []


# --- the one action -------------------------------------------------------------------------------------------------------
def test_pm_m03_who_may_not_nudge_gets_the_record(house, at):
    _one(house)
    assert _only(house, at, who="manager")[3] == "Nudge"
    assert _only(house, at, who="auditor")[3] == "Open the record"


def test_who_was_nudged_today_is_left_alone(house, at):
    employee = _one(house).employee
    Nudge.objects.create(employee=employee, by=house["manager"].user, at=at, on=at.date())
    assert _only(house, at, who="manager")[3] == "Nudged today"


def test_ones_own_duty_is_continued(house, at):
    enrolment = make_enrolment(house["hr"], house["run"])
    (found,) = _missing(house, at)
    assert found.action == Action("Continue", reverse("courses:overview", args=[enrolment.pk]), "play")


def test_a_month_that_takes_no_work_any_more_has_nothing_to_nudge_for(house, at):
    run = make_run(month="2026-08", state="closed")
    make_enrolment(make_employee(house["west"], house["manager"], with_user=True), run)
    found = _only(house, at, month=Month(2026, 8))
    assert (found[0], found[3]) == (Reason.OVERDUE, "Open the record")


def test_people_stand_by_owner_and_reason_in_the_published_order(house, at):
    _one(house)
    _one(house, hired_on=dt.date(2026, 11, 3))
    make_enrolment(make_employee(house["west"]), house["run"])
    make_leave(_one(house).employee, at.date(), at.date())
    groups = path.grouped(_missing(house, at))
    assert [(group.owner, group.reason, len(group.people)) for group in groups] == [
        (Owner.HR, Reason.NO_SIGN_IN, 1),
        (Owner.MANAGER, Reason.NEW, 1),
        (Owner.EMPLOYEE, Reason.NOT_BEGUN, 1),
        (Owner.NOBODY, Reason.ON_LEAVE, 1),
    ]


def test_missing_people_take_the_same_queries_for_one_and_for_many(house, at):
    def number():
        with CaptureQueriesContext(connection) as caught:
            _missing(house, at)
        return len(caught)

    _one(house)
    one = number()
    for place in range(6):
        enrolment = _one(house, hired_on=dt.date(2026, 11, 1 + place))
        make_leave(enrolment.employee, at.date(), at.date())
    make_enrolment(make_employee(house["west"]), house["run"])
    assert number() == one <= 20


# --- the pages ------------------------------------------------------------------------------------------------------------
def _text(response):
    return " ".join(response.text.split())


def _path(house, unit="west", name="unit_path", month="2026-11"):
    return reverse(f"portal:{name}", args=[month, house[unit].pk])


def test_the_sentence_comes_first_with_what_is_to_be_expected(house, as_):
    people = [make_employee(house["west"], house["manager"], with_user=True) for _ in range(4)]
    for back in (1, 2, 3):
        run = make_run(house["run"].course, MONTH.plus(-back))
        for place, person in enumerate(people):
            days = -2 if place == back else 1
            make_enrolment(person, run, state="completed", completed_at=run.due_at - dt.timedelta(days=days))
    for place, person in enumerate(people):
        make_enrolment(person, house["run"], state="assigned" if place else "completed")
    for address, who in ((_path(house), "hr"), (reverse("portal:team_path"), "manager")):
        response = as_(house[who]).get(address)
        forecast = response.context["forecast"]
        assert (forecast.assigned, forecast.in_time, forecast.open, forecast.months) == (4, 1, 3, 3)
        assert "3 people decide whether" in _text(response)
        assert "At the present pace between" in _text(response)
        assert "<svg" in response.text
        assert "In time so far: 1 of 4" in _text(response)


def test_without_history_no_number_is_foretold(house, as_):
    _one(house)
    text = _text(as_(house["hr"]).get(_path(house)))
    assert "1 person decides whether Hangzhou West reaches 100 %." in text
    assert "There is not enough history to foretell how it ends: 0 earlier months, and it takes three." in text


def test_everybody_done_and_nothing_owed_are_said(house, as_):
    make_enrolment(make_employee(house["west"]), house["run"], state="completed")
    client = as_(house["hr"])
    assert "Everybody is done." in _text(client.get(_path(house)))
    assert "Nothing is owed here in this month" in _text(client.get(_path(house, "east")))


def test_pm_x01_the_path_of_a_unit_is_for_its_hr_and_for_auditors(house, as_):
    _one(house)
    for who, status in {
        "hr": 200,
        "auditor": 200,
        "other_hr": 404,
        "manager": 403,
        "author": 403,
        "admin": 403,
    }.items():
        client = as_(house[who])
        assert client.get(_path(house)).status_code == status, who
        assert client.get(_path(house, name="unit_path_rows")).status_code == status, who
    assert as_(house["other_hr"]).get(_path(house, "east")).status_code == 200
    assert as_(house["other_hr"]).get(_path(house, "group")).status_code == 404


def test_pm_t05_the_path_of_a_team_holds_the_own_people(house, as_):
    mine = _one(house).employee
    below = make_enrolment(make_employee(house["west"], mine, with_user=True), house["run"]).employee
    make_enrolment(make_employee(house["west"], with_user=True), house["run"])
    client = as_(house["manager"])
    assert [one.employee for group in client.get("/team/path/").context["groups"] for one in group.people] == [mine]
    groups = client.get("/team/path/?level=all").context["groups"]
    assert [one.employee for group in groups for one in group.people] == [mine, below]
    assert as_(house["admin"]).get("/team/path/").status_code == 403


def test_a_month_that_is_none_or_to_come_is_missing(house, as_):
    client = as_(house["hr"])
    for month in ("2026-13", "x", "2026-12", "1990-01"):
        assert client.get(_path(house, month=month)).status_code == 404
        assert client.get("/team/path/", {"month": month}).status_code == 404


def test_units_below_stand_by_how_many_people_they_are_short(house, as_):
    for _number in range(3):
        make_enrolment(make_employee(house["east"]), house["run"])
    _one(house)
    make_enrolment(make_employee(house["group"]), house["run"])
    make_enrolment(house["auditor"], house["run"], state="completed")
    response = as_(house["hr"]).get(_path(house, "group"))
    rows = [
        (row.unit, row.short, row.own, row.figures.completed, row.figures.assigned) for row in response.context["rows"]
    ]
    assert rows == [(house["east"], 3, False, 0, 3), (house["group"], 1, True, 0, 1), (house["west"], 1, False, 0, 1)]
    assert response.context["deciding"] == 5
    assert "1 unit is at 100 %." in _text(response)
    assert len([one for group in response.context["names"]["groups"] for one in group.people]) == 5


def test_a_unit_opens_in_place_down_to_names(house, as_, monkeypatch):
    shop = make_unit(house["west"], name_en="Shop")
    clerk = make_enrolment(make_employee(shop, with_user=True), house["run"]).employee
    head = _one(house).employee
    client = as_(house["hr"])
    top = {"top": house["group"].pk}
    opened = client.get(_path(house, name="unit_path_rows"), top)
    assert [(row.unit, row.short, row.own, row.depth) for row in opened.context["rows"]] == [
        (house["west"], 1, True, 2),
        (shop, 1, False, 2),
    ]
    own = client.get(_path(house, name="unit_path_rows"), {**top, "own": "1"})
    assert [one.employee for group in own.context["names"]["groups"] for one in group.people] == [head]
    leaf = client.get(reverse("portal:unit_path_rows", args=["2026-11", shop.pk]), top)
    assert [one.employee for group in leaf.context["names"]["groups"] for one in group.people] == [clerk]
    assert client.get(_path(house, name="unit_path_rows"), {"top": shop.pk}).status_code == 404
    # A unit with many missing people lists units only; its own people have a page of theirs.
    monkeypatch.setattr(path_views, "NAMES", 1)
    assert client.get(_path(house)).context["names"] is None
    page = client.get(_path(house) + "?own=1")
    assert [one.employee for group in page.context["names"]["groups"] for one in group.people] == [head]


def test_who_moved_out_of_the_readers_units_is_counted_and_not_named(house, as_):
    enrolment = make_enrolment(make_employee(house["east"], with_user=True), house["run"])
    Employee.objects.filter(pk=enrolment.employee_id).update(unit=house["west"])
    response = as_(house["other_hr"]).get(_path(house, "east"))
    assert response.context["names"]["groups"] == []
    assert "1 more has moved out of your units since it was due" in _text(response)


def test_path_pages_take_the_same_queries_for_one_and_for_many(house, as_):
    def numbers():
        found = []
        for who, address in (("hr", _path(house, "group")), ("manager", "/team/path/")):
            client = as_(house[who])
            client.get(address)
            with CaptureQueriesContext(connection) as caught:
                client.get(address)
            found.append(len(caught))
        return found

    october = make_run(house["run"].course, "2026-10")
    make_enrolment(_one(house).employee, october, state="completed")
    before = numbers()
    for _number in range(4):
        make_enrolment(_one(house).employee, october, state="completed")
        make_enrolment(make_employee(make_unit(house["group"])), house["run"])
    assert numbers() == before
    assert max(before) <= 42


def test_names_are_paged(house, as_, monkeypatch):
    monkeypatch.setattr(path_views, "NAMES", 2)
    for _number in range(3):
        _one(house)
    client = as_(house["hr"])
    first, second = client.get(_path(house)), client.get(_path(house), {"page": "2"})
    sizes = [sum(len(group.people) for group in one.context["names"]["groups"]) for one in (first, second)]
    assert (sizes, first.context["deciding"]) == ([2, 1], 3)
    assert "All 3 names" in _text(client.get(_path(house, name="unit_path_rows")))


def test_desk_team_and_completion_lead_to_the_path(house, as_):
    _one(house)
    client = as_(house["hr"])
    for address in (reverse("portal:hr_desk"), reverse("courses:completion_unit", args=["2026-11", house["group"].pk])):
        text = client.get(address).text
        assert f'href="{_path(house, "group")}"' in text
        assert f'href="{_path(house)}"' in text
    text = as_(house["manager"]).get(reverse("portal:my_team")).text
    assert f"{reverse('portal:team_path')}?month=2026-11" in text
    text = as_(house["author"]).get(reverse("courses:completion_unit", args=["2026-11", house["group"].pk])).text
    assert "/hr/path/" not in text


def test_one_tap_reminds_a_person_or_a_whole_group(house, as_):
    """The buttons post what the nudge takes: ids of people the reader may nudge, and the way back."""
    people = [_one(house).employee for _ in range(3)]
    Nudge.objects.create(
        employee=people[2], by=house["manager"].user, at=dt.datetime.now(dt.UTC), on=dt.date(2026, 11, 18)
    )
    response = as_(house["manager"]).get("/team/path/?level=all")
    (group,) = response.context["groups"]
    assert group.to_nudge == people[:2]
    forms = re.findall(r'<form method="post" action="/nudge/">(.*?)</form>', response.text, re.DOTALL)
    posted = [re.findall(r'name="employee" value="(\d+)"', form) for form in forms]
    assert posted == [[str(one.pk) for one in people[:2]], *([str(one.pk)] for one in people[:2])]
    assert all('name="next" value="/team/path/?level=all"' in form for form in forms)
    assert "Nudge all 2" in response.text
    fragment = as_(house["hr"]).get(_path(house, name="unit_path_rows")).text
    answer = as_(house["manager"]).post(reverse("courses:nudge"), {"employee": posted[0], "next": "/team/path/"})
    assert (answer.status_code, answer.url) == (302, "/team/path/")
    assert set(Nudge.objects.values_list("employee", flat=True)) == {one.pk for one in people}
    assert fragment.count("csrfmiddlewaretoken") == fragment.count('action="/nudge/"') == 3
