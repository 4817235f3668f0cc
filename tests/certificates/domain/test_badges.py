"""A badge is checked here by other means than those that made it: the key of its header, and the bytes that were signed."""

import base64
import datetime as dt
import hashlib
import json
import re

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

from certificates.domain import badges
from certificates.domain.issuing import revoke_certificate
from tests.factories.certificates import make_certificate, make_design
from tests.factories.people import make_employee, make_user

pytestmark = pytest.mark.django_db


def _bytes(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _checked(token):
    """The header and the claims of a token whose signature holds under the key in its header."""
    head, body, signature = token.split(".")
    header = json.loads(_bytes(head))
    n, e = (int.from_bytes(_bytes(header["jwk"][part]), "big") for part in "ne")
    RSAPublicNumbers(e, n).public_key().verify(
        _bytes(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    return header, json.loads(_bytes(body))


@pytest.fixture
def certificate(at, settings):
    settings.WAGTAILADMIN_BASE_URL = "https://training.example"
    settings.SITE_NAME_EN = "Training"
    settings.LANGUAGE_CODE = "en"
    employee = make_employee(employee_no="000012", name="王晓琳", name_latin="Wang Xiaolin")
    return make_certificate(employee, at, make_design(at, valid_months=12))


def test_a_badge_is_the_certificate_as_an_open_badge_3_signed_with_the_key_in_its_header(certificate, at):
    header, claims = _checked(badges.signed(certificate))
    assert (header["alg"], header["typ"], header["jwk"]) == ("RS256", "JWT", badges.public_key())
    assert set(header["jwk"]) >= {"kty", "n", "e"}
    assert not set(header["jwk"]) & {"d", "p", "q"}  # the private part stays here
    salt = certificate.code[:16]
    utc = at.astimezone(dt.UTC)
    end = dt.datetime.combine(certificate.expires_on, dt.time(), dt.UTC) + dt.timedelta(hours=16)
    assert claims == {
        "@context": [
            "https://www.w3.org/ns/credentials/v2",
            "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json",
        ],
        "id": f"https://training.example/verify/{certificate.code}/",
        "type": ["VerifiableCredential", "OpenBadgeCredential"],
        "name": "Sales etiquette",
        "issuer": {
            "id": "https://training.example/badges/issuer.json",
            "type": ["Profile"],
            "name": badges.site_name(),
            "url": "https://training.example",
        },
        "validFrom": utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "validUntil": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "credentialSubject": {
            "type": ["AchievementSubject"],
            "identifier": [
                {"type": "IdentityObject", "identityHash": "王晓琳", "identityType": "name", "hashed": False},
                {
                    "type": "IdentityObject",
                    "identityHash": "sha256$" + hashlib.sha256(f"000012{salt}".encode()).hexdigest(),
                    "identityType": "sourcedId",
                    "hashed": True,
                    "salt": salt,
                },
            ],
            "achievement": {
                "id": claims["credentialSubject"]["achievement"]["id"],
                "type": ["Achievement"],
                "name": "Sales etiquette",
                "description": "Certificate of Completion",
                "criteria": {
                    "narrative": "Wang Xiaolin has completed the course “Sales etiquette” and passed its assessment."
                },
            },
        },
        "credentialStatus": {"id": "https://training.example/badges/revoked.json", "type": "1EdTechRevocationList"},
        "iss": "https://training.example/badges/issuer.json",
        "jti": f"https://training.example/verify/{certificate.code}/",
        "nbf": int(at.timestamp()),
        "exp": int(end.timestamp()),
    }
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", claims["credentialSubject"]["achievement"]["id"])


def test_a_changed_badge_is_found(certificate):
    head, body, signature = badges.signed(certificate).split(".")
    claims = json.loads(_bytes(body)) | {"name": "Everything"}
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    with pytest.raises(InvalidSignature):
        _checked(f"{head}.{forged}.{signature}")


def test_one_achievement_is_the_same_for_everybody_who_has_it(certificate, at):
    design = certificate.design_version.design
    other = make_certificate(make_employee(), at, design)
    another = make_certificate(make_employee(), at, design, subject_zh="谈判", subject_en="Negotiation")
    ids = [badges.credential(each)["credentialSubject"]["achievement"]["id"] for each in (certificate, other, another)]
    assert ids[0] == ids[1] != ids[2]


def test_the_picture_carries_the_signed_badge(certificate):
    picture = badges.baked(certificate)
    token = re.search(r'<openbadges:credential verify="([^"]+)"/>', picture)[1]
    assert _checked(token)[1]["id"].endswith(f"/verify/{certificate.code}/")


def test_a_revoked_certificate_gives_no_badge_and_stands_on_the_public_list_without_a_name(certificate, at):
    revoke_certificate(certificate=certificate, reason="Issued by mistake", by=make_user(), at=at)
    with pytest.raises(badges.NoBadge):
        badges.signed(certificate)
    assert badges.revoked() == {
        "id": "https://training.example/badges/revoked.json",
        "issuer": "https://training.example/badges/issuer.json",
        "revokedCredential": [{"id": f"https://training.example/verify/{certificate.code}/", "revoked": True}],
    }


def test_without_a_key_there_are_no_badges(certificate, settings):
    settings.BADGE_KEY_MADE_AT = None
    assert badges.badges_on() is False
    with pytest.raises(badges.BadgesOff):
        badges.signed(certificate)
