import pytest

from kpi.domain import award_rounds, committee
from tests.factories.honours import PUBLIC, VOTE
from tests.factories.people import make_employee, make_user

pytestmark = pytest.mark.django_db


def test_whoever_is_close_can_only_recuse(house):
    boss = make_employee(unit=house.province, user=make_user())
    nominee = house.person(manager=boss)
    beside = make_employee(unit=house.branches[0], user=make_user())
    far = make_employee(unit=house.branches[1], user=make_user())
    house.committee = [boss.user, beside.user, far.user, house.by]
    round = house.open()
    nomination = house.nominate(round, nominee)
    committee.begin_voting(round=round, by=house.hr, at=VOTE)
    nomination.refresh_from_db()
    for member in (boss.user, beside.user, house.by):
        with pytest.raises(committee.MustRecuse):
            committee.vote(nomination=nomination, member=member, choice="yes", at=VOTE)
        with pytest.raises(award_rounds.ReasonMissing):
            committee.vote(nomination=nomination, member=member, choice="recused", at=VOTE)
        committee.vote(nomination=nomination, member=member, choice="recused", reason="同一网点", at=VOTE)
    committee.vote(nomination=nomination, member=far.user, choice="yes", at=VOTE)
    with pytest.raises(committee.VotedAlready):
        committee.vote(nomination=nomination, member=far.user, choice="no", at=VOTE)
    with pytest.raises(committee.NotOfTheCommittee):
        committee.vote(nomination=nomination, member=house.hr, choice="yes", at=VOTE)
    tally = committee.tallies(round)[0]
    assert (tally.yes, tally.recused, tally.may_vote, tally.quorum, tally.carried) == (1, 3, 1, True, True)


@pytest.mark.parametrize(
    ("choices", "quorum", "carried"),
    [("yyyy", True, True), ("yyn", True, True), ("yy", False, False), ("ynyn", True, False), ("aaaa", True, False),
     ("yaa", True, True)],
)  # fmt: skip
def test_quorum_and_majority(house, choices, quorum, carried):
    round = house.open()
    nomination = house.nominate(round, house.person())
    committee.begin_voting(round=round, by=house.hr, at=VOTE)
    nomination.refresh_from_db()
    house.all_vote(nomination, choices)
    tally = committee.tallies(round)[0]
    assert (tally.quorum, tally.carried) == (quorum, carried)
    if not quorum:
        with pytest.raises(committee.NoQuorum):
            committee.make_public(round=round, by=house.hr, at=PUBLIC)
