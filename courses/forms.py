"""Forms of HR and managers. None has a field for a person, a state or a time of the server (TRUST MC-04)."""

from __future__ import annotations

import datetime as dt

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from core.periods import Month, MonthFormField
from courses.domain.audiences import RuleRefused, validate_rule
from courses.models import Audience, Course, PlanLine, Programme
from people.models import OrgUnit, Position

DAY = {"type": "date"}


class AudienceForm(forms.ModelForm):
    """The rule as fields. ``units`` comes as check boxes of the unit tree, drawn by the template."""

    units = forms.MultipleChoiceField(label=_("Units"), required=False)
    more_units = forms.CharField(
        label=_("More units, by code"),
        required=False,
        max_length=4000,
        help_text=_("Codes with commas between them, for units that are not in the tree above."),
    )
    positions = forms.MultipleChoiceField(
        label=_("Positions"), required=False, widget=forms.CheckboxSelectMultiple, help_text=_("None chosen: any.")
    )
    job_families = forms.MultipleChoiceField(
        label=_("Job families"), required=False, widget=forms.CheckboxSelectMultiple, help_text=_("None chosen: any.")
    )
    hired_from = forms.DateField(
        label=_("Hired on or after"), required=False, widget=forms.DateInput(attrs=DAY, format="%Y-%m-%d")
    )
    hired_until = forms.DateField(
        label=_("Hired on or before"), required=False, widget=forms.DateInput(attrs=DAY, format="%Y-%m-%d")
    )

    class Meta:
        model = Audience
        fields = ["name", "name_en", "scope"]
        labels = {"scope": _("For the unit")}
        help_texts = {"scope": _("Nobody outside this unit is ever selected.")}

    def __init__(self, *args, scopes: list[OrgUnit], **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["scope"].queryset = OrgUnit.objects.filter(pk__in=[unit.pk for unit in scopes]).order_by("path")
        self.fields["scope"].empty_label = None
        if self.instance.pk:
            self.fields["scope"].disabled = True  # another scope is another audience
        elif scopes:
            self.fields["scope"].initial = scopes[0].pk
        rule = self.instance.rule or {}
        for key in ("positions", "job_families", "hired_from", "hired_until"):
            self.fields[key].initial = rule.get(key)
        positions = list(Position.objects.order_by("title"))
        self.fields["positions"].choices = [(position.title, position.label) for position in positions]
        families = sorted({position.job_family for position in positions if position.job_family})
        self.fields["job_families"].choices = [(family, family) for family in families]

    @property
    def chosen_units(self) -> list[str]:
        """The codes that are ticked now."""
        if self.is_bound:
            return self.data.getlist("units") if hasattr(self.data, "getlist") else self.data.get("units", [])
        return self.instance.rule.get("units", []) if self.instance.rule else []

    def _clean_fields(self):
        # Any code is accepted here: whether it exists inside the scope is said by validate_rule, with the others.
        self.fields["units"].choices = [(code, code) for code in self.chosen_units]
        super()._clean_fields()

    def clean(self):
        data = super().clean()
        scope = data.get("scope")
        if scope is None:
            return data
        more = [code.strip() for code in data.get("more_units", "").replace("，", ",").split(",") if code.strip()]
        rule = {
            "units": [*data.get("units", []), *more],
            "positions": data.get("positions", []),
            "job_families": data.get("job_families", []),
            "hired_from": data.get("hired_from"),
            "hired_until": data.get("hired_until"),
        }
        try:
            self.rule = validate_rule(rule=rule, scope=scope)
        except RuleRefused as refused:
            for key, problem in refused.problems.items():
                self.add_error(key if key in self.fields else None, problem)
        return data

    def save(self, commit=True):
        self.instance.rule = self.rule
        return super().save(commit)


class ProgrammeForm(forms.ModelForm):
    class Meta:
        model = Programme
        fields = ["name", "name_en", "audience", "active"]
        labels = {"audience": capfirst(_("audience"))}
        help_texts = {"active": _("A programme that is not active is left out when a month is opened.")}

    def __init__(self, *args, audiences, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["audience"].queryset = audiences
        self.fields["audience"].empty_label = None


class PlanLineForm(forms.Form):
    """One more course in one month of a programme."""

    programme = forms.ModelChoiceField(label=_("Programme"), queryset=Programme.objects.none(), empty_label=None)
    month = MonthFormField(label=_("Month"))
    course = forms.ModelChoiceField(label=_("Course"), queryset=Course.objects.none(), empty_label=None)

    def __init__(self, *args, programmes, first: Month, **kwargs):
        super().__init__(*args, **kwargs)
        self.first = first
        self.fields["programme"].queryset = programmes
        self.fields["course"].queryset = Course.objects.filter(steps__live=True, steps__required=True).distinct()

    def clean_month(self):
        month = self.cleaned_data["month"]
        if month < self.first:
            raise forms.ValidationError(_("This month has passed."))
        return month

    def clean(self):
        data = super().clean()
        if {"programme", "month", "course"} <= data.keys() and PlanLine.objects.filter(**data).exists():
            raise forms.ValidationError(_("This course is already planned for this month."))
        return data

    def save(self, *, at: dt.datetime) -> PlanLine:
        return PlanLine.objects.get_or_create(**self.cleaned_data, defaults={"published_at": at})[0]
