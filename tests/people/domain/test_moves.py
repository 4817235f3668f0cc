import datetime as dt

import pytest

from core.events import verify_chain
from core.models import Event
from people.domain.moves import (
    ChangedMeanwhile,
    InFuture,
    ManagerCircle,
    ManagerHasLeft,
    NotHere,
    NothingChanges,
    StillHere,
    TooEarly,
    change_record,
    mark_left,
    move_employee,
    rehire,
    reinstate,
    suspend,
)
from people.models import Employee, Placement, User
from tests.factories.people import HIRED, make_employee, make_position, make_unit, make_user

pytestmark = pytest.mark.django_db
TODAY = dt.date(2026, 11, 18)


def posts(employee):
    return list(
        Placement.objects.filter(employee=employee)
        .order_by("starts_on")
        .values_list("unit__code", "position__title", "manager__employee_no", "starts_on", "ends_on")
    )


def present(employee):
    return Employee.objects.values_list("unit__code", "position__title", "manager__employee_no").get(pk=employee.pk)


@pytest.fixture
def tree():
    group = make_unit(code="G")
    return group, make_unit(group, "A"), make_unit(group, "B")


def test_move_ends_one_post_and_begins_the_next(at, tree):
    _group, a, b = tree
    boss, clerk = make_employee(a, employee_no="boss"), make_position("营业员")
    employee, hr = make_employee(a, boss), make_user()
    on = dt.date(2026, 11, 16)
    move_employee(employee=employee, unit=b, position=clerk, manager=None, on=on, by=hr, at=at)
    assert posts(employee) == [
        ("A", None, "boss", HIRED, dt.date(2026, 11, 15)),
        ("B", "营业员", None, on, None),
    ]
    assert present(employee) == ("B", "营业员", None)
    event = Event.objects.get()
    assert (event.chain, event.action, event.actor) == ("roster", "moved", hr)
    assert event.before == {"unit": "A", "position": None, "manager_no": "boss"}
    assert event.after == {"unit": "B", "position": "营业员", "manager_no": None, "on": "2026-11-16"}
    assert verify_chain("roster") == (1, None)


def test_move_on_the_first_day_of_the_post_puts_it_right_instead(at, tree):
    _group, a, b = tree
    employee = make_employee(a, starts_on=TODAY)
    move_employee(employee=employee, unit=b, position=None, manager=None, on=TODAY, by=None, at=at)
    assert posts(employee) == [("B", None, None, TODAY, None)]


def test_move_gives_a_first_post_to_who_has_none(at, tree):
    _group, a, _b = tree
    employee = make_employee(None)
    move_employee(employee=employee, unit=a, position=None, manager=None, on=TODAY, by=None, at=at)
    assert posts(employee) == [("A", None, None, TODAY, None)]
    assert present(employee) == ("A", None, None)


def test_move_refuses_days_that_cannot_be(at, tree):
    _group, a, b = tree
    employee = make_employee(a, starts_on=dt.date(2026, 11, 10))
    for on, refusal in [(dt.date(2026, 11, 9), TooEarly), (dt.date(2026, 11, 19), InFuture)]:
        with pytest.raises(refusal):
            move_employee(employee=employee, unit=b, position=None, manager=None, on=on, by=None, at=at)
    with pytest.raises(NothingChanges):
        move_employee(employee=employee, unit=a, position=None, manager=None, on=TODAY, by=None, at=at)
    assert posts(employee) == [("A", None, None, dt.date(2026, 11, 10), None)]
    assert not Event.objects.exists()


def test_move_refuses_circles_of_managers_of_any_length_and_undoes_all(at, tree):
    _group, a, b = tree
    top = make_employee(a)
    middle = make_employee(a, top)
    bottom = make_employee(a, middle)
    for manager in (top, middle, bottom):
        with pytest.raises(ManagerCircle):
            move_employee(employee=top, unit=b, position=None, manager=manager, on=TODAY, by=None, at=at)
    assert posts(top) == [("A", None, None, HIRED, None)]
    assert present(top) == ("A", None, None)
    assert not Event.objects.exists()


def test_move_refuses_a_manager_who_left_and_a_person_who_left(at, tree):
    _group, a, b = tree
    gone = make_employee(a, state="left", left_on=dt.date(2026, 11, 1))
    with pytest.raises(ManagerHasLeft):
        move_employee(employee=make_employee(a), unit=b, position=None, manager=gone, on=TODAY, by=None, at=at)
    with pytest.raises(NotHere):
        move_employee(employee=gone, unit=b, position=None, manager=None, on=TODAY, by=None, at=at)


def test_mc_11_move_refuses_when_somebody_else_was_faster(at, tree):
    _group, a, b = tree
    employee = make_employee(a)
    stale = Employee.objects.get(pk=employee.pk)
    move_employee(employee=employee, unit=b, position=None, manager=None, on=TODAY, by=None, at=at)
    with pytest.raises(ChangedMeanwhile):
        move_employee(employee=stale, unit=a, position=make_position("x"), manager=None, on=TODAY, by=None, at=at)
    assert present(employee) == ("B", None, None)
    assert Event.objects.count() == 1


