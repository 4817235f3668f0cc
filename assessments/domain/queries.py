"""Attempts and responses through the door (people.domain.access): who may look at which."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from dataclasses import dataclass

from django.db import connection
from django.db.models import QuerySet
from django.http import Http404

from assessments import shapes
from assessments.domain import marking
from assessments.domain.attempts import OwnResponse, Standing
from assessments.models import Attempt, Quiz, QuizPage, Response
from courses.models import Enrolment, RunStep, Step
from people.domain.access import Actor, require, visible_employees


def visible_attempts(actor: Actor, row: str) -> QuerySet[Attempt]:
    """This function will return the attempts of the people to whom the actor may do what the row names."""
    return Attempt.objects.filter(enrolment__employee__in=visible_employees(actor, row).order_by().values("pk"))


def attempt_or_404(actor: Actor, row: str, attempt_id: int) -> Attempt:
    """This function will return one attempt through the door, or raise Http404 as for a missing id (403 if no role may)."""
    require(actor, row)
    found = visible_attempts(actor, row).filter(pk=attempt_id)
    attempt = found.select_related("enrolment__run__course", "enrolment__employee", "step", "quiz").first()
    if attempt is None:
        raise Http404
    return attempt


def own_quiz_step_or_404(actor: Actor, row: str, enrolment_id: int, step_id: int) -> tuple[Enrolment, Step]:
    """This function will return one's own duty and a quiz of its run, or raise Http404.

    The quiz is reached through the run of the duty, never by its own id alone (TRUST MC-02).
    """
    require(actor, row)
    employees = visible_employees(actor, row).order_by().values("pk")
    enrolment = (
        Enrolment.objects.filter(pk=enrolment_id, employee__in=employees)
        .select_related("run__course", "employee")
        .first()
    )
    if enrolment is None:
        raise Http404
    step = RunStep.objects.filter(run=enrolment.run, step=step_id, step__kind=QuizPage._meta.label_lower)
    found = step.select_related("step__course").first()
    if found is None:
        raise Http404
    return enrolment, found.step


def own_duty_with(actor: Actor, page: QuizPage) -> tuple[int, int] | None:
    """This function will return (enrolment id, step id) of one's newest duty that has the quiz of a page."""
    if actor.employee is None:
        return None
    steps = RunStep.objects.filter(
        step__translation_key=page.translation_key, run__enrolments__employee=actor.employee.pk
    )
    return steps.order_by("-run__month").values_list("run__enrolments", "step").first()


def own_response_or_404(actor: Actor, attempt_id: int, position: int) -> OwnResponse:
    """This function will return a drawn question of one's own attempt for saving (PM-Q05: only oneself), in one query."""
    if actor.employee is None or attempt_id > 2**63 - 1 or position > 2**15 - 1:
        raise Http404
    with connection.cursor() as cursor:
        cursor.execute(_OWN_RESPONSE, [attempt_id, position, actor.employee.pk])
        found = cursor.fetchone()
    if found is None:
        raise Http404
    pk, version_id, content_hash, order, deadline = found
    # Read without their fields: SQLite keeps times in UTC and says so nowhere, and both databases give JSON as text.
    if deadline is not None and deadline.tzinfo is None:
        deadline = deadline.replace(tzinfo=dt.UTC)
    return OwnResponse(pk, version_id, content_hash, json.loads(order) if isinstance(order, str) else order, deadline)


# Written out for the same reason as the saving itself (attempts.save_answer).
_OWN_RESPONSE = """
    SELECT response.id, version.id, version.content_hash, response.option_order, attempt.deadline_at
    FROM assessments_response response
    JOIN assessments_attempt attempt ON attempt.id = response.attempt_id
    JOIN courses_enrolment enrolment ON enrolment.id = attempt.enrolment_id
    JOIN assessments_questionversion version ON version.id = response.question_version_id
    WHERE response.attempt_id = %s AND response.position = %s AND enrolment.employee_id = %s
"""


def responses_of(attempt: Attempt) -> list[Response]:
    """This function will return the drawn questions of an attempt in order, with their versions."""
    return list(
        attempt.responses.select_related("question_version__question__category__review_step").order_by("position")
    )


