"""The page of one card: who may read it, and everything it says beside the arithmetic: evidence, people, rule, last day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

from django.db.models import Model
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from assessments.models import Attempt
from core.periods import span
from courses.models import Enrolment
from kpi.domain import unit_results
from kpi.domain.explaining import Explanation, explain, plain, set_aside_words, spoken
from kpi.domain.measures import reason_words
from kpi.domain.parameters import ScorecardRule, scorecard_rule
from kpi.domain.ratings import LineRatings, line_ratings
from kpi.domain.review_states import Action, may, parts_of
from kpi.domain.scoring import half_up
from kpi.models import Calibration, Indicator, Measure, Rating, Review, Scorecard, ScorecardLine
from people.domain.access import Actor, require, rows_on, visible_employees

ROW = "PM-V01"
_Row = TypeVar("_Row", bound=Model)
_MOST = 12  # pieces of evidence of one kind that are named one by one


# --- who may read a card ----------------------------------------------------------------------------------------------------
def card_or_404(actor: Actor, card_id: int) -> tuple[Scorecard, Review | None]:
    """This function will return a card with the review through which the actor reads it, or raise Http404 (403: no role).

    A card of a review is read by whoever may read that review's result: the person once it is published, managers above,
    HR of the unit in which the person was then, auditors. A card without a review is nobody's result yet: it is read by
    managers and HR of the person and never by the person. The card of a unit is a figure of that unit, and is read by
    whoever is paid by it.
    """
    # "May ever": everybody may read a card of his own.
    require(actor, ROW)
    if card_id > 2**63 - 1:
        raise Http404
    card = (
        Scorecard.objects.select_related(
            "version__rule__scope", "employee__unit", "employee__position", "org_unit", "computed_by__employee"
        )
        .filter(pk=card_id)
        .first()
    )
    if card is None:
        raise Http404
    if card.org_unit_id is not None:
        if not unit_results.may_read(actor, card):
            raise Http404
        return card, None
    reviews = Review.objects.filter(scorecard=card).order_by("-number")
    found = list(reviews.select_related("cycle", "unit", "position", "manager__unit", "published_by__employee"))
    for review in found:
        if may(Action.READ_RESULT, review, parts_of(review, actor)):
            return card, review
    is_me = actor.employee is not None and actor.employee.pk == card.employee_id
    assert card.employee is not None  # a card has one subject (scorecard_has_one_subject)
    if found or is_me or not visible_employees(actor, ROW).filter(pk=card.employee.pk).exists():
        raise Http404
    return card, None


# --- what a line rests on ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Evidence:
    """One measure a line rests on: what it says, where it comes from, and whether it was corrected since."""

    measure: Measure
    value: str
    words: str
    corrected: Measure | None


@dataclass(frozen=True)
class LineWords:
    """One line as the letter shows it."""

    line: ScorecardLine
    measured: list[str]  # "80 %", or for what is counted "Liable complaints: 1"
    why_not: str  # why it did not count; empty when it did
    evidence: list[Evidence] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    enrolments: list[Enrolment] = field(default_factory=list)
    rated: list[str] = field(default_factory=list)  # who gave how many stars

    @property
    def counts(self) -> bool:
        return self.line.state == ScorecardLine.State.COUNTED

    @property
    def score(self) -> str:
        return "" if self.line.score is None else plain(self.line.score.quantize(self.line.points))

    @property
    def weight(self) -> str:
        """The weight that counted; with the published one where lines that fell out changed it."""
        counted = plain(self.line.weight_counted.quantize(self.line.points))
        if not self.counts or counted == plain(self.line.weight):
            return plain(self.line.weight)
        return _("%(counted)s (published: %(weight)s)") % {"counted": counted, "weight": plain(self.line.weight)}

    @property
    def share(self) -> tuple[int, int]:
        """For a bar: the points in hundredths, and the full weight."""
        full = max(self.line.weight_counted, self.line.points)
        return int(self.line.points * 100), int(full * 100)


@dataclass(frozen=True)
class Letter:
    """All that the page of a card says."""

    card: Scorecard
    review: Review | None
    said: Explanation
    lines: list[LineWords]
    beside: list[Evidence]  # what bonus and vetoes rest on
    bonus: list[str]
    calibrations: list[Calibration]
    colleagues: int  # how many handed a rating in; 0 where they are too few to be shown
    ratings: dict[str, Rating]  # own and manager's, by role
    newer: Review | None  # what replaced the review

    @property
    def total(self):
        """The result in force: after calibration where there is a review."""
        return self.review.total if self.review and self.review.total is not None else self.card.total

    @property
    def grade(self) -> str:
        return self.review.grade if self.review and self.review.grade else self.card.grade

    @property
    def coefficient(self):
        has_one = self.review is not None and self.review.coefficient is not None
        return self.review.coefficient if has_one and self.review else self.card.coefficient

    @property
    def is_calibrated(self) -> bool:
        return (self.total, self.grade) != (self.card.total, self.card.grade)

    @property
    def months(self) -> str:
        return span(self.card.first_month, self.card.last_month)


def letter_of(*, card: Scorecard, review: Review | None) -> Letter:
    """This function will gather what the page of a card says. The number of queries does not depend on the card."""
    rule = scorecard_rule(card.version.parameters)
    lines = list(card.lines.order_by("position"))
    indicators = {one.code: one for one in Indicator.objects.filter(code__in=rule.indicators)}
    ids = {pk for line in lines for pk in line.inputs.get("measures", ())} | set(
        (card.inputs or {}).get("measures", ())
    )
    rows = Measure.objects.filter(pk__in=ids).select_related("indicator", "superseded_by__captured_by__employee")
    kept = {one.pk: _evidence(one) for one in rows.order_by("month", "indicator__code")}
    ratings = list(review.ratings.select_related("rater").filter(submitted_at__isnull=False)) if review else []
    rated = {one.line.code: one for one in line_ratings(rule, ratings)}
    attempts = _by_id(
        Attempt.objects.filter(pk__in=_first(lines, "attempts")).select_related("quiz", "enrolment__run__course")
    )
    enrolments = _by_id(
        Enrolment.objects.filter(pk__in=_first(lines, "enrolments")).select_related("run__course", "employee")
    )
    return Letter(
        card=card,
        review=review,
        said=explain(card=card, lines=lines, rule=rule, indicators=indicators),
        lines=[
            LineWords(
                line=line,
                measured=_measured(line, rule, indicators),
                why_not=set_aside_words(line),
                evidence=[kept[pk] for pk in line.inputs.get("measures", ()) if pk in kept],
                attempts=[attempts[pk] for pk in line.inputs.get("attempts", ()) if pk in attempts],
                enrolments=[enrolments[pk] for pk in line.inputs.get("enrolments", ()) if pk in enrolments],
                rated=_stars(rated[line.code]) if line.code in rated else [],
            )
            for line in lines
        ],
        beside=[kept[pk] for pk in (card.inputs or {}).get("measures", ()) if pk in kept],
        bonus=_values(card.inputs or {}, rule.bonus_indicators, indicators),
        calibrations=list(review.calibrations.select_related("by__employee").order_by("at", "pk")) if review else [],
        colleagues=_colleagues(ratings, rule),
        ratings={one.role: one for one in ratings if one.role != Rating.Role.PEER},
        newer=Review.objects.filter(supersedes=review).first() if review else None,
    )


def _by_id(rows: Iterable[_Row]) -> dict[int, _Row]:
    return {row.pk: row for row in rows}


def _first(lines: Iterable[ScorecardLine], name: str) -> list[int]:
    return [pk for line in lines for pk in line.inputs.get(name, ())[:_MOST]]


def _colleagues(ratings: Iterable[Rating], rule: ScorecardRule) -> int:
    number = sum(one.role == Rating.Role.PEER for one in ratings)
    return number if number >= rule.raters.min_peers and rule.raters.peers else 0


def _stars(given: LineRatings) -> list[str]:
    """What each part gave, from 1 to 5, colleagues as their mean; nothing where one part is all there is (the line says it)."""
    parts = (
        (_("manager %(stars)s of 5"), given.manager),
        (_("oneself %(stars)s of 5"), given.own),
        (_("colleagues %(stars)s of 5"), given.peers),
    )
    said = [words % {"stars": plain(half_up(score / 20))} for words, score in parts if score is not None]
    return said if len(said) > 1 else []


def _measured(line: ScorecardLine, rule: ScorecardRule, indicators: dict[str, Indicator]) -> list[str]:
    """The values of a line with their signs; of a rating the stars."""
    if line.kind == "rating":
        return [] if line.value is None else [_("%(stars)s of 5") % {"stars": plain(line.value)}]
    values = line.inputs.get("values", {})
    if line.kind == "deduct":
        return _values(line.inputs, values, indicators)
    return [spoken_text(text, indicators.get(code)) for code, text in values.items()]


def _values(inputs: dict, codes: Iterable[str], indicators: dict[str, Indicator]) -> list[str]:
    found = inputs.get("values", {})
    return [
        _("%(name)s: %(value)s")
        % {
            "name": indicators[code].label if code in indicators else code,
            "value": spoken_text(found[code], indicators.get(code)),
        }
        for code in codes
        if code in found
    ]


def spoken_text(text: str, indicator: Indicator | None) -> str:
    """This function will write a value that was kept as text."""
    return spoken(Decimal(text), indicator)


def _evidence(measure: Measure) -> Evidence:
    return Evidence(
        measure=measure,
        value="–" if measure.value is None else spoken(measure.value, measure.indicator),
        words=source_words(measure),
        corrected=getattr(measure, "superseded_by", None),
    )


def source_words(measure: Measure) -> str:
    """This function will say in a few words where a measure comes from."""
    evidence = measure.evidence or {}
    if evidence.get("by_hand"):
        return _("corrected: %(reason)s") % {"reason": reason_words(measure)}
    if measure.numerator is not None and measure.denominator is not None:
        return _("%(done)s of %(total)s") % {"done": plain(measure.numerator), "total": plain(measure.denominator)}
    if measure.source == Indicator.Source.EXAM and evidence.get("attempts"):
        number = len(evidence["attempts"])
        return ngettext("from %(number)s attempt", "from %(number)s attempts", number) % {"number": number}
    if evidence.get("file"):
        return _("file %(file)s, row %(row)s") % {"file": evidence["file"], "row": evidence.get("row", "–")}
    return ""


# --- what the reader can open and do -----------------------------------------------------------------------------------------
def openable(actor: Actor, card: Scorecard) -> frozenset[str]:
    """This function will say which rows the reader holds on the person: what of the evidence may be linked."""
    if card.employee is None:
        return frozenset({"PM-F01"}) if unit_results.sees_figures(actor, card) else frozenset()
    return rows_on(actor, card.employee, ("PM-F01", "PM-Q06", "PM-T01", "PM-P01"))


def may_object(*, actor: Actor, review: Review | None, at: dt.datetime) -> bool:
    """This function will say whether the reader can ask for another look at this result, now."""
    if review is None or review.object_until is None or at > review.object_until:
        return False
    return may(Action.CONTEST, review, parts_of(review, actor))
