"""Cards computed from the measures and kept: T-01 through the database, tests that may not carry pay yet, the seal."""

import datetime as dt
from decimal import Decimal
from fractions import Fraction
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.models import Event
from core.periods import Month
from kpi.domain.explaining import explain
from kpi.domain.parameters import scorecard_rule
from kpi.domain.scorecards import RuleNotPublished, WrongSubjects, check_scorecards, compute_cards, preview
from kpi.domain.scoring import rated
from kpi.models import Indicator, Measure, Scorecard, ScorecardLine
from tests.assessments.domain.test_item_analysis import quiz_of_marks
from tests.factories.kpi import T01, make_indicators, make_measures, make_published_version
from tests.factories.people import make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

MONTH = Month(2026, 10)
AT = dt.datetime(2026, 11, 12, 2, 0, tzinfo=dt.UTC)
CODES = ("training", "exam", "satisfaction", "complaints_liable", "complaints_late", "bonus", "regulator")
T01_TABLE = {
    # training, exam, satisfaction, liable, late, bonus, regulator, stars, lines, bonus, total, grade
    "E1": ("100", "96", "84.0", "0", "0", "2", "0", 5, "20.00 25.00 21.60 20.00 15.00", "2.00", "103.60", "A"),
    "E2": ("100", "88", "81.5", "0", "1", "0", "0", 4, "20.00 21.25 20.60 19.00 12.00", "0.00", "92.85", "B"),
    "E3": ("95", "82", "79.0", "0", "0", "0", "0", 4, "17.50 21.25 19.20 20.00 12.00", "0.00", "89.95", "B"),
    "E4": ("80", "74", "76.5", "1", "0", "0", "0", 3, "10.00 17.50 17.20 16.00 9.00", "0.00", "69.70", "D"),
    "E5": ("100", "91", "83.0", "1", "1", "0", "1", 4, "20.00 25.00 21.20 15.00 12.00", "0.00", "69.99", "D"),
    "E6": ("60", "65", "72.0", "0", "2", "0", "0", 3, "0.00 12.50 13.60 18.00 9.00", "0.00", "53.10", "E"),
}


@pytest.fixture
def branch():
    return make_unit(name="人民路网点", name_en="Renmin Road")


def people_of_t01(branch):
    """The six of T-01 with their measures, and how the manager rated them."""
    people = {name: make_employee(branch, name=name) for name in T01_TABLE}
    for name, row in T01_TABLE.items():
        make_measures(people[name], MONTH, **dict(zip(CODES, row, strict=False)))
    ratings = {people[name].pk: {"manager": rated(Fraction(row[7]))} for name, row in T01_TABLE.items()}
    return people, ratings


def compute(version, people, ratings=None, first=MONTH, last=MONTH, at=AT, by=None):
    return compute_cards(
        version=version, employees=people, first_month=first, last_month=last, ratings=ratings, by=by, at=at
    )


def as_row(card):
    points = " ".join(str(points) for points in card.lines.values_list("points", flat=True))
    return points, str(card.bonus), str(card.total), card.grade


def found():
    return list(check_scorecards())


# --- T-01 ---------------------------------------------------------------------------------------------------------------
def test_t_01_the_cards_of_one_branch_through_the_database(branch):
    version = make_published_version(T01, scope=branch)
    people, ratings = people_of_t01(branch)
    hr = make_user()
    cards = compute(version, people.values(), ratings, by=hr)
    stored = {card.employee.name: card for card in Scorecard.objects.all()}
    assert {name: as_row(card) for name, card in stored.items()} == {name: row[8:] for name, row in T01_TABLE.items()}
    assert {pk: card.pk for pk, card in cards.items()} == {card.employee_id: card.pk for card in stored.values()}
    e5 = stored["E5"]
    assert (e5.veto, str(e5.earned), str(e5.coefficient)) == ("regulator", "93.20", "0.8000")
    assert (e5.computed_by, e5.computed_at, e5.version) == (hr, AT, version)


