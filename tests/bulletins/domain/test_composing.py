import pytest
from django.db import DatabaseError, transaction
from wagtail.models import Page

from bulletins.domain import composing
from bulletins.domain.composing import (
    ChangedMeanwhile,
    HouseNotSetUp,
    NotPraiseworthy,
    NotPublished,
    PageLocked,
    Wording,
    compose,
    pages_of,
    publish,
    take_offline,
    text_of,
    write,
)
from bulletins.domain.figures import MonthNotClosed, digest_of
from bulletins.models import Bulletin, BulletinIndexPage, BulletinPage, Edition
from core.models import Event
from core.periods import Month
from people.models import Employee
from tests.factories.bulletins import OCTOBER, make_close, make_closed_month, make_figure, seal
from tests.factories.courses import make_enrolment, make_run
from tests.factories.people import make_employee, make_unit

pytestmark = pytest.mark.django_db


@pytest.fixture
def made(closed, hr, at):
    """The bulletin of October for the group, as a draft."""
    return compose(month=OCTOBER, unit=closed[1], level="city", by=hr, at=at)


def _write(made, hr, at, **changes):
    values = {
        "bulletin": made.bulletin,
        "wording": {"zh-hans": Wording("标题", "第一段"), "en": Wording("Headline", "First paragraph")},
        "kept": [],
        "added": [],
        "people": Employee.objects.all(),
        "seen": composing.marker(pages_of(made.bulletin)),
        "by": hr,
        "at": at,
    }
    return write(**{**values, **changes})


# --- making -----------------------------------------------------------------------------------------------------------
def test_compose_makes_a_draft_in_each_language_as_translations(closed, hr, at, house):
    close, root, _cities = closed
    sealed = Event.objects.get(chain="months", action="month closed")

    made = compose(month=OCTOBER, unit=root, level="city", by=hr, at=at)

    zh, en = made.pages["zh-hans"], made.pages["en"]
    assert [(page.title, page.live, page.slug) for page in (zh, en)] == [
        ("2026年10月学习通报", False, f"2026-10-{root.code.lower()}"),
        ("Bulletin of October 2026", False, f"2026-10-{root.code.lower()}"),
    ]
    assert zh.translation_key == en.translation_key == made.bulletin.translation_key
    assert text_of(zh, "headline") == "完成率86.0%：应学479，完成412；按时86.0%。"
    assert (
        text_of(en, "headline")
        == "86.0\N{NO-BREAK SPACE}% finished: 412 of 479 duties; 86.0\N{NO-BREAK SPACE}% in time."
    )
    assert [block.block_type for block in zh.body] == ["headline", *composing.FIGURES]
    edition = made.edition
    assert (edition.close_digest, edition.chain_sequence, edition.chain_hash) == (
        close.digest,
        sealed.sequence,
        sealed.hash,
    )
    assert edition.digest == digest_of(edition.figures)
    assert {zh.edition_id, en.edition_id} == {edition.pk}
    indexes = BulletinIndexPage.objects.order_by("pk")
    assert [(index.title, index.live) for index in indexes] == [("通报", True), ("Bulletins", True)]
    assert len({index.translation_key for index in indexes}) == 1
    event = Event.objects.get(chain="bulletins")
    assert (event.action, event.actor, event.after["edition"], event.after["published"]) == (
        "composed",
        hr,
        edition.digest,
        False,
    )


def test_compose_publishes_at_once_where_asked(closed, hr, at):
    made = compose(month=OCTOBER, unit=closed[1], level="city", by=hr, at=at, publish=True)

    assert [(page.live, page.has_unpublished_changes, page.first_published_at) for page in made.pages.values()] == [
        (True, False, at),
        (True, False, at),
    ]


def test_compose_twice_makes_nothing_twice(made, closed, hr, at):
    before = (Page.objects.count(), list(BulletinPage.objects.values_list("latest_revision_id", flat=True)))

    again = compose(month=OCTOBER, unit=closed[1], level="city", by=hr, at=at)

    assert (again.bulletin, again.edition, again.is_new) == (made.bulletin, made.edition, False)
    assert (Bulletin.objects.count(), Edition.objects.count()) == (1, 1)
    assert (Page.objects.count(), list(BulletinPage.objects.values_list("latest_revision_id", flat=True))) == before


