"""How the people of the demo company learn: who finishes when, and how they answer. Chance from a seed, no database."""

from __future__ import annotations

import datetime as dt
import math
import random
from dataclasses import dataclass, field

from django.utils import timezone

from assessments import shapes
from assessments.domain.drawing import Drawn
from assessments.models import QuestionVersion

_EASE = {"easy": 1.5, "medium": 0.9, "hard": 0.1}


@dataclass
class Way:
    """How one person goes through one run: the moments of the lessons, and when the quiz is passed, if ever."""

    lessons: list[dt.datetime]  # as many as get done, in their order
    quiz_at: dt.datetime | None  # when the passing attempt is handed in
    failed_at: list[dt.datetime] = field(default_factory=list)  # attempts before it, or instead of it


def way_through(
    *,
    rng: random.Random,
    lessons: int,
    opens_at: dt.datetime,
    due_at: dt.datetime,
    accept_until: dt.datetime,
    diligence: float,
    perfect: bool,
) -> Way:
    """This function will decide how one person goes through one run.

    ``diligence`` is the chance to finish in time; of the others about half finish in the month after, and the rest stop
    somewhere on the way. In ``perfect`` units everybody finishes early.
    """
    window = (due_at - opens_at).total_seconds()
    chance = rng.random()
    if perfect:
        end = _working_hour(rng, opens_at + dt.timedelta(seconds=window * rng.betavariate(1.6, 3.2)), opens_at, due_at)
    elif chance < diligence:
        end = _working_hour(rng, opens_at + dt.timedelta(seconds=window * rng.betavariate(1.8, 1.5)), opens_at, due_at)
    elif chance < diligence + (1 - diligence) * 0.55:
        late = (accept_until - due_at).total_seconds()
        start = due_at + dt.timedelta(seconds=1)
        end = start + dt.timedelta(seconds=late * rng.betavariate(1.2, 2.5))
        end = _working_hour(rng, end, start, accept_until)
    else:
        return _given_up(rng, lessons, opens_at, due_at)
    begin = max(opens_at, end - dt.timedelta(days=rng.choice((0, 0, 1, 2, 4, 7)), minutes=rng.randint(40, 90)))
    quiz_at = end
    retries = rng.choices((0, 1, 2), (0.80, 0.16, 0.04))[0]
    moments = _spread(rng, begin, end, lessons + retries)
    return Way(lessons=moments[:lessons], quiz_at=quiz_at, failed_at=moments[lessons:])


def _given_up(rng: random.Random, lessons: int, opens_at: dt.datetime, due_at: dt.datetime) -> Way:
    done = rng.choices(range(lessons + 1), [3] + [1] * (lessons - 1) + [1.5])[0]
    if not done:
        return Way(lessons=[], quiz_at=None)
    end = _working_hour(rng, opens_at + (due_at - opens_at) * rng.random(), opens_at, due_at)
    failures = rng.choice((0, 1, 3)) if done == lessons else 0
    moments = _spread(rng, max(opens_at, end - dt.timedelta(days=3, minutes=50)), end, done + failures)
    return Way(lessons=moments[:done], quiz_at=None, failed_at=moments[done:])


def _working_hour(rng: random.Random, moment: dt.datetime, first: dt.datetime, last: dt.datetime) -> dt.datetime:
    """The same day between 8:40 and 20:30, inside the window."""
    morning = timezone.localtime(moment).replace(hour=8, minute=40, second=0, microsecond=0)
    moved = morning + dt.timedelta(seconds=rng.randint(0, 42_600))
    return min(max(moved, first + dt.timedelta(hours=1)), last - dt.timedelta(minutes=rng.randint(1, 240)))


def _spread(rng: random.Random, begin: dt.datetime, end: dt.datetime, count: int) -> list[dt.datetime]:
    """So many moments between two, in order, the last a while before the end."""
    length = (end - begin).total_seconds() - 900
    places = sorted(rng.uniform(0.02, 0.98) for _ in range(count))
    return [begin + dt.timedelta(seconds=int(max(60, length) * place)) for place in places]


# --- answers --------------------------------------------------------------------------------------------------------
@dataclass
class Shelf:
    """What a quiz draws from one category, with the newest versions and how hard they are."""

    count: int
    points: int
    versions: list[tuple[QuestionVersion, str]]


def draw(*, rng: random.Random, shelves: list[Shelf], seen: set[int]) -> list[tuple[Drawn, str]]:
    """This function will draw an attempt's questions as drawing.draw_questions does, from shelves read once."""
    drawn = []
    for shelf in shelves:
        pool = rng.sample(shelf.versions, len(shelf.versions))
        pool.sort(key=lambda pair: pair[0].question_id in seen)
        for version, difficulty in pool[: shelf.count]:
            seen.add(version.question_id)
            order = shapes.first_order(version.content, shuffle=True, rng=rng)
            drawn.append((Drawn(version=version, points=shelf.points, order=order), difficulty))
    rng.shuffle(drawn)
    return drawn


def knows(*, rng: random.Random, ability: float, difficulty: str) -> bool:
    """Does a person of this ability know the answer to a question of this difficulty?"""
    return rng.random() < 1 / (1 + math.exp(-(ability + _EASE[difficulty])))


def answer(*, rng: random.Random, content: dict, right: bool, typed_language: str = "zh"):
    """This function will return an answer as people give it: right, or wrong in a way that people are."""
    kind, options = content["kind"], content["options"]
    if not right and rng.random() < 0.05:
        return None
    if kind in {shapes.SINGLE, shapes.TRUE_FALSE}:
        return rng.choice([option["id"] for option in options if option["correct"] == right])
    if kind == shapes.MULTIPLE:
        good = [option["id"] for option in options if option["correct"]]
        bad = [option["id"] for option in options if not option["correct"]]
        if right:
            return good
        chosen = good[:-1] if rng.random() < 0.5 else [*good, rng.choice(bad)]
        return [option["id"] for option in options if option["id"] in chosen]
    if kind == shapes.NUMERICAL:
        return content["number"] if right else str(int(float(content["number"])) + rng.choice((1, 2, 5, 10)))
    if kind == shapes.SHORT_TEXT:
        texts = [option[typed_language] for option in options if option[typed_language]]
        texts = texts or [option["zh"] or option["en"] for option in options]
        return rng.choice(texts) if right else rng.choice(("不记得了", "客户", "微笑"))
    if kind == shapes.MATCHING:
        pairs = {option["id"]: option["match_id"] for option in options}
        if not right:
            one, two = rng.sample(list(pairs), 2)
            pairs[one], pairs[two] = pairs[two], pairs[one]
        return pairs
    order = [option["id"] for option in options]
    if not right:
        place = rng.randrange(len(order) - 1)
        order[place], order[place + 1] = order[place + 1], order[place]
    return order