def test_a_line_keeps_what_it_was_made_of(branch):
    version = make_published_version(T01, scope=branch)
    person = make_employee(branch)
    kept = make_measures(
        person, MONTH, training="80", exam="74", complaints_liable="1", complaints_late="0", bonus="1.5"
    )
    Measure.objects.bulk_create(
        [
            Measure(
                indicator=Indicator.objects.get(code="training"), employee=person, month=MONTH, value=90, source="training",
                supersedes=kept["training"], reason="更正", captured_at=AT, evidence={"enrolments": [5, 3]},
            )
        ]
    )  # fmt: skip
    card = compute(version, [person], {person.pk: {"manager": Fraction(260, 3)}})[person.pk]
    newest = Measure.objects.get(supersedes=kept["training"])
    assert {line.code: line.inputs for line in card.lines.all()} == {
        "training": {"values": {"training": "90.0000"}, "measures": [newest.pk], "enrolments": [3, 5]},
        "exam": {"values": {"exam": "74.0000"}, "measures": [kept["exam"].pk]},
        "satisfaction": {"values": {}, "measures": []},
        "complaints": {
            "values": {"complaints_liable": "1.0000", "complaints_late": "0.0000"},
            "measures": [kept["complaints_liable"].pk, kept["complaints_late"].pk],
        },
        "manager": {"values": {}, "measures": [], "rating": "260/3"},
    }
    assert card.inputs == {"values": {"bonus": "1.5000"}, "measures": [kept["bonus"].pk]}
    assert [line.state for line in card.lines.all()] == ["counted", "counted", "missing", "counted", "counted"]


def test_t_21_the_explanation_of_the_stored_card(branch):
    version = make_published_version(T01, scope=branch)
    people, ratings = people_of_t01(branch)
    compute(version, people.values(), ratings)
    card = Scorecard.objects.get(employee=people["E4"])
    units = Indicator.objects.in_bulk(field_name="code")
    said = explain(card=card, lines=list(card.lines.all()), rule=scorecard_rule(version.parameters), indicators=units)
    way = said.ways[0]
    assert said.sum == "69.70 = 10.00 + 17.50 + 17.20 + 16.00 + 9.00"
    assert (said.missing, said.next_band.grade) == (Decimal("0.30"), "C")
    assert [(line.code, lost, full) for line, lost, full in said.losses][0] == ("training", 10, 20)
    assert (way.line.code, way.value, way.total, way.band.grade) == ("training", 85, Decimal("72.20"), "C")


# --- who gets one, and when -----------------------------------------------------------------------------------------------
def test_who_has_nothing_measured_has_no_card(branch):
    version = make_published_version(T01, scope=branch)
    make_indicators()
    measured, other = make_employee(branch), make_employee(branch)
    make_measures(measured, MONTH, training="100")
    assert list(compute(version, [measured, other])) == [measured.pk]
    assert compute(version, [other]) == {}
    assert Event.objects.filter(chain="reviews").count() == 1  # nothing was kept the second time, so nothing is told


def test_a_quarter_adds_its_months_up(branch):
    version = make_published_version(T01, scope=branch)
    person = make_employee(branch)
    for month, training, liable in ((8, "70", "1"), (9, "80", "0"), (10, "90", "2")):
        make_measures(person, Month(2026, month), training=training, complaints_liable=liable)
    card = compute(version, [person], first=Month(2026, 8))[person.pk]
    assert {line.code: line.inputs["values"] for line in card.lines.all() if line.state == "counted"} == {
        "training": {"training": "80.0000"},
        "complaints": {"complaints_liable": "3.0000"},
    }


def test_units_have_cards_alike(branch):
    version = make_published_version(T01, scope=branch, subject="unit")
    make_measures(branch, MONTH, training="100", exam="92", satisfaction="80", complaints_liable="0")
    cards = compute_cards(version=version, units=[branch], first_month=MONTH, last_month=MONTH, by=None, at=AT)
    card = cards[branch.pk]
    assert (card.employee, card.org_unit, str(card.total), card.grade) == (None, branch, "100.00", "A")


def test_a_rule_of_people_scores_no_units_and_the_other_way_round(branch):
    of_people = make_published_version(T01, scope=branch)
    of_units = make_published_version(T01, scope=branch, subject="unit", code="UNITS")
    for wrong in ({"version": of_people, "units": [branch]}, {"version": of_units, "employees": []}):
        with pytest.raises(WrongSubjects):
            compute_cards(first_month=MONTH, last_month=MONTH, by=None, at=AT, **wrong)


def test_only_a_published_version_makes_cards(branch):
    version = make_published_version(T01, scope=branch, state="draft")
    with pytest.raises(RuleNotPublished):
        compute(version, [])
    assert not Scorecard.objects.exists()


