"""Cards and their editor: the letter that explains a card (PM-V01), the form of a scorecard and its preview (PM-V11)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from kpi.domain.letters import card_or_404, letter_of, may_object, openable
from people.domain.access import actor_of, binds


@binds("PM-V01", "PM-F07")
@never_cache
@require_safe
def card(request: HttpRequest, card_id: int) -> HttpResponse:
    """One card as a letter: the result, how it adds up, what it rests on, who decided, until when one can object."""
    actor, at = actor_of(request), timezone.now()
    found, review = card_or_404(actor, card_id)
    is_mine = actor.employee is not None and actor.employee.pk == found.employee_id
    context = {
        "letter": letter_of(card=found, review=review),
        "is_mine": is_mine,
        "may": {row.replace("-", "_") for row in openable(actor, found)},
        "may_object": may_object(actor=actor, review=review, at=at),
        "is_over": review is not None and review.object_until is not None and at > review.object_until,
        "appeal_url": _address("kpi:appeal", review.pk) if review else "",
        "rule_url": _address("kpi:rule_version", found.version_id) or _address("kpi:rule", found.version.rule_id),
        "measure_links": bool(_address("kpi:measure", 1)),
    }
    return render(request, "kpi/scorecards_card.html", context)


def _address(name: str, *values: int) -> str:
    """The address of a page of another part, or nothing while that part has none."""
    try:
        return reverse(name, args=values)
    except NoReverseMatch:
        return ""
