"""Figures as of any day, in the unit tree of any day (PM-X01)."""

from __future__ import annotations

import datetime as dt
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from core.periods import Month, end_of
from courses.domain import history
from courses.domain.access import sees_units
from courses.domain.queries import Figures
from courses.views.completion import SMALLEST_GROUP, _counts_only, _top_units
from courses.views.months import month_or_404
from people.domain.access import Actor, actor_of, binds, require, visible_units
from people.domain.units import Tree, tree_as_of


class AsOfForm(forms.Form):
    """A day, and the day whose unit tree is used (the same if left empty)."""

    day = forms.DateField(
        label=gettext_lazy("Figures of the day"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    layout = forms.DateField(
        label=gettext_lazy("Units as they were on"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=gettext_lazy("Left empty: as they were on that same day."),
    )

    def __init__(self, *args, today: dt.date, **kwargs):
        super().__init__(*args, **kwargs)
        self.today = today

    def clean_day(self) -> dt.date:
        return self._past(self.cleaned_data["day"])

    def clean_layout(self) -> dt.date | None:
        return self._past(self.cleaned_data["layout"])

    def _past(self, day):
        if day and day > self.today:
            raise forms.ValidationError(_("This day has not come yet."))
        return day


@binds("PM-X01")
@require_safe
def as_of(request, month: str):
    """Figures that were true at the end of any day, in the unit tree of any day."""
    actor = actor_of(request)
    require(actor, "PM-X01")
    if not sees_units(actor, "PM-X01"):
        raise PermissionDenied("PM-X01")
    wanted, now = month_or_404(month), timezone.now()
    today = timezone.localdate(now)
    data = request.GET if request.GET.get("day") is not None else {"day": min(today, wanted.last_day), "layout": ""}
    form = AsOfForm(data, today=today)
    context: dict = {"month": wanted, "form": form, "rows": [], "now": None, "unit": None}
    if form.is_valid():
        at = min(end_of(form.cleaned_data["day"]), now)
        layout_at = min(end_of(form.cleaned_data["layout"] or form.cleaned_data["day"]), now)
        context.update(_as_of(request, actor, wanted, at, layout_at, now))
    context["previous_url"] = reverse("courses:as_of", args=[wanted.previous])
    context["next_url"] = reverse("courses:as_of", args=[wanted.next])
    return render(request, "courses/closing_as_of.html", context, status=200 if form.is_valid() else 422)


def _as_of(request, actor: Actor, month: Month, at, layout_at, now) -> dict:
    tree = tree_as_of(layout_at)
    then = history.figures_as_of(month=month, at=at, tree=tree)
    today = history.figures_as_of(month=month, at=now, tree=tree)
    visible = set(visible_units(actor, "PM-X01").order_by().values_list("pk", flat=True))
    asked = request.GET.get("unit", "")
    if asked:
        if not (asked.isdecimal() and len(asked) < 19) or int(asked) not in visible or int(asked) not in tree.units:
            raise Http404
        unit = int(asked)
    else:
        unit = next((one.pk for one in _top_units(actor) if one.pk in tree.units), 0)
    if not unit:
        return {}
    query = {name: request.GET[name] for name in ("day", "layout") if request.GET.get(name)}
    counts_only = _counts_only(actor)
    pks = [pk for pk in [unit, *tree.children(unit)] if then.get(pk) or today.get(pk)]
    rows = [
        {
            "label": tree.units[pk].label,
            "own": pk == unit,
            "then": then.get(pk, Figures()),
            "today": today.get(pk, Figures()),
            "hidden": counts_only and 0 < then.get(pk, Figures()).assigned < SMALLEST_GROUP,
            "url": _with(query, unit=pk) if pk in visible and pk != unit else "",
        }
        for pk in pks
    ]
    return {
        "unit": tree.units[unit],
        "path": _path_then(tree, unit, visible, query),
        "rows": rows,
        "at": at,
        "layout_at": layout_at,
        "other_layout": timezone.localdate(layout_at) != timezone.localdate(at),
        "top": rows[0] if rows and rows[0]["own"] else None,
    }


def _path_then(tree: Tree, unit: int, visible: set[int], query: dict) -> list[dict]:
    way = [pk for pk in reversed(tree.above(unit)) if pk in visible]
    return [{"label": tree.units[pk].label, "url": _with(query, unit=pk)} for pk in way]


def _with(query: dict, **more) -> str:
    return f"?{urlencode({**query, **more})}"
