import datetime as dt
import html
import re

import pytest
from django.urls import reverse
from django.utils import translation

from core.models import Event, Message, Robot
from courses.domain.ladders import set_up_ladder
from courses.domain.reminders import send_reminders
from courses.models import GroupChat, Ladder, Nudge
from tests.factories.courses import local, make_audience, make_course, make_enrolment, make_programme, make_run
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

NOW = local(2026, 11, 27, 10)  # three days before the due day


@pytest.fixture(autouse=True)
def now(monkeypatch, settings):
    settings.JOBS = "worker"
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    with translation.override("en"):
        yield


class House:
    def __init__(self):
        self.group = make_unit(name="集团", name_en="Group", code="G")
        self.east, self.west = make_unit(self.group, name_en="East"), make_unit(self.group, name_en="West")
        self.manager = make_employee(unit=self.east, with_user=True, name="Manager", email="m@example.com")
        self.run = make_run(make_course(steps=2, code="ETQ-01", title_en="Sales etiquette"))
        self.staff = [
            make_employee(
                unit=self.east, manager=self.manager, with_user=True, name=f"East {n}", email=f"e{n}@example.com"
            )
            for n in range(3)
        ]
        self.far = make_employee(unit=self.west, with_user=True, name="Far", email="far@example.com")
        for person in (*self.staff, self.far):
            make_enrolment(person, self.run, state="completed" if person is self.staff[2] else "assigned")
        self.users = {"manager": self.manager.user, "employee": self.staff[0].user}
        for name, role, unit in (
            ("hr", "hr", self.group),
            ("hr east", "hr", self.east),
            ("auditor", "auditor", None),
            ("admin", "admin", None),
            ("author", "author", None),
        ):
            self.users[name] = make_user(language="en")
            grant(self.users[name], role, unit)


@pytest.fixture
def house():
    return House()


@pytest.fixture
def as_(client, house):
    client.cookies["django_language"] = "en"

    def sign_in(name):
        client.force_login(house.users[name])
        return client

    return sign_in


def _text(response):
    """What a page says, without its tags."""
    plain = re.sub(r"<[^>]+>", " ", response.content.decode())
    return " ".join(html.unescape(plain).split())


def _answers(as_, address, method="get", data=None):
    return {
        name: getattr(as_(name), method)(address, data or {}).status_code
        for name in ("employee", "manager", "hr", "hr east", "auditor", "admin", "author")
    }


def _toasts(response):
    return [str(message) for message in response.context["messages"]]


# --- the ladder -------------------------------------------------------------------------------------------------------
LADDER = "/hr/reminders/"


def _rows(*steps, **more):
    """The ladder's form as it is sent: (number, when, to, by mail) for each row."""
    data = {
        "active": "on",
        "send_at": "09:00",
        "quiet_from": "20:00",
        "quiet_until": "08:00",
        "steps-TOTAL_FORMS": str(len(steps)),
        "steps-INITIAL_FORMS": more.pop("initial", "0"),
    }
    for number, (days, when, to, by_mail) in enumerate(steps):
        data |= {f"steps-{number}-days": days, f"steps-{number}-when": when, f"steps-{number}-to": to}
        if by_mail:
            data[f"steps-{number}-by_mail"] = "on"
    return data | more


def test_pm_m01_the_ladder_is_read_by_hr_and_set_by_the_hr_of_the_whole_house(as_, house):
    set_up_ladder()
    refused = {"employee": 403, "manager": 403, "auditor": 403, "admin": 403, "author": 403}
    assert _answers(as_, LADDER) == refused | {"hr": 200, "hr east": 200}
    values = _rows(("3", "before", "employee", True))
    assert _answers(as_, LADDER, "post", values) == refused | {"hr": 302, "hr east": 403}


