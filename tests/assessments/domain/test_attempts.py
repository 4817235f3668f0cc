"""Attempts: PM-S2 cell by cell, the limits, the clock, and what counts."""

import datetime as dt
import random
from decimal import Decimal

import pytest

from assessments.domain import queries
from assessments.domain.attempts import (
    GRACE,
    AlreadyPassed,
    AttemptClosed,
    AttemptsUsedUp,
    CompletionStands,
    NotAccepted,
    OwnResponse,
    QuizNotReady,
    ReasonMissing,
    expire_due_attempts,
    save_answer,
    settle_attempt,
    standing_of,
    start_attempt,
    submit_attempt,
    void_attempt,
)
from assessments.models import Attempt, Question, Response
from core.models import Event
from courses.models import Enrolment, StepCompletion
from tests.factories.assessments import (
    STARTED,
    answer_all,
    make_attempt,
    make_category,
    make_question,
    make_quiz,
    make_quiz_duty,
    right_answer,
)
from tests.factories.courses import make_design
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db
MINUTE = dt.timedelta(minutes=1)


def own(attempt, position=1):
    """What saving needs, as the query of the view gives it."""
    row = Response.objects.filter(attempt=attempt, position=position).values_list(
        "pk", "question_version", "question_version__content_hash", "option_order", "attempt__deadline_at"
    )
    return OwnResponse(*row.get())


def save(attempt, answer=None, at=STARTED, position=1):
    response = own(attempt, position)
    version = Response.objects.get(pk=response.pk).question_version
    save_answer(response=response, answer=right_answer(version) if answer is None else answer, at=at)


# --- starting -------------------------------------------------------------------------------------------------------
def test_start_copies_the_rules_the_questions_and_the_deadline():
    questions = [make_question("single"), make_question("matching")]
    quiz = make_quiz(
        draws=[{"question": questions[0]}, {"question": questions[1], "points": 3}], time_limit=15, pass_mark=70
    )
    enrolment, step = make_quiz_duty(quiz)
    attempt = start_attempt(enrolment=enrolment, step=step, at=STARTED)
    assert (attempt.number, attempt.state, attempt.max_score) == (1, "open", 4)
    assert attempt.rules == {
        "pass_mark": 70, "time_limit": 15, "grading": "highest", "attempts_allowed": 3, "layout": "one", "review": "finished",
    }  # fmt: skip
    assert attempt.deadline_at == STARTED + 15 * MINUTE
    assert [(r.position, r.question_version.question, r.points) for r in attempt.responses.all()] == [
        (1, questions[0], 1), (2, questions[1], 3),
    ]  # fmt: skip


def test_start_keeps_the_place_and_the_state_of_the_duty():
    enrolment, step = make_quiz_duty()
    make_attempt(enrolment, step)
    enrolment.refresh_from_db()
    assert (enrolment.state, enrolment.last_step, enrolment.started_at) == ("in_progress", step, STARTED)


def test_without_a_time_limit_the_attempt_ends_when_work_is_no_longer_accepted():
    enrolment, step = make_quiz_duty()
    assert make_attempt(enrolment, step).deadline_at == enrolment.run.accept_until


def test_a_late_start_has_less_time():
    enrolment, step = make_quiz_duty(time_limit=30)
    late = enrolment.run.accept_until - 5 * MINUTE
    assert make_attempt(enrolment, step, at=late).deadline_at == enrolment.run.accept_until


def test_later_changes_of_quiz_and_question_do_not_reach_an_attempt():
    question = make_question("single")
    quiz = make_quiz([question], pass_mark=80)
    enrolment, step = make_quiz_duty(quiz)
    attempt = make_attempt(enrolment, step)
    before = attempt.responses.get().question_version
    question.text_zh = "改过的题目？"
    question.options = [*question.options.all()][:2]
    question.save_revision().publish()
    quiz.pass_mark = 100
    quiz.save()
    attempt.refresh_from_db()
    assert attempt.responses.get().question_version == before
    assert attempt.rules["pass_mark"] == 80


