"""Recognition on the HR desk: honours, their rounds from nomination to the wall, revoking (PM-W02, PM-W07)."""

from __future__ import annotations

from collections import defaultdict

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import IntegrityError
from django.http import HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from certificates.domain.issuing import NoPublishedDesign
from core.templatetags.interface import day
from kpi.domain import award_rounds, awards, committee, nominating, rules
from kpi.domain import recognition_access as door
from kpi.models import Award, AwardRound, Nomination, Objection, Vote
from kpi.recognition_forms import AnswerForm, PhotoForm, ProgrammeForm, RoundForm
from kpi.views.looks import checks_looked
from people.domain.access import Actor, actor_of, binds, require, visible_employees

PAGE = 30
_State = AwardRound.State


def _round_page(round: AwardRound, anchor: str = "") -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("kpi:honours_round", args=[round.pk]) + anchor)


@binds("PM-W02")
@require_safe
@never_cache
def desk(request):
    """The honours of the actor's units and their rounds."""
    actor = actor_of(request)
    require(actor, "PM-W02")
    rounds = door.desk_rounds(actor)
    live = door.desk_lines(rounds.filter(state__in=[_State.NOMINATING, _State.VOTING, _State.PUBLICITY]))
    ended = rounds.filter(state__in=[_State.GRANTED, _State.CANCELLED])
    page = Paginator(ended, PAGE).get_page(request.GET.get("page"))
    programmes = list(door.desk_programmes(actor))
    context = {
        "programmes": [(one, rules.version_in_force(one.rule, actor.on)) for one in programmes],
        "live": live,
        "page": page,
        "may_make": door.rules_without_programme(actor).exists(),
    }
    return render(request, "kpi/recognition_desk.html", context)


@binds("PM-W02")
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def new_programme(request):
    """Make an honour of an award rule."""
    actor = actor_of(request)
    require(actor, "PM-W02")
    free = door.rules_without_programme(actor)
    form = ProgrammeForm(request.POST or None, rules=free)
    if request.method == "POST" and form.is_valid():
        try:
            made = award_rounds.make_programme(**form.cleaned_data, by=request.user, at=timezone.now())
        except IntegrityError:  # somebody made it at the same moment
            form.add_error("rule", _("An honour was made of this rule just now."))
        else:
            messages.success(request, _("The honour “%(name)s” is made. Now open its first round.") % {"name": made})
            return HttpResponseRedirect(reverse("kpi:honours_desk"))
    context = {"form": form, "has_rules": free.exists(), "has_designs": door.designs_for_honours().exists()}
    return render(request, "kpi/recognition_programme.html", context, status=422 if form.errors else 200)


@binds("PM-W02")
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def new_round(request, programme_id: int):
    """Open a round of an honour."""
    actor = actor_of(request)
    require(actor, "PM-W02")
    programme = get_object_or_404(door.desk_programmes(actor).filter(active=True), pk=programme_id)
    version = rules.version_in_force(programme.rule, actor.on)
    if version is None:
        context = {"programme": programme}
        return render(request, "kpi/recognition_round_new.html", context)
    people = visible_employees(actor, "PM-P01").exclude(state="left")
    rule = rules.read_parameters(version)
    form = RoundForm(request.POST or None, people=people, today=actor.on, places=rule.places)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            made = award_rounds.open_round(
                programme=programme,
                version=version,
                **{key: data[key] for key in ("name", "name_en", "first_month", "last_month", "nominate_until")},
                committee=[one.user for one in data["committee"]],
                places=data["places"],
                by=request.user,
                at=timezone.now(),
            )
        except award_rounds.RoundExists:
            form.add_error("first_month", _("This honour has a round of these months already."))
        except rules.InForceMissing:
            form.add_error(None, _("The rule changed meanwhile. Open this page again."))
        else:
            messages.success(request, _("The round is open for nominations."))
            return _round_page(made)
    context = {"form": form, "programme": programme, "version": version, "rule": rule}
    return render(request, "kpi/recognition_round_new.html", context, status=422 if form.errors else 200)


