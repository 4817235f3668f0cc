"""What a rule version's parameters hold: read from JSON into typed values, or refused with the place and the cure.

No formulas and no code: every family is a closed shape, so what a rule can do is what stands here (TRUST MC-06). Numbers
are decimal text ("69.99"), never floats, and are read by one parser (TRUST MC-23).

A scorecard::

    {"lines": [{"code": "training", "name_zh": "培训完成率", "name_en": "Training completion", "kind": "curve",
                "weight": "20", "indicators": ["training"], "points": [["60", "0"], ["100", "100"]], "below": "0"}, …],
     "bonus": {"cap": "5", "indicators": ["bonus"]},
     "vetoes": [{"code": "regulator", "name_zh": "…", "name_en": "…", "indicator": "regulator", "from": "1", "cap": "69.99"}],
     "bands": [{"grade": "A", "from": "95", "coefficient": "1.20"}, …],
     "raters": {"self": "10", "manager": "60", "peers": "30", "min_peers": 3}, "top_share": "20"}

Kinds of lines (DOMAIN section 2): ``curve`` and ``step`` read one indicator; ``deduct`` counts several, each with its
points; ``rating`` reads what the raters said and no indicator. ``bonus`` and ``veto`` stand beside the lines.

A pay rule::

    {"pool": {"mode": "closed", "share": "people"}, "cap_fen": 1000000, "cap_share": "150", "floor_fen": 0, "floor_share": "0",
     "reserve_share": "5", "without_review": "1.00", "unit_bands": [{"grade": "A", "coefficient": "1.05"}, …]}

An award rule::

    {"places": 10, "quorum": "66.67", "majority": "50", "publicity_days": 5,
     "conditions": [{"code": "training", "name_zh": "…", "name_en": "…", "indicator": "training", "at_least": "100"}, …]}
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext as _

KINDS = ("curve", "step", "deduct", "rating")


class ParametersWrong(Exception):
    """The parameters break a rule of their shape: ``faults`` is a list of (place, what is wrong and how to mend it)."""

    def __init__(self, faults: list[tuple[str, str]]):
        self.faults = faults
        super().__init__("; ".join(f"{place}: {words}" for place, words in faults))


_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,4})?", re.ASCII)


def number(text: Any) -> Decimal:
    """This function will read a decimal number of at most nine digits and four places. Raises ValueError.

    Python's own Decimal takes "NaN", "1_000" and full-width digits; this takes none of them.
    """
    if isinstance(text, bool) or not isinstance(text, str | int) or not _NUMBER.fullmatch(str(text)):
        raise ValueError(text)
    return Decimal(str(text))


@dataclass(frozen=True)
class Named:
    """A code and its name in both languages."""

    code: str
    name_zh: str
    name_en: str

    @property
    def label(self) -> str:
        return self.name_en if self.name_en and (get_language() or "").startswith("en") else self.name_zh


@dataclass(frozen=True)
class Line(Named):
    """One line of a scorecard. What is empty is not of its kind.

    ``points`` (curve: value -> score, by rising value; step: from this value on -> score, by falling value); ``below``: the
    score under the first point of a curve or under the last row of a step; ``counts`` (deduct): (indicator, points off for
    each); ``floor`` the least score of a deduct. Scores are 100 for "full"; a curve may give more.
    """

    kind: str
    weight: Decimal
    indicators: tuple[str, ...] = ()
    points: tuple[tuple[Decimal, Decimal], ...] = ()
    below: Decimal = Decimal(0)
    counts: tuple[tuple[str, Decimal], ...] = ()
    floor: Decimal = Decimal(0)


@dataclass(frozen=True)
class Veto(Named):
    """From this value of the indicator on, the total is at most ``cap``."""

    indicator: str
    at_least: Decimal
    cap: Decimal


@dataclass(frozen=True)
class Band:
    """A grade from a total on, and the coefficient it gives."""

    grade: str
    at_least: Decimal
    coefficient: Decimal


@dataclass(frozen=True)
class Raters:
    """How the parts of a rated line count: weights that are renormalised when a part is missing; peers from a minimum on."""

    self_weight: Decimal = Decimal(0)
    manager: Decimal = Decimal(100)
    peers: Decimal = Decimal(0)
    min_peers: int = 3


@dataclass(frozen=True)
class ScorecardRule:
    """The parameters of a scorecard, checked."""

    lines: tuple[Line, ...]
    bands: tuple[Band, ...]  # the best first
    bonus_cap: Decimal = Decimal(0)
    bonus_indicators: tuple[str, ...] = ()
    vetoes: tuple[Veto, ...] = ()
    raters: Raters = field(default_factory=Raters)
    top_share: Decimal | None = None  # per cent of a group that may have the best grade; None: no quota

    @property
    def indicators(self) -> frozenset[str]:
        """Every indicator the card reads."""
        codes = {code for line in self.lines for code in line.indicators}
        codes |= {code for line in self.lines for code, _points in line.counts}
        return frozenset(codes | set(self.bonus_indicators) | {veto.indicator for veto in self.vetoes})


class _Reader:
    """Reads values out of JSON and collects what is wrong with its place."""

    def __init__(self) -> None:
        self.faults: list[tuple[str, str]] = []

    def fault(self, place: str, words: str) -> None:
        self.faults.append((place, words))

    def number(self, data: dict, key: str, place: str, default: str | None = None) -> Decimal:
        value = data.get(key, default)
        try:
            return number(value)
        except ValueError:
            self.fault(f"{place}.{key}", _("Write a number like 12.5 (at most four places)."))
            return Decimal(0)

    def text(self, data: dict, key: str, place: str, required: bool = True) -> str:
        value = data.get(key, "")
        if not isinstance(value, str) or (required and not value.strip()):
            self.fault(f"{place}.{key}", _("Write something here."))
            return ""
        return value.strip()

    def rows(self, data: dict, key: str, place: str) -> list[dict]:
        value = data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            self.fault(f"{place}.{key}", _("This is not a list."))
            return []
        return value

    def pairs(self, data: dict, key: str, place: str) -> tuple[tuple[Decimal, Decimal], ...]:
        value, found = data.get(key, []), []
        for position, pair in enumerate(value if isinstance(value, list) else [], start=1):
            try:
                first, second = pair
                found.append((number(first), number(second)))
            except (TypeError, ValueError):
                self.fault(f"{place}.{key}.{position}", _("Write a number like 12.5 (at most four places)."))
        if not found:
            self.fault(f"{place}.{key}", _("At least one point is needed."))
        return tuple(found)

    def codes(self, data: dict, key: str) -> tuple[str, ...]:
        value = data.get(key, [])
        return tuple(code for code in value if isinstance(code, str)) if isinstance(value, list) else ()

    def known(self, codes: Iterable[str], known: frozenset[str] | None, place: str) -> None:
        for code in filter(None, codes):  # one that is missing was found by ``text``
            if known is not None and code not in known:
                self.fault(place, _("No indicator has the code %(code)s.") % {"code": code})


def scorecard_rule(parameters: dict, *, known: frozenset[str] | None = None) -> ScorecardRule:
    """This function will read the parameters of a scorecard. Raises ParametersWrong with every fault found.

    ``known`` are the codes of the indicators there are; None does not check them (a published version was checked).
    """
    read = _Reader()
    lines = tuple(
        _line(read, row, f"lines.{position}", known)
        for position, row in enumerate(read.rows(parameters, "lines", "scorecard"), start=1)
    )
    if not lines:
        read.fault("lines", _("A scorecard needs at least one line."))
    weights = sum((line.weight for line in lines), Decimal(0))
    if lines and weights != 100:
        read.fault(
            "lines",
            _("The weights add up to %(sum)s; they must be exactly 100.") % {"sum": f"{weights.normalize():f}"},
        )
    doubles = [line.code for line in lines]
    if len(set(doubles)) != len(doubles):
        read.fault("lines", _("Every line needs a code of its own."))
    bonus = parameters.get("bonus") or {}
    bonus_indicators = read.codes(bonus, "indicators")
    read.known(bonus_indicators, known, "bonus")
    vetoes = []
    for position, row in enumerate(read.rows(parameters, "vetoes", "scorecard"), start=1):
        place = f"vetoes.{position}"
        veto = Veto(
            code=read.text(row, "code", place),
            name_zh=read.text(row, "name_zh", place),
            name_en=read.text(row, "name_en", place, required=False),
            indicator=read.text(row, "indicator", place),
            at_least=read.number(row, "from", place, "1"),
            cap=read.number(row, "cap", place),
        )
        read.known([veto.indicator], known, place)
        vetoes.append(veto)
    rule = ScorecardRule(
        lines=lines,
        bands=_bands(read, parameters),
        bonus_cap=read.number(bonus, "cap", "bonus", "0"),
        bonus_indicators=bonus_indicators,
        vetoes=tuple(vetoes),
        raters=_raters(read, parameters.get("raters") or {}),
        top_share=read.number(parameters, "top_share", "scorecard") if parameters.get("top_share") else None,
    )
    if rule.bonus_cap < 0:
        read.fault("bonus.cap", _("The cap cannot be below 0."))
    if rule.top_share is not None and not 0 < rule.top_share <= 100:
        read.fault("top_share", _("Write a share between 0 and 100."))
    if read.faults:
        raise ParametersWrong(read.faults)
    return rule


def _line(read: _Reader, row: dict, place: str, known: frozenset[str] | None) -> Line:
    kind = row.get("kind")
    weight = read.number(row, "weight", place)
    if not 0 < weight <= 100:
        read.fault(f"{place}.weight", _("A weight lies above 0 and is at most 100."))
    points: tuple[tuple[Decimal, Decimal], ...] = ()
    counts: list[tuple[str, Decimal]] = []
    indicators = read.codes(row, "indicators")
    if kind not in KINDS:
        read.fault(f"{place}.kind", _("Choose how the line is scored."))
    elif kind in ("curve", "step"):
        points = read.pairs(row, "points", place)
        if len(indicators) != 1:
            read.fault(f"{place}.indicators", _("Choose one indicator."))
        values = [value for value, _score in points]
        if len(set(values)) != len(values):
            read.fault(f"{place}.points", _("Two points stand at the same value."))
        points = tuple(sorted(points, reverse=kind == "step"))
    elif kind == "deduct":
        for position, count in enumerate(read.rows(row, "counts", place), start=1):
            where = f"{place}.counts.{position}"
            counts.append((read.text(count, "indicator", where), read.number(count, "points", where)))
            if counts[-1][1] <= 0:
                read.fault(f"{where}.points", _("Write how many points each one costs: a number above 0."))
        if not counts:
            read.fault(f"{place}.counts", _("Choose at least one indicator to count."))
    read.known([*indicators, *(code for code, _points in counts)], known, place)
    return Line(
        code=read.text(row, "code", place),
        name_zh=read.text(row, "name_zh", place),
        name_en=read.text(row, "name_en", place, required=False),
        kind=kind if kind in KINDS else "curve",
        weight=weight,
        indicators=indicators,
        points=points,
        below=read.number(row, "below", place, "0"),
        counts=tuple(counts),
        floor=read.number(row, "floor", place, "0"),
    )


def _bands(read: _Reader, parameters: dict) -> tuple[Band, ...]:
    bands = []
    for position, row in enumerate(read.rows(parameters, "bands", "scorecard"), start=1):
        place = f"bands.{position}"
        bands.append(
            Band(
                grade=read.text(row, "grade", place)[:4],
                at_least=read.number(row, "from", place, "0"),
                coefficient=read.number(row, "coefficient", place),
            )
        )
    bands.sort(key=lambda band: band.at_least, reverse=True)
    if not bands:
        read.fault("bands", _("At least one grade is needed."))
    elif bands[-1].at_least > 0:
        read.fault("bands", _("The lowest grade must begin at 0, so that every total has a grade."))
    if len({band.grade for band in bands}) != len(bands) or len({band.at_least for band in bands}) != len(bands):
        read.fault("bands", _("Two grades have the same name or begin at the same total."))
    if any(lower.coefficient > upper.coefficient for upper, lower in zip(bands, bands[1:], strict=False)):
        read.fault("bands", _("A lower grade cannot have a higher coefficient."))
    if any(band.coefficient < 0 for band in bands):
        read.fault("bands", _("A coefficient cannot be below 0."))
    return tuple(bands)


def _raters(read: _Reader, data: dict) -> Raters:
    least = data.get("min_peers", 3)
    if not isinstance(least, int) or isinstance(least, bool) or not 1 <= least <= 20:
        read.fault("raters.min_peers", _("Write how many colleagues are needed at least: 1 to 20."))
        least = 3
    raters = Raters(
        self_weight=read.number(data, "self", "raters", "0"),
        manager=read.number(data, "manager", "raters", "100"),
        peers=read.number(data, "peers", "raters", "0"),
        min_peers=least,
    )
    weights = (raters.self_weight, raters.manager, raters.peers)
    if any(weight < 0 for weight in weights) or sum(weights) != 100:
        read.fault("raters", _("The parts of self, manager and colleagues must add up to exactly 100."))
    return raters


# --- award rules --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Condition(Named):
    """What a nominee's indicator must reach over the months of a round: at least this, or at most that."""

    indicator: str
    at_least: Decimal | None
    at_most: Decimal | None

    def met_by(self, value: Decimal | None) -> bool:
        """Does a value meet it? What was not measured does not."""
        if value is None:
            return False
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


