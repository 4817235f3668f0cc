"""Every look at another person's result is kept and shown to that person (TRUST AU-02, PM-Y13)."""

import re
from collections import Counter

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import resolve, reverse
from django.utils import timezone

from core.models import Event
from kpi.domain import appeals, looks
from kpi.models import Look, Measure
from people.models import User
from tests.factories.people import make_employee
from tests.factories.reviews import PUBLISHED, bring, card, fresh, make_branch, on, review_of

pytestmark = pytest.mark.django_db
PEERS = {"self": "10", "manager": "60", "peers": "30", "min_peers": 3}


@pytest.fixture
def at(monkeypatch):
    """Set what time it is for the pages."""

    def set_to(moment):
        monkeypatch.setattr(timezone, "now", lambda: moment)

    set_to(on(13))
    return set_to


@pytest.fixture
def world(at):
    """A published October of six people; E4 has objected."""
    world = make_branch()
    world.cycle = bring(world, "published")
    world.appeal = appeals.contest(review=review_of(world.cycle, world.E4), text="x", by=world.E4.user, at=PUBLISHED)
    return world


def browser(employee) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(User.objects.get(pk=employee.user_id))
    return client


def kept(viewer) -> set[tuple[str, str]]:
    """What is kept of somebody's looks: (whose, what)."""
    rows = Look.objects.filter(viewer=viewer.user_id, about="result")
    return set(rows.values_list("employee__employee_no", "what"))


def pages(world) -> dict[str, tuple[str, list, str, str]]:
    """Every page that shows something of a result: name -> (address, arguments, whose, what is kept)."""
    review = review_of(world.cycle, world.E1)
    measure = Measure.objects.filter(employee=world.E1).first()
    rated = "E1 E2 E3 E4 E5 E6"
    group = world.cycle.calibration_groups.get()
    return {
        "review": ("review", [review.pk], "E1", "review 2026-10"),
        "card": ("card", [review.scorecard_id], "E1", "card 2026-10"),
        "people": ("cycle_people", [world.cycle.pk], f"{rated} manager", "list 2026-10"),
        "group": ("calibration_group", [group.pk], rated, "comparison 2026-10"),
        "objections": ("appeals", [], "E4", "objection"),
        "decide": ("decide_appeal", [world.appeal.pk], "E4", "objection 2026-10"),
        "team": ("team_reviews", [world.cycle.pk], rated, "team 2026-10"),
        "colleagues": ("review_colleagues", [review.pk], "E1", "colleagues 2026-10"),
        "plan": ("person_plan", [world.E1.pk], "E1", "plan"),
        "measures": ("person_measures", [world.E1.pk], "E1", "measures"),
        "measure": ("measure", [measure.pk], "E1", "measures 2026-10"),
    }


@pytest.mark.parametrize(
    "name", ["review", "card", "people", "group", "objections", "decide", "colleagues", "plan", "measures", "measure"]
)
def test_au_02_hr_looks_and_it_is_kept_of_each_person(world, name):
    address, arguments, whose, what = pages(world)[name]
    assert browser(world.hr).get(reverse(f"kpi:{address}", args=arguments)).status_code == 200
    assert kept(world.hr) == {(f"N-{key}", what) for key in whose.split()}


@pytest.mark.parametrize("name", ["review", "card", "team", "colleagues", "plan", "measures", "measure"])
def test_au_02_the_manager_looks_and_it_is_kept_of_each_person(world, name):
    address, arguments, whose, what = pages(world)[name]
    assert browser(world.manager).get(reverse(f"kpi:{address}", args=arguments)).status_code == 200
    assert kept(world.manager) == {(f"N-{key}", what) for key in whose.split()}


def test_au_02_a_preview_with_names_is_kept(world):
    address = reverse("kpi:preview_scorecard", args=[world.version.pk])
    page = browser(world.hr).get(address, {"first": "2026-10", "last": "2026-10", "unit": world.branch.pk})
    assert len(page.context["rows"]) == 6
    assert kept(world.hr) == {(f"N-E{key}", "preview 2026-10") for key in range(1, 7)}


def test_au_02_what_is_refused_or_ones_own_is_no_look(world):
    review = review_of(world.cycle, world.E1)
    for who in (world.far_hr, world.E2, world.admin, world.author):
        for address, arguments, *_rest in pages(world).values():
            browser(who).get(reverse(f"kpi:{address}", args=arguments))
        assert kept(who) == set()
    own = browser(world.E1)
    for name, arguments in (("review", [review.pk]), ("card", [review.scorecard_id]), ("my_measures", [])):
        assert own.get(reverse(f"kpi:{name}", args=arguments)).status_code == 200
    assert not Look.objects.exists()


# --- what a crawl reads is what is kept ---------------------------------------------------------------------------------
def names_on(page, world) -> set[str]:
    """Whose names stand on a page in its main part, the reader's own aside."""
    text = page.content.decode()
    main = text[text.index("<main") : text.index("</main>")]
    return {one.employee_no for one in world.people if re.search(rf"{one.label}(?!\d)", main)}


# What says who somebody is, and nothing of a result: the cards of people, the honours, the roster.
OTHER_MATTERS = ("portal:", "people:", "courses:", "certificates:", "assessments:", "bulletins:", "core:")
# Pages of performance that name people without a result of theirs.
MOST = 20
NAMES_ONLY = {"kpi:rule_readers", "kpi:honours", "kpi:say_thanks", "kpi:result_looks_of"}


