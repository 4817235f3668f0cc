"""Honours on pages: who reaches what, what each step answers, and the wall."""

import datetime as dt
import io

import pytest
from django.test import Client
from django.urls import reverse
from PIL import Image
from wagtail.models import Locale

from certificates.models import CertificateDesign
from core.events import verify_chain
from core.models import Picture
from kpi.domain import awards, committee
from kpi.domain.recognition_access import people_of_numbers, wall_awards
from kpi.domain.thanks import A_DAY, say_thanks
from kpi.models import (
    Award,
    AwardProgramme,
    AwardRound,
    HonourWallPage,
    Look,
    Nomination,
    Objection,
    Rule,
    Thanks,
    Vote,
)
from people.models import Employee
from portal.house import set_up_house
from tests.factories.certificates import make_design
from tests.factories.courses import local, make_course
from tests.factories.honours import AT, GRANT, PUBLIC, VOTE, House, honoured_team
from tests.factories.kpi import AWARD, make_published_version
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def house():
    """The house of the domain's tests, with an HR person of the province who has a record."""
    made = House()
    hr = make_employee(unit=made.province, with_user=True, name="何思远")
    grant(hr.user, "hr", made.province)
    made.hr = hr.user
    return made


@pytest.fixture
def when(monkeypatch):
    """``when(moment)``: what the pages take for now."""

    def set_now(moment):
        monkeypatch.setattr("django.utils.timezone.now", lambda: moment.astimezone(dt.UTC))

    set_now(AT)
    return set_now


def as_(user) -> Client:
    client = Client()
    client.force_login(type(user).objects.get(pk=user.pk))
    client.cookies["django_language"] = "en"
    return client


def text(response) -> str:
    return " ".join(response.content.decode().split())


def said(response) -> list[str]:
    return [str(one) for one in response.context["messages"]] if response.context else []


def at_vote(house, *people):
    """A round at the vote with one nomination of each person."""
    round = house.open()
    made = [house.nominate(round, person) for person in people]
    committee.begin_voting(round=round, by=house.hr, at=VOTE)
    for one in made:
        one.refresh_from_db()
    return round, made


def public(house, *people):
    round, made = at_vote(house, *people)
    for one in made:
        house.all_vote(one, "yyyy")
    committee.make_public(round=round, by=house.hr, at=PUBLIC)
    for one in made:
        one.refresh_from_db()
    return round, made


def granted(house, *people):
    round, _made = public(house, *people)
    return round, awards.grant(round=round, by=house.hr, at=GRANT)


# --- who may --------------------------------------------------------------------------------------------------------------
DESK = [
    ("honours_desk", "get", None),
    ("new_programme", "get", None),
    ("new_round", "get", "programme"),
    ("honours_round", "get", "round"),
    ("check_again", "post", "round"),
    ("begin_vote", "post", "round"),
    ("make_public", "post", "round"),
    ("grant", "post", "round"),
    ("cancel_round", "post", "round"),
    ("answer_objection", "post", "objection"),
    ("revoke_award", "post", "award"),
    ("award_photo", "post", "award"),
]


def _desk(house, client, ids):
    found = {}
    for name, method, kind in DESK:
        address = reverse(f"kpi:{name}", args=[ids[kind]] if kind else [])
        found[name] = getattr(client, method)(address, {"reason": "x"}).status_code
    return found


@pytest.fixture
def ids(house):
    other, nominations = public(house, house.person(name="甲"))
    objection = committee.object_to(nomination=nominations[0], text="情况", by=make_user(), at=PUBLIC)
    committee.decide_objection(objection=objection, uphold=False, answer="不属实", by=make_user(), at=PUBLIC)
    given = awards.grant(round=other, by=make_user(), at=GRANT)
    return {"programme": house.programme.pk, "round": other.pk, "objection": objection.pk, "award": given[0].pk}


@pytest.mark.parametrize("role", ["", "author", "auditor", "admin"])
def test_pm_w02_pm_w07_only_hr_runs_honours(house, ids, when, role):
    person = make_employee(unit=house.province, with_user=True)
    if role:
        grant(person.user, role)
    assert _desk(house, as_(person.user), ids) == {name: 403 for name, _method, _kind in DESK}


