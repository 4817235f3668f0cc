from core.periods import Month
from courses.domain.month_plan import default_times
from tests.factories.courses import local


def test_default_times_are_the_month_and_the_end_of_the_next():
    assert default_times(Month(2026, 12)) == {
        "opens_at": local(2026, 12, 1),
        "due_at": local(2026, 12, 31, 23, 59, 59),
        "accept_until": local(2027, 1, 31, 23, 59, 59),
    }