def test_the_ladder_is_saved_as_rows(as_, house):
    ladder = set_up_ladder()
    rows = [
        ("3", "before", "employee", True),
        ("", "on", "employee", False),
        ("2", "after", "manager", True),
        ("", "before", "employee", True),  # the empty row at the end was not touched
    ]
    response = as_("hr").post(LADDER, _rows(*rows[:3], send_at="10:30"), follow=True)
    assert _toasts(response) == ["The steps are saved. They hold from the next digest on."]
    steps = ladder.steps.order_by("days").values_list("days", "to", "by_mail")
    assert list(steps) == [(-3, "employee", True), (0, "employee", False), (2, "manager", True)]
    ladder.refresh_from_db()
    assert ladder.send_at == dt.time(10, 30)


def test_a_page_opened_before_somebody_switched_the_reminders_off_does_not_switch_them_on(as_, house):
    ladder = set_up_ladder()
    shown = as_("hr").get(LADDER).content.decode()
    fields = dict(re.findall(r'<input type="hidden" name="(initial-[^"]+)" value="([^"]*)"', shown))
    assert sorted(fields) == ["initial-active", "initial-quiet_from", "initial-quiet_until", "initial-send_at"]
    Ladder.objects.update(active=False, quiet_until=dt.time(7))
    data = _rows(("3", "before", "employee", True), send_at="10:30")
    assert as_("hr").post(LADDER, data | fields).status_code == 302
    ladder.refresh_from_db()
    assert (ladder.active, ladder.send_at, ladder.quiet_until) == (False, dt.time(10, 30), dt.time(7))
    fields["initial-active"] = "False"  # and who sees that they are off can switch them on, and off again
    assert as_("hr").post(LADDER, data | fields).status_code == 302
    ladder.refresh_from_db()
    assert ladder.active
    fields["initial-active"] = "True"
    del data["active"]
    assert as_("hr").post(LADDER, data | fields).status_code == 302
    ladder.refresh_from_db()
    assert not ladder.active


def test_a_row_ticked_for_removal_goes_and_an_untouched_new_row_is_no_row(as_, house):
    ladder = set_up_ladder()
    ladder.steps.exclude(days=-3, to="employee").exclude(days=1, to="manager").delete()
    rows = [
        ("3", "before", "employee", True),
        ("1", "after", "manager", True),
        ("", "before", "employee", True),
    ]
    data = _rows(*rows, initial="2", **{"steps-1-DELETE": "on"})
    assert as_("hr").post(LADDER, data).status_code == 302
    assert list(ladder.steps.values_list("days", "to")) == [(-3, "employee")]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (_rows(("3", "before", "employee", True), ("3", "before", "employee", False)), "This step is there twice."),
        (_rows(("", "after", "manager", True)), "How many days?"),
        (_rows(("40", "before", "manager", True)), "At most 31 days before the due day."),
        (_rows(send_at="21:00"), "This lies in the quiet hours."),
        (_rows(("3", "before", "somebody", True)), "Select a valid choice."),
    ],
)
def test_what_is_wrong_with_a_ladder_is_said_and_nothing_is_saved(as_, house, data, problem):
    ladder = set_up_ladder()
    response = as_("hr").post(LADDER, data)
    assert response.status_code == 422
    assert problem in _text(response)
    assert ladder.steps.count() == 9


def test_the_preview_says_who_would_be_told_today(as_, house):
    set_up_ladder()
    text = _text(as_("hr").get(LADDER))
    assert "3 people would be told now: 3 days before the employee · 3 people · 3 duties due on 30 November" in text
    assert "It goes out at 09:00 by itself." in text
    assert Message.objects.count() == 0


def test_a_house_without_steps_begins_with_the_usual_ones(as_, house):
    assert "nobody is reminded" in _text(as_("hr").get(LADDER))
    as_("hr").post(LADDER, {"do": "usual"})
    assert Ladder.objects.get().steps.count() == 9


def test_a_programme_gets_steps_of_its_own_and_gives_them_back(as_, house):
    set_up_ladder()
    programme = make_programme(make_audience(house.group), name="P")
    address = f"{LADDER}?programme={programme.pk}"
    client = as_("hr")
    assert "This programme follows the general steps." in _text(client.get(address))
    client.post(address, {"do": "own"})
    client.post(address, _rows(("5", "before", "employee", True), send_at="03:00"))
    own = Ladder.objects.get(programme=programme)
    assert list(own.steps.values_list("days", "to")) == [(-5, "employee")]
    assert own.send_at == dt.time(9)
    client.post(address, _rows(do="general"))
    assert not Ladder.objects.filter(programme=programme).exists()
    assert client.get(f"{LADDER}?programme=999999").status_code == 404


