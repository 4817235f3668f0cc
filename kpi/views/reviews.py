"""Reviews for those who are reviewed and those who rate: what to do now, ratings, the result, objecting (PM-V01 to V03, V06, V07, V10)."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.templatetags.interface import moment
from kpi.domain import appeals, calibrating, looks, ratings, reviews, rules
from kpi.domain import review_queries as queries
from kpi.domain.parameters import scorecard_rule
from kpi.domain.review_access import (
    own_ratings,
    own_review_or_404,
    own_reviews,
    rating_or_404,
    review_or_404,
    steered_review_or_404,
)
from kpi.domain.review_messages import until
from kpi.domain.review_states import RATED, Action, NotYours, Part, WrongState, may, parts_of
from kpi.models import Look, Rating, Review, ReviewCycle
from kpi.review_forms import AdjustForm, ContestForm, RatingForm, ReasonForm
from kpi.review_words import fault_words, faults_of, refused_words, role_words, star_words, state_chip
from kpi.views.looks import looked, seen_by
from people.domain.access import Actor, actor_of, binds, require, visible_employees
from people.models import Employee

PAGE = 30
_Role, _State = Rating.Role, Review.State


def conflict(request: HttpRequest, *, back: str, text: str = "") -> HttpResponse:
    """The page that says that something can no longer be done, with the way back (409, TRUST PM-S3)."""
    text = text or _("This is no longer possible: things have moved on. Nothing was changed.")
    return render(request, "kpi/reviews_conflict.html", {"text": text, "back_url": back}, status=409)


def _months(cycle: ReviewCycle) -> str:
    return looks.kept_months(cycle.first_month, cycle.last_month)


# --- the employee -----------------------------------------------------------------------------------------------------------
@binds("PM-V06")
@never_cache
@require_safe
def mine(request: HttpRequest) -> HttpResponse:
    """What to do now, then my reviews, the newest first."""
    actor, now = actor_of(request), timezone.now()
    require(actor, "PM-V06")
    asked = list(_given_now(own_ratings(actor), now).exclude(role=_Role.MANAGER))
    team = _team_now(actor, now)
    own = list(own_reviews(actor).exclude(state=_State.SUPERSEDED))
    for review in own:
        review.chip = state_chip(review)
    context = {
        "own": [{"rating": one, "until": until(one)} for one in asked if one.role == _Role.SELF],
        "peers": [{"rating": one, "until": until(one)} for one in asked if one.role == _Role.PEER],
        "team": team,
        "unread": [one for one in own if one.state == _State.PUBLISHED],
        "reviews": own,
        "rated": _rated_cycles(actor),
        "to_read": rules.to_acknowledge(actor.employee, actor.on) if actor.employee else [],
        **(seen_by(actor.employee, Look.About.RESULT) if actor.employee else {}),
    }
    return render(request, "kpi/reviews_mine.html", context)


def _given_now(rows: QuerySet[Rating], now) -> QuerySet[Rating]:
    return rows.filter(pk__in=ratings.due_ratings(now).order_by().values("pk"))


def _team_now(actor: Actor, now) -> list[dict]:
    """Of each open cycle in which I rate as the manager: how many are missing, until when."""
    rows = own_ratings(actor).filter(role=_Role.MANAGER, review__cycle__state=ReviewCycle.State.OPEN).order_by()
    counts = rows.values("review__cycle").annotate(number=Count("pk"), missing=Count("pk", filter=Q(submitted_at=None)))
    found = {one["review__cycle"]: one for one in counts}
    cycles = ReviewCycle.objects.filter(pk__in=found, manager_until__gte=now)
    return [{"cycle": one, **found[one.pk]} for one in cycles if found[one.pk]["missing"]]


def _rated_cycles(actor: Actor) -> list[ReviewCycle]:
    """The cycles in which I rate or rated as the manager."""
    rows = own_ratings(actor).filter(role=_Role.MANAGER).order_by().values("review__cycle")
    return list(ReviewCycle.objects.filter(pk__in=rows)[:12])


@binds("PM-V06", "PM-V10")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def rate(request: HttpRequest, rating_id: int) -> HttpResponse:
    """One rating: my own, or of a colleague who was named to me. Saved, or handed in for good."""
    actor = actor_of(request)
    rating = rating_or_404(actor, rating_id)
    if rating.role == _Role.MANAGER:
        raise Http404
    lines = ratings.rated_lines(scorecard_rule(rating.review.cycle.version.parameters))
    back = reverse("kpi:my_reviews")
    if request.method == "POST":
        form = RatingForm.of(rating, lines=lines, data=request.POST)
        if form.is_valid():
            hand_in = "hand_in" in request.POST
            try:
                ratings.rate(
                    rating=rating,
                    answers=form.answers,
                    comment=form.cleaned_data["comment"],
                    hand_in=hand_in,
                    by=request.user,
                    at=timezone.now(),
                )
            except ratings.RatingWrong as error:
                form.show(faults_of(error))
            except ratings.TooLate:
                return conflict(
                    request, back=back, text=_("The time for this rating is over, so it is not taken any more.")
                )
            except (WrongState, ratings.AlreadyHandedIn, ratings.ChangedMeanwhile):
                return conflict(request, back=back)
            else:
                messages.success(
                    request, _("Handed in. Thank you.") if hand_in else _("Saved. Hand it in when you are done.")
                )
                return HttpResponseRedirect(back)
    elif rating.submitted_at is not None or rating.review.cycle.state != ReviewCycle.State.OPEN:
        return conflict(request, back=back, text=_("This rating is closed: it was handed in, or its time is over."))
    else:
        form = RatingForm.of(rating, lines=lines)
    context = {
        "rating": rating,
        "form": form,
        "until": until(rating),
        "is_own": rating.role == _Role.SELF,
        "raters": scorecard_rule(rating.review.cycle.version.parameters).raters,
    }
    return render(request, "kpi/reviews_rate.html", context)


# --- the manager ------------------------------------------------------------------------------------------------------------
@binds("PM-V02", "PM-V03")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def team(request: HttpRequest, cycle_id: int) -> HttpResponse:
    """Everybody whom I rate as the manager in one cycle, on one page: save all, hand in one or all that are complete."""
    actor = actor_of(request)
    rows = own_ratings(actor).filter(role=_Role.MANAGER, review__cycle=cycle_id)
    if not rows.exists():
        if not actor.may("PM-V02"):
            raise PermissionDenied("PM-V02")
        raise Http404
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    found = list(page.object_list)
    cycle = found[0].review.cycle
    rule = scorecard_rule(cycle.version.parameters)
    lines = ratings.rated_lines(rule)
    now = timezone.now()
    is_open = cycle.state == ReviewCycle.State.OPEN and now <= cycle.manager_until
    data = request.POST if request.method == "POST" else None
    people = [_person(one, lines, data, is_open) for one in found]
    if data is not None:
        if not is_open:
            return conflict(request, back=reverse("kpi:team_reviews", args=[cycle_id]))
        if _take_team(request, people, now):
            return HttpResponseRedirect(request.get_full_path())
    looked(request, [one.review.employee_id for one in found], looks.TEAM, _months(cycle))
    said = queries.own_words(one.review_id for one in found)
    for one in people:
        one["own"] = own = said.get(one["rating"].review_id)
        one["own_stars"] = [(line.label, own.answers[line.code]) for line in lines if own and line.code in own.answers]
    context = {
        "cycle": cycle,
        "page": page,
        "people": people,
        "is_open": is_open,
        "asks_peers": rule.raters.peers > 0,
        "asks_self": rule.raters.self_weight > 0,
        "done": rows.exclude(submitted_at=None).count(),
        "total": rows.count(),
        "stars": star_words(),
    }
    return render(request, "kpi/reviews_team.html", context)


def _person(rating: Rating, lines, data, is_open: bool) -> dict:
    takes = is_open and rating.submitted_at is None and rating.review.state in RATED
    return {
        "rating": rating,
        "employee": rating.review.employee,
        "chip": state_chip(rating.review),
        "takes": takes,
        "waits": rating.review.state == _State.DRAFTED and timezone.now() <= rating.review.cycle.self_until,
        "form": RatingForm.of(rating, lines=lines, data=data if takes else None, prefix=f"r{rating.pk}"),
    }


def _take_team(request: HttpRequest, people: list[dict], now) -> bool:
    """Save what was typed and hand in what was pressed; True when everything went well."""
    one, everybody = request.POST.get("hand_in", ""), "hand_in_all" in request.POST
    saved = handed = 0
    well = True
    for person in people:
        if not person["takes"]:
            continue
        rating, form = person["rating"], person["form"]
        if not form.is_valid():
            well = False
            continue
        complete = all(line.code in form.answers for line in form.lines)
        hand_in = one == str(rating.pk) or (everybody and complete and not person["waits"])
        if not hand_in and not form.has_changed():
            continue
        try:
            ratings.rate(
                rating=rating,
                answers=form.answers,
                comment=form.cleaned_data["comment"],
                hand_in=hand_in,
                by=request.user,
                at=now,
            )
        except ratings.RatingWrong as error:
            form.show(faults_of(error))
            well = False
        except ratings.OwnRatingFirst:
            form.add_error(
                None,
                _("%(name)s can still give an own rating until %(until)s. Save yours now and hand it in after that.")
                % {"name": person["employee"].label, "until": moment(rating.review.cycle.self_until)},
            )
            well = False
        except (ratings.TooLate, ratings.AlreadyHandedIn, ratings.ChangedMeanwhile, WrongState):
            form.add_error(None, _("This is no longer possible: things have moved on. Nothing was changed."))
            well = False
        else:
            saved += not hand_in
            handed += hand_in
    if handed:
        words = ngettext("%(number)d rating is handed in.", "%(number)d ratings are handed in.", handed)
        messages.success(request, words % {"number": handed})
    if saved:
        words = ngettext("%(number)d rating is saved.", "%(number)d ratings are saved.", saved)
        messages.success(request, words % {"number": saved})
    if well and not handed and not saved:
        messages.info(request, _("Nothing was changed."))
    return well


@binds("PM-V02", "PM-V05")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def colleagues(request: HttpRequest, review_id: int) -> HttpResponse:
    """Which colleagues are asked to rate one person; ask more, or one no more. The manager and HR do this."""
    actor = actor_of(request)
    review, parts = steered_review_or_404(actor, review_id)
    back = reverse("kpi:review_colleagues", args=[review.pk])
    refused: list[str] = []
    ticked, typed = (), ""
    if request.method == "POST":
        if "withdraw" in request.POST:
            return _withdraw(request, review, back)
        chosen, refused = _chosen(request, actor)
        if not refused:
            answer, refused = _ask(request, review, chosen, back)
            if answer is not None:
                return answer
        ticked = {_id(one) for one in request.POST.getlist("person")[:60]}
        typed = request.POST.get("numbers", "").replace("\x00", "")[:400]
    looked(request, [review.employee_id], looks.COLLEAGUES, _months(review.cycle))
    asked = list(queries.colleagues_asked(review))
    rule = scorecard_rule(review.cycle.version.parameters)
    taken = {one.rater_id for one in asked} | {review.employee_id, review.manager_id or 0}
    near = (
        visible_employees(actor, "PM-P01")
        .filter(unit=review.unit, user__isnull=False)
        .active_on(actor.on)
        .exclude(pk__in=taken)
        .select_related("unit", "position")
        .order_by("employee_no")[:40]
    )
    in_time = timezone.now() <= review.cycle.peers_until
    context = {
        "review": review,
        "asked": asked,
        "near": near,
        "refused": refused,
        "ticked": ticked,
        "typed": typed,
        "is_manager": Part.MANAGER in parts,
        "least": rule.raters.min_peers,
        "most": ratings.MOST_PEERS,
        "may_ask": may(Action.ASK_PEER, review, parts) and in_time and rule.raters.peers > 0,
        "has_part": rule.raters.peers > 0,
        "sees_state": True,
        "back_url": reverse("kpi:team_reviews", args=[review.cycle_id])
        if Part.MANAGER in parts
        else reverse("kpi:review", args=[review.pk]),
    }
    return render(request, "kpi/reviews_colleagues.html", context)


def _id(text: str) -> int:
    """A key as it was sent, or 0, which is nobody's."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 18 else 0


