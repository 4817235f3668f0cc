import datetime as dt

import pytest

from core.events import verify_chain
from core.models import Event
from people.domain.roles import (
    AlreadyOver,
    DutiesClash,
    GrantGone,
    HeldAlready,
    NotAdministrator,
    OwnRole,
    UnitMissing,
    UnitNotMeant,
    grant_role,
    grants_in_force,
    revoke_role,
    sync_groups,
)
from people.models import RoleGrant, User
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db
TODAY = dt.date(2026, 11, 18)


@pytest.fixture
def admin():
    user = make_user("admin")
    grant(user, "admin")
    return user


@pytest.fixture
def city():
    return make_unit(make_unit(code="G"), code="C")


def test_pm_p12_an_administrator_grants_hr_of_a_unit_with_one_event(at, admin, city):
    user = make_employee(city, with_user=True).user
    made = grant_role(user=user, role="hr", unit=city, until=dt.date(2027, 1, 31), by=admin, at=at)
    assert (made.role, made.unit, made.starts_on, made.until, made.granted_by) == (
        "hr",
        city,
        TODAY,
        dt.date(2027, 1, 31),
        admin,
    )
    event = Event.objects.get()
    assert (event.chain, event.action, event.actor, event.subject_id) == ("roles", "role granted", admin, str(user.pk))
    assert event.after == {"role": "hr", "unit": "C", "until": "2027-01-31"}
    assert verify_chain("roles") == (1, None)


def test_mc_13_granting_and_revoking_end_the_sessions(at, admin, city):
    user = make_user()
    made = grant_role(user=user, role="hr", unit=city, by=admin, at=at)
    assert User.objects.get(pk=user.pk).session_epoch == 1
    revoke_role(grant=made, by=admin, at=at)
    assert User.objects.get(pk=user.pk).session_epoch == 2
    assert not RoleGrant.objects.filter(user=user).exists()
    assert Event.objects.latest("sequence").before == {"role": "hr", "unit": "C", "until": None}


def test_pm_p12_nobody_grants_to_or_revokes_from_himself(at, admin, city):
    with pytest.raises(OwnRole):
        grant_role(user=admin, role="hr", unit=city, by=admin, at=at)
    with pytest.raises(OwnRole):
        revoke_role(grant=RoleGrant.objects.get(user=admin), by=admin, at=at)
    assert not Event.objects.exists()


@pytest.mark.parametrize("role", [None, "hr", "auditor", "author"])
def test_pm_p12_only_an_administrator_grants_and_revokes(at, admin, city, role):
    other = make_user()
    if role:
        grant(other, role, city if role == "hr" else None)
    with pytest.raises(NotAdministrator):
        grant_role(user=make_user(), role="auditor", by=other, at=at)
    with pytest.raises(NotAdministrator):
        revoke_role(grant=RoleGrant.objects.get(user=admin), by=other, at=at)


def test_pg_05_an_administrator_whose_role_is_over_grants_nothing(at, city):
    over = make_user()
    grant(over, "admin", until=TODAY - dt.timedelta(days=1))
    with pytest.raises(NotAdministrator):
        grant_role(user=make_user(), role="auditor", by=over, at=at)


def test_roles_have_their_scope(at, admin, city):
    user = make_user()
    for role in ("hr", "pay_maker", "pay_checker"):
        with pytest.raises(UnitMissing):
            grant_role(user=user, role=role, by=admin, at=at)
    for role in ("author", "moderator", "auditor", "admin"):
        with pytest.raises(UnitNotMeant):
            grant_role(user=user, role=role, unit=city, by=admin, at=at)
    with pytest.raises(AlreadyOver):
        grant_role(user=user, role="auditor", until=TODAY - dt.timedelta(days=1), by=admin, at=at)
    assert User.objects.get(pk=user.pk).session_epoch == 0


def test_a_role_held_there_or_above_is_not_given_twice_but_may_be_prolonged(at, admin, city):
    user = make_user()
    grant_role(user=user, role="hr", unit=city.get_parent(), until=dt.date(2026, 12, 31), by=admin, at=at)
    with pytest.raises(HeldAlready):
        grant_role(user=user, role="hr", unit=city, until=dt.date(2026, 12, 1), by=admin, at=at)
    grant_role(user=user, role="hr", unit=city, by=admin, at=at)
    with pytest.raises(HeldAlready):
        grant_role(user=user, role="hr", unit=city, by=admin, at=at)


def test_nobody_prepares_and_checks_the_pay_of_one_subtree(at, admin, city):
    user, elsewhere = make_user(), make_unit(city.get_parent(), code="D")
    grant_role(user=user, role="pay_maker", unit=city, by=admin, at=at)
    for unit in (city, city.get_parent()):
        with pytest.raises(DutiesClash):
            grant_role(user=user, role="pay_checker", unit=unit, by=admin, at=at)
    grant_role(user=user, role="pay_checker", unit=elsewhere, by=admin, at=at)


@pytest.mark.parametrize(("role", "group"), [("author", "Content authors"), ("moderator", "Content moderators")])
def test_a_content_role_is_followed_by_its_group(at, admin, role, group):
    user = make_user()
    made = grant_role(user=user, role=role, by=admin, at=at)
    assert list(user.groups.values_list("name", flat=True)) == [group]
    revoke_role(grant=made, by=admin, at=at)
    assert not user.groups.exists()


def test_pg_05_an_author_role_that_ran_out_leaves_the_group_at_the_next_sign_in(at, admin):
    user = make_user()
    grant_role(user=user, role="author", until=TODAY, by=admin, at=at)
    sync_groups(user, TODAY + dt.timedelta(days=1))
    assert not user.groups.exists()


def test_a_role_is_taken_back_once(at, admin, city):
    made = grant_role(user=make_user(), role="hr", unit=city, by=admin, at=at)
    again = RoleGrant.objects.get(pk=made.pk)
    revoke_role(grant=made, by=admin, at=at)
    with pytest.raises(GrantGone):
        revoke_role(grant=again, by=admin, at=at)
    assert Event.objects.filter(action="role revoked").count() == 1


def test_the_house_itself_may_grant_the_first_role(at):
    user = make_user()
    grant_role(user=user, role="admin", by=None, at=at)
    assert Event.objects.get().actor is None


def test_grants_in_force_leave_out_what_is_over(city):
    user = make_user()
    held = grant(user, "hr", city)
    grant(user, "auditor", until=TODAY - dt.timedelta(days=1))
    assert list(grants_in_force(TODAY)) == [held]
