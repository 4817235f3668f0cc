"""What people decide about single duties, each with a reason and one event on the chain ``completions``.

The reason is free text and stands on the duty, where everybody who may see the record reads it. The reason *code*
(DutyRequest.Code) is for counting and for the words of the record in either language: it is kept in the event of the
decision (``after["code"]``), whether the decision was asked for or not, and the record reads it from there
(courses.domain.requests.duty_events). It is no column of Enrolment, because adding one remakes that table on SQLite and
with it the triggers that keep its history; and no row of DutyRequest, because nobody asked.

Exempting, withdrawing, reinstating and recording past training stay possible in a run that is closed: they are the
corrections of a month that has ended, and the history of the duty (EnrolmentChange) shows them as such. Moving the due
day is for open runs only: in a closed one no more work is accepted that could meet it.
"""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.utils import timezone

from core.events import record_event
from core.periods import end_of
from courses.domain import tallies
from courses.models import CourseRun, DutyRequest, Enrolment, EnrolmentChange, RunStep, StepCompletion
from people.models import Employee

_State, _Reason = Enrolment.State, Enrolment.Reason
_UNFINISHED = (_State.ASSIGNED, _State.IN_PROGRESS)
_OPEN = (CourseRun.State.OPEN,)
_OPEN_OR_CLOSED = (CourseRun.State.OPEN, CourseRun.State.CLOSED)


class ReasonMissing(Exception):
    """A decision about a person's duty needs a reason."""


class NotPossibleNow(Exception):
    """The duty is in a state in which this cannot be decided, or somebody else changed it a moment ago."""


class DueRefused(Exception):
    """The new due day is not later than the present one, or lies after the last day on which work is accepted."""


class DayRefused(Exception):
    """The day on which past training was done lies in the future."""


def exempt_enrolment(*, enrolment: Enrolment, by, at: dt.datetime, reason: str, code: str = "") -> Enrolment:
    """This function will take an unfinished duty out of the denominator as exempt.

    In an open run or, as a correction, in a closed one. What was taken by choice is owed to nobody and cannot be
    exempt. Raises ReasonMissing, or NotPossibleNow when the duty is not unfinished (any more).
    """
    if enrolment.voluntary:
        raise NotPossibleNow
    return _decide(
        enrolment=enrolment,
        action="exempted",
        allowed=_UNFINISHED,
        state=_State.EXEMPT,
        by=by,
        at=at,
        reason=reason,
        code=code,
    )


def withdraw_enrolment(
    *,
    enrolment: Enrolment,
    by,
    at: dt.datetime,
    reason: str,
    code: str = "",
    cause: Enrolment.Reason = _Reason.HR,
) -> Enrolment:
    """This function will withdraw an unfinished duty that should not have been set.

    In an open run or, as a correction, in a closed one. ``cause`` is what the duty says of itself afterwards (decided by
    HR, left, moved). Raises ReasonMissing, or NotPossibleNow when the duty is not unfinished (any more).
    """
    return _decide(
        enrolment=enrolment,
        action="withdrawn",
        allowed=_UNFINISHED,
        state=_State.WITHDRAWN,
        by=by,
        at=at,
        reason=reason,
        code=code,
        cause=cause,
    )


def reinstate_enrolment(*, enrolment: Enrolment, by, at: dt.datetime, reason: str) -> Enrolment:
    """This function will make an exempt or withdrawn duty owed again, as far as it was.

    In an open run or, as a correction, in a closed one. Raises ReasonMissing, or NotPossibleNow when the duty is
    neither exempt nor withdrawn.
    """
    state = _State.IN_PROGRESS if enrolment.started_at else _State.ASSIGNED
    return _decide(
        enrolment=enrolment,
        action="reinstated",
        allowed=(_State.EXEMPT, _State.WITHDRAWN),
        state=state,
        by=by,
        at=at,
        reason=reason,
    )


def _reason(text: str) -> str:
    text = text.strip()
    if not text:
        raise ReasonMissing
    return text[:300]


def _coded(values: dict, code: str) -> dict:
    """What an event says after a decision, with the reason code where there is one."""
    return {**values, "code": DutyRequest.Code(code).value} if code else values


def _run_or_refuse(enrolment: Enrolment, states: tuple) -> CourseRun:
    run = CourseRun.objects.get(pk=enrolment.run_id)
    if run.state not in states:
        raise NotPossibleNow
    return run


