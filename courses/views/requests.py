"""Asking for more time or to be excused, and answering: one page for who asks, one list for who decides."""

from __future__ import annotations

import datetime as dt

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from courses.decision_forms import AdviceForm, AnswerForm, AskForm
from courses.domain import exceptions
from courses.domain import requests as asking
from courses.domain.access import own_enrolment_or_404
from courses.models import DutyRequest
from people.domain.access import actor_of, binds, require

PAGE = 30
REMEMBERED = dt.timedelta(days=60)  # how long an answer stays in the list of answers
WAITING, FOR_HR, ANSWERED = "waiting", "hr", "answered"


# --- asking ---------------------------------------------------------------------------------------------------------
@binds("PM-M02")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def ask(request, enrolment_id: int):
    """The form with which a learner asks for more time, or to be excused, for one own duty."""
    actor, at = actor_of(request), timezone.now()
    enrolment = own_enrolment_or_404(actor, enrolment_id)
    form = AskForm(request.POST or None, days=asking.days_to_ask_for(enrolment, at))
    overview = reverse("courses:overview", args=[enrolment.pk])
    if request.method == "POST":
        if form.is_valid():
            try:
                asking.ask(enrolment=enrolment, by=request.user, at=at, **form.cleaned_data)
            except asking.NothingToAsk:
                messages.error(
                    request, _("There is nothing to ask about this course any more: it has changed meanwhile.")
                )
            except asking.AlreadyAsked:
                messages.info(request, _("You have asked already. Take that request back before you make another."))
            except exceptions.DueRefused:
                form.add_error("until", _("Choose a day after the present due day and before the last acceptance."))
            except exceptions.ReasonMissing:
                form.add_error("text", _("Please say why."))
            else:
                messages.success(request, _("Your request is on its way. The answer comes as a notice."))
        if not form.errors:
            return HttpResponseRedirect(overview)
    context = {
        "form": form,
        "enrolment": enrolment,
        "run": enrolment.run,
        "course": enrolment.run.course,
        "manager": enrolment.employee.manager,
        "about": asking.asking_about(enrolment, at),
        "back_url": overview,
        "at": at,
    }
    return render(request, "courses/ask.html", context, status=422 if form.errors else 200)


@binds("PM-M02")
@require_POST
def take_back(request, request_id: int):
    """The learner takes a request back that was not answered yet."""
    asked = asking.own_request_or_404(actor_of(request), request_id)
    try:
        asking.take_back(request=asked, by=request.user, at=timezone.now())
    except asking.NotWaiting:
        messages.info(request, _("This request was answered or settled already."))
    else:
        messages.success(request, _("Your request is taken back."))
    return HttpResponseRedirect(reverse("courses:overview", args=[asked.enrolment_id]))


# --- answering ------------------------------------------------------------------------------------------------------
@binds("PM-T04", "PM-T03")
@never_cache
@require_safe
def requests(request):
    """What waits for my answer; what waits for HR; what was answered lately."""
    return _list(request, request.GET.get("show", WAITING))


def _list(request, shown: str, *, wrong: AnswerForm | AdviceForm | None = None, wrong_id: int = 0, status: int = 200):
    actor, at = actor_of(request), timezone.now()
    require(actor, "PM-T04")
    lists = {
        WAITING: asking.to_decide(actor, at),
        FOR_HR: asking.for_hr(actor, at),
        ANSWERED: asking.answered(actor, since=at - REMEMBERED),
    }
    shown = shown if shown in lists else WAITING
    counts = {name: found.count() for name, found in lists.items()}
    page = Paginator(lists[shown], PAGE).get_page(request.GET.get("page"))
    rows = []
    for asked in page.object_list:
        days = asking.days_to_ask_for(asked.enrolment, at)
        row = {
            "request": asked,
            "enrolment": asked.enrolment,
            "employee": asked.enrolment.employee,
            "reason": asking.request_reason(asked),
            "is_extension": asked.kind == DutyRequest.Kind.EXTENSION,
        }
        if wrong is not None and wrong_id == asked.pk:
            row["form"] = wrong
        elif shown == WAITING:
            row["form"] = AnswerForm(asked=asked, first=days[0] if days else None)
        elif shown == FOR_HR:
            row["form"] = AdviceForm(asked=asked)
        rows.append(row)
    words = {WAITING: _("For you to answer"), FOR_HR: _("For HR to answer"), ANSWERED: _("Answered lately")}
    context = {
        "shown": shown,
        "rows": rows,
        "page": page,
        "at": at,
        "number": counts[WAITING],
        "is_hr": actor.may("PM-T03"),
        "tabs": [
            {"label": words[name], "count": counts[name], "active": name == shown, "url": f"?show={name}"}
            for name in lists
            if name != FOR_HR or counts[FOR_HR] or shown == FOR_HR
        ],
    }
    return render(request, "courses/requests.html", context, status=status)


