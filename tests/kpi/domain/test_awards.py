import datetime as dt

import pytest
from django.db import Error, connection, transaction

from certificates.domain import badges
from certificates.domain.issuing import revoke_certificates
from certificates.models import Certificate
from core.events import verify_chain
from core.models import Event
from kpi.domain import award_rounds, awards, committee
from kpi.models import Award, Nomination, Vote
from tests.factories.courses import local
from tests.factories.honours import GRANT, PUBLIC, VOTE, House, honoured_team
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db


def test_the_best_within_the_quota_are_chosen_and_granted_with_a_certificate(house):
    people = [house.person(0, name="甲", user=make_user()), house.person(0, name="乙"), house.person(0, name="丙")]
    people += [house.person(1, name="丁"), house.person(1, name="戊", training="90")]
    round = house.open(places=3)  # three people in C1, two in C2: quotas of two and one
    nominations = [house.nominate(round, person) for person in people]
    committee.begin_voting(round=round, by=house.hr, at=VOTE)
    for nomination, choices in zip(nominations, ["yyyn", "yyyy", "yyyn", "yyyn"], strict=False):
        nomination.refresh_from_db()
        house.all_vote(nomination, choices)

    chosen = committee.make_public(round=round, by=house.hr, at=PUBLIC)
    assert [each.employee.name for each in chosen] == ["乙", "甲", "丁"]
    states = dict(Nomination.objects.values_list("employee__name", "state"))
    assert states == {"甲": "chosen", "乙": "chosen", "丙": "not_chosen", "丁": "chosen", "戊": "ineligible"}
    assert (round.publicity_from, round.publicity_until) == (dt.date(2026, 10, 25), dt.date(2026, 10, 30))
    with pytest.raises(awards.StillPublic):
        awards.grant(round=round, by=house.hr, at=local(2026, 10, 30, 23))

    against = committee.object_to(nomination=chosen[2], text="情况不符", by=house.hr, at=PUBLIC)
    with pytest.raises(awards.ObjectionsOpen):
        awards.grant(round=round, by=house.hr, at=GRANT)
    with pytest.raises(award_rounds.OwnMatter):
        committee.decide_objection(objection=against, uphold=True, answer="属实", by=house.hr, at=PUBLIC)
    committee.decide_objection(objection=against, uphold=True, answer="属实", by=house.committee[0], at=PUBLIC)
    with pytest.raises(committee.DecidedAlready):
        committee.decide_objection(objection=against, uphold=False, answer="不属实", by=house.committee[1], at=PUBLIC)

    given = awards.grant(round=round, by=house.hr, at=GRANT)
    assert [(award.holder, award.name_zh, award.unit_zh, award.citation) for award in given] == [
        ("甲", "三季度服务明星", "华东 / C1 / C1网点", "有口皆碑"),
        ("乙", "三季度服务明星", "华东 / C1 / C1网点", "有口皆碑"),
    ]
    assert [award.certificate.subject_zh for award in given] == ["三季度服务明星"] * 2
    assert list(awards.on_the_wall()) == given
    assert people[0].user.notices.filter(key=f"award-{given[0].pk}").count() == 1
    with pytest.raises(award_rounds.NotThisState):
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
    committee.begin_voting(round=round, by=house.hr, at=VOTE)
    nomination.refresh_from_db()
    house.all_vote(nomination, "yyyy")
    committee.make_public(round=round, by=house.hr, at=PUBLIC)
    _group, award = awards.grant(round=round, by=house.hr, at=GRANT)
    assert (award.certificate.subject_zh, award.certificate.subject_en) == ("星" * 100, "s" * 100)


def test_with_a_group_the_awards_of_its_members_are_revoked_for_the_same_reason():
    house = House("team")
    people = [house.person(name=name, user=make_user()) for name in "甲乙丙"]
    group, first, second, third = honoured_team(house, *people)
    awards.revoke(award=third, reason="本人申请", by=house.hr, at=GRANT)
    revoke_certificates(certificates=[second.certificate], by=house.hr, at=GRANT, reason="打印有误")
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
    with pytest.raises(award_rounds.OwnMatter):
        awards.revoke(award=group, reason="x", by=own.user, at=GRANT)


def test_a_group_is_revoked_whole_or_not_at_all(monkeypatch):
    """Between looking and writing somebody else revokes the award of a member."""
    house = House("team")
    group, first, second = honoured_team(house, house.person(name="甲"), house.person(name="乙"))
    looked = awards.revoked_with([group])
    awards.revoke(award=second, reason="先撤", by=house.hr, at=GRANT)
    monkeypatch.setattr(awards, "revoked_with", lambda _awards: looked)
    with pytest.raises(award_rounds.NotThisState):
        awards.revoke(award=group, reason="后撤", by=house.hr, at=GRANT)
    assert list(Award.objects.filter(revoked_at=None).order_by("pk")) == [group, first]


def test_mc18_votes_and_awards_are_never_deleted_or_changed_in_the_database():
    house = House()
    person = house.person()
    round = house.open()
    nomination = house.nominate(round, person)
    committee.begin_voting(round=round, by=house.hr, at=VOTE)
    nomination.refresh_from_db()
    house.all_vote(nomination, "yyyy")
    committee.make_public(round=round, by=house.hr, at=PUBLIC)
    awards.grant(round=round, by=house.hr, at=GRANT)
    for statement in (
        "DELETE FROM kpi_award",
        "DELETE FROM kpi_vote",
        "UPDATE kpi_vote SET choice = 'no'",
    ):
        with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    assert (Award.objects.count(), Vote.objects.filter(choice="yes").count()) == (1, 4)
