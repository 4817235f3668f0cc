"""TRUST PM-S4: every action in every state, by every role. The expected answer is written here by hand, cell by cell."""

import pytest
from django.urls import reverse

from core.models import Event
from people.domain import roster as domain
from people.domain.roster import ALLOWED, Action
from people.models import RosterChange, RosterImport
from tests.factories.people import grant, make_employee, make_unit
from tests.people.roster.tools import AT, checked, csv_bytes, settle

pytestmark = pytest.mark.django_db
State = RosterImport.State

#                     check  apply  confirm  undo  discard  faults
TABLE = {
    "uploaded": "     yes    -      -        -     yes      -",
    "unreadable": "   -      -      -        -     yes      -",
    "checked": "      yes    yes    -        -     yes      yes",
    "awaiting": "     yes    -      yes      -     yes      yes",
    "applying": "     -      goon   -        -     -        yes",
    "applied": "      -      -      -        yes   -        yes",
    "undoing": "      -      -      -        goon  -        yes",
    "undone": "       -      -      -        -     -        yes",
    "discarded": "    -      -      -        -     -        -",
}
ACTIONS = ["check", "apply", "confirm", "undo", "discard", "faults"]
CELLS = [
    (state, action, answer) for state, row in TABLE.items() for action, answer in zip(ACTIONS, row.split(), strict=True)
]


@pytest.fixture
def desk():
    """A unit with two HR people (the first uploads), and one of each other kind."""
    group = make_unit(name="华信通")
    city = make_unit(group, name="上海")
    people = {
        name: make_employee(group, with_user=True, employee_no=name)
        for name in ("H1", "H2", "EMP", "AUD", "ADM", "OUT")
    }
    make_employee(city, people["EMP"], employee_no="9000", name="员工")
    for name in ("H1", "H2"):
        grant(people[name].user, "hr", city)
    grant(people["AUD"].user, "auditor")
    grant(people["ADM"].user, "admin")
    grant(people["OUT"].user, "hr", make_unit(group, name="北京"))
    roster = checked(csv_bytes(["9000", "员工一", "上海"], ["9001", "", "上海"]), scope=city, by=people["H1"].user)
    return roster, {name: person.user for name, person in people.items()}


def put(roster, state):
    """The import in a state, as the steps before would have left it."""
    values = {"state": state}
    if state == "applied":
        domain.request_apply(roster=roster, by=roster.uploaded_by, at=AT)
        settle(roster)
    if state in {"applying", "undoing"}:
        RosterImport.objects.filter(pk=roster.pk).update(job=None)
    RosterImport.objects.filter(pk=roster.pk).update(**values)
    roster.refresh_from_db()


def test_the_table_in_code_is_the_table_here():
    assert {(state, action) for state, action, answer in CELLS if answer != "-"} == {
        (str(state), str(action)) for action, (_row, states) in ALLOWED.items() for state in states
    }
    assert set(TABLE) == set(State.values)
    assert [action.value for action in Action] == ACTIONS


@pytest.mark.parametrize(("state", "action", "answer"), CELLS)
def test_pm_s4_every_action_in_every_state(client, desk, state, action, answer):
    roster, users = desk
    put(roster, state)
    client.force_login(users["H2"])
    address = reverse(f"people:roster_{action}", args=[roster.pk])
    before = (list(RosterImport.objects.values()), list(RosterChange.objects.values()), Event.objects.count())
    response = client.get(address) if action == "faults" else client.post(address)
    response.getvalue()  # a file is closed when it was read
    after = (list(RosterImport.objects.values()), list(RosterChange.objects.values()), Event.objects.count())
    if answer == "yes":
        assert response.status_code == (200 if action == "faults" else 302)
        assert (before == after) is (action == "faults")
    else:  # "goon" needs a job that was stopped, and here is none
        assert (response.status_code, after) == (409, before)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(("who", "status"), [("EMP", 403), ("ADM", 403), ("AUD", 403), ("OUT", 404), (None, 302)])
def test_pm_s4_no_other_role_does_anything_in_any_state(client, desk, action, who, status):
    roster, users = desk
    if who:
        client.force_login(users[who])
    address = reverse(f"people:roster_{action}", args=[roster.pk])
    for state in State.values:
        RosterImport.objects.filter(pk=roster.pk).update(state=state)
        roster.refresh_from_db()
        before = list(RosterImport.objects.values())
        response = client.get(address) if action == "faults" else client.post(address)
        response.getvalue()
        if (who, action) == ("AUD", "faults"):  # the auditor reads the report
            assert response.status_code == (200 if domain.may(roster, Action.FAULTS) else 409)
        elif who:
            assert response.status_code == status
        else:
            assert response["Location"].startswith("/sign-in/")
        assert list(RosterImport.objects.values()) == before


def test_pm_s4_actions_are_posts(client, desk):
    roster, users = desk
    client.force_login(users["H2"])
    for action in ACTIONS[:-1]:
        assert client.get(reverse(f"people:roster_{action}", args=[roster.pk])).status_code == 405


def test_two_who_press_apply_start_one_job(desk):
    roster, users = desk
    other = RosterImport.objects.get(pk=roster.pk)
    domain.request_apply(roster=roster, by=users["H1"], at=AT)
    with pytest.raises((domain.WrongState, domain.AnotherApplying)):
        domain.request_apply(roster=other, by=users["H2"], at=AT)
    assert RosterImport.objects.get(pk=roster.pk).applied_by == users["H1"]
