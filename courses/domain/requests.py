"""What employees ask about their own duties, and the answers: more time, or to be excused.

An extension is granted by a manager above the person or by HR, an exemption by HR alone; nobody decides his own request.
About an exemption a manager above the person says whether he supports it (``advise``); HR decides with that before it.
Granting calls the very functions that decide without being asked (courses.domain.exceptions), in one transaction with
the answer.

A request ends by itself when there is nothing left to answer: the duty was done, or fell away, or was settled without
it. Duties end in many places and often many at once (progress, catching up with the roster, taking over a history), so
those places know nothing of requests: whoever lists requests leaves such ones out (``open_requests``), and
``lapse_requests`` marks them, as a set, by the clock.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import TruncDate
from django.http import Http404
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from core.events import Link, record_event, record_events
from core.models import Event
from core.notices import notify
from core.templatetags import interface
from courses.domain import exceptions
from courses.domain.exceptions import DueRefused, ReasonMissing
from courses.models import CourseRun, DutyRequest, Enrolment
from people.domain.access import Actor, require, visible_employees

_State, _Kind, _Code, _Advice = DutyRequest.State, DutyRequest.Kind, DutyRequest.Code, DutyRequest.Advice
_UNFINISHED = (Enrolment.State.ASSIGNED, Enrolment.State.IN_PROGRESS)
_NOTICE = 300  # characters of a notice


class NotOwnDuty(Exception):
    """Only the person whose duty it is asks about it."""


class NothingToAsk(Exception):
    """The duty is done, excused, taken by choice, or its run is not open."""


class AlreadyAsked(Exception):
    """A request about this duty waits for its answer; take it back first."""


class NotWaiting(Exception):
    """The request was answered, taken back or settled a moment ago."""


class OwnRequest(Exception):
    """Nobody decides his own request, or advises on it."""


class NotToAdvise(Exception):
    """Only on an exemption is advice asked for: an extension is the manager's own to decide."""


# --- the door -------------------------------------------------------------------------------------------------------
def visible_requests(actor: Actor, row: str) -> QuerySet[DutyRequest]:
    """This function will return the requests of the people to whom the actor may do what the row names."""
    people = visible_employees(actor, row).order_by().values("pk")
    return DutyRequest.objects.filter(enrolment__employee__in=people).select_related(
        "enrolment__employee__unit",
        "enrolment__employee__position",
        "enrolment__run__course",
        "decided_by__employee",
        "advised_by__employee",
    )


def request_to_decide_or_404(actor: Actor, request_id: int) -> DutyRequest:
    """This function will return one request that the actor may decide: under PM-T04, an exemption under PM-T03 as well.

    Raises Http404 as for a missing id, or refuses (403) whom no role ever lets decide such a thing.
    """
    require(actor, "PM-T04")
    found = visible_requests(actor, "PM-T04").filter(pk=request_id).first()
    if found is not None and found.kind == _Kind.EXEMPTION:
        require(actor, "PM-T03")
        found = visible_requests(actor, "PM-T03").filter(pk=request_id).first()
    if found is None:
        raise Http404
    return found


def request_to_advise_or_404(actor: Actor, request_id: int) -> DutyRequest:
    """This function will return one exemption that is asked for by a person of the actor, who does not decide it (PM-T04).

    An answered one too, so that who comes too late is told so. Raises Http404 as for a missing id, or refuses (403).
    """
    require(actor, "PM-T04")
    found = _only_hr_decides(actor, visible_requests(actor, "PM-T04")).filter(pk=request_id).first()
    if found is None:
        raise Http404
    return found


def own_request_or_404(actor: Actor, request_id: int) -> DutyRequest:
    """This function will return one of the actor's own requests."""
    found = None
    if actor.employee is not None:
        own = DutyRequest.objects.filter(enrolment__employee=actor.employee)
        found = own.select_related("enrolment__run__course").filter(pk=request_id).first()
    if found is None:
        raise Http404
    return found


