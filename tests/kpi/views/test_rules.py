"""The pages about rules: who may open them, what they say, and what their buttons do."""

import datetime as dt
import re

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from core.models import Message
from kpi.domain import rules
from kpi.models import Acknowledgement, ConsultationNote, Rule, RuleVersion
from people.models import RoleGrant
from tests.factories.kpi import T01, make_indicators
from tests.factories.people import grant, make_employee, make_unit

_Role = RoleGrant.Role
pytestmark = pytest.mark.usefixtures("now")


@pytest.fixture
def now(at):
    with time_machine.travel(at, tick=False):
        yield


class House:
    """A root with two cities; in the first two branches, HR, a second HR, a manager, two readers."""

    def __init__(self):
        make_indicators()
        self.root = make_unit()
        self.city, self.other_city = make_unit(self.root), make_unit(self.root)
        self.branches = [make_unit(self.city), make_unit(self.city)]
        self.hr = self._person(self.city, _Role.HR)
        self.second = self._person(self.city, _Role.HR)
        self.manager = make_employee(self.branches[0], with_user=True)
        self.reader = make_employee(self.branches[0], manager=self.manager, with_user=True, name="王伟")
        self.colleague = make_employee(self.branches[1], with_user=True, name="李娜")
        self.other_hr = self._person(self.other_city, _Role.HR)
        self.stranger = make_employee(self.other_city, with_user=True)
        self.auditor = self._person(self.root, _Role.AUDITOR, None)
        self.admin = self._person(self.other_city, _Role.ADMIN, None)
        self.author = self._person(self.other_city, _Role.AUTHOR, None)
        self.maker, self.checker = (
            self._person(self.city, _Role.PAY_MAKER),
            self._person(self.city, _Role.PAY_CHECKER),
        )

    def _person(self, unit, role, of="same"):
        person = make_employee(unit, with_user=True)
        grant(person.user, role, unit=unit if of == "same" else of)
        return person

    def draft(self, at, family="scorecard", code="card", parameters=T01, **values):
        rule = Rule.objects.filter(code=code).first() or rules.make_rule(
            family=family, code=code, name="网点计分卡", name_en="Branch card", scope=self.city, by=self.hr.user, at=at
        )
        if family != "scorecard":  # readers of the other families are tested where they are written
            return RuleVersion.objects.create(
                rule=rule, number=1, parameters={}, text_zh="文字", proposed_by=self.maker.user, proposed_at=at
            )
        values = {"text_zh": "按五项计分。", "text_en": "Five lines."} | values
        return rules.propose_version(rule=rule, parameters=parameters, by=self.hr.user, at=at, **values)

    def consulting(self, at, **values):
        return rules.begin_consultation(version=self.draft(at, **values), by=self.hr.user, at=at)

    def published(self, at, effective_from=dt.date(2026, 12, 1), **values):
        version = self.consulting(at, **values)
        return rules.publish_version(version=version, effective_from=effective_from, by=self.second.user, at=at)


@pytest.fixture
def house(db):
    return House()


@pytest.fixture
def as_(client):
    def sign_in(employee):
        client.force_login(employee.user)
        return client

    return sign_in


def codes(as_, people, url):
    return {name: as_(person).get(url).status_code for name, person in people.items()}


# --- reading ----------------------------------------------------------------------------------------------------------
def test_pm_f05_a_published_rule_is_read_by_those_it_concerns_and_those_who_keep_it(house, as_, at):
    url = reverse("kpi:rule", args=[house.published(at).pk])
    people = {
        name: getattr(house, name)
        for name in ("reader", "manager", "hr", "stranger", "other_hr", "auditor", "admin", "author")
    }
    assert codes(as_, people, url) == {
        "reader": 200,
        "manager": 200,
        "hr": 200,
        "stranger": 404,
        "other_hr": 404,
        "auditor": 200,
        "admin": 404,
        "author": 404,
    }


def test_pm_f05_who_moved_away_reads_what_was_decided_by_it(house, as_, at):
    version = house.published(at)
    house.reader.unit = house.other_city
    house.reader.save()
    assert as_(house.reader).get(reverse("kpi:rule", args=[version.pk])).status_code == 200


