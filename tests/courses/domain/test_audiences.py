import datetime as dt

import pytest
from django.utils import translation

from courses.domain.audiences import RuleRefused, compare_rules, describe_rule, select_people, validate_rule
from tests.factories.people import make_employee, make_position, make_unit

pytestmark = pytest.mark.django_db

DAY = dt.date(2026, 11, 1)


@pytest.fixture
def group():
    return make_unit(code="G", name="集团", name_en="Group")


@pytest.fixture
def city(group):
    return make_unit(group, code="C", name="东城", name_en="East City")


@pytest.fixture
def branch(city):
    return make_unit(city, code="B", name="一号网点", name_en="Branch One")


def _names(people):
    return sorted(person.name for person in people)


def test_select_people_joins_keys_by_and_and_values_by_or(group, city, branch):
    clerk = make_position("柜员", "Teller", job_family="营业")
    seller = make_position("客户经理", "Account manager", job_family="销售")
    make_employee(unit=group, position=clerk, name="a")
    make_employee(unit=city, position=clerk, name="b", hired_on=dt.date(2025, 1, 1))
    make_employee(unit=branch, position=seller, name="c", hired_on=dt.date(2026, 1, 1))
    make_employee(unit=branch, position=clerk, name="left", state="left", left_on=dt.date(2026, 10, 31))
    make_employee(unit=branch, position=clerk, name="future", hired_on=dt.date(2026, 11, 2))

    def select(**rule):
        return _names(select_people(rule=rule, scope=group, on=DAY))

    assert select() == ["a", "b", "c"]
    assert select(units=["C"]) == ["b", "c"]
    assert select(units=["B", "C"], positions=["柜员"]) == ["b"]
    assert select(positions=["柜员", "客户经理"]) == ["a", "b", "c"]
    assert select(job_families=["销售"]) == ["c"]
    assert select(hired_from="2025-01-01", hired_until="2025-12-31") == ["b"]


def test_select_people_never_leaves_the_scope(group, city, branch):
    make_employee(unit=group, name="above")
    make_employee(unit=branch, name="in")
    make_employee(unit=None, name="none")
    assert _names(select_people(rule={}, scope=city, on=DAY)) == ["in"]
    assert _names(select_people(rule={"units": ["G"]}, scope=city, on=DAY)) == []


def test_compare_rules_names_who_enters_and_who_leaves(group, city, branch):
    make_employee(unit=city, name="city")
    make_employee(unit=branch, name="branch")
    make_employee(unit=group, name="group")
    change = compare_rules(before={"units": ["C"]}, after={"units": ["B", "G"]}, scope=group, on=DAY)
    assert (_names(change.now), _names(change.enters), _names(change.leaves)) == (
        ["branch", "city", "group"],
        ["group"],
        [],
    )
    change = compare_rules(before={"units": ["C"]}, after={"units": ["B"]}, scope=group, on=DAY)
    assert (_names(change.enters), _names(change.leaves)) == ([], ["city"])
    change = compare_rules(before=None, after={"units": ["B"]}, scope=group, on=DAY)
    assert (_names(change.enters), _names(change.leaves)) == (["branch"], [])


def test_validate_rule_gives_the_plain_form(group, branch):
    make_position("柜员")
    rule = {"units": ["B", "B"], "positions": ["柜员"], "job_families": [], "hired_from": dt.date(2026, 1, 1)}
    assert validate_rule(rule=rule, scope=group) == {
        "units": ["B"],
        "positions": ["柜员"],
        "hired_from": "2026-01-01",
    }


@pytest.mark.parametrize(
    ("rule", "keys"),
    [
        ({"colour": "red"}, ["colour"]),
        ({"units": ["X"]}, ["units"]),
        ({"units": "B"}, ["units"]),
        ({"positions": ["没有"], "job_families": ["没有"]}, ["positions", "job_families"]),
        ({"hired_from": "soon"}, ["hired_from"]),
        ({"hired_from": "2026-02-01", "hired_until": "2026-01-01"}, ["hired_until"]),
        ([], ["rule"]),
    ],
)
def test_validate_rule_names_every_fault(rule, keys, group, branch):
    with pytest.raises(RuleRefused) as refused:
        validate_rule(rule=rule, scope=group)
    assert list(refused.value.problems) == keys


def test_validate_rule_refuses_a_unit_outside_the_scope(group, city):
    other = make_unit(group, code="W")
    with pytest.raises(RuleRefused):
        validate_rule(rule={"units": [other.code]}, scope=city)


def test_describe_rule_is_a_sentence_in_the_active_language(group, city, branch):
    make_position("柜员", "Teller", job_family="营业")
    rule = {"units": ["B", "C"], "positions": ["柜员"], "hired_from": "2026-01-01"}
    with translation.override("en"):
        assert describe_rule(rule=rule, scope=group) == (
            "Everybody in Branch One or East City, with the position Teller, hired on 1 January 2026 or later."
        )
        assert describe_rule(rule={}, scope=group) == "Everybody in Group."
    with translation.override("zh-hans"):
        assert "一号网点" in describe_rule(rule=rule, scope=group)
