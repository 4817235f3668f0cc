"""A certificate is finished when it is issued: nothing that changes later alters it."""

import datetime as dt

import pytest
from django.core.exceptions import ValidationError

from certificates.domain.issuing import (
    AlreadyRevoked,
    NoPublishedDesign,
    ReasonMissing,
    Subject,
    issue_certificate,
    issue_certificates,
    publish_design,
    revoke_certificate,
)
from certificates.domain.queries import masked, state_of
from certificates.models import Certificate, CertificateDesign
from core.events import verify_chain
from core.models import Event
from tests.factories.certificates import make_certificate, make_design
from tests.factories.people import make_employee, make_user

pytestmark = pytest.mark.django_db


def test_issued_certificate_holds_its_finished_words(at):
    design = make_design(
        at, sentence_en="{name} has passed “{course}” on {date}, no. {number}. {company}", valid_months=15
    )
    employee = make_employee(name="王晓琳", name_latin="Wang Xiaolin")
    certificate = make_certificate(employee, at, design)
    assert (certificate.number, certificate.holder, certificate.holder_latin) == (
        "2026-000001",
        "王晓琳",
        "Wang Xiaolin",
    )
    assert certificate.sentence_zh == "已完成课程《销售礼仪》的全部学习并通过考核，成绩合格，特发此证。"
    assert certificate.sentence_en == (
        "Wang Xiaolin has passed “Sales etiquette” on 18 November 2026, no. 2026-000001. Group Training Centre"
    )
    assert certificate.expires_on == dt.date(2028, 2, 18)


def test_later_changes_of_name_and_design_alter_nothing(at):
    certificate = make_certificate(make_employee(name="王晓琳"), at)
    before = Certificate.objects.values().get()
    design = CertificateDesign.objects.get()
    design.sentence_zh = design.title_zh = "别的话"
    design.save()
    publish_design(design=design, at=at)
    certificate.employee.name = "别人"
    certificate.employee.save()
    assert Certificate.objects.values().get() == before
    assert certificate.design_version.content["title_zh"] == "结业证书"
    assert [version.number for version in design.versions.all()] == [2, 1]


def test_publishing_an_unchanged_design_makes_no_version(at):
    design = make_design(at)
    assert publish_design(design=design, at=at).number == 1


def test_numbers_have_no_gap_and_begin_anew_with_the_year(at):
    design = make_design(at)
    people = [make_employee() for _ in range(3)]
    issue_certificates(subjects=[Subject(person, "甲", "A") for person in people], design=design, at=at)
    make_certificate(people[0], at, design)
    make_certificate(people[0], at.replace(year=2027), design)
    numbers = list(Certificate.objects.order_by("pk").values_list("number", flat=True))
    assert numbers == ["2026-000001", "2026-000002", "2026-000003", "2026-000004", "2027-000001"]


def test_mc_20_codes_are_long_and_unlike(at):
    make_design(at)
    codes = {make_certificate(make_employee(), at).code for _ in range(5)}
    assert len(codes) == 5
    assert all(len(code) == 32 for code in codes)  # 32 hexadecimal digits: 128 bits


def test_au_01_issuing_and_revoking_are_events(at):
    user = make_user()
    certificate = make_certificate(make_employee(), at)
    revoke_certificate(certificate=certificate, by=user, at=at, reason="误发")
    assert list(Event.objects.filter(chain="certificates").values_list("action", "actor", "reason")) == [
        ("issued", None, ""),
        ("revoked", user.pk, "误发"),
    ]
    assert verify_chain("certificates") == (2, None)


def test_issuing_needs_a_published_design(at):
    design = CertificateDesign.objects.create(name="草稿")
    with pytest.raises(NoPublishedDesign):
        issue_certificate(employee=make_employee(), design=design, subject_zh="甲", subject_en="A", at=at)


def test_pm_s5_revoking_needs_a_reason_and_happens_once(at):
    user, certificate = make_user(), make_certificate(make_employee(), at)
    with pytest.raises(ReasonMissing):
        revoke_certificate(certificate=certificate, by=user, at=at, reason="  ")
    revoke_certificate(certificate=certificate, by=user, at=at, reason="误发")
    with pytest.raises(AlreadyRevoked):
        revoke_certificate(certificate=certificate, by=user, at=at, reason="再次")
    certificate.refresh_from_db()
    assert (certificate.revoked_at, certificate.revoked_by, certificate.revoked_reason) == (at, user, "误发")


def test_pm_s5_states_by_day(at):
    certificate = make_certificate(make_employee(), at, make_design(at, valid_months=1))
    assert certificate.expires_on == dt.date(2026, 12, 18)
    assert [state_of(certificate, on=day) for day in (dt.date(2026, 12, 18), dt.date(2026, 12, 19))] == [
        "valid",
        "expired",
    ]
    revoke_certificate(certificate=certificate, by=make_user(), at=at, reason="误发")
    assert state_of(certificate, on=at.date()) == "revoked"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("王晓琳", "王*琳"),
        ("王伟", "王*"),
        ("欧阳晓琳", "欧**琳"),
        ("Wang Xiaolin", "W*** X******"),
        ("王", "王"),
        ("", ""),
    ],
)
def test_names_are_masked(name, shown):
    assert masked(name) == shown


@pytest.mark.parametrize(
    ("field", "value"),
    [("sentence_zh", "{course}{salary}"), ("accent", "red; } body { display: none"), ("accent", "#12345")],
)
def test_design_refuses_what_it_cannot_draw(field, value):
    with pytest.raises(ValidationError) as refusal:
        CertificateDesign(name="甲", **{field: value}).full_clean()
    assert list(refusal.value.message_dict) == [field]