@pytest.mark.parametrize("who", ["hr", "manager", "auditor"])
def test_au_02_a_crawl_of_performance_leaves_a_look_at_everybody_it_names(world, who):
    reader = getattr(world, who)
    client = browser(reader)
    waiting, seen, kinds, named, wrong = [reverse("kpi:home")], set(), Counter(), 0, []
    while waiting:
        address = waiting.pop()
        path = address.partition("?")[0]
        if address in seen or not path.startswith(("/performance/", "/hr/", "/people/", "/measures/")):
            continue
        seen.add(address)
        name = resolve(path).view_name
        if name.startswith(OTHER_MATTERS):
            continue
        kinds[name] += 1
        if kinds[name] > MOST:
            continue
        newest = Look.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        page = client.get(address)
        if page.status_code != 200 or not page["Content-Type"].startswith("text/html"):
            if page.streaming:
                b"".join(page.streaming_content)
            continue
        new = Look.objects.filter(pk__gt=newest, viewer=reader.user_id, about="result")
        looked_at = set(new.filter(employee__in=world.people).values_list("employee__employee_no", flat=True))
        found = names_on(page, world)
        if name not in NAMES_ONLY and found != looked_at:
            wrong.append((name, sorted(found ^ looked_at)))
        named += bool(found)
        links = re.findall(r'href="([^"#]+)', page.content.decode())
        waiting += [path + link if link.startswith("?") else link for link in links]
    assert set(map(str, wrong)) == set()
    assert named > 5


def test_au_02_a_look_changes_nothing_else(world):
    before = Event.objects.count()
    for name in ("review", "card", "people", "group"):
        address, arguments, *_rest = pages(world)[name]
        with CaptureQueriesContext(connection) as queries:
            browser(world.hr).get(reverse(f"kpi:{address}", args=arguments))
        writes = [one["sql"] for one in queries if re.match(r"(INSERT|UPDATE|DELETE)", one["sql"])]
        tables = {re.search(r'"(\w+)"', sql).group(1) for sql in writes}
        assert tables - {"django_session", "people_user"} == {"kpi_look"}, (name, tables)
        assert sum('INTO "kpi_look"' in sql for sql in writes) == 1, name
    assert Event.objects.count() == before


def test_au_02_a_look_is_never_changed_nor_taken_away(world):
    browser(world.hr).get(reverse("kpi:review", args=[review_of(world.cycle, world.E1).pk]))
    for act in (lambda: Look.objects.update(what="nothing"), lambda: Look.objects.all().delete()):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            act()
    assert kept(world.hr) == {("N-E1", "review 2026-10")}


# --- who sees it --------------------------------------------------------------------------------------------------------
def test_au_02_the_person_sees_who_looked(world):
    own = browser(world.E1)
    empty = own.get(reverse("kpi:result_looks"))
    assert empty.context["events"] == []
    review = review_of(world.cycle, world.E1)
    browser(world.manager).get(reverse("kpi:card", args=[review.scorecard_id]))
    browser(world.hr).get(reverse("kpi:appeals"))  # of E4 only
    page = own.get(reverse("kpi:result_looks"))
    assert [(one["title"], one["text"]) for one in page.context["events"]] == [
        (world.manager.label, "the explained result · October 2026")
    ]
    mine = own.get(reverse("kpi:my_reviews")).context
    assert (mine["looks"], mine["last"]["who"]) == (1, world.manager.label)
    # Pay and results are kept in one table and shown apart.
    looks.record_looks(
        about=Look.About.PAY, employees=[world.E1.pk], viewer=world.hr.user, own=None, what="line", of="P-1", at=on(13)
    )
    assert len(own.get(reverse("kpi:result_looks")).context["events"]) == 1
    assert [one["text"] for one in own.get(reverse("kpi:pay_looks")).context["events"]] == ["the pay line · run P-1"]


def test_pm_y13_only_the_person_and_auditors_see_who_looked_at_results(world):
    address = reverse("kpi:result_looks_of", args=[world.E1.pk])
    found = {who: browser(getattr(world, who)).get(address).status_code for who in ("E1", "auditor", "hr", "manager")}
    assert found == {"E1": 200, "auditor": 200, "hr": 404, "manager": 404}


def test_every_kind_of_look_has_words():
    from kpi.look_words import LOOKED_AT

    kinds = {looks.LIST, looks.REVIEW, looks.CARD, looks.TEAM, looks.COLLEAGUES, looks.COMPARISON}
    kinds |= {looks.OBJECTION, looks.PREVIEW, looks.MEASURES, looks.PLAN}
    assert set(LOOKED_AT[Look.About.RESULT]) == kinds


def test_a_list_costs_one_write_however_long(world, django_assert_num_queries):
    employees = [make_employee(world.branch).pk for _number in range(30)]
    with django_assert_num_queries(1):
        number = looks.record_looks(
            about=Look.About.RESULT, employees=employees, viewer=world.hr.user, own=employees[0],
            what=looks.LIST, of="2026-10", at=on(13),
        )  # fmt: skip
    assert number == Look.objects.count() == 29
    assert looks.kept_months(world.cycle.first_month, fresh(world.cycle).last_month.plus(1)) == "2026-10/2026-11"


def test_asking_colleagues_is_looked_at_by_who_asks(at):
    world = make_branch(parameters=card(raters=PEERS))
    cycle = bring(world, "open")
    at(on(4))
    page = browser(world.manager).post(
        reverse("kpi:review_colleagues", args=[review_of(cycle, world.E1).pk]), {"numbers": "none-such"}
    )
    assert page.status_code == 200
    assert kept(world.manager) == {("N-E1", "colleagues 2026-10")}
