"""HR runs review cycles: made, announced, opened, chased by unit, published, closed (PM-V05; reading PM-V01)."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.templatetags.interface import count, with_sign
from kpi.domain import calibrating, looks, ratings, reviews, rules
from kpi.domain import review_queries as queries
from kpi.domain.parameters import scorecard_rule
from kpi.domain.review_access import cycle_or_404, visible_appeals, visible_cycles, visible_reviews
from kpi.domain.review_states import CycleAction, NotYours, WrongState, cycle_may, cycle_part
from kpi.models import ReviewCycle, RuleVersion
from kpi.review_forms import CycleForm, DeadlineForm
from kpi.review_words import cycle_chip, problem_words, state_chip, still_open_words
from kpi.views.looks import looked
from kpi.views.reviews import conflict
from people.domain.access import Actor, actor_of, binds, require, visible_units
from people.models import OrgUnit

PAGE = 50
_C, _S = CycleAction, ReviewCycle.State

# The columns of the board while a cycle is in a state.
COLUMNS = {
    _S.ANNOUNCED: (),
    _S.OPEN: ("own", "manager", "peers", "rated"),
    _S.CALIBRATING: ("rated", "calibrated", "no_card"),
    _S.PUBLISHED: ("calibrated", "unread", "read", "contested", "final"),
    _S.CLOSED: ("final", "calibrated", "no_card"),
}


def _columns(cycle: ReviewCycle) -> tuple[str, ...]:
    """What the board counts now; of the raters only those who have a part in the rule."""
    raters = scorecard_rule(cycle.version.parameters).raters
    parts = {"own": raters.self_weight, "manager": raters.manager, "peers": raters.peers}
    return tuple(word for word in COLUMNS.get(_S(cycle.state), ()) if parts.get(word, 1) > 0)


def column_words(word: str) -> str:
    return {
        "own": _("own rating missing"),
        "manager": _("manager’s rating missing"),
        "peers": _("colleagues’ ratings missing"),
        "rated": pgettext("reviews", "rated"),
        "calibrated": pgettext("reviews", "calibrated, not published"),
        "unread": pgettext("reviews", "published, not yet read"),
        "read": pgettext("reviews", "read"),
        "contested": pgettext("reviews", "contested"),
        "final": pgettext("reviews", "final"),
        "no_card": pgettext("reviews", "without a result"),
        "unannounced": pgettext("reviews", "never had the chance to read the rule"),
    }[word]


# --- the list and making one --------------------------------------------------------------------------------------------------
@binds("PM-V05", "PM-V01")
@never_cache
@require_safe
def cycles(request: HttpRequest) -> HttpResponse:
    """Every cycle that concerns my units, the newest first; and the objections that wait."""
    actor = actor_of(request)
    _desk(actor)
    page = Paginator(visible_cycles(actor, "PM-V01"), PAGE).get_page(request.GET.get("page"))
    rows = [{"cycle": one, "chip": cycle_chip(one)} for one in page.object_list]
    context = {
        "page": page,
        "rows": rows,
        "may_make": bool(actor.units("HRU")),
        "objections": visible_appeals(actor, "PM-V08").filter(state="open").count() if actor.may("PM-V08") else 0,
    }
    return render(request, "kpi/reviews_cycles.html", context)


def _desk(actor: Actor) -> None:
    """HR and auditors only: managers and employees have pages of their own."""
    if not ({"HRU", "AUD"} & actor.roles):
        require(actor, "PM-V05")


def _choices(actor: Actor) -> dict:
    """The published scorecards of employees and the units of my role."""
    units = visible_units(actor, "PM-V05").order_by("path")
    versions = RuleVersion.objects.filter(
        state=RuleVersion.State.PUBLISHED, rule__family="scorecard", rule__subject="employee"
    ).select_related("rule")
    return {"versions": versions.order_by("rule", "-number"), "units": units}


@binds("PM-V05")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def cycle_new(request: HttpRequest) -> HttpResponse:
    """Make a cycle as a draft."""
    actor = actor_of(request)
    require(actor, "PM-V05")
    form = CycleForm(request.POST or None, **_choices(actor))
    return _save(request, form, None, back=reverse("kpi:cycles"))


@binds("PM-V05")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def cycle_change(request: HttpRequest, cycle_id: int) -> HttpResponse:
    """Change a draft."""
    actor = actor_of(request)
    cycle = _run_or_404(actor, cycle_id)
    back = reverse("kpi:cycle", args=[cycle.pk])
    if not cycle_may(_C.EDIT, cycle, "hr"):
        return conflict(request, back=back, text=_("The cycle was announced, so it is not changed any more."))
    names = ("name", "name_en", "kind", "version", "scope", "first_month", "last_month", "snapshot_on", "appeal_days")
    initial = {name: getattr(cycle, name) for name in names} | _days(cycle)
    form = CycleForm(request.POST or None, initial=initial, **_choices(actor))
    return _save(request, form, cycle, back=back)


def _days(cycle: ReviewCycle) -> dict:
    return {name: timezone.localdate(value) for name, value in reviews.deadlines_of(cycle).values().items()}


def _save(request, form, cycle, *, back: str) -> HttpResponse:
    problems: list[str] = []
    if request.method == "POST" and form.is_valid():
        names = (
            "name",
            "name_en",
            "kind",
            "version",
            "scope",
            "first_month",
            "last_month",
            "snapshot_on",
            "appeal_days",
        )
        values = {name: form.cleaned_data[name] for name in names}
        try:
            saved = reviews.save_cycle(
                cycle=cycle, **values, deadlines=form.deadlines, by=request.user, at=timezone.now()
            )
        except reviews.NotReady as error:
            problems = [problem_words(word) for word in error.problems]
        except reviews.CycleExists:
            problems = [_("There is a cycle for these months, this unit and this rule version already.")]
        except NotYours as error:
            raise Http404 from error
        except WrongState:
            return conflict(request, back=back)
        else:
            messages.success(request, _("Saved as a draft. Nobody is told before you announce it."))
            return HttpResponseRedirect(reverse("kpi:cycle", args=[saved.pk]))
    context = {"form": form, "cycle": cycle, "problems": problems, "back_url": back}
    return render(request, "kpi/reviews_cycle_form.html", context)


def _run_or_404(actor: Actor, cycle_id: int) -> ReviewCycle:
    """A cycle that I run: HR of its whole unit. 404 for another, 403 for who is no HR."""
    cycle = cycle_or_404(actor, "PM-V05", cycle_id)
    if cycle_part(cycle, actor) != "hr":
        raise Http404
    return cycle


# --- the board --------------------------------------------------------------------------------------------------------------
@binds("PM-V01", "PM-V05")
@never_cache
@require_safe
def board(request: HttpRequest, cycle_id: int) -> HttpResponse:
    """One cycle: the next step with what is missing for it, and how far it is in each unit."""
    actor, now = actor_of(request), timezone.now()
    _desk(actor)
    cycle = cycle_or_404(actor, "PM-V01", cycle_id)
    part = cycle_part(cycle, actor)
    mine = visible_reviews(actor, "PM-V01").filter(cycle=cycle)
    unit = _unit(request, actor, cycle)
    words = _columns(cycle)
    rule = scorecard_rule(cycle.version.parameters)
    rows = queries.board(reviews=mine, unit=unit, words=words) if cycle.state != _S.DRAFT else []
    context = {
        "cycle": cycle,
        "steps": _way(cycle),
        "part": part,
        "unit": unit,
        "above": _above(actor, cycle, unit),
        "columns": [(word, column_words(word)) for word in words],
        "rows": [_unit_row(one, words) for one in rows],
        "people": sum(one.people for one in rows),
        "next": _next_step(cycle, part, actor, now),
        "may_edit": cycle_may(_C.EDIT, cycle, part),
        "deadline_form": DeadlineForm(initial=_days(cycle)) if cycle_may(_C.MOVE_DEADLINES, cycle, part) else None,
        "levels": [(kind.value, kind.label) for kind in calibrating.LEVELS],
        "level": "branch",
        "announced": _announced(cycle, mine, now),
        "without_card": mine.filter(scorecard=None).count() if cycle.state in _RESULT else 0,
        "objections": visible_appeals(actor, "PM-V08").filter(review__cycle=cycle, state="open").count()
        if actor.may("PM-V08")
        else 0,
        "rule": rule,
        "raters": _raters(rule.raters),
    }
    return render(request, "kpi/reviews_board.html", context)


def _raters(raters) -> list[str]:
    """Who rates and how much of a rated line that is; only those who have a part."""
    parts = (
        (pgettext("rating", "own"), raters.self_weight),
        (pgettext("rating", "manager"), raters.manager),
        (pgettext("rating", "colleagues"), raters.peers),
    )
    found = [f"{words} {with_sign(f'{part.normalize():f}')}" for words, part in parts if part]
    if raters.peers:
        found.append(_("at least %(number)d colleagues") % {"number": raters.min_peers})
    return found


def _way(cycle: ReviewCycle) -> list[dict]:
    """The states of a cycle in their order, with where it is."""
    here = list(_S).index(_S(cycle.state))
    return [{"label": one.label, "is_now": place == here, "is_done": place < here} for place, one in enumerate(_S)]


_RESULT = (_S.CALIBRATING, _S.PUBLISHED, _S.CLOSED)


def _unit(request: HttpRequest, actor: Actor, cycle: ReviewCycle) -> OrgUnit:
    """The unit that is looked at: the one asked for if I may see it in this cycle, else the topmost of mine."""
    allowed = visible_units(actor, "PM-X01").filter(path__startswith=cycle.scope.path)
    text = request.GET.get("unit", "")
    if text:
        found = allowed.filter(pk=int(text)).first() if text.isascii() and text.isdecimal() and len(text) < 18 else None
        if found is None:
            raise Http404
        return found
    return allowed.order_by("path").first() or cycle.scope


def _above(actor: Actor, cycle: ReviewCycle, unit: OrgUnit) -> list[OrgUnit]:
    steps = [unit.path[:end] for end in range(OrgUnit.steplen, len(unit.path), OrgUnit.steplen)]
    allowed = visible_units(actor, "PM-X01").filter(path__startswith=cycle.scope.path, path__in=steps)
    return list(allowed.order_by("path"))


def _unit_row(row: queries.UnitRow, words) -> dict:
    return {"row": row, "cells": [(word, column_words(word), row.counts.get(word, 0)) for word in words]}


def _announced(cycle: ReviewCycle, mine, now) -> dict | None:
    """Who has read the rule version, and since when everybody could."""
    if cycle.state == _S.DRAFT or cycle.version.published_at is None:
        return None
    rows = mine.exclude(state="superseded")
    blocked = reviews.unannounced(cycle, rows, timezone.localdate(now))
    unread = rows.exclude(employee__acknowledgements__version=cycle.version)
    return {"people": rows.count(), "unread": unread.count(), "blocked": blocked.count()}


def _next_step(cycle: ReviewCycle, part: str, actor: Actor, now) -> dict | None:
    """The one thing to do now, with what still keeps it back."""
    if part != "hr":
        return None
    problems: list[str] = []
    if cycle.state == _S.DRAFT:
        problems = [problem_words(word) for word in reviews.problems_of(cycle, now)]
        return {"step": "announce", "problems": problems}
    if cycle.state == _S.ANNOUNCED:
        late = [problem_words("deadline_over")] if cycle.self_until <= now else []
        return {"step": "open", "problems": late}
    if cycle.state == _S.OPEN:
        missing = queries.open_ratings(visible_reviews(actor, "PM-V01").filter(cycle=cycle)).exists()
        if timezone.localdate(now) <= cycle.last_month.last_day:
            problems.append(problem_words("months_not_over"))
        if now <= cycle.manager_until and missing:
            problems.append(problem_words("ratings_missing"))
        return {"step": "calibrate", "problems": problems}
    ready = reviews.to_publish(cycle, by=actor.user, on=actor.on)
    if cycle.state == _S.CALIBRATING:
        still = cycle.calibration_groups.filter(settled_at=None).count()
        if still:
            words = ngettext(
                "%(number)d calibration group is not settled.", "%(number)d calibration groups are not settled.", still
            )
            problems.append(words % {"number": still})
        return {"step": "publish", "problems": problems, "number": ready.count()}
    if cycle.state == _S.PUBLISHED:
        still = reviews.still_open(cycle, now)
        return {"step": "close", "problems": still_open_words(still) if still else [], "number": ready.count()}
    return None


# --- steps ------------------------------------------------------------------------------------------------------------------
@binds("PM-V05")
@require_POST
def step(request: HttpRequest, cycle_id: int, step: str) -> HttpResponse:
    """Take one step with a cycle."""
    actor, now = actor_of(request), timezone.now()
    cycle = _run_or_404(actor, cycle_id)
    back = reverse("kpi:cycle", args=[cycle.pk])
    steps = {"announce": _announce, "open": _open, "calibrate": _calibrate, "publish": _publish, "close": _close}
    if step == "delete":
        return _delete(request, cycle, now)
    if step not in steps:
        raise Http404
    try:
        words = steps[step](request, cycle, now)
    except reviews.NotReady as error:
        for word in error.problems:
            messages.error(request, problem_words(word))
    except reviews.NobodyReviewed:
        messages.error(
            request, _("The rule is for nobody in this unit on the day of the snapshot. Choose another day or unit.")
        )
    except reviews.GroupsOpen as error:
        names = ", ".join(unit.label for unit in error.units[:5])
        messages.error(request, _("These groups are not settled: %(names)s.") % {"names": names})
    except reviews.NothingToPublish:
        messages.error(request, _("There is nothing that you could publish now."))
    except reviews.StillOpen as error:
        for sentence in still_open_words(error):
            messages.error(request, sentence)
    except (WrongState, ratings.ChangedMeanwhile):
        return conflict(request, back=back)
    else:
        messages.success(request, words)
    return HttpResponseRedirect(back)


def _announce(request, cycle, now) -> str:
    number = reviews.announce_cycle(cycle=cycle, by=request.user, at=now)
    words = ngettext("Announced: %(number)s person is told.", "Announced: %(number)s people are told.", number)
    return words % {"number": count(number)}


def _open(request, cycle, now) -> str:
    number = reviews.open_cycle(cycle=cycle, by=request.user, at=now)
    words = ngettext("Open: %(number)s rating is asked for.", "Open: %(number)s ratings are asked for.", number)
    return words % {"number": count(number)}


def _calibrate(request, cycle, now) -> str:
    level = request.POST.get("level", "")
    if level not in calibrating.LEVELS:
        raise Http404
    number = calibrating.start_calibrating(cycle=cycle, level=level, by=request.user, at=now)
    words = ngettext("%(number)s card is computed.", "%(number)s cards are computed.", number)
    return words % {"number": count(number)}


def _publish(request, cycle, now) -> str:
    done = reviews.publish_cycle(cycle=cycle, by=request.user, at=now)
    words = [ngettext("%(number)s result is published.", "%(number)s results are published.", done.number)]
    text = words[0] % {"number": count(done.number)}
    if done.own:
        text += " " + _("Your own is left to another person of HR.")
    if done.unannounced:
        left = ngettext(
            "%(number)s person never had the chance to read the rule and is not published yet.",
            "%(number)s people never had the chance to read the rule and are not published yet.",
            done.unannounced,
        )
        text += " " + left % {"number": count(done.unannounced)}
    return text


def _close(request, cycle, now) -> str:
    reviews.close_cycle(cycle=cycle, by=request.user, at=now)
    return _("Closed. Every result in it is final.")


def _delete(request, cycle, now) -> HttpResponse:
    try:
        reviews.delete_cycle(cycle=cycle, by=request.user, at=now)
    except WrongState:
        return conflict(request, back=reverse("kpi:cycle", args=[cycle.pk]))
    messages.success(request, _("The draft is deleted."))
    return HttpResponseRedirect(reverse("kpi:cycles"))


@binds("PM-V05")
@require_POST
def deadlines(request: HttpRequest, cycle_id: int) -> HttpResponse:
    """Give more time."""
    cycle = _run_or_404(actor_of(request), cycle_id)
    back = reverse("kpi:cycle", args=[cycle.pk])
    form = DeadlineForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Write all three days like 2026-11-30."))
        return HttpResponseRedirect(back)
    try:
        reviews.move_deadlines(cycle=cycle, deadlines=form.deadlines, by=request.user, at=timezone.now())
    except reviews.NotReady as error:
        for word in error.problems:
            messages.error(request, problem_words(word))
    except (WrongState, ratings.ChangedMeanwhile):
        return conflict(request, back=back)
    else:
        messages.success(request, _("Everybody has the new time."))
    return HttpResponseRedirect(back)


# --- names ------------------------------------------------------------------------------------------------------------------
@binds("PM-V01", "PM-V05")
@never_cache
@require_safe
def people(request: HttpRequest, cycle_id: int) -> HttpResponse:
    """The people behind a number of the board: how far each is, and who waits for whom."""
    actor = actor_of(request)
    _desk(actor)
    cycle = cycle_or_404(actor, "PM-V01", cycle_id)
    unit, word = _unit(request, actor, cycle), request.GET.get("show", "")
    rows = _rows(actor, cycle, unit, word)
    page = Paginator(queries.listed(rows), PAGE).get_page(request.GET.get("page"))
    found = list(page.object_list)
    months = looks.kept_months(cycle.first_month, cycle.last_month)
    looked(request, [one.employee_id for one in found], looks.LIST, months)
    missing = queries.missing_ratings(found) if cycle.state == _S.OPEN else {}
    read = rules.acknowledged_at(version=cycle.version, employees=[one.employee for one in found])
    show = [("", _("everybody"))]
    show += [(one, column_words(one)) for one in (*_columns(cycle), "unannounced")]
    at = {"unit": unit.pk}
    context = {
        "cycle": cycle,
        "unit": unit,
        "show": word,
        "page": page,
        "rows": [
            {
                "review": one,
                "chip": state_chip(one),
                "missing": missing.get(one.pk, []),
                "read_at": read.get(one.employee_id),
            }
            for one in found
        ],
        "tabs": [
            {"label": label, "active": one == word, "url": "?" + urlencode({**at, "show": one} if one else at)}
            for one, label in show
        ],
        "may_remind": cycle.state == _S.OPEN
        and word in queries.WAITING
        and actor.may("PM-V05")
        and page.paginator.count,
    }
    return render(request, "kpi/reviews_people.html", context)


def _rows(actor: Actor, cycle: ReviewCycle, unit: OrgUnit, word: str):
    rows = (
        visible_reviews(actor, "PM-V01")
        .filter(cycle=cycle, unit__path__startswith=unit.path)
        .exclude(state="superseded")
    )
    if word == "unannounced":
        return reviews.unannounced(cycle, rows, actor.on)
    if word and word not in queries.SHOWN:
        raise Http404
    return queries.filtered(rows, word) if word else rows


@binds("PM-V05", "PM-V02")
@require_POST
def remind(request: HttpRequest, cycle_id: int) -> HttpResponse:
    """Remind everybody who is waited for in the list that is shown."""
    actor = actor_of(request)
    require(actor, "PM-V05")
    cycle = cycle_or_404(actor, "PM-V05", cycle_id)
    request.GET = request.POST.copy()
    unit, word = _unit(request, actor, cycle), request.POST.get("show", "")
    if word not in queries.WAITING:
        raise Http404
    role = {"own": "self", "manager": "manager", "peers": "peer"}[word]
    chosen = queries.open_ratings(_rows(actor, cycle, unit, word)).filter(role=role)
    back = reverse("kpi:cycle_people", args=[cycle.pk]) + "?" + urlencode({"unit": unit.pk, "show": word})
    try:
        number = ratings.remind(cycle=cycle, ratings=chosen, by=request.user, at=timezone.now())
    except NotYours as error:
        raise Http404 from error
    except WrongState:
        return conflict(request, back=back)
    words = ngettext("%(number)d person is reminded.", "%(number)d people are reminded.", number)
    if number:
        messages.success(request, words % {"number": number} + " " + _("Each gets one reminder a day at most."))
    else:
        messages.info(request, _("Nobody could be reminded: no deadline is open, or they have no sign-in."))
    return HttpResponseRedirect(back)
