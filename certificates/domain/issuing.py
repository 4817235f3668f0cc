"""Issuing and revoking certificates."""

from __future__ import annotations

import datetime as dt
import itertools
import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from certificates.domain.causes import Cause, cause_of
from certificates.models import Certificate, CertificateDesign, DesignVersion, NumberSeries, fill
from core.events import Link, record_event, record_events
from core.periods import Month
from people.models import Employee


class NoPublishedDesign(Exception):
    """The design was never published, so there is nothing to issue with."""


class GivenWith(Exception):
    """The certificate is revoked with what it was given for (``cause``), never alone."""

    def __init__(self, cause: Cause):
        super().__init__(cause.label)
        self.cause = cause


class AlreadyRevoked(Exception):
    """The certificate was revoked before; its first reason stands."""


class ReasonMissing(Exception):
    """Revoking needs a reason."""


@dataclass(frozen=True)
class Subject:
    """What one certificate is given for: the person, the title in both languages, and when if not now."""

    employee: Employee
    title_zh: str
    title_en: str
    at: dt.datetime | None = None


def issue_certificate(
    *, employee: Employee, design: CertificateDesign, subject_zh: str, subject_en: str, at: dt.datetime, by=None
) -> Certificate:
    """This function will issue one certificate: its number, check code and finished words are fixed from now on.

    The caller holds the row that caused it (an enrolment, an award) and stores the certificate there, which is what
    prevents a second one. One event on the chain ``certificates``. Raises NoPublishedDesign.
    """
    return issue_certificates(subjects=[Subject(employee, subject_zh, subject_en)], design=design, at=at, by=by)[0]


def issue_certificates(
    *, subjects: Iterable[Subject], design: CertificateDesign, at: dt.datetime, by=None
) -> list[Certificate]:
    """This function will issue a batch of one design in one transaction, in the order given (see issue_certificate)."""
    subjects = list(subjects)
    version = DesignVersion.objects.filter(design=design).order_by("-number").first()
    if version is None:
        raise NoPublishedDesign(design.name)
    with transaction.atomic():
        given_at = [subject.at or at for subject in subjects]
        years = Counter(timezone.localtime(moment).year for moment in given_at)
        numbers = {year: itertools.count(_take_numbers(year, count)) for year, count in sorted(years.items())}
        certificates = Certificate.objects.bulk_create(
            (
                _finished(subject, version, next(numbers[timezone.localtime(moment).year]), moment)
                for subject, moment in zip(subjects, given_at, strict=True)
            ),
            batch_size=1000,
        )
        record_events(
            chain="certificates",
            links=[
                Link(
                    action="issued",
                    subject=certificate,
                    actor=by,
                    at=certificate.issued_at,
                    after={"number": certificate.number, "employee": certificate.employee_id, "design": str(version)},
                )
                for certificate in certificates
            ],
        )
    return certificates


def _take_numbers(year: int, count: int) -> int:
    """The first of ``count`` numbers nobody else has, by one update of the year's counter."""
    if not NumberSeries.objects.filter(year=year).update(last=F("last") + count):
        try:
            with transaction.atomic():
                NumberSeries.objects.create(year=year, last=count)
        except IntegrityError:  # another writer began the year at the same moment
            NumberSeries.objects.filter(year=year).update(last=F("last") + count)
    return NumberSeries.objects.get(year=year).last - count + 1