def test_a_draft_is_read_on_the_desk_only(house, as_, at):
    url = reverse("kpi:rule", args=[house.draft(at).pk])
    assert codes(as_, {"reader": house.reader, "hr": house.hr, "auditor": house.auditor}, url) == {
        "reader": 404,
        "hr": 404,
        "auditor": 404,
    }


def test_a_consultation_is_for_those_it_concerns(house, as_, at):
    url = reverse("kpi:rule", args=[house.consulting(at).pk])
    people = {"reader": house.reader, "stranger": house.stranger, "auditor": house.auditor}
    assert codes(as_, people, url) == {"reader": 200, "stranger": 404, "auditor": 200}
    assert as_(house.stranger).post(url, {"text": "我"}).status_code == 404
    assert as_(house.auditor).post(url, {"text": "我"}).status_code == 404


def test_an_employee_comments_and_colleagues_see_no_name(house, as_, at):
    url = reverse("kpi:rule", args=[house.consulting(at).pk])
    response = as_(house.reader).post(url, {"text": "投诉扣分太多"})
    assert response.status_code == 302
    note = ConsultationNote.objects.get()
    assert (note.kind, note.text, note.by) == ("comment", "投诉扣分太多", house.reader.user)
    pages = {
        name: as_(getattr(house, name)).get(url).content.decode() for name in ("reader", "colleague", "hr", "auditor")
    }
    assert all("投诉扣分太多" in page for page in pages.values())
    record = {name: page.partition('id="consultation"')[2] for name, page in pages.items()}
    assert {name: "王伟" in page for name, page in record.items()} == {
        "reader": False,
        "colleague": False,
        "hr": True,
        "auditor": True,
    }


def test_a_comment_without_words_is_refused(house, as_, at):
    url = reverse("kpi:rule", args=[house.consulting(at).pk])
    assert as_(house.reader).post(url, {"text": " "}).status_code == 422
    assert not ConsultationNote.objects.exists()


def test_the_list_says_what_is_to_read(house, as_, at):
    client = as_(house.reader)
    assert "还没有适用于您的规则" in client.get("/rules/").content.decode()
    version = house.published(at)
    page = client.get("/rules/").content.decode()
    assert "1项规则待阅读" in page and reverse("kpi:rule", args=[version.pk]) in page
    rules.acknowledge(version=version, employee=house.reader, by=house.reader.user, at=at)
    assert "待阅读" not in client.get("/rules/").content.decode()
    assert as_(house.stranger).get("/rules/").content.decode().count("网点计分卡") == 0


def test_the_list_costs_the_same_for_one_rule_and_for_many(house, as_, at):
    client, numbers = as_(house.reader), []
    for number in range(3):
        house.published(at, code=f"card-{number}")
        client.get("/rules/")
        with CaptureQueriesContext(
            connection,
        ) as found:
            client.get("/rules/")
        numbers.append(len(found))
    assert numbers[0] == numbers[1] == numbers[2]


def test_the_page_says_line_by_line_what_changed(house, as_, at):
    house.published(at)
    changed = {**T01, "bands": [{**T01["bands"][0], "from": "96"}, *T01["bands"][1:]], "top_share": "20"}
    second = house.published(at, effective_from=dt.date(2027, 1, 1), parameters=changed)
    page = as_(house.reader).get(reverse("kpi:rule", args=[second.pk])).content.decode()
    part = page.partition('id="changes"')[2].partition("</section>")[0]
    assert part.count("<li") == 2
    assert "<del>95</del>" in part and "<ins>96</ins>" in part
    part = re.sub(r"</?(del|ins)>", "", part)
    for words in ("总分95起", "总分96起", "最多占一组的20%"):
        assert words in part


# --- acknowledging ----------------------------------------------------------------------------------------------------
def test_pm_f04_one_tap_acknowledges_for_oneself(house, as_, at):
    version = house.published(at)
    url = reverse("kpi:rule_acknowledge", args=[version.pk])
    assert as_(house.reader).get(url).status_code == 405
    # A person in the form changes nothing: it is the one who is signed in.
    response = as_(house.reader).post(url, {"employee": house.colleague.pk})
    assert response.url == "/rules/"
    assert list(Acknowledgement.objects.values_list("employee", "content_hash")) == [
        (house.reader.pk, version.content_hash)
    ]
    page = as_(house.reader).get(reverse("kpi:rule", args=[version.pk])).content.decode()
    assert "rule-receipt" in page and "rule-sign" not in page


