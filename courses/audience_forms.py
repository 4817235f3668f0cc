"""The editor of an audience's rule: groups of conditions as they stand in a form, with what was typed in each.

The browser sends the whole tree: a group says ``rule-0-mode``, a condition ``rule-0-1-kind`` and its fields. Adding and
removing are buttons that send the same form, so that nothing typed is lost and no JavaScript is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from core.periods import MonthFormField
from courses.domain.audiences import (
    CONDITIONS,
    DATES,
    GROUPS,
    MAX_CONDITIONS,
    TENURE,
    RuleRefused,
    tidy_rule,
    validate_rule,
)
from courses.models import Audience, Course, PeopleList
from people.models import OrgUnit, Position

ROOT = "rule"
GROUPS_DEEP = 2  # groups within groups that the page offers to make
MODES = {
    "all": pgettext_lazy("conditions", "all of these"),
    "any": pgettext_lazy("conditions", "at least one of these"),
    "none": pgettext_lazy("conditions", "none of these"),
}
KINDS = {
    "units": _("Unit"),
    "positions": _("Position"),
    "job_families": _("Job family"),
    "hired": _("Day of hire"),
    "tenure": _("Months of service"),
    "completed": _("Has completed a course"),
    "not_completed": _("Has not completed a course"),
    "list": _("Is on a list of people"),
}


class AudienceForm(forms.ModelForm):
    """What an audience is called and for which unit it is; whom it selects is the RuleEditor's."""

    class Meta:
        model = Audience
        fields = ["name", "name_en", "scope"]
        labels = {"scope": _("For the unit")}
        help_texts = {"scope": _("Nobody outside this unit is ever selected.")}

    def __init__(self, *args, scopes: list[OrgUnit], **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["scope"].queryset = OrgUnit.objects.filter(pk__in=[unit.pk for unit in scopes]).order_by("path")
        self.fields["scope"].empty_label = None
        if self.instance.pk:
            self.fields["scope"].disabled = True  # another scope is another audience
        elif scopes:
            self.fields["scope"].initial = scopes[0].pk


class PeopleListForm(forms.ModelForm):
    """What a list is called, and for which unit it is."""

    class Meta:
        model = PeopleList
        fields = ["name", "scope"]
        labels = {"scope": _("For the unit")}
        help_texts = {"scope": _("People of this unit and of everything below it can be on the list.")}

    def __init__(self, *args, scopes: list[OrgUnit], **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["scope"].queryset = OrgUnit.objects.filter(pk__in=[unit.pk for unit in scopes]).order_by("path")
        self.fields["scope"].empty_label = None
        if self.instance.pk:
            del self.fields["scope"]


class PasteForm(forms.Form):
    numbers = forms.CharField(
        label=_("Employee numbers"),
        max_length=120_000,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "autocomplete": "off"}),
        help_text=_("One in a line, as copied from a spreadsheet. A name beside the number does no harm."),
    )


# --- the fields of one condition ------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Choices:
    """What can be chosen in the conditions, looked up once for all of them."""

    positions: list[tuple[str, str]]
    job_families: list[tuple[str, str]]
    courses: list[tuple[str, str]]
    lists: list[tuple[str, str]]

    @classmethod
    def within(cls, lists) -> Choices:
        """Choices for somebody who may use these lists."""
        positions = list(Position.objects.order_by("title"))
        families = sorted({position.job_family for position in positions if position.job_family})
        return cls(
            positions=[(one.title, one.label) for one in positions],
            job_families=[(one, one) for one in families],
            courses=[(one.code, f"{one.title} ({one.code})") for one in Course.objects.order_by("code")],
            lists=[(str(one.pk), f"{one.name} ({one.scope.label})") for one in lists],
        )


class _Fields(forms.Form):
    """The fields of a kind of condition. They hold what was typed; what is wrong with it is said by validate_rule."""

    def __init__(self, *, choices: Choices, **kwargs):
        super().__init__(use_required_attribute=False, **kwargs)
        self.choose(choices)
        for one in self.fields.values():
            one.required = False

    def choose(self, choices: Choices) -> None:
        pass

    def typed(self, data: QueryDict) -> dict[str, Any]:
        return {
            name: one.widget.value_from_datadict(data, {}, self.add_prefix(name)) for name, one in self.fields.items()
        }


class _Units(_Fields):
    units = forms.MultipleChoiceField(label=_("Units"))
    more = forms.CharField(
        label=_("More units, by code"),
        help_text=_("Codes with commas between them, for units that are not in the tree above."),
    )


class _Positions(_Fields):
    positions = forms.MultipleChoiceField(label=_("Any of these positions"), widget=forms.CheckboxSelectMultiple)

    def choose(self, choices):
        self.fields["positions"].choices = choices.positions


