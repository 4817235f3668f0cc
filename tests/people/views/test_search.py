import pytest
from django.core.cache import cache

from tests.factories.people import make_employee, make_unit

pytestmark = pytest.mark.django_db
HERE = "/people/search/"


@pytest.fixture
def me(client):
    cache.clear()
    client.cookies["django_language"] = "en"
    unit = make_unit(name="深圳", name_en="Shenzhen")
    me = make_employee(unit, with_user=True, name="赵一")
    make_employee(make_unit(), employee_no="00123", name="王伟", email="canary@example.com", mobile="13899999999")
    client.force_login(me.user)
    return me


def test_pm_h01_everybody_finds_cards_and_nothing_beyond(client, me):
    for fields in ({"q": "wangwei"}, {"q": "王"}, {"q": "00123"}):
        page = client.get(HERE, fields).content.decode()
        assert "王伟" in page
        assert "canary" not in page
        assert "13899999999" not in page
    assert "Nobody found" in client.get(HERE, {"q": "zzz"}).content.decode()
    assert client.get(HERE, {"q": "canary@example.com"}).context["people"] == []


def test_a_fragment_for_htmx_and_options_for_a_field(client, me):
    whole = client.get(HERE, {"q": "王"}).content.decode()
    fragment = client.get(HERE, {"q": "王"}, headers={"hx-request": "true"}).content.decode()
    assert "<html" in whole
    assert "<html" not in fragment
    options = client.get(HERE, {"as": "options", "from": "manager", "manager": "王"}).content.decode()
    assert '<option value="00123">王伟' in options
    assert "<ul" not in options


@pytest.mark.parametrize("text", ["", " ", "%", "_", "*", "'; drop table", "\x00", "x" * 5000, "王" * 500])
def test_pg_06_odd_text_finds_nobody(client, me, text):
    assert client.get(HERE, {"q": text}).context["people"] == []


def test_sc_63_more_than_60_searches_a_minute_wait(client, me):
    for _ in range(60):
        assert client.get(HERE, {"q": "王"}).status_code == 200
    response = client.get(HERE, {"q": "王"})
    assert response.status_code == 429
    assert 1 <= int(response["Retry-After"]) <= 60
    assert client.get(HERE).status_code == 200  # the empty page costs nothing


def test_search_needs_a_sign_in_and_a_fixed_number_of_queries(client, me, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as one:
        client.get(HERE, {"q": "王"})
    for _ in range(8):
        make_employee(me.unit, name="王二")
    with django_assert_num_queries(len(one)):
        client.get(HERE, {"q": "王"})
    client.logout()
    assert client.get(HERE).status_code == 302