def _chosen(request: HttpRequest, actor: Actor) -> tuple[list[Employee], list[str]]:
    """The people that were ticked or typed by number, found through the door; and what could not be found."""
    typed = request.POST.get("numbers", "").replace("\x00", "").replace(",", " ").replace("，", " ").split()[:20]
    ticked = [
        int(one) for one in request.POST.getlist("person")[:60] if one.isascii() and one.isdecimal() and len(one) < 18
    ]
    found = list(
        visible_employees(actor, "PM-P01").filter(Q(employee_no__in=typed) | Q(pk__in=ticked)).order_by("employee_no")
    )
    unknown = sorted(set(typed) - {one.employee_no for one in found})
    refused = [_("Nobody has the employee number %(number)s.") % {"number": one} for one in unknown]
    if not found and not refused:
        refused = [_("Nobody was chosen. Tick colleagues or type their employee numbers.")]
    return found, refused


def _ask(request, review, chosen, back) -> tuple[HttpResponse | None, list[str]]:
    try:
        made = ratings.ask_peers(review=review, raters=chosen, by=request.user, at=timezone.now())
    except ratings.PeersRefused as error:
        return None, [f"{one.label}: {refused_words(word)}" for one, word in error.refused]
    except ratings.NoPeers:
        return conflict(request, back=back, text=_("The rule gives colleagues no part.")), []
    except ratings.TooLate:
        return conflict(request, back=back, text=_("The time for colleagues’ ratings is over.")), []
    except (WrongState, ratings.ChangedMeanwhile):
        return conflict(request, back=back), []
    words = ngettext("%(number)d colleague is asked.", "%(number)d colleagues are asked.", len(made))
    messages.success(request, words % {"number": len(made)})
    return HttpResponseRedirect(back), []


