import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from courses.domain import catching_up, opening
from courses.models import Enrolment
from tests.factories.courses import NOVEMBER, local, make_audience, make_course, make_programme
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

FIRST, NOW = local(2026, 11, 1, 8), local(2026, 11, 10, 9)
ADDRESS = "/hr/months/2026-11/catch-up/"


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)


@pytest.fixture
def group():
    return make_unit(code="G", name="集团")


@pytest.fixture
def east(group):
    return make_unit(group, code="E", name="东城")


@pytest.fixture
def west(group):
    return make_unit(group, code="W", name="西城")


@pytest.fixture
def hr(client, east):
    user = make_user()
    grant(user, "hr", east)
    client.force_login(user)
    return client


@pytest.fixture
def run(group, east, west):
    """An open run of the whole group, with one joiner in the east and one in the west since."""
    make_employee(unit=east)
    make_programme(make_audience(group), plan=[(make_course(), NOVEMBER)])
    (report,) = opening.open_month(month=NOVEMBER, by=None, at=FIRST).runs
    make_employee(unit=east, name="东来", hired_on=dt.date(2026, 11, 8))
    make_employee(unit=west, name="西来", hired_on=dt.date(2026, 11, 8))
    return report.run


def test_pm_m01_keeping_up_is_hrs(client, hr, run):
    assert hr.get(ADDRESS).status_code == 200
    for role in ("auditor", "author", None):
        user = make_user()
        if role:
            grant(user, role)
        client.force_login(user)
        assert client.get(ADDRESS).status_code == 403
        assert client.post(ADDRESS).status_code == 403
        assert client.get(f"{ADDRESS}1/joined/").status_code == 403
    assert hr.get("/hr/months/november/catch-up/").status_code in (403, 404)


def test_looking_says_what_would_change_and_changes_nothing(hr, run):
    assert hr.get(ADDRESS).context["now"] is None
    (row,) = hr.get(ADDRESS, {"now": "1"}).context["now"]
    ((line,),) = (row["lines"],)
    assert (row["run"], line["what"], line["number"], [one.name for one in line["first"]]) == (
        run,
        "joined",
        1,
        ["东来"],
    )
    piece = hr.get(ADDRESS, {"now": "1"}, headers={"HX-Request": "true"}).content.decode()
    assert "东来" in piece
    assert "西来" not in piece
    assert "<html" not in piece
    assert Enrolment.objects.count() == 1


def test_the_button_does_it_and_the_round_names_its_people(hr, run):
    assert hr.post(ADDRESS).url == ADDRESS
    response = hr.get(ADDRESS)
    (row,) = response.context["rounds"]
    (one,) = row["runs"]
    assert [(what, number) for what, _words, number in one["counts"]] == [("joined", 1)]
    assert one["waiting"] is None, "the whole company's number is for who runs the whole company"
    address = reverse("courses:catch_up_people", args=[NOVEMBER, one["sequence"], "joined"])
    assert address in response.content.decode()
    page = hr.get(address).content.decode()
    assert "东来" in page
    assert "西来" not in page
    for wrong in (address.replace("joined", "fired"), address.replace("2026-11", "2026-10")):
        assert hr.get(wrong).status_code == 404
    hr.post(ADDRESS)
    assert len(hr.get(ADDRESS).context["rounds"]) == 1, "a second press changes nothing"


def test_the_page_says_when_the_clock_looked(hr, run):
    assert hr.get(ADDRESS).context["looked_at"] is None
    catching_up.catch_up_by_the_clock(at=NOW)
    context = hr.get(ADDRESS).context
    assert (context["looked_at"], context["changed_at"]) == (NOW, NOW)
    assert context["rounds"][0]["by"] is None


def test_a_month_without_an_open_course_has_nothing_to_catch_up(hr, east):
    response = hr.get(ADDRESS)
    assert (response.context["runs"], response.context["rounds"]) == ([], [])
    assert hr.post(ADDRESS).status_code == 302


def test_the_page_takes_the_same_queries_for_one_and_many_rounds(hr, east, run, django_assert_num_queries):
    hr.post(ADDRESS)
    hr.get(ADDRESS)
    with CaptureQueriesContext(connection) as one:
        hr.get(ADDRESS)
    for hour in range(1, 8):
        make_employee(unit=east, hired_on=dt.date(2026, 11, 8))
        catching_up.catch_up(run=run, by=None, at=NOW + dt.timedelta(hours=hour))
    with django_assert_num_queries(len(one)):
        assert len(hr.get(ADDRESS).context["rounds"]) == 8


def test_pm_t01_the_button_counts_the_people_in_reach(client, hr, run, group, west):
    make_employee(unit=west, hired_on=dt.date(2026, 11, 29))
    said = [str(one) for one in hr.post(ADDRESS, follow=True).context["messages"]]
    assert len(said) == 1, "who waits is the whole company's number"
    assert "1" in said[0]
    assert "2" not in said[0]
    assert Enrolment.objects.count() == 3


def test_the_button_counts_everybody_for_hr_of_the_whole_company(client, run, group, west):
    user = make_user()
    grant(user, "hr", group)
    client.force_login(user)
    said = [str(one) for one in client.post(ADDRESS, follow=True).context["messages"]]
    assert len(said) == 1
    assert "2" in said[0]
