"""Attempts: started, answered, submitted. Time, score and limits are the server's (TRUST MC-04, PM-S2).

Two tabs, double clicks and two workers meet in the database, not here: one open attempt by a unique index, an answer by
one conditional update, a submission by a compare-and-swap on the state.
"""

from __future__ import annotations

import datetime as dt
import functools
import logging
import random
import secrets
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from django.db import IntegrityError, connection, transaction
from django.db.models import Field, Q

from assessments.domain import marking
from assessments.domain.drawing import NotEnoughQuestions, draw_questions
from assessments.models import Attempt, QuestionVersion, Quiz, QuizPage, Response
from core.events import record_event
from courses.domain.progress import NotOpenYet, NotOwed, TooLate, accepts_work, complete_step, visit_step
from courses.models import Enrolment, Step, StepCompletion

log = logging.getLogger(__name__)

# An answer that was on its way when time ran out still counts.
GRACE = dt.timedelta(seconds=5)


class StartRefused(Exception):
    """An attempt cannot be started; the class says why."""


class AlreadyPassed(StartRefused):
    """The step is done: what is passed stays passed."""


class AttemptsUsedUp(StartRefused):
    """All attempts that the quiz allows were made."""


class NotAccepted(StartRefused):
    """The month has not opened yet, no longer takes work, or this person owes nothing in it."""


class QuizNotReady(StartRefused):
    """There is no quiz behind the step, or its questions are not published."""


class AttemptClosed(Exception):
    """The attempt is submitted, voided or out of time: the answer was not kept."""


class ReasonMissing(Exception):
    """An attempt is voided with a reason or not at all."""


class CompletionStands(Exception):
    """The step was completed on these attempts; a completion is never taken away."""


# --- where a person stands --------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Standing:
    """Where one person stands with one quiz."""

    quiz: Quiz | None
    attempts: list[Attempt]  # submitted ones, oldest first
    open_attempt: Attempt | None
    counting: Decimal | None  # the percent that counts so far
    done: bool
    left: int | None  # attempts left to start; None without a limit
    refusal: StartRefused | None  # why no (new) attempt can be started

    @property
    def may_start(self) -> bool:
        return self.refusal is None


def quiz_of(*, step: Step) -> Quiz | None:
    """This function will return the quiz behind a step: that of its published page (of any page when none is)."""
    page = (
        QuizPage.objects.filter(translation_key=step.translation_key, quiz__isnull=False)
        .order_by("-live", "pk")
        .select_related("quiz")
        .only("quiz")
        .first()
    )
    return page.quiz if page else None


def standing_of(*, enrolment: Enrolment, step: Step, at: dt.datetime) -> Standing:
    """This function will say where a person stands with a quiz and whether an attempt may be started. It changes nothing."""
    quiz = quiz_of(step=step)
    made = list(
        Attempt.objects.filter(enrolment=enrolment, step=step).exclude(state=Attempt.State.VOIDED).order_by("number")
    )
    submitted = [attempt for attempt in made if attempt.state == Attempt.State.SUBMITTED]
    open_attempt = next((attempt for attempt in made if attempt.state == Attempt.State.OPEN), None)
    done = StepCompletion.objects.filter(enrolment=enrolment, step=step).exists()
    counting = None
    if submitted:
        percents = [attempt.percent for attempt in submitted if attempt.percent is not None]
        counting = marking.counting_percent(percents=percents, grading=submitted[-1].rules["grading"])
    left = None
    if quiz is not None and quiz.attempts_allowed:
        left = max(0, quiz.attempts_allowed - len(made))
    refusal: StartRefused | None = None
    if done:
        refusal = AlreadyPassed()
    elif not _is_accepted(enrolment, at):
        refusal = NotAccepted()
    elif quiz is None:
        refusal = QuizNotReady()
    elif left == 0 and open_attempt is None:
        refusal = AttemptsUsedUp()
    return Standing(quiz, submitted, open_attempt, counting, done, left, refusal)


def _is_accepted(enrolment: Enrolment, at: dt.datetime) -> bool:
    """An optional quiz may still be taken when all required steps are done."""
    states = {Enrolment.State.ASSIGNED, Enrolment.State.IN_PROGRESS, Enrolment.State.COMPLETED}
    return enrolment.state in states and accepts_work(run=enrolment.run, at=at)


# --- starting -----------------------------------------------------------------------------------------------------------
def start_attempt(*, enrolment: Enrolment, step: Step, at: dt.datetime, rng: random.Random | None = None) -> Attempt:
    """This function will return the open attempt of a person at a quiz, starting one where there is none.

    The drawn question versions, the order of their answers and the rules are copied to the attempt. Its deadline is the
    time limit from now, or the end of the time in which work is accepted, whichever comes first. An attempt whose time
    is up is submitted first. Two tabs get the same attempt. Raises AlreadyPassed, AttemptsUsedUp, NotAccepted or
    QuizNotReady.
    """
    settle_attempts(enrolment=enrolment, step=step, at=at)
    rng = rng or secrets.SystemRandom()
    for _try in range(5):
        standing = standing_of(enrolment=enrolment, step=step, at=at)
        if standing.refusal is not None:
            raise standing.refusal
        if standing.open_attempt is not None:
            return standing.open_attempt
        try:
            with transaction.atomic():
                return _new_attempt(enrolment, step, standing, at, rng)
        except IntegrityError:
            continue  # another tab was quicker: take its attempt
    raise RuntimeError(f"enrolment {enrolment.pk}, step {step.pk}: too many attempts are being started at once")


