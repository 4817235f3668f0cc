"""The form of a scorecard, and what a draft would mean (TRUST PM-V11); T-01 typed in, published, measured and computed."""

import datetime as dt
from decimal import Decimal
from fractions import Fraction
from html.parser import HTMLParser

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import translation

from core.models import Event
from core.periods import Month
from kpi.curves import drawing
from kpi.domain import rules
from kpi.domain.parameters import scorecard_rule
from kpi.domain.scorecards import compute_cards
from kpi.domain.scoring import rated
from kpi.models import RuleVersion, Scorecard
from tests.factories.kpi import T01, make_indicators, make_measures, make_published_version
from tests.factories.people import grant, make_employee, make_unit, make_user
from tests.kpi.domain.test_scorecards import CODES, T01_TABLE, as_row

pytestmark = pytest.mark.django_db

MONTH = Month(2026, 10)
NOW = dt.datetime(2026, 11, 12, 2, 0, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)


@pytest.fixture
def group():
    return make_unit(name="集团")


@pytest.fixture
def branch(group):
    return make_unit(group, name="人民路网点", name_en="Renmin Road")


@pytest.fixture
def hr(client, group):
    user = make_user()
    grant(user, "hr", group)
    client.force_login(user)
    return client


@pytest.fixture
def draft(branch):
    return make_published_version({}, scope=branch, state="draft")


def edit(version):
    return reverse("kpi:edit_scorecard", args=[version.pk])


def look(version):
    return reverse("kpi:preview_scorecard", args=[version.pk])


class Inputs(HTMLParser):
    """What a browser would send of the form: (name, value) of its boxes, as a dict of lists."""

    def __init__(self, response):
        super().__init__()
        self.sent, self.select = {}, None
        self.feed(response.content.decode().partition('id="scorecard-editor"')[2].partition("</form>")[0])

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "input" and "name" in found and (found.get("type") != "checkbox" or "checked" in found):
            self.sent.setdefault(found["name"], []).append(found.get("value", ""))
        elif tag == "select":
            self.select = found["name"]
            self.sent[self.select] = [""]
        elif tag == "option" and "selected" in found:
            self.sent[self.select] = [found["value"]]


def typed(response):
    sent = Inputs(response).sent
    sent.pop("csrfmiddlewaretoken", None)
    return sent


def press(client, version, data, do, **values):
    return client.post(edit(version), {**data, **values, "do": do})


def type_t01(client, version):
    """T-01 as somebody types it: buttons for what is added, then the boxes."""
    data = typed(client.get(edit(version)))
    for do in ("add:curve", "add:step", "add:curve", "add:deduct", "add:rating", "add:veto"):
        data = typed(press(client, version, data, do))
    for do in (
        "rows:lines-0-points",
        "rows:lines-1-points",
        "rows:lines-2-points",
        "rows:lines-3-counts",
        "rows:bands",
    ):
        data |= {name: value for name, value in typed(press(client, version, data, do)).items() if name not in data}
    for place, line in enumerate(T01["lines"]):
        data |= {f"lines-{place}-{name}": line[name] for name in ("name_zh", "name_en", "weight")}
        data |= {f"lines-{place}-indicator": code for code in line.get("indicators", [])}
        for row, (value, score) in enumerate(line.get("points", [])):
            data |= {f"lines-{place}-points-{row}-value": value, f"lines-{place}-points-{row}-score": score}
        for row, count in enumerate(line.get("counts", [])):
            data |= {f"lines-{place}-counts-{row}-{name}": count[name] for name in ("indicator", "points")}
    for row, band in enumerate(T01["bands"]):
        data |= {f"bands-{row}-{name}": band[name] for name in ("grade", "from", "coefficient")}
    (veto,) = T01["vetoes"]
    data |= {f"vetoes-0-{name}": veto[name] for name in ("name_zh", "name_en", "indicator", "from", "cap")}
    return data | {"bonus-cap": "5", "bonus-indicators": ["bonus"]}


# --- who may ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("page", [edit, look])
def test_pm_v11_the_scorecard_is_for_hr_of_its_unit(client, group, branch, draft, page):
    elsewhere = make_unit(group)
    wanted = {
        ("hr", branch): 200, ("hr", group): 200, ("hr", elsewhere): 404,
        ("pay_maker", group): 403, ("auditor", None): 403, ("admin", None): 403, ("", None): 403,
    }  # fmt: skip
    found = {}
    for role, unit in wanted:
        user = make_employee(branch, with_user=True).user
        if role:
            grant(user, role, unit)
        client.force_login(user)
        found[role, unit] = client.get(page(draft)).status_code
    assert found == wanted


