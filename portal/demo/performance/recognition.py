"""Recognition in the demo company: an honour of each kind, rounds at every step, and thanks.

Service stars, model collectives, QC groups and innovation winners of an earlier quarter hang on the wall; the stars of the
last one are public now, with something said against one of them. A committee has a vote to give on the collectives, and
nominations of stars are open. Told after the rules and the measures.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.utils import timezone

from certificates.domain.issuing import publish_design
from certificates.models import CertificateDesign
from core.periods import Month
from kpi.domain import award_rounds, awards, committee, measures, nominating, rules, thanks
from kpi.models import AwardProgramme, AwardRound, Nomination, Objection, Rule, RuleVersion
from people.models import Employee, OrgUnit, User
from portal.demo import company as story
from portal.demo.performance.rules import STAR, read_in_the_branch, second_hr

if TYPE_CHECKING:
    from portal.demo.builder import Builder

STARS = 8  # names of a quarter


def _figures(places: int, share: int) -> dict[str, Any]:
    """The parameters of an award rule that asks for a share of the training."""
    condition = {
        "code": "training",
        "name_zh": f"培训完成率不低于 {share}%",
        "name_en": f"At least {share} % of the training done",
        "indicator": "training",
        "at_least": str(share),
    }
    return {
        "places": places,
        "quorum": "66.67",
        "majority": "50",
        "publicity_days": 5,
        "conditions": [condition],
    }


_Kind = AwardProgramme.Kind
# code: (Chinese, English, given to, parameters); the service star is told with the rules
HONOURS = {
    "model-collective": ("先进集体评选办法", "Model collectives", _Kind.UNIT, _figures(3, 95)),
    "qc-group": ("优秀QC小组评选办法", "QC groups of merit", _Kind.TEAM, _figures(2, 90)),
    "innovation-winner": ("创新优胜项目评选办法", "Innovation winners", _Kind.PROJECT, _figures(2, 90)),
}

_CITATIONS = (
    (
        "老人听不清套餐说明，就把每一项写在纸上，一字一句念，下班后又送到家里。",
        "An old man could not follow the tariff: wrote every line on paper, read it to him, and took it to his home after work.",
    ),
    (
        "暴雨断网那天，在机房守了一夜，第二天照常开门，没有一位客户空手离开。",
        "Stayed all night when the storm cut the lines, opened on time, and no customer left without an answer.",
    ),
    (
        "连续三个月零投诉。同事说：从不急着解释，总是先听完。",
        "Three months without one complaint. Colleagues say: never hurries to explain, hears people out first.",
    ),
    (
        "把六步销售法编成一张小卡片，新同事三天就能上柜台。",
        "Put the six-step sale on one small card; new colleagues are ready for the counter in three days.",
    ),
    (
        "发现客户被冒名办卡，当场冻结并陪同报案，替客户挽回损失。",
        "Noticed a card taken out in a customer’s name, froze it at once and went to the police with her.",
    ),
    (
        "自学手语，听障客户专程坐两站地铁来办业务。",
        "Learned sign language alone; deaf customers come two stops by underground to be served.",
    ),
    (
        "带出了四名徒弟，每一位都在第一个月按时学完、考过。",
        "Taught four newcomers, and every one of them finished and passed in the first month.",
    ),
    (
        "高峰期主动到大堂引导，平均等候时间少了六分钟。",
        "Went out to guide the queue at the busiest hour; people wait six minutes less.",
    ),
)
_COLLECTIVE = (
    (
        "全员每月按时学完，互相补位，开业以来没有一次空岗。",
        "Everybody finishes on time, month after month; they stand in for each other, and no counter was ever left empty.",
    ),
    (
        "把晨会改成十分钟案例分享，做法已在全市推广。",
        "Turned the morning meeting into ten minutes of cases; the whole city does it now.",
    ),
    (
        "拆迁期间在临时板房营业四个月，客户满意度不降反升。",
        "Four months in a container while the street was rebuilt, and customers were happier than before.",
    ),
)
# Who did it together: (name, English name, what they did, the same in English)
_GROUPS = {
    "qc-group": (
        (
            "守时QC小组",
            "QC group On Time",
            "用鱼骨图查出排队超时的七个原因，逐条试验，平均等候由 14 分钟降到 8 分钟，做法已写进网点作业指导书。",
            "Found seven reasons for long queues with a fishbone chart and tried a cure for each: "
            "people wait 8 minutes instead of 14, and the branch handbook now says how.",
        ),
        (
            "首修QC小组",
            "QC group First Visit",
            "三个月做了 42 次对照测试，宽带一次修复率由 81% 提高到 93%，返工少了一半以上。",
            "Forty-two trials in three months: 93 % of the lines are mended at the first visit, up from 81 %, "
            "and second visits are down by more than half.",
        ),
    ),
    "innovation-winner": (
        (
            "老友记适老服务",
            "Old Friends, a service for older customers",
            "把大字账单、语音播报和上门办理连成一套流程，三个市公司试点，老年客户重复来电少了四成。",
            "Bills in large print, read aloud, and visits at home, made into one service: "
            "in three cities, repeat calls of older customers are down by forty per cent.",
        ),
        (
            "政企合同核对工具",
            "Checking tool for business contracts",
            "利用业余时间写出核对工具，合同复核由半天缩短到十分钟，上线以来没有漏过一处错价。",
            "Written after hours: a contract is checked in ten minutes instead of half a day, "
            "and no wrong price has slipped through since.",
        ),
    ),
}
_THANKS = (
    "谢谢您替我顶了晚班，孩子退烧了。",
    "Thank you for staying with the angry customer until he laughed.",
    "您教我的三句开场白，今天真的用上了！",
    "盘点那天多亏有您，一分不差。",
    "Thanks for explaining the new tariff three times without a sigh.",
    "客户送来的锦旗，也有您的一半。",
)
_WORDS = {
    True: "是我提名的 / I put them forward",
    False: "同一单位或有汇报关系 / same unit or reporting line",
}


@dataclass(frozen=True)
class _Days:
    """When a round was opened, voted on, made public and granted."""

    opened: dt.datetime
    voted: dt.datetime
    public: dt.datetime
    granted: dt.datetime

    @property
    def until(self) -> dt.date:
        return timezone.localdate(self.voted) - dt.timedelta(days=1)


def honour_the_best(builder: Builder) -> None:
    """Four honours with their rounds, and thanks. The rules and the measures have been told before."""
    star = _programme(builder, Rule.objects.get(code=STAR), _Kind.PERSON, _design(builder))
    made = {
        code: _programme(builder, _award_rule(builder, code), kind, star.design)
        for code, (_zh, _en, kind, _parameters) in HONOURS.items()
    }
    collective = made["model-collective"]
    last = _last_quarter(builder.month)
    before = last.plus(-3)
    _stars(builder, star, before, _long_ago(before), granted=True)
    _collectives(builder, collective, before, _long_ago(before))
    _groups(builder, made["qc-group"], before, "优秀QC小组", "QC groups of merit", field=False)
    _groups(builder, made["innovation-winner"], before, "创新优胜项目", "Innovation winners", field=True)
    _stars(builder, star, last, _now(builder), granted=False)
    _committee_at_work(builder, collective, last)
    _open(builder, star)
    _thank(builder)
    builder.say(f"{Nomination.objects.count()} nominations in {AwardRound.objects.count()} rounds of honours")


def _last_quarter(month: Month) -> Month:
    """The last month of the newest quarter that is closed for sure: two months back at least."""
    found = month.plus(-2)
    while found.month % 3:
        found = found.previous
    return found


def _noon(day: dt.date) -> dt.datetime:
    return timezone.make_aware(dt.datetime.combine(day, dt.time(12)))


def _long_ago(quarter: Month) -> _Days:
    first = quarter.next.first_day
    return _Days(*(_noon(first + dt.timedelta(days=days)) for days in (9, 21, 25, 32)))


def _now(builder: Builder) -> _Days:
    return _Days(*(builder.now - dt.timedelta(days=days, hours=2) for days in (18, 6, 2, 0)))


def _design(builder: Builder) -> CertificateDesign:
    design = CertificateDesign.objects.create(
        name="荣誉证书 / Honour",
        title_zh="荣誉证书",
        title_en="Certificate of Honour",
        sentence_zh="荣获「{course}」称号，特发此证，以资鼓励。",
        sentence_en="is honoured as “{course}”, with the thanks of all colleagues.",
        issuer_zh="华信通服务集团",
        issuer_en="Huaxintong Service Group",
        seal_text="华信通服务集团",
        border=CertificateDesign.Border.RIBBON,
        accent="#8F1C15",
    )
    publish_design(design=design, at=builder.beginning)
    return design


def _programme(builder: Builder, rule: Rule, kind: str, design: CertificateDesign) -> AwardProgramme:
    at = builder.beginning + dt.timedelta(days=8)
    return award_rounds.make_programme(rule=rule, kind=kind, design=design, by=builder.users[story.HR], at=at)


def _award_rule(builder: Builder, code: str) -> Rule:
    hr, at = builder.users[story.HR], builder.beginning
    name, name_en, _kind, parameters = HONOURS[code]
    rule = rules.make_rule(
        family=Rule.Family.AWARD,
        code=code,
        name=name,
        name_en=name_en,
        scope=builder.units[story.GROUP.code],
        by=hr,
        at=at,
    )
    texts = Path(__file__).parent / "texts"
    words = {f"text_{language}": (texts / f"{code}.1.{language}.txt").read_text("utf-8") for language in ("zh", "en")}
    version = rules.propose_version(rule=rule, parameters=parameters, by=hr, at=at, **words)
    version = rules.begin_consultation(version=version, by=hr, at=at + dt.timedelta(hours=1))
    version = rules.publish_version(
        version=version,
        effective_from=builder.first_month.first_day,
        by=second_hr(builder),
        at=at + dt.timedelta(days=5),
    )
    read_in_the_branch(builder, version)
    return rule


def _round(builder: Builder, programme: AwardProgramme, last: Month, days: _Days, name: str, name_en: str, **more):
    return award_rounds.open_round(
        programme=programme,
        version=_version(programme, days.opened),
        name=name,
        name_en=name_en,
        first_month=last.plus(-2),
        last_month=last,
        nominate_until=days.until,
        committee=_committee(builder),
        by=builder.users[story.HR],
        at=days.opened,
        **more,
    )


def _version(programme: AwardProgramme, at: dt.datetime) -> RuleVersion:
    found = rules.version_in_force(programme.rule, timezone.localdate(at))
    if found is None:
        raise LookupError(f"no version of {programme.rule.code} is in force")
    return found


def _committee(builder: Builder) -> list[User]:
    """The manager of the cast, and four heads of provinces, cities or departments."""
    manager = builder.people[story.CAST_NUMBERS[story.MANAGER]]
    heads = (
        Employee.objects.filter(position__job_family=story.MANAGEMENT, user__isnull=False, state=Employee.State.ACTIVE)
        .exclude(unit__kind=OrgUnit.Kind.BRANCH)
        .exclude(employee_no__in=story.CAST_NUMBERS.values())
        .select_related("user")
        .order_by("unit__depth", "employee_no")
    )
    return [manager.user, *(one.user for one in heads[:4])]


def _quarter(last: Month) -> tuple[str, str]:
    number = last.month // 3
    return f"{last.year}年第{'一二三四'[number - 1]}季度", f"{last.year} Q{number}"


# --- service stars --------------------------------------------------------------------------------------------------------
def _stars(builder: Builder, programme: AwardProgramme, last: Month, days: _Days, *, granted: bool) -> None:
    zh, en = _quarter(last)
    round = _round(builder, programme, last, days, f"{zh}服务明星", f"Service stars {en}")
    names = _worthy(builder, round, skip=0 if granted else STARS)
    for place, person in enumerate(names):
        citation, citation_en = _CITATIONS[place % len(_CITATIONS)]
        nominating.nominate(
            round=round,
            employee=person,
            citation=citation,
            citation_en=citation_en,
            by=_colleague(person, place),
            at=days.opened + dt.timedelta(hours=5 * place + 3),
        )
    _vote(builder, round, days)
    chosen = committee.make_public(round=round, by=builder.users[story.HR], at=days.public)
    if granted:
        _objections(builder, chosen, days.public, answered=True)
        awards.grant(round=round, by=builder.users[story.HR], at=days.granted)
    else:
        _objections(builder, chosen, days.public, answered=False)


def _worthy(builder: Builder, round: AwardRound, skip: int) -> list[Employee]:
    """People of the front line who meet the conditions, one of a branch, and one who does not."""
    front = list(
        Employee.objects.filter(
            unit__kind=OrgUnit.Kind.BRANCH, position__job_family__in=story.FRONT_LINE, state=Employee.State.ACTIVE
        )
        .exclude(employee_no=story.CAST_NUMBERS[story.MANAGER])
        .select_related("unit", "manager__user", "user")
        .order_by("employee_no")
    )
    good = _meeting(round, front)
    me = next((one for one in good if one.employee_no == story.CAST_NUMBERS[story.EMPLOYEE]), None)
    by_branch: dict[int, Employee] = {}
    for one in good:
        by_branch.setdefault(one.unit_id, one)
    others = [one for one in by_branch.values() if me is None or one.unit_id != me.unit_id]
    apart = max(1, len(others) // STARS)  # from all over the house, others than in the quarter before
    chosen = [*([me] if me and not skip else []), *others[min(skip, apart - 1) :: apart]][:STARS]
    missed = next((one for one in front if one not in good and _is_measured(round, one)), None)
    return [*chosen, *([missed] if missed else [])]


def _meeting(round: AwardRound, people: Iterable[Employee]) -> list[Employee]:
    """Those who meet the conditions of a round, in the order given."""
    there, rule = list(people), award_rounds.rule_of(round)
    found = measures.aggregated(
        employees=[one.pk for one in there],
        indicators=rule.indicators,
        first_month=round.first_month,
        last_month=round.last_month,
    )

    def meets(person: Employee) -> bool:
        values = found.get(person.pk, {})
        return all(
            one.met_by(values[one.indicator].value if one.indicator in values else None) for one in rule.conditions
        )

    return [one for one in there if meets(one)]


def _is_measured(round: AwardRound, person: Employee) -> bool:
    months = {"first_month": round.first_month, "last_month": round.last_month}
    indicators = award_rounds.rule_of(round).indicators
    return person.pk in measures.aggregated(employees=[person.pk], indicators=indicators, **months)


def _colleague(person: Employee, place: int) -> User:
    """Who puts somebody forward: the manager, or somebody beside."""
    if person.manager is not None and person.manager.user is not None and place % 2 == 0:
        return person.manager.user
    beside = (
        Employee.objects.filter(unit=person.unit, user__isnull=False, state=Employee.State.ACTIVE)
        .exclude(pk=person.pk)
        .select_related("user")
        .order_by("-employee_no")
        .first()
    )
    if beside is not None and beside.user is not None:
        return beside.user
    return User.objects.filter(employee__position__job_family=story.MANAGEMENT).order_by("pk")[0]


def _vote(builder: Builder, round: AwardRound, days: _Days, *, without: tuple[int, ...] = ()) -> None:
    committee.begin_voting(round=round, by=builder.users[story.HR], at=days.voted)
    members = list(round.committee.select_related("employee__unit").order_by("pk"))
    standing = round.nominations.filter(state=Nomination.State.ELIGIBLE)
    for place, nomination in enumerate(standing.select_related("employee", "unit", "round").order_by("pk")):
        for seat, member in enumerate(one for one in members if one.pk not in without):
            close = committee.must_recuse(nomination=nomination, member=member)
            choice = "recused" if close else "no" if (place + 2 * seat) % 11 == 9 else "yes"
            committee.vote(
                nomination=nomination,
                member=member,
                choice=choice,
                reason=_WORDS[nomination.by_id == member.pk] if close else "",
                at=days.voted + dt.timedelta(hours=seat + 1),
            )


def _objections(builder: Builder, chosen: list[Nomination], at: dt.datetime, *, answered: bool) -> None:
    if len(chosen) < 2:
        return
    named = chosen[1]
    stranger = (
        Employee.objects.filter(user__isnull=False, state=Employee.State.ACTIVE)
        .exclude(unit=named.unit)
        .exclude(employee_no__in=story.CAST_NUMBERS.values())
        .select_related("user")
        .order_by("-employee_no")
        .first()
    )
    if stranger is None or stranger.user is None:
        return
    words = (
        "九月有一次客户等了四十分钟才办上业务，当时正当班，请核实。 / "
        "In September a customer waited forty minutes during this shift. Please look into it."
    )
    said: Objection = committee.object_to(
        nomination=named, text=words, by=stranger.user, at=at + dt.timedelta(hours=20)
    )
    if answered:
        committee.decide_objection(
            objection=said,
            uphold=False,
            answer=(
                "已调取排队记录：系统故障，当班人员逐一致歉并登记回访。 / "
                "The queue records show a fault of the system; everybody was asked for patience and called back."
            ),
            by=second_hr(builder),
            at=at + dt.timedelta(hours=44),
        )


# --- collectives ----------------------------------------------------------------------------------------------------------
def _branches(builder: Builder, skip: int, number: int) -> list[OrgUnit]:
    codes = sorted(code for code in story.PERFECT if code in builder.units)
    return [builder.units[code] for code in codes[skip:] + codes[:skip]][:number]


def _put_forward(builder: Builder, round: AwardRound, days: _Days, units: list[OrgUnit]) -> None:
    for place, unit in enumerate(units):
        citation, citation_en = _COLLECTIVE[place % len(_COLLECTIVE)]
        nominating.nominate(
            round=round,
            unit=unit,
            citation=citation,
            citation_en=citation_en,
            by=builder.users[story.HR],
            at=days.opened + dt.timedelta(hours=4 * place + 2),
        )


def _collectives(builder: Builder, programme: AwardProgramme, last: Month, days: _Days) -> None:
    zh, en = _quarter(last)
    round = _round(builder, programme, last, days, f"{zh}先进集体", f"Model collectives {en}")
    _put_forward(builder, round, days, _branches(builder, 0, 2))
    _vote(builder, round, days)
    committee.make_public(round=round, by=builder.users[story.HR], at=days.public)
    awards.grant(round=round, by=builder.users[story.HR], at=days.granted)


def _committee_at_work(builder: Builder, programme: AwardProgramme, last: Month) -> None:
    """The vote is under way: everybody but the manager of the cast has voted."""
    zh, en = _quarter(last)
    days = _Days(*(builder.now - dt.timedelta(days=days, hours=3) for days in (14, 2, 0, 0)))
    round = _round(builder, programme, last, days, f"{zh}先进集体", f"Model collectives {en}")
    _put_forward(builder, round, days, _branches(builder, 2, 3))
    _vote(builder, round, days, without=(builder.users[story.MANAGER].pk,))


# --- teams and projects ---------------------------------------------------------------------------------------------------
def _groups(builder: Builder, programme: AwardProgramme, last: Month, name: str, name_en: str, *, field: bool) -> None:
    """A quarter's teams (of one branch each) or projects (from all over the house), granted."""
    zh, en = _quarter(last)
    days = _long_ago(last)
    round = _round(builder, programme, last, days, f"{zh}{name}", f"{name_en} {en}")
    for place, (title, title_en, citation, citation_en) in enumerate(_GROUPS[programme.rule.code]):
        members = _across(builder, round, place) if field else _of_a_branch(builder, round, place)
        if len(members) < 2:  # a very small company
            continue
        nominating.nominate(
            round=round,
            title=title,
            title_en=title_en,
            members=members,
            citation=citation,
            citation_en=citation_en,
            by=_head_of(builder, members),
            at=days.opened + dt.timedelta(hours=4 * place + 3),
        )
    _vote(builder, round, days)
    committee.make_public(round=round, by=builder.users[story.HR], at=days.public)
    awards.grant(round=round, by=builder.users[story.HR], at=days.granted)


