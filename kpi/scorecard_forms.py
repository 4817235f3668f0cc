"""The editor of a scorecard: its lines, bonus, vetoes, grades and raters as they stand in a form, with what was typed.

The browser sends the whole card. Adding, moving and removing are buttons of the same form, so nothing typed is lost and no
JavaScript is needed. A row that was left empty is none. What is wrong is said by kpi.domain.parameters; here it finds its field.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import get_language, gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from core.periods import Month
from kpi.curves import Drawing, drawing
from kpi.domain.explaining import plain
from kpi.domain.parameters import KINDS, number
from kpi.models import Indicator

# More than any card needs, and few enough for one form.
MOST = {"lines": 15, "points": 12, "counts": 8, "vetoes": 8, "bands": 12}
EMPTY_ROWS = {"points": 1, "counts": 1, "bands": 1}
MORE_ROWS = 3

KIND_NAMES = {
    "curve": pgettext_lazy("how a line is scored", "Curve"),
    "step": pgettext_lazy("how a line is scored", "Steps"),
    "deduct": pgettext_lazy("how a line is scored", "Deductions"),
    "rating": pgettext_lazy("how a line is scored", "Rating"),
}
KIND_HELP = {
    "curve": _("Between two points the score runs straight; after the last it stays."),
    "step": _("The score of the highest value that is reached."),
    "deduct": _("100, less so many points for each one counted."),
    "rating": _("1 to 5 by people; 5 is a score of 100. The parts of self, manager and colleagues are set below."),
}
_ROWS = {"points": ("value", "score"), "counts": ("indicator", "points")}
_LINE = ("code", "name_zh", "name_en", "kind", "weight", "indicator", "below", "floor")
_VETO = ("code", "name_zh", "name_en", "indicator", "from", "cap")
_BAND = ("grade", "from", "coefficient")
_RATERS = ("self", "manager", "peers", "min_peers")
_BOXES = {*_LINE, *_VETO, *_BAND, *_RATERS, "value", "score", "points"}
_CODE = re.compile(r"[a-z0-9_-]{1,40}", re.ASCII)


@dataclass
class Field:
    """One box of the form: its name, what is in it, what is wrong with it."""

    id: str
    value: str
    errors: list[str] = field(default_factory=list)
    has_focus: bool = False

    @property
    def error_id(self) -> str:
        return f"{self.id}_error"


Typed = dict[str, Any]


def _texts(row: Any, names: Iterable[str]) -> dict[str, str]:
    row = row if isinstance(row, dict) else {}
    return {name: str(row.get(name) if row.get(name) is not None else "") for name in names}


class ScorecardEditor:
    """A card as it stands in the form. ``typed`` holds texts only; ``parameters`` is what it says."""

    def __init__(self, typed: Typed, *, indicators: Sequence[Indicator], of_units: bool):
        self.typed = typed
        self.indicators = list(indicators)
        self.of_units = of_units
        self.errors: dict[str, list[str]] = defaultdict(list)
        self.places: dict[str, str] = {}
        self.focus = ""

    # --- from where ------------------------------------------------------------------------------------------------------
    @classmethod
    def of_parameters(cls, parameters: dict, **more) -> ScorecardEditor:
        """The editor of a card that is there already, or of none."""
        lines = []
        for row in parameters.get("lines") or []:
            line: Typed = _texts(row, _LINE)
            line["indicator"] = next(iter(row.get("indicators") or []), "")
            line["points"] = [{"value": str(value), "score": str(score)} for value, score in row.get("points") or []]
            line["counts"] = [_texts(one, _ROWS["counts"]) for one in row.get("counts") or []]
            lines.append(line)
        bonus, raters = parameters.get("bonus") or {}, parameters.get("raters") or {}
        typed = {
            "lines": lines,
            "bonus": {"cap": str(bonus.get("cap", "")), "indicators": list(bonus.get("indicators") or [])},
            "vetoes": [_texts(one, _VETO) for one in parameters.get("vetoes") or []],
            "bands": [_texts(one, _BAND) for one in parameters.get("bands") or []],
            "raters": _texts({"self": "0", "manager": "100", "peers": "0", "min_peers": 3} | raters, _RATERS),
            "top_share": str(parameters.get("top_share") or ""),
        }
        return cls(typed, **more)

    @classmethod
    def of_post(cls, data: QueryDict, **more) -> ScorecardEditor:
        """The editor as it was sent."""
        lines = []
        for place in range(MOST["lines"]):
            prefix = f"lines-{place}"
            if data.get(f"{prefix}-kind") not in KINDS:
                continue
            line: Typed = {name: _sent(data, f"{prefix}-{name}") for name in _LINE}
            for rows, names in _ROWS.items():
                line[rows] = _sent_rows(data, f"{prefix}-{rows}", names, MOST[rows])
            lines.append(line)
        typed = {
            "lines": lines,
            "bonus": {"cap": _sent(data, "bonus-cap"), "indicators": data.getlist("bonus-indicators")[:20]},
            "vetoes": _sent_rows(data, "vetoes", _VETO, MOST["vetoes"], keep_empty=True),
            "bands": _sent_rows(data, "bands", _BAND, MOST["bands"]),
            "raters": {name: _sent(data, f"raters-{name}") for name in _RATERS},
            "top_share": _sent(data, "top_share"),
        }
        return cls(typed, **more)

    # --- what the buttons do ---------------------------------------------------------------------------------------------
    def act(self, do: str) -> None:
        """Do what a button says: ``add:curve``, ``add:veto``, ``rows:lines-0-points``, ``remove|up|down:lines-0``."""
        verb, _colon, what = do.partition(":")
        if verb == "add" and what == "veto":
            if len(self.typed["vetoes"]) < MOST["vetoes"]:
                self.typed["vetoes"].append(dict.fromkeys(_VETO, "") | {"from": "1"})
                self.focus = f"vetoes-{len(self.typed['vetoes']) - 1}"
        elif verb == "add" and what in KINDS:
            if len(self.typed["lines"]) < MOST["lines"]:
                line = dict.fromkeys(_LINE, "") | {"kind": what, "points": [], "counts": []}
                self.typed["lines"].append(line)
                self.focus = f"lines-{len(self.typed['lines']) - 1}"
        elif verb == "rows":
            found = self._rows(what)
            if found is not None:
                rows, names, most = found
                self.focus = f"{what}-{len(rows)}-{names[0]}" if len(rows) < most else ""
                rows += [dict.fromkeys(names, "") for _one in range(min(MORE_ROWS, most - len(rows)))]
        elif verb in ("remove", "up", "down"):
            self._move(verb, what)

    def _rows(self, what: str) -> tuple[list, Sequence[str], int] | None:
        if what == "bands":
            return self.typed["bands"], _BAND, MOST["bands"]
        match = re.fullmatch(r"lines-([0-9]{1,2})-(points|counts)", what)
        if not match or int(match[1]) >= len(self.typed["lines"]):
            return None
        return self.typed["lines"][int(match[1])][match[2]], _ROWS[match[2]], MOST[match[2]]

    def _move(self, verb: str, what: str) -> None:
        match = re.fullmatch(r"(lines|vetoes)-([0-9]{1,2})", what)
        if not match or int(match[2]) >= len(self.typed[match[1]]):
            return
        rows, place = self.typed[match[1]], int(match[2])
        row = rows.pop(place)
        if verb != "remove":
            place = max(0, place - 1) if verb == "up" else place + 1
            rows.insert(place, row)
        self.focus = f"{match[1]}-{min(place, len(rows) - 1)}" if rows else ""

    # --- what it says ----------------------------------------------------------------------------------------------------
    def parameters(self) -> dict:
        """The card as parameters; ``places`` learns which place of them is which part of the form."""
        self.places = {"": "", "lines": "lines", "bands": "bands", "scorecard.lines": "lines"}
        taken = {line["code"] for line in self.typed["lines"]}
        lines = [self._line(place, line, taken) for place, line in enumerate(self.typed["lines"])]
        parameters: dict = {"lines": lines}
        bonus = self.typed["bonus"]
        self.places |= {"bonus": "bonus-indicators", "bonus.cap": "bonus-cap"}
        if bonus["indicators"] or bonus["cap"] not in ("", "0"):
            parameters["bonus"] = {"cap": bonus["cap"] or "0", "indicators": bonus["indicators"]}
        if self.typed["vetoes"]:
            codes = {veto["code"] for veto in self.typed["vetoes"]}
            parameters["vetoes"] = [
                self._named(f"vetoes.{place + 1}", f"vetoes-{place}", veto, _VETO, codes, veto["indicator"] or "veto")
                for place, veto in enumerate(self.typed["vetoes"])
            ]
        parameters["bands"] = self._kept("bands", "bands", self.typed["bands"], _BAND)
        raters = self.typed["raters"]
        self.places |= {"raters": "raters-manager"} | {f"raters.{name}": f"raters-{name}" for name in _RATERS}
        if not self.of_units:
            least = raters["min_peers"]
            parameters["raters"] = {name: raters[name] or "0" for name in _RATERS[:3]}
            parameters["raters"]["min_peers"] = int(least) if re.fullmatch("[0-9]{1,2}", least, re.ASCII) else least
        self.places |= {"top_share": "top_share", "scorecard.top_share": "top_share"}
        if self.typed["top_share"]:
            parameters["top_share"] = self.typed["top_share"]
        return parameters

    def _line(self, place: int, line: Typed, taken: set[str]) -> dict:
        here, there, kind = f"lines.{place + 1}", f"lines-{place}", line["kind"]
        first = line["indicator"] or next((row["indicator"] for row in line["counts"] if row["indicator"]), "")
        said = self._named(
            here, there, line, ("code", "name_zh", "name_en", "kind", "weight"), taken, first or "rating"
        )
        self.places[f"{here}.indicators"] = f"{there}-indicator"
        if kind in ("curve", "step"):
            said["indicators"] = [line["indicator"]] if line["indicator"] else []
            points = self._kept(f"{here}.points", f"{there}-points", line["points"], _ROWS["points"], first="value")
            said["points"] = [[row["value"], row["score"]] for row in points]
            self.places[f"{here}.below"] = f"{there}-below"
            if line["below"]:
                said["below"] = line["below"]
        elif kind == "deduct":
            said["counts"] = self._kept(f"{here}.counts", f"{there}-counts", line["counts"], _ROWS["counts"])
            self.places[f"{here}.floor"] = f"{there}-floor"
            if line["floor"]:
                said["floor"] = line["floor"]
        return said

    def _named(self, here: str, there: str, row: Typed, names: Iterable[str], taken: set[str], base: str) -> dict:
        """A row with a code of its own: the one it has, or one made from what it is about."""
        self.places[here] = there
        self.places |= {f"{here}.{name}": f"{there}-{name}" for name in names}
        if not _CODE.fullmatch(row["code"]):
            row["code"] = _free(base, taken)
            taken.add(row["code"])
        return {name: row[name] for name in names}

    def _kept(self, here: str, there: str, rows: list[Typed], names: Sequence[str], first: str = "") -> list[dict]:
        """The rows that were not left empty."""
        self.places[here] = there
        kept = []
        for place, row in enumerate(rows):
            if any(row.values()):
                kept.append({name: row[name] for name in names})
                where = f"{here}.{len(kept)}"
                self.places[where] = f"{there}-{place}-{first}" if first else f"{there}-{place}"
                self.places |= {f"{where}.{name}": f"{there}-{place}-{name}" for name in names}
        return kept

    def tell(self, faults: Iterable[tuple[str, str]]) -> None:
        """Tie each fault to its field, or to the part that holds it; a field says the first thing that is wrong with it."""
        for place, words in faults:
            while place and place not in self.places:
                place = place.rpartition(".")[0]
            there = self.places.get(place, "")
            if there.rpartition("-")[2] in _BOXES and self.errors[there]:
                continue  # what is no number is not also too small
            if words not in self.errors[there]:
                self.errors[there].append(words)

    # --- what the page shows ---------------------------------------------------------------------------------------------
    def _field(self, name: str, value: str) -> Field:
        return Field(name, value, self.errors.get(name, []), name == self.focus)

    def _row(self, prefix: str, row: Typed, names: Iterable[str]) -> dict[str, Any]:
        shown: dict[str, Any] = {
            name.replace("from", "at_least"): self._field(f"{prefix}-{name}", row[name]) for name in names
        }
        return shown | {"id": prefix, "errors": self.errors.get(prefix, [])}

    def _with_empty(self, prefix: str, rows: list[Typed], names: Sequence[str], what: str) -> list[dict[str, Any]]:
        missing = 0 if rows and not any(rows[-1].values()) else EMPTY_ROWS[what]
        shown = [*rows, *(dict.fromkeys(names, "") for _one in range(missing))]
        return [self._row(f"{prefix}-{place}", row, names) for place, row in enumerate(shown[: MOST[what]])]

    def lines(self) -> Iterator[dict[str, Any]]:
        for place, line in enumerate(self.typed["lines"]):
            prefix = f"lines-{place}"
            shown = self._row(prefix, line, _LINE)
            shown |= {
                "number": place + 1,
                "title": _title(line),
                "kind": line["kind"],
                "kind_name": KIND_NAMES[line["kind"]],
                "kind_help": KIND_HELP[line["kind"]],
                "is_first": place == 0,
                "is_last": place == len(self.typed["lines"]) - 1,
                "has_focus": prefix == self.focus,
                "points": self._with_empty(f"{prefix}-points", line["points"], _ROWS["points"], "points"),
                "points_errors": self.errors.get(f"{prefix}-points", []),
                "counts": self._with_empty(f"{prefix}-counts", line["counts"], _ROWS["counts"], "counts"),
                "counts_errors": self.errors.get(f"{prefix}-counts", []),
                "drawing": _drawing(line),
            }
            yield shown

    def vetoes(self) -> Iterator[dict[str, Any]]:
        for place, veto in enumerate(self.typed["vetoes"]):
            prefix = f"vetoes-{place}"
            yield self._row(prefix, veto, _VETO) | {"number": place + 1, "has_focus": prefix == self.focus}

    def bands(self) -> list[dict[str, Any]]:
        return self._with_empty("bands", self.typed["bands"], _BAND, "bands")

    def bonus(self) -> dict[str, Any]:
        chosen = set(self.typed["bonus"]["indicators"])
        return {
            "cap": self._field("bonus-cap", self.typed["bonus"]["cap"]),
            "choices": [{"indicator": one, "chosen": one.code in chosen} for one in self.indicators],
            "errors": self.errors.get("bonus-indicators", []),
        }

    def raters(self) -> dict[str, Field]:
        named = {"self": "own"}
        return {
            named.get(name, name): self._field(f"raters-{name}", value) for name, value in self.typed["raters"].items()
        }

    def top_share(self) -> Field:
        return self._field("top_share", self.typed["top_share"])

    @property
    def has_rating(self) -> bool:
        return any(line["kind"] == "rating" for line in self.typed["lines"])

    @property
    def kinds(self) -> list[dict[str, Any]]:
        """The kinds of lines that can be added; nobody rates a unit."""
        kinds = [kind for kind in KINDS if not (self.of_units and kind == "rating")]
        return [{"kind": kind, "name": KIND_NAMES[kind], "help": KIND_HELP[kind]} for kind in kinds]

    @property
    def next_line(self) -> str:
        """Where the next line will stand."""
        return f"lines-{len(self.typed['lines'])}"

    @property
    def is_full(self) -> bool:
        return len(self.typed["lines"]) >= MOST["lines"]

    @property
    def sum_of_weights(self) -> str:
        return plain(sum((_number(line["weight"]) or Decimal(0) for line in self.typed["lines"]), Decimal(0)))

    @property
    def lines_errors(self) -> list[str]:
        return self.errors.get("lines", [])

    @property
    def bands_errors(self) -> list[str]:
        return self.errors.get("bands", [])

    @property
    def faults(self) -> list[Fault]:
        """Every fault with its field and what the field is called, in the order of the page."""
        return [Fault(there, _place_name(there), words) for there, some in self.errors.items() for words in some]


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: the field to go to, its name for people, and the words."""

    there: str
    name: str
    words: str