def open_requests(found: QuerySet[DutyRequest], at: dt.datetime) -> QuerySet[DutyRequest]:
    """This function will keep the requests that wait for an answer and can still be given one."""
    return found.filter(state=_State.ASKED).exclude(_pointless(at))


def _pointless(at: dt.datetime) -> Q:
    """Requests that no answer would change anything for: see lapse_requests."""
    ended = ~Q(enrolment__state__in=_UNFINISHED)
    too_late = ~Q(enrolment__run__state=CourseRun.State.OPEN) | Q(enrolment__run__accept_until__lt=at)
    long_enough = Q(until__lte=TruncDate(F("enrolment__due_at"), tzinfo=timezone.get_default_timezone()))
    return ended | (Q(kind=_Kind.EXTENSION) & (too_late | long_enough))


def to_decide(actor: Actor, at: dt.datetime) -> QuerySet[DutyRequest]:
    """This function will return what waits for this actor's answer, the oldest first."""
    found = visible_requests(actor, "PM-T04")
    if not actor.may("PM-T03"):
        found = found.filter(kind=_Kind.EXTENSION)
    else:
        excusable = visible_employees(actor, "PM-T03").order_by().values("pk")
        found = found.filter(Q(kind=_Kind.EXTENSION) | Q(enrolment__employee__in=excusable))
    return open_requests(found, at).order_by("asked_at", "pk")


def first_to_decide(actor: Actor, at: dt.datetime, *, most: int = 3) -> tuple[int, list[DutyRequest]]:
    """This function will return how many requests wait for this actor's answer, and the oldest few. Two queries."""
    found = to_decide(actor, at)
    number = found.count()
    return number, list(found[:most]) if number else []


def for_hr(actor: Actor, at: dt.datetime) -> QuerySet[DutyRequest]:
    """This function will return the open requests of the actor's people that only HR decides and the actor does not."""
    waiting = open_requests(_only_hr_decides(actor, visible_requests(actor, "PM-T04")), at)
    return waiting.order_by("asked_at", "pk")


def to_advise(actor: Actor, at: dt.datetime) -> int:
    """This function will return how many of those wait without a word of advice. One query."""
    return for_hr(actor, at).filter(advice="").count()


def _only_hr_decides(actor: Actor, found: QuerySet[DutyRequest]) -> QuerySet[DutyRequest]:
    found = found.filter(kind=_Kind.EXEMPTION)
    if actor.may("PM-T03"):
        excusable = visible_employees(actor, "PM-T03").order_by().values("pk")
        found = found.exclude(enrolment__employee__in=excusable)
    return found


def answered(actor: Actor, *, since: dt.datetime) -> QuerySet[DutyRequest]:
    """This function will return what was granted or refused to the actor's people since then, the newest first."""
    found = visible_requests(actor, "PM-T04").filter(state__in=[_State.GRANTED, _State.REFUSED], decided_at__gte=since)
    return found.order_by("-decided_at", "-pk")


# --- asking ---------------------------------------------------------------------------------------------------------
def may_ask(enrolment: Enrolment) -> bool:
    """This function will say whether there is anything to ask about a duty: it is owed, unfinished, and its run open."""
    return enrolment.state in _UNFINISHED and not enrolment.voluntary and enrolment.run.state == CourseRun.State.OPEN


def days_to_ask_for(enrolment: Enrolment, at: dt.datetime) -> tuple[dt.date, dt.date] | None:
    """This function will return the first and last day to which the due day may move, or None when there is none.

    After the present due day, not before today, and not after the last day on which work is accepted.
    """
    first = max(timezone.localdate(enrolment.due_at) + dt.timedelta(days=1), timezone.localdate(at))
    last = timezone.localdate(enrolment.run.accept_until)
    return (first, last) if first <= last else None


