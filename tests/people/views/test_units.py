import pytest
from django.urls import reverse

from people.models import OrgUnit
from tests.factories.people import grant, make_employee, make_unit

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(client):
    client.cookies["django_language"] = "en"
    group = make_unit(code="G")
    city, other = make_unit(group, "C1", name="深圳"), make_unit(group, "C2")
    branch, desk = make_unit(city, "B1"), make_unit(city, "B2")
    hr = make_employee(city, with_user=True)
    make_employee(branch)
    grant(hr.user, "hr", city)
    client.force_login(hr.user)
    return {"group": group, "city": city, "other": other, "branch": branch, "desk": desk, "hr": hr}


def address(name, unit):
    return reverse(f"people:{name}", args=[unit.pk])


def test_hr_of_one_unit_comes_to_it_and_sees_counts(client, world):
    assert client.get("/units/")["Location"] == address("unit", world["city"])
    response = client.get(address("unit", world["city"]))
    assert [(line.unit.code, line.people) for line in response.context["lines"]] == [("B1", 1), ("B2", 0)]
    assert (response.context["total"], response.context["here"]) == (2, 1)
    assert [unit.code for unit in response.context["path"]] == ["C1"]  # the group above is not his
    assert response.context["may_move"] is False


def test_hr_of_two_units_chooses(client, world):
    grant(world["hr"].user, "hr", world["other"])
    response = client.get("/units/")
    assert [line.unit.code for line in response.context["lines"]] == ["C1", "C2"]


@pytest.mark.parametrize("page", ["unit", "unit_edit", "unit_add", "unit_move"])
def test_pm_p05_units_of_others_are_as_if_missing(client, world, page):
    for unit in (world["other"], world["group"]):
        assert client.get(address(page, unit)).status_code == 404
        if page != "unit":
            assert client.post(address(page, unit), {"name": "x", "kind": "city"}).status_code == 404
    client.force_login(make_employee(world["city"], with_user=True).user)
    assert client.get(address(page, world["branch"])).status_code == 403


def test_renaming(client, world):
    client.post(
        address("unit_edit", world["branch"]), {"name": "南山网点", "name_en": "Nanshan", "kind": "branch", "code": "X"}
    )
    stored = OrgUnit.objects.get(pk=world["branch"].pk)
    assert (stored.name, stored.name_en, stored.code) == ("南山网点", "Nanshan", "B1")
    for bad in ["", "a/b", "a>b", "a\x07b", "x" * 101]:
        assert client.post(address("unit_edit", world["branch"]), {"name": bad, "kind": "branch"}).status_code == 422


def test_adding(client, world):
    values = {"code": "B3", "name": "福田网点", "kind": "branch"}
    assert client.get(address("unit_add", world["city"])).context["form"]["kind"].initial == "city"
    assert client.post(address("unit_add", world["city"]), values).status_code == 302
    assert OrgUnit.objects.get(code="B3").get_parent() == world["city"]
    for bad in [values, {**values, "code": ""}, {**values, "code": "a b"}, {**values, "code": "C2"}]:
        assert client.post(address("unit_add", world["city"]), bad).status_code == 422


def test_moving_within_the_own_units(client, world):
    assert client.post(address("unit_move", world["desk"]), {"under": "B1"}).status_code == 302
    assert OrgUnit.objects.get(code="B2").get_parent().code == "B1"
    for bad in ["C2", "G", "B2", "", "nowhere"]:
        assert client.post(address("unit_move", world["desk"]), {"under": bad}).status_code == 422
    assert client.post(address("unit_move", world["branch"]), {"under": "B2"}).status_code == 422  # a circle
    assert client.post(address("unit_move", world["city"]), {"under": "B1"}).status_code == 404  # one's own topmost


def test_the_page_of_a_unit_has_a_fixed_number_of_queries(client, world, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as few:
        client.get(address("unit", world["city"]))
    for number in range(6):
        make_employee(make_unit(world["city"], f"N{number}"))
        make_employee(world["city"])
    with django_assert_num_queries(len(few)):
        client.get(address("unit", world["city"]))
