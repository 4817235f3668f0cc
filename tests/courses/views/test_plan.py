"""The year plan as HR fills it, with forms and with a script; who may, and that a second press changes nothing."""

import re

import pytest
from django.urls import reverse
from django.utils import translation

from core.models import Event
from core.periods import Month
from courses.domain import opening, preparing
from courses.models import Enrolment, PlanLine, Programme
from courses.templatetags.courses_tags import month_names, short_month
from tests.factories.courses import NOVEMBER, local, make_audience, make_course, make_programme
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

NOW = local(2026, 11, 2, 9)
DECEMBER = Month(2026, 12)


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)


@pytest.fixture
def east():
    return make_unit(make_unit(code="G"), code="E", name="东城")


@pytest.fixture
def hr(client, east):
    """Signed in as HR of the east."""
    user = make_user()
    grant(user, "hr", east)
    client.force_login(user)
    return client


@pytest.fixture
def course():
    return make_course(code="A-1", theme="cases", title_en="Cases")


@pytest.fixture
def line(east, course):
    """A published line in December."""
    return make_programme(make_audience(east), plan=[(course, DECEMBER)]).plan.get()


def _page(line, year=2026):
    return reverse("courses:programme_plan", args=[line.programme_id, year])


def _do(client, what, line, data=None, **extra):
    return client.post(reverse(f"courses:{what}_plan_line", args=[line.pk]), data or {}, **extra)


def _plan():
    lines = PlanLine.objects.order_by("month", "course__code")
    return [(one.course.code, str(one.month), one.published_at is not None) for one in lines]


def _undo(client, address):
    """Press the Undo that the page at the address shows."""
    found = re.search(r'action="(/hr/plan/undo/[^"]+)"', client.get(address).content.decode())
    return client.post(found[1])


# --- who --------------------------------------------------------------------------------------------------------------
CHANGES = ["move", "remove", "unpublish"]


def test_pm_m01_the_plan_is_hrs(client, line):
    employee = make_employee(unit=line.programme.audience.scope, with_user=True).user
    readers = [employee]
    for role in ("auditor", "author"):
        user = make_user()
        grant(user, role)
        readers.append(user)
    for user in readers:
        client.force_login(user)
        assert client.get(_page(line)).status_code == 403
        assert client.get(reverse("courses:plan")).status_code == 403
        assert {_do(client, what, line, {"month": "2027-01"}).status_code for what in CHANGES} == {403}
        for name in ("copy_plan", "publish_plan"):
            assert client.post(reverse(f"courses:{name}", args=[line.programme_id, 2026])).status_code == 403
        assert client.post(reverse("courses:undo_plan", args=["x"])).status_code == 403
    assert _plan() == [("A-1", "2026-12", True)]


def test_pm_m01_the_plan_of_another_unit_is_out_of_reach(client, line):
    user = make_user()
    grant(user, "hr", make_unit(code="W"))
    client.force_login(user)
    assert client.get(_page(line)).status_code == 404
    assert client.post(_page(line), {"month": "2026-12", "course": line.course_id}).status_code == 404
    assert client.get(reverse("courses:plan"), {"programme": line.programme_id}).status_code == 404
    assert client.get(reverse("courses:programme", args=[line.programme_id])).status_code == 404
    assert {_do(client, what, line, {"month": "2027-01"}).status_code for what in CHANGES} == {404}
    for name in ("copy_plan", "publish_plan"):
        assert client.post(reverse(f"courses:{name}", args=[line.programme_id, 2026])).status_code == 404
    assert _plan() == [("A-1", "2026-12", True)]


def test_pm_m01_an_undo_is_sealed_and_asks_again_who_presses_it(client, hr, line):
    _do(hr, "remove", line)
    found = re.search(r'action="(/hr/plan/undo/[^"]+)"', hr.get(_page(line)).content.decode())[1]
    assert hr.post(found[:-3] + "xx/").status_code == 404
    stranger = make_user()
    grant(stranger, "hr", make_unit(code="W"))
    client.force_login(stranger)
    assert client.post(found).status_code == 404
    assert _plan() == []


@pytest.mark.parametrize("year", [1999, 2101, 0])
def test_a_year_that_is_none_is_missing(hr, line, year):
    assert hr.get(_page(line, year)).status_code == 404


# --- the way in -------------------------------------------------------------------------------------------------------
def test_the_plan_leads_to_a_programme_and_a_year(hr, east, line):
    other = make_programme(make_audience(east), name="另一个")
    Programme.objects.filter(pk=line.programme_id).update(active=False)
    ways = [
        ({}, [other.pk, 2026]),
        ({"year": "2027"}, [other.pk, 2027]),
        ({"year": "x", "programme": str(line.programme_id)}, [line.programme_id, 2026]),
    ]
    for query, arguments in ways:
        assert hr.get(reverse("courses:plan"), query).url == reverse("courses:programme_plan", args=arguments)


