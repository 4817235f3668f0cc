"""What a card says to the person it is about: how it adds up, what was lost, what would have changed the grade.

Pure functions over a card, its lines and its rule; they ask no database. Sentences are made in the active language, so the same
explanation can be read in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from math import ceil, floor

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from assessments.domain.item_analysis import Reason
from core.templatetags.interface import with_sign
from kpi.domain.parameters import Band, Line, ScorecardRule, Veto
from kpi.domain.scoring import CardResult, band_of, score_card
from kpi.models import Indicator, Scorecard, ScorecardLine

_COUNTED = ScorecardLine.State.COUNTED
_ONE = Decimal(1)
_STARS = (_ONE, Decimal(5))
_WHOLE_PERCENT = Decimal(100)
_ROUND_PERCENT = Decimal(5)  # rates are spoken of in fives (DOMAIN T-21: 80 % -> 85 %)


def plain(value: Decimal) -> str:
    """This function will write a number without the zeros that say nothing: 76.5, 80, 1200."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def money_like(value: Decimal) -> str:
    """This function will write points with their two places: 69.70."""
    return f"{value:.2f}"


def spoken(value: Decimal, indicator: Indicator | None) -> str:
    """This function will write a value with the sign of its indicator: 80 %, 76.5, 1."""
    is_percent = indicator is not None and indicator.unit == Indicator.Unit.PERCENT
    return with_sign(plain(value)) if is_percent else plain(value)


@dataclass(frozen=True)
class Way:
    """One thing that alone would have brought the next grade: this line's value, all others as they were.

    ``value`` is the nearest one in round steps (a rate in fives, all else in ones), ``enough`` the nearest in single steps
    if that is less; ``steps`` how many round steps away it is. ``total`` and ``band`` are the result with ``value``.
    """

    line: ScorecardLine
    indicator: Indicator | None  # None: a rating
    before: Decimal
    value: Decimal
    enough: Decimal | None
    steps: int
    points: Decimal
    total: Decimal
    band: Band

    @property
    def name(self) -> str:
        """What would have to be different: the line, or the thing that a line counts."""
        return self.indicator.label if self.indicator and self.line.kind == "deduct" else self.line.label

    @property
    def text(self) -> str:
        values = {
            "name": self.name,
            "value": spoken(self.value, self.indicator),
            "before": spoken(self.before, self.indicator),
            "total": money_like(self.total),
            "grade": self.band.grade,
        }
        if self.indicator is None:
            words = _(
                "With %(value)s of 5 instead of %(before)s for “%(name)s” the total would have been %(total)s and the "
                "grade %(grade)s."
            )
        else:
            words = _(
                "With %(value)s instead of %(before)s for “%(name)s” the total would have been %(total)s and the grade "
                "%(grade)s."
            )
        if self.enough is None:
            return words % values
        enough = _("%(value)s would have been enough.") % {"value": spoken(self.enough, self.indicator)}
        return pgettext("two sentences", "%(first)s %(second)s") % {"first": words % values, "second": enough}


