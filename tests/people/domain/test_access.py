"""The door (TRUST 2.2-2.4): every row of the table against a naive reading of it, and the hard cases by name."""

import datetime as dt

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404

from people.domain.access import (
    RULES,
    WRITES,
    Actor,
    binds,
    employee_or_404,
    require,
    rows_on,
    unit_or_404,
    visible_employees,
    visible_units,
)
from people.models import Employee, OrgUnit
from tests.factories.people import make_employee, make_unit, make_user
from tests.people.world import TODAY, NaiveReading, actor_for, give, make_world

pytestmark = pytest.mark.django_db

HOUSES = {  # who acts, with which roles
    "employee": ("third_level", []),
    "manager": ("lead", []),
    "manager who is HR": ("lead", [("hr", "C1")]),
    "HR of the group": ("peer", [("hr", "G")]),
    "HR of a province": ("peer", [("hr", "P1")]),
    "HR of a city": ("peer", [("hr", "C1")]),
    "HR of a branch": ("peer", [("hr", "B1")]),
    "HR of two cities": ("peer", [("hr", "C1"), ("hr", "C3")]),
    "HR of nested units": ("peer", [("hr", "P1"), ("hr", "C1")]),
    "pay preparer": ("sibling", [("pay_maker", "P2")]),
    "pay checker and HR": ("sibling", [("pay_checker", "P2"), ("hr", "C2")]),
    "author": ("far", [("author", None)]),
    "moderator": ("far", [("moderator", None)]),
    "auditor": ("far", [("auditor", None)]),
    "administrator": ("far", [("admin", None)]),
    "HR without a unit of his own": ("orphan", [("hr", "C1")]),
    "root HR without a unit of his own": ("orphan", [("hr", "G")]),
}


def _names(people, found) -> set[str]:
    keys = {employee.pk: key for key, employee in people.items()}
    return {keys[pk] for pk in found}


@pytest.mark.parametrize("house", HOUSES)
def test_pm_rows_visible_employees_equals_the_naive_reading(house):
    people = make_world()
    key, roles = HOUSES[house]
    for role, code in roles:
        give(people[key], role, OrgUnit.objects.get(code=code) if code else None)
    actor = actor_for(people[key])
    naive = NaiveReading(actor)
    for row in RULES:
        found = visible_employees(actor, row).values_list("pk", flat=True)
        assert sorted(found) == sorted(naive.visible(row)), row  # sorted: nobody twice


def test_pm_p01_anyone_signed_in_sees_every_card():
    people = make_world()
    seen = visible_employees(actor_for(people["third_level"]), "PM-P01").values_list("pk", flat=True)
    assert _names(people, seen) == set(people)


def test_pm_t05_manager_reads_the_whole_reporting_tree_and_himself_at_any_depth_and_in_any_unit():
    people = make_world()
    seen = visible_employees(actor_for(people["lead"]), "PM-T05").values_list("pk", flat=True)
    assert _names(people, seen) == {
        "lead",
        "report",
        "report_of_report",
        "third_level",
        "report_elsewhere",
        "unitless_report",
        "leaver",
        "leaving_soon",
        "suspended",
    }


def test_pm_t04_manager_extends_for_nobody_who_left_and_not_for_himself():
    people = make_world()
    seen = visible_employees(actor_for(people["lead"]), "PM-T04").values_list("pk", flat=True)
    assert _names(people, seen) == {
        "report",
        "report_of_report",
        "third_level",
        "report_elsewhere",
        "unitless_report",
        "leaving_soon",
        "suspended",
    }


def test_pm_p05_hr_edits_the_unit_and_below_but_not_himself_nor_leavers():
    people = make_world()
    give(people["lead"], "hr", OrgUnit.objects.get(code="C1"))
    seen = visible_employees(actor_for(people["lead"]), "PM-P05").values_list("pk", flat=True)
    assert _names(people, seen) == {
        "peer",
        "report",
        "report_of_report",
        "third_level",
        "guest_in_unit",
        "leaving_soon",
        "suspended",
    }


def test_pm_p08_hr_takes_back_who_left_from_his_unit_only():
    people = make_world()
    give(people["peer"], "hr", OrgUnit.objects.get(code="C1"))
    seen = _names(people, visible_employees(actor_for(people["peer"]), "PM-P08").values_list("pk", flat=True))
    assert "leaver" in seen
    assert "far_leaver" not in seen


def test_r11_the_orphan_is_seen_by_the_hr_of_the_root_only():
    people = make_world()
    give(people["peer"], "hr", OrgUnit.objects.get(code="G"))
    give(people["sibling"], "hr", OrgUnit.objects.get(code="P1"))
    orphan = people["orphan"].pk
    assert visible_employees(actor_for(people["peer"]), "PM-T01").filter(pk=orphan).exists()
    assert not visible_employees(actor_for(people["sibling"]), "PM-T01").filter(pk=orphan).exists()


def test_r8_r9_training_follows_the_person_to_the_new_unit():
    people = make_world()
    give(people["peer"], "hr", OrgUnit.objects.get(code="C1"))
    actor = actor_for(people["peer"])
    Employee.objects.filter(pk=people["third_level"].pk).update(unit=OrgUnit.objects.get(code="C2"))
    Employee.objects.filter(pk=people["far"].pk).update(unit=OrgUnit.objects.get(code="B1"))
    seen = _names(people, visible_employees(actor, "PM-T05").values_list("pk", flat=True))
    assert "third_level" not in seen
    assert "far" in seen


