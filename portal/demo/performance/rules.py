"""The rules of the demo company: the scorecards of the front line and of units, performance pay and the service star.

With their history: the scorecard of last year is in force and a gentler one is announced, the pay rule is in force and its
next version in consultation, the rest is in force. Most have read what is announced; some have not, the employee of the cast among them.
"""

from __future__ import annotations

import copy
import datetime as dt
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from courses.models import Audience
from kpi.domain import rules
from kpi.models import ConsultationNote, Rule, RuleVersion
from people.domain.invitations import accept_invitation, recover
from people.domain.roles import grant_role
from people.models import Employee, RoleGrant, User
from portal.demo import company as story
from portal.demo.performance.measures import make_indicators

if TYPE_CHECKING:
    from portal.demo.builder import Builder

CARD, UNIT_CARD, PAY, STAR = "front-line-card", "unit-card", "performance-pay", "service-star"
MOST_READERS = 240  # who acknowledges in the demo, however large its company

_Kind = ConsultationNote.Kind

CARD_PARAMETERS: dict[str, Any] = {
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
            "points": [["70", "60"], ["80", "80"], ["90", "95"], ["95", "105"]],
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
    "top_share": "20",
}
UNIT_PARAMETERS: dict[str, Any] = {
    "lines": [
        {
            "code": "training",
            "name_zh": "培训完成率",
            "name_en": "Training completion",
            "kind": "curve",
            "weight": "30",
            "indicators": ["training"],
            "points": [["60", "0"], ["100", "100"]],
        },
        {
            "code": "satisfaction",
            "name_zh": "客户满意度",
            "name_en": "Customer satisfaction",
            "kind": "curve",
            "weight": "30",
            "indicators": ["satisfaction"],
            "points": [["70", "50"], ["80", "80"], ["86", "95"], ["90", "100"]],
        },
        {
            "code": "inspection",
            "name_zh": "明查暗访",
            "name_en": "Inspections",
            "kind": "curve",
            "weight": "20",
            "indicators": ["inspection"],
            "points": [["70", "50"], ["90", "95"], ["95", "100"]],
        },
        {
            "code": "sales",
            "name_zh": "销售完成率",
            "name_en": "Sales against target",
            "kind": "curve",
            "weight": "20",
            "indicators": ["sales"],
            "points": [["60", "40"], ["90", "85"], ["100", "100"], ["110", "110"]],
        },
    ],
    "bands": [
        {"grade": "A", "from": "97", "coefficient": "1.05"},
        {"grade": "B", "from": "90", "coefficient": "1.00"},
        {"grade": "C", "from": "0", "coefficient": "0.95"},
    ],
}
PAY_PARAMETERS: dict[str, Any] = {
    "pool": {"mode": "closed", "share": "people"},
    "reserve_share": "5",
    "without_review": "1.00",
    "unit_bands": [
        {"grade": "A", "coefficient": "1.05"},
        {"grade": "B", "coefficient": "1.00"},
        {"grade": "C", "coefficient": "0.95"},
    ],
}
STAR_PARAMETERS: dict[str, Any] = {
    "places": 10,
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
            "name_zh": "没有有责投诉",
            "name_en": "No liable complaint",
            "indicator": "complaints_liable",
            "at_most": "0",
        },
    ],
}

TEXTS = Path(__file__).parent / "texts"


def _text(code: str, number: int) -> dict[str, Any]:
    """What staff read of one version, in both languages."""
    return {
        f"text_{language}": (TEXTS / f"{code}.{number}.{language}.txt").read_text(encoding="utf-8")
        for language in ("zh", "en")
    }


def tell_of_rules(builder: Builder) -> dict[str, Rule]:
    """Make the rules with their history and let people read them; returns them by code."""
    make_indicators(builder)
    hr, second = builder.users[story.HR], second_hr(builder)
    front = Audience.objects.get(name_en="Front-line sales and service")
    first = builder.first_month.first_day
    start = builder.beginning
    card = _rule(builder, Rule.Family.SCORECARD, CARD, "网点员工计分卡", "Scorecard of branch staff", front, at=start)
    unit_card = _rule(
        builder, Rule.Family.SCORECARD, UNIT_CARD, "单位计分卡", "Scorecard of units", None, at=start, of_units=True
    )
    pay = _rule(builder, Rule.Family.PAY, PAY, "一线绩效工资办法", "Performance pay of the front line", front, at=start)
    star = _rule(builder, Rule.Family.AWARD, STAR, "服务明星评选办法", "Service stars", None, at=start)
    parameters = {
        CARD: CARD_PARAMETERS,
        UNIT_CARD: UNIT_PARAMETERS,
        PAY: PAY_PARAMETERS,
        STAR: STAR_PARAMETERS,
    }
    notes = {CARD: _FIRST_CARD, UNIT_CARD: _FIRST_UNIT_CARD, PAY: _FIRST_PAY, STAR: _FIRST_STAR}
    published = {}
    for place, rule in enumerate((card, unit_card, pay, star)):
        version = rules.propose_version(
            rule=rule,
            parameters=parameters[rule.code],
            by=hr,
            at=start + dt.timedelta(hours=place),
            **_text(rule.code, 1),
        )
        version = _consult(builder, version, notes[rule.code], at=start + dt.timedelta(hours=3 + place))
        at = start + dt.timedelta(days=6, hours=place)
        published[rule.code] = rules.publish_version(version=version, effective_from=first, by=second, at=at)
    announced = _next_card(builder, card, by=hr, publisher=second)
    _pay_in_consultation(builder, pay, by=hr)
    _read(builder, published, announced)
    return {rule.code: rule for rule in (card, unit_card, pay, star)}


