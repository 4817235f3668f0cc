"""Keeping open runs up to date with the roster: what it does, what it did, and what a changed audience would mean."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

from django.db import transaction
from django.db.models import Case, CharField, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from core.events import record_event
from core.models import Event, Job
from core.periods import Month
from courses.domain import tallies
from courses.domain.audiences import select_people
from courses.domain.enrolling import (
    away_all_the_time,
    back_from_leave,
    enrol,
    exempt_for_leave,
    return_from_leave,
    starts_too_late,
    taken_by_choice,
    unfinished_again,
)
from courses.domain.month_plan import named, plan_lines, planned_people
from courses.domain.opening import RunClosed
from courses.models import Audience, CourseRun, Enrolment, EnrolmentChange, PlanLine
from people.models import Employee, Placement

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

log = logging.getLogger(__name__)

DONE = ("joined", "moved", "exempted", "withdrawn", "returned")  # what a round does to duties
ROUND = "courses.catch_up"  # the row of the table of jobs that says when the clock looked last

_State, _Reason = Enrolment.State, Enrolment.Reason
_UNFINISHED = (_State.ASSIGNED, _State.IN_PROGRESS)


class RunNotOpen(Exception):
    """The run has not been opened, so there is nothing to catch up with."""


@dataclass(frozen=True)
class CatchUpReport:
    """What changed since the run was opened or last caught up. ``waiting`` people are not enrolled now."""

    run: CourseRun
    joined: int = 0
    waiting: int = 0
    exempted: int = 0
    moved: int = 0
    withdrawn: int = 0
    returned: int = 0

    @property
    def changed(self) -> int:
        return self.joined + self.exempted + self.moved + self.withdrawn + self.returned


def catch_up(*, run: CourseRun, by, at: dt.datetime) -> CatchUpReport:
    """This function will bring an open run up to date with the roster; a second call changes nothing.

    Joiners and people moved into an audience are enrolled while at least ``joiner_days`` days are left (today and the
    due day counted), and are reported as waiting otherwise. Whoever is away for the whole window is exempt (LEAVE) and
    comes back if the leave is taken back before the due time. A duty follows its person to the unit where it is due.
    Whoever left by the due day is withdrawn (LEFT) unless it was done, and returns if the record does. Whoever moved out
    of the audience keeps the duty; a duty withdrawn before the opening (MOVED) returns with a person who is selected
    again. An exemption that somebody decided (``decided_by``) is never touched. At most one event on the chain ``months``. Raises
    RunNotOpen or RunClosed.
    """
    with transaction.atomic():
        held = CourseRun.objects.filter(pk=run.pk, state=CourseRun.State.OPEN).update(state=CourseRun.State.OPEN)
        run = CourseRun.objects.select_related("course").get(pk=run.pk)
        if not held:  # nobody closes it before this transaction ends
            raise RunNotOpen if run.state == CourseRun.State.PLANNED else RunClosed
        withdrawn = _withdraw_leavers(run=run, at=at)
        returned = _return_people(run=run, at=at)
        exempted = exempt_for_leave(run=run, at=at)
        joined, waiting = _enrol_joiners(run=run, at=at)
        away = exempt_for_leave(run=run, at=at) if joined else 0  # joined, and on leave all the time
        returned += return_from_leave(run=run, at=at)
        moved = _follow_movers(run=run, at=at)
        report = CatchUpReport(
            run=run,
            joined=joined - away,
            waiting=waiting,
            exempted=exempted + away,
            moved=moved,
            withdrawn=withdrawn,
            returned=returned,
        )
        if report.changed:
            tallies.recount(run=run)
            names = ("joined", "waiting", "exempted", "moved", "withdrawn", "returned")
            counts = {name: getattr(report, name) for name in names}
            record_event(
                chain="months", action="caught up", subject=run, actor=by, at=at, after={**named(run), **counts}
            )
    return report


def catch_up_by_the_clock(*, at: dt.datetime) -> list[CatchUpReport]:
    """This function will bring every open run up to date with the roster and keep when that was.

    Each run is a transaction of its own; a fault in one is logged and does not hold up the others.
    """
    runs = CourseRun.objects.filter(state=CourseRun.State.OPEN, opens_at__lte=at).order_by("pk")
    reports, failed = [], 0
    for run in runs:
        try:
            reports.append(catch_up(run=run, by=None, at=at))
        except Exception:
            log.exception("%s could not be brought up to date with the roster; it is as it was.", run)
            failed += 1
    result = {"runs": len(reports), "changed": sum(report.changed for report in reports), "failed": failed}
    values = {"state": Job.State.DONE, "result": result, "finished_at": at}
    if not Job.objects.filter(kind=ROUND, requested_by=None).update(**values):
        Job.objects.create(kind=ROUND, created_at=at, **values)
    return reports


def looked_last_at() -> dt.datetime | None:
    """This function will return when the clock last compared the open runs with the roster, whatever came of it."""
    return Job.objects.filter(kind=ROUND, requested_by=None).values_list("finished_at", flat=True).first()


# --- whom it changes ------------------------------------------------------------------------------------------------
def _opened_lines(run: CourseRun) -> QuerySet[PlanLine]:
    return plan_lines(month=run.month).filter(course_id=run.course_id, opened_at__isnull=False)


def _selected_now(*, run: CourseRun, at: dt.datetime) -> QuerySet[Employee]:
    """Whom the opened lines select today, without those on their last day: what they got would be withdrawn again."""
    people = planned_people(lines=_opened_lines(run), on=timezone.localdate(at))
    return people.exclude(pk__in=_leavers(run=run, at=at).order_by().values("pk"))


def waiting_people(*, run: CourseRun, at: dt.datetime) -> QuerySet[Employee]:
    """This function will return the people of the run's audiences who have no duty in it (too late for this month)."""
    duties = Enrolment.objects.filter(run=run).exclude(taken_by_choice())
    return _selected_now(run=run, at=at).exclude(Exists(duties.filter(employee=OuterRef("pk"))))


