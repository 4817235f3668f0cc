"""Recognition: a round of an honour from nomination to the wall (DOMAIN section 2).

nominating -> voting -> publicity -> granted. Everything rests on one published version of an award rule: how many places
there are, what a nominee must reach, how the committee decides, how long names are public before anything is granted.
Whoever is close to a nominee takes no part in the vote on it; nothing is granted over an open objection; what was granted
is revoked with a reason and never deleted.
"""

from __future__ import annotations

import datetime as dt
import io
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction
from django.db.models import Count, QuerySet
from django.utils import timezone
from PIL import Image, ImageOps
from wagtail.models import Collection

from certificates.domain.issuing import AlreadyRevoked as CertificateRevoked
from certificates.domain.issuing import Subject, issue_certificates, revoke_certificates
from certificates.models import CertificateDesign
from core.events import Link, record_event, record_events
from core.models import Picture
from core.notices import notify
from core.periods import Month
from kpi.domain import measures
from kpi.domain.distribution import Claim, share_out
from kpi.domain.parameters import AwardRule, award_rule
from kpi.domain.rules import people_of, require_in_force
from kpi.models import (
    Award,
    AwardProgramme,
    AwardQuota,
    AwardRound,
    Nomination,
    Objection,
    Rule,
    RuleVersion,
    Vote,
)
from people.models import Employee, OrgUnit, User

CHAIN = "awards"
PHOTOS = "Honours"  # where photographs of the wall lie in the library of pictures


class NotThisState(Exception):
    """The round or nomination is not at the step at which this can be done."""


class OtherRule(Exception):
    """The version is of another rule than the honour's."""


class NoCommittee(Exception):
    """A round needs a committee of at least three members."""


class OwnNomination(Exception):
    """Nobody nominates himself."""


class NominatedAlready(Exception):
    """The person stands in this round already."""


class NobodyNamed(Exception):
    """A person, a unit, or the name of a team or project must be given, as the honour asks."""


class OutsideScope(Exception):
    """The honour is not for this person or unit: of another part of the house, or no longer at work."""


class RoundExists(Exception):
    """The honour has a round of these months already."""


class TooLate(Exception):
    """The last day for nominations has passed."""


class NotOfTheCommittee(Exception):
    """Only members of the round's committee vote."""


class MustRecuse(Exception):
    """The member is the nominee, nominated, manages or works beside the nominee: only recusal is taken."""


class VotedAlready(Exception):
    """One vote each; what was said stands."""


class ReasonMissing(Exception):
    """Recusal, objection, answer and revoking need words."""


class NoQuorum(Exception):
    """Too few of the members who may vote have voted on some nomination (``nominations``)."""

    def __init__(self, nominations: list[Nomination]):
        self.nominations = nominations
        super().__init__(len(nominations))


class StillPublic(Exception):
    """The names are still public for objections: granting comes after the last day."""


class ObjectionsOpen(Exception):
    """Something was said against a nomination and not answered yet."""


class DecidedAlready(Exception):
    """It was decided before; the first answer stands."""


class OwnMatter(Exception):
    """Nobody acts in a matter of his own: whoever nominated, objected or is honoured does not decide or grant."""


class ObjectedAlready(Exception):
    """The person said something against the nomination before, and it is not answered yet."""


class AlreadyRevoked(Exception):
    """The award was revoked before; its first reason stands."""


@transaction.atomic
def make_programme(
    *, rule: Rule, kind: str, design: CertificateDesign, by: User | None, at: dt.datetime
) -> AwardProgramme:
    """This function will set up a kind of honour under an award rule, with the design of its certificate."""
    programme = AwardProgramme.objects.create(rule=rule, kind=kind, design=design)
    _event(programme, "programme made", by, at, after={"rule": rule.code, "kind": kind})
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
    _event(made, "round opened", by, at, after={"places": made.places, "quotas": shares, "version": version.pk})
    return made


def _heads(unit: OrgUnit) -> int:
    return Employee.objects.filter(
        state=Employee.State.ACTIVE, unit__in=OrgUnit.objects.under(unit).order_by().values("pk")
    ).count()


def rule_of(round: AwardRound) -> AwardRule:
    """This function will return the parameters under which a round runs."""
    return award_rule(round.version.parameters)


# --- nominations --------------------------------------------------------------------------------------------------------
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
    _event(made, "nominated", by, at, after={"state": made.state, "employee": employee and employee.employee_no})
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
    _move(nomination, list(_STANDING), _state_by(checks), checks=checks)
    _event(nomination, "checked again", by, at, after={"state": nomination.state})
    return nomination