def second_hr(builder: Builder) -> User:
    """Another person of the group's HR department: who publishes what the first one drafts."""
    hr = builder.people[story.CAST_NUMBERS[story.HR]]
    others = Employee.objects.filter(unit=hr.unit, user__isnull=False, state=Employee.State.ACTIVE).exclude(pk=hr.pk)
    other = others.order_by("employee_no").select_related("user").first()
    if other is None or other.user is None:
        raise LookupError("the HR department of the demo has one person with a sign-in")
    root = builder.units[story.GROUP.code]
    if not RoleGrant.objects.filter(user=other.user, role=RoleGrant.Role.HR, unit=root).exists():
        grant_role(user=other.user, role=RoleGrant.Role.HR, unit=root, by=None, at=builder.beginning)
        _link, token = recover(employee=other, by=builder.users[story.ADMIN], at=builder.beginning)
        accept_invitation(token=token, password=story.PASSPHRASE, at=builder.beginning + dt.timedelta(minutes=5))
    return other.user


def _rule(
    builder: Builder, family: str, code: str, name: str, name_en: str, audience, *, at: dt.datetime, of_units=False
) -> Rule:
    return rules.make_rule(
        family=family,
        subject=Rule.Subject.UNIT if of_units else Rule.Subject.EMPLOYEE,
        code=code,
        name=name,
        name_en=name_en,
        scope=builder.units[story.GROUP.code],
        audience=audience,
        by=builder.users[story.HR],
        at=at,
    )


# (kind, words, hours after the consultation began)
_FIRST_CARD = (
    (
        _Kind.MEETING,
        (
            "三省人力资源与网点代表视频会，26人参加：同意五项指标，建议监管投诉设封顶而不是清零。 / "
            "Video meeting of HR and branches of three provinces, 26 people: agreed on the five "
            "lines, and on a cap instead of a zero for complaints to the regulator."
        ),
        5,
    ),
    (
        _Kind.COMMENT,
        (
            "新员工第一个月没有满意度数据，会不会算零分？ / "
            "New colleagues have no satisfaction score in their first month. Is that a zero?"
        ),
        25,
    ),
    (
        _Kind.ANSWER,
        (
            "不会。没有数据的项目不计分，其余各项按比例补足。 / "
            "No. A line without data drops out and the others take its weight."
        ),
        29,
    ),
)
_FIRST_UNIT_CARD = (
    (
        _Kind.MEETING,
        (
            "各省分管领导与市公司代表会，14人参加：不打主观分，只用月度关闭后的指标；系数上下各5%。 / "
            "Meeting of the provinces and cities, 14 people: no ratings, only measures of closed months; "
            "the coefficient goes 5 % up or down."
        ),
        4,
    ),
)
_FIRST_PAY = (
    (
        _Kind.MEETING,
        (
            "职工代表座谈，11人参加：要求预留金用于申诉补发，已写入。 / "
            "Meeting with 11 staff representatives: a reserve for upheld objections was asked for "
            "and is written in."
        ),
        6,
    ),
)
_FIRST_STAR = (
    (
        _Kind.COMMENT,
        ("装维同事见不到客户评价，也能参评吗？ / Can field engineers be nominated as well?"),
        6,
    ),
    (
        _Kind.ANSWER,
        ("可以，条件里没有满意度一项。 / Yes; satisfaction is not among the conditions."),
        27,
    ),
)
_NEXT_CARD = (
    (
        _Kind.COMMENT,
        (
            "月底高峰系统排队，超时回复不全是我们的问题。 / "
            "At the end of the month the system queues; late replies are not all our fault."
        ),
        4,
    ),
    (
        _Kind.COMMENT,
        ("建议扣分减半。 / Please halve what it costs."),
        6,
    ),
    (
        _Kind.ANSWER,
        ("已由5分减为3分，信息技术部同时扩容。 / It is 3 points instead of 5 now, and IT adds capacity."),
        28,
    ),
)
_NEXT_PAY = (
    (
        _Kind.MEETING,
        (
            "江苏、四川两省座谈，18人参加：多数赞成设上限，对180% 有不同意见。 / "
            "Meetings in Jiangsu and Sichuan, 18 people: most want a cap, not all like 180 %."
        ),
        5,
    ),
    (
        _Kind.COMMENT,
        ("上限会不会打击积极性？ / Does a cap not take the drive away?"),
        7,
    ),
)