def test_compose_with_another_level_changes_the_draft_and_keeps_what_was_written(house, hr_of, at):
    close, root, cities = make_closed_month([(40, 36), (40, 40)], sealed=False)
    for city, (assigned, completed) in zip(cities, [(40, 36), (40, 40)], strict=True):
        make_figure(close, make_unit(city, kind="branch"), close.figures.first().run, assigned, completed)
    seal(close)
    hr = hr_of(root)
    made = compose(month=OCTOBER, unit=root, level="city", by=hr, at=at, publish=True)
    _write(made, hr, at)

    again = compose(month=OCTOBER, unit=root, level="branch", by=hr, at=at)

    for page in pages_of(made.bulletin).values():
        draft = page.get_latest_revision_as_object()
        assert (page.edition, draft.edition, page.live) == (made.edition, again.edition, True)
        assert text_of(draft, "headline") in {"标题", "Headline"}
        assert text_of(draft, "words") in {"第一段", "First paragraph"}
    assert again.edition.figures["level"] == "branch"
    assert Edition.objects.count() == 2


@pytest.fixture
def hr_of():
    return lambda unit: make_employee(unit=unit, with_user=True).user


def test_compose_for_a_part_names_it(closed, hr, at):
    close, _root, cities = make_closed_month([(40, 36)], month=Month(2026, 8), sealed=False)
    make_figure(close, make_unit(cities[0], kind="branch"), close.figures.first().run, 40, 36)
    seal(close)

    made = compose(month=Month(2026, 8), unit=cities[0], level="branch", by=hr, at=at)

    assert made.pages["en"].title == "Bulletin of August 2026: City 1"


def test_compose_refuses_a_month_that_is_not_closed(house, at):
    root = make_unit()
    make_close()

    for month in (OCTOBER, OCTOBER.next):
        with pytest.raises(MonthNotClosed):
            compose(month=month, unit=root, level="city", by=None, at=at)
    assert (Bulletin.objects.count(), BulletinPage.objects.count()) == (0, 0)


def test_compose_without_a_home_page_says_what_is_missing(db, at):
    _close, root, _cities = make_closed_month([(40, 36)])
    BulletinIndexPage.objects.all().delete()

    with pytest.raises(HouseNotSetUp):
        compose(month=OCTOBER, unit=root, level="city", by=None, at=at)
    assert Edition.objects.count() == 0


def test_compose_again_after_an_author_deleted_a_page_makes_it_anew(made, closed, hr, at):
    made.pages["en"].delete()

    again = compose(month=OCTOBER, unit=closed[1], level="city", by=hr, at=at)

    assert again.pages["en"].translation_key == made.bulletin.translation_key


# --- figures stay -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("do", ["update", "delete"])
def test_au_03_an_edition_is_append_only(made, do):
    rows = Edition.objects.filter(pk=made.edition.pk)
    with pytest.raises(DatabaseError), transaction.atomic():
        rows.update(digest="0" * 64) if do == "update" else rows._raw_delete(rows.db)

    assert Edition.objects.get(pk=made.edition.pk).digest == made.edition.digest


def test_editing_words_changes_no_figure(made, hr, at):
    before = Edition.objects.values().get()

    _write(made, hr, at)
    publish(bulletin=made.bulletin, by=hr, at=at)

    assert Edition.objects.values().get() == before
    assert {page.edition_id for page in pages_of(made.bulletin).values()} == {made.edition.pk}


def test_mc_22_a_page_holds_no_reference_to_a_person(made, hr, at, closed):
    person = make_employee(unit=closed[2][0], name="王芳", name_latin="Wang Fang", employee_no="000077")
    make_enrolment(person, make_run(month=OCTOBER), state="completed")
    _write(made, hr, at, added=["000077"])

    content = BulletinPage.objects.first().get_latest_revision().content
    assert content["praise"] == [{"zh": "王芳", "en": "Wang Fang", "unit_zh": "城1", "unit_en": "City 1"}]
    assert "000077" not in str(content)


# --- publishing -------------------------------------------------------------------------------------------------------
def test_publish_and_take_offline_and_publish_again(made, hr, at):
    publish(bulletin=made.bulletin, by=hr, at=at)
    assert [page.live for page in pages_of(made.bulletin).values()] == [True, True]

    take_offline(bulletin=made.bulletin, by=hr, at=at)
    assert [page.live for page in pages_of(made.bulletin).values()] == [False, False]

    publish(bulletin=made.bulletin, by=hr, at=at)
    assert [page.live for page in pages_of(made.bulletin).values()] == [True, True]
    actions = Event.objects.filter(chain="bulletins").order_by("sequence").values_list("action", flat=True)
    assert list(actions) == ["composed", "published", "taken offline", "published"]


def test_take_offline_refuses_what_is_not_published(made, hr, at):
    with pytest.raises(NotPublished):
        take_offline(bulletin=made.bulletin, by=hr, at=at)


