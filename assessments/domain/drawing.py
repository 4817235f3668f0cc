"""Which questions an attempt gets."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass

from assessments import shapes
from assessments.domain.bank import drawable_questions, newest_versions
from assessments.models import QuestionVersion, Quiz


class NotEnoughQuestions(Exception):
    """The bank holds fewer published questions than the quiz draws."""


@dataclass(frozen=True)
class Drawn:
    """One question for an attempt: the version, its worth, and the order in which its answers are shown."""

    version: QuestionVersion
    points: int
    order: list[str]


def draw_questions(*, quiz: Quiz, seen_questions: Collection[int], rng: random.Random) -> list[Drawn]:
    """This function will draw the questions of one attempt: the fixed ones, and the others at random.

    No question comes twice, however the lines of the quiz overlap. Random lines take first what the person has not met
    (``seen_questions``: ids of questions of earlier attempts) and only then what is left. The newest published version
    of each is taken. ``rng`` is the source of chance: secrets.SystemRandom outside tests. Raises NotEnoughQuestions.
    """
    lines = list(quiz.draws.select_related("question").order_by("sort_order", "pk"))
    chosen: dict[int, list[int]] = {}  # place of the line -> question ids
    taken: set[int] = set()
    for place, line in enumerate(lines):
        if line.question_id:
            if not line.question.live:
                raise NotEnoughQuestions(f"quiz {quiz.pk}: question {line.question.key} is not published")
            chosen[place] = [] if line.question_id in taken else [line.question_id]
            taken.add(line.question_id)
    for place, line in enumerate(lines):
        if line.question_id:
            continue
        there = drawable_questions(category=line.category_id, difficulty=line.difficulty, tag=line.tag)
        free = sorted(set(there.values_list("pk", flat=True)) - taken)
        if len(free) < line.count:
            raise NotEnoughQuestions(
                f"quiz {quiz.pk}: {len(free)} of {line.count} questions in category {line.category_id}"
            )
        rng.shuffle(free)
        free.sort(key=lambda pk: pk in seen_questions)  # a stable sort: the new ones first, each part still shuffled
        chosen[place] = free[: line.count]
        taken.update(chosen[place])
    versions = newest_versions(question_ids=taken)
    if len(versions) < len(taken) or not taken:
        raise NotEnoughQuestions(f"quiz {quiz.pk}: {len(versions)} of {len(taken)} questions have a published version")
    drawn = []
    for place, line in enumerate(lines):
        for pk in chosen[place]:
            order = shapes.first_order(versions[pk].content, shuffle=quiz.shuffle_options, rng=rng)
            drawn.append(Drawn(version=versions[pk], points=line.points, order=order))
    if quiz.shuffle_questions:
        rng.shuffle(drawn)
    return drawn
