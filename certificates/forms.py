"""Forms of certificates."""

from django import forms
from django.utils.translation import gettext_lazy as _

from core.periods import MonthFormField
from people.models import OrgUnit


class PrintForm(forms.Form):
    """Which certificates to print: those issued in a month to people of a unit. The units offered are the actor's."""

    month = MonthFormField(label=_("Issued in"))
    unit = forms.ModelChoiceField(
        label=_("Unit, with everything below it"), queryset=OrgUnit.objects.none(), required=False
    )
    form = forms.ChoiceField(
        label=_("As"),
        choices=[("pdf", _("one PDF, ready to print")), ("zip", _("a zip with one PDF a person"))],
        widget=forms.RadioSelect,
        initial="pdf",
    )

    def __init__(self, *args, units, **kwargs):
        super().__init__(*args, **kwargs)
        field = self.fields["unit"]
        field.queryset = units
        field.label_from_instance = lambda unit: "　" * (unit.depth - 1) + unit.label
        field.empty_label = _("Everybody I may see")


class RevokeForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_(
            "Kept with the certificate and shown to its holder. The public page only says that it was revoked."
        ),
    )


class CodeForm(forms.Form):
    code = forms.CharField(
        label=_("Check code"),
        max_length=64,
        help_text=_("The 32 letters and digits behind /verify/ in the address of the QR code."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "inputmode": "text"}),
    )

    def clean_code(self):
        return self.cleaned_data["code"].strip().strip("/").rsplit("/", 1)[-1].lower()
