"""Reviews in the demo company: one quarter closed, one published with objections in every state, and one month being rated.

Told after the rules and the measures. The second person of HR calibrates and publishes, so that HR of the cast, who had no
hand in it, decides the objections.
"""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import TYPE_CHECKING

from django.utils import timezone

from core.periods import Month
from kpi.domain import appeals, calibrating, measures, ratings, reviews, rules
from kpi.domain.parameters import scorecard_rule
from kpi.domain.scoring import band_of
from kpi.models import CalibrationGroup, Rating, Review, ReviewCycle, Rule
from people.models import OrgUnit, User
from portal.demo import company as story
from portal.demo.performance.rules import CARD, second_hr

if TYPE_CHECKING:
    from portal.demo.builder import Builder

MOST_READERS = 90  # of a cycle, however large the company

_WORDS = {
    5: (
        "主动补位，带着新同事一起把高峰撑下来。",
        "客户点名表扬三次，细节处处替人想到。",
        "方法讲得清，愿意教，整个班都跟着变好。",
    ),
    4: ("稳，交代的事都有回音。", "服务细致，遇事先想办法。", ""),
    3: ("完成本职，望多带一带新人。", "", ""),
    2: ("交接班常有遗漏，已谈过一次。",),
}
_RAISES = (
    (Decimal("1.50"), "抗洪抢修连续值守七天，计分卡里没有对应的项目。"),
    (Decimal("1.00"), "新店开业期间兼两个岗位，经三省人力资源对照后上调。"),
)
_HELD = "本组达到 A 等的人数多于名额，按总分从低到高顺延；总分不变，余下的名额结转下一周期。"


def tell_reviews(builder: Builder) -> list[ReviewCycle]:
    """Tell the last two whole quarters and the month that is being rated now; returns the cycles, the oldest first."""
    last = builder.month.previous
    while last.month % 3:
        last = last.previous
    told = []
    for end, closed in ((last.plus(-3), True), (last, False)):
        cycle = tell_quarter(builder, first_month=end.plus(-2), closed=closed)
        if cycle is not None:
            told.append(cycle)
    month = rate_a_month(builder, builder.month.previous)
    return [*told, *([month] if month else [])]


def tell_quarter(builder: Builder, *, first_month: Month, closed: bool) -> ReviewCycle | None:
    """Review everybody of the front line over a quarter: rated, some calibrated, published, most read, some contested.

    ``closed``: everything is decided and final; else the results were published some days ago, and of three objections one
    is upheld, one rejected and one open. None before the rule was in force.
    """
    last_month, hr, second = first_month.plus(2), builder.users[story.HR], second_hr(builder)
    version = rules.version_in_force(Rule.objects.get(code=CARD), first_month.first_day)
    if version is None:
        return None
    quarter = (last_month.month + 2) // 3
    begin = last_month.last_day + dt.timedelta(days=3)
    if not closed:
        begin = max(begin, builder.today - dt.timedelta(days=19))

    def on(days: int, hour: int = 9, minute: int = 0) -> dt.datetime:
        return timezone.make_aware(dt.datetime.combine(begin + dt.timedelta(days=days), dt.time(hour, minute)))

    cycle = reviews.save_cycle(
        cycle=None,
        name=f"{last_month.year}年第{'一二三四'[quarter - 1]}季度考核",
        name_en=f"Review of quarter {quarter}, {last_month.year}",
        kind=ReviewCycle.Kind.QUARTERLY,
        scope=builder.units[story.GROUP.code],
        version=version,
        first_month=first_month,
        last_month=last_month,
        snapshot_on=last_month.last_day,
        deadlines=reviews.Deadlines(on(5, 23, 59), on(8, 23, 59), on(10, 23, 59)),
        appeal_days=7,
        by=hr,
        at=on(0, 8),
    )
    reviews.announce_cycle(cycle=cycle, by=hr, at=on(0))
    cycle = _fresh(cycle)
    reviews.open_cycle(cycle=cycle, by=hr, at=on(0, 10))
    _rate(builder, _fresh(cycle), at=on(4, 15))
    calibrating.start_calibrating(cycle=_fresh(cycle), level=OrgUnit.Kind.PROVINCE, by=second, at=on(11))
    _calibrate(_fresh(cycle), by=second, at=on(12))
    reviews.publish_cycle(cycle=_fresh(cycle), by=second, at=on(13))
    _read(cycle, at=on(14), share=0.9 if closed else 0.75)
    _object(cycle, hr, first=on(15), decided=on(17), leave_one_open=not closed)
    if closed:
        reviews.close_cycle(cycle=_fresh(cycle), by=hr, at=on(30))
    return _fresh(cycle)


