"""What keeps results of units from being computed, in words with the cure."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from kpi.domain import rules, unit_results

REFUSALS = (
    unit_results.NotYourUnit,
    unit_results.NotOfTheRule,
    unit_results.MonthsOutOfOrder,
    unit_results.NotClosed,
    unit_results.RestsOn,
    rules.InForceMissing,
)


def refusal_words(refusal: Exception) -> str:
    """This function will say one of REFUSALS."""
    if isinstance(refusal, unit_results.NotClosed):
        months = pgettext("between names", ", ").join(month.label for month in refusal.months)
        return _("Not closed yet: %(months)s. Results are computed from closed months, whose figures stand still.") % {
            "months": months
        }
    if isinstance(refusal, unit_results.RestsOn):
        return _(
            "Pay run %(code)s rests on the results there are. As long as it is only handed in, its checker can send it "
            "back; what was approved stays as it was paid."
        ) % {"code": refusal.run.code}
    if isinstance(refusal, unit_results.NotYourUnit):
        return _("You are not HR of this whole unit. Choose one of your own.")
    if isinstance(refusal, unit_results.NotOfTheRule):
        return _("The scorecard is not for this unit. Choose the unit of the scorecard or one below it.")
    if isinstance(refusal, unit_results.MonthsOutOfOrder):
        return _("The last month lies before the first. Put the months in order.")
    return _("The version is not the one in force over all the months. Choose other months, or another version.")
