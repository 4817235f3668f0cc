"""Any rule selects exactly the people whom a plain reading of it selects, one person after the other."""

import datetime as dt

import pytest
from django.utils import translation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.models import Event
from core.periods import Month
from courses.domain.audiences import (
    MAX_CONDITIONS,
    MAX_DEPTH,
    AudienceChanged,
    RuleRefused,
    compare_rules,
    conditions_of,
    describe_rule,
    hired_by,
    save_audience,
    select_people,
    validate_rule,
)
from courses.models import Audience, Enrolment, PeopleList
from people.models import Employee, OrgUnit
from tests.factories.courses import local, make_audience, make_course, make_enrolment, make_run
from tests.factories.people import make_employee, make_position, make_unit

pytestmark = pytest.mark.django_db

DAY = dt.date(2026, 11, 30)
AT = local(2026, 11, 30, 9)
COURSES = ("A", "B")
MONTHS = ("2026-08", "2026-09", "2026-10")


# --- a small company ------------------------------------------------------------------------------------------------
class Company:
    def __init__(self):
        self.group = make_unit(code="G", name="集团", name_en="Group")
        self.east = make_unit(self.group, code="E", name="东城", name_en="East City")
        self.west = make_unit(self.group, code="W", name="西城", name_en="West City")
        self.branch = make_unit(self.east, code="B", name="一号网点", name_en="Branch One")
        positions = [
            make_position("柜员", "Teller", job_family="营业"),
            make_position("店长", "Branch head", job_family="营业"),
            make_position("客户经理", "Account manager", job_family="销售"),
            make_position("顾问"),
        ]
        hired = [None, *(dt.date(*day) for day in ((2026, 11, 30), (2026, 10, 31), (2026, 5, 31), (2020, 2, 29)))]
        units = [self.group, self.east, self.branch, self.branch, self.west]
        self.people = [
            make_employee(unit=units[n % 5], position=[*positions, None][n % 4 if n % 7 else 4], hired_on=hired[n % 5])
            for n in range(24)
        ]
        for n, person in enumerate(self.people):  # no two lists go through the company in step
            person.hired_on = hired[(n * 3 + n // 5) % 5]
            person.save()
        make_employee(unit=self.east, position=positions[0], name="left", state="left", left_on=DAY - dt.timedelta(1))
        make_employee(unit=self.east, position=positions[0], name="off", state="suspended")
        make_employee(unit=None, position=positions[0], name="nowhere")
        self.courses = {code: make_course(code=code, steps=1, title_en=f"Course {code}") for code in COURSES}
        runs = {(code, m): make_run(self.courses[code], month=m) for code in COURSES for m in MONTHS}
        states = ("assigned", "completed", "late", "exempt", None)
        for number, ((_code, _month), run) in enumerate(runs.items()):
            for n, person in enumerate(self.people):
                state = states[(n * (number + 2) + n // 3) % 5]
                if state == "late":
                    done = {"completed_at": run.due_at + dt.timedelta(hours=1)}
                    make_enrolment(person, run, state="completed", **done)
                elif state:
                    make_enrolment(person, run, state=state)
        self.lists = [PeopleList.objects.create(name=f"名单{n}", scope=self.group) for n in range(2)]
        self.lists[0].members.set(self.people[::3])
        self.lists[1].members.set(self.people[1::4])


# --- the oracle -----------------------------------------------------------------------------------------------------
def _above(unit):
    return {one.code for one in OrgUnit.objects.above(unit)}


class Oracle:
    """Everything there is to know about each person, read once; a rule is then answered by plain Python."""

    def __init__(self, on):
        self.on, self.facts = on, {}
        above = {unit.pk: _above(unit) for unit in OrgUnit.objects.all()}
        for person in Employee.objects.select_related("position"):
            self.facts[person.pk] = {
                "person": person,
                "units": above.get(person.unit_id, set()),
                "done": set(),
                "lists": set(person.people_lists.values_list("pk", flat=True)),
            }
        for one in Enrolment.objects.select_related("run__course"):
            if one.state == "completed":
                self.facts[one.employee_id]["done"].add((one.run.course.code, str(one.run.month), one.on_time))

    def select(self, rule, scope):
        return sorted(
            pk
            for pk, facts in self.facts.items()
            if self.is_here(facts["person"]) and scope.code in facts["units"] and self.meets(facts, rule, scope)
        )

    def is_here(self, person):
        if person.state == "suspended" or (person.left_on and person.left_on < self.on):
            return False
        return person.hired_on is None or person.hired_on <= self.on

    def meets(self, facts, rule, scope):
        return all(self.holds(facts, key, value, scope) for key, value in rule.items())

    def holds(self, facts, key, value, scope):
        person = facts["person"]
        if key == "all":
            return all(self.meets(facts, part, scope) for part in value)
        if key == "any":
            return any(self.meets(facts, part, scope) for part in value)
        if key == "not":
            return not self.meets(facts, value, scope)
        if key == "units":
            inside = {code for code in value if scope.code in _above(OrgUnit.objects.get(code=code))}
            return bool(inside & facts["units"])
        if key == "positions":
            return person.position is not None and person.position.title in value
        if key == "job_families":
            return person.position is not None and person.position.job_family in value
        if key == "list":
            return value in facts["lists"]
        if key == "completed":
            first, last = value.get("since", "0000-00"), value.get("until", "9999-99")
            return any(
                code == value["course"] and first <= month <= last and (on_time or not value.get("on_time"))
                for code, month, on_time in facts["done"]
            )
        if person.hired_on is None:
            return False
        if key == "hired_from":
            return person.hired_on.isoformat() >= value
        if key == "hired_until":
            return person.hired_on.isoformat() <= value
        served = _months_served(person.hired_on, self.on)
        return served >= value if key == "tenure_from" else served < value


def _months_served(hired_on, on):
    """Counted up month by month: the day is that of the hire, or the last of a month that has no such day."""
    months = 0
    while True:
        month = Month.of(hired_on).plus(months + 1)
        if dt.date(month.year, month.month, min(hired_on.day, month.last_day.day)) > on:
            return months
        months += 1


# --- rules ----------------------------------------------------------------------------------------------------------
def some_of(values):
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True).map(sorted)


days = st.sampled_from(["2020-02-29", "2026-05-31", "2026-06-01", "2026-10-31", "2026-11-30"])
months_of_service = st.sampled_from([1, 2, 6, 81, 82])
completed = st.fixed_dictionaries(
    {"course": st.sampled_from(COURSES)},
    optional={"since": st.sampled_from(MONTHS), "until": st.sampled_from(MONTHS), "on_time": st.just(True)},
)


def leaves(lists):
    return st.one_of(
        st.fixed_dictionaries({"units": some_of(["G", "E", "W", "B"])}),
        st.fixed_dictionaries({"positions": some_of(["柜员", "店长", "客户经理", "顾问"])}),
        st.fixed_dictionaries({"job_families": some_of(["营业", "销售"])}),
        st.fixed_dictionaries({"hired_from": days}),
        st.fixed_dictionaries({"hired_until": days}),
        st.fixed_dictionaries({"tenure_from": months_of_service}),
        st.fixed_dictionaries({"tenure_until": months_of_service}),
        st.fixed_dictionaries({"completed": completed}),
        st.fixed_dictionaries({"list": st.sampled_from(lists)}),
    )


def rules(lists):
    several = st.tuples(leaves(lists), leaves(lists)).map(lambda two: two[0] | two[1])
    return st.recursive(
        leaves(lists) | several,
        lambda rule: st.one_of(
            st.fixed_dictionaries({"all": st.lists(rule, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"any": st.lists(rule, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"not": rule}),
            st.tuples(leaves(lists), st.fixed_dictionaries({"not": rule})).map(lambda two: two[0] | two[1]),
        ),
        max_leaves=8,
    )


def test_any_rule_selects_exactly_whom_a_plain_reading_selects():
    company = Company()
    oracle = Oracle(DAY)
    scopes = [company.group, company.east]
    some_rules = rules([one.pk for one in company.lists])
    sizes = set()

    @settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(rule=some_rules, other=some_rules, scope=st.sampled_from(scopes))
    def holds(rule, other, scope):
        expected, before = oracle.select(rule, scope), oracle.select(other, scope)
        sizes.add(len(expected))
        assert sorted(select_people(rule=rule, scope=scope, on=DAY).values_list("pk", flat=True)) == expected
        change = compare_rules(before=other, after=rule, scope=scope, on=DAY)
        assert sorted(change.enters.values_list("pk", flat=True)) == sorted(set(expected) - set(before))
        assert sorted(change.leaves.values_list("pk", flat=True)) == sorted(set(before) - set(expected))
        for language in ("en", "zh-hans"):
            with translation.override(language):
                assert describe_rule(rule=rule, scope=scope)

    holds()
    assert len(sizes) > 10, "the rules must tell people apart"


@given(
    on=st.dates(dt.date(2024, 1, 1), dt.date(2028, 12, 31)),
    hired_on=st.dates(dt.date(2022, 1, 1), dt.date(2028, 12, 31)),
    months=st.integers(1, 40),
)
@settings(max_examples=1000, deadline=None)
def test_service_is_complete_on_the_same_day_or_the_last_of_a_shorter_month(on, hired_on, months):
    assert (hired_on <= hired_by(on=on, months=months)) == (_months_served(hired_on, on) >= months)


# --- reading --------------------------------------------------------------------------------------------------------
@pytest.fixture
def group():
    return make_unit(code="G", name="集团", name_en="Group")


@pytest.fixture
def east(group):
    return make_unit(group, code="E", name="东城", name_en="East City")


def test_validate_rule_gives_the_plain_form_of_groups(group, east):
    make_course(code="A")
    people = PeopleList.objects.create(name="名单", scope=east)
    rule = {
        "any": [
            {"units": ["E", "E"], "positions": []},
            {"not": {"completed": {"course": "A", "since": "2026-01", "until": "", "on_time": False}}},
            {"all": ({"tenure_from": "6"}, {"list": str(people.pk), "tenure_until": 12})},
        ],
        "hired_from": dt.date(2026, 1, 1),
    }
    clean = {
        "any": [
            {"units": ["E"]},
            {"not": {"completed": {"course": "A", "since": "2026-01"}}},
            {"all": [{"tenure_from": 6}, {"list": people.pk, "tenure_until": 12}]},
        ],
        "hired_from": "2026-01-01",
    }
    assert validate_rule(rule=rule, scope=group) == clean
    assert validate_rule(rule=clean, scope=group) == clean


def _deep(levels):
    rule = {"hired_from": "2026-01-01"}
    for _level in range(levels):
        rule = {"not": rule}
    return rule


@pytest.mark.parametrize(
    ("rule", "places"),
    [
        ({"any": [{"units": ["E"]}, {"units": ["X"]}]}, ["any.1.units"]),
        ({"any": []}, ["any"]),
        ({"any": [{}]}, ["any.0"]),
        ({"all": "E"}, ["all"]),
        ({"all": ["E"]}, ["all.0"]),
        ({"not": {}}, ["not"]),
        ({"not": {"any": [{"colour": 1}, {"hired_from": "soon"}]}}, ["not.any.0.colour", "not.any.1.hired_from"]),
        ({"tenure_from": "six"}, ["tenure_from"]),
        ({"tenure_from": True}, ["tenure_from"]),
        ({"tenure_from": 0}, ["tenure_from"]),
        ({"tenure_from": 6, "tenure_until": 6}, ["tenure_until"]),
        ({"completed": {"course": "Z"}}, ["completed"]),
        ({"completed": {"since": "2026-01"}}, ["completed"]),
        ({"completed": {"course": "A", "since": "spring"}}, ["completed"]),
        ({"completed": {"course": "A", "since": "2026-02", "until": "2026-01"}}, ["completed"]),
        ({"completed": {"course": "A", "score": 90}}, ["completed"]),
        ({"list": 999}, ["list"]),
        ({"list": "x"}, ["list"]),
        (_deep(MAX_DEPTH + 1), [".".join(["not"] * (MAX_DEPTH + 1))]),
        (_deep(5000), [".".join(["not"] * (MAX_DEPTH + 1))]),
        ({"any": [{"tenure_from": 1}] * (MAX_CONDITIONS + 1)}, ["rule"]),
        ({"any": [{"all": [{"tenure_from": 1}] * 10}] * 10}, ["rule"]),
        ({"units": [f"U{n}" for n in range(3000)]}, ["rule"]),
    ],
)
def test_validate_rule_names_every_fault_with_its_place(rule, places, group, east):
    make_course(code="A")
    with pytest.raises(RuleRefused) as refused:
        validate_rule(rule=rule, scope=group)
    assert list(refused.value.problems) == places
    assert places[0] in str(refused.value)


def test_a_rule_may_be_as_deep_and_as_large_as_the_limits(group):
    assert validate_rule(rule=_deep(MAX_DEPTH), scope=group) == _deep(MAX_DEPTH)
    rule = {"any": [{"tenure_from": 1}] * MAX_CONDITIONS}
    assert validate_rule(rule=rule, scope=group) == rule


def test_pm_m01_a_list_of_another_unit_is_not_found(group, east):
    whole = PeopleList.objects.create(name="全部", scope=group)
    with pytest.raises(RuleRefused):
        validate_rule(rule={"list": whole.pk}, scope=east)
    assert validate_rule(rule={"list": whole.pk}, scope=group) == {"list": whole.pk}


def test_looking_names_up_takes_one_query_for_each_kind(group, east, django_assert_num_queries):
    make_course(code="A")
    make_position("柜员", job_family="营业")
    one = {"units": ["E"], "positions": ["柜员"], "job_families": ["营业"], "completed": {"course": "A"}}
    with django_assert_num_queries(4):
        validate_rule(rule=one, scope=group)
    with django_assert_num_queries(4):
        validate_rule(rule={"any": [one, {"not": one}, {"all": [one, one]}]}, scope=group)


def test_selecting_takes_two_queries_however_the_rule_is_built(group, east, django_assert_num_queries):
    make_employee(unit=east)
    one = {"units": ["E"], "positions": ["柜员"], "completed": {"course": "A"}, "list": 1}
    with django_assert_num_queries(2):  # the unit tree, and the people
        list(select_people(rule={"any": [one, {"not": one}, {"units": ["G"]}]}, scope=group, on=DAY))


def test_conditions_are_found_at_any_depth():
    rule = {"units": ["E"], "any": [{"list": 1}, {"not": {"all": [{"list": 2, "tenure_from": 3}]}}]}
    assert list(conditions_of(rule)) == [("units", ["E"]), ("list", 1), ("list", 2), ("tenure_from", 3)]


# --- saying ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("rule", "english"),
    [
        (
            {"any": [{"positions": ["柜员"]}, {"list": 0}]},
            "Everybody in Group, either with the position Teller, or on the list “Talents”.",
        ),
        (
            {"units": ["E"], "not": {"any": [{"positions": ["柜员"]}, {"completed": {"course": "A"}}]}},
            "Everybody in East City, not with the position Teller, who did not complete “Greeting”.",
        ),
        (
            {"all": [{"tenure_from": 1}, {"any": [{"tenure_until": 6, "job_families": ["营业"]}, {"units": ["E"]}]}]},
            "Everybody in Group, here for at least 1 month, either (of the job family 营业, and here for less than 6"
            " months), or in East City.",
        ),
        (
            {"not": {"hired_from": "2026-01-01", "hired_until": "2026-06-30"}},
            "Everybody in Group, either not hired on 1 January 2026 or later, or not hired on 30 June 2026 or earlier.",
        ),
        (
            {"hired_from": "2026-01-01", "hired_until": "2026-06-30", "not": {"units": ["E"]}},
            "Everybody in Group, hired from 1 January 2026 to 30 June 2026, not in East City.",
        ),
        (
            {"completed": {"course": "A", "since": "2026-08", "until": "2026-10", "on_time": True}},
            "Everybody in Group, who completed “Greeting” on time in the months from August 2026 to October 2026.",
        ),
        (
            {"not": {"completed": {"course": "A", "since": "2026-08"}}},
            "Everybody in Group, who did not complete “Greeting” since August 2026.",
        ),
    ],
)
def test_describe_rule_is_one_sentence_however_the_rule_is_built(rule, english, group, east):
    make_position("柜员", "Teller", job_family="营业")
    make_course(code="A", title_en="Greeting", title_zh="问候")
    people = PeopleList.objects.create(name="Talents", scope=group)
    for part in rule.get("any", []):
        if "list" in part:
            part["list"] = people.pk
    with translation.override("en"):
        assert describe_rule(rule=rule, scope=group) == english


# --- keeping --------------------------------------------------------------------------------------------------------
def test_saving_an_audience_leaves_one_event_with_what_changed(group, east):
    values = {"name": "东城", "name_en": "East", "scope": group, "by": None, "at": AT}
    audience = save_audience(audience=None, rule={"units": ["E", "E"]}, **values)
    assert (audience.name, audience.scope, audience.rule) == ("东城", group, {"units": ["E"]})
    changed = {"not": {"units": ["E"]}}
    for _twice in range(2):
        audience = save_audience(audience=audience, rule=changed, **values)
    events = Event.objects.filter(chain="months").values_list("action", "before__rule", "after__rule")
    assert list(events) == [("audience made", None, {"units": ["E"]}), ("audience changed", {"units": ["E"]}, changed)]


def test_an_audience_that_was_changed_meanwhile_is_not_written_over(group, east):
    audience = make_audience(group, {"units": ["E"]}, name="旧")
    Audience.objects.update(name="别人的")
    with pytest.raises(AudienceChanged):
        save_audience(audience=audience, name="新", name_en="", scope=group, rule={}, by=None, at=AT)
    assert (Audience.objects.get().name, Event.objects.count()) == ("别人的", 0)


def test_a_rule_that_is_refused_saves_nothing(group, east):
    audience = make_audience(group, {"units": ["E"]}, name="旧")
    with pytest.raises(RuleRefused):
        save_audience(audience=audience, name="新", name_en="", scope=group, rule={"units": ["X"]}, by=None, at=AT)
    audience.refresh_from_db()
    assert (audience.name, audience.rule, Event.objects.count()) == ("旧", {"units": ["E"]}, 0)
