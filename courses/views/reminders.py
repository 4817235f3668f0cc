"""The ladder (PM-M01), nudges (PM-M03) and the log of messages (PM-M04)."""

from __future__ import annotations

from collections import defaultdict
from urllib.parse import urlencode

from django.contrib import messages as toasts
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.messaging import kind_title, outcome_words
from core.messaging import retry as retry_message_of
from core.models import Job, Message
from courses.domain import ladders, nudging, reminder_messages, reminders
from courses.domain.access import own_programmes, runs_the_company
from courses.domain.ladders import InQuietHours, StepTwice
from courses.domain.nudging import NudgeReport, Skip, TooManyAtOnce
from courses.models import Ladder
from courses.reminder_forms import HoursForm, MessageFilter, StepForm, StepFormSet
from courses.views.completion import _Names
from courses.views.months import _tabs, month_or_404, this_month
from people.domain.access import actor_of, binds, employee_or_404, require, visible_employees

PAGE = 50
MOST_NAMES = 8  # in one sentence about who was not nudged


# --- the ladder -------------------------------------------------------------------------------------------------------
@binds("PM-M01")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def ladder(request):
    """The steps for everybody, or those of one programme: rows, hours, and who would be told what today.

    The HR of a root unit sets them; the HR of other units reads them.
    """
    actor = actor_of(request)
    require(actor, "PM-M01")
    may_set = runs_the_company(actor)
    programme = _programme(request, actor)
    if request.method == "POST":
        if not may_set:
            raise PermissionDenied("PM-M01")
        return _set_ladder(request, actor, programme)
    found = _ladder_of(programme)
    return _ladder_page(request, actor, programme, found, *_forms(found), may_set=may_set)


def _programme(request, actor):
    text = request.GET.get("programme", "")
    if not text:
        return None
    if not text.isdecimal() or len(text) > 18:
        raise Http404
    return get_object_or_404(own_programmes(actor), pk=int(text))


def _ladder_of(programme) -> Ladder | None:
    return Ladder.objects.filter(programme=programme).first() if programme else ladders.general_ladder()


def _forms(found: Ladder | None, data=None):
    steps = [StepForm.values_of(step) for step in found.steps.order_by("days", "to")] if found and found.pk else []
    return HoursForm(data, instance=found), StepFormSet(data, initial=steps, prefix="steps")


def _here(programme) -> str:
    return reverse("courses:ladder") + (f"?programme={programme.pk}" if programme else "")


def _set_ladder(request, actor, programme) -> HttpResponse:
    at, wish = timezone.now(), request.POST.get("do", "")
    if wish == "usual":
        ladders.set_up_ladder()
        return HttpResponseRedirect(_here(None))
    if programme and wish == "own":
        ladders.give_own_ladder(programme=programme, by=request.user, at=at)
        toasts.success(request, _("“%(name)s” now has steps of its own.") % {"name": programme.label})
        return HttpResponseRedirect(_here(programme))
    if programme and wish == "general":
        ladders.remove_own_ladder(programme=programme, by=request.user, at=at)
        toasts.success(request, _("“%(name)s” follows the general steps again.") % {"name": programme.label})
        return HttpResponseRedirect(_here(None))
    found = _ladder_of(programme)
    if found is None:
        raise Http404
    hours, steps = _forms(found, request.POST)
    if programme:  # its hours are the general ones
        for name in ("send_at", "quiet_from", "quiet_until"):
            hours.fields[name].required = False
            hours.fields[name].disabled = True
    if hours.is_valid() and steps.is_valid():
        by_now = get_object_or_404(Ladder, pk=found.pk)
        try:
            ladders.save_ladder(
                ladder=by_now,
                steps=steps.steps,
                **hours.wanted(by_now),
                by=request.user,
                at=at,
            )
        except StepTwice:
            hours.add_error(None, _("Two steps tell the same person on the same day. Remove one of them."))
        except InQuietHours:
            hours.add_error("send_at", _("This lies in the quiet hours. Choose another time, or other quiet hours."))
        else:
            toasts.success(request, _("The steps are saved. They hold from the next digest on."))
            return HttpResponseRedirect(_here(programme))
    return _ladder_page(request, actor, programme, found, hours, steps, may_set=True)


