import pytest
from django.core.cache import cache
from django.urls import reverse

from core.models import Event, Job
from core.periods import Month
from courses.domain.tallies import recount
from courses.models import CourseRun, Enrolment, MonthClose, PlanLine
from tests.factories.courses import NOVEMBER, local, make_audience, make_course, make_programme
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

NOW = local(2026, 11, 2, 9)
DECEMBER = Month(2026, 12)


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


# --- preparing ----------------------------------------------------------------------------------------------------
def _plan_december(unit, people=2, **course):
    for _ in range(people):
        make_employee(unit=unit)
    made = make_course(**course)
    make_programme(make_audience(unit), plan=[(made, DECEMBER)])
    return made


AHEAD = ("courses:prepare_month", ["2026-12"])


def test_preparing_enrols_ahead_and_says_what_opening_will_do(hr, east, west):
    _plan_december(east)
    _plan_december(west)
    address = reverse("courses:month", args=["2026-12"])
    before = hr.get(address).context
    assert (before["to_open"], before["prepared"], before["people"], before["may_prepare"]) == (1, 0, 2, True)
    for _press in range(2):
        assert hr.post(reverse(AHEAD[0], args=AHEAD[1])).url == address
    make_employee(unit=east)

    context = hr.get(address).context
    (row,) = context["rows"]
    assert (context["to_open"], context["prepared"], context["ahead"], context["people"]) == (1, 1, 2, 1)
    assert (row["prepared"], row["ahead"].assigned, row["preview"].enters, row["figures"]) == (True, 2, 1, None)
    assert set(Enrolment.objects.values_list("unit__code", flat=True)) == {"E"}
    assert list(CourseRun.objects.values_list("state", flat=True)) == ["planned"]
    (december,) = (one for one in hr.get(reverse("courses:months")).context["rows"] if one["month"] == DECEMBER)
    assert (december["prepared"], december["waiting"], december["assigned"]) == (1, 0, 0)

    hr.post(reverse("courses:open_month", args=["2026-12"]))
    assert (Enrolment.objects.count(), CourseRun.objects.get().state) == (3, "open")


def test_preparing_many_is_a_job_that_gives_the_same(hr, east, monkeypatch, django_capture_on_commit_callbacks):
    monkeypatch.setattr("courses.views.months.IN_THE_REQUEST", 1)
    monkeypatch.setattr("courses.tasks.BATCH", 2)
    _plan_december(east, people=5)
    with django_capture_on_commit_callbacks(execute=True):
        hr.post(reverse(AHEAD[0], args=AHEAD[1]))
    job = Job.objects.get()
    assert (job.kind, job.state, job.total, Enrolment.objects.count()) == ("courses.prepare_month", "done", 3, 5)
    assert CourseRun.objects.get().state == "planned"
    with django_capture_on_commit_callbacks(execute=True):  # nobody is new: opening it is no work for a job
        hr.post(reverse("courses:open_month", args=["2026-12"]))
    assert (Job.objects.count(), CourseRun.objects.get().state) == (1, "open")


def test_a_month_that_has_begun_is_not_prepared(hr, east):
    _plan(east)
    assert hr.get(reverse(*MONTH[:1], args=MONTH[1])).context["may_prepare"] is False
    hr.post(reverse("courses:prepare_month", args=["2026-11"]))
    assert not CourseRun.objects.exists()


def test_a_course_that_cannot_be_prepared_is_named(hr, east):
    _plan_december(east, steps=0)
    response = hr.post(reverse(AHEAD[0], args=AHEAD[1]), follow=True)
    assert "error" in [message.level_tag for message in response.context["messages"]]


def test_drafts_of_the_month_are_named(hr, east):
    _plan_december(east)
    PlanLine.objects.update(published_at=None)
    context = hr.get(reverse("courses:month", args=["2026-12"])).context
    assert (context["drafts"], context["rows"]) == (1, [])


