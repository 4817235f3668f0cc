"""Who looked at one's own pay and results: kept at every look of another person, shown to oneself and to auditors (AU-02, PM-Y13)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from kpi.domain import looks as domain
from kpi.domain.nominating import honoured_by
from kpi.look_words import looked_at
from kpi.models import Look, Nomination
from people.domain.access import actor_of, binds, employee_or_404, require
from people.models import Employee

LOOKS = 40


def looked(request: HttpRequest, employees: Iterable[int], what: str, of: str = "") -> None:
    """Keep that whoever is signed in looks at results of these people; the own one is nobody's affair."""
    actor = actor_of(request)
    domain.record_looks(
        about=Look.About.RESULT,
        employees=employees,
        viewer=actor.user,
        own=actor.employee.pk if actor.employee else None,
        what=what,
        of=of,
        at=timezone.now(),
    )


def checks_looked(request: HttpRequest, nominations: Iterable[Nomination]) -> None:
    """Keep that whoever is signed in sees the check lists of nominations: what was measured of the people in them.

    As a look at their measures: that somebody was put forward is not told to that person before the names are public.
    """
    people: dict[str, set[int]] = defaultdict(set)
    for one in nominations:
        if one.checks:
            months = domain.kept_months(one.round.first_month, one.round.last_month)
            people[months].update(each.pk for each in honoured_by(one))
    for months, ids in people.items():
        looked(request, ids, domain.MEASURES, months)


def seen_by(employee: Employee, about: Look.About) -> dict:
    """For a page of one's own: how often others looked (looks), and the last time in words (last)."""
    found = domain.looks_at(employee, about)
    newest = found.first()
    return {"looks": found.count() if newest else 0, "last": _look(newest) if newest else None}


def _look(look: Look) -> dict:
    what, of = looked_at(look)
    owner = getattr(look.viewer, "employee", None)
    who = owner.label if owner else str(look.viewer)
    return {"at": look.at, "who": who, "what": what, "of": of}


@binds("PM-Y13")
@never_cache
@require_safe
def looks(request: HttpRequest, about: str, employee_id: int | None = None) -> HttpResponse:
    """Who looked at my pay, or at my results; an auditor asks it of anybody."""
    actor = actor_of(request)
    require(actor, "PM-Y13")
    if employee_id is None:
        if actor.employee is None:
            raise Http404
        employee = actor.employee
    else:
        employee = employee_or_404(actor, "PM-Y13", employee_id)
    page = Paginator(domain.looks_at(employee, Look.About(about)), LOOKS).get_page(request.GET.get("page"))
    events = []
    # Who opens the same again and again on one day stands there once, with how often.
    for _key, same in groupby(page.object_list, key=lambda one: (one.viewer_id, one.what, timezone.localdate(one.at))):
        looks = list(same)
        one = _look(looks[0])
        often = ngettext("%(number)d time", "%(number)d times", len(looks)) % {"number": len(looks)}
        text = " · ".join(filter(None, (one["what"], one["of"], often if len(looks) > 1 else "")))
        events.append({"at": one["at"], "title": one["who"], "text": text, "kind": "neutral", "who": "", "url": ""})
    is_mine = actor.employee is not None and actor.employee.pk == employee.pk
    context = {"employee": employee, "about": about, "page": page, "events": events, "is_mine": is_mine}
    return render(request, "kpi/looks.html", context)
