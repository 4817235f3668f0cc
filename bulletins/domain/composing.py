"""Making a bulletin of a closed month: figures frozen once, a page in each language, published or as a draft.

The pages are Wagtail's, the decision is HR's: HR has no rights in the content admin, so publishing goes through these
functions, which ask Wagtail no permission; the views ask the permission table (PM-M01).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet
from django.utils import translation
from django.utils.text import slugify
from wagtail.actions.unpublish_page import UnpublishPageAction
from wagtail.models import Locale, Page, Site

from bulletins.blocks import FIGURES, HEADLINE, WORDS
from bulletins.domain import words
from bulletins.domain.figures import MonthNotClosed, digest_of, gather
from bulletins.models import Bulletin, BulletinIndexPage, BulletinPage, Edition
from core.events import record_event
from core.periods import Month
from courses.domain.authoring import LANGUAGES
from courses.domain.closing import closing_event
from courses.models import CourseRun, Enrolment, MonthClose
from people.models import Employee, OrgUnit

CHAIN = "bulletins"
_INDEX = {"zh-hans": "通报", "en": "Bulletins"}


class HouseNotSetUp(Exception):
    """There is no home page in one of the languages: manage.py setup_roles makes it."""


class PageLocked(Exception):
    """Somebody locked the page in the content admin; it is theirs until they unlock it."""


class ChangedMeanwhile(Exception):
    """Somebody else saved the bulletin since it was looked at."""


class FiguresLeftOut(Exception):
    """An author's draft lacks a part with figures. Composing again puts it back."""


class NotPublished(Exception):
    """The bulletin is not published, so it cannot be taken back."""


class NotPraiseworthy(Exception):
    """Some of the people named for praise cannot be: ``unknown``, ``owed_nothing`` and ``not_in_time`` are numbers."""

    def __init__(self, unknown: list[str], owed_nothing: list[str], not_in_time: list[str]):
        self.unknown, self.owed_nothing, self.not_in_time = unknown, owed_nothing, not_in_time
        super().__init__(unknown, owed_nothing, not_in_time)


@dataclass(frozen=True)
class Composed:
    """A bulletin with the edition its newest draft tells, and its pages by language."""

    bulletin: Bulletin
    edition: Edition
    pages: dict[str, BulletinPage]
    is_new: bool


@dataclass(frozen=True)
class Wording:
    """What people write in one language: the headline and free text."""

    headline: str
    text: str


# --- making ---------------------------------------------------------------------------------------------------------
def compose(*, month: Month, unit: OrgUnit, level: str, by, at: dt.datetime, publish: bool = False) -> Composed:
    """This function will make the bulletin of a closed month for a unit, or bring its draft up to date.

    Figures are read from the close and frozen as an edition (the same figures are the same edition); a page in Chinese
    and one in English, translations of each other, get a draft that points at it. With ``publish`` both go live at
    once. A second call makes nothing twice: it changes the draft where the figures differ (another level, or an earlier
    month closed since), keeps what people wrote, renews the headline only if nobody rewrote it, and puts back a part with figures that an
    author took out. Raises
    MonthNotClosed, NothingOwed, NoSuchLevel, PageLocked, HouseNotSetUp.
    """
    with transaction.atomic():
        close = MonthClose.objects.filter(month=month, state=MonthClose.State.CLOSED).first()
        if close is None:
            raise MonthNotClosed(str(month))
        figures = gather(close=close, unit=unit, level=level)
        bulletin, is_new = Bulletin.objects.get_or_create(close=close, unit=unit)
        edition = _edition(bulletin, level, figures, by, at)
        pages = {}
        for code in LANGUAGES:
            with translation.override(code):
                pages[code] = _draft(bulletin, edition, code, by)
        if publish:
            _go_live(pages.values(), by, at)
        record_event(
            chain=CHAIN,
            action="composed",
            subject=bulletin,
            actor=by,
            at=at,
            after={
                "month": str(month),
                "unit": unit.code,
                "level": level,
                "edition": edition.digest,
                "close": close.digest,
                "published": publish,
            },
        )
    return Composed(bulletin=bulletin, edition=edition, pages=pages, is_new=is_new)


def _edition(bulletin: Bulletin, level: str, figures: dict, by, at: dt.datetime) -> Edition:
    digest = digest_of(figures)
    sealed = closing_event(bulletin.close)
    return Edition.objects.get_or_create(
        bulletin=bulletin,
        digest=digest,
        defaults={
            "level": level,
            "figures": figures,
            "close_digest": bulletin.close.digest,
            "chain_sequence": sealed.sequence if sealed else 0,
            "chain_hash": sealed.hash if sealed else "",
            "made_at": at,
            "made_by": by,
        },
    )[0]


