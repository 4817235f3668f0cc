"""A bulletin as its page shows it: the frozen figures of an edition with their words in the active language."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bulletins.domain import drawing, words
from bulletins.domain.statistics import SMALLEST
from core.periods import Month

if TYPE_CHECKING:
    from bulletins.models import BulletinPage, Edition

AT_ONCE = 40  # rows of a table that are shown before the rest is folded away


@dataclass(frozen=True)
class Row:
    """A unit in a table."""

    unit: dict
    label: str
    expected: str
    change: str
    shares_rank: bool


class Reading:
    """The figures of one edition in words and rows. Asks nothing of the database."""

    smallest = SMALLEST

    def __init__(self, edition: Edition, praise: list[dict]):
        self.edition, self.figures = edition, edition.figures
        self.month = Month.parse(self.figures["month"])
        self.total = self.figures["total"]
        self.before = self.figures["before"]
        self.before_month = Month.parse(self.before["month"]) if self.before else None
        self.praise = [
            {"name": words.name_of(one), "unit": words.name_of({"zh": one["unit_zh"], "en": one["unit_en"]})}
            for one in praise
        ]

    @cached_property
    def scope(self) -> str:
        return words.name_of(self.figures["scope"])

    @cached_property
    def kind(self) -> str:
        return words.kind_of(self.figures)

    @cached_property
    def late(self) -> int:
        return self.total["completed"] - self.total["on_time"]

    @cached_property
    def courses(self) -> list[dict]:
        return [{**one, "label": words.name_of(one)} for one in self.figures["courses"]]

    @cached_property
    def ranked(self) -> list[Row]:
        units = [unit for unit in self.figures["units"] if unit["rank"]]
        places = Counter(unit["rank"] for unit in units)
        return [self._row(unit, words.expected(unit), places[unit["rank"]] > 1) for unit in units]

    @cached_property
    def listed(self) -> list[Row]:
        return [self._row(unit, "", False) for unit in self.figures["units"] if not unit["rank"]]

    def _row(self, unit: dict, expected: str, shares_rank: bool) -> Row:
        then = unit["before"]
        by = ""
        if then:
            by = words.change((unit["completed"], unit["assigned"]), (then["completed"], then["assigned"]))
        return Row(unit, words.name_of(unit), expected, by, shares_rank)

    @cached_property
    def ranked_first(self) -> list[Row]:
        return self.ranked[:AT_ONCE]

    @cached_property
    def ranked_rest(self) -> list[Row]:
        return self.ranked[AT_ONCE:]

    @cached_property
    def listed_first(self) -> list[Row]:
        return self.listed[:AT_ONCE]

    @cached_property
    def listed_rest(self) -> list[Row]:
        return self.listed[AT_ONCE:]

    @cached_property
    def perfect(self) -> list[str]:
        return [words.name_of(one) for one in self.figures["perfect"]]

    @cached_property
    def verdict(self) -> list[str]:
        return words.verdict(self.figures)

    @cached_property
    def method(self) -> str:
        return words.method(self.figures)

    @cached_property
    def comparison(self) -> str:
        return words.comparison(self.figures)

    @cached_property
    def funnel(self) -> drawing.Funnel | None:
        return drawing.funnel(self.figures)

    @cached_property
    def funnel_text(self) -> str:
        return words.funnel(self.figures)


def reading_of(page: BulletinPage) -> Reading:
    """This function will return what a page of a bulletin shows, in the active language."""
    return Reading(page.edition, page.praise)
