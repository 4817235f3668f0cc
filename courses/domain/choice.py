"""Courses taken by choice: owed to nobody, beside every denominator, and given up again whenever one likes.

Where a person comes into the audience of the month later on, the course becomes owed and what was done stays done: see
courses.domain.catching_up. Proving a course without reading it (testing out) is in courses.domain.progress.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from certificates.domain.queries import state_of
from certificates.models import Certificate
from core.events import record_event
from core.periods import Month
from courses.domain import tallies
from courses.domain.month_plan import DesignNotPublished, NothingToLearn
from courses.domain.opening import NotOpenYet, RunClosed, open_for_choice
from courses.domain.progress import accepts_work
from courses.models import Course, CourseRun, Enrolment
from people.models import Employee

_State, _Reason = Enrolment.State, Enrolment.Reason
_UNFINISHED = (_State.ASSIGNED, _State.IN_PROGRESS)


class ChoiceRefused(Exception):
    """The course cannot be taken by choice now; the class says why."""


class NotByChoice(ChoiceRefused):
    """The author does not offer the course by choice, or this person cannot take courses (left, without a unit)."""


class AlreadyOwed(ChoiceRefused):
    """The person has it on record: owed now or left from before, excused from it this month, or done this month."""


class NotReady(ChoiceRefused):
    """Nothing of the course is published, its certificate is not, or this month's run is closed."""


class PlannedLater(ChoiceRefused):
    """HR has planned the course for this month and opens it soon."""


class NotGivenUp(Exception):
    """Only what one took by choice and has not finished can be given up."""


@dataclass(frozen=True)
class Offer:
    """What a page says to one person about one course: may it be taken by choice, and what is there already?

    ``taken`` is a course that was taken by choice and can be gone on with; ``refusal`` says why it cannot be taken.
    """

    taken: Enrolment | None = None
    refusal: ChoiceRefused | None = None

    @property
    def may_take(self) -> bool:
        return self.taken is None and self.refusal is None


def offer_of(*, employee: Employee, course: Course, at: dt.datetime) -> Offer:
    """This function will say whether a person may take a course by choice now, and change nothing."""
    if not course.by_choice or employee.state != Employee.State.ACTIVE or employee.unit_id is None:
        return Offer(refusal=NotByChoice())
    month = Month.of(timezone.localdate(at))
    theirs = (
        Enrolment.objects.filter(employee=employee, run__course=course, run__month__lte=month)
        .exclude(run__state=CourseRun.State.PLANNED)
        .select_related("run__course", "unit")
        .order_by("-run__month")
    )
    for one in theirs:
        usable = one.state in _UNFINISHED and accepts_work(run=one.run, at=at)
        if one.voluntary and usable:
            return Offer(taken=one)
        given_up = one.voluntary and one.state == _State.WITHDRAWN and one.decided_by_id is None
        if usable or (one.run.month == month and not given_up):
            return Offer(refusal=AlreadyOwed())
    run = CourseRun.objects.filter(course=course, month=month).first()
    if run is None or run.state == CourseRun.State.PLANNED:
        if run is not None and (at < run.opens_at or run.enrolments.exists()):
            return Offer(refusal=PlannedLater())
        if not course.steps.filter(live=True, required=True).exists():
            return Offer(refusal=NotReady())
        if course.certificate_design and not course.certificate_design.versions.exists():
            return Offer(refusal=NotReady())
    elif not accepts_work(run=run, at=at):
        return Offer(refusal=NotReady())
    return Offer()


