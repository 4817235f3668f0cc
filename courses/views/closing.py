"""Closing a month: what is open, the signatures, and the acts of beginning and closing (PM-M06)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext, pgettext_lazy
from django.views.decorators.http import require_POST, require_safe

from core.periods import Month
from core.templatetags.interface import moment
from courses.domain import closing
from courses.domain.access import hr_units, runs_the_company
from courses.domain.closing import Standing, UnitSigning
from courses.models import CourseRun, MonthClose
from courses.views.months import month_or_404
from people.domain.access import Actor, actor_of, binds, require, unit_or_404
from people.models import OrgUnit, User

NAMED = 5  # so many are named; more are counted


def person_name(user: User | None) -> str:
    """Who did something: the person's name, or the platform itself."""
    if user is None:
        return _("the platform")
    employee = getattr(user, "employee", None)
    return employee.label if employee else str(user)


def _named(labels: Iterable[str]) -> str:
    """A few names of units, and how many more."""
    labels = list(labels)
    shown = _listed(labels[:NAMED])
    if len(labels) > NAMED:
        return pgettext("units", "%(names)s and %(number)d more") % {"names": shown, "number": len(labels) - NAMED}
    return shown


def _listed(labels: Iterable[str]) -> str:
    return pgettext("between names", ", ").join(labels)


# --- the page ---------------------------------------------------------------------------------------------------------
@dataclass
class _Desk:
    """A month that is being closed, as far as one HR person's units are concerned."""

    actor: Actor
    month: Month
    at: dt.datetime

    def __post_init__(self):
        self.close = MonthClose.objects.filter(month=self.month).select_related("begun_by__employee").first()
        self.tops = hr_units(self.actor)
        self.stand = closing.signing(month=self.month, close=self.close)
        self._signed_paths = {one.unit.path for one in self.stand.values() if one.signed}

    def is_signed_above(self, unit: OrgUnit) -> bool:
        """Has a unit above this one signed?"""
        steps = range(OrgUnit.steplen, len(unit.path), OrgUnit.steplen)
        return any(unit.path[:end] in self._signed_paths for end in steps)

    @property
    def runs_the_month(self) -> bool:
        """Beginning and closing are for HR of a root unit."""
        return runs_the_company(self.actor)

    @property
    def own(self) -> list[UnitSigning]:
        """The actor's topmost units with duties."""
        return [self.stand[unit.pk] for unit in self.tops if unit.pk in self.stand]

    def in_scope(self, unit: OrgUnit) -> bool:
        return any(top.contains(unit) for top in self.tops)

    def waiting_below(self, unit: OrgUnit) -> int:
        """Units below one that are not signed, or not with their present figures."""
        return sum(
            1 for one in self.stand.values() if unit.contains(one.unit) and one.unit != unit and not one.is_signed
        )

    @property
    def last_due(self) -> dt.datetime | None:
        opened = CourseRun.objects.filter(month=self.month).exclude(state=CourseRun.State.PLANNED)
        return opened.order_by("-due_at").values_list("due_at", flat=True).first()


class NoteForm(forms.Form):
    """What one wants to say beside a signature."""

    note = forms.CharField(label=pgettext_lazy("signature", "Note"), max_length=300, required=False)


@binds("PM-M06")
@require_safe
def close_page(request, month: str):
    """What is open before the month is closed, who has signed, and the one next thing to do."""
    actor = actor_of(request)
    require(actor, "PM-M06")
    desk = _Desk(actor, month_or_404(month), timezone.now())
    shown = request.GET.get("unit", "")
    if shown:
        if not (shown.isdecimal() and len(shown) < 19):
            raise Http404
        unit = unit_or_404(actor, "PM-M06", int(shown))
    else:
        unit = next((one.unit for one in desk.own), desk.tops[0])
    path = [above for above in OrgUnit.objects.above(unit) if desk.in_scope(above)]
    for above in path:
        above.url = f"?unit={above.pk}"
    own = desk.stand.get(unit.pk)
    below = [one for one in desk.stand.values() if one.unit.depth == unit.depth + 1 and unit.contains(one.unit)]
    rows = [_SigningRow(one, desk) for one in ([own] if own else []) + below]
    _say_who(rows, desk)
    items = closing.checklist(month=desk.month, at=desk.at, scope=desk.tops, stand=desk.stand)
    context = {
        "month": desk.month,
        "close": desk.close,
        "closed": desk.close is not None and desk.close.state == MonthClose.State.CLOSED,
        "unit": unit,
        "path": path,
        "tops": [top for top in desk.tops if not top.contains(unit)],
        "rows": rows,
        "steps": _steps(desk),
        "items": [*(_item(one, desk) for one in items), _counting(desk)],
        "open_items": sum(1 for one in items if one.count),
        "next": _next_action(desk),
        "begun_by": person_name(desk.close.begun_by) if desk.close else "",
        "may_call_off": desk.close is not None
        and desk.runs_the_month
        and desk.close.state == MonthClose.State.SIGNING
        and not any(one.signed for one in desk.stand.values()),
        "signed": sum(1 for one in desk.stand.values() if one.is_signed and desk.in_scope(one.unit)),
        "to_sign": sum(1 for one in desk.stand.values() if desk.in_scope(one.unit)),
        "previous_url": reverse("courses:close_month", args=[desk.month.previous]),
        "next_url": reverse("courses:close_month", args=[desk.month.next]),
    }
    return render(request, "courses/closing.html", context)


