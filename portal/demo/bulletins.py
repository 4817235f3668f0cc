"""The demo company publishes the bulletins of its newest closed months."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from bulletins.domain.composing import Wording, compose, marker, pages_of, publish, text_of, write
from bulletins.models import Bulletin
from courses.models import CourseRun, Enrolment, MonthClose
from people.models import Employee, OrgUnit, User
from portal.demo import company as story

if TYPE_CHECKING:
    from portal.demo.builder import Builder

MONTHS = 3
PRAISED = 4

_WORDS = {
    "zh-hans": (
        "数字背后，是大家在两位客户之间挤出来的几分钟。谢谢每一位按时学完的同事。\n\n"
        "还没学完的同事不用着急：补学期内随时可以接着学，学到哪一步都会保留。需要帮手，请找主管或集团培训中心。"
    ),
    "en": (
        "Behind these numbers are minutes that people found between two customers. Thank you to everyone who finished in"
        " time.\n\n"
        "If you are not done yet, do not worry: you can go on where you stopped as long as late work is accepted. Your"
        " manager and the Group Training Centre will help."
    ),
}


def publish_bulletins(builder: Builder) -> None:
    """Make and publish the bulletins of the newest closed months; the newest has words and names people for praise."""
    by, group = builder.users[story.HR], builder.units[story.GROUP.code]
    closes = list(MonthClose.objects.filter(state=MonthClose.State.CLOSED).order_by("-month")[:MONTHS])
    for close in reversed(closes):
        at = min((close.closed_at or builder.now) + dt.timedelta(hours=9), builder.now)
        made = compose(month=close.month, unit=group, level=OrgUnit.Kind.CITY, by=by, at=at)
        if close == closes[0]:
            _write(made.bulletin, by, at)
        publish(bulletin=made.bulletin, by=by, at=at)
    builder.say(f"{len(closes)} bulletins")


def _write(bulletin: Bulletin, by: User, at: dt.datetime) -> None:
    pages = pages_of(bulletin)
    write(
        bulletin=bulletin,
        wording={code: Wording(text_of(page, "headline"), _WORDS[code]) for code, page in pages.items()},
        kept=[],
        added=_diligent(bulletin),
        people=Employee.objects.all(),
        seen=marker(pages),
        by=by,
        at=at,
    )


def _diligent(bulletin: Bulletin) -> list[str]:
    """Some people of branches in which everybody finishes, who did all of the month in time, one of a branch."""
    owed = Enrolment.objects.filter(run__month=bulletin.month).exclude(run__state=CourseRun.State.PLANNED).counted()
    late = set(owed.exclude(on_time=True).values_list("employee", flat=True))
    found: dict[int, str] = {}
    perfect = owed.filter(unit__code__in=story.PERFECT)
    for unit, employee, number in perfect.order_by("pk").values_list("unit", "employee", "employee__employee_no"):
        if employee not in late:
            found.setdefault(unit, number)
    return list(found.values())[:PRAISED]
