import pytest
from django.core.cache import cache
from django.urls import reverse

from assessments.domain.attempts import submit_attempt
from courses.domain.choice import give_up, take_course
from courses.models import CourseRun, Enrolment
from tests.factories.assessments import answer_all, make_attempt, make_quiz_duty
from tests.factories.certificates import make_certificate
from tests.factories.courses import (
    course_of,
    local,
    make_course,
    make_course_page,
    make_enrolment,
    make_run,
)
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

NOW = local(2026, 11, 10, 9)


@pytest.fixture(autouse=True)
def now(monkeypatch):
    cache.clear()
    clock = {"now": NOW}
    monkeypatch.setattr("django.utils.timezone.now", lambda: clock["now"])
    return lambda moment: clock.update(now=moment)


@pytest.fixture
def learner():
    return make_employee(unit=make_unit(), with_user=True)


@pytest.fixture
def page():
    return make_course_page(lessons=2, title="谈判技巧")


@pytest.fixture
def signed_in(client, learner):
    client.force_login(learner.user)
    client.cookies["django_language"] = "en"
    return client


def _take(course):
    return reverse("courses:take", args=[course.pk])


def _give_up(enrolment):
    return reverse("courses:give_up", args=[enrolment.pk])


def _overview(enrolment):
    return reverse("courses:overview", args=[enrolment.pk])


def test_pm_m02_a_course_is_taken_by_posting_and_twice_is_once(signed_in, learner, page):
    course = course_of(page)
    assert signed_in.get(_take(course)).status_code == 405
    response = signed_in.post(_take(course))
    again = signed_in.post(_take(course), {"employee": "1", "voluntary": ""})
    enrolment = Enrolment.objects.get()
    assert (enrolment.employee, enrolment.voluntary, enrolment.state) == (learner, True, "assigned")
    assert response.url == again.url == _overview(enrolment)
    shown = signed_in.get(_overview(enrolment))
    assert b"Taken by choice" in shown.content
    assert b"Due on" not in shown.content
    assert _give_up(enrolment).encode() in shown.content


def test_pm_m02_one_gives_up_only_what_one_took(client, learner, page):
    enrolment = take_course(employee=learner, course=course_of(page), by=learner.user, at=NOW)
    colleague = make_employee(unit=learner.unit, with_user=True)
    manager = make_employee(unit=learner.unit, with_user=True)
    type(learner).objects.filter(pk=learner.pk).update(manager=manager)
    hr = make_user()
    grant(hr, "hr", learner.unit)
    for user in (colleague.user, manager.user, hr):
        client.force_login(user)
        assert client.post(_give_up(enrolment)).status_code == 404
        assert client.post(reverse("courses:give_up", args=[999999])).status_code == 404
    enrolment.refresh_from_db()
    assert enrolment.state == "assigned"


def test_who_has_no_record_takes_no_course(client, page):
    client.force_login(make_user())
    assert client.post(_take(course_of(page))).status_code == 404
    assert not CourseRun.objects.exists()


def test_giving_up_can_be_undone(signed_in, learner, page):
    course = course_of(page)
    enrolment = take_course(employee=learner, course=course, by=learner.user, at=NOW)
    response = signed_in.post(_give_up(enrolment), follow=True)
    assert f'action="{_take(course)}"'.encode() in response.content
    enrolment.refresh_from_db()
    assert enrolment.state == "withdrawn"
    assert b"gave it up" in signed_in.get(_overview(enrolment)).content
    signed_in.post(_take(course), {"next": "/my/"})
    enrolment.refresh_from_db()
    assert (enrolment.state, Enrolment.objects.count()) == ("assigned", 1)


def test_a_duty_is_not_given_up_and_not_taken(signed_in, learner, page):
    enrolment = make_enrolment(learner, make_run(course_of(page)))
    response = signed_in.post(_give_up(enrolment), follow=True)
    assert b"so it cannot be given up" in response.content
    response = signed_in.post(_take(course_of(page)), follow=True)
    assert b"on record for this month already" in response.content
    enrolment.refresh_from_db()
    assert (enrolment.state, enrolment.voluntary) == ("assigned", False)
    assert _give_up(enrolment).encode() not in signed_in.get(_overview(enrolment)).content


# --- the page of a course, in its own language --------------------------------------------------------------------------
def test_the_page_of_a_course_offers_it_when_it_is_not_owed(signed_in, learner, page):
    course = course_of(page)
    offered = _take(course).encode()
    assert offered in signed_in.get(page.url).content
    duty = make_enrolment(learner, make_run(course))
    assert offered not in signed_in.get(page.url).content
    Enrolment.objects.filter(pk=duty.pk).update(voluntary=True, reason="choice")
    shown = signed_in.get(page.url)
    assert offered not in shown.content
    assert "自选课程：" in shown.content.decode()


def test_the_page_of_a_course_offers_it_again_when_it_was_done_before(signed_in, learner, page):
    make_enrolment(learner, make_run(course_of(page), month="2026-09"), state="completed")
    shown = signed_in.get(page.url)
    assert _take(course_of(page)).encode() in shown.content
    assert shown.context["duty"].is_done


@pytest.mark.parametrize("offered", [True, False])
def test_the_page_of_a_course_says_why_it_is_not_offered(signed_in, page, offered):
    course = course_of(page)
    if offered:
        make_enrolment(make_employee(make_unit()), make_run(course, state="planned"))
        words = "人力资源本月已安排这门课程"
    else:
        course.by_choice = False
        course.save()
        words = "这门课程不开放自选"
    shown = signed_in.get(page.url)
    assert words in shown.content.decode()
    assert _take(course).encode() not in shown.content


