"""Thanks between colleagues: no points, no money, no ranking."""

from __future__ import annotations

import datetime as dt

from django.db.models import QuerySet

from core.notices import notify
from kpi.models import Thanks
from people.models import Employee

A_DAY = 10  # so that thanks stay worth something and nobody is flooded


class NotOneself(Exception):
    """Thanks go to somebody else."""


class TooMany(Exception):
    """Enough thanks for one day."""


class WordsMissing(Exception):
    """Thanks need words."""


def say_thanks(*, giver: Employee, receiver: Employee, text: str, at: dt.datetime) -> Thanks:
    """This function will thank a colleague, who is told in the page. Raises NotOneself, WordsMissing, TooMany."""
    if giver.pk == receiver.pk:
        raise NotOneself
    if not text.strip():
        raise WordsMissing
    if Thanks.objects.filter(giver=giver, at__gt=at - dt.timedelta(days=1)).count() >= A_DAY:
        raise TooMany
    made = Thanks.objects.create(giver=giver, receiver=receiver, text=text.strip(), at=at)
    notify(
        user=receiver.user,
        text_zh=f"{giver.name} 向您致谢。",
        text_en=f"{giver.name_latin or giver.name} thanked you.",
        at=at,
        url="/honours/",
        key=f"thanks-{made.pk}",
    )
    return made


def hide_thanks(*, thanks: Thanks, at: dt.datetime) -> bool:
    """This function will hide thanks from everybody but who got them; False when they were hidden before."""
    return bool(Thanks.objects.filter(pk=thanks.pk, hidden_at=None).update(hidden_at=at))


def show_thanks(*, thanks: Thanks) -> bool:
    """This function will show thanks again that were hidden; False when they were not."""
    return bool(Thanks.objects.filter(pk=thanks.pk, hidden_at__isnull=False).update(hidden_at=None))


def thanks_for(employee: Employee, *, hidden: bool = False) -> QuerySet[Thanks]:
    """This function will return the thanks a person got, the newest first; hidden ones only for the person."""
    rows = Thanks.objects.filter(receiver=employee).select_related("giver")
    return rows if hidden else rows.filter(hidden_at=None)
