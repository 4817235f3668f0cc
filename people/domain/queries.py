"""What several pages ask about people."""

from __future__ import annotations

import re

from pypinyin import Style, lazy_pinyin


def pinyin_of(name: str) -> str:
    """This function will return what people type to find a name: the full pinyin and the initials.

    ``pinyin_of("王伟")`` is ``"wangwei ww"``; a name without Chinese characters is kept in small letters
    (``"Ann Lee"`` is ``"annlee al"``). Nothing but a-z and 0-9 survives, at most the 200 characters of the column.
    """
    syllables = [
        word.lower()
        for part in lazy_pinyin(name, style=Style.NORMAL, errors=lambda text: re.findall(r"[A-Za-z0-9]+", text))
        for word in re.findall(r"[A-Za-z0-9]+", part)
    ]
    if not syllables:
        return ""
    return f"{''.join(syllables)} {''.join(word[0] for word in syllables)}"[:200]
