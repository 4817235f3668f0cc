"""The event chain: adding a link and checking a chain (TRUST section 6)."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, transaction

from core.models import ChainHead, Event


class ChainBusy(Exception):
    """Another writer extended the chain at the same moment more often than we were willing to retry."""


def _canonical(event: Event) -> bytes:
    """The bytes that are sealed: every column but the two hashes, keys sorted, no white space."""
    row = {
        "chain": event.chain,
        "sequence": event.sequence,
        "at": event.at.astimezone(dt.UTC).isoformat(timespec="microseconds"),
        "actor": event.actor_id,
        "action": event.action,
        "subject": [event.subject_type, event.subject_id],
        "before": event.before,
        "after": event.after,
        "reason": event.reason,
    }
    return json.dumps(row, cls=DjangoJSONEncoder, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _seal(previous_hash: str, event: Event) -> str:
    key = settings.EVENT_CHAIN_KEY.encode()
    return hmac.new(key, previous_hash.encode() + b"\n" + _canonical(event), hashlib.sha256).hexdigest()


def record_event(
    *,
    chain: str,
    action: str,
    subject: models.Model,
    actor,
    at: dt.datetime,
    before: dict | None = None,
    after: dict | None = None,
    reason: str = "",
) -> Event:
    """This function will add one link to a chain, in the caller's transaction.

    ``chain`` names the ledger (``roster``, ``roles``, ``certificates``, ``completions``); ``subject`` is the row that
    changed; ``before`` and ``after`` hold only the values that changed. The head of the chain is moved by
    compare-and-swap, so numbers have no gap. Raises ChainBusy when the head moved under us too often.
    """
    link = Link(action=action, subject=subject, actor=actor, at=at, before=before, after=after, reason=reason)
    return record_events(chain=chain, links=[link])[0]


@dataclass(frozen=True)
class Link:
    """What one event says, before it has its place in a chain (see record_event)."""

    action: str
    subject: models.Model
    actor: Any  # a User or None; the class of users is above this layer
    at: dt.datetime
    before: dict | None = None
    after: dict | None = None
    reason: str = ""


def record_events(*, chain: str, links: Iterable[Link]) -> list[Event]:
    """This function will add several links to a chain in their order, moving its head once (see record_event)."""
    links = list(links)
    if not links:
        return []
    with transaction.atomic():
        ChainHead.objects.get_or_create(chain=chain)
        for _attempt in range(20):
            head = ChainHead.objects.select_for_update().get(chain=chain)
            events = _sealed(chain, head, links)
            moved = ChainHead.objects.filter(chain=chain, sequence=head.sequence, hash=head.hash).update(
                sequence=events[-1].sequence, hash=events[-1].hash
            )
            if moved:
                return Event.objects.bulk_create(events, batch_size=1000)
    raise ChainBusy(chain)


def _sealed(chain: str, head: ChainHead, links: list[Link]) -> list[Event]:
    """The links as rows that follow the head, each sealed on the one before."""
    events, previous = [], head.hash
    for sequence, link in enumerate(links, start=head.sequence + 1):
        event = Event(
            chain=chain,
            sequence=sequence,
            at=link.at,
            actor=link.actor,
            action=link.action,
            subject_type=link.subject._meta.label_lower,
            subject_id=str(link.subject.pk),
            before=_plain(link.before),
            after=_plain(link.after),
            reason=link.reason,
            previous_hash=previous,
        )
        event.hash = previous = _seal(previous, event)
        events.append(event)
    return events


def _plain(values: dict | None) -> dict | None:
    """The values as they will come back from the database (dates as text), so that the seal can be checked later."""
    return None if values is None else json.loads(json.dumps(values, cls=DjangoJSONEncoder))


@dataclass(frozen=True)
class ChainFault:
    """The first bad row of a chain: its number and what is wrong with it."""

    chain: str
    sequence: int
    what: str


def verify_chain(chain: str) -> tuple[int, ChainFault | None]:
    """This function will recompute a chain from its first link and return (links read, the first fault or None).

    The chain may grow meanwhile: the head is read before the rows, and what came after it is read in another round.
    """
    previous, expected, seen = "", 1, None
    while True:
        head = ChainHead.objects.filter(chain=chain).values_list("sequence", "hash").first() or (0, "")
        rows = Event.objects.filter(chain=chain).order_by("sequence")
        if seen is not None:
            rows = rows.filter(sequence__gte=expected)
        for event in rows.iterator(chunk_size=2000):
            if event.sequence != expected:
                return expected - 1, ChainFault(chain, expected, "missing" if event.sequence > expected else "inserted")
            if event.previous_hash != previous:
                return expected - 1, ChainFault(chain, event.sequence, "does not follow the row before it")
            if not hmac.compare_digest(event.hash, _seal(previous, event)):
                return expected - 1, ChainFault(chain, event.sequence, "content does not match its seal")
            previous, expected = event.hash, expected + 1
        if head == (expected - 1, previous):
            return expected - 1, None
        if head == seen or head[0] >= expected:
            return expected - 1, ChainFault(
                chain, expected, "rows after this one were cut off, or the head was changed"
            )
        seen = head


def chain_names() -> Iterator[str]:
    """Every chain there is, whether its head or its rows are left."""
    heads = set(ChainHead.objects.values_list("chain", flat=True))
    yield from sorted(heads | set(Event.objects.order_by().values_list("chain", flat=True).distinct()))


# --- what else was sealed ---------------------------------------------------------------------------------------------
Check = Callable[[], Iterator[tuple[str, bool]]]
SEALED: list[Check] = []


def sealed(check: Check) -> Check:
    """Declare a check of things of which the chains keep a digest (a decorator): it yields (what it is, is it sound)."""
    SEALED.append(check)
    return check
