"""What a rule's parameters say, in sentences of the active language, and what changed from one version to the next.

No part stays unsaid: a key these functions do not know is shown as it is stored, so that nobody can change a rule
without a line that says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from typing import Any

from django.utils.translation import get_language, ngettext, pgettext
from django.utils.translation import gettext as _

from core.money import format_yuan
from core.templatetags.interface import with_sign
from kpi.domain.parameters import number
from kpi.models import Indicator, Rule, RuleVersion

ADDED, CHANGED, REMOVED = "added", "changed", "removed"


@dataclass(frozen=True)
class Line:
    """One part of a rule in words. ``key`` is the same in every version; ``label`` names it, ``words`` say it."""

    key: str
    label: str
    words: str


@dataclass(frozen=True)
class Change:
    """One line that differs: what it said before and says now (empty: there is none). ``what``: added, changed, removed."""

    key: str
    label: str
    what: str
    before: str
    after: str

    @property
    def before_pieces(self) -> list[tuple[str, bool]]:
        """What it said before, in pieces: (text, is it gone now?)."""
        return _pieces(self.before, self.after)

    @property
    def after_pieces(self) -> list[tuple[str, bool]]:
        """What it says now, in pieces: (text, is it new?)."""
        return _pieces(self.after, self.before)


_TOKEN = re.compile(r"[A-Za-z]+|[0-9]+(?:[.,][0-9]+)*|\s+|.", re.DOTALL)


def _pieces(text: str, other: str) -> list[tuple[str, bool]]:
    """The text cut where it begins or ends to differ from another one; words and numbers stay whole."""
    if not text or not other:
        return [(text, False)] if text else []
    mine, theirs = _TOKEN.findall(text), _TOKEN.findall(other)
    found = []
    for what, start, end, _start, _end in SequenceMatcher(None, mine, theirs, autojunk=False).get_opcodes():
        if start < end:
            found.append(("".join(mine[start:end]), what != "equal"))
    return found


def lines_of(version: RuleVersion, *, names: Mapping[str, str] | None = None) -> list[Line]:
    """This function will say everything a version's parameters hold, a line for each part.

    ``names`` are the indicators' names by code (see indicator_names), looked up where they are not given.
    """
    names = indicator_names([version]) if names is None else names
    data = version.parameters if isinstance(version.parameters, dict) else {}
    family = _FAMILIES[Rule.Family(version.rule.family)]
    said = list(family(data, names))
    return [*said, *_unknown(data, _KNOWN[Rule.Family(version.rule.family)])]


def changes_between(before: RuleVersion, after: RuleVersion) -> list[Change]:
    """This function will say line by line how a version differs from an earlier one; no line where nothing differs.

    The days of notice are a line of their own, and so is the text of each language: the paragraphs that differ of the one
    that is read, and that it differs of the other.
    """
    names = indicator_names([before, after])
    old = {line.key: line for line in (*lines_of(before, names=names), *_terms(before))}
    new = {line.key: line for line in (*lines_of(after, names=names), *_terms(after))}
    found = []
    for key in [*new, *(key for key in old if key not in new)]:
        was, now = old.get(key), new.get(key)
        if was and now and (was.label, was.words) == (now.label, now.words):
            continue
        what = ADDED if was is None else REMOVED if now is None else CHANGED
        label = now.label if now else was.label if was else ""
        if was and now and was.label != now.label:
            label = _("%(now)s (before: %(before)s)") % {"now": now.label, "before": was.label}
        found.append(Change(key, label, what, was.words if was else "", now.words if now else ""))
    if not any(change.key != "notice" for change in found) and before.parameters != after.parameters:
        words = _("A name in the other language or a detail that has no words of its own.")
        found.append(Change("other", _("Other details"), CHANGED, "", words))
    read_in_english = bool(after.text_en) and (get_language() or "").startswith("en")
    for key, label, was_text, now_text in (
        ("text_zh", _("Text in Chinese"), before.text_zh, after.text_zh),
        ("text_en", _("Text in English"), before.text_en, after.text_en),
    ):
        if was_text != now_text:
            gone, come = "", _("The wording was changed.")
            if (key == "text_en") == read_in_english:
                gone, come = _paragraphs(was_text, now_text)
            found.append(Change(key, label, CHANGED, gone, come))
    return found


def _paragraphs(was: str, now: str) -> tuple[str, str]:
    """The paragraphs of a text that are gone, and those that have come."""
    old, new = ([one.strip() for one in text.split("\n") if one.strip()] for text in (was, now))
    gone: list[str] = []
    come: list[str] = []
    for what, first, last, start, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what != "equal":
            gone += old[first:last]
            come += new[start:end]
    return "\n".join(gone), "\n".join(come)


def indicator_names(versions: Iterable[RuleVersion]) -> dict[str, str]:
    """This function will return how the indicators in some versions are called, by code. One query."""
    codes: set[str] = set()
    for version in versions:
        codes |= set(_codes(version.parameters))
    return {one.code: one.label for one in Indicator.objects.filter(code__in=codes)}


def _codes(data: Any) -> Iterator[str]:
    """Every indicator named anywhere in parameters: under "indicator" or in a list "indicators"."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key == "indicator" and isinstance(value, str):
                yield value
            elif key == "indicators" and isinstance(value, list):
                yield from (code for code in value if isinstance(code, str))
            else:
                yield from _codes(value)
    elif isinstance(data, list):
        for one in data:
            yield from _codes(one)


