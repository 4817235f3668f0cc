"""What keeping up with the roster did, round by round, and what a changed audience would mean for open courses."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

from django.db.models import Case, CharField, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.utils import timezone

from core.models import Event, Job
from core.periods import Month
from courses.domain import opening
from courses.domain.audiences import select_people
from courses.domain.enrolling import taken_by_choice
from courses.models import Audience, CourseRun, Enrolment, EnrolmentChange, PlanLine
from people.models import Employee

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

log = logging.getLogger(__name__)

DONE = ("joined", "moved", "exempted", "withdrawn", "returned")  # what a round does to duties
ROUND = "courses.catch_up"  # the row of the table of jobs that says when the clock looked last

_State = Enrolment.State
_UNFINISHED = (_State.ASSIGNED, _State.IN_PROGRESS)


def catch_up_by_the_clock(*, at: dt.datetime) -> list[opening.CatchUpReport]:
    """This function will bring every open run up to date with the roster and keep when that was.

    Each run is a transaction of its own; a fault in one is logged and does not hold up the others.
    """
    runs = CourseRun.objects.filter(state=CourseRun.State.OPEN, opens_at__lte=at).order_by("pk")
    reports, failed = [], 0
    for run in runs:
        try:
            reports.append(opening.catch_up(run=run, by=None, at=at))
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
        lines = list(opening.plan_lines(month=run.month).filter(course=run.course, opened_at__isnull=False))
        for line in lines:
            if line.programme.audience_id == audience.pk:
                line.programme.audience.rule = rule  # as if it were saved
        planned = opening.planned_people(lines=lines, on=on)
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
