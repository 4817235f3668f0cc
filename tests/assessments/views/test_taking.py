"""Taking a quiz: start, answers saved as given (with and without the script), the clock, handing in."""

import datetime as dt
import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assessments.domain.attempts import GRACE
from assessments.models import Attempt
from courses.models import Enrolment, StepCompletion
from tests.factories.assessments import (
    OPTIONS,
    STARTED,
    answer_all,
    make_attempt,
    make_category,
    make_question,
    make_quiz,
    make_quiz_duty,
    right_answer,
)
from tests.factories.people import grant, make_employee, make_unit

pytestmark = pytest.mark.django_db
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def unit():
    return make_unit()


@pytest.fixture
def learner(unit):
    return make_employee(unit, with_user=True)


@pytest.fixture
def page(client, learner):
    client.force_login(learner.user)
    return client


def url(name, *args):
    return reverse(f"assessments:{name}", args=args)


def posted(response, version=None):
    """The fields a page sends for the right answer to a drawn question."""
    name, version = f"q{response.position}", version or response.question_version
    answer, kind = right_answer(version), version.content["kind"]
    fields = {f"{name}.{left}": right for left, right in answer.items()} if kind == "matching" else {name: answer}
    return {"position": response.position, **fields, **({f"{name}.set": "1"} if kind == "ordering" else {})}


def every_kind(**fields):
    """A duty whose quiz asks one question of every kind."""
    return make_quiz([make_question(kind) for kind in OPTIONS], **fields)


# --- the start ------------------------------------------------------------------------------------------------------
def test_pm_q03_the_start_page_says_the_rules_and_the_start_is_a_post(page, learner):
    enrolment, step = make_quiz_duty(employee=learner, time_limit=15)
    found = page.get(url("quiz", enrolment.pk, step.pk), headers={"accept-language": "en"})
    text = found.content.decode()
    assert found.status_code == 200
    for words in ("3 questions", "15 minutes", "80 % or more", "3 of 3 attempts left", "the best attempt"):
        assert words in text
    assert not Attempt.objects.exists()
    assert Enrolment.objects.get().state == "assigned"
    started = page.post(url("quiz", enrolment.pk, step.pk))
    attempt = Attempt.objects.get()
    assert (started.status_code, started.url) == (302, url("attempt", attempt.pk))


def test_a_second_start_leads_to_the_same_attempt(page, learner):
    enrolment, step = make_quiz_duty(employee=learner)
    addresses = {page.post(url("quiz", enrolment.pk, step.pk)).url for _n in range(3)}
    assert len(addresses) == 1
    assert Attempt.objects.count() == 1


@pytest.mark.parametrize("why", ["used up", "passed", "closed", "not ready"])
def test_a_refused_start_says_why_and_starts_nothing(page, learner, why, now):
    quiz = make_quiz(draws=[(make_category(), 2)]) if why == "not ready" else None
    enrolment, step = make_quiz_duty(quiz, employee=learner, **({} if quiz else {"attempts_allowed": 1}))
    if why in ("used up", "passed"):
        attempt = make_attempt(enrolment, step)
        answer_all(attempt, right=why == "passed")
        page.post(url("submit", attempt.pk))
    if why == "closed":
        now(enrolment.run.accept_until + MINUTE)
        page.force_login(learner.user)  # the session of last month is over
    before = Attempt.objects.count()
    found = page.post(url("quiz", enrolment.pk, step.pk), follow=True)
    words = {"used up": "次数已用完", "passed": "已通过", "closed": "不接受作答", "not ready": "没有准备好"}[why]
    assert words in found.content.decode()
    assert Attempt.objects.count() == before


# --- who: PM-Q03, PM-Q04, PM-Q05 are one's own only -----------------------------------------------------------------
def others(unit, learner):
    """Everybody who might think he may: superior, HR, auditor, author, administrator, a colleague, an outsider."""
    manager = make_employee(unit, with_user=True)
    learner.manager = manager
    learner.save()
    found = [manager, make_employee(unit, with_user=True), make_employee(make_unit(), with_user=True)]
    for role in ("hr", "auditor", "author", "admin"):
        person = make_employee(unit, with_user=True)
        grant(person.user, role, unit if role == "hr" else None)
        found.append(person)
    return found


