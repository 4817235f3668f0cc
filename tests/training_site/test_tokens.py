"""Colours: every pair that carries words has a contrast of at least 4.5 to 1, in both themes (WCAG 2.2, 1.4.3)."""

import re
from pathlib import Path

import pytest

CSS = Path(__file__).resolve().parents[2] / "training_site" / "static" / "css"
TOKENS = (CSS / "tokens.css").read_text(encoding="utf-8")
LIGHT, DARK = TOKENS.split("@media (prefers-color-scheme: dark)")
GROUNDS = ("paper", "raised", "sunk", "neutral-tint")
WORDS = ("ink", "soft", "link", "seal-text", "done", "waiting", "overdue")
PAIRS = [(word, ground) for word in WORDS for ground in ("paper", "raised")] + [
    *[(word, ground) for word in ("ink", "soft") for ground in GROUNDS],
    *[("ink", f"{name}-tint") for name in ("done", "waiting", "overdue", "link")],
    ("done", "done-tint"),
    ("waiting", "waiting-tint"),
    ("overdue", "overdue-tint"),
    ("link", "link-tint"),
    ("on-seal", "seal"),
    ("on-seal", "seal-deep"),
    ("paper", "ink"),  # toasts
    ("raised", "done"),  # the tick in a finished step
]


def _colours(css: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+):\s*(#[0-9A-Fa-f]{6})", css))


def _luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


THEMES = {"light": _colours(LIGHT), "dark": _colours(LIGHT) | _colours(DARK)}


@pytest.mark.parametrize("theme", THEMES)
def test_words_can_be_read(theme):
    colours = THEMES[theme]
    faint = {pair: round(_contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in PAIRS}
    assert {pair: ratio for pair, ratio in faint.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("theme", THEMES)
def test_edges_and_drawings_can_be_seen(theme):
    """What must be told apart without being words: 3 to 1 (WCAG 1.4.11)."""
    colours = THEMES[theme]
    pairs = [("edge", "paper"), ("edge", "raised"), ("ink", "rail"), ("done", "rail"), ("link", "paper")]
    faint = {pair: round(_contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in faint.items() if ratio < 3} == {}


def test_colours_are_named_only_in_the_tokens():
    """A colour written elsewhere would not follow the theme. Paper has its own."""
    strays = {
        file.name: re.findall(r"#[0-9A-Fa-f]{3,8}\b", file.read_text(encoding="utf-8"))
        for file in CSS.rglob("*.css")
        if file.name not in {"tokens.css", "print.css"}
    }
    assert {name: found for name, found in strays.items() if found} == {}


def test_every_sheet_is_loaded():
    loaded = set(re.findall(r'url\("([^"]+)"\)', (CSS / "site.css").read_text(encoding="utf-8")))
    there = {str(file.relative_to(CSS)) for file in CSS.rglob("*.css")} - {"site.css", "styleguide.css", "cms.css"}
    assert loaded == there


def test_every_colour_used_is_defined():
    used = {
        name
        for file in CSS.rglob("*.css")
        for name in re.findall(r"var\(--([a-z0-9-]+)", file.read_text(encoding="utf-8"))
    }
    defined = set(re.findall(r"--([a-z0-9-]+):", TOKENS))
    assert used - defined == set()
