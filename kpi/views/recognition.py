"""Recognition for everybody: vote, nominate, object, one's own honours, thanks (PM-W01, W03 to W06, W08)."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.templatetags.interface import day
from kpi.domain import award_rounds, awards, committee, nominating, thanks
from kpi.domain import recognition_access as door
from kpi.models import AwardRound, Vote
from kpi.recognition_forms import NominateForm, ObjectionForm, ThanksForm, VoteForm
from kpi.views.looks import checks_looked
from people.domain.access import Actor, actor_of, binds, employee_or_404, require, visible_employees
from people.models import OrgUnit

THANKS = 20
OWN = 10  # nominations and objections of one's own that are shown


def _home(anchor: str = "") -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("kpi:honours") + anchor)


@binds("PM-W05", "PM-W08")
@require_safe
@never_cache
def honours(request):
    """What I can do now, whose names are public, what I was given, and who thanked me."""
    actor = actor_of(request)
    require(actor, "PM-W05")
    return _page(request, actor)


def _page(request, actor: Actor, against: ObjectionForm | None = None, nomination_id: int = 0):
    """The page; with the form of an objection that could not be taken as it is."""
    public = door.public_names(actor)
    for one in public:
        for nomination in one.nominations:
            nomination.against = (
                against if nomination.pk == nomination_id and against else ObjectionForm(nomination=nomination)
            )
            nomination.is_said = any(said.state == "open" for said in nomination.own_objections)
    got = thanks.thanks_for(actor.employee, hidden=True) if actor.employee else []
    context = {
        "to_decide": door.to_decide(actor),
        "open_rounds": list(door.open_rounds(actor)),
        "public": public,
        "awards": list(awards.honours_of(actor.employee)) if actor.employee else [],
        "own_nominations": list(door.own_nominations(actor)[:OWN]),
        "own_objections": list(door.own_objections(actor)[:OWN]),
        "thanks": Paginator(got, THANKS).get_page(request.GET.get("thanks")),
        "wall": door.wall_page(translation.get_language()),
        "is_hr": actor.may("PM-W02"),
        "today": actor.on,
    }
    return render(request, "kpi/recognition_honours.html", context, status=422 if against else 200)


# --- thanks -------------------------------------------------------------------------------------------------------------
@binds("PM-W06")
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def say_thanks(request, employee_id: int):
    """Thank a colleague."""
    actor = actor_of(request)
    receiver = employee_or_404(actor, "PM-W06", employee_id)
    if receiver.state == receiver.State.LEFT or actor.employee is None:
        raise Http404  # who has left is thanked no more; who is on no roster has no name to thank with
    form = ThanksForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            thanks.say_thanks(
                giver=actor.employee, receiver=receiver, text=form.cleaned_data["text"], at=timezone.now()
            )
        except thanks.NotOneself:
            form.add_error(None, _("Thanks go to somebody else."))
        except thanks.TooMany:
            text = _("You have thanked %(number)d people in the last 24 hours. Come back tomorrow.")
            form.add_error(None, text % {"number": thanks.A_DAY})
        else:
            messages.success(request, _("%(name)s was told.") % {"name": receiver.label})
            return _home()
    context = {"form": form, "receiver": receiver, "is_me": receiver == actor.employee, "a_day": thanks.A_DAY}
    return render(request, "kpi/recognition_thanks.html", context, status=422 if form.errors else 200)


@binds("PM-W08")
@require_POST
def hide_thanks(request, thanks_id: int):
    """Hide thanks from everybody but oneself, or show them again."""
    actor = actor_of(request)
    require(actor, "PM-W08")
    found = door.own_thanks_or_404(actor, thanks_id)
    if "show" in request.POST or "undo" in request.GET:
        thanks.show_thanks(thanks=found)
        messages.success(request, _("These thanks are shown in your record again."))
    elif thanks.hide_thanks(thanks=found, at=timezone.now()):
        undo = reverse("kpi:hide_thanks", args=[found.pk]) + "?undo=1"
        messages.success(request, _("These thanks are hidden: only you see them."), extra_tags=f"undo:{undo}")
    return _home("#thanks")


# --- one's own honours ----------------------------------------------------------------------------------------------------
@binds("PM-W08")
@require_POST
def on_wall(request, award_id: int):
    """Put one's own award on the wall or take it off."""
    actor = actor_of(request)
    require(actor, "PM-W08")
    award = door.own_award_or_404(actor, award_id)
    shown = "show" in request.POST or "show" in request.GET
    awards.show_on_wall(award=award, shown=shown, by=request.user, at=timezone.now())
    address = reverse("kpi:on_wall", args=[award.pk])
    undo = f"undo:{address}" + ("" if shown else "?show=1")
    if shown:
        messages.success(request, _("Your award hangs on the wall."), extra_tags=undo)
    else:
        messages.success(request, _("Your award is off the wall. It stays in your record."), extra_tags=undo)
    return _home("#mine")


