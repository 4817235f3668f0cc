"""Forms of HR's bulletin pages."""

from __future__ import annotations

import re

from django import forms
from django.utils.translation import gettext_lazy as _

from bulletins.domain.figures import Level
from people.models import OrgUnit

_HEADLINE, _TEXT = 200, 6000


class MakeForm(forms.Form):
    """Which kind of unit is compared."""

    level = forms.ChoiceField(label=_("Units to compare"), widget=forms.RadioSelect)

    def __init__(self, *args, levels: list[Level], **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["level"].choices = [
            (
                level.kind,
                _("%(kind)s: %(units)d, of which %(ranked)d can be ranked")
                % {"kind": OrgUnit.Kind(level.kind).label, "units": level.units, "ranked": level.ranked},
            )
            for level in levels
        ]


class WriteForm(forms.Form):
    """What people write, and whom they praise. Figures are not among the fields."""

    headline_zh = forms.CharField(label=_("Headline in Chinese"), max_length=_HEADLINE)
    headline_en = forms.CharField(label=_("Headline in English"), max_length=_HEADLINE)
    text_zh = forms.CharField(
        label=_("Your words in Chinese"), max_length=_TEXT, required=False, widget=forms.Textarea(attrs={"rows": 6})
    )
    text_en = forms.CharField(
        label=_("Your words in English"), max_length=_TEXT, required=False, widget=forms.Textarea(attrs={"rows": 6})
    )
    kept = forms.TypedMultipleChoiceField(
        label=_("Named for praise"), coerce=int, required=False, widget=forms.CheckboxSelectMultiple
    )
    numbers = forms.CharField(
        label=_("Praise these people as well"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off"}),
        help_text=_(
            "Employee numbers, one a line. Only people who finished everything of this month in time can be named."
        ),
    )
    seen = forms.CharField(widget=forms.HiddenInput, max_length=60)

    def __init__(self, *args, praised: list[str], **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["kept"].choices = list(enumerate(praised))
        if not praised:
            del self.fields["kept"]

    def clean_numbers(self) -> list[str]:
        return [one for one in re.split(r"[\s,;，；、]+", self.cleaned_data["numbers"]) if one]

    def clean_text_zh(self) -> str:
        return _plain(self.cleaned_data["text_zh"])

    def clean_text_en(self) -> str:
        return _plain(self.cleaned_data["text_en"])


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").strip()
