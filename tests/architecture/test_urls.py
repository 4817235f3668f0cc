"""Every address is bound to the permission table or stands on the public list (TRUST MC-22, PG-01, PG-15)."""

import pytest
from django.apps import apps
from django.conf import settings
from django.urls import reverse
from wagtail.images import get_image_model
from wagtail.models import Page
from wagtail.search.index import get_indexed_models
from wagtail.snippets.models import get_snippet_models

from people.domain.access import RULES
from people.domain.roles import grant_role
from portal.house import set_up_house
from tests.architecture.walk import addresses
from tests.factories.people import make_employee, make_unit

# What somebody may open who is not signed in, or what hands over to a page that is bound.
PUBLIC = {
    "healthz": "says only that the site is up",
    "people:sign_in": "the door",
    "people:sign_out": "out of the door",
    "people:invitation": "opened by the secret in the link",
    "people:set_language": "a language is nobody's secret",
    "portal:start": "hands over to the home page or to a bound page",
    "styleguide": "the components with made-up words; not in production",
    "nowhere": "always says: not found",
    "wagtail_serve": "each page type asks for its rows when it is served (tests below)",
}
# Wagtail's own views: bound as a whole.
WHOLE = {"cms/": "PM-C09", "files/": "PM-C06"}

PERSON_BOUND_APPS = {"people", "kpi", "axes", "sessions"}
CONTENT = {"kpi.honourwallpage"}  # words only: what hangs on the wall is looked up when it is read
PERSON_BOUND = {
    "certificates.certificate",
    "courses.enrolment",
    "courses.stepcompletion",
    "courses.tally",
    "assessments.attempt",
    "assessments.response",
    "core.event",
    "core.job",
    "core.notice",
}
CONTENT_APPS = {
    "courses",
    "assessments",
    "certificates",
    "bulletins",
    "portal",
    "core",
    "wagtailcore",
    "wagtailimages",
    "wagtaildocs",
}


def is_person_bound(model) -> bool:
    if model._meta.label_lower in CONTENT:
        return False
    return model._meta.app_label in PERSON_BOUND_APPS or model._meta.label_lower in PERSON_BOUND


def test_pg_01_every_address_is_bound_to_a_row_or_public():
    unbound = [
        (address.route, address.name)
        for address in addresses()
        if not address.rows and address.name not in PUBLIC and not address.route.startswith(tuple(WHOLE))
    ]
    assert unbound == []


def test_pg_01_views_name_only_rows_that_exist():
    unknown = {row for address in addresses() for row in address.rows} - RULES.keys()
    assert unknown == set()


def test_pg_01_the_public_list_names_only_addresses_that_exist():
    names = {address.name for address in addresses()}
    assert PUBLIC.keys() - names == set()


def test_pg_01_whatever_anonymous_people_may_not_do_asks_for_a_sign_in():
    """The middleware lets in whoever a view lets in by name: such a view is on the public list or open to ANON."""
    open_views = {
        address.name
        for address in addresses()
        if not getattr(address.view, "login_required", True) and not address.route.startswith("cms/")
    }
    bound_to_anonymous = {
        address.name for address in addresses() if any("V" in RULES[row]["ANON"] for row in address.rows)
    }
    assert open_views - PUBLIC.keys() - bound_to_anonymous == set()


# --- the content admin ------------------------------------------------------------------------------------------------
@pytest.fixture
def roles(db, client, at):
    """A client for each role, all with an employee record."""
    from django.test import Client

    set_up_house()
    root = make_unit()
    clients = {"ANON": Client()}
    for role in ("", "hr", "author", "auditor", "admin"):
        employee = make_employee(unit=root, with_user=True)
        if role:
            grant_role(user=employee.user, role=role, unit=root if role == "hr" else None, by=None, at=at)
        clients[role or "EMP"] = Client()
        employee.user.refresh_from_db()
        clients[role or "EMP"].force_login(employee.user)
    return clients


def test_pm_c09_the_content_admin_opens_to_authors_only(roles):
    opened = {role: client.get("/cms/").status_code == 200 for role, client in roles.items()}
    assert opened == {"ANON": False, "EMP": False, "hr": False, "author": True, "auditor": False, "admin": False}


