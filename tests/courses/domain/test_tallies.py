import datetime as dt

import pytest
from django.core.management import call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from courses.domain import catching_up, exceptions, opening, progress, tallies
from courses.domain.tallies import recount
from courses.models import Enrolment, Tally
from people.models import Employee, OrgUnit
from tests.factories.courses import (
    NOVEMBER,
    local,
    make_audience,
    make_course,
    make_enrolment,
    make_programme,
    make_run,
)
from tests.factories.people import make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

AT = local(2026, 11, 10, 9)
ACTIONS = ("visit", "complete", "exempt", "withdraw", "reinstate", "move", "leave", "catch up", "join", "past")


def _act(action, enrolment, run, units, by, at, pick):
    person = Employee.objects.filter(pk=enrolment.employee_id)
    step = run.steps.order_by("position")[pick % 2].step
    decided = {"enrolment": enrolment, "by": by, "at": at, "reason": "x"}
    match action:
        case "visit":
            progress.visit_step(enrolment=enrolment, step=step, at=at)
        case "complete":
            progress.complete_step(enrolment=enrolment, step=step, at=at)
        case "exempt":
            exceptions.exempt_enrolment(**decided)
        case "withdraw":
            exceptions.withdraw_enrolment(**decided)
        case "reinstate":
            exceptions.reinstate_enrolment(**decided)
        case "past":
            exceptions.record_past_completion(on=at.date(), **decided)
        case "move":
            person.update(unit=units[pick % len(units)])
        case "leave":
            person.update(state="left", left_on=at.date())
        case "join":
            make_employee(unit=units[pick % len(units)])
        case "catch up":
            catching_up.catch_up(run=run, by=by, at=at)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    history=st.lists(
        st.tuples(st.sampled_from(ACTIONS), st.integers(0, 3), st.integers(0, 5), st.integers(0, 25)), max_size=15
    )
)
def test_tallies_equal_a_recount_after_any_history(history):
    root = make_unit()
    units = [root, make_unit(root), make_unit(root), make_unit(make_unit(root))]
    by, course = make_user(), make_course(steps=2)
    make_programme(make_audience(root), plan=[(course, NOVEMBER)])
    for unit in units:
        make_employee(unit=unit)
    opening.open_month(month=NOVEMBER, by=by, at=local(2026, 11, 1))
    enrolments = list(Enrolment.objects.filter(run__course=course).order_by("pk"))
    run = enrolments[0].run
    at = local(2026, 11, 2)
    for action, who, pick, days in history:
        at += dt.timedelta(days=days % 9)
        enrolment = Enrolment.objects.select_related("unit").get(pk=enrolments[who % len(enrolments)].pk)
        try:
            _act(action, enrolment, run, units, by, at, pick)
        except (exceptions.NotPossibleNow, progress.NotOwed, progress.TooLate):
            pass
        assert recount(run=run) == []


def test_recount_mends_and_names_what_was_wrong():
    enrolment = make_enrolment()
    Tally.objects.filter(run=enrolment.run).update(assigned=7)

    (difference,) = recount(run=enrolment.run)

    assert (difference.kept["assigned"], difference.counted["assigned"]) == (7, 1)
    assert Tally.objects.get().assigned == 1


def test_a_unit_moved_in_the_tree_is_mended_by_the_next_change():
    old, new = make_unit(), make_unit()
    branch = make_unit(make_unit(old))
    run = make_run()
    enrolment = make_enrolment(make_employee(unit=branch), run)
    OrgUnit.objects.get(pk=branch.pk).move(OrgUnit.objects.get(pk=new.pk), pos="last-child")
    enrolment = Enrolment.objects.select_related("unit").get(pk=enrolment.pk)

    progress.visit_step(enrolment=enrolment, step=run.steps.first().step, at=AT)

    assert tallies.recount(run=run) == []
    assert dict(Tally.objects.filter(assigned=1).values_list("unit_id", "started")) == {new.pk: 1, branch.pk: 1}


def test_reconcile_tallies_says_what_it_found(capsys):
    enrolment = make_enrolment()
    call_command("reconcile_tallies")
    assert "0 differences" in capsys.readouterr().out

    Tally.objects.filter(run=enrolment.run).update(assigned=7)
    call_command("reconcile_tallies")
    assert "1 difference" in capsys.readouterr().out
    assert Tally.objects.get().assigned == 1