# --- one round ------------------------------------------------------------------------------------------------------------
@binds("PM-W02", "PM-W07")
@require_safe
@never_cache
def round_page(request, round_id: int):
    """A round: its steps, its places, who stands in it, what was said, what was granted."""
    actor = actor_of(request)
    return _show(request, actor, door.desk_round_or_404(actor, round_id))


def _show(request, actor: Actor, round: AwardRound, *, answer=None, photo=None, wrong_id: int = 0):
    counted = round.state != _State.NOMINATING
    tallies = {one.nomination.pk: one for one in committee.tallies(round)} if counted else {}
    page = Paginator(door.nominations_of(round), PAGE).get_page(request.GET.get("page"))
    rows = list(page.object_list)
    checks_looked(request, rows)
    # Who voted what is said when the vote is over: until then only numbers.
    said = _votes(rows) if round.state in (_State.PUBLICITY, _State.GRANTED) else {}
    objections = list(
        Objection.objects.filter(nomination__round=round)
        .select_related(
            "by__employee", "decided_by__employee", "nomination__employee", "nomination__unit", "nomination__round"
        )
        .order_by("state", "at")
    )
    for one in objections:
        one.form = answer if answer and one.pk == wrong_id else AnswerForm(objection_id=one.pk)
    given = Award.objects.filter(nomination__round=round).select_related(
        "certificate", "photo", "employee", "nomination"
    )
    awarded = Paginator(given.order_by("pk"), PAGE).get_page(request.GET.get("awards"))
    revocable = set(
        visible_employees(actor, "PM-W07").filter(awards__in=awarded.object_list).values_list("pk", flat=True)
    )
    falling = awards.revoked_with(awarded.object_list)
    for award in awarded.object_list:
        award.falling = falling.get(award.pk, [])
        award.form = photo if photo and award.pk == wrong_id else PhotoForm(award_id=award.pk)
        award.may_revoke = award.employee_id is None or award.employee_id in revocable
    standing = {row["state"]: row["number"] for row in door.states_of(round)}
    context = {
        "round": round,
        "rule": award_rounds.rule_of(round),
        "steps": _steps(round),
        "quotas": list(round.quotas.select_related("unit")),
        "committee": list(round.committee.select_related("employee__unit").order_by("username")),
        "page": page,
        "rows": [{"nomination": one, "tally": tallies.get(one.pk), "votes": said.get(one.pk, [])} for one in rows],
        "standing": sum(standing.values()) - standing.get(Nomination.State.WITHDRAWN, 0),
        "eligible": standing.get(Nomination.State.ELIGIBLE, 0),
        "short": sum(not one.quorum for one in tallies.values()) if round.state == _State.VOTING else 0,
        "objections": objections,
        "open_objections": sum(one.state == Objection.State.OPEN for one in objections),
        "awards": awarded,
        "units": door.indicator_units(),
        "open": door.measures_open(actor, rows),
        "is_over": round.publicity_until is not None and actor.on > round.publicity_until,
        "is_live": round.state in (_State.NOMINATING, _State.VOTING, _State.PUBLICITY),
    }
    return render(request, "kpi/recognition_round.html", context, status=422 if answer or photo else 200)


def _votes(nominations: list[Nomination]) -> dict[int, list[Vote]]:
    found: dict[int, list[Vote]] = defaultdict(list)
    for one in Vote.objects.filter(nomination__in=nominations).select_related("member__employee").order_by("pk"):
        found[one.nomination_id].append(one)
    return found


def _steps(round: AwardRound) -> list[dict]:
    order = [_State.NOMINATING, _State.VOTING, _State.PUBLICITY, _State.GRANTED]
    labels = [_("Nominations"), _("Committee"), _("Publicity"), _("Granted")]
    notes = [
        _("until %(day)s") % {"day": day(round.nominate_until)},
        "",
        _("until %(day)s") % {"day": day(round.publicity_until)} if round.publicity_until else "",
        day(round.granted_at) if round.granted_at else "",
    ]
    now = order.index(round.state) if round.state in order else -1
    last = round.state == _State.GRANTED
    return [
        {
            "label": label,
            "note": notes[place],
            "state": "done" if place < now or last else "current" if place == now else "open",
        }
        for place, label in enumerate(labels)
    ]


