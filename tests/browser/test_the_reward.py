"""From marks to the reward, as people do it: a closed month is measured, reviewed, contested, paid and honoured.

The people and marks are those of DOMAIN T-01, the money that of T-02, and the objection that of T-06. The clock is moved
from step to step; everything else happens in the browser: the employee at a phone, all others at a desk.
"""

import datetime as dt
from types import SimpleNamespace

import pytest
from django.contrib.auth.hashers import make_password
from django.db.models import Sum
from django.urls import reverse
from playwright.sync_api import Locator, expect

from core.events import chain_names, verify_chain
from courses.models import ClosedFigure
from kpi.domain import award_rounds
from kpi.domain.measures import in_force
from kpi.models import (
    Appeal,
    Award,
    AwardProgramme,
    AwardRound,
    CalibrationGroup,
    Indicator,
    Measure,
    Nomination,
    PayLine,
    PayRun,
    Rating,
    Review,
    ReviewCycle,
    Rule,
)
from people.models import Employee, User
from portal.house import set_up_house
from tests.browser.company import close_in_pages
from tests.browser.visitor import PATIENCE, Visitor
from tests.factories.certificates import make_design
from tests.factories.courses import make_course, make_enrolment, make_run
from tests.factories.kpi import AWARD, make_indicators, make_measures, make_published_version
from tests.factories.pay import RULE, T02, make_attendance, make_base, make_card
from tests.factories.people import PASSWORD, grant, make_employee, make_unit
from tests.factories.reviews import OCTOBER, PEOPLE, card, make_branch, on, review_of

pytestmark = pytest.mark.browser

NAMES = {
    "manager": ("高建国", "Gao Jianguo"),
    "boss": ("梁文博", "Liang Wenbo"),
    "hr": ("何秀兰", "He Xiulan"),
    "hr2": ("许静", "Xu Jing"),
    "hr3": ("罗航", "Luo Hang"),
    "maker": ("周明", "Zhou Ming"),
    "checker": ("秦岚", "Qin Lan"),
    "E1": ("沈月", "Shen Yue"),
    "E2": ("白帆", "Bai Fan"),
    "E4": ("林小雨", "Lin Xiaoyu"),
}
TRAINED = {"E1": (5, 5), "E2": (5, 5), "E3": (19, 20), "E4": (4, 5), "E5": (5, 5), "E6": (3, 5)}  # done, of duties
LETTER = "69.70 = 10.00 + 17.50 + 17.20 + 16.00 + 9.00"  # DOMAIN T-21
BETTER = "73.70 = 10.00 + 17.50 + 17.20 + 20.00 + 9.00"  # DOMAIN T-06


STAR = {"zh-hans": "十月服务之星", "en": "Service star of October"}
WHY = {"zh-hans": "雨夜里把老人送回了家。", "en": "Walked an old customer home in the rain."}


class Clock:
    """What the site takes for now; it stands still until it is set."""

    def __init__(self):
        self.set(on(1))

    def set(self, moment: dt.datetime) -> None:
        self.moment = moment.astimezone(dt.UTC)

    def now(self) -> dt.datetime:
        return self.moment


@pytest.fixture
def clock(monkeypatch, settings) -> Clock:
    made = Clock()
    monkeypatch.setattr("django.utils.timezone.now", made.now)
    settings.SESSION_COOKIE_AGE = 90 * 24 * 3600  # the clock leaps by days; nobody is to be signed out by that
    settings.SESSION_REST = settings.SESSION_REST_WITH_DUTY = dt.timedelta(days=90)
    return made


@pytest.fixture(params=["zh-hans", "en"])
def world(request, own_database, clock) -> SimpleNamespace:
    """T-01's branch in a house with pages. Training is yet to be measured; all else was brought in by file."""
    set_up_house()
    indicators = make_indicators()
    # An exam on paper, so that the month's marks rest on the training of the platform and on files.
    Indicator.objects.filter(code="exam").update(source="file")
    indicators["exam"].source = "file"
    made = make_branch(card(raters={"self": "10", "manager": "90"}), measured=False)
    made.language = request.param
    for key, (values, (liable, late), _stars) in PEOPLE.items():
        brought = {code: value for code, value in values.items() if code != "training"}
        make_measures(getattr(made, key), OCTOBER, **brought, complaints_liable=str(liable), complaints_late=str(late))
    _pay_desk(made)
    _award_rule(made)
    for key, (name, latin) in NAMES.items():
        Employee.objects.filter(employee_no=f"N-{key}").update(name=name, name_latin=latin)
    User.objects.update(password=make_password(PASSWORD), language=request.param)
    _train_october(made)
    return made