_STANDING = (Nomination.State.NOMINATED, Nomination.State.ELIGIBLE, Nomination.State.INELIGIBLE)


@transaction.atomic
def withdraw_nomination(*, nomination: Nomination, by: User, at: dt.datetime) -> None:
    """This function will take a nomination back, by whoever made it, until the vote. Raises NotThisState, OwnMatter."""
    if nomination.by != by:
        raise OwnMatter
    if nomination.round.state != AwardRound.State.NOMINATING:
        raise NotThisState
    _move(nomination, list(_STANDING), Nomination.State.WITHDRAWN)
    _event(nomination, "taken back", by, at)


# --- the committee ------------------------------------------------------------------------------------------------------
@transaction.atomic
def begin_voting(*, round: AwardRound, by: User | None, at: dt.datetime) -> None:
    """This function will close the nominations and let the committee vote on those that meet the conditions."""
    _move(round, [AwardRound.State.NOMINATING], AwardRound.State.VOTING)
    _event(round, "voting begun", by, at)
    for member in round.committee.all():
        notify(
            user=member,
            text_zh=f"「{round.name}」请您投票。",
            text_en=f"Your vote on “{round.name_en or round.name}” is asked for.",
            at=at,
            url=f"/honours/rounds/{round.pk}/vote/",
            key=f"vote-{round.pk}",
        )


def must_recuse(*, nomination: Nomination, member: User) -> bool:
    """This function will say whether a member is too close to a nominee to vote: it is himself, his nomination, somebody
    he manages, his own manager, or somebody of his own unit; for a unit, that he works in it."""
    if nomination.by_id == member.pk:
        return True
    own = getattr(member, "employee", None)
    if own is None:
        return False
    people = [nomination.employee] if nomination.employee else list(nomination.members.all())
    for person in people:
        if own.pk in (person.pk, person.manager_id) or own.manager_id == person.pk:
            return True
        if own.unit_id is not None and own.unit_id == person.unit_id:
            return True
    return not people and nomination.unit is not None and own.unit is not None and nomination.unit.contains(own.unit)


@transaction.atomic
def vote(*, nomination: Nomination, member: User, choice: str, reason: str = "", at: dt.datetime) -> Vote:
    """This function will take one member's vote on one nomination.

    Raises NotThisState, NotOfTheCommittee, MustRecuse (any choice but recusal of somebody too close), ReasonMissing
    (recusal without words), VotedAlready.
    """
    if (
        nomination.round.state != AwardRound.State.VOTING
        or nomination.state != Nomination.State.ELIGIBLE
        or choice not in Vote.Choice.values
    ):
        raise NotThisState
    if not nomination.round.committee.filter(pk=member.pk).exists():
        raise NotOfTheCommittee
    if choice != Vote.Choice.RECUSED and must_recuse(nomination=nomination, member=member):
        raise MustRecuse
    if choice == Vote.Choice.RECUSED and not reason.strip():
        raise ReasonMissing
    try:
        with transaction.atomic():
            made = Vote.objects.create(
                nomination=nomination, member=member, choice=choice, reason=reason.strip(), at=at
            )
    except IntegrityError as double:
        raise VotedAlready from double
    _event(nomination, "voted", member, at, after={"choice": choice})
    return made


@dataclass(frozen=True)
class Tally:
    """The votes on one nomination and what follows: is there a quorum, and is it carried?"""

    nomination: Nomination
    yes: int
    no: int
    abstain: int
    recused: int
    may_vote: int
    quorum: bool
    carried: bool

    @property
    def share(self) -> Fraction:
        """Votes for, of those for and against."""
        return Fraction(self.yes, self.yes + self.no) if self.yes + self.no else Fraction(0)


def tallies(round: AwardRound) -> list[Tally]:
    """This function will count the votes of a round: most votes for first, then the earlier nomination."""
    rule, members = rule_of(round), round.committee.count()
    nominations = (
        round.nominations.exclude(state__in=[Nomination.State.WITHDRAWN, Nomination.State.INELIGIBLE])
        .select_related("employee", "unit", "by")
        .order_by("pk")
    )
    counts: dict[int, dict[str, int]] = {}
    for nomination_id, choice, number in (
        Vote.objects.filter(nomination__round=round)
        .order_by()
        .values_list("nomination", "choice")
        .annotate(Count("pk"))
    ):
        counts.setdefault(nomination_id, {})[choice] = number
    found = []
    for nomination in nominations:
        said = counts.get(nomination.pk, {})
        yes, no, abstain, recused = (said.get(choice, 0) for choice in ("yes", "no", "abstain", "recused"))
        may_vote = members - recused
        quorum = may_vote > 0 and Fraction(yes + no + abstain, may_vote) * 100 >= Fraction(rule.quorum)
        carried = quorum and yes + no > 0 and Fraction(yes, yes + no) * 100 > Fraction(rule.majority)
        found.append(Tally(nomination, yes, no, abstain, recused, may_vote, quorum, carried))
    found.sort(key=lambda each: (-each.share, -each.yes, each.nomination.pk))
    return found


