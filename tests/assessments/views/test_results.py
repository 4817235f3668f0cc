"""Results: words first, what to read again, and who may see how much (PM-Q06, PM-Q07, PM-Q14)."""

import datetime as dt
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assessments.domain.attempts import submit_attempt
from assessments.models import Quiz, QuizDraw
from core.models import Event
from tests.factories.assessments import (
    STARTED,
    answer_all,
    make_attempt,
    make_category,
    make_question,
    make_quiz,
    make_quiz_duty,
)
from tests.factories.courses import make_design
from tests.factories.people import grant, make_employee, make_unit

pytestmark = pytest.mark.django_db
FEEDBACK = "解析：先看人，再办事。"


def url(name, *args):
    return reverse(f"assessments:{name}", args=args)


@pytest.fixture
def house():
    """A branch with a learner, the manager, the manager's manager; HR of the city above; and people beside them."""
    city = make_unit(make_unit())
    branch = make_unit(city)
    people = {"top": make_employee(city, with_user=True)}
    people["manager"] = make_employee(branch, manager=people["top"], with_user=True)
    people["learner"] = make_employee(branch, manager=people["manager"], with_user=True)
    people["colleague"] = make_employee(branch, manager=people["manager"], with_user=True)
    people["outsider"] = make_employee(make_unit(city), with_user=True)
    for name, role, unit in [
        ("hr", "hr", city), ("hr elsewhere", "hr", make_unit(city)),
        ("auditor", "auditor", None), ("author", "author", None), ("admin", "admin", None),
    ]:  # fmt: skip
        people[name] = make_employee(make_unit(), with_user=True)
        grant(people[name].user, role, unit)
    return people


def finished(learner, right=2, attempts=1, **quiz_fields):
    """The last of so many submitted attempts with ``right`` of three questions right."""
    questions = [make_question(feedback_zh=FEEDBACK) for _n in range(3)]
    enrolment, step = make_quiz_duty(make_quiz(questions, **quiz_fields), employee=learner)
    for _n in range(attempts):
        attempt = make_attempt(enrolment, step)
        answer_all(attempt, only=right)
        attempt = submit_attempt(attempt=attempt, at=STARTED)
    return attempt


# --- who --------------------------------------------------------------------------------------------------------------
SEES_RESULT = {"learner", "manager", "top", "hr", "auditor"}
SEES_ANSWERS = {"hr", "auditor"}  # beside the learner, who sees them when the quiz releases them


def test_pm_q06_pm_q07_who_sees_the_result_and_who_the_answers(client, house):
    attempt = finished(house["learner"], review="never")
    for name, person in house.items():
        client.force_login(person.user)
        found = client.get(url("result", attempt.pk))
        assert found.status_code == (200 if name in SEES_RESULT else 404), name
        assert (FEEDBACK in found.content.decode()) is (name in SEES_ANSWERS), name


def test_pm_q06_outside_the_scope_the_answer_is_that_of_a_missing_one(client, house):
    attempt = finished(house["learner"])
    client.force_login(house["colleague"].user)
    foreign, missing = client.get(url("result", attempt.pk)), client.get(url("result", 999_999))
    assert foreign.status_code == missing.status_code == 404

    def without_tokens(found):
        return re.sub(r"[A-Za-z0-9]{64}|/attempts/[0-9]+/|[0-9A-F]{8}", "", found.content.decode())

    assert without_tokens(foreign) == without_tokens(missing)


def test_pm_q06_there_is_no_result_before_the_end(client, house):
    attempt = make_attempt(*make_quiz_duty(employee=house["learner"]))
    for name in ("manager", "hr", "auditor"):
        client.force_login(house[name].user)
        assert client.get(url("result", attempt.pk)).status_code == 404
    client.force_login(house["learner"].user)
    assert client.get(url("result", attempt.pk)).url == url("attempt", attempt.pk)


def test_pm_q14_only_hr_of_the_unit_voids_and_only_with_a_reason(client, house):
    attempt = finished(house["learner"])
    for name, person in house.items():
        if name == "hr":
            continue
        client.force_login(person.user)
        found = client.post(url("void", attempt.pk), {"reason": "停电"})
        assert found.status_code == (404 if name == "hr elsewhere" else 403), name
    client.force_login(house["hr"].user)
    client.post(url("void", attempt.pk), {"reason": " "})
    attempt.refresh_from_db()
    assert attempt.state == "submitted"
    client.post(url("void", attempt.pk), {"reason": "停电"})
    attempt.refresh_from_db()
    assert attempt.state == "voided"
    assert Event.objects.get(chain="marks").actor == house["hr"].user
    client.force_login(house["learner"].user)
    assert "作废" in client.get(url("result", attempt.pk)).content.decode()