def _takes_joiners(run: CourseRun, at: dt.datetime) -> bool:
    today = max(timezone.localdate(at), timezone.localdate(run.opens_at))
    return (timezone.localdate(run.due_at) - today).days + 1 >= run.joiner_days


def _joiners(*, run: CourseRun, at: dt.datetime) -> tuple[QuerySet[Employee], QuerySet[Employee]]:
    """Who gets the duty now, and who waits for next month."""
    new = waiting_people(run=run, at=at)
    if not _takes_joiners(run, at):
        return new.none(), new
    return new.exclude(starts_too_late(run)), new.filter(starts_too_late(run))


def waiting_for_next_month(*, run: CourseRun, at: dt.datetime) -> QuerySet[Employee]:
    """This function will return those of the waiting whom catching up would leave for next month."""
    return _joiners(run=run, at=at)[1]


def _enrol_joiners(*, run: CourseRun, at: dt.datetime) -> tuple[int, int]:
    joiners, waiting = _joiners(run=run, at=at)
    number = waiting.count()
    return enrol(run=run, people=joiners, at=at, late=True), number


def _leavers(*, run: CourseRun, at: dt.datetime) -> QuerySet[Employee]:
    last_day = min(timezone.localdate(run.due_at), timezone.localdate(at))
    return Employee.objects.filter(state=Employee.State.LEFT, left_on__lte=last_day)


def _duties_of_leavers(*, run: CourseRun, at: dt.datetime) -> QuerySet[Enrolment]:
    return (
        Enrolment.objects.filter(run=run, employee__in=_leavers(run=run, at=at).order_by().values("pk"))
        .exclude(state__in=[_State.COMPLETED, _State.WITHDRAWN])
        .filter(Q(decided_by=None) | ~Q(state=_State.EXEMPT))
    )


def _withdraw_leavers(*, run: CourseRun, at: dt.datetime) -> int:
    gone = _duties_of_leavers(run=run, at=at)
    return gone.update(
        state=_State.WITHDRAWN, reason=_Reason.LEFT, reason_text="", decided_by=None, changed_at=at
    )  # the rule decided, not who extended or reinstated the duty before


def _duties_of_returners(*, run: CourseRun, at: dt.datetime) -> QuerySet[Enrolment]:
    """Withdrawn duties of people who work here again, or are in the audience again while joiners are taken."""
    here = Employee.objects.active_on(timezone.localdate(at)).exclude(state=Employee.State.LEFT)
    again = Q(reason=_Reason.LEFT, employee__in=here.order_by().values("pk"))
    if _takes_joiners(run, at):
        people = _selected_now(run=run, at=at).exclude(starts_too_late(run))
        again |= Q(reason=_Reason.MOVED, employee__in=people.order_by().values("pk"))
    return Enrolment.objects.filter(again, run=run, state=_State.WITHDRAWN, decided_by=None, due_at__gte=at)


def _return_people(*, run: CourseRun, at: dt.datetime) -> int:
    return _duties_of_returners(run=run, at=at).update(**unfinished_again(at))


def _duties_elsewhere(*, run: CourseRun, at: dt.datetime) -> Iterator[tuple[QuerySet[Enrolment], Coalesce]]:
    """Duties that count in another unit than they should, with the unit where they should; a set for each due time.

    They count where the person works now, or worked on the day they were due if that has passed.
    """
    for due_at in Enrolment.objects.filter(run=run).order_by().values_list("due_at", flat=True).distinct():
        duties = Enrolment.objects.filter(run=run, due_at=due_at)
        if at <= due_at:
            post = Employee.objects.filter(pk=OuterRef("employee"))
        else:
            post = Placement.objects.on(timezone.localdate(due_at)).filter(employee=OuterRef("employee"))
        there = Coalesce(Subquery(post.order_by().values("unit")[:1]), F("unit"))
        elsewhere = Exists(post.filter(unit__isnull=False).exclude(unit=OuterRef("unit")))
        yield duties.filter(elsewhere), there


