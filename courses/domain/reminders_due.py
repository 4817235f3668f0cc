"""Who is to be told what on a day: the steps of the ladders that open duties have reached, written down once each.

Nobody is reminded of what is done, exempt, withdrawn, taken by choice or no longer accepted. Whoever is on leave today
is left in peace and hears of it on the first day back, if it is still open. When nothing ran for some days, only the
newest step is told and not all that were missed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import CharField, DateField, Exists, F, IntegerField, OuterRef, Q, QuerySet, Value
from django.utils import timezone

from core.periods import start_of
from courses.domain.ladders import ladders_in_force, newest_step
from courses.models import Enrolment, LadderStep, ReminderDue
from people.models import Employee, Leave

_To = LadderStep.To


@dataclass(frozen=True)
class Due:
    """A step that duties with one due day have reached: the duties, and the path from each to who is to be told."""

    step: LadderStep
    due_on: dt.date
    duties: QuerySet[Enrolment]
    receiver: str

    @property
    def receiver_id(self) -> F:
        return F(f"{self.receiver}_id")


def at_work(path: str, on: dt.date) -> Q:
    """This function will ask that the person at the end of a path works here on a day and is not away."""
    away = Leave.objects.filter(employee=OuterRef(f"{path}_id"), starts_on__lte=on, ends_on__gte=on)
    return _employed(path, on) & Q(~Exists(away))


def _employed(path: str, on: dt.date) -> Q:
    hired = Q(**{f"{path}__hired_on": None}) | Q(**{f"{path}__hired_on__lte": on})
    stays = Q(**{f"{path}__left_on": None}) | Q(**{f"{path}__left_on__gte": on})
    return hired & stays & ~Q(**{f"{path}__state": Employee.State.SUSPENDED})


_SIGNS_IN = Q(employee__user__is_active=True)
# Who is told at a step: (the path from the duty, the duties for which it is that person).
_RECEIVERS: dict[str, list[tuple[str, Q]]] = {
    # Whoever cannot sign in cannot do it either: the manager hears of it, who can ask HR for an invitation.
    _To.EMPLOYEE: [("employee", _SIGNS_IN), ("employee__manager", ~_SIGNS_IN)],
    _To.MANAGER: [("employee__manager", Q())],
    _To.UPPER: [("employee__manager__manager", Q())],
}


def due_steps(*, on: dt.date, at: dt.datetime) -> Iterator[Due]:
    """This function will return what has been reached on a day and not yet been told, without writing anything."""
    for steps, runs in ladders_in_force(at):
        open_duties = Enrolment.objects.filter(run__in=[run.pk for run in runs], voluntary=False).unfinished()
        moments = open_duties.order_by().values_list("due_at", flat=True).distinct()
        for due_on in sorted({timezone.localdate(moment) for moment in moments}):
            after = start_of(due_on + dt.timedelta(days=1))
            duties = open_duties.filter(due_at__gte=start_of(due_on), due_at__lt=after)
            for to, receivers in _RECEIVERS.items():
                step = newest_step(steps, to, (on - due_on).days)
                if step is None:
                    continue
                told = ReminderDue.objects.filter(enrolment=OuterRef("pk"), due_on=due_on, days=step.days, to=to)
                for path, whose in receivers:
                    people = at_work("employee", on) if to == _To.EMPLOYEE else _employed("employee", on)
                    found = duties.filter(
                        whose, people, at_work(path, on), Q(**{f"{path}__user__is_active": True})
                    ).exclude(Exists(told))
                    yield Due(step=step, due_on=due_on, duties=found, receiver=path)


def find_due(*, on: dt.date, at: dt.datetime) -> int:
    """This function will write down who is to be told what on a day, each step of a duty once, and return how many."""
    return sum(_write(due, on) for due in due_steps(on=on, at=at))


def _write(due: Due, on: dt.date) -> int:
    whole, text, day = IntegerField(), CharField(), DateField()
    columns = {
        "enrolment_id": F("pk"),
        "step_id": Value(due.step.pk, whole),
        "days": Value(due.step.days, whole),
        "to": Value(str(due.step.to), text),
        "employee_id": due.receiver_id,
        "on": Value(on, day),
        "due_on": Value(due.due_on, day),
        "digest": Value("", text),
    }
    rows = (
        due.duties.order_by()
        .annotate(**{f"new_{name}": value for name, value in columns.items()})
        .values_list(*(f"new_{name}" for name in columns))
    )
    try:
        select, parameters = rows.query.sql_with_params()
    except EmptyResultSet:
        return 0
    table, quote = ReminderDue._meta.db_table, connection.ops.quote_name
    names = ", ".join(quote(name) for name in columns)
    with connection.cursor() as cursor:
        # Names come from the model and values go as parameters: nothing in this statement was typed by anybody.
        cursor.execute(
            f"INSERT INTO {quote(table)} ({names}) {select} ON CONFLICT DO NOTHING",  # noqa: S608
            parameters,
        )
        return cursor.rowcount
