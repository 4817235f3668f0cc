"""The path to 100 %: who is missing, for which one reason, whose move it is, and the one next action.

Every missing person has exactly one reason: the first of ``REASONS`` that fits, in that published order (docs: hr.md,
manager.md). It composes people (sign-in, leave, moves), courses (requests, progress) and assessments (attempts).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlencode

from django.db.models import Count, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext, pgettext_lazy

from assessments.domain.struggling import Stuck, stuck_enrolments
from core.periods import Month
from core.templatetags import interface
from courses.domain.queries import Figures, figures_of_units
from courses.models import CourseRun, DutyRequest, Enrolment, Matter, Nudge, RunStep, StepCompletion
from people.domain.access import Actor, visible_employees
from people.models import Employee, Invitation, Leave, OrgUnit, Placement
from portal.templatetags.portal_tags import days_ago

RECENTLY = dt.timedelta(days=30)  # moved or came so short a time ago


class Owner:
    """Whose move it is."""

    HR, MANAGER, EMPLOYEE, NOBODY = ORDER = ("hr", "manager", "employee", "nobody")


class Reason:
    """Why a person is missing. The first that fits counts."""

    (
        LEFT,
        NO_SIGN_IN,
        ON_LEAVE,
        ASKED,
        STUCK,
        MOVED,
        NEW,
        OVERDUE,
        BEGUN,
        NOT_BEGUN,
    ) = REASONS = (
        "left",
        "no_sign_in",
        "on_leave",
        "asked",
        "stuck",
        "moved",
        "new",
        "overdue",
        "begun",
        "not_begun",
    )


OWNER_OF = {
    Reason.LEFT: Owner.HR,
    Reason.NO_SIGN_IN: Owner.HR,
    Reason.ON_LEAVE: Owner.NOBODY,
    Reason.ASKED: Owner.MANAGER,  # an exemption is for HR to decide
    Reason.STUCK: Owner.MANAGER,
    Reason.MOVED: Owner.MANAGER,
    Reason.NEW: Owner.MANAGER,
    Reason.OVERDUE: Owner.EMPLOYEE,
    Reason.BEGUN: Owner.EMPLOYEE,
    Reason.NOT_BEGUN: Owner.EMPLOYEE,
}

OWNER_LABELS = {
    Owner.HR: gettext_lazy("Human resources"),
    Owner.MANAGER: pgettext_lazy("whose move", "The manager"),
    Owner.EMPLOYEE: pgettext_lazy("whose move", "The employee"),
    Owner.NOBODY: pgettext_lazy("whose move", "Nobody, for now"),
}

REASON_LABELS = {
    Reason.LEFT: gettext_lazy("Left the company"),
    Reason.NO_SIGN_IN: gettext_lazy("Cannot sign in"),
    Reason.ON_LEAVE: gettext_lazy("On leave today"),
    Reason.ASKED: gettext_lazy("Waits for an answer"),
    Reason.STUCK: gettext_lazy("Did not pass the quiz"),
    Reason.MOVED: gettext_lazy("Moved here recently"),
    Reason.NEW: gettext_lazy("New"),
    Reason.OVERDUE: gettext_lazy("Overdue"),
    Reason.BEGUN: gettext_lazy("Begun"),
    Reason.NOT_BEGUN: gettext_lazy("Not begun"),
}


@dataclass(frozen=True)
class Action:
    """The one next thing: a page to go to, or (``nudge``) a person to remind with one tap."""

    label: str
    url: str = ""
    icon: str = "arrow"
    nudge: bool = False


@dataclass(frozen=True)
class Missing:
    """One missing person: the reason in a few words, whose move it is, and what can be done (None: nothing now)."""

    employee: Employee
    duties: list[Enrolment]
    reason: str
    owner: str
    words: str
    action: Action | None = None

    @property
    def courses(self) -> list[str]:
        return [duty.run.course.title for duty in self.duties]


@dataclass(frozen=True)
class Group:
    """Missing people of one owner and one reason."""

    owner: str
    reason: str
    people: list[Missing]

    @property
    def to_nudge(self) -> list[Employee]:
        """Those whom one tap may remind now."""
        return [one.employee for one in self.people if one.action is not None and one.action.nudge]

    @property
    def owner_label(self) -> str:
        return str(OWNER_LABELS[self.owner])

    @property
    def reason_label(self) -> str:
        return str(REASON_LABELS[self.reason])


def missing_duties(
    *, people: QuerySet[Employee] | None, month: Month, unit: OrgUnit | None = None, own: bool = False
) -> QuerySet[Enrolment]:
    """The unfinished duties of a month: of these people (None: whoever), in a unit with what is below it, or ``own`` alone."""
    runs = CourseRun.objects.filter(month=month).exclude(state=CourseRun.State.PLANNED)
    found = Enrolment.objects.filter(run__in=list(runs.values_list("pk", flat=True)), voluntary=False).unfinished()
    if people is not None:
        found = found.filter(employee__in=people.order_by().values("pk"))
    if unit is not None:
        found = (
            found.filter(unit=unit)
            if own
            else found.filter(unit__in=OrgUnit.objects.under(unit).order_by().values("pk"))
        )
    return found.order_by()


def missing_numbers(duties: QuerySet[Enrolment]) -> QuerySet:
    """The ids of the people behind these duties, by employee number, each once: what a list of names is paged by."""
    return (
        Employee.objects.filter(pk__in=duties.values("employee")).order_by("employee_no").values_list("pk", flat=True)
    )


def missing_people(
    *, employees: Collection[int], duties: QuerySet[Enrolment], month: Month, at: dt.datetime, actor: Actor
) -> list[Missing]:
    """The missing people of one page with their reason, owner and action, by reason and number. Fifteen queries at most."""
    rows = list(
        duties.filter(employee__in=employees)
        .select_related("employee__unit", "employee__position", "employee__manager", "employee__user", "run__course")
        .order_by("employee__employee_no", "due_at", "pk")
    )
    if not rows:
        return []
    known = _Known(rows, month, at)
    may = _Rights(actor, {one.employee_id for one in rows})
    by_person: dict[int, list[Enrolment]] = {}
    for row in rows:
        by_person.setdefault(row.employee_id, []).append(row)
    found = [_missing(own, known, may) for own in by_person.values()]
    return sorted(found, key=lambda one: (Reason.REASONS.index(one.reason), one.employee.employee_no))


def grouped(people: Iterable[Missing]) -> list[Group]:
    """Missing people by owner, then by reason, both in their published order."""
    groups: dict[tuple[str, str], list[Missing]] = {}
    for one in people:
        groups.setdefault((one.owner, one.reason), []).append(one)
    order = sorted(groups, key=lambda key: (Owner.ORDER.index(key[0]), Reason.REASONS.index(key[1])))
    return [Group(owner, reason, groups[owner, reason]) for owner, reason in order]


# --- what is known about a page of people -------------------------------------------------------------------------------
class _Known:
    """What the reasons rest on, read for all people of a page at once. Nine queries."""

    def __init__(self, rows: list[Enrolment], month: Month, at: dt.datetime):
        self.month, self.at, self.today = month, at, timezone.localdate(at)
        people, duties = {row.employee_id for row in rows}, [row.pk for row in rows]
        self.leave: dict[int, dt.date] = _last_days_away(people, self.today)
        self.invited = dict(
            Invitation.objects.filter(employee__in=people, used_at=None, expires_at__gt=at)
            .order_by("expires_at")
            .values_list("employee", "expires_at")
        )
        requests = DutyRequest.objects.filter(enrolment__in=duties, state=DutyRequest.State.ASKED)
        self.requests = {one.enrolment_id: one for one in requests}
        self.stuck: dict[int, Stuck] = stuck_enrolments(duties)
        self.moved = _newest_moves(people)
        self.steps = dict(
            RunStep.objects.filter(run__in={row.run_id for row in rows}, required=True)
            .order_by()
            .values_list("run")
            .annotate(number=Count("pk"))
        )
        self.seen = dict(
            StepCompletion.objects.filter(enrolment__in=duties).order_by("at").values_list("enrolment", "at")
        )
        self.nudged = set(Nudge.objects.filter(employee__in=people, on=self.today).values_list("employee", flat=True))


def _last_days_away(people: Collection[int], today: dt.date) -> dict[int, dt.date]:
    """{person on leave today: the last day away}; leaves that follow one another without a gap are one."""
    rows = Leave.objects.filter(employee__in=people, ends_on__gte=today).order_by("employee", "starts_on")
    away: dict[int, dt.date] = {}
    for employee, starts_on, ends_on in rows.values_list("employee", "starts_on", "ends_on"):
        last = away.get(employee)
        if starts_on <= today or (last is not None and starts_on <= last + dt.timedelta(days=1)):
            away[employee] = max(ends_on, last or ends_on)
    return away


def _newest_moves(people: Collection[int]) -> dict[int, dt.date]:
    """{person: the day of the newest move into another unit}."""
    units: dict[int, int] = {}
    moves: dict[int, dt.date] = {}
    rows = Placement.objects.filter(employee__in=people).order_by("employee", "starts_on")
    for employee, unit, starts_on in rows.values_list("employee", "unit", "starts_on"):
        if employee in units and units[employee] != unit:
            moves[employee] = starts_on
        units[employee] = unit
    return moves


class _Rights:
    """To whom of a page the actor may do what. Five queries, fewer where no role may."""

    def __init__(self, actor: Actor, people: Collection[int]):
        self.me = actor.employee.pk if actor.employee else None
        self.invite, self.nudge, self.extend, self.exempt, self.settle = (
            set(visible_employees(actor, row).filter(pk__in=people).values_list("pk", flat=True))
            if actor.may(row)
            else set()
            for row in ("PM-P05", "PM-M03", "PM-T04", "PM-T03", "PM-M05")
        )


# --- the one reason -----------------------------------------------------------------------------------------------------
def _missing(duties: list[Enrolment], known: _Known, may: _Rights) -> Missing:
    """The first reason that fits, with its words, owner and action."""
    employee = duties[0].employee
    fits = ((reason, _FITS[reason](employee, duties, known)) for reason in Reason.REASONS)
    reason, found = next((reason, fit) for reason, fit in fits if fit is not None)  # the last one always fits
    duty = found.duty or duties[0]
    return Missing(
        employee=employee,
        duties=duties,
        reason=reason,
        owner=found.owner or OWNER_OF[reason],
        words=found.words,
        action=_action(reason, employee, duty, known, may),
    )


@dataclass(frozen=True)
class _Fit:
    """That a reason fits: in words, by which duty, and whose move where it is not that of the reason."""

    words: str
    duty: Enrolment | None = None
    owner: str = ""


def _left(employee: Employee, duties: list[Enrolment], known: _Known) -> _Fit | None:
    if employee.left_on is None or employee.left_on >= known.today:
        return None
    owed = (duty for duty in duties if duty.run.state == CourseRun.State.OPEN and _was_owed(employee, duty))
    return _Fit(
        _("left on %(day)s; the duty is still open") % {"day": interface.short_day(employee.left_on)}, next(owed, None)
    )


def _no_sign_in(employee: Employee, duties: list[Enrolment], known: _Known) -> _Fit | None:
    if employee.state == Employee.State.SUSPENDED:
        return _Fit(_("is suspended"))
    if employee.user is None:
        until = known.invited.get(employee.pk)
        if until:
            return _Fit(_("invited, the link is good until %(until)s") % {"until": interface.moment(until)})
        return _Fit(_("has no sign-in yet"))
    return None if employee.user.is_active else _Fit(_("the sign-in is locked"))


def _on_leave(employee: Employee, duties: list[Enrolment], known: _Known) -> _Fit | None:
    last = known.leave.get(employee.pk)
    if last is None:
        return None
    back = last + dt.timedelta(days=1)
    due = max(timezone.localdate(duty.due_at) for duty in duties)
    if back > due >= known.today:
        return _Fit(_("back on %(day)s, after the due day") % {"day": interface.short_day(back)})
    return _Fit(_("back on %(day)s") % {"day": interface.short_day(back)})


def _asked(employee: Employee, duties: list[Enrolment], known: _Known) -> _Fit | None:
    for duty in duties:
        request = known.requests.get(duty.pk)
        if request is None:
            continue
        if request.kind == DutyRequest.Kind.EXTENSION:
            return _Fit(_("asked for time until %(day)s") % {"day": interface.short_day(request.until)}, duty)
        return _Fit(_("asked to be exempt"), duty, Owner.HR)
    return None


def _stuck(employee: Employee, duties: list[Enrolment], known: _Known) -> _Fit | None:
    stuck = [(known.stuck[duty.pk], duty) for duty in duties if duty.pk in known.stuck]
    if not stuck:
        return None
    worst, duty = max(stuck, key=lambda pair: pair[0].used_up)
    if worst.used_up:
        words = ngettext("%(n)d attempt, none left", "%(n)d attempts, none left", worst.made)
    else:
        words = ngettext("%(n)d attempt, not passed yet", "%(n)d attempts, not passed yet", worst.made)
    return _Fit(words % {"n": worst.made}, duty)


def _moved(employee: Employee, duties: list[Enrolment], known: _Known) -> _Fit | None:
    day = known.moved.get(employee.pk)
    if day is None or not known.today - RECENTLY <= day <= known.today:
        return None
    return _Fit(_("moved here on %(day)s") % {"day": interface.short_day(day)})


def _new(employee: Employee, duties: list[Enrolment], known: _Known) -> _Fit | None:
    if employee.hired_on is None or employee.hired_on < known.month.first_day:
        return None
    return _Fit(_("joined on %(day)s") % {"day": interface.short_day(employee.hired_on)})


def _overdue(employee: Employee, duties: list[Enrolment], known: _Known) -> _Fit | None:
    duty = next((duty for duty in duties if duty.is_overdue(known.at)), None)
    if duty is None:
        return None
    words = {"day": interface.short_day(duty.due_at), "steps": _steps(duty, known)}
    return _Fit(_("was due on %(day)s; %(steps)s") % words, duty)


def _begun(employee: Employee, duties: list[Enrolment], known: _Known) -> _Fit | None:
    duty = next((duty for duty in duties if duty.state == Enrolment.State.IN_PROGRESS), None)
    if duty is None:
        return None
    words = {"steps": _steps(duty, known)}
    seen = known.seen.get(duty.pk) or duty.started_at
    if seen is None:
        return _Fit(words["steps"], duty)
    return _Fit(_("%(steps)s, last seen %(ago)s") % {**words, "ago": days_ago(seen, known.at)}, duty)


def _not_begun(employee: Employee, duties: list[Enrolment], known: _Known) -> _Fit:
    day = interface.short_day(duties[0].due_at)
    return _Fit(_("nothing done yet; due on %(day)s") % {"day": day}, duties[0])


_FITS = {
    Reason.LEFT: _left,
    Reason.NO_SIGN_IN: _no_sign_in,
    Reason.ON_LEAVE: _on_leave,
    Reason.ASKED: _asked,
    Reason.STUCK: _stuck,
    Reason.MOVED: _moved,
    Reason.NEW: _new,
    Reason.OVERDUE: _overdue,
    Reason.BEGUN: _begun,
    Reason.NOT_BEGUN: _not_begun,
}


def _steps(duty: Enrolment, known: _Known) -> str:
    return _("%(done)d of %(total)d steps") % {"done": duty.steps_done, "total": known.steps.get(duty.run_id, 0)}


# --- the one action -----------------------------------------------------------------------------------------------------
def _action(reason: str, employee: Employee, duty: Enrolment, known: _Known, may: _Rights) -> Action | None:
    """What the reader can do next. Whom it is not for gets the person's page, or nothing where nothing helps now."""
    person = Action(_("Open the record"), reverse("portal:person", args=[employee.pk]))
    is_open = duty.run.state == CourseRun.State.OPEN
    if reason == Reason.LEFT:
        if is_open and employee.pk in may.settle and _was_owed(employee, duty):
            # Nothing is done to the duties of who has left, but for settling on the desk what is left behind.
            wanted = urlencode({"kind": Matter.Kind.LEAVER.value, "q": employee.employee_no})
            return Action(pgettext("a matter", "Settle"), f"{reverse('courses:matters')}?{wanted}")
        return person
    if reason == Reason.NO_SIGN_IN:
        if employee.pk not in may.invite:
            return None
        url = reverse("people:person_sign_in", args=[employee.pk])
        if employee.user is None and employee.state == Employee.State.ACTIVE:
            return Action(_("Invite again") if employee.pk in known.invited else _("Invite"), url, "send")
        return Action(_("Look at the sign-in"), url, "user")
    if reason == Reason.ON_LEAVE:
        late = known.leave[employee.pk] >= timezone.localdate(duty.due_at)
        if late and is_open and employee.pk in may.exempt:
            return Action(_("Exempt"), reverse("courses:exempt", args=[duty.pk]))
        return None
    if reason == Reason.ASKED:
        request = known.requests[duty.pk]
        decides = may.extend if request.kind == DutyRequest.Kind.EXTENSION else may.exempt
        return Action(_("Decide"), reverse("courses:requests"), "check") if employee.pk in decides else person
    if reason == Reason.STUCK:
        if is_open and employee.pk in may.extend and not known.stuck[duty.pk].used_up:
            return Action(_("Give more time"), reverse("courses:extend", args=[duty.pk]), "clock")
        return person
    works = is_open and duty.run.opens_at <= known.at <= duty.run.accept_until
    if works and employee.pk == may.me:
        return Action(_("Continue"), reverse("courses:overview", args=[duty.pk]), "play")
    if not works or employee.pk not in may.nudge:
        return person
    return (
        Action(_("Nudged today"), "", "check")
        if employee.pk in known.nudged
        else Action(_("Nudge"), icon="bell", nudge=True)
    )


