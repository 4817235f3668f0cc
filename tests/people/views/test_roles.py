import pytest
from django.urls import reverse

from people.models import RoleGrant, User
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db
HERE = "/roles/"


@pytest.fixture
def world(client):
    client.cookies["django_language"] = "en"
    group = make_unit(code="G")
    city = make_unit(group, "C1")
    people = {key: make_employee(city, with_user=True, employee_no=key) for key in ("admin", "auditor", "hr", "clerk")}
    people["far"] = make_employee(make_unit(group, "C2"), with_user=True, employee_no="far")
    for role in ("admin", "auditor"):
        grant(people[role].user, role)
    grant(people["hr"].user, "hr", city)
    grant(people["far"].user, "pay_maker", people["far"].unit)
    return {**people, "city": city, "technical": grant(make_user("machine-room"), "admin")}


def seen(client) -> set[str]:
    return {f"{g.user.username} {g.role}" for g in client.get(HERE).context["page"]}


@pytest.mark.parametrize(
    ("who", "sees"),
    [
        ("admin", {"admin admin", "auditor auditor", "hr hr", "far pay_maker", "machine-room admin"}),
        ("auditor", {"admin admin", "auditor auditor", "hr hr", "far pay_maker", "machine-room admin"}),
        ("hr", {"admin admin", "auditor auditor", "hr hr"}),
        ("far", {"far pay_maker"}),
        ("clerk", set()),
    ],
)
def test_pm_p13_who_sees_whose_roles(client, world, who, sees):
    client.force_login(world[who].user)
    assert seen(client) == sees


def test_pm_p12_an_administrator_gives_and_takes_back(client, world):
    client.force_login(world["admin"].user)
    response = client.post("/roles/grant/", {"person": "clerk", "role": "hr", "unit": "C1", "until": "2099-12-31"})
    assert response["Location"] == HERE
    made = RoleGrant.objects.get(user=world["clerk"].user)
    assert (made.role, made.unit, made.granted_by) == ("hr", world["city"], world["admin"].user)
    assert User.objects.get(pk=world["clerk"].user.pk).session_epoch == 1
    revoke = reverse("people:revoke_role", args=[made.pk])
    assert client.get(revoke).status_code == 200
    assert RoleGrant.objects.filter(pk=made.pk).exists()
    assert client.post(revoke).status_code == 302
    assert not RoleGrant.objects.filter(pk=made.pk).exists()
    assert client.post(revoke).status_code == 404


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"person": "admin", "role": "auditor"}, "person"),  # oneself
        ({"person": "nobody", "role": "auditor"}, "person"),
        ({"person": "", "role": "auditor"}, "person"),
        ({"person": "silent", "role": "auditor"}, "person"),  # no sign-in
        ({"person": "clerk", "role": "hr"}, "unit"),
        ({"person": "clerk", "role": "auditor", "unit": "C1"}, "unit"),
        ({"person": "clerk", "role": "hr", "unit": "C9"}, "unit"),
        ({"person": "clerk", "role": "king"}, "role"),
        ({"person": "clerk", "role": "auditor", "until": "2020-01-01"}, "until"),
        ({"person": "hr", "role": "hr", "unit": "C1"}, "role"),
        ({"person": "far", "role": "pay_checker", "unit": "G"}, "role"),
    ],
)
def test_a_grant_that_cannot_be_says_why_at_its_field(client, world, fields, wrong):
    make_employee(world["city"], employee_no="silent")
    client.force_login(world["admin"].user)
    before = RoleGrant.objects.count()
    response = client.post("/roles/grant/", fields)
    assert response.status_code == 422
    assert list(response.context["form"].errors) == [wrong]
    assert RoleGrant.objects.count() == before


@pytest.mark.parametrize("who", ["auditor", "hr", "far", "clerk"])
def test_pm_p12_nobody_else_gives_or_takes(client, world, who):
    client.force_login(world[who].user)
    assert client.post("/roles/grant/", {"person": "clerk", "role": "auditor"}).status_code == 403
    address = reverse("people:revoke_role", args=[world["technical"].pk])
    assert client.get(address).status_code == 403
    assert client.post(address).status_code == 403
    assert client.get(HERE).context["form"] is None
    assert RoleGrant.objects.count() == 5


def test_pm_p12_an_administrator_takes_no_role_from_himself(client, world):
    client.force_login(world["admin"].user)
    own = RoleGrant.objects.get(user=world["admin"].user)
    assert client.post(reverse("people:revoke_role", args=[own.pk])).status_code == 404
    assert RoleGrant.objects.filter(pk=own.pk).exists()


def test_roles_are_filtered_and_listed_in_a_fixed_number_of_queries(client, world, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client.force_login(world["admin"].user)
    assert {g.role for g in client.get(HERE, {"role": "hr"}).context["page"]} == {"hr"}
    assert len(client.get(HERE, {"role": "%"}).context["page"]) == 5
    with CaptureQueriesContext(connection) as few:
        client.get(HERE)
    for _ in range(8):
        grant(make_employee(world["city"], with_user=True).user, "hr", world["city"], granted_by=world["hr"].user)
    with django_assert_num_queries(len(few)):
        client.get(HERE)
