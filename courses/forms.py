"""Forms of HR and managers. None has a field for a person, a state or a time of the server (TRUST MC-04)."""

from __future__ import annotations

import datetime as dt

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from core.periods import Month, MonthFormField
from courses.models import Course, PlanLine, Programme

DAY = {"type": "date"}


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
