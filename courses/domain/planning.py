"""The year plan of a programme: which course runs in which month, as drafts until it is published."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from django.db import IntegrityError, transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.utils import timezone

from certificates.models import DesignVersion
from core.events import record_event
from core.periods import Month
from courses.domain.preparing import hold_run, withdraw_unplanned
from courses.models import Audience, Course, CourseRun, PlanLine, Programme, Step


class MonthPassed(Exception):
    """The month has passed: nothing is planned into it any more."""


class AlreadyPlanned(Exception):
    """The programme has this course in this month already."""


class LineOpened(Exception):
    """The line has been opened: its people have their duty, so it stays where it is."""


class LinePrepared(Exception):
    """The line has been prepared ahead, so it cannot become a draft again (it can be moved or taken out)."""


class LineGone(Exception):
    """The line is no longer in the plan, or somebody moved it a moment ago."""


class NothingToCopy(Exception):
    """The year before has no plan."""


class ProgrammeChanged(Exception):
    """Somebody changed the programme since it was looked at."""


class LineState(StrEnum):
    """Where a line of the plan stands. ``missed``: its month has passed and it was never opened."""

    DRAFT = "draft"
    PUBLISHED = "published"
    PREPARED = "prepared"
    OPEN = "open"
    CLOSED = "closed"
    MISSED = "missed"


@dataclass(frozen=True)
class PlanCard:
    """One course in one month. ``ready``: it could be opened as it is published now."""

    line: PlanLine
    state: LineState
    ready: bool

    @property
    def course(self) -> Course:
        return self.line.course

    @property
    def may_move(self) -> bool:
        return self.line.opened_at is None


@dataclass(frozen=True)
class PlanCell:
    """The courses of one theme in one month."""

    theme: str
    label: str
    cards: list[PlanCard] = field(default_factory=list)


@dataclass(frozen=True)
class PlanMonth:
    """One month of the year by themes. ``may_plan``: it has not passed."""

    month: Month
    cells: list[PlanCell]
    may_plan: bool

    @property
    def cards(self) -> list[PlanCard]:
        return [card for cell in self.cells for card in cell.cards]

    @property
    def is_empty(self) -> bool:
        return not any(cell.cards for cell in self.cells)


@dataclass(frozen=True)
class PlanYear:
    """A programme's year: twelve months by themes, what waits to be published, what last year would add."""

    programme: Programme
    year: int
    months: list[PlanMonth]
    to_copy: int

    @property
    def drafts(self) -> int:
        """How many lines publish_year would publish."""
        return sum(1 for one in self.months for card in one.cards if card.state == LineState.DRAFT)

    @property
    def lines(self) -> int:
        return sum(len(one.cards) for one in self.months)

    @property
    def without_course(self) -> list[Month]:
        """The months from this one on that nothing is planned for."""
        return [one.month for one in self.months if one.may_plan and one.is_empty]


@dataclass(frozen=True)
class CopyReport:
    """What copying a year did: lines made (drafts), lines that were there, lines whose month has passed."""

    made: list[PlanLine]
    there: int = 0
    passed: int = 0


# --- reading --------------------------------------------------------------------------------------------------------
def months_of(year: int) -> list[Month]:
    """This function will return the twelve months of a year."""
    return [Month(year, number) for number in range(1, 13)]


def learnable_courses() -> QuerySet[Course]:
    """This function will return the courses that somebody could complete: a required step of theirs is published."""
    return Course.objects.filter(Exists(Step.objects.filter(course=OuterRef("pk"), live=True, required=True)))