def test_pm_f04_nobody_acknowledges_what_is_not_theirs(house, as_, at):
    url = reverse("kpi:rule_acknowledge", args=[house.published(at).pk])
    found = {
        name: as_(getattr(house, name)).post(url).status_code for name in ("stranger", "other_hr", "auditor", "admin")
    }
    assert found == {"stranger": 404, "other_hr": 404, "auditor": 404, "admin": 404}
    assert not Acknowledgement.objects.exists()


def test_a_consultation_is_not_acknowledged(house, as_, at):
    url = reverse("kpi:rule_acknowledge", args=[house.consulting(at).pk])
    assert as_(house.reader).post(url).status_code == 404


# --- who has read it --------------------------------------------------------------------------------------------------
def test_pm_f06_who_sees_who_has_read_it(house, as_, at):
    url = reverse("kpi:rule_readers", args=[house.published(at).pk])
    people = {
        name: getattr(house, name)
        for name in ("hr", "manager", "auditor", "other_hr", "reader", "stranger", "admin", "author")
    }
    assert codes(as_, people, url) == {
        "hr": 200,
        "manager": 200,
        "auditor": 200,
        "other_hr": 404,
        "reader": 403,
        "stranger": 403,
        "admin": 403,
        "author": 403,
    }


def test_pm_f06_a_manager_sees_the_own_people_only(house, as_, at):
    version = house.published(at)
    page = as_(house.manager).get(reverse("kpi:rule_readers", args=[version.pk])).content.decode()
    assert "王伟" in page and "李娜" not in page


def test_pm_f06_hr_sees_units_and_goes_down(house, as_, at):
    version = house.published(at)
    rules.acknowledge(version=version, employee=house.reader, by=house.reader.user, at=at)
    url = reverse("kpi:rule_readers", args=[version.pk])
    response = as_(house.hr).get(url)
    rows = [(row.unit.pk, row.people, row.read) for row in response.context["rows"]]
    assert rows == [(house.city.pk, 3, 0), (house.branches[0].pk, 2, 1), (house.branches[1].pk, 1, 0)]
    below = as_(house.hr).get(url, {"unit": house.branches[0].pk, "show": "read"})
    assert [row["employee"] for row in below.context["listed"]] == [house.reader]
    for unit in (house.other_city.pk, house.root.pk, 10**9, "x"):
        assert as_(house.hr).get(url, {"unit": unit}).status_code == 404


def test_the_readers_cost_the_same_for_one_and_for_many(house, as_, at):
    version = house.published(at)
    client, url, numbers = as_(house.hr), reverse("kpi:rule_readers", args=[version.pk]), []
    client.get(url)
    for _round in range(2):
        with CaptureQueriesContext(connection) as found:
            client.get(url)
        numbers.append(len(found))
        for _person in range(10):
            make_employee(house.branches[0], with_user=True)
    assert numbers[0] == numbers[1]


def test_pm_f06_a_manager_reminds_one_person(house, as_, at):
    version = house.published(at)
    url = reverse("kpi:rule_remind", args=[version.pk])
    response = as_(house.manager).post(url, {"employee": house.reader.pk})
    assert response.status_code == 302
    assert list(Message.objects.values_list("user", "channel")) == [(house.reader.user.pk, "page")]
    assert as_(house.manager).post(url, {"employee": house.colleague.pk}).status_code == 404
    assert as_(house.auditor).post(url, {"employee": house.reader.pk}).status_code == 403
    assert as_(house.reader).post(url, {"employee": house.reader.pk}).status_code == 403
    assert as_(house.other_hr).post(url).status_code == 404


def test_pm_f06_hr_reminds_a_unit(house, as_, at):
    version = house.published(at)
    url = reverse("kpi:rule_remind", args=[version.pk])
    as_(house.hr).post(url, {"unit": house.branches[0].pk})
    users = set(Message.objects.values_list("user", flat=True))
    assert users == {house.manager.user.pk, house.reader.user.pk}
    assert as_(house.hr).post(url, {"unit": house.other_city.pk}).status_code == 404


