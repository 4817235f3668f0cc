"""Cards: computed from the measures under a published rule, kept with what they rest on, and sealed.

``compute_cards`` writes them, ``preview`` only says what they would be. Both work through people a few hundred at a time, so
the number of queries grows with the batches and not with the people.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction

from assessments.domain.item_analysis import PayGate, pay_gate
from assessments.models import Quiz
from core.batches import batches
from core.events import record_event, sealed
from core.models import Event
from core.periods import Month
from kpi.domain import measures
from kpi.domain.parameters import Line, ScorecardRule, scorecard_rule
from kpi.domain.scoring import CardResult, NothingMeasured, half_up, score_card
from kpi.models import Indicator, Measure, Rule, RuleVersion, Scorecard, ScorecardLine
from people.models import Employee, OrgUnit

CHAIN = "reviews"
ACTION = "scorecards computed"
AT_ONCE = 500  # subjects a batch: one event, and few enough values for one statement
_PARAMETERS = 5000  # ids in one question
_SEAL = 32  # hexadecimal digits of a card's digest that the event keeps

Ratings = Mapping[int, Mapping[str, Fraction]]


class RuleNotPublished(Exception):
    """A card that may change a grade rests on a published version only."""


class WrongSubjects(Exception):
    """The rule scores employees and units were given, or the other way round; or no rule of scorecards at all."""


# --- computing ------------------------------------------------------------------------------------------------------------
def compute_cards(
    *,
    version: RuleVersion,
    employees: Iterable[Employee] | None = None,
    units: Iterable[OrgUnit] | None = None,
    first_month: Month,
    last_month: Month,
    ratings: Ratings | None = None,
    by,
    at: dt.datetime,
) -> dict[int, Scorecard]:
    """This function will compute the cards of these people (or units) over the months and keep them: {subject id: card}.

    Values come from the measures in force; ``ratings`` are scores from 0 to 100 by subject and code of a line. A subject
    with nothing measured is absent. A line that reads an indicator of assessments is advisory for a subject as long as
    one of the quizzes behind its measures fails the pay gate at that moment (DOMAIN section 2): its weight goes to the other
    lines, and the line says which quiz and why. Cards are never changed: asking again makes others beside them. One event
    on the chain ``reviews`` for each batch keeps a digest of every card in it with its lines.
    Raises RuleNotPublished, WrongSubjects.
    """
    if version.state != RuleVersion.State.PUBLISHED:
        raise RuleNotPublished(version.pk)
    rule = scorecard_rule(version.parameters)
    cards: dict[int, Scorecard] = {}
    with transaction.atomic():
        for batch in _scored(
            rule, _subjects(version.rule, employees, units), first_month, last_month, ratings or {}, at
        ):
            made = [_card(one, rule, version, first_month, last_month, by, at) for one in batch]
            Scorecard.objects.bulk_create(made)
            lines = [line for one, card in zip(batch, made, strict=True) for line in _lines(one, card)]
            ScorecardLine.objects.bulk_create(lines)
            if made:
                _seal(version, made, first_month, last_month, by, at)
            cards |= {one.subject: card for one, card in zip(batch, made, strict=True)}
    return cards


def preview(
    *,
    version: RuleVersion | None = None,
    parameters: dict | None = None,
    employees: Iterable[Employee] | None = None,
    units: Iterable[OrgUnit] | None = None,
    first_month: Month,
    last_month: Month,
    ratings: Ratings | None = None,
    at: dt.datetime,
) -> dict[int, CardResult]:
    """This function will say what the cards of a version, or of parameters that are still being written, would be.

    Writes nothing. {subject id: result}; a subject with nothing measured is absent. Raises ParametersWrong.
    """
    rule = scorecard_rule(version.parameters if version else parameters or {})
    subjects = _Subjects(_ids(units), True) if employees is None else _Subjects(_ids(employees), False)
    found = _scored(rule, subjects, first_month, last_month, ratings or {}, at)
    return {one.subject: one.result for batch in found for one in batch}


@dataclass(frozen=True)
class _Subjects:
    ids: Iterator[int]
    are_units: bool


def _ids(rows: Iterable[Employee] | Iterable[OrgUnit] | None) -> Iterator[int]:
    return (row.pk for row in rows or ())


def _subjects(rule: Rule, employees: Iterable[Employee] | None, units: Iterable[OrgUnit] | None) -> _Subjects:
    """Who is scored, if it is what the rule scores."""
    of_units = rule.subject == Rule.Subject.UNIT
    if rule.family != Rule.Family.SCORECARD or (employees if of_units else units) is not None:
        raise WrongSubjects(rule.code)
    return _Subjects(_ids(units if of_units else employees), of_units)


@dataclass(frozen=True)
class _Scored:
    """One subject: the result with all it was made of."""

    subject: int
    is_unit: bool
    result: CardResult
    values: dict[str, Decimal]
    used: dict[str, tuple[int, ...]]  # indicator -> its measures
    evidence: dict[str, dict[str, list[int]]]  # indicator -> {"enrolments", "attempts", "quizzes"}
    failing: dict[str, list[dict]]  # indicator -> its quizzes that may not carry pay
    rating: Mapping[str, Fraction]


def _scored(
    rule: ScorecardRule, subjects: _Subjects, first: Month, last: Month, ratings: Ratings, at: dt.datetime
) -> Iterator[list[_Scored]]:
    """The results of the subjects, a batch at a time; three queries a batch and what the quizzes ask once."""
    codes = sorted(rule.indicators)
    sources = dict(Indicator.objects.filter(code__in=codes).values_list("code", "source"))
    gates = _Gates(at)
    for batch in batches(subjects.ids, AT_ONCE):
        found = measures.aggregated(
            employees=None if subjects.are_units else batch,
            units=batch if subjects.are_units else None,
            indicators=codes,
            first_month=first,
            last_month=last,
        )
        evidence = _evidence(found, sources)
        scored = []
        for subject in batch:
            one = _score(rule, subject, subjects.are_units, found.get(subject, {}), evidence, gates, ratings, sources)
            if one:
                scored.append(one)
        yield scored


def _evidence(found: Mapping[int, Mapping[str, measures.Aggregate]], sources: dict[str, str]) -> dict[int, dict]:
    """{measure id: what it rests on} of those the platform measured itself."""
    wanted = [
        measure
        for of_subject in found.values()
        for code, one in of_subject.items()
        if sources.get(code) != Indicator.Source.FILE
        for measure in one.measures
    ]
    rows: dict[int, dict] = {}
    for some in batches(wanted, _PARAMETERS):
        rows |= Measure.objects.filter(pk__in=some).order_by().values_list("pk", "evidence")
    return rows


def _score(
    rule: ScorecardRule,
    subject: int,
    is_unit: bool,
    found: Mapping[str, measures.Aggregate],
    evidence: dict[int, dict],
    gates: _Gates,
    ratings: Ratings,
    sources: dict[str, str],
) -> _Scored | None:
    rests: dict[str, dict[str, list[int]]] = {}
    failing: dict[str, list[dict]] = {}
    for code, one in found.items():
        rests[code] = _together(evidence.get(measure) or {} for measure in one.measures)
        if sources.get(code) == Indicator.Source.EXAM:
            bad = [gate for quiz in rests[code]["quizzes"] if (gate := gates.failing(quiz))]
            if bad:
                failing[code] = bad
    advisory = {line.code for line in rule.lines if failing.keys() & set(_reads(line))}
    # What may not carry pay in a line may not carry it as bonus or veto either.
    beside = replace(
        rule,
        bonus_indicators=tuple(code for code in rule.bonus_indicators if code not in failing),
        vetoes=tuple(veto for veto in rule.vetoes if veto.indicator not in failing),
    )
    values = {code: one.value for code, one in found.items()}
    rating = ratings.get(subject, {})
    try:
        result = score_card(beside, values=values, ratings=rating, advisory=advisory)
    except NothingMeasured:
        return None
    used = {code: tuple(one.measures) for code, one in found.items()}
    return _Scored(subject, is_unit, result, values, used, rests, failing, rating)


def _together(rows: Iterable[dict]) -> dict[str, list[int]]:
    kept: dict[str, set[int]] = {"enrolments": set(), "attempts": set(), "quizzes": set()}
    for row in rows:
        for name, ids in kept.items():
            ids.update(row.get(name) or ())
    return {name: sorted(ids) for name, ids in kept.items()}


def _reads(line: Line) -> tuple[str, ...]:
    """The indicators a line reads."""
    return (*line.indicators, *(code for code, _points in line.counts))


class _Gates:
    """Which quizzes fail the pay gate at a moment, asked once each."""

    def __init__(self, at: dt.datetime):
        self.at = at
        self.known: dict[int, dict | None] = {}

    def failing(self, quiz_id: int) -> dict | None:
        if quiz_id not in self.known:
            self.known[quiz_id] = self._ask(quiz_id)
        return self.known[quiz_id]

    def _ask(self, quiz_id: int) -> dict | None:
        quiz = Quiz.objects.filter(pk=quiz_id).first()
        if quiz is None:  # a quiz that is gone can prove nothing
            return {"quiz": quiz_id, "name": "", "reasons": []}
        gate: PayGate = pay_gate(quiz=quiz, until=self.at)
        if gate.passes:
            return None
        reasons = [{"code": reason.code, "values": reason.values} for reason in gate.reasons]
        return {"quiz": quiz_id, "name": quiz.name, "reasons": reasons}


# --- keeping ----------------------------------------------------------------------------------------------------------------
def _card(
    one: _Scored, rule: ScorecardRule, version: RuleVersion, first: Month, last: Month, by, at: dt.datetime
) -> Scorecard:
    result = one.result
    beside = [*rule.bonus_indicators, *(veto.indicator for veto in rule.vetoes)]
    return Scorecard(
        version=version,
        employee_id=None if one.is_unit else one.subject,
        org_unit_id=one.subject if one.is_unit else None,
        first_month=first,
        last_month=last,
        bonus=result.bonus,
        earned=result.earned,
        total=result.total,
        veto=result.veto.code if result.veto else "",
        grade=result.band.grade,
        coefficient=result.band.coefficient,
        inputs=_inputs(one, (code for code in beside if code not in one.failing))
        | _failing(one, beside, name="left_out"),
        computed_at=at,
        computed_by=by,
    )


def _lines(one: _Scored, card: Scorecard) -> Iterator[ScorecardLine]:
    for position, found in enumerate(one.result.lines, start=1):
        line = found.line
        inputs = _inputs(one, _reads(line)) | _failing(one, _reads(line), name="advisory")
        if line.kind == "rating" and found.score is not None:
            inputs["rating"] = str(found.score)
        yield ScorecardLine(
            scorecard=card,
            position=position,
            code=line.code,
            name_zh=line.name_zh,
            name_en=line.name_en,
            kind=line.kind,
            state=found.state,
            weight=line.weight,
            weight_counted=half_up(found.weight_counted, 6),
            value=None if found.value is None else half_up(found.value, 4),
            score=None if found.score is None else half_up(found.score, 4),
            points=found.points,
            inputs=inputs,
        )


def _inputs(one: _Scored, codes: Iterable[str]) -> dict:
    """What a line (or what stands beside the lines) was made of. A unit's duties are thousands: those stay in the measures."""
    codes = [code for code in dict.fromkeys(codes) if code in one.values]
    inputs: dict = {
        "values": {code: f"{one.values[code]:f}" for code in codes},
        "measures": sorted({measure for code in codes for measure in one.used[code]}),
    }
    if not one.is_unit:
        for name in ("attempts", "enrolments"):
            ids = sorted({pk for code in codes for pk in one.evidence[code][name]})
            if ids:
                inputs[name] = ids
    return inputs