def _follow_movers(*, run: CourseRun, at: dt.datetime) -> int:
    moving = list(_duties_elsewhere(run=run, at=at))  # read to the end first: the rows are about to change
    return sum(duties.update(unit=there, changed_at=at) for duties, there in moving)


# --- what it would do -----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class CatchUpPreview:
    """Whom catching up would change now. ``stay`` are no longer in any audience of the run and keep their duty."""

    run: CourseRun
    joined: QuerySet[Employee]
    waiting: QuerySet[Employee]
    exempted: QuerySet[Employee]
    moved: QuerySet[Employee]
    withdrawn: QuerySet[Employee]
    returned: QuerySet[Employee]
    stay: QuerySet[Employee]


def preview_catch_up(*, run: CourseRun, at: dt.datetime) -> CatchUpPreview:
    """This function will say whom catching up with an open run would change, set by set, and change nothing.

    Who moved out of the audiences keeps the duty: it goes with the person and stays owed, until somebody decides.
    """
    joiners, waiting = _joiners(run=run, at=at)
    leavers, returners = _duties_of_leavers(run=run, at=at), _duties_of_returners(run=run, at=at)
    not_begun = Q(state=_State.ASSIGNED) | Q(pk__in=returners.filter(started_at=None).order_by().values("pk"))
    open_duties = Enrolment.objects.filter(not_begun, run=run, voluntary=False, decided_by=None).exclude(
        pk__in=leavers.order_by().values("pk")
    )
    may_be_away = Employee.objects.filter(
        Q(pk__in=open_duties.order_by().values("employee")) | Q(pk__in=joiners.order_by().values("pk"))
    )
    away = list(away_all_the_time(run=run, people=may_be_away))
    _exempt, back = back_from_leave(run=run, at=at)
    elsewhere = Q(pk__in=[])
    for duties, _there in _duties_elsewhere(run=run, at=at):
        elsewhere |= Q(pk__in=duties.order_by().values("employee"))
    here = Employee.objects.active_on(timezone.localdate(at)).exclude(state=Employee.State.LEFT)
    owed = Enrolment.objects.filter(run=run, voluntary=False, state__in=[_State.ASSIGNED, _State.IN_PROGRESS])
    planned = planned_people(lines=_opened_lines(run), on=timezone.localdate(at))
    return CatchUpPreview(
        run=run,
        joined=joiners.exclude(pk__in=away),
        waiting=waiting,
        exempted=Employee.objects.filter(pk__in=away),
        moved=Employee.objects.filter(elsewhere),
        withdrawn=Employee.objects.filter(pk__in=leavers.order_by().values("employee")),
        returned=Employee.objects.filter(Q(pk__in=returners.order_by().values("employee")) | Q(pk__in=back)),
        stay=here.filter(pk__in=owed.order_by().values("employee")).exclude(pk__in=planned.order_by().values("pk")),
    )


# --- what was done --------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Round:
    """One catching up with one run that changed something. ``counts`` are of the people one may see.

    ``waiting`` is what the event says, for the whole run; None in events written before it was kept.
    """

    event: Event
    run: CourseRun
    counts: dict[str, int] = field(default_factory=dict)
    waiting: int | None = None

    @property
    def at(self) -> dt.datetime:
        return self.event.at


def events_of(*, runs: Iterable[CourseRun]) -> QuerySet[Event]:
    """This function will return the events of these runs that say "caught up", the newest first."""
    ids = [str(run.pk) for run in runs]
    return (
        Event.objects.filter(
            chain="months", action="caught up", subject_type=CourseRun._meta.label_lower, subject_id__in=ids
        )
        .select_related("actor__employee")
        .order_by("-sequence")
    )


def rounds(*, events: Iterable[Event], runs: Iterable[CourseRun], people: QuerySet[Employee]) -> list[Round]:
    """This function will return these events with what each did to the duties of some people. One query."""
    events, by_id = list(events), {run.pk: run for run in runs}
    rows = (
        _changes(run_ids=list(by_id), times=[event.at for event in events])
        .filter(enrolment__employee__in=people.order_by().values("pk"))
        .values("run_id", "at", "what")
        .annotate(number=Count("enrolment", distinct=True))
    )
    counted = {(row["run_id"], row["at"], row["what"]): row["number"] for row in rows} if events else {}
    return [
        Round(
            event=event,
            run=by_id[int(event.subject_id)],
            counts={what: counted.get((int(event.subject_id), event.at, what), 0) for what in DONE},
            waiting=(event.after or {}).get("waiting"),
        )
        for event in events
    ]