@dataclass(frozen=True)
class Explanation:
    """All there is to say about one card. The order of lines is the card's; losses and ways begin with what matters most."""

    card: Scorecard
    lines: tuple[ScorecardLine, ...]
    rule: ScorecardRule
    indicators: Mapping[str, Indicator]

    # --- how it adds up -----------------------------------------------------------------------------------------------
    @property
    def counted(self) -> list[ScorecardLine]:
        return [line for line in self.lines if line.state == _COUNTED]

    @property
    def sum(self) -> str:
        """69.70 = 10.00 + 17.50 + 17.20 + 16.00 + 9.00: what was earned, line by line, a bonus last."""
        parts = [money_like(line.points) for line in self.counted]
        if self.card.bonus:
            parts.append(money_like(self.card.bonus))
        return f"{money_like(self.card.earned)} = {' + '.join(parts)}"

    @property
    def adds_up(self) -> str:
        names = [line.label for line in self.counted] + ([_("bonus points")] if self.card.bonus else [])
        return _("In this order: %(names)s.") % {"names": pgettext("between the items of a list", ", ").join(names)}

    @property
    def result(self) -> str:
        if self.card.org_unit_id is not None:  # what the grade of a unit counts for says the pay rule
            return _("The total is %(total)s points: grade %(grade)s.") % {
                "total": money_like(self.card.total),
                "grade": self.card.grade,
            }
        return _("The total is %(total)s points: grade %(grade)s, coefficient %(coefficient)s.") % {
            "total": money_like(self.card.total),
            "grade": self.card.grade,
            "coefficient": money_like(self.card.coefficient),
        }

    # --- bands --------------------------------------------------------------------------------------------------------
    @cached_property
    def next_band(self) -> Band | None:
        """The band above the one that was reached; None: it is the best."""
        above = [band for band in self.rule.bands if band.at_least > self.card.total]
        return above[-1] if above else None

    @property
    def missing(self) -> Decimal:
        """How far the total lies below the next band."""
        return self.next_band.at_least - self.card.total if self.next_band else Decimal(0)

    @property
    def below(self) -> str:
        if self.next_band is None:
            return _("%(grade)s is the best grade there is.") % {"grade": self.card.grade}
        return _("That is %(missing)s below %(grade)s, which begins at %(from)s.") % {
            "missing": money_like(self.missing),
            "grade": self.next_band.grade,
            "from": money_like(self.next_band.at_least),
        }

    @property
    def opening(self) -> str:
        """The first words of the letter: the result, and how far it lies below the next grade (a veto is said by itself)."""
        if self.card.veto:
            return self.result
        return pgettext("two sentences", "%(first)s %(second)s") % {"first": self.result, "second": self.below}

    # --- losses -------------------------------------------------------------------------------------------------------
    @property
    def losses(self) -> list[tuple[ScorecardLine, Decimal, Decimal]]:
        """(line, points lost, of how many) where something was lost, the largest first."""
        found = []
        for line in self.counted:
            full = line.weight_counted.quantize(Decimal("0.01"))
            if line.points < full:
                found.append((line, full - line.points, full))
        return sorted(found, key=lambda loss: (-loss[1], loss[0].position))

    @property
    def largest_loss(self) -> str:
        if not self.losses:
            return _("No line lost anything.")
        line, lost, full = self.losses[0]
        return _("The largest loss is “%(name)s”: −%(lost)s of %(full)s.") % {
            "name": line.label,
            "lost": money_like(lost),
            "full": plain(full),
        }

    # --- vetoes, and lines that did not count ------------------------------------------------------------------------------
    @cached_property
    def veto(self) -> Veto | None:
        return next((veto for veto in self.rule.vetoes if veto.code == self.card.veto), None)

    @property
    def vetoed(self) -> str:
        """What a veto took away, in words; empty without one."""
        if not self.card.veto:
            return ""
        return _("“%(name)s” holds the total at %(cap)s; %(earned)s points were earned and stay visible.") % {
            "name": self.veto.label if self.veto else self.card.veto,
            "cap": money_like(self.card.total),
            "earned": money_like(self.card.earned),
        }

    @property
    def without_veto(self) -> str:
        if not self.card.veto:
            return ""
        return _("Without it the total would have been %(total)s and the grade %(grade)s.") % {
            "total": money_like(self.card.earned),
            "grade": band_of(self.rule, self.card.earned).grade,
        }

    @property
    def set_aside(self) -> list[str]:
        """A sentence for each line that did not count, and for what may not give or take points yet."""
        said = [words for line in self.lines if (words := set_aside_words(line))]
        for quiz in (self.card.inputs or {}).get("left_out", ()):
            said.append(
                _("Bonus and vetoes leave out what rests on the quiz “%(quiz)s”: %(why)s")
                % {"quiz": quiz["name"], "why": gate_words(quiz)}
            )
        return said

    # --- what would have changed the grade -----------------------------------------------------------------------------------
    @cached_property
    def ways(self) -> list[Way]:
        """What alone would have brought the next grade, the easiest first: the fewest steps, then the largest loss."""
        if self.next_band is None:
            return []
        lost = {line.code: loss for line, loss, _full in self.losses}
        found = [way for line in self.counted for way in self._ways_of(line, self.next_band)]
        return sorted(found, key=lambda way: (way.steps, -lost.get(way.line.code, Decimal(0)), way.line.position))

    @property
    def easiest(self) -> list[Way]:
        """The ways that are the fewest steps away."""
        return [way for way in self.ways if way.steps == self.ways[0].steps]

    @property
    def no_way(self) -> str:
        """Said when no line alone would have been enough."""
        if self.next_band is None or self.ways or self.card.veto:
            return ""
        return _("No single line would have been enough for %(grade)s: several would have had to be better.") % {
            "grade": self.next_band.grade
        }

    def _ways_of(self, line: ScorecardLine, target: Band) -> Iterator[Way]:
        rule_line = next((each for each in self.rule.lines if each.code == line.code), None)
        if rule_line is None:
            return
        if rule_line.kind == "rating":
            stars = self._inputs.ratings[line.code] / 20
            yield from self._nearest(line, rule_line, None, Decimal(stars.numerator) / stars.denominator, target)
            return
        for code in (*rule_line.indicators, *(code for code, _points in rule_line.counts)):
            if code in self._inputs.values:
                yield from self._nearest(line, rule_line, code, self._inputs.values[code], target)

    def _nearest(
        self, line: ScorecardLine, rule_line: Line, code: str | None, before: Decimal, target: Band
    ) -> Iterator[Way]:
        indicator = self.indicators.get(code) if code else None
        breaks = _breaks(self.rule, rule_line, code)
        single = _single_step(rule_line, indicator, breaks)
        is_percent = indicator is not None and indicator.unit == Indicator.Unit.PERCENT
        low, high = _range(rule_line, indicator, breaks, before)

        def total(value: Decimal) -> Decimal:
            return self._with(rule_line, code, value).total

        def nearest(step: Decimal) -> Decimal | None:
            return _nearest_value(before, step, low, high, breaks, lambda value: total(value) >= target.at_least)

        enough = nearest(single)
        if enough is None:
            return
        value = (nearest(_ROUND_PERCENT) if is_percent else None) or enough
        result = self._with(rule_line, code, value)
        after = next(each for each in result.lines if each.line.code == line.code)
        yield Way(
            line=line,
            indicator=indicator,
            before=before,
            value=value,
            enough=enough if enough != value else None,
            steps=ceil(abs(value - before) / (_ROUND_PERCENT if is_percent else single)),
            points=after.points,
            total=result.total,
            band=result.band,
        )

    @cached_property
    def _inputs(self) -> _Inputs:
        return _Inputs.of(self.card, self.lines, self.rule)

    def _with(self, line: Line, code: str | None, value: Decimal) -> CardResult:
        """The card once more with one value (or one rating) in the place of what there was."""
        inputs = self._inputs
        if code is None:
            return inputs.score(ratings=inputs.ratings | {line.code: Fraction(value) * 20})
        return inputs.score(values=inputs.values | {code: value})