# --- the pay gate ----------------------------------------------------------------------------------------------------------
def test_mc_05_a_test_that_is_not_good_enough_is_for_information_only(branch):
    version = make_published_version(T01, scope=branch)
    quiz = quiz_of_marks(["11", "10", "00"])
    one, other = make_employee(branch), make_employee(branch)
    for person, evidence in ((one, {"quizzes": [quiz.pk], "attempts": [4]}), (other, {})):
        make_measures(person, MONTH, training="80", satisfaction="80")
        make_measures(person, MONTH, evidence=evidence, exam="96")
    cards = compute(version, [one, other])
    exam = cards[one.pk].lines.get(code="exam")
    reasons = [{"code": "people", "values": {"n": 3, "wanted": 100}}]
    assert (exam.state, exam.score, exam.weight_counted, exam.points) == ("advisory", 100, 0, 0)
    assert (exam.inputs["attempts"], exam.inputs["advisory"]) == (
        [4],
        [{"quiz": quiz.pk, "name": quiz.name, "reasons": reasons}],
    )
    assert [str(cards[person.pk].total) for person in (one, other)] == ["75.00", "84.61"]
    assert cards[other.pk].lines.get(code="exam").state == "counted"


def test_mc_05_a_good_test_counts_and_counts_no_more_than_it_was_then(branch):
    quiz = quiz_of_marks(["11111"] * 50 + ["00000"] * 51)
    version = make_published_version(T01, scope=branch)
    person = make_employee(branch)
    make_measures(person, MONTH, evidence={"quizzes": [quiz.pk]}, exam="96")
    make_measures(person, MONTH, training="80")
    after = compute(version, [person], at=dt.datetime(2026, 11, 20, tzinfo=dt.UTC))[person.pk]
    before = compute(version, [person], at=dt.datetime(2026, 11, 2, tzinfo=dt.UTC))[person.pk]
    assert [card.lines.get(code="exam").state for card in (after, before)] == ["counted", "advisory"]


def test_mc_05_what_may_not_carry_pay_gives_no_bonus_either(branch):
    quiz = quiz_of_marks(["11", "10", "00"])
    version = make_published_version({**T01, "bonus": {"cap": "5", "indicators": ["exam", "bonus"]}}, scope=branch)
    person = make_employee(branch)
    make_measures(person, MONTH, training="100", bonus="1")
    make_measures(person, MONTH, evidence={"quizzes": [quiz.pk]}, exam="4")
    card = compute(version, [person])[person.pk]
    assert (str(card.bonus), card.inputs["values"]) == ("1.00", {"bonus": "1.0000"})
    assert [gate["quiz"] for gate in card.inputs["left_out"]] == [quiz.pk]


# --- preview ----------------------------------------------------------------------------------------------------------------
def test_a_preview_says_the_same_and_writes_nothing(branch):
    people, ratings = people_of_t01(branch)
    results = preview(
        parameters=T01, employees=people.values(), first_month=MONTH, last_month=MONTH, ratings=ratings, at=AT
    )
    assert {name: (str(results[people[name].pk].total), results[people[name].pk].band.grade) for name in people} == {
        name: row[10:] for name, row in T01_TABLE.items()
    }
    assert not Scorecard.objects.exists() and not Event.objects.exists()


# --- many -------------------------------------------------------------------------------------------------------------------
def test_the_number_of_queries_does_not_grow_with_the_people(branch):
    version = make_published_version(T01, scope=branch)
    people, ratings = people_of_t01(branch)
    quiz = quiz_of_marks(["11", "10", "00"])
    for name in ("E1", "E2"):
        measure = Measure.objects.get(employee=people[name], indicator__code="exam")
        Measure.objects.bulk_create(
            [
                Measure(indicator=measure.indicator, employee=people[name], month=MONTH, value=96, source="exam",
                        supersedes=measure, reason="更正", captured_at=AT, evidence={"quizzes": [quiz.pk]})
            ]
        )  # fmt: skip
    compute(version, [people["E6"]], ratings)  # the first event of a chain makes its head
    with_one, with_all = _queries(version, [people["E1"]], ratings), _queries(version, people.values(), ratings)
    assert with_one == with_all


def _queries(version, people, ratings):
    with CaptureQueriesContext(connection) as context:
        compute(version, people, ratings)
    return len(context)


def test_batches_make_one_event_each_and_one_sound_seal(branch, monkeypatch):
    monkeypatch.setattr("kpi.domain.scorecards.AT_ONCE", 4)
    version = make_published_version(T01, scope=branch)
    people, ratings = people_of_t01(branch)
    assert len(compute(version, people.values(), ratings)) == 6
    assert [event.after["number"] for event in Event.objects.filter(chain="reviews")] == [4, 2]
    assert found() == [("6 scorecards", True)]


