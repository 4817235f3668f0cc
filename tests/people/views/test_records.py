import datetime as dt
import re

import pytest
from django.core import mail
from django.urls import reverse

from core.models import Event
from people.models import Employee, Invitation, Leave, Placement, User
from tests.factories.people import grant, make_employee, make_leave, make_position, make_unit, make_user

pytestmark = pytest.mark.django_db

PAGES = ["edit", "move", "leave", "left", "rehire", "suspend", "person_sign_in"]


@pytest.fixture
def world(client):
    """HR of a city, a person in it, and the same one in the next city."""
    client.cookies["django_language"] = "en"
    group = make_unit(code="G")
    city, other = make_unit(group, "C1", name="深圳"), make_unit(group, "C2")
    hr = make_employee(city, with_user=True, employee_no="HR1")
    grant(hr.user, "hr", city)
    boss = make_employee(city, hr, with_user=True, employee_no="BOSS")
    person = make_employee(city, boss, employee_no="P1", name="李娜", email="lina@example.com")
    return {
        "hr": hr,
        "boss": boss,
        "person": person,
        "far": make_employee(other, employee_no="P2", with_user=True),
        "left": make_employee(city, state="left", left_on=dt.date(2026, 1, 31), employee_no="P3"),
        "city": city,
        "branch": make_unit(city, "B1"),
        "other": other,
        "admin": _admin(group),
    }


def _admin(unit):
    employee = make_employee(unit, with_user=True, employee_no="ADM")
    grant(employee.user, "admin")
    return employee


def address(name, employee, *more):
    return reverse(f"people:{name}", args=[employee.pk, *more])


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    ("who", "whom", "status"),
    [
        ("hr", "person", 200),
        ("hr", "far", 404),
        ("hr", "hr", 404),
        ("boss", "person", 403),
        ("far", "person", 403),
    ],
)
def test_pm_p05_p07_p08_p09_who_may_open_the_pages_of_a_record(client, world, page, who, whom, status):
    client.force_login(world[who].user)
    if page == "person_sign_in" and status == 403:
        status = 404  # everybody may look after his own sign-in, so the row itself is open to all
    assert client.get(address(page, world[whom])).status_code == status


@pytest.mark.parametrize("page", PAGES)
def test_out_of_scope_and_missing_look_the_same(client, world, page):
    client.force_login(world["hr"].user)
    foreign = client.get(address(page, world["far"]))
    nobody = int("9" * len(str(world["far"].pk)))  # as long: the address stands in the page
    missing = client.get(reverse(f"people:{page}", args=[nobody]))
    assert (foreign.status_code, foreign.headers) == (missing.status_code, missing.headers)
    assert _words(foreign, world["far"].pk) == _words(missing, nobody)


def _words(response, pk) -> str:
    """The page without what differs between two requests for the same thing: the form mark and the address asked for."""
    return re.sub(r"[A-Za-z0-9]{64}", "", response.content.decode()).replace(f"/people/{pk}/", "")


def test_pm_p08_a_leaver_is_only_taken_back(client, world):
    client.force_login(world["hr"].user)
    found = {page: client.get(address(page, world["left"])).status_code for page in PAGES}
    assert found == {
        "edit": 404,
        "move": 404,
        "leave": 404,
        "left": 200,
        "rehire": 200,
        "suspend": 404,
        "person_sign_in": 404,
    }


def test_pm_p05_editing_saves_and_says_what_is_wrong(client, world):
    client.force_login(world["hr"].user)
    values = {
        "name": "李娜娜",
        "name_latin": "Li Nana",
        "email": "new@example.com",
        "mobile": "+86 13800000000",
        "language": "en",
    }
    response = client.post(address("edit", world["person"]), values)
    assert response["Location"] == reverse("portal:person", args=[world["person"].pk])
    stored = Employee.objects.get(pk=world["person"].pk)
    assert (stored.name, stored.pinyin, stored.email, stored.language) == (
        "李娜娜",
        "linana lnn",
        "new@example.com",
        "en",
    )
    for field, bad in [
        ("name", ""),
        ("email", "not an address"),
        ("mobile", "ring me"),
        ("name", "a\u202eb"),
        ("language", "xx"),
    ]:
        refused = client.post(address("edit", world["person"]), {**values, field: bad})
        assert refused.status_code == 422
        assert list(refused.context["form"].errors) == [field]
    assert Event.objects.count() == 1


