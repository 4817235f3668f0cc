import pytest
from django.utils import translation

from core.models import Event
from courses.domain.people_lists import (
    Added,
    LineFault,
    ListInUse,
    TooManyNumbers,
    add_again,
    add_by_number,
    audiences_using,
    delete_list,
    make_list,
    remove_from_list,
    rename_list,
)
from courses.models import PeopleList
from people.models import Employee
from tests.factories.courses import local, make_audience
from tests.factories.people import make_employee, make_unit

pytestmark = pytest.mark.django_db

AT = local(2026, 11, 18, 10)
SAID = {"by": None, "at": AT}


@pytest.fixture
def group():
    return make_unit(code="G", name="集团")


@pytest.fixture
def east(group):
    return make_unit(group, code="E", name="东城")


@pytest.fixture
def talents(east):
    return make_list(name="人才", scope=east, **SAID)


def _add(people_list, text, people=None):
    people = Employee.objects.all() if people is None else people
    return add_by_number(people_list=people_list, text=text, people=people, **SAID)


def _numbers(people_list):
    return sorted(people_list.members.values_list("employee_no", flat=True))


def _events():
    return list(Event.objects.filter(chain="months").values_list("action", "before", "after"))


def test_pasted_numbers_are_added_and_each_wrong_line_is_named(group, east, talents):
    one, two, three = (make_employee(unit=east, employee_no=f"00{n}1") for n in range(3))
    make_employee(unit=group, employee_no="0990")
    make_employee(unit=east, employee_no="0880", state="left", left_on=AT.date())
    talents.members.add(three)
    text = "0001 王伟\r\n\n００１１, 0021\n李娜\n0990\n7777\n0880 赵\n0001"
    with translation.override("en"):
        added = _add(talents, text)
    assert added == Added(
        employees=[one.pk, two.pk],
        already=1,
        faults=[
            LineFault(4, "李娜", "There is no employee number in this line."),
            LineFault(5, "0990", "No employee 0990 in 东城 among the people you look after. Check the number."),
            LineFault(6, "7777", "No employee 7777 in 东城 among the people you look after. Check the number."),
            LineFault(7, "0880 赵", "Employee 0880 has left. Take the line out."),
        ],
    )
    assert added.left_over == "李娜\n0990\n7777\n0880 赵"
    assert _numbers(talents) == ["0001", "0011", "0021"]
    assert _events()[1:] == [("list grew", None, {"added": ["0001", "0011"]})]


def test_adding_the_same_people_again_changes_nothing(east, talents):
    make_employee(unit=east, employee_no="0001")
    _add(talents, "0001")
    assert (_add(talents, "0001"), len(_events())) == (Added(already=1), 2)


def test_pm_m01_somebody_whom_hr_may_not_see_is_not_found(east, talents):
    make_employee(unit=east, employee_no="0001")
    added = _add(talents, "0001", people=Employee.objects.none())
    assert [fault.line for fault in added.faults] == [1]
    assert _numbers(talents) == []


def test_too_many_numbers_at_once_are_refused(talents):
    with pytest.raises(TooManyNumbers):
        _add(talents, "\n".join(f"{n:06d}" for n in range(5001)))


def test_adding_many_takes_the_same_queries_as_adding_few(east, talents, django_assert_max_num_queries):
    make_employee(unit=east, employee_no="0001")
    for n in range(2, 60):
        make_employee(unit=east, employee_no=f"{n:04d}")
    with django_assert_max_num_queries(14):
        assert len(_add(talents, "\n".join(f"{n:04d}" for n in range(1, 60))).employees) == 59


def test_people_are_taken_off_and_put_back(east, talents):
    one, two = (make_employee(unit=east, employee_no=f"00{n}1") for n in range(2))
    _add(talents, "0001 0011")
    chosen = Employee.objects.filter(pk__in=[one.pk])
    for expected in ([one.pk], []):
        assert remove_from_list(people_list=talents, employees=chosen, **SAID) == expected
    assert _numbers(talents) == ["0011"]
    for expected in (1, 0):
        assert add_again(people_list=talents, employees=chosen, **SAID) == expected
    assert _events()[2:] == [
        ("list shrank", {"removed": ["0001"]}, None),
        ("list grew", None, {"added": ["0001"]}),
    ]


def test_a_list_is_renamed_once(talents):
    assert [rename_list(people_list=talents, name="骨干", **SAID) for _twice in range(2)] == [True, False]
    assert _events()[1:] == [("list renamed", {"name": "人才"}, {"name": "骨干"})]


def test_a_list_that_an_audience_asks_for_is_not_deleted(group, east, talents):
    audience = make_audience(group, {"any": [{"units": ["E"]}, {"not": {"list": talents.pk}}]}, name="骨干")
    other = make_list(name="其他", scope=east, **SAID)
    assert audiences_using([talents, other]) == {talents.pk: [audience], other.pk: []}
    with pytest.raises(ListInUse) as refused:
        delete_list(people_list=talents, **SAID)
    assert refused.value.audiences == [audience]
    delete_list(people_list=other, **SAID)
    assert list(PeopleList.objects.all()) == [talents]
    assert _events()[-1] == ("list deleted", {"name": "其他", "scope": "E", "members": []}, None)