@dataclass(frozen=True)
class _Inputs:
    """What the card was computed from, read back from what it keeps."""

    rule: ScorecardRule
    values: dict[str, Decimal]
    ratings: dict[str, Fraction]
    advisory: frozenset[str]

    @classmethod
    def of(cls, card: Scorecard, lines: Sequence[ScorecardLine], rule: ScorecardRule) -> _Inputs:
        beside = (card.inputs or {}).get("values", {})
        values = {code: Decimal(text) for code, text in beside.items()}
        ratings = {}
        for line in lines:
            values |= {code: Decimal(text) for code, text in line.inputs.get("values", {}).items()}
            if line.kind == "rating" and line.score is not None:
                ratings[line.code] = Fraction(line.inputs.get("rating") or line.score)
        # What had no value when the card was made, or could not give or take points then, stays out.
        rule = replace(
            rule,
            bonus_indicators=tuple(code for code in rule.bonus_indicators if code in beside),
            vetoes=tuple(veto for veto in rule.vetoes if veto.indicator in beside),
        )
        advisory = frozenset(line.code for line in lines if line.state == ScorecardLine.State.ADVISORY)
        return cls(rule, values, ratings, advisory)

    def score(
        self, *, values: Mapping[str, Decimal] | None = None, ratings: Mapping[str, Fraction] | None = None
    ) -> CardResult:
        return score_card(
            self.rule,
            values=self.values if values is None else values,
            ratings=self.ratings if ratings is None else ratings,
            advisory=self.advisory,
        )