def test_pm_q03_pm_q04_pm_q05_nobody_else_starts_reads_or_answers(client, unit, learner):
    enrolment, step = make_quiz_duty(employee=learner)
    attempt = make_attempt(enrolment, step)
    missing = 999_999
    for other in others(unit, learner):
        client.force_login(other.user)
        answers = [
            (client.get(url("quiz", enrolment.pk, step.pk)), client.get(url("quiz", missing, step.pk))),
            (client.post(url("quiz", enrolment.pk, step.pk)), client.post(url("quiz", missing, step.pk))),
            (client.get(url("attempt", attempt.pk)), client.get(url("attempt", missing))),
            (client.post(url("attempt", attempt.pk)), client.post(url("attempt", missing))),
            (
                client.post(url("answer", attempt.pk, 1), {"q1": "x"}),
                client.post(url("answer", missing, 1), {"q1": "x"}),
            ),
            (client.get(url("review", attempt.pk)), client.get(url("review", missing))),
            (client.post(url("submit", attempt.pk)), client.post(url("submit", missing))),
        ]
        assert {found.status_code for pair in answers for found in pair} == {404}
    attempt.refresh_from_db()
    assert attempt.state == "open"
    assert attempt.responses.filter(saved_at=None).count() == 3


def test_nobody_signed_in_is_sent_to_sign_in_and_a_script_is_told(client, learner):
    attempt = make_attempt(*make_quiz_duty(employee=learner))
    assert client.get(url("attempt", attempt.pk)).status_code == 302
    found = client.post(url("answer", attempt.pk, 1), {"q1": "x"}, headers={"sec-fetch-dest": "empty"})
    assert found.status_code == 401


def test_a_quiz_of_another_run_is_not_reached_through_ones_own_duty(page, learner):
    enrolment, _step = make_quiz_duty(employee=learner)
    _other, foreign = make_quiz_duty()
    assert page.get(url("quiz", enrolment.pk, foreign.pk)).status_code == 404
    assert page.post(url("quiz", enrolment.pk, foreign.pk)).status_code == 404


def test_a_lesson_is_not_a_quiz(page, learner):
    enrolment, step = make_quiz_duty(employee=learner, lessons=1)
    lesson = enrolment.run.steps.exclude(step=step).get().step
    assert page.get(url("quiz", enrolment.pk, lesson.pk)).status_code == 404


# --- answering with the script --------------------------------------------------------------------------------------
def test_every_kind_is_saved_as_given_and_marked_right(page, learner):
    enrolment, step = make_quiz_duty(every_kind(), employee=learner)
    attempt = make_attempt(enrolment, step)
    for response in attempt.responses.all():
        found = page.post(url("answer", attempt.pk, response.position), posted(response))
        assert (found.status_code, found.json()["saved"]) == (200, True)
    page.post(url("submit", attempt.pk))
    attempt.refresh_from_db()
    assert (attempt.percent, attempt.passed) == (100, True)
    assert StepCompletion.objects.filter(enrolment=enrolment, step=step, how="passed").exists()


def test_saving_says_when_and_how_much_time_is_left(page, learner, now):
    attempt = make_attempt(*make_quiz_duty(employee=learner, time_limit=15))
    now(STARTED + 5 * MINUTE)
    found = page.post(url("answer", attempt.pk, 1), posted(attempt.responses.get(position=1)))
    assert found.json() == {"saved": True, "at": "10:05", "seconds_left": 600, "note": ""}


def test_what_is_no_number_is_kept_with_a_hint(page, learner):
    attempt = make_attempt(*make_quiz_duty(make_quiz([make_question("numerical")]), employee=learner))
    found = page.post(url("answer", attempt.pk, 1), {"q1": "六十四"})
    assert found.json()["saved"]
    assert "数字" in found.json()["note"]
    assert attempt.responses.get().answer == "六十四"


