import pytest
from django.core.cache import cache
from django.urls import reverse

from core.models import Event, Job
from courses.domain.tallies import recount
from courses.models import CourseRun, Enrolment, PlanLine, Programme
from tests.factories.courses import NOVEMBER, local, make_audience, make_course, make_programme
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

NOW = local(2026, 11, 2, 9)


@pytest.fixture(autouse=True)
def now(monkeypatch):
    cache.clear()
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
    """Signed in as HR of the east."""
    user = make_user()
    grant(user, "hr", east)
    client.force_login(user)
    return client


def _plan(unit, course=None, people=2):
    for _ in range(people):
        make_employee(unit=unit)
    course = course or make_course()
    make_programme(make_audience(unit), plan=[(course, NOVEMBER)])
    return course


MONTH = ("courses:month", ["2026-11"])
PAGES = [
    ("courses:months", []),
    MONTH,
    ("courses:plan", []),
    ("courses:programmes", []),
    ("courses:new_programme", []),
]


@pytest.mark.parametrize(("name", "arguments"), PAGES)
def test_pm_m01_months_are_hrs(client, hr, name, arguments):
    address = reverse(name, args=arguments)
    assert hr.get(address).status_code == 200
    for role in ("auditor", "author", None):
        user = make_user()
        if role:
            grant(user, role)
        client.force_login(user)
        assert client.get(address).status_code == 403


def test_pm_m01_only_hr_opens(client, east):
    _plan(east)
    client.force_login(make_employee(unit=east, with_user=True).user)
    assert client.post(reverse("courses:open_month", args=["2026-11"])).status_code == 403
    assert not CourseRun.objects.exists()


def test_the_month_shows_what_opening_would_do_and_changes_nothing(hr, east):
    _plan(east)
    (row,) = hr.get(reverse(*MONTH[:1], args=MONTH[1])).context["rows"]
    assert (row["preview"].enters, row["preview"].exempt, row["preview"].waits) == (2, 0, 0)
    assert not CourseRun.objects.exists()


def test_opening_enrols_the_people_of_the_own_units_once(hr, east, west):
    course = _plan(east)
    _plan(west, course)
    for _press in range(2):
        assert hr.post(reverse("courses:open_month", args=["2026-11"])).url == reverse(
            "courses:month", args=["2026-11"]
        )
    assert Enrolment.objects.count() == 2
    assert set(Enrolment.objects.values_list("unit__code", flat=True)) == {"E"}
    assert list(Event.objects.filter(chain="months").values_list("action", flat=True)) == ["planned", "opened"]


def test_opening_many_is_a_job_that_gives_the_same(hr, east, monkeypatch, django_capture_on_commit_callbacks):
    monkeypatch.setattr("courses.views.months.IN_THE_REQUEST", 1)
    monkeypatch.setattr("courses.tasks.BATCH", 2)
    for _ in range(3):
        make_employee(unit=east)
    _plan(east)
    _plan(east, people=0)
    with django_capture_on_commit_callbacks(execute=True):
        hr.post(reverse("courses:open_month", args=["2026-11"]))
    job = Job.objects.get()
    assert (job.kind, job.state, job.total, Enrolment.objects.count()) == ("courses.open_month", "done", 6, 10)
    assert not PlanLine.objects.filter(opened_at=None).exists()
    for run in CourseRun.objects.all():
        assert (run.state, recount(run=run)) == ("open", [])


def test_a_course_that_cannot_be_opened_is_named(hr, east):
    _plan(east, make_course(steps=0))
    assert hr.get(reverse("courses:month", args=["2026-11"])).context["rows"][0]["problem"]
    response = hr.post(reverse("courses:open_month", args=["2026-11"]), follow=True)
    assert "error" in [message.level_tag for message in response.context["messages"]]


def test_a_run_is_not_closed_while_late_work_is_accepted(hr, east):
    _plan(east)
    hr.post(reverse("courses:open_month", args=["2026-11"]))
    run = CourseRun.objects.get()
    hr.post(reverse("courses:close_run", args=[run.pk]))
    run.refresh_from_db()
    assert run.state == "open"


def test_the_month_takes_the_same_queries_for_few_and_many_people(hr, east, django_assert_max_num_queries):
    course = _plan(east)
    for _ in range(30):
        make_employee(unit=east)
    address = reverse("courses:month", args=["2026-11"])
    hr.get(address)
    with django_assert_max_num_queries(30):
        hr.get(address)
    assert course


# --- the plan -----------------------------------------------------------------------------------------------------
def test_a_course_is_planned_and_taken_out_again(hr, east):
    programme = make_programme(make_audience(east))
    course = make_course()
    data = {"programme": programme.pk, "month": "2026-12", "course": course.pk}
    assert hr.post(reverse("courses:plan"), data).status_code == 302
    line = PlanLine.objects.get()
    assert (line.course, str(line.month)) == (course, "2026-12")
    assert hr.post(reverse("courses:plan"), data).status_code == 422

    hr.post(reverse("courses:remove_plan_line", args=[line.pk]))
    assert not PlanLine.objects.exists()


def test_an_opened_line_stays_in_the_plan(hr, east):
    _plan(east)
    hr.post(reverse("courses:open_month", args=["2026-11"]))
    hr.post(reverse("courses:remove_plan_line", args=[PlanLine.objects.get().pk]))
    assert PlanLine.objects.exists()


@pytest.mark.parametrize("month", ["2026-10", "november", ""])
def test_a_month_that_has_passed_or_is_none_is_refused(hr, east, month):
    programme = make_programme(make_audience(east))
    data = {"programme": programme.pk, "month": month, "course": make_course().pk}
    assert hr.post(reverse("courses:plan"), data).status_code == 422


def test_pm_m01_the_plan_of_another_unit_is_out_of_reach(hr, east, west):
    _plan(west)
    line = PlanLine.objects.get()
    assert hr.post(reverse("courses:remove_plan_line", args=[line.pk])).status_code == 404
    assert hr.get(reverse("courses:programme", args=[line.programme_id])).status_code == 404
    assert hr.get(reverse("courses:audience", args=[line.programme.audience_id])).status_code == 404
    data = {"programme": line.programme_id, "month": "2026-12", "course": line.course_id}
    assert hr.post(reverse("courses:plan"), data).status_code == 422


def test_a_programme_is_made_for_an_own_audience_only(hr, east, west):
    own, other = make_audience(east), make_audience(west)
    address = reverse("courses:new_programme")
    assert hr.post(address, {"name": "新员工", "audience": other.pk, "active": "on"}).status_code == 422
    assert hr.post(address, {"name": "新员工", "audience": own.pk, "active": "on"}).status_code == 302
    assert Programme.objects.get().audience == own