def test_the_ladder_takes_the_same_queries_for_one_and_for_many_people(as_, house, django_assert_max_num_queries):
    set_up_ladder()
    client = as_("hr")
    client.get(LADDER)
    for _number in range(6):
        make_enrolment(make_employee(unit=house.east, manager=house.manager, with_user=True), house.run)
    with django_assert_max_num_queries(26):
        client.get(LADDER)


# --- nudges -----------------------------------------------------------------------------------------------------------
def _nudge(client, *people, **more):
    return client.post("/nudge/", {"employee": [person.pk for person in people], **more}, follow=True)


def test_pm_m03_a_manager_nudges_below_and_hr_in_its_units(as_, house):
    answers = {
        name: as_(name).post("/nudge/", {"employee": house.staff[0].pk}).status_code
        for name in ("employee", "manager", "hr", "hr east", "auditor", "admin", "author")
    }
    assert answers == {
        "employee": 403,
        "manager": 302,
        "hr": 302,
        "hr east": 302,
        "auditor": 403,
        "admin": 403,
        "author": 403,
    }
    assert Nudge.objects.count() == 1  # once a day, whoever taps


@pytest.mark.parametrize("who", ["far", "self", "missing", "one of two", "none", "text"])
def test_pm_m03_who_is_out_of_reach_is_as_if_there_were_no_such_person(as_, house, who):
    ids = {
        "far": [house.far.pk],
        "self": [house.manager.pk],
        "missing": [999_999],
        "one of two": [house.staff[0].pk, house.far.pk],
        "none": [],
        "text": ["x"],
    }[who]
    assert as_("manager").post("/nudge/", {"employee": ids}).status_code == 404
    assert not Nudge.objects.exists()


def test_a_nudge_says_whom_it_skipped_and_why(as_, house):
    response = _nudge(as_("manager"), *house.staff)
    assert _toasts(response) == ["2 people were nudged.", "Not nudged: East 2 (nothing is open)."]
    response = _nudge(as_("hr"), house.staff[0])
    assert _toasts(response) == ["Not nudged: East 0 (nudged today already)."]


def test_a_nudge_goes_back_where_it_came_from_and_nowhere_else(as_, house):
    client = as_("manager")
    person = house.staff[0]
    for address, goes in (
        ("/team/?show=needed", "/team/?show=needed"),
        ("https://example.com/", f"/people/{person.pk}/"),
    ):
        response = client.post("/nudge/", {"employee": person.pk, "next": address})
        assert response.url == goes


def test_nudge_is_a_post(as_, house):
    assert [as_("manager").get(address).status_code for address in ("/nudge/", "/team/nudge/")] == [405, 405]


def test_the_whole_team_is_nudged_with_one_tap(as_, house):
    client = as_("manager")
    page = client.get("/team/")
    assert "Nudge all 2" in _text(page)
    response = client.post("/team/nudge/?month=2026-11", {"next": "/team/"}, follow=True)
    assert _toasts(response) == ["2 people were nudged."]
    assert _text(response).count("Nudged today") == 2
    assert sorted(Nudge.objects.values_list("employee__name", flat=True)) == ["East 0", "East 1"]


def test_a_list_of_names_is_nudged_as_it_is_filtered(as_, house):
    client = as_("hr east")
    address = f"/hr/completion/2026-11/{house.east.pk}/names/"
    assert "Nudge everybody who has not finished" in _text(client.get(address))
    client.post(f"{address}nudge/?q=East+1")
    assert list(Nudge.objects.values_list("employee__name", flat=True)) == ["East 1"]
    assert client.post(f"/hr/completion/2026-11/{house.west.pk}/names/nudge/").status_code == 404
    assert as_("auditor").post(f"{address}nudge/").status_code == 403


