"""Rows of the kpi app for tests, made plainly."""

from kpi.models import Indicator

# DOMAIN T-01: the card of one branch.
T01 = {
    "lines": [
        {
            "code": "training",
            "name_zh": "培训完成率",
            "name_en": "Training completion",
            "kind": "curve",
            "weight": "20",
            "indicators": ["training"],
            "points": [["60", "0"], ["100", "100"]],
        },
        {
            "code": "exam",
            "name_zh": "考试成绩",
            "name_en": "Exam",
            "kind": "step",
            "weight": "25",
            "indicators": ["exam"],
            "points": [["90", "100"], ["80", "85"], ["70", "70"], ["60", "50"]],
        },
        {
            "code": "satisfaction",
            "name_zh": "客户满意度",
            "name_en": "Customer satisfaction",
            "kind": "curve",
            "weight": "20",
            "indicators": ["satisfaction"],
            "points": [["70", "60"], ["80", "100"], ["90", "120"]],
        },
        {
            "code": "complaints",
            "name_zh": "投诉",
            "name_en": "Complaints",
            "kind": "deduct",
            "weight": "20",
            "counts": [
                {"indicator": "complaints_liable", "points": "20"},
                {"indicator": "complaints_late", "points": "5"},
            ],
        },
        {"code": "manager", "name_zh": "主管评价", "name_en": "Manager", "kind": "rating", "weight": "15"},
    ],
    "bonus": {"cap": "5", "indicators": ["bonus"]},
    "vetoes": [
        {
            "code": "regulator",
            "name_zh": "监管投诉成立",
            "name_en": "Upheld complaint to the regulator",
            "indicator": "regulator",
            "from": "1",
            "cap": "69.99",
        }
    ],
    "bands": [
        {"grade": "A", "from": "95", "coefficient": "1.20"},
        {"grade": "B", "from": "85", "coefficient": "1.10"},
        {"grade": "C", "from": "70", "coefficient": "1.00"},
        {"grade": "D", "from": "60", "coefficient": "0.80"},
        {"grade": "E", "from": "0", "coefficient": "0.50"},
    ],
    "raters": {"manager": "100"},
}

INDICATORS = {
    "training": ("培训完成率", "Training completion", "percent", "higher", "training"),
    "exam": ("考试成绩", "Exam", "points", "higher", "exam"),
    "satisfaction": ("客户满意度", "Customer satisfaction", "points", "higher", "file"),
    "complaints_liable": ("有责投诉", "Liable complaints", "count", "lower", "file"),
    "complaints_late": ("超时回复", "Late replies", "count", "lower", "file"),
    "bonus": ("加分", "Bonus", "points", "higher", "file"),
    "regulator": ("监管投诉成立", "Upheld complaints to the regulator", "count", "lower", "file"),
}


def make_indicators() -> dict[str, Indicator]:
    """The indicators that T01 reads, by code."""
    return {
        code: Indicator.objects.get_or_create(
            code=code, defaults={"name": zh, "name_en": en, "unit": unit, "better": better, "source": source}
        )[0]
        for code, (zh, en, unit, better, source) in INDICATORS.items()
    }
