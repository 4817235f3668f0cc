"""What people type about reviews: ratings, a cycle and its deadlines, changes of results, objections and decisions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal

from django import forms
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.periods import MonthFormField
from kpi.domain.parameters import Line, number
from kpi.domain.reviews import Deadlines
from kpi.models import Rating, ReviewCycle, RuleVersion
from kpi.review_words import star_words
from people.models import OrgUnit


class PlainText(forms.CharField):
    """Text of people: no NUL, line ends as they are written today."""

    def to_python(self, value):
        return super().to_python((value or "").replace("\x00", "").replace("\r\n", "\n"))


class RatingForm(forms.Form):
    """Stars for each rated line and a comment. Nothing is required to save; to hand in, the domain says what is missing."""

    def __init__(self, *args, lines: Iterable[Line], **kwargs):
        super().__init__(*args, **kwargs)
        self.lines = list(lines)
        for line in self.lines:
            self.fields[f"line-{line.code}"] = forms.TypedChoiceField(
                label=line.label,
                choices=star_words(),
                coerce=int,
                empty_value=None,
                required=False,
                widget=forms.RadioSelect,
            )
        self.fields["comment"] = PlainText(
            label=gettext("What have you seen?"),
            help_text=gettext("A 1 or a 5 needs a few words. The person reads them."),
            max_length=1000,
            required=False,
            widget=forms.Textarea(attrs={"rows": 3}),
        )

    @classmethod
    def of(cls, rating, *, lines, data=None, prefix=""):
        initial = {f"line-{code}": stars for code, stars in rating.answers.items()}
        initial["comment"] = rating.comment
        form = cls(data, lines=lines, initial=initial, prefix=prefix or None)
        if rating.role == Rating.Role.SELF:
            form.fields["comment"].label = gettext("What did you do?")
            form.fields["comment"].help_text = gettext("A 1 or a 5 needs a few words. Your manager reads them.")
        return form

    @property
    def answers(self) -> dict[str, int]:
        found = {line.code: self.cleaned_data.get(f"line-{line.code}") for line in self.lines}
        return {code: stars for code, stars in found.items() if stars is not None}

    def show(self, faults: dict[str, str]) -> None:
        """Put what the domain refused beside the fields."""
        for name, words in faults.items():
            self.add_error("comment" if name == "comment" else f"line-{name}", words)

    @property
    def rows(self) -> list:
        return [self[f"line-{line.code}"] for line in self.lines]


class DeadlineForm(forms.Form):
    """The last moments at which something is taken."""

    self_until = forms.DateField(
        label=_("Own rating until"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    peers_until = forms.DateField(
        label=_("Colleagues’ ratings until"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    manager_until = forms.DateField(
        label=_("Manager’s rating until"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )

    @property
    def deadlines(self) -> Deadlines:
        """Each to the end of its day."""

        def end(name: str) -> dt.datetime:
            return timezone.make_aware(dt.datetime.combine(self.cleaned_data[name], dt.time(23, 59)))

        return Deadlines(end("self_until"), end("peers_until"), end("manager_until"))


class CycleForm(DeadlineForm):
    """A cycle that is still a draft."""

    name = PlainText(label=_("Name (Chinese)"), max_length=100)
    name_en = PlainText(label=_("English name"), max_length=100, required=False)
    kind = forms.ChoiceField(label=_("How often"), choices=ReviewCycle.Kind.choices)
    version = forms.ModelChoiceField(label=_("Rule version"), queryset=RuleVersion.objects.none())
    scope = forms.ModelChoiceField(label=_("Unit"), queryset=OrgUnit.objects.none())
    first_month = MonthFormField(label=_("First month"))
    last_month = MonthFormField(label=_("Last month"))
    snapshot_on = forms.DateField(
        label=_("Day of the snapshot"),
        help_text=_("Whose unit, position and manager count: those of this day."),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    appeal_days = forms.IntegerField(label=_("Days to object"), min_value=1, max_value=60, initial=7)

    field_order = (
        "name",
        "name_en",
        "kind",
        "version",
        "scope",
        "first_month",
        "last_month",
        "snapshot_on",
        "self_until",
        "peers_until",
        "manager_until",
        "appeal_days",
    )

    def __init__(self, *args, versions, units, **kwargs):
        super().__init__(*args, **kwargs)
        _choose(self, versions, units)


class UnitResultsForm(forms.Form):
    """Which units are computed by which scorecard over which months."""

    version = forms.ModelChoiceField(label=_("Scorecard of units"), queryset=RuleVersion.objects.none())
    scope = forms.ModelChoiceField(
        label=_("Unit"), help_text=_("With all units below it."), queryset=OrgUnit.objects.none(), empty_label=None
    )
    first_month = MonthFormField(label=_("First month"))
    last_month = MonthFormField(
        label=_("Last month"), help_text=_("Pay takes results over exactly the months of its review cycle.")
    )

    def __init__(self, *args, versions, units, **kwargs):
        super().__init__(*args, **kwargs)
        _choose(self, versions, units)

    @property
    def has_rule(self) -> bool:
        """Is there a published scorecard of units at all?"""
        return self.fields["version"].queryset.exists()


def _choose(form: forms.Form, versions, units) -> None:
    """Offer these rule versions, and these units as they hang in the tree."""
    form.fields["version"].queryset = versions
    form.fields["scope"].queryset = units
    form.fields["scope"].label_from_instance = lambda unit: "　" * (unit.depth - 1) + unit.label


def number_field(**kwargs) -> forms.CharField:
    return _NumberField(widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}), **kwargs)


class _NumberField(forms.CharField):
    """A decimal number read by the one parser of the rules (TRUST MC-23)."""

    def to_python(self, value) -> Decimal | None:
        value = super().to_python(value)
        if not value:
            return None
        try:
            return number(value.strip())
        except ValueError as error:
            raise forms.ValidationError(gettext("Write a number like 12.5 (at most four places).")) from error


class AdjustForm(forms.Form):
    """Another total, with a reason that the employee reads."""

    total = number_field(label=_("New total"))
    reason = PlainText(
        label=_("Reason (the employee reads it)"), max_length=500, widget=forms.Textarea(attrs={"rows": 2})
    )

    def clean_total(self) -> Decimal:
        total = self.cleaned_data["total"]
        if total != round(total, 2):
            raise forms.ValidationError(gettext("Two places at most: 71.50."))
        return total


class ReasonForm(forms.Form):
    reason = PlainText(
        label=_("Reason (the employee reads it)"), max_length=500, widget=forms.Textarea(attrs={"rows": 2})
    )


class ContestForm(forms.Form):
    """What a person objects to."""

    line = forms.ChoiceField(label=_("What is it about?"), required=False)
    text = PlainText(
        label=_("What is not right?"),
        help_text=_("In your own words; name what shows it. Somebody who did not rate you decides."),
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 5}),
    )

    def __init__(self, *args, lines, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["line"].choices = [
            ("", gettext("the result as a whole")),
            *((one.code, one.label) for one in lines),
        ]


class DecideForm(forms.Form):
    """The answer to an objection; what is put right if it is upheld."""

    text = PlainText(
        label=_("Your answer (the employee reads it)"), max_length=1000, widget=forms.Textarea(attrs={"rows": 5})
    )

    def __init__(self, *args, measures, lines, held: bool, near=frozenset(), **kwargs):
        super().__init__(*args, **kwargs)
        self.measures, self.lines, self.near = list(measures), list(lines), near
        for measure in self.measures:
            words = {"indicator": measure.indicator.label, "month": measure.month.label}
            self.fields[f"measure-{measure.pk}"] = number_field(
                label=gettext("%(indicator)s, %(month)s") % words,
                help_text=gettext("Now %(value)s. Leave it empty if it is right.")
                % {"value": f"{measure.value.normalize():f}"},
                required=False,
            )
        for line in self.lines:
            self.fields[f"stars-{line.code}"] = forms.TypedChoiceField(
                label=line.label,
                choices=[
                    ("", gettext("as it was rated")),
                    *((stars, f"{stars} · {words}") for stars, words in star_words()),
                ],
                coerce=int,
                empty_value=None,
                required=False,
            )
        if held:
            self.fields["lift"] = forms.BooleanField(
                label=gettext("Give back the top grade that was held back"), required=False
            )

    @property
    def corrections(self) -> dict[int, Decimal]:
        found = {one.pk: self.cleaned_data.get(f"measure-{one.pk}") for one in self.measures}
        return {pk: value for pk, value in found.items() if value is not None}

    @property
    def stars(self) -> dict[str, int]:
        found = {one.code: self.cleaned_data.get(f"stars-{one.code}") for one in self.lines}
        return {code: value for code, value in found.items() if value is not None}

    @property
    def measure_fields(self) -> list:
        return [*self.near_fields, *self.far_fields]

    @property
    def near_fields(self) -> list:
        """The measures of the line that the objection is about."""
        return [self[f"measure-{one.pk}"] for one in self.measures if one.indicator.code in self.near]

    @property
    def far_fields(self) -> list:
        return [self[f"measure-{one.pk}"] for one in self.measures if one.indicator.code not in self.near]

    @property
    def star_fields(self) -> list:
        return [self[f"stars-{one.code}"] for one in self.lines]
