import pytest
from django.core.cache import cache

from people.models import User
from tests.factories.people import PASSWORD, grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db
NEW = "seven green lamps at the harbour"


@pytest.fixture
def employee(client):
    client.cookies["django_language"] = "en"
    employee = make_employee(make_unit(name="深圳", name_en="Shenzhen"), with_user=True, email="a@example.com")
    client.force_login(employee.user)
    return employee


def test_pm_p06_the_account_shows_oneself_and_ones_roles(client, employee):
    grant(employee.user, "hr", employee.unit)
    make_employee(employee.unit, employee)
    response = client.get("/account/")
    assert response.status_code == 200
    assert response.context["employee"] == employee
    page = response.content.decode()
    for words in ("a@example.com", "Shenzhen", "HR", "manager"):
        assert words in page


def test_the_account_of_a_sign_in_without_a_record(client):
    client.cookies["django_language"] = "en"
    client.force_login(make_user("root-admin"))
    assert "This sign-in has no employee record." in client.get("/account/").content.decode()


def test_sc_32_a_change_needs_the_old_password(client, employee):
    for old in ("", "wrong words here", NEW):
        response = client.post("/account/password/", {"old": old, "password": NEW})
        assert response.status_code == 422
    assert User.objects.get(pk=employee.user.pk).check_password(PASSWORD)


def test_mc_13_a_change_ends_every_session_but_this(client, employee):
    other = type(client)()
    other.force_login(employee.user)
    key = client.session.session_key
    response = client.post("/account/password/", {"old": PASSWORD, "password": NEW})
    assert response.status_code == 302
    assert client.get("/account/").status_code == 200
    assert client.session.session_key != key
    assert other.get("/account/").status_code == 302
    assert User.objects.get(pk=employee.user.pk).check_password(NEW)


def test_sc_30_a_change_obeys_the_rules(client, employee):
    response = client.post("/account/password/", {"old": PASSWORD, "password": "too short"})
    assert list(response.context["form"].errors) == ["password"]


def test_sc_23_ending_the_other_sessions_keeps_this_one(client, employee):
    other = type(client)()
    other.force_login(employee.user)
    assert client.get("/account/sessions/end/").status_code == 405
    client.post("/account/sessions/end/")
    assert client.get("/account/").status_code == 200
    assert other.get("/account/").status_code == 302


# --- language --------------------------------------------------------------------------------------------------------


def test_the_language_is_kept_in_the_browser_and_with_the_user(client, employee):
    response = client.post("/language/", {"language": "zh-hans", "next": "/account/"})
    assert response["Location"] == "/account/"
    assert client.cookies["django_language"].value == "zh-hans"
    assert User.objects.get(pk=employee.user.pk).language == "zh-hans"
    assert "账号与安全" in client.get("/account/").content.decode()
    elsewhere = type(client)()
    elsewhere.force_login(employee.user)
    assert "账号与安全" in elsewhere.get("/account/", headers={"accept-language": "en"}).content.decode()


@pytest.mark.parametrize(
    ("fields", "goes_to"),
    [
        ({"language": "en", "next": "//evil.example"}, "/"),
        ({"language": "en", "next": "https://evil.example/x"}, "/"),
        ({"language": "en"}, "/"),
        ({"language": "xx", "next": "/account/"}, "/account/"),
        ({"language": "", "next": "/account/"}, "/account/"),
        ({"language": "en", "next": "/zh-hans/there/is/no/such/page/"}, "/zh-hans/there/is/no/such/page/"),
    ],
)
def test_sc_24_the_language_switch_leads_only_to_own_paths(client, fields, goes_to):
    assert client.post("/language/", fields)["Location"] == goes_to


def test_an_unknown_language_changes_nothing(client, employee):
    client.post("/language/", {"language": "xx", "next": "/account/"})
    assert User.objects.get(pk=employee.user.pk).language == ""
    assert client.get("/language/").status_code == 405


def test_a_content_page_is_left_for_its_translation(client):
    from wagtail.models import Locale, Page, Site

    chinese = Locale.objects.get_or_create(language_code="zh-hans")[0]
    english = Locale.objects.get_or_create(language_code="en")[0]
    root = Page.get_first_root_node()
    home = root.add_child(instance=Page(title="首页", slug="shouye", locale=chinese))
    child = home.add_child(instance=Page(title="关于", slug="about-zh", locale=chinese))
    alone = home.add_child(instance=Page(title="只有中文", slug="alone", locale=chinese))
    twin_home = home.copy_for_translation(english)
    twin_home.slug = "home-en"
    twin_home.save_revision().publish()
    twin = child.copy_for_translation(english)
    twin.slug = "about"
    twin.save_revision().publish()
    Site.objects.all().delete()
    Site.objects.create(hostname="testserver", root_page=home, is_default_site=True)
    Site.clear_site_root_paths_cache()
    cache.clear()

    def switched(path):
        return client.post("/language/", {"language": "en", "next": path})["Location"]

    assert switched("/zh-hans/about-zh/") == "/en/about/"
    assert switched("/zh-hans/about-zh/?page=2") == "/en/about/?page=2"
    assert switched("/zh-hans/") == "/en/"
    assert switched(f"/zh-hans/{alone.slug}/") == "/zh-hans/alone/"
