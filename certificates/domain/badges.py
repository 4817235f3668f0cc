"""Open Badges 3.0: a certificate as a signed file that its holder can take anywhere and anybody can check.

The file is a verifiable credential in the compact form of a JSON Web Token, signed with RS256, the public key in its
header (Open Badges 3.0, sections 8.2.4 and 9; https://www.imsglobal.org/spec/ob/v3p0). The same token can be baked into an
SVG picture (section 5.3.2). Whether it still holds is said by the public list of revoked badges, which the badge names.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from functools import lru_cache
from pathlib import Path
from urllib.parse import urljoin

from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape
from joserfc import jwt
from joserfc.jwk import RSAKey

from certificates.models import Certificate
from core.site import site_name

MEDIA_TYPE = "application/vc+jwt"
_SPACE = uuid.UUID("6d1f3e1e-4c55-5f0a-9a6c-0f6d3a8f0b7e")  # of our own names of achievements
CONTEXT = [
    "https://www.w3.org/ns/credentials/v2",
    "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json",
]


class BadgesOff(Exception):
    """No key is set to sign with (BADGE_KEY), so there are no badges."""


class NoBadge(Exception):
    """The certificate was revoked: nothing is signed for it any more."""


def badges_on() -> bool:
    """This function will say whether this installation has a key to sign badges with."""
    return bool(settings.BADGE_KEY or settings.BADGE_KEY_MADE_AT)


@lru_cache(maxsize=2)
def _read_key(pem: str, made_at: Path | None) -> RSAKey:
    if not pem and made_at is not None:
        if not made_at.exists():
            made_at.parent.mkdir(parents=True, exist_ok=True)
            made_at.touch(mode=0o600)
            made_at.write_bytes(RSAKey.generate_key(2048, private=True).as_pem(private=True))
        pem = made_at.read_text(encoding="ascii")
    if not pem:
        raise BadgesOff
    return RSAKey.import_key(pem)


def _key() -> RSAKey:
    return _read_key(settings.BADGE_KEY, settings.BADGE_KEY_MADE_AT)


def public_key() -> dict:
    """This function will return the key that checks our badges, as a JSON Web Key. Raises BadgesOff."""
    return dict(_key().as_dict(private=False))


def _address(name: str, *args) -> str:
    """The full public address of a page: the host is that of SITE_URL, never of a request."""
    return urljoin(settings.WAGTAILADMIN_BASE_URL.rstrip("/") + "/", reverse(name, args=args))


def issuer() -> dict:
    """This function will return the public profile of who issues the badges."""
    return {
        "id": _address("certificates:badge_issuer"),
        "type": ["Profile"],
        "name": site_name(),
        "url": settings.WAGTAILADMIN_BASE_URL,
    }


def _moment(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def credential(certificate: Certificate) -> dict:
    """This function will return a certificate as an Open Badges 3.0 credential, unsigned.

    Its holder is named as on the certificate, and by a salted hash of the employee number, so that the number itself is
    not given away. ``id`` is the address of the public check page.
    """
    salt = certificate.code[:16]
    number = hashlib.sha256((certificate.employee.employee_no + salt).encode()).hexdigest()
    content = certificate.design_version.content
    achievement = {
        "id": uuid.uuid5(_SPACE, f"{certificate.design_version_id} {certificate.subject_zh}").urn,
        "type": ["Achievement"],
        "name": certificate.subject_en or certificate.subject_zh,
        "description": content["title_en"],
        "criteria": {"narrative": _sentence(certificate)},
    }
    card = {
        "@context": CONTEXT,
        "id": _address("certificates:verify", certificate.code),
        "type": ["VerifiableCredential", "OpenBadgeCredential"],
        "name": achievement["name"],
        "issuer": issuer(),
        "validFrom": _moment(certificate.issued_at),
        "credentialSubject": {
            "type": ["AchievementSubject"],
            "identifier": [
                {
                    "type": "IdentityObject",
                    "identityHash": certificate.holder,
                    "identityType": "name",
                    "hashed": False,
                },
                {
                    "type": "IdentityObject",
                    "identityHash": f"sha256${number}",
                    "identityType": "sourcedId",
                    "hashed": True,
                    "salt": salt,
                },
            ],
            "achievement": achievement,
        },
        "credentialStatus": {"id": _address("certificates:badges_revoked"), "type": "1EdTechRevocationList"},
    }
    if certificate.expires_on:
        end = dt.datetime.combine(
            certificate.expires_on + dt.timedelta(days=1), dt.time(), tzinfo=timezone.get_default_timezone()
        )
        card["validUntil"] = _moment(end)
    return card


def _sentence(certificate: Certificate) -> str:
    words, holder = certificate.sentence_en, certificate.holder_latin or certificate.holder
    if not words:
        return certificate.sentence_zh
    return words if holder in words else f"{holder} {words}"


def signed(certificate: Certificate) -> str:
    """This function will return the badge of a certificate: a signed compact token. Raises BadgesOff, NoBadge."""
    if certificate.revoked_at is not None:
        raise NoBadge
    card = credential(certificate)
    claims = {
        **card,
        "iss": card["issuer"]["id"],
        "jti": card["id"],
        "nbf": int(certificate.issued_at.timestamp()),
    }
    if "validUntil" in card:
        claims["exp"] = int(dt.datetime.fromisoformat(card["validUntil"]).timestamp())
    header = {"alg": "RS256", "typ": "JWT", "jwk": public_key()}
    return jwt.encode(header, claims, _key(), algorithms=["RS256"])


def baked(certificate: Certificate) -> str:
    """This function will return the badge as an SVG picture of a seal that carries the signed token."""
    token = signed(certificate)
    title, number = escape(certificate.subject_zh), escape(certificate.number)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:openbadges="https://purl.imsglobal.org/ob/v3p0" '
        f'viewBox="0 0 400 400" role="img" aria-label="{title}">'
        f'<openbadges:credential verify="{token}"/>'
        '<circle cx="200" cy="200" r="190" fill="#FBF8F2" stroke="#B3261E" stroke-width="10"/>'
        '<circle cx="200" cy="200" r="168" fill="none" stroke="#B3261E" stroke-width="3"/>'
        '<path fill="#B3261E" d="M200 84l24 50 55 7-40 38 10 55-49-27-49 27 10-55-40-38 55-7z"/>'
        f'<text x="200" y="286" text-anchor="middle" font-size="{_size(certificate.subject_zh)}" fill="#1F1B16" '
        f"font-family=\"'PingFang SC','Microsoft YaHei','Noto Sans CJK SC',sans-serif\">{title}</text>"
        f'<text x="200" y="322" text-anchor="middle" font-size="16" fill="#5B534A" font-family="sans-serif">{number}</text>'
        "</svg>"
    )


def _size(title: str) -> int:
    """A size of type in which the title fits into the seal: Chinese characters are square."""
    return max(12, min(34, 290 // max(1, len(title))))


def revoked() -> dict:
    """This function will return the public list of badges that no longer hold, without any name (1EdTech Revocation List)."""
    rows = Certificate.objects.exclude(revoked_at=None).order_by("revoked_at", "pk").values_list("code", flat=True)
    return {
        "id": _address("certificates:badges_revoked"),
        "issuer": issuer()["id"],
        "revokedCredential": [{"id": _address("certificates:verify", code), "revoked": True} for code in rows],
    }