def _failing(one: _Scored, codes: Iterable[str], *, name: str) -> dict:
    """The quizzes because of which the indicators may not carry pay yet, if there are any."""
    bad = {gate["quiz"]: gate for code in codes for gate in one.failing.get(code, ())}
    return {name: [bad[quiz] for quiz in sorted(bad)]} if bad else {}


# --- the seal ---------------------------------------------------------------------------------------------------------------
def _seal(version: RuleVersion, cards: Sequence[Scorecard], first: Month, last: Month, by, at: dt.datetime) -> None:
    digests = _digests([card.pk for card in cards])
    record_event(
        chain=CHAIN,
        action=ACTION,
        subject=version,
        actor=by,
        at=at,
        after={
            "months": [str(first), str(last)],
            "number": len(cards),
            "cards": {str(pk): digest for pk, digest in digests.items()},
        },
    )


_CARD = tuple(field.attname for field in Scorecard._meta.concrete_fields)
_LINE = tuple(field.attname for field in ScorecardLine._meta.concrete_fields)


def _digests(ids: Sequence[int]) -> dict[int, str]:
    """The digest of each card with its lines, every column of them, as they stand in the database. Two queries."""
    lines: dict[int, list[tuple]] = defaultdict(list)
    for row in ScorecardLine.objects.filter(scorecard__in=ids).order_by("position", "pk").values_list(*_LINE):
        lines[row[_LINE.index("scorecard_id")]].append(row)
    return {
        row[0]: hashlib.sha256(_plain([_CARD, row, _LINE, lines[row[0]]])).hexdigest()[:_SEAL]
        for row in Scorecard.objects.filter(pk__in=ids).order_by("pk").values_list(*_CARD)
    }


