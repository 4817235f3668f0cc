"""The certificates of honours: who revokes the award revokes its certificate with it."""

from __future__ import annotations

from django.urls import reverse

from certificates.domain.causes import Cause, tells_cause
from certificates.models import Certificate
from kpi.domain.recognition_access import desk_rounds
from kpi.models import Award
from people.domain.access import Actor


@tells_cause
def award_of(certificate: Certificate, actor: Actor | None) -> Cause | None:
    """The award that stands and that the certificate was given for, with its round for who runs it."""
    award = Award.objects.filter(certificate=certificate, revoked_at=None).select_related("nomination").first()
    if award is None:
        return None
    round_id = award.nomination.round_id
    runs = actor is not None and desk_rounds(actor).filter(pk=round_id).exists()
    return Cause(award.label, reverse("kpi:honours_round", args=[round_id]) if runs else "")
