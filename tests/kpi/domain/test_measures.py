"""Writing, correcting and adding up measures."""

from decimal import Decimal as D

import pytest
from django.db import connection

from core.events import verify_chain
from core.models import Event
from core.periods import Month
from kpi.domain import measures
from kpi.domain.measures import Aggregate, NewMeasure, Written
from kpi.models import Measure, Rule, RuleVersion
from tests.factories.kpi import T01, make_indicators
from tests.factories.people import make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

OCTOBER, NOVEMBER = Month(2026, 10), Month(2026, 11)


@pytest.fixture
def indicators():
    return make_indicators()


@pytest.fixture
def unit():
    return make_unit(code="U1")


@pytest.fixture
def person(unit):
    return make_employee(unit=unit)


@pytest.fixture
def by():
    return make_user()


def row(indicator, value, employee=None, unit=None, month=NOVEMBER, **fields):
    value = None if value is None else D(value)
    return NewMeasure(
        indicator=indicator,
        month=month,
        value=value,
        employee=employee.pk if employee else None,
        unit=unit.pk if unit else None,
        **fields,
    )


def in_force():
    """{(code, month, employee or unit id): value} of what counts."""
    rows = measures.in_force().values_list("indicator__code", "month", "employee", "org_unit", "value")
    return {(code, str(month), one or other): value for code, month, one, other, value in rows}


def test_write_measures_keeps_values_and_tells_one_event(indicators, person, unit, by, at):
    sat, late = indicators["satisfaction"], indicators["complaints_late"]

    wrote = measures.write_measures(
        rows=[
            row(sat, "84", person, n=25, spread=D("6.5"), evidence={"file": "十一月.xlsx", "row": 2}),
            row(late, "2", person),
            row(sat, "81.5", unit=unit, n=120),
        ],
        by=by,
        at=at,
    )

    ids = tuple(Measure.objects.order_by("pk").values_list("pk", flat=True))
    assert wrote == Written(new=3, corrected=0, unchanged=0, ids=ids)
    assert in_force() == {
        ("satisfaction", "2026-11", person.pk): D("84"),
        ("complaints_late", "2026-11", person.pk): D("2"),
        ("satisfaction", "2026-11", unit.pk): D("81.5"),
    }
    event = Event.objects.get(chain="measures")
    assert (event.action, event.actor, event.subject_type, event.subject_id) == (
        "measures written",
        by,
        "kpi.measure",
        str(ids[0]),
    )
    assert {key: event.after[key] for key in ("new", "corrected", "count", "months", "ids")} == {
        "new": 3,
        "corrected": 0,
        "count": 3,
        "months": ["2026-11"],
        "ids": [[ids[0], ids[-1]]],
    }
    assert verify_chain("measures") == (1, None)


def test_write_measures_twice_changes_nothing(indicators, person, by, at):
    rows = [row(indicators["bonus"], "2.5", person)]
    measures.write_measures(rows=rows, by=by, at=at)

    assert measures.write_measures(rows=rows, by=by, at=at) == Written(unchanged=1)
    assert (Measure.objects.count(), Event.objects.filter(chain="measures").count()) == (1, 1)


def test_write_measures_supersedes_with_a_reason(indicators, person, by, at):
    bonus = indicators["bonus"]
    measures.write_measures(rows=[row(bonus, "2", person)], by=by, at=at)

    with pytest.raises(measures.ReasonMissing):
        measures.write_measures(rows=[row(bonus, "3", person)], by=by, at=at)
    wrote = measures.write_measures(rows=[row(bonus, "3", person, reason="漏记一次")], by=by, at=at)

    first, second = Measure.objects.order_by("pk")
    assert wrote == Written(corrected=1, ids=(second.pk,))
    assert (second.supersedes, second.reason, first.reason) == (first, "漏记一次", "")
    assert in_force() == {("bonus", "2026-11", person.pk): D("3")}
    assert measures.history_of(second) == [first, second]


def test_a_value_is_taken_back_and_may_come_again(indicators, person, by, at):
    bonus = indicators["bonus"]
    nothing = row(bonus, None, person, reason="记错人")

    assert measures.write_measures(rows=[nothing], by=by, at=at) == Written(unchanged=1)
    measures.write_measures(rows=[row(bonus, "2", person)], by=by, at=at)
    assert measures.write_measures(rows=[nothing], by=by, at=at).corrected == 1
    assert in_force() == {}
    assert measures.write_measures(rows=[row(bonus, "1", person, reason="核实")], by=by, at=at).corrected == 1
    assert in_force() == {("bonus", "2026-11", person.pk): D("1")}


