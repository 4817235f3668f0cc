"""Headers on every kind of response, the language of a request, and what an expired session keeps."""

import pytest
from django.test import Client, override_settings
from django.urls import path

from tests.factories.people import grant, make_employee, make_user
from training_site import urls as site_urls
from training_site.middleware import CMS

STRICT = {
    "default-src": "'none'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "media-src": "'self'",
    "font-src": "'self'",
    "connect-src": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
    "object-src": "'none'",
    "form-action": "'self'",
    "manifest-src": "'self'",
    "script-src": "'self'",
}
KINDS = {
    "page": ("/styleguide/", 200),
    "text": ("/healthz", 200),
    "static file": ("/static/css/site.css", 200),
    "redirect to sign-in": ("/jobs/1/", 302),
    "not found": ("/static/nothing.css", 404),
    "wrong method": ("/language/", 405),
    "server error": ("/broken/", 500),
    "role can never": ("/refused/", 403),
    "bad request": ("/bad/", 400),
}


def _policy(response) -> dict[str, str]:
    parts = (part.strip().split(" ", 1) for part in response["Content-Security-Policy"].split(";") if part.strip())
    return {part[0]: part[1] for part in parts}


def _raise(error):
    from django.contrib.auth.decorators import login_not_required

    @login_not_required
    def view(request):
        raise error

    return view


class WithFaults:
    """The addresses of the site and three that fail in known ways."""

    from django.core.exceptions import PermissionDenied, SuspiciousOperation

    urlpatterns = [
        path("broken/", _raise(RuntimeError("secret in the message"))),
        path("refused/", _raise(PermissionDenied("PM-T02"))),
        path("bad/", _raise(SuspiciousOperation("secret"))),
        *site_urls.urlpatterns,
    ]
    handler400, handler403 = site_urls.handler400, site_urls.handler403
    handler404, handler500 = site_urls.handler404, site_urls.handler500


@pytest.fixture
def with_faults():
    with override_settings(ROOT_URLCONF=WithFaults):
        yield Client(raise_request_exception=False)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", KINDS)
def test_sc02_sc03_sc05_sc06_every_response_has_its_headers(with_faults, kind):
    address, status = KINDS[kind]
    response = with_faults.get(address)
    assert response.status_code == status
    assert _policy(response) == STRICT
    fixed = ("X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy")
    assert [response[name] for name in (*fixed, "Cross-Origin-Resource-Policy")] == [
        "nosniff",
        "DENY",
        "same-origin",
        "same-origin",
        "same-origin",
    ]
    policy = dict(part.strip().split("=") for part in response["Permissions-Policy"].split(","))
    assert policy.pop("fullscreen") == "(self)"
    assert set(policy.values()) == {"()"} and {"camera", "microphone", "geolocation", "usb"} <= set(policy)
    if response.content if not response.streaming else True:
        assert "charset=" in response["Content-Type"]
    response.close()


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "static file"])
def test_sc08_what_is_made_for_a_person_is_not_kept(with_faults, kind):
    assert "no-store" in with_faults.get(KINDS[kind][0])["Cache-Control"]


@pytest.mark.django_db
@pytest.mark.parametrize("kind", KINDS)
def test_sc07_no_other_origin_is_let_in(with_faults, kind):
    response = with_faults.get(KINDS[kind][0], headers={"origin": "https://elsewhere.example"})
    assert not [name for name in response.headers if name.lower().startswith("access-control-")]


@pytest.mark.django_db
def test_sc50_errors_tell_no_secret_and_a_reference_that_is_logged(with_faults, caplog):
    response = with_faults.get("/broken/")
    page = response.content.decode()
    reference = page.split('<strong class="num">')[1].split("<")[0]
    assert len(reference) == 8
    assert f"reference {reference}: GET /broken/: RuntimeError" in caplog.text
    assert "secret" not in page and "Traceback" not in page
    assert "出错了" in page and "Something went wrong" in page
    for address in ("/refused/", "/bad/"):
        body = with_faults.get(address).content.decode()
        assert "secret" not in body and "PM-T02" not in body


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("language", "words"), [("zh-hans", "这里没有您可以查看的内容"), ("en", "There is nothing here for you")]
)
def test_missing_page_says_so_in_the_language_of_the_reader(client, language, words):
    client.cookies["django_language"] = language
    response = client.get("/static/nothing.css")
    assert (response.status_code, response["Content-Language"]) == (404, language)
    assert words in response.content.decode()


# --- the content admin ------------------------------------------------------------------------------------------------
def _author():
    user = make_user(is_superuser=True)  # Wagtail would let this one do anything
    grant(user, "author")
    return user


@pytest.mark.django_db
def test_sc04_the_content_admin_has_its_own_policy_and_scripts_stay_strict(client):
    client.force_login(_author())
    response = client.get(CMS)
    assert response.status_code == 200
    assert _policy(response) == STRICT | {
        "style-src-elem": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "frame-src": "'self'",
        "frame-ancestors": "'self'",
    }
    assert response["X-Frame-Options"] == "SAMEORIGIN"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address",
    [
        "reports/workflow/",
        "snippets/assessments/question/add/",
        "snippets/assessments/quiz/add/",
        "images/add/",
        "pages/",
    ],
)
def test_sc04_no_script_stands_in_a_page_of_the_content_admin(client, address):
    client.force_login(_author())
    page = client.get(CMS + address).content.decode()
    openings = [part.split(">", 1)[0] for part in page.split("<script")[1:]]
    assert openings
    assert [
        tag for tag in openings if "src=" not in tag and 'type="application/json"' not in tag and "text/" not in tag
    ] == []


