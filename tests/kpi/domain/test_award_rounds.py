import pytest

from kpi.domain import award_rounds
from kpi.domain.rules import InForceMissing
from kpi.models import AwardRound
from tests.factories.courses import local
from tests.factories.people import make_employee

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("places", "people", "shares"),
    [
        (10, {"A": 50, "B": 30, "C": 20}, {"A": 5, "B": 3, "C": 2}),
        (3, {"A": 1, "B": 1}, {"A": 2, "B": 1}),
        (3, {"B": 1, "A": 1}, {"B": 1, "A": 2}),
        (7, {"A": 53, "B": 24, "C": 23}, {"A": 4, "B": 2, "C": 1}),
        (5, {"A": 10, "B": 0}, {"A": 5, "B": 0}),
        (5, {"A": 0}, {"A": 0}),
    ],
)
def test_places_are_shared_by_headcount_and_largest_remainder(places, people, shares):
    assert award_rounds.share_places(places=places, people=people) == shares


def test_a_round_gives_every_unit_its_quota(house):
    for _ in range(4):
        make_employee(unit=house.branches[0])
    make_employee(unit=house.branches[1])
    round = house.open(places=5)
    assert list(round.quotas.values_list("unit__code", "people", "places")) == [("C1", 4, 4), ("C2", 1, 1)]


def test_nothing_is_awarded_on_an_unannounced_rule(house):
    with pytest.raises(InForceMissing):
        house.open(at=local(2026, 6, 1))
    with pytest.raises(award_rounds.NoCommittee):
        house.open(committee=house.committee[:2])
    assert not AwardRound.objects.exists()