def test_mc_04_editing_takes_no_field_beyond_its_own(client, world):
    client.force_login(world["hr"].user)
    values = {
        "name": "李娜",
        "language": "en",
        "employee_no": "ROOT",
        "state": "left",
        "unit": "G",
        "user": "1",
        "left_on": "2026-01-01",
    }
    client.post(address("edit", world["person"]), values)
    stored = Employee.objects.get(pk=world["person"].pk)
    assert (stored.employee_no, stored.state, stored.unit, stored.user) == ("P1", "active", world["city"], None)


def test_pm_p07_moving_within_the_own_units(client, world):
    client.force_login(world["hr"].user)
    post = make_position("店长")
    values = {"unit": "B1", "position": post.pk, "manager": "HR1", "on": "2026-11-01"}
    response = client.post(address("move", world["person"]), values)
    assert response.status_code == 302
    stored = Employee.objects.get(pk=world["person"].pk)
    assert (stored.unit, stored.position, stored.manager) == (world["branch"], post, world["hr"])
    assert Placement.objects.filter(employee=stored, ends_on=None).get().starts_on == dt.date(2026, 11, 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("unit", "C2"),  # a unit of somebody else: source and target must be in scope
        ("unit", "G"),
        ("unit", "nowhere"),
        ("unit", ""),
        ("manager", "P1"),  # oneself
        ("manager", "P3"),  # left
        ("manager", "nobody"),
        ("position", "999999"),
        ("on", "2020-01-01"),  # before the present post
        ("on", "2126-01-01"),  # to come
        ("on", "31.31.2026"),
        ("on", ""),
    ],
)
def test_pm_p07_moving_refuses_with_a_word_at_the_field(client, world, field, value):
    client.force_login(world["hr"].user)
    values = {"unit": "B1", "position": "", "manager": "", "on": "2026-11-01", field: value}
    response = client.post(address("move", world["person"]), values)
    assert response.status_code == 422
    assert list(response.context["form"].errors) == [field]
    assert Employee.objects.get(pk=world["person"].pk).unit == world["city"]


def test_moving_to_the_same_post_says_so(client, world):
    client.force_login(world["hr"].user)
    response = client.post(address("move", world["person"]), {"unit": "C1", "manager": "BOSS", "on": "2026-11-01"})
    assert "holds this post already" in response.content.decode()


def test_pm_p08_marking_as_left_and_taking_back(client, world):
    client.force_login(world["hr"].user)
    page = client.get(address("left", world["boss"]))
    assert page.context["reports"] == [world["person"]]
    client.post(address("left", world["boss"]), {"on": "2026-11-10", "reason": "moved"})
    stored = Employee.objects.get(pk=world["boss"].pk)
    assert (stored.state, stored.left_on) == ("left", dt.date(2026, 11, 10))
    client.post(address("rehire", world["boss"]), {"unit": "B1", "on": "2026-11-12"})
    stored.refresh_from_db()
    assert (stored.state, stored.unit, stored.hired_on) == ("active", world["branch"], dt.date(2026, 11, 12))


def test_suspending_and_reinstating_need_a_reason(client, world):
    client.force_login(world["hr"].user)
    assert client.post(address("suspend", world["person"]), {"reason": ""}).status_code == 422
    client.post(address("suspend", world["person"]), {"reason": "inquiry"})
    assert Employee.objects.get(pk=world["person"].pk).state == "suspended"
    client.post(address("suspend", world["person"]), {"reason": "cleared"})
    assert Employee.objects.get(pk=world["person"].pk).state == "active"