def test_more_people_than_one_tap_may_reach_are_refused_in_words(as_, house, monkeypatch):
    monkeypatch.setattr("courses.domain.nudging.MOST_NUDGED", 1)
    response = as_("hr").post("/hr/completion/2026-11/people/nudge/", follow=True)
    assert _toasts(response)[0].startswith("These are 3 people. At most 1 can be nudged at once")


def test_pages_offer_the_nudge_to_who_may(as_, house):
    person = reverse("portal:person", args=[house.staff[0].pk])
    done = reverse("portal:person", args=[house.staff[2].pk])
    offered = {
        name: [as_(name).get(address).content.count(b'action="/nudge/"') for address in (person, done)]
        for name in ("manager", "hr", "auditor", "admin")
    }
    assert offered == {"manager": [1, 0], "hr": [1, 0], "auditor": [0, 0], "admin": [0, 0]}


# --- the log ----------------------------------------------------------------------------------------------------------
LOG = "/hr/messages/"


@pytest.fixture
def sent(house):
    set_up_ladder()
    send_reminders(on=NOW.date(), at=NOW)


def test_pm_m04_the_log_is_read_by_hr_and_auditors(as_, house, sent):
    assert _answers(as_, LOG) == {
        "employee": 403,
        "manager": 403,
        "hr": 200,
        "hr east": 200,
        "auditor": 200,
        "admin": 403,
        "author": 403,
    }
    texts = {name: _text(as_(name).get(LOG)) for name in ("hr", "hr east", "auditor")}
    assert {name: ("Far" in text, "East 0" in text) for name, text in texts.items()} == {
        "hr": (True, True),
        "hr east": (False, True),
        "auditor": (True, True),
    }


def test_the_log_does_not_show_what_a_digest_says(as_, house):
    """A manager in the east has somebody in the west: HR of the east reads that a digest went out, and no name in it."""
    set_up_ladder()
    canary = make_employee(unit=house.west, manager=house.manager, with_user=True, name="CANARY")
    make_enrolment(canary, house.run, due_at=local(2026, 11, 20))
    send_reminders(on=NOW.date(), at=NOW)
    assert "CANARY" in Message.objects.get(channel="mail", user=house.manager.user).text
    response = as_("hr east").get(LOG)
    assert "Manager" in _text(response)
    assert "CANARY" not in response.content.decode()


def test_the_log_is_filtered_and_paged_by_key(as_, house, monkeypatch):
    monkeypatch.setattr("courses.views.reminders.PAGE", 2)
    set_up_ladder()
    send_reminders(on=NOW.date(), at=NOW)
    client = as_("hr")

    def rows(address):
        page = client.get(address)
        return [row["message"].pk for row in page.context["rows"]], page.context["next_url"]

    seen, address = [], LOG
    while address:
        found, following = rows(address)
        seen += found
        address = following and LOG + following
    assert seen == list(Message.objects.order_by("-pk").values_list("pk", flat=True))
    mails = set(Message.objects.filter(channel="mail").values_list("pk", flat=True))
    assert set(rows(f"{LOG}?channel=mail")[0]) < mails
    assert rows(f"{LOG}?state=failed") == ([], "")
    assert set(rows(f"{LOG}?q=Far")[0]) == set(Message.objects.filter(user=house.far.user).values_list("pk", flat=True))
    assert set(rows(f"{LOG}?person={house.far.pk}")[0]) == set(
        Message.objects.filter(user=house.far.user).values_list("pk", flat=True)
    )
    assert rows(f"{LOG}?kind=nudge") == ([], "")
    assert as_("hr east").get(f"{LOG}?person={house.far.pk}").status_code == 404


def test_the_log_takes_the_same_queries_for_one_and_for_many(as_, house, django_assert_num_queries):
    set_up_ladder()
    client = as_("hr")
    _message(house.far)
    client.get(LOG)
    with django_assert_num_queries(7):
        client.get(LOG)
    for number in range(8):
        _message(house.staff[number % 2], key=f"k{number}")
    with django_assert_num_queries(7):
        client.get(LOG)


