"""The life of a rule, who reads it, and what the database and the seal hold."""

import copy
import datetime as dt
import hashlib
import io
import json

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.utils import DatabaseError

from core.events import verify_chain
from core.models import Event
from kpi.domain import rules
from kpi.domain.parameters import ParametersWrong
from kpi.models import Acknowledgement, ConsultationNote, Rule, RuleVersion
from tests.factories.courses import make_audience
from tests.factories.kpi import T01, make_indicators
from tests.factories.people import make_employee, make_position, make_unit, make_user

DAY = dt.timedelta(days=1)
_Kind = ConsultationNote.Kind


@pytest.fixture
def house(db):
    """A city with two branches and people, two of HR, and the indicators of the card."""
    make_indicators()
    root = make_unit()
    city = make_unit(root)
    branches = [make_unit(city), make_unit(city)]
    people = [
        make_employee(branches[number % 2], employee_no=f"00000{number}", with_user=True) for number in range(1, 5)
    ]

    class House:
        pass

    house = House()
    house.root, house.city, house.branches, house.people = root, city, branches, people
    house.elsewhere = make_employee(make_unit(root), with_user=True)
    house.proposer, house.publisher, house.third = make_user("hr-a"), make_user("hr-b"), make_user("hr-c")
    return house


def make_card(house, at, **values):
    values = {"family": "scorecard", "code": "card", "name": "网点员工计分卡", "scope": house.city} | values
    return rules.make_rule(by=house.proposer, at=at, **values)


def propose(house, rule, at, **values):
    values = {"parameters": T01, "text_zh": "按五项计分。", "text_en": "Five lines are scored."} | values
    return rules.propose_version(rule=rule, by=house.proposer, at=at, **values)


def publish(house, rule, at, effective_from=None, **values):
    version = rules.begin_consultation(version=propose(house, rule, at, **values), by=house.proposer, at=at)
    day = effective_from or at.date() + dt.timedelta(days=version.notice_days)
    return rules.publish_version(version=version, effective_from=day, by=house.publisher, at=at)


def actions():
    return list(Event.objects.filter(chain="rules").order_by("sequence").values_list("action", flat=True))


# --- drafting ---------------------------------------------------------------------------------------------------------
def test_a_version_goes_from_draft_over_consultation_to_published(house, at):
    rule = make_card(house, at)
    draft = propose(house, rule, at)
    consulting = rules.begin_consultation(version=draft, by=house.proposer, at=at)
    published = rules.publish_version(
        version=consulting, effective_from=dt.date(2026, 11, 25), by=house.publisher, at=at
    )
    assert [draft.state, consulting.state, published.state] == ["draft", "consulting", "published"]
    assert (published.number, published.published_by, published.published_at) == (1, house.publisher, at)
    assert published.effective_from == dt.date(2026, 11, 25)
    said = {
        "code": "card",
        "number": 1,
        "parameters": T01,
        "text_zh": "按五项计分。",
        "text_en": "Five lines are scored.",
        "effective_from": "2026-11-25",
    }
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert published.content_hash == hashlib.sha256(canonical.encode()).hexdigest()
    assert actions() == ["rule made", "rule proposed", "consultation begun", "rule published"]
    assert verify_chain("rules") == (4, None)


def test_a_new_version_is_a_copy_of_the_newest(house, at):
    rule = make_card(house, at)
    first = publish(house, rule, at, notice_days=10)
    second = rules.propose_version(rule=rule, by=house.third, at=at)
    said = ("parameters", "text_zh", "text_en", "notice_days")
    assert [getattr(second, name) for name in said] == [getattr(first, name) for name in said]
    assert (second.number, second.state, second.proposed_by, second.content_hash) == (2, "draft", house.third, "")


def test_one_version_is_worked_on_at_a_time(house, at):
    rule = make_card(house, at)
    propose(house, rule, at)
    with pytest.raises(rules.InWork):
        propose(house, rule, at)
    with pytest.raises(IntegrityError), transaction.atomic():
        RuleVersion.objects.create(rule=rule, number=2, parameters={}, text_zh="x", proposed_at=at)


def test_an_audience_of_other_units_is_refused(house, at):
    with pytest.raises(rules.AudienceElsewhere):
        make_card(house, at, audience=make_audience(house.elsewhere.unit))
    assert not Rule.objects.exists()