def test_without_a_programme_the_plan_leads_to_the_programmes(hr):
    response = hr.get(reverse("courses:plan"), follow=True)
    assert response.redirect_chain == [(reverse("courses:programmes"), 302)]


def test_a_programme_is_made_for_an_own_audience_only_and_leads_to_its_plan(hr, east):
    own, other = make_audience(east), make_audience(make_unit(code="W"))
    address = reverse("courses:new_programme")
    assert hr.post(address, {"name": "新员工", "audience": other.pk, "active": "on"}).status_code == 422
    saved = hr.post(address, {"name": "新员工", "audience": own.pk, "active": "on"})
    programme = Programme.objects.get()
    assert (programme.audience, saved.url) == (own, reverse("courses:programme_plan", args=[programme.pk, 2026]))


def test_a_programme_that_somebody_changed_is_refused_once_with_what_was_typed(hr, line):
    programme = line.programme
    address = reverse("courses:programme", args=[programme.pk])
    typed = {"name": "我的", "audience": programme.audience_id, "active": "on"}
    seen = hr.get(address).context["seen"]
    Programme.objects.update(name="别人的")
    refused = hr.post(address, {**typed, "seen": seen})
    page = refused.content.decode()
    assert refused.status_code == 422
    assert "别人的" in page and 'value="我的"' in page
    assert Programme.objects.get().name == "别人的"
    assert hr.post(address, {**typed, "seen": refused.context["seen"]}).status_code == 302
    assert Programme.objects.get().name == "我的"
    assert Event.objects.get(chain="months", action="programme changed").before["name"] == "别人的"


def test_the_programmes_say_how_far_the_year_is_planned(hr, line):
    PlanLine.objects.create(programme=line.programme, course=make_course(), month=DECEMBER)
    (row,) = hr.get(reverse("courses:programmes")).context["programmes"]
    assert (row.months_planned, row.drafts) == (1, 1)


# --- the grid ---------------------------------------------------------------------------------------------------------
def test_the_grid_shows_twelve_months_and_what_they_lack(hr, line):
    response = hr.get(_page(line))
    plan = response.context["plan"]
    assert [one.month.month for one in plan.months] == list(range(1, 13))
    assert [month.month for month in plan.without_course] == [11]
    assert f'id="line-{line.pk}"' in response.content.decode()
    assert f'id="m-{DECEMBER}"' in response.content.decode()


def test_the_grid_takes_the_same_queries_for_few_and_many_courses(hr, line, django_assert_max_num_queries):
    hr.get(_page(line))
    with django_assert_max_num_queries(10):
        hr.get(_page(line))
    for number in range(1, 13):
        for _ in range(3):
            PlanLine.objects.create(programme=line.programme, course=make_course(), month=Month(2026, number))
    with django_assert_max_num_queries(10):
        hr.get(_page(line))


def test_a_course_is_added_as_a_draft_and_taken_back(hr, line):
    course = make_course(code="B-2")
    asked = hr.get(_page(line), {"add": "2026-11", "theme": "cases"})
    assert asked.context["form"].initial == {"month": "2026-11", "course": line.course_id}
    added = hr.post(_page(line), {"month": "2026-11", "course": course.pk})
    new = PlanLine.objects.get(course=course)
    assert added.url == f"{_page(line)}#line-{new.pk}"
    assert _plan() == [("B-2", "2026-11", False), ("A-1", "2026-12", True)]
    _undo(hr, _page(line))
    assert _plan() == [("A-1", "2026-12", True)]


def test_a_course_is_not_planned_twice_in_a_month(hr, line):
    assert hr.post(_page(line), {"month": "2026-12", "course": line.course_id}).status_code == 422
    assert _plan() == [("A-1", "2026-12", True)]


@pytest.mark.parametrize(
    "wrong", [{"month": "2026-10"}, {"month": "x"}, {"month": ""}, {"course": "0"}, {"course": "x"}]
)
def test_what_cannot_be_planned_is_refused(hr, line, wrong):
    data = {"month": "2026-12", "course": make_course().pk, **wrong}
    assert hr.post(_page(line), data).status_code == 422
    assert _plan() == [("A-1", "2026-12", True)]


def test_a_course_without_a_required_step_is_not_offered(hr, line):
    bare = make_course(steps=0)
    assert hr.post(_page(line), {"month": "2026-12", "course": bare.pk}).status_code == 422


