"""The door to recognition: which rounds, nominations and awards somebody reaches, and what the pages show of them.

HR runs the honours of its units (PM-W02), members of a committee reach the rounds that name them (PM-W03), everybody
reaches what is public (PM-W05) and the own honours (PM-W08).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Count, Exists, OuterRef, Prefetch, Q, QuerySet
from django.http import Http404

from certificates.models import CertificateDesign, DesignVersion, fill
from courses.models import Course, CoursePage
from kpi.domain.awards import on_the_wall
from kpi.domain.committee import must_recuse
from kpi.models import (
    Award,
    AwardProgramme,
    AwardRound,
    HonourWallPage,
    Indicator,
    Nomination,
    Objection,
    Rule,
    Thanks,
    Vote,
)
from people.domain.access import Actor, require, visible_employees
from people.models import Employee, OrgUnit


def people_of_numbers(text: str, people: QuerySet[Employee]) -> tuple[list[Employee], list[str]]:
    """This function will find people by what was pasted: (those found, in order and once each; what names nobody).

    Numbers may stand in lines or have commas between them; a word without a digit (the name beside a number) is passed
    over when the line has a number.
    """
    wanted: list[str] = []
    for line in text.splitlines():
        words = [word for word in line.translate(_BREAKS).split() if word]
        numbers = [word[:40] for word in words if any(letter.isdigit() for letter in word)]
        wanted += numbers or [word[:40] for word in words]
    wanted = list(dict.fromkeys(wanted))
    found = {
        one.employee_no: one for one in people.filter(employee_no__in=wanted).select_related("unit", "user", "position")
    }
    return [found[number] for number in wanted if number in found], [one for one in wanted if one not in found]


_BREAKS = str.maketrans(dict.fromkeys(",，;；、\t", " "))


# --- HR -----------------------------------------------------------------------------------------------------------------
def _in_units(units: Iterable[OrgUnit], path: str) -> Q:
    found = Q(pk__in=[])
    for unit in units:
        found |= Q(**{f"{path}__startswith": unit.path})
    return found


def desk_programmes(actor: Actor) -> QuerySet[AwardProgramme]:
    """This function will return the honours whose rule is of the actor's units."""
    found = AwardProgramme.objects.filter(_in_units(actor.units("HRU"), "rule__scope__path"))
    return found.select_related("rule__scope", "design")


def desk_rounds(actor: Actor) -> QuerySet[AwardRound]:
    """This function will return the rounds that the actor runs, the newest first."""
    found = AwardRound.objects.filter(_in_units(actor.units("HRU"), "programme__rule__scope__path"))
    return found.select_related("programme__rule__scope", "version__rule")


def rules_without_programme(actor: Actor) -> QuerySet[Rule]:
    """This function will return the award rules of the actor's units of which no honour was made yet."""
    return (
        Rule.objects.filter(_in_units(actor.units("HRU"), "scope__path"), family=Rule.Family.AWARD)
        .filter(award_programme=None)
        .select_related("scope")
    )


def designs_for_honours() -> QuerySet[CertificateDesign]:
    """This function will return the published designs that no course uses: the words of those speak of a course."""
    of_courses = Course.objects.filter(certificate_design__isnull=False).order_by().values("certificate_design")
    of_pages = CoursePage.objects.filter(certificate_design__isnull=False).order_by().values("certificate_design")
    found = CertificateDesign.objects.exclude(pk__in=of_courses).exclude(pk__in=of_pages)  # of drafts as well
    return found.filter(Exists(DesignVersion.objects.filter(design=OuterRef("pk")))).order_by("name")


def design_words(design: CertificateDesign, honour: str, honour_en: str) -> tuple[str, str]:
    """This function will say in both languages what certificates of a design would read, as it was published last."""
    content = DesignVersion.objects.filter(design=design).order_by("-number").values_list("content", flat=True)[0]
    words = {"name": "王晓琳", "number": "2026-000001", "date": "2026年11月22日", "company": content["issuer_zh"]}
    words_en = words | {"name": "Wang Xiaolin", "date": "22 November 2026", "company": content["issuer_en"]}
    said = fill(content["sentence_zh"], words | {"course": honour})
    said_en = fill(content["sentence_en"], words_en | {"course": honour_en})
    said = said if "{name}" in content["sentence_zh"] else f"{words['name']}{said}"
    return said, said_en if "{name}" in content["sentence_en"] else f"{words_en['name']} {said_en}"


