"""The one door to other people's records: who may see and do what, and to whom (TRUST section 2).

``RULES`` is the permission table, one row per action, one scope letter per role. Every view names its rows with
``@binds("PM-…")``; every list of people starts from ``visible_employees``; everything not written is denied.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils import timezone

from people.models import Employee, OrgUnit, RoleGrant, User
from people.models.employees import ReportsBelow

# Scope letters (TRUST 2.3): S oneself, D direct reports, T everybody below in the reporting tree, U everybody in the
# units of the role, A everybody, M counts only, G the whole object, E items open to me, C content, V with the secret
# code, N those I was named for (asked of the rows that name me, not here).
ROLES = ("ANON", "EMP", "MGR", "HRU", "PMK", "PCK", "AUTH", "AUD", "ADM")


def _row(letters: str) -> dict[str, frozenset[str]]:
    return {role: frozenset(cell.split("+")) - {"-"} for role, cell in zip(ROLES, letters.split(), strict=True)}


#         id                 ANON EMP MGR  HRU  PMK PCK AUTH AUD ADM
RULES = {
    "PM-P01": _row("         -    A   A    A    A   A   A    A   A"),  # a person's card: name, unit, post
    "PM-P02": _row("         -    S   S+T  S+U  S+U S+U S    A   A"),  # contact
    "PM-P05": _row("         -    -   -    U    -   -   -    -   -"),  # edit HR fields
    "PM-P06": _row("         -    S   S    S    S   S   S    S   S"),  # own preferences
    "PM-P07": _row("         -    -   -    U    -   -   -    -   -"),  # move
    "PM-P08": _row("         -    -   -    U    -   -   -    -   -"),  # leaver, rehire
    "PM-P09": _row("         -    S   S    U    S   S   S    S   A"),  # lock a sign-in, end sessions
    "PM-P10": _row("         -    S   S    S    S   S   S    S   A"),  # send a recovery link
    "PM-P12": _row("         -    -   -    -    -   -   -    -   A"),  # grant, revoke a role
    "PM-P13": _row("         -    S   S    S+U  S   S   S    A   A"),  # roles of a person
    "PM-T01": _row("         -    S   S+T  S+U  S   S   M    A   S"),  # enrolment
    "PM-T02": _row("         -    -   T    U    -   -   -    -   -"),  # enrol
    "PM-T03": _row("         -    -   -    U    -   -   -    -   -"),  # exempt
    "PM-T04": _row("         -    -   T    U    -   -   -    -   -"),  # extend
    "PM-T05": _row("         -    S   S+T  S+U  S   S   M    A   S"),  # progress
    "PM-T06": _row("         -    S   S    S    S   S   S    S   S"),  # own progress, by the client
    "PM-T07": _row("         -    -   -    U    -   -   -    -   -"),  # record past training
    "PM-Q01": _row("         -    -   -    -    -   -   C    G   -"),  # question with its key
    "PM-Q02": _row("         -    -   -    -    -   -   C    -   -"),  # write questions
    "PM-Q03": _row("         -    S   S    S    S   S   S    S   S"),  # start an attempt
    "PM-Q04": _row("         -    S   S    S    S   S   S    S   S"),  # read one's open attempt
    "PM-Q05": _row("         -    S   S    S    S   S   S    S   S"),  # save, submit
    "PM-Q06": _row("         -    S   S+T  S+U  S   S   M    A   S"),  # result
    "PM-Q07": _row("         -    S   S    S+U  S   S   S    A   S"),  # answers in detail
    "PM-Q14": _row("         -    -   -    U    -   -   -    -   -"),  # void an attempt
    "PM-K01": _row("         -    S   S+T  S+U  S   S   S    A   S"),  # certificate
    "PM-K02": _row("         -    -   -    U    -   -   -    -   -"),  # issue by hand
    "PM-K03": _row("         -    -   -    U    -   -   -    -   -"),  # revoke
    "PM-K04": _row("         V    V   V    V    V   V   V    V   V"),  # check by code
    "PM-K05": _row("         -    -   -    -    -   -   C    -   -"),  # edit designs
    "PM-I01": _row("         -    -   -    G    -   -   -    -   -"),  # upload a roster
    "PM-I02": _row("         -    -   -    U    -   -   -    -   -"),  # apply a row to a person
    "PM-I03": _row("         -    -   -    G    -   -   -    -   -"),  # confirm over the stop (second HR)
    "PM-I04": _row("         -    -   -    G    -   -   -    -   -"),  # undo
    "PM-I05": _row("         -    -   -    G    -   -   -    G   -"),  # report, fault file
    "PM-C01": _row("         -    -   -    -    -   -   C    G   -"),  # draft of a course
    "PM-C02": _row("         -    E   E    E    E   E   E    G   E"),  # published page
    "PM-C03": _row("         -    -   -    -    -   -   C    -   -"),  # edit a course
    "PM-C04": _row("         -    -   -    -    -   -   C    -   -"),  # publish a course
    "PM-C06": _row("         -    E   E    E    E   E   E    G   E"),  # pictures and files
    "PM-C09": _row("         -    -   -    -    -   -   C    -   -"),  # content admin
    "PM-X01": _row("         -    -   T    U    -   -   M    A   -"),  # completion on screen
    "PM-X02": _row("         -    -   T    U    -   -   -    A   -"),  # completion as a file
    "PM-H01": _row("         -    A   A    A    A   A   A    A   A"),  # search for people
    "PM-N01": _row("         -    S   S    S    S   S   S    S   S"),  # notices
    "PM-L01": _row("         -    -   -    -    -   -   -    G   -"),  # audit trail
    "PM-G03": _row("         -    -   -    -    -   -   -    -   G"),  # jobs, without their content
    "PM-G05": _row("         G    G   G    G    G   G   G    G   G"),  # health
    "PM-G01": _row("         -    -   -    -    -   -   -    -   G"),  # settings: robots of group chats
    # TRUST has no rows of its own for the month; these follow PM-T02 (months are HR's to run), PM-T06 (one's own
    # duties), PM-T04 (managers and HR chase) and PM-X01 (figures).
    "PM-M01": _row("         -    -   -    G    -   -   -    -   -"),  # plan, audiences, open, ladder, bulletin
    "PM-M02": _row("         -    S   S    S    S   S   S    S   S"),  # take a course by choice, ask for an extension
    "PM-M03": _row("         -    -   T    U    -   -   -    -   -"),  # nudge
    "PM-M04": _row("         -    -   -    U    -   -   -    A   -"),  # matters and messages about people
    "PM-M05": _row("         -    -   -    U    -   -   -    -   -"),  # settle a matter
    "PM-M06": _row("         -    -   -    G    -   -   -    -   -"),  # sign off units, close a month
    "PM-V01": _row("         -    S   S+T  S+U  S   S   S    A   S"),  # scorecard and review (oneself once published)
    "PM-V02": _row("         -    -   D    -    -   -   -    -   -"),  # rate as the manager
    "PM-V03": _row("         -    -   D    -    -   -   -    -   -"),  # hand the rating in
    "PM-V04": _row("         -    -   T    U    -   -   -    -   -"),  # calibrate
    "PM-V05": _row("         -    -   -    U    -   -   -    -   -"),  # announce, open, publish, close a cycle
    "PM-V06": _row("         -    S   S    S    S   S   S    S   S"),  # own rating, read, comment
    "PM-V07": _row("         -    S   S    S    S   S   S    S   S"),  # object
    "PM-V08": _row("         -    -   -    U    -   -   -    -   -"),  # decide an objection (not who rated)
    "PM-V09": _row("         -    -   -    U    -   -   -    A   -"),  # which colleague said what
    "PM-V10": _row("         -    N   N    N    N   N   N    -   -"),  # rate a colleague
    "PM-V11": _row("         -    -   -    G    -   -   -    -   -"),  # propose a scorecard or award rule
    "PM-V12": _row("         -    -   -    G    -   -   -    -   -"),  # publish it (another person)
    "PM-Y01": _row("         -    S   S    S    S   S   S    S   S"),  # own pay
    "PM-Y02": _row("         -    -   -    U    U   U   -    A   -"),  # a pay line of another (logged)
    "PM-Y03": _row("         -    -   -    -    G   -   -    -   -"),  # make a pay run, compute it
    "PM-Y04": _row("         -    -   -    -    U   -   -    -   -"),  # bases, attendance, adjust a line
    "PM-Y05": _row("         -    -   -    -    G   -   -    -   -"),  # submit
    "PM-Y06": _row("         -    -   -    -    -   G   -    -   -"),  # approve (not who made it)
    "PM-Y07": _row("         -    -   -    -    -   G   -    -   -"),  # send back with a reason
    "PM-Y08": _row("         -    -   -    -    -   G   -    -   -"),  # close
    "PM-Y09": _row("         -    -   -    -    G   -   -    -   -"),  # export; take payroll's answer in
    "PM-Y10": _row("         -    -   -    -    G   -   -    -   -"),  # correction run
    "PM-Y11": _row("         -    -   -    -    G   -   -    -   -"),  # propose a pay rule
    "PM-Y12": _row("         -    -   -    -    -   G   -    -   -"),  # publish a pay rule
    "PM-Y13": _row("         -    S   S    S    S   S   S    A   S"),  # who looked at my pay
    # TRUST has no rows of its own for these; they follow PM-V01 (what is read of a person), PM-V05 (HR runs the
    # rounds), PM-T02 (development is offered like a duty) and the rule that people are named in public only for praise.
    "PM-F01": _row("         -    S   S+T  S+U  S   S   S    A   S"),  # measures of a person
    "PM-F02": _row("         -    -   -    U    -   -   -    -   -"),  # measures by file, corrections
    "PM-F03": _row("         -    -   -    G    -   -   -    -   -"),  # indicators
    "PM-F04": _row("         -    S   S    S    S   S   S    S   S"),  # read and acknowledge a rule
    "PM-F05": _row("         -    E   E    E    E   E   E    G   E"),  # published rules
    "PM-F06": _row("         -    -   T    U    -   -   -    A   -"),  # who has not acknowledged; remind
    "PM-F07": _row("         -    -   T    U    -   -   -    A   -"),  # figures of units: indicators, boards
    "PM-W01": _row("         -    A   A    A    A   A   A    -   -"),  # nominate
    "PM-W02": _row("         -    -   -    G    -   -   -    -   -"),  # run a round, grant
    "PM-W03": _row("         -    N   N    N    N   N   N    -   -"),  # vote, as a member of the committee
    "PM-W04": _row("         -    A   A    A    A   A   A    A   -"),  # object while it is public
    "PM-W05": _row("         -    E   E    E    E   E   E    G   E"),  # the wall, what is public
    "PM-W06": _row("         -    A   A    A    A   A   A    A   A"),  # thank a colleague
    "PM-W07": _row("         -    -   -    U    -   -   -    -   -"),  # revoke an award
    "PM-W08": _row("         -    S   S+T  S+U  S   S   S    A   S"),  # a person's honours and badges
    "PM-D01": _row("         -    S   S+T  S+U  S   S   S    A   S"),  # a person's development plan
    "PM-D02": _row("         -    S   S+T  S+U  S   S   S    S   S"),  # plan, decline an item of it
}

# The rows of the table that change something. T and U reach people who left for reads only (TRUST 2.3, R10); taking
# somebody back is about a person who left by its nature, and so is a duty that a leaver left behind (PM-M05).
WRITES = {"PM-P05", "PM-P06", "PM-P07", "PM-P08", "PM-P09", "PM-P10", "PM-P12", "PM-T02", "PM-T03", "PM-T04"}
WRITES |= {"PM-M02", "PM-M03", "PM-M05"}
WRITES |= {"PM-V02", "PM-V03", "PM-V04", "PM-V06", "PM-V07", "PM-Y04", "PM-F02", "PM-F04", "PM-W01", "PM-W06", "PM-D02"}
WRITES |= {"PM-T06", "PM-T07", "PM-Q03", "PM-Q05", "PM-Q14", "PM-K02", "PM-K03", "PM-I02"}
WRITES_TO_LEAVERS = {"PM-P08", "PM-I02", "PM-M05"}

_OF_A_UNIT = ("HRU", "PMK", "PCK")  # roles that are held for a unit and what is below it

_GRANTS = {
    RoleGrant.Role.HR: "HRU",
    RoleGrant.Role.PAY_MAKER: "PMK",
    RoleGrant.Role.PAY_CHECKER: "PCK",
    RoleGrant.Role.AUTHOR: "AUTH",
    RoleGrant.Role.MODERATOR: "AUTH",
    RoleGrant.Role.AUDITOR: "AUD",
    RoleGrant.Role.ADMIN: "ADM",
}


def binds(*rows: str):
    """A view says which rows of the table it stands under: ``@binds("PM-T05")``. Checked for every URL by a test."""
    for row in rows:
        if row not in RULES:
            raise KeyError(row)

    def mark(view):
        view.permission_rows = rows
        return view

    return mark


@dataclass
class Actor:
    """A signed-in user with the roles in force on a day. Made once per request by ``actor_of``."""

    user: User
    on: dt.date

    @cached_property
    def employee(self) -> Employee | None:
        # A user who comes from a session brings the record along (people.sign_in), so this asks nothing then.
        return getattr(self.user, "employee", None)

    @cached_property
    def grants(self) -> list[RoleGrant]:
        return list(
            RoleGrant.objects.filter(Q(until=None) | Q(until__gte=self.on), user=self.user, starts_on__lte=self.on)
            .select_related("unit")
            .order_by("pk")
        )

    @cached_property
    def is_manager(self) -> bool:
        return bool(self.employee) and Employee.objects.filter(manager=self.employee).exists()

    @cached_property
    def roles(self) -> frozenset[str]:
        """The columns of the table this actor stands in; every signed-in user is EMP as well."""
        roles = {"EMP"} | {_GRANTS[RoleGrant.Role(grant.role)] for grant in self.grants}
        return frozenset(roles | {"MGR"} if self.is_manager else roles)

    def units(self, role: str) -> list[OrgUnit]:
        """The units for which the actor holds a role, the topmost only."""
        units = sorted(
            (g.unit for g in self.grants if g.unit and _GRANTS[RoleGrant.Role(g.role)] == role), key=lambda u: u.path
        )
        top: list[OrgUnit] = []
        for unit in units:
            if not any(above.contains(unit) for above in top):
                top.append(unit)
        return top

    def letters(self, row: str) -> frozenset[str]:
        """The scope letters of a row over all the actor's roles."""
        return frozenset().union(*(RULES[row][role] for role in self.roles))

    def may(self, row: str) -> bool:
        """May the actor do this to anything at all? The first question of every page."""
        return bool(self.letters(row))