def test_leave_is_added_listed_and_removed(client, world):
    client.force_login(world["hr"].user)
    here = address("leave", world["person"])
    values = {"starts_on": "2026-11-02", "ends_on": "2026-11-06", "reason": "secondment"}
    assert client.post(here, values).status_code == 302
    assert "secondment" in client.get(here).content.decode()
    for bad in [{"ends_on": "2026-11-01"}, {}, {"starts_on": "2030-01-01", "ends_on": "2060-01-01"}, {"starts_on": ""}]:
        assert client.post(here, {**values, **bad}).status_code == 422
    leave = Leave.objects.get()
    assert client.get(address("remove_leave", world["person"], leave.pk)).status_code == 405
    client.post(address("remove_leave", world["person"], leave.pk))
    assert not Leave.objects.exists()


def test_mc_02_a_leave_is_removed_through_its_own_person_only(client, world):
    client.force_login(world["hr"].user)
    foreign = make_leave(world["far"], dt.date(2026, 11, 1), dt.date(2026, 11, 2))
    assert client.post(address("remove_leave", world["person"], foreign.pk)).status_code == 404
    assert client.post(address("remove_leave", world["far"], foreign.pk)).status_code == 404
    assert Leave.objects.filter(pk=foreign.pk).exists()


# --- sign-ins of others ----------------------------------------------------------------------------------------------


def test_hr_makes_a_link_and_sees_it_once(client, world):
    client.force_login(world["hr"].user)
    response = client.post(address("invite", world["person"]))
    page = response.content.decode()
    [card] = response.context["cards"]
    assert card["link"].startswith("http://127.0.0.1:8000/invitation/")
    assert card["link"] in page
    assert card["qr"].startswith("data:image/svg+xml")
    assert response["Referrer-Policy"] == "strict-origin"
    assert "no-store" in response["Cache-Control"]
    assert card["link"].rstrip("/").rsplit("/", 1)[1] not in str(Invitation.objects.values_list())
    [message] = mail.outbox
    assert message.to == ["lina@example.com"]
    assert card["link"] in message.body
    assert client.get(address("person_sign_in", world["person"])).context["open_link"]


def test_sc_25_the_link_takes_its_host_from_the_settings(client, world, settings):
    settings.ALLOWED_HOSTS = ["*"]
    client.force_login(world["hr"].user)
    response = client.post(address("invite", world["person"]), headers={"host": "evil.example"})
    assert "evil.example" not in response.context["cards"][0]["link"]
    assert "evil.example" not in mail.outbox[0].body


def test_an_invitation_speaks_the_language_of_the_person(client, world):
    client.force_login(world["hr"].user)
    client.post(address("invite", world["person"]))
    assert "李娜" in mail.outbox[0].body
    assert "您好" in mail.outbox[0].body
    Employee.objects.filter(pk=world["person"].pk).update(language="en")
    client.post(address("invite", world["person"]))
    assert "Dear 李娜" in mail.outbox[1].body


def test_an_invitation_names_the_site_as_the_house_calls_it(client, world, settings):
    settings.SITE_NAME, settings.SITE_NAME_EN = "山海培训", "Hills & Sea"
    client.force_login(world["hr"].user)
    for language in ("zh-hans", "en"):
        Employee.objects.filter(pk=world["person"].pk).update(language=language)
        client.post(address("invite", world["person"]))
    assert [message.subject for message in mail.outbox] == ["您的山海培训账号", "Your sign-in to Hills & Sea"]
    assert "您的山海培训账号已准备好。" in mail.outbox[0].body
    assert "your sign-in to Hills & Sea is ready." in mail.outbox[1].body


def test_a_mail_server_that_fails_does_not_lose_the_link(client, world, monkeypatch):
    def fail(self, messages):
        raise OSError("no route")

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", fail)
    client.force_login(world["hr"].user)
    assert client.post(address("invite", world["person"])).status_code == 200


def test_who_can_sign_in_or_left_is_not_invited(client, world):
    client.force_login(world["hr"].user)
    assert client.post(address("invite", world["boss"])).status_code == 302
    assert client.post(address("invite", world["left"])).status_code == 404
    assert not Invitation.objects.exists()