def desk_round_or_404(actor: Actor, round_id: int) -> AwardRound:
    """This function will return one round that the actor runs, or raise Http404 as for a missing id (403: no role ever)."""
    require(actor, "PM-W02")
    found = desk_rounds(actor).select_related("created_by__employee").filter(pk=round_id).first()
    if found is None:
        raise Http404
    return found


def desk_objection_or_404(actor: Actor, objection_id: int) -> Objection:
    """This function will return an objection in a round that the actor runs, or raise Http404 (403: no role ever)."""
    require(actor, "PM-W02")
    found = (
        Objection.objects.filter(nomination__round__in=desk_rounds(actor).order_by().values("pk"), pk=objection_id)
        .select_related("nomination__round", "nomination__employee", "by")
        .first()
    )
    if found is None:
        raise Http404
    return found


def desk_award_or_404(actor: Actor, award_id: int) -> Award:
    """This function will return an award of a round that the actor runs, or raise Http404 (403: no role ever)."""
    require(actor, "PM-W02")
    found = _awards(actor).filter(pk=award_id).first()
    if found is None:
        raise Http404
    return found


def award_to_revoke_or_404(actor: Actor, award_id: int) -> Award:
    """This function will return an award that the actor may revoke, or raise Http404 (403: no role ever)."""
    require(actor, "PM-W07")
    people = visible_employees(actor, "PM-W07").order_by().values("pk")
    found = _awards(actor).filter(Q(employee=None) | Q(employee__in=people), pk=award_id).first()
    if found is None:
        raise Http404
    return found


def _awards(actor: Actor) -> QuerySet[Award]:
    awards = Award.objects.filter(nomination__round__in=desk_rounds(actor).order_by().values("pk"))
    return awards.select_related("certificate", "photo", "employee__user", "nomination__round", "nomination__employee")


@dataclass(frozen=True)
class DeskLine:
    """A round on the desk: how many stand in it and what waits."""

    round: AwardRound
    nominations: int
    objections: int


def desk_lines(rounds: QuerySet[AwardRound]) -> list[DeskLine]:
    """This function will count what the desk says of some rounds. One query."""
    counted = rounds.annotate(
        standing=Count("nominations", filter=~Q(nominations__state=Nomination.State.WITHDRAWN), distinct=True),
        open=Count("nominations__objections", filter=Q(nominations__objections__state="open"), distinct=True),
    )
    return [DeskLine(one, one.standing, one.open) for one in counted]


def nominations_of(round: AwardRound) -> QuerySet[Nomination]:
    """This function will return the nominations of a round with everything a page shows of them."""
    objections = Objection.objects.select_related("by__employee", "decided_by__employee")
    return (
        round.nominations.select_related(*_NOMINEE, "by__employee")
        .prefetch_related("members__unit", Prefetch("objections", objections))
        .order_by("pk")
    )


_NOMINEE = ("employee__unit", "employee__position", "unit", "round__programme")


# --- everybody ----------------------------------------------------------------------------------------------------------
def _of_my_house(actor: Actor, rounds: QuerySet[AwardRound]) -> QuerySet[AwardRound]:
    """Rounds of the units above the actor and of those whose honours the actor runs."""
    me = actor.employee
    mine = _in_units(actor.units("HRU"), "programme__rule__scope__path")
    if me is not None and me.unit is not None:
        above = list(OrgUnit.objects.above(me.unit).order_by().values_list("pk", flat=True))
        mine |= Q(programme__rule__scope__in=above)
    return rounds.filter(mine).select_related("programme__rule__scope", "version")


def open_rounds(actor: Actor) -> QuerySet[AwardRound]:
    """This function will return the rounds in which the actor can put somebody forward today, the most pressing first."""
    found = AwardRound.objects.filter(state=AwardRound.State.NOMINATING, nominate_until__gte=actor.on)
    return _of_my_house(actor, found).order_by("nominate_until", "pk")