def _withdraw(request, review, back) -> HttpResponse:
    rating = queries.colleagues_asked(review).filter(pk=_id(request.POST["withdraw"])).first()
    if rating is None:
        raise Http404
    try:
        ratings.withdraw_peer(rating=rating, by=request.user, at=timezone.now())
    except (WrongState, ratings.AlreadyHandedIn):
        return conflict(request, back=back, text=_("The rating is in, or the time for it is over. It stays."))
    messages.success(request, _("%(name)s is asked no more.") % {"name": rating.rater.label})
    return HttpResponseRedirect(back)


@binds("PM-V05")
@require_POST
def hand_over(request: HttpRequest, review_id: int) -> HttpResponse:
    """HR has another manager rate."""
    actor = actor_of(request)
    require(actor, "PM-V05")
    review = review_or_404(actor, "PM-V05", review_id)
    back = reverse("kpi:review", args=[review.pk])
    typed = request.POST.get("number", "").replace("\x00", "").strip()
    manager = visible_employees(actor, "PM-P01").filter(employee_no=typed).first()
    form = ReasonForm(request.POST)
    if manager is None:
        messages.error(request, _("Nobody has the employee number %(number)s.") % {"number": typed})
    elif not form.is_valid():
        messages.error(request, fault_words("reason_missing"))
    else:
        try:
            ratings.hand_over(
                review=review, manager=manager, reason=form.cleaned_data["reason"], by=request.user, at=timezone.now()
            )
        except ratings.PeersRefused as error:
            messages.error(request, f"{manager.label}: {refused_words(error.refused[0][1])}")
        except NotYours as error:
            raise Http404 from error
        except (WrongState, ratings.TooLate, ratings.AlreadyHandedIn, ratings.ChangedMeanwhile):
            return conflict(request, back=back)
        else:
            words = {"name": review.employee.label, "manager": manager.label}
            messages.success(request, _("%(manager)s now rates %(name)s.") % words)
    return HttpResponseRedirect(back)