def _train_october(world) -> None:
    """The courses of the month, and the duties of T-01's shares."""
    course = make_course(steps=1)
    runs = [make_run(course, month=OCTOBER)]
    runs += [make_run(make_course(steps=1), month=OCTOBER) for _each in range(19)]
    for key, (done, of) in TRAINED.items():
        for place in range(of):
            state = "completed" if place < done else "assigned"
            make_enrolment(getattr(world, key), runs[place], state=state, unit=world.branch)


def _pay_desk(world) -> None:
    """T-02: bases, attendance, the grade of the branch, the rule of pay, who prepares and who checks."""
    office = make_unit(world.group, code="HR", kind="department", name="人力资源部", name_en="Human Resources")
    for key in ("maker", "checker"):
        made = make_employee(office, with_user=True, password=None, employee_no=f"N-{key}")
        grant(made.user, f"pay_{key}", world.group)
        setattr(world, key, made)
    rule = make_published_version(RULE, scope=world.group, code="PAY", family="pay").rule
    Rule.objects.filter(pk=rule.pk).update(name="绩效工资办法", name_en="Performance pay")
    world.pay_version = rule.versions.get()
    make_card(world.version, org_unit=world.branch, total="96.00", grade="A", coefficient="1.20")
    for person, (_number, base, days, *_rest) in zip(world.people, T02, strict=True):
        make_base(person, base, at=on(10))
        make_attendance(person, days, at=on(10))


def _award_rule(world) -> None:
    rule = make_published_version(AWARD, scope=world.group, code="STAR", family="award").rule
    Rule.objects.filter(pk=rule.pk).update(name="服务之星", name_en="Service star")
    words = {
        "title_zh": "荣誉证书",
        "title_en": "Certificate of Honour",
        "sentence_zh": "荣获「{course}」称号，特发此证。",
        "sentence_en": "is honoured as “{course}”.",
    }
    design = make_design(on(1), name="荣誉证书", **words)
    award_rounds.make_programme(rule=rule, kind="person", design=design, by=None, at=on(1))


def reads(visitor: Visitor, zh: str, en: str) -> None:
    """The page says it, in the language of the visitor."""
    text = zh if visitor.language == "zh-hans" else en
    expect(visitor.page.locator("body")).to_contain_text(text, timeout=PATIENCE)


def answers(visitor: Visitor, pressed: Locator | str, zh: str, en: str) -> None:
    """What is pressed is answered by a sentence, which does not stay for long; then the page is looked at."""
    visitor.press(pressed, look=False)
    reads(visitor, zh, en)
    visitor.look()


def lines_of(visitor: Visitor) -> list[str]:
    """What the main part says, line by line."""
    return [line.strip() for line in visitor.words().splitlines() if line.strip()]


def test_marks_become_a_review_pay_and_an_honour(world, clock, visit):
    language = world.language
    hr = visit(language, name="hr")
    hr.sign_in("N-hr")
    clock.set(on(2, 9))
    _close(hr)
    clock.set(on(3, 12))
    _measure(hr)
    cycle = _announce(world, hr)
    employee = visit(language, phone=True, name="employee")
    employee.sign_in("N-E4")
    clock.set(on(4))
    _rate_oneself(world, employee, cycle)
    clock.set(on(6))
    _rate_the_team(world, visit(language, name="manager"), cycle)
    clock.set(on(11))
    _calibrate_and_publish(hr, cycle)
    clock.set(on(12, 20))
    first = _read_and_object(world, employee, cycle)
    clock.set(on(18, 11))
    maker, checker = visit(language, name="maker"), visit(language, name="checker")
    run = _pay(world, maker, checker)
    _read_pay(employee, run)
    clock.set(on(19))
    other = visit(language, name="hr2")
    _uphold(world, other, employee, first)
    clock.set(on(20))
    _adjust(world, maker, checker, employee, run)
    clock.set(on(23))
    nominee = visit(language, phone=True, name="nominee")
    nominee.sign_in("N-E1")
    round = _nominate(world, hr, visit(language, phone=True, name="colleague"))
    clock.set(on(24))
    _vote(hr, round, [(visit(language, name="boss"), "N-boss"), (other, ""), (visit(language, name="hr3"), "N-hr3")])
    _made_public(nominee)
    clock.set(on(30))
    _grant(hr, nominee, round)
    assert [fault for chain in chain_names() if (fault := verify_chain(chain)[1])] == []