def chosen_of(round: AwardRound, counted: Iterable[Tally]) -> list[Nomination]:
    """This function will pick those who are carried, best first, within the quota of their unit and the round's places.

    Honours of units, teams and projects have no quota by unit, only the places.
    """
    of_persons = round.programme.kind == AwardProgramme.Kind.PERSON
    quotas = list(round.quotas.select_related("unit")) if of_persons else []
    left = {quota.pk: quota.places for quota in quotas}
    chosen: list[Nomination] = []
    for tally in counted:
        if not tally.carried or len(chosen) >= round.places:
            continue
        unit = tally.nomination.unit
        quota = next((each for each in quotas if unit is not None and each.unit.contains(unit)), None)
        if quota is not None:
            if not left[quota.pk]:
                continue
            left[quota.pk] -= 1
        chosen.append(tally.nomination)
    return chosen


@transaction.atomic
def make_public(*, round: AwardRound, by: User | None, at: dt.datetime) -> list[Nomination]:
    """This function will end the vote: choose, and make the names public for as long as the rule says.

    Raises NotThisState, and NoQuorum with the nominations that too few members have voted on.
    """
    if round.state != AwardRound.State.VOTING:
        raise NotThisState
    counted = tallies(round)
    short = [tally.nomination for tally in counted if not tally.quorum]
    if short:
        raise NoQuorum(short)
    chosen = chosen_of(round, counted)
    day = timezone.localdate(at)
    until = day + dt.timedelta(days=rule_of(round).publicity_days)
    _move(round, [AwardRound.State.VOTING], AwardRound.State.PUBLICITY, publicity_from=day, publicity_until=until)
    numbers = {nomination.pk for nomination in chosen}
    standing = [tally.nomination for tally in counted]
    _settle(standing, numbers)
    record_events(
        chain=CHAIN,
        links=[Link("chosen" if each.pk in numbers else "not chosen", each, by, at) for each in standing]
        + [Link("made public", round, by, at, after={"until": until, "chosen": len(chosen)})],
    )
    for nomination in chosen:
        _tell(nomination, round, at)
    return [Nomination.objects.get(pk=nomination.pk) for nomination in chosen]


def _settle(standing: Iterable[Nomination], chosen: set[int]) -> None:
    for state, wanted in ((Nomination.State.CHOSEN, True), (Nomination.State.NOT_CHOSEN, False)):
        ids = [each.pk for each in standing if (each.pk in chosen) is wanted]
        moved = Nomination.objects.filter(pk__in=ids, state=Nomination.State.ELIGIBLE).update(state=state)
        if moved != len(ids):
            raise NotThisState


def _tell(nomination: Nomination, round: AwardRound, at: dt.datetime) -> None:
    for person in _honoured(nomination):
        notify(
            user=person.user,
            text_zh=f"您入选「{round.name}」，现正公示。",
            text_en=f"You were chosen for “{round.name_en or round.name}”; the names are public now.",
            at=at,
            url="/honours/",
            key=f"chosen-{nomination.pk}",
        )


# --- publicity and granting ---------------------------------------------------------------------------------------------
@transaction.atomic
def object_to(*, nomination: Nomination, text: str, by: User, at: dt.datetime) -> Objection:
    """This function will take what somebody says against a chosen nomination, while it is public.

    Whoever opened the round is told. Raises NotThisState (not public, or the last day has passed), ReasonMissing and
    ObjectedAlready.
    """
    round = nomination.round
    public = round.state == AwardRound.State.PUBLICITY and nomination.state == Nomination.State.CHOSEN
    if not public or round.publicity_until is None or timezone.localdate(at) > round.publicity_until:
        raise NotThisState
    if not text.strip():
        raise ReasonMissing
    if Objection.objects.filter(nomination=nomination, by=by, state=Objection.State.OPEN).exists():
        raise ObjectedAlready
    made = Objection.objects.create(nomination=nomination, text=text.strip(), by=by, at=at)
    _event(nomination, "objected", by, at)
    notify(
        user=round.created_by,
        text_zh=f"「{round.name}」公示期内收到异议，请答复。",
        text_en=f"Something was said against a name of “{round.name_en or round.name}”. Please answer it.",
        at=at,
        url=f"/hr/honours/rounds/{round.pk}/",
        key=f"objection-{made.pk}",
    )
    return made


