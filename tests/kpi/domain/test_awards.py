import datetime as dt
from decimal import Decimal

import pytest
from django.db import Error, connection, transaction

from certificates.domain import badges
from certificates.domain.issuing import revoke_certificate
from certificates.models import Certificate
from core.events import verify_chain
from core.models import Event
from core.periods import Month
from kpi.domain import awards
from kpi.domain.measures import NewMeasure, write_measures
from kpi.domain.rules import InForceMissing
from kpi.models import Award, AwardRound, Nomination, Vote
from tests.factories.certificates import make_design
from tests.factories.courses import local
from tests.factories.kpi import AWARD, make_indicators, make_published_version
from tests.factories.people import make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

Q3 = (Month(2026, 7), Month(2026, 9))
AT = local(2026, 10, 10)
VOTE = local(2026, 10, 20)
PUBLIC = local(2026, 10, 25)
GRANT = local(2026, 10, 31)


class House:
    """A province with two cities, an honour of persons, a committee of four, and people who meet the conditions."""

    def __init__(self, kind="person"):
        self.province = make_unit(code="P", name="华东")
        self.cities = [make_unit(self.province, code=code, name=code) for code in ("C1", "C2")]
        self.branches = [make_unit(city, name=f"{city.code}网点") for city in self.cities]
        self.indicators = make_indicators()
        self.hr = make_user()
        self.committee = [make_user() for _ in range(4)]
        self.version = make_published_version(
            AWARD, scope=self.province, code="star", family="award", effective_from=dt.date(2026, 7, 1)
        )
        self.programme = awards.make_programme(
            rule=self.version.rule, kind=kind, design=make_design(AT), by=self.hr, at=AT
        )
        self.by = make_user()

    def person(self, branch=0, training="100", complaints="0", **fields):
        employee = make_employee(unit=self.branches[branch], **fields)
        rows = [
            NewMeasure(indicator=self.indicators[code], month=month, value=Decimal(value), employee=employee.pk)
            for code, value in (("training", training), ("complaints_liable", complaints))
            for month in Q3
            if value is not None
        ]
        write_measures(rows=rows, by=None, at=AT)
        return employee

    def open(self, **fields):
        values = {
            "programme": self.programme,
            "version": self.version,
            "name": "三季度服务明星",
            "name_en": "Service stars, third quarter",
            "first_month": Q3[0],
            "last_month": Q3[1],
            "nominate_until": dt.date(2026, 10, 15),
            "committee": self.committee,
            "by": self.hr,
            "at": AT,
        }
        return awards.open_round(**(values | fields))

    def nominate(self, round, employee, **fields):
        values = {
            "employee": employee,
            "citation": "有口皆碑",
            "citation_en": "Praised by all",
            "by": self.by,
            "at": AT,
        }
        return awards.nominate(round=round, **(values | fields))

    def all_vote(self, nomination, choices="yyyn"):
        words = {"y": "yes", "n": "no", "a": "abstain"}
        for member, choice in zip(self.committee, choices, strict=False):
            awards.vote(nomination=nomination, member=member, choice=words[choice], at=VOTE)


@pytest.fixture
def house():
    return House()


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
    assert awards.share_places(places=places, people=people) == shares


def test_a_round_gives_every_unit_its_quota(house):
    for _ in range(4):
        make_employee(unit=house.branches[0])
    make_employee(unit=house.branches[1])
    round = house.open(places=5)
    assert list(round.quotas.values_list("unit__code", "people", "places")) == [("C1", 4, 4), ("C2", 1, 1)]


def test_nothing_is_awarded_on_an_unannounced_rule(house):
    with pytest.raises(InForceMissing):
        house.open(at=local(2026, 6, 1))
    with pytest.raises(awards.NoCommittee):
        house.open(committee=house.committee[:2])
    assert not AwardRound.objects.exists()


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
    with pytest.raises(awards.OwnNomination):
        house.nominate(round, person, by=person.user)
    with pytest.raises(awards.NobodyNamed):
        house.nominate(round, None)
    with pytest.raises(awards.ReasonMissing):
        house.nominate(round, person, citation=" ")
    with pytest.raises(awards.TooLate):
        house.nominate(round, person, at=local(2026, 10, 16))
    first = house.nominate(round, person)
    with pytest.raises(awards.NominatedAlready):
        house.nominate(round, person)
    with pytest.raises(awards.OwnMatter):
        awards.withdraw_nomination(nomination=first, by=house.hr, at=AT)
    awards.withdraw_nomination(nomination=first, by=house.by, at=AT)
    assert house.nominate(round, person).state == "eligible"


