"""Marking: what an answer is worth. Pure functions: the frozen content and the answer go in, a share from 0 to 1 comes out.

Shares are exact fractions, so that three thirds are a whole; only what is shown and stored is rounded, always down.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction
from typing import Any

from assessments import shapes

LONGEST_ANSWER = 200


class AnswerRefused(Exception):
    """The answer has not the shape that the question asks for: it did not come from our page."""


class NotANumber(Exception):
    """The text is not a number as people write one."""


# --- one question -------------------------------------------------------------------------------------------------
def mark_answer(*, content: dict, answer) -> Fraction:
    """This function will return the share of a question's points that an answer earns, from 0 to 1.

    No answer earns nothing. See the function of each kind for its rule of part marks.
    """
    if answer in (None, "", [], {}):
        return Fraction(0)
    return _KINDS[content["kind"]](content, answer)


def mark_one_choice(content: dict, answer: str) -> Fraction:
    """single, true_false: all or nothing."""
    return Fraction(any(option["correct"] and option["id"] == answer for option in content["options"]))


def mark_several_choices(content: dict, answer: list[str]) -> Fraction:
    """multiple: (right answers ticked - wrong answers ticked) / right answers there are, never below 0.

    Of two right and three wrong answers: both right = 1; one right = 1/2; both right and one wrong = 1/2; one right and
    one wrong = 0; everything ticked = 0.
    """
    right = {option["id"] for option in content["options"] if option["correct"]}
    ticked = set(answer)
    return max(Fraction(0), Fraction(len(ticked & right) - len(ticked - right), len(right)))


def mark_number(content: dict, answer: str) -> Fraction:
    """numerical: all or nothing; right when no further from the right number than the tolerance, ends included."""
    try:
        number = parse_number(answer, unit=content["unit"])
    except NotANumber:
        return Fraction(0)
    return Fraction(abs(number - Decimal(content["number"])) <= Decimal(content["tolerance"] or "0"))


def mark_text(content: dict, answer: str) -> Fraction:
    """short_text: all or nothing; right when equal to an accepted text of either language after folding (fold_text)."""
    accepted = {fold_text(text) for option in content["options"] for text in (option["zh"], option["en"]) if text}
    return Fraction(fold_text(answer) in accepted)


def mark_pairs(content: dict, answer: dict[str, str]) -> Fraction:
    """matching: the share of left sides with the right partner. Two of three pairs = 2/3."""
    hits = sum(answer.get(option["id"]) == option["match_id"] for option in content["options"])
    return Fraction(hits, len(content["options"]))


def mark_order(content: dict, answer: list[str]) -> Fraction:
    """ordering: the share of items in their right place. Two neighbours swapped among four = 2/4."""
    right = [option["id"] for option in content["options"]]
    return Fraction(sum(given == wanted for given, wanted in zip(answer, right, strict=False)), len(right))


_KINDS: dict[str, Callable[[dict, Any], Fraction]] = {
    shapes.SINGLE: mark_one_choice,
    shapes.TRUE_FALSE: mark_one_choice,
    shapes.MULTIPLE: mark_several_choices,
    shapes.NUMERICAL: mark_number,
    shapes.SHORT_TEXT: mark_text,
    shapes.MATCHING: mark_pairs,
    shapes.ORDERING: mark_order,
}


# --- text and numbers as people type them ---------------------------------------------------------------------------
_SPACE_AT_HAN = re.compile(r"(?<=[\u3400-\u9fff]) | (?=[\u3400-\u9fff])")
_AT_THE_ENDS = " .,;!?。、“”\"'"  # a width-folded full stop, comma or mark is one of these
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?|[+-]?\.[0-9]+")


def fold_text(text: str) -> str:
    """This function will fold what does not matter in a short answer.

    Width (Ａ = A), case, white space at the ends and repeated, white space beside a Chinese character, and a full stop,
    comma or mark at the end.
    """
    text = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return _SPACE_AT_HAN.sub("", text).strip(_AT_THE_ENDS)


def parse_number(text: str, *, unit: dict | None = None) -> Decimal:
    """This function will read a number as people type it. Raises NotANumber.

    Full-width digits and signs are folded; commas may part thousands; the question's unit may stand behind. Anything
    else is refused: NaN, Infinity, 1_000, 1e5, 0x10, digits of other scripts, "3,5".
    """
    folded = "".join(unicodedata.normalize("NFKC", str(text)).casefold().split()).replace("−", "-").replace("–", "-")
    for name in (unit or {}).values():
        name = "".join(unicodedata.normalize("NFKC", name).casefold().split())
        if name and folded.endswith(name):
            folded = folded[: -len(name)]
            break
    if len(folded) > 30 or not _NUMBER.fullmatch(folded):
        raise NotANumber(text)
    return Decimal(folded.replace(",", ""))


# --- the shape of an answer -----------------------------------------------------------------------------------------
def clean_answer(*, content: dict, answer):
    """This function will return an answer in the shape its kind stores, or None when nothing is answered.

    single, true_false: an id; multiple: the ids in the order of the question; numerical, short_text: the text, at most
    200 characters; matching: {left id: right id}; ordering: every id once. Raises AnswerRefused for any other shape
    and for ids that the question does not have.
    """
    kind = content["kind"]
    ids = [option["id"] for option in content["options"]]
    if answer in (None, "", [], {}):
        return None
    if kind in shapes.TYPED:
        if not isinstance(answer, str) or len(answer) > LONGEST_ANSWER:
            raise AnswerRefused("a short text is expected")
        text = " ".join("".join(letter for letter in answer if _can_be_kept(letter)).split())
        return text or None
    if kind == shapes.MATCHING:
        rights = {option["match_id"] for option in content["options"]}
        if not isinstance(answer, dict) or not all(isinstance(right, str) for right in answer.values()):
            raise AnswerRefused("pairs are expected")
        chosen = {left: right for left, right in answer.items() if right}
        if not set(chosen) <= set(ids) or not set(chosen.values()) <= rights:
            raise AnswerRefused("an unknown pair")
        return {left: chosen[left] for left in ids if left in chosen} or None
    if kind == shapes.MULTIPLE:
        if not isinstance(answer, list) or not all(isinstance(id, str) for id in answer) or not set(answer) <= set(ids):
            raise AnswerRefused("an unknown answer")
        return [id for id in ids if id in answer]
    if kind == shapes.ORDERING:
        if (
            not isinstance(answer, list)
            or not all(isinstance(id, str) for id in answer)
            or sorted(answer) != sorted(ids)
        ):
            raise AnswerRefused("every item is expected once")
        return answer
    if not isinstance(answer, str) or answer not in ids:
        raise AnswerRefused("an unknown answer")
    return answer


def _can_be_kept(letter: str) -> bool:
    """NUL and lone surrogates are refused by PostgreSQL; other control characters are noise of pasting."""
    return letter in "\n\t " or unicodedata.category(letter) not in {"Cc", "Cs"}


# --- an attempt, and what counts of several ---------------------------------------------------------------------------
def floored_percent(*, score: Fraction, max_score: Fraction | int) -> Decimal:
    """This function will return a score as percent, floored to 0.01: never rounded up to a pass mark."""
    if not max_score:
        return Decimal("0.00")
    return _floored(score / max_score * 100, 2)


def points(share: Fraction, worth: int) -> Decimal:
    """This function will return points for the record, floored to four places."""
    return _floored(share * worth, 4)


def _floored(value: Fraction, places: int) -> Decimal:
    whole = value.numerator * 10**places // value.denominator
    return Decimal(whole).scaleb(-places)


def counting_percent(*, percents: Iterable[Decimal], grading: str) -> Decimal | None:
    """This function will return what counts of several attempts, in the order they were made; None of none.

    highest, first and last are one of them; average is floored to 0.01.
    """
    found = list(percents)
    if not found:
        return None
    if grading == "average":
        return (sum(found, Decimal(0)) / len(found)).quantize(Decimal("0.01"), rounding=ROUND_FLOOR)
    return {"highest": max(found), "first": found[0], "last": found[-1]}[grading]