def test_the_catalogue_leads_to_the_course_where_it_can_be_taken_again(signed_in, learner, page):
    done = make_enrolment(learner, make_run(course_of(page), month="2026-09"), state="completed")
    catalogue = page.get_parent().specific
    assert [card["url"] for card in signed_in.get(catalogue.url).context["cards"]] == [page.get_url()]
    chosen = take_course(employee=learner, course=course_of(page), by=learner.user, at=NOW)
    assert [card["url"] for card in signed_in.get(catalogue.url).context["cards"]] == [_overview(chosen)]
    assert done.run != chosen.run


# --- testing out --------------------------------------------------------------------------------------------------------------
def _test_duty(learner, allowed=True):
    enrolment, step = make_quiz_duty(lessons=2, employee=learner)
    course = enrolment.run.course
    course.test_out = allowed
    course.save()
    return enrolment, step


def test_the_overview_offers_the_test_where_the_author_allows_it(signed_in, learner):
    enrolment, step = _test_duty(learner)
    url = reverse("assessments:quiz", args=[enrolment.pk, step.pk])
    response = signed_in.get(_overview(enrolment))
    assert response.context["test_url"] == url
    assert b"You know this already? Take the test now." in response.content

    attempt = make_attempt(enrolment, step, at=NOW)
    answer_all(attempt, right=False)
    submit_attempt(attempt=attempt, at=NOW)
    response = signed_in.get(_overview(enrolment))
    assert response.context["test_url"] == ""
    assert b"the lessons are the way now" in response.content


def test_the_overview_says_that_one_tested_out(signed_in, learner):
    enrolment, step = _test_duty(learner)
    attempt = make_attempt(enrolment, step, at=NOW)
    answer_all(attempt)
    submit_attempt(attempt=attempt, at=NOW)
    response = signed_in.get(_overview(enrolment))
    assert b"Completed: tested out" in response.content
    assert [note.endswith("tested out") for note in (step["note"] for step in response.context["steps"])] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("allowed", [True, False])
def test_who_holds_a_valid_certificate_of_the_course_is_told_so(signed_in, learner, allowed):
    enrolment, _step = _test_duty(learner, allowed)
    certificate = make_certificate(learner, NOW)
    earlier = make_run(enrolment.run.course, month="2026-05")
    make_enrolment(learner, earlier, state="completed", certificate=certificate)
    response = signed_in.get(_overview(enrolment))
    assert response.context["proof"] == certificate
    assert b"You proved this already" in response.content
    assert (b"Take the test now" in response.content) is allowed


# --- how others see it ------------------------------------------------------------------------------------------------------
def test_lists_and_months_of_hr_show_what_was_taken_by_choice_beside_the_figures(client, learner):
    take_course(employee=learner, course=make_course(), by=learner.user, at=NOW)
    other = make_employee(learner.unit, with_user=True)
    given_up = take_course(employee=other, course=make_course(), by=other.user, at=NOW)
    give_up(enrolment=given_up, by=other.user, at=NOW)
    hr = make_user()
    grant(hr, "hr", learner.unit)
    client.force_login(hr)
    client.cookies["django_language"] = "en"

    rows = client.get(reverse("courses:months")).context["rows"]
    assert [(row["courses"], row["open"], row["assigned"], row["by_choice"].voluntary) for row in rows] == [
        (0, 0, 0, 1)
    ]
    month = client.get(reverse("courses:month", args=["2026-11"]))
    assert [row["only_by_choice"] for row in month.context["rows"]] == [True]
    assert b"it counts in no rate" in month.content
    unit = client.get(reverse("courses:completion_unit", args=["2026-11", learner.unit.pk]))
    assert b"Nothing is owed here" in unit.content
    assert b"1 course taken by choice" in unit.content
    names = reverse("courses:completion_names", args=["2026-11", learner.unit.pk])
    for state, found in (("choice", 1), ("missing", 0), ("", 1)):
        assert len(client.get(names, {"state": state}).context["page"].rows) == found
    file = client.get(reverse("courses:completion_export", args=["2026-11", learner.unit.pk, "csv"]))
    lines = b"".join(file.streaming_content if file.streaming else [file.content]).decode("utf-8-sig").splitlines()
    assert [line.rsplit(",", 1)[1].strip('"') for line in lines if "2026-11" in line.split(",")[0]] == ["yes"]


def test_my_month_and_the_team_keep_what_was_taken_by_choice_apart(client, learner):
    manager = make_employee(unit=learner.unit, with_user=True)
    type(learner).objects.filter(pk=learner.pk).update(manager=manager)
    chosen = take_course(employee=learner, course=make_course(), by=learner.user, at=NOW)
    owed = make_enrolment(learner, make_run())
    client.cookies["django_language"] = "en"

    client.force_login(learner.user)
    mine = client.get(reverse("portal:my_month"))
    assert mine.context["first"].enrolment == owed
    assert mine.context["others"] == []
    assert b"Nobody waits for these" in mine.content
    assert _overview(chosen).encode() in mine.content

    client.force_login(manager.user)
    team = client.get(reverse("portal:my_team"))
    assert [(tab["label"], tab["count"]) for tab in team.context["tabs"]] == [
        ("Still to do", 1),
        ("Done", 0),
        ("Exempt or withdrawn", 0),
        ("By choice", 1),
    ]
    for shown, found in (("needed", [owed]), ("chosen", [chosen])):
        page = client.get(reverse("portal:my_team"), {"show": shown})
        assert [row.enrolment for row in page.context["rows"]] == found
    record = client.get(reverse("portal:person", args=[learner.pk]))
    assert b"Taken by choice" in record.content
    assert reverse("courses:extend", args=[owed.pk]).encode() in record.content
    assert reverse("courses:extend", args=[chosen.pk]).encode() not in record.content
