"""Two at once: a run that is closed while it is brought up to date enrols nobody afterwards."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from courses.domain import catching_up, opening
from courses.models import CourseRun, Enrolment
from tests.factories.courses import NOVEMBER, local, make_audience, make_course, make_programme
from tests.factories.people import make_employee, make_unit


def test_a_run_is_caught_up_before_it_closes_or_not_at_all(at_once):
    unit = make_unit()
    make_employee(unit=unit)
    make_programme(make_audience(unit), plan=[(make_course(), NOVEMBER)])
    (report,) = opening.open_month(month=NOVEMBER, by=None, at=local(2026, 11, 1, 8)).runs
    run = report.run
    make_employee(unit=unit)
    CourseRun.objects.filter(pk=run.pk).update(
        due_at=local(2026, 11, 9), accept_until=local(2026, 11, 10), joiner_days=0
    )
    run.refresh_from_db()
    at = local(2026, 11, 10, 1)
    caught, closed = at_once(
        lambda: catching_up.catch_up(run=run, by=None, at=at),
        lambda: opening.close_run(run=CourseRun.objects.get(pk=run.pk), by=None, at=at),
    )
    assert closed is True
    if isinstance(caught, opening.RunClosed):
        assert Enrolment.objects.count() == 1
    else:
        assert (caught.joined, Enrolment.objects.count()) == (1, 2)


@pytest.mark.django_db
def test_catching_up_holds_the_run():
    """Whoever closes it meanwhile is seen: the state is taken with the row, not read beside it."""
    unit = make_unit()
    make_employee(unit=unit)
    make_programme(make_audience(unit), plan=[(make_course(), NOVEMBER)])
    (report,) = opening.open_month(month=NOVEMBER, by=None, at=local(2026, 11, 1, 8)).runs
    with CaptureQueriesContext(connection) as queries:
        catching_up.catch_up(run=report.run, by=None, at=local(2026, 11, 2))
    statements = [one["sql"] for one in queries if "SAVEPOINT" not in one["sql"]]
    assert statements[0].startswith('UPDATE "courses_courserun"')
