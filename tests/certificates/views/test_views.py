"""Who sees, prints and revokes a certificate; and what the whole world sees."""

import pytest
from django.urls import reverse

from certificates.domain.issuing import revoke_certificate
from certificates.models import Certificate
from core.models import Job
from tests.factories.certificates import make_certificate, make_design
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def house(at):
    """A branch with a manager and two people; HR of it; HR of another branch; an auditor; an author; an administrator."""
    root = make_unit()
    branch, other = make_unit(root), make_unit(root)
    boss = make_employee(unit=branch, with_user=True)
    holder = make_employee(unit=branch, manager=boss, with_user=True, name="王晓琳", name_latin="Wang Xiaolin")
    peer = make_employee(unit=branch, manager=boss, with_user=True)
    users = {"holder": holder.user, "manager": boss.user, "peer": peer.user}
    users |= {name: make_user(username=name) for name in ("hr", "other_hr", "auditor", "author", "admin")}
    grant(users["hr"], "hr", branch)
    grant(users["other_hr"], "hr", other)
    for role in ("auditor", "author", "admin"):
        grant(users[role], role)
    make_design(at)
    return users, make_certificate(holder, at)


def _as(client, users, name):
    if name != "nobody":
        client.force_login(users[name], backend="people.sign_in.EmployeeNumberBackend")
    return client


SEE = {
    "holder": 200,
    "manager": 200,
    "hr": 200,
    "auditor": 200,
    "peer": 404,
    "other_hr": 404,
    "author": 404,
    "admin": 404,
    "nobody": 302,
}


@pytest.mark.parametrize(("who", "status"), SEE.items())
@pytest.mark.parametrize("page", ["detail", "pdf"])
def test_pm_k01_certificate_is_read_by(client, house, who, status, page):
    users, certificate = house
    answer = _as(client, users, who).get(reverse(f"certificates:{page}", args=[certificate.pk]))
    assert answer.status_code == status
    if status == 200 and page == "pdf":
        assert (answer["Content-Type"], answer["Cache-Control"], answer.content[:5]) == (
            "application/pdf",
            "no-store",
            b"%PDF-",
        )


def test_pm_k01_foreign_and_missing_certificate_look_alike(client, house):
    users, certificate = house
    _as(client, users, "peer")
    foreign, missing = (client.get(f"/certificates/{pk:06d}/") for pk in (certificate.pk, 999_999))
    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert len(foreign.content) == len(missing.content)
    assert sorted(foreign.headers) == sorted(missing.headers)


@pytest.mark.parametrize(
    ("who", "status"),
    [
        ("hr", 302),
        ("other_hr", 404),
        ("manager", 403),
        ("holder", 403),
        ("auditor", 403),
        ("admin", 403),
        ("nobody", 302),
    ],
)
def test_pm_k03_certificate_is_revoked_by(client, house, who, status):
    users, certificate = house
    answer = _as(client, users, who).post(reverse("certificates:revoke", args=[certificate.pk]), {"reason": "误发"})
    assert answer.status_code == status
    assert bool(Certificate.objects.get().revoked_at) is (who == "hr")


def test_revoking_without_a_reason_changes_nothing(client, house):
    users, certificate = house
    answer = _as(client, users, "hr").post(
        reverse("certificates:revoke", args=[certificate.pk]), {"reason": " "}, follow=True
    )
    assert Certificate.objects.get().revoked_at is None
    assert "撤销必须说明原因" in answer.content.decode() or "Revoking needs a reason" in answer.content.decode()


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_pm_k04_public_page_says_what_it_is_and_masks_the_name(client, house, at, language):
    users, certificate = house
    client.cookies["django_language"] = language
    address = reverse("certificates:verify", args=[certificate.code])
    answer = client.get(address)
    page = answer.content.decode()
    assert (answer.status_code, answer["Referrer-Policy"]) == (200, "no-referrer")
    assert "王*琳" in page and certificate.number in page
    assert "王晓琳" not in page and "Xiaolin" not in page
    assert ("真实有效" if language == "zh-hans" else "Genuine and valid") in page
    revoke_certificate(certificate=certificate, by=users["hr"], at=at, reason="一个秘密的原因")
    page = client.get(address).content.decode()
    assert ("已撤销" if language == "zh-hans" else "Revoked") in page
    assert "秘密" not in page