# --- nominating -----------------------------------------------------------------------------------------------------------
@binds("PM-W01")
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def nominate(request, round_id: int):
    """Put somebody or something forward."""
    actor = actor_of(request)
    round = door.open_round_or_404(actor, round_id)
    form = NominateForm(
        request.POST or None,
        kind=round.programme.kind,
        people=visible_employees(actor, "PM-W01"),
        units=OrgUnit.objects.under(round.programme.rule.scope),
    )
    if request.method == "POST" and form.is_valid():
        made = _nominate(request, form, round)
        if made is not None:
            return HttpResponseRedirect(reverse("kpi:nomination", args=[made.pk]))
    context = {"form": form, "round": round, "is_over": actor.on > round.nominate_until}
    context |= {"rule": award_rounds.rule_of(round), "kind": round.programme.kind}
    return render(request, "kpi/recognition_nominate.html", context, status=422 if form.errors else 200)


def _nominate(request, form: NominateForm, round: AwardRound):
    """The nomination, or None with the reason at its field."""
    data = form.cleaned_data
    who = next((name for name in ("employee", "unit", "members") if name in form.fields), None)
    try:
        return nominating.nominate(
            round=round,
            employee=data.get("employee"),
            unit=data.get("unit"),
            title=data.get("title", ""),
            title_en=data.get("title_en", ""),
            members=data.get("members", ()),
            citation=data["citation"],
            citation_en=data["citation_en"],
            by=request.user,
            at=timezone.now(),
        )
    except nominating.TooLate:
        form.add_error(None, _("The last day for nominations was %(day)s.") % {"day": day(round.nominate_until)})
    except award_rounds.NotThisState:
        form.add_error(None, _("Nominations are closed: the committee decides now."))
    except nominating.OwnNomination:
        form.add_error(who, _("Nobody puts himself forward. Ask a colleague who knows your work."))
    except nominating.OutsideScope:
        scope = round.programme.rule.scope.label
        form.add_error(who, _("This honour is for people at work in %(unit)s and for its units.") % {"unit": scope})
    except nominating.NominatedAlready:
        form.add_error(who, _("Somebody put them forward already in this round."))
    except award_rounds.ReasonMissing:
        form.add_error("citation", _("Write why."))
    return None


@binds("PM-W01")
@require_safe
@never_cache
def nomination(request, nomination_id: int):
    """What one put forward, with what was found."""
    actor = actor_of(request)
    found = door.own_nomination_or_404(actor, nomination_id)
    checks_looked(request, [found])
    context = {
        "nomination": found,
        "round": found.round,
        "units": door.indicator_units(),
        "open": door.measures_open(actor, [found]),
        "may_take_back": found.round.state == AwardRound.State.NOMINATING and found.state != found.State.WITHDRAWN,
    }
    return render(request, "kpi/recognition_nomination.html", context)