def actor_of(request) -> Actor:
    """The acting person of a request, with the roles in force today; kept on the request."""
    if not hasattr(request, "actor"):
        request.actor = Actor(user=request.user, on=timezone.localdate())
    return request.actor


def visible_employees(actor: Actor, row: str) -> QuerySet[Employee]:
    """This function will return the people to whom the actor may do what the row names: the one door.

    The union over the actor's roles of the scopes in the table. Who left stays visible with the last unit and manager,
    but is changed by nobody (rehiring apart). Who has no unit is seen by the HR of a root unit only.
    """
    letters = actor.letters(row)
    if "A" in letters:
        return Employee.objects.all()
    me = actor.employee
    others = Q(pk__in=[])
    if "T" in letters and me and actor.is_manager:
        others |= Q(pk__in=ReportsBelow(me.pk))
    if "D" in letters and me and actor.is_manager:
        others |= Q(manager=me)
    for role in actor.roles:
        if "U" in RULES[row][role]:
            others |= _in_units(actor.units(role))
    # Nobody acts on himself by a role or as his own superior: oneself is a letter of its own (TRUST R0).
    if me:
        others &= ~Q(pk=me.pk)
    if row in WRITES - WRITES_TO_LEAVERS:
        others &= Q(left_on=None) | Q(left_on__gte=actor.on)
    if "S" in letters and me:
        others |= Q(pk=me.pk)
    return Employee.objects.filter(others)


