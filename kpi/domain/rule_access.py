"""The door to rules: who works on which, who reads which, and whose reading one may see.

HR works on the scorecards and awards of its units (PM-V11, PM-V12), who makes pay and who checks it on pay rules
(PM-Y11, PM-Y12). Everybody reads what is published for the units they work or worked in (PM-F05).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Substr
from django.http import Http404

from kpi.domain import rules
from kpi.models import Acknowledgement, Rule, RuleVersion
from people.domain.access import Actor, require, visible_employees, visible_units
from people.models import Employee, OrgUnit, Placement

# family: (the row and role under which it is proposed, those under which it is published)
_HR = (("PM-V11", "HRU"), ("PM-V12", "HRU"))
_PAY = (("PM-Y11", "PMK"), ("PM-Y12", "PCK"))
_WORK = {Rule.Family.SCORECARD: _HR, Rule.Family.AWARD: _HR, Rule.Family.PAY: _PAY}
WORK_ROWS = ("PM-V11", "PM-V12", "PM-Y11", "PM-Y12", "PM-F05")


def require_desk(actor: Actor) -> None:
    """This function will refuse (403) who neither works on any rule nor reads all of them as an auditor."""
    if not (any(actor.may(row) for row in WORK_ROWS[:4]) or _reads_all(actor)):
        raise PermissionDenied("PM-V11")


def _reads_all(actor: Actor) -> bool:
    return "G" in actor.letters("PM-F05")


def desk_rules(actor: Actor) -> QuerySet[Rule]:
    """This function will return the rules whose drafts the actor sees: those worked on, for an auditor all."""
    if _reads_all(actor):
        return Rule.objects.all()
    found = Q(pk__in=[])
    for family, steps in _WORK.items():
        for row, role in steps:
            if actor.may(row):
                for unit in actor.units(role):
                    found |= Q(family=family, scope__path__startswith=unit.path)
    return Rule.objects.filter(found)


def may_propose(actor: Actor, rule: Rule) -> bool:
    """This function will say whether the actor drafts this rule."""
    return _holds(actor, rule, 0)


def may_publish(actor: Actor, rule: Rule) -> bool:
    """This function will say whether the actor publishes this rule (drafted by another person)."""
    return _holds(actor, rule, 1)


def _holds(actor: Actor, rule: Rule, step: int) -> bool:
    row, role = _WORK[Rule.Family(rule.family)][step]
    return actor.may(row) and any(unit.contains(rule.scope) for unit in actor.units(role))


def families_of(actor: Actor) -> list[str]:
    """This function will return the families of which the actor may make rules."""
    return [family.value for family, steps in _WORK.items() if actor.may(steps[0][0]) and actor.units(steps[0][1])]


def scopes_of(actor: Actor) -> list[OrgUnit]:
    """This function will return the units for which the actor may make rules: those of the roles and two levels below."""
    found: dict[int, OrgUnit] = {}
    for role in ("HRU", "PMK"):
        for unit in actor.units(role):
            below = OrgUnit.objects.under(unit).filter(depth__lte=unit.depth + 2)
            found |= {one.pk: one for one in below}
    return sorted(found.values(), key=lambda unit: unit.path)


def may_make(actor: Actor, family: str, scope: OrgUnit) -> bool:
    """This function will say whether the actor may make a rule of this family for this unit."""
    row, role = _WORK[Rule.Family(family)][0]
    return actor.may(row) and any(unit.contains(scope) for unit in actor.units(role))


def desk_rule_or_404(actor: Actor, rule_id: int) -> Rule:
    """This function will return one rule with its drafts, or raise Http404 as for a missing id (403: no role ever)."""
    require_desk(actor)
    found = desk_rules(actor).select_related("scope", "audience__scope").filter(pk=rule_id).first()
    if found is None:
        raise Http404
    return found


def desk_version_or_404(actor: Actor, version_id: int) -> RuleVersion:
    """This function will return one version, drafts included, or raise Http404 as for a missing id (403: no role ever)."""
    require_desk(actor)
    found = _versions().filter(pk=version_id, rule__in=desk_rules(actor).order_by().values("pk")).first()
    if found is None:
        raise Http404
    return found


def _versions() -> QuerySet[RuleVersion]:
    return RuleVersion.objects.select_related(
        "rule__scope",
        "rule__audience__scope",
        "proposed_by__employee",
        "edited_by__employee",
        "published_by__employee",
    )


def readable_version_or_404(actor: Actor, version_id: int) -> RuleVersion:
    """This function will return a version the actor may read, or raise Http404 as for a missing id (403: no role ever).

    Published: of the units one works or has worked in, what one acknowledged, what is for people one looks after, and
    what one works on. In consultation: what is for oneself. A draft is nobody's to read here.
    """
    require(actor, "PM-F05")
    found = _versions().exclude(state=RuleVersion.State.DRAFT).filter(pk=version_id).first()
    if found is None or not _reads(actor, found):
        raise Http404
    return found


def _reads(actor: Actor, version: RuleVersion) -> bool:
    rule, me = version.rule, actor.employee
    if _reads_all(actor) or desk_rules(actor).filter(pk=rule.pk).exists():
        return True
    if version.state == RuleVersion.State.CONSULTING:
        return me is not None and rules.is_for(rule=rule, employee=me, on=actor.on)
    if me is not None:
        if Placement.objects.filter(employee=me, unit__path__startswith=rule.scope.path).exists():
            return True
        if Acknowledgement.objects.filter(version=version, employee=me).exists():
            return True
    return actor.may("PM-F06") and readers(actor, version).exists()


# --- who has read it --------------------------------------------------------------------------------------------------
def readers(actor: Actor, version: RuleVersion, row: str = "PM-F06") -> QuerySet[Employee]:
    """This function will return those the version is for today, of the people whose reading the actor may see."""
    visible = visible_employees(actor, row).order_by().values("pk")
    return rules.people_of(version.rule, actor.on).filter(pk__in=visible)


def published_for_readers_or_404(actor: Actor, version_id: int, row: str = "PM-F06") -> RuleVersion:
    """This function will return a published version that is for people whose reading the actor may see, or raise Http404."""
    require(actor, row)
    found = _versions().filter(state=RuleVersion.State.PUBLISHED, pk=version_id).first()
    if found is None or not readers(actor, found, row).exists():
        raise Http404
    return found


def reading_units(actor: Actor, version: RuleVersion) -> list[OrgUnit]:
    """This function will return the topmost units of a rule whose figures the actor may see; none for a manager only."""
    scope = version.rule.scope
    visible = visible_units(actor, "PM-F06")
    if visible.filter(pk=scope.pk).exists():
        return [scope]
    tops: list[OrgUnit] = []
    for unit in visible.filter(path__startswith=scope.path).order_by("path"):
        if not any(top.contains(unit) for top in tops):
            tops.append(unit)
    return tops


def unit_of_readers(version: RuleVersion, unit_id: int) -> OrgUnit | None:
    """This function will return a unit within the scope of a rule, or None."""
    return OrgUnit.objects.filter(pk=unit_id, path__startswith=version.rule.scope.path).first()


def units_above(unit: OrgUnit) -> QuerySet[OrgUnit]:
    """This function will return the units on the way down to one, itself the last."""
    return OrgUnit.objects.above(unit).order_by("path")


@dataclass(frozen=True)
class UnitReading:
    """How many of some people work in a unit or below it, and how many of them have acknowledged."""

    unit: OrgUnit
    people: int
    read: int
    has_units_below: bool

    @property
    def missing(self) -> int:
        return self.people - self.read


def reading_by_unit(*, version: RuleVersion, people: QuerySet[Employee], below: OrgUnit) -> list[UnitReading]:
    """This function will count who has acknowledged by the units right below one; those of the unit itself come first.

    Two queries, whatever the size.
    """
    read = Exists(Acknowledgement.objects.filter(version=version, employee=OuterRef("pk")))
    top = Substr("unit__path", 1, len(below.path) + OrgUnit.steplen)
    rows = (
        people.filter(unit__path__startswith=below.path)
        .order_by()
        .annotate(top=top, has_read=read)
        .values("top")
        .annotate(people=Count("pk"), read=Count("pk", filter=Q(has_read=True)))
    )
    counted = {row["top"]: row for row in rows}
    units = OrgUnit.objects.filter(path__in=counted).order_by("path")
    return [
        UnitReading(
            unit=unit,
            people=counted[unit.path]["people"],
            read=counted[unit.path]["read"],
            has_units_below=unit.pk != below.pk and unit.numchild > 0,
        )
        for unit in units
    ]


# --- the rules of a person --------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Mine:
    """One version of a rule that is for a person: in force or announced, or in consultation."""

    version: RuleVersion
    acknowledged_at: dt.datetime | None
    is_announced: bool

    @property
    def is_consulting(self) -> bool:
        return self.version.state == RuleVersion.State.CONSULTING

    @property
    def is_to_read(self) -> bool:
        return not self.is_consulting and self.acknowledged_at is None


def my_versions(employee: Employee | None, on: dt.date) -> list[Mine]:
    """This function will return the versions that matter to a person on a day: in force, announced, in consultation."""
    if employee is None:
        return []
    mine = rules.rules_of(employee, on)
    versions = RuleVersion.objects.filter(rule__in=mine).select_related("rule", "published_by__employee")
    current = rules.current_versions(versions, on=on)
    consulting = versions.filter(state=RuleVersion.State.CONSULTING)
    found = [*current.order_by("effective_from", "pk"), *consulting.order_by("rule__code")]
    read = dict(Acknowledgement.objects.filter(employee=employee, version__in=found).values_list("version_id", "at"))
    return [
        Mine(
            version=one,
            acknowledged_at=read.get(one.pk),
            is_announced=one.effective_from is not None and one.effective_from > on,
        )
        for one in found
    ]


def published_before(versions: Iterable[RuleVersion]) -> dict[int, RuleVersion]:
    """This function will return the published version right before each of these, by the id of the later. One query."""
    wanted = list(versions)
    rows = RuleVersion.objects.filter(
        rule__in={one.rule_id for one in wanted}, state=RuleVersion.State.PUBLISHED
    ).select_related("rule")
    by_rule: dict[int, list[RuleVersion]] = {}
    for row in rows.order_by("number"):
        by_rule.setdefault(row.rule_id, []).append(row)
    found = {}
    for one in wanted:
        earlier = [row for row in by_rule.get(one.rule_id, []) if row.number < one.number]
        if earlier:
            found[one.pk] = earlier[-1]
    return found