def test_a_second_tab_gets_the_same_attempt():
    enrolment, step = make_quiz_duty()
    first = make_attempt(enrolment, step)
    assert start_attempt(enrolment=enrolment, step=step, at=STARTED + MINUTE) == first
    assert Attempt.objects.count() == 1


def test_attempts_are_limited_and_voided_ones_do_not_count():
    enrolment, step = make_quiz_duty(attempts_allowed=2)
    for number in (1, 2):
        attempt = make_attempt(enrolment, step)
        assert attempt.number == number
        submit_attempt(attempt=attempt, at=STARTED)
    with pytest.raises(AttemptsUsedUp):
        make_attempt(enrolment, step)
    void_attempt(attempt=attempt, by=make_user(), at=STARTED, reason="停电")
    assert make_attempt(enrolment, step).number == 3


def test_zero_attempts_allowed_means_no_limit():
    enrolment, step = make_quiz_duty(attempts_allowed=0)
    for _n in range(5):
        submit_attempt(attempt=make_attempt(enrolment, step), at=STARTED)
    assert standing_of(enrolment=enrolment, step=step, at=STARTED).left is None
    assert make_attempt(enrolment, step).number == 6


def test_what_is_passed_is_not_taken_again():
    enrolment, step = make_quiz_duty()
    attempt = make_attempt(enrolment, step)
    answer_all(attempt)
    submit_attempt(attempt=attempt, at=STARTED)
    with pytest.raises(AlreadyPassed):
        make_attempt(enrolment, step)


@pytest.mark.parametrize("state", ["exempt", "withdrawn"])
def test_who_owes_nothing_cannot_start(state):
    enrolment, step = make_quiz_duty()
    Enrolment.objects.filter(pk=enrolment.pk).update(state=state)
    enrolment.refresh_from_db()
    with pytest.raises(NotAccepted):
        make_attempt(enrolment, step)


def test_nothing_starts_before_the_opening_or_after_the_last_acceptance():
    enrolment, step = make_quiz_duty()
    for at in (enrolment.run.opens_at - MINUTE, enrolment.run.accept_until + MINUTE):
        with pytest.raises(NotAccepted):
            make_attempt(enrolment, step, at=at)


def test_a_quiz_without_enough_questions_is_not_ready():
    category = make_category()
    quiz = make_quiz(draws=[(category, 2)])
    enrolment, step = make_quiz_duty(quiz)
    with pytest.raises(QuizNotReady):
        make_attempt(enrolment, step)
    assert not Attempt.objects.exists()


def test_the_next_attempt_asks_what_was_not_asked_before():
    category = make_category()
    questions = {make_question(category=category).pk for _n in range(6)}
    enrolment, step = make_quiz_duty(make_quiz(draws=[(category, 3)]))
    asked = []
    for seed in (1, 2):
        attempt = make_attempt(enrolment, step, seed=seed)
        asked.append({response.question_version.question_id for response in attempt.responses.all()})
        submit_attempt(attempt=attempt, at=STARTED)
    assert asked[0] | asked[1] == questions


# --- answering ------------------------------------------------------------------------------------------------------
def test_an_answer_is_kept_as_given_and_replaced_by_the_next():
    attempt = make_attempt()
    save(attempt, at=STARTED + MINUTE)
    response = attempt.responses.get(position=1)
    assert (response.answer, response.saved_at) == (right_answer(response.question_version), STARTED + MINUTE)
    save(attempt, answer="", at=STARTED + 2 * MINUTE)
    response.refresh_from_db()
    assert response.answer is None


def test_the_same_answer_twice_is_kept_once():
    attempt = make_attempt()
    save(attempt)
    save(attempt)
    assert attempt.responses.get(position=1).saved_at == STARTED


