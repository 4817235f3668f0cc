"""What a certificate was given for, where that is answered for elsewhere and taken back there with the certificate.

Certificates do not know why they are issued; an app that issues them for something that can itself be taken back says so
here, and revoking the certificate alone is refused: what it stands for would go on standing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from certificates.models import Certificate
from people.domain.access import Actor


@dataclass(frozen=True)
class Cause:
    """What it was given for, in the active language, and the page where that is taken back (empty: not by this reader)."""

    label: str
    url: str


Telling = Callable[[Certificate, Actor | None], Cause | None]
_asked: list[Telling] = []


def tells_cause(function: Telling) -> Telling:
    """This decorator will have a function asked what a certificate was given for; it answers for its own ones only."""
    _asked.append(function)
    return function


def cause_of(certificate: Certificate, actor: Actor | None = None) -> Cause | None:
    """This function will return what has to be taken back instead of the certificate alone, or None."""
    return next((cause for function in _asked if (cause := function(certificate, actor)) is not None), None)