def test_pm_w02_pm_w07_hr_of_another_unit_finds_nothing(house, ids, when):
    other = make_unit()
    person = make_employee(unit=other, with_user=True)
    grant(person.user, "hr", other)
    below = make_employee(unit=house.cities[0], with_user=True)
    grant(below.user, "hr", house.cities[0])
    expected = {name: 404 if kind else 200 for name, _method, kind in DESK}
    for user in (person.user, below.user):
        assert _desk(house, as_(user), ids) == expected
    assert Award.objects.get().revoked_at is None


def test_pm_w03_who_is_not_of_the_committee_finds_no_vote(house, when):
    round, (nomination,) = at_vote(house, house.person())
    stranger = make_employee(unit=house.province, with_user=True)
    answers = []
    for user in (stranger.user, house.hr, house.committee[0]):
        client = as_(user)
        answers.append(
            (
                client.get(reverse("kpi:vote", args=[round.pk])).status_code,
                client.post(reverse("kpi:cast", args=[nomination.pk]), {"choice": "yes"}).status_code,
            )
        )
    assert answers == [(404, 404), (404, 404), (200, 302)]
    assert list(Vote.objects.values_list("member", "choice")) == [(house.committee[0].pk, "yes")]


def test_pm_w08_only_ones_own_awards_thanks_and_nominations_are_there(house, when):
    person = house.person(user=make_user())
    _round, (award,) = granted(house, person)
    thanks = say_thanks(giver=make_employee(), receiver=person, text="谢谢", at=AT)
    other = make_employee(unit=house.province, with_user=True)
    client = as_(other.user)
    answers = [
        client.post(reverse("kpi:on_wall", args=[award.pk])).status_code,
        client.post(reverse("kpi:hide_thanks", args=[thanks.pk])).status_code,
        client.get(reverse("kpi:nomination", args=[award.nomination_id])).status_code,
        client.post(reverse("kpi:take_back", args=[award.nomination_id])).status_code,
    ]
    assert answers == [404] * 4
    award.refresh_from_db()
    assert (award.on_wall, Thanks.objects.get().hidden_at) == (True, None)


# --- everybody ------------------------------------------------------------------------------------------------------------
def test_a_nomination_shows_at_once_what_was_found(house, when):
    round = house.open()
    person, by = house.person(name="林晓雨", training="90"), make_employee(unit=house.branches[1], with_user=True)
    client = as_(by.user)
    response = client.post(
        reverse("kpi:nominate", args=[round.pk]),
        {"employee": person.employee_no, "citation": "热心", "citation_en": "Kind"},
    )
    made = Nomination.objects.get()
    assert (response.status_code, response.url) == (302, reverse("kpi:nomination", args=[made.pk]))
    page = text(client.get(response.url))
    assert "Asked for: at least 100 %. Found: 90 %, from 2 measures." in page
    assert "Asked for: at most 0. Found: 0, from 2 measures." in page
    assert "does not meet the conditions" in page
    client.post(reverse("kpi:take_back", args=[made.pk]))
    made.refresh_from_db()
    assert made.state == "withdrawn"


def test_pm_w01_what_a_nomination_is_refused_for_stands_at_its_field(house, when):
    round = house.open()
    me = house.person(user=make_user())
    outside = make_employee(unit=make_unit())

    def errors(**data):
        response = as_(me.user).post(reverse("kpi:nominate", args=[round.pk]), {"citation": "好", **data})
        return response.status_code, {name: list(found) for name, found in response.context["form"].errors.items()}

    assert errors(employee=me.employee_no) == (
        422,
        {"employee": ["Nobody puts himself forward. Ask a colleague who knows your work."]},
    )
    assert errors(employee=outside.employee_no) == (
        422,
        {"employee": ["This honour is for people at work in 华东 and for its units."]},
    )
    assert list(errors(employee="nobody")[1]) == ["employee"]
    when(local(2026, 10, 16))
    person = house.person()
    assert errors(employee=person.employee_no) == (
        422,
        {"__all__": ["The last day for nominations was 15 October 2026."]},
    )
    assert not Nomination.objects.exists()


