"""Counting again: planted drift is found, put right and reported."""

import datetime as dt

import pytest
from django.core.management import call_command

from core.models import Job
from courses.domain import reconciling
from courses.domain.reconciling import Report, newest_report, reconcile, runs_to_count
from courses.models import Tally
from courses.tasks import reconcile_tallies_at_night
from tests.factories.courses import make_course, make_enrolment, make_run
from tests.factories.people import make_employee, make_unit

pytestmark = pytest.mark.django_db

NOTHING = dict.fromkeys(
    ("assigned", "started", "completed", "on_time", "exempt", "withdrawn", "voluntary", "voluntary_done"), 0
)


@pytest.fixture
def run():
    group = make_unit(code="G")
    run = make_run(make_course(code="ETQ-01"))
    make_enrolment(make_employee(make_unit(group, code="B")), run, state="completed")
    return run


def test_planted_drift_is_put_right_and_reported(run, at):
    Tally.objects.filter(run=run, unit__code="B").update(assigned=4)
    report = reconcile(runs=runs_to_count(), at=at)
    right = NOTHING | {"assigned": 1, "started": 1, "completed": 1, "on_time": 1}
    places = [{"run": "ETQ-01 2026-11", "unit": "B", "kept": right | {"assigned": 4}, "counted": right}]
    assert report == Report(at=at, runs=1, differences=1, failed=0, places=places)
    assert set(Tally.objects.filter(run=run).values_list("unit__code", "assigned")) == {("G", 1), ("B", 1)}
    assert reconcile(runs=runs_to_count(), at=at) == Report(at=at, runs=1, differences=0, failed=0)


def test_the_newest_report_is_kept_whoever_counted(run, at, monkeypatch):
    monkeypatch.setattr("courses.tasks._newest_move", 0)  # a unit that moved is no fault
    assert newest_report() is None
    Tally.objects.filter(run=run).update(assigned=4)
    reconcile_tallies_at_night(at)
    night = newest_report()
    assert (night.at, night.runs, night.differences, night.is_clean, len(night.places)) == (at, 1, 2, False, 2)
    later = at + dt.timedelta(hours=5)
    monkeypatch.setattr("django.utils.timezone.now", lambda: later)
    call_command("reconcile_tallies", verbosity=0)
    assert newest_report() == Report(at=later, runs=1, differences=0, failed=0)
    assert Job.objects.filter(kind=reconciling.KIND).count() == 1


def test_the_command_names_what_was_wrong(run, capsys):
    Tally.objects.filter(run=run).update(assigned=4)
    call_command("reconcile_tallies")
    out = capsys.readouterr().out
    assert "ETQ-01 2026-11: unit B: {'assigned': 4" in out
    assert out.endswith("2 differences in 1 runs\n")


def test_only_so_many_places_are_kept(run, at, monkeypatch, capsys):
    monkeypatch.setattr(reconciling, "MOST_PLACES", 1)
    Tally.objects.filter(run=run).update(assigned=4)
    call_command("reconcile_tallies")
    assert "and 1 more" in capsys.readouterr().out
    assert (newest_report().differences, len(newest_report().places)) == (2, 1)


def test_closed_runs_are_counted_on_demand_and_planned_ones_never(run):
    closed = make_run(state="closed")
    make_run(state="planned")
    assert runs_to_count() == [run]
    assert set(runs_to_count(closed=True)) == {run, closed}


def test_a_run_that_fails_does_not_stop_the_others(run, at, monkeypatch):
    other = make_run()

    def fails_for_one(*, run):
        if run == other:
            raise ValueError("broken")
        return []

    monkeypatch.setattr(reconciling.tallies, "recount", fails_for_one)
    report = reconcile(runs=[other, run], at=at)
    assert (report.runs, report.failed, report.is_clean) == (2, 1, False)
