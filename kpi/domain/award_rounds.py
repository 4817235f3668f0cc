"""Recognition: a round of an honour, and the one way it moves from step to step (DOMAIN section 2).

nominating -> voting -> publicity -> granted. Everything rests on one published version of an award rule: how many places
there are, what a nominee must reach, how the committee decides, how long names are public before anything is granted.
What is done at the steps is in ``nominating``, ``committee`` and ``awards``; here a round is opened and given up, and here
is what all of them refuse for the same reason.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from fractions import Fraction

from django.db import IntegrityError, transaction
from django.utils import timezone

from certificates.models import CertificateDesign
from core.events import record_event
from core.periods import Month
from kpi.domain.distribution import Claim, share_out
from kpi.domain.parameters import AwardRule, award_rule
from kpi.domain.rules import require_in_force
from kpi.models import AwardProgramme, AwardQuota, AwardRound, Nomination, Rule, RuleVersion
from people.models import Employee, OrgUnit, User

CHAIN = "awards"


class NotThisState(Exception):
    """The round or nomination is not at the step at which this can be done."""


class ReasonMissing(Exception):
    """Recusal, objection, answer and revoking need words."""


class OwnMatter(Exception):
    """Nobody acts in a matter of his own: whoever nominated, objected or is honoured does not decide or grant."""


class OtherRule(Exception):
    """The version is of another rule than the honour's."""


class NoCommittee(Exception):
    """A round needs a committee of at least three members."""


class RoundExists(Exception):
    """The honour has a round of these months already."""


@transaction.atomic
def make_programme(
    *, rule: Rule, kind: str, design: CertificateDesign, by: User | None, at: dt.datetime
) -> AwardProgramme:
    """This function will set up a kind of honour under an award rule, with the design of its certificate."""
    programme = AwardProgramme.objects.create(rule=rule, kind=kind, design=design)
    record(programme, "programme made", by, at, after={"rule": rule.code, "kind": kind})
    return programme


# --- a round ------------------------------------------------------------------------------------------------------------
def share_places(*, places: int, people: Mapping[str, int]) -> dict[str, int]:
    """This function will share places over units by headcount, as pay is shared: whole parts, then largest remainders.

    ``people`` is headcount by unit code. Equal remainders go to the lower code. A unit without people gets none.
    """
    claims = [Claim(key=code, raw=Fraction(heads)) for code, heads in people.items() if heads]
    parts = share_out(places, claims).parts if claims else []
    given = {claim.key: part.paid for claim, part in zip(claims, parts, strict=True)}
    return {code: given.get(code, 0) for code in people}


@transaction.atomic
def open_round(
    *,
    programme: AwardProgramme,
    version: RuleVersion,
    name: str,
    name_en: str,
    first_month: Month,
    last_month: Month,
    nominate_until: dt.date,
    committee: Iterable[User],
    places: int | None = None,
    by: User | None,
    at: dt.datetime,
) -> AwardRound:
    """This function will open a round for nominations, with a quota for every unit right below the rule's scope.

    ``places``: the rule's number unless another is given. The committee is told when the vote begins. Raises OtherRule,
    InForceMissing, NoCommittee and RoundExists.
    """
    if version.rule_id != programme.rule_id:
        raise OtherRule
    require_in_force(version=version, on=timezone.localdate(at))
    members = list(committee)
    if len(members) < 3:
        raise NoCommittee
    rule = award_rule(version.parameters)
    try:
        with transaction.atomic():
            made = AwardRound.objects.create(
                programme=programme,
                version=version,
                name=name,
                name_en=name_en,
                first_month=first_month,
                last_month=last_month,
                places=places or rule.places,
                nominate_until=nominate_until,
                created_by=by,
                created_at=at,
            )
    except IntegrityError as double:
        raise RoundExists from double
    made.committee.set(members)
    scope = programme.rule.scope
    units = list(OrgUnit.objects.under(scope).filter(depth=scope.depth + 1))
    heads = {unit.code: _heads(unit) for unit in units}
    shares = share_places(places=made.places, people=heads)
    AwardQuota.objects.bulk_create(
        AwardQuota(round=made, unit=unit, people=heads[unit.code], places=shares[unit.code]) for unit in units
    )
    record(made, "round opened", by, at, after={"places": made.places, "quotas": shares, "version": version.pk})
    return made


def _heads(unit: OrgUnit) -> int:
    return Employee.objects.filter(
        state=Employee.State.ACTIVE, unit__in=OrgUnit.objects.under(unit).order_by().values("pk")
    ).count()


@transaction.atomic
def cancel_round(*, round: AwardRound, reason: str, by: User | None, at: dt.datetime) -> None:
    """This function will give up a round that was not granted, with a reason. Raises NotThisState, ReasonMissing."""
    if not reason.strip():
        raise ReasonMissing
    states = [AwardRound.State.NOMINATING, AwardRound.State.VOTING, AwardRound.State.PUBLICITY]
    move(round, states, AwardRound.State.CANCELLED)
    record(round, "round cancelled", by, at, reason=reason.strip())


def rule_of(round: AwardRound) -> AwardRule:
    """This function will return the parameters under which a round runs."""
    return award_rule(round.version.parameters)


# --- its steps ----------------------------------------------------------------------------------------------------------
def move(row: AwardRound | Nomination, states: list, to: str, **values) -> None:
    """This function will bring a round or a nomination to a state, if it is still in one of these (compare and swap).

    Raises NotThisState.
    """
    if not type(row)._default_manager.filter(pk=row.pk, state__in=states).update(state=to, **values):
        raise NotThisState
    row.refresh_from_db()


def record(subject, action: str, by, at: dt.datetime, *, after: dict | None = None, reason: str = "") -> None:
    """This function will write an event of recognition on its chain."""
    record_event(chain=CHAIN, action=action, subject=subject, actor=by, at=at, after=after, reason=reason)