def test_pm_q14_hr_does_not_void_ones_own_attempt(client, house):
    attempt = finished(house["hr"])
    client.force_login(house["hr"].user)
    assert client.post(url("void", attempt.pk), {"reason": "我自己"}).status_code == 404


def test_a_passed_attempt_offers_no_voiding(client, house):
    attempt = finished(house["learner"], right=3)
    client.force_login(house["hr"].user)
    assert not client.get(url("result", attempt.pk)).context["may_void"]
    found = client.post(url("void", attempt.pk), {"reason": "误操作"}, follow=True)
    attempt.refresh_from_db()
    assert attempt.state == "submitted"
    assert "不会撤销" in found.content.decode()


# --- what -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("review", "right", "attempts", "shown"),
    [
        ("always", 1, 1, True), ("finished", 1, 1, False), ("finished", 1, 3, True), ("finished", 3, 1, True),
        ("never", 3, 1, False), ("never", 1, 3, False),
    ],
)  # fmt: skip
def test_the_learner_sees_the_answers_when_the_quiz_says_so(client, house, review, right, attempts, shown):
    attempt = finished(house["learner"], right=right, attempts=attempts, review=review)
    client.force_login(house["learner"].user)
    found = client.get(url("result", attempt.pk))
    assert (FEEDBACK in found.content.decode()) is shown
    assert bool(found.context["answers"]) is shown


def test_a_result_is_words_with_its_count_and_its_mark(client, house):
    attempt = finished(house["learner"], right=2)
    client.force_login(house["learner"].user)
    client.cookies["django_language"] = "en"
    text = " ".join(client.get(url("result", attempt.pk)).content.decode().split())
    assert "Not passed yet" in text
    assert "2 of 3 points: <strong>66.66 %</strong>. The pass mark is 80 %." in text
    assert "You have 2 more attempts." in text


def test_a_passed_quiz_that_ends_the_course_shows_the_way_to_the_certificate(client, house):
    enrolment, step = make_quiz_duty(employee=house["learner"], design=make_design())
    attempt = make_attempt(enrolment, step)
    answer_all(attempt)
    submit_attempt(attempt=attempt, at=STARTED)
    client.force_login(house["learner"].user)
    enrolment.refresh_from_db()
    found = client.get(url("result", attempt.pk)).content.decode()
    assert reverse("certificates:detail", args=[enrolment.certificate_id]) in found


def test_what_to_read_again_names_the_lessons_of_missed_questions_most_missed_first(client, house):
    enrolment, step = make_quiz_duty(make_quiz(), employee=house["learner"], lessons=3)
    first, second, third = [line.step for line in enrolment.run.steps.exclude(step=step)]
    elsewhere = make_quiz_duty(lessons=1)[0].run.steps.first().step
    shelves = [make_category(review_step=lesson) for lesson in (first, second, third, elsewhere)]
    questions = [make_question(category=shelves[place]) for place in (2, 0, 1, 1, 3)]
    quiz = Quiz.objects.get(pages__translation_key=step.translation_key)
    for place, question in enumerate(questions):
        QuizDraw.objects.create(quiz=quiz, question=question, sort_order=place)
    attempt = make_attempt(enrolment, step)
    answer_all(attempt, only=1)
    submit_attempt(attempt=attempt, at=STARTED)
    client.force_login(house["learner"].user)
    found = client.get(url("result", attempt.pk))
    assert [(item.step, item.missed, item.asked) for item in found.context["to_read"]] == [
        (second, 2, 2),
        (first, 1, 1),
    ]
    assert reverse("courses:lesson", args=[enrolment.pk, second.pk]) in found.content.decode()
    client.force_login(house["manager"].user)
    assert client.get(url("result", attempt.pk)).context["to_read"] == []


def test_what_the_server_ended_says_so(client, house, now):
    enrolment, step = make_quiz_duty(employee=house["learner"], time_limit=10)
    attempt = make_attempt(enrolment, step)
    now(attempt.deadline_at + dt.timedelta(minutes=1))
    client.force_login(house["learner"].user)
    found = client.get(url("result", attempt.pk))
    assert (found.context["by_time"], found.context["unanswered"]) == (True, 3)


def test_the_result_asks_as_many_questions_for_one_answer_as_for_many(client, house):
    client.force_login(house["learner"].user)
    asked = []
    for count in (1, 12):
        quiz = make_quiz([make_question() for _n in range(count)], review="always")
        attempt = make_attempt(*make_quiz_duty(quiz, employee=house["learner"]))
        submit_attempt(attempt=attempt, at=STARTED)
        client.get(url("result", attempt.pk))
        with CaptureQueriesContext(connection) as queries:
            client.get(url("result", attempt.pk))
        asked.append(len(queries))
    assert asked[0] == asked[1] <= 14