def test_a_page_that_an_author_locked_is_left_alone(made, hr, at):
    BulletinPage.objects.filter(locale__language_code="en").update(locked=True)

    with pytest.raises(PageLocked):
        publish(bulletin=made.bulletin, by=hr, at=at)
    with pytest.raises(PageLocked):
        _write(made, hr, at)
    assert [page.live for page in pages_of(made.bulletin).values()] == [False, False]


# --- words and praise -------------------------------------------------------------------------------------------------
def test_write_puts_words_below_the_headline_and_takes_them_out_again(made, hr, at):
    _write(made, hr, at)
    draft = pages_of(made.bulletin)["en"].get_latest_revision_as_object()
    assert [(block.block_type, block.value) for block in draft.body][:3] == [
        ("headline", "Headline"),
        ("words", "First paragraph"),
        ("key_figures", None),
    ]

    _write(made, hr, at, wording={"zh-hans": Wording("标题", ""), "en": Wording("Headline", "")})
    draft = pages_of(made.bulletin)["en"].get_latest_revision_as_object()
    assert [block.block_type for block in draft.body] == ["headline", *composing.FIGURES]


def test_write_refuses_a_draft_that_somebody_changed_meanwhile(made, hr, at):
    seen = composing.marker(pages_of(made.bulletin))
    _write(made, hr, at)

    for stale in (seen, "", "1-2-3", "x-y"):
        with pytest.raises(ChangedMeanwhile):
            _write(made, hr, at, seen=stale, wording={"zh-hans": Wording("后", ""), "en": Wording("Later", "")})
    draft = pages_of(made.bulletin)["en"].get_latest_revision_as_object()
    assert text_of(draft, "headline") == "Headline"


def test_praise_is_for_people_who_did_everything_of_the_month_in_time(made, hr, at, closed):
    city = closed[2][0]
    first, second = make_run(month=OCTOBER), make_run(month=OCTOBER)
    elsewhere = make_run(month=OCTOBER.previous)
    never_opened = make_run(month=OCTOBER, state="planned")

    def person(number, *duties):
        employee = make_employee(unit=city, employee_no=number, name=f"人{number}")
        for run, state in duties:
            late = {"completed_at": run.accept_until} if state == "late" else {}
            fields = {"voluntary": True} if state == "voluntary" else {}
            kept = {"late": "completed", "voluntary": "assigned"}.get(state, state)
            make_enrolment(employee, run, state=kept, **late, **fields)

    person("A1", (first, "completed"), (second, "completed"), (elsewhere, "assigned"), (never_opened, "assigned"))
    person("A2", (first, "completed"), (second, "exempt"))
    person("A3", (first, "completed"), (second, "voluntary"))
    person("B1", (first, "completed"), (second, "late"))
    person("B2", (first, "completed"), (second, "in_progress"))
    person("C1", (first, "exempt"))
    person("C2", (elsewhere, "completed"))

    _write(made, hr, at, added=["A1", "A3", "A2", "A1"])
    praise = pages_of(made.bulletin)["zh-hans"].get_latest_revision_as_object().praise
    assert [one["zh"] for one in praise] == ["人A1", "人A3", "人A2"]

    with pytest.raises(NotPraiseworthy) as refused:
        _write(made, hr, at, added=["A1", "B1", "B2", "C1", "C2", "D1"])
    assert (refused.value.unknown, refused.value.owed_nothing, refused.value.not_in_time) == (
        ["D1"],
        ["C1", "C2"],
        ["B1", "B2"],
    )


def test_praise_knows_nobody_outside_the_unit_of_the_bulletin_or_behind_the_door(made, hr, at):
    stranger = make_employee(unit=make_unit(), employee_no="S1")
    make_enrolment(stranger, make_run(month=OCTOBER), state="completed")

    with pytest.raises(NotPraiseworthy) as refused:
        _write(made, hr, at, added=["S1"])
    assert refused.value.owed_nothing == ["S1"]
    with pytest.raises(NotPraiseworthy) as refused:
        _write(made, hr, at, added=["S1"], people=Employee.objects.none())
    assert refused.value.unknown == ["S1"]


def test_praise_can_be_taken_out_and_is_not_said_twice(made, hr, at, closed):
    run = make_run(month=OCTOBER)
    for number in ("A1", "A2"):
        make_enrolment(make_employee(unit=closed[2][0], employee_no=number, name=number), run, state="completed")
    _write(made, hr, at, added=["A1", "A2"])

    _write(made, hr, at, kept=[1], added=["A2"])

    praise = pages_of(made.bulletin)["en"].get_latest_revision_as_object().praise
    assert [one["zh"] for one in praise] == ["A2"]