def test_a_draft_is_changed_and_the_event_keeps_before_and_after(house, at):
    draft = propose(house, make_card(house, at), at)
    changed = rules.change_draft(version=draft, text_zh="六项。\r\n", notice_days=14, by=house.third, at=at)
    assert (changed.text_zh, changed.notice_days, changed.revision, changed.edited_by) == ("六项。", 14, 2, house.third)
    event = Event.objects.get(action="rule changed")
    assert event.before == {"text_zh": "按五项计分。", "notice_days": 7}
    assert event.after == {"text_zh": "六项。", "notice_days": 14}


def test_saving_what_is_there_changes_nothing(house, at):
    draft = propose(house, make_card(house, at), at)
    same = rules.change_draft(version=draft, text_zh="按五项计分。\r\n", parameters=T01, by=house.third, at=at)
    assert (same.revision, same.edited_by) == (1, None)
    assert "rule changed" not in actions()


def test_two_people_do_not_write_over_each_other(house, at):
    draft = propose(house, make_card(house, at), at)
    rules.change_draft(version=draft, text_zh="甲", by=house.third, at=at)
    with pytest.raises(rules.ChangedMeanwhile):
        rules.change_draft(version=draft, text_zh="乙", by=house.proposer, at=at)
    fresh = RuleVersion.objects.get()
    with pytest.raises(rules.ChangedMeanwhile):
        rules.change_draft(version=fresh, seen=1, text_zh="乙", by=house.proposer, at=at)
    assert RuleVersion.objects.get().text_zh == "甲"


def test_wrong_parameters_are_refused_everywhere(house, at):
    wrong = copy.deepcopy(T01)
    wrong["lines"][0]["indicators"] = ["nobody"]
    rule = make_card(house, at)
    with pytest.raises(ParametersWrong):
        propose(house, rule, at, parameters=wrong)
    draft = propose(house, rule, at, parameters={})
    with pytest.raises(ParametersWrong):
        rules.change_draft(version=draft, parameters=wrong, by=house.proposer, at=at)
    with pytest.raises(ParametersWrong):
        rules.begin_consultation(version=draft, by=house.proposer, at=at)


def test_a_version_without_a_text_is_not_consulted(house, at):
    draft = propose(house, make_card(house, at), at, text_zh="  ")
    with pytest.raises(rules.TextMissing):
        rules.begin_consultation(version=draft, by=house.proposer, at=at)


def test_a_draft_is_withdrawn_and_the_event_keeps_what_it_said(house, at):
    draft = propose(house, make_card(house, at), at)
    rules.withdraw_draft(version=draft, by=house.proposer, at=at)
    assert not RuleVersion.objects.exists()
    before = Event.objects.get(action="rule withdrawn").before
    assert (before["number"], before["text_zh"], before["parameters"]) == (1, "按五项计分。", T01)


def test_what_was_said_in_the_consultation_is_not_withdrawn(house, at):
    version = rules.begin_consultation(version=propose(house, make_card(house, at), at), by=house.proposer, at=at)
    note = rules.add_note(version=version, kind=_Kind.COMMENT, text="太高了", by=house.people[0].user, at=at)
    with pytest.raises(rules.HasNotes):
        rules.withdraw_draft(version=version, by=house.proposer, at=at)
    assert list(version.notes.all()) == [note]


def test_notes_belong_to_the_consultation(house, at):
    draft = propose(house, make_card(house, at), at)
    rules.add_note(version=draft, kind=_Kind.MEETING, text="网点座谈", by=house.proposer, at=at)
    with pytest.raises(rules.NotInConsultation):
        rules.add_note(version=draft, kind=_Kind.COMMENT, text="早了", by=house.people[0].user, at=at)
    consulting = rules.begin_consultation(version=draft, by=house.proposer, at=at)
    published = rules.publish_version(version=consulting, effective_from=at.date() + 7 * DAY, by=house.publisher, at=at)
    for kind in _Kind.values:
        with pytest.raises(rules.NotInConsultation):
            rules.add_note(version=published, kind=kind, text="晚了", by=house.proposer, at=at)


