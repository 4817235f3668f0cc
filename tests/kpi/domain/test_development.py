import datetime as dt
import math
from decimal import Decimal
from fractions import Fraction

import pytest

from core.periods import Month
from courses.domain.progress import complete_step
from kpi.domain import development
from kpi.domain.development import Way
from kpi.models import DevelopmentItem, Scorecard, ScorecardLine
from kpi.tasks import close_plan_items
from people.models import Employee
from tests.factories.courses import NOVEMBER, local, make_course, make_enrolment, make_run
from tests.factories.kpi import T01, make_indicators, make_measures, make_published_version
from tests.factories.people import make_employee, make_position, make_unit, make_user

pytestmark = pytest.mark.django_db
AT = local(2026, 11, 5)


def _way(before, after, family="front"):
    return Way(family, Fraction(before), Fraction(after))


def test_each_person_is_compared_with_the_five_nearest_of_the_same_family():
    others = {pk: _way(before, before + 1) for pk, before in enumerate([10, 20, 30, 40, 50, 60], start=10)}
    others |= {pk: _way(30, 90, "back") for pk in range(20, 24)}
    differences, used = development.compare(taken={1: _way(30, 36), 2: _way(58, 60)}, others=others)
    assert differences == [5, 1]  # own change less the mean change of the five nearest
    assert used == {10, 11, 12, 13, 14, 15}
    few, compared = development.compare(taken={1: _way(30, 36, "back")}, others=others)
    assert (few, len(compared)) == (
        [Fraction(-211, 5)],
        5,
    )  # four of the own family are too few: everybody is looked at


def test_nothing_to_compare_with_says_nothing():
    assert development.compare(taken={1: _way(1, 2)}, others={2: _way(1, 2)}) == ([], set())


@pytest.mark.parametrize(("freedom", "t"), [(9, 2.262), (15, 2.131), (30, 2.042), (100, 1.984)])
def test_the_quantile_of_t_is_that_of_the_tables(freedom, t):
    differences = [Fraction(each) for each in range(freedom + 1)]
    mean, low, high = development.interval(differences)
    n = freedom + 1
    deviation = math.sqrt(sum((each - mean) ** 2 for each in range(n)) / (n - 1))
    assert mean == (n - 1) / 2
    assert round((high - mean) / (deviation / math.sqrt(n)), 3) == pytest.approx(t, abs=0.001)
    assert mean - low == pytest.approx(high - mean)


@pytest.fixture
def house():
    unit = make_unit(make_unit())
    family = make_position(job_family="front")
    course = make_course()
    indicator = make_indicators()["satisfaction"]
    return unit, family, course, indicator


def _measured(employee, before, after):
    for months, value in (((5, 6, 7), before), ((9, 10, 11), after)):
        for month in months:
            make_measures(employee, Month(2026, month), satisfaction=str(value))


def test_the_effect_of_a_course_is_what_changed_more_than_among_others(house):
    unit, family, course, indicator = house
    run = make_run(course=course, month=Month(2026, 8))
    for number in range(12):
        taker = make_employee(unit=unit, position=family)
        _measured(taker, 70 + number, 74 + number + number % 2)  # +4 or +5
        make_enrolment(
            taker, run, state="completed", completed_at=local(2026, 8, 10), started_at=local(2026, 8, 9), on_time=True,
            unit_done=unit,
        )  # fmt: skip
        other = make_employee(unit=unit, position=family)
        _measured(other, 70 + number, 71 + number)  # +1
    found = development.effect_of(
        course=course, indicator=indicator, people=Employee.objects.all(), on=dt.date(2026, 12, 1)
    )
    assert (found.taken, found.others, found.difference) == (12, 12, 3.5)
    half = development._t(11) * math.sqrt(12 * 0.25 / 11 / 12)
    assert (found.low, found.high) == (pytest.approx(3.5 - half), pytest.approx(3.5 + half))
    assert found.is_clear

    few = development.effect_of(
        course=course, indicator=indicator, people=Employee.objects.filter(pk__lt=taker.pk - 6), on=dt.date(2026, 12, 1)
    )
    assert (few.difference, few.is_clear) == (None, False)


