"""The demo company's measures: training and exams from its closed months, and believable files for everything else."""

from __future__ import annotations

import datetime as dt
import io
import random
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from core.jobs import run_job
from core.periods import Month
from core.spreadsheets import write_csv
from courses.models import MonthClose
from kpi.domain import collecting, measure_files
from kpi.domain.measures import NewMeasure, correct_measure, in_force, save_indicator, share, write_measures
from kpi.models import Indicator
from people.models import Employee, OrgUnit
from portal.demo import company as story

if TYPE_CHECKING:
    from portal.demo.builder import Builder

# code: name, English name, unit, direction, source, how it is measured in both languages
INDICATORS = {
    "training": (
        "培训完成率",
        "Training completion",
        "percent",
        "higher",
        "training",
        "当月应完成的学习任务中已完成的比例；免修和撤销的不计。",
        "Of the duties of the month, the share that is done; exempt and withdrawn ones are left out.",
    ),
    "exam": (
        "考试成绩",
        "Exam",
        "points",
        "higher",
        "exam",
        "当月各门测验成绩的平均数，每门按测验规定的计分方式取值。",
        "The mean of the quizzes of the month, each as the quiz grades it.",
    ),
    "satisfaction": (
        "客户满意度",
        "Customer satisfaction",
        "points",
        "higher",
        "file",
        "办理业务后短信回访的平均分（0–100），附样本数和标准差。",
        "Mean of the text message survey after a visit (0–100), with its number of answers and spread.",
    ),
    "satisfaction_home": (
        "家庭客户满意度",
        "Satisfaction of home customers",
        "points",
        "higher",
        "file",
        "装维上门后电话回访的平均分。",
        "Mean of the telephone survey after a visit at home.",
    ),
    "satisfaction_business": (
        "政企客户满意度",
        "Satisfaction of business customers",
        "points",
        "higher",
        "file",
        "政企客户季度走访的平均分，按月分摊。",
        "Mean of the talks with business customers.",
    ),
    "complaints_liable": (
        "有责投诉",
        "Liable complaints",
        "count",
        "lower",
        "file",
        "经三级处理核实、责任在我方的投诉件数。",
        "Complaints in which the fault was found to be ours.",
    ),
    "complaints_late": (
        "超时回复",
        "Late replies",
        "count",
        "lower",
        "file",
        "超过 24 小时才首次回复客户的投诉件数。",
        "Complaints first answered after more than 24 hours.",
    ),
    "inspection": (
        "明查暗访",
        "Inspections",
        "points",
        "higher",
        "file",
        "当月明查与暗访评分的平均数（0–100）。",
        "Mean of open and mystery inspections of the month (0–100).",
    ),
    "sales": (
        "销售完成率",
        "Sales against target",
        "percent",
        "higher",
        "file",
        "当月新增业务收入占目标的比例。",
        "New business of the month as a share of the target.",
    ),
    "bonus": (
        "加分",
        "Bonus",
        "points",
        "higher",
        "file",
        "客户书面表扬、应急支援等，由单位核实后加分。",
        "Written praise by customers, help in emergencies; confirmed by the unit.",
    ),
    "regulator": (
        "监管投诉成立",
        "Upheld complaints to the regulator",
        "count",
        "lower",
        "file",
        "经监管部门核实成立的申诉件数。",
        "Complaints that the regulator upheld.",
    ),
}
_FRONT = {story.SALES, story.SERVICE}


@dataclass
class _Person:
    """Somebody at the counter: how well it goes for them as a rule, from 0 to 1."""

    employee: Employee
    unit: OrgUnit
    skill: float


def tell_measures(builder: Builder) -> None:
    """Make the indicators, measure every closed month, and bring in what comes by file; the newest month as a real file."""
    by = builder.users[story.HR]
    indicators = make_indicators(builder)
    closes = list(MonthClose.objects.filter(state=MonthClose.State.CLOSED).order_by("month"))
    front = _front_line(builder)
    rng = random.Random(story.SEED + 7)  # noqa: S311 - no secret
    values = 0
    for number, close in enumerate(closes):
        at = min((close.closed_at or builder.now) + dt.timedelta(hours=3), builder.now)
        values += collecting.collect_month(month=close.month, by=None, at=at).new
        rows = _month(front, indicators, close.month, number, rng)
        later = min(at + dt.timedelta(days=3, hours=6), builder.now)
        if close == closes[-1]:
            values += _by_file(builder, [row for row in rows if row.employee], close.month, later)
            rows = [row for row in rows if row.unit]
        values += write_measures(rows=rows, by=by, at=later, action="measures from a file").new
    _correct(builder)
    builder.say(f"{values} measures of {len(closes)} months")


def make_indicators(builder: Builder) -> dict[str, Indicator]:
    """Make what is measured, unless it is there: rules speak of it before anything is."""
    names = ("name", "name_en", "unit", "better", "source", "about", "about_en")
    found = {one.code: one for one in Indicator.objects.all()}
    for code, words in INDICATORS.items():
        if code not in found:
            values = {"code": code, "active": True, **dict(zip(names, words, strict=True))}
            found[code] = save_indicator(
                indicator=None, values=values, by=builder.users[story.HR], at=builder.beginning
            )
    return found


def _front_line(builder: Builder) -> list[_Person]:
    people = (
        Employee.objects.filter(unit__kind=OrgUnit.Kind.BRANCH, position__job_family__in=_FRONT)
        .active_on(builder.today)
        .select_related("unit", "position")
        .order_by("employee_no")
    )
    found = []
    for one in people:
        told = builder.company.people.get(one.employee_no)
        found.append(_Person(one, one.unit, min(0.99, max(0.2, told.diligence if told else 0.9))))
    return found