@binds("PM-W02")
@require_POST
def check_again(request, round_id: int):
    """Look at the measures of everybody who stands in the round again."""
    found = door.desk_round_or_404(actor_of(request), round_id)
    standing = found.nominations.exclude(state=Nomination.State.WITHDRAWN)
    changed, number = 0, 0
    for one in standing.select_related("round__version", "employee", "unit").prefetch_related("members"):
        before = one.state
        try:
            nominating.check_again(nomination=one, by=request.user, at=timezone.now())
        except award_rounds.NotThisState:
            messages.error(request, _("Nominations are closed, so the check lists stay as they are."))
            return _round_page(found)
        number += 1
        changed += one.state != before
    text = ngettext(
        "%(number)d nomination was checked; %(changed)d came out otherwise than before.",
        "%(number)d nominations were checked; %(changed)d came out otherwise than before.",
        number,
    )
    messages.success(request, text % {"number": number, "changed": changed})
    return _round_page(found)


@binds("PM-W02")
@require_POST
def begin_vote(request, round_id: int):
    """Close the nominations and ask the committee."""
    found = door.desk_round_or_404(actor_of(request), round_id)
    try:
        committee.begin_voting(round=found, by=request.user, at=timezone.now())
    except award_rounds.NotThisState:
        messages.error(request, _("The round is at another step already."))
    else:
        messages.success(request, _("The committee was told. Nominations are closed."))
    return _round_page(found)


@binds("PM-W02")
@require_POST
def make_public(request, round_id: int):
    """End the vote and make the chosen names public."""
    found = door.desk_round_or_404(actor_of(request), round_id)
    try:
        chosen = committee.make_public(round=found, by=request.user, at=timezone.now())
    except committee.NoQuorum as short:
        text = _("Too few members have voted on: %(names)s. Remind the committee, then try again.")
        names = [one.label for one in short.nominations]
        shown = "、".join(names[:5]) + ("…" if len(names) > 5 else "")
        messages.error(request, text % {"names": shown})
    except award_rounds.NotThisState:
        messages.error(request, _("The round is at another step already."))
    else:
        text = ngettext(
            "%(number)d name is public until %(day)s.", "%(number)d names are public until %(day)s.", len(chosen)
        )
        messages.success(request, text % {"number": len(chosen), "day": day(found.publicity_until)})
    return _round_page(found)


@binds("PM-W02")
@require_POST
def answer(request, objection_id: int):
    """Answer what was said against a name."""
    actor = actor_of(request)
    found = door.desk_objection_or_404(actor, objection_id)
    round = door.desk_round_or_404(actor, found.nomination.round_id)
    form = AnswerForm(request.POST, objection_id=found.pk)
    if form.is_valid():
        try:
            committee.decide_objection(
                objection=found,
                uphold=request.POST.get("do") == "uphold",
                answer=form.cleaned_data["answer"],
                by=request.user,
                at=timezone.now(),
            )
        except award_rounds.OwnMatter:
            form.add_error(
                None,
                _("You nominated, objected or are nominated yourself. Another person of HR answers this one."),
            )
        except award_rounds.ReasonMissing:
            form.add_error("answer", _("Write an answer."))
        except committee.DecidedAlready:
            messages.info(request, _("Somebody answered this before; the first answer stands."))
            return _round_page(round)
        else:
            messages.success(request, _("The answer is kept and whoever objected is told."))
            return _round_page(round, "#objections")
    return _show(request, actor, round, answer=form, wrong_id=found.pk)


