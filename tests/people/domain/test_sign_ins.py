import datetime as dt

import pytest

from core.models import Event
from people.domain.sign_ins import (
    AlreadySo,
    Closed,
    end_sessions_of,
    lock_sign_in,
    set_password,
    unlock_sign_in,
    user_called,
    why_closed,
)
from people.models import Employee, User
from tests.factories.people import PASSWORD, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db
TODAY = dt.date(2026, 11, 18)


def days(count):
    return TODAY + dt.timedelta(days=count)


# Every state of a record and of a sign-in, and whether the door opens: TRUST SC-39.
STATES = [
    ({}, True, None),
    ({}, False, Closed.LOCKED),
    ({"state": "suspended"}, True, Closed.SUSPENDED),
    ({"state": "left", "left_on": days(-1)}, True, Closed.LEFT),
    ({"state": "left", "left_on": days(0)}, True, None),  # the last day is a day at work
    ({"state": "left", "left_on": days(10)}, True, None),
    ({"hired_on": days(1)}, True, Closed.NOT_HIRED),
    ({"hired_on": days(0)}, True, None),
    ({"hired_on": None}, True, None),
    ({"state": "suspended"}, False, Closed.LOCKED),
]


@pytest.mark.parametrize(("record", "active", "answer"), STATES)
def test_sc_39_the_gate_answers_for_every_state(record, active, answer):
    employee = make_employee(make_unit(), with_user=True, **record)
    employee.user.is_active = active
    assert why_closed(employee.user, TODAY) == answer


def test_sc_39_a_sign_in_without_a_record_is_judged_by_the_lock_alone():
    user = make_user()
    assert why_closed(user, TODAY) is None
    user.is_active = False
    assert why_closed(user, TODAY) == Closed.LOCKED


def test_user_called_finds_by_user_name_number_and_address_but_not_by_a_shared_address():
    unit = make_unit()
    one = make_employee(unit, employee_no="00123", email="Li.Na@example.com", user=make_user("lina"))
    make_employee(unit, email="shop@example.com", with_user=True)
    make_employee(unit, email="shop@example.com", with_user=True)
    make_employee(unit, email="no-sign-in@example.com")
    assert user_called("lina") == one.user
    assert user_called("00123") == one.user
    assert user_called("li.na@EXAMPLE.com") == one.user
    for typed in ["123", "shop@example.com", "no-sign-in@example.com", "", "x\x00", "%", "li.na"]:
        assert user_called(typed) is None


def test_mc_13_lock_ends_sessions_and_is_done_once(at):
    employee, admin = make_employee(make_unit(), with_user=True), make_user()
    lock_sign_in(user=employee.user, by=admin, at=at, reason="lost phone")
    user = User.objects.get(pk=employee.user.pk)
    assert (user.is_active, user.session_epoch) == (False, 1)
    with pytest.raises(AlreadySo):
        lock_sign_in(user=user, by=admin, at=at)
    unlock_sign_in(user=user, by=admin, at=at)
    with pytest.raises(AlreadySo):
        unlock_sign_in(user=user, by=admin, at=at)
    said = list(Event.objects.filter(chain="roles").values_list("action", "actor", "reason"))
    assert said == [("sign-in locked", admin.pk, "lost phone"), ("sign-in unlocked", admin.pk, "")]


def test_mc_13_ending_sessions_raises_the_epoch_and_leaves_an_event(at):
    user, admin = make_user(), make_user()
    end_sessions_of(user=user, by=admin, at=at)
    assert User.objects.get(pk=user.pk).session_epoch == user.session_epoch == 1
    assert Event.objects.get().action == "sessions ended"


def test_mc_13_a_new_password_ends_sessions_and_forgets_failures(at):
    user = make_user(failed_sign_ins=100)
    before = user.get_session_auth_hash()
    set_password(user=user, password="another long sentence here", by=user, at=at)
    user = User.objects.get(pk=user.pk)
    assert user.check_password("another long sentence here")
    assert not user.check_password(PASSWORD)
    assert (user.failed_sign_ins, user.session_epoch) == (0, 1)
    assert user.get_session_auth_hash() != before
    event = Event.objects.get()
    assert (event.action, event.before, event.after) == ("password changed", None, None)


def test_employee_left_keeps_the_record_of_who_the_user_is():
    employee = make_employee(make_unit(), with_user=True)
    employee.user.delete()
    assert Employee.objects.get(pk=employee.pk).user is None
