"""Who may see a pay line, and who looked: every look at another person's line is kept and shown to that person (PM-Y02, PM-Y13)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.db.models import Q, QuerySet

from kpi.domain import looks
from kpi.domain.pay_steps import SETTLED
from kpi.models import Look, PayLine, PayRun
from people.domain.access import RULES, Actor
from people.models import Employee, OrgUnit, User

READ = "PM-Y02"

# What was looked at, as it is kept: the words are chosen when it is shown.
LIST, LINE, VARIANCE, FILE, ANSWERS, CORRECTION, LEFT_OUT = (
    "list",
    "line",
    "variance",
    "file",
    "answers",
    "correction",
    "left_out",
)


def visible_runs(actor: Actor) -> QuerySet[PayRun]:
    """This function will return the runs whose whole the actor may see: of the units of a role, all for auditors.

    HR and auditors see what was approved, the two pay duties drafts too.
    """
    return PayRun.objects.filter(_by_role(actor, "scope"))


def visible_lines(actor: Actor) -> QuerySet[PayLine]:
    """This function will return the lines of others that the actor may read, by the unit of the line, never by where one is now.

    TRUST R8 and R9: who moved away since stays visible for what was paid here, who moved in does not bring the old pay
    along. One's own lines are read on one's own page.
    """
    lines = PayLine.objects.filter(_by_role(actor, "pool__unit", "run__"))
    return lines.exclude(employee=actor.employee) if actor.employee else lines


def _by_role(actor: Actor, unit: str, run: str = "") -> Q:
    settled = Q(**{f"{run}state__in": SETTLED})
    found = Q(pk__in=[])
    for role in actor.roles:
        letters = RULES[READ][role]
        if "A" in letters:
            found |= settled
        elif "U" in letters:
            inside = Q(pk__in=[])
            for top in actor.units(role):
                inside |= Q(path__startswith=top.path)
            mine = Q(**{f"{unit}__in": OrgUnit.objects.filter(inside).order_by().values("pk")})
            found |= mine & settled if role == "HRU" else mine
    return found


def record_looks(
    *, employees: Iterable[int], viewer: User, own: int | None, what: str, of: str, at: dt.datetime
) -> int:
    """This function will keep that somebody looked at the pay of these people; ``of`` is the code of the run."""
    return looks.record_looks(
        about=Look.About.PAY, employees=employees, viewer=viewer, own=own, what=what, of=of, at=at
    )


def own_lines(employee: Employee) -> QuerySet[PayLine]:
    """This function will return a person's own lines of settled runs, the newest cycle first."""
    return (
        PayLine.objects.filter(employee=employee, run__state__in=SETTLED)
        .select_related(
            "run__cycle", "run__version__rule", "run__prepared_by__employee", "run__checked_by__employee", "pool__unit",
            "review__scorecard", "adjusts__run",
        )
        .order_by("-cycle__last_month", "-run__pk", "segment")
    )  # fmt: skip
