"""HR compares results, changes them with reasons, settles groups, and decides objections (PM-V04, PM-V08)."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from kpi.domain import appeals, calibrating, looks, measures, ratings
from kpi.domain import review_queries as queries
from kpi.domain.parameters import scorecard_rule
from kpi.domain.review_access import (
    appeal_or_404,
    cycle_or_404,
    group_or_404,
    review_or_404,
    visible_appeals,
    visible_groups,
    visible_reviews,
)
from kpi.domain.review_states import RATED, NotYours, WrongState, cycle_part
from kpi.models import Appeal, Calibration, CalibrationGroup, Review, ReviewCycle
from kpi.review_forms import AdjustForm, DecideForm, ReasonForm
from kpi.review_words import hand_words, state_chip
from kpi.views.looks import looked
from kpi.views.reviews import conflict
from people.domain.access import Actor, actor_of, binds, require

PAGE = 100
CHANGED = "changed"  # longer than any grade


# --- groups -----------------------------------------------------------------------------------------------------------------
@binds("PM-V04")
@never_cache
@require_safe
def groups(request: HttpRequest, cycle_id: int) -> HttpResponse:
    """The calibration groups of a cycle in my units: how many, how many at the top, settled or not."""
    actor = actor_of(request)
    require(actor, "PM-V04")
    cycle = cycle_or_404(actor, "PM-V01", cycle_id)
    rule = scorecard_rule(cycle.version.parameters)
    page = Paginator(visible_groups(actor, "PM-V04").filter(cycle=cycle), PAGE).get_page(request.GET.get("page"))
    found = list(page.object_list)
    top = queries.tops(found, rule)
    context = {
        "cycle": cycle,
        "page": page,
        "rows": [
            {
                "group": one,
                "top": top.get(one.pk, 0),
                "over": max(0, top.get(one.pk, 0) - one.quota) if rule.top_share else 0,
            }
            for one in found
        ],
        "rule": rule,
        "top": rule.bands[0],
        "part": cycle_part(cycle, actor),
    }
    return render(request, "kpi/reviews_groups.html", context)


@binds("PM-V04")
@never_cache
@require_safe
def group(request: HttpRequest, group_id: int) -> HttpResponse:
    """One group side by side, the highest total first: everybody, those of one grade, or those whose result was changed."""
    actor = actor_of(request)
    found = group_or_404(actor, "PM-V04", group_id)
    return _group_page(request, actor, found)


def _group_page(request, actor: Actor, found: CalibrationGroup, *, wrong: Review | None = None, form=None, status=200):
    rule = scorecard_rule(found.cycle.version.parameters)
    everybody = calibrating.reviews_in(found)
    counts = dict(everybody.order_by().values_list("grade").annotate(Count("pk")))
    changed = everybody.filter(pk__in=Calibration.objects.filter(review__cycle=found.cycle_id).values("review"))
    who, shown = request.GET.get("who", ""), everybody
    if who == CHANGED:
        shown = changed
    elif who in counts:
        shown = everybody.filter(grade=who)
    else:
        who = ""
    page = Paginator(shown, PAGE).get_page(request.GET.get("page"))
    people = list(
        page.object_list.select_related("cycle", "employee", "unit", "position", "scorecard").prefetch_related(
            "calibrations"
        )
    )
    months = looks.kept_months(found.cycle.first_month, found.cycle.last_month)
    looked(request, [one.employee_id for one in people], looks.COMPARISON, months)
    is_open = found.cycle.state == ReviewCycle.State.CALIBRATING and found.settled_at is None
    allowed = set(
        visible_reviews(actor, "PM-V04").filter(pk__in=[one.pk for one in people]).values_list("pk", flat=True)
    )
    rows = []
    for one in people:
        is_wrong = wrong is not None and wrong.pk == one.pk
        rows.append(
            {
                "review": one,
                "chip": state_chip(one),
                "held": calibrating.is_held_back(one, rule),
                "may": is_open and one.pk in allowed and one.state in RATED,
                "form": form if is_wrong else AdjustForm(prefix=f"a{one.pk}"),
                "is_wrong": is_wrong,
                "is_mine": actor.employee is not None and one.employee_id == actor.employee.pk,
            }
        )
    over = calibrating.above_quota(found, rule)
    context = {
        "group": found,
        "cycle": found.cycle,
        "rule": rule,
        "top": rule.bands[0],
        "page": page,
        "rows": rows,
        "is_open": is_open,
        "over": over,
        "proposed": calibrating.proposed(found, rule) if over else [],
        "tops": counts.get(rule.bands[0].grade, 0),
        "who": who,
        "everybody": sum(counts.values()),
        "grades": [(band.grade, counts[band.grade]) for band in rule.bands if band.grade in counts],
        "changed": changed.count(),
        "next_band": rule.bands[1] if len(rule.bands) > 1 else None,
        "hold_form": ReasonForm(prefix="hold"),
        "left": calibrating.reviews_in(found).filter(state__in=RATED).count(),
        "may_reopen": found.cycle.state == ReviewCycle.State.CALIBRATING and found.settled_at is not None,
    }
    return render(request, "kpi/reviews_group.html", context, status=status)


@binds("PM-V04")
@require_POST
def group_step(request: HttpRequest, group_id: int, step: str) -> HttpResponse:
    """Hold back what is above the quota, settle a group, or open it again."""
    actor, now = actor_of(request), timezone.now()
    found = group_or_404(actor, "PM-V04", group_id)
    back = reverse("kpi:calibration_group", args=[found.pk])
    steps = {"hold-back": _hold_back, "settle": _settle, "reopen": _reopen}
    if step not in steps:
        raise Http404
    try:
        words = steps[step](request, actor, found, now)
    except calibrating.OverQuota as error:
        words = ngettext(
            "%(number)d person more than the quota has the top grade.",
            "%(number)d people more than the quota have the top grade.",
            error.too_many,
        )
        messages.error(request, words % {"number": error.too_many})
    except calibrating.HigherHeldBack:
        messages.error(
            request,
            _(
                "Somebody with a higher total was held back while a lower one keeps the top grade. Give it back, or choose others."
            ),
        )
    except calibrating.ReasonMissing:
        messages.error(request, _("Give a reason: the employees read it."))
    except calibrating.NotTheTop:
        messages.error(request, _("Only the top grade is held back, and only from as many as are above the quota."))
    except NotYours as error:
        raise Http404 from error
    except (WrongState, calibrating.Settled, ratings.ChangedMeanwhile):
        return conflict(request, back=back)
    else:
        messages.success(request, words)
    return HttpResponseRedirect(back)


def _hold_back(request, actor, found, now) -> str:
    form = ReasonForm(request.POST, prefix="hold")
    if not form.is_valid():
        raise calibrating.ReasonMissing
    ids = {
        int(one) for one in request.POST.getlist("review")[:PAGE] if one.isascii() and one.isdecimal() and len(one) < 18
    }
    inside = calibrating.reviews_in(found).filter(pk__in=ids).values("pk")
    chosen = list(
        visible_reviews(actor, "PM-V04")
        .filter(pk__in=inside)
        .select_related("cycle__version__rule", "cycle__scope", "employee", "unit", "scorecard")
    )
    if len(chosen) != len(ids):
        raise Http404
    if not chosen:
        raise calibrating.NotTheTop
    number = calibrating.hold_back(
        group=found, reviews=chosen, reason=form.cleaned_data["reason"], by=request.user, at=now
    )
    words = ngettext(
        "The top grade of %(number)d person is held back; the total stays.",
        "The top grade of %(number)d people is held back; the totals stay.",
        number,
    )
    return words % {"number": number}


def _settle(request, actor, found, now) -> str:
    number = calibrating.settle_group(group=found, by=request.user, at=now)
    words = ngettext(
        "Settled: %(number)d result can be published.", "Settled: %(number)d results can be published.", number
    )
    return words % {"number": number}


def _reopen(request, actor, found, now) -> str:
    calibrating.reopen_group(group=found, by=request.user, at=now)
    return _("The group is open again.")


@binds("PM-V04")
@require_POST
def adjust(request: HttpRequest, review_id: int) -> HttpResponse:
    """Another total for one person, with a reason. HR, or a manager higher up than the one who rated."""
    actor = actor_of(request)
    found = review_or_404(actor, "PM-V04", review_id)
    in_group = calibrating.group_of(found)
    mine = in_group is not None and visible_groups(actor, "PM-V04").filter(pk=in_group.pk).exists()
    back = reverse("kpi:calibration_group", args=[in_group.pk]) if mine else reverse("kpi:review", args=[found.pk])
    form = AdjustForm(request.POST, prefix=f"a{found.pk}")
    if form.is_valid():
        try:
            calibrating.adjust_total(review=found, **form.cleaned_data, by=request.user, at=timezone.now())
        except calibrating.BelowEarned as error:
            form.add_error(
                "total", _("Nobody falls below what was earned: at least %(least)s.") % {"least": error.least}
            )
        except calibrating.AboveMost as error:
            form.add_error("total", _("At most %(most)s.") % {"most": error.most})
        except calibrating.NothingChanged:
            form.add_error("total", _("That is the total already."))
        except calibrating.ReasonMissing:
            form.add_error("reason", _("Give a reason: the employee reads it."))
        except NotYours as error:
            raise Http404 from error
        except (WrongState, calibrating.Settled, ratings.ChangedMeanwhile):
            return conflict(request, back=back)
        else:
            messages.success(request, _("Changed for %(name)s, with the reason.") % {"name": found.employee.label})
            return HttpResponseRedirect(back)
    if mine:
        return _group_page(
            request, actor, visible_groups(actor, "PM-V04").get(pk=in_group.pk), wrong=found, form=form, status=422
        )
    for errors in form.errors.values():
        messages.error(request, " ".join(errors))
    return HttpResponseRedirect(back)


@binds("PM-V04")
@require_POST
def give_back(request: HttpRequest, review_id: int) -> HttpResponse:
    """Give the top grade back to one person."""
    actor = actor_of(request)
    found = review_or_404(actor, "PM-V04", review_id)
    in_group = calibrating.group_of(found)
    if in_group is None:
        return conflict(request, back=reverse("kpi:review", args=[found.pk]))
    back = reverse("kpi:calibration_group", args=[in_group.pk])
    form = ReasonForm(request.POST, prefix=f"g{found.pk}")
    if not form.is_valid():
        messages.error(request, _("Give a reason: the employee reads it."))
        return HttpResponseRedirect(back)
    try:
        calibrating.give_back(review=found, reason=form.cleaned_data["reason"], by=request.user, at=timezone.now())
    except NotYours as error:
        raise Http404 from error
    except (WrongState, calibrating.Settled, calibrating.NothingChanged, ratings.ChangedMeanwhile):
        return conflict(request, back=back)
    messages.success(request, _("The top grade is given back to %(name)s.") % {"name": found.employee.label})
    return HttpResponseRedirect(back)


# --- objections -------------------------------------------------------------------------------------------------------------
@binds("PM-V08")
@never_cache
@require_safe
def objections(request: HttpRequest) -> HttpResponse:
    """The objections of people of my units: those that wait, then the decided ones."""
    actor = actor_of(request)
    require(actor, "PM-V08")
    show = "decided" if request.GET.get("show") == "decided" else "open"
    rows = visible_appeals(actor, "PM-V08")
    number = rows.filter(state=Appeal.State.OPEN).count()
    rows = (
        rows.filter(state=Appeal.State.OPEN).order_by("at", "pk")
        if show == "open"
        else rows.exclude(state=Appeal.State.OPEN).order_by("-decided_at", "-pk")
    )
    page = Paginator(rows, 50).get_page(request.GET.get("page"))
    found = list(page.object_list)
    looked(request, [one.review.employee_id for one in found], looks.OBJECTION)  # of several cycles, so without months
    context = {
        "show": show,
        "page": page,
        "rows": found,
        "tabs": [
            {"label": _("To decide"), "count": number, "active": show == "open", "url": "?"},
            {"label": _("Decided"), "active": show == "decided", "url": "?show=decided"},
        ],
    }
    return render(request, "kpi/reviews_objections.html", context)


@binds("PM-V08")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def decide(request: HttpRequest, appeal_id: int) -> HttpResponse:
    """Answer one objection: uphold it by putting something right, or reject it."""
    actor = actor_of(request)
    appeal = appeal_or_404(actor, "PM-V08", appeal_id)
    review = appeal.review
    back = reverse("kpi:appeals")
    hands = appeals.hands_in(review, request.user)
    rule = scorecard_rule(review.cycle.version.parameters)
    lines = list(review.scorecard.lines.all()) if review.scorecard else []
    is_open = appeal.state == Appeal.State.OPEN
    form = DecideForm(
        request.POST or None,
        measures=appeals.measures_behind(review) if is_open else [],
        lines=ratings.rated_lines(rule) if is_open else [],
        held=calibrating.is_held_back(review, rule),
        near=_reads(rule, appeal.line),
    )
    if request.method == "POST":
        if not is_open:
            return conflict(request, back=back, text=_("This objection is decided already."))
        if hands:
            return conflict(request, back=back, text=_("Another person of HR decides: you had a hand in this result."))
        if form.is_valid():
            answer = _decide(request, appeal, form)
            if answer is not None:
                return answer
    months = looks.kept_months(review.cycle.first_month, review.cycle.last_month)
    looked(request, [review.employee_id], looks.OBJECTION, months)
    context = {
        "appeal": appeal,
        "review": review,
        "lines": lines,
        "about": next((one for one in lines if one.code == appeal.line), None),
        "form": form,
        "hands": [hand_words(word) for word in hands],
        "is_open": is_open,
        "given": list(queries.ratings_given(review)),
        "back_url": back,
    }
    return render(request, "kpi/reviews_decide.html", context)


def _reads(rule, code: str) -> frozenset[str]:
    """The indicators that the line of an objection reads; for the rated ones there are none."""
    line = next((one for one in rule.lines if one.code == code), None)
    return frozenset((*line.indicators, *(one for one, _points in line.counts))) if line else frozenset()


def _decide(request, appeal: Appeal, form: DecideForm) -> HttpResponse | None:
    uphold = "uphold" in request.POST
    try:
        stands = appeals.decide(
            appeal=appeal,
            uphold=uphold,
            text=form.cleaned_data["text"],
            corrections=form.corrections if uphold else {},
            stars=form.stars if uphold else {},
            lift=bool(form.cleaned_data.get("lift")) and uphold,
            by=request.user,
            at=timezone.now(),
        )
    except appeals.NothingCorrected:
        form.add_error(
            None,
            _("To uphold means to put something right: write the right value, or the right stars. Else reject it."),
        )
    except appeals.ResultWorse:
        form.add_error(None, _("The result would get worse. Nobody loses by objecting: check the values."))
    except appeals.WordsMissing:
        form.add_error("text", _("Write something here."))
    except measures.NothingChanged:
        form.add_error(None, _("One of the values is the one that stands already. Leave it empty."))
    except (appeals.NotOfThisReview, NotYours) as error:
        raise Http404 from error
    except (
        WrongState,
        appeals.NotIndependent,
        ratings.ChangedMeanwhile,
        measures.NotInForce,
        measures.MeasuredMeanwhile,
    ):
        return conflict(request, back=reverse("kpi:appeals"))
    else:
        if uphold:
            words = _("Upheld. The new result of %(name)s is published: %(total)s, %(grade)s.")
            messages.success(
                request, words % {"name": stands.employee.label, "total": stands.total, "grade": stands.grade}
            )
        else:
            messages.success(request, _("Rejected, with your answer to %(name)s.") % {"name": stands.employee.label})
        return HttpResponseRedirect(reverse("kpi:appeals"))
    return None