def year_plan(*, programme: Programme, year: int, at: dt.datetime) -> PlanYear:
    """This function will return a programme's year as a grid of months and themes. Three queries."""
    this_month, months = Month.of(timezone.localdate(at)), months_of(year)
    lines = list(
        PlanLine.objects.filter(programme=programme, month__in=[*months, *months_of(year - 1)])
        .select_related("course")
        .order_by("month", "course__code")
    )
    now = [line for line in lines if line.month.year == year]
    there = {(line.course_id, line.month) for line in now}
    runs = CourseRun.objects.filter(month__in=months, course__in={line.course_id for line in now})
    state_of_run = {(run.course_id, run.month): run.state for run in runs}
    ready = _ready({line.course_id for line in now})
    cards: dict[tuple[Month, str], list[PlanCard]] = {}
    for line in now:
        state = _state(line, state_of_run.get((line.course_id, line.month)), this_month)
        card = PlanCard(line=line, state=state, ready=line.course_id in ready)
        cards.setdefault((line.month, line.course.theme), []).append(card)
    grid = [
        PlanMonth(
            month=month,
            cells=[
                PlanCell(theme=theme.value, label=str(theme.label), cards=cards.get((month, theme.value), []))
                for theme in Course.Theme
            ],
            may_plan=month >= this_month,
        )
        for month in months
    ]
    last_year = ((line.course_id, line.month.plus(12)) for line in lines if line.month.year == year - 1)
    to_copy = sum(1 for course_id, month in last_year if month >= this_month and (course_id, month) not in there)
    return PlanYear(programme=programme, year=year, months=grid, to_copy=to_copy)


def _state(line: PlanLine, run_state: str | None, this_month: Month) -> LineState:
    if line.opened_at is not None:
        return LineState.CLOSED if run_state == CourseRun.State.CLOSED else LineState.OPEN
    if line.month < this_month:
        return LineState.MISSED
    if line.published_at is None:
        return LineState.DRAFT
    return LineState.PREPARED if line.prepared_at is not None else LineState.PUBLISHED


def _ready(courses: Iterable[int]) -> set[int]:
    """Those of these courses that open_run would not refuse."""
    published = DesignVersion.objects.filter(design=OuterRef("certificate_design"))
    found = learnable_courses().filter(Q(certificate_design=None) | Exists(published), pk__in=courses)
    return set(found.values_list("pk", flat=True))


# --- programmes -----------------------------------------------------------------------------------------------------
def marker(programme: Programme) -> str:
    """This function will return a mark of what a programme says, for a page to say later what was seen on it."""
    return hashlib.sha256(json.dumps(_said(programme), sort_keys=True).encode()).hexdigest()[:16]


def save_programme(
    *,
    programme: Programme | None,
    name: str,
    name_en: str,
    audience: Audience,
    active: bool,
    by,
    at: dt.datetime,
    seen: str | None = None,
) -> Programme:
    """This function will make a programme or change one, and keep what it said before and says now in the chain ``months``.

    ``seen``: the marker of the page that the change was made on. Saving what is there already changes nothing and leaves
    no event. Raises ProgrammeChanged when the programme is no longer as it was loaded, or seen.
    """
    values = {"name": name, "name_en": name_en, "audience": audience, "active": active}
    with transaction.atomic():
        if programme is None:
            made = Programme.objects.create(**values)
            _record("programme made", made, by=by, at=at, after=_said(made))
            return made
        if seen is not None and seen != marker(programme):
            raise ProgrammeChanged
        before = _said(programme)
        if not Programme.objects.filter(pk=programme.pk, **before).update(**values):
            raise ProgrammeChanged
        saved = Programme.objects.select_related("audience__scope").get(pk=programme.pk)
        if _said(saved) != before:
            _record("programme changed", saved, by=by, at=at, before=before, after=_said(saved))
    return saved


def _said(programme: Programme) -> dict:
    return {
        "name": programme.name,
        "name_en": programme.name_en,
        "audience": programme.audience_id,
        "active": programme.active,
    }


# --- planning -------------------------------------------------------------------------------------------------------
def plan_course(
    *, programme: Programme, course: Course, month: Month, by, at: dt.datetime, published: bool = False
) -> PlanLine:
    """This function will put a course into a month of a programme's plan, as a draft.

    ``published``: at once published, for a line that was and was taken out by mistake. One event on the chain
    ``months``. Raises MonthPassed or AlreadyPlanned.
    """
    _refuse_passed(month, at)
    with transaction.atomic():
        line, made = PlanLine.objects.get_or_create(
            programme=programme, course=course, month=month, defaults={"published_at": at if published else None}
        )
        if not made:
            raise AlreadyPlanned
        _record("course planned", line, by=by, at=at, after=_where(line))
    return line