def test_a_team_is_put_forward_with_pasted_numbers(when):
    house = House("team")
    round = house.open()
    members = [house.person(name="甲"), house.person(name="乙")]
    by = make_employee(unit=house.branches[1], with_user=True)
    pasted = f"{members[1].employee_no}\t乙\n{members[0].employee_no}，000000"
    client, address = as_(by.user), reverse("kpi:nominate", args=[round.pk])
    data = {"title": "晨星小组", "title_en": "Morning Star", "members": pasted, "citation": "好"}
    wrong = client.post(address, data)
    assert list(wrong.context["form"].errors["members"]) == [
        "Nobody has this number: 000000. Correct it or take it out."
    ]
    data["members"] = pasted.replace("，000000", "")
    assert client.post(address, data).status_code == 302
    made = Nomination.objects.get()
    assert (made.title, made.state, set(made.members.all())) == ("晨星小组", "eligible", set(members))


def test_numbers_are_read_from_lines_with_names_beside_them():
    one, two = make_employee(employee_no="000123"), make_employee(employee_no="A-77")
    found = people_of_numbers("000123 王明\nA-77;999\n李四", Employee.objects.all())
    assert found == ([one, two], ["999", "李四"])


def test_pm_w04_an_objection_goes_to_hr_once_and_its_answer_comes_back(house, when):
    _round, (nomination,) = public(house, house.person(name="林晓雨"))
    when(PUBLIC)
    somebody = make_employee(unit=house.branches[1], with_user=True)
    client, address = as_(somebody.user), reverse("kpi:object_to", args=[nomination.pk])
    assert client.post(address, {"text": " "}).status_code == 422
    assert client.post(address, {"text": "九月有一次投诉"}).status_code == 302
    assert client.post(address, {"text": "再说一次"}).status_code == 302
    objection = Objection.objects.get()
    assert (objection.text, objection.by, objection.state) == ("九月有一次投诉", somebody.user, "open")
    assert house.hr.notices.filter(key=f"objection-{objection.pk}").count() == 1
    page = text(client.get(reverse("kpi:honours")))
    assert "You said something; it waits for HR’s answer." in page

    desk = as_(house.hr)
    desk.post(reverse("kpi:answer_objection", args=[objection.pk]), {"answer": "查无此事", "do": "reject"})
    objection.refresh_from_db()
    assert (objection.state, objection.answer) == ("rejected", "查无此事")
    assert "Answer: 查无此事" in text(client.get(reverse("kpi:honours")))
    assert somebody.user.notices.filter(key=f"answer-{objection.pk}").count() == 1
    when(local(2026, 10, 31))
    as_(somebody.user).post(address, {"text": "太晚"})
    assert Objection.objects.count() == 1


def test_pm_w04_who_is_nominated_does_not_answer_the_objection(house, when):
    boss = house.person(user=make_user())
    grant(boss.user, "hr", house.province)
    _round, (nomination,) = public(house, boss)
    objection = committee.object_to(nomination=nomination, text="情况不符", by=make_user(), at=PUBLIC)
    when(PUBLIC)
    response = as_(boss.user).post(
        reverse("kpi:answer_objection", args=[objection.pk]), {"answer": "没有的事", "do": "reject"}
    )
    objection.refresh_from_db()
    assert (response.status_code, objection.state) == (422, "open")


def test_pm_w06_thanks_have_limits_said_in_plain_words(house, when):
    giver, receiver = make_employee(unit=house.province, with_user=True), make_employee(unit=house.province)
    gone = make_employee(unit=house.province, state="left", left_on=dt.date(2026, 9, 1))
    client, address = as_(giver.user), reverse("kpi:say_thanks", args=[receiver.pk])
    assert client.get(address).status_code == 200
    assert client.get(reverse("kpi:say_thanks", args=[gone.pk])).status_code == 404
    assert "Thanks go to somebody else" in text(client.get(reverse("kpi:say_thanks", args=[giver.pk])))
    for _ in range(A_DAY):
        assert client.post(address, {"text": "多谢"}).status_code == 302
    response = client.post(address, {"text": "多谢"})
    assert response.status_code == 422
    assert response.context["form"].non_field_errors() == [
        "You have thanked 10 people in the last 24 hours. Come back tomorrow."
    ]
    assert Thanks.objects.count() == A_DAY