class _JobFamilies(_Fields):
    job_families = forms.MultipleChoiceField(label=_("Any of these job families"), widget=forms.CheckboxSelectMultiple)

    def choose(self, choices):
        self.fields["job_families"].choices = choices.job_families


class _Hired(_Fields):
    first = forms.CharField(label=_("Hired on or after"), widget=forms.DateInput(attrs={"type": "date"}))
    last = forms.CharField(label=_("Hired on or before"), widget=forms.DateInput(attrs={"type": "date"}))


class _Tenure(_Fields):
    first = forms.CharField(
        label=_("At least so many months"),
        widget=forms.NumberInput(attrs={"min": 1, "max": 600, "inputmode": "numeric"}),
    )
    last = forms.CharField(
        label=_("Less than so many months"),
        widget=forms.NumberInput(attrs={"min": 1, "max": 600, "inputmode": "numeric"}),
        help_text=_("Whole months since the day of hire, counted anew on the day somebody asks."),
    )


class _Completed(_Fields):
    course = forms.ChoiceField(label=_("Course"))
    since = MonthFormField(label=_("In the month, or later"))
    until = MonthFormField(label=_("In the month, or earlier"), help_text=_("Both empty: ever."))
    on_time = forms.BooleanField(label=_("On time only"))

    def choose(self, choices):
        self.fields["course"].choices = [("", _("Choose one")), *choices.courses]


class _List(_Fields):
    list = forms.ChoiceField(label=_("List"))

    def choose(self, choices):
        self.fields["list"].choices = [("", _("Choose one")), *choices.lists]


_FIELDS: dict[str, type[_Fields]] = {
    "units": _Units,
    "positions": _Positions,
    "job_families": _JobFamilies,
    "hired": _Hired,
    "tenure": _Tenure,
    "completed": _Completed,
    "not_completed": _Completed,
    "list": _List,
}


# --- the tree -------------------------------------------------------------------------------------------------------
@dataclass
class Condition:
    """One condition with what was typed in its fields."""

    kind: str
    typed: dict[str, Any] = field(default_factory=dict)
    id: str = ""
    number: str = ""
    errors: list[str] = field(default_factory=list)
    is_new: bool = False
    form: _Fields | None = None
    tree: list | None = None  # the units as check boxes, hung in by the view

    is_group = False

    @property
    def label(self) -> str:
        return KINDS[self.kind]

    @property
    def units_name(self) -> str:
        return f"{self.id}-units"

    def rule(self) -> dict:
        """The condition as a rule; empty while nothing is filled in."""
        typed = {key: value for key, value in self.typed.items() if value not in (None, "", [], False)}
        if self.kind == "units":
            more = str(typed.get("more", "")).replace("，", ",").split(",")
            codes = [*typed.get("units", []), *(code.strip() for code in more if code.strip())]
            return {"units": codes} if codes else {}
        if self.kind in ("hired", "tenure"):
            keys = zip(DATES if self.kind == "hired" else TENURE, ("first", "last"), strict=True)
            return {key: typed[name] for key, name in keys if name in typed}
        if self.kind in ("completed", "not_completed"):
            done = {"completed": typed} if typed else {}
            return {"not": done} if done and self.kind == "not_completed" else done
        return {self.kind: typed[self.kind]} if self.kind in typed else {}


@dataclass
class Group:
    """Conditions and groups of which all, any or none must hold."""

    mode: str = "all"
    items: list[Condition | Group] = field(default_factory=list)
    id: str = ""
    number: str = ""
    errors: list[str] = field(default_factory=list)
    is_new: bool = False
    level: int = 0

    is_group = True

    modes = tuple(MODES.items())
    kinds = tuple(KINDS.items())

    @property
    def may_nest(self) -> bool:
        return self.level < GROUPS_DEEP