def _message(person, key="k", state="waiting", **fields):
    return Message.objects.create(
        key=key,
        channel="mail",
        kind="reminder",
        user=person.user,
        address=person.email,
        subject="s",
        text="t",
        created_at=NOW,
        not_before=NOW,
        state=state,
        **fields,
    )


def test_pm_m05_a_failed_message_is_sent_again_by_the_hr_of_the_person(as_, house):
    message = _message(house.staff[0], state="failed", tries=6, outcome="refused: 550 no")
    address = f"/hr/messages/{message.pk}/retry/"
    assert "The mail server refused it. Check the address. (550 no)" in _text(as_("hr").get(LOG))
    assert "Send again" in _text(as_("hr east").get(LOG))
    assert "Send again" not in _text(as_("auditor").get(LOG))
    west = make_user()
    grant(west, "hr", house.west)
    house.users["hr west"] = west
    house.staff[0].email = "new@example.com"  # put right meanwhile
    house.staff[0].save()
    assert [as_(name).post(address).status_code for name in ("auditor", "manager", "hr west", "hr east")] == [
        403,
        403,
        404,
        302,
    ]
    message.refresh_from_db()
    assert (message.state, message.tries, message.address) == ("waiting", 0, "new@example.com")
    assert Event.objects.filter(chain="messages", actor=house.users["hr east"]).count() == 1


def test_a_persons_page_leads_to_the_messages(as_, house):
    link = f'href="/hr/messages/?person={house.staff[0].pk}"'
    page = reverse("portal:person", args=[house.staff[0].pk])
    shown = {name: link in as_(name).get(page).content.decode() for name in ("hr", "auditor", "manager")}
    assert shown == {"hr": True, "auditor": True, "manager": False}


# --- robots -----------------------------------------------------------------------------------------------------------
WEBHOOK = "https://oapi.dingtalk.com/robot/send?access_token=abcdefgh12345678"
SECRET = "SEC-very-secret"


def _robot(**fields):
    return Robot.objects.create(**{"name": "East", "kind": "dingtalk", "url": WEBHOOK, "secret": SECRET, **fields})


def test_pm_g01_robots_are_kept_by_administrators_only(as_, house):
    robot = _robot()
    chat = GroupChat.objects.create(robot=robot, unit=house.east)
    allowed = dict.fromkeys(("employee", "manager", "hr", "hr east", "auditor", "author"), 403)
    for address in ("/robots/", "/robots/new/", f"/robots/{robot.pk}/"):
        assert _answers(as_, address) == allowed | {"admin": 200}
    for part in ("switch/", "units/add/", f"units/{chat.pk}/remove/"):
        answers = _answers(as_, f"/robots/{robot.pk}/{part}", "post")
        assert answers["admin"] in {302, 422}
        assert {name: code for name, code in answers.items() if name != "admin"} == allowed


def test_a_robot_is_added_and_its_secret_is_never_shown_again(as_, house):
    client = as_("admin")
    values = {"name": "East", "kind": "dingtalk", "address": WEBHOOK, "signing": SECRET}
    response = client.post("/robots/new/", values, follow=True)
    robot = Robot.objects.get()
    assert (robot.name, robot.url, robot.secret, robot.active) == ("East", WEBHOOK, SECRET, True)
    for address in (response.request["PATH_INFO"], "/robots/"):
        page = client.get(address).content.decode()
        assert "oapi.dingtalk.com/…5678" in page
        assert (SECRET in page, "abcdefgh" in page) == (False, False)
    client.post(f"/robots/{robot.pk}/", {"name": "East city", "kind": "dingtalk", "address": "", "signing": ""})
    robot.refresh_from_db()
    assert (robot.name, robot.url, robot.secret) == ("East city", WEBHOOK, SECRET)
    client.post(
        f"/robots/{robot.pk}/",
        {"name": "East", "kind": "dingtalk", "address": "", "signing": "", "no_secret": "on"},
    )
    robot.refresh_from_db()
    assert robot.secret == ""


