import pytest
from django.http import QueryDict
from django.urls import reverse
from hypothesis import HealthCheck, given, settings

from core.models import Event
from courses.audience_forms import Choices, RuleEditor
from courses.domain.audiences import select_people, tidy_rule
from courses.domain.opening import open_month
from courses.models import Audience, PeopleList
from tests.courses.domain.test_audience_rules import DAY, Company, rules
from tests.factories.courses import NOVEMBER, local, make_audience, make_course, make_programme
from tests.factories.people import grant, make_employee, make_position, make_unit, make_user

pytestmark = pytest.mark.django_db

NOW = local(2026, 11, 2, 9)
NEW = "courses:new_audience"


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)


@pytest.fixture
def group():
    return make_unit(code="G", name="集团")


@pytest.fixture
def east(group):
    return make_unit(group, code="E", name="东城")


@pytest.fixture
def west(group):
    return make_unit(group, code="W", name="西城")


@pytest.fixture
def hr(client, east):
    """Signed in as HR of the east."""
    user = make_user()
    grant(user, "hr", east)
    client.force_login(user)
    return client


def one_condition(kind, mode="all", **fields):
    """A rule with one condition, as the form sends it."""
    return {"rule-mode": mode, "rule-0-kind": kind, **{f"rule-0-{name}": value for name, value in fields.items()}}


def _page(hr, audience=None):
    return reverse("courses:audience", args=[audience.pk]) if audience else reverse(NEW)


# --- who may ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["courses:audiences", NEW])
def test_pm_m01_audiences_are_hrs(client, hr, name):
    assert hr.get(reverse(name)).status_code == 200
    for role in ("auditor", "author", None):
        user = make_user()
        if role:
            grant(user, role)
        client.force_login(user)
        assert client.get(reverse(name)).status_code == 403


def test_pm_m01_the_audience_of_another_unit_is_out_of_reach(hr, group, west):
    for other in (make_audience(west), make_audience(group)):
        for ask in (hr.get, hr.post):
            assert ask(_page(hr, other)).status_code == 404
    assert list(hr.get(reverse("courses:audiences")).context["rows"]) == []


def test_pm_m01_an_audience_is_made_within_the_own_units(hr, east, west):
    data = {"name": "x", "scope": west.pk, **one_condition("hired", first="2026-01-01")}
    assert hr.post(_page(hr), data).status_code == 422
    assert not Audience.objects.exists()


def test_pm_m01_a_list_of_another_unit_is_neither_offered_nor_taken(hr, group, east):
    other = PeopleList.objects.create(name="集团名单", scope=group)
    response = hr.post(_page(hr), {"name": "x", "scope": east.pk, **one_condition("list", list=other.pk)})
    assert response.status_code == 422
    assert "集团名单" not in response.content.decode()


# --- saving -------------------------------------------------------------------------------------------------------
def test_an_audience_is_saved_with_its_rule(hr, east):
    make_position("柜员", job_family="营业")
    data = {
        "name": "柜员",
        "scope": east.pk,
        "rule-mode": "all",
        "rule-0-kind": "units",
        "rule-0-units": ["E"],
        "rule-1-kind": "positions",
        "rule-1-positions": ["柜员"],
        "rule-2-kind": "job_families",
        "rule-2-job_families": ["营业"],
        "rule-3-kind": "hired",
        "rule-3-first": "2026-01-01",
    }
    assert hr.post(_page(hr), data).status_code == 302
    audience = Audience.objects.get()
    assert (audience.scope, audience.rule) == (
        east,
        {"units": ["E"], "positions": ["柜员"], "job_families": ["营业"], "hired_from": "2026-01-01"},
    )
    assert [event.action for event in Event.objects.filter(chain="months")] == ["audience made"]


def test_an_audience_can_get_another_name_alone(hr, east):
    audience = make_audience(east, {"hired_from": "2026-01-01"}, name="旧")
    data = {"name": "新", **one_condition("hired", first="2026-01-01")}
    assert hr.post(_page(hr, audience), data).status_code == 302
    event = Event.objects.get(chain="months", action="audience changed")
    assert (Audience.objects.get().name, event.before["name"], event.after["name"]) == ("新", "旧", "新")


