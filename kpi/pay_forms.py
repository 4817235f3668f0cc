"""The forms of pay. Amounts are typed in yuan and handed on as fen; who is meant never comes from the browser."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from core.money import NotMoney, format_yuan, parse_yuan
from core.periods import Month, MonthFormField
from kpi.domain.parameters import POOL_MODES, POOL_SHARES, number
from kpi.models import PayFile, ReviewCycle, RuleVersion
from people.models import OrgUnit, User


class YuanField(forms.CharField):
    """An amount in yuan, read strictly; its value is whole fen."""

    widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off", "class": "num", "maxlength": 24})

    def __init__(self, *, least: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.least = least

    def to_python(self, value):
        text = super().to_python(value)
        if not text:
            return None
        try:
            fen = parse_yuan(text)
        except NotMoney as error:
            raise forms.ValidationError(
                _("This is not an amount in yuan. Write it with digits and at most two places, for example 28,000.00.")
            ) from error
        if fen < self.least:
            raise forms.ValidationError(_("The amount is too small."))
        return fen

    def prepare_value(self, value):
        return format_yuan(value) if isinstance(value, int) else value


class NumberField(forms.CharField):
    """A decimal number of at most four places, read by the one parser of rules."""

    widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off", "class": "num", "maxlength": 24})

    def to_python(self, value):
        text = super().to_python(value)
        if not text:
            return None
        try:
            return number(text)
        except ValueError as error:
            raise forms.ValidationError(_("Write a number like 12.5 (at most four places).")) from error

    def prepare_value(self, value):
        return f"{value.normalize():f}" if isinstance(value, Decimal) else value


class _Labelled(forms.ModelChoiceField):
    def label_from_instance(self, obj):
        return obj.label


class _Person(forms.ModelChoiceField):
    def label_from_instance(self, obj):
        employee = getattr(obj, "employee", None)
        return f"{employee.label} ({employee.employee_no})" if employee else str(obj)


class _Version(forms.ModelChoiceField):
    def label_from_instance(self, obj):
        return _("%(rule)s, version %(number)s") % {"rule": obj.rule.label, "number": obj.number}


def _choices(form: forms.Form, name: str, found: QuerySet) -> None:
    field = form.fields[name]
    assert isinstance(field, forms.ModelChoiceField)
    field.queryset = found


class NewRunForm(forms.Form):
    """A run to begin: which results, which rule, which unit, how much money, who checks."""

    cycle = _Labelled(queryset=ReviewCycle.objects.none(), label=_("Results of which cycle"), empty_label=None)
    scope = _Labelled(
        queryset=OrgUnit.objects.none(),
        label=_("For which unit"),
        empty_label=None,
        help_text=_("Everybody who had a post there in the period, and in the units below."),
    )
    version = _Version(queryset=RuleVersion.objects.none(), label=_("Pay rule"), empty_label=None)
    code = forms.CharField(
        label=_("Code of the run"),
        max_length=40,
        help_text=_("Payroll finds it in the file. Letters, digits and hyphens."),
    )
    amount = YuanField(
        label=_("Money given (yuan)"),
        required=False,
        help_text=_("With the reserve that the rule keeps back. Leave it empty for an open pool."),
    )
    checker = _Person(
        queryset=User.objects.none(),
        label=_("Who is asked to check"),
        required=False,
        empty_label=_("anybody with the duty"),
        help_text=_("Is left out of this run and paid by another one."),
    )

    def __init__(self, *args, cycles, scopes, versions, checkers, **kwargs):
        super().__init__(*args, **kwargs)
        _choices(self, "cycle", cycles)
        _choices(self, "scope", scopes)
        _choices(self, "version", versions)
        _choices(self, "checker", checkers)

    def clean_code(self):
        code = self.cleaned_data["code"].strip().upper()
        if not code.replace("-", "").isalnum() or not code.isascii():
            raise forms.ValidationError(_("Use letters, digits and hyphens only."))
        return code


class MoneyForm(forms.Form):
    """The money of a run and who checks it, changed before it is submitted."""

    amount = YuanField(label=_("Money given (yuan)"), required=False)
    checker = _Person(
        queryset=User.objects.none(),
        label=_("Who is asked to check"),
        required=False,
        empty_label=_("anybody with the duty"),
    )

    def __init__(self, *args, checkers, has_amount: bool, **kwargs):
        super().__init__(*args, **kwargs)
        _choices(self, "checker", checkers)
        if not has_amount:
            del self.fields["amount"]


class FollowForm(forms.Form):
    """A run that follows: its code and who checks it."""

    code = NewRunForm.base_fields["code"]
    checker = NewRunForm.base_fields["checker"]
    clean_code = NewRunForm.clean_code

    def __init__(self, *args, checkers, **kwargs):
        super().__init__(*args, **kwargs)
        _choices(self, "checker", checkers)


class WordsForm(forms.Form):
    """One sentence: a reason, or what was seen."""

    words = forms.CharField(
        label=_("In words"), max_length=500, required=False, widget=forms.Textarea(attrs={"rows": 2})
    )


class TableField(forms.FileField):
    """A file with a table."""

    widget = forms.FileInput(attrs={"accept": ".xlsx,.csv,.txt,.tsv"})
    default_error_messages = {
        "required": _("Choose a file first."),
        "empty": _("The file is empty. Choose the file that holds the rows."),
    }


class PayFileForm(forms.Form):
    """A file of bases or of attendance, and the month or period it is about."""

    kind = forms.ChoiceField(
        label=_("What the file holds"),
        widget=forms.RadioSelect,
        initial=PayFile.Kind.BASES,
        choices=[
            (PayFile.Kind.BASES, _("Bases: employee number and the performance pay base of a full month")),
            (PayFile.Kind.ATTENDANCE, _("Attendance: employee number, days attended, of how many days")),
        ],
    )
    first_month = MonthFormField(
        label=_("First month"),
        help_text=_("Bases count from this month on; attendance is of the period that begins with it."),
    )
    last_month = MonthFormField(
        label=_("Last month"), required=False, help_text=_("Of a period of attendance of more than one month.")
    )
    file = TableField(label=pgettext_lazy("to upload", "File"))

    def clean(self):
        data = super().clean() or {}
        first, last = data.get("first_month"), data.get("last_month")
        if isinstance(first, Month) and isinstance(last, Month) and last < first:
            self.add_error("last_month", _("The last month lies before the first."))
        return data


class FileForm(forms.Form):
    """One file: payroll's answers, or a file to compare."""

    file = TableField(label=pgettext_lazy("to upload", "File"))