def intro_of(step: Step, language: str) -> str:
    """This function will return the introduction of a quiz in a language, or in the other one where it is missing."""
    pages = QuizPage.objects.filter(translation_key=step.translation_key, live=True).select_related("locale")
    intros = {page.locale.language_code: page.intro for page in pages}
    wanted = "en" if (language or "").startswith("en") else "zh-hans"
    return intros.get(wanted) or next((intro for intro in intros.values() if intro), "")


def earlier_attempts(attempt: Attempt) -> QuerySet[Attempt]:
    """This function will return all attempts of the same person at the same quiz and duty, voided ones too, oldest first."""
    return Attempt.objects.filter(enrolment=attempt.enrolment_id, step=attempt.step_id).order_by("number")


# --- what a result says -------------------------------------------------------------------------------------------------
def answers_released(attempt: Attempt, standing: Standing) -> bool:
    """This function will say whether the person may now see right answers and explanations of a submitted attempt.

    always: yes; never: no; finished: when the step is done or no further attempt can be made, so that the answers help
    nobody through the next one. Never while another attempt is open. ``standing`` is where the person stands now.
    """
    review = attempt.rules["review"]
    if attempt.state != Attempt.State.SUBMITTED or review == Quiz.Review.NEVER or standing.open_attempt is not None:
        return False
    return review == Quiz.Review.ALWAYS or standing.done or not standing.may_start


@dataclass(frozen=True)
class ToRead:
    """A lesson worth reading again: how many of its questions were not fully right."""

    step: Step
    missed: int
    asked: int


def what_to_read(attempt: Attempt, responses: list[Response]) -> list[ToRead]:
    """This function will return the lessons behind the questions that were not fully right, the most missed first.

    Only lessons of the run of this duty: others cannot be opened from here.
    """
    in_run = set(RunStep.objects.filter(run=attempt.enrolment.run_id).values_list("step", flat=True))
    asked: Counter[int] = Counter()
    missed: Counter[int] = Counter()
    steps: dict[int, Step] = {}
    for response in responses:
        step = response.question_version.question.category.review_step
        if step is None or step.pk not in in_run:
            continue
        steps[step.pk] = step
        asked[step.pk] += 1
        missed[step.pk] += response.score is None or response.score < response.points
    found = [ToRead(step, missed[pk], asked[pk]) for pk, step in steps.items() if missed[pk]]
    return sorted(found, key=lambda item: (-item.missed, item.step.position))


@dataclass(frozen=True)
class ReviewedOption:
    text: str
    chosen: bool
    right: bool
    why: str


@dataclass(frozen=True)
class ReviewedAnswer:
    """One answered question with its mark and, for whoever may see them, the right answer and why."""

    position: int
    kind: str
    text: str
    given: list[str]
    score: object
    points: int
    verdict: str  # right, part, wrong, none
    options: list[ReviewedOption]
    right: list[str]
    feedback: str


def reviewed_answers(responses: list[Response], language: str) -> list[ReviewedAnswer]:
    """This function will return the answers of a submitted attempt with what was right and why, in a language."""
    found = []
    for response in responses:
        content = response.question_version.content
        options = []
        if content["kind"] in shapes.CHOICES:
            chosen = response.answer if isinstance(response.answer, list) else [response.answer]
            by_id = {option["id"]: option for option in content["options"]}
            options = [
                ReviewedOption(
                    text=shapes.in_language(by_id[id], language),
                    chosen=id in chosen,
                    right=by_id[id]["correct"],
                    why=shapes.in_language(by_id[id], language, "feedback_"),
                )
                for id in response.option_order
            ]
        share = marking.mark_answer(content=content, answer=response.answer)
        verdict = "right" if share == 1 else "part" if share else "wrong"
        found.append(
            ReviewedAnswer(
                position=response.position,
                kind=content["kind"],
                text=shapes.in_language(content["text"], language),
                given=shapes.given_answer(content, response.answer, language),
                score=response.score,
                points=response.points,
                verdict=verdict if response.answer is not None else "none",
                options=options,
                right=shapes.right_answer(content, language),
                feedback=shapes.in_language(content["feedback"], language),
            )
        )
    return found