def _month(front: list[_Person], indicators: dict[str, Indicator], month: Month, number: int, rng: random.Random):
    """What the files of one month say, of people and of units."""
    rows: list[NewMeasure] = []
    file = f"{month.year}年{month.month}月客户与销售.xlsx"
    sums: dict[str, list] = defaultdict(lambda: [0.0, 0, Decimal(0), Decimal(0), 0])
    season = (0, 1, 2, 1, 0, -1, 0, 1, 2, 1, 0, -1)[month.month - 1]

    def add(code: str, value, *, employee=None, unit=None, **more) -> None:
        evidence = {"file": file, "row": len(rows) + 2}
        value = Decimal(str(value))
        rows.append(
            NewMeasure(indicators[code], month, value, employee, unit, source="file", evidence=evidence, **more)
        )

    for person in front:
        if person.employee.hired_on and Month.of(person.employee.hired_on) > month:
            continue
        pk, dip = person.employee.pk, 9 if person.unit.code in story.STRUGGLING and number == 6 else 0
        answers = rng.randint(14, 60)
        sat = round(min(98.0, max(55.0, rng.gauss(74 + 12 * person.skill - dip, 3.2))), 1)
        add("satisfaction", sat, employee=pk, n=answers, spread=Decimal(str(round(rng.uniform(6, 14), 2))))
        target = Decimal(rng.choice((40, 50, 60, 80)))
        done = (target * Decimal(str(round(rng.gauss(0.86 + 0.14 * person.skill + season / 50, 0.10), 4)))).quantize(
            Decimal("0.01")
        )
        add("sales", share(done, target), employee=pk, numerator=done, denominator=target)
        liable = rng.random() < 0.10 - 0.07 * person.skill
        add("complaints_liable", int(liable), employee=pk)
        if rng.random() < 0.07:
            add("complaints_late", 1, employee=pk)
        if rng.random() < 0.03 * person.skill:
            add("bonus", rng.choice(("1", "1.5", "2")), employee=pk)
        if liable and rng.random() < 0.06:
            add("regulator", 1, employee=pk)
        for end in range(len(person.unit.path), 0, -OrgUnit.steplen):
            entry = sums[person.unit.path[:end]]
            entry[0] += sat * answers
            entry[1] += answers
            entry[2] += done
            entry[3] += target
            entry[4] += liable
    units = {one.path: one for one in OrgUnit.objects.filter(path__in=sums)}
    for path, (total, answers, done, target, liable) in sorted(sums.items()):
        unit = units[path]
        add("satisfaction", round(total / answers, 2), unit=unit.pk, n=answers, spread=Decimal("10.5"))
        add("sales", share(done, target), unit=unit.pk, numerator=done, denominator=target)
        add("complaints_liable", int(liable), unit=unit.pk)
        hard = 4 if unit.code in story.STRUGGLING else 0
        add("inspection", round(min(100, rng.gauss(90 - hard, 2.5)), 1), unit=unit.pk)
        add("satisfaction_home", round(min(100, rng.gauss(86 - hard, 1.8)), 1), unit=unit.pk, n=rng.randint(30, 90))
        if unit.kind != OrgUnit.Kind.BRANCH:
            add("satisfaction_business", round(min(100, rng.gauss(88, 1.5)), 1), unit=unit.pk, n=rng.randint(12, 40))
    return rows


def _by_file(builder: Builder, rows: list[NewMeasure], month: Month, at: dt.datetime) -> int:
    """The people's values of a month as the file that HR uploads, checks and applies."""
    by, numbers = builder.users[story.HR], dict(Employee.objects.values_list("pk", "employee_no"))
    own = builder.people[story.HR].pk if story.HR in builder.people else None
    header = ["工号", "月份", "指标", "数值", "分子", "分母", "样本数", "标准差"]
    lines = [
        [
            numbers[row.employee],
            str(month),
            row.indicator.name,
            str(row.value),
            *("" if one is None else str(one) for one in (row.numerator, row.denominator, row.n, row.spread)),
        ]
        for row in rows
        if row.employee is not None and row.employee != own
    ]
    file = io.BytesIO()
    write_csv(file, header, lines)
    file.seek(0)
    name = f"{month.year}年{month.month}月客户与销售.csv"
    upload = measure_files.upload_file(file=file, file_name=name, month=None, by=by, at=at)
    run_job(upload.job_id, clock=lambda: at)
    upload.refresh_from_db()
    measure_files.request_apply(upload=upload, reason="", by=by, at=at)
    upload.refresh_from_db()
    run_job(upload.job_id, clock=lambda: at)
    upload.refresh_from_db()
    return upload.counts["new"]


def _correct(builder: Builder) -> None:
    """Two values were wrong and are put right, with the reason."""
    reasons = ("录音复核：客户误选评价，剔除两份无效问卷", "投诉责任复核：属系统故障，不属个人责任")
    for code, reason, change in (
        ("satisfaction", reasons[0], Decimal("2.5")),
        ("complaints_liable", reasons[1], Decimal(-1)),
    ):
        found = in_force().filter(
            indicator__code=code, employee__isnull=False, captured_at__lt=builder.now - dt.timedelta(days=1)
        )
        if change < 0:
            found = found.filter(value__gte=1)
        measure = found.select_related("indicator").order_by("-month", "pk").first()
        if measure and measure.value is not None:
            correct_measure(
                measure=measure,
                value=measure.value + change,
                reason=reason,
                by=builder.users[story.HR],
                at=builder.now - dt.timedelta(hours=2),
            )
