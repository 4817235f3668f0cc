import datetime as dt

import pytest
from django.urls import reverse

from core.jobs import KINDS
from core.models import Event, Job
from courses.domain import exceptions
from courses.models import Enrolment, Matter
from people.models import Employee
from tests.factories.courses import local, make_enrolment, make_run
from tests.factories.people import grant, make_employee, make_leave, make_unit, make_user

pytestmark = pytest.mark.django_db

NOW = local(2026, 11, 26, 9)


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)


@pytest.fixture
def world():
    """A city with a branch; HR here and elsewhere, an auditor, a manager; nobody away yet."""
    group = make_unit()
    city, other_city = make_unit(group), make_unit(group)
    branch = make_unit(city)
    manager = make_employee(unit=branch, with_user=True)
    users = {"manager": manager.user}
    for name, unit in (("hr", city), ("other hr", other_city)):
        users[name] = make_user()
        grant(users[name], "hr", unit)
    users["auditor"] = make_user()
    grant(users["auditor"], "auditor")
    users["stranger"] = make_employee(unit=branch, with_user=True).user
    return users, branch, manager, make_run()


def _away(world, number=1):
    """People who are away for most of November: proposed to be exempt."""
    _users, branch, manager, run = world
    found = []
    for _number in range(number):
        duty = make_enrolment(make_employee(unit=branch, manager=manager, with_user=True), run)
        make_leave(duty.employee, dt.date(2026, 11, 2), dt.date(2026, 11, 25))
        found.append(duty)
    return found


def _look(client, users, who="hr"):
    client.force_login(users[who])
    return client.post(reverse("courses:look_for_matters"))


DESK = "courses:matters"


# --- who ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("who", "status", "number", "may"),
    [("hr", 200, 1, True), ("auditor", 200, 1, False), ("other hr", 200, 0, False)],
)
def test_pm_m04_hr_and_auditors_read_the_matters_of_their_people(client, world, who, status, number, may):
    _away(world)
    _look(client, world[0])
    client.force_login(world[0][who])
    response = client.get(reverse(DESK))
    rows = response.context["rows"]
    assert (response.status_code, len(rows), any(row["may_settle"] for row in rows)) == (status, number, may)


@pytest.mark.parametrize("who", ["manager", "stranger"])
def test_pm_m04_nobody_else_reads_them(client, world, who):
    client.force_login(world[0][who])
    assert client.get(reverse(DESK)).status_code == 403


@pytest.mark.parametrize(
    ("who", "status"), [("hr", 302), ("other hr", 404), ("auditor", 403), ("manager", 403), ("stranger", 403)]
)
def test_pm_m05_only_hr_of_the_unit_settles_and_takes_back(client, world, who, status):
    [duty] = _away(world)
    users = world[0]
    _look(client, users)
    matter = Matter.objects.get()
    client.force_login(users[who])
    one = {"one": f"{matter.pk}:exempt"}
    assert client.post(reverse("courses:settle_matters"), one).status_code == status
    several = {"matter": [matter.pk], "answer": "exempt"}
    assert client.post(reverse("courses:settle_matters"), several).status_code == status
    duty.refresh_from_db()
    assert (duty.state, duty.decided_by) == (("exempt", users["hr"]) if status == 302 else ("assigned", None))
    undo = reverse("courses:undo_matter", args=[matter.pk])
    assert client.post(undo).status_code == status
    duty.refresh_from_db()
    assert duty.state == "assigned"
    assert client.post(reverse("courses:look_for_matters")).status_code == (302 if who == "other hr" else status)


def test_pm_m05_nobody_settles_a_matter_about_himself(client, world):
    [duty] = _away(world)
    _look(client, world[0])
    own = duty.employee.user
    grant(own, "hr", duty.unit)
    client.force_login(own)
    assert client.get(reverse(DESK)).context["rows"] == []
    matter = Matter.objects.get()
    for data in ({"one": f"{matter.pk}:exempt"}, {"matter": [matter.pk], "answer": "exempt"}):
        assert client.post(reverse("courses:settle_matters"), data).status_code == 404
    assert Enrolment.objects.get().state == "assigned"


