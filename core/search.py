"""Chinese text in a word index: a run of characters is kept, and asked for, as its pairs.

The databases' word indexes split at spaces, so 安全 is never found inside 作业场所安全培训. Two neighbouring characters
are nearly always enough to tell one word from another, and no dictionary has to be kept up to date.
"""

from __future__ import annotations

import re

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]+")


def han_terms(text: str) -> str:
    """This function will return what an index keeps of the Chinese in a text: every pair, and every single character."""
    terms: list[str] = []
    for run in _HAN.findall(text):
        terms += [run[place : place + 2] for place in range(len(run) - 1)]
        terms += list(run)
    return " ".join(dict.fromkeys(terms))


def han_query(text: str) -> str:
    """This function will return a search as such an index understands it: Chinese as pairs, the rest as it is."""

    def pairs(match: re.Match) -> str:
        run = match[0]
        if len(run) == 1:
            return f" {run} "
        return f" {' '.join(run[place : place + 2] for place in range(len(run) - 1))} "

    return " ".join(_HAN.sub(pairs, text).split())
