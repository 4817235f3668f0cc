"""Forms of the ladder, of robots and of the log of messages."""

from __future__ import annotations

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from core.messaging import KINDS
from core.models import Message, Robot
from core.robots import PROBLEMS, AddressRefused, check_address
from courses.domain.ladders import StepValues
from courses.models import Ladder, LadderStep
from people.models import OrgUnit

# A list has little room for words.
_TO = [
    (value, _("the group chat (figures only)") if value == LadderStep.To.GROUP_CHAT else label)
    for value, label in LadderStep.To.choices
]
_TIME = {"type": "time", "step": "60"}


class HoursForm(forms.ModelForm):
    """When the digest goes out, and when nobody is disturbed."""

    class Meta:
        model = Ladder
        fields = ["active", "send_at", "quiet_from", "quiet_until"]
        widgets = {
            name: forms.TimeInput(attrs=_TIME, format="%H:%M") for name in ("send_at", "quiet_from", "quiet_until")
        }
        labels = {
            "active": _("Reminders are sent"),
            "send_at": _("The digest goes out at"),
            "quiet_from": _("Quiet from"),
            "quiet_until": _("Quiet until"),
        }
        help_texts = {
            "quiet_until": _(
                "In these hours no mail and no message to a group chat goes out. They may go over midnight."
            ),
        }

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.show_hidden_initial = True  # what the page showed comes back with what is wanted

    def wanted(self, by_now: Ladder) -> dict:
        """What was typed; where the page was sent back as it was shown, what the ladder says by now."""
        shown = {name for name in self.fields if self.add_initial_prefix(name) in self.data}
        kept = shown - set(self.changed_data)
        return {name: getattr(by_now, name) if name in kept else value for name, value in self.cleaned_data.items()}


class StepForm(forms.Form):
    """One row of the ladder: so many days before or after, whom, and whether by mail as well."""

    BEFORE, ON, AFTER = "before", "on", "after"
    days = forms.IntegerField(label=_("Days"), min_value=0, max_value=62, required=False)
    when = forms.ChoiceField(
        label=_("When"),
        choices=[
            (BEFORE, _("days before due")),
            (ON, _("on the due day")),
            (AFTER, _("days after due")),
        ],
        initial=BEFORE,
    )
    to = forms.ChoiceField(label=_("Who is told"), choices=_TO, initial=LadderStep.To.EMPLOYEE)
    by_mail = forms.BooleanField(label=_("also by e-mail"), required=False, initial=True)

    @classmethod
    def values_of(cls, step: LadderStep) -> dict:
        when = cls.ON if step.days == 0 else cls.BEFORE if step.days < 0 else cls.AFTER
        return {"days": abs(step.days) or None, "when": when, "to": step.to, "by_mail": step.by_mail}

    def clean(self):
        data = super().clean()
        days, when = data.get("days"), data.get("when")
        if when in {self.BEFORE, self.AFTER} and "days" in data and not days:
            self.add_error("days", _("How many days?"))
        if when == self.BEFORE and days and days > 31:
            self.add_error("days", _("At most 31 days before the due day."))
        return data

    @property
    def step(self) -> StepValues:
        data = self.cleaned_data
        days = {self.ON: 0, self.BEFORE: -(data["days"] or 0)}.get(data["when"], data["days"])
        return StepValues(days=days, to=data["to"], by_mail=data["by_mail"])


class _Steps(forms.BaseFormSet):
    """The rows of a ladder. A row that was not touched is no row, and one that is ticked for removal need not be right."""

    def clean(self):
        if any(self.errors):
            return
        seen = set()
        for form in self.kept:
            key = (form.step.days, form.step.to)
            if key in seen:
                form.add_error(None, _("This step is there twice."))
                raise ValidationError(_("Two steps tell the same person on the same day. Remove one of them."))
            seen.add(key)

    @property
    def kept(self) -> list[StepForm]:
        removed = set(self.deleted_forms)
        return [form for form in self.forms if form not in removed and form.has_changed_or_was_there]

    @property
    def steps(self) -> list[StepValues]:
        return [form.step for form in self.kept]


class _Row(StepForm):
    @property
    def has_changed_or_was_there(self) -> bool:
        return bool(self.cleaned_data) and (bool(self.initial.get("to")) or self.has_changed())


StepFormSet = forms.formset_factory(_Row, formset=_Steps, extra=1, can_delete=True, max_num=40, absolute_max=60)


class MessageFilter(forms.Form):
    """What narrows the log of messages."""

    q = forms.CharField(label=_("Name or number"), required=False, max_length=100)
    kind = forms.ChoiceField(label=pgettext_lazy("message", "About"), required=False)
    channel = forms.ChoiceField(label=_("Channel"), required=False, choices=[("", _("All")), *Message.Channel.choices])
    state = forms.ChoiceField(label=_("State"), required=False, choices=[("", _("All")), *Message.State.choices])

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["kind"].choices = [("", _("All")), *((name, kind.title) for name, kind in sorted(KINDS.items()))]


class RobotForm(forms.ModelForm):
    """A robot. Its address holds a key and its secret signs: both are written and never shown again."""

    address = forms.CharField(
        label=_("Address (webhook)"),
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "url", "spellcheck": "false"}),
    )
    signing = forms.CharField(
        label=_("Secret for signing"),
        max_length=200,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("DingTalk and Feishu show it in the security settings of the robot; WeCom has none."),
    )
    no_secret = forms.BooleanField(label=_("Remove the secret"), required=False)

    class Meta:
        model = Robot
        fields = ["name", "kind"]
        labels = {"name": _("Name of the robot"), "kind": _("Vendor")}
        help_texts = {"name": _("As the people of the chat would call it, for example “East city, all staff”.")}

    field_order = ["name", "kind", "address", "signing", "no_secret"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields["address"].required = False
            self.fields["address"].help_text = _("Leave it empty to keep the address that is there.")
            if self.instance.secret:
                self.fields["signing"].help_text = _("There is one. Leave it empty to keep it.")
        if not self.instance.secret:
            del self.fields["no_secret"]

    def clean_address(self):
        address = self.cleaned_data["address"].strip()
        if address:
            try:
                check_address(address)
            except AddressRefused as refused:
                raise ValidationError(PROBLEMS[refused.code]) from refused
        return address

    @property
    def new_secret(self) -> str | None:
        """The secret that was typed, empty to remove it, None to keep what is there."""
        typed = self.cleaned_data["signing"].strip()
        if typed or self.instance.pk is None:
            return typed
        return "" if self.cleaned_data.get("no_secret") else None


class ChatForm(forms.Form):
    """Which unit's figures a robot tells."""

    unit = forms.CharField(
        label=_("Unit"),
        max_length=100,
        help_text=_("Its code or its full name."),
        widget=forms.TextInput(attrs={"list": "unit-codes", "autocomplete": "off"}),
    )

    def clean_unit(self):
        text = self.cleaned_data["unit"].strip()
        found = list(OrgUnit.objects.filter(code=text)[:1]) or list(OrgUnit.objects.filter(name=text)[:2])
        found = found or list(OrgUnit.objects.filter(name_en__iexact=text)[:2])
        if not found:
            raise ValidationError(_("No unit has this code or name."))
        if len(found) > 1:
            raise ValidationError(_("Several units have this name. Write the code."))
        return found[0]
