"""The front door of performance: what waits for me, my newest result, and the ways to everything else."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from kpi.domain import committee, rules
from kpi.domain.ratings import due_ratings
from kpi.domain.review_access import own_reviews
from kpi.models import Review
from people.domain.access import Actor, actor_of, binds


@dataclass(frozen=True)
class Way:
    """One link with an icon and a sentence under it."""

    url: str
    title: str
    text: str
    icon: str


@binds("PM-F05")
@never_cache
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Everything of performance that the person may open, the most pressing first."""
    actor = actor_of(request)
    context = {"todo": _todo(actor), "review": _newest(actor), "mine": _mine(actor), "work": _work(actor)}
    return render(request, "kpi/home.html", context)


def _newest(actor: Actor) -> Review | None:
    if actor.employee is None:
        return None
    published = own_reviews(actor).filter(published_at__isnull=False).exclude(state=Review.State.SUPERSEDED)
    return published.select_related("cycle", "scorecard").order_by("-published_at", "-pk").first()


MOST_RULES = 2  # that stand on lines of their own


def _rules_to_read(actor: Actor, day: dt.date) -> list[Way]:
    """The rules to read: each on a line of its own, or all on one when there are many."""
    assert actor.employee is not None  # asked by the caller
    versions = rules.to_acknowledge(actor.employee, day)
    if len(versions) <= MOST_RULES:
        words = _("Read it and confirm that you have. This is no agreement.")
        return [Way(reverse("kpi:rule", args=[version.pk]), version.rule.label, words, "book") for version in versions]
    title = ngettext("%(number)s rule to read and confirm", "%(number)s rules to read and confirm", len(versions))
    names = pgettext("between names", ", ").join(version.rule.label for version in versions)
    return [Way(reverse("kpi:rules"), title % {"number": len(versions)}, names, "book")]


def _todo(actor: Actor) -> list[Way]:
    """What waits for this person, each with the way to it."""
    found: list[Way] = []
    day = timezone.localdate()
    if actor.employee is not None:
        found += _rules_to_read(actor, day)
        asked = due_ratings(timezone.now()).filter(rater=actor.employee).count()
        if asked:
            title = ngettext("%(number)s rating waits for you", "%(number)s ratings wait for you", asked)
            words = _("Yourself, your team or a colleague who asked you.")
            found.append(Way(reverse("kpi:my_reviews"), title % {"number": asked}, words, "edit"))
        for review in own_reviews(actor).filter(state=Review.State.PUBLISHED).select_related("cycle"):
            title = _("Your result: %(cycle)s") % {"cycle": review.cycle.label}
            words = _("Read how it came about. You can object if something is not right.")
            found.append(Way(reverse("kpi:review", args=[review.pk]), title, words, "info"))
    for round in committee.rounds_to_decide(actor.user):
        words = _("You are a member of the committee: the vote is open.")
        found.append(Way(reverse("kpi:honours"), round.label, words, "star"))
    return found


def _ways(actor: Actor, rows: list[tuple[str, str, str, str, str]]) -> list[Way]:
    return [Way(reverse(name), title, text, icon) for row, name, title, text, icon in rows if actor.may(row)]


def _mine(actor: Actor) -> list[Way]:
    if actor.employee is None:
        return _ways(actor, [("PM-F05", "kpi:rules", _("Rules"), _("What results, pay and honours rest on"), "book")])
    return _ways(
        actor,
        [
            (
                "PM-V06",
                "kpi:my_reviews",
                _("My reviews"),
                _("What is rated, every result and what became of it"),
                "list",
            ),
            ("PM-Y01", "kpi:my_pay", _("My performance pay"), _("How each amount came about, and who looked"), "file"),
            ("PM-F01", "kpi:my_measures", _("My measures"), _("Month by month, with where they come from"), "month"),
            ("PM-D01", "kpi:my_plan", _("My development plan"), _("The course that wins a lost point back"), "play"),
            ("PM-W05", "kpi:honours", _("Honours and thanks"), _("Stars, the wall, a word of thanks"), "star"),
            ("PM-F05", "kpi:rules", _("Rules"), _("What results, pay and honours rest on"), "book"),
        ],
    )


def _work(actor: Actor) -> list[Way]:
    """What the person does for others; then what the person may only read, where doing it does not lead there already."""
    does = _does(actor)
    found = {way.url for way in does}
    return [*does, *(way for way in _reads(actor) if way.url not in found)]


def _reads(actor: Actor) -> list[Way]:
    return _ways(
        actor,
        [
            ("PM-V09", "kpi:cycles", _("Review cycles"), _("Every cycle, every result and its letter"), "list"),
            ("PM-F07", "kpi:measures", _("Measures"), _("Month by month and unit by unit, with charts"), "month"),
            ("PM-F07", "kpi:unit_results", _("Results of units"), _("The grade of each unit and its card"), "unit"),
            ("PM-Y02", "kpi:pay", _("Pay runs"), _("Every approved run, line by line"), "file"),
        ],
    )


def _does(actor: Actor) -> list[Way]:
    return _ways(
        actor,
        [
            ("PM-V05", "kpi:cycles", _("Review cycles"), _("Announce, follow, compare, publish"), "list"),
            ("PM-V05", "kpi:unit_results", _("Results of units"), _("Compute the grade of each unit, for pay"), "unit"),
            ("PM-F02", "kpi:measures", _("Measures"), _("Collect a month, bring in a file, indicators"), "upload"),
            ("PM-V11", "kpi:hr_rules", _("Rules in work"), _("Draft, consult, publish; who has read them"), "edit"),
            ("PM-Y04", "kpi:pay", _("Pay runs"), _("Bases, pools, computing, export"), "file"),
            ("PM-Y06", "kpi:pay_checks", _("Pay runs to check"), _("Approve, or send back with a reason"), "check"),
            ("PM-W02", "kpi:honours_desk", _("Award rounds"), _("Nominations, votes, publicity, granting"), "star"),
            (
                "PM-F03",
                "kpi:development",
                _("Courses that help"),
                _("Which course is offered for which indicator"),
                "play",
            ),
        ],
    )
