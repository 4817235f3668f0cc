"""What the chain ``reviews`` keeps of the rows of reviews, so that whoever changes one by hand is found.

Every event of this slice carries ``after["seals"]``: the digest of each row it touched, over every column and the key, as
the row stood after the change; None for a row that was taken away. The newest digest of a row must be that of the row.
A row that was changed, deleted, put in or exchanged with another differs from it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from core.batches import batches
from core.events import Link, record_events, sealed
from core.models import Event
from core.periods import Month
from kpi.models import Appeal, Calibration, CalibrationGroup, Rating, Review, ReviewCycle

CHAIN = "reviews"
MODELS: dict[str, type[models.Model]] = {
    "cycle": ReviewCycle,
    "review": Review,
    "rating": Rating,
    "group": CalibrationGroup,
    "calibration": Calibration,
    "appeal": Appeal,
}
_NAMES = {model: name for name, model in MODELS.items()}
_AT_ONCE = 1000
_DIGITS = 32  # hexadecimal digits kept of a digest
# What is still being written is its author's: of a rating that was not handed in only who was asked is sealed.
_WHILE_OPEN = frozenset({"answers", "comment"})


def name_of(row: models.Model) -> str:
    """How the seals call a row: "review:12"."""
    return f"{_NAMES[type(row)]}:{row.pk}"


def seal_of(row: models.Model) -> str:
    """This function will return the digest of a row: every column, written the same however it came into memory."""
    skip = _WHILE_OPEN if isinstance(row, Rating) and row.submitted_at is None else ()
    values = [
        [field.attname, _plain(field, getattr(row, field.attname))]
        for field in row._meta.concrete_fields
        if field.attname not in skip
    ]
    text = json.dumps([name_of(row), values], cls=DjangoJSONEncoder, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _plain(field: models.Field, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(field, models.DecimalField):
        return f"{Decimal(value).quantize(Decimal(1).scaleb(-(field.decimal_places or 0))):f}"
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat(timespec="microseconds")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Month):
        return str(value)
    return value


def sealing(*rows: models.Model) -> dict[str, str]:
    """This function will return the seals of rows as an event keeps them."""
    return {name_of(row): seal_of(row) for row in rows}


def link(
    action: str,
    subject: models.Model,
    *,
    by,
    at: dt.datetime,
    also: Iterable[models.Model] = (),
    gone: Iterable[str] = (),
    before: dict | None = None,
    after: dict | None = None,
    reason: str = "",
) -> Link:
    """This function will make one event about a row, with its seal and those of the rows that changed with it."""
    seals: dict[str, str | None] = {**sealing(subject, *also), **dict.fromkeys(gone)}
    return Link(
        action=action,
        subject=subject,
        actor=by,
        at=at,
        before=before,
        after={**(after or {}), "seals": seals},
        reason=reason,
    )


def record(links: Iterable[Link]) -> int:
    """This function will add events to the chain of reviews, some at a time, in the caller's transaction."""
    number = 0
    for some in batches(links, _AT_ONCE):
        number += len(record_events(chain=CHAIN, links=some))
    return number


@sealed
def check_reviews() -> Iterator[tuple[str, bool]]:
    """For manage.py verify_events: whether every row of reviews is what its newest event left, or each that is not."""
    newest: dict[str, str | None] = {}
    events = Event.objects.filter(chain=CHAIN).order_by("sequence").values_list("after", flat=True)
    for after in events.iterator(chunk_size=_AT_ONCE):
        newest.update((after or {}).get("seals") or {})
    sound, number = True, 0
    for name, model in MODELS.items():
        for row in model._default_manager.order_by("pk").iterator(chunk_size=_AT_ONCE):
            number += 1
            kept = newest.pop(f"{name}:{row.pk}", None)
            if kept is None:
                yield f"{name} {row.pk} (nobody made it)", False
                sound = False
            elif kept != seal_of(row):
                yield f"{name} {row.pk}", False
                sound = False
    for name, kept in newest.items():
        if kept is not None:
            yield f"{name.replace(':', ' ')} (it is gone)", False
            sound = False
    if sound and number:
        yield f"{number} rows of reviews", True
