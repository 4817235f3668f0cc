"""The ladder that chases open duties to 100 %: who is told what today, one digest a person a day, nudges by hand.

The work of a day is done in two movements, and may be done as often as anybody likes:

1. ``find_due`` looks for each open duty at the newest step of its ladder that its due day has reached, and writes a row
   that says who is to be told. It is one INSERT .. SELECT for each step and due day, whatever the size of the company.
2. ``tell`` bundles the rows of each person into one digest and puts it in the queue (core.messaging).

Nobody is reminded of what is done, exempt, withdrawn, taken by choice or no longer accepted. Whoever is on leave today
is left in peace and hears of it on the first day back, if it is still open. When nothing ran for some days, only the
newest step is told and not all that were missed.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import (
    CharField,
    Count,
    DateField,
    Exists,
    F,
    IntegerField,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core import messaging
from core.events import record_event
from core.messaging import Quiet, message_kind, queue
from core.models import Message, Robot
from core.periods import Month, start_of
from courses.domain.queries import Figures
from courses.domain.reminder_words import Open, Words, chat_words, digest_words, nudge_words
from courses.models import (
    Course,
    CourseRun,
    Enrolment,
    GroupChat,
    Ladder,
    LadderStep,
    Nudge,
    PlanLine,
    Programme,
    ReminderDue,
    RunStep,
    Tally,
)
from people.domain.access import Actor, visible_employees, visible_units
from people.models import Employee, Leave, OrgUnit, User

_State, _To = Enrolment.State, LadderStep.To
_UNFINISHED = (_State.ASSIGNED, _State.IN_PROGRESS)

BATCH = 500  # digests written in one transaction,
MOST_ROWS = 20_000  # or so many duties told in them
CHAT_CATCH_UP = 3  # days after which a missed figure is no news any more
NUDGES_A_WEEK = 3
MOST_NUDGED = 500  # people nudged by one tap; larger groups are what the ladder is for
SENT_KIND = "courses.send_reminders"

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


class TooManyAtOnce(Exception):
    """More people than one tap may nudge; the number is ``people``."""

    def __init__(self, people: int):
        super().__init__(str(people))
        self.people = people


# --- the ladder -------------------------------------------------------------------------------------------------------
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


def _open_runs(at: dt.datetime) -> QuerySet[CourseRun]:
    return CourseRun.objects.filter(state=CourseRun.State.OPEN, opens_at__lte=at, accept_until__gte=at)


def _ladders(at: dt.datetime) -> list[tuple[list[LadderStep], list[CourseRun]]]:
    """The steps of each ladder in force with the open runs it governs. Four queries.

    A run has the ladder of a programme that planned it and has one of its own (the oldest, should there be several),
    else the general one. A ladder that is not active chases nothing.
    """
    ladders = list(Ladder.objects.prefetch_related("steps").order_by("pk"))
    own = {ladder.programme_id: ladder for ladder in ladders if ladder.programme_id}
    general = next((ladder for ladder in ladders if not ladder.programme_id and ladder.active), None)
    runs = list(_open_runs(at).select_related("course").order_by("pk"))
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


# --- who is to be told ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Due:
    """A step that duties with one due day have reached: the duties, and the path from each to who is to be told."""

    step: LadderStep
    due_on: dt.date
    duties: QuerySet[Enrolment]
    receiver: str

    @property
    def receiver_id(self) -> F:
        return F(f"{self.receiver}_id")


def _at_work(path: str, on: dt.date) -> Q:
    """The person at the end of the path works here on the day and is not away."""
    away = Leave.objects.filter(employee=OuterRef(f"{path}_id"), starts_on__lte=on, ends_on__gte=on)
    return _employed(path, on) & Q(~Exists(away))


def _employed(path: str, on: dt.date) -> Q:
    hired = Q(**{f"{path}__hired_on": None}) | Q(**{f"{path}__hired_on__lte": on})
    stays = Q(**{f"{path}__left_on": None}) | Q(**{f"{path}__left_on__gte": on})
    return hired & stays & ~Q(**{f"{path}__state": Employee.State.SUSPENDED})


_SIGNS_IN = Q(employee__user__is_active=True)
# Who is told at a step: (the path from the duty, the duties for which it is that person).
_RECEIVERS: dict[str, list[tuple[str, Q]]] = {
    # Whoever cannot sign in cannot do it either: the manager hears of it, who can ask HR for an invitation.
    _To.EMPLOYEE: [("employee", _SIGNS_IN), ("employee__manager", ~_SIGNS_IN)],
    _To.MANAGER: [("employee__manager", Q())],
    _To.UPPER: [("employee__manager__manager", Q())],
}


def due_steps(*, on: dt.date, at: dt.datetime) -> Iterator[Due]:
    """This function will return what has been reached on a day and not yet been told, without writing anything."""
    for steps, runs in _ladders(at):
        open_duties = Enrolment.objects.filter(run__in=[run.pk for run in runs], voluntary=False).unfinished()
        moments = open_duties.order_by().values_list("due_at", flat=True).distinct()
        for due_on in sorted({timezone.localdate(moment) for moment in moments}):
            after = start_of(due_on + dt.timedelta(days=1))
            duties = open_duties.filter(due_at__gte=start_of(due_on), due_at__lt=after)
            for to, receivers in _RECEIVERS.items():
                step = newest_step(steps, to, (on - due_on).days)
                if step is None:
                    continue
                told = ReminderDue.objects.filter(enrolment=OuterRef("pk"), due_on=due_on, days=step.days, to=to)
                for path, whose in receivers:
                    people = _at_work("employee", on) if to == _To.EMPLOYEE else _employed("employee", on)
                    found = duties.filter(
                        whose, people, _at_work(path, on), Q(**{f"{path}__user__is_active": True})
                    ).exclude(Exists(told))
                    yield Due(step=step, due_on=due_on, duties=found, receiver=path)


def find_due(*, on: dt.date, at: dt.datetime) -> int:
    """This function will write down who is to be told what on a day, each step of a duty once, and return how many."""
    return sum(_write(due, on) for due in due_steps(on=on, at=at))


def _write(due: Due, on: dt.date) -> int:
    whole, text, day = IntegerField(), CharField(), DateField()
    columns = {
        "enrolment_id": F("pk"),
        "step_id": Value(due.step.pk, whole),
        "days": Value(due.step.days, whole),
        "to": Value(str(due.step.to), text),
        "employee_id": due.receiver_id,
        "on": Value(on, day),
        "due_on": Value(due.due_on, day),
        "digest": Value("", text),
    }
    rows = (
        due.duties.order_by()
        .annotate(**{f"new_{name}": value for name, value in columns.items()})
        .values_list(*(f"new_{name}" for name in columns))
    )
    try:
        select, parameters = rows.query.sql_with_params()
    except EmptyResultSet:
        return 0
    table, quote = ReminderDue._meta.db_table, connection.ops.quote_name
    names = ", ".join(quote(name) for name in columns)
    with connection.cursor() as cursor:
        # Names come from the model and values go as parameters: nothing in this statement was typed by anybody.
        cursor.execute(
            f"INSERT INTO {quote(table)} ({names}) {select} ON CONFLICT DO NOTHING",  # noqa: S608
            parameters,
        )
        return cursor.rowcount


@dataclass(frozen=True)
class PreviewLine:
    """What a step would do: how many people would be told of how many duties that are due on a day."""

    step: LadderStep
    due_on: dt.date
    people: int
    duties: int
    without_sign_in: bool = False  # told to the manager instead


@dataclass
class Preview:
    """Who would be told what: the lines, and how many people in all (each gets one digest)."""

    lines: list[PreviewLine] = field(default_factory=list)
    people: int = 0
    chats: list[ChatDue] = field(default_factory=list)


def preview(*, on: dt.date, at: dt.datetime) -> Preview:
    """This function will count what find_due and tell would do, and change nothing."""
    found = Preview(chats=due_chats(on=on, at=at))
    receivers: set[int] = set()
    for due in due_steps(on=on, at=at):
        by_person = due.duties.order_by().values_list(due.receiver_id).annotate(number=Count("pk"))
        rows = list(by_person)
        if not rows:
            continue
        receivers |= {row[0] for row in rows}
        found.lines.append(
            PreviewLine(
                step=due.step,
                due_on=due.due_on,
                people=len(rows),
                duties=sum(row[-1] for row in rows),
                without_sign_in=due.step.to == _To.EMPLOYEE and due.receiver != "employee",
            )
        )
    found.people = len(receivers)
    return found


# --- telling ----------------------------------------------------------------------------------------------------------
@dataclass
class Report:
    """What a round of reminders did: steps reached, people told, mails among it, group chats told."""

    rows: int = 0
    people: int = 0
    mails: int = 0
    chats: int = 0


def send_reminders(*, on: dt.date, at: dt.datetime) -> Report:
    """This function will do the work of a day: find who is to be told, and queue one digest a person and the chats'.

    A second call on the same day queues nothing for people who had their digest: what is new waits for tomorrow.
    Messages wait for the end of the quiet hours of the general ladder.
    """
    report = Report(rows=find_due(on=on, at=at))
    tell(on=on, at=at, report=report)
    report.chats = tell_chats(on=on, at=at)
    return report


def digest_key(on: dt.date) -> str:
    return f"digest-{on.isoformat()}"


def _untold(on: dt.date, at: dt.datetime) -> QuerySet[ReminderDue]:
    """Rows that still speak of an open duty, of people who are here today and had no digest yet."""
    had_one = Message.objects.filter(key=digest_key(on), user=OuterRef("employee__user"))
    return (
        _owed(at)
        .filter(_at_work("employee", on), told_at=None, employee__user__is_active=True)
        .exclude(Exists(had_one))
    )


def _owed(at: dt.datetime) -> QuerySet[ReminderDue]:
    """Rows that still speak of an open duty."""
    return ReminderDue.objects.filter(
        enrolment__state__in=_UNFINISHED,
        enrolment__voluntary=False,
        enrolment__run__in=_open_runs(at).order_by().values("pk"),
    )


def _in_order(rows: QuerySet[ReminderDue]) -> list[ReminderDue]:
    """The rows that are true at this moment with all that a digest says of them, the most urgent of a person first."""
    found = rows.select_related(
        "employee__user",
        "step",
        "enrolment__run__course",
        "enrolment__unit",
        "enrolment__employee__user",
        "enrolment__employee__manager",
    ).order_by("employee", "enrolment__due_at", "enrolment__employee__employee_no", "enrolment", "-days")
    return [row for row in found if _is_still_so(row)]


def _required_steps(runs: QuerySet | Iterable[int]) -> dict[int, int]:
    """{run id: how many steps there are to do}"""
    steps = RunStep.objects.filter(run__in=runs, required=True).order_by()
    return dict(steps.values_list("run").annotate(number=Count("pk")))


def tell(*, on: dt.date, at: dt.datetime, report: Report | None = None) -> Report:
    """This function will queue one digest for each person who is to be told something, some hundred at a time.

    The rows are marked and the messages queued in one transaction. Whoever else does the same at the same moment finds
    the rows marked and leaves them.
    """
    report = report or Report()
    quiet = quiet_hours(general_ladder())
    steps = _required_steps(_open_runs(at).order_by().values("pk"))
    last = 0
    while True:
        waiting = _untold(on, at).filter(employee__gt=last).order_by("employee").values_list("employee_id")
        people, rows = [], 0
        for employee_id, number in waiting.annotate(number=Count("pk"))[:BATCH]:
            people.append(employee_id)
            rows += number
            if rows > MOST_ROWS:  # of somebody with very many people below
                break
        if not people:
            return report
        last = people[-1]
        _tell_some(people, on=on, at=at, quiet=quiet, steps=steps, report=report)


def _tell_some(
    people: list[int], *, on: dt.date, at: dt.datetime, quiet: Quiet | None, steps: dict[int, int], report: Report
) -> None:
    rows = _in_order(_untold(on, at).filter(employee__in=people))
    away = _away({row.enrolment.employee_id for row in rows}, on)
    by_person: dict[int, list[ReminderDue]] = defaultdict(list)
    for row in rows:
        by_person[row.employee_id].append(row)
    messages: list[Message] = []
    for theirs in by_person.values():
        messages += _digest(theirs, on=on, at=at, quiet=quiet, steps=steps, away=away)
    with transaction.atomic():
        marked = ReminderDue.objects.filter(pk__in=[row.pk for row in rows], told_at=None).update(
            told_at=at, digest=digest_key(on)
        )
        if marked != len(rows):  # somebody else tells these people right now
            transaction.set_rollback(True)
            return
        queue(messages=messages, at=at)
    report.people += len(by_person)
    report.mails += sum(1 for message in messages if message.channel == Message.Channel.MAIL)


def _is_still_so(row: ReminderDue) -> bool:
    """Is the row true at this moment? The due day may have moved, and a name is told to who is the manager now only."""
    enrolment, person = row.enrolment, row.enrolment.employee
    if timezone.localdate(enrolment.due_at) != row.due_on:
        return False
    if row.employee_id == person.pk:
        return row.to == _To.EMPLOYEE
    if row.to == _To.UPPER:
        return person.manager is not None and person.manager.manager_id == row.employee_id
    return person.manager_id == row.employee_id


def _away(people: Iterable[int], on: dt.date) -> dict[int, dt.date]:
    """{employee id: the last day of the leave} of those who are on leave on the day."""
    rows = Leave.objects.filter(employee__in=people, starts_on__lte=on, ends_on__gte=on)
    return dict(rows.order_by("ends_on").values_list("employee_id", "ends_on"))


def _digest(
    rows: list[ReminderDue],
    *,
    on: dt.date,
    at: dt.datetime,
    quiet: Quiet | None,
    steps: dict[int, int],
    away: dict[int, dt.date],
) -> list[Message]:
    """The messages of one person: a line for the page in both languages, and a mail where there is an address."""
    words, url = _digest_words(rows, on=on, steps=steps, away=away)
    return _messages(
        key=digest_key(on),
        kind="reminder",
        receiver=rows[0].employee,
        words=words,
        url=url,
        by_mail=any(row.step is None or row.step.by_mail for row in rows),
        quiet=quiet,
        at=at,
    )


def _digest_words(
    rows: list[ReminderDue], *, on: dt.date, steps: dict[int, int], away: dict[int, dt.date]
) -> tuple[dict[str, Words], str]:
    """What one person is told in each language, and the page it leads to."""
    receiver = rows[0].employee
    duties = {row.enrolment_id: row for row in reversed(rows)}  # of several steps of one duty the newest
    own: list[Open] = []
    team: list[Open] = []
    for row in sorted(duties.values(), key=lambda row: rows.index(row)):
        person = row.enrolment.employee
        duty = Open(
            enrolment=row.enrolment,
            steps_total=steps.get(row.enrolment.run_id, 0),
            away_until=away.get(person.pk),
            can_sign_in=person.user is not None and person.user.is_active,
        )
        (own if person.pk == receiver.pk else team).append(duty)
    words = {}
    for language in ("zh-hans", "en"):
        with translation.override(language):
            words[language] = digest_words(receiver=receiver, own=own, team=team, on=on)
    return words, reverse("portal:my_month" if own else "portal:my_team")


def _messages(
    *,
    key: str,
    kind: str,
    receiver: Employee,
    words: dict[str, Words],
    url: str,
    by_mail: bool,
    quiet: Quiet | None,
    at: dt.datetime,
) -> list[Message]:
    language = receiver.language if receiver.language in words else "zh-hans"
    user, subject = receiver.user, words[language].subject
    if user is None:
        return []
    line = {one: words[one].line for one in words}
    made = [
        messaging.page(
            key=key,
            kind=kind,
            user_id=user.pk,
            language=language,
            subject=subject,
            text_zh=line["zh-hans"],
            text_en=line["en"],
            url=url,
        )
    ]
    address = address_of(user)
    if by_mail and address:
        made.append(
            messaging.mail(
                key=key,
                kind=kind,
                user_id=user.pk,
                address=address,
                language=language,
                subject=subject,
                text=words[language].text,
                url=url,
                not_before=quiet.until(at) if quiet else at,
                quiet=quiet,
            )
        )
    return made


def address_of(user: User) -> str:
    """This function will return where mails to a user go: the address on the record, else that of the sign-in."""
    employee = getattr(user, "employee", None)
    return (employee.email if employee else "") or user.email


# --- what a message says when it goes out at last ---------------------------------------------------------------------
def _said_anew(message: Message, words: dict[str, Words], url: str) -> Message:
    """A message to the same receiver by the same channel, with other words."""
    own = words[message.language]
    same = {"key": message.key, "kind": message.kind, "user_id": message.user_id, "language": message.language}
    if message.channel == Message.Channel.PAGE:
        lines = {"text_zh": words["zh-hans"].line, "text_en": words["en"].line}
        return messaging.page(**same, subject=own.subject, **lines, url=url)  # type: ignore[arg-type]
    return messaging.mail(**same, address=message.address, subject=own.subject, text=own.text, url=url)  # type: ignore[arg-type]


def _digests_now(messages: list[Message], at: dt.datetime) -> dict[int, Message]:
    """The digests with what is still owed of them, as seen from today; without those of which nothing is left."""
    on, anew = timezone.localdate(at), {}
    for some in _parts(messages, at):
        told = Q(digest__in={message.key for message in some}, employee__user__in={one.user_id for one in some})
        rows: dict[tuple[int, str], list[ReminderDue]] = defaultdict(list)
        for row in _in_order(_owed(at).filter(told)):
            rows[row.employee.user_id, row.digest].append(row)  # type: ignore[index]
        enrolments = [row.enrolment for theirs in rows.values() for row in theirs]
        steps = _required_steps({one.run_id for one in enrolments})
        away = _away({one.employee_id for one in enrolments}, on)
        for message in some:
            if theirs := rows.get((message.user_id, message.key)):  # type: ignore[arg-type]
                anew[message.pk] = _said_anew(message, *_digest_words(theirs, on=on, steps=steps, away=away))
    return anew


def _parts(messages: list[Message], at: dt.datetime) -> Iterator[list[Message]]:
    """The messages in parts that speak of some thousand duties each: those above have very many people below."""
    told = Q(digest__in={one.key for one in messages}, employee__user__in={one.user_id for one in messages})
    rows = _owed(at).filter(told).order_by().values_list("employee__user").annotate(number=Count("pk"))
    numbers, part, sum_of_part = dict(rows), [], 0
    for message in messages:
        part.append(message)
        sum_of_part += numbers.get(message.user_id, 0)
        if sum_of_part > MOST_ROWS:
            yield part
            part, sum_of_part = [], 0
    if part:
        yield part


def _nudges_now(messages: list[Message], at: dt.datetime) -> dict[int, Message]:
    """The nudges with what is open now; without those to people who owe nothing any more."""
    on, users = timezone.localdate(at), {message.user_id for message in messages}
    nudges = {
        (nudge.employee.user_id, nudge_key(nudge.on)): nudge
        for nudge in Nudge.objects.filter(
            employee__user__in=users, on__in={timezone.localdate(message.created_at) for message in messages}
        ).select_related("employee", "by__employee")
    }
    duties = _open_duties([nudge.employee_id for nudge in nudges.values()], at)
    anew = {}
    for message in messages:
        nudge = nudges.get((message.user_id, message.key))
        if nudge is not None and (own := duties.get(nudge.employee_id)):
            words = _nudge_words(nudge.employee, own, by=nudge.by, on=on)
            anew[message.pk] = _said_anew(message, words, reverse("portal:my_month"))
    return anew


message_kind("reminder", title=_("Reminder"), renew=_digests_now)
message_kind("nudge", title=_("Nudge"), renew=_nudges_now)


def _figures_now(messages: list[Message], at: dt.datetime) -> dict[int, Message]:
    """The figures as they stand now; without those of chats that tell them no more, or whose step is gone. Six queries."""
    asked = {message.pk: _asked_figures(message.key) for message in messages}
    chats = {
        (chat.robot_id, chat.unit_id): chat
        for chat in GroupChat.objects.filter(robot__in={one.robot_id for one in messages}).select_related(
            "unit", "robot"
        )
    }
    runs: dict[tuple[dt.date, int], list[CourseRun]] = defaultdict(list)
    for steps, governed in _ladders(at):
        told = {step.days for step in steps if step.to == _To.GROUP_CHAT}
        for run in governed:
            for days in told:
                runs[timezone.localdate(run.due_at), days].append(run)
    wanted = {(due_on, days) for _unit_id, due_on, days in asked.values()}
    figures = _figures_of([run for key in wanted for run in runs.get(key, ())], {one[0] for one in asked.values()})
    anew = {}
    for message in messages:
        unit_id, due_on, days = asked[message.pk]
        chat = chats.get((message.robot_id, unit_id))  # type: ignore[arg-type]
        courses = _counted(runs.get((due_on, days), []), unit_id, figures)
        if chat is not None and courses:
            anew[message.pk] = _chat_message(
                ChatDue(chat=chat, due_on=due_on, days=days, courses=courses), on=timezone.localdate(at)
            )
    return anew


message_kind("figures", title=_("Figures for the group chat"), renew=_figures_now)


# --- group chats ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class ChatDue:
    """A group chat to which figures are due: the courses that are due on a day, with the figures of its unit."""

    chat: GroupChat
    due_on: dt.date
    days: int
    courses: list[tuple]

    @property
    def key(self) -> str:
        return f"figures-{self.chat.unit_id}-{self.due_on.isoformat()}-{self.days}"


def _asked_figures(key: str) -> tuple[int, dt.date, int]:
    """The unit, the due day and the step of the key of a ChatDue."""
    _kind, unit_id, rest = key.split("-", 2)
    return int(unit_id), dt.date.fromisoformat(rest[:10]), int(rest[11:])


def _figures_of(runs: Iterable[CourseRun], units: Iterable[int]) -> dict[tuple[int, int], Figures]:
    """The figures of runs in units, by both. One query."""
    tallies = Tally.objects.filter(run__in={run.pk for run in runs}, unit__in=set(units))
    return {
        (row.run_id, row.unit_id): Figures(assigned=row.assigned, completed=row.completed, on_time=row.on_time)
        for row in tallies
    }


def _counted(
    runs: Iterable[CourseRun], unit_id: int, figures: dict[tuple[int, int], Figures]
) -> list[tuple[Course, Figures]]:
    """The courses that somebody of a unit owes, with their figures."""
    found = [(run.course, figures.get((run.pk, unit_id), Figures())) for run in runs]
    return [(course, one) for course, one in found if one.assigned]


def due_chats(*, on: dt.date, at: dt.datetime) -> list[ChatDue]:
    """This function will return which group chats are to be told figures on a day. Six queries.

    Only of the newest step, and not when it was reached more than three days ago: old figures are no news.
    """
    chats = list(GroupChat.objects.filter(robot__active=True).select_related("unit", "robot").order_by("pk"))
    if not chats:
        return []
    runs: dict[tuple[dt.date, int], list[CourseRun]] = defaultdict(list)
    for steps, governed in _ladders(at):
        for run in governed:
            due_on = timezone.localdate(run.due_at)
            days = (on - due_on).days
            step = newest_step(steps, _To.GROUP_CHAT, days)
            if step is not None and days - step.days <= CHAT_CATCH_UP:
                runs[due_on, step.days].append(run)
    figures = _figures_of((run for some in runs.values() for run in some), [chat.unit_id for chat in chats])
    told = set(
        Message.objects.filter(kind="figures", robot__in={chat.robot_id for chat in chats}).values_list(
            "key", "robot_id"
        )
    )
    found = []
    for (due_on, days), some in sorted(runs.items(), key=lambda item: item[0]):
        for chat in chats:
            courses = _counted(some, chat.unit_id, figures)
            due = ChatDue(chat=chat, due_on=due_on, days=days, courses=courses)
            if courses and (due.key, chat.robot_id) not in told:
                found.append(due)
    return found


def tell_chats(*, on: dt.date, at: dt.datetime) -> int:
    """This function will queue the figures that are due to group chats, each once, and return how many."""
    quiet = quiet_hours(general_ladder())
    messages = [_chat_message(due, on=on, at=at, quiet=quiet) for due in due_chats(on=on, at=at)]
    with transaction.atomic():
        queue(messages=messages, at=at)
    return len(messages)


def _chat_message(due: ChatDue, *, on: dt.date, at: dt.datetime | None = None, quiet: Quiet | None = None) -> Message:
    """Figures for a group chat as they are said on a day; with ``at``, to go out then or after the quiet hours."""
    with translation.override("zh-hans"):  # a group has no language of its own; the house speaks Chinese
        words = chat_words(unit=due.chat.unit, courses=due.courses, due_on=due.due_on, on=on)
    return messaging.chat(
        key=due.key,
        kind="figures",
        robot=due.chat.robot,
        language="zh-hans",
        subject=words.subject,
        text=words.text,
        url=reverse("portal:my_month"),
        reference=unit_reference(due.chat.unit_id),
        not_before=quiet.until(at) if quiet and at else at,
        quiet=quiet,
    )


def unit_reference(unit_id: int) -> str:
    return f"unit:{unit_id}"


def add_group_chat(*, robot: Robot, unit: OrgUnit, by, at: dt.datetime) -> GroupChat:
    """This function will let a robot tell the figures of a unit. One event on the chain ``robots``.

    The database refuses the same pair twice (IntegrityError).
    """
    with transaction.atomic():
        chat = GroupChat.objects.create(robot=robot, unit=unit)
        after = {"unit": unit.code}
        record_event(chain="robots", action="unit added", subject=robot, actor=by, at=at, after=after)
    return chat


def remove_group_chat(*, chat: GroupChat, by, at: dt.datetime) -> None:
    """This function will end that a robot tells the figures of a unit. One event on the chain ``robots``."""
    with transaction.atomic():
        robot, before = chat.robot, {"unit": chat.unit.code}
        if GroupChat.objects.filter(pk=chat.pk).delete()[0]:
            record_event(chain="robots", action="unit removed", subject=robot, actor=by, at=at, before=before)


def try_robot(*, robot: Robot, by, at: dt.datetime) -> Message:
    """This function will post a test message to a group chat at once and return it with its outcome.

    Call it outside a transaction: the message is on the log before it is sent.
    """
    with translation.override("zh-hans"):
        words = {"name": by.employee.label if getattr(by, "employee", None) else str(by)}
        message = messaging.chat(
            key=f"test-{at.timestamp():.6f}",
            kind="test",
            robot=robot,
            language="zh-hans",
            subject=gettext("Test message"),
            text=gettext("%(name)s tries whether messages arrive here. They do.") % words,
        )
    message.created_at, message.not_before = at, at + messaging.LEASE  # no worker is to take it meanwhile
    message.tries = messaging.MAX_TRIES - 1  # tried once: who asked looks at what came back
    message.save()
    return messaging.deliver_now(message=message, clock=lambda: at)


def last_messages_of_robots() -> dict[int, Message]:
    """This function will return the newest message to each robot. One query."""
    newest = Message.objects.filter(robot=OuterRef("robot")).order_by("-pk").values("pk")[:1]
    rows = Message.objects.filter(robot__isnull=False, pk=Subquery(newest)).select_related("robot")
    return {row.robot_id: row for row in rows if row.robot_id}


# --- by hand ----------------------------------------------------------------------------------------------------------
class Skip:
    """Why somebody was not nudged."""

    GONE, DONE, AWAY, NO_SIGN_IN, TODAY, WEEK = ("gone", "done", "away", "no-sign-in", "today", "week")


@dataclass(frozen=True)
class NudgeReport:
    """Who was nudged, and who was not and why: (employee, a word of Skip)."""

    nudged: list[Employee]
    skipped: list[tuple[Employee, str]]


def nudge(*, people: QuerySet[Employee], by, at: dt.datetime) -> NudgeReport:
    """This function will remind people by hand: a line in their page, and a mail that waits for the quiet hours' end.

    ``people`` comes through the door (PM-M03). A person is nudged once a day, whoever taps (the database holds it), and
    at most three times in seven days; not while on leave, not without a sign-in, and never when nothing is open. One
    event on the chain ``reminders``. Raises TooManyAtOnce.
    """
    on = timezone.localdate(at)
    number = people.count()
    if number > MOST_NUDGED:
        raise TooManyAtOnce(number)
    chosen = list(people.select_related("user", "unit").order_by("employee_no"))
    duties = _open_duties([one.pk for one in chosen], at)
    reasons = _reasons_to_skip(chosen, duties, on)
    wanted = [one for one in chosen if one.pk not in reasons]
    with transaction.atomic():
        Nudge.objects.bulk_create(
            (Nudge(employee=one, by=by, at=at, on=on) for one in wanted), ignore_conflicts=True, batch_size=500
        )
        mine = set(Nudge.objects.filter(employee__in=wanted, on=on, by=by, at=at).values_list("employee_id", flat=True))
        reasons |= {one.pk: Skip.TODAY for one in wanted if one.pk not in mine}  # somebody tapped a moment before
        nudged = [one for one in wanted if one.pk in mine]
        quiet = quiet_hours(general_ladder())
        messages: list[Message] = []
        for one in nudged:
            messages += _nudge_messages(one, duties[one.pk], by=by, on=on, at=at, quiet=quiet)
        queue(messages=messages, at=at)
        if nudged:
            record_event(
                chain="reminders",
                action="nudged",
                subject=by,
                actor=by,
                at=at,
                after={"people": [one.employee_no for one in nudged]},
            )
    return NudgeReport(nudged=nudged, skipped=[(one, reasons[one.pk]) for one in chosen if one.pk in reasons])


def _open_duties(people: list[int], at: dt.datetime) -> dict[int, list[Open]]:
    """{employee id: what is owed and can be done now, the most urgent first}. Two queries."""
    enrolments = list(
        Enrolment.objects.filter(employee__in=people, voluntary=False, run__in=_open_runs(at).order_by().values("pk"))
        .unfinished()
        .select_related("run__course", "unit")
        .order_by("due_at", "pk")
    )
    steps = _required_steps({one.run_id for one in enrolments})
    found: dict[int, list[Open]] = defaultdict(list)
    for one in enrolments:
        found[one.employee_id].append(Open(enrolment=one, steps_total=steps.get(one.run_id, 0)))
    return found


def _reasons_to_skip(people: list[Employee], duties: dict[int, list[Open]], on: dt.date) -> dict[int, str]:
    ids = [one.pk for one in people]
    away = _away(ids, on)
    rows = Nudge.objects.filter(employee__in=ids, on__gt=on - dt.timedelta(days=7), on__lte=on)
    nudges = {
        employee: (number, last)
        for employee, number, last in rows.order_by()
        .values_list("employee_id")
        .annotate(number=Count("pk"), last=Max("on"))
    }
    reasons = {}
    for one in people:
        number, last = nudges.get(one.pk, (0, None))
        gone = one.state == Employee.State.SUSPENDED or (one.left_on is not None and one.left_on < on)
        for applies, reason in (
            (gone, Skip.GONE),
            (not duties.get(one.pk), Skip.DONE),
            (one.pk in away, Skip.AWAY),
            (one.user is None or not one.user.is_active, Skip.NO_SIGN_IN),
            (last == on, Skip.TODAY),
            (number >= NUDGES_A_WEEK, Skip.WEEK),
        ):
            if applies:
                reasons[one.pk] = reason
                break
    return reasons


def nudge_key(on: dt.date) -> str:
    return f"nudge-{on.isoformat()}"


def _nudge_words(receiver: Employee, own: list[Open], *, by, on: dt.date) -> dict[str, Words]:
    words = {}
    for language in ("zh-hans", "en"):
        with translation.override(language):
            name = by.employee.label if getattr(by, "employee", None) else str(by)
            words[language] = nudge_words(receiver=receiver, by=name, own=own, on=on)
    return words


def _nudge_messages(
    receiver: Employee, own: list[Open], *, by, on: dt.date, at: dt.datetime, quiet: Quiet | None
) -> list[Message]:
    return _messages(
        key=nudge_key(on),
        kind="nudge",
        receiver=receiver,
        words=_nudge_words(receiver, own, by=by, on=on),
        url=reverse("portal:my_month"),
        by_mail=True,
        quiet=quiet,
        at=at,
    )


def people_with_open_duties(*, people: QuerySet[Employee], enrolments: QuerySet[Enrolment]) -> QuerySet[Employee]:
    """This function will narrow some people to those who have an unfinished, owed duty among the enrolments."""
    theirs = enrolments.filter(state__in=_UNFINISHED, voluntary=False, employee=OuterRef("pk")).order_by()
    return people.filter(Exists(theirs))


def open_in_month(month: Month) -> QuerySet[Enrolment]:
    """This function will return the unfinished duties of a month whose run is open."""
    return Enrolment.objects.filter(run__month=month, run__state=CourseRun.State.OPEN).unfinished()


def nudged_today(*, employees: Iterable[int], on: dt.date) -> set[int]:
    """This function will return which of these people were nudged on a day. One query."""
    return set(Nudge.objects.filter(employee__in=list(employees), on=on).values_list("employee_id", flat=True))


# --- the log ----------------------------------------------------------------------------------------------------------
def visible_messages(actor: Actor, row: str) -> QuerySet[Message]:
    """This function will return the messages the actor may see under a row: those to the people of the row.

    With them those to group chats of the units of the role. Whoever sees everybody sees every message, also to sign-ins
    that are nobody's record.
    """
    if "A" in actor.letters(row):
        return Message.objects.all()
    people = visible_employees(actor, row).order_by()
    chats = GroupChat.objects.filter(unit__in=visible_units(actor, row).order_by().values("pk"))
    references = [unit_reference(unit_id) for unit_id in chats.values_list("unit_id", flat=True).distinct()]
    return Message.objects.filter(
        Q(user__employee__in=people.values("pk")) | Q(channel=Message.Channel.ROBOT, reference__in=references)
    )