@pytest.mark.parametrize(
    "path",
    [
        "users/",
        "users/add/",
        "groups/",
        "sites/",
        "locales/",
        "collections/",
        "workflows/list/",
        "workflows/tasks/index/",
        "redirects/",
        "forms/",
        "settings/",
        "login/",
        "password_reset/",
        "account/api-tokens/",
    ],
)
def test_mc_22_authors_reach_no_users_groups_or_settings(roles, path):
    response = roles["author"].get(f"/cms/{path}")
    refused = response.status_code in {403, 404} or (
        response.status_code == 302 and response.url in {reverse("wagtailadmin_home"), "/cms/"}
    )
    assert refused, (response.status_code, getattr(response, "url", ""))


def test_mc_22_no_programming_interface_is_installed():
    installed = {app.name for app in apps.get_app_configs()}
    assert not installed & {"wagtail.api.v2", "wagtail.api.v3", "wagtail.contrib.settings", "wagtail.contrib.forms"}
    public = [
        address.route for address in addresses() if "api/" in address.route and not address.route.startswith("cms/")
    ]
    assert public == []


def test_mc_22_the_admin_interface_answers_nobody_else(roles):
    asked = {
        role: client.get("/cms/api/main/pages/", headers={"accept": "application/json"}).status_code
        for role, client in roles.items()
        if role != "author"
    }
    assert set(asked.values()) <= {302, 401, 403, 404}


# --- Wagtail's registries -----------------------------------------------------------------------------------------------
def test_pg_15_no_person_is_a_snippet_a_page_or_searchable():
    registered = {*get_snippet_models(), *get_indexed_models(), *_page_models(), get_image_model()}
    assert [model for model in registered if is_person_bound(model)] == []
    assert {model._meta.app_label for model in registered if model._meta.label_lower not in CONTENT} <= CONTENT_APPS


def test_pg_15_no_page_or_snippet_points_at_a_person():
    """Who wrote a page is Wagtail's own affair; what we add to content says nothing about people."""
    found = []
    for model in {*get_snippet_models(), *_page_models()}:
        for field in model._meta.get_fields():
            if not (field.is_relation and field.concrete and field.related_model):
                continue
            own = field.model._meta.app_label not in {"wagtailcore", "wagtailimages", "wagtaildocs"}
            if own and is_person_bound(field.related_model) and field.name not in {"locked_by", "uploaded_by_user"}:
                found.append((model._meta.label, field.name))
    assert found == []


def _page_models():
    return {model for model in apps.get_models() if issubclass(model, Page)}


# --- pages of the content tree --------------------------------------------------------------------------------------------
def test_pm_c02_every_page_type_but_the_home_page_asks_for_a_sign_in(db, client, at):
    """A page type that is added is served to strangers unless somebody thought of it: this finds it."""
    from tests.factories.courses import make_course_page

    set_up_house()
    course = make_course_page()
    lesson = course.get_children().first()
    from wagtail.models import Locale

    from portal.models import HomePage, NewsPage

    home = HomePage.objects.get(pk=course.get_parent().get_parent().pk)
    news = NewsPage(
        title="n",
        slug="n",
        published_on=at.date(),
        summary="s",
        body="<p>b</p>",
        locale=Locale.objects.get(pk=home.locale_id),
    )
    home.add_child(instance=news)
    answers = {
        page.specific_class.__name__: client.get(page.get_url()).status_code
        for page in (home, course.get_parent(), course, lesson, news)
    }
    assert answers == {
        "HomePage": 200,
        "CourseCataloguePage": 302,
        "CoursePage": 302,
        "LessonPage": 302,
        "NewsPage": 302,
    }
    served = {model.__name__ for model in _page_models() if model is not Page}
    # the quiz page is tested with the quiz, bulletins with theirs, the wall with recognition
    assert served == {*answers, "QuizPage", "BulletinIndexPage", "BulletinPage", "HonourWallPage"}


def test_settings_keep_the_registries_small():
    assert "django.contrib.admin" not in settings.INSTALLED_APPS