# --- 1. the month is closed and measured -----------------------------------------------------------------------------------------------
def _close(hr: Visitor) -> None:
    """HR closes the month, with the duties of the six."""
    close_in_pages(hr, OCTOBER)
    sums = ClosedFigure.objects.filter(close__month=OCTOBER, parent=None).aggregate(Sum("assigned"), Sum("completed"))
    assert sums == {"assigned__sum": 45, "completed__sum": 41}


def _measure(hr: Visitor) -> None:
    """HR presses once; the shares of the closed month stand as measures of six people and their units."""
    hr.open(reverse("kpi:measures"))
    answers(
        hr,
        f'form[action="{reverse("kpi:collect_measures")}"] button',
        "2026年10月已统计，数据为最新。",
        "October 2026 is measured and up to date.",
    )
    found = in_force().filter(indicator__code="training", employee__isnull=False).order_by("employee__employee_no")
    assert [str(one.value.normalize()) for one in found] == ["1E+2", "1E+2", "95", "8E+1", "1E+2", "6E+1"]
    row = hr.page.locator(".measures-filled tbody tr").filter(
        has=hr.page.locator(f'a[href="{reverse("kpi:indicator", args=[found[0].indicator_id])}"]')
    )
    expect(row).to_contain_text("6人" if hr.language == "zh-hans" else "6 people")


# --- 2. the review ----------------------------------------------------------------------------------------------------------
def _announce(world, hr: Visitor) -> ReviewCycle:
    """HR makes a cycle, announces it, and opens it for ratings."""
    hr.open(reverse("kpi:cycles"))
    hr.press(hr.page.locator(f'main a[href="{reverse("kpi:cycle_new")}"]').first)
    page = hr.page
    page.fill('[name="name"]', "十月考核")
    page.fill('[name="name_en"]', "October review")
    page.select_option('[name="kind"]', "monthly")
    page.select_option('[name="version"]', str(world.version.pk))
    page.select_option('[name="scope"]', str(world.branch.pk))
    for name, value in {"first_month": "2026-10", "last_month": "2026-10", "snapshot_on": "2026-10-31"}.items():
        page.fill(f'[name="{name}"]', value)
    for name, day in {"self_until": "05", "peers_until": "08", "manager_until": "10"}.items():
        page.fill(f'[name="{name}"]', f"2026-11-{day}")
    answers(
        hr,
        "main form.form button[type=submit]",
        "已保存为草稿。公布之前不会通知任何人。",
        "Saved as a draft. Nobody is told before you announce it.",
    )
    cycle = ReviewCycle.objects.get()
    # the six, and the manager who leads them
    _step(hr, cycle, "announce", "已公布，通知了7人。", "Announced: 7 people are told.")
    _step(hr, cycle, "open", "已开放，共需14份评价。", "Open: 14 ratings are asked for.")
    return cycle


def _step(hr: Visitor, cycle: ReviewCycle, step: str, zh: str, en: str) -> None:
    answers(hr, f'form[action="{reverse("kpi:cycle_step", args=[cycle.pk, step])}"] button', zh, en)


def _star(visitor: Visitor, name: str, stars: int) -> None:
    visitor.page.locator(f'label:has(input[name="{name}"][value="{stars}"])').click()


def _rate_oneself(world, employee: Visitor, cycle: ReviewCycle) -> None:
    own = Rating.objects.get(review__cycle=cycle, review__employee=world.E4, role="self")
    employee.open(reverse("kpi:my_reviews"))
    employee.press(f'main a[href="{reverse("kpi:rate", args=[own.pk])}"]')
    _star(employee, "line-manager", 3)
    employee.page.fill('[name="comment"]', "Stocktaking kept me. 盘点占了不少时间。")
    answers(employee, 'main button[name="hand_in"]', "已提交，谢谢。", "Handed in. Thank you.")
    own.refresh_from_db()
    assert own.answers == {"manager": 3}