@dataclass(frozen=True)
class AwardRule:
    """The parameters of an award rule, checked. Shares are per cent.

    ``quorum``: how many of the members who may vote must have voted; ``majority``: votes for must be more than this share
    of votes for and against. ``publicity_days``: how long the names are public before anything is granted.
    """

    places: int
    quorum: Decimal
    majority: Decimal
    publicity_days: int
    conditions: tuple[Condition, ...]

    @property
    def indicators(self) -> frozenset[str]:
        """Every indicator the conditions read."""
        return frozenset(condition.indicator for condition in self.conditions)


def award_rule(parameters: dict, *, known: frozenset[str] | None = None) -> AwardRule:
    """This function will read the parameters of an award rule. Raises ParametersWrong with every fault found."""
    read = _Reader()
    conditions = []
    for position, row in enumerate(read.rows(parameters, "conditions", "award"), start=1):
        place = f"conditions.{position}"
        bounds = {key: read.number(row, key, place) if row.get(key) else None for key in ("at_least", "at_most")}
        if not any(value is not None for value in bounds.values()):
            read.fault(place, _("Write from which value on, or up to which value, the condition is met."))
        conditions.append(
            Condition(
                code=read.text(row, "code", place),
                name_zh=read.text(row, "name_zh", place),
                name_en=read.text(row, "name_en", place, required=False),
                indicator=read.text(row, "indicator", place),
                **bounds,
            )
        )
        read.known([conditions[-1].indicator], known, place)
    rule = AwardRule(
        places=_whole(read, parameters, "places", 1, 100_000),
        quorum=read.number(parameters, "quorum", "award", "66.67"),
        majority=read.number(parameters, "majority", "award", "50"),
        publicity_days=_whole(read, parameters, "publicity_days", 1, 60),
        conditions=tuple(conditions),
    )
    for key, share in (("quorum", rule.quorum), ("majority", rule.majority)):
        if not 0 < share <= 100:
            read.fault(f"award.{key}", _("Write a share between 0 and 100."))
    if read.faults:
        raise ParametersWrong(read.faults)
    return rule