def test_mark_left_ends_the_post_and_the_sessions(at, tree):
    employee, hr = make_employee(tree[1], with_user=True), make_user()
    on = dt.date(2026, 11, 15)
    mark_left(employee=employee, on=on, by=hr, at=at, reason="moved abroad")
    stored = Employee.objects.get(pk=employee.pk)
    assert (stored.state, stored.left_on, stored.unit) == ("left", on, tree[1])
    assert posts(employee) == [("A", None, None, HIRED, on)]
    assert User.objects.get(pk=employee.user.pk).session_epoch == 1
    event = Event.objects.get()
    assert (event.action, event.after, event.reason) == (
        "left",
        {"state": "left", "left_on": "2026-11-15"},
        "moved abroad",
    )
    with pytest.raises(NotHere):
        mark_left(employee=stored, on=on, by=hr, at=at)


def test_mark_left_in_advance_leaves_the_sessions_until_the_last_day(at, tree):
    employee = make_employee(tree[1], with_user=True)
    mark_left(employee=employee, on=dt.date(2026, 11, 30), by=None, at=at)
    assert User.objects.get(pk=employee.user.pk).session_epoch == 0
    assert posts(employee) == [("A", None, None, HIRED, dt.date(2026, 11, 30))]


def test_mark_left_refuses_a_day_before_the_post_began(at, tree):
    employee = make_employee(tree[1], starts_on=dt.date(2026, 11, 10))
    with pytest.raises(TooEarly):
        mark_left(employee=employee, on=dt.date(2026, 11, 9), by=None, at=at)


def test_rehire_begins_a_new_post_and_keeps_the_history(at, tree):
    _group, a, b = tree
    employee = make_employee(a, state="left", left_on=dt.date(2026, 9, 30))
    rehire(employee=employee, unit=b, position=None, manager=None, on=TODAY, by=None, at=at)
    stored = Employee.objects.get(pk=employee.pk)
    assert (stored.state, stored.left_on, stored.hired_on, stored.unit) == ("active", None, TODAY, b)
    assert posts(employee) == [
        ("A", None, None, HIRED, dt.date(2026, 9, 30)),
        ("B", None, None, TODAY, None),
    ]
    assert Event.objects.get().action == "rehired"
    with pytest.raises(StillHere):
        rehire(employee=stored, unit=b, position=None, manager=None, on=TODAY, by=None, at=at)


def test_rehire_refuses_days_at_work_already_and_days_to_come(at, tree):
    employee = make_employee(tree[1], state="left", left_on=dt.date(2026, 11, 15))
    for on, refusal in [(dt.date(2026, 11, 15), TooEarly), (dt.date(2026, 11, 19), InFuture)]:
        with pytest.raises(refusal):
            rehire(employee=employee, unit=tree[2], position=None, manager=None, on=on, by=None, at=at)


def test_rehire_refuses_a_circle_through_reports_of_before(at, tree):
    employee = make_employee(tree[1], state="left", left_on=dt.date(2026, 9, 30))
    report = make_employee(tree[1], employee)
    with pytest.raises(ManagerCircle):
        rehire(employee=employee, unit=tree[1], position=None, manager=report, on=TODAY, by=None, at=at)
    assert Employee.objects.get(pk=employee.pk).state == "left"


def test_suspend_and_reinstate_switch_once_each(at, tree):
    employee = make_employee(tree[1], with_user=True)
    suspend(employee=employee, by=None, at=at, reason="inquiry")
    assert Employee.objects.get(pk=employee.pk).state == "suspended"
    assert User.objects.get(pk=employee.user.pk).session_epoch == 1
    with pytest.raises(ChangedMeanwhile):
        suspend(employee=employee, by=None, at=at)
    reinstate(employee=employee, by=None, at=at)
    with pytest.raises(ChangedMeanwhile):
        reinstate(employee=employee, by=None, at=at)
    assert list(Event.objects.values_list("action", "reason")) == [("suspended", "inquiry"), ("reinstated", "")]
    assert posts(employee) == [("A", None, None, HIRED, None)]


def test_change_record_writes_what_differs_and_the_pinyin(at, tree):
    employee = make_employee(tree[1], with_user=True, name="王伟", email="old@example.com")
    values = {"name": "王薇", "name_latin": "Wang Wei", "email": "new@example.com", "mobile": "", "language": "zh-hans"}
    change_record(employee=employee, **values, by=None, at=at)
    stored = Employee.objects.get(pk=employee.pk)
    assert (stored.name, stored.pinyin, stored.email) == ("王薇", "wangwei ww", "new@example.com")
    assert stored.user.email == "new@example.com"
    event = Event.objects.get()
    assert event.before == {"name": "王伟", "name_latin": "", "email": "old@example.com"}
    assert event.after == {"name": "王薇", "name_latin": "Wang Wei", "email": "new@example.com"}
    change_record(employee=stored, **values, by=None, at=at)
    assert Event.objects.count() == 1
    with pytest.raises(ChangedMeanwhile):
        employee.name = "王伟"  # as a page opened before would have it
        change_record(employee=employee, **{**values, "name": "王威"}, by=None, at=at)