def _of_a_branch(builder: Builder, round: AwardRound, place: int) -> list[Employee]:
    """Five of one branch who meet the conditions; who goes out to customers first in the second."""
    unit = _branches(builder, 4 + place, 1)[0]
    there = _meeting(round, _at_work().filter(unit=unit).exclude(position__job_family=story.MANAGEMENT))
    return sorted(there, key=lambda one: place == 1 and not _goes_out(one))[:5]


def _goes_out(person: Employee) -> bool:
    return person.position is not None and person.position.job_family == story.FIELD


def _across(builder: Builder, round: AwardRound, place: int) -> list[Employee]:
    """Four from different units who meet the conditions, whoever sold, served or went out to customers."""
    people = _at_work().filter(position__job_family__in=[story.FIELD, story.SALES, story.SERVICE][place:])
    by_unit: dict[int | None, Employee] = {}
    for one in _meeting(round, people.filter(unit__kind=OrgUnit.Kind.BRANCH).order_by("-employee_no")):
        by_unit.setdefault(one.unit_id, one)
    return list(by_unit.values())[5 * place : 5 * place + 4]


def _at_work() -> QuerySet[Employee]:
    cast = story.CAST_NUMBERS.values()
    found = Employee.objects.filter(state=Employee.State.ACTIVE).exclude(employee_no__in=cast)
    return found.select_related("unit", "position", "manager__user", "user").order_by("employee_no")