def move_course(*, line: PlanLine, month: Month, by, at: dt.datetime) -> PlanLine:
    """This function will move a line to another month; what is published stays published.

    Published anew when the new month has begun, so that it waits for a person there as what is published in it does.

    Whoever was enrolled ahead for the old month is withdrawn from it, unless another line selects them
    (opening.withdraw_unplanned); the new month is prepared anew. A move to the month where it is changes nothing. One
    event on the chain ``months``. Raises MonthPassed, LineOpened, AlreadyPlanned or LineGone.
    """
    if month == line.month:
        return line
    _refuse_passed(month, at)
    begun = month.first_day <= timezone.localdate(at)
    with transaction.atomic():
        hold_run(course=line.course, month=line.month)
        before = _where(line)
        try:
            with transaction.atomic():
                moved = PlanLine.objects.filter(pk=line.pk, month=line.month, opened_at=None).update(
                    month=month,
                    prepared_at=None,
                    published_at=Case(When(published_at__isnull=False, then=Value(at))) if begun else F("published_at"),
                )
        except IntegrityError as error:  # plan_line_once: somebody planned it there at the same moment
            raise AlreadyPlanned from error
        if not moved:
            _refuse(line)
        fresh = PlanLine.objects.select_related("course", "programme").get(pk=line.pk)
        _record("course moved", fresh, by=by, at=at, before=before, after=_where(fresh))
        withdraw_unplanned(course=fresh.course, month=line.month, at=at)
    return fresh


def remove_course(*, line: PlanLine, by, at: dt.datetime) -> None:
    """This function will take a line that was not opened out of the plan.

    If it was prepared, its people are withdrawn from the run unless another line selects them
    (opening.withdraw_unplanned). One event on the chain ``months``. Raises LineOpened or LineGone.
    """
    with transaction.atomic():
        hold_run(course=line.course, month=line.month)
        subject = PlanLine(pk=line.pk)
        removed, _rows = PlanLine.objects.filter(pk=line.pk, month=line.month, opened_at=None).delete()
        if not removed:
            _refuse(line)
        _record("course taken out", subject, by=by, at=at, before=_where(line))
        withdraw_unplanned(course=line.course, month=line.month, at=at)


def copy_year(*, programme: Programme, year: int, by, at: dt.datetime) -> CopyReport:
    """This function will copy the plan of the year before into a year, month by month, as drafts.

    What is planned already stays as it is, and months that have passed are left out, so a second call makes nothing.
    One event on the chain ``months`` if anything was made. Raises NothingToCopy.
    """
    this_month = Month.of(timezone.localdate(at))
    source = PlanLine.objects.filter(programme=programme, month__in=months_of(year - 1)).order_by("month", "course")
    wanted = [(line.course_id, line.month.plus(12)) for line in source]
    if not wanted:
        raise NothingToCopy
    open_months = [(course_id, month) for course_id, month in wanted if month >= this_month]
    with transaction.atomic():
        lines = PlanLine.objects.filter(programme=programme, month__in=months_of(year))
        there = set(lines.values_list("course_id", "month"))
        PlanLine.objects.bulk_create(
            [
                PlanLine(programme=programme, course_id=course_id, month=month)
                for course_id, month in open_months
                if (course_id, month) not in there
            ],
            ignore_conflicts=True,
        )
        made = [line for line in lines.order_by("month", "course") if (line.course_id, line.month) not in there]
        if made:
            _record(
                "year copied",
                programme,
                by=by,
                at=at,
                after={"year": year, "lines": [_where(line) for line in _with_course(made)]},
            )
    return CopyReport(made=made, there=len(open_months) - len(made), passed=len(wanted) - len(open_months))


