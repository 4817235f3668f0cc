import datetime as dt

import pytest

from core.periods import Month
from courses.domain import queries
from courses.domain.progress import complete_step
from courses.domain.queries import Figures, my_month, person_months
from tests.factories.courses import NOVEMBER, local, make_course, make_enrolment, make_run
from tests.factories.people import make_employee, make_unit

pytestmark = pytest.mark.django_db

AT = local(2026, 11, 18, 10)


@pytest.fixture
def person():
    return make_employee(unit=make_unit(make_unit()), with_user=True)


def test_a_share_is_floored_and_nothing_is_no_rate():
    assert Figures(assigned=3000, started=2999, completed=2999).rate == "99.9"
    assert Figures(assigned=3, started=3, completed=3).rate == "100.0"
    assert Figures(exempt=2).rate is None


def test_my_month_sorts_what_is_owed_done_excused_and_left_from_before(person):
    october, november = Month(2026, 10), NOVEMBER
    owed = make_enrolment(person, make_run(month=november))
    done = make_enrolment(person, make_run(month=november), state="completed")
    exempt = make_enrolment(person, make_run(month=november), state="exempt")
    debt = make_enrolment(person, make_run(month=october), state="in_progress")
    make_enrolment(person, make_run(month=Month(2026, 8)))  # too old to be made up for
    make_enrolment(person, make_run(month=november, state="planned"))
    make_enrolment(run=make_run(month=november))

    mine = my_month(person, november, AT)

    assert [duty.enrolment for duty in mine.owed] == [owed]
    assert [duty.enrolment for duty in mine.done] == [done]
    assert [duty.enrolment for duty in mine.excused] == [exempt]
    assert [duty.enrolment for duty in mine.debts] == [debt]
    assert (mine.first.enrolment, mine.counted, mine.debts[0].is_overdue) == (owed, 2, True)


def test_my_month_says_how_far_a_duty_is(person):
    run = make_run(make_course(steps=3))
    enrolment = make_enrolment(person, run)
    first, second, _third = (run_step.step for run_step in run.steps.all())
    complete_step(enrolment=enrolment, step=first, at=AT)

    (duty,) = my_month(person, NOVEMBER, AT).owed
    assert (duty.steps_done, duty.steps_total, duty.minutes_left, duty.next_step) == (1, 3, 10, second)


def test_my_month_takes_the_same_queries_for_one_and_many_duties(person, django_assert_num_queries):
    make_enrolment(person, make_run())
    with django_assert_num_queries(3):
        my_month(person, NOVEMBER, AT)
    for _ in range(5):
        make_enrolment(person, make_run())
    with django_assert_num_queries(3):
        assert len(my_month(person, NOVEMBER, AT).owed) == 6


def test_person_months_is_a_strip_of_cells(person, django_assert_num_queries):
    make_enrolment(person, make_run(month="2026-09"), state="completed")
    make_enrolment(person, make_run(month="2026-10"))
    make_enrolment(person, make_run(month="2026-11"), state="exempt")
    with django_assert_num_queries(1):
        cells = person_months(employee=person, last=NOVEMBER, months=4, at=AT)
    assert [(str(cell.month), cell.kind) for cell in cells] == [
        ("2026-08", "neutral"),
        ("2026-09", "done"),
        ("2026-10", "overdue"),
        ("2026-11", "exempt"),
    ]


def test_month_series_and_run_figures_read_the_tallies(person):
    root = person.unit.get_root()
    run = make_run()
    make_enrolment(person, run, state="completed")
    series = queries.month_series(unit=root, last=NOVEMBER, months=2)
    assert series == [
        (Month(2026, 10), Figures()),
        (NOVEMBER, Figures(assigned=1, started=1, completed=1, on_time=1)),
    ]
    assert queries.run_figures(runs=[run]) == {run.pk: series[1][1]}
    assert queries.months_with_runs() == [NOVEMBER]
    assert [enrolment.run for enrolment in queries.person_enrolments(employee=person)] == [run]


def test_days_are_those_of_the_people_not_of_the_server(person):
    run = make_run(due_at=local(2026, 11, 30, 23, 59, 59))
    enrolment = make_enrolment(person, run)
    assert enrolment.is_overdue(dt.datetime(2026, 11, 30, 15, 59, 59, tzinfo=dt.UTC)) is False
    assert enrolment.is_overdue(dt.datetime(2026, 11, 30, 16, 0, tzinfo=dt.UTC)) is True
