"""The shape of a question's content, and what of it a learner may see. Pure data: no database, no clock.

``content`` is what a QuestionVersion keeps: {kind, text: {zh, en}, feedback: {zh, en}, options: [{id, zh, en, correct,
match_id, match_zh, match_en, feedback_zh, feedback_en}], number, tolerance, unit: {zh, en}}. Ids are random: neither
their value nor their order tells which answer is right. Only ``shown_question`` prepares content for a page somebody
answers; it copies nothing that says what is right.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

SINGLE, MULTIPLE, TRUE_FALSE = "single", "multiple", "true_false"
NUMERICAL, SHORT_TEXT = "numerical", "short_text"
MATCHING, ORDERING = "matching", "ordering"

CHOICES = {SINGLE, MULTIPLE, TRUE_FALSE}
TYPED = {NUMERICAL, SHORT_TEXT}
TRUE_WORDS = {"zh": "正确", "en": "True"}
FALSE_WORDS = {"zh": "错误", "en": "False"}


def in_language(pair: dict, language: str, prefix: str = "") -> str:
    """The text of a pair in a language, or in the other one where it is missing."""
    first, second = ("en", "zh") if (language or "").startswith("en") else ("zh", "en")
    return pair.get(prefix + first) or pair.get(prefix + second) or ""


@dataclass(frozen=True)
class ShownOption:
    id: str
    text: str
    chosen: bool = False


@dataclass(frozen=True)
class ShownPair:
    """One left side with what was chosen for it."""

    id: str
    text: str
    chosen: str = ""


@dataclass(frozen=True)
class ShownQuestion:
    """A question as a learner sees it: nothing here says what is right."""

    kind: str
    text: str
    options: list[ShownOption] = field(default_factory=list)
    pairs: list[ShownPair] = field(default_factory=list)
    unit: str = ""
    typed: str = ""
    set: bool = False  # ordering: an order was given; before that the screen shows a chance one


def first_order(content: dict, *, shuffle: bool, rng: random.Random) -> list[str]:
    """The order in which the answers of a drawn question are shown, kept with the response.

    single and multiple: as written, or shuffled. true_false: always true, false. ordering: always shuffled, and never
    in the right order. matching: the left sides as written or shuffled, then the right sides, always shuffled.
    """
    ids = [option["id"] for option in content["options"]]
    kind = content["kind"]
    if kind in {SINGLE, MULTIPLE} and shuffle:
        rng.shuffle(ids)
    elif kind == ORDERING:
        right = list(ids)
        while ids == right and len(ids) > 1:
            rng.shuffle(ids)
    elif kind == MATCHING:
        rights = [option["match_id"] for option in content["options"]]
        if shuffle:
            rng.shuffle(ids)
        rng.shuffle(rights)
        ids += rights
    elif kind in TYPED:
        ids = []
    return ids


def shown_question(content: dict, *, order: Sequence[str], answer, language: str) -> ShownQuestion:
    """What a learner sees of a drawn question, with the answer given so far."""
    kind = content["kind"]
    text = in_language(content["text"], language)
    by_id = {option["id"]: option for option in content["options"]}
    if kind == NUMERICAL:
        return ShownQuestion(kind, text, unit=in_language(content["unit"], language), typed=answer or "")
    if kind == SHORT_TEXT:
        return ShownQuestion(kind, text, typed=answer or "")
    if kind == MATCHING:
        rights = {option["match_id"]: in_language(option, language, "match_") for option in content["options"]}
        chosen = answer or {}
        return ShownQuestion(
            kind,
            text,
            options=[ShownOption(id, rights[id]) for id in order if id in rights],
            pairs=[ShownPair(id, in_language(by_id[id], language), chosen.get(id, "")) for id in order if id in by_id],
        )
    if kind == ORDERING:
        items = [ShownOption(id, in_language(by_id[id], language)) for id in answer or order]
        return ShownQuestion(kind, text, options=items, set=bool(answer))
    picked = set(answer) if isinstance(answer, list) else {answer}
    return ShownQuestion(
        kind, text, options=[ShownOption(id, in_language(by_id[id], language), id in picked) for id in order]
    )


def right_answer(content: dict, language: str) -> list[str]:
    """The right answer in words, one line each. Only for people who may see it."""
    kind, options = content["kind"], content["options"]
    if kind in CHOICES:
        return [in_language(option, language) for option in options if option["correct"]]
    if kind == MATCHING:
        return [f"{in_language(option, language)} → {in_language(option, language, 'match_')}" for option in options]
    if kind == ORDERING:
        return [f"{place}. {in_language(option, language)}" for place, option in enumerate(options, 1)]
    if kind == NUMERICAL:
        number = content["number"] or "–"
        if content["tolerance"] not in (None, "0"):
            number += f" ± {content['tolerance']}"
        return [f"{number} {in_language(content['unit'], language)}".strip()]
    accepted = dict.fromkeys(text for option in options for text in (option["zh"], option["en"]) if text)
    return [" / ".join(accepted)]


def given_answer(content: dict, answer, language: str) -> list[str]:
    """An answer in words, one line each; empty when nothing was answered."""
    kind = content["kind"]
    if answer in (None, "", [], {}):
        return []
    by_id = {option["id"]: option for option in content["options"]}
    if kind in TYPED:
        return [f"{answer} {in_language(content['unit'], language)}".strip() if kind == NUMERICAL else str(answer)]
    if kind == MATCHING:
        rights = {option["match_id"]: option for option in content["options"]}
        return [
            f"{in_language(option, language)} → {in_language(rights[answer[id]], language, 'match_')}"
            for id, option in by_id.items()
            if answer.get(id)
        ]
    if kind == ORDERING:
        return [f"{place}. {in_language(by_id[id], language)}" for place, id in enumerate(answer, 1)]
    chosen = answer if isinstance(answer, list) else [answer]
    return [in_language(option, language) for id, option in by_id.items() if id in chosen]