def test_a_course_is_moved_and_moved_back(hr, line):
    moved = _do(hr, "move", line, {"month": "2026-11"})
    assert (moved.url, _plan()) == (f"{_page(line)}#line-{line.pk}", [("A-1", "2026-11", True)])
    _do(hr, "move", line, {"month": "2026-11"})
    _undo(hr, _page(line))
    assert _plan() == [("A-1", "2026-12", True)]
    assert Event.objects.filter(action="course moved").count() == 2


def test_a_script_gets_the_plan_and_what_happened_in_one_answer(hr, line):
    response = _do(hr, "move", line, {"month": "2026-11"}, headers={"HX-Request": "true"})
    text = response.content.decode()
    assert (response.status_code, "<html" in text) == (200, False)
    assert ('id="plan"' in text, "/hr/plan/undo/" in text, 'hx-swap-oob="beforeend:#toasts"' in text) == (True,) * 3
    assert response.context["plan"].months[10].cards[0].line == line


@pytest.mark.parametrize(("month", "status"), [("2026-10", 302), ("november", 404), ("", 404)])
def test_a_month_that_passed_or_is_none_moves_nothing(hr, line, month, status):
    assert _do(hr, "move", line, {"month": month}).status_code == status
    assert _plan() == [("A-1", "2026-12", True)]


def test_a_course_is_taken_out_and_put_back_as_it_was(hr, line):
    _do(hr, "remove", line)
    assert _plan() == []
    _undo(hr, _page(line))
    assert _plan() == [("A-1", "2026-12", True)]
    assert _do(hr, "remove", line).status_code == 404  # the old one is gone


def test_an_opened_course_stays_in_the_plan(hr, east, course):
    make_employee(unit=east)
    opened = make_programme(make_audience(east), plan=[(course, NOVEMBER)]).plan.get()
    opening.open_month(month=NOVEMBER, by=None, at=NOW)
    for what in CHANGES:
        response = _do(hr, what, opened, {"month": "2026-12"}, follow=True)
        assert [message.level_tag for message in response.context["messages"]] == ["error"]
    assert _plan() == [("A-1", "2026-11", True)]


def test_a_prepared_course_leaves_with_its_people(hr, east, line):
    make_employee(unit=east)
    preparing.prepare_month(month=DECEMBER, by=None, at=NOW)
    _do(hr, "unpublish", line)
    assert _plan() == [("A-1", "2026-12", True)]
    _do(hr, "remove", line)
    assert (_plan(), Enrolment.objects.get().state) == ([], "withdrawn")


def test_last_year_is_copied_once_and_taken_back(hr, line):
    for number in (3, 11, 12):
        PlanLine.objects.create(programme=line.programme, course=line.course, month=Month(2025, number))
    address = reverse("courses:copy_plan", args=[line.programme_id, 2026])
    assert hr.get(_page(line)).context["plan"].to_copy == 1
    assert hr.post(address).url == _page(line)
    copied = [*[("A-1", f"2025-{month}", False) for month in ("03", "11", "12")]]
    assert _plan() == [*copied, ("A-1", "2026-11", False), ("A-1", "2026-12", True)]
    response = hr.get(_page(line))
    assert (response.context["plan"].to_copy, response.context["plan"].drafts) == (0, 1)
    hr.post(address)
    assert len(_plan()) == 5
    hr.post(reverse("courses:copy_plan", args=[line.programme_id, 2024]))
    assert len(_plan()) == 5
    undo = re.search(r'action="(/hr/plan/undo/[^"]+)"', response.content.decode())[1]
    for _press in range(2):
        assert hr.post(undo).url == _page(line)
    assert _plan() == [*copied, ("A-1", "2026-12", True)]


def test_drafts_are_published_and_taken_back(hr, line):
    PlanLine.objects.create(programme=line.programme, course=make_course(code="B-2"), month=DECEMBER)
    address = reverse("courses:publish_plan", args=[line.programme_id, 2026])
    hr.post(address)
    response = hr.get(_page(line))
    hr.post(address)
    assert _plan() == [("A-1", "2026-12", True), ("B-2", "2026-12", True)]
    assert Event.objects.filter(action="plan published").count() == 1
    hr.post(re.search(r'action="(/hr/plan/undo/[^"]+)"', response.content.decode())[1])
    assert _plan() == [("A-1", "2026-12", True), ("B-2", "2026-12", False)]
    _do(hr, "unpublish", line)
    assert _plan() == [("A-1", "2026-12", False), ("B-2", "2026-12", False)]


@pytest.mark.parametrize(("language", "short", "name"), [("en", "Nov", "November"), ("zh-hans", "11月", "11月")])
def test_a_month_is_named_without_its_year(language, short, name):
    with translation.override(language):
        assert (short_month(NOVEMBER), month_names([NOVEMBER, DECEMBER], "|").split("|")[0]) == (short, name)
