import datetime as dt

import pytest
from django.urls import reverse

from courses.domain import requests as asking
from courses.models import CourseRun, DutyRequest, Enrolment
from tests.factories.courses import local, make_enrolment, make_run
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

NOW = local(2026, 11, 20, 9)
UNTIL = dt.date(2026, 12, 10)


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)


@pytest.fixture
def world():
    """A branch with its manager, the manager's manager, a stranger, HR here and elsewhere, an auditor; and one duty."""
    group = make_unit()
    city, other_city = make_unit(group), make_unit(group)
    branch = make_unit(city)
    head = make_employee(unit=city, with_user=True)
    manager = make_employee(unit=branch, manager=head, with_user=True)
    person = make_employee(unit=branch, manager=manager, with_user=True)
    other_manager = make_employee(unit=branch, with_user=True)
    make_employee(unit=branch, manager=other_manager)
    users = {"self": person.user, "manager": manager.user, "head": head.user, "other manager": other_manager.user}
    users["stranger"] = make_employee(unit=branch, with_user=True).user
    for name, unit in (("hr", city), ("other hr", other_city)):
        users[name] = make_user()
        grant(users[name], "hr", unit)
    users["auditor"] = make_user()
    grant(users["auditor"], "auditor")
    return users, make_enrolment(person, make_run())


def _ask(enrolment, kind="extension"):
    return asking.ask(
        enrolment=enrolment,
        kind=kind,
        code="workload",
        text="年终盘点",
        until=UNTIL if kind == "extension" else None,
        by=enrolment.employee.user,
        at=NOW,
    )


# --- asking ---------------------------------------------------------------------------------------------------------
ASKED = {"kind": "extension", "until": "2026-12-10", "code": "sick", "text": "手腕受伤"}


def test_pm_m02_one_asks_about_an_own_duty(client, world):
    users, enrolment = world
    client.force_login(users["self"])
    page = client.get(reverse("courses:ask", args=[enrolment.pk]))
    assert page.status_code == 200
    response = client.post(reverse("courses:ask", args=[enrolment.pk]), ASKED)
    assert response.url == reverse("courses:overview", args=[enrolment.pk])
    fields = ("enrolment", "kind", "until", "code", "text", "state")
    assert DutyRequest.objects.values_list(*fields).get() == (
        enrolment.pk,
        "extension",
        UNTIL,
        "sick",
        "手腕受伤",
        "asked",
    )


@pytest.mark.parametrize("who", ["manager", "hr", "stranger", "auditor"])
def test_pm_m02_nobody_asks_about_another_duty(client, world, who):
    users, enrolment = world
    client.force_login(users[who])
    assert client.get(reverse("courses:ask", args=[enrolment.pk])).status_code == 404
    assert client.post(reverse("courses:ask", args=[enrolment.pk]), ASKED).status_code == 404
    assert not DutyRequest.objects.exists()


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"until": ""}, "until"),
        ({"until": "2026-11-30"}, "until"),
        ({"until": "2027-02-01"}, "until"),
        ({"code": ""}, "code"),
        ({"text": "  "}, "text"),
        ({"kind": "holiday"}, "kind"),
    ],
)
def test_what_is_missing_in_a_request_is_said_beside_its_field(client, world, changed, field):
    users, enrolment = world
    client.force_login(users["self"])
    response = client.post(reverse("courses:ask", args=[enrolment.pk]), ASKED | changed)
    assert (response.status_code, list(response.context["form"].errors)) == (422, [field])
    assert not DutyRequest.objects.exists()


def test_to_be_excused_needs_no_day(client, world):
    users, enrolment = world
    client.force_login(users["self"])
    client.post(reverse("courses:ask", args=[enrolment.pk]), ASKED | {"kind": "exemption", "until": ""})
    assert DutyRequest.objects.values_list("kind", "until").get() == ("exemption", None)


def test_the_page_of_the_duty_says_how_the_request_stands(client, world):
    users, enrolment = world
    client.force_login(users["self"])
    address = reverse("courses:overview", args=[enrolment.pk])
    about = client.get(address).context["about"]
    assert (about.newest, about.may_ask) == (None, True)

    asked = _ask(enrolment)
    page = client.get(address)
    assert (page.context["about"].newest, page.context["about"].may_ask) == (asked, False)
    assert reverse("courses:take_back_request", args=[asked.pk]) in page.content.decode()

    asking.refuse(request=asked, by=users["manager"], at=NOW, answer="下周有空档")
    page = client.get(address)
    assert page.context["about"].may_ask
    assert "下周有空档" in page.content.decode()


def test_who_asked_already_is_told_so(client, world):
    users, enrolment = world
    _ask(enrolment)
    client.force_login(users["self"])
    assert not client.get(reverse("courses:ask", args=[enrolment.pk])).context["about"].may_ask
    client.post(reverse("courses:ask", args=[enrolment.pk]), ASKED)
    assert DutyRequest.objects.count() == 1


