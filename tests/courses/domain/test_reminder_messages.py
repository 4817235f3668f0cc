"""Who sees which message on the log."""

import pytest

from courses.domain.group_chats import tell_chats
from courses.domain.reminder_messages import visible_messages
from tests.factories.people import grant, make_unit, make_user
from tests.factories.reminders import DUE, morning, send
from tests.people.world import actor_for

pytestmark = pytest.mark.django_db


def test_pm_m04_messages_are_seen_for_the_people_and_chats_of_the_role(house, chat):
    far = make_unit(house.group, name="西城")
    house.staff("近")
    house.staff("远", unit=far)
    send(0)
    tell_chats(on=DUE, at=morning(0))
    users = {name: make_user() for name in ("hr", "far hr", "auditor", "admin")}
    grant(users["hr"], "hr", house.branch)
    grant(users["far hr"], "hr", far)
    grant(users["auditor"], "auditor")
    grant(users["admin"], "admin")

    def seen(name):
        rows = visible_messages(actor_for(users[name]), "PM-M04").filter(channel__in=["mail", "robot"])
        return sorted(message.user.employee.name if message.user else "群" for message in rows)

    assert {name: seen(name) for name in users} == {
        "hr": ["群", "近"],
        "far hr": ["远"],
        "auditor": ["群", "近", "远"],
        "admin": [],
    }