@pytest.mark.parametrize("fields", [{"q1": "nobody"}, {"q1": ["a", "b"]}, {"q1": "x" * 300}])
def test_an_answer_our_pages_never_send_is_refused_and_changes_nothing(page, learner, fields):
    attempt = make_attempt(*make_quiz_duty(employee=learner))
    found = page.post(url("answer", attempt.pk, 1), fields)
    assert found.status_code == 400
    assert found.json()["text"]
    assert attempt.responses.get(position=1).answer is None


def test_after_the_deadline_an_answer_is_refused_with_the_way_to_the_result(page, learner, now):
    attempt = make_attempt(*make_quiz_duty(employee=learner, time_limit=10))
    response = attempt.responses.get(position=1)
    now(attempt.deadline_at + GRACE)
    assert page.post(url("answer", attempt.pk, 1), posted(response)).status_code == 200
    now(attempt.deadline_at + GRACE + dt.timedelta(seconds=1))
    late = page.post(url("answer", attempt.pk, 2), posted(attempt.responses.get(position=2)))
    assert (late.status_code, late.json()["url"]) == (409, url("result", attempt.pk))
    assert attempt.responses.get(position=2).answer is None


def test_a_question_that_was_not_drawn_cannot_be_answered(page, learner):
    attempt = make_attempt(*make_quiz_duty(employee=learner))
    assert page.post(url("answer", attempt.pk, 4), {"q4": "x"}).status_code == 404


def test_fields_of_the_server_are_ignored(page, learner):
    attempt = make_attempt(*make_quiz_duty(employee=learner))
    extra = {
        "score": "1",
        "saved_at": "2020-01-01",
        "employee": "1",
        "state": "submitted",
        "points": "99",
        "percent": "100",
    }
    page.post(url("answer", attempt.pk, 1), {**posted(attempt.responses.get(position=1)), **extra})
    response = attempt.responses.get(position=1)
    attempt.refresh_from_db()
    assert (response.score, response.points, response.saved_at) == (None, 1, STARTED)
    assert (attempt.state, attempt.percent) == ("open", None)


def test_saving_asks_few_questions_of_the_database(page, learner, django_assert_max_num_queries):
    attempt = make_attempt(*make_quiz_duty(employee=learner))
    fields = posted(attempt.responses.get(position=1))
    page.post(url("answer", attempt.pk, 1), fields)
    with django_assert_max_num_queries(4):  # session, user, question, the one update
        page.post(url("answer", attempt.pk, 1), fields)


# --- answering without the script -----------------------------------------------------------------------------------
def test_save_and_next_saves_and_goes_on_and_ends_at_the_review(page, learner):
    enrolment, step = make_quiz_duty(every_kind(), employee=learner)
    attempt = make_attempt(enrolment, step)
    addresses = []
    for response in attempt.responses.all():
        addresses.append(page.post(url("attempt", attempt.pk), {**posted(response), "go": "next"}).url)
    assert addresses == [
        *[f"{url('attempt', attempt.pk)}?q={number}" for number in range(2, 8)],
        url("review", attempt.pk),
    ]
    assert attempt.responses.filter(answer=None).count() == 0


def test_all_questions_on_one_page_are_saved_together(page, learner):
    attempt = make_attempt(*make_quiz_duty(every_kind(layout="all"), employee=learner))
    shown = page.get(url("attempt", attempt.pk))
    assert shown.content.decode().count("data-question=") == 7
    fields: dict = {"position": []}
    for response in attempt.responses.all():
        one = posted(response)
        fields["position"].append(one.pop("position"))
        fields |= one
    found = page.post(url("attempt", attempt.pk), {**fields, "go": "review"})
    assert found.url == url("review", attempt.pk)
    assert attempt.responses.filter(answer=None).count() == 0