def test_thanks_are_hidden_and_shown_again(house, when):
    me = make_employee(unit=house.province, with_user=True)
    thanks = say_thanks(giver=make_employee(), receiver=me, text="多谢", at=AT)
    client, address = as_(me.user), reverse("kpi:hide_thanks", args=[thanks.pk])
    client.post(address)
    thanks.refresh_from_db()
    assert thanks.hidden_at is not None
    assert "hidden from others" in text(client.get(reverse("kpi:honours")))
    client.post(address + "?undo=1")
    thanks.refresh_from_db()
    assert thanks.hidden_at is None


# --- the committee --------------------------------------------------------------------------------------------------------
def test_who_is_close_sees_only_recusal(house, when):
    near = make_employee(unit=house.branches[0], with_user=True)
    house.committee = [near.user, *house.committee[:3]]
    round, (close, far) = at_vote(house, house.person(0, name="甲"), house.person(1, name="乙"))
    when(VOTE)
    client = as_(near.user)
    page = client.get(reverse("kpi:vote", args=[round.pk]))
    fields = {line["nomination"].pk: list(line["form"].fields) for line in page.context["lines"]}
    assert fields == {close.pk: ["reason"], far.pk: ["choice", "reason"]}
    assert client.post(reverse("kpi:cast", args=[close.pk]), {"choice": "yes"}).status_code == 422
    assert client.post(reverse("kpi:cast", args=[far.pk]), {"choice": "recused"}).status_code == 422
    client.post(reverse("kpi:cast", args=[close.pk]), {"choice": "yes", "reason": "同一网点"})
    client.post(reverse("kpi:cast", args=[far.pk]), {"choice": "no"})
    assert list(Vote.objects.order_by("pk").values_list("nomination", "choice", "reason")) == [
        (close.pk, "recused", "同一网点"),
        (far.pk, "no", ""),
    ]


def test_votes_are_counted_but_not_named_before_the_names_are_public(house, when):
    house.committee[0].first_name = "委员甲"
    voter = make_employee(unit=house.province, with_user=True, name="委员甲")
    house.committee[0] = voter.user
    round, (nomination,) = at_vote(house, house.person(1))
    house.all_vote(nomination, "yyyn")
    when(VOTE)
    client, address = as_(house.hr), reverse("kpi:honours_round", args=[round.pk])
    page = text(client.get(address))
    assert "For 3, against 1, abstained 0, recused 0; 4 may vote." in page
    assert "Who voted what" not in page
    committee.make_public(round=round, by=house.hr, at=PUBLIC)
    page = text(client.get(address))
    assert "委员甲: for" in page


