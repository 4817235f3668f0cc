import contextlib
import datetime as dt

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.models import Event
from people.domain.units import (
    AlreadyThere,
    CodeTaken,
    UnitCircle,
    UnitLine,
    add_unit,
    move_unit,
    people_in,
    rename_unit,
    tree_as_of,
)
from people.models import OrgUnit
from tests.factories.people import make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def group():
    return make_unit(code="G")


def test_people_in_counts_who_works_in_each_unit_and_below_in_two_queries(group, django_assert_num_queries):
    a, b, empty = make_unit(group, "A"), make_unit(group, "B"), make_unit(group, "E")
    below = make_unit(make_unit(a, "A1"), "A2")
    for unit in (a, below, below, b):
        make_employee(unit)
    make_employee(a, state="suspended")
    make_employee(group)
    siblings = list(OrgUnit.objects.get(pk=group.pk).get_children())
    with django_assert_num_queries(2):
        lines = people_in(siblings)
    assert lines == [UnitLine(siblings[0], 3, 1), UnitLine(siblings[1], 1, 0), UnitLine(siblings[2], 0, 0)]
    assert [line.unit for line in lines] == [a, b, empty]
    assert people_in([group])[0].people == 5
    assert people_in([]) == []


def test_rename_keeps_the_code_and_says_what_changed(at, group):
    hr = make_user()
    values = {"name": "集团", "name_en": "Group", "kind": "group"}
    rename_unit(unit=group, **values, by=hr, at=at)
    rename_unit(unit=group, **values, by=hr, at=at)
    stored = OrgUnit.objects.get(pk=group.pk)
    assert (stored.code, stored.name, stored.name_en, stored.kind) == ("G", "集团", "Group", "group")
    assert Event.objects.get().after == {"name": "集团", "name_en": "Group"}


def test_add_unit_puts_it_under_its_parent_and_refuses_a_taken_code(at, group):
    values = {"name": "网点", "name_en": "", "kind": "branch", "by": None, "at": at}
    one = add_unit(parent=group, code="N1", **values)
    two = add_unit(parent=group, code="N2", **values)
    assert list(OrgUnit.objects.get(pk=group.pk).get_children()) == [one, two]
    with pytest.raises(CodeTaken):
        add_unit(parent=group, code="N1", **values)
    assert list(Event.objects.values_list("action", flat=True)) == ["unit added", "unit added"]


def test_move_unit_takes_everything_below_along(at, group):
    a, b = make_unit(group, "A"), make_unit(group, "B")
    below = make_unit(a, "A1")
    person = make_employee(below)
    moved = move_unit(unit=a, under=b, by=None, at=at)
    assert moved.get_parent() == b
    below.refresh_from_db()
    assert below.path.startswith(moved.path)
    assert people_in([OrgUnit.objects.get(pk=b.pk)])[0].people == 1
    assert person.unit_id == below.pk
    event = Event.objects.get()
    assert (event.action, event.before, event.after) == ("unit moved", {"under": "G"}, {"under": "B"})


def test_move_unit_makes_no_circle_and_needs_a_new_place(at, group):
    a = make_unit(group, "A")
    below = make_unit(a, "A1")
    for under in (a, below):
        with pytest.raises(UnitCircle):
            move_unit(unit=a, under=under, by=None, at=at)
    with pytest.raises(AlreadyThere):
        move_unit(unit=a, under=group, by=None, at=at)
    assert not Event.objects.exists()
    assert OrgUnit.find_problems() == ([], [], [], [], [])


# --- the tree of another day ------------------------------------------------------------------------------------------
def _shape(tree):
    return [(depth, tree.units[pk].code, tree.units[pk].name) for pk, depth in tree.walk()]


def test_tree_as_of_takes_back_moves_and_renamings_the_newest_first(at, group, django_assert_num_queries):
    a, b = make_unit(group, "A", name="甲"), make_unit(group, "B", name="乙")
    below = make_unit(a, "A1", name="甲一")
    days = [at + dt.timedelta(days=number) for number in range(5)]
    before = _shape(tree_as_of(days[0]))
    move_unit(unit=below, under=b, by=None, at=days[1])
    move_unit(unit=b, under=a, by=None, at=days[2])
    rename_unit(unit=below, name="乙一", name_en="", kind="branch", by=None, at=days[3])
    move_unit(unit=below, under=group, by=None, at=days[4])
    group_line = (1, "G", group.name)
    with django_assert_num_queries(2):
        shapes = [_shape(tree_as_of(day)) for day in days[:1]]
    assert shapes == [before] == [[group_line, (2, "A", "甲"), (3, "A1", "甲一"), (2, "B", "乙")]]
    assert _shape(tree_as_of(days[1])) == [group_line, (2, "A", "甲"), (2, "B", "乙"), (3, "A1", "甲一")]
    assert _shape(tree_as_of(days[2])) == [group_line, (2, "A", "甲"), (3, "B", "乙"), (4, "A1", "甲一")]
    assert _shape(tree_as_of(days[3])) == [group_line, (2, "A", "甲"), (3, "B", "乙"), (4, "A1", "乙一")]
    now = [(unit.depth, unit.code, unit.name) for unit in OrgUnit.objects.all()]
    assert _shape(tree_as_of(days[4])) == now


def test_tree_as_of_knows_the_way_up_and_down(at, group):
    a, b = make_unit(group, "A"), make_unit(group, "B")
    below = make_unit(a, "A1")
    move_unit(unit=below, under=b, by=None, at=at)
    then, now = tree_as_of(at - dt.timedelta(days=1)), tree_as_of(at)
    assert then.above(below.pk) == [below.pk, a.pk, group.pk]
    assert now.above(below.pk) == [below.pk, b.pk, group.pk]
    assert (then.roots, then.children(group.pk), then.children(a.pk)) == ([group.pk], [a.pk, b.pk], [below.pk])
    assert (now.children(a.pk), now.children(b.pk)) == ([], [below.pk])


def test_tree_as_of_leaves_a_unit_where_it_is_when_the_one_it_came_from_is_gone(at, group):
    a, b = make_unit(group, "A"), make_unit(group, "B")
    below = make_unit(a, "A1")
    move_unit(unit=below, under=b, by=None, at=at)
    OrgUnit.objects.get(pk=a.pk).delete()
    then = tree_as_of(at - dt.timedelta(days=1))
    assert then.above(below.pk) == [below.pk, b.pk, group.pk]


@given(moves=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=8))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tree_as_of_is_the_tree_that_was_there_for_any_moves(at, moves):
    with transaction.atomic():
        units = [make_unit() for _number in range(2)]
        units += [make_unit(units[number % 2]) for number in range(4)]
        seen = [(at, _parents())]
        for number, (one, other) in enumerate(moves, start=1):
            day = at + dt.timedelta(hours=number)
            with contextlib.suppress(UnitCircle, AlreadyThere):
                move_unit(unit=units[one], under=units[other], by=None, at=day)
            seen.append((day, _parents()))
        found = [(day, {pk: unit.parent for pk, unit in tree_as_of(day).units.items()}) for day, _parents in seen]
        transaction.set_rollback(True)
    assert found == seen


def _parents():
    paths = dict(OrgUnit.objects.values_list("path", "pk"))
    return {pk: paths.get(path[: -OrgUnit.steplen]) for path, pk in paths.items()}
