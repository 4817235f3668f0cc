"""Drawing certificates: the design's sheet laid out once, each person's words stamped on it (core.pdf)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache

import segno
from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from certificates.models import Certificate, DesignVersion
from core.pdf import Line, Modules, Sheet, bind, lay_out

INK, SOFT = (0.12, 0.106, 0.086), (0.357, 0.325, 0.29)


def certificate_pdf(certificate: Certificate) -> bytes:
    """This function will return one certificate as a PDF of one A4 landscape page."""
    return _sheet_of(certificate).copy(_stamps(certificate))


def certificates_pdf(certificates: Iterable[Certificate], *, title: str = "") -> bytes:
    """This function will return certificates as one PDF, a page each, in the order given."""
    return bind(((_sheet_of(certificate), _stamps(certificate)) for certificate in certificates), title=title)


def certificate_files(certificates: Iterable[Certificate]) -> Iterator[tuple[str, bytes]]:
    """This function will yield (file name, PDF) of each certificate; the name holds the number, which is unique."""
    for certificate in certificates:
        yield f"{certificate.number}.pdf", certificate_pdf(certificate)


def verify_url(certificate: Certificate) -> str:
    """The public address that says whether the certificate is genuine: the host is the setting's, not the request's."""
    return settings.WAGTAILADMIN_BASE_URL.rstrip("/") + reverse("certificates:verify", args=[certificate.code])


def _sheet_of(certificate: Certificate) -> Sheet:
    return _sheet(certificate.design_version_id, certificate.sentence_zh, certificate.sentence_en)


@lru_cache(maxsize=200)
def _sheet(version_id: int, sentence_zh: str, sentence_en: str) -> Sheet:
    """The sheet of one design version and sentence. A version never changes, so neither does its sheet."""
    content = DesignVersion.objects.get(pk=version_id).content
    return Sheet(lay_out(_html(content, sentence_zh, sentence_en), cut_fonts=True))


def _html(content: dict, sentence_zh: str, sentence_en: str) -> str:
    return render_to_string(
        "certificates/sheet.html",
        {
            "design": content,
            "sentence_zh": sentence_zh,
            "sentence_en": sentence_en,
            "waves": _guilloche() if content["border"] == "guilloche" else [],
            "seal_letters": list(_seal_letters(content["seal_text"])),
        },
    )


def _stamps(certificate: Certificate) -> list[Line | Modules]:
    """What is this certificate's own: the name, the number, the dates and the QR code. Millimetres from the upper left."""
    day = timezone.localtime(certificate.issued_at).date()
    # any mask decodes; a fixed one saves trying all eight
    code = segno.make(verify_url(certificate), error="m", micro=False, mask=4, boost_error=False)
    stamps: list[Line | Modules] = [
        Line(
            certificate.holder, 148.5, 97, 36, align="center", style="Bold", fit=190, color=INK,
            spacing=6 if 1 < len(certificate.holder) <= 4 else 0,
        ),
        Line(certificate.number, 62, 166.6, 11, color=INK),
        Line(f"{day.year}年{day.month}月{day.day}日", 62, 177, 11, color=INK),
        Line(f"{day.day} {_MONTHS[day.month]} {day.year}", 62, 182, 9, color=SOFT),
        Modules(tuple(bytes(row) for row in code.matrix), 29, 160.5, 24),
    ]  # fmt: skip
    if certificate.holder_latin and certificate.holder_latin != certificate.holder:
        stamps.append(
            Line(certificate.holder_latin, 148.5, 106.5, 15, align="center", fit=190, color=SOFT, spacing=0.6)
        )
    if certificate.expires_on:
        end = certificate.expires_on
        stamps.append(Line(f"有效期至 {end.year}年{end.month}月{end.day}日", 62, 187.6, 9, color=SOFT))
    return stamps


_MONTHS = (
    "", "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@lru_cache(maxsize=1)
def _guilloche() -> list[str]:
    """The border's four interlaced waves as SVG paths (millimetres): half a wave is one curve, so the file stays small."""
    left, top, width, height, swing = 11.0, 11.0, 275.0, 188.0, 2.6
    paths = []
    for phase in range(4):
        for horizontal, start, length, across in (
            (True, left, width, top),
            (True, left, width, top + height),
            (False, top, height, left),
            (False, top, height, left + width),
        ):
            halves = round(length / 5)
            step, path, sign = length / halves, "", 1 if phase % 2 else -1
            shift, reach = (phase // 2) * step / 2, swing * (1 - 0.22 * (phase // 2))
            for index in range(halves):
                a, b = start + index * step + shift, start + (index + 1) * step + shift
                b = min(b, start + length)
                c1, c2 = a + (b - a) * 0.3642, b - (b - a) * 0.3642  # the cubic closest to half a sine
                peak = across + sign * reach
                if not path:
                    path = f"M{a:.1f} {across:.1f}" if horizontal else f"M{across:.1f} {a:.1f}"
                path += (
                    f"C{c1:.1f} {peak:.1f} {c2:.1f} {peak:.1f} {b:.1f} {across:.1f}"
                    if horizontal
                    else f"C{peak:.1f} {c1:.1f} {peak:.1f} {c2:.1f} {across:.1f} {b:.1f}"
                )
                sign = -sign
            paths.append(path)
    return paths


def _seal_letters(text: str) -> Iterator[dict]:
    """Where each character of the seal stands on its arc: {char, x, y, angle}, the seal's centre being 0, 0 (radius 50)."""
    text = text.strip()
    span = min(250, 34 * max(1, len(text) - 1))
    for index, char in enumerate(text):
        angle = -span / 2 + (span * index / (len(text) - 1) if len(text) > 1 else span / 2)
        radians = math.radians(angle)
        yield {
            "char": char,
            "x": round(36.5 * math.sin(radians), 2),
            "y": round(-36.5 * math.cos(radians), 2),
            "angle": round(angle, 1),
        }