def _new_attempt(enrolment: Enrolment, step: Step, standing: Standing, at: dt.datetime, rng: random.Random) -> Attempt:
    quiz = standing.quiz
    assert quiz is not None  # where there is none, the standing is a refusal
    seen = Response.objects.filter(attempt__enrolment__employee=enrolment.employee_id, attempt__quiz=quiz)
    try:
        drawn = draw_questions(
            quiz=quiz, seen_questions=set(seen.values_list("question_version__question", flat=True)), rng=rng
        )
    except NotEnoughQuestions as problem:
        log.error("A quiz cannot be drawn: %s", problem)
        raise QuizNotReady from problem
    last = Attempt.objects.filter(enrolment=enrolment, step=step).order_by("-number").first()
    limit = dt.timedelta(minutes=quiz.time_limit) if quiz.time_limit else None
    until = enrolment.run.accept_until
    attempt = Attempt.objects.create(
        enrolment=enrolment,
        step=step,
        quiz=quiz,
        number=last.number + 1 if last else 1,
        rules={
            "pass_mark": quiz.pass_mark,
            "time_limit": quiz.time_limit,
            "grading": quiz.grading,
            "attempts_allowed": quiz.attempts_allowed,
            "layout": quiz.layout,
            "review": quiz.review,
        },
        started_at=at,
        deadline_at=min(at + limit, until) if limit else until,
        max_score=sum(one.points for one in drawn),
    )
    Response.objects.bulk_create(
        Response(
            attempt=attempt, position=place, question_version=one.version, option_order=one.order, points=one.points
        )
        for place, one in enumerate(drawn, 1)
    )
    visit_step(enrolment=enrolment, step=step, at=at)
    return attempt


# --- answering ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class OwnResponse:
    """What saving an answer needs to know of the drawn question; see queries.own_response."""

    pk: int
    version_id: int
    content_hash: str
    option_order: list[str]
    deadline_at: dt.datetime | None

    @property
    def content(self) -> dict:
        return _content(self.version_id, self.content_hash)


@functools.lru_cache(maxsize=2000)
def _content(version_id: int, content_hash: str) -> dict:
    """The content of a version. Versions never change, so every process keeps those in use; nobody may alter the dict."""
    return QuestionVersion.objects.get(pk=version_id).content


def save_answer(*, response: OwnResponse, answer, at: dt.datetime) -> None:
    """This function will keep an answer as it is given, replacing the one before.

    One conditional update: the attempt is open, its time (and five seconds for the network) is not up, and the question
    is not marked yet. The same answer again changes nothing. Raises AttemptClosed when that is over and
    marking.AnswerRefused for a shape that our pages never send.
    """
    kept = marking.clean_answer(content=response.content, answer=answer)
    with connection.cursor() as cursor:
        cursor.execute(
            _SAVE,
            [
                _stored("answer", kept),
                _stored("saved_at", at),
                response.pk,
                Attempt.State.OPEN.value,
                _stored("saved_at", at - GRACE),
            ],
        )
        if not cursor.rowcount:
            raise AttemptClosed


def _stored(name: str, value):
    """A value as the column of a response keeps it in this database."""
    field = Response._meta.get_field(name)
    assert isinstance(field, Field)
    return field.get_db_prep_save(value, connection)


# Written out, because building this statement anew costs more than running it, and it is the one that everybody's quiz
# waits for (bench/quiz_save.py). score is NULL until submit_attempt closes the door on this very row: an answer that is
# acknowledged is marked.
_SAVE = """
    UPDATE assessments_response SET answer = %s, saved_at = %s
    WHERE id = %s AND score IS NULL AND EXISTS (
        SELECT 1 FROM assessments_attempt attempt
        WHERE attempt.id = assessments_response.attempt_id AND attempt.state = %s
        AND (attempt.deadline_at IS NULL OR attempt.deadline_at >= %s)
    )
"""


# --- submitting -------------------------------------------------------------------------------------------------------------
def submit_attempt(*, attempt: Attempt, at: dt.datetime) -> Attempt:
    """This function will end an attempt, mark it and, when it is passed, complete the step, all in one transaction.

    Idempotent: an attempt that is no longer open is returned as it is. After the deadline the attempt counts as ended by
    the server at its deadline. ``percent`` is floored to 0.01; ``passed`` says whether what counts by the quiz's grading
    (over all submitted attempts, this one included) reaches the pass mark copied at the start.
    """
    with transaction.atomic():
        if attempt.deadline_at is None or at <= attempt.deadline_at:
            moment, ended = at, Attempt.End.PERSON
        else:
            moment, ended = attempt.deadline_at, Attempt.End.TIME
        claimed = Attempt.objects.filter(pk=attempt.pk, state=Attempt.State.OPEN).update(
            state=Attempt.State.SUBMITTED, submitted_at=moment, ended=ended
        )
        if claimed:
            _mark(attempt, moment)
        return Attempt.objects.select_related("enrolment__run", "step", "quiz").get(pk=attempt.pk)


