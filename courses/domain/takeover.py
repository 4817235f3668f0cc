"""Taking over learning that was done before, set by set: a former system's records, or the demo company's year."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction

from certificates.domain.issuing import Subject, issue_certificates
from core.batches import batches
from courses.domain import tallies
from courses.domain.progress import NotOpenYet, StepNotInRun, TooLate
from courses.models import CourseRun, Enrolment, RunStep, StepCompletion
from people.models import Employee

_State = Enrolment.State
_BATCH = 500
STAMPS = (
    "state", "started_at", "last_step", "steps_done", "completed_at", "on_time", "unit_done", "position_done",
    "certificate", "changed_at",
)  # fmt: skip


@dataclass(frozen=True)
class DoneStep:
    """One step that one person had done at a moment."""

    enrolment_id: int
    step_id: int
    at: dt.datetime
    how: StepCompletion.How = StepCompletion.How.READ


def take_over_steps(*, done: Iterable[DoneStep], at: dt.datetime) -> list[Enrolment]:
    """This function will record many steps of the past at once and return the duties that they completed.

    The same outcome as complete_step called for each in the order of time, in a handful of statements: the first time
    of a step stands, the last required step completes, stamps unit, position and punctuality, and issues the
    certificate of the course dated that moment; the tallies of the runs are recounted. Nobody is told: it is no news.
    Steps of exempt, withdrawn or completed duties are passed over. Raises StepNotInRun, NotOpenYet or TooLate, and then
    nothing is kept.
    """
    by_enrolment: dict[int, list[DoneStep]] = defaultdict(list)
    for one in done:
        by_enrolment[one.enrolment_id].append(one)
    with transaction.atomic():
        owed = {
            enrolment.pk: enrolment
            for ids in batches(by_enrolment, _BATCH)
            # On SQLite the transaction itself is the lock.
            for enrolment in Enrolment.objects.select_for_update().filter(pk__in=ids).unfinished()
        }
        runs = CourseRun.objects.select_related("course__certificate_design").in_bulk(
            {enrolment.run_id for enrolment in owed.values()}
        )
        required: dict[int, dict[int, bool]] = defaultdict(dict)
        for run_id, step_id, is_required in RunStep.objects.filter(run__in=runs).values_list(
            "run_id", "step_id", "required"
        ):
            required[run_id][step_id] = is_required
        for pk in owed:
            _check(by_enrolment[pk], runs[owed[pk].run_id], required[owed[pk].run_id])
        _write_completions(by_enrolment, owed)
        finished = _move_on(owed, required)
        _issue(finished, runs, at)
        # An upsert by id: many times quicker than one CASE for every row.
        Enrolment.objects.bulk_create(
            owed.values(), batch_size=1000, update_conflicts=True, unique_fields=["id"], update_fields=STAMPS
        )
        for run in runs.values():
            tallies.recount(run=run)
    return finished


def _check(steps: list[DoneStep], run: CourseRun, known: dict[int, bool]) -> None:
    for one in steps:
        if one.step_id not in known:
            raise StepNotInRun
        if run.state == CourseRun.State.PLANNED or one.at < run.opens_at:
            raise NotOpenYet
        if one.at > run.accept_until:
            raise TooLate


def _write_completions(by_enrolment: dict[int, list[DoneStep]], owed: dict[int, Enrolment]) -> None:
    StepCompletion.objects.bulk_create(
        [
            StepCompletion(enrolment_id=pk, step_id=one.step_id, at=one.at, how=one.how)
            for pk in owed
            for one in sorted(by_enrolment[pk], key=lambda one: one.at)
        ],
        batch_size=2000,
        ignore_conflicts=True,
    )


def _move_on(owed: dict[int, Enrolment], required: dict[int, dict[int, bool]]) -> list[Enrolment]:
    """Bring the duties to where their completions say they are; return those that are finished, in order of time."""
    done_at: dict[int, dict[int, dt.datetime]] = defaultdict(dict)
    for ids in batches(owed, _BATCH):
        for pk, step_id, moment in StepCompletion.objects.filter(enrolment__in=ids).values_list(
            "enrolment_id", "step_id", "at"
        ):
            done_at[pk][step_id] = moment
    people = {
        employee.pk: employee
        for ids in batches((enrolment.employee_id for enrolment in owed.values()), _BATCH)
        for employee in Employee.objects.filter(pk__in=ids)
    }
    finished = []
    for pk, enrolment in owed.items():
        moments = done_at[pk]
        if not moments:
            continue
        wanted = {step_id for step_id, is_required in required[enrolment.run_id].items() if is_required}
        enrolment.state = _State.IN_PROGRESS
        enrolment.started_at = min([*moments.values(), *filter(None, [enrolment.started_at])])
        enrolment.last_step_id = max(moments, key=moments.__getitem__)
        enrolment.steps_done = len(wanted & moments.keys())
        enrolment.changed_at = max(moments.values())
        if wanted <= moments.keys():
            employee = people[enrolment.employee_id]
            enrolment.employee = employee
            enrolment.state = _State.COMPLETED
            enrolment.completed_at = enrolment.changed_at = max(moments[step_id] for step_id in wanted)
            enrolment.on_time = enrolment.completed_at <= enrolment.due_at
            enrolment.unit_done_id = employee.unit_id or enrolment.unit_id
            enrolment.position_done_id = employee.position_id
            finished.append(enrolment)
    return sorted(finished, key=lambda enrolment: (enrolment.completed_at, enrolment.pk))


def _issue(finished: list[Enrolment], runs: dict[int, CourseRun], at: dt.datetime) -> None:
    """The certificates of the courses that have one, design by design, in order of time."""
    by_design: dict = defaultdict(list)
    for enrolment in finished:
        design = runs[enrolment.run_id].course.certificate_design
        if design:
            by_design[design].append(enrolment)
    for design, enrolments in by_design.items():
        courses = [runs[enrolment.run_id].course for enrolment in enrolments]
        subjects = [
            Subject(
                employee=enrolment.employee,
                title_zh=course.title_zh or course.title_en,
                title_en=course.title_en or course.title_zh,
                at=enrolment.completed_at,
            )
            for enrolment, course in zip(enrolments, courses, strict=True)
        ]
        certificates = issue_certificates(subjects=subjects, design=design, at=at)
        for enrolment, certificate in zip(enrolments, certificates, strict=True):
            enrolment.certificate = certificate
