"""Forms of decisions about single duties, of requests and their answers. None has a field for a person (TRUST MC-04)."""

from __future__ import annotations

import datetime as dt

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from core.templatetags import interface
from courses.models import DutyRequest

DAY = {"type": "date"}
CODES = [("", _("Choose one")), *((code.value, capfirst(code.label)) for code in DutyRequest.Code)]


class DecisionForm(forms.Form):
    """A decision about one duty: why."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("The employee and everybody who may see the record can read it."),
    )


class CodedForm(DecisionForm):
    """A decision with its reason code: one of the codes that requests use too, and the words beside it."""

    code = forms.ChoiceField(label=_("Kind of reason"), choices=CODES)
    field_order = ["code", "reason"]


class ExtendForm(CodedForm):
    until = forms.DateField(label=_("New due day"), widget=forms.DateInput(attrs=DAY, format="%Y-%m-%d"))
    field_order = ["until", "code", "reason"]

    def __init__(self, *args, earliest: dt.date, latest: dt.date, **kwargs):
        super().__init__(*args, **kwargs)
        field = self.fields["until"]
        field.widget.attrs.update(min=earliest.isoformat(), max=latest.isoformat())
        self.earliest, self.latest = earliest, latest

    def clean_until(self):
        day = self.cleaned_data["until"]
        if not self.earliest <= day <= self.latest:
            raise forms.ValidationError(_("Choose a day after the present due day and before the last acceptance."))
        return day


class PastForm(DecisionForm):
    on = forms.DateField(label=_("Done on"), widget=forms.DateInput(attrs=DAY, format="%Y-%m-%d"))
    field_order = ["on", "reason"]

    def __init__(self, *args, today: dt.date, **kwargs):
        super().__init__(*args, **kwargs)
        self.today = today
        self.fields["on"].widget.attrs["max"] = today.isoformat()

    def clean_on(self):
        if self.cleaned_data["on"] > self.today:
            raise forms.ValidationError(_("This day has not come yet."))
        return self.cleaned_data["on"]


class AskForm(forms.Form):
    """What an employee asks about an own duty. ``days``: to which days the due day may move (None: to none any more)."""

    kind = forms.ChoiceField(label=_("What do you need?"), widget=forms.RadioSelect)
    until = forms.DateField(
        label=_("More time until"), required=False, widget=forms.DateInput(attrs=DAY, format="%Y-%m-%d")
    )
    code = forms.ChoiceField(label=_("Kind of reason"), choices=CODES)
    text = forms.CharField(
        label=_("In your own words"),
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Who may see your record can read it. No diagnosis, please: “unable to work” is enough."),
    )

    def __init__(self, *args, days: tuple[dt.date, dt.date] | None, **kwargs):
        super().__init__(*args, **kwargs)
        self.days = days
        more_time = (DutyRequest.Kind.EXTENSION, _("More time"))
        excused = (DutyRequest.Kind.EXEMPTION, _("To be excused from this course"))
        self.fields["kind"].choices = [more_time, excused] if days else [excused]
        self.fields["kind"].initial = self.fields["kind"].choices[0][0]
        if days:
            first, last = days
            self.fields["until"].widget.attrs.update(min=first.isoformat(), max=last.isoformat())
            self.fields["until"].help_text = _("From %(first)s to %(last)s. Only for more time.") % {
                "first": interface.day(first),
                "last": interface.day(last),
            }
        else:
            del self.fields["until"]

    def clean(self):
        data = super().clean()
        if data.get("kind") == DutyRequest.Kind.EXTENSION and "until" not in self.errors:
            until = data.get("until")
            if until is None:
                self.add_error("until", _("Say until which day."))
            elif not self.days[0] <= until <= self.days[1]:
                self.add_error("until", _("Choose a day after the present due day and before the last acceptance."))
        return data


class AdviceForm(forms.Form):
    """What a manager thinks of a request to be excused, before HR answers it. The button says which."""

    advice = forms.ChoiceField(choices=DutyRequest.Advice.choices, widget=forms.HiddenInput)
    text = forms.CharField(
        label=_("What you think"), max_length=300, required=False, widget=forms.Textarea(attrs={"rows": 2})
    )

    def __init__(self, *args, asked: DutyRequest, **kwargs):
        super().__init__(*args, auto_id=f"advice-{asked.pk}-%s", **kwargs)
        self.fields["text"].initial = asked.advice_text
        self.fields["text"].help_text = _("Needed if you do not support it; HR and %(name)s read it.") % {
            "name": asked.enrolment.employee.label
        }


class AnswerForm(forms.Form):
    """A manager's or HR's answer to a request: the day that is granted, and words."""

    until = forms.DateField(  # empty: the day that was asked for
        label=_("Due day"),
        required=False,
        help_text=_("Earlier than asked is possible."),
        widget=forms.DateInput(attrs=DAY, format="%Y-%m-%d"),
    )
    answer = forms.CharField(
        label=pgettext_lazy("to a request", "Answer"),
        max_length=300,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, *args, asked: DutyRequest, first: dt.date | None, **kwargs):
        super().__init__(*args, auto_id=f"request-{asked.pk}-%s", **kwargs)
        self.fields["answer"].help_text = _("Needed to refuse; %(name)s reads it.") % {
            "name": asked.enrolment.employee.label
        }
        if asked.kind == DutyRequest.Kind.EXTENSION:
            self.fields["until"].initial = asked.until
            attrs = {"max": asked.until.isoformat(), **({"min": first.isoformat()} if first else {})}
            self.fields["until"].widget.attrs.update(attrs)
        else:
            del self.fields["until"]