def _draft(bulletin: Bulletin, edition: Edition, code: str, by) -> BulletinPage:
    """The page of one language with a newest revision that tells the edition; made where it is missing."""
    page = BulletinPage.objects.filter(translation_key=bulletin.translation_key, locale__language_code=code).first()
    if page is None:
        index = _index(code)
        page = BulletinPage(
            title=_title(bulletin),
            slug=slugify(f"{bulletin.month}-{bulletin.unit.code}") or str(bulletin.month),
            locale=index.locale,
            translation_key=bulletin.translation_key,
            edition=edition,
            body=[(HEADLINE, words.headline(edition.figures)), *((name, None) for name in FIGURES)],
            live=False,
        )
        index.add_child(instance=page)
        page.save_revision(user=by)
        return page
    draft = page.get_latest_revision_as_object()
    left_out = _left_out(draft)
    if draft.edition_id == edition.pk and not left_out:
        return page
    if page.locked:
        raise PageLocked(page.title)
    old = draft.edition
    if text_of(draft, HEADLINE) == words.headline(old.figures):
        _set_text(draft, HEADLINE, words.headline(edition.figures))
    for name in left_out:
        draft.body.append((name, None))
    draft.edition = edition
    draft.save_revision(user=by)
    return page


def _left_out(draft: BulletinPage) -> list[str]:
    """The parts with figures that a draft lacks: the content admin saves incomplete drafts."""
    there = {block.block_type for block in draft.body}
    return [name for name in FIGURES if name not in there]


def _title(bulletin: Bulletin) -> str:
    return words.title(month=bulletin.month, unit="" if bulletin.unit.is_root() else bulletin.unit.label)


def _index(code: str) -> BulletinIndexPage:
    """The list of bulletins in a language, made below the home page of that language where it is missing."""
    locale = Locale.objects.filter(language_code=code).first()
    found = BulletinIndexPage.objects.filter(locale=locale).order_by("path").first() if locale else None
    if found is not None:
        return found
    site = Site.objects.filter(is_default_site=True).select_related("root_page").first()
    home = site.root_page if site and locale else None
    if home and home.locale_id != locale.pk:
        home = home.get_translation_or_none(locale)
    if home is None:
        raise HouseNotSetUp(code)
    other = BulletinIndexPage.objects.order_by("path").first()
    keys = {"translation_key": other.translation_key} if other else {}
    index = BulletinIndexPage(title=_INDEX[code], slug="bulletins", locale=locale, live=False, **keys)
    Page.objects.get(pk=home.pk).add_child(instance=index)
    index.save_revision().publish()
    return index


# --- publishing -----------------------------------------------------------------------------------------------------
def publish(*, bulletin: Bulletin, by, at: dt.datetime) -> dict[str, BulletinPage]:
    """This function will publish the newest draft of a bulletin in every language. Raises PageLocked, FiguresLeftOut."""
    with transaction.atomic():
        pages = pages_of(bulletin)
        _go_live(pages.values(), by, at)
        record_event(
            chain=CHAIN,
            action="published",
            subject=bulletin,
            actor=by,
            at=at,
            after={code: page.latest_revision_id for code, page in pages.items()},
        )
    return pages


def _go_live(pages, by, at: dt.datetime) -> None:
    for page in pages:
        if page.locked:
            raise PageLocked(page.title)
        BulletinPage.objects.filter(pk=page.pk, first_published_at=None).update(first_published_at=at)
        newest = BulletinPage.objects.get(pk=page.pk).get_latest_revision()
        if left_out := _left_out(newest.as_object()):
            raise FiguresLeftOut(page.title, left_out)
        newest.publish(user=by, skip_permission_checks=True)
        page.refresh_from_db()


def take_offline(*, bulletin: Bulletin, by, at: dt.datetime) -> dict[str, BulletinPage]:
    """This function will take a published bulletin back; its newest text stays as a draft and can be published again.

    Raises NotPublished, PageLocked.
    """
    with transaction.atomic():
        pages = pages_of(bulletin)
        if not any(page.live for page in pages.values()):
            raise NotPublished(str(bulletin.month))
        for page in pages.values():
            if page.locked:
                raise PageLocked(page.title)
            UnpublishPageAction(page, user=by).execute(skip_permission_checks=True)
        record_event(chain=CHAIN, action="taken offline", subject=bulletin, actor=by, at=at)
    return pages