@pytest.mark.parametrize(
    ("late", "kept"), [(dt.timedelta(0), True), (GRACE, True), (GRACE + dt.timedelta(milliseconds=1), False)]
)
def test_an_answer_counts_until_the_deadline_and_five_seconds(late, kept):
    attempt = make_attempt(time_limit=10)
    if kept:
        save(attempt, at=attempt.deadline_at + late)
    else:
        with pytest.raises(AttemptClosed):
            save(attempt, at=attempt.deadline_at + late)
    assert (attempt.responses.get(position=1).answer is not None) is kept


def test_saving_is_one_update(django_assert_num_queries):
    attempt = make_attempt()
    response = own(attempt)
    assert response.content  # kept by the process from the first question on
    with django_assert_num_queries(1):
        save_answer(response=response, answer=response.option_order[0], at=STARTED)


# --- submitting and marking -----------------------------------------------------------------------------------------
def test_submitting_marks_and_completes_the_step_and_the_duty():
    enrolment, step = make_quiz_duty(design=make_design())
    attempt = make_attempt(enrolment, step)
    answer_all(attempt)
    done = submit_attempt(attempt=attempt, at=STARTED + MINUTE)
    assert (done.state, done.ended, done.submitted_at) == ("submitted", "person", STARTED + MINUTE)
    assert (done.score, done.percent, done.passed) == (Decimal("3"), Decimal("100"), True)
    completion = StepCompletion.objects.get(enrolment=enrolment, step=step)
    assert (completion.at, completion.how) == (STARTED + MINUTE, "passed")
    enrolment.refresh_from_db()
    assert enrolment.state == "completed"
    assert enrolment.certificate is not None


def test_below_the_mark_nothing_is_completed():
    questions = [make_question() for _n in range(3)]
    enrolment, step = make_quiz_duty(make_quiz(questions, pass_mark=67))
    attempt = make_attempt(enrolment, step)
    answer_all(attempt, only=2)
    done = submit_attempt(attempt=attempt, at=STARTED)
    assert (done.percent, done.passed) == (Decimal("66.66"), False)
    assert not StepCompletion.objects.exists()


def test_exactly_the_mark_passes():
    questions = [make_question() for _n in range(5)]
    enrolment, step = make_quiz_duty(make_quiz(questions, pass_mark=80))
    attempt = make_attempt(enrolment, step)
    answer_all(attempt, only=4)
    done = submit_attempt(attempt=attempt, at=STARTED)
    assert (done.percent, done.passed) == (Decimal("80.00"), True)


def test_points_weigh_and_parts_count():
    single, pairs = make_question("single"), make_question("matching")
    enrolment, step = make_quiz_duty(make_quiz(draws=[{"question": single}, {"question": pairs, "points": 3}]))
    attempt = make_attempt(enrolment, step)
    answer_all(attempt)
    response = attempt.responses.get(position=2)
    ids = list(response.answer)
    response.answer = {ids[0]: response.answer[ids[0]]}
    response.save()
    done = submit_attempt(attempt=attempt, at=STARTED)
    assert (done.score, done.max_score, done.percent) == (Decimal("2"), Decimal("4"), Decimal("50.00"))
    assert [r.score for r in done.responses.all()] == [Decimal("1"), Decimal("1")]


@pytest.mark.parametrize(
    ("grading", "results", "passed"),
    [
        ("highest", [1, 5], [False, True]),
        ("first", [4, 5], [False, False]),
        ("last", [2, 5], [False, True]),
        ("average", [4, 5], [False, True]),
        ("average", [1, 5], [False, False]),
    ],
)
def test_what_counts_decides_whether_it_is_passed(grading, results, passed):
    questions = [make_question() for _n in range(5)]
    enrolment, step = make_quiz_duty(make_quiz(questions, pass_mark=90, grading=grading))
    found = []
    for right in results:
        attempt = make_attempt(enrolment, step)
        answer_all(attempt, only=right)
        found.append(submit_attempt(attempt=attempt, at=STARTED).passed)
    assert found == passed
    assert StepCompletion.objects.filter(step=step).exists() is passed[-1]