def rate_a_month(builder: Builder, month: Month) -> ReviewCycle | None:
    """A month that the managers of one city rate now: the manager of the cast has the team still to do."""
    version = rules.version_in_force(Rule.objects.get(code=CARD), month.first_day)
    if version is None:
        return None
    hr, branch = builder.users[story.HR], builder.units[story.CAST[story.MANAGER][0]]
    city = OrgUnit.objects.get(pk=branch.pk).get_parent() or branch
    at = builder.now - dt.timedelta(days=2)

    def until(days: int) -> dt.datetime:
        day = builder.today + dt.timedelta(days=days)
        return timezone.make_aware(dt.datetime.combine(day, dt.time(23, 59)))

    cycle = reviews.save_cycle(
        cycle=None,
        name=f"{month.year}年{month.month}月考核",
        name_en=f"Review of {month.first_day:%B %Y}",
        kind=ReviewCycle.Kind.MONTHLY,
        scope=city,
        version=version,
        first_month=month,
        last_month=month,
        snapshot_on=month.last_day,
        deadlines=reviews.Deadlines(until(1), until(2), until(3)),
        appeal_days=7,
        by=hr,
        at=at,
    )
    reviews.announce_cycle(cycle=cycle, by=hr, at=at + dt.timedelta(hours=1))
    reviews.open_cycle(cycle=_fresh(cycle), by=hr, at=at + dt.timedelta(hours=2))
    own = builder.people[story.CAST_NUMBERS[story.MANAGER]]
    _rate(builder, _fresh(cycle), at=at + dt.timedelta(hours=6), but=own.pk)
    return _fresh(cycle)


def _fresh(cycle: ReviewCycle) -> ReviewCycle:
    return ReviewCycle.objects.select_related("scope", "version__rule__scope").get(pk=cycle.pk)


def _rate(builder: Builder, cycle: ReviewCycle, *, at: dt.datetime, but: int = 0) -> None:
    """The managers with a sign-in rate, each in a hand of their own; ``but`` one of them has not begun."""
    lines = [line["code"] for line in cycle.version.parameters["lines"] if line["kind"] == "rating"]
    rows = Rating.objects.filter(review__cycle=cycle, role=Rating.Role.MANAGER, rater__user__isnull=False)
    rows = rows.exclude(rater=but).select_related(
        "review__cycle__version__rule", "review__employee", "review__unit", "rater__user__employee"
    )
    for place, rating in enumerate(rows.order_by("review__employee__employee_no")):
        chance = random.Random(f"{story.SEED}-{cycle.last_month}-{rating.review.employee.employee_no}")  # noqa: S311
        stars = chance.choices((5, 4, 3, 2), weights=(20, 45, 30, 5))[0]
        words = chance.choice(_WORDS[stars])
        ratings.rate(
            rating=rating,
            answers=dict.fromkeys(lines, stars),
            comment=words,
            hand_in=True,
            by=rating.rater.user,
            at=at + dt.timedelta(seconds=20 * place),
        )


def _calibrate(cycle: ReviewCycle, *, by: User, at: dt.datetime) -> None:
    """Two totals are raised with a reason, what is above the places for the top grade is held back, every group is settled."""
    rows = Review.objects.filter(cycle=cycle, scorecard__veto="", scorecard__isnull=False, total__lt=92)
    rows = rows.exclude(employee__user=by).select_related(*reviews.WITH).order_by("-total", "employee__employee_no")
    for (more, reason), review in zip(_RAISES, rows[3:30:9], strict=False):
        calibrating.adjust_total(review=review, total=(review.total or 0) + more, reason=reason, by=by, at=at)
    for group in CalibrationGroup.objects.filter(cycle=cycle).select_related(
        "unit", "cycle__version__rule", "cycle__scope"
    ):
        rule = scorecard_rule(cycle.version.parameters)
        above = [one.pk for one in calibrating.proposed(group, rule)]
        if above:
            held = Review.objects.filter(pk__in=above).select_related(*reviews.WITH)
            calibrating.hold_back(group=group, reviews=list(held), reason=_HELD, by=by, at=at + dt.timedelta(hours=2))
        calibrating.settle_group(group=group, by=by, at=at + dt.timedelta(hours=3))


