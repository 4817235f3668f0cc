"""Recognition: what the committee of a round decides, and what is said against it (DOMAIN section 2).

Whoever is close to a nominee takes no part in the vote on it. With a quorum on every nomination the best are chosen,
within the places of their unit and of the round; their names are public for some days, in which anybody may object.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from django.db import IntegrityError, transaction
from django.db.models import Count, QuerySet
from django.utils import timezone

from core.events import Link, record_events
from core.notices import notify
from kpi.domain.award_rounds import CHAIN, NotThisState, OwnMatter, ReasonMissing, move, record, rule_of
from kpi.domain.nominating import honoured_by, is_honoured
from kpi.models import AwardProgramme, AwardRound, Nomination, Objection, Vote
from people.models import User


class NotOfTheCommittee(Exception):
    """Only members of the round's committee vote."""


class MustRecuse(Exception):
    """The member is the nominee, nominated, manages or works beside the nominee: only recusal is taken."""


class VotedAlready(Exception):
    """One vote each; what was said stands."""


class NoQuorum(Exception):
    """Too few of the members who may vote have voted on some nomination (``nominations``)."""

    def __init__(self, nominations: list[Nomination]):
        self.nominations = nominations
        super().__init__(len(nominations))


class ObjectedAlready(Exception):
    """The person said something against the nomination before, and it is not answered yet."""


class DecidedAlready(Exception):
    """It was decided before; the first answer stands."""


# --- the vote -----------------------------------------------------------------------------------------------------------
@transaction.atomic
def begin_voting(*, round: AwardRound, by: User | None, at: dt.datetime) -> None:
    """This function will close the nominations and let the committee vote on those that meet the conditions."""
    move(round, [AwardRound.State.NOMINATING], AwardRound.State.VOTING)
    record(round, "voting begun", by, at)
    for member in round.committee.all():
        notify(
            user=member,
            text_zh=f"「{round.name}」请您投票。",
            text_en=f"Your vote on “{round.name_en or round.name}” is asked for.",
            at=at,
            url=f"/honours/rounds/{round.pk}/vote/",
            key=f"vote-{round.pk}",
        )


def rounds_to_decide(member: User) -> QuerySet[AwardRound]:
    """This function will return the rounds in which a member of a committee may vote now."""
    return AwardRound.objects.filter(committee=member, state=AwardRound.State.VOTING)


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
    record(nomination, "voted", member, at, after={"choice": choice})
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


# --- choosing -----------------------------------------------------------------------------------------------------------
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
    move(round, [AwardRound.State.VOTING], AwardRound.State.PUBLICITY, publicity_from=day, publicity_until=until)
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
    for person in honoured_by(nomination):
        notify(
            user=person.user,
            text_zh=f"您入选「{round.name}」，现正公示。",
            text_en=f"You were chosen for “{round.name_en or round.name}”; the names are public now.",
            at=at,
            url="/honours/",
            key=f"chosen-{nomination.pk}",
        )


# --- objections ---------------------------------------------------------------------------------------------------------
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
    record(nomination, "objected", by, at)
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
    if by.pk in (objection.by_id, objection.nomination.by_id) or is_honoured(by, [objection.nomination]):
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
    record(objection.nomination, f"objection {state}", by, at, reason=answer.strip())
    notify(
        user=objection.by,
        text_zh="您提出的异议已有答复。",
        text_en="What you said against a nomination was answered.",
        at=at,
        url="/honours/#said",
        key=f"answer-{objection.pk}",
    )