# --- publishing -------------------------------------------------------------------------------------------------------
def test_pm_v12_who_proposes_does_not_publish(house, at):
    version = rules.begin_consultation(version=propose(house, make_card(house, at), at), by=house.third, at=at)
    with pytest.raises(rules.NotAnother):
        rules.publish_version(version=version, effective_from=at.date() + 7 * DAY, by=house.proposer, at=at)


def test_pm_v12_who_changed_it_last_does_not_publish(house, at):
    draft = propose(house, make_card(house, at), at)
    draft = rules.change_draft(version=draft, text_zh="六项。", by=house.publisher, at=at)
    version = rules.begin_consultation(version=draft, by=house.proposer, at=at)
    day = at.date() + 7 * DAY
    with pytest.raises(rules.NotAnother):
        rules.publish_version(version=version, effective_from=day, by=house.publisher, at=at)
    assert rules.publish_version(version=version, effective_from=day, by=house.third, at=at).published_by == house.third


def test_a_draft_that_nobody_was_asked_about_is_not_published(house, at):
    with pytest.raises(rules.NotInWork):
        rules.publish_version(
            version=propose(house, make_card(house, at), at),
            effective_from=at.date() + 7 * DAY,
            by=house.publisher,
            at=at,
        )


def test_what_somebody_else_changed_meanwhile_is_not_published(house, at):
    version = rules.begin_consultation(version=propose(house, make_card(house, at), at), by=house.proposer, at=at)
    rules.change_draft(version=version, text_zh="换了", by=house.proposer, at=at)
    with pytest.raises(rules.ChangedMeanwhile):
        rules.publish_version(version=version, effective_from=at.date() + 7 * DAY, by=house.publisher, at=at)


def test_the_notice_period_is_kept(house, at):
    version = propose(house, make_card(house, at), at, notice_days=7)
    version = rules.begin_consultation(version=version, by=house.proposer, at=at)
    with pytest.raises(rules.TooEarly) as refused:
        rules.publish_version(version=version, effective_from=dt.date(2026, 11, 24), by=house.publisher, at=at)
    assert refused.value.earliest == dt.date(2026, 11, 25)


def test_the_notice_is_counted_from_the_local_day(house, at):
    version = propose(house, make_card(house, at), at, notice_days=0)
    version = rules.begin_consultation(version=version, by=house.proposer, at=at)
    late = dt.datetime(2026, 11, 18, 16, 30, tzinfo=dt.UTC)  # already the 19th here
    with pytest.raises(rules.TooEarly) as refused:
        rules.publish_version(version=version, effective_from=dt.date(2026, 11, 18), by=house.publisher, at=late)
    assert refused.value.earliest == dt.date(2026, 11, 19)


def test_a_version_comes_after_the_one_before(house, at):
    rule = make_card(house, at)
    publish(house, rule, at, effective_from=dt.date(2027, 1, 1))
    with pytest.raises(rules.TooEarly) as refused:
        publish(house, rule, at, effective_from=dt.date(2026, 12, 1))
    assert refused.value.earliest == dt.date(2027, 1, 2)


def test_the_version_in_force_follows_the_day(house, at):
    rule = make_card(house, at)
    first = publish(house, rule, at, effective_from=dt.date(2026, 12, 1))
    second = publish(house, rule, at, effective_from=dt.date(2027, 1, 1))
    third = propose(house, rule, at)
    days = [dt.date(2026, 11, 30), dt.date(2026, 12, 1), dt.date(2026, 12, 31), dt.date(2027, 1, 1)]
    assert [rules.version_in_force(rule, day) for day in days] == [None, first, first, second]
    rules.require_in_force(version=first, on=days[1])
    for version, day in ((first, days[0]), (first, days[3]), (second, days[1]), (third, days[3])):
        with pytest.raises(rules.InForceMissing):
            rules.require_in_force(version=version, on=day)