@binds("PM-W01")
@require_POST
def take_back(request, nomination_id: int):
    """Take one's nomination back before the vote."""
    found = door.own_nomination_or_404(actor_of(request), nomination_id)
    try:
        nominating.withdraw_nomination(nomination=found, by=request.user, at=timezone.now())
    except award_rounds.NotThisState:
        messages.error(request, _("The committee decides already, so the nomination stays."))
    else:
        messages.success(request, _("Your nomination of %(name)s is taken back.") % {"name": found.label})
    return _home()


# --- publicity ------------------------------------------------------------------------------------------------------------
@binds("PM-W04")
@require_POST
def object_to(request, nomination_id: int):
    """Say something against a name that is public."""
    actor = actor_of(request)
    found = door.public_nomination_or_404(actor, nomination_id)
    form = ObjectionForm(request.POST, nomination=found)
    if form.is_valid():
        try:
            committee.object_to(nomination=found, text=form.cleaned_data["text"], by=request.user, at=timezone.now())
        except award_rounds.NotThisState:
            messages.error(request, _("The last day to say something against these names has passed."))
            return _home()
        except committee.ObjectedAlready:
            messages.info(request, _("You said something already; HR answers it before anything is granted."))
            return _home("#said")
        except award_rounds.ReasonMissing:
            form.add_error("text", _("Write what you know."))
        else:
            messages.success(
                request,
                _("HR has it. It is answered before anything is granted, and you are told. Your name stays with HR."),
            )
            return _home("#said")
    return _page(request, actor, form, found.pk)


# --- the committee --------------------------------------------------------------------------------------------------------
@binds("PM-W03")
@require_safe
@never_cache
def vote(request, round_id: int):
    """Everything the committee decides on, for one of its members."""
    actor = actor_of(request)
    return _ballots(request, actor, door.committee_round_or_404(actor, round_id))


def _ballots(request, actor: Actor, round: AwardRound, wrong: VoteForm | None = None, wrong_id: int = 0):
    lines = door.ballots(round, actor) if round.state != AwardRound.State.NOMINATING else []
    checks_looked(request, [one.nomination for one in lines])
    shown = [
        {
            "ballot": one,
            "nomination": one.nomination,
            "form": wrong
            if wrong and one.nomination.pk == wrong_id
            else VoteForm(nomination=one.nomination, must_recuse=one.must_recuse),
        }
        for one in lines
    ]
    context = {
        "round": round,
        "rule": award_rounds.rule_of(round),
        "lines": shown,
        "left": sum(one.vote is None for one in lines),
        "is_voting": round.state == AwardRound.State.VOTING,
        "units": door.indicator_units(),
        "open": door.measures_open(actor, [one.nomination for one in lines]),
    }
    return render(request, "kpi/recognition_vote.html", context, status=422 if wrong else 200)


@binds("PM-W03")
@require_POST
def cast(request, nomination_id: int):
    """One vote on one nomination."""
    actor = actor_of(request)
    found = door.committee_nomination_or_404(actor, nomination_id)
    round = door.committee_round_or_404(actor, found.round_id)
    close = committee.must_recuse(nomination=found, member=request.user)
    form = VoteForm(request.POST, nomination=found, must_recuse=close)
    if not form.is_valid():
        return _ballots(request, actor, round, form, found.pk)
    choice = form.cleaned_data.get("choice", Vote.Choice.RECUSED)
    try:
        committee.vote(
            nomination=found,
            member=request.user,
            choice=choice,
            reason=form.cleaned_data["reason"],
            at=timezone.now(),
        )
    except committee.VotedAlready:
        messages.info(request, _("You voted on %(name)s before; that vote stands.") % {"name": found.label})
    except award_rounds.NotThisState:
        messages.error(request, _("The committee does not vote on %(name)s any more.") % {"name": found.label})
    else:
        messages.success(request, _("Your vote on %(name)s is kept.") % {"name": found.label})
    return HttpResponseRedirect(reverse("kpi:vote", args=[round.pk]))
