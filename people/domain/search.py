"""Finding people by what one remembers of them."""

from __future__ import annotations

from django.core.cache import cache
from django.db.models import Case, IntegerField, Q, QuerySet, Value, When

from people.models import Employee

MOST_HITS = 20
SEARCHES_PER_MINUTE = 60


class SearchedTooOften(Exception):
    """More searches in a minute than a person types (TRUST SC-63)."""


def search_people(text: str) -> QuerySet[Employee]:
    """This function will return at most 20 people by name, name in Latin letters, pinyin or employee number.

    Several words must all fit; ``wang wei``, ``wangwei`` and ``ww`` all find 王伟. The best fits come first: the exact
    number, then people at work before those who left. Only what a card shows is read: name, number, unit, position
    (TRUST PM-H01); nothing is found by contact details.
    """
    text = " ".join(text.replace("\x00", "").split())[:60]
    if not text:
        return Employee.objects.none()
    small = text.lower()
    joined = small.replace(" ", "")
    wanted = Q(employee_no__istartswith=text) | Q(name__icontains=text)
    if joined.isascii():
        # "wangwei ww": the start of the full pinyin, or the initials as a whole
        wanted |= Q(pinyin__startswith=joined) | Q(pinyin__endswith=f" {joined}")
    words = Q()
    for word in text.split():
        words &= Q(name_latin__icontains=word)
    return (
        Employee.objects.filter(wanted | words)
        .select_related("unit", "position")
        .only(
            "employee_no",
            "name",
            "name_latin",
            "state",
            "left_on",
            "unit__name",
            "unit__name_en",
            "unit__code",
            "position__title",
            "position__title_en",
        )
        .annotate(
            fit=Case(
                When(employee_no=text, then=Value(0)),
                When(Q(name=text) & ~Q(state=Employee.State.LEFT), then=Value(1)),
                When(state=Employee.State.LEFT, then=Value(3)),
                default=Value(2),
                output_field=IntegerField(),
            )
        )
        .order_by("fit", "employee_no")[:MOST_HITS]
    )


def count_search(user_id: int, minute: int) -> None:
    """This function will count one search of a user in a minute. Raises SearchedTooOften beyond 60."""
    key = f"people-search:{user_id}:{minute}"
    cache.add(key, 0, timeout=120)
    try:
        searches = cache.incr(key)
    except ValueError:  # forgotten by the cache in between
        return
    if searches > SEARCHES_PER_MINUTE:
        raise SearchedTooOften