def test_pm_v11_no_form_for_other_families(hr, branch):
    rule = rules.make_rule(family="pay", code="PAY", name="绩效工资", scope=branch, by=None, at=NOW)
    version = rules.propose_version(rule=rule, by=None, at=NOW)
    assert hr.get(edit(version)).status_code in (403, 404)


def test_pm_v12_a_published_version_is_not_edited(hr, branch):
    version = make_published_version(T01, scope=branch)
    assert hr.get(edit(version)).url == reverse("kpi:rule_version", args=[version.pk])
    data = {"seen": version.revision, "do": "save"}
    assert hr.post(edit(version), data).url == reverse("kpi:rule_version", args=[version.pk])
    version.refresh_from_db()
    assert version.parameters == T01


# --- T-01 ----------------------------------------------------------------------------------------------------------------
def test_t_01_typed_in_published_measured_and_computed(hr, branch, draft):
    people = {name: make_employee(branch, name=name) for name in T01_TABLE}
    data = type_t01(hr, draft)
    response = press(hr, draft, data, "save")
    assert response.status_code == 302, Inputs(response).sent
    draft.refresh_from_db()
    codes = ["training", "exam", "satisfaction", "complaints_liable", "rating"]
    assert [line["code"] for line in draft.parameters["lines"]] == codes
    rules.begin_consultation(version=draft, by=None, at=NOW)
    draft.refresh_from_db()
    version = rules.publish_version(version=draft, effective_from=dt.date(2026, 12, 1), by=make_user(), at=NOW)
    for name, row in T01_TABLE.items():
        make_measures(people[name], MONTH, **dict(zip(CODES, row, strict=False)))
    ratings = {people[name].pk: {"rating": rated(Fraction(row[7]))} for name, row in T01_TABLE.items()}
    compute_cards(
        version=version,
        employees=people.values(),
        first_month=MONTH,
        last_month=MONTH,
        ratings=ratings,
        by=None,
        at=NOW,
    )
    found = {card.employee.name: as_row(card) for card in Scorecard.objects.select_related("employee")}
    assert found == {name: row[8:] for name, row in T01_TABLE.items()}


def test_a_card_that_is_there_comes_back_as_it_was(hr, branch):
    version = make_published_version(T01 | {"top_share": "20"}, scope=branch, state="draft")
    assert press(hr, version, typed(hr.get(edit(version))), "save").status_code == 302
    version.refresh_from_db()
    assert scorecard_rule(version.parameters) == scorecard_rule(T01 | {"top_share": "20"})


# --- the buttons -----------------------------------------------------------------------------------------------------------
def test_buttons_keep_what_was_typed_and_change_nothing_that_is_kept(hr, branch):
    version = make_published_version(T01, scope=branch, state="draft")
    data = typed(hr.get(edit(version)))
    data["lines-0-weight"] = "half"
    moved = typed(press(hr, version, data, "down:lines-0"))
    assert [moved[f"lines-{place}-name_en"] for place in (0, 1)] == [["Exam"], ["Training completion"]]
    assert moved["lines-1-weight"] == ["half"]
    fewer = typed(press(hr, version, moved, "remove:lines-0"))
    assert [fewer[f"lines-{place}-name_en"][0] for place in range(4)] == [
        "Training completion", "Customer satisfaction", "Complaints", "Manager"
    ]  # fmt: skip
    up = typed(press(hr, version, fewer, "up:lines-1"))
    assert up["lines-0-name_en"] == ["Customer satisfaction"]
    version.refresh_from_db()
    assert version.parameters == T01
    assert not Event.objects.exists()


@pytest.mark.parametrize("do", ["remove:lines-99", "up:vetoes-7", "rows:lines-9-points", "add:formula", "x", "down:"])
def test_a_button_that_is_not_there_does_nothing(hr, branch, do):
    version = make_published_version(T01, scope=branch, state="draft")
    data = typed(hr.get(edit(version)))
    assert typed(press(hr, version, data, do)) == data


# --- what is wrong -----------------------------------------------------------------------------------------------------------
def test_mc_23_faults_stand_at_their_fields(hr, branch):
    version = make_published_version(T01, scope=branch, state="draft")
    data = typed(hr.get(edit(version)))
    data |= {
        "lines-0-weight": "２０", "lines-0-points-0-score": "NaN", "lines-1-indicator": "", "lines-3-counts-0-points": "0",
        "lines-3-floor": "1_0", "bands-2-coefficient": "9", "bonus-cap": "-1", "vetoes-0-cap": "", "raters-manager": "90",
        "raters-min_peers": "many", "top_share": "0",
    }  # fmt: skip
    response = press(hr, version, data, "save")
    with translation.override("en"):
        names = {fault.there: fault.name for fault in response.context["editor"].faults}
    assert response.status_code == 422
    faults = [fault.there for fault in response.context["editor"].faults]
    assert sorted(set(faults)) == sorted(
        ["lines-0-weight", "lines-0-points-0-value", "lines-1-indicator", "lines-3-counts-0-points", "lines-3-floor", "lines",
         "bands", "bonus-cap", "vetoes-0-cap", "raters-manager", "raters-min_peers", "top_share"]
    )  # fmt: skip
    assert names["lines-0-weight"] == "Line 1 · Weight"
    assert names["bonus-cap"] == "Bonus points"
    page = response.content.decode()
    assert all(f'id="{there}"' in page for there in faults)  # each word leads to its field
    assert 'value="２０"' in page
    version.refresh_from_db()
    assert version.parameters == T01