# --- the seal ---------------------------------------------------------------------------------------------------------------
@pytest.fixture
def sealed_cards(branch):
    version = make_published_version(T01, scope=branch)
    people, ratings = people_of_t01(branch)
    return list(compute(version, people.values(), ratings).values())


def by_hand(*statements, tables=("kpi_scorecard", "kpi_scorecardline")):
    """What somebody with the database in hand would do: take the triggers away, then write."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # no table is altered while checks of its rows wait for the end
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        for table in tables:
            if connection.vendor == "sqlite":
                for verb in ("update", "delete"):
                    cursor.execute(f"DROP TRIGGER {table}_no_{verb}")
            else:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement, *values in statements:
            cursor.execute(statement, values)


def test_au_01_cards_that_nobody_touched_are_sound(sealed_cards):
    assert found() == [("6 scorecards", True)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE kpi_scorecard SET total = 70.00, grade = 'C' WHERE id = %s",
        "UPDATE kpi_scorecard SET employee_id = (SELECT MIN(id) FROM people_employee) WHERE id = %s",
        "UPDATE kpi_scorecardline SET points = points + 1 WHERE scorecard_id = %s AND code = 'exam'",
        "UPDATE kpi_scorecardline SET inputs = '{}' WHERE scorecard_id = %s AND code = 'training'",
        "DELETE FROM kpi_scorecardline WHERE scorecard_id = %s AND code = 'complaints'",
    ],
)
def test_au_01_a_card_that_was_edited_is_found_and_named(sealed_cards, statement):
    card = sealed_cards[3]
    by_hand((statement, card.pk))
    assert found() == [(f"scorecard {card.pk} or one of its lines", False)]


def test_au_01_a_card_that_was_deleted_is_found(sealed_cards):
    card = sealed_cards[2]
    by_hand(
        ("DELETE FROM kpi_scorecardline WHERE scorecard_id = %s", card.pk),
        ("DELETE FROM kpi_scorecard WHERE id = %s", card.pk),
    )
    assert found() == [(f"scorecard {card.pk} (it is gone)", False)]


def test_au_01_cards_that_were_swapped_are_found(sealed_cards):
    first, last = sealed_cards[0], sealed_cards[-1]
    by_hand(
        (
            "UPDATE kpi_scorecard SET employee_id = CASE id WHEN %s THEN %s ELSE %s END WHERE id IN (%s, %s)",
            first.pk, last.employee_id, first.employee_id, first.pk, last.pk,
        )
    )  # fmt: skip
    assert found() == [(f"scorecard {first.pk} or one of its lines", False)]


def test_au_01_lines_that_were_swapped_are_found(sealed_cards):
    first, last = sealed_cards[0], sealed_cards[-1]
    by_hand(
        ("UPDATE kpi_scorecardline SET scorecard_id = %s, code = 'x' WHERE scorecard_id = %s AND code = 'exam'",
         last.pk, first.pk),
    )  # fmt: skip
    assert found() == [(f"scorecard {first.pk} or one of its lines", False)]


def test_au_01_a_card_and_a_line_that_were_slipped_in_are_found(sealed_cards):
    card = Scorecard.objects.get(pk=sealed_cards[-1].pk)
    card.pk = None
    card.save()
    assert found() == [(f"scorecard {card.pk} (nobody computed it)", False)]
    output = StringIO()
    with pytest.raises(SystemExit):
        call_command("verify_events", stdout=output)
    assert f"scorecard {card.pk} (nobody computed it): does not match what was sealed" in output.getvalue()


def test_au_01_a_line_slipped_into_a_card_is_found(sealed_cards):
    line = ScorecardLine.objects.filter(scorecard=sealed_cards[1]).last()
    line.pk, line.code, line.position = None, "more", 9
    line.save()
    assert found() == [(f"scorecard {sealed_cards[1].pk} or one of its lines", False)]


def test_au_01_another_history_with_the_same_cards_is_sound_on_its_own(sealed_cards, branch):
    """A gap in the numbers is no fault: a batch that was given up leaves one."""
    person = make_employee(branch)
    make_measures(person, MONTH, training="70")
    version = sealed_cards[0].version
    compute(version, [person])
    assert found() == [("7 scorecards", True)]