def ask(
    *, enrolment: Enrolment, kind: str, code: str, text: str, by, at: dt.datetime, until: dt.date | None = None
) -> DutyRequest:
    """This function will ask, for the person whose duty it is, for a due day of ``until`` or for being excused.

    One event on the chain ``completions``; the manager is told. Raises NotOwnDuty, NothingToAsk, AlreadyAsked,
    ReasonMissing, or DueRefused when the day is not later than the due day, has passed, or is after the last acceptance.
    """
    text, kind, code = text.strip()[:300], _Kind(kind), _Code(code)
    if not text:
        raise ReasonMissing
    enrolment = Enrolment.objects.select_related("employee__manager__user", "run__course").get(pk=enrolment.pk)
    if by is None or enrolment.employee.user_id != by.pk:
        raise NotOwnDuty
    if not may_ask(enrolment):
        raise NothingToAsk
    if kind == _Kind.EXTENSION:
        days = days_to_ask_for(enrolment, at)
        if until is None or days is None or not days[0] <= until <= days[1]:
            raise DueRefused
    else:
        until = None
    values = {"enrolment": enrolment, "kind": kind, "code": code, "text": text, "until": until, "asked_at": at}
    with transaction.atomic():
        try:
            with transaction.atomic():
                asked = DutyRequest.objects.create(**values)
        except IntegrityError as error:  # the constraint: one open request of a duty
            raise AlreadyAsked from error
        record_event(
            chain="completions",
            action="asked",
            subject=asked,
            actor=by,
            at=at,
            after={"enrolment": enrolment.pk, "kind": kind.value, "code": code.value, "until": until},
            reason=text,
        )
        _tell_manager(asked, at=at, what="asked")
    return asked


def take_back(*, request: DutyRequest, by, at: dt.datetime) -> DutyRequest:
    """This function will take back a request that was not answered yet. Raises NotOwnDuty or NotWaiting."""
    if by is None or request.enrolment.employee.user_id != by.pk:
        raise NotOwnDuty
    with transaction.atomic():
        _settle(request, _State.TAKEN_BACK, by=by, at=at)
        record_event(
            chain="completions",
            action="request taken back",
            subject=request,
            actor=by,
            at=at,
            before={"state": _State.ASKED.value},
            after={"state": _State.TAKEN_BACK.value},
        )
    return _fresh(request)


# --- advising -------------------------------------------------------------------------------------------------------
def advise(*, request: DutyRequest, advice: str, text: str = "", by, at: dt.datetime) -> DutyRequest:
    """This function will say, for a manager above the person, whether an exemption that waits for HR is supported.

    Words are needed only against it. Said again, the newest stands; each is an event on the chain ``completions``. The
    request keeps waiting for HR, who reads it, as does the employee. Raises OwnRequest, NotToAdvise, ReasonMissing, or
    NotWaiting when it was answered, or when somebody else advised since ``request`` was read.
    """
    _refuse_own(request, by)
    advice, text = _Advice(advice), text.strip()[:300]
    if request.kind != _Kind.EXEMPTION:
        raise NotToAdvise
    if advice == _Advice.NOT_SUPPORTED and not text:
        raise ReasonMissing
    with transaction.atomic():
        unchanged = DutyRequest.objects.filter(
            pk=request.pk, state=_State.ASKED, advice=request.advice, advised_at=request.advised_at
        )
        if not unchanged.update(advice=advice, advice_text=text, advised_at=at, advised_by=by):
            raise NotWaiting
        record_event(
            chain="completions",
            action="request advised",
            subject=request,
            actor=by,
            at=at,
            before={"advice": request.advice, "text": request.advice_text} if request.advice else None,
            after={"advice": advice.value},
            reason=text,
        )
    return _fresh(request)