def _read(cycle: ReviewCycle, *, at: dt.datetime, share: float) -> None:
    """Some have read their result; the employee of the cast has it still to read."""
    rows = Review.objects.filter(cycle=cycle, state=Review.State.PUBLISHED, employee__user__isnull=False)
    rows = rows.exclude(employee__employee_no=story.CAST_NUMBERS[story.EMPLOYEE]).select_related(*reviews.WITH)
    for place, review in enumerate(rows.order_by("employee__employee_no")[:MOST_READERS]):
        if random.Random(f"{cycle.last_month}-{review.employee.employee_no}").random() < share:  # noqa: S311
            reviews.acknowledge_review(review=review, by=review.employee.user, at=at + dt.timedelta(seconds=90 * place))


def _object(
    cycle: ReviewCycle, decider: User, *, first: dt.datetime, decided: dt.datetime, leave_one_open: bool
) -> None:
    """Three objections: a complaint that was not hers (upheld), a mark that stands (rejected), a rating (open, or rejected)."""
    rows = Review.objects.filter(cycle=cycle, state__in=[Review.State.PUBLISHED, Review.State.ACKNOWLEDGED])
    rows = rows.filter(employee__user__isnull=False).exclude(employee__user=decider)
    rows = rows.exclude(employee__employee_no__in=story.CAST_NUMBERS.values()).select_related(*reviews.WITH)
    people = list(rows.order_by("total", "employee__employee_no")[:120])
    blamed = [one for one in people if _liable(one) is not None]
    wrong = next(filter(_rises_without, blamed), blamed[0] if blamed else None)
    rest = [one for one in people if one is not wrong]
    if wrong is not None:
        words = "这起投诉的责任在物流环节，工单和录音都在，请再核对。"
        appeal = appeals.contest(review=wrong, text=words, line="complaints", by=wrong.employee.user, at=first)
        liable = _liable(wrong)
        appeals.decide(
            appeal=appeal,
            uphold=True,
            text="核对工单与录音，责任确不在本人，更正为零；感谢指出。",
            corrections={liable.pk: Decimal(0)} if liable else {},
            by=decider,
            at=decided,
        )
    later = first + dt.timedelta(hours=2)
    if len(rest) > 8:
        review = rest[4]
        words = "考试那天系统很卡，我认为成绩应该按补考算。"
        appeal = appeals.contest(review=review, text=words, line="exam", by=review.employee.user, at=later)
        words = "当天记录显示作答用时正常，未中断；补考不影响已完成的月份。您可以在下月重新证明。"
        appeals.decide(appeal=appeal, uphold=False, text=words, by=decider, at=decided + dt.timedelta(hours=1))
        review = rest[8]
        words = "主管评价偏低：我这个季度带了两位新同事，请再看一看。"
        appeal = appeals.contest(
            review=review, text=words, line="manager", by=review.employee.user, at=later + dt.timedelta(hours=1)
        )
        if not leave_one_open:
            words = "与主管核对了记录，带教已计入加分项，评价维持。"
            appeals.decide(appeal=appeal, uphold=False, text=words, by=decider, at=decided + dt.timedelta(hours=2))


def _rises_without(review: Review) -> bool:
    """Is the grade better once a liable complaint is taken away, so that pay is corrected as well?"""
    liable, card = _liable(review), review.scorecard
    if liable is None or card is None or card.veto or review.total is None:
        return False
    rule = scorecard_rule(review.cycle.version.parameters)
    line = card.lines.get(code="complaints")
    cost = dict(next(one.counts for one in rule.lines if one.code == "complaints"))["complaints_liable"]
    back = min(liable.value * cost, 100 - (line.score or 0)) * line.weight_counted / 100
    return band_of(rule, review.total).grade == review.grade != band_of(rule, review.total + back).grade


def _liable(review: Review):
    """A measure in force of liable complaints of the review's months that costs something."""
    rows = measures.in_force().filter(
        employee=review.employee_id,
        indicator__code="complaints_liable",
        value__gt=0,
        month__gte=review.cycle.first_month,
        month__lte=review.cycle.last_month,
    )
    return rows.select_related("indicator").order_by("-month").first()