@transaction.atomic
def decide_objection(*, objection: Objection, uphold: bool, answer: str, by: User, at: dt.datetime) -> None:
    """This function will answer an objection; upheld, the nomination is no longer chosen and its place stays empty.

    Whoever objected is told. Raises DecidedAlready, ReasonMissing, OwnMatter (whoever nominated, objected or is
    nominated).
    """
    if by.pk in (objection.by_id, objection.nomination.by_id) or _is_honoured(by, [objection.nomination]):
        raise OwnMatter
    if not answer.strip():
        raise ReasonMissing
    state = Objection.State.UPHELD if uphold else Objection.State.REJECTED
    moved = Objection.objects.filter(pk=objection.pk, state=Objection.State.OPEN).update(
        state=state, answer=answer.strip(), decided_by=by, decided_at=at
    )
    if not moved:
        raise DecidedAlready
    objection.refresh_from_db()
    if uphold:
        # A second objection that is upheld finds it not chosen already.
        Nomination.objects.filter(pk=objection.nomination_id, state=Nomination.State.CHOSEN).update(
            state=Nomination.State.NOT_CHOSEN
        )
    _event(objection.nomination, f"objection {state}", by, at, reason=answer.strip())
    notify(
        user=objection.by,
        text_zh="您提出的异议已有答复。",
        text_en="What you said against a nomination was answered.",
        at=at,
        url="/honours/#said",
        key=f"answer-{objection.pk}",
    )


def _is_honoured(user: User, nominations: Iterable[Nomination]) -> bool:
    """Is this person nominated himself, alone or as a member?"""
    own = getattr(user, "employee", None)
    return own is not None and any(own in _honoured(each) for each in nominations)


@transaction.atomic
def grant(*, round: AwardRound, by: User | None, at: dt.datetime) -> list[Award]:
    """This function will grant what was chosen, after the last day of publicity and with every objection answered.

    Every person honoured gets a numbered certificate; a unit, team or project gets an award of its own beside those of
    its members. Raises NotThisState, StillPublic, ObjectionsOpen, and OwnMatter for somebody who is chosen.
    """
    if round.state != AwardRound.State.PUBLICITY or round.publicity_until is None:
        raise NotThisState
    if timezone.localdate(at) <= round.publicity_until:
        raise StillPublic
    if Objection.objects.filter(nomination__round=round, state=Objection.State.OPEN).exists():
        raise ObjectionsOpen
    chosen = list(
        round.nominations.filter(state=Nomination.State.CHOSEN)
        .select_related("employee__unit", "employee__user", "unit")
        .prefetch_related("members__unit", "members__user")
    )
    if by is not None and _is_honoured(by, chosen):
        raise OwnMatter
    _move(round, [AwardRound.State.PUBLICITY], AwardRound.State.GRANTED, granted_at=at)
    awards, subjects = [], []
    for nomination in chosen:
        if nomination.employee is None:
            awards.append(_award(round, nomination, None, by, at))
        for person in _honoured(nomination):
            awards.append(_award(round, nomination, person, by, at))
            subjects.append(Subject(person, *_subject(round, nomination), at))
    certificates = (
        issue_certificates(subjects=subjects, design=round.programme.design, at=at, by=by) if subjects else []
    )
    given = iter(certificates)
    for award in awards:
        if award.employee is not None:
            award.certificate = next(given)
    Award.objects.bulk_create(awards)
    Nomination.objects.filter(pk__in=[each.pk for each in chosen]).update(state=Nomination.State.GRANTED)
    saved = list(Award.objects.filter(nomination__round=round).select_related("employee__user").order_by("pk"))
    record_events(
        chain=CHAIN,
        links=[Link("granted", each, by, at, after={"holder": each.holder, "name": each.name_zh}) for each in saved]
        + [Link("round granted", round, by, at, after={"awards": len(saved)})],
    )
    for award in saved:
        notify(
            user=award.employee.user if award.employee else None,
            text_zh=f"祝贺您荣获「{award.name_zh}」！",
            text_en=f"Congratulations: you were given “{award.name_en or award.name_zh}”.",
            at=at,
            url="/honours/",
            key=f"award-{award.pk}",
        )
    return saved


