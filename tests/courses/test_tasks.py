"""Work by the clock: open runs keep up with the roster and with the unit tree, and a second look changes nothing."""

import pytest

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
