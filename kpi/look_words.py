"""What pages say of a look at another person: what was looked at, and of when or of which pay run."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import pgettext_lazy

from core.periods import Month, span
from kpi.models import Look

LOOKED_AT: dict[str, dict[str, Promise]] = {
    Look.About.PAY: {
        "list": pgettext_lazy("looked at pay", "the list of a pay run"),
        "line": pgettext_lazy("looked at pay", "the pay line"),
        "variance": pgettext_lazy("looked at pay", "the comparison with the last run"),
        "file": pgettext_lazy("looked at pay", "the file for payroll"),
        "answers": pgettext_lazy("looked at pay", "payroll’s answers"),
        "correction": pgettext_lazy("looked at pay", "results to adjust"),
    },
    Look.About.RESULT: {
        "list": pgettext_lazy("looked at a result", "the list of a review cycle"),
        "review": pgettext_lazy("looked at a result", "the review"),
        "card": pgettext_lazy("looked at a result", "the explained result"),
        "team": pgettext_lazy("looked at a result", "the list in which the team is rated"),
        "colleagues": pgettext_lazy("looked at a result", "which colleagues are asked"),
        "comparison": pgettext_lazy("looked at a result", "the comparison of results in the group"),
        "objection": pgettext_lazy("looked at a result", "the objection"),
        "preview": pgettext_lazy("looked at a result", "what a new scorecard would mean"),
        "measures": pgettext_lazy("looked at a result", "the measures"),
        "plan": pgettext_lazy("looked at a result", "the development plan"),
    },
}


def looked_at(look: Look) -> tuple[str, str]:
    """This function will return (what was looked at, the run or the months of it) of a kept look, in words."""
    kind, _space, of = look.what.partition(" ")
    words = str(LOOKED_AT[Look.About(look.about)].get(kind, kind))
    if not of:
        return words, ""
    if look.about == Look.About.PAY:
        return words, _("run %(code)s") % {"code": of}
    first, _slash, last = of.partition("/")
    return words, span(Month.parse(first), Month.parse(last or first))
