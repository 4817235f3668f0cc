"""What no agreed rule settles about a person's duty: found by looking, put before HR with a proposed answer, settled.

Looking changes no duty: it only writes down what is seen, so it leaves no event. Each matter has a key that names what
it is about, so looking twice finds it once; what is no longer so becomes GONE, and comes back OPEN if it is so again. An
answer stands, except "the record is corrected" while the record still says the same.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, F, Max, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Lower
from django.http import Http404
from django.utils import timezone, translation
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from core.batches import batches
from core.events import record_event
from core.templatetags import interface
from courses.domain import exceptions
from courses.domain.catching_up import waiting_for_next_month
from courses.domain.exceptions import NotPossibleNow
from courses.domain.month_plan import planned_people
from courses.models import CourseRun, DutyRequest, Enrolment, Matter, PlanLine
from people.domain.access import Actor, require, visible_employees
from people.models import Employee, Leave, OrgUnit, Placement

_Kind, _Proposal, _State = Matter.Kind, Matter.Proposal, Matter.State
_UNFINISHED = [Enrolment.State.ASSIGNED, Enrolment.State.IN_PROGRESS]
_CHUNK = 1000
_ONE_DAY = dt.timedelta(days=1)
_SATURDAY = 5


class NotAnAnswer(Exception):
    """This matter cannot be settled in this way."""


class NotOpen(Exception):
    """The matter was settled a moment ago, or is no longer there."""


class OwnMatter(Exception):
    """Nobody settles a matter about himself."""


class NotUndoable(Exception):
    """The settlement cannot be taken back: a later due day stays, or the duty has changed since."""


# --- the door -------------------------------------------------------------------------------------------------------
def visible_matters(actor: Actor, row: str) -> QuerySet[Matter]:
    """This function will return the matters about people to whom the actor may do what the row names."""
    people = visible_employees(actor, row).order_by().values("pk")
    return Matter.objects.filter(employee__in=people).select_related(
        "employee__unit",
        "employee__position",
        "run__course",
        "enrolment__unit_set",
        "enrolment__position_set",
        "settled_by__employee",
    )


def matter_or_404(actor: Actor, row: str, matter_id: int) -> Matter:
    """This function will return one matter through the door, or raise Http404 as for a missing id (403: no role)."""
    require(actor, row)
    found = visible_matters(actor, row).filter(pk=matter_id).first()
    if found is None:
        raise Http404
    return found


# --- looking --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Look:
    """What looking did: matters ``found`` anew, ``back`` open again, ``gone``, and how many are open now."""

    found: int = 0
    back: int = 0
    gone: int = 0
    open: int = 0

    @property
    def changed(self) -> int:
        return self.found + self.back + self.gone


@dataclass(frozen=True)
class _Seen:
    """Something that is so now."""

    key: str
    kind: str
    employee_id: int
    proposal: str
    data: dict[str, Any]
    run_id: int | None = None
    enrolment_id: int | None = None


def find_matters(*, at: dt.datetime, scope: Iterable[OrgUnit] | None = None) -> Look:
    """This function will look for matters of everybody, or of the people whose post is in one of these units or below.

    Looks at open runs, at leave, and at the records of people: a fixed number of queries for each open run. Safe to run
    twice, and at once.
    """
    people = _people(scope)
    seen: dict[str, _Seen] = {}
    runs = CourseRun.objects.filter(state=CourseRun.State.OPEN, opens_at__lte=at)
    for run in runs.select_related("course").order_by("month", "pk"):
        for look in (_late_joiners, _long_leaves, _out_of_the_audience, _leavers, _impossible_duties):
            seen.update((one.key, one) for one in look(run=run, people=people, at=at))
    first_day = _first_open_day(at)
    for one in (*_duplicates(people), *_leave_elsewhere(people, since=first_day)):
        seen[one.key] = one
    # Looking takes long in a large company; only writing it down holds others up.
    with transaction.atomic():
        return _keep(seen, people=people, at=at)


def _people(scope: Iterable[OrgUnit] | None) -> QuerySet[Employee] | None:
    """The people to look at; None for everybody, so that no query needs to say so."""
    if scope is None:
        return None
    found = Q(pk__in=[])
    for unit in scope:
        if unit.is_root() and OrgUnit.objects.filter(depth=1).count() == 1:
            return None
        found |= Q(unit__in=OrgUnit.objects.under(unit).order_by().values("pk"))
    return Employee.objects.filter(found)


def _of(people: QuerySet[Employee] | None, field: str) -> Q:
    return Q() if people is None else Q(**{f"{field}__in": people.order_by().values("pk")})


def _first_open_day(at: dt.datetime) -> dt.date:
    """Where looking back at leave ends: the first day of the oldest open run."""
    oldest = CourseRun.objects.filter(state=CourseRun.State.OPEN).aggregate(first=Min("opens_at"))["first"]
    return timezone.localdate(min(oldest, at) if oldest else at)


def _owed(run: CourseRun, people: QuerySet[Employee] | None) -> QuerySet[Enrolment]:
    """The unfinished duties of a run."""
    return Enrolment.objects.filter(_of(people, "employee"), run=run, state__in=_UNFINISHED, voluntary=False)


def _late_joiners(*, run: CourseRun, people: QuerySet[Employee] | None, at: dt.datetime) -> Iterator[_Seen]:
    """Hired, or moved into the audience, since the run opened, with too few days left; until the due day has passed."""
    if at > run.due_at:
        return
    opens = timezone.localdate(run.opens_at)
    post = Placement.objects.filter(employee=OuterRef("pk"), ends_on=None)
    new = waiting_for_next_month(run=run, at=at).filter(_of(people, "pk"), state=Employee.State.ACTIVE)
    new = new.annotate(post_since=Subquery(post.order_by().values("starts_on")[:1]))
    new = new.filter(Q(hired_on__gt=opens) | Q(post_since__gt=opens))
    for pk, hired_on, post_since in new.order_by().values_list("pk", "hired_on", "post_since"):
        hired = hired_on is not None and hired_on > opens
        data = {"since": str(hired_on if hired else post_since), "hired": hired, "joiner_days": run.joiner_days}
        yield _Seen(f"late_joiner:{run.pk}:{pk}", _Kind.LATE_JOINER, pk, _Proposal.NEXT_MONTH, data, run.pk)


def _long_leaves(*, run: CourseRun, people: QuerySet[Employee] | None, at: dt.datetime) -> Iterator[_Seen]:
    """Away for more than half of the window, and the due day has not been moved.

    The window begins with the run or with the person; working days are Monday to Friday. With fewer working days at work
    than joiners are given (``joiner_days``) the proposal is to exempt, else that many days after the return. Nothing
    needs to be asked when there is that much time before the due day; and who is away all through and has not begun
    becomes exempt without asking (courses.domain.catching_up).
    """
    if at > run.accept_until:
        return
    opens, due = timezone.localdate(run.opens_at), timezone.localdate(run.due_at)
    rows = (
        Leave.objects.filter(
            employee__enrolments__in=_owed(run, people).filter(due_at=run.due_at).order_by().values("pk"),
            employee__state=Employee.State.ACTIVE,
            starts_on__lte=due,
            ends_on__gte=opens,
        )
        .order_by("employee_id", "starts_on")
        .values_list(
            "employee_id",
            "employee__hired_on",
            "employee__enrolments__pk",
            "employee__enrolments__state",
            "starts_on",
            "ends_on",
        )
    )
    away: dict[tuple, list[tuple[dt.date, dt.date]]] = {}
    for employee_id, hired_on, enrolment_id, state, starts_on, ends_on in rows.iterator(chunk_size=2000):
        away.setdefault((employee_id, hired_on, enrolment_id, state), []).append((starts_on, ends_on))
    for (employee_id, hired_on, enrolment_id, state), leaves in away.items():
        start = max(opens, hired_on or opens)
        seen = _away(leaves, start=start, due=due)
        if seen is None or (seen["days"] == seen["of"] and state == Enrolment.State.ASSIGNED):
            continue
        back_on = dt.date.fromisoformat(seen["back_on"])
        until = back_on + dt.timedelta(days=run.joiner_days - 1)
        in_time = until <= timezone.localdate(run.accept_until)
        if seen["working_days"] < run.joiner_days or (until > due and not in_time):
            proposal = _Proposal.EXEMPT
        elif until > due:
            proposal = _Proposal.EXTEND
        else:
            continue
        data = {**seen, **({"until": until.isoformat()} if until > due and in_time else {})}
        key = f"long_leave:{enrolment_id}:{back_on}"
        yield _Seen(key, _Kind.LONG_LEAVE, employee_id, proposal, data, run.pk, enrolment_id)


def _away(leaves: list[tuple[dt.date, dt.date]], *, start: dt.date, due: dt.date) -> dict[str, Any] | None:
    """How much of the window the leaves cover, and when the last one ends; None when it is not more than half."""
    window = [start + dt.timedelta(days=number) for number in range((due - start).days + 1)]
    at_work = [day for day in window if not any(first <= day <= last for first, last in leaves)]
    days = len(window) - len(at_work)
    if days * 2 <= len(window):
        return None
    return {
        "first": max(start, min(first for first, _last in leaves)).isoformat(),
        "back_on": (max(last for _first, last in leaves) + _ONE_DAY).isoformat(),
        "days": days,
        "of": len(window),
        "working_days": sum(1 for day in at_work if day.weekday() < _SATURDAY),
    }


def _out_of_the_audience(*, run: CourseRun, people: QuerySet[Employee] | None, at: dt.datetime) -> Iterator[_Seen]:
    """Whose post is another one than when the duty was set, and whom no audience of the run selects any more.

    A rule that was changed, or a programme that was switched off, leaves the duties that are set as they are, and is no
    matter. Who has begun, or is late already, is proposed to keep the duty.
    """
    if at > run.accept_until:
        return
    lines = list(
        PlanLine.objects.filter(month=run.month, course=run.course_id, opened_at__isnull=False).select_related(
            "programme__audience__scope"
        )
    )
    if not lines:
        return
    today = timezone.localdate(at)
    moved = _owed(run, people).filter(employee__state=Employee.State.ACTIVE, employee__unit__isnull=False)
    moved = moved.filter(Q(employee__hired_on=None) | Q(employee__hired_on__lte=today))
    moved = moved.annotate(  # nobody's position has the number 0
        position_now=Coalesce("employee__position", 0), position_then=Coalesce("position_set", 0)
    ).exclude(employee__unit=F("unit_set"), position_now=F("position_then"))
    # Few move in a month, so they are looked up among the many who are selected, not the many among each other.
    selected = planned_people(lines=lines, on=today).order_by()
    rows = list(moved.order_by().values_list("pk", "employee_id", "state", "due_at"))
    for chunk in batches(rows, _CHUNK):
        still = set(selected.filter(pk__in=[row[1] for row in chunk]).values_list("pk", flat=True))
        for pk, employee_id, state, due_at in chunk:
            if employee_id not in still:
                keep = state == Enrolment.State.IN_PROGRESS or due_at < at
                proposal = _Proposal.KEEP if keep else _Proposal.WITHDRAW
                yield _Seen(f"left_audience:{pk}", _Kind.LEFT_AUDIENCE, employee_id, proposal, {}, run.pk, pk)


def _leavers(*, run: CourseRun, people: QuerySet[Employee] | None, at: dt.datetime) -> Iterator[_Seen]:
    """Who left after the due day with the duty unfinished: it was owed and missed, so it is proposed to stay a debt.

    Unless the person's own due day was later than the last day at work: then it was not missed. (Who left by the due day
    of the run is withdrawn without asking.)
    """
    today, due = timezone.localdate(at), timezone.localdate(run.due_at)
    gone = _owed(run, people).filter(
        employee__state=Employee.State.LEFT, employee__left_on__gt=due, employee__left_on__lte=today
    )
    fields = ("pk", "employee_id", "due_at", "employee__left_on")
    for pk, employee_id, due_at, left_on in gone.order_by().values_list(*fields):
        proposal = _Proposal.WITHDRAW if left_on and timezone.localdate(due_at) >= left_on else _Proposal.KEEP
        data = {"left_on": str(left_on), "due_on": str(timezone.localdate(due_at))}
        yield _Seen(f"leaver:{pk}", _Kind.LEAVER, employee_id, proposal, data, run.pk, pk)


def _impossible_duties(*, run: CourseRun, people: QuerySet[Employee] | None, at: dt.datetime) -> Iterator[_Seen]:
    """Duties whose dates and those of the person contradict each other.

    Done before the person was hired (and before any post of theirs, so that coming back counts for nothing), set for
    somebody who is yet to begin, or set after the person had left. Past training is done elsewhere and may be older.
    """
    today, opens = timezone.localdate(at), timezone.localdate(run.opens_at)
    duties = (
        Enrolment.objects.filter(_of(people, "employee"), run=run).exclude(state=Enrolment.State.WITHDRAWN).order_by()
    )
    # Nothing is done before the run opens, so only who was hired since can have been too early.
    early = duties.filter(state=Enrolment.State.COMPLETED, employee__hired_on__gt=opens)
    early = early.exclude(reason=Enrolment.Reason.PAST)
    first_post = Placement.objects.filter(employee=OuterRef("employee")).order_by("starts_on").values("starts_on")[:1]
    early = early.annotate(here_since=Subquery(first_post))
    fields = ("pk", "employee_id", "completed_at", "employee__hired_on", "here_since")
    for pk, employee_id, completed_at, hired_on, here_since in early.values_list(*fields):
        done_on = timezone.localdate(completed_at)
        if hired_on and done_on < hired_on and not (here_since and here_since <= done_on):
            data = {"what": "done_before_hired", "done_on": str(done_on), "hired_on": str(hired_on)}
            yield _impossible(f"done:{pk}", employee_id, data, run.pk, pk)
    later = duties.filter(employee__hired_on__gt=today, state__in=_UNFINISHED)
    for pk, employee_id, hired_on in later.values_list("pk", "employee_id", "employee__hired_on"):
        data = {"what": "hired_later", "hired_on": str(hired_on)}
        yield _impossible(f"hired:{pk}", employee_id, data, run.pk, pk)
    left = duties.filter(employee__state=Employee.State.LEFT, employee__left_on__lt=today)
    for pk, employee_id, assigned_at, left_on in left.values_list(
        "pk", "employee_id", "assigned_at", "employee__left_on"
    ):
        set_on = timezone.localdate(assigned_at)
        if left_on and left_on < set_on:
            data = {"what": "left_before_set", "left_on": str(left_on), "set_on": str(set_on)}
            yield _impossible(f"left:{pk}", employee_id, data, run.pk, pk)


def _impossible(
    key: str, employee_id: int, data: dict, run_id: int | None = None, enrolment_id: int | None = None
) -> _Seen:
    return _Seen(f"date:{key}", _Kind.IMPOSSIBLE_DATE, employee_id, _Proposal.CORRECT, data, run_id, enrolment_id)


def _leave_elsewhere(people: QuerySet[Employee] | None, *, since: dt.date) -> Iterator[_Seen]:
    """Leave on days on which the person did not work here: before the hire day, or after the last one."""
    held = Placement.objects.filter(
        Q(ends_on=None) | Q(ends_on__gte=OuterRef("starts_on")),
        employee=OuterRef("employee"),
        starts_on__lte=OuterRef("ends_on"),
    )
    strange = (
        Leave.objects.filter(_of(people, "employee"), ends_on__gte=since)
        .filter(Q(ends_on__lt=F("employee__hired_on")) | Q(starts_on__gt=F("employee__left_on")))
        .exclude(Exists(held))
    )
    fields = ("pk", "employee_id", "starts_on", "ends_on", "employee__hired_on", "employee__left_on")
    for pk, employee_id, starts_on, ends_on, hired_on, left_on in strange.order_by().values_list(*fields):
        data = {"what": "leave_elsewhere", "first": str(starts_on), "last": str(ends_on)}
        if hired_on and ends_on < hired_on:
            data["hired_on"] = str(hired_on)
        else:
            data["left_on"] = str(left_on)
        yield _impossible(f"leave:{pk}", employee_id, data)


def _duplicates(people: QuerySet[Employee] | None) -> Iterator[_Seen]:
    """Two people at work of one name with one mobile number or e-mail address; the newer record is asked about."""
    here = Employee.objects.filter(state=Employee.State.ACTIVE)
    pairs: dict[tuple[int, int], list[str]] = {}
    for by, filled, value in (
        ("mobile", here.exclude(mobile=""), F("mobile")),
        ("email", here.exclude(email=""), Lower("email")),
    ):
        groups = filled.order_by().annotate(shared=value).values("name", "shared")
        groups = groups.annotate(number=Count("pk"), first=Min("pk"), newest=Max("pk")).filter(number__gt=1)
        wanted = {(one["name"], one["shared"]): one["first"] for one in groups}
        for names in batches(sorted({name for name, _shared in wanted}), _CHUNK):
            rows = filled.filter(name__in=names).annotate(shared=value).order_by("pk")
            for pk, name, shared in rows.values_list("pk", "name", "shared"):
                first = wanted.get((name, shared))
                if first is not None and pk != first:
                    pairs.setdefault((first, pk), []).append(by)
    if not pairs:
        return
    numbers: dict[int, str] = {}
    for ids in batches(sorted({first for first, _pk in pairs}), _CHUNK):
        numbers.update(Employee.objects.filter(pk__in=ids).values_list("pk", "employee_no"))
    mine = None
    if people is not None:
        mine = set(people.filter(state=Employee.State.ACTIVE).values_list("pk", flat=True))
    for (first, pk), shared_by in sorted(pairs.items()):
        if mine is None or pk in mine:
            data = {"other": first, "other_no": numbers[first], "by": shared_by}
            yield _Seen(f"duplicate:{first}:{pk}", _Kind.DUPLICATE, pk, _Proposal.CORRECT, data)


def _keep(seen: dict[str, _Seen], *, people: QuerySet[Employee] | None, at: dt.datetime) -> Look:
    """Write down what is seen now, beside what was seen before."""
    known: dict[str, Matter] = {}
    for keys in batches(sorted(seen), _CHUNK):
        known.update((one.key, one) for one in Matter.objects.filter(key__in=keys))
    new = [
        Matter(
            key=one.key,
            kind=one.kind,
            employee_id=one.employee_id,
            run_id=one.run_id,
            enrolment_id=one.enrolment_id,
            data=one.data,
            proposal=one.proposal,
            found_at=at,
        )
        for one in seen.values()
        if one.key not in known
    ]
    Matter.objects.bulk_create(new, batch_size=_CHUNK, ignore_conflicts=True)
    seen_anew: list[Matter] = []
    returning: dict[tuple[str, dt.datetime | None], list[Matter]] = {}
    for key, matter in known.items():
        one = seen[key]
        was, ended_at = matter.state, matter.settled_at
        if was == _State.GONE or (was == _State.SETTLED and matter.settled_as == _Proposal.CORRECT):
            matter.state, matter.found_at = _State.OPEN, at
            matter.settled_at = matter.settled_by = None
            matter.settled_as = matter.answer = ""
            returning.setdefault((was, ended_at), []).append(matter)
        elif was == _State.OPEN and (matter.data, matter.proposal) != (one.data, one.proposal):
            seen_anew.append(matter)
        matter.data, matter.proposal = one.data, one.proposal
    # Only what is still as it was read: whoever settles a matter, or takes it back, at the same moment comes first.
    still_open = Matter.objects.filter(state=_State.OPEN)
    still_open.bulk_update(seen_anew, ["data", "proposal"], batch_size=200)
    fields = ["state", "found_at", "settled_at", "settled_by", "settled_as", "answer", "data", "proposal"]
    back = 0
    for (was, ended_at), some in returning.items():
        still_ended = Matter.objects.filter(state=was, settled_at=ended_at)
        back += still_ended.bulk_update(some, fields, batch_size=200)
    stale = Matter.objects.filter(_of(people, "employee"), state=_State.OPEN)
    gone_ids = [pk for pk, key in stale.order_by().values_list("pk", "key") if key not in seen]
    gone = 0
    for ids in batches(gone_ids, _CHUNK):
        gone += Matter.objects.filter(pk__in=ids, state=_State.OPEN).update(state=_State.GONE, settled_at=at)
    return Look(found=len(new), back=back, gone=gone, open=stale.count())


# --- settling -------------------------------------------------------------------------------------------------------
def answers_to(matter: Matter) -> list[str]:
    """This function will return the ways in which a matter can be settled, the proposed one first."""
    unfinished = matter.enrolment is not None and matter.enrolment.state in _UNFINISHED
    extend = [_Proposal.EXTEND] if "until" in matter.data else []
    answers = {
        _Kind.LATE_JOINER: [_Proposal.NEXT_MONTH, _Proposal.ENROL],
        _Kind.LONG_LEAVE: [*extend, _Proposal.EXEMPT, _Proposal.KEEP],
        _Kind.LEFT_AUDIENCE: [_Proposal.WITHDRAW, _Proposal.KEEP],
        _Kind.LEAVER: [_Proposal.WITHDRAW, _Proposal.KEEP],
        _Kind.DUPLICATE: [_Proposal.CORRECT, _Proposal.KEEP],
        _Kind.IMPOSSIBLE_DATE: [
            _Proposal.CORRECT,
            *([_Proposal.WITHDRAW] if unfinished else []),
            _Proposal.KEEP,
        ],
    }[_Kind(matter.kind)]
    return sorted((one.value for one in answers), key=lambda answer: answer != matter.proposal)


def settle_matter(*, matter: Matter, settled_as: str, by, at: dt.datetime, reason: str = "") -> Matter:
    """This function will settle a matter in one of its ways (answers_to), and do to the duty what that means.

    The duty changes and the matter is settled in one transaction, with an event of each; of two who settle at once the
    first wins. Without a reason what the matter is about is the reason, in both languages. Raises OwnMatter, NotAnAnswer,
    NotOpen, or NotPossibleNow or DueRefused when the duty has changed meanwhile.
    """
    if by is None or matter.employee.user_id == by.pk:
        raise OwnMatter
    if settled_as not in answers_to(matter):
        raise NotAnAnswer
    text = reason.strip()[:300] or _both_languages(matter)
    with transaction.atomic():
        settled = Matter.objects.filter(pk=matter.pk, state=_State.OPEN).update(
            state=_State.SETTLED, settled_at=at, settled_by=by, settled_as=settled_as, answer=reason.strip()[:300]
        )
        if not settled:
            raise NotOpen
        _act(matter, settled_as, by=by, at=at, reason=text)
        record_event(
            chain="completions",
            action="matter settled",
            subject=matter,
            actor=by,
            at=at,
            before={"state": _State.OPEN.value},
            after={"state": _State.SETTLED.value, "as": str(settled_as), "kind": str(matter.kind)},
            reason=text,
        )
    return _fresh(matter)


def _act(matter: Matter, settled_as: str, *, by, at: dt.datetime, reason: str) -> None:
    """Do what an answer means. Keeping, waiting for next month and correcting the record change no duty."""
    values = {"by": by, "at": at, "reason": reason}
    if settled_as == _Proposal.ENROL and matter.run:
        enrolment = exceptions.enrol_late(run=matter.run, employee=matter.employee, **values)
        Matter.objects.filter(pk=matter.pk).update(enrolment=enrolment)
    if matter.enrolment_id is None or settled_as not in (_Proposal.EXTEND, _Proposal.EXEMPT, _Proposal.WITHDRAW):
        return
    enrolment = Enrolment.objects.get(pk=matter.enrolment_id)
    if settled_as == _Proposal.EXTEND:
        until = dt.date.fromisoformat(matter.data["until"])
        exceptions.extend_due(enrolment=enrolment, until=until, code=DutyRequest.Code.LEAVE, **values)
    elif settled_as == _Proposal.EXEMPT:
        exceptions.exempt_enrolment(enrolment=enrolment, code=DutyRequest.Code.LEAVE, **values)
    else:
        causes = {_Kind.LEFT_AUDIENCE: Enrolment.Reason.MOVED, _Kind.LEAVER: Enrolment.Reason.LEFT}
        cause = causes.get(_Kind(matter.kind), Enrolment.Reason.HR)
        exceptions.withdraw_enrolment(enrolment=enrolment, cause=cause, **values)


def may_undo(matter: Matter) -> bool:
    """This function will say whether a settlement is of a kind that can be taken back (a later due day is not)."""
    return matter.state == _State.SETTLED and matter.settled_as != _Proposal.EXTEND


def undo_settlement(*, matter: Matter, by, at: dt.datetime, reason: str = "") -> Matter:
    """This function will take a settlement back: the duty is as it was, and the matter is open again.

    Only while nothing happened to the duty since. One event of the matter and one of the duty. Raises OwnMatter, NotOpen
    when it is not settled (any more), NotUndoable.
    """
    if by is None or matter.employee.user_id == by.pk:
        raise OwnMatter
    if matter.state != _State.SETTLED:
        raise NotOpen
    if not may_undo(matter):
        raise NotUndoable
    with translation.override("zh-hans"):
        chinese = pgettext("reason", "settlement taken back")
    with translation.override("en"):
        text = reason.strip()[:300] or f"{chinese} / {pgettext('reason', 'settlement taken back')}"
    with transaction.atomic():
        opened = Matter.objects.filter(pk=matter.pk, state=_State.SETTLED, settled_at=matter.settled_at).update(
            state=_State.OPEN, settled_at=None, settled_by=None, settled_as="", answer=""
        )
        if not opened:
            raise NotOpen
        _act_back(matter, by=by, at=at, reason=text)
        record_event(
            chain="completions",
            action="matter reopened",
            subject=matter,
            actor=by,
            at=at,
            before={"state": _State.SETTLED.value, "as": matter.settled_as},
            after={"state": _State.OPEN.value},
            reason=text,
        )
    return _fresh(matter)


def _act_back(matter: Matter, *, by, at: dt.datetime, reason: str) -> None:
    if matter.enrolment_id is None or matter.settled_as not in (
        _Proposal.EXEMPT,
        _Proposal.WITHDRAW,
        _Proposal.ENROL,
    ):
        return
    enrolment = Enrolment.objects.get(pk=matter.enrolment_id)
    if enrolment.changed_at != matter.settled_at:
        raise NotUndoable
    try:
        if matter.settled_as == _Proposal.ENROL:
            exceptions.undo_enrol_late(enrolment=enrolment, by=by, at=at, reason=reason)
        else:
            exceptions.reinstate_enrolment(enrolment=enrolment, by=by, at=at, reason=reason)
    except NotPossibleNow as error:
        raise NotUndoable from error


def _fresh(matter: Matter) -> Matter:
    return Matter.objects.select_related("employee", "run__course", "enrolment").get(pk=matter.pk)


def _both_languages(matter: Matter) -> str:
    """What the matter is about, for the reason that stands on the duty and is read in either language."""
    words = []
    for language in ("zh-hans", "en"):
        with translation.override(language):
            words.append(str(_Kind(matter.kind).label))
    return " / ".join(words)


# --- words ------------------------------------------------------------------------------------------------------------
def describe(matter: Matter) -> str:
    """This function will say in the active language what was seen. No query (see visible_matters)."""
    data = matter.data
    day = {name: interface.day(dt.date.fromisoformat(value)) for name, value in data.items() if name in _DAYS}
    if matter.kind == _Kind.LATE_JOINER:
        words = (
            _("Hired on %(since)s, with fewer than %(number)d days left to the due day (%(due)s).")
            if data["hired"]
            else _("In this post since %(since)s, with fewer than %(number)d days left to the due day (%(due)s).")
        )
        due = interface.day(matter.run.due_at) if matter.run else ""
        return words % {**day, "number": data["joiner_days"], "due": due}
    if matter.kind == _Kind.LONG_LEAVE:
        at_work = ngettext(
            "%(number)d working day is left.", "%(number)d working days are left.", data["working_days"]
        ) % {"number": data["working_days"]}
        words = _("Away from %(first)s, back on %(back_on)s: %(days)d of %(of)d days.")
        return f"{words % {**data, **day}} {at_work}"
    if matter.kind == _Kind.LEFT_AUDIENCE:
        return _("The duty was set as %(before)s; the post is now %(now)s, to which this course is not given.") % {
            "before": _post(matter.enrolment.unit_set, matter.enrolment.position_set) if matter.enrolment else "–",
            "now": _post(matter.employee.unit, matter.employee.position),
        }
    if matter.kind == _Kind.LEAVER:
        return _("Left on %(left_on)s with the duty unfinished; it was due on %(due_on)s.") % day
    if matter.kind == _Kind.DUPLICATE:
        shared = {
            "mobile": _("the same mobile number"),
            "email": _("the same e-mail address"),
        }
        words = _("The same name and %(shared)s as employee no. %(number)s.")
        return words % {"shared": _(" and ").join(shared[one] for one in data["by"]), "number": data["other_no"]}
    return {
        "done_before_hired": _("Completed on %(done_on)s, but hired on %(hired_on)s."),
        "hired_later": _("Owes this course already, but is hired from %(hired_on)s."),
        "left_before_set": _("Left on %(left_on)s, but the duty was set on %(set_on)s."),
        "leave_elsewhere": _("Leave from %(first)s to %(last)s, but hired on %(hired_on)s.")
        if "hired_on" in data
        else _("Leave from %(first)s to %(last)s, but left on %(left_on)s."),
    }[data["what"]] % day


_DAYS = {"since", "first", "last", "back_on", "until", "left_on", "due_on", "done_on", "hired_on", "set_on"}


def answer_label(matter: Matter, answer: str) -> str:
    """This function will word a way to settle a matter, for a button."""
    if answer == _Proposal.EXTEND:
        day = interface.short_day(dt.date.fromisoformat(matter.data["until"]))
        return _("Move the due day to %(day)s") % {"day": day}
    if answer == _Proposal.KEEP:
        own = {
            _Kind.LEAVER: _("Keep it as a debt"),
            _Kind.DUPLICATE: _("They are two people"),
            _Kind.IMPOSSIBLE_DATE: _("It is right as it is"),
        }
        return own.get(_Kind(matter.kind), capfirst(str(_Proposal.KEEP.label)))
    if answer == _Proposal.CORRECT:
        return _("The record is corrected")
    return capfirst(str(_Proposal(answer).label))


def _post(unit: OrgUnit | None, position) -> str:
    words = [one.label for one in (position, unit) if one is not None]
    return _(", ").join(words) or "–"