def test_a_field_says_the_first_thing_that_is_wrong_with_it(hr, branch):
    version = make_published_version(T01, scope=branch, state="draft")
    data = typed(hr.get(edit(version))) | {"lines-0-weight": "abc", "lines-1-weight": ""}
    editor = press(hr, version, data, "save").context["editor"]
    assert {there: len(words) for there, words in editor.errors.items() if words} == {
        "lines-0-weight": 1, "lines-1-weight": 1, "lines": 1
    }  # fmt: skip


@pytest.mark.parametrize(
    ("do", "there"),
    [
        ("rows:lines-0-points", "lines-0-points-2-value"), ("rows:lines-3-counts", "lines-3-counts-2-indicator"),
        ("rows:bands", "bands-5-grade"), ("add:step", "lines-5"), ("up:lines-1", "lines-0"),
    ],
)  # fmt: skip
def test_the_keyboard_goes_on_where_something_was_added(hr, branch, do, there):
    version = make_published_version(T01, scope=branch, state="draft")
    page = press(hr, version, typed(hr.get(edit(version))), do).content.decode()
    (tag,) = [one for one in page.split("<") if "data-focus" in one]
    assert f'id="{there}"' in tag


def test_an_empty_card_says_what_is_missing(hr, draft):
    response = press(hr, draft, typed(hr.get(edit(draft))), "save")
    assert [fault.there for fault in response.context["editor"].faults] == ["lines", "bands"]


def test_mc_11_nobody_writes_over_what_somebody_else_saved(hr, branch):
    version = make_published_version(T01, scope=branch, state="draft")
    data = typed(hr.get(edit(version)))
    rules.change_draft(version=version, text_zh="新的文字", by=None, at=NOW)
    data["lines-0-name_en"] = "Courses"
    response = press(hr, version, data, "save")
    assert (response.status_code, response.context["changed"]) == (422, True)
    again = typed(response)
    assert again["lines-0-name_en"] == ["Courses"]
    assert press(hr, version, again, "save").status_code == 302
    version.refresh_from_db()
    assert (version.parameters["lines"][0]["name_en"], version.text_zh) == ("Courses", "新的文字")


def test_a_card_of_units_has_nothing_to_rate(hr, branch):
    card = {name: T01[name] for name in ("bands",)} | {"lines": [T01["lines"][0] | {"weight": "100"}]}
    version = make_published_version(card, scope=branch, subject="unit", state="draft")
    page = hr.get(edit(version))
    assert "add:rating" not in page.content.decode()
    assert press(hr, version, typed(page), "save").status_code == 302
    version.refresh_from_db()
    assert "raters" not in version.parameters


# --- the drawing --------------------------------------------------------------------------------------------------------------
def points(*pairs):
    return [(Decimal(value), Decimal(score)) for value, score in pairs]


def test_a_curve_is_drawn_on_the_server(hr, branch):
    version = make_published_version(T01, scope=branch, state="draft")
    page = hr.get(edit(version)).content.decode()
    found = drawing(kind="curve", points=points(("60", "0"), ("100", "100")), below=Decimal(0))
    assert found.line == "M0 110.0H31.0V110.0L289.0 10.0H320"
    assert found.line in page
    steps = drawing(kind="step", points=points(("90", "100"), ("60", "50")), below=Decimal(0))
    assert steps.line == "M0 110.0H31.0V60.0H289.0V10.0H320"
    assert drawing(kind="curve", points=[], below=Decimal(0)).line == ""
    single = drawing(kind="curve", points=points(("50", "20")), below=Decimal(0))
    assert (single.left, single.right) == ("50", "")


