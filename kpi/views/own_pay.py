"""One's own pay: what was paid and how every fen came about (PM-Y01)."""

from __future__ import annotations

from itertools import groupby

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from kpi.domain import pay_looks as looks
from kpi.domain import unit_results
from kpi.models import Look
from kpi.pay_words import steps_of
from kpi.views.looks import seen_by
from kpi.views.pay import person_name
from people.domain.access import actor_of, binds, require


@binds("PM-Y01")
@never_cache
@require_safe
def my_pay(request) -> HttpResponse:
    """My performance pay, cycle by cycle; the newest as the first thing on the page."""
    actor = actor_of(request)
    require(actor, "PM-Y01")
    if actor.employee is None:
        raise Http404
    lines = list(looks.own_lines(actor.employee))
    cycles = []
    for cycle, group in groupby(lines, key=lambda line: line.run.cycle):
        mine = list(group)
        cycles.append(
            {
                "cycle": cycle,
                "lines": [line for line in mine if not line.adjusts_id],
                "adjustments": [line for line in mine if line.adjusts_id],
                "total": sum(line.paid_fen for line in mine),
                "review": next((line.review for line in mine if line.review), None),
            }
        )
    context = {
        "cycles": cycles,
        "newest": cycles[0] if cycles else None,
        **seen_by(actor.employee, Look.About.PAY),
    }
    return render(request, "kpi/pay_mine.html", context)


@binds("PM-Y01")
@never_cache
@require_safe
def my_pay_line(request, line_id: int) -> HttpResponse:
    """One of my lines as a letter: step by step, to the fen."""
    actor = actor_of(request)
    require(actor, "PM-Y01")
    line = looks.own_lines(actor.employee).filter(pk=line_id).first() if actor.employee else None
    if line is None:
        raise Http404
    context = {
        "line": line,
        "steps": steps_of(line),
        "unit_card": unit_results.card_behind(line),
        "answers": line.answers.order_by("-at", "-pk"),
        "adjustments": looks.own_lines(line.employee).filter(adjusts=line),
        "is_mine": True,
        "prepared_by": person_name(line.run.prepared_by),
        "checked_by": person_name(line.run.checked_by) if line.run.checked_by else "",
    }
    return render(request, "kpi/pay_line.html", context)
