"""Counting again: are the running counts what the duties say? What is wrong is put right, and the report is kept."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import QuerySet

from core.models import Job
from core.periods import Month
from courses.domain import tallies
from courses.models import CourseRun
from people.models import OrgUnit

log = logging.getLogger(__name__)

KIND = "courses.reconcile_tallies"  # the job of the night whose answer is the report
KIND_OF_MONTH = "courses.count_month_again"  # keeps what a person had counted; nothing runs under this name
MOST_PLACES = 20  # differences named in the report


@dataclass(frozen=True)
class Report:
    """What counting again found: ``differences`` were put right, ``failed`` runs could not be counted."""

    at: dt.datetime
    runs: int
    differences: int
    failed: int
    places: list[dict] = field(default_factory=list)  # [{run, unit, kept, counted}], the first few

    @property
    def is_clean(self) -> bool:
        return not self.differences and not self.failed

    @property
    def result(self) -> dict:
        """As it is kept."""
        values = {"runs": self.runs, "differences": self.differences, "failed": self.failed}
        return {**values, "places": self.places} if self.places else values


def reconcile(*, runs: Iterable[CourseRun], at: dt.datetime) -> Report:
    """This function will recount the tallies of these runs, put right what differs and say what that was.

    One run that cannot be counted does not stop the others.
    """
    number, failed, found = 0, 0, []
    for run in runs:
        number += 1
        try:
            differences = tallies.recount(run=run)
        except Exception:
            log.exception("The completion counts of %s could not be recounted; they are as they were.", run)
            failed += 1
            continue
        found += [(run, difference) for difference in differences]
        if differences:
            log.error(
                "The completion counts of %s were wrong in %s units and have been put right. This should not happen: "
                "somebody may have changed the database by hand.",
                run,
                len(differences),
            )
    shown = found[:MOST_PLACES]
    codes = dict(OrgUnit.objects.filter(pk__in={one.unit_id for _run, one in shown}).values_list("pk", "code"))
    places = [
        {"run": str(run), "unit": codes.get(one.unit_id, ""), "kept": one.kept, "counted": one.counted}
        for run, one in shown
    ]
    return Report(at=at, runs=number, differences=len(found), failed=failed, places=places)


def runs_to_count(*, closed: bool = False) -> list[CourseRun]:
    """This function will return the open runs, with ``closed`` the closed ones too."""
    runs = CourseRun.objects.select_related("course").exclude(state=CourseRun.State.PLANNED)
    if not closed:
        runs = runs.exclude(state=CourseRun.State.CLOSED)
    return list(runs.order_by("month", "course__code"))


def keep_report(report: Report, *, month: Month | None = None) -> None:
    """This function will keep a report as the newest, as the worker keeps that of the night; of one month beside it."""
    last = _reports(month)
    values = {"state": Job.State.DONE, "result": report.result, "finished_at": report.at}
    if not last.update(**values):
        about = {"kind": KIND} if month is None else {"kind": KIND_OF_MONTH, "arguments": {"month": str(month)}}
        Job.objects.create(created_at=report.at, **about, **values)


def _reports(month: Month | None) -> QuerySet[Job]:
    kept = Job.objects.filter(requested_by=None)
    return kept.filter(kind=KIND) if month is None else kept.filter(kind=KIND_OF_MONTH, arguments__month=str(month))


def newest_report(*, month: Month | None = None) -> Report | None:
    """This function will return the report of the last time, or None if the counts were never counted again. One query.

    With ``month`` that of counting this month alone (closing.count_again).
    """
    row = _reports(month).filter(finished_at__isnull=False).values_list("finished_at", "result").first()
    if row is None or row[0] is None:
        return None
    at, result = row[0], row[1] or {}
    return Report(
        at=at,
        runs=result.get("runs", 0),
        differences=result.get("differences", 0),
        failed=result.get("failed", 0),
        places=result.get("places", []),
    )