@pytest.mark.parametrize(("who", "status"), [("admin", 200), ("hr", 404), ("far", 404)])
def test_pm_p10_only_an_administrator_makes_a_recovery_link(client, world, who, status):
    client.force_login(world[who].user)
    assert client.post(address("recovery_link", world["boss"])).status_code == status
    assert client.get(address("recovery_link", world["boss"])).status_code == 405
    assert Invitation.objects.exists() is (status == 200)


def test_an_administrator_makes_no_recovery_link_for_himself_nor_for_who_has_no_sign_in(client, world):
    client.force_login(world["admin"].user)
    assert client.post(address("recovery_link", world["admin"])).status_code == 404
    assert client.post(address("recovery_link", world["person"])).status_code == 302
    assert not Invitation.objects.exists()


@pytest.mark.parametrize(
    ("who", "whom", "done"),
    [
        ("hr", "boss", True),
        ("admin", "far", True),
        ("hr", "far", False),
        ("boss", "hr", False),
        ("boss", "boss", False),
    ],
)
def test_pm_p09_locking_unlocking_and_ending_sessions(client, world, who, whom, done):
    client.force_login(world[who].user)
    user = world[whom].user
    for name in ("end_sessions", "lock", "lock", "unlock"):
        assert client.post(address(name, world[whom])).status_code == (302 if done else 404)
        assert User.objects.get(pk=user.pk).is_active is not (done and name == "lock")
    assert User.objects.get(pk=user.pk).session_epoch == (2 if done else 0)


def test_a_person_without_a_sign_in_has_nothing_to_lock(client, world):
    client.force_login(world["hr"].user)
    assert client.post(address("lock", world["person"])).status_code == 404


# --- many ------------------------------------------------------------------------------------------------------------


def test_hr_invites_a_team_with_one_sheet(client, world):
    client.force_login(world["hr"].user)
    colleague = make_employee(world["branch"], employee_no="P9")
    here = reverse("people:invitations")
    assert list(client.get(here).context["page"]) == [world["person"], colleague]
    assert list(client.get(here, {"unit": "B1"}).context["page"]) == [colleague]
    response = client.post(here, {"person": [world["person"].pk, colleague.pk]})
    assert [card["employee"] for card in response.context["cards"]] == [world["person"], colleague]
    assert [message.to for message in mail.outbox] == [["lina@example.com"]]
    assert client.post(here).status_code == 302  # nobody ticked


def test_pg_02_one_foreign_person_refuses_the_whole_sheet(client, world):
    client.force_login(world["hr"].user)
    stranger = make_employee(world["other"])
    here = reverse("people:invitations")
    for people in ([world["person"].pk, stranger.pk], [world["person"].pk, 999_999], ["x"], ["-1"], list(range(300))):
        assert client.post(here, {"person": people}).status_code == 404
    assert not Invitation.objects.exists()


def test_pg_06_the_unit_filter_is_never_wider_than_the_own_units(client, world):
    client.force_login(world["hr"].user)
    make_employee(world["other"])
    for unit in ["C2", "G", "*", "%", "0", "-1", "x" * 500, "\x00"]:
        assert list(client.get(reverse("people:invitations"), {"unit": unit}).context["page"]) == [world["person"]]


def test_invitations_are_for_hr(client, world):
    client.force_login(world["boss"].user)
    assert client.get(reverse("people:invitations")).status_code == 403


def test_the_list_of_who_waits_has_a_fixed_number_of_queries(client, world, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client.force_login(world["hr"].user)
    here = reverse("people:invitations")
    with CaptureQueriesContext(connection) as one:
        client.get(here)
    for _ in range(10):
        make_employee(world["branch"])
    with django_assert_num_queries(len(one)):
        client.get(here)


def test_a_user_who_is_nobody_sees_nothing(client, world):
    client.force_login(make_user())
    assert client.get(address("edit", world["person"])).status_code == 403
    assert client.get(address("person_sign_in", world["person"])).status_code == 404