_NAMES = {
    "name_zh": _("Name (Chinese)"),
    "name_en": _("Name (English)"),
    "weight": _("Weight"),
    "indicator": _("Indicator"),
    "points": _("Points"),
    "counts": _("Indicator"),
    "below": _("Score below the first point"),
    "floor": _("Never below this score"),
    "from": _("From this value on"),
    "cap": _("The total is at most"),
    "grade": _("Grade"),
    "coefficient": _("Coefficient"),
}
_PARTS = {
    "lines": pgettext_lazy("of a scorecard", "Lines"),
    "bands": _("Grades"),
    "bonus": _("Bonus points"),
    "raters": _("Who rates"),
    "top_share": _("Grades"),
}


def _place_name(there: str) -> str:
    """What people call a part of the form: Line 3 · Weight."""
    match = re.fullmatch(r"(lines|vetoes|bands)-([0-9]+)(?:-([a-z_]+))?.*", there)
    if match is None:
        return str(_PARTS.get(there.partition("-")[0], ""))
    number = {"number": int(match[2]) + 1}
    row = {
        "lines": gettext("Line %(number)s"),
        "vetoes": gettext("Veto %(number)s"),
        "bands": gettext("Grade %(number)s"),
    }
    name = _NAMES.get(match[3] or "", "")
    return f"{row[match[1]] % number} · {name}" if name else row[match[1]] % number


