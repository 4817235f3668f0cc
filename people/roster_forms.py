"""The form of a roster upload and the filter of its differences."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from people.models import OrgUnit, RosterImport

MOST_BYTES = 80_000_000
Mode, Missing = RosterImport.Mode, RosterImport.Missing


class UploadForm(forms.Form):
    """A file and how to take it. The unit is one of those the person is HR for; nothing else about people is asked."""

    file = forms.FileField(
        label=_("Roster file"),
        widget=forms.FileInput(attrs={"accept": ".xlsx,.csv,.txt,.tsv"}),
        error_messages={
            "required": _("Choose a file first."),
            "empty": _("The file is empty. Choose the file that holds the rows."),
        },
    )
    scope = forms.ModelChoiceField(
        queryset=OrgUnit.objects.none(),
        label=_("For which unit"),
        help_text=_("Only people of this unit and the units below it can change."),
        empty_label=None,
    )
    mode = forms.ChoiceField(
        label=_("What the file is"),
        widget=forms.RadioSelect,
        initial=Mode.CHANGES,
        choices=[
            (Mode.CHANGES, _("Changes only: people who are not in it are left alone")),
            (Mode.FULL, _("The full roster: everybody of the unit should be in it")),
        ],
    )
    missing = forms.ChoiceField(
        label=_("Who is missing from a full roster"),
        widget=forms.RadioSelect,
        initial=Missing.KEEP,
        required=False,
        choices=[
            (Missing.KEEP, _("stays as they are; you are told how many")),
            (Missing.SUSPEND, _("is suspended: cannot sign in until they are in a file again")),
            (Missing.LEFT, _("is marked as left, with the day below as the last day")),
        ],
    )
    effective_on = forms.DateField(
        label=_("From which day"),
        help_text=_("People who move hold their new post from this day on. Today or earlier."),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    all_or_nothing = forms.BooleanField(
        label=_("All or nothing"),
        help_text=_(
            "Apply nothing as long as a single row is refused. Otherwise the good rows go in and the others wait."
        ),
        required=False,
    )

    def __init__(self, *args, units: list[OrgUnit], today, **kwargs):
        super().__init__(*args, **kwargs)
        self.today = today
        scope = self.fields["scope"]
        scope.queryset = OrgUnit.objects.filter(pk__in=[unit.pk for unit in units])
        scope.initial = units[0].pk if units else None
        if len(units) == 1:  # nothing to choose
            scope.widget, scope.required = forms.HiddenInput(), False
        self.only = units[0] if len(units) == 1 else None
        day = self.fields["effective_on"]
        day.initial = today
        day.widget.attrs["max"] = today.isoformat()

    def clean_file(self):
        file = self.cleaned_data["file"]
        if file.size > MOST_BYTES:
            raise forms.ValidationError(
                _("The file is larger than 80 MB. Save only the sheet with the people, or split it.")
            )
        return file

    def clean_scope(self):
        return self.cleaned_data["scope"] or self.only

    def clean_missing(self):
        return self.cleaned_data["missing"] or Missing.KEEP

    def clean_effective_on(self):
        day = self.cleaned_data["effective_on"]
        if day > self.today:
            raise forms.ValidationError(_("This day has not come yet. Choose today or an earlier day."))
        return day


class ChangeFilter(forms.Form):
    """Which differences are shown."""

    q = forms.CharField(
        label=_("Name or employee no."),
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"type": "search"}),
    )
    outcome = forms.CharField(required=False, widget=forms.HiddenInput)

    def clean_q(self):
        return self.cleaned_data["q"].replace("\x00", "").strip()