def _in_units(units: list[OrgUnit]) -> Q:
    """Everybody whose post is in one of the units or below; those without a unit too if one of them is a root."""
    found = Q(pk__in=[])
    for unit in units:
        if unit.is_root():
            # Everybody but those under another root: with one root nobody has to be looked up, however many there are.
            found |= ~Q(unit__in=OrgUnit.objects.exclude(path__startswith=unit.path).order_by().values("pk"))
        else:
            # Asked as "unit in (…)", not through a join, so that the index over units serves it.
            found |= Q(unit__in=OrgUnit.objects.under(unit).order_by().values("pk"))
    return found


def rows_on(actor: Actor, employee: Employee, rows: Iterable[str]) -> frozenset[str]:
    """This function will return those of the rows under which the actor may act on this one person.

    For pages that show what can be done to a person; rows of one shape share one query.
    """
    answers: dict[tuple, bool] = {}
    allowed = set()
    for row in rows:
        letters = actor.letters(row)
        shape = (
            letters,
            frozenset(role for role in actor.roles if "U" in RULES[row][role]),
            row in WRITES - WRITES_TO_LEAVERS,
        )
        if shape not in answers:
            answers[shape] = bool(letters) and visible_employees(actor, row).filter(pk=employee.pk).exists()
        if answers[shape]:
            allowed.add(row)
    return frozenset(allowed)