def _terms(version: RuleVersion) -> Iterator[Line]:
    days = version.notice_days
    words = ngettext("%(number)d day", "%(number)d days", days) % {"number": days}
    yield Line("notice", _("Notice between publication and effect"), words)


# --- scorecards -------------------------------------------------------------------------------------------------------
def _scorecard(data: dict, names: Mapping[str, str]) -> Iterator[Line]:
    for row in _rows(data, "lines"):
        weight = _("Weight %(weight)s of 100.") % {"weight": _number(row.get("weight"))}
        yield Line(
            f"line.{row.get('code')}",
            _label(row),
            _then(weight, _scored(row, names)),
        )
    raters = data.get("raters")
    if isinstance(raters, dict) and any(row.get("kind") == "rating" for row in _rows(data, "lines")):
        yield Line("raters", _("Who rates, and what it counts"), _raters(raters))
    bonus = data.get("bonus")
    if isinstance(bonus, dict) and bonus.get("indicators"):
        values = {"cap": _number(bonus.get("cap", "0")), "names": _names(bonus["indicators"], names)}
        yield Line("bonus", _("Bonus points"), _("%(names)s, added on top: at most %(cap)s points.") % values)
    for row in _rows(data, "vetoes"):
        values = {
            "indicator": names.get(row.get("indicator", ""), row.get("indicator", "")),
            "value": _number(row.get("from", "1")),
            "cap": _number(row.get("cap")),
        }
        words = _("%(indicator)s: from %(value)s on the total is at most %(cap)s, whatever was earned.")
        yield Line(f"veto.{row.get('code')}", _("Veto: %(name)s") % {"name": _label(row)}, words % values)
    for row in _rows(data, "bands"):
        values = {"from": _number(row.get("from", "0")), "coefficient": _text(row.get("coefficient"))}
        words = _("From a total of %(from)s on; coefficient %(coefficient)s.") % values
        yield Line(f"band.{row.get('grade')}", _("Grade %(grade)s") % {"grade": row.get("grade")}, words)
    if data.get("top_share"):
        words = _("At most %(share)s of a group.") % {"share": with_sign(_number(data["top_share"]))}
        yield Line("top_share", _("Share of the best grade"), words)