def people_of_round(*, event: Event, what: str, people: QuerySet[Employee]) -> QuerySet[Employee]:
    """This function will return those of some people to whom a round did one thing (see DONE)."""
    changed = _changes(run_ids=[int(event.subject_id)], times=[event.at]).filter(what=what)
    return people.filter(pk__in=changed.values("enrolment__employee"))


class _What(TypedDict):
    """What _changes adds to a change."""

    what: str


def _changes(*, run_ids: list[int], times: list[dt.datetime]) -> QuerySet[WithAnnotations[EnrolmentChange, _What]]:
    """The changes of duties at these times, each with ``what`` it was beside the change before it."""
    before = EnrolmentChange.objects.filter(enrolment=OuterRef("enrolment"), pk__lt=OuterRef("pk")).order_by("-pk")
    exempted_at_once = EnrolmentChange.objects.filter(
        enrolment=OuterRef("enrolment"), at=OuterRef("at"), pk__gt=OuterRef("pk"), state=_State.EXEMPT
    )
    excused = Q(was__in=[_State.EXEMPT, _State.WITHDRAWN])
    new = Q(was=None) | Q(was_voluntary=True, voluntary=False)  # who took it by choice owes it from now on
    what = Case(
        When(new & Exists(exempted_at_once), then=Value("")),  # on leave from the first day: counted once
        When(new, then=Value("joined")),
        When(~Q(was=_State.EXEMPT) & Q(state=_State.EXEMPT), then=Value("exempted")),
        When(~Q(was=_State.WITHDRAWN) & Q(state=_State.WITHDRAWN), then=Value("withdrawn")),
        When(excused & Q(state__in=_UNFINISHED), then=Value("returned")),
        When(~Q(was_in=F("unit_id")), then=Value("moved")),
        default=Value(""),
        output_field=CharField(),
    )
    return (
        EnrolmentChange.objects.filter(run__in=run_ids, at__in=times)
        .order_by()
        .annotate(
            was=Subquery(before.values("state")[:1]),
            was_in=Subquery(before.values("unit")[:1]),
            was_voluntary=Subquery(before.values("voluntary")[:1]),
        )
        .annotate(what=what)
    )


# --- what a changed rule would do -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class RunEffect:
    """An open run that uses an audience: who of the new rule has no duty yet, and who has one and is selected no more.

    ``takes_joiners``: those without a duty still get it this month; otherwise they start next month.
    """

    run: CourseRun
    enters: QuerySet[Employee]
    stays: QuerySet[Employee]
    takes_joiners: bool


def effect_on_runs(*, audience: Audience, rule: dict, at: dt.datetime) -> list[RunEffect]:
    """This function will say what another rule of an audience would mean for the open runs that are not due yet.

    Whoever is no longer selected keeps the duty: it goes with the person and stays owed until somebody decides.
    """
    on = timezone.localdate(at)
    uses_it = PlanLine.objects.filter(
        course=OuterRef("course"),
        month=OuterRef("month"),
        opened_at__isnull=False,
        programme__active=True,
        programme__audience=audience,
    )
    runs = CourseRun.objects.filter(Exists(uses_it), state=CourseRun.State.OPEN, due_at__gte=at)
    found = []
    for run in runs.select_related("course").order_by("month", "course__code"):
        lines = list(plan_lines(month=run.month).filter(course=run.course, opened_at__isnull=False))
        for line in lines:
            if line.programme.audience_id == audience.pk:
                line.programme.audience.rule = rule  # as if it were saved
        planned = planned_people(lines=lines, on=on)
        has_it = Enrolment.objects.filter(run=run, employee=OuterRef("pk")).exclude(taken_by_choice())
        owes_it = has_it.filter(state__in=_UNFINISHED)
        here = Employee.objects.active_on(on).in_unit(audience.scope)
        days_left = (timezone.localdate(run.due_at) - max(on, timezone.localdate(run.opens_at))).days + 1
        found.append(
            RunEffect(
                run=run,
                enters=select_people(rule=rule, scope=audience.scope, on=on).exclude(Exists(has_it)),
                stays=here.filter(Exists(owes_it)).exclude(pk__in=planned.order_by().values("pk")),
                takes_joiners=days_left >= run.joiner_days,
            )
        )
    return found


def open_runs(*, month: Month) -> QuerySet[CourseRun]:
    """This function will return the open runs of a month, as the page of the month lists them."""
    runs = CourseRun.objects.filter(month=month, state=CourseRun.State.OPEN)
    return runs.select_related("course").order_by("course__code")