def publish_year(*, programme: Programme, year: int, by, at: dt.datetime) -> list[PlanLine]:
    """This function will publish the drafts of a year whose month has not passed, and return them.

    From then on they are prepared ahead and opened with their month. One event on the chain ``months``; without drafts
    nothing happens.
    """
    this_month = Month.of(timezone.localdate(at))
    with transaction.atomic():
        months = [month for month in months_of(year) if month >= this_month]
        drafts = PlanLine.objects.filter(programme=programme, month__in=months, published_at=None, opened_at=None)
        ids = list(drafts.values_list("pk", flat=True))
        PlanLine.objects.filter(pk__in=ids, published_at=None).update(published_at=at)
        lines = _with_course(PlanLine.objects.filter(pk__in=ids, published_at=at).order_by("month", "course__code"))
        if lines:
            after = {"year": year, "lines": [_where(line) for line in lines]}
            _record("plan published", programme, by=by, at=at, after=after)
    return lines


def unpublish_lines(*, programme: Programme, lines: Iterable[int], by, at: dt.datetime) -> list[PlanLine]:
    """This function will make published lines of a programme drafts again, all of them or none, and return them.

    Only what has been neither prepared nor opened: afterwards people stand in its run. Lines that are drafts are passed
    over. One event on the chain ``months`` if anything changed. Raises LineOpened, LinePrepared or LineGone.
    """
    ids = set(lines)
    with transaction.atomic():
        found = _with_course(PlanLine.objects.filter(programme=programme, pk__in=ids).order_by("month", "course__code"))
        if len(found) != len(ids):
            raise LineGone
        if any(line.opened_at for line in found):
            raise LineOpened
        if any(line.prepared_at for line in found):
            raise LinePrepared
        published = [line for line in found if line.published_at]
        changed = PlanLine.objects.filter(
            pk__in=[line.pk for line in published], published_at__isnull=False, prepared_at=None, opened_at=None
        ).update(published_at=None)
        if changed != len(published):
            raise LineGone
        if published:
            where = {"lines": [_where(line) for line in published]}
            _record("plan unpublished", programme, by=by, at=at, before=where)
    return published


def remove_drafts(*, programme: Programme, lines: Iterable[int], by, at: dt.datetime) -> int:
    """This function will take these lines out of a programme's plan as far as they are drafts; how many it took.

    It takes a copied year back: what was published, moved into a run or removed since then stays as it is. One event on
    the chain ``months`` if anything was taken out.
    """
    with transaction.atomic():
        drafts = PlanLine.objects.filter(programme=programme, pk__in=set(lines), published_at=None, opened_at=None)
        where = [_where(line) for line in _with_course(drafts.order_by("month", "course__code"))]
        removed, _rows = drafts.delete()
        if removed:
            _record("drafts taken out", programme, by=by, at=at, before={"lines": where})
    return removed


def _refuse_passed(month: Month, at: dt.datetime) -> None:
    if month < Month.of(timezone.localdate(at)):
        raise MonthPassed


def _refuse(line: PlanLine) -> None:
    """Say why a line could not be changed: it was opened meanwhile, or is no longer where it was."""
    if PlanLine.objects.filter(pk=line.pk, opened_at__isnull=False).exists():
        raise LineOpened
    raise LineGone


def _with_course(lines: Iterable[PlanLine] | QuerySet[PlanLine]) -> list[PlanLine]:
    if isinstance(lines, QuerySet):
        return list(lines.select_related("course"))
    ids = [line.pk for line in lines]
    return list(PlanLine.objects.filter(pk__in=ids).select_related("course").order_by("month", "course__code"))


def _where(line: PlanLine) -> dict:
    return {
        "programme": line.programme_id,
        "course": line.course.code,
        "month": str(line.month),
        "published": line.published_at is not None,
    }


def _record(
    action: str, subject, *, by, at: dt.datetime, before: dict | None = None, after: dict | None = None
) -> None:
    record_event(chain="months", action=action, subject=subject, actor=by, at=at, before=before, after=after)