def test_write_measures_refuses_one_subject_twice(indicators, person, by, at):
    with pytest.raises(measures.MeasuredTwice):
        measures.write_measures(rows=[row(indicators["bonus"], v, person) for v in ("1", "2")], by=by, at=at)
    assert not Measure.objects.exists()


def test_write_measures_asks_as_often_for_many_as_for_few(indicators, unit, by, at, django_assert_num_queries):
    def write(people):
        rows = [row(indicators[code], "1", person) for person in people for code in ("bonus", "complaints_late")]
        measures.write_measures(rows=rows, by=by, at=at)

    few, many = [make_employee(unit=unit)], [make_employee(unit=unit) for _n in range(12)]
    write([make_employee(unit=unit)])  # the chain is there
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        write(few)
    with django_assert_num_queries(len(queries)):
        write(many)


def test_correct_measure_supersedes_and_says_why(indicators, person, by, at):
    sat = indicators["satisfaction"]
    measures.write_measures(
        rows=[row(sat, "70", person, n=12, spread=D("4"), evidence={"file": "a.csv", "row": 3})], by=None, at=at
    )
    before = Measure.objects.get()

    made = measures.correct_measure(measure=before, value=D("76"), reason=" 复核录音 ", by=by, at=at)

    assert (made.supersedes, made.value, made.n, made.spread, made.reason, made.source, made.captured_by) == (
        before,
        D("76"),
        12,
        D("4.0000"),
        "复核录音",
        "file",
        by,
    )
    assert made.evidence == {"file": "a.csv", "row": 3, "by_hand": True}
    event = Event.objects.filter(chain="measures").last()
    assert (event.action, event.subject_id, event.reason) == ("measure corrected", str(made.pk), "复核录音")
    assert event.before == {"measure": before.pk, "value": "70.0000"}


@pytest.mark.parametrize(
    ("value", "reason", "error"),
    [
        (D("76"), " ", measures.ReasonMissing),
        (D("70"), "没有变化", measures.NothingChanged),
    ],
)
def test_correct_measure_refuses(indicators, person, by, at, value, reason, error):
    measures.write_measures(rows=[row(indicators["satisfaction"], "70", person)], by=None, at=at)
    with pytest.raises(error):
        measures.correct_measure(measure=Measure.objects.get(), value=value, reason=reason, by=by, at=at)
    assert Measure.objects.count() == 1


def test_correct_measure_refuses_one_that_was_superseded(indicators, person, by, at):
    measures.write_measures(rows=[row(indicators["bonus"], "1", person)], by=None, at=at)
    first = Measure.objects.get()
    measures.correct_measure(measure=first, value=D("2"), reason="核实", by=by, at=at)
    with pytest.raises(measures.NotInForce):
        measures.correct_measure(measure=first, value=D("3"), reason="核实", by=by, at=at)


def test_take_back_restores_what_stood_before(indicators, unit, by, at):
    one, two, three = (make_employee(unit=unit) for _n in range(3))
    bonus = indicators["bonus"]
    measures.write_measures(rows=[row(bonus, "1", one)], by=None, at=at)
    wrote = measures.write_measures(
        rows=[row(bonus, "5", one, reason="x"), row(bonus, "5", two), row(bonus, "5", three)], by=by, at=at
    )
    third = Measure.objects.get(employee=three)
    measures.correct_measure(measure=third, value=D("4"), reason="核实", by=by, at=at)

    back = measures.take_back(
        measures=Measure.objects.filter(pk__in=wrote.ids), reason=measures.IMPORT_UNDONE, by=by, at=at
    )

    assert (back.corrected, back.unchanged) == (2, 1)
    assert in_force() == {("bonus", "2026-11", one.pk): D("1"), ("bonus", "2026-11", three.pk): D("4")}


# --- adding up ----------------------------------------------------------------------------------------------------------
def add_up(indicators, values, **subjects):
    return measures.aggregated(
        indicators=[one.code for one in indicators.values()], first_month=OCTOBER, last_month=NOVEMBER, **subjects
    )


