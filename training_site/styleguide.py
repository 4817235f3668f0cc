"""A page that shows every component with invented content, for the people who build pages (settings.STYLEGUIDE)."""

import datetime as dt
import re
from pathlib import Path
from types import SimpleNamespace

from django import forms
from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import get_language, gettext_lazy, pgettext, pgettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from core.periods import Month, MonthFormField
from core.templatetags.interface import share

ICONS = Path(__file__).parent / "static" / "img" / "icons.svg"
COLOURS = [
    *("paper", "raised", "sunk", "ink", "soft", "hairline", "edge", "seal", "seal-deep", "link", "done", "waiting"),
    *("overdue", "done-tint", "waiting-tint", "overdue-tint", "link-tint", "neutral-tint"),
]


class SampleForm(forms.Form):
    name = forms.CharField(
        label=pgettext_lazy("a person", "Name"), help_text=gettext_lazy("As it stands on the identity card.")
    )
    unit = forms.ChoiceField(
        label=gettext_lazy("Unit"), choices=[("1", gettext_lazy("Harbour branch")), ("2", gettext_lazy("River branch"))]
    )
    month = MonthFormField(label=gettext_lazy("Month"), required=False)
    reason = forms.CharField(label=gettext_lazy("Reason"), widget=forms.Textarea(attrs={"rows": 3}))
    mode = forms.ChoiceField(
        label=gettext_lazy("What the file holds"),
        widget=forms.RadioSelect,
        choices=[("changes", gettext_lazy("Changes only")), ("full", gettext_lazy("The full roster"))],
    )
    agree = forms.BooleanField(label=gettext_lazy("I have looked at the differences"), required=False)
    file = forms.FileField(label=gettext_lazy("Roster"), required=False)


class SampleFilter(forms.Form):
    q = forms.CharField(label=pgettext_lazy("a person", "Name"), required=False)
    state = forms.ChoiceField(
        label=gettext_lazy("State"),
        required=False,
        choices=[
            ("", gettext_lazy("All")),
            ("overdue", gettext_lazy("overdue")),
            ("done", gettext_lazy("done on time")),
        ],
    )


def _person(name, latin, unit, position, chip):
    label = f"{latin} {name}" if (get_language() or "").startswith("en") else name
    return SimpleNamespace(
        name=name, label=label, unit=SimpleNamespace(label=unit), position=SimpleNamespace(label=position), chip=chip
    )


@require_safe
@login_not_required
def styleguide(request):
    chips = [
        ("assigned", _("assigned")),
        ("progress", _("in progress")),
        ("done", _("done on time")),
        ("late", _("done late")),
        ("overdue", _("overdue")),
        ("exempt", _("exempt")),
        ("neutral", _("withdrawn")),
    ]
    names = dict(chips)
    now = timezone.now()
    form = SampleForm({"name": "王伟", "unit": "1", "mode": "changes"})
    return render(
        request,
        "styleguide.html",
        {
            "colours": COLOURS,
            "now": now,
            "month": Month(2026, 11),
            "chips": chips,
            "people": [
                _person("王伟", "Wang Wei", _("Harbour branch"), _("adviser"), ("done", names["done"])),
                _person("李娜", "Li Na", _("River branch"), _("branch manager"), ("overdue", names["overdue"])),
                _person("欧阳若兰", "Ouyang Ruolan", _("New branch"), _("adviser"), ("late", names["late"])),
            ],
            "units": [
                {"label": _("Service group"), "url": "#main"},
                {"label": _("Eastern province"), "url": "#main"},
                {"label": _("Harbour branch")},
            ],
            "filter_form": SampleFilter(),
            "table_columns": [
                {"label": _("Unit")},
                {"label": _("Done"), "num": True},
                {"label": _("On time"), "num": True},
                {"label": _("Overdue"), "num": True},
            ],
            "table_rows": [
                [_("Harbour branch"), _("%(done)s of %(total)s") % {"done": 111, "total": 113}, share(109, 113), "2"],
                [_("River branch"), _("%(done)s of %(total)s") % {"done": 42, "total": 42}, share(42, 42), "0"],
                [_("New branch"), _("%(done)s of %(total)s") % {"done": 9, "total": 17}, share(9, 17), "8"],
            ],
            "page": Paginator(range(60), 20).page(2),
            "tabs": [
                {"label": _("All"), "url": "#main", "active": True, "count": 113},
                {"label": _("Overdue"), "url": "#main", "count": 2},
                {"label": _("Certificates"), "url": "#main"},
            ],
            "form": form,
            "steps": [
                {"label": _("The first thirty seconds"), "url": "#main", "state": "done", "note": _("6 minutes")},
                {"label": _("On the telephone"), "url": "#main", "state": "current", "note": _("7 minutes")},
                {"label": _("When a customer complains"), "url": "#main", "note": _("8 minutes")},
                {"label": _("Quiz"), "state": "locked", "note": _("after the lessons")},
            ],
            "job": SimpleNamespace(pk=0, state="stopped", stop_requested=False, total=120, cursor=42),
            "events": [
                {
                    "at": now,
                    "title": _("Certificate issued"),
                    "text": "ETQ-2026-000123",
                    "kind": "honour",
                    "url": "#main",
                },
                {"at": now, "title": _("Quiz passed with 92 points"), "kind": "done"},
                {
                    "at": dt.date(2026, 11, 3),
                    "title": _("Due date moved to 30 November"),
                    "who": _("decided by Li Na"),
                    "kind": "late",
                },
                {"at": dt.date(2026, 11, 1), "title": _("Course assigned")},
            ],
            "chart": [
                {"label": _("Harbour"), "done": 111, "total": 113},
                {"label": _("River"), "done": 42, "total": 42},
                {"label": pgettext("a district", "New"), "done": 9, "total": 17},
                {"label": _("Hill"), "done": 61, "total": 80},
                {"label": _("Market"), "done": 30, "total": 30},
                {"label": _("Station"), "done": 0, "total": 12},
            ],
            "sparkline": [86, 88, 87, 90, 93, None, 92, 94, 96, 95, 97, 98],
            "icons": re.findall(r'symbol id="([a-z]+)"', ICONS.read_text(encoding="utf-8")),
        },
    )