# --- HR -------------------------------------------------------------------------------------------------------------------
def test_a_round_from_the_rule_to_the_wall(house, when):
    set_up_house()
    client = as_(house.hr)
    members = [make_employee(unit=house.cities[1], with_user=True) for _ in range(3)]
    mute, person = make_employee(unit=house.cities[1]), house.person(0, name="林晓雨", user=make_user())
    data = {
        "name": "三季度服务明星",
        "name_en": "Service stars Q3",
        "first_month": "2026-07",
        "last_month": "2026-09",
        "nominate_until": "2026-10-15",
        "committee": "\n".join(one.employee_no for one in [*members[:2], mute]),
    }
    address = reverse("kpi:new_round", args=[house.programme.pk])
    assert list(client.post(address, data).context["form"].errors) == ["committee"]
    data["committee"] = "\n".join(one.employee_no for one in members[:2])
    assert list(client.post(address, data).context["form"].errors) == ["committee"]
    data["committee"] = " ".join(one.employee_no for one in members)
    response = client.post(address, data)
    round = AwardRound.objects.get()
    assert response.url == reverse("kpi:honours_round", args=[round.pk])
    assert (round.places, round.committee.count(), round.created_by) == (3, 3, house.hr)
    assert list(client.post(address, data).context["form"].errors) == ["first_month"]  # twice for the same months

    nomination = house.nominate(round, person)

    def do(name, **data):
        as_(house.hr).post(reverse(f"kpi:{name}", args=[round.pk]), data)
        round.refresh_from_db()
        return round.state

    assert do("check_again") == "nominating"
    assert do("begin_vote") == "voting"
    assert members[0].user.notices.filter(key=f"vote-{round.pk}").count() == 1
    assert do("make_public") == "voting"  # no quorum
    house.committee = [one.user for one in members]
    nomination.refresh_from_db()
    house.all_vote(nomination, "yyy")
    when(PUBLIC)
    assert do("make_public") == "publicity"
    assert do("grant") == "publicity"  # still public
    when(GRANT)
    assert do("grant") == "granted"
    assert do("cancel_round", reason="太晚") == "granted"
    award, client = Award.objects.get(), as_(house.hr)
    wall = HonourWallPage.objects.get(locale=Locale.objects.get(language_code="en"))
    shown = text(client.get(wall.get_url()))
    assert "林晓雨" in shown and "Praised by all" in shown and "Service stars Q3" in shown

    mine = as_(person.user)
    assert "Certificate and badge" in text(mine.get(reverse("kpi:honours")))
    mine.post(reverse("kpi:on_wall", args=[award.pk]))
    assert "林晓雨" not in text(client.get(wall.get_url()))
    mine.post(reverse("kpi:on_wall", args=[award.pk]), {"show": "1"})
    assert "林晓雨" in text(client.get(wall.get_url()))

    client.post(reverse("kpi:revoke_award", args=[award.pk]), {"reason": " "})
    award.refresh_from_db()
    assert award.revoked_at is None
    client.post(reverse("kpi:revoke_award", args=[award.pk]), {"reason": "事后查实"}, follow=True)
    assert "林晓雨" not in text(client.get(wall.get_url()))
    assert "事后查实" in text(mine.get(reverse("kpi:honours")))
    assert verify_chain("awards")[1] is None


def test_nobody_grants_or_revokes_his_own_award(house, when):
    own = house.person(user=make_user())
    grant(own.user, "hr", house.province)
    round, _made = public(house, own)
    when(GRANT)
    as_(own.user).post(reverse("kpi:grant", args=[round.pk]))
    round.refresh_from_db()
    assert round.state == "publicity"
    (award,) = awards.grant(round=round, by=house.hr, at=GRANT)
    assert as_(own.user).post(reverse("kpi:revoke_award", args=[award.pk]), {"reason": "x"}).status_code == 404
    award.refresh_from_db()
    assert award.revoked_at is None


def test_revoking_a_team_says_before_and_after_whose_awards_fall(when):
    house = House("team")
    hr = make_employee(unit=house.province, with_user=True)
    grant(hr.user, "hr", house.province)
    group, first, second = honoured_team(house, house.person(name="王芳"), house.person(name="李强"))
    when(GRANT)
    client, page = as_(hr.user), reverse("kpi:honours_round", args=[group.nomination.round_id])
    shown = text(client.get(page))
    assert "2 awards fall with it:" in shown and "Revoke it with those of its members" in shown
    assert shown.index("2 awards fall") < shown.index(first.certificate.number, shown.index("2 awards fall"))
    assert shown.count("Revoke this award") == 2
    answer = client.post(reverse("kpi:revoke_award", args=[group.pk]), {"reason": "数据造假"}, follow=True)
    assert said(answer) == ["The award of Morning Star is revoked, and with it those of 2 members."]
    assert Award.objects.filter(revoked_reason="数据造假").count() == 3
    checked = Client().get(reverse("certificates:verify", args=[second.certificate.code]))
    assert checked.context["state"] == "revoked"


def test_a_programme_is_made_from_a_rule(house, when):
    version = make_published_version(AWARD, scope=house.cities[0], code="CITY", family="award")
    elsewhere = make_published_version(AWARD, scope=make_unit(), code="ELSE", family="award")
    design, client = make_design(AT, name="荣誉证书"), as_(house.hr)
    address = reverse("kpi:new_programme")
    refused = client.post(address, {"rule": elsewhere.rule_id, "kind": "unit", "design": design.pk})
    assert list(refused.context["form"].errors) == ["rule"]
    client.post(address, {"rule": version.rule_id, "kind": "unit", "design": design.pk})
    made = AwardProgramme.objects.get(rule=version.rule)
    assert (made.kind, made.design) == ("unit", design)