def test_a_closed_run_leaves_nothing_to_ask(client, world):
    users, enrolment = world
    CourseRun.objects.update(state="closed")
    client.force_login(users["self"])
    client.post(reverse("courses:ask", args=[enrolment.pk]), ASKED)
    assert not DutyRequest.objects.exists()


@pytest.mark.parametrize(("who", "status"), [("self", 302), ("manager", 404), ("hr", 404)])
def test_pm_m02_only_the_one_who_asked_takes_back(client, world, who, status):
    users, enrolment = world
    asked = _ask(enrolment)
    client.force_login(users[who])
    assert client.post(reverse("courses:take_back_request", args=[asked.pk])).status_code == status
    asked.refresh_from_db()
    assert asked.state == ("taken_back" if status == 302 else "asked")


# --- answering ------------------------------------------------------------------------------------------------------
DECIDERS = [("head", 302), ("other manager", 404), ("other hr", 404), ("stranger", 403), ("auditor", 403)]


@pytest.mark.parametrize(("who", "status"), [("manager", 302), ("hr", 302), ("self", 403), *DECIDERS])
@pytest.mark.parametrize("answer", ["grant", "refuse"])
def test_pm_t04_managers_above_and_hr_answer_an_extension(client, world, who, status, answer):
    users, enrolment = world
    asked = _ask(enrolment)
    client.force_login(users[who])
    response = client.post(
        reverse(f"courses:{answer}_request", args=[asked.pk]), {"answer": "好", "until": "2026-12-10"}
    )
    asked.refresh_from_db()
    assert response.status_code == status
    expected = {"grant": "granted", "refuse": "refused"}[answer] if status == 302 else "asked"
    assert (asked.state, asked.decided_by) == (expected, users[who] if status == 302 else None)
    assert (Enrolment.objects.get().due_at == local(2026, 12, 10, 23, 59, 59)) == (expected == "granted")


@pytest.mark.parametrize(
    ("who", "status"),
    [("hr", 302), ("manager", 403), ("head", 403), ("self", 403), ("other hr", 404), ("stranger", 403)],
)
@pytest.mark.parametrize("answer", ["grant", "refuse"])
def test_pm_t03_only_hr_answers_who_asks_to_be_excused(client, world, who, status, answer):
    users, enrolment = world
    asked = _ask(enrolment, "exemption")
    client.force_login(users[who])
    response = client.post(reverse(f"courses:{answer}_request", args=[asked.pk]), {"answer": "好"})
    asked.refresh_from_db()
    assert response.status_code == status
    assert (asked.state != "asked") == (status == 302)
    assert (Enrolment.objects.get().state == "exempt") == (status == 302 and answer == "grant")


@pytest.mark.parametrize(("who", "status"), [("manager", 302), ("self", 403), ("hr", 404), *DECIDERS])
def test_pm_t03_managers_above_advise_on_an_exemption(client, world, who, status):
    users, enrolment = world
    asked = _ask(enrolment, "exemption")
    client.force_login(users[who])
    response = client.post(reverse("courses:advise_request", args=[asked.pk]), {"advice": "supported", "text": "确实"})
    assert response.status_code == status
    asked.refresh_from_db()
    expected = ("supported", "确实", users[who]) if status == 302 else ("", "", None)
    assert (asked.state, asked.advice, asked.advice_text, asked.advised_by) == ("asked", *expected)


def test_advice_is_not_given_on_an_extension(client, world):
    users, enrolment = world
    client.force_login(users["manager"])
    address = reverse("courses:advise_request", args=[_ask(enrolment).pk])
    assert client.post(address, {"advice": "supported"}).status_code == 404


@pytest.mark.parametrize("data", [{"advice": "not_supported", "text": " "}, {"advice": "maybe"}, {}])
def test_what_is_missing_in_advice_is_said(client, world, data):
    users, enrolment = world
    asked = _ask(enrolment, "exemption")
    client.force_login(users["manager"])
    response = client.post(reverse("courses:advise_request", args=[asked.pk]), data)
    assert (response.status_code, response.context["shown"]) == (422, "hr")
    assert list(response.context["rows"][0]["form"].errors) == (["text"] if data.get("text") else ["advice"])
    asked.refresh_from_db()
    assert asked.advice == ""


def test_advice_that_comes_too_late_says_so(client, world):
    users, enrolment = world
    asked = _ask(enrolment, "exemption")
    asking.grant(request=asked, by=users["hr"], at=NOW)
    client.force_login(users["manager"])
    response = client.post(reverse("courses:advise_request", args=[asked.pk]), {"advice": "supported"}, follow=True)
    assert "再看一下" in response.content.decode()
    asked.refresh_from_db()
    assert (asked.state, asked.advice) == ("granted", "")