def test_aggregated_adds_months_up_by_the_unit_of_the_indicator(indicators, person, unit, at):
    def write(code, *months, subject=person):
        key = "unit" if subject == unit else "employee"
        rows = [
            row(indicators[code], value, month=month, **{key: subject}, **fields)
            for month, (value, fields) in zip((OCTOBER, NOVEMBER), months, strict=False)
        ]
        return measures.write_measures(rows=rows, by=None, at=at).ids

    share = lambda top, bottom: {"numerator": D(top), "denominator": D(bottom)}  # noqa: E731
    training = write("training", ("50", share(1, 2)), ("100", share(1, 1)))
    exam = write("exam", ("80", {"n": 1}), ("92", {"n": 2}))
    sat = write("satisfaction", ("80", {"n": 10}), ("81", {}))
    late = write("complaints_late", ("2", {}), ("1", {}))
    bonus = write("bonus", ("1.5", {}))
    write("training", ("10", {}), subject=unit)

    assert measures.aggregated(
        employees=[person.pk],
        indicators=["training", "exam", "satisfaction", "complaints_late", "bonus", "regulator"],
        first_month=OCTOBER,
        last_month=NOVEMBER,
    ) == {
        person.pk: {
            "training": Aggregate(D("66.6666"), training, None),  # two of three duties, floored
            "exam": Aggregate(D("88"), exam, 3),
            "satisfaction": Aggregate(D("80.5"), sat, None),
            "complaints_late": Aggregate(D("3"), late, None),
            "bonus": Aggregate(D("1.5"), bonus, None),
        }
    }


def test_aggregated_of_units_and_of_everybody(indicators, person, unit, at):
    bonus = indicators["bonus"]
    measures.write_measures(rows=[row(bonus, "1", person), row(bonus, "7", unit=unit)], by=None, at=at)
    values = {"indicators": ["bonus"], "first_month": NOVEMBER, "last_month": NOVEMBER}

    of_units = measures.aggregated(units=[unit.pk], **values)
    everybody = measures.aggregated(**values)

    assert {pk: one["bonus"].value for pk, one in of_units.items()} == {unit.pk: D("7")}
    assert {pk: one["bonus"].value for pk, one in everybody.items()} == {person.pk: D("1")}
    assert measures.aggregated(employees=[], **values) == {}


def test_aggregated_leaves_out_what_was_superseded_or_taken_back(indicators, person, at):
    bonus, late = indicators["bonus"], indicators["complaints_late"]
    measures.write_measures(rows=[row(bonus, "1", person), row(late, "1", person)], by=None, at=at)
    measures.write_measures(
        rows=[row(bonus, "2", person, reason="x"), row(late, None, person, reason="x")], by=None, at=at
    )
    found = measures.aggregated(
        employees=[person.pk], indicators=["bonus", "complaints_late"], first_month=OCTOBER, last_month=NOVEMBER
    )
    assert {code: one.value for code, one in found[person.pk].items()} == {"bonus": D("2")}


# --- sealed -------------------------------------------------------------------------------------------------------------
def _past_the_triggers(sql, *params):
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(sql, params)
            cursor.execute("SET LOCAL session_replication_role = DEFAULT")
        else:
            for verb in ("update", "delete"):
                cursor.execute(f"DROP TRIGGER kpi_measure_no_{verb}")
            cursor.execute(sql, params)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE kpi_measure SET value = 99 WHERE id = %s",
        "UPDATE kpi_measure SET month = '2026-01' WHERE id = %s",
        "DELETE FROM kpi_measure WHERE id = %s",
    ],
)
def test_au_03_a_measure_edited_behind_the_back_is_found(indicators, unit, at, sql):
    people = [make_employee(unit=unit) for _n in range(3)]
    wrote = measures.write_measures(rows=[row(indicators["bonus"], "1", one) for one in people], by=None, at=at)
    assert all(sound for _what, sound in measures.check_measures())

    _past_the_triggers(sql, wrote.ids[1])

    assert [what for what, sound in measures.check_measures() if not sound][0] == "measures of event 1"


def test_au_03_a_measure_slipped_in_is_found(indicators, person, unit, at):
    measures.write_measures(rows=[row(indicators["bonus"], "1", person)], by=None, at=at)
    Measure.objects.create(
        indicator=indicators["bonus"], org_unit=unit, month=NOVEMBER, value=1, source="file", captured_at=at
    )
    assert dict(measures.check_measures()) == {"measures of event 1": True, "number of measures": False}


