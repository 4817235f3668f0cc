"""What-if questions beside the real run: who gains, who loses, and nothing is written."""

from decimal import Decimal

import pytest

from core.models import Event
from kpi.domain.distribution import CannotBeShared
from kpi.domain.pay_what_if import Question, ask
from kpi.models import Look, PayLine, PayRun
from tests.factories.pay import make_computed_run, make_pay_world, settle

pytestmark = pytest.mark.django_db


@pytest.fixture
def run():
    world = make_pay_world()
    return settle(make_computed_run(world), world)


def everything():
    return (
        list(PayRun.objects.values()),
        list(PayLine.objects.order_by("pk").values()),
        Event.objects.count(),
        Look.objects.count(),
    )


def test_nothing_changed_changes_nobody(run):
    answer = ask(run=run, question=Question())
    assert (answer.gain, answer.lose, answer.same, answer.total_before, answer.total_after) == (
        0,
        0,
        6,
        2_800_000,
        2_800_000,
    )
    assert answer.point_before == answer.point_after


def test_more_money_lets_everybody_gain_and_a_point_cost_more(run):
    before = everything()
    answer = ask(run=run, question=Question(amount_fen=6_400_000))

    assert (answer.gain, answer.lose, answer.total_after, answer.gained_fen) == (6, 0, 5_600_000, 2_800_000)
    assert answer.point_after == pytest.approx(answer.point_before * 2, abs=1)
    assert (answer.reserve_before, answer.reserve_after) == (400_000, 800_000)
    assert everything() == before


def test_a_cap_moves_money_from_who_reaches_it(run):
    answer = ask(run=run, question=Question(cap_fen=700_000))
    assert (answer.gain, answer.lose, answer.capped_after, answer.most_lost_fen) == (5, 1, 1, 52_854)
    assert answer.gained_fen == answer.lost_fen == 52_854


def test_another_coefficient_of_a_grade_is_told_by_grade_and_unit(run):
    answer = ask(run=run, question=Question(coefficients={"D": Decimal("0.90")}))

    assert [(group.label, group.people, group.change > 0) for group in answer.by_grade] == [
        ("A", 1, False),
        ("B", 2, False),
        ("D", 2, True),
        ("E", 1, False),
    ]
    assert sum(group.change for group in answer.by_grade) == 0
    assert [(group.people, group.change) for group in answer.by_unit] == [(6, 0)]


def test_another_unit_coefficient_changes_nothing_in_a_closed_pool_of_one_unit(run):
    answer = ask(run=run, question=Question(unit_coefficients={"A": Decimal("1.50")}))
    assert answer.same == 6


def test_money_that_cannot_be_shared_is_refused(run):
    with pytest.raises(CannotBeShared):
        ask(run=run, question=Question(cap_fen=100))
