import re

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from bulletins.domain import composing
from bulletins.domain.composing import compose, pages_of, text_of
from bulletins.models import Bulletin, BulletinIndexPage, BulletinPage, Edition
from core.pdf import PdfToolsMissing
from core.periods import Month
from people.domain.roles import grant_role
from tests.factories.bulletins import OCTOBER, make_close, make_closed_month
from tests.factories.courses import make_enrolment, make_run
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(client, hr):
    """Signed in as HR of the group, in English."""
    client.force_login(hr)
    client.cookies["django_language"] = "en"
    return client


def _address(name, unit, month="2026-10"):
    return reverse(f"bulletins:{name}", args=[month, unit.pk])


@pytest.fixture
def made(closed, hr, at):
    return compose(month=OCTOBER, unit=closed[1], level="city", by=hr, at=at)


def _form(made, **changes):
    values = {
        "headline_zh": "标题",
        "headline_en": "Headline",
        "text_zh": "一\r\n\r\n二",
        "text_en": "",
        "numbers": "",
        "seen": composing.marker(pages_of(made.bulletin)),
    }
    return {**values, **changes}


# --- who may ------------------------------------------------------------------------------------------------------------
PAGES = [
    ("desk", "get"),
    ("workspace", "get"),
    ("make", "post"),
    ("publish", "post"),
    ("take_offline", "post"),
    ("write", "get"),
    ("write", "post"),
    ("draft_pdf", "get"),
]


@pytest.mark.parametrize("role", ["", "author", "moderator", "auditor", "admin"])
def test_pm_m01_only_hr_makes_bulletins(client, made, closed, at, role):
    person = make_employee(unit=closed[1], with_user=True)
    if role:
        grant_role(user=person.user, role=role, unit=None, by=None, at=at)
        person.user.refresh_from_db()
    client.force_login(person.user)

    answers = {}
    for name, method in PAGES:
        address = reverse("bulletins:desk") if name == "desk" else _address(name, closed[1])
        answers[name, method] = getattr(client, method)(address).status_code

    assert answers == dict.fromkeys(PAGES, 403)
    assert [page.live for page in pages_of(made.bulletin).values()] == [False, False]


@pytest.mark.parametrize("name", ["workspace", "write", "draft_pdf"])
def test_pm_m01_hr_of_another_unit_finds_nothing(client, made, closed, name):
    user = make_user()
    grant(user, "hr", make_unit())
    client.force_login(user)

    other, missing = client.get(_address(name, closed[1])), client.get(f"/hr/bulletins/2026-10/{10**6}/")
    assert (other.status_code, missing.status_code) == (404, 404)


@pytest.mark.parametrize("name", ["make", "publish", "take_offline"])
def test_a_change_is_a_post(desk, closed, name):
    assert desk.get(_address(name, closed[1])).status_code == 405


@pytest.mark.parametrize("role", ["", "hr", "author", "auditor", "admin"])
def test_pm_c02_everybody_who_is_signed_in_reads_a_published_bulletin(client, closed, hr, at, role):
    made = compose(month=OCTOBER, unit=closed[1], level="city", by=hr, at=at, publish=True)
    person = make_employee(unit=closed[2][0], with_user=True)
    if role:
        grant_role(user=person.user, role=role, unit=closed[1] if role == "hr" else None, by=None, at=at)
        person.user.refresh_from_db()
    page = made.pages["en"]

    assert Client().get(page.url).status_code == 302
    assert Client().get(reverse("bulletins:pdf", args=[page.pk])).status_code == 302
    assert Client().get(page.get_parent().url).status_code == 302
    client.force_login(person.user)
    assert client.get(page.url).status_code == 200
    assert client.get(page.get_parent().url).status_code == 200


def test_pm_c02_a_draft_is_read_by_nobody_but_hr(client, made, closed):
    client.force_login(make_employee(unit=closed[1], with_user=True).user)
    page = made.pages["en"]

    assert client.get(page.url).status_code == 404
    assert client.get(reverse("bulletins:pdf", args=[page.pk])).status_code == 404


# --- HR's way -----------------------------------------------------------------------------------------------------------
def test_the_desk_lists_closed_months_and_what_became_of_them(desk, closed, hr, at, django_assert_max_num_queries):
    _close, root, cities = closed
    for month in (7, 8, 9):
        make_closed_month([(9, 9)] * len(cities), month=Month(2026, month), root=root, units=cities)
    make_close(Month(2026, 11))
    compose(month=OCTOBER, unit=root, level="city", by=hr, at=at, publish=True)
    compose(month=Month(2026, 9), unit=root, level="city", by=hr, at=at)

    with django_assert_max_num_queries(13):
        page = desk.get(reverse("bulletins:desk"))

    lines = [(str(line.close.month), line.state) for line in page.context["lines"]]
    assert lines == [("2026-10", "published"), ("2026-09", "draft"), ("2026-08", "none"), ("2026-07", "none")]