def test_mc_17_a_foreign_address_is_refused_in_words(as_, house):
    client = as_("admin")
    for url, words in (
        ("https://example.com/hook", "This host is not on the list of allowed hosts"),
        ("http://oapi.dingtalk.com/robot/send", "The address must begin with https://."),
        ("nonsense", "This is no address."),
        ("", "This field is required."),
    ):
        response = client.post("/robots/new/", {"name": "x", "kind": "wecom", "address": url, "signing": SECRET})
        assert response.status_code == 422
        assert words in _text(response)
        assert SECRET not in response.content.decode()
    assert not Robot.objects.exists()


def test_a_test_message_says_what_came_back(as_, house, monkeypatch):
    from core import robots

    robot, said = _robot(), []
    monkeypatch.setattr(robots, "post", lambda **values: said.append(values["text"]))
    client = as_("admin")
    assert _toasts(client.post(f"/robots/{robot.pk}/test/", follow=True)) == [
        "The test message arrived. Look into the group chat."
    ]
    assert len(said) == 1

    def fails(**values):
        raise robots.PostFailed("robot-refused: 310000 sign not match", is_final=True)

    monkeypatch.setattr(robots, "post", fails)
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW + dt.timedelta(minutes=1))
    [toast] = _toasts(client.post(f"/robots/{robot.pk}/test/", follow=True))
    assert toast == (
        "The test message did not arrive: The group chat’s server refused it. The security setting does not fit:"
        " check the secret, the keywords or the addresses. (310000 sign not match)"
    )
    assert sorted(Message.objects.values_list("kind", "state")) == [("test", "failed"), ("test", "sent")]


def test_a_test_that_finds_nobody_home_is_not_tried_again(as_, house, monkeypatch):
    from core import robots

    def fails(**values):
        raise robots.PostFailed("robot-unreachable: TimeoutError")

    monkeypatch.setattr(robots, "post", fails)
    as_("admin").post(f"/robots/{_robot().pk}/test/")
    assert Message.objects.get().state == "failed"


def test_a_robot_is_switched_off_and_on(as_, house):
    robot, client = _robot(), as_("admin")
    client.post(f"/robots/{robot.pk}/switch/", {"active": "0"}, follow=True)
    robot.refresh_from_db()
    assert not robot.active
    assert _toasts(client.post(f"/robots/{robot.pk}/test/", follow=True)) == [
        "The robot is switched off. Switch it on first."
    ]
    client.post(f"/robots/{robot.pk}/switch/", {"active": "1"})
    robot.refresh_from_db()
    assert robot.active


def test_a_robot_is_given_units_by_code_or_name(as_, house):
    robot, client = _robot(), as_("admin")
    address = f"/robots/{robot.pk}/units/add/"
    make_unit(house.group, name="双"), make_unit(house.group, name="双")
    assert [client.post(address, {"unit": text}).status_code for text in ("G", "east", "G", "双", "nowhere", "")] == [
        302,
        302,
        302,
        422,
        422,
        422,
    ]
    assert sorted(robot.group_chats.values_list("unit__code", flat=True)) == sorted(["G", house.east.code])
    chat = robot.group_chats.get(unit=house.east)
    other = _robot(name="Other")
    assert client.post(f"/robots/{other.pk}/units/{chat.pk}/remove/").status_code == 404
    client.post(f"/robots/{robot.pk}/units/{chat.pk}/remove/")
    assert list(robot.group_chats.values_list("unit__code", flat=True)) == ["G"]


def test_the_list_of_robots_takes_the_same_queries_for_one_and_for_many(as_, house, django_assert_num_queries):
    client = as_("admin")
    GroupChat.objects.create(robot=_robot(), unit=house.east)
    client.get("/robots/")
    with django_assert_num_queries(9):
        client.get("/robots/")
    for number in range(4):
        GroupChat.objects.create(robot=_robot(name=str(number)), unit=house.west)
    with django_assert_num_queries(9):
        client.get("/robots/")