def test_an_audience_that_somebody_changed_is_refused_once_with_what_was_typed(hr, east):
    audience = make_audience(east, {"hired_from": "2026-01-01"}, name="旧")
    address = _page(hr, audience)
    data = {"name": "我的", **one_condition("hired", first="2026-02-02"), "seen": hr.get(address).context["seen"]}
    Audience.objects.update(rule={"hired_from": "2026-03-03"})
    assert hr.post(address, {**data, "do": "preview"}).context["seen"] == data["seen"]
    refused = hr.post(address, data)
    page = refused.content.decode()
    assert refused.status_code == 422
    assert "2026年3月3日" in page and 'value="我的"' in page and 'value="2026-02-02"' in page
    assert Audience.objects.get().rule == {"hired_from": "2026-03-03"}
    assert hr.post(address, {**data, "seen": refused.context["seen"]}).status_code == 302
    assert Audience.objects.get().rule == {"hired_from": "2026-02-02"}


def test_groups_within_groups_are_saved_and_come_back(hr, east):
    make_course(code="A")
    people = PeopleList.objects.create(name="人才", scope=east)
    data = {
        "name": "混合",
        "scope": east.pk,
        "rule-mode": "any",
        "rule-0-kind": "list",
        "rule-0-list": people.pk,
        "rule-1-mode": "all",
        "rule-1-0-kind": "tenure",
        "rule-1-0-first": "6",
        "rule-1-1-kind": "not_completed",
        "rule-1-1-course": "A",
        "rule-1-1-since": "2026-01",
        "rule-1-2-mode": "none",
        "rule-1-2-0-kind": "units",
        "rule-1-2-0-more": "E，E",
    }
    assert hr.post(_page(hr), data).status_code == 302
    audience = Audience.objects.get()
    inner = {
        "all": [
            {"tenure_from": 6},
            {"not": {"completed": {"course": "A", "since": "2026-01"}}},
            {"not": {"any": [{"units": ["E"]}]}},
        ]
    }
    assert audience.rule == {"any": [{"list": people.pk}, inner]}
    editor = hr.get(_page(hr, audience)).context["editor"]
    shown = [(one.id, one.number, one.mode if one.is_group else one.kind) for one in editor.nodes()]
    assert shown == [
        ("rule", "", "any"),
        ("rule-0", "1", "list"),
        ("rule-1", "2", "all"),
        ("rule-1-0", "2.1", "tenure"),
        ("rule-1-1", "2.2", "not_completed"),
        ("rule-1-2", "2.3", "none"),
        ("rule-1-2-0", "2.3.1", "units"),
    ]


def test_a_condition_with_nothing_chosen_does_not_restrict_in_a_group_of_all(hr, east):
    data = {"name": "全员", "scope": east.pk, **one_condition("units"), "rule-1-kind": "tenure", "rule-1-first": "3"}
    assert hr.post(_page(hr), data).status_code == 302
    assert Audience.objects.get().rule == {"tenure_from": 3}


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        (one_condition("units", units=["W"]), ["rule-0"]),
        (one_condition("units", more="E, nothing"), ["rule-0"]),
        (one_condition("hired", first="x"), ["rule-0"]),
        (one_condition("hired", first="2026-02-01", last="2026-01-01"), ["rule-0"]),
        (one_condition("positions", positions=["没有"]), ["rule-0"]),
        (one_condition("tenure", first="six"), ["rule-0"]),
        (one_condition("not_completed", since="2026-01"), ["rule-0"]),
        (one_condition("units", mode="any"), ["rule-0"]),
        ({"rule-mode": "all", "rule-0-kind": "tenure", "rule-0-first": "3", "rule-1-mode": "none"}, ["rule-1"]),
        (
            {
                "rule-mode": "all",
                "rule-0-kind": "units",  # empty, so passed over: the places behind it are still right
                "rule-1-mode": "any",
                "rule-1-0-kind": "tenure",
                "rule-1-0-first": "1",
                "rule-1-1-kind": "hired",
                "rule-1-1-last": "soon",
            },
            ["rule-1-1"],
        ),
        ({**one_condition("tenure", first="3"), "name": ""}, []),
    ],
)
def test_a_rule_that_cannot_hold_is_refused_at_its_place_with_what_was_typed(hr, east, west, wrong, where):
    data = {"name": "打字", "scope": east.pk, **wrong}
    response = hr.post(_page(hr), data)
    assert response.status_code == 422
    assert [fault["id"] for fault in response.context["faults"]] == where
    page = response.content.decode()
    assert all(f'href="#{one}"' in page and f'id="{one}"' in page for one in where)
    assert not Audience.objects.exists()


