"""Closing a month (PM-M06), the closed month's page and file, and figures as of any day (PM-X01, PM-X02)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext, pgettext_lazy
from django.views.decorators.http import require_POST, require_safe

from core.jobs import start_job
from core.models import Job
from core.pdf import PdfToolsMissing
from core.periods import Month
from core.spreadsheets import SheetOut, download, download_sheets
from core.templatetags.interface import moment
from courses.closed_report import AT_ONCE, report_pdf
from courses.domain import closing, history
from courses.domain.access import hr_units, sees_people, sees_units
from courses.domain.closing import ClosedUnit, Standing, UnitSigning
from courses.domain.history import Change, How
from courses.domain.opening import end_of
from courses.domain.queries import Figures, courses_of_month, page_after, people_figures
from courses.models import Course, CourseRun, MonthClose, SignOff
from courses.templatetags.courses_tags import state_chip
from courses.views.completion import SMALLEST_GROUP, _counts_only, _top_units
from courses.views.months import month_or_404, runs_the_company
from people.domain.access import Actor, actor_of, binds, require, unit_or_404, visible_employees, visible_units
from people.domain.units import Tree, tree_as_of
from people.models import OrgUnit, User

PAGE = 50
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


# --- closing ----------------------------------------------------------------------------------------------------------
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
        return any(unit.is_root() for unit in self.tops)

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
    if not any(unit.is_root() for unit in hr_units(actor)):
        raise Http404


def _close_or_404(month: Month) -> MonthClose:
    return get_object_or_404(MonthClose, month=month)


@binds("PM-M06")
@require_POST
def begin_close(request, month: str):
    """Begin closing a month whose courses are all due."""
    _root_hr_or_404(actor_of(request))
    wanted = month_or_404(month)
    try:
        closing.begin_close(month=wanted, by=request.user, at=timezone.now())
    except closing.NothingToClose:
        messages.error(request, _("No course of this month was opened, so there is nothing to close."))
    except closing.NotDueYet:
        messages.error(request, _("A course of this month is not due yet. Begin on the day after."))
    else:
        undo = reverse("courses:call_off_close", args=[wanted])
        messages.success(
            request,
            _("Closing %(month)s has begun. The units can be signed now.") % {"month": wanted.label},
            extra_tags=f"undo:{undo}",
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


# --- the closed month -------------------------------------------------------------------------------------------------
class _Closed:
    """A closed month as one reader sees it: the units in reach, at the tree of the close, and one of them in view."""

    def __init__(self, request, row: str, month: str, unit_id: int | None):
        self.actor = actor_of(request)
        require(self.actor, row)
        self.month = month_or_404(month)
        close = closing.closed_month(self.month)
        if close is None:
            raise Http404
        self.close: MonthClose = close
        self.point = closing.point_of(close)
        self.courses = courses_of_month(self.month)
        code = request.GET.get("course", "")
        self.course: Course | None = next((one for one in self.courses if one.code == code), None)
        self.run = CourseRun.objects.filter(month=self.month, course=self.course).first() if self.course else None
        self.query = f"?course={self.course.code}" if self.course else ""
        self.sees_units = sees_units(self.actor, row)
        self.units: dict[int, ClosedUnit] = {}
        self.unit: ClosedUnit | None = None
        if unit_id is not None and not self.sees_units:
            raise Http404
        if self.sees_units:
            self.units = closing.closed_units(close=close, run=self.run)
            self._choose(row, unit_id)

    def _choose(self, row: str, unit_id: int | None) -> None:
        self.visible = set(
            visible_units(self.actor, row)
            .order_by()
            .filter(pk__in=_closed_ids(self.close))
            .values_list("pk", flat=True)
        )
        if unit_id is not None:
            if unit_id not in self.visible:
                raise Http404
            self.unit = self.units.get(unit_id) or _without_figures(self.close, unit_id)
        else:
            self.unit = next((one for pk, one in self.units.items() if pk in self.visible), None)

    def below(self, pk: int) -> list[ClosedUnit]:
        return [one for one in self.units.values() if one.parent == pk]

    @property
    def path(self) -> list[dict]:
        """From the topmost unit in reach down to the one in view."""
        found: list[dict] = []
        one = self.unit
        while one is not None and one.pk in self.visible:
            url = reverse("courses:closed_unit", args=[self.month, one.pk]) + self.query
            found.append({"label": one.label, "url": url})
            one = self.units.get(one.parent) if one.parent else None
        return found[::-1]

    @property
    def people(self):
        return visible_employees(self.actor, "PM-X01")

    def changes(self, row: str = "PM-X01"):
        """The duties that changed since, of people in reach; within the unit in view unless that is everything."""
        found = history.changed_since(
            month=self.month, point=self.point, run=self.run, people=visible_employees(self.actor, row)
        )
        if self.unit is not None and self.unit.parent is not None:
            found = closing.within(found, close=self.close, unit_id=self.unit.pk)
        return found


def _closed_ids(close: MonthClose):
    return close.figures.order_by().values("unit")


def _without_figures(close: MonthClose, unit_id: int) -> ClosedUnit:
    """A unit that had duties in the month, but none in the chosen course."""
    row = close.figures.filter(unit=unit_id).first()
    assert row is not None  # it is among the units of the close
    return ClosedUnit(row.unit_id, row.parent_id, row.depth, row.unit_code, row.unit_label, Figures(), Figures(), 0)


class _ClosedRow:
    """One row of the table of a closed month, hidden where it would speak of too few people."""

    def __init__(self, one: ClosedUnit, shown: _Closed, *, counts_only: bool, own: bool = False):
        self.one, self.own = one, own
        self.closed, self.adjusted = one.closed, one.adjusted
        self.hidden = counts_only and 0 < one.closed.assigned < SMALLEST_GROUP
        self.moved = one.closed != one.adjusted
        self.url = ""
        if not own and one.pk in shown.visible:
            self.url = reverse("courses:closed_unit", args=[shown.month, one.pk]) + shown.query


@binds("PM-X01")
@require_safe
def closed_month(request, month: str, unit_id: int | None = None):
    """A closed month: the figures that stand, the same with what came since, and whom that was about."""
    shown = _Closed(request, "PM-X01", month, unit_id)
    counts_only = shown.sees_units and _counts_only(shown.actor)
    names = sees_people(shown.actor, "PM-X01")
    page, changes = None, []
    if names:
        after = request.GET.get("after", "")
        page = page_after(
            shown.changes(), after=int(after) if after.isdecimal() and len(after) < 19 else None, size=PAGE
        )
        changes = [_change_row(one) for one in history.describe(page.rows)]
    rows = []
    if shown.unit:
        below = shown.below(shown.unit.pk)
        rows = [_ClosedRow(one, shown, counts_only=counts_only) for one in below]
        rest, since = shown.unit.closed, shown.unit.since
        for one in below:
            rest, since = rest - one.closed, since - one.since
        if below and (rest or since):
            own = ClosedUnit(shown.unit.pk, None, 0, shown.unit.code, shown.unit.label, rest, since, 0)
            rows.insert(0, _ClosedRow(own, shown, counts_only=counts_only, own=True))
        closed, adjusted = shown.unit.closed, shown.unit.adjusted
    else:
        people = shown.people
        closed = history.people_as_of(
            people=people, month=shown.month, at=shown.close.closed_at, newest=shown.close.newest_change
        )
        adjusted = people_figures(people=people, month=shown.month)
    event = closing.closing_event(shown.close)
    check = closing.newest_check(shown.close) if shown.sees_units else None
    parameters = {"course": shown.course.code} if shown.course else {}
    context = {
        "month": shown.month,
        "close": shown.close,
        "closed_by": person_name(shown.close.closed_by),
        "unit": shown.unit,
        "path": shown.path if shown.unit else [],
        "tops": _other_tops(shown),
        "hidden": counts_only and 0 < closed.assigned < SMALLEST_GROUP,
        "closed": closed,
        "adjusted": adjusted,
        "moved": closed != adjusted,
        "rows": rows,
        "courses": shown.courses,
        "course": shown.course,
        "query": shown.query,
        "names": names,
        "changes": changes,
        "page": page,
        "is_first": "after" not in request.GET,
        "parameters": parameters,
        "here": request.path,
        "event": event,
        "check": check,
        "signatures": _signatures(shown) if shown.unit else [],
        "may_export": shown.actor.may("PM-X02"),
        "may_tell": bool(rows) and shown.unit.pk in {unit.pk for unit in shown.actor.units("HRU")},
        "at": timezone.now(),
    }
    return render(request, "courses/closing_closed.html", context)


@binds("PM-X01")
@require_POST
def check_seal(request, month: str, unit_id: int):
    """Check what was sealed, with the history of every duty: asked for by a button, because it counts them all."""
    shown = _Closed(request, "PM-X01", month, unit_id)
    closing.check_seal(close=shown.close, at=timezone.now())
    return HttpResponseRedirect(reverse("courses:closed_unit", args=[shown.month, unit_id]) + "#the-seal")


def _other_tops(shown: _Closed) -> list[dict]:
    """The other topmost units in reach."""
    if not shown.unit:
        return []
    inside = {entry["label"] for entry in shown.path}
    return [
        {"label": one.label, "url": reverse("courses:closed_unit", args=[shown.month, one.pk]) + shown.query}
        for pk, one in shown.units.items()
        if pk in shown.visible and one.parent not in shown.visible and one.label not in inside
    ]


def _signatures(shown: _Closed) -> list[dict]:
    """Who signed the unit in view and the units right below it."""
    assert shown.unit is not None
    ids = [shown.unit.pk, *(one.pk for one in shown.below(shown.unit.pk))]
    rows = SignOff.objects.filter(close=shown.close, unit__in=ids[:200]).select_related("by__employee", "signed_from")
    by_unit = {row.unit_id: row for row in rows}
    found = []
    for pk in ids:
        sign = by_unit.get(pk)
        if sign is None:
            continue
        label = shown.units[pk].label if pk in shown.units else shown.unit.label
        from_above = _("signed from above, for %(unit)s") % {"unit": sign.signed_from.label} if sign.signed_from else ""
        found.append(
            {"label": label, "who": person_name(sign.by), "at": sign.at, "note": sign.note, "from_above": from_above}
        )
    return found


def _change_row(change: Change) -> dict:
    """One adjustment in words."""
    by = {
        How.OWN: lambda: change.employee.label,
        How.DECIDED: lambda: person_name(change.by),
        How.ROSTER: lambda: _("the roster"),
    }[change.how]()
    before = state_chip(change.before, None) if change.before else None
    now = state_chip(change.now, None)
    moved = change.before is not None and change.before.unit != change.now.unit
    return {
        "employee": change.employee,
        "course": change.enrolment.run.course,
        "unit": change.now.unit,
        "from_unit": change.before.unit if moved and change.before else None,
        "before": before,
        "now": now,
        "same_state": before == now,
        "by": by,
        "why": change.why,
        "at": change.at,
        "own": change.how == How.OWN,
    }


# --- files ------------------------------------------------------------------------------------------------------------
_COUNTS = (
    ("assigned", gettext_lazy("Owed")),
    ("completed", gettext_lazy("Done")),
    ("on_time", gettext_lazy("In time")),
    ("exempt", gettext_lazy("Exempt")),
    ("withdrawn", gettext_lazy("Withdrawn")),
    ("voluntary", pgettext_lazy("figures", "By choice")),
    ("voluntary_done", pgettext_lazy("figures", "By choice, done")),
)


@binds("PM-X02")
@require_safe
def closed_export(request, month: str, unit_id: int, kind: str):
    """The closed figures of a unit and everything below it, course by course; in Excel also adjustments and signatures."""
    shown = _Closed(request, "PM-X02", month, unit_id)
    assert shown.unit is not None
    header = [
        _("Level"),
        _("Unit code"),
        _("Unit"),
        _("Course code"),
        _("Course"),
        *(str(label) for _name, label in _COUNTS),
        _("On-time rate, %"),
        _("Final rate, %"),
    ]
    figures = list(
        closing.closed_figures(close=shown.close, unit_id=unit_id, run=shown.run).select_related("run__course")
    )
    rows = (_figure_row(one) for one in figures)
    name = f"closed-{shown.month}"
    if kind == "csv":
        return download(kind="csv", name=name, title=str(shown.month), header=header, rows=rows)
    sheets = [
        SheetOut(_("Figures"), header, rows, [8, 16, 30, 12, 28, *[10] * 7, 14, 14]),
        SheetOut(
            _("Adjustments since"), _change_header(), _change_cells(shown), [14, 16, 28, 12, 24, 18, 18, 18, 18, 40]
        ),
        SheetOut(
            _("Signatures"),
            [_("Unit code"), _("Unit"), _("Signed by"), _("Signed at"), _("From above"), pgettext("signature", "Note")],
            _signature_cells(shown),
            [16, 30, 20, 18, 30, 40],
        ),
        SheetOut(_("About this file"), notes=_about(shown, request.user)),
    ]
    return download_sheets(name=name, sheets=sheets)


@binds("PM-X02")
@require_safe
def closed_changes_export(request, month: str, kind: str):
    """The adjustments since the close, of the people one sees (a manager: the people below)."""
    shown = _Closed(request, "PM-X02", month, None)
    if not sees_people(shown.actor, "PM-X02"):
        raise PermissionDenied("PM-X02")
    shown.unit = None
    return download(
        kind=kind,
        name=f"adjustments-{shown.month}",
        title=_("Adjustments since"),
        header=_change_header(),
        rows=_change_cells(shown),
        widths=[14, 16, 28, 12, 24, 18, 18, 18, 18, 40],
        notes=_about(shown, request.user),
    )


def _figure_row(one) -> list:
    figures = Figures(**{column: getattr(one, column) for column in closing.COLUMNS})
    counts = [getattr(one, column) for column, _label in _COUNTS]
    rates = [float(rate) if rate else None for rate in (figures.on_time_rate, figures.rate)]
    return [one.depth, one.unit_code, one.unit_label, one.run.course.code, one.run.course.title, *counts, *rates]


def _change_header() -> list[str]:
    return [
        _("Employee no."),
        pgettext("a person", "Name"),
        _("Unit"),
        _("Course code"),
        _("Course"),
        _("At the close"),
        pgettext("figures", "Now"),
        _("Changed at"),
        _("By"),
        _("Reason"),
    ]


def _change_cells(shown: _Closed):
    found = shown.changes("PM-X02")
    batch: list = []

    def cells(batch):
        for one in history.describe(batch):
            row = _change_row(one)
            yield [
                one.employee.employee_no,
                one.employee.name,
                row["unit"].label,
                row["course"].code,
                row["course"].title,
                row["before"]["label"] if row["before"] else _("not there yet"),
                row["now"]["label"],
                timezone.localtime(one.at),
                row["by"],
                one.why,
            ]

    for enrolment in found.iterator(chunk_size=500):
        batch.append(enrolment)
        if len(batch) == 500:
            yield from cells(batch)
            batch = []
    yield from cells(batch)


def _signature_cells(shown: _Closed):
    assert shown.unit is not None
    for one in closing.signatures(close=shown.close, unit_id=shown.unit.pk).iterator(chunk_size=500):
        yield [
            one.unit.code,
            one.unit.label,
            person_name(one.by),
            timezone.localtime(one.at),
            one.signed_from.label if one.signed_from else "",
            one.note,
        ]


def _about(shown: _Closed, user) -> list[str]:
    close = shown.close
    return [
        _("%(month)s, closed on %(at)s by %(name)s")
        % {"month": shown.month.label, "at": moment(close.closed_at), "name": person_name(close.closed_by)},
        _("Scope: %(scope)s") % {"scope": shown.unit.label if shown.unit else _("The people in my reach")},
        _("Digest (SHA-256): %(digest)s") % {"digest": close.digest},
        _("As of %(at)s, by %(user)s")
        % {"at": timezone.localtime(timezone.now()).strftime("%Y-%m-%d %H:%M"), "user": user},
    ]


@binds("PM-X02")
@require_POST
def closed_report(request, month: str, unit_id: int):
    """The signed report as a PDF: at once, or by a job when it is long."""
    shown = _Closed(request, "PM-X02", month, unit_id)
    at = timezone.now()
    if closing.closed_figures(close=shown.close, unit_id=unit_id).values("unit").distinct().count() > AT_ONCE:
        job = start_job(
            kind="courses.closed_report",
            arguments={"month": str(shown.month), "unit": unit_id},
            by=request.user,
            at=at,
        )
        return redirect("courses:closed_report_job", job.pk)
    try:
        pdf = report_pdf(close=shown.close, unit_id=unit_id, at=at)
    except PdfToolsMissing as missing:
        messages.error(request, _("This server lacks what PDFs need: %(what)s.") % {"what": missing})
        return redirect("courses:closed_unit", shown.month, unit_id)
    response = HttpResponse(pdf, content_type="application/pdf")
    response["Content-Disposition"] = f'attachment; filename="closed-{shown.month}.pdf"'
    response["Cache-Control"] = "no-store"
    return response


def _own_report_or_404(request, job_id: int) -> Job:
    """The job, if it was asked for by this person and its unit is still in reach."""
    require(actor_of(request), "PM-X02")
    job = get_object_or_404(Job, pk=job_id, kind="courses.closed_report", requested_by=request.user)
    unit_or_404(actor_of(request), "PM-X02", job.arguments["unit"])
    return job


@binds("PM-X02")
@require_safe
def closed_report_job(request, job_id: int):
    """How far the report is, and the file when it is done."""
    job = _own_report_or_404(request, job_id)
    month = Month.parse(job.arguments["month"])
    context = {"job": job, "month": month, "back_url": reverse("courses:closed_month", args=[month])}
    return render(request, "courses/closing_report_job.html", context)


@binds("PM-X02")
@require_safe
def closed_report_file(request, job_id: int):
    """The finished report, for the person who asked for it."""
    job = _own_report_or_404(request, job_id)
    if not job.file:
        raise Http404
    response = FileResponse(job.file.open(), as_attachment=True, filename=f"closed-{job.arguments['month']}.pdf")
    response["Cache-Control"] = "no-store"
    return response


# --- as of ------------------------------------------------------------------------------------------------------------
class AsOfForm(forms.Form):
    """A day, and the day whose unit tree is used (the same if left empty)."""

    day = forms.DateField(
        label=gettext_lazy("Figures of the day"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    layout = forms.DateField(
        label=gettext_lazy("Units as they were on"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=gettext_lazy("Left empty: as they were on that same day."),
    )

    def __init__(self, *args, today: dt.date, **kwargs):
        super().__init__(*args, **kwargs)
        self.today = today

    def clean_day(self) -> dt.date:
        return self._past(self.cleaned_data["day"])

    def clean_layout(self) -> dt.date | None:
        return self._past(self.cleaned_data["layout"])

    def _past(self, day):
        if day and day > self.today:
            raise forms.ValidationError(_("This day has not come yet."))
        return day


@binds("PM-X01")
@require_safe
def as_of(request, month: str):
    """Figures that were true at the end of any day, in the unit tree of any day."""
    actor = actor_of(request)
    require(actor, "PM-X01")
    if not sees_units(actor, "PM-X01"):
        raise PermissionDenied("PM-X01")
    wanted, now = month_or_404(month), timezone.now()
    today = timezone.localdate(now)
    data = request.GET if request.GET.get("day") is not None else {"day": min(today, wanted.last_day), "layout": ""}
    form = AsOfForm(data, today=today)
    context: dict = {"month": wanted, "form": form, "rows": [], "now": None, "unit": None}
    if form.is_valid():
        at = min(end_of(form.cleaned_data["day"]), now)
        layout_at = min(end_of(form.cleaned_data["layout"] or form.cleaned_data["day"]), now)
        context.update(_as_of(request, actor, wanted, at, layout_at, now))
    context["previous_url"] = reverse("courses:as_of", args=[wanted.previous])
    context["next_url"] = reverse("courses:as_of", args=[wanted.next])
    return render(request, "courses/closing_as_of.html", context, status=200 if form.is_valid() else 422)


def _as_of(request, actor: Actor, month: Month, at, layout_at, now) -> dict:
    tree = tree_as_of(layout_at)
    then = history.figures_as_of(month=month, at=at, tree=tree)
    today = history.figures_as_of(month=month, at=now, tree=tree)
    visible = set(visible_units(actor, "PM-X01").order_by().values_list("pk", flat=True))
    asked = request.GET.get("unit", "")
    if asked:
        if not (asked.isdecimal() and len(asked) < 19) or int(asked) not in visible or int(asked) not in tree.units:
            raise Http404
        unit = int(asked)
    else:
        unit = next((one.pk for one in _top_units(actor) if one.pk in tree.units), 0)
    if not unit:
        return {}
    query = {name: request.GET[name] for name in ("day", "layout") if request.GET.get(name)}
    counts_only = _counts_only(actor)
    pks = [pk for pk in [unit, *tree.children(unit)] if then.get(pk) or today.get(pk)]
    rows = [
        {
            "label": tree.units[pk].label,
            "own": pk == unit,
            "then": then.get(pk, Figures()),
            "today": today.get(pk, Figures()),
            "hidden": counts_only and 0 < then.get(pk, Figures()).assigned < SMALLEST_GROUP,
            "url": _with(query, unit=pk) if pk in visible and pk != unit else "",
        }
        for pk in pks
    ]
    return {
        "unit": tree.units[unit],
        "path": _path_then(tree, unit, visible, query),
        "rows": rows,
        "at": at,
        "layout_at": layout_at,
        "other_layout": timezone.localdate(layout_at) != timezone.localdate(at),
        "top": rows[0] if rows and rows[0]["own"] else None,
    }


def _path_then(tree: Tree, unit: int, visible: set[int], query: dict) -> list[dict]:
    way = [pk for pk in reversed(tree.above(unit)) if pk in visible]
    return [{"label": tree.units[pk].label, "url": _with(query, unit=pk)} for pk in way]


def _with(query: dict, **more) -> str:
    return f"?{urlencode({**query, **more})}"
