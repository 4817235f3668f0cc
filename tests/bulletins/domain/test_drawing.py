from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from bulletins.domain import drawing, figures


def _drawn(pairs):
    """The plot of units given as (people, completed)."""
    rows = [
        {
            "unit": number,
            "code": str(number),
            "zh": f"城{number}",
            "en": f"City {number}",
            "people": people,
            "assigned": people,
            "completed": completed,
            "on_time": completed,
            "exempt": 0,
        }
        for number, (people, completed) in enumerate(pairs)
    ]
    total = {"assigned": sum(people for people, _done in pairs), "completed": sum(done for _people, done in pairs)}
    return drawing.funnel(
        {"units": figures._judged(rows, total, {}), "lines": figures._lines(rows, total), "total": total}
    )


def _points(path):
    return [tuple(float(number) for number in point.split()) for run in path.split("M")[1:] for point in run.split("L")]


sizes = st.integers(1, 3000).flatmap(lambda people: st.tuples(st.just(people), st.integers(0, people)))


@settings(deadline=None, max_examples=40)
@given(st.lists(sizes, min_size=1, max_size=8))
def test_everything_lies_in_the_field(pairs):
    found = _drawn(pairs)

    if sum(done for _people, done in pairs) in (0, sum(people for people, _done in pairs)):
        assert found is None
        return
    places = [(float(dot.x), float(dot.y)) for dot in found.dots]
    places += [point for path in [*found.inner, *found.outer] for point in _points(path)]
    assert all(drawing.LEFT <= x <= drawing.RIGHT and drawing.TOP <= y <= drawing.BOTTOM for x, y in places)
    assert len(found.dots) == len(pairs)
    assert len(found.xs) <= 7
    assert len(found.ys) <= 8


def test_a_unit_lies_at_its_size_and_rate():
    found = _drawn([(100, 90), (100, 50), (12, 12)])

    middle, low, small = found.dots
    assert float(middle.x) == float(low.x) > float(small.x)
    assert float(low.y) - float(middle.y) > float(middle.y) - float(small.y)
    assert [(dot.ranked, dot.differs) for dot in found.dots] == [(True, "above"), (True, "below"), (False, "")]
    assert [label.text for label in found.labels] == ["城0", "城1"]


def test_names_do_not_lie_on_each_other():
    found = _drawn([(900, 899), (900, 898), (900, 897), *[(900, 500)] * 3])

    heights = sorted(float(label.y) for label in found.labels)
    assert len(heights) == 6
    assert min(after - before for before, after in zip(heights, heights[1:], strict=False)) >= 11 - 0.11


def test_a_dot_lies_beyond_a_line_exactly_when_its_count_lies_beyond_the_limit():
    from bulletins.domain import statistics

    rate = Fraction(9, 10)
    for done in range(60, 101):
        limit = statistics.limits(100, rate, statistics.INNER)
        assert (done / 100 <= limit.low_line or done / 100 >= limit.high_line) == (not limit.low <= done <= limit.high)