class _SigningRow:
    """One row of the tree of signatures."""

    CHIPS = {
        Standing.SIGNED: ("done", pgettext_lazy("month close", "Signed")),
        Standing.CHANGED: ("overdue", pgettext_lazy("month close", "Sign anew")),
        Standing.READY: ("progress", pgettext_lazy("month close", "Ready to sign")),
        Standing.WAITING: ("neutral", pgettext_lazy("month close", "Waiting")),
    }

    def __init__(self, one: UnitSigning, desk: _Desk):
        self.unit, self.now, self.signed, self.below = one.unit, one.now, one.signed, one.below
        self.standing = one.standing
        self.kind, self.label = self.CHIPS[one.standing]
        begun = desk.close is not None and desk.close.state == MonthClose.State.SIGNING
        self.may_sign = begun and one.standing in {Standing.READY, Standing.CHANGED}
        self.may_take_back = begun and bool(one.signed) and not desk.is_signed_above(one.unit)
        self.waits_for = one.waits_for
        self.who = ""
        self.from_above = ""
        self.change = ""
        if one.signed:
            self.who = person_name(one.signed.by)
            if one.signed.signed_from_id:
                self.from_above = _("signed from above, for %(unit)s") % {"unit": one.signed.signed_from.label}
            if one.standing != Standing.SIGNED:
                self.change = _("signed with %(then)s, now %(now)s") % {
                    "then": _of(one.signed.figures["completed"], one.signed.figures["assigned"]),
                    "now": _of(one.now.completed, one.now.assigned),
                }
        self.waits_words = ""
        self.on_whom = ""


def _of(done: int, total: int) -> str:
    return _("%(done)s of %(total)s") % {"done": f"{done:,}", "total": f"{total:,}"}


def _say_who(rows: list[_SigningRow], desk: _Desk) -> None:
    """Write into rows that are not signed on whom they wait: the units below, and who is HR there."""
    open_rows = [row for row in rows if row.standing != Standing.SIGNED]
    wanted = {unit.pk: unit for row in open_rows for unit in (row.waits_for or (row.unit,))}
    people = closing.hr_of(units=wanted.values(), on=timezone.localdate(desk.at))
    for row in open_rows:
        if row.waits_for:
            row.waits_words = _("waits for %(units)s") % {"units": _named(unit.label for unit in row.waits_for)}
        users = {user.pk: user for unit in (row.waits_for or (row.unit,)) for user in people[unit.pk]}
        row.on_whom = _listed(person_name(user) for user in list(users.values())[:NAMED])


def _steps(desk: _Desk) -> list[dict]:
    """The three acts, for components/steps.html."""
    closed = desk.close is not None and desk.close.state == MonthClose.State.CLOSED
    roots = [one for one in desk.stand.values() if one.unit.is_root()]
    all_signed = bool(roots) and all(one.is_signed for one in roots)
    states = ["done", "done", "done"]
    if not closed:
        states = ["done", "done", "current"] if desk.close and all_signed else ["done", "current", "open"]
        if desk.close is None:
            states = ["current", "open", "open"]
    labels = [
        (pgettext("month close", "Begin"), _("once every course is due")),
        (pgettext("month close", "Sign"), _("from the branches up")),
        (_("Close for good"), _("figures frozen and sealed")),
    ]
    return [
        {"label": label, "note": note, "state": state, "url": ""}
        for (label, note), state in zip(labels, states, strict=True)
    ]


