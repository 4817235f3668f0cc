"""What several pages ask about people."""

from __future__ import annotations

import datetime as dt
import re

from django.db.models import OuterRef, QuerySet, Subquery
from pypinyin import Style, lazy_pinyin

from people.models import Employee, Invitation

# Surnames whose everyday reading is another than the character's commonest.
_SURNAMES = {"单": "shan", "解": "xie", "查": "zha", "仇": "qiu", "盖": "ge", "朴": "piao", "区": "ou", "乐": "yue"}
_SURNAMES |= {"曾": "zeng", "翟": "zhai", "缪": "miao", "任": "ren", "华": "hua", "召": "shao", "秘": "bi", "员": "yun"}

_WORDS = re.compile(r"[A-Za-z0-9]+")


def pinyin_of(name: str) -> str:
    """This function will return what people type to find a name: the full pinyin and the initials.

    ``pinyin_of("王伟")`` is ``"wangwei ww"``; a name without Chinese characters is kept in small letters
    (``"Ann Lee"`` is ``"annlee al"``); surnames with a reading of their own (单, 解) have it. Nothing but a-z
    and 0-9 survives, at most the 200 characters of the column.
    """
    name = name.strip()
    surname = _SURNAMES.get(name[:1], "") if len(name) > 1 and not name.isascii() else ""
    parts = lazy_pinyin(name[1:] if surname else name, style=Style.NORMAL)  # what has no pinyin stays as it is
    syllables = [surname] if surname else []
    syllables += [word.lower() for part in parts for word in _WORDS.findall(part)]
    if not syllables:
        return ""
    return f"{''.join(syllables)} {''.join(word[0] for word in syllables)}"[:200]


def waiting_for_sign_in(employees: QuerySet[Employee], at: dt.datetime) -> QuerySet[Employee]:
    """This function will narrow some people to those at work who cannot sign in yet.

    Each carries ``invited_until``: the end of a link that is still open, or None.
    """
    open_links = Invitation.objects.filter(employee=OuterRef("pk"), used_at=None, expires_at__gt=at)
    return (
        employees.filter(user=None, state=Employee.State.ACTIVE)
        .select_related("unit", "position")
        .annotate(invited_until=Subquery(open_links.order_by("-expires_at").values("expires_at")[:1]))
    )


def reports_of(employee: Employee) -> QuerySet[Employee]:
    """This function will return who reports directly to an employee and has not left."""
    return Employee.objects.filter(manager=employee).exclude(state=Employee.State.LEFT)


def open_link_of(employee: Employee, at: dt.datetime) -> Invitation | None:
    """This function will return the one-time link of an employee that still opens, if there is one."""
    return Invitation.objects.filter(employee=employee, used_at=None, expires_at__gt=at).first()
