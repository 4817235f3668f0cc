"""Who looked at another person's pay, score card, review or measures: kept at every look, shown to that person (AU-02, PM-Y13)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.db.models import QuerySet

from core.batches import batches
from core.periods import Month
from kpi.models import Look
from people.models import Employee, User

_AT_ONCE = 2000

# What was looked at of a result, as it is kept: the words are chosen when it is shown.
LIST, REVIEW, CARD, TEAM, COLLEAGUES, COMPARISON, OBJECTION, PREVIEW, MEASURES, PLAN = (
    "list",
    "review",
    "card",
    "team",
    "colleagues",
    "comparison",
    "objection",
    "preview",
    "measures",
    "plan",
)


def record_looks(
    *,
    about: Look.About,
    employees: Iterable[int],
    viewer: User,
    own: int | None,
    what: str,
    of: str = "",
    at: dt.datetime,
) -> int:
    """This function will keep that somebody looked at something of these people, in one write; oneself (``own``) is left out.

    ``what`` is a kind: of pay those of pay_looks, of a result those above; ``of`` the code of a pay run or the months of a
    result (``kept_months``). Returns how many people were looked at.
    """
    seen = sorted(set(employees) - {own})
    for some in batches(seen, _AT_ONCE):
        Look.objects.bulk_create(
            Look(employee_id=pk, viewer=viewer, about=about, what=f"{what} {of}".strip()[:100], at=at) for pk in some
        )
    return len(seen)


def looks_at(employee: Employee, about: Look.About) -> QuerySet[Look]:
    """This function will return who looked at a person's pay or results, the newest first."""
    found = Look.objects.filter(employee=employee, about=about)
    return found.select_related("viewer__employee").order_by("-at", "-pk")


def kept_months(first: Month, last: Month) -> str:
    """This function will return the months of a result as they are kept: "2026-10", or "2026-07/2026-09"."""
    return str(first) if first == last else f"{first}/{last}"