@pytest.mark.parametrize("code", ["G", "P1", "C1", "B1"])
def test_pg_05_a_role_at_each_level_reaches_that_level_and_below(code):
    people = make_world()
    unit = OrgUnit.objects.get(code=code)
    give(people["far"], "hr", unit)
    seen = visible_employees(actor_for(people["far"]), "PM-P05").values_list("pk", flat=True)
    expected = set(
        Employee.objects.filter(unit__path__startswith=unit.path)
        .exclude(left_on__lt=TODAY)
        .exclude(pk=people["far"].pk)
        .values_list("pk", flat=True)
    )
    if code == "G":
        expected |= {people["orphan"].pk, people["unitless_report"].pk}
    assert set(seen) == expected


@pytest.mark.parametrize(
    ("starts", "until", "held"),
    [(-10, None, True), (0, 0, True), (-10, -1, False), (1, None, False), (-10, 10, True)],
)
def test_pg_05_a_role_counts_from_its_first_to_its_last_day(starts, until, held):
    people = make_world()
    days = dt.timedelta
    give(
        people["far"],
        "hr",
        OrgUnit.objects.get(code="C1"),
        starts_on=TODAY + days(days=starts),
        until=None if until is None else TODAY + days(days=until),
    )
    assert actor_for(people["far"]).may("PM-P05") is held
    assert visible_employees(actor_for(people["far"]), "PM-P05").exists() is held


def test_pg_05_a_role_of_nobody_with_a_record_reaches_no_self():
    unit = make_unit()
    make_employee(unit)
    user = make_user()
    actor = Actor(user=user, on=TODAY)
    assert list(visible_employees(actor, "PM-P02")) == []
    assert actor.roles == {"EMP"}


def test_a_circle_of_managers_ends_and_never_makes_one_his_own_report():
    unit = make_unit()
    one = make_employee(unit, with_user=True, password=None)
    two = make_employee(unit, one)
    three = make_employee(unit, two)
    Employee.objects.filter(pk=one.pk).update(manager=three)  # as broken data would have it
    assert set(visible_employees(actor_for(one), "PM-X01")) == {two, three}


def test_employee_or_404_answers_out_of_scope_and_missing_alike_and_403_to_a_role_that_never_may():
    people = make_world()
    manager, clerk = actor_for(people["lead"]), actor_for(people["third_level"])
    assert employee_or_404(manager, "PM-T05", people["report"].pk) == people["report"]
    with pytest.raises(Http404) as foreign:
        employee_or_404(manager, "PM-T05", people["far"].pk)
    with pytest.raises(Http404) as missing:
        employee_or_404(manager, "PM-T05", 999_999_999)
    assert str(foreign.value) == str(missing.value)
    with pytest.raises(PermissionDenied):
        employee_or_404(clerk, "PM-P05", people["report"].pk)


def test_rows_on_says_what_one_person_may_do_to_another():
    people = make_world()
    give(people["peer"], "hr", OrgUnit.objects.get(code="C1"))
    rows = ["PM-P01", "PM-P05", "PM-P07", "PM-P08", "PM-P09", "PM-P10", "PM-P12"]
    actor = actor_for(people["peer"])
    assert rows_on(actor, people["report"], rows) == {"PM-P01", "PM-P05", "PM-P07", "PM-P08", "PM-P09"}
    assert rows_on(actor, people["leaver"], rows) == {"PM-P01", "PM-P08"}
    assert rows_on(actor, people["far"], rows) == {"PM-P01"}
    assert rows_on(actor, people["peer"], rows) == {"PM-P01", "PM-P09", "PM-P10"}  # as an employee
    assert rows_on(actor_for(people["third_level"]), people["report"], rows) == {"PM-P01"}


def test_rows_on_asks_once_for_rows_of_one_shape(django_assert_num_queries):
    people = make_world()
    give(people["peer"], "hr", OrgUnit.objects.get(code="C1"))
    actor = actor_for(people["peer"])
    assert actor.roles
    assert actor.employee
    with django_assert_num_queries(1):
        rows_on(actor, people["report"], ["PM-P05", "PM-P07", "PM-T03"])


def test_visible_employees_is_one_query(django_assert_num_queries):
    people = make_world()
    give(people["lead"], "hr", OrgUnit.objects.get(code="C1"))
    actor = actor_for(people["lead"])
    assert actor.roles
    assert actor.employee
    with django_assert_num_queries(1):
        list(visible_employees(actor, "PM-T05"))


def test_visible_units_are_those_of_the_role_and_below():
    people = make_world()
    give(people["peer"], "hr", OrgUnit.objects.get(code="C1"))
    give(people["far"], "auditor")
    codes = lambda who, row: sorted(visible_units(actor_for(people[who]), row).values_list("code", flat=True))  # noqa: E731
    assert codes("peer", "PM-X01") == ["B1", "C1"]
    assert codes("peer", "PM-M01") == ["B1", "C1"]
    assert codes("far", "PM-X01") == ["B1", "B3", "C1", "C2", "C3", "G", "P1", "P2"]
    assert codes("third_level", "PM-X01") == []
    with pytest.raises(Http404):
        unit_or_404(actor_for(people["peer"]), "PM-X01", OrgUnit.objects.get(code="C2").pk)


def test_require_and_binds_know_only_rows_of_the_table():
    people = make_world()
    with pytest.raises(PermissionDenied):
        require(actor_for(people["third_level"]), "PM-P12")
    with pytest.raises(KeyError):
        binds("PM-XYZ")
    assert set(RULES) >= WRITES


def test_actor_brings_the_record_from_the_session_without_a_further_query(client, django_assert_num_queries):
    from people.sign_in import EmployeeNumberBackend

    people = make_world()
    user = EmployeeNumberBackend().get_user(people["report"].user_id)
    with django_assert_num_queries(0):
        employee = Actor(user=user, on=TODAY).employee
        assert (employee.pk, employee.unit.code) == (people["report"].pk, "C1")