def test_pm_m05_what_a_leaver_left_behind_can_be_settled(client, world, monkeypatch):
    users, branch, _manager, run = world
    gone = make_employee(unit=branch, state="left", left_on=dt.date(2026, 12, 4))
    duty = make_enrolment(gone, run)
    monkeypatch.setattr("django.utils.timezone.now", lambda: local(2026, 12, 10))
    _look(client, users)
    client.post(reverse("courses:settle_matters"), {"one": f"{Matter.objects.get().pk}:withdraw"})
    duty.refresh_from_db()
    assert (duty.state, duty.reason) == ("withdrawn", "left")


# --- the list -------------------------------------------------------------------------------------------------------
def test_the_desk_counts_by_kind_and_narrows_by_kind_and_name(client, world):
    users, branch, _manager, _run = world
    first, _second = _away(world, 2)
    twins = [make_employee(unit=branch, name="王伟", mobile="13900000001") for _number in range(2)]
    _look(client, users)

    context = client.get(reverse(DESK)).context
    assert context["total"] == 3
    assert [(tab["url"], tab.get("count"), tab["active"]) for tab in context["tabs"]] == [
        ("?", 3, True),
        ("?kind=long_leave", 2, False),
        ("?kind=duplicate", 1, False),
        ("?show=settled", None, False),
    ]
    assert not context["several"]

    def people(**query):
        return [row["employee"] for row in client.get(reverse(DESK), query).context["rows"]]

    assert people(kind="duplicate") == [twins[1]]
    assert people(q=first.employee.employee_no) == [first.employee]
    assert people(q="王伟") == [twins[1]]
    assert people(kind="long_leave", q="王伟") == []
    assert len(people(kind="nonsense")) == 3


def test_what_was_settled_is_listed_with_the_way_back(client, world):
    _away(world)
    users = world[0]
    _look(client, users)
    matter = Matter.objects.get()
    client.post(reverse("courses:settle_matters"), {"one": f"{matter.pk}:exempt", f"reason-{matter.pk}": "产假"})
    page = client.get(reverse(DESK), {"show": "settled"})
    [row] = page.context["rows"]
    assert (row["matter"], row["may_undo"], row["matter"].answer) == (matter, True, "产假")
    assert reverse("courses:undo_matter", args=[matter.pk]) in page.content.decode()


# --- settling -------------------------------------------------------------------------------------------------------
def test_one_button_settles_with_a_word_and_an_undo(client, world):
    _away(world)
    _look(client, world[0])
    matter = Matter.objects.get()
    one = {"one": f"{matter.pk}:exempt", "kind": "long_leave"}
    response = client.post(reverse("courses:settle_matters"), one, follow=True)
    assert response.redirect_chain == [(f"{reverse(DESK)}?kind=long_leave", 302)]
    *_looked, message = response.context["messages"]
    assert message.extra_tags == f"undo:{reverse('courses:undo_matter', args=[matter.pk])}"


def test_several_of_a_kind_are_settled_each_as_proposed(client, world):
    duties = _away(world, 3)
    users = world[0]
    _look(client, users)
    chosen = list(Matter.objects.order_by("pk").values_list("pk", flat=True))[:2]
    context = client.get(reverse(DESK), {"kind": "long_leave"}).context
    assert (context["several"], [way for way, _words in context["other_ways"]]) == (True, ["exempt", "keep"])
    client.post(
        reverse("courses:settle_matters"),
        {"matter": chosen, "answer": "proposed", "kind": "long_leave", "reason": "产假"},
    )
    states = [Enrolment.objects.get(pk=duty.pk).state for duty in duties]
    assert states == ["exempt", "exempt", "assigned"]
    assert Event.objects.filter(action="matter settled", reason="产假").count() == 2


