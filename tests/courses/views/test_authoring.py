import pytest
from django.contrib.auth.models import Group
from django.urls import reverse
from wagtail.admin.menu import admin_menu, reports_menu, settings_menu
from wagtail.models import GroupPagePermission, Locale, Page, Workflow, WorkflowPage
from wagtail.snippets.models import get_snippet_models

from courses.domain.authoring import setup_authoring
from tests.factories.courses import make_catalogue, make_course_page
from tests.factories.people import grant, make_user

pytestmark = pytest.mark.django_db


def _user(group):
    user = make_user()
    grant(user, "author")
    user.groups.add(group)
    return user


@pytest.fixture
def authoring():
    return setup_authoring()


@pytest.fixture
def author(client, authoring):
    user = _user(authoring.authors)
    client.force_login(user)
    client.user = user
    return client


def test_setup_authoring_twice_gives_the_same(authoring):
    again = setup_authoring()
    assert again == authoring
    assert sorted(Group.objects.values_list("name", flat=True)) == ["Content authors", "Content moderators"]
    assert set(Locale.objects.values_list("language_code", flat=True)) == {"zh-hans", "en"}
    assert list(WorkflowPage.objects.values_list("workflow__name", flat=True)) == ["Moderation"]
    assert list(Workflow.objects.filter(active=True).values_list("name", flat=True)) == ["Moderation"]


def _page_rights(group):
    rights = GroupPagePermission.objects.filter(group=group, page=Page.objects.get(depth=1))
    return sorted(rights.values_list("permission__codename", flat=True))


def test_pm_c04_authors_write_and_moderators_publish(authoring):
    assert _page_rights(authoring.authors) == ["add_page", "change_page"]
    assert _page_rights(authoring.moderators) == [
        "add_page",
        "change_page",
        "lock_page",
        "publish_page",
        "unlock_page",
    ]


def test_mc_22_the_groups_may_touch_content_only(authoring):
    content = {model._meta.label_lower for model in get_snippet_models()} | {
        "wagtailadmin.admin",
        "simple_translation.simpletranslation",
    }
    for group in (authoring.authors, authoring.moderators):
        touched = {
            f"{permission.content_type.app_label}.{permission.content_type.model}"
            for permission in group.permissions.select_related("content_type")
        }
        assert touched <= content


def test_mc_22_nothing_person_bound_is_a_snippet():
    apps = {model._meta.app_label for model in get_snippet_models()}
    assert not apps & {"people", "core"}
    names = {model._meta.model_name for model in get_snippet_models()}
    assert not names & {"enrolment", "stepcompletion", "attempt", "response", "certificate", "tally"}


def test_an_author_submits_and_a_moderator_publishes(author, authoring):
    catalogue = make_catalogue()
    page = make_course_page(catalogue, lessons=0)
    assert page.permissions_for_user(author.user).can_publish() is False
    assert page.permissions_for_user(author.user).can_submit_for_moderation() is True
    assert page.permissions_for_user(_user(authoring.moderators)).can_publish() is True
    assert page.get_workflow() == authoring.workflow


def _names(menu, request):
    return {item.name for item in menu.menu_items_for_request(request)}


def test_pm_c10_the_menu_of_an_author_shows_content_only(author, rf):
    request = rf.get("/cms/")
    request.user = author.user
    shown = _names(admin_menu, request)
    assert {"courses", "explorer", "images", "documents", "reports"} <= shown
    assert not shown & {"settings", "users", "groups", "sites", "redirects"}
    assert _names(settings_menu, request) == set()
    assert "course-report" in _names(reports_menu, request)
    assert not _names(reports_menu, request) & {"site-history"}


def test_pm_c10_every_address_of_the_menu_opens_for_an_author(author, rf):
    request = rf.get("/cms/")
    request.user = author.user
    request.resolver_match = None
    addresses = [
        item.url
        for menu in (admin_menu, reports_menu)
        for item in menu.menu_items_for_request(request)
        if getattr(item, "url", "").startswith("/cms/")
    ]
    assert addresses
    for address in addresses:
        assert author.get(address).status_code in (200, 302), address


@pytest.mark.parametrize(
    "address",
    [
        "users/",
        "groups/",
        "sites/",
        "locales/",
        "workflows/list/",
        "workflows/tasks/index/",
        "collections/",
        "redirects/",
    ],
)
def test_pm_c10_what_is_no_content_does_not_open(author, address):
    response = author.get(f"/cms/{address}")
    assert response.status_code in (302, 403, 404)
    assert response.status_code != 302 or response.url == reverse("wagtailadmin_home")


def test_the_courses_menu_leads_into_the_tree(author):
    catalogue = make_catalogue()
    response = author.get(reverse("courses_tree"))
    assert response.url == reverse("wagtailadmin_explore", args=[catalogue.pk])


def test_pm_c09_the_report_of_courses_is_for_authors(author, client):
    make_course_page(lessons=1, title="没有英文")
    response = author.get(reverse("courses_report"))
    assert "没有英文" in response.content.decode()
    client.force_login(make_user())
    assert client.get(reverse("courses_report")).status_code in (302, 403, 404)


def test_a_course_code_that_is_taken_is_said_in_the_form(author):
    catalogue = make_catalogue()
    make_course_page(catalogue, code="ETQ-01", title="销售礼仪", lessons=0)
    other = make_course_page(catalogue, code="ETQ-02", lessons=0)
    data = {
        "title": other.title,
        "slug": other.slug,
        "code": "ETQ-01",
        "theme": "other",
        "summary": "x",
        "outcomes": "",
        "picture": "",
        "certificate_design": "",
        "comments-TOTAL_FORMS": "0",
        "comments-INITIAL_FORMS": "0",
        "comment_notifications": "",
    }
    response = author.post(reverse("wagtailadmin_pages:edit", args=[other.pk]), data)
    assert response.status_code == 200
    assert "销售礼仪" in response.content.decode()
    other.refresh_from_db()
    assert other.get_latest_revision_as_object().code == "ETQ-02"