def test_only_designs_for_honours_are_offered_with_their_words(house, when):
    make_published_version(AWARD, scope=house.province, code="CITY", family="award")
    of_courses = make_design(AT, name="结业")
    make_course(design=of_courses)
    honour = make_design(
        AT,
        name="荣誉证书",
        sentence_zh="荣获「{course}」称号。",
        sentence_en="{name} is honoured as “{course}”.",
    )
    honour.sentence_en = "a draft that nobody published"
    honour.save()
    CertificateDesign.objects.create(name="未发布")
    client, address = as_(house.hr), reverse("kpi:new_programme")
    shown = text(client.get(address))
    assert "Wang Xiaolin is honoured as “Service star of the third quarter”." in shown
    offered = client.get(address).context["form"].fields["design"].queryset
    assert list(offered) == [house.programme.design, honour]
    rule = Rule.objects.get(code="CITY")
    refused = client.post(address, {"rule": rule.pk, "kind": "unit", "design": of_courses.pk})
    assert list(refused.context["form"].errors) == ["design"]


def test_without_a_design_for_honours_the_page_says_whom_to_ask(when):
    unit = make_unit()
    make_published_version(AWARD, scope=unit, code="CITY", family="award")
    hr = make_employee(unit=unit, with_user=True)
    grant(hr.user, "hr", unit)
    shown = text(as_(hr.user).get(reverse("kpi:new_programme")))
    assert "There is no certificate for it yet" in shown and '<form method="post" class="form"' not in shown


def _picture(mode="RGB", name="photo.png"):
    drawn = io.BytesIO()
    Image.new(mode, (2000, 1000), "red").save(drawn, "PNG")
    drawn.seek(0)
    drawn.name = name
    return drawn


