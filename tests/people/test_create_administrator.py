import io

import pytest
from django.core.management import CommandError, call_command

from people.models import RoleGrant, User

pytestmark = pytest.mark.django_db


def run(monkeypatch, password, *arguments):
    monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
    call_command("create_administrator", *arguments, "--password-stdin", stdout=io.StringIO())


def test_mc_21_the_first_administrator_is_made_by_command(monkeypatch):
    run(monkeypatch, "seven green lamps at the harbour", "machine-room", "--name", "Machine Room")
    user = User.objects.get(username="machine-room")
    assert user.check_password("seven green lamps at the harbour")
    assert (user.is_staff, user.is_superuser) == (False, False)
    assert RoleGrant.objects.get().role == "admin"


@pytest.mark.parametrize(
    ("name", "password"),
    [("boss", "short"), ("boss", ""), ("", "seven green lamps at sea"), ("a b", "seven green lamps at sea")],
)
def test_mc_21_there_is_no_weak_or_default_password(monkeypatch, name, password):
    with pytest.raises(CommandError):
        run(monkeypatch, password, name)
    assert not User.objects.exists()


def test_a_name_is_given_once(monkeypatch):
    run(monkeypatch, "seven green lamps at the harbour", "machine-room")
    with pytest.raises(CommandError):
        run(monkeypatch, "seven green lamps at the harbour", "machine-room")