# --- words and praise -----------------------------------------------------------------------------------------------
def write(
    *,
    bulletin: Bulletin,
    wording: dict[str, Wording],
    kept: Sequence[int],
    added: Sequence[str],
    people: QuerySet[Employee],
    seen: str,
    by,
    at: dt.datetime,
) -> dict[str, BulletinPage]:
    """This function will save the headline and the free text of each language and who is named for praise, as a draft.

    ``kept`` are the places of the praise shown now that stay, ``added`` employee numbers of people to name as well,
    found among ``people`` (through the door). Each must have owed something in the month in this unit and have done
    everything of that month in time. What is stored is the plain text of name and unit. No figure can be changed.
    ``seen`` is the ``marker`` of the draft that was looked at. Raises NotPraiseworthy, ChangedMeanwhile, PageLocked.
    """
    with transaction.atomic():
        pages = pages_of(bulletin)
        _claim(pages, seen)
        drafts = {code: page.get_latest_revision_as_object() for code, page in pages.items()}
        praise = next(iter(drafts.values())).praise
        praise = [one for place, one in enumerate(praise) if place in set(kept)]
        new = praiseworthy(bulletin=bulletin, numbers=added, people=people)
        praise += [one for one in new if one not in praise]
        for code, draft in drafts.items():
            if pages[code].locked:
                raise PageLocked(pages[code].title)
            _set_text(draft, HEADLINE, wording[code].headline)
            _set_text(draft, WORDS, wording[code].text)
            draft.praise = praise
            draft.save_revision(user=by)
        record_event(
            chain=CHAIN,
            action="written",
            subject=bulletin,
            actor=by,
            at=at,
            after={"praised": len(praise), "added": list(added)},
        )
    return pages_of(bulletin)


def marker(pages: dict[str, BulletinPage]) -> str:
    """Which drafts these are: changes with every saved revision."""
    return "-".join(str(pages[code].latest_revision_id) for code in sorted(pages))


def _claim(pages: dict[str, BulletinPage], seen: str) -> None:
    """Compare and swap on the newest revisions: a writer who comes second waits here and then finds them changed."""
    wanted = seen.split("-")
    if len(wanted) != len(pages) or not all(one.isdigit() for one in wanted):
        raise ChangedMeanwhile(seen)
    for code, revision in zip(sorted(pages), wanted, strict=True):
        same = BulletinPage.objects.filter(pk=pages[code].pk, latest_revision_id=int(revision))
        if not same.update(latest_revision_id=int(revision)):
            raise ChangedMeanwhile(seen)


def praiseworthy(*, bulletin: Bulletin, numbers: Sequence[str], people: QuerySet[Employee]) -> list[dict[str, str]]:
    """This function will return the plain text with which people are named who did everything of the month in time.

    A list of {"zh", "en", "unit_zh", "unit_en"} in the order of the numbers, each once. What was taken by choice and
    what they were exempt from says nothing either way. Two queries. Raises NotPraiseworthy.
    """
    numbers = list(dict.fromkeys(numbers))
    if not numbers:
        return []
    found = {one.employee_no: one for one in people.filter(employee_no__in=numbers)}
    duties: dict[int, list[Enrolment]] = {}
    owed = Enrolment.objects.filter(
        employee__in=[one.pk for one in found.values()],
        run__month=bulletin.month,
        unit__path__startswith=bulletin.unit.path,
    ).exclude(run__state=CourseRun.State.PLANNED)  # what was enrolled ahead is owed once the run is open
    for duty in owed.counted().select_related("unit").order_by("pk"):
        duties.setdefault(duty.employee_id, []).append(duty)
    unknown = [number for number in numbers if number not in found]
    owed_nothing = [number for number in numbers if number in found and found[number].pk not in duties]
    not_in_time = [
        number
        for number in numbers
        if number in found and not all(duty.on_time for duty in duties.get(found[number].pk, []))
    ]
    if unknown or owed_nothing or not_in_time:
        raise NotPraiseworthy(unknown, owed_nothing, not_in_time)
    praised = []
    for number in numbers:
        employee, unit = found[number], duties[found[number].pk][0].unit
        praised.append(
            {
                "zh": employee.name,
                "en": employee.name_latin or employee.name,
                "unit_zh": unit.name,
                "unit_en": unit.name_en or unit.name,
            }
        )
    return praised


# --- pages and their texts ------------------------------------------------------------------------------------------
def pages_of(bulletin: Bulletin) -> dict[str, BulletinPage]:
    """This function will return the pages of a bulletin by language code. One query."""
    pages = BulletinPage.objects.filter(translation_key=bulletin.translation_key).select_related("locale", "edition")
    return {page.locale.language_code: page for page in pages.order_by("pk")}


def text_of(page: BulletinPage, name: str) -> str:
    """The text of the first block of a name; empty without one."""
    return next((str(block.value) for block in page.body if block.block_type == name), "")


def _set_text(page: BulletinPage, name: str, text: str) -> None:
    """Put text into the first block of a name: where there is none below the headline, an empty one goes."""
    raw = [dict(block) for block in page.body.get_prep_value()]
    place = next((place for place, block in enumerate(raw) if block["type"] == name), None)
    if place is not None and (text or name == HEADLINE):
        raw[place] = {**raw[place], "value": text}
    elif place is not None:
        del raw[place]
    elif text:
        after = next((place + 1 for place, block in enumerate(raw) if block["type"] == HEADLINE), 0)
        raw.insert(after, {"type": name, "value": text})
    page.body = page.body.stream_block.to_python(raw)
