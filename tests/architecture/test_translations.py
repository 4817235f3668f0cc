"""All catalogues are one at run time: the same English means the same Chinese everywhere, or it carries a context."""

from collections import defaultdict
from pathlib import Path

import polib

ROOT = Path(__file__).resolve().parents[2]


def test_texts_have_one_translation():
    found = defaultdict(dict)
    for file in sorted(ROOT.glob("*/locale/zh_Hans/LC_MESSAGES/django.po")):
        for entry in polib.pofile(str(file)):
            if not entry.obsolete:
                words = entry.msgstr or entry.msgstr_plural.get(0, "")
                found[entry.msgctxt, entry.msgid][file.parts[-5]] = words

    assert {text: words for text, words in found.items() if len(set(words.values())) > 1} == {}


def test_chinese_addresses_everybody_alike():
    """The politer 您 throughout, never 你 beside it."""
    for file in sorted(ROOT.glob("*/locale/zh_Hans/LC_MESSAGES/django.po")):
        app = file.parts[-5]
        texts = [entry.msgstr or "".join(entry.msgstr_plural.values()) for entry in polib.pofile(str(file))]
        assert [f"{app}: {text}" for text in texts if "你" in text] == []