def _title(line: Typed) -> str:
    """The name in the active language, or the one there is."""
    first, second = ("name_en", "name_zh") if (get_language() or "").startswith("en") else ("name_zh", "name_en")
    return line[first] or line[second]


def _drawing(line: Typed) -> Drawing | None:
    if line["kind"] not in ("curve", "step"):
        return None
    points = [(_number(row["value"]), _number(row["score"])) for row in line["points"]]
    known = {value: score for value, score in points if value is not None and score is not None}
    return drawing(kind=line["kind"], points=list(known.items()), below=_number(line["below"]) or Decimal(0))


def _number(text: str) -> Decimal | None:
    try:
        return number(text)
    except ValueError:
        return None


def _sent(data: QueryDict, name: str) -> str:
    return data.get(name, "").replace("\x00", "").strip()[:200]


def _sent_rows(data: QueryDict, prefix: str, names: Sequence[str], most: int, keep_empty: bool = False) -> list[Typed]:
    rows = []
    for place in range(most):
        if f"{prefix}-{place}-{names[0]}" not in data:
            break
        row = {name: _sent(data, f"{prefix}-{place}-{name}") for name in names}
        if keep_empty or any(row.values()):
            rows.append(row)
    return rows


def _free(base: str, taken: set[str]) -> str:
    base = base if _CODE.fullmatch(base) else "line"
    return next(code for code in (base, *(f"{base[:36]}_{n}" for n in range(2, 100))) if code not in taken)


class PreviewForm(forms.Form):
    """Which months, and whose: the unit of the rule or one below it."""

    first = forms.ChoiceField(label=pgettext_lazy("a first month", "From"))
    last = forms.ChoiceField(label=pgettext_lazy("a last month", "To"))
    unit = forms.ChoiceField(label=_("Unit"))

    def __init__(self, *args, months: Sequence[Month], units: Sequence, **kwargs):
        super().__init__(*args, **kwargs)
        choices = [(str(month), month.label) for month in months]
        self.fields["first"].choices = choices
        self.fields["last"].choices = choices
        self.fields["unit"].choices = [(str(unit.pk), unit.label) for unit in units]

    def clean(self):
        data = super().clean()
        if data.get("first") and data.get("last") and data["first"] > data["last"]:
            self.add_error("last", _("The last month lies before the first one. Choose a later one."))
        return data