@pytest.mark.parametrize("code", ["0" * 32, "2026-000001", "x", "%00", "王"])
def test_pm_k04_unknown_code_is_404_in_plain_words(client, house, code):
    assert client.get(f"/verify/{code}/").status_code == 404


def test_code_can_be_typed_or_pasted_as_an_address(client, house):
    code = house[1].code
    answer = client.get("/verify/", {"code": f" https://x.example/verify/{code.upper()}/ "})
    assert (answer.status_code, answer["Location"]) == (302, f"/verify/{code}/")


def test_print_page_prints_the_months_certificates_of_ones_people(client, house):
    users, certificate = house
    _as(client, users, "hr")
    page = client.get("/certificates/print/", {"month": "2026-11", "form": "pdf"})
    assert page.context["count"] == 1
    answer = client.post("/certificates/print/", {"month": "2026-11", "form": "zip"})
    job = Job.objects.get()
    assert answer["Location"] == f"/certificates/print/{job.pk}/"
    assert job.arguments == {"ids": [certificate.pk], "form": "zip"}


def test_pg_02_print_of_a_foreign_id_is_404_and_starts_nothing(client, house, at):
    users, certificate = house
    foreign = make_certificate(make_employee(unit=make_unit()), at)
    answer = _as(client, users, "hr").post("/certificates/print/", {"certificate": [certificate.pk, foreign.pk]})
    assert (answer.status_code, Job.objects.count()) == (404, 0)


@pytest.mark.parametrize("value", ["", "x", "-1", "9" * 40, "%"])
def test_pg_06_odd_ids_are_404(client, house, value):
    assert _as(client, house[0], "hr").post("/certificates/print/", {"certificate": [value]}).status_code == 404


def test_printed_file_is_for_who_asked_and_while_they_may_see_it(client, house, django_capture_on_commit_callbacks):
    users, certificate = house
    _as(client, users, "manager")
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/certificates/print/", {"certificate": [certificate.pk]})
    job = Job.objects.get()
    address = f"/certificates/print/{job.pk}/file/"
    answer = client.get(address)
    assert (answer.status_code, answer["Cache-Control"], b"".join(answer)[:5]) == (200, "no-store", b"%PDF-")
    assert client.get(f"/certificates/print/{job.pk}/").status_code == 200
    certificate.employee.manager = None
    certificate.employee.save()
    assert client.get(address).status_code == 403
    _as(client, users, "hr")
    assert (client.get(address).status_code, client.get(f"/certificates/print/{job.pk}/").status_code) == (404, 404)


@pytest.mark.parametrize("count", [1, 20])
def test_own_list_has_a_fixed_number_of_queries(client, house, at, count, django_assert_max_num_queries):
    users, certificate = house
    for _ in range(count - 1):
        make_certificate(certificate.employee, at)
    _as(client, users, "holder")
    with django_assert_max_num_queries(9):
        page = client.get("/certificates/")
    assert len(page.context["rows"]) == count


def test_pm_k01_a_badge_is_taken_along_by_its_holder_only(client, at):
    employee = make_employee(user=make_user())
    certificate = make_certificate(employee, at)
    address = reverse("certificates:badge", args=[certificate.pk, "jwt"])
    client.force_login(employee.user)
    answer = client.get(address)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/vc+jwt")
    assert answer["Content-Disposition"] == f'attachment; filename="{certificate.number}.jwt"'
    picture = client.get(reverse("certificates:badge", args=[certificate.pk, "svg"]))
    assert picture["Content-Disposition"] == f'attachment; filename="{certificate.number}.svg"'
    assert client.get(reverse("certificates:badge", args=[certificate.pk, "exe"])).status_code == 404
    boss = make_employee(user=make_user())
    employee.manager = boss
    employee.save()
    client.force_login(boss.user)
    assert client.get(reverse("certificates:detail", args=[certificate.pk])).status_code == 200
    assert client.get(address).status_code == 404


def test_who_signs_badges_is_public(client):
    assert client.get(reverse("certificates:badge_issuer")).json()["type"] == ["Profile"]
    assert [key["kty"] for key in client.get(reverse("certificates:badge_keys")).json()["keys"]] == ["RSA"]
    assert client.get(reverse("certificates:badges_revoked")).json()["revokedCredential"] == []