def _consult(builder: Builder, version: RuleVersion, notes, *, at: dt.datetime) -> RuleVersion:
    """Put it to consultation and let people say what they said; HR meets and answers, employees comment."""
    hr = builder.users[story.HR]
    branch = builder.units[story.CAST[story.MANAGER][0]]
    commenting = [
        one.user
        for one in Employee.objects.filter(unit=branch, user__isnull=False, state=Employee.State.ACTIVE)
        .exclude(employee_no__in=story.CAST_NUMBERS.values())
        .select_related("user")
        .order_by("employee_no")
    ] or [hr]
    version = rules.begin_consultation(version=version, by=hr, at=at)
    for place, (kind, words, hours) in enumerate(notes):
        by = commenting[place % len(commenting)] if kind == _Kind.COMMENT else hr
        said_at = min(at + dt.timedelta(hours=hours), builder.now)
        rules.add_note(version=version, kind=kind, text=words, by=by, at=said_at)
    return version


def _next_card(builder: Builder, card: Rule, *, by: User, publisher: User) -> RuleVersion:
    """The card's second version: a late reply costs less. Published some days ago, in force from next month on."""
    parameters = copy.deepcopy(CARD_PARAMETERS)
    parameters["lines"][3]["counts"][1]["points"] = "3"
    begun, published = _morning(builder, 9), _morning(builder, 5)
    version = rules.propose_version(rule=card, parameters=parameters, by=by, at=begun, **_text(CARD, 2))
    version = _consult(builder, version, _NEXT_CARD, at=begun + dt.timedelta(hours=2))
    day = max(builder.month.next.first_day, rules.earliest_effect(version=version, on=timezone.localdate(published)))
    return rules.publish_version(version=version, effective_from=day, by=publisher, at=published)


def _morning(builder: Builder, days: int) -> dt.datetime:
    """Nine o'clock so many days ago."""
    return timezone.make_aware(dt.datetime.combine(builder.today - dt.timedelta(days=days), dt.time(9)))


def _pay_in_consultation(builder: Builder, pay: Rule, *, by: User) -> None:
    at = _morning(builder, 2)
    version = rules.propose_version(
        rule=pay,
        parameters=PAY_PARAMETERS | {"cap_share": "180"},
        by=by,
        at=at,
        **_text(PAY, 2),
    )
    _consult(builder, version, _NEXT_PAY, at=at + dt.timedelta(hours=1))


def _read(builder: Builder, published: dict[str, RuleVersion], announced: RuleVersion) -> None:
    """The branch of the cast has read what is in force; five of six have read each card, the announced one the employee not yet."""
    for version in published.values():
        read_in_the_branch(builder, version)
    me = story.CAST_NUMBERS[story.EMPLOYEE]
    for version in (published[CARD], announced):
        readers = rules.people_of(version.rule, builder.today).filter(user__isnull=False).exclude(employee_no=me)
        chance = random.Random(f"{story.SEED}-{version.number}")  # noqa: S311
        for place, one in enumerate(readers.select_related("user").order_by("employee_no")[:MOST_READERS]):
            if chance.random() < 5 / 6:
                _acknowledge(builder, version, one, place)


def read_in_the_branch(builder: Builder, version: RuleVersion) -> None:
    """Everybody of the branch of the cast whom a version concerns has read it."""
    branch = builder.units[story.CAST[story.MANAGER][0]]
    people = rules.people_of(version.rule, builder.today).filter(unit=branch, user__isnull=False)
    for place, one in enumerate(people.select_related("user").order_by("employee_no")):
        _acknowledge(builder, version, one, place)


def _acknowledge(builder: Builder, version: RuleVersion, one: Employee, place: int) -> None:
    since = version.published_at
    assert since is not None and one.user is not None  # published, and chosen by having a sign-in
    at = min(since + dt.timedelta(hours=2 + place % 60, minutes=place * 7 % 60), builder.now)
    if one.hired_on and one.hired_on > timezone.localdate(at):  # joined later and read it on the second day
        at = min(at + (one.hired_on - timezone.localdate(at)) + dt.timedelta(days=1), builder.now)
    rules.acknowledge(version=version, employee=one, by=one.user, at=at)