def test_submitting_twice_marks_once():
    attempt = make_attempt()
    answer_all(attempt)
    first = submit_attempt(attempt=attempt, at=STARTED)
    second = submit_attempt(attempt=attempt, at=STARTED + MINUTE)
    assert (second.submitted_at, second.percent) == (first.submitted_at, first.percent)
    assert StepCompletion.objects.count() == 1


def test_the_server_ends_an_attempt_at_its_deadline():
    attempt = make_attempt(time_limit=10)
    answer_all(attempt)
    assert expire_due_attempts(at=attempt.deadline_at + GRACE) == (0, 0)
    assert expire_due_attempts(at=attempt.deadline_at + MINUTE) == (1, 0)
    assert expire_due_attempts(at=attempt.deadline_at + MINUTE) == (0, 0)
    attempt.refresh_from_db()
    assert (attempt.state, attempt.ended, attempt.submitted_at) == ("submitted", "time", attempt.deadline_at)
    assert attempt.passed
    assert StepCompletion.objects.get().at == attempt.deadline_at


def test_an_attempt_that_cannot_be_submitted_does_not_stop_the_others(monkeypatch):
    first, second = make_attempt(time_limit=10), make_attempt(time_limit=10)
    from assessments.domain import attempts

    real = attempts.submit_attempt

    def fails_for_one(*, attempt, at):
        if attempt.pk == first.pk:
            raise ValueError("broken")
        return real(attempt=attempt, at=at)

    monkeypatch.setattr(attempts, "submit_attempt", fails_for_one)
    assert expire_due_attempts(at=STARTED + dt.timedelta(hours=1)) == (1, 1)
    second.refresh_from_db()
    assert second.state == "submitted"


def test_looking_at_an_attempt_out_of_time_submits_it():
    attempt = make_attempt(time_limit=10)
    assert settle_attempt(attempt=attempt, at=attempt.deadline_at).state == "open"
    assert settle_attempt(attempt=attempt, at=attempt.deadline_at + MINUTE).state == "submitted"


def test_a_mark_stands_when_the_month_was_closed_meanwhile():
    enrolment, step = make_quiz_duty()
    attempt = make_attempt(enrolment, step)
    answer_all(attempt)
    enrolment.run.state = "closed"
    enrolment.run.save()
    done = submit_attempt(attempt=attempt, at=STARTED)
    assert (done.state, done.passed) == ("submitted", True)
    assert not StepCompletion.objects.exists()


# --- voiding --------------------------------------------------------------------------------------------------------
def test_voiding_needs_a_reason_and_leaves_an_event():
    attempt, hr = make_attempt(), make_user()
    with pytest.raises(ReasonMissing):
        void_attempt(attempt=attempt, by=hr, at=STARTED, reason="  ")
    void_attempt(attempt=attempt, by=hr, at=STARTED, reason="题目有误")
    void_attempt(attempt=attempt, by=hr, at=STARTED, reason="题目有误")
    event = Event.objects.get(chain="marks")
    assert (event.action, event.actor, event.reason, event.after) == (
        "attempt.voided",
        hr,
        "题目有误",
        {"state": "voided"},
    )


def test_a_completion_is_not_taken_away_by_voiding():
    attempt = make_attempt()
    answer_all(attempt)
    attempt = submit_attempt(attempt=attempt, at=STARTED)
    with pytest.raises(CompletionStands):
        void_attempt(attempt=attempt, by=make_user(), at=STARTED, reason="误操作")


# --- PM-S2: every action in every state -----------------------------------------------------------------------------
LATER = STARTED + 10 * MINUTE + dt.timedelta(seconds=3)  # in the five seconds of grace