# --- adding and removing, without JavaScript ----------------------------------------------------------------------
def test_adding_and_removing_keeps_what_was_typed_and_saves_nothing(hr, east):
    data = {"name": "打字", "scope": east.pk, **one_condition("tenure", first="6")}

    def press(do):
        response = hr.post(_page(hr), {**data, "do": do})
        assert response.status_code == 200
        editor = response.context["editor"]
        assert response.context["faults"] == []
        assert 'value="打字"' in response.content.decode()
        return [(one.id, "group" if one.is_group else one.kind) for one in editor.nodes()][1:]

    assert press("add:rule:positions") == [("rule-0", "tenure"), ("rule-1", "positions")]
    assert press("group:rule") == [("rule-0", "tenure"), ("rule-1", "group")]
    data |= {"rule-1-mode": "any", "rule-1-0-kind": "hired", "rule-1-0-first": "2026-01-01"}
    assert press("add:rule-1:list")[-2:] == [("rule-1-0", "hired"), ("rule-1-1", "list")]
    assert press("remove:rule-0") == [("rule-0", "group"), ("rule-0-0", "hired")]
    assert press("remove:rule-1") == [("rule-0", "tenure")]
    for nonsense in ("add:rule:colour", "add:nowhere:units", "remove:", "remove:rule", "x"):
        assert len(press(nonsense)) == 3
    assert not Audience.objects.exists()


def test_groups_lie_two_deep_on_the_page_and_no_deeper(hr, east):
    data = {"name": "x", "scope": east.pk, "rule-mode": "all", "rule-0-mode": "any", "rule-0-0-mode": "any"}
    page = hr.post(_page(hr), {**data, "do": "x"}).content.decode()
    assert 'value="group:rule-0"' in page
    assert 'value="group:rule-0-0"' not in page
    response = hr.post(_page(hr), {**data, "do": "group:rule-0-0"})
    assert len(list(response.context["editor"].nodes())) == 3


def test_a_form_with_thousands_of_parts_is_cut_off(east):
    deep = QueryDict(mutable=True)
    for level in range(30):
        deep["rule" + "-0" * level + "-mode"] = "all"
    wide = QueryDict(mutable=True)
    wide["rule-mode"] = "all"
    for place in range(500):
        wide[f"rule-{place}-kind"] = "tenure"
    choices = Choices.within([])
    assert len(list(RuleEditor.of_post(deep, choices=choices).nodes())) == 11
    assert len(list(RuleEditor.of_post(wide, choices=choices).nodes())) == 62


# --- looking ------------------------------------------------------------------------------------------------------
def test_the_preview_counts_who_enters_and_leaves_and_saves_nothing(hr, east):
    branch = make_unit(east, code="B")
    make_employee(unit=east, name="东")
    make_employee(unit=branch, name="网点")
    audience = make_audience(east, {"units": ["E"]}, name="全员")
    response = hr.post(_page(hr, audience), {"name": "", "do": "preview", **one_condition("units", units=["B"])})
    preview = response.context["preview"]
    enters, leaves = preview["changes"]
    assert (preview["now"], enters["number"], leaves["number"]) == (1, 0, 1)
    assert [person.name for person in leaves["first"]] == ["东"]
    assert [(one.unit, one.number, [p.name for p in one.first]) for one in preview["units"]] == [(branch, 1, ["网点"])]
    audience.refresh_from_db()
    assert (audience.name, audience.rule) == ("全员", {"units": ["E"]})


def test_the_preview_says_what_a_rule_means_for_the_open_month(hr, east):
    branch = make_unit(east, code="B")
    make_employee(unit=east, name="东")
    make_employee(unit=branch, name="网点")
    audience = make_audience(east, {"not": {"units": ["B"]}})
    course = make_course()
    make_programme(audience, plan=[(course, NOVEMBER)])
    open_month(month=NOVEMBER, by=None, at=NOW)
    response = hr.post(_page(hr, audience), {"do": "preview", **one_condition("units", units=["B"])})
    (row,) = response.context["preview"]["runs"]
    assert (row["run"].course, row["takes_joiners"]) == (course, True)
    assert [person.name for person in row["enters"]["first"]] == ["网点"]
    assert [person.name for person in row["stays"]["first"]] == ["东"]