def test_pm_m01_only_hr_prepares(client, east):
    _plan_december(east)
    client.force_login(make_employee(unit=east, with_user=True).user)
    assert client.post(reverse(AHEAD[0], args=AHEAD[1])).status_code == 403
    assert not CourseRun.objects.exists()


# --- what is about everybody ----------------------------------------------------------------------------------------
@pytest.fixture
def root_hr(group):
    user = make_user()
    grant(user, "hr", group)
    return user


@pytest.fixture
def part_hr(east):
    user = make_user()
    grant(user, "hr", east)
    return user


def _said(response):
    return [(one.level_tag, str(one)) for one in response.context["messages"]]


def test_pm_m01_a_run_is_closed_by_hr_of_the_whole_company_only(client, part_hr, east, root_hr, monkeypatch):
    _plan(east)
    client.force_login(part_hr)
    client.post(reverse("courses:open_month", args=["2026-11"]))
    run = CourseRun.objects.get()
    monkeypatch.setattr("django.utils.timezone.now", lambda: local(2027, 1, 1, 9))
    client.force_login(part_hr)
    page, address = reverse("courses:month", args=["2026-11"]), reverse("courses:close_run", args=[run.pk])
    assert client.get(page).context["rows"][0]["may_close"] is False
    assert client.post(address).status_code == 404
    assert CourseRun.objects.get().state == "open"
    client.force_login(root_hr)
    assert client.get(page).context["rows"][0]["may_close"] is True
    assert client.post(address).status_code == 302
    assert CourseRun.objects.get().state == "closed"


def test_pm_m01_what_other_units_planned_too_is_opened_early_by_hr_of_the_whole_company_only(
    client, part_hr, east, west, monkeypatch
):
    client.force_login(part_hr)
    course = _plan_december(east, title_zh="销售礼仪")
    make_programme(make_audience(west), plan=[(course, DECEMBER)])
    address = reverse("courses:open_month", args=["2026-12"])
    ((kind, text),) = _said(client.post(address, follow=True))
    assert (kind, "销售礼仪" in text, "2026年12月1日" in text) == ("error", True, True)
    assert not CourseRun.objects.exists()
    monkeypatch.setattr("django.utils.timezone.now", lambda: local(2026, 12, 1))
    client.force_login(part_hr)
    client.post(address)
    assert CourseRun.objects.get().state == "open"


def test_hr_of_the_whole_company_opens_early_what_several_units_planned(client, east, west, root_hr):
    course = _plan_december(east)
    make_programme(make_audience(west), plan=[(course, DECEMBER)])
    client.force_login(root_hr)
    client.post(reverse("courses:open_month", args=["2026-12"]))
    assert CourseRun.objects.get().state == "open"


def test_a_month_that_is_closed_for_good_is_not_opened_and_says_so(hr, east):
    _plan(east)
    MonthClose.objects.create(month=NOVEMBER, state="closed", begun_at=NOW, closed_at=NOW, digest="x", newest_change=0)
    words = "本月已月结，数字已封存：不再开放其中的课程。"
    assert hr.get(reverse("courses:month", args=["2026-11"])).context["rows"][0]["problem"] == words
    said = _said(hr.post(reverse("courses:open_month", args=["2026-11"]), follow=True))
    assert [(kind, words in text) for kind, text in said] == [("error", True)]
    assert not CourseRun.objects.exists()


def test_a_job_in_a_month_that_is_closed_for_good_opens_nothing(
    hr, east, monkeypatch, django_capture_on_commit_callbacks
):
    monkeypatch.setattr("courses.views.months.IN_THE_REQUEST", 1)
    _plan(east)
    MonthClose.objects.create(month=NOVEMBER, state="closed", begun_at=NOW, closed_at=NOW, digest="x", newest_change=0)
    with django_capture_on_commit_callbacks(execute=True):
        hr.post(reverse("courses:open_month", args=["2026-11"]))
    assert (Job.objects.get().state, CourseRun.objects.count(), Enrolment.objects.count()) == ("done", 0, 0)
