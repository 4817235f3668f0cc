"""The gate of pictures and the page of a job."""

import datetime as dt
import io

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from PIL import Image
from wagtail.models import Collection

from core.jobs import KINDS, JobKind
from core.models import File, Job, Picture
from tests.factories.people import make_user

NOW = dt.datetime(2026, 11, 22, 8, tzinfo=dt.UTC)


@pytest.fixture
def picture(db):
    content = io.BytesIO()
    Image.new("RGB", (400, 300), "#884422").save(content, "PNG")
    Collection.objects.exists() or Collection.add_root(name="Root")
    return Picture.objects.create(title="Desk", file=SimpleUploadedFile("desk.png", content.getvalue()))


# --- pictures ---------------------------------------------------------------------------------------------------------
def test_mc16_pm_c06_picture_and_rendition_are_sent_to_who_is_signed_in(client, picture):
    client.force_login(make_user())
    for url in (picture.file.url, picture.get_rendition("width-200").url):
        response = client.get(url)
        assert response.status_code == 200
        assert (response["Content-Type"], response["X-Content-Type-Options"]) == ("image/png", "nosniff")
        assert response["Cache-Control"] == "private, max-age=31536000, immutable"
        assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert b"".join(response.streaming_content).startswith(b"\x89PNG")


def test_mc16_pm_c06_strangers_get_no_picture(client, picture):
    assert client.get(picture.file.url).status_code == 302


@pytest.mark.parametrize(
    "path",
    [
        "original_images/desk-of-somebody.png",  # on the disk, in no row
        "../secret.png",
        "original_images/../original_images/desk.png",
        "original_images/desk.png/",
        "original_images%2Fdesk.png",
        "original_images/DESK.PNG",
        "/etc/passwd",
        "original_images/desk%00.png",
        "%00",
        "x" * 3000 + ".png",
        "",
    ],
)
def test_mc16_only_names_in_the_database_are_found(client, picture, path):
    if not default_storage.exists("original_images/desk-of-somebody.png"):
        default_storage.save("original_images/desk-of-somebody.png", ContentFile(b"\x89PNG"))
    client.force_login(make_user())
    assert client.get(f"/media/{path}").status_code == 404


def test_mc16_files_for_download_are_not_pictures(client, db):
    file = File.objects.create(title="List", file=ContentFile(b"a,b", name="list.csv"))
    client.force_login(make_user())
    assert client.get(f"/media/{file.file.name}").status_code == 404


def test_mc08_nothing_but_pictures_goes_through_the_gate(client, picture):
    name = default_storage.save("original_images/active.svg", ContentFile(b"<svg onload='alert(1)'/>"))
    Picture.objects.filter(pk=picture.pk).update(file=name)
    client.force_login(make_user())
    assert client.get(f"/media/{name}").status_code == 404


def test_picture_whose_file_is_gone_is_missing(client, picture):
    default_storage.delete(picture.file.name)
    client.force_login(make_user())
    assert client.get(picture.file.url).status_code == 404


def test_mc09_pictures_are_only_read(client, picture):
    client.force_login(make_user())
    assert client.post(picture.file.url).status_code == 405


# --- jobs -------------------------------------------------------------------------------------------------------------
class Print(JobKind):
    title = "打印证书"

    def url(self, job):
        return f"/printed/{job.pk}/"


@pytest.fixture
def kind(monkeypatch):
    monkeypatch.setitem(KINDS, "tests.print", Print())


def _job(user, state="running", **fields):
    values = {"kind": "tests.print", "state": state, "total": 120, "cursor": 42, "created_at": NOW, **fields}
    return Job.objects.create(requested_by=user, **values)


def test_pm_n01_job_is_shown_to_who_asked_for_it(client, db, kind):
    user = make_user()
    client.force_login(user)
    page = client.get(reverse("core:job", args=[_job(user).pk])).content.decode()
    assert "打印证书" in page and "42 / 120" in page and 'hx-trigger="every 1500ms"' in page


def test_pg10_job_of_another_is_as_missing_as_none(client, db, kind):
    other = _job(make_user())
    client.force_login(make_user())
    answers = [client.get(reverse("core:job", args=[number])) for number in (other.pk, other.pk + 1000)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert client.post(reverse("core:job", args=[other.pk]), {"do": "stop"}).status_code == 404
    other.refresh_from_db()
    assert not other.stop_requested


def test_pg06_a_number_beyond_all_numbers_is_missing(client, db):
    client.force_login(make_user())
    assert client.get(f"/jobs/{'9' * 40}/").status_code == 404


def test_job_fragment_asks_again_while_it_runs(client, db, kind):
    user = make_user()
    client.force_login(user)
    address = reverse("core:job", args=[_job(user).pk])
    response = client.get(address, headers={"hx-request": "true"})
    assert "<html" not in response.content.decode() and f'hx-get="{address}"' in response.content.decode()
    assert not {"HX-Refresh", "HX-Redirect"} & set(response.headers)


@pytest.mark.parametrize("state", ["done", "failed", "stopped"])
def test_job_that_ended_has_its_page_loaded_anew(client, db, kind, state):
    user = make_user()
    client.force_login(user)
    address = reverse("core:job", args=[_job(user, state=state).pk])
    response = client.get(address, headers={"hx-request": "true", "hx-current-url": "http://testserver/hr/roster/3/"})
    assert response["HX-Refresh"] == "true" and "hx-get" not in response.content.decode()


def test_job_on_its_own_page_leads_to_its_result(client, db, kind):
    user = make_user()
    client.force_login(user)
    job = _job(user, state="done", cursor=120)
    address = reverse("core:job", args=[job.pk])
    response = client.get(address, headers={"hx-request": "true", "hx-current-url": f"http://testserver{address}"})
    assert response["HX-Redirect"] == f"/printed/{job.pk}/"
    assert f'href="/printed/{job.pk}/"' in client.get(address).content.decode()


def test_job_can_be_stopped_and_taken_up_again(client, db, kind, settings):
    settings.JOBS = "worker"
    user = make_user()
    client.force_login(user)
    job = _job(user)
    address = reverse("core:job", args=[job.pk])
    assert client.post(address, {"do": "stop", "next": "/hr/roster/"})["Location"] == "/hr/roster/"
    job.refresh_from_db()
    assert job.stop_requested
    Job.objects.filter(pk=job.pk).update(state="stopped")
    assert client.post(address, {"do": "resume", "next": "https://elsewhere.example/"})["Location"] == address
    job.refresh_from_db()
    assert (job.state, job.stop_requested) == ("waiting", False)


def test_job_says_what_went_wrong(client, db, kind):
    user = make_user()
    client.force_login(user)
    page = client.get(
        reverse("core:job", args=[_job(user, state="failed", error="第 18 行：找不到单位").pk])
    ).content.decode()
    assert "第 18 行：找不到单位" in page and 'value="resume"' in page