def _was_owed(employee: Employee, duty: Enrolment) -> bool:
    """Did the person leave after the due day? Who leaves by then is withdrawn without asking (courses.domain.matters)."""
    return employee.left_on is not None and employee.left_on > timezone.localdate(duty.run.due_at)


# --- the units below ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class ShortUnit:
    """A unit and how many people it is short of 100 %. ``own``: what counts in the unit itself, not below it."""

    unit: OrgUnit
    short: int
    figures: Figures
    has_more: bool  # opens to units, not to names
    own: bool = False


@dataclass
class Shortage:
    """Who is missing in a unit: how many people, in the unit itself, and in the units right below, most first."""

    people: int
    rows: list[ShortUnit] = field(default_factory=list)
    complete: int = 0  # units below with duties and nobody missing


def shortage(*, unit: OrgUnit, month: Month) -> Shortage:
    """How many people a unit and the units right below are short. Five queries, whatever their number."""
    duties = missing_duties(people=None, month=month, unit=unit)
    counts = dict(duties.values_list("unit__path").annotate(people=Count("employee", distinct=True)))
    people = duties.aggregate(people=Count("employee", distinct=True))["people"]
    children = list(unit.get_children())
    if not children:
        return Shortage(people=people)
    rows, complete = [], 0
    own, *below = figures_of_units(units=[unit, *children], month=month)
    alone = own.now
    for one in below:
        alone -= one.now
        inside = {path: number for path, number in counts.items() if path.startswith(one.unit.path)}
        short = sum(inside.values())
        if short:
            rows.append(ShortUnit(one.unit, short, one.now, has_more=any(path != one.unit.path for path in inside)))
        elif one.now.assigned:
            complete += 1
    if counts.get(unit.path):
        rows.append(ShortUnit(unit, counts[unit.path], alone, has_more=False, own=True))
    rows.sort(key=lambda row: (-row.short, row.unit.path))
    return Shortage(people=people, rows=rows, complete=complete)