def _whole(read: _Reader, data: dict, key: str, least: int, most: int) -> int:
    value = data.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        read.fault(
            f"award.{key}", _("Write a whole number from %(least)s to %(most)s.") % {"least": least, "most": most}
        )
        return least
    return value


# --- pay rules ----------------------------------------------------------------------------------------------------------
POOL_MODES = ("open", "ceiling", "closed")
POOL_SHARES = ("people", "units")


@dataclass(frozen=True)
class UnitBand:
    """The coefficient that the grade of a unit's own scorecard gives everybody in it."""

    grade: str
    coefficient: Decimal


@dataclass(frozen=True)
class PayRule:
    """The parameters of a pay rule, checked. Shares are per cent; money is fen for a full month at work.

    ``mode``: the amount is given (closed), at most (ceiling) or what comes out (open). ``share``: the money goes to the
    people at once, or first to the units by base x unit coefficient x attendance and then to their people. The cap is
    the lower one of ``cap_fen`` and ``cap_share`` of the base, the floor the higher one of its two; None: no cap.
    ``reserve_share`` of the money is kept back for objections that are upheld. ``without_review`` is the coefficient of
    who has no review in the cycle.
    """

    mode: str
    share: str = "people"
    cap_fen: int | None = None
    cap_share: Decimal | None = None
    floor_fen: int = 0
    floor_share: Decimal = Decimal(0)
    reserve_share: Decimal = Decimal(0)
    without_review: Decimal = Decimal(1)
    unit_bands: tuple[UnitBand, ...] = ()

    def unit_coefficient(self, grade: str) -> Decimal:
        """What a unit's grade gives; 1 where the rule says nothing of it."""
        return next((band.coefficient for band in self.unit_bands if band.grade == grade), Decimal(1))


