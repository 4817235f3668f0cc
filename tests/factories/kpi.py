"""Rows of the kpi app for tests, made plainly."""

import copy
import datetime as dt
from decimal import Decimal

from kpi.domain import rules
from kpi.models import Indicator, Measure, Rule, RuleVersion
from people.models import OrgUnit

CAPTURED = dt.datetime(2026, 11, 3, 2, 0, tzinfo=dt.UTC)
FROM = dt.date(2026, 1, 1)  # in force from

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


def make_measures(subject, month, *, evidence=None, at=CAPTURED, **values) -> dict[str, Measure]:
    """First measures of a person or a unit in one month, by code of the indicator: ``training="80"``."""
    indicators = make_indicators()
    who = {"org_unit": subject} if isinstance(subject, OrgUnit) else {"employee": subject}
    return {
        code: Measure.objects.create(
            indicator=indicators[code],
            month=month,
            value=Decimal(value),
            source=indicators[code].source,
            evidence=evidence or {},
            captured_at=at,
            **who,
        )
        for code, value in values.items()
    }


def make_published_version(
    parameters,
    *,
    scope,
    code="CARD",
    subject="employee",
    state="published",
    effective_from=FROM,
    audience=None,
    number=1,
    family="scorecard",
) -> RuleVersion:
    """A version of a scorecard (or other family) as it stands when somebody published it (or ``state="draft"``)."""
    make_indicators()
    rule, _new = Rule.objects.get_or_create(
        code=code,
        defaults={
            "family": family, "name": "网点计分卡", "name_en": "Branch scorecard", "subject": subject, "scope": scope,
            "audience": audience,
        },
    )  # fmt: skip
    version = RuleVersion(
        rule=rule, number=number, parameters=copy.deepcopy(parameters), text_zh="一线员工计分卡。", text_en="The card of the front line.",
        proposed_at=CAPTURED, state=state,
    )  # fmt: skip
    if state == "published":
        version.effective_from, version.published_at = effective_from, CAPTURED
        version.content_hash = rules.content_hash(version)
    version.save()
    return version


AWARD = {
    "places": 3,
    "quorum": "66.67",
    "majority": "50",
    "publicity_days": 5,
    "conditions": [
        {
            "code": "training",
            "name_zh": "培训全部完成",
            "name_en": "All training done",
            "indicator": "training",
            "at_least": "100",
        },
        {
            "code": "complaints",
            "name_zh": "无有责投诉",
            "name_en": "No liable complaint",
            "indicator": "complaints_liable",
            "at_most": "0",
        },
    ],
}
