import pytest

from bulletins.domain import figures
from bulletins.domain.figures import Level, MonthNotClosed, NoSuchLevel, NothingOwed, digest_of, gather
from core.periods import Month
from tests.factories.bulletins import OCTOBER, make_close, make_closed_month, make_figure, seal
from tests.factories.courses import make_course, make_run
from tests.factories.people import make_unit

pytestmark = pytest.mark.django_db

SEPTEMBER = Month(2026, 9)


def _brief(found):
    return [(one["zh"], one["rank"], one["differs"]) for one in found["units"]]


def test_gather_returns_counts_ranks_limits_and_judgements(django_assert_num_queries):
    close, root, _cities = make_closed_month([(100, 92), (50, 47), (100, 94), (29, 20), (200, 150)])

    with django_assert_num_queries(4):
        found = gather(close=close, unit=root, level="city")

    assert found["total"] == {
        "assigned": 479,
        "completed": 403,
        "on_time": 403,
        "exempt": 0,
        "withdrawn": 0,
        "voluntary": 0,
        "voluntary_done": 0,
        "people": 479,
    }
    # two-sided exact p: 城5 0.0012, 城3 0.0049, 城1 0.0321 (at most 3 / 4 of 5 %), 城2 0.0657
    # 94 of 100 and 47 of 50 are equal; 20 of 29 is worse than all but too small to say so
    assert _brief(found) == [
        ("城2", 1, ""),
        ("城3", 1, "above"),
        ("城1", 3, "above"),
        ("城5", 4, "below"),
        ("城4", None, ""),
    ]
    assert [one.get("inner") for one in found["units"]] == [[37, 47], [77, 91], [77, 91], [158, 178], None]
    assert [one.get("outer") for one in found["units"]] == [[33, 49], [72, 94], [72, 94], [151, 183], None]
    assert found["before"] is None
    assert found["perfect"] == []


def test_the_limits_in_the_figures_are_those_of_a_sum_by_hand():
    """403 of 479, 50 people: P(X <= 36) is at most 2.5 % and P(X <= 37) above, in exact integers."""
    import math
    from fractions import Fraction

    rate = Fraction(403, 479)
    tail = sum(math.comb(50, count) * rate**count * (1 - rate) ** (50 - count) for count in range(37))
    next_one = math.comb(50, 37) * rate**37 * (1 - rate) ** 13

    assert tail <= Fraction(1, 40) < tail + next_one


def test_gather_counts_people_once_who_owe_two_courses():
    close, root, (city, *_rest) = make_closed_month([(40, 36), (60, 60)], sealed=False)
    second = make_run(make_course(code="Z-900"), month=OCTOBER, state="closed")
    make_figure(close, root, second, 25, 20)
    make_figure(close, city, second, 25, 20)
    seal(close)

    found = gather(close=close, unit=root, level="city")

    row = next(one for one in found["units"] if one["code"] == city.code)
    assert (row["people"], row["assigned"], row["completed"]) == (40, 65, 56)
    assert (found["total"]["people"], found["total"]["assigned"]) == (100, 125)
    assert [(one["assigned"], one["completed"]) for one in found["courses"]] == [(100, 96), (25, 20)]


def test_gather_compares_with_the_newest_month_closed_before():
    _july, root, cities = make_closed_month([(40, 20), (40, 20)], month=Month(2026, 7))
    make_closed_month([(40, 30), (40, 40)], month=SEPTEMBER, root=root, units=cities)
    close, root, cities = make_closed_month([(40, 36), (40, 40)], root=root, units=cities)
    make_closed_month([(40, 1), (40, 1)], month=Month(2026, 11), root=root, units=cities)

    found = gather(close=close, unit=root, level="city")

    assert found["before"]["month"] == "2026-09"
    assert (found["before"]["assigned"], found["before"]["completed"]) == (80, 70)
    assert [one["before"] for one in found["units"]] == [
        {"assigned": 40, "completed": 40},
        {"assigned": 40, "completed": 30},
    ]
    assert [one["zh"] for one in found["perfect"]] == ["城2"]


def test_gather_takes_a_unit_within_another_of_its_kind_as_part_of_it():
    close, root, (city, _other) = make_closed_month([(40, 36), (40, 40)], sealed=False)
    run = close.figures.first().run
    quarter = make_unit(city, kind="city", name="城中城")
    make_figure(close, quarter, run, 10, 10)
    seal(close)

    found = gather(close=close, unit=root, level="city")

    assert [one["zh"] for one in found["units"]] == ["城2", "城1"]
    # praise reaches down to it, as the city around it is not at 100 %
    assert [one["zh"] for one in found["perfect"]] == ["城中城", "城2"]


def test_gather_of_units_that_all_finished_judges_nobody():
    close, root, _cities = make_closed_month([(40, 40), (35, 35), (12, 12)])

    found = gather(close=close, unit=root, level="city")

    assert _brief(found) == [("城1", 1, ""), ("城2", 1, ""), ("城3", None, "")]
    assert found["lines"] == []


def test_gather_names_units_as_they_were_called_at_the_close():
    close, root, (city, _other) = make_closed_month([(40, 36), (40, 40)])
    city.name = "新名"
    city.save()

    assert "新名" not in {one["zh"] for one in gather(close=close, unit=root, level="city")["units"]}


def test_gather_refuses_a_month_that_is_not_closed():
    close = make_close()

    with pytest.raises(MonthNotClosed):
        gather(close=close, unit=make_unit(), level="city")


def test_gather_refuses_a_unit_that_owed_nothing():
    close, _root, _cities = make_closed_month([(40, 36)])

    with pytest.raises(NothingOwed):
        gather(close=close, unit=make_unit(), level="city")


def test_gather_refuses_a_level_that_is_not_there():
    close, root, _cities = make_closed_month([(40, 36)])

    with pytest.raises(NoSuchLevel):
        gather(close=close, unit=root, level="branch")


def test_levels_say_how_many_can_be_ranked():
    close, root, (city, _other) = make_closed_month([(40, 36), (12, 12)], sealed=False)
    run = close.figures.first().run
    for number in (31, 5, 4):
        make_figure(close, make_unit(city, kind="branch"), run, number, number)

    found = figures.levels(close=close, unit=root)

    assert found == [Level("city", 2, 1), Level("branch", 3, 1)]
    assert figures.usual_level(found) == "branch"
    assert figures.usual_level([]) is None


def test_digest_of_equal_figures_is_equal():
    close, root, _cities = make_closed_month([(40, 36), (50, 50)])
    first, second = (gather(close=close, unit=root, level="city") for _time in range(2))

    assert digest_of(first) == digest_of(dict(reversed(second.items())))
    second["total"]["completed"] += 1
    assert digest_of(first) != digest_of(second)