def test_an_order_is_changed_by_buttons_and_counts_only_when_it_was_set(page, learner):
    attempt = make_attempt(*make_quiz_duty(make_quiz([make_question("ordering")]), employee=learner))
    response = attempt.responses.get()
    shown = response.option_order
    page.post(url("attempt", attempt.pk), {"position": "1", "q1": shown, "go": "next"})
    assert attempt.responses.get().answer is None
    page.post(url("attempt", attempt.pk), {"position": "1", "q1": shown, "move": f"1:down:{shown[0]}"})
    assert attempt.responses.get().answer == [shown[1], shown[0], *shown[2:]]
    page.post(url("attempt", attempt.pk), {"position": "1", "q1": shown, "move": f"1:up:{shown[0]}"})
    assert attempt.responses.get().answer == shown
    page.post(url("attempt", attempt.pk), {"position": "1", "q1": shown, "move": "1:keep"})
    assert attempt.responses.get().answer == shown


@pytest.mark.parametrize("fields", [
    {"position": "x"}, {"position": "-1"}, {"position": "٣"}, {"go": "999999999"}, {"go": "x"}, {"move": "::"},
    {"move": "1:up:nobody", "position": "1"}, {},
])  # fmt: skip
def test_strange_fields_do_no_harm(page, learner, fields):
    attempt = make_attempt(*make_quiz_duty(employee=learner))
    assert page.post(url("attempt", attempt.pk), fields).status_code == 302


@pytest.mark.parametrize("asked", ["", "0", "-1", "99999", "x", "1e3", "٣", "1' OR 1=1"])
def test_a_strange_question_number_shows_the_first_unanswered(page, learner, asked):
    attempt = make_attempt(*make_quiz_duty(employee=learner))
    found = page.get(url("attempt", attempt.pk), {"q": asked})
    assert (found.status_code, found.context["position"]) == (200, 1)


def test_where_one_stopped_is_the_first_question_without_an_answer(page, learner):
    attempt = make_attempt(*make_quiz_duty(employee=learner))
    page.post(url("answer", attempt.pk, 1), posted(attempt.responses.get(position=1)))
    assert page.get(url("attempt", attempt.pk)).context["position"] == 2


# --- looking changes nothing, and gives nothing away ----------------------------------------------------------------
def test_pm_q01_no_key_and_no_explanation_leaves_the_server_while_the_attempt_is_open(page, learner):
    """Every field of every question that says what is right carries a canary; no page may show one."""
    questions = []
    for kind in OPTIONS:
        question = make_question(kind, feedback_zh="CANARY-feedback", feedback_en="CANARY-feedback")
        version = question.versions.get()
        for option in version.content["options"]:
            option["feedback_zh"] = option["feedback_en"] = "CANARY-why"
            if kind == "short_text":
                option["zh"] = option["en"] = "CANARY-accepted"
        if kind == "numerical":
            version.content |= {"number": "777123", "tolerance": "0.777456"}
        type(version).objects.filter(pk=version.pk).update(content=version.content)
        questions.append(question)
    for layout in ("one", "all"):
        enrolment, step = make_quiz_duty(make_quiz(questions, layout=layout), employee=learner)
        attempt = make_attempt(enrolment, step)
        bodies = [page.get(url("quiz", enrolment.pk, step.pk)), page.get(url("review", attempt.pk))]
        for response in attempt.responses.all():
            bodies.append(page.get(url("attempt", attempt.pk), {"q": response.position}))
            bodies.append(page.post(url("answer", attempt.pk, response.position), posted(response)))
        bodies = [body.content.decode() for body in bodies]
        for body in bodies:
            own = body.replace('value="CANARY-accepted"', "").replace("CANARY-accepted</span>", "")  # what one typed
            own = own.replace('value="777123"', "").replace("777123 元", "")
            assert "CANARY" not in own
            assert "777123" not in own
            assert "777456" not in own
            assert "is_correct" not in own
            assert '"correct"' not in own