def test_the_manager_is_asked_for_advice_and_hr_and_the_employee_read_it(client, world):
    users, enrolment = world
    asked = _ask(enrolment, "exemption")
    client.force_login(users["manager"])
    list_of_hr = f"{reverse('courses:requests')}?show=hr"
    assert list_of_hr in client.get(reverse("portal:my_team")).content.decode()
    assert reverse("courses:advise_request", args=[asked.pk]) in client.get(list_of_hr).content.decode()
    asking.advise(request=asked, advice="not_supported", text="常接触客户", by=users["manager"], at=NOW)
    assert list_of_hr not in client.get(reverse("portal:my_team")).content.decode()
    name = enrolment.employee.manager.label
    pages = {
        "hr": reverse("courses:requests"),
        "self": reverse("courses:overview", args=[enrolment.pk]),
        "manager": reverse("portal:person", args=[enrolment.employee_id]),
    }
    for who, address in pages.items():
        client.force_login(users[who])
        page = client.get(address).content.decode()
        assert "常接触客户" in page and name in page


@pytest.mark.parametrize("kind", ["extension", "exemption"])
def test_pm_t03_pm_t04_nobody_answers_his_own_request(client, world, kind):
    """Not even HR of the own unit, or who is named as manager of others: oneself is never in that scope."""
    users, enrolment = world
    own = enrolment.employee
    grant(own.user, "hr", own.unit)
    make_employee(unit=own.unit, manager=own)
    asked = _ask(enrolment, kind)
    client.force_login(own.user)
    assert client.get(reverse("courses:requests")).context["rows"] == []
    for answer in ("grant", "refuse", "advise"):
        data = {"answer": "好", "advice": "supported"}
        assert client.post(reverse(f"courses:{answer}_request", args=[asked.pk]), data).status_code == 404
    asked.refresh_from_db()
    assert asked.state == "asked"


def test_pm_t03_pm_t04_the_list_shows_what_waits_for_whom(client, world):
    users, enrolment = world
    asked = _ask(enrolment, "exemption")
    seen = {}
    for who in ("hr", "manager", "other hr"):
        client.force_login(users[who])
        found = {}
        for show in ("waiting", "hr"):
            context = client.get(reverse("courses:requests"), {"show": show}).context
            found[show] = [row["request"] for row in context["rows"]]
        seen[who] = (found["waiting"], found["hr"])
    assert seen == {"hr": ([asked], []), "manager": ([], [asked]), "other hr": ([], [])}
    for who in ("self", "stranger", "auditor"):
        client.force_login(users[who])
        assert client.get(reverse("courses:requests")).status_code == 403


def test_what_was_answered_stays_in_the_list_with_its_answer(client, world):
    users, enrolment = world
    asked = _ask(enrolment)
    asking.refuse(request=asked, by=users["hr"], at=NOW, answer="下周有空档")
    client.force_login(users["manager"])
    page = client.get(reverse("courses:requests"), {"show": "answered"})
    assert [row["request"] for row in page.context["rows"]] == [asked]
    assert "下周有空档" in page.content.decode()


@pytest.mark.parametrize(
    ("answer", "data", "field"),
    [
        ("refuse", {"answer": " "}, "answer"),
        ("grant", {"until": "2026-12-11"}, "until"),
        ("grant", {"until": "2026-11-30"}, "until"),
        ("grant", {"until": "soon"}, "until"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said_beside_its_field(client, world, answer, data, field):
    users, enrolment = world
    asked = _ask(enrolment)
    client.force_login(users["manager"])
    response = client.post(reverse(f"courses:{answer}_request", args=[asked.pk]), data)
    assert response.status_code == 422
    assert list(response.context["rows"][0]["form"].errors) == [field]
    asked.refresh_from_db()
    assert asked.state == "asked"


def test_an_answer_that_came_too_late_says_so(client, world):
    users, enrolment = world
    asked = _ask(enrolment)
    asking.refuse(request=asked, by=users["hr"], at=NOW, answer="不行")
    client.force_login(users["manager"])
    assert client.post(reverse("courses:grant_request", args=[asked.pk])).status_code == 302
    asked.refresh_from_db()
    assert (asked.state, asked.answer) == ("refused", "不行")


@pytest.mark.parametrize("who", ["hr", "manager"])
def test_the_list_takes_the_same_queries_for_one_and_for_many(client, world, who, django_assert_num_queries):
    users, enrolment = world
    client.force_login(users[who])
    client.get(reverse("courses:requests"))
    _ask(enrolment)
    number = 10 if who == "hr" else 11
    with django_assert_num_queries(number):
        assert len(client.get(reverse("courses:requests")).context["rows"]) == 1
    own = enrolment.employee
    for _number in range(6):
        other = make_employee(unit=own.unit, manager=own.manager, with_user=True)
        _ask(make_enrolment(other, enrolment.run))
    with django_assert_num_queries(number):
        assert len(client.get(reverse("courses:requests")).context["rows"]) == 7