# --- whom it concerns -------------------------------------------------------------------------------------------------
def test_a_rule_is_for_its_unit_and_its_audience(house, at):
    clerk = make_position("营业员")
    house.people[0].position = house.people[1].position = clerk
    house.people[0].save()
    house.people[1].save()
    everybody = make_card(house, at)
    clerks = make_card(house, at, code="clerks", audience=make_audience(house.root, {"positions": ["营业员"]}))
    one_branch = {"units": [house.branches[0].code]}
    branch = make_card(house, at, code="branch", audience=make_audience(house.city, one_branch))
    inner = make_card(house, at, code="inner", audience=make_audience(house.branches[1]))
    found = {rule.code: [one.employee_no for one in rules.people_of(rule, at.date())] for rule in Rule.objects.all()}
    assert found == {
        everybody.code: ["000001", "000002", "000003", "000004"],
        clerks.code: ["000001", "000002"],
        branch.code: ["000002", "000004"],
        inner.code: ["000001", "000003"],
    }
    assert {
        one.employee_no: [rule.code for rule in rules.rules_of(one, at.date())]
        for one in (*house.people, house.elsewhere)
    } == {
        "000001": ["card", "clerks", "inner"],
        "000002": ["branch", "card", "clerks"],
        "000003": ["card", "inner"],
        "000004": ["branch", "card"],
        house.elsewhere.employee_no: [],
    }


def test_the_rules_of_a_person_cost_the_same_however_many(house, at, django_assert_num_queries):
    for number in range(2):
        make_card(house, at, code=f"card-{number}", audience=make_audience(house.city, {"hired_from": "2020-01-01"}))
        employee = house.people[0]
        with django_assert_num_queries(2):
            assert len(rules.rules_of(employee, at.date())) == number + 1


def test_who_left_or_is_suspended_has_no_rules(house, at):
    make_card(house, at)
    gone = make_employee(house.city, state="left", left_on=dt.date(2026, 11, 1))
    assert rules.rules_of(gone, at.date()) == []


# --- acknowledging ----------------------------------------------------------------------------------------------------
def test_pm_f04_a_person_acknowledges_with_the_seal_and_once(house, at):
    version, person = publish(house, make_card(house, at), at), house.people[0]
    first = rules.acknowledge(version=version, employee=person, by=person.user, at=at)
    again = rules.acknowledge(version=version, employee=person, by=person.user, at=at + DAY)
    assert (again.pk, again.at, again.content_hash) == (first.pk, at, version.content_hash)
    assert actions().count("rule acknowledged") == 1
    with pytest.raises(IntegrityError), transaction.atomic():
        Acknowledgement.objects.create(version=version, employee=person, at=at, content_hash="x")


def test_pm_f04_nobody_acknowledges_for_another(house, at):
    version, person = publish(house, make_card(house, at), at), house.people[0]
    for by in (house.people[1].user, house.proposer):
        with pytest.raises(rules.NotConcerned):
            rules.acknowledge(version=version, employee=person, by=by, at=at)
    with pytest.raises(rules.NotConcerned):
        rules.acknowledge(version=version, employee=house.elsewhere, by=house.elsewhere.user, at=at)
    assert not Acknowledgement.objects.exists()


def test_a_draft_is_not_acknowledged(house, at):
    version, person = propose(house, make_card(house, at), at), house.people[0]
    with pytest.raises(rules.NotPublished):
        rules.acknowledge(version=version, employee=person, by=person.user, at=at)


def test_what_is_in_force_or_announced_is_to_be_read_and_nothing_older(house, at):
    rule, person = make_card(house, at), house.people[0]
    first = publish(house, rule, at, effective_from=dt.date(2026, 12, 1))
    second = publish(house, rule, at, effective_from=dt.date(2027, 1, 1))
    third = publish(house, rule, at, effective_from=dt.date(2027, 2, 1))
    propose(house, rule, at)
    assert rules.to_acknowledge(person, dt.date(2026, 11, 20)) == [first, second, third]
    assert rules.to_acknowledge(person, dt.date(2027, 1, 5)) == [second, third]
    rules.acknowledge(version=second, employee=person, by=person.user, at=at)
    assert rules.to_acknowledge(person, dt.date(2027, 1, 5)) == [third]
    assert [rules.must_acknowledge(one, person, dt.date(2027, 1, 5)) for one in (first, second, third)] == [
        False,
        True,
        True,
    ]
    assert not rules.must_acknowledge(third, house.elsewhere, dt.date(2027, 1, 5))


def test_pm_f06_who_has_read_and_who_has_not(house, at):
    version = publish(house, make_card(house, at), at)
    for person in house.people[:2]:
        rules.acknowledge(version=version, employee=person, by=person.user, at=at)
    assert list(rules.acknowledged_of(version, at.date())) == house.people[:2]
    assert list(rules.missing_of(version, at.date())) == house.people[2:]
    assert rules.acknowledged_at(version=version, employees=house.people) == {
        person.pk: at for person in house.people[:2]
    }