class _Encoder(DjangoJSONEncoder):
    def default(self, o):
        if isinstance(o, Month):
            return str(o)
        if isinstance(o, dt.datetime):  # the encoder of Django drops the microseconds' last three digits
            return o.astimezone(dt.UTC).isoformat(timespec="microseconds")
        return super().default(o)


def _plain(values: Sequence) -> bytes:
    return json.dumps(values, cls=_Encoder, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


@sealed
def check_scorecards() -> Iterator[tuple[str, bool]]:
    """For manage.py verify_events: whether the cards and their lines are those that were computed, or the first that is not.

    A card that was changed, taken away or swapped differs from its digest; so does one whose lines were. A card of which
    no event knows was put in by hand; so was a line without a card.
    """
    number, known = 0, _Spans()
    for event in Event.objects.filter(chain=CHAIN, action=ACTION).order_by("sequence").iterator(chunk_size=20):
        kept = {int(pk): digest for pk, digest in ((event.after or {}).get("cards") or {}).items()}
        found = _digests(sorted(kept))
        for pk, digest in sorted(kept.items()):
            known.add(pk)
            if found.get(pk) != digest:
                yield f"scorecard {pk} {'or one of its lines' if pk in found else '(it is gone)'}", False
                return
        number += len(kept)
    stray = known.first_outside()
    if stray is not None:
        yield f"scorecard {stray} (nobody computed it)", False
        return
    cards = Scorecard.objects.order_by().values("pk")
    line = ScorecardLine.objects.exclude(scorecard__in=cards).order_by("pk").values_list("pk", flat=True).first()
    if line is not None:
        yield f"scorecard line {line} (it belongs to no card)", False
        return
    if number:
        yield f"{number} scorecards", True


class _Spans:
    """Ids as spans of numbers that follow each other: few, however many cards there are."""

    def __init__(self) -> None:
        self.ends: dict[int, int] = {}  # last number of a span -> its first

    def add(self, pk: int) -> None:
        self.ends[pk] = self.ends.pop(pk - 1, pk)

    def first_outside(self) -> int | None:
        """The first card that lies in no span."""
        after = 0
        for last, first in sorted(self.ends.items(), key=lambda span: span[1]):
            found = self._between(after, first)
            if found is not None:
                return found
            after = max(after, last)
        return self._between(after, None)

    @staticmethod
    def _between(after: int, before: int | None) -> int | None:
        cards = Scorecard.objects.filter(pk__gt=after)
        if before is not None:
            if before == after + 1:
                return None
            cards = cards.filter(pk__lt=before)
        return cards.order_by("pk").values_list("pk", flat=True).first()