def _scored(row: dict, names: Mapping[str, str]) -> str:
    kind, below = row.get("kind"), _number(row.get("below", "0"))
    codes = row.get("indicators")
    indicator = _names(codes, names) if codes else ""
    if kind == "curve":
        points = _joined(_("%(value)s gives %(score)s") % pair for pair in _pairs(row))
        words = _("%(indicator)s: %(points)s, evenly in between; less gives %(below)s.")
        return words % {"indicator": indicator, "points": points, "below": below}
    if kind == "step":
        points = _joined(_("from %(value)s on %(score)s") % pair for pair in _pairs(row))
        words = _("%(indicator)s in steps: %(points)s; less gives %(below)s.")
        return words % {"indicator": indicator, "points": points, "below": below}
    if kind == "deduct":
        counts = _joined(
            _("%(points)s off for each of “%(indicator)s”")
            % {"points": _number(one.get("points")), "indicator": _names([one.get("indicator")], names)}
            for one in _rows(row, "counts")
        )
        floor = {"counts": counts, "floor": _number(row.get("floor", "0"))}
        return _("100 to begin with; %(counts)s; never below %(floor)s.") % floor
    if kind == "rating":
        return _("What the raters say: 1 to 5, each step worth 20.")
    return _text({key: value for key, value in row.items() if key not in ("code", "name_zh", "name_en", "weight")})


def _raters(raters: dict) -> str:
    shares = (
        (_("own rating %(share)s"), raters.get("self", "0")),
        (_("manager %(share)s"), raters.get("manager", "100")),
        (_("colleagues %(share)s"), raters.get("peers", "0")),
    )
    parts = [words % {"share": with_sign(_number(share))} for words, share in shares if _number(share) != "0"]
    if _number(raters.get("peers", "0")) != "0":
        least = {"number": raters.get("min_peers", 3)}
        parts.append(_("colleagues only when at least %(number)s of them rated") % least)
    return _sentence(parts)


# --- pay rules --------------------------------------------------------------------------------------------------------
def _pay(data: dict, names: Mapping[str, str]) -> Iterator[Line]:
    pool = data.get("pool")
    if isinstance(pool, dict):
        modes = {
            "open": _("There is no pool: what comes out is paid."),
            "ceiling": _("The pool is a ceiling: what comes out is paid, and less only when it does not suffice."),
            "closed": _("The whole pool is paid, shared by what everybody earned."),
        }
        shares = {
            "people": _("It goes to the people at once."),
            "units": _(
                "It goes to the units first, by base, unit coefficient and attendance, and then to their people."
            ),
        }
        said = [modes.get(pool.get("mode", ""), _text(pool.get("mode")))]
        if pool.get("mode") != "open":
            said.append(shares.get(pool.get("share", "people"), _text(pool.get("share"))))
        rest = {key: value for key, value in pool.items() if key not in ("mode", "share")}
        yield Line("pool", _("Pool"), _then(*said, *([_text(rest)] if rest else [])))
    bounds = (
        ("cap", pgettext("pay rule", "Most that one person gets, for a full month at work")),
        ("floor", pgettext("pay rule", "Least that one person gets, for a full month at work")),
    )
    for key, label in bounds:
        if data.get(f"{key}_fen"):
            yield Line(f"{key}_fen", label, _money(data[f"{key}_fen"]))
        if data.get(f"{key}_share") and _number(data[f"{key}_share"]) != "0":
            words = _("%(share)s of the own base.") % {"share": with_sign(_number(data[f"{key}_share"]))}
            yield Line(f"{key}_share", label, words)
    if data.get("reserve_share") is not None:
        words = _("%(share)s of the pool, for upheld objections; colleagues never pay for them.")
        share = {"share": with_sign(_number(data["reserve_share"]))}
        yield Line("reserve_share", pgettext("pay rule", "Reserve"), words % share)
    if data.get("without_review") is not None:
        words = _("Coefficient %(coefficient)s.") % {"coefficient": _text(data["without_review"])}
        yield Line("without_review", _("Who has no review"), words)
    for row in _rows(data, "unit_bands"):
        words = _("Coefficient %(coefficient)s.") % {"coefficient": _text(row.get("coefficient"))}
        label = _("Unit of grade %(grade)s") % {"grade": row.get("grade")}
        yield Line(f"unit_band.{row.get('grade')}", label, words)


