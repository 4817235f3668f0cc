"""Forms of development: one course for a plan, and the courses that help with an indicator."""

from django import forms
from django.utils.translation import gettext_lazy as _

from courses.models import Course
from kpi.models import Indicator


class AddForm(forms.Form):
    """Which course, and the indicator it is to move."""

    course = forms.ModelChoiceField(Course.objects.all())
    indicator = forms.ModelChoiceField(Indicator.objects.all())


class CoursesForm(forms.Form):
    """The courses offered for one indicator."""

    courses = forms.ModelMultipleChoiceField(
        Course.objects.all(), label=_("Courses that help"), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args, indicator: Indicator, **kwargs):
        kwargs.setdefault("prefix", f"i{indicator.pk}")
        kwargs.setdefault("initial", {"courses": list(indicator.courses.values_list("course", flat=True))})
        super().__init__(*args, **kwargs)