# --- the desk ---------------------------------------------------------------------------------------------------------
def test_pm_v11_the_desk_is_for_hr_and_auditors(house, as_, at):
    version = house.draft(at)
    urls = [reverse("kpi:hr_rules"), reverse("kpi:hr_rule", args=[version.rule_id])]
    urls.append(reverse("kpi:rule_version", args=[version.pk]))
    people = {
        name: getattr(house, name) for name in ("hr", "auditor", "other_hr", "reader", "manager", "admin", "author")
    }
    assert [codes(as_, people, url) for url in urls] == [
        {"hr": 200, "auditor": 200, "other_hr": 200, "reader": 403, "manager": 403, "admin": 403, "author": 403},
        {"hr": 200, "auditor": 200, "other_hr": 404, "reader": 403, "manager": 403, "admin": 403, "author": 403},
        {"hr": 200, "auditor": 200, "other_hr": 404, "reader": 403, "manager": 403, "admin": 403, "author": 403},
    ]


def test_pm_y11_pay_rules_are_drafted_by_the_maker_and_published_by_the_checker(house, as_, at):
    version = house.draft(at, family="pay", code="pay")
    url = reverse("kpi:rule_version", args=[version.pk])
    people = {"hr": house.hr, "maker": house.maker, "checker": house.checker}
    assert codes(as_, people, url) == {"hr": 404, "maker": 200, "checker": 200}
    text = {"text_zh": "新文字", "notice_days": 7, "seen": 1}
    edit = reverse("kpi:rule_text", args=[version.pk])
    assert as_(house.checker).post(edit, text).status_code == 403
    assert as_(house.maker).post(edit, text).status_code == 302
    RuleVersion.objects.filter(pk=version.pk).update(state="consulting")
    publish = reverse("kpi:rule_publish", args=[version.pk])
    assert as_(house.maker).post(publish, {"effective_from": "2026-12-01", "seen": 2}).status_code == 403


def test_the_whole_way_of_a_rule_on_the_desk(house, as_, at):
    client = as_(house.hr)
    values = {
        "family": "scorecard",
        "name": "计分卡",
        "name_en": "Card",
        "code": "new-card",
        "subject": "employee",
        "scope": house.city.pk,
        "audience": "",
    }
    response = client.post(reverse("kpi:new_rule"), values)
    version = RuleVersion.objects.get()
    assert response.url == reverse("kpi:rule_version", args=[version.pk])
    text = {"text_zh": "第一段。\r\n\r\n第二段。", "text_en": "", "notice_days": 10, "seen": 1}
    assert client.post(reverse("kpi:rule_text", args=[version.pk]), text).status_code == 302
    client.post(reverse("kpi:rule_consult", args=[version.pk]))
    assert RuleVersion.objects.get().state == "draft"  # the figures are missing
    version = rules.change_draft(version=RuleVersion.objects.get(), parameters=T01, by=house.hr.user, at=at)
    client.post(reverse("kpi:rule_consult", args=[version.pk]))
    assert RuleVersion.objects.get().state == "consulting"
    client.post(reverse("kpi:rule_note", args=[version.pk]), {"kind": "meeting", "text": "座谈会，12 人。"})
    publish = reverse("kpi:rule_publish", args=[version.pk])
    day = {"effective_from": "2026-11-28", "seen": version.revision}
    client.post(publish, day)
    assert RuleVersion.objects.get().state == "consulting"  # who proposed it does not publish it
    client = as_(house.second)
    early = client.post(publish, day | {"effective_from": "2026-11-27"})
    assert (early.status_code, "2026年11月28日" in early.content.decode()) == (422, True)
    client.post(publish, day | {"seen": 1})
    assert RuleVersion.objects.get().state == "consulting"  # looked at an older revision
    client.post(publish, day)
    version = RuleVersion.objects.get()
    assert (version.state, version.published_by, version.effective_from, version.text_zh) == (
        "published",
        house.second.user,
        dt.date(2026, 11, 28),
        "第一段。\n\n第二段。",
    )
    assert [note.text for note in version.notes.all()] == ["座谈会，12 人。"]
    client.post(reverse("kpi:rule_propose", args=[version.rule_id]))
    assert RuleVersion.objects.filter(number=2, proposed_by=house.second.user).exists()


