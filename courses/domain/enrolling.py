"""Giving duties to people, and excusing those who are away: what preparing, opening and keeping up with a run share."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import (
    BooleanField,
    Case,
    CharField,
    DateTimeField,
    Exists,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Value,
    When,
)
from django.utils import timezone

from core.batches import batches
from courses.models import CourseRun, Enrolment
from people.models import Employee, Leave

_CHUNK = 1000
_State, _Reason = Enrolment.State, Enrolment.Reason


# --- duties -----------------------------------------------------------------------------------------------------------
def starts_too_late(run: CourseRun) -> Q:
    """This function will select people hired with fewer than ``joiner_days`` days left, hire day and due day counted."""
    opens, due = timezone.localdate(run.opens_at), timezone.localdate(run.due_at)
    first_late_day = due - dt.timedelta(days=run.joiner_days - 1) + dt.timedelta(days=1)
    return Q(hired_on__isnull=False, hired_on__gt=opens, hired_on__gte=first_late_day)


def taken_by_choice() -> Q:
    """This function will select courses that their people took by choice: no duties, until an audience selects the person.

    What HR withdrew stays withdrawn, as a duty would.
    """
    return Q(voluntary=True) & ~Q(state=_State.WITHDRAWN, decided_by__isnull=False)


def _make_owed(*, run: CourseRun, people: QuerySet[Employee], at: dt.datetime) -> int:
    """Whoever took the course by choice and is selected now owes it: what was done stays done, what was given up is back."""
    back = {"state": _State.WITHDRAWN, "started_at__isnull": True}, {"state": _State.WITHDRAWN}
    return Enrolment.objects.filter(
        taken_by_choice(),
        run=run,
        voluntary=True,
        employee__in=people.filter(unit__isnull=False).order_by().values("pk"),
    ).update(
        voluntary=False,
        state=Case(
            When(**back[0], then=Value(_State.ASSIGNED.value)),
            When(**back[1], then=Value(_State.IN_PROGRESS.value)),
            default=F("state"),
            output_field=CharField(),
        ),
        reason=Case(When(reason=_Reason.PAST, then=F("reason")), default=Value(_Reason.PLAN.value)),
        changed_at=at,
    )


def enrol(
    *, run: CourseRun, people: QuerySet[Employee], at: dt.datetime, late: bool = False, limit: int | None = None
) -> int:
    """This function will give everybody (or so many) the duty who has not got it, in one INSERT .. SELECT; how many.

    Those who had taken the course by choice are among them. ``late``: they came in after the opening, so the reason is
    that they joined, whenever they were hired.
    """
    owed = _make_owed(run=run, people=people, at=at)
    joined = Q(hired_on__isnull=False, hired_on__gt=timezone.localdate(run.opens_at))
    text, moment, whole = CharField(), DateTimeField(), IntegerField()
    columns = {
        "employee_id": F("pk"),
        "run_id": Value(run.pk, whole),
        "course_version": Value(run.course_version, whole),
        "state": Value(_State.ASSIGNED.value, text),
        "reason": Value(_Reason.JOINED.value, text)
        if late
        else Case(When(joined, then=Value(_Reason.JOINED.value)), default=Value(_Reason.PLAN.value), output_field=text),
        "reason_text": Value("", text),
        "due_at": Value(run.due_at, moment),
        "unit_id": F("unit_id"),
        "unit_set_id": F("unit_id"),
        "position_set_id": F("position_id"),
        "assigned_at": Value(at, moment),
        "changed_at": Value(at, moment),
        "voluntary": Value(False, BooleanField()),
        "steps_done": Value(0, whole),
    }
    has_it = Enrolment.objects.filter(run=run, employee=OuterRef("pk"))
    rows = (
        people.filter(unit__isnull=False)
        .exclude(Exists(has_it))
        .order_by()
        .annotate(**{f"new_{name}": value for name, value in columns.items()})
        .values_list(*(f"new_{name}" for name in columns))
    )
    if limit is not None:
        rows = rows.order_by("pk")[:limit]
    try:
        select, parameters = rows.query.sql_with_params()
    except EmptyResultSet:  # the conditions can select nobody
        return owed
    table, quote = Enrolment._meta.db_table, connection.ops.quote_name
    names = ", ".join(quote(name) for name in columns)
    with connection.cursor() as cursor:
        # Names come from the model and values go as parameters: nothing in this statement was typed by anybody.
        cursor.execute(
            f"INSERT INTO {quote(table)} ({names}) {select} ON CONFLICT DO NOTHING",  # noqa: S608
            parameters,
        )
        return owed + cursor.rowcount


def unfinished_again(at: dt.datetime) -> dict:
    """This function will say what a duty becomes when its exemption or withdrawal falls away: as far as it was."""
    begun = When(started_at__isnull=False, then=Value(_State.IN_PROGRESS.value))
    chosen = When(voluntary=True, then=Value(_Reason.CHOICE.value))
    return {
        "state": Case(begun, default=Value(_State.ASSIGNED.value), output_field=CharField()),
        "reason": Case(chosen, default=Value(_Reason.PLAN.value), output_field=CharField()),
        "changed_at": at,
    }


# --- leave ----------------------------------------------------------------------------------------------------------
def away_all_the_time(*, run: CourseRun, people: QuerySet[Employee]) -> Iterator[int]:
    """This function will return the ids of those whose leave covers every day from the start to the due day.

    The leave may be in several pieces. The start is the run's first day or, for joiners, the day they were hired.
    """
    opens, due = timezone.localdate(run.opens_at), timezone.localdate(run.due_at)
    rows = (
        Leave.objects.filter(employee__in=people.order_by().values("pk"), starts_on__lte=due, ends_on__gte=opens)
        .order_by("employee_id", "starts_on")
        .values_list("employee_id", "employee__hired_on", "starts_on", "ends_on")
    )
    person, covered_until, start = None, opens, opens
    one_day = dt.timedelta(days=1)
    for employee_id, hired_on, starts_on, ends_on in rows.iterator(chunk_size=2000):
        if employee_id != person:
            if person is not None and covered_until > due:
                yield person
            person = employee_id
            start = max(opens, hired_on or opens)
            covered_until = start  # the first day not yet covered
        if starts_on <= covered_until:
            covered_until = max(covered_until, ends_on + one_day)
    if person is not None and covered_until > due:
        yield person


def exempt_for_leave(*, run: CourseRun, at: dt.datetime, only_new: bool = False) -> int:
    """This function will exempt those who have not begun and are away all the time; how many.

    ``only_new``: only those who were enrolled right now.
    """
    open_duties = Enrolment.objects.filter(run=run, state=_State.ASSIGNED, voluntary=False, decided_by=None)
    if only_new:
        open_duties = open_duties.filter(changed_at=at)
    people = Employee.objects.filter(pk__in=open_duties.values("employee"))
    away = list(away_all_the_time(run=run, people=people))  # read to the end first: the rows are about to change
    number = 0
    for ids in batches(away, _CHUNK):
        number += open_duties.filter(employee__in=ids).update(state=_State.EXEMPT, reason=_Reason.LEAVE, changed_at=at)
    return number


def back_from_leave(*, run: CourseRun, at: dt.datetime) -> tuple[QuerySet[Enrolment], list[int]]:
    """This function will return the duties that leave excuses, and the people among them whom it no longer does."""
    exempt = Enrolment.objects.filter(
        run=run, state=_State.EXEMPT, reason=_Reason.LEAVE, decided_by=None, due_at__gte=at
    )
    people = Employee.objects.filter(pk__in=exempt.values("employee"))
    away = set(away_all_the_time(run=run, people=people))
    return exempt, [one for one in exempt.values_list("employee_id", flat=True) if one not in away]


def return_from_leave(*, run: CourseRun, at: dt.datetime) -> int:
    """This function will give back the duties of those whom leave no longer excuses; how many."""
    exempt, back = back_from_leave(run=run, at=at)
    return sum(exempt.filter(employee__in=ids).update(**unfinished_again(at)) for ids in batches(back, _CHUNK))
