from decimal import Decimal

import pytest

from kpi.domain import award_rounds, nominating
from tests.factories.courses import local
from tests.factories.honours import AT, House
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("training", "complaints", "state", "met"),
    [
        ("100", "0", "eligible", [True, True]),
        ("99.5", "0", "ineligible", [False, True]),
        ("100", "1", "ineligible", [True, False]),
        (None, "0", "ineligible", [False, True]),
    ],
)
def test_a_nomination_is_checked_against_the_measures_of_the_months(house, training, complaints, state, met):
    nomination = house.nominate(house.open(), house.person(training=training, complaints=complaints))
    assert (nomination.state, [check["met"] for check in nomination.checks]) == (state, met)
    found = nomination.checks[0]["found"]
    assert (None if found is None else Decimal(found)) == (None if training is None else Decimal(training))
    assert len(nomination.checks[0]["measures"]) == (0 if training is None else 2)


def test_who_may_not_be_nominated(house):
    round = house.open()
    person = house.person(user=make_user())
    with pytest.raises(nominating.OwnNomination):
        house.nominate(round, person, by=person.user)
    with pytest.raises(nominating.NobodyNamed):
        house.nominate(round, None)
    with pytest.raises(award_rounds.ReasonMissing):
        house.nominate(round, person, citation=" ")
    with pytest.raises(nominating.TooLate):
        house.nominate(round, person, at=local(2026, 10, 16))
    first = house.nominate(round, person)
    with pytest.raises(nominating.NominatedAlready):
        house.nominate(round, person)
    with pytest.raises(award_rounds.OwnMatter):
        nominating.withdraw_nomination(nomination=first, by=house.hr, at=AT)
    nominating.withdraw_nomination(nomination=first, by=house.by, at=AT)
    assert house.nominate(round, person).state == "eligible"


def test_every_member_of_a_team_must_meet_the_conditions():
    house = House("team")
    members = [house.person(name="甲"), house.person(name="乙", training="80")]
    nomination = house.nominate(house.open(), None, title="晚星QC小组", members=members)
    assert (nomination.state, Decimal(nomination.checks[0]["found"])) == ("ineligible", 80)
