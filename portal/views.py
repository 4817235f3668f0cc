"""Pages over several subjects: one's month, one's team, the HR desk, a person's record, search and notices."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from bulletins.domain.queries import newest_bulletin
from certificates.domain.queries import certificates_of
from core.periods import Month
from courses.domain.queries import my_month as month_of_person
from courses.domain.queries import person_months
from courses.domain.reconciling import newest_report
from courses.domain.requests import first_to_decide, to_advise
from people.domain import search as people_search
from people.domain.access import actor_of, binds, employee_or_404, require, rows_on, unit_or_404
from people.models import OrgUnit
from portal import dashboards
from portal.context import items_for
from portal.models import HomePage

PAGE = 50
NOTICES = 30
EVENTS = 20

RECORD_ROWS = ("PM-P02", "PM-P05", "PM-P07", "PM-P08", "PM-P09", "PM-P13", "PM-T01", "PM-T03", "PM-T04", "PM-T05")
RECORD_ROWS += ("PM-T07", "PM-Q06", "PM-K01", "PM-M03", "PM-M04", "PM-W08")


def _month(request, *, last: Month | None = None) -> Month:
    """The month the address asks for: this one unless it names another, up to ``last``."""
    today = Month.of(timezone.localdate())
    text = request.GET.get("month", "")
    if not text:
        return today
    try:
        month = Month.parse(text)
    except ValueError as error:
        raise Http404 from error
    if month > (last or today) or month < today.plus(-120):
        raise Http404
    return month


def _switch(month: Month, **kept) -> dict[str, str]:
    """The ways to the neighbouring months; what else the address chooses stays."""
    rest = "".join(f"&{name}={value}" for name, value in kept.items() if value)
    today = Month.of(timezone.localdate())
    return {
        "previous_url": f"?month={month.previous}{rest}",
        "next_url": f"?month={month.next}{rest}" if month < today else "",
    }


# --- the front door -------------------------------------------------------------------------------------------------
@require_safe
@never_cache
@login_not_required
def start(request):
    """``/``: the home page for who is not signed in; for everybody else the page they came for."""
    if request.user.is_authenticated:
        actor = actor_of(request)
        items = items_for(actor)
        if items:
            return redirect(items[0]["url"])
    home = HomePage.objects.live().filter(locale__language_code=translation.get_language()).first()
    home = home or HomePage.objects.live().order_by("path").first()
    url = home.get_url(request) if home else None
    if url is None:  # a house that is not set up yet still lets people sign in
        return redirect(settings.LOGIN_URL)
    return redirect(url)


# --- my month -------------------------------------------------------------------------------------------------------
@binds("PM-T05")
@require_safe
@never_cache
def my_month(request):
    """What I have to do this month, the next thing first."""
    actor = actor_of(request)
    require(actor, "PM-T05")
    month, at = _month(request), timezone.now()
    context = {"month": month, "at": at, "is_now": month == Month.of(timezone.localdate()), **_switch(month)}
    context["news"] = dashboards.latest_news(translation.get_language(), 3)
    context["bulletin"] = newest_bulletin(translation.get_language())
    if actor.employee is None:
        return render(request, "portal/my_month.html", context | {"employee": None})
    mine = month_of_person(actor.employee, month, at)
    # What is begun comes before what is not, where both are due on the same day.
    owed = sorted(mine.owed, key=lambda duty: (duty.enrolment.due_at, duty.enrolment.started_at is None))
    candidates = [*owed, *mine.debts] if context["is_now"] else owed
    first = next((duty for duty in candidates if duty.is_open), None)
    context |= {
        "employee": actor.employee,
        "mine": mine,
        "first": first,
        "others": [duty for duty in owed if duty is not first],
        "debts": [duty for duty in mine.debts if duty is not first] if context["is_now"] else [],
        "year": person_months(employee=actor.employee, last=Month.of(timezone.localdate()), months=12, at=at),
        "certificates": list(certificates_of(actor.employee)[:4]),
    }
    return render(request, "portal/my_month.html", context)


# --- my team --------------------------------------------------------------------------------------------------------
@binds("PM-T05", "PM-X01")
@require_safe
@never_cache
def my_team(request):
    """How my people are doing this month, and who decides whether all of them make it."""
    actor = actor_of(request)
    require(actor, "PM-X01")
    month, at = _month(request), timezone.now()
    level = dashboards.ALL if request.GET.get("level") == dashboards.ALL else dashboards.DIRECT
    people = dashboards.team_of(actor, level)
    team = dashboards.team_figures(people, month)
    shown = request.GET.get("show")
    if shown not in (dashboards.NEEDED, dashboards.DONE, dashboards.EXCUSED, dashboards.CHOSEN):
        shown = dashboards.NEEDED if team.now.open or not team.now.completed else dashboards.DONE
    page = Paginator(dashboards.team_duties(people, month, shown, at), PAGE).get_page(request.GET.get("page"))
    rows = dashboards.team_rows(page.object_list, at)
    counts = {
        dashboards.NEEDED: (_("Still to do"), team.now.open),
        dashboards.DONE: (_("Done"), team.now.completed),
        dashboards.EXCUSED: (_("Exempt or withdrawn"), team.now.exempt + team.now.withdrawn),
    }
    if team.now.voluntary:
        counts[dashboards.CHOSEN] = (_("By choice"), team.now.voluntary)
    wide = level if level == dashboards.ALL else ""
    context = {
        "month": month,
        "at": at,
        "level": level,
        "levels": [
            {"label": _("My direct reports"), "url": f"?month={month}", "active": level == dashboards.DIRECT},
            {"label": _("Everybody below me"), "url": f"?month={month}&level=all", "active": level == dashboards.ALL},
        ],
        "team": team,
        "shown": shown,
        "tabs": [
            {
                "label": label,
                "count": number,
                "active": name == shown,
                "url": f"?month={month}&show={name}{'&level=all' if wide else ''}",
            }
            for name, (label, number) in counts.items()
        ],
        "page": page,
        "rows": rows,
        "is_manager": actor.is_manager,
        "asked": dict(zip(("number", "first"), first_to_decide(actor, at), strict=True))
        | {"to_advise": to_advise(actor, at)},
        **_switch(month, level=wide),
    }
    return render(request, "portal/my_team.html", context)


# --- the HR desk ----------------------------------------------------------------------------------------------------
@binds("PM-I05", "PM-X01")
@require_safe
@never_cache
def hr_desk(request):
    """The month at a glance, and what waits."""
    actor = actor_of(request)
    require(actor, "PM-I05")
    month, at = _month(request), timezone.now()
    tops = dashboards.desk_units(actor)
    chosen = request.GET.get("unit", "")
    unit = tops[0] if tops else None
    if chosen:
        if not chosen.isdecimal() or len(chosen) > 18:
            raise Http404
        unit = unit_or_404(actor, "PM-X01", int(chosen))
    own, below = dashboards.unit_rows(unit, month, at) if unit else (None, [])
    context = {
        "month": month,
        "unit": unit,
        "tops": [{"label": top.label, "url": f"?month={month}&unit={top.pk}", "active": top == unit} for top in tops]
        if len(tops) > 1
        else [],
        "own": own,
        "rows": below,
        "matters": dashboards.open_matters(actor, Month.of(timezone.localdate()), at),
        "is_hr": "HRU" in actor.roles,
        "may_analyse": actor.may("PM-Q01"),
        "recount": newest_report(),
        **_switch(month, unit=chosen),
    }
    return render(request, "portal/hr_desk.html", context)


@binds("PM-I05", "PM-T05")
@require_safe
@never_cache
def hr_people(request):
    """The people behind an open matter: without a sign-in, or without a unit or manager."""
    actor = actor_of(request)
    require(actor, "PM-I05")
    gap = "post" if request.GET.get("gap") == "post" else "sign-in"
    without_sign_in = dashboards.people_without_sign_in(actor, timezone.now())
    without_post = dashboards.people_without_post(actor)
    people = without_post if gap == "post" else without_sign_in
    page = Paginator(people.order_by("unit__path", "employee_no"), PAGE).get_page(request.GET.get("page"))
    context = {
        "gap": gap,
        "page": page,
        "is_hr": "HRU" in actor.roles,
        "tabs": [
            {"label": _("Without a sign-in"), "url": "?gap=sign-in", "active": gap == "sign-in"},
            {"label": _("Without a unit or manager"), "url": "?gap=post", "active": gap == "post"},
        ],
    }
    return render(request, "portal/hr_people.html", context)


# --- a person -------------------------------------------------------------------------------------------------------
@binds("PM-P01", *RECORD_ROWS)
@require_safe
@never_cache
def person(request, employee_id: int):
    """A person's card for everybody; and as much of the record as the reader's roles open."""
    actor = actor_of(request)
    employee = employee_or_404(actor, "PM-P01", employee_id)
    at = timezone.now()
    allowed = rows_on(actor, employee, RECORD_ROWS)
    record = dashboards.person_record(actor, employee, allowed, at)
    path = list(OrgUnit.objects.above(employee.unit)) if employee.unit else []
    everything = request.GET.get("all") == "1"
    context = {
        "employee": employee,
        "unit_path": path,
        "allowed": allowed,
        "record": record,
        "events": record.events if everything else record.events[:EVENTS],
        "more": 0 if everything else max(0, len(record.events) - EVENTS),
        "is_me": actor.employee is not None and actor.employee.pk == employee.pk,
        "may_thank": actor.employee is not None and employee.state != employee.State.LEFT,
        "at": at,
    }
    return render(request, "portal/person.html", context)


# --- search ---------------------------------------------------------------------------------------------------------
@binds("PM-H01", "PM-C02")
@require_safe
@never_cache
def search(request):
    """People and courses for what was typed."""
    require(actor_of(request), "PM-H01")
    text = " ".join(request.GET.get("q", "").replace("\x00", "").split())[:100]
    context = {"text": text, "site_search_query": text, "people": [], "courses": [], "most": people_search.MOST_HITS}
    status = 200
    if text:
        try:
            people_search.count_search(request.user.pk, int(timezone.now().timestamp() // 60))
        except people_search.SearchedTooOften:
            context["too_often"], status = True, 429
        else:
            context["people"] = list(people_search.search_people(text))
            context["courses"] = [
                {"page": page, "url": page.get_url(request)}
                for page in dashboards.search_courses(text, translation.get_language())
            ]
    return render(request, "portal/search.html", context, status=status)


# --- notices --------------------------------------------------------------------------------------------------------
@binds("PM-N01")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def notices(request) -> HttpResponse:
    """What the platform told me. POST with ``notice`` marks one as read (with ``go`` also follows it), else all."""
    require(actor_of(request), "PM-N01")
    if request.method == "POST":
        return _read_notices(request)
    page = Paginator(dashboards.notices_of(request.user), NOTICES).get_page(request.GET.get("page"))
    unread = dashboards.notices_of(request.user).filter(read_at=None).count()
    return render(request, "portal/notices.html", {"page": page, "unread": unread})


def _read_notices(request) -> HttpResponse:
    text = request.POST.get("notice", "")
    if not text:
        number = dashboards.mark_read(user=request.user, at=timezone.now())
        if number:
            messages.success(request, _("All notices are marked as read."))
        return redirect("portal:notices")
    if not text.isdecimal() or len(text) > 18:
        raise Http404
    notice = dashboards.notices_of(request.user).filter(pk=int(text)).first()
    if notice is None:
        raise Http404
    dashboards.mark_read(user=request.user, at=timezone.now(), notice_id=notice.pk)
    if "go" in request.POST and url_has_allowed_host_and_scheme(notice.url, {request.get_host()}):
        return HttpResponseRedirect(notice.url)
    return redirect(reverse("portal:notices"))
