"""Taking over attempts that were made before, set by set: a former system's records, or the demo company's year."""

from __future__ import annotations

import datetime as dt
import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from django.db import connection, transaction

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
    percent: Decimal | None = None
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
    percents = [*(one.percent for one in earlier if one.percent is not None), attempt.percent]
    counting = marking.counting_percent(percents=percents, grading=quiz.grading)
    attempt.passed = counting is not None and counting >= quiz.pass_mark
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
        _insert_responses(rows, attempts)
    return len(rows)


_COLUMNS = ("attempt", "position", "question_version", "option_order", "points", "answer", "saved_at", "score")


def _insert_responses(rows: list[Attempt], attempts: list[PastAttempt]) -> None:
    """Write the answers as plain rows: ten to an attempt, they are most of the work, and no model is needed for them."""
    quote, ops = connection.ops.quote_name, connection.ops
    column_of = {field.name: field.column for field in Response._meta.concrete_fields if field.column}
    columns = ", ".join(quote(column_of[name]) for name in _COLUMNS)
    marks = ", ".join(["%s"] * len(_COLUMNS))
    score = Response._meta.get_field("score")

    @functools.cache
    def decimal(share: Fraction, points: int):
        return ops.adapt_decimalfield_value(marking.points(share, points), score.max_digits, score.decimal_places)

    def values():
        for row, one in zip(rows, attempts, strict=True):
            at = ops.adapt_datetimefield_value(one.submitted_at)
            answered = zip(one.drawn, one.answers, one.shares, strict=True)
            for place, (drawn, answer, share) in enumerate(answered, start=1):
                yield (
                    row.pk,
                    place,
                    drawn.version.pk,
                    json.dumps(drawn.order),
                    drawn.points,
                    None if answer is None else json.dumps(answer, ensure_ascii=False),
                    None if answer is None else at,
                    decimal(share, drawn.points),
                )

    with connection.cursor() as cursor:
        # Names come from the model and values go as parameters: nothing in this statement was typed by anybody.
        cursor.executemany(
            f"INSERT INTO {quote(Response._meta.db_table)} ({columns}) VALUES ({marks})",  # noqa: S608
            list(values()),
        )
