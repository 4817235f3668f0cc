"""The forms of the people pages: what a person types, made clean or refused with a word that helps."""

from __future__ import annotations

import datetime as dt
import unicodedata

from django import forms
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator, RegexValidator
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from people.domain.access import Actor, visible_employees, visible_units
from people.models import Employee, OrgUnit, Position, RoleGrant, User

MOST_UNITS_IN_A_LIST = 500
EARLIEST = dt.date(1950, 1, 1)


def no_control_characters(text: str) -> None:
    """Refuse what no keyboard types: control characters, half characters, direction marks."""
    if any(unicodedata.category(char) in {"Cc", "Cf", "Cs"} for char in text):
        raise ValidationError(_("There is a hidden character in this text. Type it instead of pasting it."))


class TextField(forms.CharField):
    """One line of plain text."""

    default_validators = [no_control_characters]


class DayField(forms.DateField):
    """A day: the browser's calendar where there is one, 2026-11-22 where there is none."""

    def __init__(self, **kwargs):
        kwargs.setdefault("input_formats", ["%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日"])
        super().__init__(widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"), **kwargs)

    def validate(self, value):
        super().validate(value)
        if value and not EARLIEST <= value <= dt.date(2199, 12, 31):
            raise ValidationError(_("This year cannot be right."))


class PersonInput(forms.TextInput):
    """The number of a person, with names offered while typing."""

    template_name = "people/widgets/person_input.html"

    def __init__(self):
        super().__init__(attrs={"autocomplete": "off", "spellcheck": "false", "maxlength": "60"})


class PersonField(TextField):
    """One person out of those the actor may see, named by employee number (or by a name only one person has)."""

    widget = PersonInput
    default_error_messages = {
        "unknown": _("Nobody has this number. Type a name and choose from the list, or type the employee number."),
        "several": _("Several people have this name. Type the employee number."),
    }

    def __init__(self, **kwargs):
        self.people: QuerySet[Employee] | None = None  # given by the form, which knows the actor
        super().__init__(max_length=60, **kwargs)

    def prepare_value(self, value):
        return value.employee_no if isinstance(value, Employee) else value

    def clean(self, value):
        text = super().clean(value)
        if not text:
            return None
        found = list(self.people.filter(employee_no=text).select_related("unit", "user")[:1])
        found = found or list(self.people.filter(name=text).exclude(state="left").select_related("unit", "user")[:2])
        if len(found) != 1:
            raise ValidationError(self.error_messages["several" if found else "unknown"])
        return found[0]


class UnitField(TextField):
    """One unit out of some: a list drawn as a tree, or its code where the list would be too long for a page."""

    default_error_messages = {"unknown": _("There is no such unit here. Choose one from the list, or type its code.")}

    def __init__(self, **kwargs):
        self.units: QuerySet[OrgUnit] | None = None
        super().__init__(max_length=40, **kwargs)

    def offer(self, units: QuerySet[OrgUnit]) -> None:
        """Say which units may be chosen."""
        self.units = units
        listed = list(units[: MOST_UNITS_IN_A_LIST + 1])
        if len(listed) <= MOST_UNITS_IN_A_LIST:
            top = min((unit.depth for unit in listed), default=1)
            choices = [(unit.code, "\u2003" * (unit.depth - top) + unit.label) for unit in listed]
            if not self.required or len(listed) > 1:
                choices.insert(0, ("", "—"))
            self.widget = forms.Select(choices=choices, attrs=self.widget_attrs(self.widget))
            self.widget.is_required = self.required

    def prepare_value(self, value):
        return value.code if isinstance(value, OrgUnit) else value

    def clean(self, value):
        code = super().clean(value)
        if not code:
            return None
        unit = self.units.filter(code=code).first()
        if unit is None:
            raise ValidationError(self.error_messages["unknown"])
        return unit


class PositionChoice(forms.ModelChoiceField):
    def label_from_instance(self, position):
        return f"{position.label} · {position.job_family}" if position.job_family else position.label


# --- signing in ------------------------------------------------------------------------------------------------------


class PasswordInput(forms.PasswordInput):
    """A password that can be looked at while it is typed (people/password.js adds the button)."""

    template_name = "people/widgets/password_input.html"


class SignInForm(AuthenticationForm):
    error_messages = {
        "invalid_login": _(
            "This name and password do not open a sign-in. Look at both again. "
            "If it goes on, ask the HR of your unit for a new link."
        ),
        "inactive": _("This sign-in is closed. Ask the HR of your unit."),
    }

    def __init__(self, request=None, *args, **kwargs):
        super().__init__(request, *args, **kwargs)
        username, password = self.fields["username"], self.fields["password"]
        username.label = _("Employee number or e-mail")
        username.max_length = 254
        username.widget.attrs.update(
            {"maxlength": "254", "autocapitalize": "none", "autocomplete": "username", "spellcheck": "false"}
        )
        password.label = _("Password")
        password.widget = PasswordInput(attrs={"autocomplete": "current-password", "maxlength": "256"})


class NewPasswordForm(forms.Form):
    """A new password for a user, or for the user an employee will be."""

    password = forms.CharField(
        label=_("New password"),
        strip=False,
        widget=PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_(
            "At least 15 characters. Four or five words that only you would put together are easy to remember: "
            "no digits or signs needed. Not your name, your number or the company’s name."
        ),
    )

    def __init__(self, *args, user: User, **kwargs):
        self.user = user
        super().__init__(*args, **kwargs)

    def clean_password(self):
        password = self.cleaned_data["password"]
        validate_password(password, self.user)
        return password


class ChangePasswordForm(NewPasswordForm):
    old = forms.CharField(
        label=_("Present password"),
        strip=False,
        widget=PasswordInput(attrs={"autocomplete": "current-password", "maxlength": "256"}),
    )
    field_order = ["old", "password"]

    def clean_old(self):
        old = self.cleaned_data["old"]
        if not self.user.check_password(old):
            raise ValidationError(_("This is not your present password."))
        return old


# --- the record ------------------------------------------------------------------------------------------------------


class RecordForm(forms.ModelForm):
    """The plain fields of a record."""

    name = TextField(label=pgettext_lazy("a person", "Name"), max_length=100)
    name_latin = TextField(
        label=_("Name in Latin letters"),
        max_length=100,
        required=False,
        help_text=_("Printed on certificates in English."),
    )
    email = TextField(label=_("E-mail"), max_length=254, required=False, validators=[EmailValidator()])
    mobile = TextField(
        label=_("Mobile"),
        max_length=30,
        required=False,
        validators=[
            RegexValidator(r"^\+?[0-9][0-9 ()-]{4,28}$", _("Write digits, with a + in front of a country code."))
        ],
    )
    language = forms.ChoiceField(label=_("Language of e-mails"), choices=settings.LANGUAGES, widget=forms.RadioSelect)

    class Meta:
        model = Employee
        fields = ["name", "name_latin", "email", "mobile", "language"]

    def _post_clean(self):
        """Nothing is written to the instance: people.domain.moves.change_record compares it with what was typed."""


class PostForm(forms.Form):
    """A unit, a position, a manager and the first day: for moving somebody and for taking somebody back."""

    unit = UnitField(label=_("Unit"))
    position = PositionChoice(label=_("Position"), queryset=Position.objects.none(), required=False, empty_label="—")
    manager = PersonField(
        label=_("Manager"),
        required=False,
        help_text=_("Type a name and choose, or type the employee number. May be in another unit."),
    )
    on = DayField(label=_("First day"))

    def __init__(self, *args, actor: Actor, row: str, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["unit"].offer(visible_units(actor, row))
        self.fields["position"].queryset = Position.objects.order_by("title")
        self.fields["manager"].people = visible_employees(actor, "PM-P01")


class LeftForm(forms.Form):
    on = DayField(label=_("Last day at work"))
    reason = TextField(
        label=_("Note"),
        max_length=200,
        required=False,
        help_text=_("Kept in the record’s history. No health or family matters."),
    )


class ReasonForm(forms.Form):
    reason = TextField(
        label=_("Reason"), max_length=200, help_text=_("Kept in the record’s history. No health or family matters.")
    )


class LeaveForm(forms.Form):
    starts_on = DayField(label=_("From"))
    ends_on = DayField(label=_("To"), help_text=_("The last day away."))
    reason = TextField(
        label=_("Reason"),
        max_length=200,
        required=False,
        help_text=_("A word such as “parental leave” or “secondment”. No health details: they are not needed here."),
    )

    def clean(self):
        values = super().clean()
        if values.get("starts_on") and values.get("ends_on") and values["ends_on"] < values["starts_on"]:
            self.add_error("ends_on", _("The last day lies before the first."))
        return values


# --- units -----------------------------------------------------------------------------------------------------------


class UnitForm(forms.Form):
    name = TextField(label=_("Name"), max_length=100)
    name_en = TextField(label=_("English name"), max_length=100, required=False)
    kind = forms.ChoiceField(label=_("Kind"), choices=OrgUnit.Kind.choices)

    def clean_name(self):
        return _without_path_signs(self.cleaned_data["name"])

    def clean_name_en(self):
        return _without_path_signs(self.cleaned_data["name_en"])


def _without_path_signs(name: str) -> str:
    """A roster writes a unit as a path, so its name cannot hold the signs that stand between the parts."""
    if set(name) & set("/>"):
        raise ValidationError(_("A unit’s name cannot contain / or >: rosters write them between units."))
    return name


class NewUnitForm(UnitForm):
    code = TextField(
        label=_("Code"),
        max_length=40,
        validators=[RegexValidator(r"^[\w.-]+$", _("Letters, digits, dots and dashes only."))],
        help_text=_("The unit’s name in other systems. It stays when the unit is renamed or moved."),
    )
    field_order = ["code", "name", "name_en", "kind"]


class MoveUnitForm(forms.Form):
    under = UnitField(label=_("Under"))

    def __init__(self, *args, units: QuerySet[OrgUnit], **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["under"].offer(units)


# --- roles -----------------------------------------------------------------------------------------------------------


class GrantForm(forms.Form):
    person = PersonField(label=_("Person"), help_text=_("Type a name and choose, or type the employee number."))
    role = forms.ChoiceField(label=_("Role"), choices=RoleGrant.Role.choices)
    unit = UnitField(
        label=_("Unit"),
        required=False,
        help_text=_("For HR and the pay duties: the role reaches this unit and everything below it."),
    )
    until = DayField(
        label=_("Until"), required=False, help_text=_("The last day. Without one the role stays until revoked.")
    )

    def __init__(self, *args, actor: Actor, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["person"].people = visible_employees(actor, "PM-P12")
        self.fields["unit"].offer(visible_units(actor, "PM-P12"))

    def clean_person(self):
        person = self.cleaned_data["person"]
        if person and not person.user_id:
            raise ValidationError(_("This person has no sign-in yet. A role needs one: invite the person first."))
        return person


# --- invitations -----------------------------------------------------------------------------------------------------


class UnitFilterForm(forms.Form):
    unit = UnitField(label=_("Unit"), required=False)

    def __init__(self, *args, actor: Actor, row: str, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["unit"].offer(visible_units(actor, row))