def test_the_desk_without_a_closed_month_says_what_to_do(client, house):
    root = make_unit()
    user = make_user()
    grant(user, "hr", root)
    client.force_login(user)
    client.cookies["django_language"] = "en"

    page = client.get(reverse("bulletins:desk"))

    assert "No month is closed yet" in page.content.decode()


def test_a_month_that_is_not_closed_says_so(desk, closed):
    page = desk.get(_address("workspace", closed[1], "2026-11"))

    assert (page.status_code, "This month is not closed" in page.content.decode()) == (200, True)
    desk.post(_address("make", closed[1], "2026-11"), {"level": "city"})
    assert Bulletin.objects.count() == 0


@pytest.mark.parametrize("month", ["2026-13", "october"])
def test_what_is_no_month_is_not_found(desk, closed, month):
    assert desk.get(f"/hr/bulletins/{month}/{closed[1].pk}/").status_code == 404


def test_hr_makes_a_draft_looks_at_it_and_publishes_it(desk, closed):
    root = closed[1]
    page = desk.get(_address("workspace", root))
    assert page.context["form"].initial == {"level": "city"}

    desk.post(_address("make", root), {"level": "city"})
    shown = desk.get(_address("workspace", root)).content.decode()
    assert "Only HR and authors see it." in shown
    assert "412 of 479" in shown
    chinese = desk.get(_address("workspace", root), {"language": "zh-hans"}).content.decode()
    assert "2026年10月学习通报" in chinese
    assert [page.live for page in BulletinPage.objects.all()] == [False, False]

    desk.post(_address("publish", root))
    assert [page.live for page in BulletinPage.objects.all()] == [True, True]
    desk.post(_address("take_offline", root))
    assert [page.live for page in BulletinPage.objects.all()] == [False, False]


def test_hr_makes_and_publishes_in_one_click(desk, closed):
    desk.post(_address("make", closed[1]), {"level": "city", "publish": "1"})

    assert [page.live for page in BulletinPage.objects.all()] == [True, True]


@pytest.mark.parametrize("level", ["", "branch", "<script>"])
def test_a_level_that_is_not_offered_is_refused(desk, closed, level):
    answer = desk.post(_address("make", closed[1]), {"level": level}, follow=True)

    assert "Choose which units to compare." in answer.content.decode()
    assert Edition.objects.count() == 0


def test_hr_writes_words_and_praise(desk, made, closed):
    person = make_employee(unit=closed[2][0], employee_no="000123", name="王芳", name_latin="Wang Fang")
    make_enrolment(person, make_run(month=OCTOBER), state="completed")

    answer = desk.post(_address("write", closed[1]), _form(made, numbers="000123"))

    assert answer.status_code == 302
    draft = pages_of(made.bulletin)["zh-hans"].get_latest_revision_as_object()
    assert (text_of(draft, "headline"), text_of(draft, "words")) == ("标题", "一\n\n二")
    shown = desk.get(_address("write", closed[1])).content.decode()
    assert "Wang Fang (City 1)" in shown
    assert "000123" not in shown
    assert "Wang Fang" in desk.get(_address("workspace", closed[1])).content.decode()
    assert desk.post(_address("write", closed[1]), _form(made)).status_code == 302
    assert pages_of(made.bulletin)["en"].get_latest_revision_as_object().praise == []


def test_praise_that_is_refused_names_the_number_and_keeps_what_was_typed(desk, made, closed):
    person = make_employee(unit=closed[2][0], employee_no="000123")
    make_enrolment(person, make_run(month=OCTOBER), state="in_progress")

    answer = desk.post(_address("write", closed[1]), _form(made, numbers="000123, 000999", headline_en="Mine"))

    text = answer.content.decode()
    assert answer.status_code == 422
    assert "This person has not finished everything of this month in time: 000123." in text
    assert "No person with this number is in your units: 000999." in text
    assert 'value="Mine"' in text


def test_a_stale_form_is_refused_and_kept(desk, made, closed):
    stale = _form(made, headline_en="Mine")
    desk.post(_address("write", closed[1]), _form(made))

    answer = desk.post(_address("write", closed[1]), stale)

    assert answer.status_code == 422
    assert "Somebody else saved this bulletin meanwhile." in answer.content.decode()
    assert 'value="Mine"' in answer.content.decode()


def test_bi_165_no_figure_and_no_name_can_be_sent(desk, made, closed):
    sent = _form(made, edition="1", figures='{"total": 1}', praise='[{"zh": "x"}]', live="1", kept="0")
    before = Edition.objects.values().get()

    assert desk.post(_address("write", closed[1]), sent).status_code in {302, 422}
    draft = pages_of(made.bulletin)["zh-hans"].get_latest_revision_as_object()
    assert (Edition.objects.values().get(), draft.praise, draft.edition_id) == (before, [], made.edition.pk)
    assert not draft.live


