"""The ladder of reminders: its steps and hours, who may have one of his own, and which open runs it governs.

The general ladder holds for every programme that has no steps of its own; the hours are always the general ones.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from core.events import record_event
from core.messaging import Quiet
from courses.models import CourseRun, Ladder, LadderStep, PlanLine, Programme

_To = LadderStep.To

USUAL_STEPS = (
    (-7, _To.EMPLOYEE),
    (-3, _To.EMPLOYEE),
    (0, _To.EMPLOYEE),
    (1, _To.EMPLOYEE),
    (1, _To.MANAGER),
    (3, _To.MANAGER),
    (7, _To.UPPER),
    (-3, _To.GROUP_CHAT),
    (0, _To.GROUP_CHAT),
)


class StepTwice(Exception):
    """Two rows of the ladder tell the same person on the same day."""


class InQuietHours(Exception):
    """The digest would go out in the hours in which nobody is disturbed."""


@dataclass(frozen=True)
class StepValues:
    """A row of a ladder as somebody wants it."""

    days: int
    to: str
    by_mail: bool = True


def general_ladder() -> Ladder | None:
    """This function will return the rule for every programme, or None in a house that has none yet."""
    return Ladder.objects.filter(programme=None).order_by("-active", "-pk").first()


def set_up_ladder() -> Ladder:
    """This function will make the general ladder with the usual steps where there is none; safe to call again."""
    ladder = general_ladder()
    if ladder is None:
        with transaction.atomic():
            ladder = Ladder.objects.create()
            LadderStep.objects.bulk_create(LadderStep(ladder=ladder, days=days, to=to) for days, to in USUAL_STEPS)
            ladder.refresh_from_db()  # the hours of the model are written as text
    return ladder


def quiet_hours(ladder: Ladder | None) -> Quiet | None:
    """This function will return the quiet hours of a ladder."""
    return Quiet(ladder.quiet_from, ladder.quiet_until) if ladder else None


def save_ladder(
    *,
    ladder: Ladder,
    steps: Sequence[StepValues],
    active: bool,
    send_at: dt.time,
    quiet_from: dt.time,
    quiet_until: dt.time,
    by,
    at: dt.datetime,
) -> Ladder:
    """This function will give a ladder these steps and hours. A step that stays keeps its row.

    ``ladder`` is as it was read: an hour or a state that is wanted as it was read is left as it is by now, so nobody
    who saves steps undoes that somebody else switched the reminders off meanwhile. One event on the chain
    ``reminders``. Raises StepTwice, InQuietHours, or Ladder.DoesNotExist when it was removed meanwhile.
    """
    wanted = {(step.days, step.to): step for step in steps}
    if len(wanted) != len(steps):
        raise StepTwice
    values = {"active": active, "send_at": send_at, "quiet_from": quiet_from, "quiet_until": quiet_until}
    changed = {name: value for name, value in values.items() if ladder.pk is None or value != getattr(ladder, name)}
    with transaction.atomic():
        now = Ladder.objects.select_for_update().get(pk=ladder.pk) if ladder.pk else ladder
        before = _told(now) if now.pk else None
        for name, value in changed.items():
            setattr(now, name, value)
        if _is_quiet(Quiet(now.quiet_from, now.quiet_until), now.send_at, at):
            raise InQuietHours
        if now.pk is None:
            now.save()
        elif changed:
            Ladder.objects.filter(pk=now.pk).update(**changed)
        ladder = now
        there = {(step.days, step.to): step for step in ladder.steps.all()}
        LadderStep.objects.filter(pk__in=[row.pk for key, row in there.items() if key not in wanted]).delete()
        for key, step in wanted.items():
            LadderStep.objects.update_or_create(
                ladder=ladder, days=key[0], to=key[1], defaults={"by_mail": step.by_mail}
            )
        after = _told(ladder)
        if before != after:
            record_event(
                chain="reminders",
                action="ladder changed" if before else "ladder made",
                subject=ladder,
                actor=by,
                at=at,
                before=before,
                after=after,
            )
    return ladder


def _is_quiet(quiet: Quiet, time: dt.time, at: dt.datetime) -> bool:
    moment = timezone.make_aware(dt.datetime.combine(timezone.localdate(at), time))
    return quiet.until(moment) > moment


def _told(ladder: Ladder) -> dict:
    """A ladder as the event says it."""
    return {
        "programme": ladder.programme_id,
        "active": ladder.active,
        "hours": [f"{time:%H:%M}" for time in (ladder.send_at, ladder.quiet_from, ladder.quiet_until)],
        "steps": [[step.days, step.to, step.by_mail] for step in LadderStep.objects.filter(ladder=ladder)],
    }


def give_own_ladder(*, programme: Programme, by, at: dt.datetime) -> Ladder:
    """This function will give a programme steps of its own, to begin with those of the general ladder.

    Its hours are always the general ones: a person gets one digest a day. One event on the chain ``reminders``.
    """
    with transaction.atomic():
        general = set_up_ladder()
        hours = {name: getattr(general, name) for name in ("send_at", "quiet_from", "quiet_until")}
        ladder, created = Ladder.objects.get_or_create(programme=programme, defaults=hours)
        if created:
            LadderStep.objects.bulk_create(
                LadderStep(ladder=ladder, days=step.days, to=step.to, by_mail=step.by_mail)
                for step in general.steps.all()
            )
            record_event(chain="reminders", action="ladder made", subject=ladder, actor=by, at=at, after=_told(ladder))
    return ladder


def remove_own_ladder(*, programme: Programme, by, at: dt.datetime) -> bool:
    """This function will put a programme back under the general ladder; False when it was there already."""
    with transaction.atomic():
        ladder = Ladder.objects.filter(programme=programme).first()
        if ladder is None:
            return False
        record_event(chain="reminders", action="ladder removed", subject=ladder, actor=by, at=at, before=_told(ladder))
        ladder.delete()
    return True


# --- what they govern -------------------------------------------------------------------------------------------------
def runs_taking_work(at: dt.datetime) -> QuerySet[CourseRun]:
    """This function will return the open runs that have begun and still accept work: only they are chased."""
    return CourseRun.objects.filter(state=CourseRun.State.OPEN, opens_at__lte=at, accept_until__gte=at)


def ladders_in_force(at: dt.datetime) -> list[tuple[list[LadderStep], list[CourseRun]]]:
    """This function will return the steps of each ladder in force with the open runs it governs. Four queries.

    A run has the ladder of a programme that planned it and has one of its own (the oldest, should there be several),
    else the general one. A ladder that is not active chases nothing.
    """
    ladders = list(Ladder.objects.prefetch_related("steps").order_by("pk"))
    own = {ladder.programme_id: ladder for ladder in ladders if ladder.programme_id}
    general = next((ladder for ladder in ladders if not ladder.programme_id and ladder.active), None)
    runs = list(runs_taking_work(at).select_related("course").order_by("pk"))
    planned: dict[tuple, Ladder] = {}
    if own and runs:
        lines = PlanLine.objects.filter(programme__in=own.keys(), published_at__isnull=False)
        for programme_id, course_id, month in lines.order_by("-programme").values_list(
            "programme_id", "course_id", "month"
        ):
            planned[course_id, month] = own[programme_id]
    governed: dict[int, list[CourseRun]] = defaultdict(list)
    for run in runs:
        ladder = planned.get((run.course_id, run.month), general)
        if ladder is not None and ladder.active:
            governed[ladder.pk].append(run)
    return [(list(ladder.steps.all()), governed[ladder.pk]) for ladder in ladders if ladder.pk in governed]


def newest_step(steps: Iterable[LadderStep], to: str, days: int) -> LadderStep | None:
    """This function will return the last step to somebody that was reached so many days from the due day."""
    reached = [step for step in steps if step.to == to and step.days <= days]
    return max(reached, key=lambda step: step.days, default=None)