def test_whoever_is_close_can_only_recuse(house):
    boss = make_employee(unit=house.province, user=make_user())
    nominee = house.person(manager=boss)
    beside = make_employee(unit=house.branches[0], user=make_user())
    far = make_employee(unit=house.branches[1], user=make_user())
    house.committee = [boss.user, beside.user, far.user, house.by]
    round = house.open()
    nomination = house.nominate(round, nominee)
    awards.begin_voting(round=round, by=house.hr, at=VOTE)
    nomination.refresh_from_db()
    for member in (boss.user, beside.user, house.by):
        with pytest.raises(awards.MustRecuse):
            awards.vote(nomination=nomination, member=member, choice="yes", at=VOTE)
        with pytest.raises(awards.ReasonMissing):
            awards.vote(nomination=nomination, member=member, choice="recused", at=VOTE)
        awards.vote(nomination=nomination, member=member, choice="recused", reason="同一网点", at=VOTE)
    awards.vote(nomination=nomination, member=far.user, choice="yes", at=VOTE)
    with pytest.raises(awards.VotedAlready):
        awards.vote(nomination=nomination, member=far.user, choice="no", at=VOTE)
    with pytest.raises(awards.NotOfTheCommittee):
        awards.vote(nomination=nomination, member=house.hr, choice="yes", at=VOTE)
    tally = awards.tallies(round)[0]
    assert (tally.yes, tally.recused, tally.may_vote, tally.quorum, tally.carried) == (1, 3, 1, True, True)


@pytest.mark.parametrize(
    ("choices", "quorum", "carried"),
    [("yyyy", True, True), ("yyn", True, True), ("yy", False, False), ("ynyn", True, False), ("aaaa", True, False),
     ("yaa", True, True)],
)  # fmt: skip
def test_quorum_and_majority(house, choices, quorum, carried):
    round = house.open()
    nomination = house.nominate(round, house.person())
    awards.begin_voting(round=round, by=house.hr, at=VOTE)
    nomination.refresh_from_db()
    house.all_vote(nomination, choices)
    tally = awards.tallies(round)[0]
    assert (tally.quorum, tally.carried) == (quorum, carried)
    if not quorum:
        with pytest.raises(awards.NoQuorum):
            awards.make_public(round=round, by=house.hr, at=PUBLIC)


