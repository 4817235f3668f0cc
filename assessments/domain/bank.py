"""The question bank: what a question must be, and how publishing freezes it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import secrets
import unicodedata
from collections import Counter
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from assessments import shapes
from assessments.models import AnswerOption, Question, QuestionCategory, QuestionVersion
from assessments.models.questions import QuestionTag

MOST_OPTIONS = 10
LONGEST_TEXT, LONGEST_OPTION = 4000, 500


@dataclass(frozen=True)
class Fault:
    """What is wrong with a question and where.

    ``field`` is the field of Question (``text_zh``, ``number`` …) or, with ``option`` (counted from 0), of AnswerOption;
    ``options`` stands for the answers as a whole.
    """

    field: str
    message: str
    option: int | None = None


class QuestionFaulty(Exception):
    """The question cannot be asked as it is. ``faults`` says why, field by field."""

    def __init__(self, faults: list[Fault]):
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = faults


def validate_question(*, content: dict) -> None:
    """This function will refuse a question that cannot be asked or marked.

    ``content`` is Question.content(): the shape of a version without ids. Raises QuestionFaulty with every fault:

    - texts: the question in Chinese at least; no control characters; question and explanation at most 4,000 characters,
      answers 500; at most ten answers, all different;
    - single: two or more answers, exactly one of them right; multiple: three or more, at least two right, at least one
      wrong (else ticking everything would be right); true or false: exactly two, one right;
    - a number: the right number is there, the tolerance is not negative;
    - a short text: at least one accepted text; matching: two or more pairs, each side different from the others;
      ordering: three or more items.
    """
    faults = [*_text_faults(content), *_KINDS[content["kind"]](content)]
    if faults:
        raise QuestionFaulty(faults)


def _text_faults(content: dict) -> list[Fault]:
    faults = []
    if not content["text"]["zh"]:
        faults.append(Fault("text_zh", _("Write the question in Chinese.")))
    for name in ("text", "feedback"):
        for language in ("zh", "en"):
            faults += _one_text(content[name][language], f"{name}_{language}", LONGEST_TEXT)
    for place, option in enumerate(content["options"]):
        for key, name in _OPTION_TEXTS.items():
            faults += _one_text(option[key], name, LONGEST_OPTION, place)
    if len(content["options"]) > MOST_OPTIONS:
        faults.append(Fault("options", _("A question can have at most %(most)d answers.") % {"most": MOST_OPTIONS}))
    return faults


_OPTION_TEXTS = {
    "zh": "text_zh",
    "en": "text_en",
    "match_zh": "match_zh",
    "match_en": "match_en",
    "feedback_zh": "feedback_zh",
    "feedback_en": "feedback_en",
}


def _one_text(text: str, field: str, longest: int, place: int | None = None) -> list[Fault]:
    if len(text) > longest:
        return [Fault(field, _("This is too long: at most %(longest)d characters.") % {"longest": longest}, place)]
    if any(unicodedata.category(letter) in {"Cc", "Cs"} and letter not in "\n\r\t" for letter in text):
        return [Fault(field, _("This holds characters that cannot be shown. Type it again."), place)]
    return []


def _all_named(content: dict, key: str = "zh") -> list[Fault]:
    """Every answer has its Chinese text, and no two are the same."""
    faults, seen = [], Counter(_folded(option[key]) for option in content["options"])
    for place, option in enumerate(content["options"]):
        if not option[key]:
            faults.append(Fault(_OPTION_TEXTS[key], _("Write this answer in Chinese."), place))
        elif seen[_folded(option[key])] > 1:
            faults.append(Fault(_OPTION_TEXTS[key], _("“%(text)s” stands here twice.") % {"text": option[key]}, place))
    return faults


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _right_ones(content: dict) -> int:
    return sum(option["correct"] for option in content["options"])


def _single_faults(content: dict) -> list[Fault]:
    faults = _all_named(content)
    if len(content["options"]) < 2:
        faults.append(Fault("options", _("Give at least two answers to choose from.")))
    elif _right_ones(content) != 1:
        faults.append(Fault("options", _("Mark exactly one answer as right.")))
    return faults


def _multiple_faults(content: dict) -> list[Fault]:
    faults = _all_named(content)
    if len(content["options"]) < 3:
        faults.append(Fault("options", _("Give at least three answers to choose from.")))
    elif _right_ones(content) < 2:
        faults.append(Fault("options", _("Mark at least two answers as right, or choose the kind “one right answer”.")))
    elif _right_ones(content) == len(content["options"]):
        faults.append(Fault("options", _("Leave at least one answer wrong: otherwise ticking everything is right.")))
    return faults


def _true_false_faults(content: dict) -> list[Fault]:
    if len(content["options"]) != 2:
        return [Fault("options", _("Give exactly two answers: first “true”, then “false”."))]
    faults = _all_named(content)
    if _right_ones(content) != 1:
        faults.append(Fault("options", _("Mark exactly one answer as right.")))
    return faults


def _numerical_faults(content: dict) -> list[Fault]:
    faults = []
    if content["number"] is None:
        faults.append(Fault("number", _("Write the right number.")))
    if (content["tolerance"] or "0").startswith("-"):
        faults.append(Fault("tolerance", _("The tolerance cannot be less than zero.")))
    return faults


def _short_text_faults(content: dict) -> list[Fault]:
    if not any(option["zh"] or option["en"] for option in content["options"]):
        return [Fault("options", _("Write at least one text that is accepted as right."))]
    return []


def _matching_faults(content: dict) -> list[Fault]:
    faults = [*_all_named(content), *_all_named(content, "match_zh")]
    if len(content["options"]) < 2:
        faults.append(Fault("options", _("Give at least two pairs.")))
    return faults


def _ordering_faults(content: dict) -> list[Fault]:
    faults = _all_named(content)
    if len(content["options"]) < 3:
        faults.append(Fault("options", _("Give at least three items, in the right order.")))
    return faults


_KINDS = {
    shapes.SINGLE: _single_faults,
    shapes.MULTIPLE: _multiple_faults,
    shapes.TRUE_FALSE: _true_false_faults,
    shapes.NUMERICAL: _numerical_faults,
    shapes.SHORT_TEXT: _short_text_faults,
    shapes.MATCHING: _matching_faults,
    shapes.ORDERING: _ordering_faults,
}


# --- publishing ---------------------------------------------------------------------------------------------------
def publish_version(*, question: Question, at: dt.datetime) -> QuestionVersion:
    """This function will freeze a question as it now stands and return the version that attempts are drawn from.

    The same words as in the newest version make no new one. Raises QuestionFaulty when the question cannot be asked.
    Two publications at the same moment number their versions one after the other.
    """
    content = question.content()
    validate_question(content=content)
    content_hash = hashlib.sha256(
        json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    ).hexdigest()
    for _try in range(5):
        newest = QuestionVersion.objects.filter(question=question).order_by("-number").first()
        if newest and newest.content_hash == content_hash:
            return newest
        try:
            with transaction.atomic():
                return QuestionVersion.objects.create(
                    question=question,
                    number=newest.number + 1 if newest else 1,
                    content=_with_ids(content),
                    content_hash=content_hash,
                    created_at=at,
                )
        except IntegrityError:
            continue  # somebody else took the number: look again
    raise RuntimeError(f"question {question.pk} is being published too often at once")


def _with_ids(content: dict) -> dict:
    """The content with random ids for the options and, apart from them, for what they match."""
    used: set[str] = set()

    def new_id() -> str:
        while (found := secrets.token_hex(3)) in used:
            pass
        used.add(found)
        return found

    matching = content["kind"] == shapes.MATCHING
    options = [{"id": new_id(), "match_id": new_id() if matching else "", **option} for option in content["options"]]
    return {**content, "options": options}


# --- finding ------------------------------------------------------------------------------------------------------
def search_questions(questions: QuerySet[Question], text: str) -> QuerySet[Question]:
    """This function will keep the questions that hold every word of the text, in either language.

    A word may be part of a longer one, which is how Chinese is searched; it may stand in the number, the question, the
    explanation, an answer or a tag.
    """
    for word in unicodedata.normalize("NFKC", text).split()[:8]:
        answers = AnswerOption.objects.filter(question=OuterRef("pk")).filter(
            Q(text_zh__icontains=word)
            | Q(text_en__icontains=word)
            | Q(match_zh__icontains=word)
            | Q(match_en__icontains=word)
        )
        tags = QuestionTag.objects.filter(content_object=OuterRef("pk"), tag__name__icontains=word)
        questions = questions.filter(
            Q(key__icontains=word)
            | Q(text_zh__icontains=word)
            | Q(text_en__icontains=word)
            | Q(feedback_zh__icontains=word)
            | Q(feedback_en__icontains=word)
            | Exists(answers)
            | Exists(tags)
        )
    return questions


# --- what there is to draw from -----------------------------------------------------------------------------------
def drawable_questions(*, category: QuestionCategory | int, difficulty: str = "", tag: str = "") -> QuerySet[Question]:
    """This function will return the published questions of a category that a quiz can draw, in no particular order."""
    found = Question.objects.filter(category=category, live=True, versions__isnull=False)
    if difficulty:
        found = found.filter(difficulty=difficulty)
    if tag:
        found = found.filter(tagged_items__tag__name__iexact=tag.strip())
    return found.order_by().distinct()


def newest_versions(*, question_ids) -> dict[int, QuestionVersion]:
    """This function will return the newest version of each question that has one, by the question's id."""
    newest = QuestionVersion.objects.filter(question=OuterRef("question")).order_by("-number").values("pk")[:1]
    versions = QuestionVersion.objects.filter(question__in=list(question_ids), pk=Subquery(newest))
    return {version.question_id: version for version in versions}


def draw_problem(
    *, question: Question | None, category: QuestionCategory | None, difficulty: str, tag: str, count: int
) -> str:
    """This function will say in words why one line of a quiz cannot be drawn; empty when it can."""
    if question is not None:
        if not question.live or not question.versions.exists():
            return _("This question is not published yet.")
        return ""
    if category is None:
        return _("Choose a question, or a category to draw from.")
    there = drawable_questions(category=category, difficulty=difficulty, tag=tag).count()
    if there < count:
        return ngettext(
            "There is only %(there)d published question to draw from here; %(count)d are wanted.",
            "There are only %(there)d published questions to draw from here; %(count)d are wanted.",
            there,
        ) % {"there": there, "count": count}
    return ""