class RuleEditor:
    """A rule as a tree of groups and conditions that can be shown, changed and read back."""

    def __init__(self, root: Group, *, choices: Choices):
        self.root, self.choices = root, choices
        self._number()

    # where it comes from
    @classmethod
    def of_rule(cls, rule: dict, *, choices: Choices) -> RuleEditor:
        items = _items(rule)
        if len(items) == 1 and isinstance(items[0], Group):
            return cls(items[0], choices=choices)
        return cls(Group("all", items), choices=choices)

    @classmethod
    def of_post(cls, data: QueryDict, *, choices: Choices) -> RuleEditor:
        return cls(_read_group(data, ROOT, choices, depth=0), choices=choices)

    def act(self, button: str) -> None:
        """Add or remove, as a button says: ``add:rule-0:units``, ``group:rule:any``, ``remove:rule-0-1``."""
        what, _colon, rest = button.partition(":")
        place, _colon, kind = rest.partition(":")
        for group in [one for one in self.nodes() if isinstance(one, Group)]:
            if what == "remove":
                group.items = [one for one in group.items if one.id != place]
            elif group.id == place and what == "add" and kind in KINDS:
                group.items.append(Condition(kind, is_new=True))
            elif group.id == place and what == "group" and group.may_nest:
                group.items.append(Group("any", [], is_new=True))
        self._number()

    # what is in it
    def nodes(self) -> Iterator[Group | Condition]:
        yield from _walk(self.root)

    @property
    def conditions(self) -> list[Condition]:
        return [one for one in self.nodes() if isinstance(one, Condition)]

    @property
    def faults(self) -> list[dict]:
        """Everything that is wrong, in the order of the page: {id, number, label, text}."""
        return [
            {"id": one.id, "number": one.number, "label": "" if one.is_group else one.label, "text": text}
            for one in self.nodes()
            for text in one.errors
        ]

    def read(self, *, scope: OrgUnit) -> dict | None:
        """The rule, checked; None when something is wrong, and then the conditions say what."""
        places: dict[str, Group | Condition] = {}
        rule = _rule_of(self.root, "", places)
        for one in self.nodes():
            one.errors = []
        try:
            return tidy_rule(validate_rule(rule=rule, scope=scope))
        except RuleRefused as refused:
            for place, problem in refused.problems.items():
                while place and place not in places:
                    place = place.rpartition(".")[0]
                places.get(place, self.root).errors.append(problem)
            return None

    def _number(self) -> None:
        self.root.id, self.root.number, self.root.level = ROOT, "", 0
        for group in [one for one in self.nodes() if isinstance(one, Group)]:  # from the top: parents come first
            for place, one in enumerate(group.items):
                one.id = f"{group.id}-{place}"
                one.number = f"{group.number}.{place + 1}" if group.number else str(place + 1)
                if isinstance(one, Group):
                    one.level = group.level + 1
        for one in self.conditions:
            one.form = _FIELDS[one.kind](choices=self.choices, prefix=one.id, initial=one.typed)


def _walk(node: Group | Condition) -> Iterator[Group | Condition]:
    yield node
    if isinstance(node, Group):
        for one in list(node.items):
            yield from _walk(one)


def _read_group(data: QueryDict, prefix: str, choices: Choices, *, depth: int) -> Group:
    mode = data.get(f"{prefix}-mode", "")
    group = Group(mode if mode in MODES else "all")
    for place in range(MAX_CONDITIONS + 1):
        inner = f"{prefix}-{place}"
        kind = data.get(f"{inner}-kind")
        if kind in KINDS:
            fields = _FIELDS[kind](choices=choices, prefix=inner)
            group.items.append(Condition(kind, fields.typed(data)))
        elif f"{inner}-mode" in data and depth < 10:  # deeper than any rule may be, so that it is said
            group.items.append(_read_group(data, inner, choices, depth=depth + 1))
        else:
            break
    return group


def _rule_of(group: Group, place: str, places: dict[str, Group | Condition]) -> dict:
    """A group as a rule; ``places`` learns which place of the rule is which part of the tree.

    In a group of which all must hold, a condition with nothing chosen does not restrict, so it is passed over.
    """
    places[place] = group
    key = {"all": "all", "any": "any", "none": "not.any"}[group.mode]
    inside = f"{place}.{key}" if place else key
    parts: list[dict] = []
    for one in group.items:
        here = f"{inside}.{len(parts)}"
        part = _rule_of(one, here, places) if isinstance(one, Group) else one.rule()
        if part or group.mode != "all":
            places[here] = one
            parts.append(part)
    if not group.items and not place:
        return {}
    if group.mode == "none":
        return {"not": {"any": parts}}
    if not parts and group.items:
        return {}  # all of nothing in particular
    return {group.mode: parts}


def _items(rule: dict) -> list[Condition | Group]:
    """The parts of a rule as conditions and groups."""
    items: list[Condition | Group] = []
    for key in sorted(rule, key=lambda one: (*CONDITIONS, *GROUPS, "not").index(one)):
        value = rule[key]
        if key in GROUPS:
            items.append(Group(key, [_item(part) for part in value]))
        elif key == "not":
            if value.keys() == {"completed"}:
                items.append(Condition("not_completed", dict(value["completed"])))
            elif value.keys() == {"any"}:
                items.append(Group("none", [_item(part) for part in value["any"]]))
            else:
                items.append(Group("none", [_item(value)]))
        elif key == "completed":
            items.append(Condition("completed", dict(value)))
        elif key in (*DATES, *TENURE):
            kind, keys = ("hired", DATES) if key in DATES else ("tenure", TENURE)
            if not any(one.kind == kind for one in items if isinstance(one, Condition)):
                items.append(Condition(kind, {"first": rule.get(keys[0], ""), "last": rule.get(keys[1], "")}))
        else:
            items.append(Condition(key, {key: value}))
    return items


def _item(rule: dict) -> Condition | Group:
    items = _items(rule)
    return items[0] if len(items) == 1 else Group("all", items)