def test_the_live_preview_is_a_piece_of_the_page_and_never_an_error(hr, east):
    make_employee(unit=east)
    data = {"scope": east.pk, "do": "preview"}
    for rule, words in (
        (one_condition("hired", first="2020-01-01"), 'id="audience-count"'),
        (one_condition("hired", first="soon"), 'href="#rule-0"'),
    ):
        response = hr.post(_page(hr), {**data, **rule}, headers={"HX-Request": "true"})
        page = response.content.decode()
        assert response.status_code == 200
        assert words in page
        assert "<html" not in page


def test_the_preview_takes_the_same_queries_for_few_and_many_people(hr, east, django_assert_num_queries):
    make_employee(unit=make_unit(east))
    data = {"scope": east.pk, "do": "preview", **one_condition("hired", first="2020-01-01")}
    headers = {"HX-Request": "true"}
    hr.post(_page(hr), data, headers=headers)
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(
        connection,
    ) as few:
        hr.post(_page(hr), data, headers=headers)
    for _ in range(30):
        make_employee(unit=make_unit(east))
    with django_assert_num_queries(len(few)):
        hr.post(_page(hr), data, headers=headers)


def test_the_list_takes_the_same_queries_for_one_and_many_audiences(hr, east, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    make_course(code="A")
    make_position("柜员")
    rule = {"units": ["E"], "positions": ["柜员"], "not": {"completed": {"course": "A"}}}
    make_programme(make_audience(east, rule))
    address = reverse("courses:audiences")
    hr.get(address)
    with CaptureQueriesContext(connection) as one:
        hr.get(address)
    for _ in range(10):
        make_programme(make_audience(east, rule))
    with django_assert_num_queries(len(one)):
        hr.get(address)


def test_a_large_tree_is_fetched_level_by_level(hr, east, west, monkeypatch):
    monkeypatch.setattr("courses.views.audiences.TREE_AT_ONCE", 2)
    city = make_unit(east, code="C")
    make_unit(city, code="B")
    (top,) = hr.get(_page(hr)).context["editor"].conditions[0].tree
    assert [(node["unit"].code, node["more"], node["children"]) for node in top["children"]] == [("C", True, [])]
    address = reverse("courses:audience_units", args=[city.pk])
    response = hr.get(address, {"field": "rule-0-units"})
    assert [node["unit"].code for node in response.context["nodes"]] == ["B"]
    assert 'name="rule-0-units"' in response.content.decode()
    assert hr.get(address, {"field": '"><script>'}).status_code == 404
    assert hr.get(reverse("courses:audience_units", args=[west.pk]), {"field": "rule-0-units"}).status_code == 404


# --- any rule through the editor ------------------------------------------------------------------------------------
def test_any_rule_comes_out_of_the_editor_as_it_went_in():
    company = Company()
    choices = Choices.within(PeopleList.objects.select_related("scope"))

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(rule=rules([one.pk for one in company.lists]))
    def holds(rule):
        def people(one):
            return sorted(select_people(rule=one, scope=company.group, on=DAY).values_list("pk", flat=True))

        editor = RuleEditor.of_rule(rule, choices=choices)
        sent = QueryDict(mutable=True)
        for node in editor.nodes():
            if node.is_group:
                sent[f"{node.id}-mode"] = node.mode
                continue
            sent[f"{node.id}-kind"] = node.kind
            for name, value in node.typed.items():
                values = value if isinstance(value, list) else [str(value) if value is not True else "on"]
                sent.setlist(f"{node.id}-{name}", values)
        back = RuleEditor.of_post(sent, choices=choices).read(scope=company.group)
        if back is None:  # the strategy may ask for a tenure or months that nobody can have
            return
        assert people(back) == people(rule)
        assert people(tidy_rule(rule)) == people(rule)
        again = RuleEditor.of_rule(back, choices=choices).read(scope=company.group)
        assert again == back

    holds()
