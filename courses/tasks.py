"""Long work of this app: opening a month for many people; and by the clock: keeping up with who moves, joins and leaves."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import asdict

from django.core.files.base import ContentFile
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.jobs import JobKind, JobProblem, every, every_night, job_kind
from core.models import Event, Job
from core.models.jobs import private_storage
from core.pdf import PdfToolsMissing, join
from core.periods import Month
from courses import closed_report
from courses.domain import (
    catching_up,
    closing,
    ladders,
    matters,
    month_plan,
    opening,
    preparing,
    reconciling,
    reminders,
    requests,
    tallies,
)
from courses.domain.access import hr_units
from courses.models import Course, CourseRun
from people.domain.access import Actor, visible_units

log = logging.getLogger(__name__)


BATCH = 20_000  # people enrolled in one transaction


def parts_of(people_by_course: dict[int, int]) -> list[list]:
    """The parts of the work as [course id, is this its last part]: batches of people, then the end of each course."""
    parts: list[list] = []
    for course_id, people in people_by_course.items():
        parts += [[course_id, False]] * (people // BATCH)
        parts.append([course_id, True])
    return parts


@job_kind("courses.open_month", title=_("Opening the month"))
class OpenMonth(JobKind):
    """Opens one course of the plan after the other, for the units in which the person is HR at that moment.

    Arguments: the month, and the parts (see parts_of) as they were counted when the job was asked for.
    """

    def start(self, job) -> int:
        return len(job.arguments["parts"])

    def chunk(self, job) -> int:
        course_id, is_last = job.arguments["parts"][job.cursor]
        course, month, at = Course.objects.get(pk=course_id), Month.parse(job.arguments["month"]), timezone.now()
        values = {"by": job.requested_by, "at": at, "scope": self._scope(job)}
        try:
            with transaction.atomic():
                run = month_plan.plan_run(course=course, month=month, by=job.requested_by, at=at)
                if is_last:
                    opening.open_run(run=run, **values)
                else:
                    opening.enrol_some(run=run, limit=BATCH, **values)
        except (month_plan.NothingToLearn, month_plan.DesignNotPublished, opening.RunClosed, opening.ClosedForGood):
            pass  # the page of the month says so beside the course
        return 1

    def finish(self, job) -> dict:
        return {"month": job.arguments["month"]}

    def url(self, job) -> str:
        return reverse("courses:month", args=[job.arguments["month"]])

    def _scope(self, job) -> list:
        return _hr_units_of(job)


def _hr_units_of(job) -> list:
    """The units in which the person who asked for a job is HR at this moment."""
    units = hr_units(Actor(user=job.requested_by, on=timezone.localdate()))
    if not units:
        raise JobProblem(str(_("You are no longer HR of any unit.")))
    return units


@job_kind("courses.prepare_month", title=_("Preparing the month"))
class PrepareMonth(OpenMonth):
    """Enrols the people of a month ahead, one course after the other; arguments as for opening."""

    def chunk(self, job) -> int:
        course_id, is_last = job.arguments["parts"][job.cursor]
        course, month, at = Course.objects.get(pk=course_id), Month.parse(job.arguments["month"]), timezone.now()
        try:
            with transaction.atomic():
                run = month_plan.plan_run(course=course, month=month, by=job.requested_by, at=at)
                limit = None if is_last else BATCH
                preparing.prepare_run(run=run, by=job.requested_by, at=at, scope=self._scope(job), limit=limit)
        except (month_plan.NothingToLearn, month_plan.DesignNotPublished, preparing.RunBegun):
            pass  # the page of the month says so beside the course
        return 1


@job_kind("courses.look_for_matters", title=_("Looking for exceptions"))
class LookForMatters(JobKind):
    """Looks for what HR has to settle among the people of the person's units, in one piece.

    Not unit by unit: two records that may be one person lie in different units.
    """

    def start(self, job) -> int:
        return 1

    def chunk(self, job) -> int:
        matters.find_matters(at=timezone.now(), scope=_hr_units_of(job))
        return 1

    def url(self, job) -> str:
        return reverse("courses:matters")


DAYS_AHEAD = 7  # so many days before a month begins, its people are enrolled


@job_kind("courses.closed_report", title=_("Drawing the signed report"))
class ClosedReport(JobKind):
    """Draws the signed report of a unit of a closed month, some hundred units at a time.

    Arguments: the month and the unit. Acts as the person who asked: what they may no longer see is not drawn.
    """

    def start(self, job) -> int:
        return self._report(job).parts

    def chunk(self, job) -> int:
        storage = private_storage()
        before = sum(closed_report.pages(_content(_part(job, number))) for number in range(job.cursor))
        try:
            content = self._report(job).part(job.cursor, pages_before=before)
        except PdfToolsMissing as missing:
            raise JobProblem(gettext("This server lacks what PDFs need: %(what)s.") % {"what": missing}) from missing
        name = _part(job, job.cursor)
        storage.delete(name)  # of a run that died after writing it
        storage.save(name, ContentFile(content))
        return 1

    def finish(self, job) -> dict:
        storage = private_storage()
        parts = [_part(job, number) for number in range(job.total)]
        name = storage.save(f"jobs/closed-{job.pk}.pdf", ContentFile(join(_content(part) for part in parts)))
        Job.objects.filter(pk=job.pk).update(file=name)
        transaction.on_commit(lambda: [storage.delete(part) for part in parts])
        return {"month": job.arguments["month"]}

    def url(self, job) -> str:
        return reverse("courses:closed_report_job", args=[job.pk])

    @staticmethod
    def _report(job) -> closed_report.Report:
        actor = Actor(user=job.requested_by, on=timezone.localdate())
        close = closing.closed_month(Month.parse(job.arguments["month"]))
        if close is None or not visible_units(actor, "PM-X02").filter(pk=job.arguments["unit"]).exists():
            raise JobProblem(gettext("You may no longer see this unit."))
        return closed_report.Report(close, job.arguments["unit"], job.created_at)


@every(dt.timedelta(hours=1))
def forget_reports(now: dt.datetime) -> None:
    """Delete drawn reports a week after they were made; they can be drawn again at any time."""
    old = Job.objects.filter(kind="courses.closed_report", finished_at__lt=now - dt.timedelta(days=7))
    for job in old.exclude(file="").exclude(file=None):
        job.file.delete(save=False)
        Job.objects.filter(pk=job.pk).update(file="")


def _content(name: str) -> bytes:
    with private_storage().open(name) as file:
        return file.read()


def _part(job, number: int) -> str:
    return f"jobs/{job.pk}/{number:06d}.part"


@every(dt.timedelta(hours=1))
def prepare_next_month(now: dt.datetime) -> None:
    """Enrol the people of next month's published plan ahead, from DAYS_AHEAD days before it, and keep that up to date.

    What cannot be prepared is tried again an hour later; the page of the month says why.
    """
    month = Month.of(timezone.localdate(now)).next
    if month.first_day - timezone.localdate(now) > dt.timedelta(days=DAYS_AHEAD):
        return
    report = preparing.prepare_month(month=month, by=None, at=now, batch=BATCH)
    for refusal in report.refused:
        log.warning("%s %s cannot be prepared: %s", refusal.course.code, month, type(refusal.problem).__name__)


@every(dt.timedelta(hours=1))
def open_published_runs(now: dt.datetime) -> None:
    """Open what was published before its first day came, prepared or not, and add it to runs that are open already.

    After the due day only a person opens: all would be late at once. What nobody prepared is enrolled in batches.
    """
    for run in opening.runs_to_open(at=now):
        until = opening.published_before(run)
        lines = month_plan.plan_lines(month=run.month).filter(
            course=run.course_id, opened_at=None, published_at__lt=until
        )
        day = timezone.localdate(now)
        people = month_plan.people_to_enrol(course=run.course, month=run.month, lines=lines, on=day).count()
        values: dict = {"by": None, "at": now, "published_until": until}
        try:
            for _batch in range(people // BATCH):
                with transaction.atomic():
                    planned = month_plan.plan_run(course=run.course, month=run.month, by=None, at=now)
                    opening.enrol_some(run=planned, limit=BATCH, **values)
            with transaction.atomic():
                planned = month_plan.plan_run(course=run.course, month=run.month, by=None, at=now)
                opening.open_run(run=planned, **values)
        except (
            month_plan.NothingToLearn,
            month_plan.DesignNotPublished,
            opening.RunClosed,
            opening.ClosedForGood,
        ) as problem:
            log.warning("%s %s cannot be opened: %s", run.course.code, run.month, type(problem).__name__)


@every(dt.timedelta(hours=1))
def catch_up_with_the_roster(now: dt.datetime) -> None:
    """Enrol joiners, follow movers, withdraw leavers in every open run (as the button of the month does)."""
    catching_up.catch_up_by_the_clock(at=now)


_newest_move: int | None = None


@every(dt.timedelta(minutes=1))
def follow_moved_units(now: dt.datetime) -> None:
    """Recount the open runs when a unit was hung under another one: its duties now count for other units above it.

    The app of people knows nothing of tallies; the event of the move tells. Once at the start of the worker as well.
    """
    global _newest_move
    moves = Event.objects.filter(chain="roster", action="unit moved").order_by("-sequence")
    newest = moves.values_list("sequence", flat=True).first() or 0
    if newest == _newest_move:
        return
    for run in CourseRun.objects.filter(state=CourseRun.State.OPEN).order_by("pk"):
        if differences := tallies.recount(run=run):
            log.info("%s: %s tallies followed the unit tree", run, len(differences))
    _newest_move = newest


@every(dt.timedelta(minutes=1))
def send_reminders_by_the_clock(now: dt.datetime) -> None:
    """Once a day, when the general ladder says so, tell the day's reminders (as the command send_reminders does).

    A worker that was away at that time makes up for it, but not in the quiet hours: then it is left for tomorrow.
    """
    ladder = ladders.general_ladder()
    if ladder is None or timezone.localtime(now).time() < ladder.send_at:
        return
    quiet = ladders.quiet_hours(ladder)
    if quiet and quiet.until(now) > now:
        return
    last, today = Job.objects.filter(kind=reminders.SENT_KIND, requested_by=None), timezone.localdate(now)
    if (done_at := last.values_list("finished_at", flat=True).first()) and timezone.localdate(done_at) == today:
        return
    report = reminders.send_reminders(on=today, at=now)
    values = {"state": Job.State.DONE, "result": asdict(report), "finished_at": now}
    if not last.update(**values):
        Job.objects.create(kind=reminders.SENT_KIND, created_at=now, **values)
    log.info("%s people were reminded", report.people)


@every_night(reconciling.KIND)
def reconcile_tallies_at_night(now: dt.datetime) -> dict:
    """Recount the open runs, as the command reconcile_tallies does; what was wrong is put right and is an ERROR."""
    follow_moved_units(now)  # a unit moved a moment ago is no fault
    report = reconciling.reconcile(runs=reconciling.runs_to_count(), at=now)
    if report.is_clean:
        log.info("every completion count is right")
    return report.result


@every_night("courses.find_matters")
def find_matters_at_night(now: dt.datetime) -> dict:
    """Look for what HR has to settle, as the command find_matters and the button of the exceptions desk do."""
    look = matters.find_matters(at=now)
    return {"found": look.found, "back": look.back, "gone": look.gone, "open": look.open}


@every(dt.timedelta(hours=1))
def lapse_requests_without_a_duty(now: dt.datetime) -> None:
    """End the requests whose duty was done, excused or withdrawn meanwhile."""
    requests.lapse_requests(at=now)