def _rate_the_team(world, manager: Visitor, cycle: ReviewCycle) -> None:
    """The manager finds the own words of one of them, and hands in six ratings at once."""
    manager.sign_in("N-manager")
    manager.open(reverse("kpi:my_reviews"))
    manager.press(f'main a.button[href="{reverse("kpi:team_reviews", args=[cycle.pk])}"]')
    manager.sees("盘点占了不少时间。")
    for key, (_values, _complaints, stars) in PEOPLE.items():
        rating = Rating.objects.get(review__cycle=cycle, review__employee=getattr(world, key), role="manager")
        _star(manager, f"r{rating.pk}-line-manager", stars)
        manager.page.fill(f'[name="r{rating.pk}-comment"]', "看得见的努力 Work that shows")
    answers(manager, 'button[name="hand_in_all"]', "已提交6份评价。", "6 ratings are handed in.")


def _calibrate_and_publish(hr: Visitor, cycle: ReviewCycle) -> None:
    """The cards are computed, laid side by side, settled and published."""
    hr.open(reverse("kpi:cycle", args=[cycle.pk]))
    _step(hr, cycle, "calibrate", "已核算6份计分卡。", "6 cards are computed.")
    hr.press(f'main a[href="{reverse("kpi:calibration_groups", args=[cycle.pk])}"]')
    group = CalibrationGroup.objects.get(cycle=cycle)
    hr.press(f'main a[href="{reverse("kpi:calibration_group", args=[group.pk])}"]')
    totals = hr.page.locator(".review-table tbody tr")
    for place, total in enumerate(["103.60", "92.85", "89.95", "69.99", "69.70", "53.10"]):  # DOMAIN T-01
        expect(totals.nth(place)).to_contain_text(total)
    answers(
        hr,
        f'form[action="{reverse("kpi:calibration_step", args=[group.pk, "settle"])}"] button',
        "已确定：6个结果可以发布。",
        "Settled: 6 results can be published.",
    )
    hr.open(reverse("kpi:cycle", args=[cycle.pk]))
    _step(hr, cycle, "publish", "已发布6个结果。", "6 results are published.")


# --- 3. the explanation and the objection -------------------------------------------------------------------------------------
def _read_and_object(world, employee: Visitor, cycle: ReviewCycle) -> Review:
    """The employee reads how the result came about, and asks for another look at the complaint."""
    review = review_of(cycle, world.E4)
    employee.open(reverse("kpi:my_reviews"))
    employee.press(f'main a.button[href="{reverse("kpi:review", args=[review.pk])}"]')
    employee.press(f'form[action="{reverse("kpi:acknowledge_review", args=[review.pk])}"] button')
    answers(
        employee,
        f'main a[href="{reverse("kpi:card", args=[review.scorecard_id])}"]',
        "总分69.70分：等级D，系数0.80。距离等级C（70.00分起）还差0.30分。",
        "The total is 69.70 points: grade D, coefficient 0.80. That is 0.30 below C, which begins at 70.00.",
    )
    expect(employee.page.locator(".letter__sum")).to_have_text(LETTER)
    reads(
        employee,
        "失分最多的是“培训完成率”：−10.00（满分20）。",
        "The largest loss is “Training completion”: −10.00 of 20.",
    )
    reads(
        employee,
        "如果“培训完成率”是85%，而不是80%，总分就是72.20，等级为C。",
        "With 85 % instead of 80 % for “Training completion” the total would have been 72.20 and the grade C.",
    )
    employee.press(f'main a.button[href^="{reverse("kpi:appeal", args=[review.pk])}"]')
    employee.page.select_option('[name="line"]', "complaints")
    employee.page.fill('[name="text"]', "The complaint was about another branch. 这件投诉是别的网点的。")
    answers(
        employee,
        "main form.form button[type=submit]",
        "申诉已送达人力资源，由没有评价过您的人处理。",
        "Your objection is with HR. Somebody who did not rate you decides.",
    )
    return review