# --- one review -------------------------------------------------------------------------------------------------------------
@binds("PM-V01")
@never_cache
@require_safe
def review(request: HttpRequest, review_id: int) -> HttpResponse:
    """One review: the result in words, what was said, what was calibrated, what can be done until when."""
    actor, now = actor_of(request), timezone.now()
    found = review_or_404(actor, "PM-V01", review_id)
    looked(request, [found.employee_id], looks.REVIEW, _months(found.cycle))
    parts = parts_of(found, actor)
    rule = scorecard_rule(found.cycle.version.parameters)
    given = list(queries.ratings_given(found))
    shows_result = may(Action.READ_RESULT, found, parts)
    appeal = getattr(found, "appeal", None)
    read_at = rules.acknowledged_at(version=found.cycle.version, employees=[found.employee]).get(found.employee_id)
    numbers = queries.numbers_of(found)
    context = {
        "review": found,
        "cycle": found.cycle,
        "chip": state_chip(found),
        "is_mine": Part.SUBJECT in parts,
        "is_hr": Part.HR in parts,
        "is_auditor": Part.AUDITOR in parts,
        "shows_result": shows_result,
        "lines": ratings.line_ratings(rule, given),
        "comments": _comments(given, rule, parts),
        "authors": [one for one in given if one.role == _Role.PEER] if may(Action.READ_AUTHORS, found, parts) else [],
        "role_words": role_words,
        "calibrations": list(found.calibrations.select_related("by__employee").order_by("at", "pk")),
        "held_back": calibrating.is_held_back(found, rule),
        "appeal": appeal,
        "may_acknowledge": may(Action.ACKNOWLEDGE, found, parts),
        "may_contest": may(Action.CONTEST, found, parts)
        and found.object_until is not None
        and now <= found.object_until,
        "may_ask": may(Action.ASK_PEER, found, parts),
        "may_hand_over": may(Action.HAND_OVER, found, parts) and now <= found.cycle.manager_until,
        "may_decide": may(Action.DECIDE, found, parts),
        "reason_form": ReasonForm(auto_id="over-%s"),
        "adjust_form": AdjustForm(prefix=f"a{found.pk}")
        if may(Action.CALIBRATE, found, parts) and found.scorecard
        else None,
        "read_at": read_at,
        "others": [{"pk": pk, "number": number} for pk, number in numbers if pk != found.pk],
        "band": next((band for band in rule.bands if band.grade == found.grade), None),
    }
    return render(request, "kpi/reviews_review.html", context)


