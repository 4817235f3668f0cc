"""Who may do what in which state: one table for reviews and one for cycles, asked by every function and every page.

What somebody is to a review is a ``Part``: the person, the manager of the snapshot, a colleague who was asked, a manager
higher up, HR of the unit in which the person was, an auditor, or nobody. Everything that is not in the table is refused:
``NotYours`` when no state would allow it to this actor, ``WrongState`` when another one would (TRUST 2.5, PM-S3). Being the
person leaves no other part: nobody acts on himself (TRUST R0).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from django.utils import timezone

from kpi.models import Rating, Review, ReviewCycle
from people.domain.access import Actor
from people.models import Employee, OrgUnit, RoleGrant
from people.models.employees import ReportsBelow


class NotYours(Exception):
    """Nothing that this actor is to the review (or the cycle) would ever allow this."""


class WrongState(Exception):
    """The review or its cycle is in a state in which this cannot be done."""


class Part(StrEnum):
    """What somebody is to one review."""

    SUBJECT = "subject"  # the person
    MANAGER = "manager"  # of the snapshot
    PEER = "peer"  # a colleague who was asked
    ABOVE = "above"  # a manager higher up than the one who rates
    HR = "hr"  # of the unit in which the person was on the day of the snapshot
    AUDITOR = "auditor"
    CLOCK = "clock"  # nobody: what happens by itself
    OTHER = "other"


class Action(StrEnum):
    """What can be done to one review."""

    READ_STATE = "read_state"  # how far it is, what is missing
    READ_RESULT = "read_result"
    READ_AUTHORS = "read_authors"  # which colleague said what
    RATE_SELF = "rate_self"
    RATE_MANAGER = "rate_manager"
    RATE_PEER = "rate_peer"
    ASK_PEER = "ask_peer"
    WITHDRAW_PEER = "withdraw_peer"
    HAND_OVER = "hand_over"  # another manager rates
    REMIND = "remind"
    CALIBRATE = "calibrate"  # another total, with a reason
    HOLD_BACK = "hold_back"  # the top grade above the quota
    SETTLE = "settle"
    REOPEN = "reopen"
    PUBLISH = "publish"
    ACKNOWLEDGE = "acknowledge"
    CONTEST = "contest"
    DECIDE = "decide"
    FINISH = "finish"


class CycleAction(StrEnum):
    """What can be done to a cycle as a whole."""

    SEE = "see"
    EDIT = "edit"
    DELETE = "delete"
    ANNOUNCE = "announce"
    OPEN = "open"
    MOVE_DEADLINES = "move_deadlines"
    START_CALIBRATING = "start_calibrating"
    PUBLISH = "publish"
    CLOSE = "close"


_P, _A, _C = Part, Action, CycleAction
_S, _CS = Review.State, ReviewCycle.State

RATED = (_S.DRAFTED, _S.SELF_DONE, _S.MANAGER_DONE)  # before calibration: how far the ratings have come
TOLD = (_S.PUBLISHED, _S.ACKNOWLEDGED, _S.CONTESTED, _S.UPHELD, _S.REJECTED, _S.FINAL, _S.SUPERSEDED)
_EVERY = tuple(_S)
_OPEN, _CALIBRATING = (_CS.OPEN,), (_CS.CALIBRATING,)
_AFTER = (_CS.PUBLISHED,)
_ANY = tuple(_CS)


@dataclass(frozen=True)
class Row:
    """One line of the table: these parts may do this in these states of the review, while the cycle is in one of those."""

    action: Action
    parts: tuple[Part, ...]
    states: tuple[Review.State, ...]
    cycle: tuple[ReviewCycle.State, ...]


TABLE = (
    Row(_A.READ_STATE, (_P.SUBJECT, _P.MANAGER, _P.ABOVE, _P.HR, _P.AUDITOR), _EVERY, _ANY),
    Row(_A.READ_RESULT, (_P.SUBJECT,), TOLD, _ANY),
    Row(_A.READ_RESULT, (_P.MANAGER, _P.ABOVE, _P.HR, _P.AUDITOR), _EVERY, _ANY),
    Row(_A.READ_AUTHORS, (_P.HR, _P.AUDITOR), _EVERY, _ANY),
    Row(_A.RATE_SELF, (_P.SUBJECT,), (_S.DRAFTED,), _OPEN),
    Row(_A.RATE_MANAGER, (_P.MANAGER,), (_S.DRAFTED, _S.SELF_DONE), _OPEN),
    Row(_A.RATE_PEER, (_P.PEER,), RATED, _OPEN),
    Row(_A.ASK_PEER, (_P.MANAGER, _P.HR), RATED, _OPEN),
    Row(_A.WITHDRAW_PEER, (_P.MANAGER, _P.HR), RATED, _OPEN),
    Row(_A.HAND_OVER, (_P.HR,), (_S.DRAFTED, _S.SELF_DONE), _OPEN),
    Row(_A.REMIND, (_P.MANAGER, _P.HR, _P.CLOCK), RATED, _OPEN),
    Row(_A.CALIBRATE, (_P.ABOVE, _P.HR), RATED, _CALIBRATING),
    Row(_A.HOLD_BACK, (_P.HR,), RATED, _CALIBRATING),
    Row(_A.SETTLE, (_P.HR,), RATED, _CALIBRATING),
    Row(_A.REOPEN, (_P.HR,), (_S.CALIBRATED,), _CALIBRATING),
    Row(_A.PUBLISH, (_P.HR,), (_S.CALIBRATED,), (_CS.CALIBRATING, _CS.PUBLISHED)),
    Row(_A.ACKNOWLEDGE, (_P.SUBJECT,), (_S.PUBLISHED,), _AFTER),
    Row(_A.CONTEST, (_P.SUBJECT,), (_S.PUBLISHED, _S.ACKNOWLEDGED), _AFTER),
    Row(_A.DECIDE, (_P.HR,), (_S.CONTESTED,), _AFTER),
    Row(_A.FINISH, (_P.HR, _P.CLOCK), (_S.PUBLISHED, _S.ACKNOWLEDGED, _S.REJECTED), _AFTER),
)

# What a cycle allows to HR of its whole scope ("hr"), HR of a unit inside it ("below") and auditors.
CYCLE_TABLE: dict[CycleAction, tuple[tuple[str, ...], tuple[ReviewCycle.State, ...]]] = {
    _C.SEE: (("hr", "below", "auditor"), _ANY),
    _C.EDIT: (("hr",), (_CS.DRAFT,)),
    _C.DELETE: (("hr",), (_CS.DRAFT,)),
    _C.ANNOUNCE: (("hr",), (_CS.DRAFT,)),
    _C.OPEN: (("hr",), (_CS.ANNOUNCED,)),
    _C.MOVE_DEADLINES: (("hr",), (_CS.ANNOUNCED, _CS.OPEN)),
    _C.START_CALIBRATING: (("hr",), (_CS.OPEN,)),
    _C.PUBLISH: (("hr",), (_CS.CALIBRATING, _CS.PUBLISHED)),
    _C.CLOSE: (("hr",), (_CS.PUBLISHED,)),
}

ALLOWED = frozenset((state, part, row.action) for row in TABLE for part in row.parts for state in row.states)
_CYCLES = {row.action: row.cycle for row in TABLE}
_EVER = frozenset((part, row.action) for row in TABLE for part in row.parts)


# --- who somebody is ------------------------------------------------------------------------------------------------------
def actor_for(by, at: dt.datetime) -> Actor | None:
    """This function will return the acting user with the roles of that day; None for what happens by itself."""
    return None if by is None else Actor(user=by, on=timezone.localdate(at))


def holds_unit(actor: Actor, unit: OrgUnit | None) -> bool:
    """This function will say whether the actor is HR of the unit; what has no unit is for HR of a root unit."""
    own = actor.units("HRU")
    return any(one.is_root() if unit is None else one.contains(unit) for one in own)


def parts_of(review: Review, actor: Actor | None) -> frozenset[Part]:
    """This function will say what the actor is to a review. At most three queries."""
    if actor is None:
        return frozenset({Part.CLOCK})
    me = actor.employee
    if me is not None and me.pk == review.employee_id:
        return frozenset({Part.SUBJECT})
    parts = set()
    if me is not None:
        if me.pk == review.manager_id:
            parts.add(Part.MANAGER)
        elif Employee.objects.filter(pk=review.employee_id, pk__in=ReportsBelow(me.pk)).exists():
            parts.add(Part.ABOVE)
        if Rating.objects.filter(review=review, rater=me, role=Rating.Role.PEER).exists():
            parts.add(Part.PEER)
    if holds_unit(actor, review.unit):
        parts.add(Part.HR)
    if any(grant.role == RoleGrant.Role.AUDITOR for grant in actor.grants):
        parts.add(Part.AUDITOR)
    return frozenset(parts or {Part.OTHER})


def may(action: Action, review: Review, parts: frozenset[Part]) -> bool:
    """This function will say whether one of these parts allows the action in the present state."""
    return review.cycle.state in _CYCLES[action] and any((review.state, part, action) in ALLOWED for part in parts)


def check(action: Action, review: Review, *, by, at: dt.datetime) -> frozenset[Part]:
    """This function will refuse what the table does not allow, and return what the actor is to the review.

    Raises NotYours, WrongState. The state of the row at hand is asked; the update that follows compares it again.
    """
    parts = parts_of(review, actor_for(by, at))
    if not any((part, action) in _EVER for part in parts):
        raise NotYours(action)
    if not may(action, review, parts):
        raise WrongState(action)
    return parts


def cycle_part(cycle: ReviewCycle, actor: Actor) -> str:
    """This function will say what the actor is to a cycle: hr (of its whole scope), below, auditor or other."""
    own = actor.units("HRU")
    if any(one.contains(cycle.scope) for one in own):
        return "hr"
    if any(cycle.scope.contains(one) for one in own):
        return "below"
    return "auditor" if any(grant.role == RoleGrant.Role.AUDITOR for grant in actor.grants) else "other"


def cycle_may(action: CycleAction, cycle: ReviewCycle, part: str) -> bool:
    """This function will say whether somebody who is this to a cycle may do this in its present state."""
    parts, states = CYCLE_TABLE[action]
    return part in parts and cycle.state in states


def check_cycle(action: CycleAction, cycle: ReviewCycle, *, by, at: dt.datetime) -> None:
    """This function will refuse what the table of cycles does not allow. Raises NotYours, WrongState."""
    actor = actor_for(by, at)
    part = cycle_part(cycle, actor) if actor else "other"
    parts, states = CYCLE_TABLE[action]
    if part not in parts:
        raise NotYours(action)
    if cycle.state not in states:
        raise WrongState(action)
