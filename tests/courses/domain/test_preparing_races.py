"""Two at once: preparing, opening and changing the plan of the same run leave nobody uncounted and nothing twice."""

import pytest

from core.events import verify_chain
from core.periods import Month
from courses.domain import month_plan, opening, planning, preparing, tallies
from courses.models import CourseRun, Enrolment, PlanLine
from tests.factories.courses import local, make_audience, make_course, make_programme
from tests.factories.people import make_employee, make_unit

DECEMBER = Month(2026, 12)
AHEAD = local(2026, 11, 24, 6)


@pytest.fixture
def run(at_once):
    unit = make_unit()
    for _ in range(20):
        make_employee(unit=unit)
    course = make_course()
    make_programme(make_audience(unit), plan=[(course, DECEMBER)])
    return month_plan.plan_run(course=course, month=DECEMBER, by=None, at=AHEAD)


def _prepare():
    return preparing.prepare_month(month=DECEMBER, by=None, at=AHEAD)


def _fresh(run):
    return CourseRun.objects.get(pk=run.pk)


def test_two_that_prepare_enrol_everybody_once(run, at_once):
    first, second = at_once(_prepare, _prepare)
    assert sorted((first.changed, second.changed)) == [0, 21]
    assert Enrolment.objects.filter(run=run).count() == 20
    assert verify_chain("months")[1] is None


def test_preparing_while_somebody_opens_leaves_nobody_uncounted(run, at_once):
    at_once(_prepare, lambda: opening.open_run(run=_fresh(run), by=None, at=AHEAD))
    _prepare()  # after the opening it leaves the run alone
    assert (_fresh(run).state, Enrolment.objects.filter(run=run, state="assigned").count()) == ("open", 20)
    assert tallies.recount(run=run) == []


def test_a_line_is_opened_or_taken_out_and_never_both(run, at_once):
    _prepare()
    line = PlanLine.objects.get()
    opened, removed = at_once(
        lambda: opening.open_run(run=_fresh(run), by=None, at=AHEAD),
        lambda: planning.remove_course(line=line, by=None, at=AHEAD),
    )
    states = set(Enrolment.objects.filter(run=run).values_list("state", flat=True))
    if isinstance(removed, planning.LineOpened):
        assert (opened.assigned, states) == (20, {"assigned"})
    else:
        assert (removed, opened.assigned, states) == (None, 0, {"withdrawn"})
    assert tallies.recount(run=run) == []