ITEMS = {
    "not_opened": (
        gettext_lazy("Planned courses that were not opened"),
        gettext_lazy("Open them or take them out of the plan; a course that is not opened is not counted."),
    ),
    "not_due": (
        gettext_lazy("Courses that are not due yet"),
        gettext_lazy("Closing begins on the day after the last of them is due."),
    ),
    "requests": (
        gettext_lazy("Requests without an answer"),
        gettext_lazy("Grant or refuse them; an answer after the close is shown as an adjustment."),
    ),
    "matters": (
        gettext_lazy("Open matters about duties"),
        gettext_lazy("Settle them on the desk; what is settled later is shown as an adjustment."),
    ),
    "imports": (
        gettext_lazy("Roster files that wait"),
        gettext_lazy("Apply or discard them, so that joiners and leavers are known."),
    ),
    "changed": (
        gettext_lazy("Signed units whose figures changed since"),
        gettext_lazy("They have to be signed anew, from the branches up."),
    ),
    "unsigned": (
        gettext_lazy("Units that are not signed"),
        gettext_lazy("Each is signed by its HR, or from above in one act."),
    ),
}
LINKS: dict[str, tuple[str, bool]] = {  # key -> (URL name, does it take the month)
    "not_opened": ("courses:month", True),
    "not_due": ("courses:month", True),
    "requests": ("courses:requests", False),
    "matters": ("courses:matters", False),
    "imports": ("people:roster", False),
}


def _item(item: closing.Item, desk: _Desk) -> dict:
    title, text = ITEMS[item.key]
    name, takes_month = LINKS.get(item.key, ("", False))
    url = ""
    if name and item.count:
        url = reverse(name, args=[desk.month] if takes_month else [])
    return {
        "key": item.key,
        "title": title,
        "text": text,
        "count": item.count,
        "blocks": item.blocks,
        "url": url,
        "may_recount": False,
    }


def _counting(desk: _Desk) -> dict:
    """The line about counting again. It shows the newest result: to look for differences is to count every duty."""
    return {
        "key": "drift",
        "title": _("Running counts that differ from the duties"),
        "count": 0,
        "counted": closing.newest_count(month=desk.month),
        "may_recount": desk.runs_the_month,
    }


def _next_action(desk: _Desk) -> dict:
    """The one thing to do next: its title, text and button (a POST address with ``note`` or not, or a link)."""
    month, close = desk.month, desk.close
    label = month.label
    if close is None:
        last_due = desk.last_due
        if last_due is None:
            return {
                "title": _("There is nothing to close yet"),
                "text": _("No course of %(month)s was opened.") % {"month": label},
                "link": reverse("courses:month", args=[month]),
                "action": _("Look at the month"),
            }
        if desk.at <= last_due:
            return {
                "title": _("Closing begins after the due day"),
                "text": _("The last course of %(month)s is due on %(day)s.")
                % {"month": label, "day": moment(last_due)},
            }
        if not desk.runs_the_month:
            return {
                "title": _("Closing has not begun"),
                "text": _("HR of the top unit begins it; then your units can be signed."),
            }
        return {
            "title": _("Begin closing %(month)s") % {"month": label},
            "text": _("Nothing is frozen by that. Each unit can then be signed by its HR, from the branches up."),
            "post": reverse("courses:begin_close", args=[month]),
            "action": _("Begin closing"),
        }
    if close.state == MonthClose.State.CLOSED:
        return {
            "title": _("%(month)s is closed") % {"month": label},
            "text": _("Its figures stand still. What changes from now on is shown beside them as an adjustment."),
            "link": reverse("courses:closed_month", args=[month]),
            "action": _("Look at the closed month"),
        }
    return _next_signature(desk)


