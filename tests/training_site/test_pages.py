"""The styleguide and the frame of every page."""

import pytest
from django.contrib import messages
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.urls import reverse
from django.utils import translation

from tests.factories.people import make_employee, make_user


@pytest.mark.django_db
@pytest.mark.parametrize(("language", "words"), [("zh-hans", "样式指南"), ("en", "Styleguide")])
def test_styleguide_shows_every_component_in_both_languages(client, language, words):
    client.cookies["django_language"] = language
    page = client.get("/styleguide/").content.decode()
    assert f"<h1>{words}</h1>" in page
    marks = ["card--primary", "ring", "bar", "stat", "chip--overdue", "person", "unit-path", "table", "filter-bar"]
    marks += ["pagination", "month-switch", "tabs", "field--wrong", "file-drop", "dialog", "notice--error", "toast"]
    marks += ["empty", "steps", "progress", "timeline", "bar-chart", "sparkline"]
    assert [mark for mark in marks if f'class="{mark}' not in page and f" {mark}" not in page] == []


@pytest.mark.django_db
def test_pages_hold_no_style_and_no_script_of_their_own(client):
    page = client.get("/styleguide/").content.decode()
    assert [word for word in (" style=", " onclick=", " onload=", "<style", "javascript:") if word in page] == []
    assert [tag for tag in page.split("<script")[1:] if " src=" not in tag.split(">")[0]] == []


@pytest.mark.django_db
def test_language_switch_offers_the_other_language_and_comes_back(client):
    page = client.get("/styleguide/?a=1").content.decode()
    assert f'action="{reverse("people:set_language")}"' in page
    assert '<input type="hidden" name="next" value="/styleguide/?a=1">' in page
    assert '<button type="submit" name="language" value="en" lang="en">' in page
    client.cookies["django_language"] = "en"
    assert 'name="language" value="zh-hans" lang="zh-Hans"' in client.get("/styleguide/").content.decode()


@pytest.mark.django_db
def test_language_switch_is_remembered(client):
    user = make_user()
    client.force_login(user)
    client.post(reverse("people:set_language"), {"language": "en", "next": "/styleguide/"})
    assert client.get("/styleguide/")["Content-Language"] == "en"
    user.refresh_from_db()
    assert user.language == "en"


@pytest.mark.django_db
def test_frame_for_a_stranger_offers_only_sign_in_and_language(client):
    page = client.get("/styleguide/").content.decode()
    assert reverse("people:sign_in") in page
    assert "data-menu" not in page and 'role="search"' not in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("language", "name"), [("zh-hans", "山海&lt;培训&gt;"), ("en", "Hills &amp; Sea")], ids=["zh-hans", "en"]
)
def test_frame_and_title_bear_the_name_of_the_house(client, settings, language, name):
    settings.SITE_NAME, settings.SITE_NAME_EN = "山海<培训>", "Hills & Sea"
    client.cookies["django_language"] = language
    page = client.get("/sign-in/").content.decode()
    assert f" · {name}</title>" in page
    assert f'<span class="top-bar__name">{name} <span>' in page
    assert "Huaxintong" not in page and "华信通" not in page


@pytest.mark.django_db
def test_frame_has_its_landmarks_and_the_account_menu(client):
    client.force_login(make_employee(name="王伟", user=make_user()).user)
    page = client.get("/styleguide/").content.decode()
    marks = ['<header class="top-bar"', '<main id="main"', "<footer", 'class="skip-link" href="#main"', "data-menu"]
    assert [mark for mark in marks if mark not in page] == []
    assert reverse("people:sign_out") in page


def _toast(**context):
    request = RequestFactory().get("/team/")
    return render_to_string("components/toasts.html", context, request)


def test_toast_offers_undo_by_post():
    message = messages.storage.base.Message(messages.SUCCESS, "Li Na was reminded.", "undo:/reminders/3/undo/")
    with translation.override("en"):
        html = _toast(messages=[message])
    assert '<form method="post" action="/reminders/3/undo/">' in html
    assert "csrfmiddlewaretoken" in html and "toast--success" in html


def test_toast_words_are_escaped():
    html = _toast(messages=[messages.storage.base.Message(messages.ERROR, "<b>Wang</b>")])
    assert "&lt;b&gt;Wang&lt;/b&gt;" in html and "toast--error" in html


def test_ring_and_bar_say_their_numbers():
    with translation.override("en"):
        ring = render_to_string("components/ring.html", {"done": 2999, "total": 3000, "label": "All"})
        bar = render_to_string("components/bar.html", {"done": 0, "total": 0, "label": "New"})
    assert 'stroke-dasharray="99.9 100"' in ring and "2,999 of 3,000" in ring and "99.9\u00a0%" in ring
    assert "–" in bar and 'width="0.0"' in bar
