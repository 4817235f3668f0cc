import pytest
from django.urls import reverse

from core.models import Event
from courses.models import CourseRun, Enrolment
from tests.factories.courses import local, make_enrolment, make_run
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

NOW = local(2026, 11, 10, 9)
HR_ONLY = ("exempt", "withdraw", "record_completion")


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)


@pytest.fixture
def world():
    group = make_unit()
    city, other_city = make_unit(group), make_unit(group)
    manager = make_employee(unit=city, with_user=True)
    person = make_employee(unit=make_unit(city), manager=manager, with_user=True)
    users = {"self": person.user, "manager": manager.user, "stranger": make_employee(unit=city, with_user=True).user}
    for name, unit in (("hr", city), ("other hr", other_city)):
        users[name] = make_user()
        grant(users[name], "hr", unit)
    users["auditor"] = make_user()
    grant(users["auditor"], "auditor")
    return users, make_enrolment(person, make_run())


def _data(name):
    data = {"reason": "外出培训", "code": "seconded"}
    if name == "extend":
        data["until"] = "2026-12-10"
    if name == "record_completion":
        data["on"] = "2026-11-03"
    return data


@pytest.mark.parametrize("name", HR_ONLY)
@pytest.mark.parametrize(
    ("who", "status"), [("hr", 302), ("other hr", 404), ("manager", 403), ("self", 403), ("auditor", 403)]
)
def test_pm_t03_pm_t07_only_hr_of_the_unit_excuses_or_records(client, world, name, who, status):
    users, enrolment = world
    client.force_login(users[who])
    response = client.post(reverse(f"courses:{name}", args=[enrolment.pk]), _data(name))
    assert response.status_code == status
    assert (Enrolment.objects.get().decided_by == users[who]) == (status == 302)


@pytest.mark.parametrize(
    ("who", "status"),
    [("hr", 302), ("manager", 302), ("other hr", 404), ("stranger", 403), ("self", 403), ("auditor", 403)],
)
def test_pm_t04_hr_and_the_managers_above_extend(client, world, who, status):
    users, enrolment = world
    client.force_login(users[who])
    response = client.post(reverse("courses:extend", args=[enrolment.pk]), _data("extend"))
    assert response.status_code == status
    assert (Enrolment.objects.get().due_at == local(2026, 12, 10, 23, 59, 59)) == (status == 302)


def test_nobody_decides_about_himself_by_a_role(client, world):
    _users, enrolment = world
    grant(enrolment.employee.user, "hr", enrolment.unit)
    client.force_login(enrolment.employee.user)
    assert client.post(reverse("courses:exempt", args=[enrolment.pk]), _data("exempt")).status_code == 404


def test_a_decision_leads_back_to_the_record_with_a_word(client, world):
    users, enrolment = world
    client.force_login(users["hr"])
    response = client.post(reverse("courses:exempt", args=[enrolment.pk]), _data("exempt"))
    assert response.url == reverse("portal:person", args=[enrolment.employee_id])
    page = client.get(reverse("courses:reinstate", args=[enrolment.pk]))
    assert (page.status_code, page.context["possible"]) == (200, True)


@pytest.mark.parametrize(
    ("name", "data", "field"),
    [
        ("exempt", {"reason": " ", "code": "leave"}, "reason"),
        ("exempt", {"reason": "x"}, "code"),
        ("withdraw", {"reason": "x", "code": "because"}, "code"),
        ("extend", {"reason": "x", "code": "leave", "until": "2026-11-30"}, "until"),
        ("extend", {"reason": "x", "code": "leave", "until": "2027-03-01"}, "until"),
        ("extend", {"reason": "x", "code": "leave", "until": "tomorrow"}, "until"),
        ("record_completion", {"reason": "x", "on": "2026-11-11"}, "on"),
    ],
)
def test_what_is_missing_or_wrong_is_said_beside_its_field(client, world, name, data, field):
    users, enrolment = world
    client.force_login(users["hr"])
    response = client.post(reverse(f"courses:{name}", args=[enrolment.pk]), data)
    assert response.status_code == 422
    assert list(response.context["form"].errors) == [field]
    assert Enrolment.objects.get().state == "assigned"


def test_a_decision_that_came_too_late_says_so(client, world):
    users, enrolment = world
    client.force_login(users["hr"])
    Enrolment.objects.update(state="withdrawn")
    response = client.post(reverse("courses:exempt", args=[enrolment.pk]), _data("exempt"))
    assert response.status_code == 302
    assert Enrolment.objects.get().state == "withdrawn"
    assert client.get(reverse("courses:exempt", args=[enrolment.pk])).context["possible"] is False


def test_the_code_is_kept_with_the_decision(client, world):
    users, enrolment = world
    client.force_login(users["hr"])
    client.post(reverse("courses:exempt", args=[enrolment.pk]), _data("exempt"))
    event = Event.objects.get(chain="completions", action="exempted")
    assert (event.after, event.reason) == ({"state": "exempt", "code": "seconded"}, "外出培训")


@pytest.mark.parametrize(
    ("name", "possible"), [("exempt", True), ("withdraw", True), ("record_completion", True), ("extend", False)]
)
def test_pm_t03_pm_t07_a_closed_run_takes_corrections_and_says_what_they_are(client, world, name, possible):
    users, enrolment = world
    CourseRun.objects.update(state="closed")
    client.force_login(users["hr"])
    page = client.get(reverse(f"courses:{name}", args=[enrolment.pk]))
    assert (page.context["possible"], page.context["is_correction"]) == (possible, True)
    client.post(reverse(f"courses:{name}", args=[enrolment.pk]), _data(name))
    assert (Enrolment.objects.get().decided_by == users["hr"]) == possible
