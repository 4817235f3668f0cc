"""What stands on the paper: the words can be read out of the PDF, the QR code leads to the public page."""

import io
import subprocess
import zipfile

import pikepdf
import pytest

from certificates.domain.issuing import revoke_certificate
from certificates.domain.printing import NothingToPrint, NotYours, print_certificates
from certificates.domain.rendering import certificate_pdf, certificates_pdf, verify_url
from core.jobs import run_job
from core.pdf import Line, Modules, Sheet, lay_out
from people.domain.access import Actor
from tests.factories.certificates import make_certificate, make_design
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db


def _text(pdf: bytes) -> str:
    """The words of a PDF, by an independent reader."""
    return subprocess.run(
        ["pdftotext", "-layout", "-", "-"], input=pdf, capture_output=True, check=True
    ).stdout.decode()


@pytest.fixture
def people(at):
    unit = make_unit()
    make_design(at)
    return unit, [
        make_employee(unit=unit, name=name, name_latin=latin)
        for name, latin in (("王晓琳", "Wang Xiaolin"), ("欧阳㻘", "Ouyang Qi"), ("Ann O’Neil", ""))
    ]


def test_certificate_is_one_landscape_page_with_its_words(people, at):
    certificate = make_certificate(people[1][0], at)
    pdf = certificate_pdf(certificate)
    with pikepdf.open(io.BytesIO(pdf)) as document:
        assert len(document.pages) == 1
        assert [round(float(x)) for x in document.pages[0].mediabox] == [0, 0, 842, 595]
    text = _text(pdf)
    for words in (
        "结业证书",
        "王晓琳",
        "Wang Xiaolin",
        "《销售礼仪》",
        "“Sales etiquette”",
        "2026-000001",
        "2026年11月18日",
        "18 November 2026",
    ):
        assert words in text.replace(" 晓 ", "晓"), words


def test_certificate_of_one_and_of_a_batch_look_alike(people, at, tmp_path):
    """The same page is drawn by both ways: compared as pictures, as text extraction does not see a wrong glyph."""
    certificates = [make_certificate(person, at) for person in people[1]]
    (tmp_path / "batch.pdf").write_bytes(certificates_pdf(certificates))
    for page, certificate in enumerate(certificates, start=1):
        (tmp_path / "one.pdf").write_bytes(certificate_pdf(certificate))
        one, batch = (
            subprocess.run(
                ["pdftoppm", "-r", "40", "-gray", "-f", str(number), "-l", str(number), str(tmp_path / name)],
                capture_output=True, check=True,
            ).stdout
            for name, number in (("one.pdf", 1), ("batch.pdf", page))
        )  # fmt: skip
        assert one == batch
        assert sum(byte < 128 for byte in one) > 1000  # ink on the page


def test_batch_shares_its_sheet_and_outlines(people, at):
    certificates = [make_certificate(people[1][0], at) for _ in range(20)]
    assert len(certificates_pdf(certificates)) < 3 * len(certificate_pdf(certificates[0]))


def test_expired_date_is_on_the_paper(people, at):
    certificate = make_certificate(people[1][0], at, make_design(at, name="限期", valid_months=12))
    assert "有效期至 2027年11月18日" in _text(certificate_pdf(certificate)).replace("  ", " ")


def test_sc_25_qr_code_names_the_host_of_the_settings(people, at, settings):
    settings.WAGTAILADMIN_BASE_URL = "https://training.example.cn/"
    certificate = make_certificate(people[1][0], at)
    assert verify_url(certificate) == f"https://training.example.cn/verify/{certificate.code}/"


def test_is_14_sheet_fetches_nothing(tmp_path, caplog):
    (tmp_path / "secret.css").write_text("p { font-size: 80pt } p::before { content: 'secret' }")
    sheet = (
        f"<link rel='stylesheet' href='file://{tmp_path}/secret.css'><img src='http://127.0.0.1:9/x.png'><p>words</p>"
    )
    assert _text(lay_out(sheet)).split() == ["words"]
    assert [record.message.count("disallowed protocol") for record in caplog.records] == [1, 1]


def test_long_name_is_made_to_fit_and_rare_characters_are_drawn():
    sheet = Sheet(lay_out("<style>@page { size: 100mm 50mm }</style><p>.</p>"))
    pdf = sheet.copy(
        [
            Line("名" * 40, 50, 20, 20, align="center", fit=80),
            Line("𠮷\uffff", 50, 30, 20),
            Modules((b"\x01\x00", b"\x00\x01"), 5, 5, 10),
        ]
    )
    assert "名" * 40 in _text(pdf)


def test_print_job_makes_one_pdf_or_a_zip_in_the_order_of_units(people, at):
    unit, staff = people
    user = make_user()
    grant(user, "hr", unit)
    certificates = [make_certificate(person, at) for person in reversed(staff)]
    actor = Actor(user=user, on=at.date())
    ids = [certificate.pk for certificate in certificates]
    for form in ("pdf", "zip"):
        job = print_certificates(ids=ids, form=form, by=actor, at=at)
        run_job(job.pk)
        job.refresh_from_db()
        assert (job.state, job.error, job.result) == ("done", "", {"count": 3, "form": form})
        with job.file.open() as file:
            content = file.read()
        if form == "pdf":
            text = _text(content)
            assert text.count("\f") == 3
            assert text.index("2026-000003") < text.index("2026-000002") < text.index("2026-000001")
        else:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                assert archive.namelist() == ["2026-000003.pdf", "2026-000002.pdf", "2026-000001.pdf"]


def test_pg_02_print_with_one_foreign_certificate_fails_whole(people, at):
    user = make_user()
    grant(user, "hr", people[0])
    own, foreign = make_certificate(people[1][0], at), make_certificate(make_employee(unit=make_unit()), at)
    with pytest.raises(NotYours):
        print_certificates(ids=[own.pk, foreign.pk], form="pdf", by=Actor(user=user, on=at.date()), at=at)


def test_pg_09_role_that_ended_before_the_job_ran_prints_nothing(people, at):
    user = make_user()
    role = grant(user, "hr", people[0])
    certificate = make_certificate(people[1][0], at)
    job = print_certificates(ids=[certificate.pk], form="pdf", by=Actor(user=user, on=at.date()), at=at)
    role.delete()
    run_job(job.pk)
    job.refresh_from_db()
    assert (job.state, bool(job.error), bool(job.file)) == ("failed", True, False)


def test_revoked_certificates_are_not_printed(people, at):
    user = make_user()
    grant(user, "hr", people[0])
    certificate = make_certificate(people[1][0], at)
    revoke_certificate(certificate=certificate, by=user, at=at, reason="误发")
    with pytest.raises(NothingToPrint):
        print_certificates(ids=[certificate.pk], form="pdf", by=Actor(user=user, on=at.date()), at=at)
