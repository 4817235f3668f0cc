"""Forms of recognition. Who acts, and when, is never among the fields (TRUST MC-03)."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import get_language, ngettext, pgettext_lazy
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from wagtail.images.fields import WagtailImageField

from core.periods import MonthFormField
from kpi.domain.recognition_access import design_words, designs_for_honours, people_of_numbers
from kpi.models import AwardProgramme, Indicator, Nomination, Vote
from people.forms import DayField, PersonField, UnitField
from people.models import Employee, OrgUnit

MOST_MEMBERS = 200
LEAST_COMMITTEE = 3


def _words(label, most: int, rows: int = 3, **kwargs) -> forms.CharField:
    return forms.CharField(label=label, max_length=most, widget=forms.Textarea(attrs={"rows": rows}), **kwargs)


class PeopleField(forms.CharField):
    """Several people by employee number, as pasted. ``people`` (whom the actor may name) is given by the form."""

    def __init__(self, *, most: int, **kwargs):
        self.people: QuerySet[Employee] | None = None
        self.most = most
        kwargs.setdefault("help_text", _("Employee numbers, one in a line. A name beside the number does no harm."))
        super().__init__(
            max_length=6000,
            widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false", "autocomplete": "off"}),
            **kwargs,
        )

    def clean(self, value):
        found, unknown = people_of_numbers(super().clean(value), self.people)
        if unknown:
            text = ngettext(
                "Nobody has this number: %(numbers)s. Correct it or take it out.",
                "Nobody has these numbers: %(numbers)s. Correct them or take them out.",
                len(unknown),
            )
            raise forms.ValidationError(text % {"numbers": ", ".join(unknown[:10])})
        if len(found) > self.most:
            raise forms.ValidationError(_now("These are more than %(most)d people.") % {"most": self.most})
        return found


# --- everybody ----------------------------------------------------------------------------------------------------------
class ThanksForm(forms.Form):
    text = _words(_("Your words"), 300, help_text=_("Say what it was for. One or two sentences are plenty."))


class ObjectionForm(forms.Form):
    text = _words(_("What do you know?"), 1000, help_text=_("What happened, when, and who can confirm it."))

    def __init__(self, *args, nomination: Nomination, **kwargs):
        super().__init__(*args, auto_id=f"against-{nomination.pk}-%s", **kwargs)


class NominateForm(forms.Form):
    """Somebody or something put forward: the fields that the honour asks for, and the citation."""

    employee = PersonField(
        label=_("Who?"),
        help_text=_("Type a name and choose from the list, or type the employee number."),
    )
    unit = UnitField(label=_("Which unit?"))
    title = forms.CharField(label=_("Name in Chinese"), max_length=100)
    title_en = forms.CharField(label=_("Name in English"), max_length=100, required=False)
    members = PeopleField(label=_("Members"), most=MOST_MEMBERS)
    citation = _words(
        _("Why, in Chinese"),
        500,
        5,
        help_text=_("Two or three sentences about what they did. If they are honoured, this stands on the wall."),
    )
    citation_en = _words(_("Why, in English"), 500, 5, required=False)

    def __init__(self, *args, kind: str, people: QuerySet[Employee], units: QuerySet[OrgUnit], **kwargs):
        super().__init__(*args, **kwargs)
        Kind = AwardProgramme.Kind
        kept = {Kind.PERSON: ["employee"], Kind.UNIT: ["unit"]}.get(Kind(kind), ["title", "title_en", "members"])
        for name in ("employee", "unit", "title", "title_en", "members"):
            if name not in kept:
                del self.fields[name]
        if "employee" in self.fields:
            self.fields["employee"].people = people
        if "unit" in self.fields:
            self.fields["unit"].offer(units)
        if "members" in self.fields:
            self.fields["members"].people = people


class VoteForm(forms.Form):
    """One vote; whoever is close is offered recusal only."""

    choice = forms.ChoiceField(label=_("Your vote"), widget=forms.RadioSelect)
    reason = _words(
        pgettext_lazy("of a vote", "Reason"), 300, 2, required=False, help_text=_("Needed if you recuse yourself.")
    )

    def __init__(self, *args, nomination: Nomination, must_recuse: bool, **kwargs):
        super().__init__(*args, auto_id=f"vote-{nomination.pk}-%s", **kwargs)
        if must_recuse:
            del self.fields["choice"]
            self.fields["reason"].required = True
            self.fields["reason"].label = _("How are you close to them?")
            self.fields["reason"].help_text = ""
        else:
            self.fields["choice"].choices = [(one.value, capfirst(one.label)) for one in Vote.Choice]

    def clean(self):
        data = super().clean()
        recused = data.get("choice", Vote.Choice.RECUSED) == Vote.Choice.RECUSED
        if recused and "reason" not in self.errors and not (data.get("reason") or "").strip():
            self.add_error("reason", _now("Say in a few words why you recuse yourself."))
        return data


# --- HR -----------------------------------------------------------------------------------------------------------------
class _DesignField(forms.ModelChoiceField):
    """Designs by name, each with the very words that a certificate of it would say."""

    def label_from_instance(self, design):
        said, said_en = design_words(design, _STAR_ZH, _STAR_EN)
        english = (get_language() or "").startswith("en")
        return format_html(
            '<span>{}<br><span class="small soft">{}</span></span>', design, said_en if english else said
        )


_STAR_ZH, _STAR_EN = "第三季度服务明星", "Service star of the third quarter"


class ProgrammeForm(forms.Form):
    """An honour made from an award rule."""

    rule = forms.ModelChoiceField(queryset=None, label=_("Rule of the honour"), empty_label=None)
    kind = forms.ChoiceField(label=_("Given to"), widget=forms.RadioSelect)
    design = _DesignField(
        queryset=None,
        label=_("Design of the certificate"),
        empty_label=None,
        widget=forms.RadioSelect,
        help_text=_(
            "Published designs that no course uses, each with what it would say. Authors make designs in the content admin."
        ),
    )

    def __init__(self, *args, rules, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["rule"].queryset = rules
        self.fields["rule"].label_from_instance = lambda rule: f"{rule.label} ({rule.scope.label})"
        self.fields["kind"].choices = [(one.value, capfirst(one.label)) for one in AwardProgramme.Kind]
        self.fields["kind"].initial = AwardProgramme.Kind.PERSON
        self.fields["design"].queryset = designs = designs_for_honours()
        if len(designs[:2]) == 1:
            self.fields["design"].initial = designs[0]


class RoundForm(forms.Form):
    """A round of an honour: its months, its places, until when, and who decides."""

    name = forms.CharField(label=_("Name in Chinese"), max_length=100, help_text=_("As it will stand on the wall."))
    name_en = forms.CharField(label=_("Name in English"), max_length=100, required=False)
    first_month = MonthFormField(label=_("First month"))
    last_month = MonthFormField(label=_("Last month"), help_text=_("The measures of these months are looked at."))
    places = forms.IntegerField(label=_("Places"), min_value=1, max_value=100_000, required=False)
    nominate_until = DayField(label=_("Nominations until"))
    committee = PeopleField(label=_("Committee"), most=60)

    def __init__(self, *args, people: QuerySet[Employee], today: dt.date, places: int, **kwargs):
        super().__init__(*args, **kwargs)
        self.today = today
        committee = self.fields["committee"]
        committee.people = people
        committee.help_text = _(
            "Three people or more, by employee number, one in a line. Who is close to a nominee takes no part in that vote."
        )
        self.fields["places"].help_text = _now("Empty: %(places)d, as the rule says.") % {"places": places}

    def clean_nominate_until(self):
        if self.cleaned_data["nominate_until"] < self.today:
            raise forms.ValidationError(_now("This day has passed."))
        return self.cleaned_data["nominate_until"]

    def clean_committee(self):
        members = self.cleaned_data["committee"]
        if len(members) < LEAST_COMMITTEE:
            raise forms.ValidationError(_now("A committee needs at least three people."))
        without = [one.label for one in members if one.user_id is None]
        if without:
            text = _now("These people cannot sign in yet, so they could not vote: %(names)s.")
            raise forms.ValidationError(text % {"names": ", ".join(without)})
        return members

    def clean(self):
        data = super().clean()
        first, last = data.get("first_month"), data.get("last_month")
        if first and last and last < first:
            self.add_error("last_month", _now("The last month comes before the first."))
        return data


class AnswerForm(forms.Form):
    """HR's answer to an objection. The button says whether it is upheld."""

    answer = _words(
        pgettext_lazy("to an objection", "Answer"), 1000, help_text=_("Whoever objected reads it. Say what you found.")
    )

    def __init__(self, *args, objection_id: int, **kwargs):
        super().__init__(*args, auto_id=f"answer-{objection_id}-%s", **kwargs)