# --- award rules ------------------------------------------------------------------------------------------------------
def _award(data: dict, names: Mapping[str, str]) -> Iterator[Line]:
    if data.get("places") is not None:
        yield Line("places", pgettext("award", "Places"), _text(data["places"]))
    for row in _rows(data, "conditions"):
        indicator = _names([row.get("indicator")], names)
        parts = []
        if row.get("at_least") is not None:
            parts.append(_("at least %(value)s") % {"value": _number(row["at_least"])})
        if row.get("at_most") is not None:
            parts.append(_("at most %(value)s") % {"value": _number(row["at_most"])})
        words = _("%(indicator)s: %(bounds)s.") % {"indicator": indicator, "bounds": _joined(parts)}
        yield Line(f"condition.{row.get('code')}", _("Condition: %(name)s") % {"name": _label(row)}, words)
    if data.get("quorum") is not None:
        words = _("%(share)s of the members who may vote must have voted.")
        yield Line("quorum", _("Quorum"), words % {"share": with_sign(_number(data["quorum"]))})
    if data.get("majority") is not None:
        words = _("More than %(share)s of the votes for and against must be for it.")
        yield Line("majority", _("Majority"), words % {"share": with_sign(_number(data["majority"]))})
    if data.get("publicity_days") is not None:
        days = data["publicity_days"]
        words = ngettext("%(number)s day", "%(number)s days", days if isinstance(days, int) else 2) % {"number": days}
        yield Line("publicity_days", _("Names are public before anything is granted"), words)


_FAMILIES = {Rule.Family.SCORECARD: _scorecard, Rule.Family.PAY: _pay, Rule.Family.AWARD: _award}
_KNOWN = {
    Rule.Family.SCORECARD: {"lines", "raters", "bonus", "vetoes", "bands", "top_share"},
    Rule.Family.PAY: {
        "pool",
        "cap_fen",
        "cap_share",
        "floor_fen",
        "floor_share",
        "reserve_share",
        "without_review",
        "unit_bands",
    },
    Rule.Family.AWARD: {"places", "conditions", "quorum", "majority", "publicity_days"},
}


# --- parts ------------------------------------------------------------------------------------------------------------
def _unknown(data: dict, known: set[str]) -> Iterator[Line]:
    for key in sorted(data.keys() - known):
        yield Line(key, key, _text(data[key]))


def _rows(data: dict, key: str) -> list[dict]:
    value = data.get(key)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _pairs(row: dict) -> list[dict[str, str]]:
    found = []
    for pair in row.get("points") or []:
        if isinstance(pair, list | tuple) and len(pair) == 2:
            found.append({"value": _number(pair[0]), "score": _number(pair[1])})
    return found


def _label(row: dict) -> str:
    english = (get_language() or "").startswith("en") and row.get("name_en")
    return str(english or row.get("name_zh") or row.get("code") or "")


def _names(codes: Any, names: Mapping[str, str]) -> str:
    return _joined(names.get(code, str(code)) for code in codes) if isinstance(codes, list) else _text(codes)


def _number(value: Any) -> str:
    """A number without needless zeros; anything else as it is."""
    try:
        plain: Decimal = number(value)
    except ValueError:
        return _text(value)
    return f"{plain.normalize():f}"


def _money(fen: Any) -> str:
    if isinstance(fen, bool) or not isinstance(fen, int):
        return _text(fen)
    return _("%(yuan)s yuan") % {"yuan": format_yuan(fen)}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _joined(parts: Iterable[str]) -> str:
    return pgettext("between parts of a line", ", ").join(parts)


def _sentence(parts: Iterable[str]) -> str:
    said = _joined(parts)
    return _("%(said)s.") % {"said": f"{said[:1].upper()}{said[1:]}"} if said else ""


def _then(first: str, *others: str) -> str:
    """One sentence after the other."""
    for other in others:
        first = _("%(first)s %(then)s") % {"first": first, "then": other}
    return first