def _next_signature(desk: _Desk) -> dict:
    month, own = desk.month, desk.own
    if not own:
        return {"title": _("Nothing to sign"), "text": _("None of your units has a duty in this month.")}
    for one in own:
        if one.standing in {Standing.READY, Standing.CHANGED}:
            words = {"unit": one.unit.label, "done": f"{one.now.completed:,}", "total": f"{one.now.assigned:,}"}
            return {
                "title": _("Sign %(unit)s") % words,
                "text": _("You answer for %(done)s of %(total)s done in %(unit)s and everything below it.") % words,
                "post": reverse("courses:sign_unit", args=[month, one.unit.pk]),
                "action": pgettext("month close", "Sign"),
                "note": True,
            }
    for one in own:
        if one.standing == Standing.WAITING:
            number = desk.waiting_below(one.unit)
            words = {"unit": one.unit.label, "number": number}
            return {
                "title": ngettext(
                    "%(number)d unit below %(unit)s waits for a signature",
                    "%(number)d units below %(unit)s wait for a signature",
                    number,
                )
                % words,
                "text": _(
                    "Their HR can sign them one by one. If you answer for them, sign them from above in one act; each"
                    " signature says so."
                ),
                "post": reverse("courses:sign_below", args=[month, one.unit.pk]),
                "action": ngettext("Sign this unit from above", "Sign these %(number)d units from above", number)
                % words,
                "note": True,
            }
    if desk.runs_the_month and all(one.is_signed for one in desk.stand.values() if one.unit.is_root()):
        return {
            "title": _("Close %(month)s for good") % {"month": month.label},
            "text": _(
                "Everything is signed. Closing counts once more, freezes the figures of every course and unit and seals"
                " them. It cannot be undone."
            ),
            "post": reverse("courses:finish_close", args=[month]),
            "action": _("Close the month"),
            "danger": True,
        }
    waiting = [one.unit.label for one in desk.stand.values() if one.unit.is_root() and not one.is_signed]
    return {
        "title": _("Your units are signed"),
        "text": _("The month now waits for %(units)s.") % {"units": _named(waiting)},
    }


# --- acts -------------------------------------------------------------------------------------------------------------
def _back(month: Month, unit: OrgUnit | None = None) -> HttpResponseRedirect:
    """To the page of the closing, at the unit right above the one that was dealt with."""
    address = reverse("courses:close_month", args=[month])
    if unit is not None and unit.depth > 1 and (parent := unit.get_parent()):
        address += f"?unit={parent.pk}"
    return HttpResponseRedirect(address)


def _root_hr_or_404(actor: Actor) -> None:
    require(actor, "PM-M06")
    if not runs_the_company(actor):
        raise Http404


def _close_or_404(month: Month) -> MonthClose:
    return get_object_or_404(MonthClose, month=month)


@binds("PM-M06")
@require_POST
def begin_close(request, month: str):
    """Begin closing a month whose courses are all due."""
    _root_hr_or_404(actor_of(request))
    wanted = month_or_404(month)
    _do(
        request,
        lambda: closing.begin_close(month=wanted, by=request.user, at=timezone.now()),
        said=lambda _close: _("Closing %(month)s has begun. The units can be signed now.") % {"month": wanted.label},
        undo=reverse("courses:call_off_close", args=[wanted]),
    )
    return _back(wanted)


@binds("PM-M06")
@require_POST
def call_off_close(request, month: str):
    """Undo the beginning, as long as nobody has signed."""
    _root_hr_or_404(actor_of(request))
    wanted = month_or_404(month)
    close = _close_or_404(wanted)
    _do(
        request,
        lambda: closing.call_off_close(close=close, by=request.user, at=timezone.now()),
        said=lambda _none: _("Closing %(month)s was called off.") % {"month": wanted.label},
    )
    return _back(wanted)


@binds("PM-M06")
@require_POST
def recount_month(request, month: str):
    """Recount the running counts of the month."""
    actor = actor_of(request)
    require(actor, "PM-M06")
    wanted = month_or_404(month)
    if not runs_the_company(actor):
        messages.error(request, _("Nothing was recounted: only HR of the top unit recounts a month."))
        return _back(wanted)
    if closing.closed_month(wanted) is not None:
        messages.error(request, _("Nothing was recounted: this month is closed and its figures are sealed."))
        return _back(wanted)
    number = closing.count_again(month=wanted, at=timezone.now()).differences
    messages.success(
        request,
        ngettext("%(number)d count was put right.", "%(number)d counts were put right.", number) % {"number": number},
    )
    return _back(wanted)


@binds("PM-M06")
@require_POST
def finish_close(request, month: str):
    """Close the month for good."""
    _root_hr_or_404(actor_of(request))
    wanted = month_or_404(month)
    close = _close_or_404(wanted)
    done = _do(
        request,
        lambda: closing.close_month(close=close, by=request.user, at=timezone.now()),
        said=lambda fresh: (
            _("%(month)s is closed. Its figures are frozen and sealed.") % {"month": wanted.label}
            if fresh
            else _("%(month)s was closed before; nothing changed.") % {"month": wanted.label}
        ),
    )
    return redirect("courses:closed_month", wanted) if done else _back(wanted)