# --- the preview -----------------------------------------------------------------------------------------------------------------
@pytest.fixture
def compared(branch):
    """A version in force, a draft that weighs training twice as much, two people."""
    make_published_version(T01, scope=branch)
    lines = [T01["lines"][0] | {"weight": "45"}, *T01["lines"][2:]]
    draft = make_published_version(T01 | {"lines": lines}, scope=branch, state="draft", number=2)
    good, poor = make_employee(branch, name="甲"), make_employee(branch, name="乙")
    make_measures(good, MONTH, training="100", exam="60", satisfaction="80", complaints_liable="0")
    make_measures(poor, MONTH, training="60", exam="96", satisfaction="80", complaints_liable="0")
    make_employee(branch, name="丙")
    return draft, good, poor


def test_a_preview_says_who_gains_and_who_loses_and_writes_nothing(hr, compared):
    draft, good, poor = compared
    response = hr.get(look(draft))
    found = response.context["found"]
    assert [(one.subject, str(one.before.total), str(one.after.total)) for one in found.outcomes] == [
        (poor.pk, "76.47", "47.06"),
        (good.pk, "85.30", "100.00"),
    ]
    assert ([one.subject for one in found.gain], [one.subject for one in found.lose]) == ([good.pk], [poor.pk])
    assert (found.grades(), response.context["without"]) == ([("A", 0, 1), ("B", 1, 0), ("C", 1, 0), ("E", 0, 1)], 1)
    assert not Scorecard.objects.exists() and not Event.objects.exists()
    page = hr.get(look(draft), {"who": "gain"}).content.decode()
    assert "甲" in page and "乙" not in page


def test_a_preview_shows_first_whom_it_would_change(hr, branch, compared):
    draft, good, poor = compared
    same = make_employee(branch, name="丁")
    make_measures(same, MONTH, training="100", exam="90", satisfaction="80", complaints_liable="0")
    response = hr.get(look(draft))
    assert [row["outcome"].subject for row in response.context["rows"]] == [poor.pk, good.pk, same.pk]
    assert "unchanged" in hr.get(look(draft), HTTP_ACCEPT_LANGUAGE="en").content.decode()


def test_a_preview_that_changes_nobody_says_so(hr, branch):
    make_published_version(T01, scope=branch)
    draft = make_published_version(T01, scope=branch, state="draft", number=2)
    make_measures(make_employee(branch), MONTH, training="100")
    page = hr.get(look(draft), HTTP_ACCEPT_LANGUAGE="en").content.decode()
    assert "1 card would keep its coefficient under version 1, which is in force." in page


def test_pm_v01_a_preview_shows_the_people_the_actor_sees(client, group, branch, compared):
    draft, good, _poor = compared
    draft.rule.scope = group
    draft.rule.save()
    elsewhere = make_unit(group)
    other = make_employee(elsewhere)
    make_measures(other, MONTH, training="90")
    user = make_user()
    grant(user, "hr", group)
    client.force_login(user)
    everybody = client.get(look(draft)).context["found"]
    assert {one.subject for one in everybody.outcomes} >= {good.pk, other.pk}
    only = client.get(look(draft), {"unit": elsewhere.pk}).context["found"]
    assert [one.subject for one in only.outcomes] == [other.pk]


@pytest.mark.parametrize(
    "asked", [{"first": "2026-13"}, {"unit": "0"}, {"unit": "x"}, {"first": "2026-10", "last": "2026-09"}]
)
def test_a_preview_of_nonsense_says_so(hr, compared, asked):
    response = hr.get(look(compared[0]), asked)
    assert response.status_code == 200
    assert response.context["form"].errors and "found" not in response.context


def test_a_preview_without_figures_or_with_faults_says_so(hr, branch, draft):
    make_indicators()
    assert hr.get(look(draft)).context["faults"]
    version = make_published_version(T01, scope=branch, state="draft", code="OTHER")
    assert hr.get(look(version)).context["nothing"] is True


def test_too_many_people_are_refused_with_a_cure(hr, compared, monkeypatch):
    monkeypatch.setattr("kpi.domain.previewing.MOST", 2)
    assert hr.get(look(compared[0])).context["too_many"] == 3


def test_a_preview_asks_no_more_for_more_people(hr, branch, compared):
    draft = compared[0]
    hr.get(look(draft))
    with CaptureQueriesContext(connection) as few:
        hr.get(look(draft))
    for _number in range(5):
        make_measures(make_employee(branch), MONTH, training="90", exam="70")
    with CaptureQueriesContext(connection) as many:
        hr.get(look(draft))
    assert len(few) == len(many)


def test_units_are_previewed_alike(hr, group, branch):
    card = {"bands": T01["bands"], "lines": [T01["lines"][0] | {"weight": "100"}]}
    version = make_published_version(card, scope=group, subject="unit", state="draft")
    make_measures(branch, MONTH, training="90")
    found = hr.get(look(version)).context["found"]
    assert [(one.subject, str(one.after.total)) for one in found.outcomes] == [(branch.pk, "75.00")]
    assert RuleVersion.objects.count() == 1