def test_the_best_within_the_quota_are_chosen_and_granted_with_a_certificate(house):
    people = [house.person(0, name="甲", user=make_user()), house.person(0, name="乙"), house.person(0, name="丙")]
    people += [house.person(1, name="丁"), house.person(1, name="戊", training="90")]
    round = house.open(places=3)  # three people in C1, two in C2: quotas of two and one
    nominations = [house.nominate(round, person) for person in people]
    awards.begin_voting(round=round, by=house.hr, at=VOTE)
    for nomination, choices in zip(nominations, ["yyyn", "yyyy", "yyyn", "yyyn"], strict=False):
        nomination.refresh_from_db()
        house.all_vote(nomination, choices)

    chosen = awards.make_public(round=round, by=house.hr, at=PUBLIC)
    assert [each.employee.name for each in chosen] == ["乙", "甲", "丁"]
    states = dict(Nomination.objects.values_list("employee__name", "state"))
    assert states == {"甲": "chosen", "乙": "chosen", "丙": "not_chosen", "丁": "chosen", "戊": "ineligible"}
    assert (round.publicity_from, round.publicity_until) == (dt.date(2026, 10, 25), dt.date(2026, 10, 30))
    with pytest.raises(awards.StillPublic):
        awards.grant(round=round, by=house.hr, at=local(2026, 10, 30, 23))

    against = awards.object_to(nomination=chosen[2], text="情况不符", by=house.hr, at=PUBLIC)
    with pytest.raises(awards.ObjectionsOpen):
        awards.grant(round=round, by=house.hr, at=GRANT)
    with pytest.raises(awards.OwnMatter):
        awards.decide_objection(objection=against, uphold=True, answer="属实", by=house.hr, at=PUBLIC)
    awards.decide_objection(objection=against, uphold=True, answer="属实", by=house.committee[0], at=PUBLIC)
    with pytest.raises(awards.DecidedAlready):
        awards.decide_objection(objection=against, uphold=False, answer="不属实", by=house.committee[1], at=PUBLIC)

    given = awards.grant(round=round, by=house.hr, at=GRANT)
    assert [(award.holder, award.name_zh, award.unit_zh, award.citation) for award in given] == [
        ("甲", "三季度服务明星", "华东 / C1 / C1网点", "有口皆碑"),
        ("乙", "三季度服务明星", "华东 / C1 / C1网点", "有口皆碑"),
    ]
    assert [award.certificate.subject_zh for award in given] == ["三季度服务明星"] * 2
    assert list(awards.on_the_wall()) == given
    assert people[0].user.notices.filter(key=f"award-{given[0].pk}").count() == 1
    with pytest.raises(awards.NotThisState):
        awards.grant(round=round, by=house.hr, at=GRANT)
    assert verify_chain("awards")[1] is None

    awards.show_on_wall(award=given[0], shown=False, by=people[0].user, at=GRANT)
    awards.show_on_wall(award=given[1], shown=False, by=people[0].user, at=GRANT)  # not his own: nothing happens
    assert list(awards.on_the_wall()) == given[1:]
    awards.revoke(award=given[1], reason="事后查实", by=house.hr, at=GRANT)
    with pytest.raises(awards.AlreadyRevoked):
        awards.revoke(award=given[1], reason="再次", by=house.hr, at=GRANT)
    assert list(awards.on_the_wall()) == []
    assert Certificate.objects.get(award=given[1]).revoked_reason == "事后查实"
    assert list(awards.honours_of(people[1])) == [given[1]]


def honoured_team(house, *members):
    """A team that was honoured: its award, then those of its members."""
    round = house.open()
    nomination = house.nominate(round, None, title="晨星QC小组", title_en="Morning Star", members=members)
    awards.begin_voting(round=round, by=house.hr, at=VOTE)
    nomination.refresh_from_db()
    house.all_vote(nomination, "yyyy")
    awards.make_public(round=round, by=house.hr, at=PUBLIC)
    return awards.grant(round=round, by=house.hr, at=GRANT)


def test_every_member_of_a_team_must_meet_the_conditions():
    house = House("team")
    members = [house.person(name="甲"), house.person(name="乙", training="80")]
    nomination = house.nominate(house.open(), None, title="晚星QC小组", members=members)
    assert (nomination.state, Decimal(nomination.checks[0]["found"])) == ("ineligible", 80)


def test_a_team_is_honoured_with_every_member():
    house = House("team")
    given = honoured_team(house, house.person(name="甲"), house.person(name="乙"))
    assert [(award.holder, award.certificate and award.certificate.subject_zh) for award in given] == [
        ("晨星QC小组", None),
        ("甲", "三季度服务明星·晨星QC小组成员"),
        ("乙", "三季度服务明星·晨星QC小组成员"),
    ]
    assert given[1].certificate.subject_en == "Service stars, third quarter, member of Morning Star"


def test_a_name_too_long_for_a_certificate_leaves_the_group_out():
    house = House("team")
    round = house.open(name="星" * 100, name_en="s" * 100)
    nomination = house.nominate(round, None, title="组" * 100, title_en="g" * 100, members=[house.person()])
    awards.begin_voting(round=round, by=house.hr, at=VOTE)
    nomination.refresh_from_db()
    house.all_vote(nomination, "yyyy")
    awards.make_public(round=round, by=house.hr, at=PUBLIC)
    _group, award = awards.grant(round=round, by=house.hr, at=GRANT)
    assert (award.certificate.subject_zh, award.certificate.subject_en) == ("星" * 100, "s" * 100)


