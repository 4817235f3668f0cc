import datetime as dt

import pytest
import time_machine
from django.urls import reverse

from people.domain.invitations import invite, recover
from people.domain.moves import mark_left
from people.models import Employee, Invitation, User
from tests.factories.people import make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db
NOW = dt.datetime(2026, 11, 18, 2, 0, tzinfo=dt.UTC)
NEW = "seven green lamps at the harbour"


@pytest.fixture(autouse=True)
def clock(client):
    client.cookies["django_language"] = "en"
    with time_machine.travel(NOW, tick=False) as clock:
        yield clock


@pytest.fixture
def link():
    employee = make_employee(make_unit(name="深圳分公司"), employee_no="00042", name="李娜", email="a@example.com")
    _invitation, token = invite(employee=employee, by=None, at=NOW)
    return employee, reverse("people:invitation", args=[token])


def test_the_link_shows_whom_it_is_for_and_looking_changes_nothing(client, link):
    employee, address = link
    for _ in range(3):
        response = client.get(address)
        assert response.status_code == 200
        for word in ("李娜", "00042", "深圳分公司"):
            assert word in response.content.decode()
    assert response["Referrer-Policy"] == "strict-origin"
    assert "no-store" in response["Cache-Control"]
    assert User.objects.count() == 0
    assert Invitation.objects.get().used_at is None


def test_a_password_set_by_the_link_signs_in_and_the_link_is_spent(client, link):
    employee, address = link
    response = client.post(address, {"password": NEW})
    assert (response.status_code, response["Location"]) == (302, "/")
    assert client.get("/account/").context["employee"] == employee
    client.post("/sign-out/")
    again = client.get(address)
    assert again.status_code == 410
    assert "This link has been used" in again.content.decode()
    assert client.post("/sign-in/", {"username": "00042", "password": NEW}).status_code == 302


@pytest.mark.parametrize("password", ["", "short", "00042 00042 00042 00042", "lamps 李娜 and rivers"])
def test_a_refused_password_leaves_the_link_open(client, link, password):
    employee, address = link
    response = client.post(address, {"password": password})
    assert response.status_code == 422
    assert response.context["form"].errors
    assert User.objects.count() == 0
    assert client.post(address, {"password": NEW}).status_code == 302


def test_mc_14_a_link_that_ran_out_says_so(client, link, clock):
    _employee, address = link
    clock.shift(72 * 3600)
    for response in (client.get(address), client.post(address, {"password": NEW})):
        assert response.status_code == 410
        assert "This link has run out" in response.content.decode()
    assert User.objects.count() == 0


def test_an_unknown_link_says_so(client):
    response = client.get("/invitation/made-up-token/")
    assert response.status_code == 404
    assert "There is no such link" in response.content.decode()


def test_a_link_of_who_left_meanwhile_opens_nothing(client, link):
    employee, address = link
    mark_left(employee=employee, on=dt.date(2026, 11, 17), by=None, at=NOW)
    response = client.post(address, {"password": NEW})
    assert response.status_code == 410
    assert User.objects.count() == 0


def test_who_is_not_hired_yet_sets_a_password_and_comes_in_on_the_first_day(client, clock):
    employee = make_employee(make_unit(), employee_no="9", hired_on=dt.date(2026, 11, 20))
    _invitation, token = invite(employee=employee, by=None, at=NOW)
    response = client.post(reverse("people:invitation", args=[token]), {"password": NEW})
    assert response["Location"] == "/sign-in/"
    assert client.post("/sign-in/", {"username": "9", "password": NEW}).status_code == 200
    clock.move_to(dt.datetime(2026, 11, 19, 16, 0, tzinfo=dt.UTC))  # midnight in Shanghai
    assert client.post("/sign-in/", {"username": "9", "password": NEW}).status_code == 302


def test_sc_35_a_recovery_link_ends_the_sessions_of_before(client, clock):
    employee = make_employee(make_unit(), with_user=True)
    client.force_login(employee.user)
    _invitation, token = recover(employee=employee, by=None, at=NOW)
    other = type(client)()
    other.post(reverse("people:invitation", args=[token]), {"password": NEW})
    assert other.get("/account/").status_code == 200
    assert client.get("/account/").status_code == 302


def test_the_link_of_another_takes_over_no_session_of_somebody_signed_in(client, link):
    employee, address = link
    somebody = make_user()
    client.force_login(somebody)
    client.post(address, {"password": NEW})
    assert client.get("/account/").context["employee"] == employee
    assert Employee.objects.get(pk=employee.pk).user != somebody


def test_a_taken_user_name_is_explained(client, link):
    _employee, address = link
    make_user("00042")
    response = client.post(address, {"password": NEW})
    assert response.status_code == 422
    assert "Another sign-in bears this employee number" in response.content.decode()