def visible_units(actor: Actor, row: str) -> QuerySet[OrgUnit]:
    """This function will return the units whose figures the actor may see: all for A and M, those of the role for U."""
    found = Q(pk__in=[])
    for role in actor.roles:
        letters = RULES[row][role]
        if letters & {"A", "M", "G"} and role not in _OF_A_UNIT:
            return OrgUnit.objects.all()
        if letters & {"U", "G"}:
            for unit in actor.units(role):
                found |= Q(path__startswith=unit.path)
    return OrgUnit.objects.filter(found)


def require(actor: Actor, row: str) -> None:
    """This function will refuse (403) an actor none of whose roles can ever do what the row names."""
    if not actor.may(row):
        raise PermissionDenied(row)


def employee_or_404(actor: Actor, row: str, employee_id: int) -> Employee:
    """This function will return one person through the door, or raise Http404 as for a missing id (403: no role)."""
    require(actor, row)
    employee = (
        visible_employees(actor, row).select_related("unit", "position", "manager").filter(pk=employee_id).first()
    )
    if employee is None:
        raise Http404
    return employee


def unit_or_404(actor: Actor, row: str, unit_id: int) -> OrgUnit:
    """This function will return one unit whose figures the actor may see, or raise Http404 (403: no role may)."""
    require(actor, row)
    unit = visible_units(actor, row).filter(pk=unit_id).first()
    if unit is None:
        raise Http404
    return unit
