"""Forms of HR and managers. None has a field for a person, a state or a time of the server (TRUST MC-04)."""

from __future__ import annotations

from collections.abc import Iterable

from django import forms
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from core.periods import Month
from courses.models import Course, Programme

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


class PlanCourseForm(forms.Form):
    """One more course in one month of a programme's year."""

    month = forms.TypedChoiceField(label=_("Month"), coerce=Month.parse)
    course = forms.TypedChoiceField(label=_("Course"))

    def __init__(self, *args, months: list[Month], courses: Iterable[Course], **kwargs):
        super().__init__(*args, **kwargs)
        found = {course.pk: course for course in courses}
        by_theme: dict[str, list[tuple[int, str]]] = {theme: [] for theme in Course.Theme.values}
        for course in found.values():
            by_theme[course.theme].append((course.pk, f"{course.title} ({course.code})"))
        self.fields["month"].choices = [(str(month), month.label) for month in months]
        self.fields["course"].choices = [(Course.Theme(theme).label, some) for theme, some in by_theme.items() if some]
        self.fields["course"].coerce = lambda value: found[int(value)]