def _uphold(world, other: Visitor, employee: Visitor, first: Review) -> None:
    """Another person of HR puts the complaint right: 73.70, grade C. The first result stays readable."""
    other.sign_in("N-hr2")
    other.open(reverse("kpi:appeals"))
    appeal = Appeal.objects.get()
    other.press(f'main a.button[href="{reverse("kpi:decide_appeal", args=[appeal.pk])}"]')
    wrong = Measure.objects.get(indicator__code="complaints_liable", employee=world.E4)
    other.page.fill('[name="text"]', "You are right: it was the neighbours’. 您说得对，是相邻网点的。")
    other.page.fill(f'[name="measure-{wrong.pk}"]', "0")
    answers(
        other,
        'main button[name="uphold"]',
        "申诉成立。林小雨的新结果已发布：73.70，C等。",
        "Upheld. The new result of Lin Xiaoyu 林小雨 is published: 73.70, C.",
    )
    better = review_of(first.cycle, world.E4)
    employee.open(reverse("kpi:review", args=[better.pk]))
    employee.press(f'main a[href="{reverse("kpi:card", args=[better.scorecard_id])}"]')
    expect(employee.page.locator(".letter__sum")).to_have_text(BETTER)
    reads(
        employee,
        "总分73.70分：等级C，系数1.00。",
        "The total is 73.70 points: grade C, coefficient 1.00.",
    )
    employee.open(reverse("kpi:card", args=[first.scorecard_id]))
    expect(employee.page.locator(".letter__sum")).to_have_text(LETTER)


# --- 4. pay -----------------------------------------------------------------------------------------------------------------
def _pay(world, maker: Visitor, checker: Visitor) -> PayRun:
    """One person makes, computes and signs; another approves and closes. DOMAIN T-02 to the fen."""
    maker.sign_in("N-maker")
    maker.open(reverse("kpi:pay"))
    cycle = ReviewCycle.objects.get()
    maker.press(f'main a[href="{reverse("kpi:new_pay_run")}?cycle={cycle.pk}"]')
    maker.page.select_option('[name="scope"]', str(world.branch.pk))
    maker.page.select_option('[name="version"]', str(world.pay_version.pk))
    maker.page.select_option('[name="checker"]', str(world.checker.user_id))
    maker.page.fill('[name="code"]', "PAY-2026-10")
    maker.page.fill('[name="amount"]', "32,000.00")
    maker.press("main form.form button[type=submit]")
    run = PayRun.objects.get()
    answers(
        maker,
        f'form[action="{reverse("kpi:compute_pay", args=[run.pk])}"] button',
        "已计算：6行。",
        "Computed: 6 lines.",
    )
    reads(maker, "28,000.00 + 预留4,000.00 = 32,000.00", "28,000.00 + 4,000.00 kept back = 32,000.00")
    maker.press(f'main a.button[href="{reverse("kpi:pay_variance", args=[run.pk])}"]')
    maker.page.fill('[name="words"]', "The first run of the branch. 本网点第一个批次。")
    answers(maker, "main form button[type=submit]", "已签字。现在可以提交。", "Signed. The run can be submitted now.")
    answers(
        maker,
        f'form[action="{reverse("kpi:submit_pay", args=[run.pk])}"] button',
        "已提交，由另一人复核。",
        "Submitted. Another person checks it now.",
    )
    checker.sign_in("N-checker")
    checker.open(reverse("kpi:pay_checks"))
    checker.press(checker.page.locator(f'main a[href="{reverse("kpi:pay_run", args=[run.pk])}"]').first)
    checker.press(f'main a.button[href="{reverse("kpi:pay_lines", args=[run.pk])}"]')
    for paid in ("7,528.54", "5,750.97", "5,477.12", "4,015.22", "4,182.52", "1,045.63"):
        checker.sees(paid)
    checker.open(reverse("kpi:pay_run", args=[run.pk]), look=False)
    _approve(checker, run, "批准28,000.00元", "Approve 28,000.00 yuan")
    maker.open(reverse("kpi:pay_run", args=[run.pk]))
    name, file = maker.download(f'form[action="{reverse("kpi:export_pay", args=[run.pk, "csv"])}"] button')
    rows = [row.split(",") for row in file.read().decode("utf-8-sig").splitlines()]
    paid = {f"N-E{place}": str(fen) for place, (*_rest, fen) in enumerate(T02, start=1)}
    assert (name, {row[1]: row[-1] for row in rows[1:-1]}) == ("PAY-2026-10-001.csv", paid)
    assert rows[-1][-1] == "2800000"  # the control total
    checker.open(reverse("kpi:pay_run", args=[run.pk]))
    answers(
        checker, f'form[action="{reverse("kpi:close_pay", args=[run.pk])}"] button', "已正式关闭。", "Closed for good."
    )
    return run


