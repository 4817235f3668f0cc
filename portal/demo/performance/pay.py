"""Performance pay of the demo company: two quarters paid and closed; corrections of the second wait for both hands.

HR of the cast prepares, the second person of HR checks; both work in the group's office and are not of the front line, so
neither is paid by what they make. Bases and days come in by file, as payroll would send them.
"""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from typing import TYPE_CHECKING

from core.money import format_yuan
from core.periods import Month
from core.spreadsheets import write_csv
from kpi import exports, pay_imports
from kpi.domain import pay_bases, pay_corrections, pay_looks, pay_runs, rules
from kpi.models import PayFile, PayLine, PayRun, ReviewCycle, Rule
from people.domain.access import Actor
from people.domain.roles import grant_role
from people.models import RoleGrant
from portal.demo import company as story
from portal.demo.performance.rules import PAY, second_hr

if TYPE_CHECKING:
    from portal.demo.builder import Builder

# Performance pay base of a month in yuan, by job family; a senior title gets a fifth more.
_BASES = {story.SALES: 2_400, story.SERVICE: 2_100}
_DAYS = 64  # working days of a quarter
_SHARE = Decimal("1.03")  # of the bases is given


def tell_pay(builder: Builder) -> list[PayRun]:
    """Pay the quarters that were reviewed, both to the end.

    The results of the second are a few days old: its pay is closed sooner, one correction waits for the checker, and
    another one for the preparer to submit it.
    """
    cycles = ReviewCycle.objects.filter(
        kind=ReviewCycle.Kind.QUARTERLY, state__in=(ReviewCycle.State.PUBLISHED, ReviewCycle.State.CLOSED)
    ).order_by("last_month")
    if not cycles:
        return []
    root = builder.units[story.GROUP.code]
    maker, checker = builder.users[story.HR], second_hr(builder)
    for user, role in ((maker, RoleGrant.Role.PAY_MAKER), (checker, RoleGrant.Role.PAY_CHECKER)):
        grant_role(user=user, role=role, unit=root, by=None, at=builder.beginning)
    people = _front_line(builder)
    first = cycles[0].first_month
    _file(builder, PayFile.Kind.BASES, _base_rows(people), first, first, at=builder.beginning + dt.timedelta(days=3))
    runs = []
    for cycle in cycles:
        published = cycle.published_at or builder.now
        _file(
            builder,
            PayFile.Kind.ATTENDANCE,
            _attendance_rows(builder, people),
            cycle.first_month,
            cycle.last_month,
            at=published + dt.timedelta(hours=25),
        )
        run = _compute(builder, cycle, at=published + dt.timedelta(days=2))
        if run is not None:
            runs.append(run)
            if cycle.state == ReviewCycle.State.CLOSED:
                note = "首个按新办法核算的季度，没有可比批次；抽查了三省各两个网点。"
                _settle(builder, run, note=note, at=published + dt.timedelta(days=3), pace=dt.timedelta(days=1))
                _correct(builder, run, at=published + dt.timedelta(days=9), approved=True)
            else:
                note = "与上季度相比变动超过两成的人员已逐一核对，均为入职、调动、出勤或等级变化所致。"
                _settle(
                    builder, run, note=note, at=published + dt.timedelta(days=2, hours=1), pace=dt.timedelta(hours=9)
                )
                _correct(builder, run, at=published + dt.timedelta(days=5), approved=False)
    return runs


def _front_line(builder: Builder) -> list[tuple[str, str, str, str]]:
    """(employee number, name, position, job family) of the front line, in order."""
    rows = rules.people_of(Rule.objects.get(code=PAY), builder.today).order_by("employee_no")
    return list(rows.values_list("employee_no", "name", "position__title", "position__job_family"))


