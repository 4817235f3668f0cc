"""Forms of the pages about rules. Who, when and what state are not among the fields."""

from __future__ import annotations

import unicodedata

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from courses.models import Audience
from kpi.domain.rules import MOST_NOTICE
from kpi.models import ConsultationNote, Rule
from people.forms import DayField, TextField
from people.models import OrgUnit

MOST_TEXT = 20_000


class LongTextField(forms.CharField):
    """Several lines of plain text, without what no keyboard types."""

    def __init__(self, rows: int = 12, **kwargs):
        super().__init__(widget=forms.Textarea(attrs={"rows": rows}), **kwargs)

    def clean(self, value):
        text = super().clean(value)
        if any(unicodedata.category(char) in {"Cc", "Cf", "Cs"} and char not in "\n\r\t" for char in text):
            raise ValidationError(_("There is a hidden character in this text. Type it instead of pasting it."))
        return text


class RuleForm(forms.Form):
    """A new rule: what kind, what it is called, for whom."""

    family = forms.ChoiceField(label=_("Kind of rule"), widget=forms.RadioSelect)
    name = TextField(label=_("Name in Chinese"), max_length=100)
    name_en = TextField(label=_("Name in English"), max_length=100, required=False)
    code = forms.CharField(
        label=_("Code"),
        max_length=40,
        validators=[RegexValidator(r"\A[a-z0-9][a-z0-9-]*\Z", _("Use small letters, digits and hyphens."))],
        help_text=_("A short name for files and other systems, such as front-line-card. It stays for good."),
    )
    subject = forms.ChoiceField(
        label=_("Whom it scores"),
        choices=Rule.Subject.choices,
        widget=forms.RadioSelect,
        initial=Rule.Subject.EMPLOYEE,
        required=False,
        help_text=_("Only a scorecard can score units."),
    )
    scope = forms.ModelChoiceField(label=_("Unit"), queryset=OrgUnit.objects.none(), empty_label=None)
    audience = forms.ModelChoiceField(
        label=_("For whom"),
        queryset=Audience.objects.none(),
        required=False,
        empty_label=_("Everybody in the unit"),
        help_text=_("An audience narrows it down, by position for example."),
    )

    def __init__(self, *args, families: list[str], scopes: list[OrgUnit], audiences, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["family"].choices = [(one, capfirst(Rule.Family(one).label)) for one in families]
        if len(families) == 1:
            self.fields["family"].initial = families[0]
        self.fields["scope"].queryset = OrgUnit.objects.filter(pk__in=[unit.pk for unit in scopes])
        self.fields["audience"].queryset = audiences
        if Rule.Family.SCORECARD not in families:
            del self.fields["subject"]

    def clean_subject(self) -> str:
        return self.cleaned_data["subject"] or Rule.Subject.EMPLOYEE

    def clean(self):
        data = super().clean()
        if data.get("subject") == Rule.Subject.UNIT:
            if data.get("family") not in (None, Rule.Family.SCORECARD):
                self.add_error("subject", _("Only a scorecard can score units. Choose employees."))
            if data.get("audience"):
                self.add_error("audience", _("A card of units has no audience: it is for every unit below. Leave it."))
        return data


class TextForm(forms.Form):
    """What staff read, in both languages, and how long it is known before it counts."""

    text_zh = LongTextField(label=_("Text in Chinese"), max_length=MOST_TEXT)
    text_en = LongTextField(
        label=_("Text in English"),
        max_length=MOST_TEXT,
        required=False,
        help_text=_("Left empty, readers of English see the Chinese text."),
    )
    notice_days = forms.IntegerField(
        label=_("Days of notice"),
        min_value=0,
        max_value=MOST_NOTICE,
        help_text=_("So many days lie at least between publication and effect."),
    )
    seen = forms.IntegerField(widget=forms.HiddenInput)


class NoteForm(forms.Form):
    """What HR writes into the record of the consultation."""

    kind = forms.ChoiceField(label=pgettext_lazy("of a note", "Kind"), widget=forms.RadioSelect)
    text = LongTextField(rows=4, label=_("What was said"), max_length=1000)

    def __init__(self, *args, kinds: list[str], **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["kind"].choices = [(one, capfirst(ConsultationNote.Kind(one).label)) for one in kinds]
        self.fields["kind"].initial = kinds[0]


class CommentForm(forms.Form):
    """What an employee says about a rule in consultation."""

    text = LongTextField(
        rows=4,
        label=_("What you think of it"),
        max_length=1000,
        help_text=_("Colleagues see your words without your name; HR sees who wrote them. They stay with the rule."),
    )


class PublishForm(forms.Form):
    """From which day a version is in force."""

    effective_from = DayField(label=_("In force from"))
    seen = forms.IntegerField(widget=forms.HiddenInput)