def test_every_lost_point_offers_the_course_that_closes_it(house):
    unit, family, course, indicator = house
    other = make_course()
    indicators = make_indicators()
    development.name_courses(indicator=indicator, courses=[course])
    development.name_courses(indicator=indicators["complaints_liable"], courses=[other, course])
    employee = make_employee(unit=unit, position=family)
    card = Scorecard.objects.create(
        version=make_published_version(T01, scope=unit), employee=employee, first_month=Month(2026, 10), last_month=Month(2026, 10),
        bonus=0, earned=0, total=0, grade="C", coefficient=1, computed_at=AT,
    )  # fmt: skip
    for position, (code, state, points) in enumerate(
        [("training", "counted", "20"), ("exam", "missing", "0"), ("satisfaction", "counted", "17.20"),
         ("complaints", "counted", "16"), ("manager", "counted", "9")]
    ):  # fmt: skip
        weight = {"training": 20, "exam": 25, "satisfaction": 20, "complaints": 20, "manager": 15}[code]
        ScorecardLine.objects.create(
            scorecard=card, position=position, code=code, name_zh=code, kind="curve", state=state, weight=weight,
            weight_counted=weight, points=Decimal(points),
        )  # fmt: skip
    lost = development.losses_of(card)
    assert [(each.line.code, each.indicator.code, each.points, each.courses) for each in lost] == [
        ("complaints", "complaints_liable", 4, (course, other) if course.code < other.code else (other, course)),
        ("satisfaction", "satisfaction", Decimal("2.80"), (course,)),
    ]
    development.name_courses(indicator=indicators["complaints_liable"], courses=[])
    assert [each.indicator.code for each in development.losses_of(card)] == ["satisfaction"]


def test_a_line_that_gave_its_weight_to_the_hundredth_lost_nothing(house):
    unit, family, course, _indicator = house
    indicators = make_indicators()
    for code in ("complaints_liable", "complaints_late", "satisfaction"):
        development.name_courses(indicator=indicators[code], courses=[course])
    card = Scorecard.objects.create(
        version=make_published_version(T01, scope=unit), employee=make_employee(unit=unit, position=family),
        first_month=Month(2026, 10), last_month=Month(2026, 10),
        bonus=0, earned=0, total=0, grade="C", coefficient=1, computed_at=AT,
    )  # fmt: skip
    values = {"complaints_liable": "0.0000", "complaints_late": "1.0000"}
    for position, (code, weight, points, found) in enumerate(
        [("satisfaction", "36.363636", "36.36", {}), ("complaints", "26.666667", "25.33", values)]
    ):
        ScorecardLine.objects.create(
            scorecard=card, position=position, code=code, name_zh=code, kind="curve", state="counted", weight=20,
            weight_counted=Decimal(weight), points=Decimal(points), inputs={"values": found},
        )  # fmt: skip
    assert [(one.indicator.code, one.points) for one in development.losses_of(card)] == [
        ("complaints_late", Decimal("1.34"))  # no liable complaint: that took nothing
    ]


def test_a_planned_course_is_done_when_it_was_completed_since(house):
    unit, family, course, indicator = house
    employee = make_employee(unit=unit, position=family, user=make_user())
    item = development.plan_course(employee=employee, course=course, indicator=indicator, by=employee.user, at=AT)
    taken = item.enrolment
    assert (item.state, item.from_month, taken.voluntary, taken.state) == ("planned", NOVEMBER, True, "assigned")
    with pytest.raises(development.PlannedAlready):
        development.plan_course(employee=employee, course=course, indicator=None, by=None, at=AT)
    assert development.mark_done(at=AT) == 0
    done_at = local(2026, 11, 9)
    for step in taken.run.steps.all():
        complete_step(enrolment=taken, step=step.step, at=done_at)
    assert [each.is_done for each in development.plan_of(employee)] == [True]
    close_plan_items(done_at)  # of the night
    assert development.mark_done(at=done_at) == 0
    item.refresh_from_db()
    assert item.state == "done"
    with pytest.raises(development.NotOpen):
        development.drop_item(item=item, at=AT)


def test_a_duty_that_is_owed_already_is_planned_with_it(house):
    unit, family, course, indicator = house
    employee = make_employee(unit=unit, position=family)
    duty = make_enrolment(employee, make_run(course=course, month=NOVEMBER))
    item = development.plan_course(employee=employee, course=course, indicator=indicator, by=None, at=AT)
    assert item.enrolment == duty
    development.drop_item(item=item, at=AT)
    assert DevelopmentItem.objects.get().state == "declined"