def _base_rows(people: list[tuple[str, str, str, str]]) -> list[list]:
    found: list[list] = [["工号", "姓名", "绩效基数"]]
    for number, name, title, family in people:
        base = _BASES.get(family, 2_000)
        found.append([number, name, format_yuan((base * 6 // 5 if "高级" in title else base) * 100, grouped=False)])
    return found


def _attendance_rows(builder: Builder, people: list[tuple[str, str, str, str]]) -> list[list]:
    """Most were there every day; some were ill, some took half a day. Nine of ten are in the file, the rest go by their posts."""
    found: list[list] = [["工号", "出勤天数", "应出勤天数"]]
    for number, *_rest in people:
        luck = builder.rng.random()
        if luck < 0.9:
            away = 0 if luck < 0.7 else builder.rng.randrange(1, 9)
            found.append([number, f"{_DAYS - away * 0.5:g}" if away % 2 else str(_DAYS - away), str(_DAYS)])
    return found


def _file(builder: Builder, kind: str, rows: list[list], first: Month, last: Month, *, at: dt.datetime) -> None:
    """Check a file and take it in, as the page does."""
    maker = builder.users[story.HR]
    file = io.BytesIO()
    write_csv(file, rows[0], rows[1:])
    people = {
        number: (key, name)
        for key, number, name in pay_bases.payable_people(Actor(maker, builder.today)).values_list(
            "pk", "employee_no", "name"
        )
    }
    if kind == PayFile.Kind.BASES:
        checked = pay_imports.check_bases(file=file, people=people, month=first)
    else:
        checked = pay_imports.check_attendance(file=file, people=people, first=first, last=last)
    name = f"{PayFile.Kind(kind).value}-{last}.csv"
    upload = pay_bases.keep_file(kind=kind, file=file, name=name, first_month=first, last_month=last, by=maker, at=at)
    pay_bases.apply_file(upload=upload, rows=checked.to_write, by=maker, at=at)


def _compute(builder: Builder, cycle: ReviewCycle, *, at: dt.datetime) -> PayRun | None:
    maker = builder.users[story.HR]
    version = rules.version_in_force(Rule.objects.get(code=PAY), cycle.last_month.last_day)
    if version is None:
        return None
    run = pay_runs.make_run(
        code=f"PAY-{cycle.last_month.year}-Q{(cycle.last_month.month + 2) // 3}",
        cycle=cycle,
        version=version,
        scope=builder.units[story.GROUP.code],
        amount_fen=1,
        checker=second_hr(builder),
        by=maker,
        at=at,
    )
    bases = sum(_given(builder, cycle))
    amount = int(bases * _SHARE) // 1_000_000 * 1_000_000
    pay_runs.set_amount(run=run, amount_fen=amount, checker=run.checker, by=maker, at=at)
    pay_runs.compute_run(run=run, by=maker, at=at + dt.timedelta(minutes=20))
    run.refresh_from_db()
    return run


def _given(builder: Builder, cycle: ReviewCycle) -> list[int]:
    """The bases of everybody of the front line for the months of a cycle."""
    months = (
        1 + (cycle.last_month.year - cycle.first_month.year) * 12 + cycle.last_month.month - cycle.first_month.month
    )
    rows = pay_bases.known_bases(
        people=rules.people_of(Rule.objects.get(code=PAY), cycle.last_month.last_day).values_list("pk", flat=True)
    )
    return [known[-1][1] * months for known in rows.values() if known]


def _settle(builder: Builder, run: PayRun, *, note: str, at: dt.datetime, pace: dt.timedelta) -> None:
    """Sign, submit, approve, export, take payroll's answer in, close; ``pace`` is how long payroll takes for each step."""
    maker, checker = builder.users[story.HR], second_hr(builder)
    hour = dt.timedelta(hours=1)
    pay_runs.sign_variance(run=run, note=note, by=maker, at=at)
    pay_runs.submit(run=run, by=maker, at=at + hour)
    people = PayLine.objects.filter(run=run).order_by("number").values_list("employee", flat=True)
    pay_looks.record_looks(
        employees=people, viewer=checker, own=None, what=pay_looks.LIST, of=run.code, at=at + 2 * hour
    )  # fmt: skip
    pay_runs.approve(run=run, by=checker, at=at + 3 * hour)
    _export(builder, run, at=at + hour + pace)
    _answer(builder, run, at=at + 4 * pace)
    pay_runs.close(run=run, by=checker, at=at + 5 * pace)
    run.refresh_from_db()


def _correct(builder: Builder, run: PayRun, *, at: dt.datetime, approved: bool) -> None:
    """Pay what objections were worth and days that were noted wrongly; what is not approved waits: for the checker, for the preparer."""
    maker, checker = builder.users[story.HR], second_hr(builder)
    hour = dt.timedelta(hours=1)
    short = PayLine.objects.filter(run=run, attended__lt=_DAYS - 3, attended_of=_DAYS, adjustments=None)

    def correct_days() -> PayRun | None:
        line = short.select_related("run", "employee").order_by("number").first()
        if line is None:
            return None
        reason = "两天外派培训被记成缺勤，已由网点和人力资源核实。"
        days = line.attended + 2
        return pay_runs.correct_line(line=line, attended=days, reason=reason, by=maker, at=at)

    correction = None
    for review in pay_corrections.results_changed_since(run):
        correction = pay_corrections.adjust_for_appeal(run=run, review=review, by=maker, at=at)
    if approved or correction is None:
        correction = correct_days() or correction
    if correction is not None:
        pay_runs.submit(run=correction, by=maker, at=at + hour)
        if approved:
            pay_runs.approve(run=correction, by=checker, at=at + 4 * hour)
        else:
            at += 2 * hour
            correct_days()


def _export(builder: Builder, run: PayRun, *, at: dt.datetime) -> None:
    made = exports.build(run=run, kind="xlsx", number=1)
    made.file.close()
    maker = builder.users[story.HR]
    pay_runs.record_export(run=run, number=1, kind="xlsx", digest=made.digest, rows=made.rows, by=maker, at=at)
    people = PayLine.objects.filter(run=run).values_list("employee", flat=True)
    pay_looks.record_looks(employees=people, viewer=maker, own=None, what=pay_looks.FILE, of=run.code, at=at)


def _answer(builder: Builder, run: PayRun, *, at: dt.datetime) -> None:
    """Payroll paid everybody but one, and one with another amount."""
    run.refresh_from_db()
    maker = builder.users[story.HR]
    rows: list[list] = [["核算行号", "实发金额", "结果", "备注"]]
    for number, fen in PayLine.objects.filter(run=run).order_by("number").values_list("number", "paid_fen"):
        answer = [exports.reference(run, number), format_yuan(fen, grouped=False), "已发", ""]
        if number == 7:
            answer[1:] = ["0", "退回", "账户信息待更新"]
        elif number == 12 and fen > 20_000:
            answer[1:] = [format_yuan(fen - 20_000, grouped=False), "调整", "扣回上季度多发的 200.00 元"]
        rows.append(answer)
    file = io.BytesIO()
    write_csv(file, rows[0], rows[1:])
    checked = pay_imports.check_answers(file=file, run=run, own=None)
    upload = pay_bases.keep_file(
        kind=PayFile.Kind.ANSWERS, file=file, name=f"answers-{run.code}.csv", run=run, by=maker, at=at
    )
    pay_bases.apply_file(upload=upload, rows=checked.to_write, by=maker, at=at)