def explain(
    *, card: Scorecard, lines: Sequence[ScorecardLine], rule: ScorecardRule, indicators: Mapping[str, Indicator]
) -> Explanation:
    """This function will explain a card by its lines (in their order), its rule and the indicators by code."""
    return Explanation(card, tuple(lines), rule, indicators)


# --- words about one line ----------------------------------------------------------------------------------------------------
def gate_words(quiz: Mapping) -> str:
    """This function will say why a quiz may not carry pay yet, from what a line keeps about it."""
    if not quiz["reasons"]:
        return _("it does not exist any more.")
    return " ".join(Reason(reason["code"], reason["values"]).text for reason in quiz["reasons"])


def set_aside_words(line: ScorecardLine) -> str:
    """This function will say why a line did not count; empty when it did."""
    values = {"name": line.label, "weight": plain(line.weight)}
    if line.state == ScorecardLine.State.MISSING:
        return (
            _(
                "Nothing was measured for “%(name)s”. That is not a zero: its weight of %(weight)s went to the other lines."
            )
            % values
        )
    if line.state != ScorecardLine.State.ADVISORY:
        return ""
    said = [_("“%(name)s” is for information: its weight of %(weight)s went to the other lines.") % values]
    for quiz in line.inputs.get("advisory", ()):
        said.append(
            _("The quiz “%(quiz)s” may not carry pay yet: %(why)s") % {"quiz": quiz["name"], "why": gate_words(quiz)}
        )
    return " ".join(said)


# --- looking for the nearest value ---------------------------------------------------------------------------------------------
def _breaks(rule: ScorecardRule, line: Line, code: str | None) -> list[Decimal]:
    """Where the score bends or jumps as the value moves: between two of these it only rises or only falls."""
    if code is None:
        return []
    found = {value for each in rule.lines if code in each.indicators for value, _score in each.points}
    found |= {veto.at_least for veto in rule.vetoes if veto.indicator == code}
    return sorted(found)


def _single_step(line: Line, indicator: Indicator | None, breaks: Sequence[Decimal]) -> Decimal:
    """One of what is measured; where the whole scale is very short or very long, a tenth or tens of it."""
    step = _ONE
    if indicator is None or indicator.unit != Indicator.Unit.POINTS or len(breaks) < 2:
        return step
    span = breaks[-1] - breaks[0]
    while span / step > 1000:
        step *= 10
    while span / step < 5 and step > Decimal("0.01"):
        step /= 10
    return step


def _range(line: Line, indicator: Indicator | None, breaks: Sequence[Decimal], before: Decimal) -> tuple[Decimal, ...]:
    """The least and the most that makes sense to look at."""
    if indicator is None or indicator.unit == Indicator.Unit.RATING:
        return _STARS
    low = min([Decimal(0), before, *breaks])
    high = max([before, *breaks])
    if indicator.unit == Indicator.Unit.PERCENT:
        high = min(high, _WHOLE_PERCENT)
    return low, high


def _nearest_value(before: Decimal, step: Decimal, low: Decimal, high: Decimal, breaks, reaches) -> Decimal | None:
    """The multiple of the step nearest to a value, upwards or downwards, that reaches; None where none does."""
    found = [
        value
        for upwards in (True, False)
        if (value := _first_towards(before, step, high if upwards else low, breaks, reaches, upwards)) is not None
    ]
    return min(found, key=lambda value: abs(value - before), default=None)


def _first_towards(before: Decimal, step: Decimal, end: Decimal, breaks, reaches, upwards: bool) -> Decimal | None:
    """From a value towards an end, stretch by stretch between the breaks. Each is asked at its ends, then halved."""
    stops = sorted({each for each in breaks if (before < each < end if upwards else end < each < before)} | {end})
    at = before
    for stop in stops if upwards else reversed(stops):
        first, last = (
            (floor(at / step) + 1, floor(stop / step)) if upwards else (ceil(at / step) - 1, ceil(stop / step))
        )
        length = (last - first if upwards else first - last) + 1
        if length > 0:
            sign = 1 if upwards else -1
            if reaches(first * step):
                return first * step
            if reaches(last * step):
                near, far = 0, length - 1  # near does not reach, far does
                while far - near > 1:
                    middle = (near + far) // 2
                    near, far = (near, middle) if reaches((first + sign * middle) * step) else (middle, far)
                return (first + sign * far) * step
        at = stop
    return None