def take_course(*, employee: Employee, course: Course, by, at: dt.datetime) -> Enrolment:
    """This function will give a person a course by choice, in this month's run, and return the (voluntary) enrolment.

    The run is opened when there is none yet, with nobody else in it. What was given up this month goes on where it
    stood. Taking it twice changes nothing. Tallies move in the same transaction; one event on the chain
    ``completions``. Raises NotByChoice, AlreadyOwed, NotReady or PlannedLater.
    """
    with transaction.atomic():
        course = Course.objects.select_related("certificate_design").get(pk=course.pk)
        employee = Employee.objects.select_related("unit").get(pk=employee.pk)
        offer = offer_of(employee=employee, course=course, at=at)
        if offer.refusal is not None or employee.unit is None:
            raise offer.refusal or NotByChoice
        if offer.taken is not None:
            return offer.taken
        try:
            run = open_for_choice(course=course, month=Month.of(timezone.localdate(at)), by=by, at=at)
        except (NothingToLearn, DesignNotPublished, RunClosed) as problem:
            raise NotReady from problem
        except NotOpenYet as problem:
            raise PlannedLater from problem
        if not accepts_work(run=run, at=at):
            raise NotReady
        enrolment, created = Enrolment.objects.get_or_create(
            run=run,
            employee=employee,
            defaults={
                "course_version": run.course_version,
                "voluntary": True,
                "reason": _Reason.CHOICE,
                "due_at": run.due_at,
                "unit": employee.unit,
                "unit_set": employee.unit,
                "position_set_id": employee.position_id,
                "assigned_at": at,
                "changed_at": at,
            },
        )
        before = None
        if not created:
            before = _State.WITHDRAWN
            if not _take_up_again(enrolment=enrolment, at=at):
                return _taken_meanwhile(enrolment)
        enrolment = Enrolment.objects.select_related("unit", "run__course", "employee").get(pk=enrolment.pk)
        tallies.move(enrolment=enrolment, before=before)
        record_event(
            chain="completions",
            action="taken by choice",
            subject=enrolment,
            actor=by,
            at=at,
            before={"state": before} if before else None,
            after={"state": enrolment.state, "voluntary": True},
        )
    return enrolment


def _take_up_again(*, enrolment: Enrolment, at: dt.datetime) -> bool:
    """What was given up becomes unfinished again, as far as it was."""
    state = _State.IN_PROGRESS if enrolment.started_at else _State.ASSIGNED
    employee = enrolment.employee
    return bool(
        Enrolment.objects.filter(pk=enrolment.pk, voluntary=True, state=_State.WITHDRAWN, decided_by=None).update(
            state=state, reason=_Reason.CHOICE, unit=employee.unit, changed_at=at
        )
    )


def _taken_meanwhile(enrolment: Enrolment) -> Enrolment:
    """A second tap was quicker, or an audience was: the row is there, and this call does nothing."""
    enrolment = Enrolment.objects.select_related("unit", "run__course", "employee").get(pk=enrolment.pk)
    if not enrolment.voluntary or enrolment.state not in _UNFINISHED:
        raise AlreadyOwed
    return enrolment


def give_up(*, enrolment: Enrolment, by, at: dt.datetime) -> Enrolment:
    """This function will withdraw an unfinished course that was taken by choice; twice changes nothing.

    What was done stays on record and is there when the course is taken again. Raises NotGivenUp for a duty, or for what
    is finished.
    """
    with transaction.atomic():
        theirs = Enrolment.objects.filter(pk=enrolment.pk, voluntary=True)
        given_up = {
            "state": _State.WITHDRAWN,
            "reason": _Reason.CHOICE,
            "reason_text": "",
            "decided_by": None,  # the person's word is the last one, whoever decided before
            "changed_at": at,
        }
        # In this order: what is begun in another tab meanwhile is met as begun.
        before = next((state for state in _UNFINISHED if theirs.filter(state=state).update(**given_up)), None)
        enrolment = Enrolment.objects.select_related("unit", "run__course", "employee").get(pk=enrolment.pk)
        if before is None:
            if enrolment.voluntary and enrolment.state == _State.WITHDRAWN:
                return enrolment
            raise NotGivenUp
        tallies.move(enrolment=enrolment, before=before)
        record_event(
            chain="completions",
            action="given up",
            subject=enrolment,
            actor=by,
            at=at,
            before={"state": before},
            after={"state": enrolment.state, "voluntary": True},
        )
    return enrolment


def proof_of(*, enrolment: Enrolment, on: dt.date) -> Certificate | None:
    """This function will return the newest valid certificate that the person holds of the same course from another time."""
    others = (
        Enrolment.objects.filter(
            employee=enrolment.employee_id, run__course=enrolment.run.course_id, certificate__revoked_at__isnull=True
        )
        .exclude(certificate=None)
        .exclude(pk=enrolment.pk)
        .select_related("certificate")
        .order_by("-certificate__issued_at")
    )
    held = (one.certificate for one in others if one.certificate is not None)
    return next((one for one in held if state_of(one, on=on) == "valid"), None)