def test_neither_ids_nor_their_order_tell_the_right_answer(page, learner):
    attempt = make_attempt(
        *make_quiz_duty(make_quiz([make_question("matching"), make_question("ordering")]), employee=learner)
    )
    pairs, order = [response.question_version.content["options"] for response in attempt.responses.all()]
    assert all(pair["id"] != pair["match_id"] for pair in pairs)
    shown = attempt.responses.get(position=2).option_order
    assert shown != [option["id"] for option in order]
    assert all(len(option["id"]) == 6 for option in pairs + order)


def test_looking_changes_nothing(page, learner):
    enrolment, step = make_quiz_duty(every_kind(), employee=learner)
    attempt = make_attempt(enrolment, step)
    before = [list(model.objects.values()) for model in (Attempt, Enrolment)] + [list(attempt.responses.values())]
    for address in (url("quiz", enrolment.pk, step.pk), url("attempt", attempt.pk), url("review", attempt.pk)):
        assert page.get(address).status_code == 200
    after = [list(model.objects.values()) for model in (Attempt, Enrolment)] + [list(attempt.responses.values())]
    assert after == before


@pytest.mark.parametrize("name", ["attempt", "review"])
def test_the_pages_of_an_attempt_ask_as_many_questions_for_one_as_for_many(page, learner, name):
    asked = []
    for count in (1, 12):
        quiz = make_quiz([make_question() for _n in range(count)], layout="all")
        attempt = make_attempt(*make_quiz_duty(quiz, employee=learner))
        page.get(url(name, attempt.pk))
        with CaptureQueriesContext(connection) as queries:
            page.get(url(name, attempt.pk))
        asked.append(len(queries))
    assert asked[0] == asked[1] <= 9


# --- the end ----------------------------------------------------------------------------------------------------------
def test_the_review_names_what_is_missing(page, learner):
    attempt = make_attempt(*make_quiz_duty(employee=learner))
    page.post(url("answer", attempt.pk, 2), posted(attempt.responses.get(position=2)))
    found = page.get(url("review", attempt.pk))
    assert [line["position"] for line in found.context["missing"]] == [1, 3]


def test_handing_in_twice_is_once(page, learner, now):
    attempt = make_attempt(*make_quiz_duty(employee=learner))
    answer_all(attempt)
    page.post(url("submit", attempt.pk))
    now(STARTED + MINUTE)
    again = page.post(url("submit", attempt.pk))
    attempt.refresh_from_db()
    assert (again.url, attempt.submitted_at) == (url("result", attempt.pk), STARTED)


@pytest.mark.parametrize("name", ["attempt", "review"])
def test_an_ended_attempt_leads_to_its_result(page, learner, name):
    attempt = make_attempt(*make_quiz_duty(employee=learner))
    page.post(url("submit", attempt.pk))
    assert page.get(url(name, attempt.pk)).url == url("result", attempt.pk)


def test_an_attempt_out_of_time_is_submitted_at_the_next_look(page, learner, now):
    enrolment, step = make_quiz_duty(employee=learner, time_limit=10)
    attempt = make_attempt(enrolment, step)
    answer_all(attempt)
    now(attempt.deadline_at + MINUTE)
    assert page.get(url("attempt", attempt.pk)).url == url("result", attempt.pk)
    attempt.refresh_from_db()
    assert (attempt.state, attempt.ended, attempt.passed) == ("submitted", "time", True)


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_other_methods_are_refused(page, learner, method):
    attempt = make_attempt(*make_quiz_duty(employee=learner))
    for name in ("submit", "void"):
        assert getattr(page, method)(url(name, attempt.pk)).status_code == 405
    assert getattr(page, method)(url("answer", attempt.pk, 1)).status_code == 405


def test_answers_are_json_with_no_more_than_is_said(page, learner):
    attempt = make_attempt(*make_quiz_duty(employee=learner))
    found = page.post(url("answer", attempt.pk, 1), {"q1": ""})
    assert set(json.loads(found.content)) == {"saved", "at", "seconds_left", "note"}