def _approve(checker: Visitor, run: PayRun, zh: str, en: str) -> None:
    button = checker.page.locator(f'form[action="{reverse("kpi:approve_pay", args=[run.pk])}"] button')
    expect(button).to_have_text(zh if checker.language == "zh-hans" else en)
    answers(
        checker,
        button,
        "已批准。相关人员现在可以看到自己的明细。",
        "Approved. The people concerned can see their lines now.",
    )


def _read_pay(employee: Visitor, run: PayRun) -> None:
    """The employee reads the letter of the pay, and who looked at it."""
    line = PayLine.objects.get(run=run, employee__employee_no="N-E4")
    employee.open(reverse("kpi:my_pay"))
    answers(
        employee,
        f'main a.button[href="{reverse("kpi:my_pay_line", args=[line.pk])}"]',
        "您的绩效工资为4,015.22元",
        "You get 4,015.22 yuan",
    )
    steps = ["4,800.00", "× 0.80", "× 1.05", "× 21 / 21", "4,032.00", "× 0.995839", "4,015.22", "4,015.22"]
    assert employee.page.locator(".pay-letter__value").all_inner_texts() == steps
    employee.press(employee.page.locator(f'main a[href="{reverse("kpi:pay_looks")}"]').first)
    looks = {
        "zh-hans": ["周明", "送交发放的文件 · 批次PAY-2026-10", "秦岚", "核算批次的清单 · 批次PAY-2026-10"],
        "en": [
            "Zhou Ming 周明",
            "the file for payroll · run PAY-2026-10",
            "Qin Lan 秦岚",
            "the list of a pay run · run PAY-2026-10",
        ],
    }
    when = {"zh-hans": "2026年11月18日 11:00", "en": "18 November 2026, 11:00"}[employee.language]
    assert [line for line in lines_of(employee)[3:] if line != when] == looks[employee.language]


def _adjust(world, maker: Visitor, checker: Visitor, employee: Visitor, run: PayRun) -> None:
    """DOMAIN T-06: the better result is paid from the reserve at the frozen ratio; nobody else's line moves."""
    before = list(PayLine.objects.filter(run=run).order_by("pk").values())
    better = Review.objects.get(employee=world.E4, superseded_by=None)
    maker.open(reverse("kpi:pay_run", args=[run.pk]))
    answers(
        maker,
        f'main a[href="{reverse("kpi:pay_corrections", args=[run.pk])}"]',
        "73.70分，C等，系数1.00",
        "73.70 points, grade C, coefficient 1.00",
    )
    answers(
        maker,
        f'form[action="{reverse("kpi:adjust_pay", args=[run.pk, better.pk])}"] button',
        f"林小雨：已在更正批次{run.code}-C1中调整。收齐后请提交。",
        f"Lin Xiaoyu 林小雨: adjusted in the correction run {run.code}-C1. Submit it when you have collected all.",
    )
    correction = PayRun.objects.get(corrects=run)
    maker.press(maker.page.locator(f'main a[href="{reverse("kpi:pay_run", args=[correction.pk])}"]').first)
    maker.press(f'form[action="{reverse("kpi:submit_pay", args=[correction.pk])}"] button')
    checker.open(reverse("kpi:pay_run", args=[correction.pk]))
    _approve(checker, correction, "批准1,003.81元", "Approve 1,003.81 yuan")
    line = PayLine.objects.get(run=correction)
    employee.open(reverse("kpi:my_pay"))
    expect(employee.page.locator(".pay-sum").first).to_contain_text("5,019.03")
    answers(
        employee,
        f'main a[href="{reverse("kpi:my_pay_line", args=[line.pk])}"]',
        "补发1,003.81元",
        "1,003.81 yuan more",
    )
    assert list(PayLine.objects.filter(run=run).order_by("pk").values()) == before