class CorrectLineForm(forms.Form):
    """What was wrong behind one line."""

    base = YuanField(label=_("Right base of the period (yuan)"), required=False)
    attended = NumberField(label=_("Right days attended"), required=False)
    reason = forms.CharField(
        label=_("Why"),
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("The person reads it."),
    )

    def clean(self):
        data = super().clean() or {}
        if not self.errors and data.get("base") is None and data.get("attended") is None:
            raise forms.ValidationError(_("Write the right base or the right days; leave the other one empty."))
        return data


class WhatIfForm(forms.Form):
    """What is to be otherwise; empty stays as it is."""

    amount = YuanField(label=_("Money given (yuan)"), required=False)
    cap = YuanField(label=_("Cap for a full month (yuan)"), required=False, least=1)
    cap_share = NumberField(label=_("Cap (per cent of the base)"), required=False)
    floor_share = NumberField(label=_("Floor (per cent of the base)"), required=False)
    reserve_share = NumberField(label=_("Reserve in %"), required=False)

    def __init__(self, *args, grades, unit_grades, **kwargs):
        super().__init__(*args, **kwargs)
        self.grades, self.unit_grades = list(grades), list(unit_grades)
        for grade in self.grades:
            label = _("Coefficient of grade %(grade)s") % {"grade": grade}
            self.fields[f"grade_{grade}"] = NumberField(label=label, required=False)
        for grade in self.unit_grades:
            label = _("Coefficient of units of grade %(grade)s") % {"grade": grade}
            self.fields[f"unit_{grade}"] = NumberField(label=label, required=False)

    def clean(self):
        data = super().clean() or {}
        for name, value in data.items():
            if isinstance(value, Decimal) and value < 0:
                self.add_error(name, _("Write a number that is not below 0."))
        share = data.get("reserve_share")
        if isinstance(share, Decimal) and share >= 100:
            self.add_error("reserve_share", _("Write a share from 0 to below 100."))
        cap = data.get("cap_share")
        if isinstance(cap, Decimal) and cap == 0:
            self.add_error("cap_share", _("A cap lies above 0; leave it empty for none."))
        return data

    def coefficients(self, kind: str, grades: list[str]) -> dict[str, Decimal]:
        """The coefficients that were typed, by grade."""
        return {grade: value for grade in grades if (value := self.cleaned_data.get(f"{kind}_{grade}")) is not None}