@binds("PM-M06")
@require_POST
def sign_unit(request, month: str, unit_id: int):
    """Sign one unit with its figures of this moment."""
    unit = unit_or_404(actor_of(request), "PM-M06", unit_id)
    wanted = month_or_404(month)
    close = _close_or_404(wanted)
    undo = reverse("courses:take_back_signature", args=[wanted, unit.pk])
    _do(
        request,
        lambda: closing.sign_off(close=close, unit=unit, by=request.user, at=timezone.now(), note=_note(request)),
        said=lambda _sign: _("%(unit)s is signed.") % {"unit": unit.label},
        undo=undo,
    )
    return _back(wanted, unit)


@binds("PM-M06")
@require_POST
def sign_below(request, month: str, unit_id: int):
    """Sign everything below a unit that is not signed, in one act."""
    unit = unit_or_404(actor_of(request), "PM-M06", unit_id)
    wanted = month_or_404(month)
    close = _close_or_404(wanted)
    _do(
        request,
        lambda: closing.sign_below(close=close, unit=unit, by=request.user, at=timezone.now(), note=_note(request)),
        said=lambda number: (
            ngettext(
                "%(number)d unit below %(unit)s was signed from above.",
                "%(number)d units below %(unit)s were signed from above.",
                number,
            )
            % {"number": number, "unit": unit.label}
        ),
        undo=reverse("courses:take_back_below", args=[wanted, unit.pk]),
    )
    return HttpResponseRedirect(f"{reverse('courses:close_month', args=[wanted])}?unit={unit.pk}")


@binds("PM-M06")
@require_POST
def take_back_signature(request, month: str, unit_id: int):
    """Take one signature back, as long as nobody above has signed."""
    unit = unit_or_404(actor_of(request), "PM-M06", unit_id)
    wanted = month_or_404(month)
    close = _close_or_404(wanted)
    _do(
        request,
        lambda: closing.take_back(close=close, unit=unit, by=request.user, at=timezone.now()),
        said=lambda _none: _("The signature of %(unit)s was taken back.") % {"unit": unit.label},
    )
    return _back(wanted, unit)


@binds("PM-M06")
@require_POST
def take_back_below(request, month: str, unit_id: int):
    """Take back the signatures that were given from a unit for those below it."""
    unit = unit_or_404(actor_of(request), "PM-M06", unit_id)
    wanted = month_or_404(month)
    close = _close_or_404(wanted)
    _do(
        request,
        lambda: closing.take_back_below(close=close, unit=unit, by=request.user, at=timezone.now()),
        said=lambda number: (
            ngettext("%(number)d signature was taken back.", "%(number)d signatures were taken back.", number)
            % {"number": number}
        ),
    )
    return HttpResponseRedirect(f"{reverse('courses:close_month', args=[wanted])}?unit={unit.pk}")


def _note(request) -> str:
    form = NoteForm(request.POST)
    return form.cleaned_data["note"] if form.is_valid() else ""


def _do(request, act: Callable, *, said: Callable, undo: str = "") -> bool:
    """Do one act of a closing and say what came of it."""
    try:
        answer = act()
    except closing.MonthClosed:
        problem = _("The month is closed; nothing about it can be changed.")
    except closing.NotBegun:
        problem = _("The closing has not begun, or was called off a moment ago.")
    except closing.NothingToSign:
        problem = _("This unit has no duty in the month, so there is nothing to sign.")
    except closing.NothingToClose:
        problem = _("No course of this month was opened, so there is nothing to close.")
    except closing.NotDueYet:
        problem = _("A course of this month is not due yet. Begin on the day after.")
    except closing.BelowNotSigned as refusal:
        problem = _("Not yet: %(units)s must be signed first.") % {"units": _named(u.label for u in refusal.units)}
    except closing.FiguresChanged as refusal:
        problem = _("The figures of %(units)s changed since they were signed. Sign them anew, then close.") % {
            "units": _named(u.label for u in refusal.units)
        }
    except closing.SignedAbove as refusal:
        problem = _("%(unit)s above has signed. Its signature has to be taken back first.") % {
            "unit": refusal.unit.label
        }
    except closing.NotSigned:
        problem = _("This unit is not signed any more.")
    except closing.SignedAlready:
        problem = _("Somebody has signed already. Take the signatures back before you call it off.")
    else:
        messages.success(request, said(answer), extra_tags=f"undo:{undo}" if undo else "")
        return True
    messages.error(request, problem)
    return False
