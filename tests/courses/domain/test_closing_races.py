"""Several people close, and others learn, at the same moment."""

from functools import partial

from courses.domain import closing, progress
from courses.models import ClosedFigure, MonthClose
from tests.courses.domain.test_closing import DUE, LATER, World, _actions
from tests.factories.courses import NOVEMBER, make_enrolment
from tests.factories.people import make_employee


def test_two_closers_at_once_close_it_once(at_once):
    world = World()
    close = world.begin()
    world.sign(close, "E1", "E2", "E", "W", "G")
    closes = [MonthClose.objects.get(pk=close.pk) for _number in range(3)]

    results = at_once(*(partial(closing.close_month, close=one, by=world.by, at=DUE) for one in closes))

    assert sorted(results) == [False, False, True]
    assert (_actions().count("month closed"), ClosedFigure.objects.count()) == (1, 7)
    assert all(one.state == "closed" for one in closes)
    assert closing.verify_close(close=closes[0]).sound


def test_work_that_is_done_while_the_month_is_closed_is_in_its_figures_or_an_adjustment(at_once):
    world = World()
    step = world.run.course.steps.get()
    duties = [make_enrolment(make_employee(unit=unit), world.run) for unit in (world.one, world.two, world.west) * 2]
    close = world.begin()
    world.sign(close, "E1", "E2", "E", "W", "G")

    results = at_once(
        partial(closing.close_month, close=close, by=world.by, at=DUE),
        *(partial(progress.complete_step, enrolment=one, step=step, at=DUE) for one in duties),
    )

    if isinstance(results[0], closing.FiguresChanged):  # somebody was quicker: signed anew, then closed
        closing.sign_below(close=close, unit=world.group, by=world.by, at=LATER)
        world.sign(close, "G", at=LATER)
        results[0] = closing.close_month(close=close, by=world.by, at=LATER)
    assert results[0] is True
    assert all(result.finished for result in results[1:])
    assert closing.verify_close(close=MonthClose.objects.get()).sound
    units = {one.pk: one.adjusted for one in closing.closed_units(close=MonthClose.objects.get()).values()}
    assert units == closing.month_figures(month=NOVEMBER)