# --- answering ------------------------------------------------------------------------------------------------------
def grant(*, request: DutyRequest, by, at: dt.datetime, answer: str = "", until: dt.date | None = None) -> DutyRequest:
    """This function will grant a request: move the due day (to an earlier day than asked, if ``until`` says so) or exempt.

    The duty changes and the request is answered in one transaction; of two who decide at once the first wins. One event
    of the request and one of the duty. The employee is told, and the manager unless it was he. Raises OwnRequest,
    NotWaiting, DueRefused when the day is later than asked or is no extension (any more), NotPossibleNow.
    """
    _refuse_own(request, by)
    answer = answer.strip()[:300]
    with transaction.atomic():
        _settle(request, _State.GRANTED, by=by, at=at, answer=answer)
        request = _fresh(request)
        decision = {"enrolment": request.enrolment, "by": by, "at": at, "code": request.code}
        after: dict = {"state": _State.GRANTED.value}
        if request.until:  # an extension: the constraint says so
            until = until or request.until
            if until > request.until:
                raise DueRefused
            exceptions.extend_due(until=until, reason=request.text, **decision)
            after["until"] = until
        else:
            exceptions.exempt_enrolment(reason=request.text, **decision)
        record_event(
            chain="completions",
            action="request granted",
            subject=request,
            actor=by,
            at=at,
            before={"state": _State.ASKED.value},
            after=after,
            reason=answer,
        )
        request = _fresh(request)
        _tell_employee(request, at=at)
        _tell_manager(request, at=at, what="decided", but=by)
    return request


def refuse(*, request: DutyRequest, by, at: dt.datetime, answer: str) -> DutyRequest:
    """This function will refuse a request, with words for the person who asked.

    One event; the employee is told, and the manager unless it was he. Raises OwnRequest, ReasonMissing, NotWaiting.
    """
    _refuse_own(request, by)
    answer = answer.strip()[:300]
    if not answer:
        raise ReasonMissing
    with transaction.atomic():
        _settle(request, _State.REFUSED, by=by, at=at, answer=answer)
        record_event(
            chain="completions",
            action="request refused",
            subject=request,
            actor=by,
            at=at,
            before={"state": _State.ASKED.value},
            after={"state": _State.REFUSED.value},
            reason=answer,
        )
        request = _fresh(request)
        _tell_employee(request, at=at)
        _tell_manager(request, at=at, what="decided", but=by)
    return request


def lapse_requests(*, at: dt.datetime) -> int:
    """This function will end the requests to which no answer is needed any more, and return how many.

    The duty was done, excused or withdrawn; or, for an extension, the due day was moved that far without it, or no more
    work is accepted. Safe to run twice. One event for each. Nobody is told: what ended the request was told already.
    """
    with transaction.atomic():
        # Rows that somebody answers at this moment are left to him; on SQLite the transaction itself is the lock.
        waiting = DutyRequest.objects.select_for_update(of=("self",), skip_locked=True)
        pointless = list(waiting.filter(_pointless(at), state=_State.ASKED).order_by("pk"))
        lapsed = DutyRequest.objects.filter(pk__in=[one.pk for one in pointless], state=_State.ASKED).update(
            state=_State.LAPSED, decided_at=at
        )
        if lapsed != len(pointless):
            raise RuntimeError("requests changed while they were ours")
        record_events(
            chain="completions",
            links=[
                Link(
                    action="request lapsed",
                    subject=one,
                    actor=None,
                    at=at,
                    before={"state": _State.ASKED.value},
                    after={"state": _State.LAPSED.value},
                )
                for one in pointless
            ],
        )
    return lapsed


def _refuse_own(request: DutyRequest, by) -> None:
    if by is None or request.enrolment.employee.user_id == by.pk:
        raise OwnRequest


def _settle(request: DutyRequest, state: str, *, by, at: dt.datetime, answer: str = "") -> None:
    settled = DutyRequest.objects.filter(pk=request.pk, state=_State.ASKED).update(
        state=state, decided_by=by, decided_at=at, answer=answer
    )
    if not settled:
        raise NotWaiting


def _fresh(request: DutyRequest) -> DutyRequest:
    return DutyRequest.objects.select_related(
        "enrolment__employee__user", "enrolment__employee__manager__user", "enrolment__run__course", "decided_by"
    ).get(pk=request.pk)