def test_several_alike_leaves_out_what_has_changed_meanwhile(client, world):
    first, second = _away(world, 2)
    users = world[0]
    _look(client, users)
    exceptions.withdraw_enrolment(enrolment=first, by=users["hr"], at=NOW, reason="x")
    chosen = list(Matter.objects.values_list("pk", flat=True))
    response = client.post(reverse("courses:settle_matters"), {"matter": chosen, "answer": "exempt"}, follow=True)
    assert [message.level_tag for message in response.context["messages"]][-2:] == ["success", "error"]
    second.refresh_from_db()
    assert (second.state, Matter.objects.filter(state="open").count()) == ("exempt", 1)


def test_settling_nothing_says_so(client, world):
    client.force_login(world[0]["hr"])
    response = client.post(reverse("courses:settle_matters"), {"answer": "proposed"}, follow=True)
    assert len(response.context["messages"]) == 1


@pytest.mark.parametrize("one", ["x:exempt", "0:exempt", "", "99999999999999999999:exempt", "²:exempt"])
def test_an_unknown_matter_is_not_found(client, world, one):
    client.force_login(world[0]["hr"])
    assert client.post(reverse("courses:settle_matters"), {"one": one}).status_code == 404


def test_an_answer_that_does_not_belong_is_not_found(client, world):
    _away(world)
    _look(client, world[0])
    one = {"one": f"{Matter.objects.get().pk}:enrol"}
    assert client.post(reverse("courses:settle_matters"), one).status_code == 404
    assert Matter.objects.get().state == "open"


def test_taking_back_twice_or_too_late_says_so(client, world):
    [duty] = _away(world)
    users = world[0]
    _look(client, users)
    matter = Matter.objects.get()
    undo = reverse("courses:undo_matter", args=[matter.pk])
    client.post(reverse("courses:settle_matters"), {"one": f"{matter.pk}:exempt"})
    exempt = Enrolment.objects.get(pk=duty.pk)
    later = NOW + dt.timedelta(minutes=1)
    exceptions.reinstate_enrolment(enrolment=exempt, by=users["hr"], at=later, reason="x")
    response = client.post(undo, follow=True)
    assert [message.level_tag for message in response.context["messages"]][-1] == "error"
    assert Matter.objects.get().state == "settled"


def test_looking_again_stays_within_the_units_of_the_role(client, world):
    users, _branch, _manager, run = world
    elsewhere = make_unit()
    duty = make_enrolment(make_employee(unit=elsewhere), run)
    make_leave(duty.employee, dt.date(2026, 11, 2), dt.date(2026, 11, 25))
    _away(world)
    _look(client, users)
    assert Employee.objects.get(matters__isnull=False).unit == world[1]


def test_looking_at_very_many_people_is_a_job_that_finds_the_same(
    client, world, monkeypatch, django_capture_on_commit_callbacks
):
    monkeypatch.setattr("courses.views.matters.IN_THE_REQUEST", 1)
    _away(world, 2)
    with django_capture_on_commit_callbacks(execute=True):
        response = _look(client, world[0])
    job = Job.objects.get()
    assert response.url == reverse("core:job", args=[job.pk])
    assert (job.kind, job.state, job.requested_by) == ("courses.look_for_matters", "done", world[0]["hr"])
    assert KINDS[job.kind].url(job) == reverse(DESK)
    assert len(client.get(reverse(DESK)).context["rows"]) == 2


def test_the_desk_takes_the_same_queries_for_one_and_for_many(client, world, django_assert_num_queries):
    users = world[0]
    _away(world)
    _look(client, users)
    client.get(reverse(DESK))
    with django_assert_num_queries(9):
        assert len(client.get(reverse(DESK)).context["rows"]) == 1
    _away(world, 6)
    _look(client, users)
    client.get(reverse(DESK))
    with django_assert_num_queries(9):
        assert len(client.get(reverse(DESK)).context["rows"]) == 7
