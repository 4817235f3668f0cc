"""How well quizzes and questions measure: for authors and auditors, without any person on it (PM-Q01; letter M)."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from dataclasses import dataclass

from django.core.cache import cache
from django.core.paginator import Paginator
from django.http import Http404
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import get_language, gettext_lazy, pgettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from assessments import shapes
from assessments.domain.item_analysis import (
    SMALLEST_GROUP,
    Analysis,
    Item,
    analyse_quiz,
    floored,
    gate_of,
    quizzes_asking,
)
from assessments.models import Question, Quiz
from core.spreadsheets import SheetOut, download, download_sheets
from people.domain.access import actor_of, binds, require

PAGE = 50
# Millions of answers take some seconds to sum: of a quiz of the whole house the page is at most a quarter of an hour old.
LARGE, KEPT_SECONDS = 10_000, 900

# What to mend comes first. The word beside each question, and the mark of its chip.
ADVICE_WORDS = {
    "negative": (gettext_lazy("check the key"), "overdue"),
    "too_hard": (gettext_lazy("too hard"), "progress"),
    "weak": (gettext_lazy("tells little apart"), "progress"),
    "too_easy": (gettext_lazy("too easy"), "progress"),
    "unknown": (gettext_lazy("not comparable"), "assigned"),
    "few": (gettext_lazy("too early"), "assigned"),
    "fine": (gettext_lazy("fine"), "done"),
}


@dataclass(frozen=True)
class ShownItem:
    """A question with its numbers as words; of a small group nothing but that it is small."""

    item: Item
    language: str

    @property
    def question(self) -> Question:
        return self.item.version.question

    @property
    def kind(self) -> str:
        return str(Question.Kind(self.item.version.content["kind"]).label)

    @property
    def text(self) -> str:
        return shapes.in_language(self.item.version.content["text"], self.language)

    @property
    def facility(self) -> str:
        return floored(self.item.facility) if self.item.shown and self.item.facility is not None else ""

    @property
    def discrimination(self) -> str:
        found = self.item.discrimination
        return floored(found) if self.item.shown and found is not None else ""

    @property
    def advice(self) -> dict:
        label, chip = ADVICE_WORDS[self.item.advice]
        return {"label": label, "chip": chip, "text": self.item.advice_text}

    @property
    def options(self) -> list[dict]:
        """Which answers were chosen; none of a small group."""
        if not self.item.shown:
            return []
        return [
            {"text": option.text(self.language), "correct": option.correct, "idle": option.is_idle,
             "chosen": option.chosen, "asked": option.asked}
            for option in self.item.options
        ]  # fmt: skip

    @property
    def idle(self) -> int:
        return sum(option.is_idle for option in self.item.options)


@binds("PM-Q01")
@require_safe
def quizzes(request):
    """The quizzes, each leading to what is known of it; of one question those that ask it."""
    require(actor_of(request), "PM-Q01")
    question = None
    found = Quiz.objects.order_by("name")
    if asked := request.GET.get("question", ""):
        if not (asked.isascii() and asked.isdigit() and len(asked) < 19):
            raise Http404
        question = get_object_or_404(Question, pk=int(asked))
        found = quizzes_asking(question)
    text = request.GET.get("q", "").strip()[:100]
    if text:
        found = found.filter(name__icontains=text.replace("\x00", ""))
    page = Paginator(found.prefetch_related("draws"), PAGE).get_page(request.GET.get("page"))
    return render(request, "assessments/analysis_list.html", {"page": page, "question": question, "text": text})


@binds("PM-Q01")
@require_safe
def analysis(request, quiz_id: int):
    """One quiz: may its mark touch pay, how exact is it, and what to mend in which question."""
    actor = actor_of(request)
    require(actor, "PM-Q01")
    found, at = _analysis_of(_quiz_or_404(quiz_id))
    order = list(ADVICE_WORDS)
    now = sorted(found.items_now, key=lambda item: (order.index(item.advice), item.version.question.key))
    counts = Counter(item.advice for item in now)
    language = get_language()
    page = Paginator([ShownItem(item, language) for item in now], PAGE).get_page(request.GET.get("page"))
    context = {
        "quiz": found.quiz,
        "at": at,
        "whole": _whole_words(found),
        "gate": gate_of(found),
        "page": page,
        "summary": [
            {"label": label, "chip": chip, "count": counts[word]}
            for word, (label, chip) in ADVICE_WORDS.items()
            if counts[word]
        ],
        "before": [ShownItem(item, language) for item in found.items_before],
        "smallest": SMALLEST_GROUP,
        "may_edit": actor.may("PM-Q02"),
    }
    return render(request, "assessments/analysis.html", context)


def _analysis_of(quiz: Quiz) -> tuple[Analysis, dt.datetime]:
    """The analysis of a quiz and the moment it was made."""
    key = f"item-analysis-{quiz.pk}"
    kept = cache.get(key)
    if kept is None:
        kept = analyse_quiz(quiz=quiz), timezone.now()
        if kept[0].people >= LARGE:
            cache.set(key, kept, KEPT_SECONDS)
    return kept


def _whole_words(found: Analysis) -> dict:
    """The numbers of the quiz as a whole, as text; empty where there is none or the group is small."""
    whole = found.whole
    shown = whole.n >= SMALLEST_GROUP and whole.consistency is not None
    in_items = whole.error_in_items
    error = in_items if in_items is not None else whole.error
    return {
        "people": whole.n if whole.n >= SMALLEST_GROUP else None,
        "empty": found.empty if found.empty >= SMALLEST_GROUP else None,
        "earlier": max(0, found.people - whole.n) if found.people - whole.n >= SMALLEST_GROUP else None,
        "consistency": floored(whole.consistency) if shown and whole.consistency is not None else "",
        # an error is rounded up: it never looks smaller than it is
        "error": f"± {math.ceil(error * 10) / 10:.1f}" if shown and error is not None else "",
        "in_items": in_items is not None,
        "items": whole.items,
        "points": whole.points,
        "same_items": whole.same_items,
        "problem": whole.problem_text if whole.n >= SMALLEST_GROUP else "",
    }


def _quiz_or_404(quiz_id: int) -> Quiz:
    if quiz_id > 2**63 - 1:
        raise Http404
    return get_object_or_404(Quiz, pk=quiz_id)


@binds("PM-Q01")
@require_safe
def analysis_export(request, quiz_id: int, kind: str):
    """The same as a file: questions, and in a workbook the answers that were chosen."""
    require(actor_of(request), "PM-Q01")
    if kind not in {"csv", "xlsx"}:
        raise Http404
    found, at = _analysis_of(_quiz_or_404(quiz_id))
    language = get_language()
    items = [ShownItem(item, language) for item in [*found.items_now, *found.items_before]]
    name = f"item-analysis-{found.quiz.pk}"
    header = [
        _("Question number"), _("Version"), _("Asked now"), _("Question kind"), _("Question text"), _("Answers given"),
        _("Left unanswered"), _("Facility"), _("Discrimination"), _("Advice"),
    ]  # fmt: skip
    rows = [_row(shown) for shown in items]
    if kind == "csv":
        return download(kind="csv", name=name, title=found.quiz.name, header=header, rows=rows)
    options = [
        [shown.question.key, shown.item.version.number, option["text"], _yes_no(option["correct"]), option["chosen"],
         option["asked"]]
        for shown in items
        for option in shown.options
    ]  # fmt: skip
    option_header = [
        _("Question number"), _("Version"), _("Answer"), _("Right answer"), _("Chosen by"), _("People asked"),
    ]  # fmt: skip
    return download_sheets(
        name=name,
        sheets=[
            SheetOut(_("Questions"), header, rows, [16, 8, 10, 18, 60, 10, 10, 12, 12, 60]),
            SheetOut(_("Answers chosen"), option_header, options, [16, 8, 50, 12, 12, 12]),
            SheetOut(_("About this file"), notes=_notes(request, found, at)),
        ],
    )


def _row(shown: ShownItem) -> list:
    item = shown.item
    return [
        shown.question.key,
        item.version.number,
        _yes_no(item.asked_now),
        shown.kind,
        shown.text,
        item.n - item.unanswered if item.shown else None,
        item.unanswered if item.shown else None,
        round(float(item.facility), 3) if item.shown and item.facility is not None else None,
        round(item.discrimination, 3) if item.shown and item.discrimination is not None else None,
        shown.advice["text"],
    ]


def _yes_no(value: bool) -> str:
    return pgettext("a column", "yes") if value else pgettext("a column", "no")


def _notes(request, found: Analysis, at: dt.datetime) -> list[str]:
    whole, gate = _whole_words(found), gate_of(found)
    notes = [
        _("Item analysis of %(quiz)s") % {"quiz": found.quiz.name},
        _("As of %(at)s, by %(user)s")
        % {"at": timezone.localtime(at).strftime("%Y-%m-%d %H:%M"), "user": request.user},
        _("First attempts only; questions asked of fewer than %(smallest)s people show no numbers.")
        % {"smallest": SMALLEST_GROUP},
        _("May carry pay weight") if gate.passes else _("Advisory only: no pay weight"),
        *(reason.text for reason in gate.reasons),
    ]
    if whole["consistency"]:
        method = "KR-20" if whole["same_items"] else "KR-21"
        notes.append(f"{_('Internal consistency')} ({method}): {whole['consistency']}")
        notes.append(f"{_('Standard error of measurement')}: {whole['error']}")
    return notes