def _head_of(builder: Builder, members: list[Employee]) -> User:
    """Who puts a group forward: the manager of its first member."""
    head = members[0].manager
    return head.user if head is not None and head.user is not None else builder.users[story.HR]


# --- now ------------------------------------------------------------------------------------------------------------------
def _open(builder: Builder, programme: AwardProgramme) -> None:
    """The stars of the present quarter: everybody can put somebody forward for some weeks."""
    last = builder.month
    while last.month % 3:
        last = last.next
    zh, en = _quarter(last)
    at = builder.now - dt.timedelta(days=3)
    award_rounds.open_round(
        programme=programme,
        version=_version(programme, at),
        name=f"{zh}服务明星",
        name_en=f"Service stars {en}",
        first_month=last.plus(-2),
        last_month=last,
        nominate_until=last.next.first_day + dt.timedelta(days=9),
        committee=_committee(builder),
        by=builder.users[story.HR],
        at=at,
    )


def _thank(builder: Builder) -> None:
    """Thanks to the employee and the manager of the cast, and between some others."""
    branch = list(
        Employee.objects.filter(unit__code=story.CAST[story.EMPLOYEE][0], state=Employee.State.ACTIVE).order_by(
            "employee_no"
        )
    )
    me = builder.people[story.CAST_NUMBERS[story.EMPLOYEE]]
    boss = builder.people[story.CAST_NUMBERS[story.MANAGER]]
    givers = [one for one in branch if one.pk not in (me.pk, boss.pk)] or [boss]
    for place, words in enumerate(_THANKS):
        receiver = (me, me, boss)[place % 3]
        giver = givers[place % len(givers)]
        if giver.pk != receiver.pk:
            thanks.say_thanks(
                giver=giver,
                receiver=receiver,
                text=words,
                at=builder.now - dt.timedelta(days=5 * place + 1, hours=place),
            )