def _decide(
    *,
    enrolment: Enrolment,
    action: str,
    allowed: tuple,
    state: str,
    by,
    at: dt.datetime,
    reason: str,
    code: str = "",
    cause: Enrolment.Reason = _Reason.HR,
) -> Enrolment:
    text = _reason(reason)
    with transaction.atomic():
        _run_or_refuse(enrolment, _OPEN_OR_CLOSED)
        before = enrolment.state
        if before not in allowed:
            raise NotPossibleNow
        changed = Enrolment.objects.filter(pk=enrolment.pk, state=before).update(
            state=state, reason=cause, reason_text=text, decided_by=by, changed_at=at
        )
        if not changed:
            raise NotPossibleNow
        enrolment = Enrolment.objects.select_related("unit", "run").get(pk=enrolment.pk)
        tallies.move(enrolment=enrolment, before=before)
        record_event(
            chain="completions",
            action=action,
            subject=enrolment,
            actor=by,
            at=at,
            before={"state": before},
            after=_coded({"state": state}, code),
            reason=text,
        )
    return enrolment


def enrol_late(*, run: CourseRun, employee: Employee, by, at: dt.datetime, reason: str) -> Enrolment:
    """This function will give one person the duty of an open run after all, whom the rule for joiners left for next month.

    Due when everybody's is. Who took the course by choice owes it from now on, and a duty that HR withdrew, or a choice
    that was given up, is owed as far as it was done. Raises ReasonMissing, or NotPossibleNow when the run takes no more
    work, the person does not work here, has no unit, or has the duty already.
    """
    text = _reason(reason)
    with transaction.atomic():
        run = CourseRun.objects.get(pk=run.pk)
        employee = Employee.objects.select_related("unit").get(pk=employee.pk)
        if run.state != CourseRun.State.OPEN or at > run.accept_until:
            raise NotPossibleNow
        if employee.state != Employee.State.ACTIVE or employee.unit is None:
            raise NotPossibleNow
        values = {"reason": _Reason.JOINED, "reason_text": text, "decided_by": by, "changed_at": at}
        enrolment, created = Enrolment.objects.select_related("unit", "run").get_or_create(
            run=run,
            employee=employee,
            defaults={
                **values,
                "course_version": run.course_version,
                "due_at": run.due_at,
                "unit": employee.unit,
                "unit_set": employee.unit,
                "position_set_id": employee.position_id,
                "assigned_at": at,
            },
        )
        before = None
        if created:
            tallies.move(enrolment=enrolment, before=None)
        else:
            before = {"state": enrolment.state, "voluntary": enrolment.voluntary}
            _owe(enrolment, employee, values)
            enrolment = Enrolment.objects.select_related("unit", "run").get(pk=enrolment.pk)
            tallies.recount(run=run)
        record_event(
            chain="completions",
            action="enrolled",
            subject=enrolment,
            actor=by,
            at=at,
            before=before,
            after={"state": enrolment.state, "due_at": enrolment.due_at},
            reason=text,
        )
    return enrolment


def _owe(enrolment: Enrolment, employee: Employee, values: dict) -> None:
    """Make what is there owed, as far as it is done, if it is by choice or was withdrawn by HR and still is as read."""
    withdrawn = enrolment.state == _State.WITHDRAWN
    if not enrolment.voluntary and not (withdrawn and enrolment.decided_by_id):
        raise NotPossibleNow
    if withdrawn:
        state = _State.IN_PROGRESS if enrolment.started_at else _State.ASSIGNED
        values = {**values, "state": state, "unit": employee.unit}
    as_read = {"state": enrolment.state, "voluntary": enrolment.voluntary, "changed_at": enrolment.changed_at}
    if not Enrolment.objects.filter(pk=enrolment.pk, **as_read).update(voluntary=False, **values):
        raise NotPossibleNow


