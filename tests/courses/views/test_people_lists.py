import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from courses.models import PeopleList
from tests.factories.courses import local, make_audience
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

NOW = local(2026, 11, 2, 9)


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)


@pytest.fixture
def group():
    return make_unit(code="G", name="集团")


@pytest.fixture
def east(group):
    return make_unit(group, code="E", name="东城")


@pytest.fixture
def west(group):
    return make_unit(group, code="W", name="西城")


@pytest.fixture
def hr(client, east):
    user = make_user()
    grant(user, "hr", east)
    client.force_login(user)
    return client


@pytest.fixture
def talents(east):
    return PeopleList.objects.create(name="人才", scope=east)


def _at(name, *arguments):
    return reverse(f"courses:{name}", args=arguments)


def _names(people_list):
    return sorted(people_list.members.values_list("name", flat=True))


def test_pm_m01_lists_are_hrs(client, hr, talents):
    pages = [_at("people_lists"), _at("new_people_list"), _at("people_list", talents.pk)]
    for page in pages:
        assert hr.get(page).status_code == 200
    for role in ("auditor", "author", "admin", None):
        user = make_user()
        if role:
            grant(user, role)
        client.force_login(user)
        for page in pages:
            assert client.get(page).status_code == 403


def test_pm_m01_the_list_of_another_unit_is_out_of_reach(hr, group, west):
    for scope in (group, west):
        other = PeopleList.objects.create(name="别处", scope=scope)
        assert hr.get(_at("people_list", other.pk)).status_code == 404
        for name in ("people_list", "rename_people_list", "remove_members", "people_list_undo", "delete_people_list"):
            assert hr.post(_at(name, other.pk), {"name": "x", "numbers": "1"}).status_code == 404
        assert list(PeopleList.objects.filter(pk=other.pk, name="别处")) == [other]
    assert "别处" not in hr.get(_at("people_lists")).content.decode()
    assert hr.post(_at("new_people_list"), {"name": "x", "scope": west.pk}).status_code == 422


def test_a_list_is_made_filled_and_used(hr, east):
    make_employee(unit=east, employee_no="0001", name="王伟")
    assert hr.post(_at("new_people_list"), {"name": "人才", "scope": east.pk}).status_code == 302
    made = PeopleList.objects.get()
    assert hr.post(_at("people_list", made.pk), {"numbers": "0001"}).status_code == 302
    assert _names(made) == ["王伟"]
    audience = make_audience(east, {"not": {"list": made.pk}}, name="其余")
    (row,) = hr.get(_at("people_lists")).context["rows"]
    assert row == {"list": made, "number": 1, "audiences": [audience]}


def test_wrong_lines_stay_in_the_field_and_the_good_ones_are_added(hr, east, west, talents):
    make_employee(unit=east, employee_no="0001", name="王伟")
    make_employee(unit=west, employee_no="0002", name="秘密")
    response = hr.post(_at("people_list", talents.pk), {"numbers": "0001 王伟\n0002\n9999"})
    assert response.status_code == 422
    assert [(fault.line, fault.text) for fault in response.context["faults"]] == [(2, "0002"), (3, "9999")]
    assert response.context["form"].initial == {"numbers": "0002\n9999"}
    assert _names(talents) == ["王伟"]
    assert "秘密" not in response.content.decode()
    words = {fault.problem.replace(fault.text, "") for fault in response.context["faults"]}
    assert len(words) == 1, "somebody elsewhere is refused in the words of somebody who does not exist"


def test_too_many_numbers_are_refused_with_what_was_pasted(hr, talents):
    response = hr.post(_at("people_list", talents.pk), {"numbers": "\n".join(map(str, range(5001)))})
    assert response.status_code == 422
    assert response.context["form"].errors["numbers"]


def test_pm_m01_members_elsewhere_are_counted_and_neither_shown_nor_removed(hr, east, west, talents):
    here, gone = make_employee(unit=east, name="在"), make_employee(unit=west, name="调走")
    talents.members.set([here, gone])
    response = hr.get(_at("people_list", talents.pk))
    assert (response.context["number"], response.context["hidden"]) == (1, 1)
    assert "调走" not in response.content.decode()
    hr.post(_at("remove_members", talents.pk), {"member": [gone.pk]})
    assert _names(talents) == ["在", "调走"]


def test_people_are_taken_off_and_put_back_once(hr, east, talents):
    people = [make_employee(unit=east, name=name) for name in ("甲", "乙", "丙")]
    talents.members.set(people)
    response = hr.post(
        _at("remove_members", talents.pk), {"member": [people[0].pk, people[1].pk, "x", "9" * 30]}, follow=True
    )
    assert _names(talents) == ["丙"]
    assert _at("people_list_undo", talents.pk) in response.content.decode()
    for _twice in range(2):
        hr.post(_at("people_list_undo", talents.pk))
        assert _names(talents) == ["丙", "乙", "甲"]


def test_members_are_found_by_name_and_number(hr, east, talents):
    talents.members.set([make_employee(unit=east, name="王伟", employee_no="77001"), make_employee(unit=east)])
    for text in ("王", "wang wei", "ww", "7700"):
        page = hr.get(_at("people_list", talents.pk), {"q": text}).context["page"]
        assert [person.name for person in page] == ["王伟"]
    assert list(hr.get(_at("people_list", talents.pk), {"q": "nobody"}).context["page"]) == []


def test_a_list_is_renamed_and_deleted_unless_it_is_used(hr, east, talents):
    hr.post(_at("rename_people_list", talents.pk), {"name": "骨干"})
    hr.post(_at("rename_people_list", talents.pk), {"name": ""})
    talents.refresh_from_db()
    assert talents.name == "骨干"
    audience = make_audience(east, {"list": talents.pk})
    hr.post(_at("delete_people_list", talents.pk))
    assert PeopleList.objects.exists()
    audience.delete()
    assert hr.post(_at("delete_people_list", talents.pk)).url == _at("people_lists")
    assert not PeopleList.objects.exists()


def test_lists_take_the_same_queries_for_one_and_many(hr, east, talents, django_assert_num_queries):
    talents.members.add(make_employee(unit=east))
    pages = [_at("people_lists"), _at("people_list", talents.pk)]
    counts = []
    for page in pages:
        hr.get(page)
        with CaptureQueriesContext(connection) as one:
            hr.get(page)
        counts.append(len(one))
    for number in range(12):
        another = PeopleList.objects.create(name=f"名单{number}", scope=east)
        another.members.add(make_employee(unit=make_unit(east)))
        talents.members.add(make_employee(unit=make_unit(east)))
        make_audience(east, {"list": another.pk})
    for page, number in zip(pages, counts, strict=True):
        with django_assert_num_queries(number):
            hr.get(page)