def _honoured(nomination: Nomination) -> list[Employee]:
    """The people a nomination honours, in the order of their numbers."""
    if nomination.employee is not None:
        return [nomination.employee]
    return sorted(nomination.members.all(), key=lambda each: each.employee_no)


_MOST = 200  # letters of what a certificate is given for


def _subject(round: AwardRound, nomination: Nomination) -> tuple[str, str]:
    """What a certificate is given for, in both languages: of a member of a team or project, with the name of it."""
    name, name_en = round.name, round.name_en or round.name
    if nomination.employee is not None or not nomination.title:
        return name, name_en
    group, group_en = nomination.title, nomination.title_en or nomination.title
    said, said_en = f"{name}·{group}成员", f"{name_en}, member of {group_en}"
    return said if len(said) <= _MOST else name, said_en if len(said_en) <= _MOST else name_en


def _award(
    round: AwardRound, nomination: Nomination, person: Employee | None, by: User | None, at: dt.datetime
) -> Award:
    unit = person.unit if person else nomination.unit
    path = [] if unit is None else list(OrgUnit.objects.above(unit))
    group = nomination.title or (nomination.unit.name if nomination.unit else "")
    group_en = nomination.title_en or (nomination.unit.name_en if nomination.unit and not nomination.title else "")
    return Award(
        nomination=nomination,
        employee=person,
        name_zh=round.name,
        name_en=round.name_en,
        holder=person.name if person else group,
        holder_en=person.name_latin if person else group_en,
        unit_zh=" / ".join(each.name for each in path),
        unit_en=" / ".join(each.name_en or each.name for each in path),
        citation=nomination.citation,
        citation_en=nomination.citation_en,
        granted_at=at,
        granted_by=by,
    )


@transaction.atomic
def cancel_round(*, round: AwardRound, reason: str, by: User | None, at: dt.datetime) -> None:
    """This function will give up a round that was not granted, with a reason. Raises NotThisState, ReasonMissing."""
    if not reason.strip():
        raise ReasonMissing
    states = [AwardRound.State.NOMINATING, AwardRound.State.VOTING, AwardRound.State.PUBLICITY]
    _move(round, states, AwardRound.State.CANCELLED)
    _event(round, "round cancelled", by, at, reason=reason.strip())


def revoked_with(awards: Iterable[Award]) -> dict[int, list[Award]]:
    """This function will say which awards of members fall with the award of their group: by its id, in their order.

    Only what still stands; the award of one person takes nothing with it. One query.
    """
    groups = {award.nomination_id: award.pk for award in awards if award.employee_id is None}
    found: dict[int, list[Award]] = {pk: [] for pk in groups.values()}
    members = Award.objects.filter(nomination__in=groups, employee__isnull=False, revoked_at=None)
    for award in members.select_related("certificate", "employee").order_by("pk"):
        found[groups[award.nomination_id]].append(award)
    return found


@transaction.atomic
def revoke(*, award: Award, reason: str, by: User, at: dt.datetime) -> list[Award]:
    """This function will revoke an award and its certificate, for good, and tell whoever holds it.

    The members of a team or project are honoured through it: with the group's award theirs fall too, for the same
    reason, wherever they work by now. The award of one member falls alone. Returns what was revoked, the group's first.
    Raises ReasonMissing, AlreadyRevoked, OwnMatter, and NotThisState when an award of a member was revoked this moment.
    """
    words = reason.strip()
    if not words:
        raise ReasonMissing
    if _is_honoured(by, [award.nomination]):
        raise OwnMatter
    numbers = [award.pk, *(one.pk for one in revoked_with([award]).get(award.pk, []))]
    fallen = {"revoked_at": at, "revoked_by": by, "revoked_reason": words}
    if not Award.objects.filter(pk=award.pk, revoked_at=None).update(**fallen):
        raise AlreadyRevoked
    if Award.objects.filter(pk__in=numbers[1:], revoked_at=None).update(**fallen) != len(numbers) - 1:
        raise NotThisState
    award.refresh_from_db()
    found = {
        one.pk: one for one in Award.objects.filter(pk__in=numbers).select_related("certificate", "employee__user")
    }
    revoked = [found[number] for number in numbers]
    papers = [one.certificate for one in revoked if one.certificate is not None]
    try:
        revoke_certificates(certificates=papers, by=by, at=at, reason=words)
    except CertificateRevoked as meanwhile:
        raise NotThisState from meanwhile
    record_events(
        chain=CHAIN,
        links=[
            Link("revoked", one, by, at, reason=words, after=None if one == award else {"with": award.pk})
            for one in revoked
        ],
    )
    for one in revoked:
        notify(
            user=one.employee.user if one.employee else None,
            text_zh=f"您的荣誉「{one.name_zh}」已被撤销，原因写在“荣誉与致谢”中。",
            text_en=f"Your award “{one.name_en or one.name_zh}” was revoked. The reason stands under “Honours and thanks”.",
            at=at,
            url="/honours/#mine",
            key=f"revoked-{one.pk}",
        )
    return revoked


