"""Who is stuck at a quiz: the last attempt was not passed, or no attempt is left."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from assessments.models import Attempt
from courses.models import StepCompletion


@dataclass(frozen=True)
class Stuck:
    """A quiz that a person has not passed. ``made``: attempts handed in; ``used_up``: no further one is allowed."""

    made: int
    used_up: bool


def stuck_enrolments(enrolments: Collection[int]) -> dict[int, Stuck]:
    """This function will return {enrolment id: Stuck} of those whose last attempt at a quiz was not passed. Two queries.

    Voided attempts count for nothing; while an attempt is open nothing is used up; a quiz whose step is done is over.
    Of several quizzes the worst counts.
    """
    done = set(StepCompletion.objects.filter(enrolment__in=enrolments).values_list("enrolment", "step"))
    made: dict[tuple[int, int], list[tuple[str, bool | None, int]]] = {}
    rows = Attempt.objects.filter(enrolment__in=enrolments).exclude(state=Attempt.State.VOIDED)
    for enrolment, step, state, passed, allowed in rows.order_by("enrolment", "step", "number").values_list(
        "enrolment", "step", "state", "passed", "quiz__attempts_allowed"
    ):
        if (enrolment, step) not in done:
            made.setdefault((enrolment, step), []).append((state, passed, allowed))
    found: dict[int, Stuck] = {}
    for (enrolment, _step), attempts in made.items():
        submitted = [passed for state, passed, _allowed in attempts if state == Attempt.State.SUBMITTED]
        if not submitted or submitted[-1]:
            continue
        allowed = attempts[-1][2]
        is_open = len(submitted) < len(attempts)
        stuck = Stuck(made=len(submitted), used_up=bool(allowed) and len(attempts) >= allowed and not is_open)
        if enrolment not in found or stuck.used_up:
            found[enrolment] = stuck
    return found
