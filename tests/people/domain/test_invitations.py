import datetime as dt
import hashlib

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.models import Event
from people.domain.invitations import (
    HasLeft,
    HasSignIn,
    LinkExpired,
    LinkUnknown,
    LinkUsed,
    NameTaken,
    NoSignIn,
    TooMany,
    accept_invitation,
    invite,
    invite_many,
    open_invitation,
    recover,
)
from people.models import Employee, Invitation, User
from tests.factories.people import PASSWORD, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db
NEW = "seven green lamps at the harbour"
HOUR = dt.timedelta(hours=1)


def test_sc_34_a_first_link_lasts_72_hours_and_makes_a_sign_in_named_by_the_number(at):
    hr, employee = make_user(), make_employee(make_unit(), employee_no="00042", name="李娜", email="a@example.com")
    invitation, token = invite(employee=employee, by=hr, at=at)
    assert invitation.expires_at == at + dt.timedelta(hours=72)
    user = accept_invitation(token=token, password=NEW, at=at + 71 * HOUR)
    employee.refresh_from_db()
    assert employee.user == user
    assert (user.username, user.email, user.first_name, user.is_staff) == ("00042", "a@example.com", "李娜", False)
    assert user.check_password(NEW)
    assert list(Event.objects.values_list("chain", "action")) == [("roles", "invited"), ("roles", "sign-in made")]


def test_mc_20_mc_14_tokens_have_128_bits_and_only_their_hash_is_kept(at):
    employee = make_employee(make_unit())
    tokens = {invite(employee=employee, by=None, at=at)[1] for _ in range(20)}
    assert len(tokens) == 20
    for token in tokens:
        assert len(token) * 6 >= 128  # six bits in each character of URL-safe base64
        assert Invitation.objects.filter(token_hash=hashlib.sha256(token.encode()).hexdigest()).count() == 1
        assert not Invitation.objects.filter(token_hash=token).exists()


def test_mc_14_a_link_works_once(at):
    employee = make_employee(make_unit())
    _invitation, token = invite(employee=employee, by=None, at=at)
    accept_invitation(token=token, password=NEW, at=at)
    with pytest.raises(LinkUsed):
        accept_invitation(token=token, password="another sentence of words", at=at)
    assert Employee.objects.get(pk=employee.pk).user.check_password(NEW)


def test_mc_11_of_two_uses_at_the_same_moment_one_wins(at, monkeypatch):
    """The second has looked at the link before the first used it up."""
    employee = make_employee(make_unit())
    _invitation, token = invite(employee=employee, by=None, at=at)
    seen = open_invitation(token=token, at=at)
    accept_invitation(token=token, password=NEW, at=at)
    monkeypatch.setattr("people.domain.invitations.open_invitation", lambda **_: seen)
    with pytest.raises(LinkUsed):
        accept_invitation(token=token, password="another sentence of words", at=at)
    assert User.objects.count() == 1


def test_mc_14_links_run_out_and_looking_uses_nothing_up(at):
    employee = make_employee(make_unit())
    invitation, token = invite(employee=employee, by=None, at=at)
    assert open_invitation(token=token, at=at) == invitation
    assert open_invitation(token=token, at=at) == invitation
    for refused in (open_invitation, lambda **values: accept_invitation(password=NEW, **values)):
        with pytest.raises(LinkExpired):
            refused(token=token, at=at + 72 * HOUR)
    with pytest.raises(LinkUnknown):
        open_invitation(token="made-up", at=at)
    assert User.objects.count() == 0


def test_a_newer_link_ends_the_older(at):
    employee = make_employee(make_unit())
    _first, old = invite(employee=employee, by=None, at=at)
    _second, new = invite(employee=employee, by=None, at=at + HOUR)
    with pytest.raises(LinkExpired):
        open_invitation(token=old, at=at + HOUR)
    assert open_invitation(token=new, at=at + HOUR).employee == employee


def test_sc_35_a_recovery_link_lasts_30_minutes_and_sets_a_new_password(at):
    admin, employee = make_user(), make_employee(make_unit(), with_user=True)
    User.objects.filter(pk=employee.user.pk).update(failed_sign_ins=100)
    invitation, token = recover(employee=employee, by=admin, at=at)
    assert invitation.expires_at == at + dt.timedelta(minutes=30)
    user = accept_invitation(token=token, password=NEW, at=at + dt.timedelta(minutes=29))
    user = User.objects.get(pk=user.pk)
    assert user == employee.user
    assert (user.check_password(NEW), user.check_password(PASSWORD)) == (True, False)
    assert (user.session_epoch, user.failed_sign_ins) == (1, 0)


def test_first_links_and_recovery_links_are_for_different_people(at):
    unit = make_unit()
    with pytest.raises(HasSignIn):
        invite(employee=make_employee(unit, with_user=True), by=None, at=at)
    with pytest.raises(NoSignIn):
        recover(employee=make_employee(unit), by=make_user(), at=at)


@pytest.mark.parametrize("fields", [{"state": "suspended"}, {"state": "left", "left_on": dt.date(2026, 11, 17)}])
def test_nobody_who_left_or_is_suspended_gets_or_uses_a_link(at, fields):
    unit = make_unit()
    with pytest.raises(HasLeft):
        invite(employee=make_employee(unit, **fields), by=None, at=at)
    with pytest.raises(HasLeft):
        recover(employee=make_employee(unit, with_user=True, **fields), by=None, at=at)
    meanwhile = make_employee(unit)
    invitation, token = invite(employee=meanwhile, by=None, at=at)
    Employee.objects.filter(pk=meanwhile.pk).update(**fields)
    with pytest.raises(HasLeft):
        accept_invitation(token=token, password=NEW, at=at)
    invitation.refresh_from_db()
    assert invitation.used_at is None


def test_a_taken_user_name_refuses_and_changes_nothing(at):
    employee = make_employee(make_unit(), employee_no="007")
    make_user("007")
    invitation, token = invite(employee=employee, by=None, at=at)
    with pytest.raises(NameTaken):
        accept_invitation(token=token, password=NEW, at=at)
    invitation.refresh_from_db()
    assert invitation.used_at is None
    assert Employee.objects.get(pk=employee.pk).user is None


def test_invite_many_passes_over_who_needs_none_in_a_fixed_number_of_queries(at, django_assert_num_queries):
    unit, hr = make_unit(), make_user()
    people = [make_employee(unit) for _ in range(3)]
    people += [make_employee(unit, with_user=True), make_employee(unit, state="suspended")]
    invite_many(employees=people[:1], unit=unit, by=hr, at=at)  # the first event makes the chain
    with CaptureQueriesContext(connection) as for_one:
        invite_many(employees=people[:1], unit=unit, by=hr, at=at)
    with django_assert_num_queries(len(for_one)):
        made = invite_many(employees=people, unit=unit, by=hr, at=at)
    assert [invitation.employee for invitation, _token in made] == people[:3]
    for invitation, token in made:
        assert open_invitation(token=token, at=at) == invitation
    last = Event.objects.latest("sequence")
    assert last.after == {"employee_no": [employee.employee_no for employee in people[:3]]}


def test_invite_many_refuses_more_than_a_sheet_holds(at):
    unit = make_unit()
    people = [Employee(pk=n, employee_no=str(n), name="x", unit=unit) for n in range(201)]
    with pytest.raises(TooMany):
        invite_many(employees=people, unit=unit, by=None, at=at)
    assert invite_many(employees=[], unit=unit, by=None, at=at) == []