def pay_rule(parameters: dict) -> PayRule:
    """This function will read the parameters of a pay rule. Raises ParametersWrong with every fault found."""
    read = _Reader()
    pool = parameters.get("pool")
    pool = pool if isinstance(pool, dict) else {}
    mode, share = pool.get("mode"), pool.get("share", "people")
    if mode not in POOL_MODES:
        read.fault("pool.mode", _("Choose whether the pool is closed, a ceiling or open."))
    if share not in POOL_SHARES:
        read.fault("pool.share", _("Choose whether the money goes to the people at once or first to the units."))
    elif share == "units" and mode == "open":
        read.fault("pool.share", _("An open pool has no amount that units could share: choose the people."))
    bands = []
    for position, row in enumerate(read.rows(parameters, "unit_bands", "pay"), start=1):
        place = f"unit_bands.{position}"
        bands.append(UnitBand(read.text(row, "grade", place)[:4], read.number(row, "coefficient", place)))
        if bands[-1].coefficient < 0:
            read.fault(f"{place}.coefficient", _("A coefficient cannot be below 0."))
    if len({band.grade for band in bands}) != len(bands):
        read.fault("unit_bands", _("A grade stands there twice."))
    rule = PayRule(
        mode=mode if mode in POOL_MODES else "closed",
        share=share if share in POOL_SHARES else "people",
        cap_fen=_fen(read, parameters, "cap_fen"),
        cap_share=read.number(parameters, "cap_share", "pay")
        if parameters.get("cap_share") not in (None, "")
        else None,
        floor_fen=_fen(read, parameters, "floor_fen") or 0,
        floor_share=read.number(parameters, "floor_share", "pay", "0"),
        reserve_share=read.number(parameters, "reserve_share", "pay", "0"),
        without_review=read.number(parameters, "without_review", "pay", "1"),
        unit_bands=tuple(bands),
    )
    _pay_limits(read, rule)
    if read.faults:
        raise ParametersWrong(read.faults)
    return rule


def _fen(read: _Reader, data: dict, key: str) -> int | None:
    value = data.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 10**13:
        read.fault(f"pay.{key}", _("Write an amount of money that is not below 0."))
        return None
    return value


def _pay_limits(read: _Reader, rule: PayRule) -> None:
    if rule.cap_fen == 0 or (rule.cap_share is not None and rule.cap_share <= 0):
        read.fault("cap", _("A cap lies above 0; leave it empty for none."))
    if rule.floor_share < 0:
        read.fault("floor", _("Write a share that is not below 0."))
    if rule.cap_fen is not None and rule.floor_fen > rule.cap_fen:
        read.fault("floor", _("The floor lies above the cap."))
    if rule.cap_share is not None and rule.floor_share > rule.cap_share:
        read.fault("floor", _("The floor lies above the cap."))
    if not 0 <= rule.reserve_share < 100:
        read.fault("reserve_share", _("Write a share from 0 to below 100."))
    if rule.without_review < 0:
        read.fault("without_review", _("A coefficient cannot be below 0."))