# --- what the database refuses ----------------------------------------------------------------------------------------
def run(sql, *values):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE kpi_ruleversion SET text_zh = 'x' WHERE id = %s",
        "UPDATE kpi_ruleversion SET state = 'draft' WHERE id = %s",
        "UPDATE kpi_ruleversion SET effective_from = '2026-01-01' WHERE id = %s",
        "DELETE FROM kpi_ruleversion WHERE id = %s",
    ],
)
def test_au_10_the_database_keeps_a_published_rule(house, at, sql):
    version = publish(house, make_card(house, at), at)
    with pytest.raises(DatabaseError, match="a published rule does not change"):
        run(sql, version.pk)


def test_au_10_the_database_keeps_what_was_acknowledged_and_said(house, at):
    consulting = rules.begin_consultation(version=propose(house, make_card(house, at), at), by=house.proposer, at=at)
    rules.add_note(version=consulting, kind=_Kind.ANSWER, text="好", by=house.proposer, at=at)
    version = rules.publish_version(version=consulting, effective_from=at.date() + 7 * DAY, by=house.publisher, at=at)
    person = house.people[0]
    rules.acknowledge(version=version, employee=person, by=person.user, at=at)
    for sql in (
        "UPDATE kpi_acknowledgement SET content_hash = 'x'",
        "DELETE FROM kpi_acknowledgement",
        "UPDATE kpi_consultationnote SET text = 'x'",
        "DELETE FROM kpi_consultationnote",
    ):
        with pytest.raises(DatabaseError, match="append-only"):
            run(sql)


def test_mc_15_the_database_lets_no_proposer_or_last_editor_publish(house, at):
    version = rules.begin_consultation(version=propose(house, make_card(house, at), at), by=house.proposer, at=at)
    rules.change_draft(version=version, text_zh="换了", by=house.third, at=at)
    sql = (
        "UPDATE kpi_ruleversion SET state = 'published', published_at = %s, effective_from = '2026-12-01',"
        " content_hash = 'x', published_by_id = %s WHERE id = %s"
    )
    for user, name in ((house.proposer, "rule_published_by_another"), (house.third, "rule_not_published_by_editor")):
        with pytest.raises(IntegrityError, match=name):
            run(sql, at, user.pk, version.pk)


def test_au_02_an_edit_past_the_database_is_found_by_the_seal(house, at):
    version = publish(house, make_card(house, at), at)
    other = publish(house, make_card(house, at, code="other"), at)
    person = house.people[0]
    rules.acknowledge(version=other, employee=person, by=person.user, at=at)
    assert list(rules.check_published_rules()) == [("rule card version 1", True), ("rule other version 1", True)]
    _without_triggers(
        "kpi_ruleversion", "UPDATE kpi_ruleversion SET notice_days = 1, text_zh = 'x' WHERE id = %s", version
    )
    assert list(rules.check_published_rules()) == [("rule card version 1", False), ("rule other version 1", True)]
    # Who writes a fitting hash as well still differs from the event.
    version.refresh_from_db()
    sql = f"UPDATE kpi_ruleversion SET content_hash = '{rules.content_hash(version)}' WHERE id = %s"
    _without_triggers("kpi_ruleversion", sql, version)
    assert not rules.seal_of(RuleVersion.objects.get(pk=version.pk)).is_sound
    said = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("verify_events", stdout=said)
    assert "rule card version 1: does not match what was sealed" in said.getvalue()
    _without_triggers(
        "kpi_acknowledgement", "UPDATE kpi_acknowledgement SET content_hash = 'x' WHERE version_id = %s", other
    )
    assert list(rules.check_published_rules())[1] == ("rule other version 1", False)


def _without_triggers(table, sql, version):
    """What somebody can do who owns the database."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s", [table])
            triggers = cursor.fetchall()
            for name, _sql in triggers:
                cursor.execute(f"DROP TRIGGER {name}")
            cursor.execute(sql, [version.pk])
            for _name, text in triggers:
                cursor.execute(text)
        else:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            cursor.execute(sql, [version.pk])
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