def test_with_a_group_the_awards_of_its_members_are_revoked_for_the_same_reason():
    house = House("team")
    people = [house.person(name=name, user=make_user()) for name in "甲乙丙"]
    group, first, second, third = honoured_team(house, *people)
    awards.revoke(award=third, reason="本人申请", by=house.hr, at=GRANT)
    revoke_certificate(certificate=second.certificate, by=house.hr, at=GRANT, reason="打印有误")
    assert awards.revoked_with([group, first]) == {group.pk: [first, second]}
    later = local(2026, 11, 20)

    assert awards.revoke(award=group, reason=" 数据造假 ", by=house.hr, at=later) == [group, first, second]
    rows = Award.objects.order_by("pk").values_list("holder", "revoked_reason", "certificate__revoked_reason")
    assert list(rows) == [
        ("晨星QC小组", "数据造假", None),
        ("甲", "数据造假", "数据造假"),
        ("乙", "数据造假", "打印有误"),  # its paper was revoked before; the first reason stands
        ("丙", "本人申请", "本人申请"),
    ]
    told = Event.objects.filter(chain="awards", action="revoked", at=later).order_by("sequence")
    assert [(int(one.subject_id), one.reason, one.after) for one in told] == [
        (group.pk, "数据造假", None),
        (first.pk, "数据造假", {"with": group.pk}),
        (second.pk, "数据造假", {"with": group.pk}),
    ]
    assert Event.objects.filter(chain="certificates", action="revoked", at=later).count() == 1
    assert [people[place].user.notices.filter(key__startswith="revoked-").count() for place in range(3)] == [1, 1, 1]
    assert {one["id"].rsplit("/", 2)[-2] for one in badges.revoked()["revokedCredential"]} == set(
        Certificate.objects.values_list("code", flat=True)
    )
    assert list(awards.on_the_wall()) == []
    assert [verify_chain(chain)[1] for chain in ("awards", "certificates")] == [None, None]


def test_the_award_of_one_member_is_revoked_alone():
    house = House("team")
    group, first, second = honoured_team(house, house.person(name="甲"), house.person(name="乙"))
    assert awards.revoke(award=first, reason="未参与", by=house.hr, at=GRANT) == [first]
    assert list(Award.objects.filter(revoked_at=None).order_by("pk")) == [group, second]


def test_a_member_does_not_revoke_the_award_of_the_group():
    house = House("team")
    own = house.person(name="甲", user=make_user())
    group, *_members = honoured_team(house, own, house.person(name="乙"))
    with pytest.raises(awards.OwnMatter):
        awards.revoke(award=group, reason="x", by=own.user, at=GRANT)


def test_a_group_is_revoked_whole_or_not_at_all(monkeypatch):
    """Between looking and writing somebody else revokes the award of a member."""
    house = House("team")
    group, first, second = honoured_team(house, house.person(name="甲"), house.person(name="乙"))
    looked = awards.revoked_with([group])
    awards.revoke(award=second, reason="先撤", by=house.hr, at=GRANT)
    monkeypatch.setattr(awards, "revoked_with", lambda _awards: looked)
    with pytest.raises(awards.NotThisState):
        awards.revoke(award=group, reason="后撤", by=house.hr, at=GRANT)
    assert list(Award.objects.filter(revoked_at=None).order_by("pk")) == [group, first]


def test_mc18_votes_and_awards_are_never_deleted_or_changed_in_the_database():
    house = House()
    person = house.person()
    round = house.open()
    nomination = house.nominate(round, person)
    awards.begin_voting(round=round, by=house.hr, at=VOTE)
    nomination.refresh_from_db()
    house.all_vote(nomination, "yyyy")
    awards.make_public(round=round, by=house.hr, at=PUBLIC)
    awards.grant(round=round, by=house.hr, at=GRANT)
    for statement in (
        "DELETE FROM kpi_award",
        "DELETE FROM kpi_vote",
        "UPDATE kpi_vote SET choice = 'no'",
    ):
        with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    assert (Award.objects.count(), Vote.objects.filter(choice="yes").count()) == (1, 4)