def _finished(subject: Subject, version: DesignVersion, number: int, at: dt.datetime) -> Certificate:
    local = timezone.localtime(at)
    text = f"{local.year}-{number:06d}"
    words = {
        "name": subject.employee.name,
        "number": text,
        "company": version.content["issuer_zh"],
    }
    words_en = {
        **words,
        "name": subject.employee.name_latin or subject.employee.name,
        "company": version.content["issuer_en"],
    }
    months = version.content.get("valid_months")
    return Certificate(
        number=text,
        code=secrets.token_hex(16),
        employee=subject.employee,
        design_version=version,
        holder=subject.employee.name,
        holder_latin=subject.employee.name_latin,
        subject_zh=subject.title_zh,
        subject_en=subject.title_en,
        sentence_zh=fill(
            version.content["sentence_zh"],
            {**words, "course": subject.title_zh, "date": f"{local.year}年{local.month}月{local.day}日"},
        ),
        sentence_en=fill(
            version.content["sentence_en"],
            {
                **words_en,
                "course": subject.title_en or subject.title_zh,
                "date": f"{local.day} {local:%B} {local.year}",
            },
        ),
        issued_at=at,
        expires_on=_months_later(local.date(), months) if months else None,
    )


def _months_later(day: dt.date, months: int) -> dt.date:
    """The last day of validity: the same day so many months later, or the month's last day where there is no such day."""
    month = Month.of(day).plus(months)
    return min(month.last_day, month.first_day + dt.timedelta(days=day.day - 1))


def revoke_certificate(*, certificate: Certificate, by, at: dt.datetime, reason: str) -> Certificate:
    """This function will mark a certificate as revoked, for good; the public page says so from now on.

    One event on the chain ``certificates``. Raises ReasonMissing, AlreadyRevoked, and GivenWith for the certificate of
    something that is taken back as a whole (``causes``).
    """
    reason = reason.strip()
    if not reason:
        raise ReasonMissing
    cause = cause_of(certificate)
    if cause is not None:
        raise GivenWith(cause)
    with transaction.atomic():
        revoked = Certificate.objects.filter(pk=certificate.pk, revoked_at=None).update(
            revoked_at=at, revoked_by=by, revoked_reason=reason
        )
        if not revoked:
            raise AlreadyRevoked(certificate.number)
        record_event(
            chain="certificates",
            action="revoked",
            subject=certificate,
            actor=by,
            at=at,
            after={"number": certificate.number},
            reason=reason,
        )
    certificate.refresh_from_db()
    return certificate


def revoke_certificates(*, certificates: Iterable[Certificate], by, at: dt.datetime, reason: str) -> int:
    """This function will revoke those of some certificates that still hold, for one reason; returns how many.

    One event each on the chain ``certificates``. Raises ReasonMissing.
    """
    reason = reason.strip()
    if not reason:
        raise ReasonMissing
    with transaction.atomic():
        # What another hand revoked a moment ago keeps its first reason and gets no second event.
        mine = {"revoked_at": at, "revoked_by": by, "revoked_reason": reason}
        numbers = sorted(one.pk for one in certificates)
        holding = list(Certificate.objects.filter(pk__in=numbers, revoked_at=None).order_by("pk"))
        moved = Certificate.objects.filter(pk__in=[one.pk for one in holding], revoked_at=None).update(**mine)
        if moved != len(holding):
            raise AlreadyRevoked
        record_events(
            chain="certificates",
            links=[Link("revoked", one, by, at, after={"number": one.number}, reason=reason) for one in holding],
        )
    return moved


def publish_design(*, design: CertificateDesign, at: dt.datetime) -> DesignVersion:
    """This function will freeze a design as its next version, or return the newest one when nothing changed."""
    content = {
        field.name: getattr(design, field.name)
        for field in CertificateDesign._meta.concrete_fields
        if field.name in CONTENT_FIELDS
    }
    newest = DesignVersion.objects.filter(design=design).order_by("-number").first()
    if newest and newest.content == content:
        return newest
    return DesignVersion.objects.create(
        design=design, number=newest.number + 1 if newest else 1, content=content, created_at=at
    )


CONTENT_FIELDS = (
    "title_zh", "title_en", "sentence_zh", "sentence_en", "issuer_zh", "issuer_en", "signatory_zh", "signatory_en",
    "seal_text", "border", "accent", "valid_months",
)  # fmt: skip