# --- telling --------------------------------------------------------------------------------------------------------
def _tell_manager(request: DutyRequest, *, at: dt.datetime, what: str, but=None) -> None:
    """One line for the manager: what was asked (and whether it is his to answer), or what was decided."""
    manager = request.enrolment.employee.manager
    if manager is None or manager.user_id is None or (but is not None and manager.user_id == but.pk):
        return
    url = (
        reverse("courses:requests")
        if what == "asked"
        else reverse("portal:person", args=[request.enrolment.employee_id])
    )
    _notify(manager.user, request, what=f"{what}-manager", url=url, at=at)


def _tell_employee(request: DutyRequest, *, at: dt.datetime) -> None:
    url = reverse("courses:overview", args=[request.enrolment_id])
    _notify(request.enrolment.employee.user, request, what="decided", url=url, at=at)


def _notify(user, request: DutyRequest, *, what: str, url: str, at: dt.datetime) -> None:
    texts = {}
    for language in ("zh-hans", "en"):
        with translation.override(language):
            texts[language] = _notice_words(request, what)[:_NOTICE]
    key = f"request-{request.pk}-{what}"
    notify(user=user, text_zh=texts["zh-hans"], text_en=texts["en"], url=url, at=at, key=key)


def _notice_words(request: DutyRequest, what: str) -> str:
    """One sentence in the active language."""
    enrolment = request.enrolment
    words = {
        "name": enrolment.employee.label,
        "course": enrolment.run.course.title,
        "day": interface.day(request.until) if request.until else "",
        "due": interface.day(enrolment.due_at),
    }
    extension = request.kind == _Kind.EXTENSION
    if what == "asked-manager":
        if extension:
            return _("%(name)s asks for time until %(day)s for “%(course)s”. You can answer.") % words
        return _("%(name)s asks to be excused from “%(course)s”. HR decides; you can say what you think.") % words
    granted = request.state == _State.GRANTED
    if what == "decided-manager":
        if extension and granted:
            return _("%(name)s has more time for “%(course)s”: it is due on %(due)s.") % words
        if extension:
            return _("%(name)s was refused more time for “%(course)s”.") % words
        if granted:
            return _("%(name)s is excused from “%(course)s”.") % words
        return _("%(name)s is not excused from “%(course)s”.") % words
    if extension and granted:
        return _("You have more time for “%(course)s”: it is due on %(due)s.") % words
    if extension:
        return _("You were refused more time for “%(course)s”; it stays due on %(due)s. See why.") % words
    if granted:
        return _("You are excused from “%(course)s”.") % words
    return _("You are not excused from “%(course)s”; it stays due on %(due)s. See why.") % words


# --- reading ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Asking:
    """What the page of one's own duty says about asking: the newest request, and whether a new one may be made."""

    newest: DutyRequest | None
    may_ask: bool

    @property
    def is_waiting(self) -> bool:
        return self.newest is not None and self.newest.state == _State.ASKED


def asking_about(enrolment: Enrolment, at: dt.datetime) -> Asking:
    """This function will return what there is to say about asking for a duty. One query (``run`` is loaded)."""
    asked = DutyRequest.objects.filter(enrolment=enrolment).select_related("advised_by__employee")
    newest = asked.order_by("-asked_at", "-pk").first()
    waits = newest is not None and newest.state == _State.ASKED
    return Asking(newest=newest, may_ask=may_ask(enrolment) and not waits)


_ACTIONS = ("exempted", "withdrawn", "reinstated", "extended", "past training recorded", "enrolled")