UNIT_BANDS = 6
_MODES = {
    "closed": _("Closed: the whole amount is shared out"),
    "ceiling": _("Ceiling: everybody in full, at most the amount"),
    "open": _("Open: whatever comes out is paid"),
}
_SHARES = {
    "people": _("to the people at once"),
    "units": _("to the units first, by base, unit coefficient and attendance, then to their people"),
}


class PayRuleForm(forms.Form):
    """The parameters of a pay rule. What is wrong with them as a whole is said by kpi.domain.parameters."""

    mode = forms.ChoiceField(
        label=_("Kind of pool"),
        widget=forms.RadioSelect,
        choices=[(mode, _MODES[mode]) for mode in ("closed", "ceiling", "open")],
    )
    share = forms.ChoiceField(
        label=_("The money goes"), widget=forms.RadioSelect, choices=[(share, _SHARES[share]) for share in POOL_SHARES]
    )
    cap = YuanField(label=_("Cap for a full month (yuan)"), required=False)
    cap_share = NumberField(label=_("Cap (per cent of the base)"), required=False)
    floor = YuanField(label=_("Floor for a full month (yuan)"), required=False)
    floor_share = NumberField(label=_("Floor (per cent of the base)"), required=False)
    reserve_share = NumberField(
        label=_("Reserve in %"), help_text=_("Kept back of the money, for objections that are upheld.")
    )
    without_review = NumberField(
        label=_("Coefficient of who has no review"), help_text=_("For who joined late or was on leave, for example.")
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for place in range(1, UNIT_BANDS + 1):
            self.fields[f"grade_{place}"] = forms.CharField(label=_("Grade of the unit"), max_length=4, required=False)
            self.fields[f"unit_{place}"] = NumberField(label=_("Coefficient"), required=False)

    @classmethod
    def initial_of(cls, parameters: dict) -> dict[str, Any]:
        """This function will return what stands in the boxes for these parameters."""
        pool = parameters.get("pool") or {}
        bands = parameters.get("unit_bands") or []
        found: dict[str, Any] = {
            "mode": pool.get("mode", POOL_MODES[-1]),
            "share": pool.get("share", "people"),
            "cap": parameters.get("cap_fen"),
            "cap_share": parameters.get("cap_share"),
            "floor": parameters.get("floor_fen") or None,
            "floor_share": parameters.get("floor_share"),
            "reserve_share": parameters.get("reserve_share", "0"),
            "without_review": parameters.get("without_review", "1.00"),
        }
        for place, band in enumerate(bands[:UNIT_BANDS], start=1):
            found |= {f"grade_{place}": band.get("grade"), f"unit_{place}": band.get("coefficient")}
        return found

    @property
    def bands(self) -> list[tuple]:
        """The boxes of the unit bands, row by row."""
        return [(self[f"grade_{place}"], self[f"unit_{place}"]) for place in range(1, UNIT_BANDS + 1)]

    def clean(self):
        data = super().clean() or {}
        for place in range(1, UNIT_BANDS + 1):
            grade, value = data.get(f"grade_{place}"), data.get(f"unit_{place}")
            if grade and value is None and f"unit_{place}" not in self.errors:
                self.add_error(f"unit_{place}", _("Write the coefficient of this grade."))
            elif value is not None and not grade:
                self.add_error(f"grade_{place}", _("Write the grade of this coefficient."))
        return data

    def parameters(self) -> dict[str, Any]:
        """This function will return what was typed in the shape of kpi.domain.parameters."""
        data = self.cleaned_data

        def text(name: str, default: str = "0") -> str:
            return default if data.get(name) is None else f"{data[name]:f}"

        return {
            "pool": {"mode": data["mode"], "share": data["share"]},
            "cap_fen": data.get("cap"),
            "cap_share": None if data.get("cap_share") is None else text("cap_share"),
            "floor_fen": data.get("floor") or 0,
            "floor_share": text("floor_share"),
            "reserve_share": text("reserve_share"),
            "without_review": text("without_review", "1"),
            "unit_bands": [
                {"grade": data[f"grade_{place}"], "coefficient": text(f"unit_{place}")}
                for place in range(1, UNIT_BANDS + 1)
                if data.get(f"grade_{place}")
            ],
        }
