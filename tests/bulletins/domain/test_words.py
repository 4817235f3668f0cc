from django.utils import translation

from bulletins.domain import words
from tests.factories.bulletins import OCTOBER

SPACE = "\N{NO-BREAK SPACE}"


def _figures(units=(), done=(90, 100), on_time=None, before=None):
    return {
        "scope": {"zh": "集团", "en": "The Group"},
        "level": "city",
        "total": {"completed": done[0], "assigned": done[1], "on_time": done[0] if on_time is None else on_time},
        "units": [
            {
                "zh": f"城{number}",
                "en": f"City {number}",
                "people": owed,
                "assigned": owed,
                "completed": completed,
                "rank": rank,
                "differs": differs,
                "inner": [completed - 1, completed + 1],
            }
            for number, (completed, owed, rank, differs) in enumerate(units, start=1)
        ],
        "before": before,
    }


def _in(language, function, *args):
    with translation.override(language):
        return function(*args)


def test_title_names_the_unit_unless_it_is_the_whole():
    assert _in("en", lambda: words.title(month=OCTOBER)) == "Bulletin of October 2026"
    assert _in("en", lambda: words.title(month=OCTOBER, unit="Jiangsu")) == "Bulletin of October 2026: Jiangsu"
    assert _in("zh-hans", lambda: words.title(month=OCTOBER, unit="江苏省公司")) == "2026年10月学习通报（江苏省公司）"


def test_headline_never_rounds_up():
    found = _figures(done=(2999, 3000), on_time=2000)

    assert _in("en", words.headline, found) == f"99.9{SPACE}% finished: 2,999 of 3,000 duties; 66.6{SPACE}% in time."
    assert _in("zh-hans", words.headline, found) == "完成率99.9%：应学3,000，完成2,999；按时66.6%。"


def test_headline_of_everybody():
    assert _in("en", words.headline, _figures(done=(7, 7))) == "Everybody finished, and in time: 7 of 7."
    assert _in("en", words.headline, _figures(done=(7, 7), on_time=6)) == (
        f"Everybody finished: 7 of 7, 85.7{SPACE}% in time."
    )


def test_verdict_names_who_differs_on_either_side_and_counts_the_rest():
    found = _figures(
        [(99, 100, 1, "above"), (90, 100, 2, ""), (89, 100, 3, ""), (70, 100, 4, "below"), (2, 3, None, "")]
    )

    assert _in("en", words.verdict, found) == [
        f"Below The Group (90.0{SPACE}%) by more than chance explains: City 4 70.0{SPACE}%.",
        f"Above The Group (90.0{SPACE}%) by more than chance explains: City 1 99.0{SPACE}%.",
        "The other 2 do not differ by more than chance explains; their order among each other says little.",
    ]
    assert _in("zh-hans", words.verdict, found) == [
        "低于集团整体（90.0%），且差异超出偶然所能解释的范围：城4 70.0%。",
        "高于集团整体（90.0%），且差异超出偶然所能解释的范围：城1 99.0%。",
        "其余2个单位的差异可用偶然解释，彼此之间的名次先后意义不大。",
    ]


def test_verdict_where_nobody_differs_says_that_the_order_says_little():
    found = _figures([(91, 100, 1, ""), (89, 100, 2, "")])

    assert _in("en", words.verdict, found) == [
        f"None of the 2 ranked units differs from The Group (90.0{SPACE}%) by more than chance explains: their order says"
        " little."
    ]


def test_verdict_where_all_differ_names_all():
    found = _figures([(100, 100, 1, "above"), (80, 100, 2, "below")])

    assert len(_in("en", words.verdict, found)) == 2


def test_verdict_without_anything_to_compare():
    nobody_ranked, all_done = _figures([(9, 10, None, "")]), _figures([(50, 50, 1, "")], done=(50, 50))
    none_done = _figures([(0, 50, 1, "")], done=(0, 50))

    assert "No unit has 30 people or more" in _in("en", words.verdict, nobody_ranked)[0]
    assert _in("en", words.verdict, all_done) == ["Every unit is at 100 %: there is no difference to explain."]
    assert "Nobody has finished" in _in("en", words.verdict, none_done)[0]


def test_comparison_uses_the_shares_as_they_are_shown():
    """90.0 against 87.5 (7 of 8): 2.5 points, whichever way."""
    more = _figures(before={"month": "2026-09", "completed": 7, "assigned": 8})
    fewer = _figures(done=(7, 8), before={"month": "2026-09", "completed": 90, "assigned": 100})
    same = _figures(before={"month": "2026-08", "completed": 9, "assigned": 10})

    assert _in("en", words.comparison, more) == (
        f"September 2026 was closed with 87.5{SPACE}% (7 of 8): 2.5 points more this time."
    )
    assert _in("en", words.comparison, fewer).endswith("(90 of 100): 2.5 points fewer this time.")
    assert _in("zh-hans", words.comparison, same) == "2026年8月月结时为90.0%（应学10，完成9），与本月持平。"
    assert _in("en", words.comparison, _figures()).startswith("No earlier month")


def test_change_is_in_points_with_its_sign():
    assert [
        words.change(*pair) for pair in (((9, 10), (8, 10)), ((8, 10), (9, 10)), ((1, 2), (2, 4)), ((0, 0), (1, 1)))
    ] == [
        "+10.0",
        "−10.0",  # noqa: RUF001 - a minus sign
        "±0.0",
        "",
    ]


def test_the_funnel_counts_who_lies_outside():
    found = _figures([(91, 100, 1, ""), (89, 100, 2, ""), (9, 10, None, "")])
    found["units"][1]["inner"] = [90, 99]

    assert _in("en", words.funnel, found).endswith("1 of 2 ranked units lie outside the 95 % lines.")
    assert "outside" not in _in("en", words.funnel, _figures([(9, 10, None, "")]))
