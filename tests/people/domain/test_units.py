import pytest

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