class PhotoForm(forms.Form):
    photo = WagtailImageField(label=_("Photograph"))

    def __init__(self, *args, award_id: int, **kwargs):
        super().__init__(*args, auto_id=f"photo-{award_id}-%s", **kwargs)
        self.fields["photo"].help_text = ""


# --- the rule -----------------------------------------------------------------------------------------------------------
class AwardRuleForm(forms.Form):
    """The figures of an award rule but its conditions. Shares stay text: the rule's own reader judges them."""

    seen = forms.IntegerField(widget=forms.HiddenInput)
    places = forms.IntegerField(label=_("Places in a round"), help_text=_("A round can be given another number."))
    quorum = forms.CharField(
        label=_("Quorum, in per cent"),
        max_length=12,
        help_text=_("So many of the members who may vote must have voted."),
    )
    majority = forms.CharField(
        label=_("Majority, in per cent"),
        max_length=12,
        help_text=_("Votes for must be more than this share of votes for and against."),
    )
    publicity_days = forms.IntegerField(
        label=_("Days of publicity"), help_text=_("So long the names are public before anything is granted.")
    )


class ConditionForm(forms.Form):
    """One condition: what an indicator must reach over the months of a round."""

    code = forms.CharField(widget=forms.HiddenInput, required=False, max_length=40)
    name_zh = forms.CharField(label=_("Condition in Chinese"), max_length=100)
    name_en = forms.CharField(label=_("Condition in English"), max_length=100, required=False)
    indicator = forms.ChoiceField(label=_("Indicator"))
    at_least = forms.CharField(label=_("At least"), max_length=16, required=False)
    at_most = forms.CharField(label=_("At most"), max_length=16, required=False)

    def __init__(self, *args, indicators: list[tuple[str, str]], **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["indicator"].choices = indicators


class _Conditions(forms.BaseFormSet):
    def standing(self) -> list[ConditionForm]:
        """The rows that are kept, in order."""
        return [form for form in self.forms if not (self.can_delete and form.cleaned_data.get("DELETE"))]


Conditions = forms.formset_factory(
    ConditionForm, formset=_Conditions, extra=0, can_delete=True, max_num=20, absolute_max=40, validate_max=True
)


def indicator_choices(also: set[str]) -> list[tuple[str, str]]:
    """This function will return what a condition can ask about: what is in use, and what the rule asks about already."""
    found = Indicator.objects.filter(Q(active=True) | Q(code__in=also)).order_by("code")
    return [(one.code, f"{one.label} ({one.get_unit_display()})") for one in found]


def first_values(parameters: dict) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """This function will put the parameters of an award rule into the values of its forms; usual ones where there are none."""
    values = {
        "places": parameters.get("places", 10),
        "quorum": parameters.get("quorum", "66.67"),
        "majority": parameters.get("majority", "50"),
        "publicity_days": parameters.get("publicity_days", 5),
    }
    rows = [
        {key: row.get(key) or "" for key in ("code", "name_zh", "name_en", "indicator", "at_least", "at_most")}
        for row in parameters.get("conditions", [])
        if isinstance(row, dict)
    ]
    return values, rows


def parameters_of(form: AwardRuleForm, rows: list[ConditionForm]) -> dict[str, Any]:
    """This function will put what was typed together as the parameters of an award rule."""
    data = form.cleaned_data
    conditions, taken = [], {row.cleaned_data.get("code") for row in rows}
    for row in rows:
        said = row.cleaned_data
        code = said.get("code") or _free(said["indicator"], taken)
        taken.add(code)
        condition = {"code": code, "name_zh": said["name_zh"].strip(), "name_en": said["name_en"].strip()}
        condition["indicator"] = said["indicator"]
        condition |= {key: said[key].strip() for key in ("at_least", "at_most") if said[key].strip()}
        conditions.append(condition)
    return {
        "places": data["places"],
        "quorum": data["quorum"].strip(),
        "majority": data["majority"].strip(),
        "publicity_days": data["publicity_days"],
        "conditions": conditions,
    }


def _free(code: str, taken: set) -> str:
    number = 1
    while (f"{code}_{number}" if number > 1 else code) in taken:
        number += 1
    return f"{code}_{number}" if number > 1 else code


def tie_faults(faults: list[tuple[str, str]], form: AwardRuleForm, rows: list[ConditionForm]) -> None:
    """This function will put each fault of the rule's reader at the field that it is about."""
    for place, words in faults:
        parts = place.split(".")
        if parts[0] == "conditions" and len(parts) > 1 and parts[1].isdigit() and int(parts[1]) <= len(rows):
            row = rows[int(parts[1]) - 1]
            name = parts[2] if len(parts) > 2 and parts[2] in row.fields else "at_least"
            row.add_error(name, words)
        elif parts[-1] in form.fields:
            form.add_error(parts[-1], words)
        else:
            form.add_error(None, words)