# --- what is read -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("code", "texts"),
    [
        (
            "en",
            [
                "Bulletin of October 2026",
                "Above The Group (86.0\N{NO-BREAK SPACE}%) by more than chance explains: City 3 94.0\N{NO-BREAK SPACE}%",
                "City 4 75.0\N{NO-BREAK SPACE}%",
                "With fewer than 30 people",
                "1 unit at 100 %",
                "No earlier month of this unit is closed",
            ],
        ),
        (
            "zh-hans",
            [
                "2026年10月学习通报",
                "高于集团整体（86.0%）",
                "城3 94.0%",
                "不足30人",
                "1个单位达到100%",
                "暂无可比较的数据",
            ],
        ),
    ],
)
def test_a_bulletin_says_in_words_what_the_limits_say(client, closed, hr, at, code, texts):
    made = compose(month=OCTOBER, unit=closed[1], level="city", by=hr, at=at, publish=True)
    client.force_login(make_user())

    shown = client.get(made.pages[code].url).content.decode()

    assert [text for text in texts if text not in shown] == []
    assert closed[0].digest in shown
    assert made.edition.digest in shown


def test_a_bulletin_asks_the_same_few_questions_however_many_units(
    client, closed, hr, at, django_assert_max_num_queries
):
    """Nothing is computed when it is read: the figures are one row."""
    compose(month=OCTOBER, unit=closed[1], level="city", by=hr, at=at, publish=True)
    many = make_closed_month([(40, 36)] * 60, month=Month(2026, 9))
    large = compose(month=Month(2026, 9), unit=many[1], level="city", by=hr, at=at, publish=True)
    client.force_login(make_user())

    with django_assert_max_num_queries(24):
        shown = client.get(large.pages["en"].url).content.decode()
    assert "20 more" in shown


def test_the_drawing_needs_no_inline_style(client, closed, hr, at):
    made = compose(month=OCTOBER, unit=closed[1], level="city", by=hr, at=at, publish=True)
    client.force_login(make_user())

    article = (
        client.get(made.pages["en"].url).content.decode().split('<article class="bulletin"')[1].split("</article>")[0]
    )

    assert article.count("<circle") - article.count("chip__mark") >= 5  # five cities and the key
    assert not re.search(r'\sstyle=|<script|\son\w+=|"M"|nan|inf"', article)


def test_a_bulletin_escapes_what_people_wrote(desk, made, closed, hr, at):
    desk.post(_address("write", closed[1]), _form(made, text_en="<script>alert(1)</script>", headline_en="<b>x</b>"))
    composing.publish(bulletin=made.bulletin, by=hr, at=at)

    shown = desk.get(made.pages["en"].url).content.decode()

    assert "<script>alert" not in shown
    assert "&lt;b&gt;x&lt;/b&gt;" in shown


def test_the_list_shows_published_bulletins_by_month(client, closed, hr, at, django_assert_max_num_queries):
    _close, root, cities = closed
    for month in (8, 9):
        make_closed_month([(40, 36)] * len(cities), month=Month(2026, month), root=root, units=cities)
    compose(month=Month(2026, 8), unit=root, level="city", by=hr, at=at, publish=True)
    compose(month=OCTOBER, unit=root, level="city", by=hr, at=at, publish=True)
    compose(month=Month(2026, 9), unit=root, level="city", by=hr, at=at)
    client.force_login(make_user())
    index = BulletinIndexPage.objects.get(locale__language_code="en")
    client.get(index.url)

    with django_assert_max_num_queries(14):
        page = client.get(index.url)

    assert [one.title for one, _url in page.context["bulletins"]] == [
        "Bulletin of October 2026",
        "Bulletin of August 2026",
    ]
    assert page.context["may_make"] is False


def test_the_home_page_shows_the_newest_to_who_is_signed_in(client, closed, hr, at, house):
    compose(month=OCTOBER, unit=closed[1], level="city", by=hr, at=at, publish=True)

    assert "学习通报" not in client.get(house.root_page.url).content.decode()
    client.force_login(hr)
    assert "2026年10月学习通报" in client.get(house.root_page.url).content.decode()
    client.cookies["django_language"] = "en"
    assert "Bulletin of October 2026" in client.get(reverse("portal:my_month")).content.decode()


