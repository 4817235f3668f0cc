"""Taking over attempts that were made before, set by set: a former system's records, or the demo company's year."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from django.db import transaction

from assessments.domain import marking
from assessments.domain.drawing import Drawn
from assessments.models import Attempt, Quiz, Response
from courses.models import Step


@dataclass
class PastAttempt:
    """One attempt as it was made: what was drawn and what was answered, in the order shown.

    ``passed`` and ``percent`` are filled in when it is marked (mark_past), by the rules of today's attempts.
    """

    enrolment_id: int
    number: int
    started_at: dt.datetime
    submitted_at: dt.datetime
    drawn: list[Drawn]
    answers: list
    score: Fraction = Fraction(0)
    shares: list[Fraction] = field(default_factory=list)
    percent: object = None
    passed: bool | None = None


def mark_past(*, attempt: PastAttempt, quiz: Quiz, earlier: Iterable[PastAttempt] = ()) -> PastAttempt:
    """This function will mark an attempt of the past; ``earlier`` are the person's marked attempts before it."""
    attempt.shares = [
        marking.mark_answer(content=one.version.content, answer=answer)
        for one, answer in zip(attempt.drawn, attempt.answers, strict=True)
    ]
    attempt.score = sum(
        (share * one.points for share, one in zip(attempt.shares, attempt.drawn, strict=True)), Fraction(0)
    )
    attempt.percent = marking.floored_percent(score=attempt.score, max_score=sum(one.points for one in attempt.drawn))
    percents = [*(one.percent for one in earlier), attempt.percent]
    attempt.passed = marking.counting_percent(percents=percents, grading=quiz.grading) >= quiz.pass_mark
    return attempt


def take_over_attempts(*, attempts: Iterable[PastAttempt], step: Step, quiz: Quiz) -> int:
    """This function will record marked attempts of the past at one quiz, with their answers, and return how many.

    The steps they passed are taken over by courses.domain.takeover.
    """
    attempts = list(attempts)
    rules = {
        "pass_mark": quiz.pass_mark,
        "time_limit": quiz.time_limit,
        "grading": quiz.grading,
        "attempts_allowed": quiz.attempts_allowed,
        "layout": quiz.layout,
        "review": quiz.review,
    }
    with transaction.atomic():
        rows = Attempt.objects.bulk_create(
            [
                Attempt(
                    enrolment_id=one.enrolment_id,
                    step=step,
                    quiz=quiz,
                    number=one.number,
                    state=Attempt.State.SUBMITTED,
                    rules=rules,
                    started_at=one.started_at,
                    deadline_at=one.started_at + dt.timedelta(minutes=quiz.time_limit) if quiz.time_limit else None,
                    submitted_at=one.submitted_at,
                    ended=Attempt.End.PERSON,
                    score=marking.points(one.score, 1),
                    max_score=sum(drawn.points for drawn in one.drawn),
                    percent=one.percent,
                    passed=one.passed,
                )
                for one in attempts
            ],
            batch_size=1000,
        )
        Response.objects.bulk_create(
            (
                Response(
                    attempt=row,
                    position=place,
                    question_version=drawn.version,
                    option_order=drawn.order,
                    points=drawn.points,
                    answer=answer,
                    saved_at=one.submitted_at if answer is not None else None,
                    score=marking.points(share, drawn.points),
                )
                for row, one in zip(rows, attempts, strict=True)
                for place, (drawn, answer, share) in enumerate(
                    zip(one.drawn, one.answers, one.shares, strict=True), start=1
                )
            ),
            batch_size=2000,
        )
    return len(rows)