def open_round_or_404(actor: Actor, round_id: int) -> AwardRound:
    """This function will return a round that takes nominations (its last day may have passed), or raise Http404."""
    require(actor, "PM-W01")
    found = (
        AwardRound.objects.filter(state=AwardRound.State.NOMINATING, pk=round_id)
        .select_related("programme__rule__scope", "programme__rule__audience__scope", "version__rule")
        .first()
    )
    if found is None:
        raise Http404
    return found


def own_nominations(actor: Actor) -> QuerySet[Nomination]:
    """This function will return what the actor put forward, the newest first."""
    return Nomination.objects.filter(by=actor.user).select_related(*_NOMINEE).order_by("-pk")


def own_nomination_or_404(actor: Actor, nomination_id: int) -> Nomination:
    """This function will return one nomination that the actor made, or raise Http404 as for a missing id."""
    require(actor, "PM-W01")
    found = own_nominations(actor).prefetch_related("members__unit").filter(pk=nomination_id).first()
    if found is None:
        raise Http404
    return found


@dataclass
class PublicRound:
    """A round whose chosen names are public: the nominations and what the reader said against one of them."""

    round: AwardRound
    is_open: bool  # objections are still taken
    nominations: list[Nomination] = field(default_factory=list)


def public_names(actor: Actor) -> list[PublicRound]:
    """This function will return the names that are public now, by round. Four queries."""
    rounds = _of_my_house(actor, AwardRound.objects.filter(state=AwardRound.State.PUBLICITY)).order_by(
        "publicity_until", "pk"
    )
    found = {
        one.pk: PublicRound(one, one.publicity_until is not None and actor.on <= one.publicity_until) for one in rounds
    }
    own = Objection.objects.filter(by=actor.user)
    chosen = (
        Nomination.objects.filter(round__in=found, state=Nomination.State.CHOSEN)
        .select_related(*_NOMINEE)
        .prefetch_related("members", Prefetch("objections", own, to_attr="own_objections"))
        .order_by("round", "employee__unit__path", "pk")
    )
    for nomination in chosen:
        found[nomination.round_id].nominations.append(nomination)
    return [one for one in found.values() if one.nominations]


def public_nomination_or_404(actor: Actor, nomination_id: int) -> Nomination:
    """This function will return a chosen nomination of a round that is public, or raise Http404 (403: no role ever)."""
    require(actor, "PM-W04")
    found = (
        Nomination.objects.filter(
            pk=nomination_id, state=Nomination.State.CHOSEN, round__state=AwardRound.State.PUBLICITY
        )
        .select_related(*_NOMINEE)
        .first()
    )
    if found is None:
        raise Http404
    return found


def own_objections(actor: Actor) -> QuerySet[Objection]:
    """This function will return what the actor said against nominations, the newest first."""
    found = Objection.objects.filter(by=actor.user).order_by("-at", "-pk")
    return found.select_related("nomination__round", "nomination__employee", "nomination__unit")


def own_award_or_404(actor: Actor, award_id: int) -> Award:
    """This function will return one's own award, or raise Http404 as for a missing id."""
    found = Award.objects.filter(pk=award_id, employee=actor.employee).first() if actor.employee else None
    if found is None:
        raise Http404
    return found


def own_thanks_or_404(actor: Actor, thanks_id: int) -> Thanks:
    """This function will return thanks that the actor got, or raise Http404 as for a missing id."""
    found = Thanks.objects.filter(pk=thanks_id, receiver=actor.employee).first() if actor.employee else None
    if found is None:
        raise Http404
    return found


# --- the committee ------------------------------------------------------------------------------------------------------
def committee_round_or_404(actor: Actor, round_id: int) -> AwardRound:
    """This function will return a round whose committee the actor is of, or raise Http404 as for a missing id."""
    require(actor, "PM-W03")
    found = AwardRound.objects.filter(committee=actor.user).select_related("programme__rule", "version")
    one = found.filter(pk=round_id).first()
    if one is None:
        raise Http404
    return one


def committee_nomination_or_404(actor: Actor, nomination_id: int) -> Nomination:
    """This function will return a nomination that the actor may have to vote on, or raise Http404."""
    require(actor, "PM-W03")
    found = Nomination.objects.filter(round__committee=actor.user, pk=nomination_id).select_related(*_NOMINEE).first()
    if found is None:
        raise Http404
    return found