# --- on paper -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("code", "words"), [("en", "Bulletin of October 2026"), ("zh-hans", "2026年10月学习通报")])
def test_a_published_bulletin_is_printed_on_a4(client, closed, hr, at, code, words):
    import io

    import pikepdf

    made = compose(month=OCTOBER, unit=closed[1], level="city", by=hr, at=at, publish=True)
    client.force_login(make_user())

    answer = client.get(reverse("bulletins:pdf", args=[made.pages[code].pk]))

    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"] == f'inline; filename="bulletin-2026-10-{code}.pdf"'
    with pikepdf.open(io.BytesIO(answer.content)) as document:
        box = [round(float(side)) for side in document.pages[0].mediabox]
        assert (box, str(document.docinfo["/Title"])) == ([0, 0, 595, 842], words)


def test_a_published_bulletin_is_laid_out_once(client, closed, hr, at, monkeypatch):
    cache.clear()
    made = compose(month=OCTOBER, unit=closed[1], level="city", by=hr, at=at, publish=True)
    laid_out = []
    monkeypatch.setattr("bulletins.domain.printing.lay_out", lambda html, **_options: laid_out.append(html) or b"%PDF")
    client.force_login(make_user())

    for _time in range(2):
        assert client.get(reverse("bulletins:pdf", args=[made.pages["en"].pk])).content == b"%PDF"
    assert len(laid_out) == 1

    client.force_login(hr)
    for _time in range(2):
        client.get(_address("draft_pdf", closed[1]), {"language": "en"})
    assert len(laid_out) == 3  # a draft is not kept


def test_without_the_tools_a_pdf_is_refused_in_words(client, closed, hr, at, monkeypatch):
    def missing(_page):
        raise PdfToolsMissing("fontconfig")

    made = compose(month=OCTOBER, unit=closed[1], level="city", by=hr, at=at, publish=True)
    monkeypatch.setattr("bulletins.views.bulletin_pdf", missing)
    client.force_login(make_user())

    answer = client.get(reverse("bulletins:pdf", args=[made.pages["zh-hans"].pk]), follow=True)

    assert "系统缺少生成PDF的组件" in answer.content.decode()


# --- the content admin --------------------------------------------------------------------------------------------------
@pytest.fixture
def author(client, at, closed):
    from courses.domain.authoring import setup_authoring

    setup_authoring()
    person = make_employee(unit=closed[1], with_user=True)
    grant_role(user=person.user, role="author", unit=None, by=None, at=at)
    person.user.refresh_from_db()
    client.force_login(person.user)
    return client


def test_pm_c03_an_author_edits_the_words_and_no_figure(author, made):
    page = made.pages["en"]
    address = reverse("wagtailadmin_pages:edit", args=[page.pk])
    shown = author.get(address).content.decode()
    assert 'name="edition"' not in shown
    assert 'name="praise"' not in shown
    names = ["headline", *composing.FIGURES]
    sent = {"title": page.title, "slug": page.slug, "body-count": str(len(names)), "praise": "x", "edition": "9"}
    for place, name in enumerate(names):
        sent |= {f"body-{place}-type": name, f"body-{place}-order": str(place), f"body-{place}-deleted": ""}
    sent["body-0-value"] = "Better words"

    answer = author.post(address, sent)

    assert answer.status_code == 302, answer.context["form"].errors
    draft = BulletinPage.objects.get(pk=page.pk).get_latest_revision_as_object()
    assert (text_of(draft, "headline"), draft.edition_id, draft.praise) == ("Better words", made.edition.pk, [])


def test_a_draft_without_its_figures_is_not_published_until_they_are_put_back(author, made, closed, hr):
    page = made.pages["en"]
    sent = {"title": page.title, "slug": page.slug, "body-count": "1", "body-0-type": "headline", "body-0-order": "0"}
    author.post(
        reverse("wagtailadmin_pages:edit", args=[page.pk]),
        {**sent, "body-0-deleted": "", "body-0-value": "Only words"},
    )
    author.force_login(hr)
    author.post(_address("publish", closed[1]))
    assert [page.live for page in pages_of(made.bulletin).values()] == [False, False]

    author.post(_address("make", closed[1]), {"level": "city"})
    author.post(_address("publish", closed[1]))

    page = pages_of(made.bulletin)["en"]
    assert (page.live, page.headline) == (True, "Only words")
    assert {block.block_type for block in page.body} == {"headline", *composing.FIGURES}


def test_an_author_adds_and_copies_no_bulletin(author, made):
    page = made.pages["en"]
    parent = page.get_parent()
    add = reverse("wagtailadmin_pages:add", args=["bulletins", "bulletinpage", parent.pk])
    copy = reverse("wagtailadmin_pages:copy", args=[page.pk])
    assert author.get(add).status_code in {302, 403, 404}
    author.post(copy, {"new_title": "copy", "new_slug": "copy", "new_parent_page": str(parent.pk), "copy_subpages": ""})
    assert BulletinPage.objects.count() == 2
