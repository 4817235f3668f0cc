"""The filters every template uses."""

import datetime as dt
from decimal import Decimal

import pytest
from django.utils import timezone, translation

from core.periods import Month
from core.templatetags import interface


@pytest.mark.parametrize(
    ("done", "total", "chinese", "english"),
    [
        (2999, 3000, "99.9%", "99.9\u00a0%"),  # never rounded up
        (111, 113, "98.2%", "98.2\u00a0%"),
        (299_999, 300_000, "99.9%", "99.9\u00a0%"),
        (300_000, 300_000, "100%", "100\u00a0%"),
        (1, 3000, "0.0%", "0.0\u00a0%"),  # somebody has begun
        (0, 3000, "0%", "0\u00a0%"),
        (1, 2, "50.0%", "50.0\u00a0%"),
        (1, 3, "33.3%", "33.3\u00a0%"),
        (2, 3, "66.6%", "66.6\u00a0%"),
        (0, 0, "–", "–"),
        (None, None, "–", "–"),
        (None, 5, "0%", "0\u00a0%"),
    ],
)
def test_share_floors(done, total, chinese, english):
    with translation.override("zh-hans"):
        assert interface.share(done, total) == chinese
    with translation.override("en"):
        assert interface.share(done, total) == english


@pytest.mark.parametrize(
    ("percent", "chinese", "english"),
    [("100.00", "100%", "100\u00a0%"), ("66.66", "66.66%", "66.66\u00a0%"), ("92.50", "92.5%", "92.5\u00a0%")],
)
def test_a_percentage_follows_the_language(percent, chinese, english):
    for language, expected in (("zh-hans", chinese), ("en", english)):
        with translation.override(language):
            assert interface.percent_words(Decimal(percent)) == expected
            assert interface.percent_words(None) == "–"


def test_share_says_100_only_for_all():
    assert [done for done in range(2901, 3001) if interface.share(done, 3000).startswith("100")] == [3000]


def test_share_length_is_a_number_for_a_drawing():
    lengths = [interface.share_length(done, total) for done, total in [(2999, 3000), (3, 3), (0, 0), (5, 4)]]
    assert lengths == ["99.9", "100.0", "0.0", "100.0"]


def test_dates_follow_the_language():
    noon = dt.datetime(2026, 11, 22, 6, 5, tzinfo=dt.UTC)
    shown = {}
    for language in ("zh-hans", "en"):
        with translation.override(language), timezone.override("Asia/Shanghai"):
            shown[language] = [
                interface.day(noon.date()),
                interface.short_day(noon.date()),
                interface.moment(noon),
                interface.month_label(Month(2026, 11)),
                interface.month_label("2026-11"),
                interface.month_label(noon),
            ]
    assert shown == {
        "zh-hans": ["2026年11月22日", "11月22日", "2026年11月22日 14:05", "2026年11月", "2026年11月", "2026年11月"],
        "en": ["22 November 2026", "22 November", "22 November 2026, 14:05", *["November 2026"] * 3],
    }


def test_day_of_a_moment_is_the_local_day():
    late = dt.datetime(2026, 11, 30, 17, 0, tzinfo=dt.UTC)  # already December in Shanghai
    with translation.override("en"), timezone.override("Asia/Shanghai"):
        assert [interface.day(late), interface.month_label(late)] == ["1 December 2026", "December 2026"]


def test_nothing_is_a_dash():
    assert [f(None) for f in (interface.day, interface.moment, interface.month_label, interface.count)] == ["–"] * 4


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("王伟", "王伟"),
        ("欧阳若兰", "若兰"),
        ("Li Na", "LN"),
        ("Anna", "A"),
        ("Anna Maria Weber", "AW"),
        ("", "?"),
        (None, "?"),
    ],
)
def test_initials(name, expected):
    assert interface.initials(name) == expected


def test_sizes_and_counts():
    sizes = [interface.file_size(size) for size in (0, 1023, 1024, 3_600_000)]
    assert sizes == ["0\u00a0B", "1023\u00a0B", "1\u00a0KB", "3.4\u00a0MB"]
    assert interface.count(300000) == "300,000"


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("undo:/people/3/undo/", "/people/3/undo/"),
        ("wide undo:/x/", "/x/"),
        ("undo:https://elsewhere.example/", ""),
        ("undo://elsewhere.example/", ""),
        ("undo:javascript:alert(1)", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_undo_leads_only_to_own_pages(tags, expected):
    assert interface.undo_url(tags) == expected


def test_lines_have_gaps_and_an_end():
    values = [90, 100, None, 95]
    assert interface.polylines(values) == ["0.0,30.0 33.3,0.0", "100.0,15.0"]
    assert interface.last_point(values) == {"x": "100.0", "y": "15.0"}
    assert (interface.polylines([]), interface.last_point([None])) == ([], None)


def test_columns_stand_side_by_side():
    rows = [{"label": "A", "done": 1, "total": 2}, {"label": "B", "done": 0, "total": 0}]
    assert [(bar["x"], bar["y"], bar["height"]) for bar in interface.chart_columns(rows)] == [
        (8, "50.0", "50.0"),
        (48, "100.0", "0.0"),
    ]
    assert interface.chart_width(2) == 80