def test_what_somebody_else_wrote_meanwhile_is_not_lost(house, as_, at):
    version = house.draft(at)
    url = reverse("kpi:rule_text", args=[version.pk])
    as_(house.second).post(url, {"text_zh": "甲", "notice_days": 7, "seen": 1})
    response = as_(house.hr).post(url, {"text_zh": "乙", "notice_days": 7, "seen": 1})
    assert (response.status_code, RuleVersion.objects.get().text_zh) == (422, "甲")
    assert "乙" in response.content.decode()


def test_hidden_characters_are_refused(house, as_, at):
    version = house.draft(at)
    url = reverse("kpi:rule_text", args=[version.pk])
    for hidden in ("\x00", "\u202e", "\x07"):
        response = as_(house.hr).post(url, {"text_zh": f"甲{hidden}", "notice_days": 7, "seen": 1})
        assert response.status_code == 422


def test_a_draft_is_withdrawn_and_one_that_was_talked_about_is_not(house, as_, at):
    version = house.consulting(at)
    url = reverse("kpi:rule_withdraw", args=[version.pk])
    rules.add_note(version=version, kind="comment", text="嗯", by=house.reader.user, at=at)
    as_(house.hr).post(url)
    assert RuleVersion.objects.count() == 1
    other = house.draft(at, code="other")
    as_(house.hr).post(reverse("kpi:rule_withdraw", args=[other.pk]))
    assert RuleVersion.objects.count() == 1


def test_au_02_the_desk_says_when_a_seal_does_not_fit(house, as_, at, monkeypatch):
    version = house.published(at)
    url = reverse("kpi:rule_version", args=[version.pk])
    assert "封印吻合" in as_(house.hr).get(url).content.decode()
    monkeypatch.setattr(rules, "content_hash", lambda version: "0" * 64)
    assert "封印不吻合" in as_(house.hr).get(url).content.decode()


def test_an_auditor_changes_nothing(house, as_, at):
    version = house.draft(at)
    client = as_(house.auditor)
    for name in ("rule_text", "rule_consult", "rule_note", "rule_publish", "rule_withdraw"):
        assert client.post(reverse(f"kpi:{name}", args=[version.pk])).status_code == 403
    assert client.post(reverse("kpi:rule_propose", args=[version.rule_id])).status_code == 403
    assert client.post(reverse("kpi:new_rule"), {}).status_code == 403


def test_a_rule_is_made_for_ones_own_units_and_kinds_only(house, as_):
    values = {"family": "scorecard", "name": "卡", "code": "x", "subject": "employee", "scope": house.other_city.pk}
    assert as_(house.hr).post(reverse("kpi:new_rule"), values).status_code == 422
    values |= {"scope": house.city.pk, "family": "pay"}
    assert as_(house.hr).post(reverse("kpi:new_rule"), values).status_code == 422
    assert as_(house.maker).post(reverse("kpi:new_rule"), values).status_code == 302
    assert as_(house.checker).post(reverse("kpi:new_rule"), values | {"code": "y"}).status_code == 403
    assert list(Rule.objects.values_list("family", "code")) == [("pay", "x")]


def test_pm_v11_who_reads_everything_still_works_on_the_own_units_only(house, as_, at):
    """An auditor who is HR of another city as well sees the draft and changes nothing of it."""
    version = house.consulting(at)
    grant(house.other_hr.user, _Role.AUDITOR)
    client = as_(house.other_hr)
    assert client.get(reverse("kpi:rule_version", args=[version.pk])).status_code == 200
    text = {"text_zh": "x", "notice_days": 7, "seen": 1}
    assert client.post(reverse("kpi:rule_text", args=[version.pk]), text).status_code == 403
    day = {"effective_from": "2026-12-01", "seen": 1}
    assert client.post(reverse("kpi:rule_publish", args=[version.pk]), day).status_code == 403