# --- 5. the honour ------------------------------------------------------------------------------------------------------------
def _nominate(world, hr: Visitor, colleague: Visitor) -> AwardRound:
    """HR opens a round; a colleague puts somebody forward and sees what was found."""
    hr.open(reverse("kpi:honours_desk"))
    hr.press(f'main a[href="{reverse("kpi:new_round", args=[AwardProgramme.objects.get().pk])}"]')
    for name, value in {
        "name": STAR["zh-hans"],
        "name_en": STAR["en"],
        "first_month": "2026-10",
        "last_month": "2026-10",
        "nominate_until": "2026-11-23",
        "committee": "N-boss\nN-hr2\nN-hr3",
    }.items():
        hr.page.fill(f'[name="{name}"]', value)
    answers(hr, "main form.form button[type=submit]", "本轮评选已开放提名。", "The round is open for nominations.")
    round = AwardRound.objects.get()
    colleague.sign_in("N-E2")
    colleague.open(reverse("kpi:honours"))
    colleague.press(f'main a[href="{reverse("kpi:nominate", args=[round.pk])}"]')
    colleague.page.fill('[name="employee"]', "N-E1")
    colleague.page.fill('[name="citation"]', WHY["zh-hans"])
    colleague.page.fill('[name="citation_en"]', WHY["en"])
    colleague.press("main form.form button[type=submit]")
    reads(
        colleague,
        "要求：不低于100%。实际：100%，依据1个指标值。",
        "Asked for: at least 100 %. Found: 100 %, from 1 measure.",
    )
    assert Nomination.objects.get().state == Nomination.State.ELIGIBLE
    return round


def _vote(hr: Visitor, round: AwardRound, committee: list[tuple[Visitor, str]]) -> None:
    """Three members vote; then the name is public."""
    hr.open(reverse("kpi:honours_round", args=[round.pk]))
    hr.press(f'form[action="{reverse("kpi:begin_vote", args=[round.pk])}"] button')
    nomination = Nomination.objects.get()
    for member, number in committee:
        if number:
            member.sign_in(number)
        member.open(reverse("kpi:honours"))
        member.press(f'main a[href="{reverse("kpi:vote", args=[round.pk])}"]')
        member.page.locator('label:has(input[name="choice"][value="yes"])').click()
        member.press(f'form[action="{reverse("kpi:cast", args=[nomination.pk])}"] button[type=submit]')
        reads(member, "您对沈月的投票已记录。", "Your vote on Shen Yue 沈月 is kept.")
    hr.open(reverse("kpi:honours_round", args=[round.pk]))
    answers(
        hr,
        f'form[action="{reverse("kpi:make_public", args=[round.pk])}"] button',
        "1项名单公示至2026年11月29日。",
        "1 name is public until 29 November 2026.",
    )
    reads(
        hr,
        "赞成3，反对0，弃权0，回避0；可参加表决3人。 通过。",
        "For 3, against 0, abstained 0, recused 0; 3 may vote. Carried.",
    )


def _made_public(nominee: Visitor) -> None:
    """Everybody reads the name and why, the person too."""
    nominee.open(reverse("kpi:honours"))
    reads(nominee, "公示至2026年11月29日。", "Public until 29 November 2026.")
    expect(nominee.page.locator(".public-name .citation")).to_have_text(WHY[nominee.language])


def _grant(hr: Visitor, nominee: Visitor, round: AwardRound) -> None:
    """After the days of publicity HR grants; the person has a certificate, and everybody sees the wall."""
    hr.open(reverse("kpi:honours_round", args=[round.pk]))
    answers(
        hr,
        f'form[action="{reverse("kpi:grant", args=[round.pk])}"] button',
        "已授予1项荣誉，并在荣誉墙展示。",
        "1 award is granted and hangs on the wall.",
    )
    award = Award.objects.get()
    nominee.open(reverse("kpi:honours"))
    expect(nominee.page.locator(".own-award h3")).to_have_text(STAR[nominee.language])
    nominee.press(f'main a[href="{reverse("certificates:detail", args=[award.certificate_id])}"]')
    paper = nominee.page.locator(".certificate__paper")
    expect(paper.locator(".certificate__sentence")).to_have_text("荣获「十月服务之星」称号，特发此证。")
    expect(paper.locator(".certificate__sentence-en")).to_have_text("is honoured as “Service star of October”.")
    expect(paper.locator("dd").first).to_have_text("2026-000001")
    nominee.open(reverse("kpi:honours"), look=False)
    nominee.press(nominee.page.locator("main .cluster a.button--secondary").first)
    expect(nominee.page.locator(".wall__title h2")).to_have_text(STAR[nominee.language])
    expect(nominee.page.locator(".portrait__name")).to_have_text(
        {"zh-hans": "沈月", "en": "Shen Yue 沈月"}[nominee.language]
    )
    expect(nominee.page.locator(".portrait__said")).to_have_text(WHY[nominee.language])