@binds("PM-W02")
@require_POST
def grant(request, round_id: int):
    """Grant what was chosen."""
    found = door.desk_round_or_404(actor_of(request), round_id)
    try:
        given = awards.grant(round=found, by=request.user, at=timezone.now())
    except awards.StillPublic:
        messages.error(
            request,
            _("The names are public until %(day)s. Grant after that day.") % {"day": day(found.publicity_until)},
        )
    except awards.ObjectionsOpen:
        messages.error(request, _("Something said against a name is not answered yet. Answer it below, then grant."))
    except award_rounds.OwnMatter:
        messages.error(request, _("You are among those who are honoured. Another person of HR grants this round."))
    except NoPublishedDesign:
        messages.error(
            request, _("The design of the certificate is not published. Ask an author to publish it, then try again.")
        )
    except award_rounds.NotThisState:
        messages.error(request, _("The round is at another step already."))
    else:
        text = ngettext(
            "%(number)d award is granted and hangs on the wall.",
            "%(number)d awards are granted and hang on the wall.",
            len(given),
        )
        messages.success(request, text % {"number": len(given)})
    return _round_page(found, "#awards")


@binds("PM-W02")
@require_POST
def cancel(request, round_id: int):
    """Give up a round, with a reason."""
    found = door.desk_round_or_404(actor_of(request), round_id)
    reason = request.POST.get("reason", "").replace("\x00", "")[:500]
    try:
        award_rounds.cancel_round(round=found, reason=reason, by=request.user, at=timezone.now())
    except award_rounds.ReasonMissing:
        messages.error(request, _("Write why the round is given up."))
    except award_rounds.NotThisState:
        messages.error(request, _("The round is at another step already."))
    else:
        messages.success(request, _("The round is given up. Nothing of it is granted."))
    return _round_page(found)


# --- awards ---------------------------------------------------------------------------------------------------------------
@binds("PM-W07")
@require_POST
def revoke(request, award_id: int):
    """Revoke an award and its certificate, for good."""
    found = door.award_to_revoke_or_404(actor_of(request), award_id)
    reason = request.POST.get("reason", "").replace("\x00", "")[:500]
    try:
        revoked = awards.revoke(award=found, reason=reason, by=request.user, at=timezone.now())
    except award_rounds.ReasonMissing:
        messages.error(request, _("Write why the award is revoked."))
    except awards.AlreadyRevoked:
        messages.info(request, _("It was revoked before; the first reason stands."))
    except award_rounds.OwnMatter:
        messages.error(request, _("It is your own award. Another person of HR revokes it."))
    except award_rounds.NotThisState:
        messages.error(request, _("Somebody revoked an award of this group just now. Look at it, then try again."))
    else:
        messages.success(request, _revoked_words(found, len(revoked) - 1))
    return _round_page(found.nomination.round, "#awards")


def _revoked_words(award: Award, members: int) -> str:
    if not members:
        return _("The award of %(name)s is revoked.") % {"name": award.holder_label}
    text = ngettext(
        "The award of %(name)s is revoked, and with it that of %(number)d member.",
        "The award of %(name)s is revoked, and with it those of %(number)d members.",
        members,
    )
    return text % {"name": award.holder_label, "number": members}


@binds("PM-W02")
@require_POST
def photo(request, award_id: int):
    """Hang a photograph beside an award, or take it away."""
    actor = actor_of(request)
    found = door.desk_award_or_404(actor, award_id)
    round = door.desk_round_or_404(actor, found.nomination.round_id)
    if request.POST.get("do") == "remove":
        awards.set_photo(award=found, file=None, by=request.user, at=timezone.now())
        messages.success(request, _("The photograph is taken away; a seal stands in its place."))
        return _round_page(round, "#awards")
    form = PhotoForm(request.POST, request.FILES, award_id=found.pk)
    if form.is_valid():
        try:
            awards.set_photo(award=found, file=form.cleaned_data["photo"], by=request.user, at=timezone.now())
        except awards.NoPicture:
            form.add_error("photo", _("This file cannot be read as a picture. Save it as JPEG and try again."))
        except award_rounds.NotThisState:
            messages.error(request, _("Somebody changed this photograph just now. Look at it, then try again."))
            return _round_page(round, "#awards")
        else:
            messages.success(request, _("The photograph of %(name)s is kept.") % {"name": found.holder_label})
            return _round_page(round, "#awards")
    return _show(request, actor, round, photo=form, wrong_id=found.pk)
