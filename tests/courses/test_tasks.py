"""Work by the clock: open runs keep up with the roster and with the unit tree, and a second look changes nothing."""

import datetime as dt

import pytest

from core.models import Job
from courses import tasks
from courses.models import Enrolment, Tally
from people.domain.units import move_unit
from tests.factories.courses import make_enrolment, make_run
from tests.factories.people import make_employee, make_unit

pytestmark = pytest.mark.django_db


def _assigned(run):
    return dict(Tally.objects.filter(run=run, assigned__gt=0).values_list("unit__code", "assigned"))


def test_tallies_follow_a_unit_that_moved(at, monkeypatch):
    monkeypatch.setattr(tasks, "_newest_move", None)
    group = make_unit(code="G")
    east, west = make_unit(group, code="E"), make_unit(group, code="W")
    branch = make_unit(east, code="B")
    run = make_run()
    make_enrolment(employee=make_employee(unit=branch), run=run)
    tasks.follow_moved_units(at)
    assert _assigned(run) == {"G": 1, "E": 1, "B": 1}
    move_unit(unit=branch, under=west, by=None, at=at)
    tasks.follow_moved_units(at)
    assert _assigned(run) == {"G": 1, "W": 1, "B": 1}


def test_units_that_did_not_move_cost_one_query(at, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(tasks, "_newest_move", None)
    make_run()
    tasks.follow_moved_units(at)
    with django_assert_num_queries(1):
        tasks.follow_moved_units(at)


def test_open_runs_follow_people_who_moved(at):
    group = make_unit(code="G")
    old, new = make_unit(group, code="O"), make_unit(group, code="N")
    person = make_employee(unit=old)
    run = make_run()
    enrolment = make_enrolment(employee=person, run=run)
    person.unit = new
    person.save()
    for _time in range(2):
        tasks.catch_up_with_the_roster(at)
        assert Enrolment.objects.get(pk=enrolment.pk).unit == new
        assert _assigned(run) == {"G": 1, "N": 1}


def test_nightly_recount_mends_what_is_wrong_and_says_so_once(at, monkeypatch, caplog):
    monkeypatch.setattr(tasks, "_newest_move", None)
    group = make_unit(code="G")
    run, closed = make_run(), make_run(state="closed")
    make_enrolment(employee=make_employee(unit=group), run=run)
    tasks.follow_moved_units(at)
    Tally.objects.filter(run=run).update(assigned=7)
    Tally.objects.create(run=closed, unit=group, assigned=7)
    for day in range(3):
        tasks.reconcile_tallies_at_night(at + dt.timedelta(days=day))
    assert (_assigned(run), _assigned(closed)) == ({"G": 1}, {"G": 7})
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "ERROR",
            f"The completion counts of {run} were wrong in 1 units and have been put right. This should not happen: "
            "somebody may have changed the database by hand.",
        )
    ]
    assert Job.objects.get(kind="courses.reconcile_tallies").result == {"runs": 1, "differences": 0, "failed": 0}


def test_nightly_recount_goes_on_after_a_run_that_fails(at, monkeypatch, caplog):
    monkeypatch.setattr(tasks, "_newest_move", 0)
    first, second = make_run(), make_run()
    seen = []

    def fails_for_one(*, run):
        seen.append(run)
        if run == first:
            raise ValueError("broken")
        return []

    monkeypatch.setattr(tasks.tallies, "recount", fails_for_one)
    tasks.reconcile_tallies_at_night(at)
    assert seen == [first, second]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", f"The completion counts of {first} could not be recounted; they are as they were.")
    ]
    assert Job.objects.get(kind="courses.reconcile_tallies").result == {"runs": 2, "differences": 0, "failed": 1}