def undo_enrol_late(*, enrolment: Enrolment, by, at: dt.datetime, reason: str) -> Enrolment:
    """This function will take enrol_late back, right after it: what was by choice is so again, other duties are withdrawn.

    What the duty was before it reads from its history (EnrolmentChange). One event on the chain ``completions``. Raises
    ReasonMissing, or NotPossibleNow when the duty has changed since, or is finished and was not by choice.
    """
    text = _reason(reason)
    newest, *earlier = EnrolmentChange.objects.filter(enrolment=enrolment).order_by("-pk")[:2]
    if newest.voluntary or newest.at != enrolment.changed_at:
        raise NotPossibleNow
    was = earlier[0] if earlier else None
    if was is None or not was.voluntary:
        return withdraw_enrolment(enrolment=enrolment, by=by, at=at, reason=text)
    with transaction.atomic():
        _run_or_refuse(enrolment, _OPEN_OR_CLOSED)
        given_up = {"state": _State.WITHDRAWN} if was.state == _State.WITHDRAWN else {}
        changed = Enrolment.objects.filter(
            pk=enrolment.pk, state=enrolment.state, voluntary=False, changed_at=enrolment.changed_at
        ).update(
            voluntary=True,
            reason=was.reason,
            reason_text=was.reason_text,
            decided_by_id=was.decided_by_id,
            changed_at=at,
            **given_up,
        )
        if not changed:
            raise NotPossibleNow
        before = enrolment.state
        enrolment = Enrolment.objects.select_related("unit", "run").get(pk=enrolment.pk)
        tallies.recount(run=enrolment.run)
        record_event(
            chain="completions",
            action="withdrawn",
            subject=enrolment,
            actor=by,
            at=at,
            before={"state": before, "voluntary": False},
            after={"state": enrolment.state, "voluntary": True},
            reason=text,
        )
    return enrolment


def extend_due(*, enrolment: Enrolment, until: dt.date, by, at: dt.datetime, reason: str, code: str = "") -> Enrolment:
    """This function will move the due time of one unfinished duty to the end of a later day.

    In an open run only. Work done by then counts as in time. What was taken by choice is owed on no day. Raises
    ReasonMissing, NotPossibleNow, or DueRefused when the day is not after the present due day or is after the run's
    last day of acceptance.
    """
    text, due_at = _reason(reason), end_of(until)
    with transaction.atomic():
        run = _run_or_refuse(enrolment, _OPEN)
        if enrolment.state not in _UNFINISHED or enrolment.voluntary:
            raise NotPossibleNow
        if due_at <= enrolment.due_at or until > timezone.localdate(run.accept_until):
            raise DueRefused
        changed = Enrolment.objects.filter(pk=enrolment.pk, state__in=_UNFINISHED, due_at=enrolment.due_at).update(
            due_at=due_at, reason_text=text, decided_by=by, changed_at=at
        )
        if not changed:
            raise NotPossibleNow
        record_event(
            chain="completions",
            action="extended",
            subject=enrolment,
            actor=by,
            at=at,
            before={"due_at": enrolment.due_at},
            after=_coded({"due_at": due_at}, code),
            reason=text,
        )
    return Enrolment.objects.select_related("unit", "run").get(pk=enrolment.pk)


def record_past_completion(*, enrolment: Enrolment, on: dt.date, by, at: dt.datetime, reason: str) -> Enrolment:
    """This function will complete an unfinished duty with training that was done elsewhere on a past day.

    In an open run or, as a correction, in a closed one. Its open steps are recorded as done by HR on that day, and
    whether it was in time follows from the day. No certificate: that is for those who passed here (issuing one by hand
    is a decision of its own). Raises ReasonMissing, NotPossibleNow or DayRefused.
    """
    text = _reason(reason)
    if on > timezone.localdate(at):
        raise DayRefused
    done_at = min(end_of(on), at)
    with transaction.atomic():
        _run_or_refuse(enrolment, _OPEN_OR_CLOSED)
        before = enrolment.state
        if before not in _UNFINISHED:
            raise NotPossibleNow
        employee = Employee.objects.get(pk=enrolment.employee_id)
        required = list(RunStep.objects.filter(run=enrolment.run_id, required=True).values_list("step_id", flat=True))
        on_time = done_at <= enrolment.due_at
        changed = Enrolment.objects.filter(pk=enrolment.pk, state=before, due_at=enrolment.due_at).update(
            state=_State.COMPLETED,
            reason=_Reason.PAST,
            reason_text=text,
            decided_by=by,
            completed_at=done_at,
            changed_at=at,
            on_time=on_time,
            steps_done=len(required),
            unit_done_id=employee.unit_id or enrolment.unit_id,
            position_done_id=employee.position_id,
        )
        if not changed:
            raise NotPossibleNow
        StepCompletion.objects.bulk_create(
            [
                StepCompletion(enrolment=enrolment, step_id=step_id, at=done_at, how=StepCompletion.How.HR)
                for step_id in required
            ],
            ignore_conflicts=True,
        )
        enrolment = Enrolment.objects.select_related("unit", "run").get(pk=enrolment.pk)
        tallies.move(enrolment=enrolment, before=before)
        record_event(
            chain="completions",
            action="past training recorded",
            subject=enrolment,
            actor=by,
            at=at,
            before={"state": before},
            after={"state": _State.COMPLETED.value, "completed_at": done_at, "on_time": on_time},
            reason=text,
        )
    return enrolment
