"""Recognition: who is put forward for an honour, and what is found for them under its rule (DOMAIN section 2).

A nomination is checked at once, condition by condition, and may be checked again or taken back until the vote.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from kpi.domain import measures
from kpi.domain.award_rounds import NotThisState, OwnMatter, ReasonMissing, move, record, rule_of
from kpi.domain.rules import people_of
from kpi.models import AwardProgramme, AwardRound, Nomination
from people.models import Employee, OrgUnit, User


class OwnNomination(Exception):
    """Nobody nominates himself."""


class NominatedAlready(Exception):
    """The person stands in this round already."""


class NobodyNamed(Exception):
    """A person, a unit, or the name of a team or project must be given, as the honour asks."""


class OutsideScope(Exception):
    """The honour is not for this person or unit: of another part of the house, or no longer at work."""


class TooLate(Exception):
    """The last day for nominations has passed."""


@transaction.atomic
def nominate(
    *,
    round: AwardRound,
    employee: Employee | None = None,
    unit: OrgUnit | None = None,
    title: str = "",
    title_en: str = "",
    members: Iterable[Employee] = (),
    citation: str,
    citation_en: str = "",
    by: User,
    at: dt.datetime,
) -> Nomination:
    """This function will put somebody forward and check at once what the rule asks for.

    A person for an honour of persons, a unit for one of units, a title with members for teams and projects; members are
    kept in the order of their numbers. Raises NotThisState, TooLate, NobodyNamed, OutsideScope, OwnNomination,
    NominatedAlready and ReasonMissing for an empty citation.
    """
    if round.state != AwardRound.State.NOMINATING:
        raise NotThisState
    if timezone.localdate(at) > round.nominate_until:
        raise TooLate
    if not citation.strip():
        raise ReasonMissing
    kind = round.programme.kind
    people = sorted(members, key=lambda each: each.employee_no)
    named = {
        AwardProgramme.Kind.PERSON: employee is not None,
        AwardProgramme.Kind.UNIT: unit is not None,
        AwardProgramme.Kind.TEAM: bool(title.strip() and people),
        AwardProgramme.Kind.PROJECT: bool(title.strip() and people),
    }[AwardProgramme.Kind(kind)]
    if not named:
        raise NobodyNamed
    own = getattr(by, "employee", None)
    if own is not None and (own == employee or own in people):
        raise OwnNomination
    _within(round, [employee] if employee else people, unit, timezone.localdate(at))
    if kind == AwardProgramme.Kind.UNIT:
        standing = round.nominations.exclude(state=Nomination.State.WITHDRAWN)
        if standing.filter(employee=None, unit=unit).exists():
            raise NominatedAlready
    checks = check_list(round=round, employee=employee, unit=unit, members=people)
    try:
        with transaction.atomic():
            made = Nomination.objects.create(
                round=round,
                employee=employee,
                unit=unit or (employee.unit if employee else None),
                title=title.strip(),
                title_en=title_en.strip(),
                citation=citation.strip(),
                citation_en=citation_en.strip(),
                checks=checks,
                state=_state_by(checks),
                by=by,
                at=at,
            )
    except IntegrityError as double:
        raise NominatedAlready from double
    made.members.set(people)
    record(made, "nominated", by, at, after={"state": made.state, "employee": employee and employee.employee_no})
    return made


def _within(round: AwardRound, people: list[Employee], unit: OrgUnit | None, on: dt.date) -> None:
    """An honour of a province is for its people at work, of the rule's audience, and for its units."""
    rule = round.programme.rule
    if people and people_of(rule, on).filter(pk__in=[each.pk for each in people]).count() != len(people):
        raise OutsideScope
    if unit is not None and not people and not rule.scope.contains(unit):
        raise OutsideScope


def _state_by(checks: list[dict]) -> str:
    met = all(check["met"] for check in checks)
    return Nomination.State.ELIGIBLE if met else Nomination.State.INELIGIBLE


def check_list(
    *, round: AwardRound, employee: Employee | None, unit: OrgUnit | None, members: Iterable[Employee] = ()
) -> list[dict[str, Any]]:
    """This function will say, condition by condition, what was found for a nominee over the months of the round.

    Of a team or project every member must meet the conditions; ``found`` is then the value of whoever is furthest from
    them. ``measures`` are the ids that the value rests on, so that the page can lead to them.
    """
    rule = rule_of(round)
    if not rule.conditions:
        return []
    people = [employee] if employee else list(members)
    subjects = [each.pk for each in people] or ([unit.pk] if unit else [])
    found = measures.aggregated(
        employees=subjects if people else None,
        units=None if people else subjects,
        indicators=rule.indicators,
        first_month=round.first_month,
        last_month=round.last_month,
    )
    checks = []
    for condition in rule.conditions:
        values = [found.get(subject, {}).get(condition.indicator) for subject in subjects]
        missed = [value for value in values if not condition.met_by(value.value if value else None)]
        shown = missed[0] if missed else values[0]
        checks.append(
            {
                "code": condition.code,
                "name_zh": condition.name_zh,
                "name_en": condition.name_en,
                "indicator": condition.indicator,
                "at_least": None if condition.at_least is None else str(condition.at_least),
                "at_most": None if condition.at_most is None else str(condition.at_most),
                "found": None if shown is None else str(shown.value),
                "measures": [] if shown is None else list(shown.measures),
                "met": not missed,
            }
        )
    return checks


_STANDING = (Nomination.State.NOMINATED, Nomination.State.ELIGIBLE, Nomination.State.INELIGIBLE)


@transaction.atomic
def check_again(*, nomination: Nomination, by: User | None, at: dt.datetime) -> Nomination:
    """This function will look at the measures again, while nominations are open. Raises NotThisState."""
    if nomination.round.state != AwardRound.State.NOMINATING or nomination.state not in _STANDING:
        raise NotThisState
    checks = check_list(
        round=nomination.round,
        employee=nomination.employee,
        unit=nomination.unit,
        members=nomination.members.all(),
    )
    move(nomination, list(_STANDING), _state_by(checks), checks=checks)
    record(nomination, "checked again", by, at, after={"state": nomination.state})
    return nomination


@transaction.atomic
def withdraw_nomination(*, nomination: Nomination, by: User, at: dt.datetime) -> None:
    """This function will take a nomination back, by whoever made it, until the vote. Raises NotThisState, OwnMatter."""
    if nomination.by != by:
        raise OwnMatter
    if nomination.round.state != AwardRound.State.NOMINATING:
        raise NotThisState
    move(nomination, list(_STANDING), Nomination.State.WITHDRAWN)
    record(nomination, "taken back", by, at)


def honoured_by(nomination: Nomination) -> list[Employee]:
    """This function will return the people a nomination honours, in the order of their numbers."""
    if nomination.employee is not None:
        return [nomination.employee]
    return sorted(nomination.members.all(), key=lambda each: each.employee_no)


def is_honoured(user: User, nominations: Iterable[Nomination]) -> bool:
    """This function will say whether somebody is nominated himself, alone or as a member."""
    own = getattr(user, "employee", None)
    return own is not None and any(own in honoured_by(each) for each in nominations)