def _ladder_page(request, actor, programme, found, hours, steps, *, may_set: bool) -> HttpResponse:
    at = timezone.now()
    on = timezone.localdate(at)
    last = Job.objects.filter(kind=reminders.SENT_KIND, requested_by=None).first()
    own = set(Ladder.objects.exclude(programme=None).values_list("programme_id", flat=True))
    wrong = bool(hours.errors or (steps.is_bound and not steps.is_valid()))
    context = {
        "programme": programme,
        "ladder": found,
        "hours": hours,
        "steps": steps,
        "rows": list(found.steps.order_by("days", "to")) if found and found.pk else [],
        "may_set": may_set,
        "preview": reminders.preview(on=on, at=at) if may_set and not programme and not wrong else None,
        "today": on,
        "sent_at": last.finished_at if last else None,
        "sent": last.result if last and last.finished_at and timezone.localdate(last.finished_at) == on else None,
        "programmes": [{"programme": one, "own": one.pk in own} for one in own_programmes(actor)],
        "tabs": _tabs("ladder"),
        "here": _here(programme),
        "general_url": _here(None),
    }
    return render(request, "courses/ladder.html", context, status=422 if wrong else 200)


# --- nudges -----------------------------------------------------------------------------------------------------------
SKIPPED = {
    Skip.GONE: gettext_lazy("not at work"),
    Skip.DONE: gettext_lazy("nothing is open"),
    Skip.AWAY: gettext_lazy("on leave today"),
    Skip.NO_SIGN_IN: gettext_lazy("cannot sign in yet"),
    Skip.TODAY: gettext_lazy("nudged today already"),
    Skip.WEEK: gettext_lazy("nudged three times in seven days"),
}


def _back(request, otherwise: str) -> HttpResponseRedirect:
    address = request.POST.get("next", "")
    good = url_has_allowed_host_and_scheme(address, {request.get_host()}, require_https=request.is_secure())
    return HttpResponseRedirect(address if good else otherwise)


def _nudge(request, people) -> None:
    """Nudge these people and say in words who was and who was not, and why."""
    try:
        report = nudging.nudge(people=people, by=request.user, at=timezone.now())
    except TooManyAtOnce as refused:
        words = _(
            "These are %(people)s people. At most %(most)s can be nudged at once: choose a smaller unit, or leave it to"
            " the reminders that go out by themselves."
        )
        toasts.error(request, words % {"people": f"{refused.people:,}", "most": nudging.MOST_NUDGED})
        return
    if report.nudged:
        if len(report.nudged) == 1:
            text = _("%(name)s was nudged.") % {"name": report.nudged[0].label}
        else:
            text = ngettext("%(number)d person was nudged.", "%(number)d people were nudged.", len(report.nudged)) % {
                "number": len(report.nudged)
            }
        toasts.success(request, text)
    if report.skipped:
        toasts.info(request, _("Not nudged: %(who)s.") % {"who": _skipped_words(report)})
    if not report.nudged and not report.skipped:
        toasts.info(request, _("Nobody here has anything open."))


def _skipped_words(report: NudgeReport) -> str:
    by_reason = defaultdict(list)
    for employee, why in report.skipped:
        by_reason[why].append(employee.label)
    parts = []
    for why, names in by_reason.items():
        shown = pgettext("between names", ", ").join(names[:MOST_NAMES])
        if len(names) > MOST_NAMES:
            shown = _("%(names)s and %(number)d more") % {"names": shown, "number": len(names) - MOST_NAMES}
        parts.append(_("%(names)s (%(why)s)") % {"names": shown, "why": SKIPPED[why]})
    return pgettext("between sentences of a line", "; ").join(parts)


@binds("PM-M03")
@require_POST
def nudge(request):
    """One tap: the people whose ids are in ``employee``. Anybody out of reach is as if there were no such person."""
    actor = actor_of(request)
    require(actor, "PM-M03")
    texts = request.POST.getlist("employee")
    if not texts or not all(text.isdecimal() and len(text) < 19 for text in texts):
        raise Http404
    wanted = {int(text) for text in texts}
    people = visible_employees(actor, "PM-M03").filter(pk__in=list(wanted))
    if people.count() != len(wanted):
        raise Http404
    _nudge(request, people)
    return _back(request, reverse("portal:person", args=[next(iter(wanted))]))


