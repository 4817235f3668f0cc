"""The content tree of a house that begins: languages, site, home page and catalogue; and who may edit what in it."""

from __future__ import annotations

from django.db import transaction
from wagtail.models import Locale, Page, Site

from courses.domain.authoring import setup_authoring
from courses.domain.ladders import set_up_ladder
from courses.models import CourseCataloguePage
from kpi.models import HonourWallPage
from portal.models import HomePage

CHINESE, ENGLISH = "zh-hans", "en"

HOME = {
    CHINESE: {
        "title": "首页",
        "headline": "每月一课，学了就用",
        "lead": "在两位客户之间的几分钟里，把一个动作学会、练熟、考过，然后带着它回到柜台。",
        "body": (
            "<p>每个月一门短课：几节课时，几个真实案例，一次测验。学完当天，证书就在您的名下；"
            "单位的完成率按月公布，一个人都不会被四舍五入掉。</p>"
        ),
    },
    ENGLISH: {
        "title": "Home",
        "headline": "One course a month, learned to be used",
        "lead": "In the few minutes between two customers, learn one thing, practise it, prove it, and take it back to the counter.",
        "body": (
            "<p>Every month brings one short course: a few lessons, a few real cases, one quiz. The day you finish, the "
            "certificate is yours. Each unit’s completion is published by month, and nobody is rounded away.</p>"
        ),
    },
}
CATALOGUE = {CHINESE: ("课程", "courses"), ENGLISH: ("Courses", "courses")}
WALL = {
    CHINESE: {
        "title": "荣誉墙",
        "slug": "wall-of-fame",
        "intro": "<p>他们做成的事，有人看见，有人提名，经评审委员会评定、向全体员工公示，才写在这里。</p>",
    },
    ENGLISH: {
        "title": "Wall of fame",
        "slug": "wall-of-fame",
        "intro": (
            "<p>Somebody saw what they did and put them forward, a committee decided, and the names were public to everybody"
            " before they were written here.</p>"
        ),
    },
}


@transaction.atomic
def set_up_house() -> Site:
    """This function will make what every installation needs before its first author signs in; safe to call again.

    Both languages, the site, a home page, a catalogue and a wall of fame in each language (translations of each other), the authors'
    groups, their permissions on pages, the question bank and the certificate designs, the moderation workflow, and the
    usual ladder of reminders. What exists is left as it is; Wagtail's own welcome page goes.
    """
    for code in (CHINESE, ENGLISH):
        Locale.objects.get_or_create(language_code=code)
    homes = _pages_in_both(HomePage, {code: dict(HOME[code]) for code in HOME}, lambda code: Page.get_first_root_node())
    site = _site(homes[CHINESE])
    _remove_welcome_page()
    _pages_in_both(
        CourseCataloguePage,
        {code: {"title": title, "slug": slug} for code, (title, slug) in CATALOGUE.items()},
        lambda code: Page.objects.get(pk=homes[code].pk),
    )
    _pages_in_both(HonourWallPage, WALL, lambda code: Page.objects.get(pk=homes[code].pk))
    setup_authoring()
    set_up_ladder()
    return site


def _pages_in_both(model: type[Page], words: dict[str, dict], parent_of) -> dict[str, Page]:
    """One page of the model in each language, made where missing, joined by one translation key."""
    found: dict[str, Page] = {}
    for code, values in words.items():
        locale = Locale.objects.get(language_code=code)
        page = model.objects.filter(locale=locale).order_by("path").first()
        if page is None:
            if found:
                values = {**values, "translation_key": next(iter(found.values())).translation_key}
            page = model(locale=locale, **{"slug": f"home-{code}", **values})
            parent_of(code).add_child(instance=page)
            page.save_revision().publish()
        found[code] = page
    return found


def _site(home: HomePage) -> Site:
    site = Site.objects.filter(is_default_site=True).first() or Site(hostname="localhost", is_default_site=True)
    if site.pk and isinstance(site.root_page.specific, HomePage):
        return site
    site.root_page = home
    site.save()
    return site


def _remove_welcome_page() -> None:
    """The page that Wagtail's first migration makes: a plain Page under the root, which no author of ours can make."""
    for page in Page.objects.filter(depth=2):
        if page.specific_class is Page and not page.get_children().exists():
            page.delete()