@binds("PM-T04", "PM-T03")
@require_POST
def grant(request, request_id: int):
    """Grant a request: the due day moves (to the day in the form), or the person is exempt."""
    return _answer(request, request_id, granted=True)


@binds("PM-T04", "PM-T03")
@require_POST
def refuse(request, request_id: int):
    """Refuse a request, with words."""
    return _answer(request, request_id, granted=False)


def _answer(request, request_id: int, *, granted: bool):
    actor, at = actor_of(request), timezone.now()
    asked = asking.request_to_decide_or_404(actor, request_id)
    days = asking.days_to_ask_for(asked.enrolment, at)
    form = AnswerForm(request.POST, asked=asked, first=days[0] if days else None)
    if form.is_valid():
        values = {"request": asked, "by": request.user, "at": at, **form.cleaned_data}
        if not granted:
            values.pop("until", None)  # the day does not matter to a refusal
        words = {"name": asked.enrolment.employee.label, "course": asked.enrolment.run.course.title}
        try:
            asking.grant(**values) if granted else asking.refuse(**values)
        except (asking.NotWaiting, exceptions.NotPossibleNow):
            messages.error(request, _("This is no longer to be answered: it was settled a moment ago."))
        except asking.OwnRequest:
            messages.error(request, _("Nobody answers his own request."))
        except exceptions.DueRefused:
            form.add_error(
                "until", _("Choose a day after the present due day, at the latest the day that was asked for.")
            )
        except exceptions.ReasonMissing:
            form.add_error("answer", _("Please say why not."))
        else:
            if not granted:
                text = _("The request of %(name)s about “%(course)s” is refused.")
            elif asked.kind == DutyRequest.Kind.EXTENSION:
                text = _("The due day of “%(course)s” is extended for %(name)s.")
            else:
                text = _("%(name)s is exempt from “%(course)s”.")
            messages.success(request, text % words)
    if form.errors:
        return _list(request, WAITING, wrong=form, wrong_id=asked.pk, status=422)
    return HttpResponseRedirect(reverse("courses:requests"))


@binds("PM-T04")
@require_POST
def advise(request, request_id: int):
    """A manager says whether an exemption that waits for HR is supported, with words."""
    asked = asking.request_to_advise_or_404(actor_of(request), request_id)
    form = AdviceForm(request.POST, asked=asked)
    if form.is_valid():
        try:
            asking.advise(request=asked, by=request.user, at=timezone.now(), **form.cleaned_data)
        except asking.NotWaiting:
            messages.error(request, _("This was answered, or somebody else gave advice a moment ago: look again."))
        except exceptions.ReasonMissing:
            form.add_error("text", _("Please say why not."))
        else:
            words = {"name": asked.enrolment.employee.label}
            messages.success(request, _("HR and %(name)s see what you think. HR decides.") % words)
    if form.errors:
        return _list(request, FOR_HR, wrong=form, wrong_id=asked.pk, status=422)
    return HttpResponseRedirect(f"{reverse('courses:requests')}?show={FOR_HR}")
