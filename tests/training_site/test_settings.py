"""What the environment may say, what follows from it, and what is refused in words."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.mail import EmailMessage, get_connection

from training_site.env import SettingRefused

ROOT = Path(__file__).resolve().parents[2]
SMTP = "django.core.mail.backends.smtp.EmailBackend"
ENOUGH = {"SECRET_KEY": "x" * 60, "EVENT_CHAIN_KEY": "y" * 60, "ALLOWED_HOSTS": "training.example.com"}


@pytest.fixture
def mail(monkeypatch):
    """The mail settings under an environment of which only the given variables speak of mail."""
    for name in [name for name in os.environ if name.startswith(("EMAIL_", "DEFAULT_FROM_EMAIL"))]:
        monkeypatch.delenv(name)

    def read(**environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        found = runpy.run_path(str(ROOT / "training_site" / "settings" / "mail.py"))
        return {name: value for name, value in found.items() if name.startswith(("EMAIL_", "DEFAULT_FROM"))}

    return read


def _settings(**values):
    return {
        "EMAIL_BACKEND": SMTP,
        "EMAIL_HOST": "mail.example.com",
        "EMAIL_PORT": 587,
        "EMAIL_HOST_USER": "",
        "EMAIL_HOST_PASSWORD": "",
        "EMAIL_USE_TLS": True,
        "EMAIL_USE_SSL": False,
        "EMAIL_TIMEOUT": 10,
        "DEFAULT_FROM_EMAIL": "training@localhost",
        **values,
    }


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, {"EMAIL_BACKEND": "", "EMAIL_HOST": "", "EMAIL_PORT": 25, "EMAIL_USE_TLS": False}),
        ({"EMAIL_HOST": "mail.example.com"}, {}),
        ({"EMAIL_HOST": "localhost"}, {"EMAIL_HOST": "localhost", "EMAIL_PORT": 25, "EMAIL_USE_TLS": False}),
        (
            {"EMAIL_HOST": "mail.example.com", "EMAIL_USE_SSL": "1"},
            {"EMAIL_PORT": 465, "EMAIL_USE_TLS": False, "EMAIL_USE_SSL": True},
        ),
        (
            {"EMAIL_HOST": "mail.example.com", "EMAIL_USE_TLS": "0", "EMAIL_TIMEOUT": "3"},
            {"EMAIL_PORT": 25, "EMAIL_USE_TLS": False, "EMAIL_TIMEOUT": 3},
        ),
        ({"EMAIL_HOST": "mail.example.com", "EMAIL_PORT": "2525"}, {"EMAIL_PORT": 2525}),
        (
            {"EMAIL_HOST": "mail.example.com", "EMAIL_HOST_USER": "hr@example.com", "EMAIL_HOST_PASSWORD": "p"},
            {"EMAIL_HOST_USER": "hr@example.com", "EMAIL_HOST_PASSWORD": "p", "DEFAULT_FROM_EMAIL": "hr@example.com"},
        ),
        (
            {"EMAIL_HOST": "mail.example.com", "DEFAULT_FROM_EMAIL": "Training <t@example.com>"},
            {"DEFAULT_FROM_EMAIL": "Training <t@example.com>"},
        ),
        ({"EMAIL_HOST": "mail.example.com", "EMAIL_BACKEND": "a.Backend"}, {"EMAIL_BACKEND": "a.Backend"}),
        ({"EMAIL_HOST": "none"}, {"EMAIL_BACKEND": "training_site.mail.NoMail", "EMAIL_HOST": ""}),
    ],
)
def test_mail_goes_where_the_environment_says(mail, environment, expected):
    found = mail(**environment)
    if environment.get("EMAIL_HOST") == "none":  # how it would travel does not matter then
        found |= {"EMAIL_PORT": 587, "EMAIL_USE_TLS": True}
    assert found == _settings(**expected)


def test_mail_password_may_lie_in_a_file(mail, tmp_path):
    file = tmp_path / "password"
    file.write_text("of the file\n", encoding="utf-8")
    found = mail(EMAIL_HOST="mail.example.com", EMAIL_HOST_USER="u", EMAIL_HOST_PASSWORD_FILE=str(file))
    assert found["EMAIL_HOST_PASSWORD"] == "of the file"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"EMAIL_USE_TLS": "1", "EMAIL_USE_SSL": "1"}, "choose EMAIL_USE_TLS for port 587 or EMAIL_USE_SSL"),
        ({"EMAIL_PORT": "0"}, "write a number from 1 to 65535"),
        ({"EMAIL_PORT": "smtp"}, "write a whole number"),
        ({"EMAIL_TIMEOUT": "0"}, "at least 1"),
        ({"EMAIL_HOST_USER": "u"}, "set both, or none"),
        ({"EMAIL_HOST_PASSWORD": "p"}, "set both, or none"),
        ({"EMAIL_USE_TLS": "maybe"}, "write 1 or 0"),
    ],
)
def test_mail_settings_without_a_meaning_are_refused(mail, environment, words):
    with pytest.raises(SettingRefused, match=words):
        mail(EMAIL_HOST="mail.example.com", **environment)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ("培训平台", "Training", "培训平台")),
        ({"SITE_NAME": " 山海培训 ", "SITE_NAME_EN": "Hills"}, ("山海培训", "Hills", "山海培训")),
        ({"SITE_NAME": "山海培训", "SITE_NAME_EN": ""}, ("山海培训", "山海培训", "山海培训")),
        ({"SITE_NAME_EN": "Hills"}, ("Hills", "Hills", "Hills")),
    ],
)
def test_site_has_the_name_that_the_house_gives_it(monkeypatch, environment, expected):
    for name in ("SITE_NAME", "SITE_NAME_EN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    base = runpy.run_path(str(ROOT / "training_site" / "settings" / "base.py"))
    assert (base["SITE_NAME"], base["SITE_NAME_EN"], base["WAGTAIL_SITE_NAME"]) == expected


def test_no_company_is_named_outside_the_demo():
    files = [*ROOT.glob("*/templates/**/*.html"), *ROOT.glob("*/templates/**/*.txt"), *ROOT.glob("*/locale/**/*.po")]
    files += [file for app in ROOT.glob("*/apps.py") for file in app.parent.rglob("*.py")]
    demo = ROOT / "portal" / "demo"
    fixed = [
        file for file in files if demo not in file.parents and re.search("华信通|Huaxintong", file.read_text("utf-8"))
    ]
    assert fixed == []


def test_no_mail_never_counts_as_sent(caplog):
    connection = get_connection("training_site.mail.NoMail")
    assert connection.send_messages([EmailMessage("s", "b", to=["a@example.com"])]) == 0
    assert caplog.messages == ["no mail server is set up (EMAIL_HOST=none): messages not sent: 1"]


def _production(**environment) -> str:
    """The mail backend of production, or the last line of its refusal."""
    asked = subprocess.run(
        [sys.executable, "-c", "from training_site.settings import production as p; print(p.EMAIL_BACKEND)"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return (asked.stderr.strip().splitlines() or asked.stdout.strip().splitlines())[-1]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "SECRET_KEY is not set"),
        (ENOUGH, "EMAIL_HOST is not set: nobody would get an invitation by e-mail."),
        ({**ENOUGH, "EMAIL_HOST": "localhost"}, SMTP),
        ({**ENOUGH, "EMAIL_HOST": "none"}, "training_site.mail.NoMail"),
        ({**ENOUGH, "EMAIL_BACKEND": "a.Backend"}, "a.Backend"),
    ],
)
def test_production_asks_for_what_it_needs(environment, expected):
    assert expected in _production(**environment)
