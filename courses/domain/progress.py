"""A learner's way through a course: the place that is kept, the steps that are done, and the end of it."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import transaction
from django.urls import reverse

from certificates.domain.issuing import NoPublishedDesign, issue_certificate
from certificates.models import Certificate
from core.notices import notify
from courses.domain import tallies
from courses.models import CourseRun, Enrolment, RunStep, Step, StepCompletion
from people.models import Employee

log = logging.getLogger(__name__)
_State = Enrolment.State


class NotOpenYet(Exception):
    """The run opens later."""


class TooLate(Exception):
    """Late work is no longer accepted for this run."""


class NotOwed(Exception):
    """The person is exempt from this duty, or it was withdrawn."""


class StepNotInRun(Exception):
    """The step is not among those that were frozen when the run opened."""


@dataclass(frozen=True)
class Completed:
    """What completing a step did. ``first_time`` is False when the step was done before: that first time stands."""

    first_time: bool
    finished: bool  # this very call completed the enrolment
    steps_done: int
    steps_total: int
    certificate: Certificate | None = None


def accepts_work(*, run: CourseRun, at: dt.datetime) -> bool:
    """This function will say whether steps of the run may be done at this moment."""
    return run.state == CourseRun.State.OPEN and run.opens_at <= at <= run.accept_until


def visit_step(*, enrolment: Enrolment, step: Step, at: dt.datetime) -> bool:
    """This function will keep the learner's place; the first visit turns assigned into in progress.

    Returns whether anything was kept: before the opening, after the last acceptance and for an exempt or withdrawn duty
    reading is free and leaves no trace. Raises StepNotInRun.
    """
    with transaction.atomic():
        run = CourseRun.objects.get(pk=enrolment.run_id)
        if not RunStep.objects.filter(run=run, step=step).exists():
            raise StepNotInRun
        if not accepts_work(run=run, at=at):
            return False
        if _begin(enrolment=enrolment, step=step, at=at):
            tallies.move(enrolment=_fresh(enrolment), before=_State.ASSIGNED)
            return True
        states = [_State.IN_PROGRESS, _State.COMPLETED]
        return bool(Enrolment.objects.filter(pk=enrolment.pk, state__in=states).update(last_step=step))


def complete_step(
    *,
    enrolment: Enrolment,
    step: Step,
    at: dt.datetime,
    how: StepCompletion.How = StepCompletion.How.READ,
) -> Completed:
    """This function will record that a step is done and, with the last required one, complete the duty.

    Recording a step twice keeps the first time. Completing stamps unit, position and whether it was in time, moves the
    tallies, issues the certificate of the course and tells the person: all of it in this one transaction, by
    compare-and-swap on the enrolment, so that of two last steps done at once exactly one completes it. Where the author
    allows it, the last passed test proves the rest (see TestingOut). Raises StepNotInRun, NotOpenYet, TooLate or NotOwed.
    """
    with transaction.atomic():
        run = CourseRun.objects.select_related("course__certificate_design").get(pk=enrolment.run_id)
        run_steps = list(RunStep.objects.filter(run=run).select_related("step"))
        if step.pk not in {run_step.step_id for run_step in run_steps}:
            raise StepNotInRun
        required = {run_step.step_id for run_step in run_steps if run_step.required}
        before = None
        if accepts_work(run=run, at=at):
            before = _take(enrolment=enrolment, step=step, at=at)
        enrolment = _fresh(enrolment)
        if before is None:
            return _without_change(enrolment=enrolment, run=run, step=step, required=required, at=at, how=how)
        _completion, first_time = StepCompletion.objects.get_or_create(
            enrolment=enrolment, step=step, defaults={"at": at, "how": how}
        )
        if how == StepCompletion.How.PASSED and run.course.test_out:
            _test_out(enrolment=enrolment, required=[one.step for one in run_steps if one.required], at=at)
        done = StepCompletion.objects.filter(enrolment=enrolment, step__in=required).count()
        if done < len(required):
            Enrolment.objects.filter(pk=enrolment.pk).update(steps_done=done)
            tallies.move(enrolment=enrolment, before=before)
            return Completed(first_time, finished=False, steps_done=done, steps_total=len(required))
        certificate = _finish(enrolment=enrolment, run=run, before=before, steps_done=done, at=at)
    return Completed(first_time, finished=True, steps_done=done, steps_total=len(required), certificate=certificate)


# --- testing out ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class TestingOut:
    """Where a person stands who may prove a course by its tests alone.

    Passing every required test (a step whose page type ``is_test``), none of them after a failure, proves the course:
    the other required steps count as tested out at that moment. Who has failed once goes by the lessons; the attempt
    counts as any other.
    """

    tests: list[Step]  # required ones, in their order
    left: list[Step]  # of these, not passed yet
    unread: list[Step]  # the other required steps that are not done
    failed: bool

    @property
    def is_open(self) -> bool:
        """Can the course still be proved this way, and does that spare anything?"""
        return bool(self.left and self.unread) and not self.failed


def testing_out(*, enrolment: Enrolment, required: Iterable[Step]) -> TestingOut | None:
    """This function will say where a person stands with testing out; None when the required steps hold no test.

    ``required`` are the required steps of the run. Whether the author allows it is Course.test_out.
    """
    required = list(required)
    kinds: dict[str, Any] = {step.kind: apps.get_model(step.kind) for step in required}
    tests = [step for step in required if kinds[step.kind].is_test]
    if not tests:
        return None
    completions = StepCompletion.objects.filter(enrolment=enrolment).values_list("step", "how")
    done = dict(completions)
    failed: set[int] = set()
    for model in {kinds[step.kind] for step in tests}:
        failed |= model.failed_steps(enrolment)
    return TestingOut(
        tests=tests,
        left=[step for step in tests if done.get(step.pk) != StepCompletion.How.PASSED],
        unread=[step for step in required if step not in tests and step.pk not in done],
        failed=bool(failed & {step.pk for step in tests}),
    )


def _test_out(*, enrolment: Enrolment, required: list[Step], at: dt.datetime) -> None:
    """Complete what is unread when every test is passed and none was failed. The row of the enrolment is ours."""
    standing = testing_out(enrolment=enrolment, required=required)
    if standing is None or standing.left or standing.failed:
        return
    StepCompletion.objects.bulk_create(
        [
            StepCompletion(enrolment=enrolment, step=step, at=at, how=StepCompletion.How.TESTED_OUT)
            for step in standing.unread
        ],
        ignore_conflicts=True,
    )


def _fresh(enrolment: Enrolment) -> Enrolment:
    """The row as it stands now; after one of our updates nobody else can change it before we commit."""
    return Enrolment.objects.select_related("unit", "run").get(pk=enrolment.pk)


def _begin(*, enrolment: Enrolment, step: Step, at: dt.datetime) -> bool:
    return bool(
        Enrolment.objects.filter(pk=enrolment.pk, state=_State.ASSIGNED).update(
            state=_State.IN_PROGRESS, started_at=at, last_step=step, changed_at=at
        )
    )


def _take(*, enrolment: Enrolment, step: Step, at: dt.datetime) -> str | None:
    """Claim the row of an unfinished duty and return the state it had; None when it is not unfinished.

    The update is the lock under which the steps are counted: a second writer waits here until the first has committed.
    """
    if _begin(enrolment=enrolment, step=step, at=at):
        return _State.ASSIGNED
    if Enrolment.objects.filter(pk=enrolment.pk, state=_State.IN_PROGRESS).update(last_step=step):
        return _State.IN_PROGRESS
    return None


def _without_change(
    *, enrolment: Enrolment, run: CourseRun, step: Step, required: set[int], at: dt.datetime, how: str
) -> Completed:
    """The answer when the duty does not change: the step was done before, or is one more of a finished course."""
    known = StepCompletion.objects.filter(enrolment=enrolment, step=step).exists()
    if not known:
        if run.state == CourseRun.State.PLANNED or at < run.opens_at:
            raise NotOpenYet
        if not accepts_work(run=run, at=at):
            raise TooLate
        if enrolment.state != _State.COMPLETED:
            raise NotOwed
        known = not StepCompletion.objects.get_or_create(
            enrolment=enrolment, step=step, defaults={"at": at, "how": how}
        )[1]
    return Completed(
        first_time=not known,
        finished=False,
        steps_done=enrolment.steps_done,
        steps_total=len(required),
        certificate=enrolment.certificate,
    )


def _finish(
    *, enrolment: Enrolment, run: CourseRun, before: str, steps_done: int, at: dt.datetime
) -> Certificate | None:
    employee = Employee.objects.select_related("user").get(pk=enrolment.employee_id)
    on_time = at <= enrolment.due_at
    changed = Enrolment.objects.filter(pk=enrolment.pk, state=_State.IN_PROGRESS).update(
        state=_State.COMPLETED,
        completed_at=at,
        changed_at=at,
        on_time=on_time,
        steps_done=steps_done,
        unit_done_id=employee.unit_id or enrolment.unit_id,
        position_done_id=employee.position_id,
    )
    if not changed:
        raise RuntimeError(f"enrolment {enrolment.pk} changed while its row was ours")
    enrolment.state, enrolment.on_time = _State.COMPLETED, on_time
    tallies.move(enrolment=enrolment, before=before)
    course, certificate = run.course, None
    if course.certificate_design:
        try:
            certificate = issue_certificate(
                employee=employee,
                design=course.certificate_design,
                subject_zh=course.title_zh or course.title_en,
                subject_en=course.title_en or course.title_zh,
                at=at,
            )
        except NoPublishedDesign:
            # Opening a run refuses such a design; should it still happen, the work that was done must not be lost.
            log.exception("no certificate for enrolment %s", enrolment.pk)
        else:
            Enrolment.objects.filter(pk=enrolment.pk, certificate=None).update(certificate=certificate)
    _tell(enrolment=enrolment, employee=employee, run=run, certificate=certificate, at=at)
    return certificate


def _tell(*, enrolment: Enrolment, employee: Employee, run: CourseRun, certificate: Certificate | None, at) -> None:
    zh, en = run.course.title_zh or run.course.title_en, run.course.title_en or run.course.title_zh
    if certificate:
        text_zh, text_en = f"您已学完《{zh}》，证书已颁发。", f"You have completed “{en}”. Your certificate is ready."
        url = reverse("certificates:detail", args=[certificate.pk])
    else:
        text_zh, text_en = f"您已学完《{zh}》。", f"You have completed “{en}”."
        url = reverse("courses:overview", args=[enrolment.pk])
    notify(user=employee.user, text_zh=text_zh, text_en=text_en, at=at, url=url, key=f"completed-{enrolment.pk}")