def _mark(attempt: Attempt, moment: dt.datetime) -> None:
    # Close the door first: this waits for answers on their way in, and none gets in after it.
    Response.objects.filter(attempt=attempt).update(score=0)
    responses = list(Response.objects.filter(attempt=attempt).select_related("question_version").order_by("position"))
    total = Fraction(0)
    for response in responses:
        share = marking.mark_answer(content=response.question_version.content, answer=response.answer)
        total += share * response.points
        response.score = marking.points(share, response.points)
    Response.objects.bulk_update(responses, ["score"])
    percent = marking.floored_percent(score=total, max_score=sum(response.points for response in responses))
    earlier = (
        Attempt.objects.filter(
            enrolment=attempt.enrolment_id,
            step=attempt.step_id,
            state=Attempt.State.SUBMITTED,
            number__lt=attempt.number,
            percent__isnull=False,
        )
        .order_by("number")
        .values_list("percent", flat=True)
    )
    percents = [*(one for one in earlier if one is not None), percent]
    counting = marking.counting_percent(percents=percents, grading=attempt.rules["grading"])
    passed = counting is not None and counting >= attempt.rules["pass_mark"]
    Attempt.objects.filter(pk=attempt.pk).update(score=marking.points(total, 1), percent=percent, passed=passed)
    if passed:
        enrolment = Enrolment.objects.select_related("run").get(pk=attempt.enrolment_id)
        try:
            complete_step(enrolment=enrolment, step=attempt.step, at=moment, how=StepCompletion.How.PASSED)
        except (NotOpenYet, TooLate, NotOwed):
            # The month was closed, or the duty taken away, while the attempt was open: the mark stands all the same.
            log.warning("attempt %s is passed, but its duty takes no work any more", attempt.pk)


def settle_attempts(*, enrolment: Enrolment, step: Step, at: dt.datetime) -> None:
    """This function will submit the open attempt of a person at a quiz when its time is up."""
    due = Attempt.objects.filter(_due(at), enrolment=enrolment, step=step)
    for attempt in due.select_related("step"):
        submit_attempt(attempt=attempt, at=at)


def settle_attempt(*, attempt: Attempt, at: dt.datetime) -> Attempt:
    """This function will return an attempt as it stands, submitting it first when it is open and its time is up."""
    if attempt.state == Attempt.State.OPEN and attempt.deadline_at is not None and at > attempt.deadline_at + GRACE:
        return submit_attempt(attempt=attempt, at=at)
    return attempt


def expire_due_attempts(*, at: dt.datetime) -> tuple[int, int]:
    """This function will submit every open attempt whose time is up and return how many it submitted and how many failed.

    Each attempt is a transaction of its own; one that cannot be submitted is logged and does not stop the others. Safe
    to run twice, and beside people who submit at the same moment.
    """
    submitted = failed = 0
    last = 0
    while batch := list(Attempt.objects.filter(_due(at), pk__gt=last).select_related("step").order_by("pk")[:500]):
        for attempt in batch:
            last = attempt.pk
            try:
                ended = submit_attempt(attempt=attempt, at=at)
            except Exception:
                log.exception("attempt %s cannot be submitted", attempt.pk)
                failed += 1
            else:
                submitted += ended.ended == Attempt.End.TIME
    return submitted, failed


def _due(at: dt.datetime) -> Q:
    return Q(state=Attempt.State.OPEN, deadline_at__lt=at - GRACE)


# --- voiding ------------------------------------------------------------------------------------------------------------------
def void_attempt(*, attempt: Attempt, by, at: dt.datetime, reason: str) -> Attempt:
    """This function will take an attempt out of the count, for a reason that stays on record; the person may try again.

    Voiding twice changes nothing. Raises ReasonMissing, and CompletionStands when the step is already complete.
    """
    if not reason.strip():
        raise ReasonMissing
    with transaction.atomic():
        if StepCompletion.objects.filter(enrolment=attempt.enrolment_id, step=attempt.step_id).exists():
            raise CompletionStands
        voided = (
            Attempt.objects.filter(pk=attempt.pk).exclude(state=Attempt.State.VOIDED).update(state=Attempt.State.VOIDED)
        )
        if voided:
            record_event(
                chain="marks",
                action="attempt.voided",
                subject=attempt,
                actor=by,
                at=at,
                before={"state": attempt.state, "percent": attempt.percent},
                after={"state": Attempt.State.VOIDED},
                reason=reason.strip(),
            )
        return Attempt.objects.get(pk=attempt.pk)
