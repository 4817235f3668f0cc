"""The demo company closes its months: the past ones for good, the last one half signed."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from django.utils import timezone

from core.periods import Month
from courses.domain.closing import begin_close, close_month, sign_below, sign_off
from people.models import OrgUnit
from portal.demo import company as story

if TYPE_CHECKING:
    from portal.demo.builder import Builder


def _at(day: dt.date, hour: int, minute: int = 0) -> dt.datetime:
    return timezone.make_aware(dt.datetime.combine(day, dt.time(hour, minute)))


def close_for_good(builder: Builder, month: Month) -> None:
    """Close a month in the morning after its due day; what is learnt later becomes adjustments."""
    by, day, group = builder.users[story.HR], month.next.first_day, builder.units[story.GROUP.code]
    close = begin_close(month=month, by=by, at=_at(day, 0, 5))
    sign_below(close=close, unit=group, by=by, at=_at(day, 0, 20), note="已与各单位逐一核对")
    sign_off(close=close, unit=group, by=by, at=_at(day, 0, 30))
    close_month(close=close, by=by, at=_at(day, 0, 40))


def begin_to_sign(builder: Builder, month: Month) -> None:
    """Begin closing a month and sign the first of the units right below the group, with all below them."""
    by, group = builder.users[story.HR], builder.units[story.GROUP.code]
    close = begin_close(month=month, by=by, at=min(_at(month.next.first_day, 9), builder.now))
    at = builder.now - dt.timedelta(minutes=5)
    provinces = OrgUnit.objects.filter(path__startswith=group.path, depth=group.depth + 1, kind=OrgUnit.Kind.PROVINCE)
    for unit in provinces[:2]:
        sign_below(close=close, unit=unit, by=by, at=at)
        sign_off(close=close, unit=unit, by=by, at=at, note="病假人员已核实")
