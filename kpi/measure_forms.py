"""Forms of measures: an indicator, a correction, a file, and which months a chart shows."""

from __future__ import annotations

import re
from decimal import Decimal

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from core.periods import Month, MonthFormField
from kpi.imports import LIMITS
from kpi.models import Indicator, Measure
from people.models import OrgUnit


class IndicatorForm(forms.ModelForm):
    """An indicator. After its first use code, unit and source are shown and cannot be changed."""

    class Meta:
        model = Indicator
        fields = ("name", "name_en", "code", "unit", "better", "source", "about", "about_en", "active")
        help_texts = {
            "code": _("Short and for good: scorecards and files name the indicator by it. Letters, digits, - and _."),
            "source": _("What the platform measures itself is written when a month is closed; the rest comes by file."),
            "about": _("One or two sentences that staff read beside the value."),
        }
        widgets = {
            "unit": forms.RadioSelect,
            "better": forms.RadioSelect,
            "source": forms.RadioSelect,
            "about": forms.Textarea(attrs={"rows": 2}),
            "about_en": forms.Textarea(attrs={"rows": 2}),
        }

    def __init__(self, *args, fixed: bool = False, **kwargs):
        super().__init__(*args, **kwargs)
        for name in ("unit", "better", "source"):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = [choice for choice in field.choices if choice[0]]
        if fixed:
            for name in ("code", "unit", "source"):
                self.fields[name].disabled = True

    def clean_code(self):
        code = self.cleaned_data["code"].strip()
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", code):
            raise forms.ValidationError(_("Use letters, digits, - and _ only, for example complaints_late."))
        return code


class CorrectionForm(forms.Form):
    """What is right instead of a measure, and why. Empty with the box ticked: nothing was to be measured."""

    value = forms.DecimalField(label=_("Right value"), required=False, max_digits=13, decimal_places=4)
    withdraw = forms.BooleanField(label=_("There was nothing to measure: take the value back"), required=False)
    reason = forms.CharField(
        label=_("Reason"),
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("The person reads it. Say what was wrong and what the right value rests on."),
    )

    def __init__(self, *args, measure: Measure, **kwargs):
        super().__init__(*args, **kwargs)
        self.measure = measure

    def clean(self):
        values = super().clean() or {}
        value, unit = values.get("value"), self.measure.indicator.unit
        if "value" in self.errors:
            return values
        if values.get("withdraw"):
            if value is not None:
                self.add_error("value", _("Either a right value or none: empty this field or the box."))
            return values
        if value is None:
            self.add_error("value", _("Write the right value, or tick the box below."))
        elif unit == Indicator.Unit.COUNT and (value < 0 or value != value.to_integral_value()):
            self.add_error("value", _("A count is a whole number from 0."))
        elif unit == Indicator.Unit.RATING and not 1 <= value <= 5:
            self.add_error("value", _("A rating lies between 1 and 5."))
        elif unit == Indicator.Unit.PERCENT and not 0 <= value <= 1000:
            self.add_error("value", _("A share lies between 0 and 1,000 per cent."))
        elif unit == Indicator.Unit.PERCENT and self.measure.source != Indicator.Source.FILE and value > 100:
            self.add_error("value", _("Completion lies between 0 and 100 per cent."))
        return values

    @property
    def corrected(self) -> Decimal | None:
        return None if self.cleaned_data["withdraw"] else self.cleaned_data["value"]


class MeasureFileForm(forms.Form):
    """A file of measures. Who and what it may write is decided by the roles of whoever uploads it."""

    file = forms.FileField(
        label=_("File of measures"),
        widget=forms.FileInput(attrs={"accept": ".xlsx,.csv,.txt,.tsv"}),
        error_messages={
            "required": _("Choose a file first."),
            "empty": _("The file is empty. Choose the file that holds the rows."),
        },
    )
    month = MonthFormField(
        label=_("Month of rows that name none"),
        required=False,
        help_text=_("Only needed when the file has no column 月份 (month)."),
    )

    def __init__(self, *args, latest: Month, **kwargs):
        super().__init__(*args, **kwargs)
        self.latest = latest
        self.fields["month"].widget.attrs["max"] = str(latest)

    def clean_file(self):
        file = self.cleaned_data["file"]
        if file.size > LIMITS.csv_bytes:
            raise forms.ValidationError(
                _("The file is larger than %(limit)s MB. Split it into several files.")
                % {"limit": LIMITS.csv_bytes // 1_000_000}
            )
        return file

    def clean_month(self):
        month = self.cleaned_data["month"]
        if month and month > self.latest:
            raise forms.ValidationError(_("Choose a month that has begun."))
        return month


class UnitChoice(forms.Form):
    """Which unit and how many months a chart shows; plain GET."""

    MONTHS = ((12, _("12 months")), (24, _("24 months")), (36, _("36 months")))

    unit = forms.ModelChoiceField(label=_("Unit"), queryset=OrgUnit.objects.none(), required=False, empty_label=None)
    months = forms.TypedChoiceField(
        label=pgettext_lazy("how long a chart looks back", "Period"),
        choices=MONTHS,
        coerce=int,
        required=False,
        empty_value=12,
    )

    def __init__(self, *args, units, **kwargs):
        super().__init__(*args, **kwargs)
        field = self.fields["unit"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = units