def in_state(state):
    """(enrolment, step, attempt or None, the moment) with the attempt in a state of PM-S2."""
    enrolment, step = make_quiz_duty(time_limit=10)
    if state == "none":
        return enrolment, step, None, STARTED
    attempt = make_attempt(enrolment, step)
    if state in ("submitted", "marked"):  # submitting marks in the same transaction: one state
        attempt = submit_attempt(attempt=attempt, at=STARTED)
    if state == "voided":
        attempt = void_attempt(attempt=attempt, by=make_user(), at=STARTED, reason="停电")
    return enrolment, step, attempt, LATER if state == "grace" else STARTED


def act(action, enrolment, step, attempt, at):
    if action == "start":
        return start_attempt(enrolment=enrolment, step=step, at=at, rng=random.Random(1))
    if action == "save":
        return save(attempt, at=at)
    if action == "submit":
        return submit_attempt(attempt=attempt, at=at)
    if action == "read key":
        return queries.answers_released(attempt, standing_of(enrolment=enrolment, step=step, at=at))
    return void_attempt(attempt=attempt, by=make_user(), at=at, reason="停电")


CELLS = {
    # state:     start        save      submit     read key  void
    "none":      ["new",      None,     None,      None,     None],
    "open":      ["same",     "kept",   "marked",  False,    "voided"],
    "grace":     ["same",     "kept",   "by time", False,    "voided"],
    "submitted": ["new",      "closed", "nothing", False,    "voided"],
    "marked":    ["new",      "closed", "nothing", False,    "voided"],
    "voided":    ["new",      "closed", "nothing", False,    "nothing"],
}  # fmt: skip
ACTIONS = ["start", "save", "submit", "read key", "void"]


@pytest.mark.parametrize("state", CELLS)
@pytest.mark.parametrize("action", ACTIONS)
def test_pm_s2_every_action_in_every_state(state, action):
    wanted = CELLS[state][ACTIONS.index(action)]
    if wanted is None:
        return
    enrolment, step, attempt, at = in_state(state)
    before = Attempt.objects.filter(pk=attempt.pk).values().get() if attempt else None
    if wanted == "closed":
        with pytest.raises(AttemptClosed):
            act(action, enrolment, step, attempt, at)
        return
    found = act(action, enrolment, step, attempt, at)
    if wanted == "new":
        assert (found.state, found.pk == (attempt and attempt.pk)) == ("open", False)
    elif wanted == "same":
        assert found == attempt
    elif wanted == "marked":
        assert (found.state, found.ended, found.percent) == ("submitted", "person", Decimal("0"))
    elif wanted == "by time":
        assert (found.state, found.ended, found.submitted_at) == ("submitted", "time", attempt.deadline_at)
    elif wanted == "voided":
        assert found.state == "voided"
    elif wanted == "nothing":
        assert Attempt.objects.filter(pk=attempt.pk).values().get() == before
    elif wanted is False:
        assert found is False


@pytest.mark.parametrize(
    ("review", "end", "released"),
    [("always", 1, True), ("finished", 1, False), ("finished", 3, True), ("never", 3, False)],
)
def test_answers_are_released_as_the_quiz_says(review, end, released):
    enrolment, step = make_quiz_duty(review=review, attempts_allowed=3)
    for _n in range(end):
        attempt = submit_attempt(attempt=make_attempt(enrolment, step), at=STARTED)
    standing = standing_of(enrolment=enrolment, step=step, at=STARTED)
    assert queries.answers_released(attempt, standing) is released


def test_answers_are_not_released_while_another_attempt_is_open():
    enrolment, step = make_quiz_duty(review="always")
    first = submit_attempt(attempt=make_attempt(enrolment, step), at=STARTED)
    make_attempt(enrolment, step)
    assert not queries.answers_released(first, standing_of(enrolment=enrolment, step=step, at=STARTED))


def test_questions_of_the_bank_are_not_touched_by_attempts():
    attempt = make_attempt()
    before = list(Question.objects.values())
    submit_attempt(attempt=attempt, at=STARTED)
    assert list(Question.objects.values()) == before