def _comments(given: list[Rating], rule, parts) -> list[dict]:
    """What was written: of the person and the manager, and of colleagues without names and in no order of time."""
    found = [
        {"who": role_words(one), "text": one.comment}
        for one in given
        if one.comment and one.role in (_Role.SELF, _Role.MANAGER)
    ]
    peers = [one for one in given if one.role == _Role.PEER]
    if len(peers) >= rule.raters.min_peers and rule.raters.peers > 0:
        texts = sorted(one.comment for one in peers if one.comment)
        found += [{"who": _("A colleague"), "text": text} for text in texts]
    return found


@binds("PM-V06")
@require_POST
def acknowledge(request: HttpRequest, review_id: int) -> HttpResponse:
    """A read receipt for one's own result."""
    found = own_review_or_404(actor_of(request), review_id)
    back = reverse("kpi:review", args=[found.pk])
    try:
        reviews.acknowledge_review(review=found, by=request.user, at=timezone.now())
    except (WrongState, ratings.ChangedMeanwhile):
        return conflict(request, back=back)
    messages.success(request, _("Noted that you have read it. This is no agreement: you can still object."))
    return HttpResponseRedirect(back)


@binds("PM-V07")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def contest(request: HttpRequest, review_id: int) -> HttpResponse:
    """Object to one's own result."""
    found = own_review_or_404(actor_of(request), review_id)
    back = reverse("kpi:review", args=[found.pk])
    parts = frozenset({Part.SUBJECT})
    now = timezone.now()
    if not may(Action.CONTEST, found, parts) or found.object_until is None or now > found.object_until:
        return conflict(
            request,
            back=back,
            text=_("An objection is not possible any more: it was made already, or the time is over."),
        )
    lines = list(found.scorecard.lines.all()) if found.scorecard else []
    form = ContestForm(request.POST or None, lines=lines, initial={"line": request.GET.get("line", "")})
    if request.method == "POST" and form.is_valid():
        try:
            appeals.contest(review=found, **form.cleaned_data, by=request.user, at=now)
        except appeals.WordsMissing:
            form.add_error("text", _("Write something here."))
        except (WrongState, appeals.TooLate, ratings.ChangedMeanwhile):
            return conflict(request, back=back)
        else:
            messages.success(request, _("Your objection is with HR. Somebody who did not rate you decides."))
            return HttpResponseRedirect(back)
    return render(request, "kpi/reviews_contest.html", {"review": found, "form": form, "back_url": back})