@dataclass(frozen=True)
class Ballot:
    """One nomination before one member: what was said of it, whether only recusal is taken, and what the member said."""

    nomination: Nomination
    must_recuse: bool
    vote: Vote | None


def ballots(round: AwardRound, actor: Actor) -> list[Ballot]:
    """This function will return everything the committee decides on, what the member has not voted on first. Three queries."""
    states = [Nomination.State.ELIGIBLE, Nomination.State.CHOSEN, Nomination.State.NOT_CHOSEN, Nomination.State.GRANTED]
    own = Vote.objects.filter(member=actor.user)
    found = (
        round.nominations.filter(state__in=states)
        .select_related(*_NOMINEE)
        .prefetch_related("members__unit", Prefetch("votes", own, to_attr="own_votes"))
        .order_by("pk")
    )
    made = [
        Ballot(one, must_recuse(nomination=one, member=actor.user), one.own_votes[0] if one.own_votes else None)
        for one in found
    ]
    return sorted(made, key=lambda one: one.vote is not None)


@dataclass(frozen=True)
class ToDecide:
    """A round that waits for a member's votes."""

    round: AwardRound
    left: int


def to_decide(actor: Actor) -> list[ToDecide]:
    """This function will return the rounds in which the member has votes left to give. One query."""
    voted = Q(nominations__votes__member=actor.user)
    rounds = (
        AwardRound.objects.filter(committee=actor.user, state=AwardRound.State.VOTING)
        .select_related("programme__rule")
        .annotate(
            on_the_list=Count("nominations", filter=Q(nominations__state=Nomination.State.ELIGIBLE), distinct=True),
            said=Count("nominations", filter=voted & Q(nominations__state=Nomination.State.ELIGIBLE), distinct=True),
        )
    )
    return [ToDecide(one, one.on_the_list - one.said) for one in rounds if one.on_the_list > one.said]


# --- the wall -----------------------------------------------------------------------------------------------------------
def wall_awards() -> QuerySet[Award]:
    """This function will return what hangs on the wall, the newest round first: a person, or a group with its members.

    The members of a team or project stand with it (``shown_members``), as far as they are on the wall themselves.
    """
    members = on_the_wall().filter(employee__isnull=False).order_by("employee__employee_no")
    return (
        on_the_wall()
        .filter(Q(employee=None) | Q(nomination__employee__isnull=False))
        .select_related("photo", "nomination__round__programme")
        .prefetch_related("photo__renditions", Prefetch("nomination__awards", members, to_attr="shown_members"))
        .order_by("-granted_at", "-nomination__round", "pk")
    )


@dataclass
class WallRound:
    """The awards of one round that stand on one page of the wall."""

    round: AwardRound
    granted_at: dt.datetime
    awards: list[Award] = field(default_factory=list)


def by_round(awards: Iterable[Award]) -> list[WallRound]:
    """This function will put awards under their rounds, in the order given."""
    found: list[WallRound] = []
    for award in awards:
        round = award.nomination.round
        if not found or found[-1].round != round:
            found.append(WallRound(round, award.granted_at))
        found[-1].awards.append(award)
    return found


def wall_page(language: str) -> HonourWallPage | None:
    """This function will return the wall of fame in a language, if it was made."""
    return HonourWallPage.objects.live().filter(locale__language_code=language).order_by("path").first()


# --- what check lists say -----------------------------------------------------------------------------------------------
def indicator_units() -> dict[str, str]:
    """This function will say how the values of each indicator are written. One query."""
    return dict(Indicator.objects.values_list("code", "unit"))


def measures_open(actor: Actor, nominations: Iterable[Nomination]) -> set[int]:
    """This function will return the nominations whose measures the actor may open (PM-F01), by id. One query."""
    of_person = {one.employee_id: one.pk for one in nominations if one.employee_id is not None}
    seen = visible_employees(actor, "PM-F01").filter(pk__in=of_person).values_list("pk", flat=True)
    return {of_person[pk] for pk in seen}


def states_of(round: AwardRound) -> QuerySet:
    """This function will count the nominations of a round by state. One query."""
    return round.nominations.order_by().values("state").annotate(number=Count("pk"))