def test_a_photograph_is_drawn_anew_replaced_and_taken_away(house, when, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    _round, (award,) = granted(house, house.person())
    client, address = as_(house.hr), reverse("kpi:award_photo", args=[award.pk])
    broken = io.BytesIO(b"no picture")
    broken.name = "photo.jpg"
    assert client.post(address, {"photo": broken}).status_code == 422
    client.post(address, {"photo": _picture()})
    first = Award.objects.get().photo
    assert (first.width, first.height, first.title) == (1600, 800, f"Honours {award.pk}")
    with first.file.open() as drawn:
        assert drawn.read(3) == b"\xff\xd8\xff"
    client.post(address, {"photo": _picture("RGBA")})
    assert Picture.objects.get() == Award.objects.get().photo != first
    client.post(address, {"do": "remove"})
    assert (Award.objects.get().photo, Picture.objects.count()) == (None, 0)


# --- the wall -------------------------------------------------------------------------------------------------------------
def test_pm_w05_the_wall_asks_for_a_sign_in_and_hangs_in_both_languages(client):
    set_up_house()
    pages = HonourWallPage.objects.order_by("locale__language_code")
    assert [page.locale.language_code for page in pages] == ["en", "zh-hans"]
    assert len({page.translation_key for page in pages}) == 1
    assert [client.get(page.get_url()).status_code for page in pages] == [302, 302]
    somebody = as_(make_employee(unit=make_unit(), with_user=True).user)
    assert [somebody.get(page.get_url()).status_code for page in pages] == [200, 200]


def test_a_team_hangs_once_with_those_of_its_members_who_wish_it():
    house = House("team")
    members = [house.person(name="甲", user=make_user()), house.person(name="乙")]
    round = house.open()
    nomination = house.nominate(round, None, title="晨星小组", members=members)
    committee.begin_voting(round=round, by=house.hr, at=VOTE)
    nomination.refresh_from_db()
    house.all_vote(nomination, "yyyy")
    committee.make_public(round=round, by=house.hr, at=PUBLIC)
    given = awards.grant(round=round, by=house.hr, at=GRANT)
    awards.show_on_wall(award=given[1], shown=False, by=members[0].user, at=GRANT)
    (shown,) = wall_awards()
    assert (shown.holder, [one.holder for one in shown.nomination.shown_members]) == ("晨星小组", ["乙"])


def test_the_wall_takes_the_same_queries_for_one_and_for_many(house, when, django_assert_num_queries):
    set_up_house()
    house.version.parameters["places"] = 20
    wall = HonourWallPage.objects.get(locale__language_code="en")
    client = as_(house.hr)
    round, given = granted(house, house.person(0, name="甲"), house.person(1, name="乙"), house.person(0, name="丙"))
    for award in given[1:]:
        award.on_wall = False
        award.save(update_fields=["on_wall"])
    client.get(wall.get_url())
    with django_assert_num_queries(WALL):
        client.get(wall.get_url())
    Award.objects.update(on_wall=True)
    with django_assert_num_queries(WALL):
        client.get(wall.get_url())


def test_the_pages_take_the_same_queries_for_one_and_for_many(house, when, django_assert_num_queries):
    """My honours, the committee's page and the round on the desk."""
    round, _made = at_vote(house, house.person(0))
    when(VOTE)
    hr, member = as_(house.hr), as_(house.committee[0])
    addresses = [
        (hr, reverse("kpi:honours_round", args=[round.pk]), DESK_ROUND),
        (member, reverse("kpi:vote", args=[round.pk]), BALLOTS),
        (hr, reverse("kpi:honours"), HONOURS),
    ]
    for client, address, _number in addresses:
        client.get(address)
    for client, address, number in addresses:
        with django_assert_num_queries(number):
            client.get(address)
    round.state = "nominating"
    round.save(update_fields=["state"])
    for place in range(3):
        house.nominate(round, house.person(place % 2))
    round.state = "voting"
    round.save(update_fields=["state"])
    for client, address, number in addresses:
        with django_assert_num_queries(number):
            client.get(address)


def test_au_02_who_reads_a_check_list_has_looked_at_the_measures(house, when):
    person = house.person(0)
    round, _made = at_vote(house, person)
    when(VOTE)
    as_(house.hr).get(reverse("kpi:honours_round", args=[round.pk]))
    as_(house.committee[0]).get(reverse("kpi:vote", args=[round.pk]))
    assert list(Look.objects.order_by("pk").values_list("employee", "viewer", "about", "what")) == [
        (person.pk, user.pk, "result", "measures 2026-07/2026-09") for user in (house.hr, house.committee[0])
    ]


WALL, DESK_ROUND, BALLOTS, HONOURS = 15, 22, 11, 16


# --- the rule -------------------------------------------------------------------------------------------------------------
@pytest.fixture
def draft(house):
    return make_published_version(AWARD, scope=house.province, code="DRAFT", state="draft", family="award")


def _figures(draft, *rows, **changes):
    data = {
        "seen": draft.revision,
        "places": "5",
        "quorum": "66.67",
        "majority": "50",
        "publicity_days": "3",
        **changes,
    }
    data |= {"conditions-TOTAL_FORMS": len(rows), "conditions-INITIAL_FORMS": 0}
    for place, row in enumerate(rows):
        data |= {f"conditions-{place}-{name}": value for name, value in row.items()}
    return data


def test_pm_v11_only_hr_of_the_unit_edits_an_award_rule(house, draft, when):
    address = reverse("kpi:edit_award", args=[draft.pk])
    other = make_unit()
    stranger = make_employee(unit=other, with_user=True)
    grant(stranger.user, "hr", other)
    plain = make_employee(unit=house.province, with_user=True)
    auditor = make_employee(unit=house.province, with_user=True)
    grant(auditor.user, "auditor")
    users = (house.hr, stranger.user, plain.user, auditor.user)
    assert [as_(user).get(address).status_code for user in users] == [200, 404, 403, 403]
    card = make_published_version({}, scope=house.province, code="CARD", state="draft")
    assert as_(house.hr).get(reverse("kpi:edit_award", args=[card.pk])).status_code == 404


def test_the_figures_of_an_award_rule_are_saved(house, draft, when):
    client, address = as_(house.hr), reverse("kpi:edit_award", args=[draft.pk])
    kept = {"code": "training", "name_zh": "培训", "indicator": "training", "at_least": "95"}
    new = {"name_zh": "无投诉", "name_en": "None", "indicator": "complaints_liable", "at_most": "0"}
    gone = {"name_zh": "满意度", "indicator": "satisfaction", "at_least": "80", "DELETE": "on"}
    response = client.post(address, _figures(draft, kept, gone, new))
    assert (response.status_code, response.url) == (302, reverse("kpi:rule_version", args=[draft.pk]))
    draft.refresh_from_db()
    assert draft.parameters == {
        "places": 5,
        "quorum": "66.67",
        "majority": "50",
        "publicity_days": 3,
        "conditions": [
            {"code": "training", "name_zh": "培训", "name_en": "", "indicator": "training", "at_least": "95"},
            {
                "code": "complaints_liable",
                "name_zh": "无投诉",
                "name_en": "None",
                "indicator": "complaints_liable",
                "at_most": "0",
            },
        ],
    }


def test_faults_of_an_award_rule_stand_at_their_fields(house, draft, when):
    client, address = as_(house.hr), reverse("kpi:edit_award", args=[draft.pk])
    gone = {"name_zh": "满意度", "indicator": "satisfaction", "at_least": "80", "DELETE": "on"}
    wrong = {"name_zh": "培训", "indicator": "training", "at_least": "abc"}
    empty = {"name_zh": "投诉", "indicator": "complaints_liable"}
    response = client.post(address, _figures(draft, gone, wrong, empty, quorum="120", places="0"))
    assert response.status_code == 422
    assert sorted(response.context["form"].errors) == ["places", "quorum"]
    assert [sorted(row.errors) for row in response.context["conditions"]] == [[], ["at_least"], ["at_least"]]
    page = response.content.decode()
    assert [f'<a href="#id_conditions-{place}-at_least">' in page for place in range(3)] == [False, True, True]
    stale = client.post(address, _figures(draft, seen=99))
    assert list(stale.context["form"].errors) == ["__all__"]
    draft.refresh_from_db()
    assert draft.parameters == AWARD


def test_a_condition_is_added_without_losing_what_was_typed(house, draft, when):
    client, address = as_(house.hr), reverse("kpi:edit_award", args=[draft.pk])
    typed = {"name_zh": "写了一半", "indicator": "training"}
    page = client.post(address, _figures(draft, typed, places="7", add="1"))
    assert page.status_code == 200
    rows = [row["name_zh"].value() for row in page.context["conditions"]]
    assert (rows, page.context["form"]["places"].value()) == (["写了一半", ""], "7")
    again = page.content.decode()
    assert 'formaction="#condition-3"' in again and 'id="condition-2"' in again
    assert again.index(">Save the figures") < again.index("Add a condition")  # Enter in a field saves
    assert Rule.objects.get(code="DRAFT").versions.get().parameters == AWARD


def test_pm_k03_pm_w07_the_certificate_of_an_honour_is_revoked_with_it_and_not_alone(house, when):
    round, _made = public(house, house.person(name="林晓雨"))
    when(GRANT)
    (award,) = awards.grant(round=round, by=house.hr, at=GRANT)
    page = reverse("certificates:detail", args=[award.certificate_id])
    address = reverse("certificates:revoke", args=[award.certificate_id])
    words = "The certificate was given with “Service stars, third quarter”. Who takes that back revokes the certificate with it."

    hr = as_(house.hr)
    detail = hr.get(page)
    assert words in text(detail) and reverse("kpi:honours_round", args=[round.pk]) in detail.content.decode()
    assert address not in detail.content.decode()  # no form to revoke it alone
    assert said(hr.post(address, {"reason": "误发"}, follow=True)) == [words]
    award.certificate.refresh_from_db()
    assert award.certificate.revoked_at is None

    below = make_user()
    grant(below, "hr", house.branches[0])
    detail = as_(below).get(page)
    assert words in text(detail) and "/hr/honours/" not in detail.content.decode()  # he does not run the round

    awards.revoke(award=award, reason="事后查实", by=house.hr, at=GRANT)
    award.certificate.refresh_from_db()
    assert award.certificate.revoked_reason == "事后查实"
    assert "Revoked on" in text(hr.get(page)) and words not in text(hr.get(page))