@transaction.atomic
def show_on_wall(*, award: Award, shown: bool, by: User, at: dt.datetime) -> None:
    """This function will put one's own award on the wall or take it off; who else sees it does not change."""
    moved = Award.objects.filter(pk=award.pk, employee__user=by).exclude(on_wall=shown).update(on_wall=shown)
    if moved:
        award.refresh_from_db()
        _event(award, "shown" if shown else "hidden", by, at)


PHOTO_SIDE = 1600  # pixels; nothing on the wall is shown larger


class NoPicture(Exception):
    """The file is not a picture that can be read."""


def clean_photo(file: BinaryIO) -> ContentFile:
    """This function will draw a photograph anew as JPEG, upright and at most PHOTO_SIDE wide or high.

    What cameras write into a file (where and when it was taken) stays behind. Raises NoPicture.
    """
    try:
        with Image.open(file) as opened:
            upright = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as broken:
        raise NoPicture from broken
    upright.thumbnail((PHOTO_SIDE, PHOTO_SIDE))
    drawn = io.BytesIO()
    upright.save(drawn, "JPEG", quality=88)
    return ContentFile(drawn.getvalue(), name=f"{secrets.token_hex(8)}.jpg")


@transaction.atomic
def set_photo(*, award: Award, file: BinaryIO | None, by: User, at: dt.datetime) -> None:
    """This function will hang a photograph beside an award, or take it away (None); the one before is deleted.

    Raises NoPicture.
    """
    before, picture = award.photo, None
    if file is not None:
        content = clean_photo(file)
        root = Collection.get_first_root_node()
        shelf = root.get_children().filter(name=PHOTOS).first() or root.add_child(name=PHOTOS)
        # Called by the number of the award: the library of pictures names nobody.
        picture = Picture(title=f"{PHOTOS} {award.pk}", file=content, collection=shelf, uploaded_by_user=by)
        picture.save()
    if not Award.objects.filter(pk=award.pk, photo=before).update(photo=picture):
        raise NotThisState
    award.photo = picture
    if before is not None:
        before.delete()
    _event(award, "photo set" if picture else "photo taken away", by, at)


# --- reading ------------------------------------------------------------------------------------------------------------
def on_the_wall() -> QuerySet[Award]:
    """This function will return what hangs on the wall: granted, not revoked, and not taken off by who was honoured."""
    return Award.objects.filter(revoked_at=None, on_wall=True).select_related("employee", "nomination__round")


def honours_of(employee: Employee) -> QuerySet[Award]:
    """This function will return everything a person was given, revoked ones too, the newest first."""
    return Award.objects.filter(employee=employee).select_related("certificate", "nomination__round")


def rounds_to_decide(member: User) -> QuerySet[AwardRound]:
    """This function will return the rounds in which a member of a committee may vote now."""
    return AwardRound.objects.filter(committee=member, state=AwardRound.State.VOTING)


def public_rounds() -> QuerySet[AwardRound]:
    """This function will return the rounds whose chosen names are public now."""
    return AwardRound.objects.filter(state=AwardRound.State.PUBLICITY).select_related("programme__rule")


# --- small things -------------------------------------------------------------------------------------------------------
def _move(row: AwardRound | Nomination, states: list, to: str, **values) -> None:
    """Compare and swap: the row must still be in one of the states. Raises NotThisState."""
    if not type(row)._default_manager.filter(pk=row.pk, state__in=states).update(state=to, **values):
        raise NotThisState
    row.refresh_from_db()


def _event(subject, action: str, by, at: dt.datetime, *, after: dict | None = None, reason: str = "") -> None:
    record_event(chain=CHAIN, action=action, subject=subject, actor=by, at=at, after=after, reason=reason)