def test_mc_15_measures_are_append_only_in_the_database(indicators, person, at):
    from django.db import DatabaseError, transaction

    measures.write_measures(rows=[row(indicators["bonus"], "1", person)], by=None, at=at)
    for change in (lambda: Measure.objects.update(value=2), lambda: Measure.objects.all().delete()):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()


# --- a row of months ----------------------------------------------------------------------------------------------------
def test_unit_points_take_the_units_own_measure_or_its_people_of_that_month(indicators, unit, person, at):
    below = make_unit(unit)
    mate, stranger = make_employee(unit=below), make_employee(unit=make_unit())
    sat = indicators["satisfaction"]
    rows = [
        row(sat, "90", unit=unit, month=OCTOBER),
        row(sat, "50", person, month=OCTOBER),
        row(sat, "80", person, n=10),
        row(sat, "71", mate, n=20),
        row(sat, "1", stranger, n=20),
    ]
    measures.write_measures(rows=rows, by=None, at=at)

    points = measures.unit_points(indicator=sat, unit=unit, first_month=OCTOBER, last_month=NOVEMBER)

    assert [(str(one.month), one.value, one.people) for one in points] == [
        ("2026-10", D("90"), None),
        ("2026-11", D("74"), 2),
    ]


def test_people_points_combine_shares_and_counts(indicators, unit, person, at):
    from people.models import Employee

    mate = make_employee(unit=unit)
    training, late = indicators["training"], indicators["complaints_late"]
    rows = [
        row(training, "100", person, numerator=D(1), denominator=D(1)),
        row(training, "50", mate, numerator=D(1), denominator=D(2)),
        row(late, "2", person),
        row(late, "1", mate),
    ]
    measures.write_measures(rows=rows, by=None, at=at)

    def points(indicator):
        found = measures.people_points(
            indicator=indicator, people=Employee.objects.all(), first_month=OCTOBER, last_month=NOVEMBER
        )
        return [(str(one.month), one.value, one.numerator, one.denominator, one.people) for one in found]

    assert points(training) == [("2026-11", D("66.6666"), D(2), D(3), 2)]
    assert points(late) == [("2026-11", D("3"), None, None, 2)]


# --- indicators -----------------------------------------------------------------------------------------------------------
VALUES = {
    "code": "nps",
    "name": "净推荐值",
    "name_en": "NPS",
    "unit": "points",
    "better": "higher",
    "source": "file",
    "about": "",
    "about_en": "",
    "active": True,
}


def test_save_indicator_makes_and_changes_with_events(by, at):
    made = measures.save_indicator(indicator=None, values=VALUES, by=by, at=at)
    measures.save_indicator(indicator=made, values={**VALUES, "name": "推荐值"}, by=by, at=at)
    measures.save_indicator(indicator=made, values={**VALUES, "name": "推荐值"}, by=by, at=at)

    made.refresh_from_db()
    assert made.name == "推荐值"
    assert list(Event.objects.filter(chain="measures").values_list("action", "before", "after")) == [
        ("indicator made", None, VALUES),
        ("indicator changed", {"name": "净推荐值"}, {"name": "推荐值"}),
    ]


def test_save_indicator_refuses_a_code_that_is_taken(indicators, by, at):
    with pytest.raises(measures.CodeTaken):
        measures.save_indicator(indicator=None, values={**VALUES, "code": "exam"}, by=by, at=at)


@pytest.mark.parametrize("change", [{"code": "x"}, {"unit": "count"}, {"source": "exam"}])
def test_save_indicator_keeps_what_is_fixed_after_the_first_use(indicators, person, by, at, change):
    bonus = indicators["bonus"]
    measures.save_indicator(indicator=bonus, values={"code": "extra"}, by=by, at=at)  # not used yet
    measures.write_measures(rows=[row(bonus, "1", person)], by=None, at=at)
    with pytest.raises(measures.IndicatorInUse):
        measures.save_indicator(indicator=bonus, values=change, by=by, at=at)
    measures.save_indicator(indicator=bonus, values={"active": False}, by=by, at=at)


def test_an_indicator_that_a_rule_reads_is_in_use(indicators, unit, at):
    rule = Rule.objects.create(family="scorecard", code="branch", name="网点", scope=unit)
    RuleVersion.objects.create(rule=rule, number=1, parameters=T01, text_zh="。", proposed_at=at)
    assert [code for code, one in sorted(indicators.items()) if not measures.is_used(one)] == []
    assert not measures.is_used(measures.save_indicator(indicator=None, values=VALUES, by=None, at=at))