@pytest.mark.django_db
def test_pm_c09_only_authors_enter_the_content_admin(client):
    client.force_login(make_user(is_superuser=True))
    assert client.get(CMS).status_code == 403
    client.force_login(_author())
    assert client.get(CMS).status_code == 200


@pytest.mark.django_db
def test_pm_c09_a_grant_that_has_ended_opens_nothing(client):
    import datetime as dt

    user = make_user(is_superuser=True)
    grant(user, "author", starts_on=dt.date(2020, 1, 1), until=dt.date(2020, 12, 31))
    client.force_login(user)
    assert client.get(CMS).status_code == 403


@pytest.mark.django_db
@pytest.mark.parametrize(
    "screen",
    [
        "users/",
        "users/add/",
        "groups/",
        "groups/1/",
        "sites/",
        "login/",
        "password_reset/",
        "reports/site-history/",
        "reports/site-history/?export=csv",
        "reports/site-history/results/",
    ],
)
def test_pm_c10_mc22_screens_of_people_do_not_exist_in_the_content_admin(client, screen):
    client.force_login(_author())
    assert client.get(CMS + screen).status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize(
    "report", ["locked", "workflow", "workflow_tasks", "aging-pages", "page-types-usage", "courses"]
)
def test_mc22_reports_of_the_content_admin_know_nobody_but_its_authors(client, report):
    make_employee(employee_no="00777", name="不相干", name_latin="Bu Xianggan", with_user=True)
    client.force_login(_author())
    page = client.get(f"{CMS}reports/{report}/")
    assert page.status_code == 200
    assert [word for word in ("00777", "不相干", "Bu Xianggan") if word in page.content.decode()] == []


# --- language ---------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("cookie", "of_user", "asked", "expected"),
    [
        ("", "", "", "zh-hans"),
        ("", "", "en-GB,en;q=0.9", "en"),
        ("", "", "fr", "zh-hans"),
        ("", "", "zh-CN", "zh-hans"),
        ("", "en", "zh-CN", "en"),
        ("zh-hans", "en", "en", "zh-hans"),
        ("en", "zh-hans", "zh-CN", "en"),
        ("xx", "", "en", "en"),
        ("../etc", "zh-hans", "en", "zh-hans"),
    ],
)
def test_language_is_the_chosen_one_then_the_kept_one_then_the_asked_one(client, cookie, of_user, asked, expected):
    client.force_login(make_user(language=of_user))
    if cookie:
        client.cookies["django_language"] = cookie
    response = client.get("/styleguide/", headers={"accept-language": asked} if asked else {})
    assert response["Content-Language"] == expected
    assert f'<html lang="{"zh-Hans" if expected == "zh-hans" else "en"}">' in response.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_a_content_page_speaks_the_language_of_its_address(client, language):
    client.cookies["django_language"] = "en" if language == "zh-hans" else "zh-hans"
    assert client.get(f"/{language}/no-such-page/")["Content-Language"] == language


@pytest.mark.django_db
def test_one_request_leaves_no_language_to_the_next(client):
    client.get("/styleguide/", headers={"accept-language": "en"})
    assert Client().get("/styleguide/")["Content-Language"] == "zh-hans"


# --- signed out while typing -------------------------------------------------------------------------------------------
OURS = {"origin": "http://testserver"}


@pytest.mark.django_db
def test_expired_session_keeps_what_was_typed(client):
    response = client.post("/jobs/7/", {"reason": "第一行\n<b>二</b>", "do": "stop"}, headers=OURS)
    page = response.content.decode()
    assert response.status_code == 401
    assert "第一行\n&lt;b&gt;二&lt;/b&gt;</textarea>" in page
    assert 'action="/jobs/7/"' in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"reason": "x"}, {"origin": "https://elsewhere.example"}),  # another site made this form
        ({"reason": "x"}, {}),
        ({"new_password1": "long enough to be one"}, OURS),
        ({}, OURS),
    ],
)
def test_expired_session_shows_nothing_that_others_sent(client, fields, headers):
    response = client.post("/jobs/7/", fields, headers=headers)
    assert (response.status_code, response["Location"]) == (302, "/sign-in/?next=/jobs/7/")


@pytest.mark.django_db
@pytest.mark.parametrize("headers", [{"hx-request": "true"}, {"sec-fetch-dest": "empty"}])
def test_a_script_is_told_that_the_session_ended(client, headers):
    response = client.get("/jobs/7/", headers=headers)
    assert (response.status_code, response.content.decode()) == (401, "您的登录已失效。")


@pytest.mark.django_db
def test_old_safety_mark_keeps_what_was_typed():
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_employee(user=make_user()).user)
    ours = client.post("/jobs/7/", {"reason": "还在"}, headers=OURS)
    assert ours.status_code == 403 and "还在</textarea>" in ours.content.decode()
    theirs = client.post("/jobs/7/", {"reason": "外来"}, headers={"origin": "https://elsewhere.example"})
    assert theirs.status_code == 403 and "外来" not in theirs.content.decode()


# --- forms of pages that hide their address ------------------------------------------------------------------------------
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("site", "token", "status"),
    [("same-origin", True, 302), ("same-origin", False, 403), ("cross-site", True, 403), ("", True, 403)],
)
def test_a_form_of_a_page_without_referrer_is_ours_when_the_browser_says_so(site, token, status):
    client = Client(enforce_csrf_checks=True)
    client.get("/verify/")
    fields = {"language": "en", "next": "/verify/"}
    if token:
        fields["csrfmiddlewaretoken"] = client.cookies["csrftoken"].value
    headers = {"origin": "null"} | ({"sec-fetch-site": site} if site else {})
    assert client.post("/language/", fields, headers=headers).status_code == status