def duty_events(*, enrolments: Iterable[Enrolment]) -> list[dict]:
    """This function will return what was asked and decided about duties, in the form of the timeline component.

    With the reason code in the active language, the words, and who decided. Three queries (``run.course`` is loaded).
    """
    duties = {one.pk: one for one in enrolments}
    people = ("decided_by__employee", "advised_by__employee")
    requests = list(DutyRequest.objects.filter(enrolment__in=duties).select_related(*people))
    found: list[dict] = []
    answered_at = set()
    for one in requests:
        course = duties[one.enrolment_id].run.course.title
        found.append({"at": one.asked_at, "title": _asked_title(one) % {"course": course}, "text": request_reason(one)})
        if one.advice:
            supported = one.advice == _Advice.SUPPORTED
            title = (
                _("Supported by the manager: “%(course)s”")
                if supported
                else _("Not supported by the manager: “%(course)s”")
            )
            found.append(
                {
                    "at": one.advised_at,
                    "title": title % {"course": course},
                    "text": one.advice_text,
                    "who": pgettext("advice", "Said by %(name)s") % {"name": _name(one.advised_by)},
                }
            )
        if one.state in (_State.GRANTED, _State.REFUSED):
            done = "extended" if one.kind == _Kind.EXTENSION else "exempted"
            answered_at.add((one.enrolment_id, done, one.decided_at))
            granted = one.state == _State.GRANTED
            title = _("Request granted: “%(course)s”") if granted else _("Request refused: “%(course)s”")
            found.append(
                {
                    "at": one.decided_at,
                    "title": title % {"course": course},
                    "text": one.answer,
                    "who": _who(one.decided_by),
                }
            )
        elif one.state == _State.TAKEN_BACK:
            found.append({"at": one.decided_at, "title": _("Request taken back: “%(course)s”") % {"course": course}})
        elif one.state == _State.LAPSED:
            title = _("No answer was needed any more: “%(course)s”")
            found.append({"at": one.decided_at, "title": title % {"course": course}})
    decided = Event.objects.filter(
        chain="completions",
        subject_type=Enrolment._meta.label_lower,
        subject_id__in=[str(pk) for pk in duties],
        action__in=_ACTIONS,
    ).select_related("actor__employee")
    for event in decided.order_by("sequence"):
        enrolment = duties[int(event.subject_id)]
        if (enrolment.pk, event.action, event.at) in answered_at:
            title, reason = _decision_title(event), ""  # the reason stands with the request
        else:
            title, reason = _decision_title(event), _with_code((event.after or {}).get("code", ""), event.reason)
        found.append(
            {
                "at": event.at,
                "title": title % {"course": enrolment.run.course.title},
                "text": reason,
                "who": _who(event.actor),
            }
        )
    return found


def request_reason(request: DutyRequest) -> str:
    """This function will word why something was asked, and until when: "until 10 December; urgent work: the fair"."""
    reason = _with_code(request.code, request.text)
    if request.until:
        return _("Until %(day)s. %(reason)s") % {"day": interface.day(request.until), "reason": reason}
    return reason


def _with_code(code: str, reason: str) -> str:
    if code not in _Code.values:
        return reason
    return _("%(kind)s: %(reason)s") % {"kind": capfirst(_Code(code).label), "reason": reason}


def _asked_title(request: DutyRequest) -> str:
    if request.kind == _Kind.EXTENSION:
        return _("Asked for more time: “%(course)s”")
    return _("Asked to be excused: “%(course)s”")


def _decision_title(event: Event) -> str:
    titles = {
        "exempted": _("Exempted from “%(course)s”"),
        "withdrawn": _("Duty withdrawn: “%(course)s”"),
        "reinstated": _("Duty reinstated: “%(course)s”"),
        "past training recorded": _("Past training recorded: “%(course)s”"),
        "enrolled": _("Duty given: “%(course)s”"),
    }
    if event.action != "extended":
        return titles[event.action]
    due_at = dt.datetime.fromisoformat((event.after or {})["due_at"])
    return _("Due day moved to %(day)s: “%(course)s”").replace("%(day)s", interface.day(due_at))


def _who(user) -> str:
    if user is None:
        return ""
    return pgettext("a decision", "Decided by %(name)s") % {"name": _name(user)}


def _name(user) -> str:
    employee = getattr(user, "employee", None)
    return employee.label if employee else user.get_full_name() or user.get_username()