@binds("PM-M03")
@require_POST
def nudge_team(request):
    """Everybody of my team who has something open in the month of the address."""
    actor = actor_of(request)
    require(actor, "PM-M03")
    people = visible_employees(actor, "PM-M03")
    if actor.employee is None:
        people = people.none()
    elif request.GET.get("level") == "all":
        people = people.reporting_to(actor.employee)
    else:
        people = people.filter(manager=actor.employee)
    wanted = request.GET.get("month", "")
    open_duties = nudging.open_in_month(month_or_404(wanted) if wanted else this_month())
    _nudge(request, nudging.people_with_open_duties(people=people, enrolments=open_duties))
    return _back(request, reverse("portal:my_team"))


@binds("PM-M03")
@require_POST
def nudge_names(request, month: str, unit_id: int | None = None):
    """Everybody of a list of names (as the address asks for it) who has not finished."""
    names = _Names(request, "PM-M03", month, unit_id)
    people = nudging.people_with_open_duties(people=names.people, enrolments=names.enrolments)
    _nudge(request, people)
    view = "courses:completion_names" if names.unit else "courses:completion_people"
    return _back(request, reverse(view, args=[names.month, *([names.unit.pk] if names.unit else [])]))


# --- the log ----------------------------------------------------------------------------------------------------------
CHIPS = {
    Message.State.WAITING: "assigned",
    Message.State.SENDING: "progress",
    Message.State.SENT: "done",
    Message.State.FAILED: "overdue",
    Message.State.DROPPED: "exempt",
}


@binds("PM-M04")
@never_cache
@require_safe
def messages(request):
    """Who was told what, by which channel, and what became of it; the newest first, paged by key.

    What a message said is not shown: a manager's digest names people whom the reader of the log may not see.
    """
    actor = actor_of(request)
    require(actor, "PM-M04")
    person = None
    text = request.GET.get("person", "")
    if text:
        if not text.isdecimal() or len(text) > 18:
            raise Http404
        person = employee_or_404(actor, "PM-M04", int(text))
    form = MessageFilter(request.GET)
    chosen = {name: value for name, value in form.cleaned_data.items() if value} if form.is_valid() else {}
    found = _filtered(reminder_messages.visible_messages(actor, "PM-M04"), chosen, person)
    before = request.GET.get("before", "")
    if before.isdecimal() and len(before) < 19:
        found = found.filter(pk__lt=int(before))
    rows = list(found.select_related("user__employee__unit", "robot").order_by("-pk")[: PAGE + 1])
    kept = chosen | ({"person": person.pk} if person else {})
    context = {
        "form": form,
        "person": person,
        "rows": [
            {
                "message": row,
                "kind": kind_title(row.kind),
                "chip": CHIPS[Message.State(row.state)],
                "outcome": outcome_words(row),
            }
            for row in rows[:PAGE]
        ],
        "next_url": f"?{urlencode({**kept, 'before': rows[PAGE - 1].pk})}" if len(rows) > PAGE else "",
        "first_url": f"?{urlencode(kept)}" if before else "",
        "clear_url": reverse("courses:messages") if kept else "",
        "may_retry": actor.may("PM-M05"),
        "may_read_ladder": actor.may("PM-M01"),
    }
    return render(request, "courses/messages.html", context)


def _filtered(found, chosen: dict, person):
    for name in ("kind", "channel", "state"):
        if chosen.get(name):
            found = found.filter(**{name: chosen[name]})
    if text := chosen.get("q", "").strip():
        found = found.filter(
            Q(user__employee__name__icontains=text)
            | Q(user__employee__pinyin__icontains=text.lower().replace(" ", ""))
            | Q(user__employee__employee_no__startswith=text)
            | Q(robot__name__icontains=text)
        )
    return found.filter(user__employee=person) if person else found


@binds("PM-M05")
@require_POST
def retry_message(request, message_id: int):
    """Send a failed message once more."""
    actor = actor_of(request)
    require(actor, "PM-M05")
    found = reminder_messages.visible_messages(actor, "PM-M05").select_related("user__employee")
    message = get_object_or_404(found, pk=message_id)
    address = reminder_messages.address_of(message.user) if message.user else ""
    if retry_message_of(message=message, by=request.user, at=timezone.now(), address=address):
        toasts.success(request, _("The message is sent again within a minute."))
    else:
        toasts.info(request, _("This message is not a failed one any more."))
    return _back(request, reverse("courses:messages"))
