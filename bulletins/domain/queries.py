"""What pages ask about bulletins."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet

from bulletins.models import Bulletin, BulletinPage
from courses.models import ClosedFigure, MonthClose
from people.models import OrgUnit


def published(language: str) -> QuerySet[BulletinPage]:
    """This function will return the published bulletins of a language, the newest month first, without their figures."""
    return (
        BulletinPage.objects.live()
        .filter(locale__language_code=language)
        .select_related("edition__bulletin__close")
        .defer("edition__figures")
        .order_by("-edition__bulletin__close__month", "edition__bulletin__unit__path", "pk")
    )


def newest_bulletin(language: str) -> BulletinPage | None:
    """This function will return the newest published bulletin in a language. One query."""
    return published(language).first()


@dataclass(frozen=True)
class DeskLine:
    """A closed month of a unit on HR's list: its bulletin, if made, and the page to look at."""

    close: MonthClose
    unit: OrgUnit
    bulletin: Bulletin | None
    page: BulletinPage | None

    @property
    def state(self) -> str:
        """none, draft, published, or changed (published, with a newer draft)."""
        if self.page is None:
            return "none"
        if not self.page.live:
            return "draft"
        return "changed" if self.page.has_unpublished_changes else "published"


def desk_lines(*, units: list[OrgUnit], language: str) -> list[DeskLine]:
    """This function will return each closed month of each unit that owed something in it, the newest first.

    Four queries.
    """
    closes = list(MonthClose.objects.filter(state=MonthClose.State.CLOSED).order_by("-month"))
    owed = set(
        ClosedFigure.objects.filter(close__in=closes, unit__in=units, assigned__gt=0)
        .order_by()
        .values_list("close_id", "unit_id")
        .distinct()
    )
    bulletins = {(one.close_id, one.unit_id): one for one in Bulletin.objects.filter(close__in=closes, unit__in=units)}
    keys = [one.translation_key for one in bulletins.values()]
    pages = {
        page.translation_key: page
        for page in BulletinPage.objects.filter(translation_key__in=keys, locale__language_code=language)
    }
    lines = []
    for close in closes:
        for unit in units:
            if (close.pk, unit.pk) in owed:
                bulletin = bulletins.get((close.pk, unit.pk))
                page = pages.get(bulletin.translation_key) if bulletin else None
                lines.append(DeskLine(close, unit, bulletin, page))
    return lines
