"""How well questions measure: worked examples as tables, laws, whose answers count, the gate before pay (DOMAIN T-19)."""

import datetime as dt
import itertools
import json
import random
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from django.utils import translation
from hypothesis import assume, given
from hypothesis import strategies as st

from assessments.domain.attempts import submit_attempt, void_attempt
from assessments.domain.bank import publish_version
from assessments.domain.item_analysis import (
    Analysis,
    Item,
    Reason,
    Sums,
    Whole,
    analyse_quiz,
    consistency,
    error_of_measurement,
    floored,
    gate_of,
    pay_gate,
    quizzes_asking,
)
from assessments.models import Attempt, Question, QuestionVersion, Response
from tests.factories.assessments import (
    STARTED,
    make_attempt,
    make_category,
    make_question,
    make_quiz,
    make_quiz_duty,
    right_answer,
    wrong_answer,
)
from tests.factories.courses import make_enrolment
from tests.factories.people import make_employee, make_unit

T19 = ["11111", "11110", "11100", "11010", "10000", "01000"]


# --- rows as attempts leave them ---------------------------------------------------------------------------------------
def hand_in(quiz, people, *, at=STARTED, step=None, run=None):
    """Submitted first attempts, one a person: each a list of (version, mark from 0 to 1, answer or None)."""
    enrolment, step = make_quiz_duty(quiz) if step is None else (None, step)
    run = enrolment.run if run is None else run
    unit = enrolment.employee.unit if enrolment else make_unit()
    found = []
    for place, answers in enumerate(people):
        duty = enrolment if enrolment and place == 0 else make_enrolment(make_employee(unit), run)
        found.append(store(quiz, duty, step, answers, at=at))
    return found


def store(quiz, duty, step, answers, *, at=STARTED, number=1, state="submitted", points=1):
    worths = [points] * len(answers) if isinstance(points, int) else points
    attempt = Attempt.objects.create(
        enrolment=duty, step=step, quiz=quiz, number=number, state=state, rules={"grading": "highest"},
        started_at=at, submitted_at=at + dt.timedelta(minutes=5), max_score=sum(worths),
    )  # fmt: skip
    Response.objects.bulk_create(
        Response(
            attempt=attempt, position=place, question_version=version, points=worth, answer=answer,
            score=Decimal(str(mark)) * worth,
        )
        for place, ((version, mark, answer), worth) in enumerate(zip(answers, worths, strict=True), 1)
    )  # fmt: skip
    return attempt


def answered(version, mark):
    return version, mark, right_answer(version) if mark == 1 else wrong_answer(version)


def versions_of(questions):
    return [question.versions.order_by("-number").first() for question in questions]


def quiz_of_marks(rows, **fields):
    """A quiz of fixed questions, handed in by one person a row."""
    questions = [make_question("single") for _one in rows[0]]
    quiz = make_quiz(questions, **fields)
    versions = versions_of(questions)
    hand_in(quiz, [[answered(v, float(mark)) for v, mark in zip(versions, row, strict=True)] for row in rows])
    return quiz


def three(value):
    return None if value is None else round(float(value), 3)


# --- the kernel -----------------------------------------------------------------------------------------------------------
def measures(rows):
    """Facility, item-rest correlation, consistency and error of a table of marks, through the kernel alone."""
    items, totals = len(rows[0]), Sums()
    of_item = [Sums() for _one in range(items)]
    for row in rows:
        total = sum(row)
        totals.add(1, total, total**2)
        for sums, x in zip(of_item, row, strict=True):
            sums.add(1, x, x * x, total - x, (total - x) ** 2, x * (total - x))
    value = consistency(
        items=items, item_variance=sum(sums.variance for sums in of_item), total_variance=totals.variance
    )
    error = None if value is None else error_of_measurement(total_variance=totals.variance, consistency=value)
    return [sums.mean for sums in of_item], [sums.correlation for sums in of_item], value, error


def test_t_19_the_kernel():
    facility, discrimination, value, error = measures([[int(mark) for mark in row] for row in T19])
    assert facility == [Fraction(5, 6), Fraction(5, 6), Fraction(1, 2), Fraction(1, 2), Fraction(1, 6)]
    assert [three(one) for one in discrimination] == [0.346, 0.346, 0.603, 0.603, 0.478]
    assert value == Fraction(5, 7)
    assert three(error) == 0.782


marks = st.sampled_from([Fraction(0), Fraction(1, 3), Fraction(1, 2), Fraction(1)])
tables = st.integers(2, 6).flatmap(
    lambda items: st.lists(st.lists(marks, min_size=items, max_size=items), min_size=2, max_size=12)
)


@given(rows=tables)
def test_measures_stay_within_their_bounds(rows):
    facility, discrimination, value, error = measures(rows)
    assert all(0 <= one <= 1 for one in facility)
    assert all(one is None or -1 <= one <= 1 for one in discrimination)
    assert value is None or value <= 1
    assert error is None or error >= 0


@given(rows=tables, seed=st.randoms(use_true_random=False))
def test_the_order_of_people_and_items_changes_nothing(rows, seed):
    places = list(range(len(rows[0])))
    seed.shuffle(places)
    shuffled = [[row[place] for place in places] for row in rows]
    seed.shuffle(shuffled)
    facility, discrimination, value, error = measures(rows)
    again = measures(shuffled)
    assert again == ([facility[p] for p in places], [discrimination[p] for p in places], value, error)


@given(column=st.lists(marks, min_size=2, max_size=12), items=st.integers(2, 6))
def test_identical_items_agree_perfectly(column, items):
    assume(len(set(column)) > 1)
    _facility, discrimination, value, error = measures([[mark] * items for mark in column])
    assert (discrimination, value, error) == ([1.0] * items, 1, 0.0)


@given(rows=tables)
def test_an_item_turned_round_turns_its_discrimination(rows):
    turned = [[1 - row[0], *row[1:]] for row in rows]
    first, other = measures(rows)[1][0], measures(turned)[1][0]
    assert (first is None) == (other is None)
    assert first is None or first == pytest.approx(-other)


@given(rows=tables)
def test_the_estimate_for_drawn_questions_is_never_above_that_for_the_same_ones(rows):
    """KR-21 takes the pooled variance for the mean of the item variances."""
    items, totals, pooled = len(rows[0]), Sums(), Sums()
    for row in rows:
        totals.add(1, sum(row), sum(row) ** 2)
        for mark in row:
            pooled.add(1, mark, mark * mark)
    value = consistency(items=items, item_variance=items * pooled.variance, total_variance=totals.variance)
    assert value is None or value <= measures(rows)[2]


@pytest.mark.parametrize(
    ("value", "words"),
    [(Fraction(5, 7), "0.71"), (Fraction(6999, 10000), "0.69"), (1, "1.00"), (-0.001, "−0.01"), (-1.5, "−1.50"), (0, "0.00")],
)  # fmt: skip
def test_numbers_are_floored(value, words):
    assert floored(value) == words


# --- from the stored answers -----------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_t_19_from_the_stored_answers():
    quiz = quiz_of_marks(T19)
    found = analyse_quiz(quiz=quiz)
    assert [three(item.facility) for item in found.items] == [0.833, 0.833, 0.5, 0.5, 0.167]
    assert [three(item.discrimination) for item in found.items] == [0.346, 0.346, 0.603, 0.603, 0.478]
    assert [item.n for item in found.items] == [6] * 5
    assert found.whole == Whole(
        n=6, items=5, points=5, same_items=True, consistency=Fraction(5, 7), error=found.whole.error, worth=1
    )
    assert three(found.whole.error_in_items) == 0.782
    assert found.whole.method == "KR-20"


@pytest.mark.django_db
def test_questions_worth_more_count_more_and_the_error_is_in_points():
    questions = [make_question("single") for _n in range(2)]
    quiz = make_quiz(draws=[{"question": questions[0], "points": 1}, {"question": questions[1], "points": 3}])
    versions = versions_of(questions)
    enrolment, step = make_quiz_duty(quiz)
    for row in ([1, 1], [1, 0], [0, 0]):
        duty = make_enrolment(make_employee(enrolment.employee.unit), enrolment.run)
        store(quiz, duty, step, [answered(v, m) for v, m in zip(versions, row, strict=True)], points=[1, 3])
    found = analyse_quiz(quiz=quiz)
    expected = measures([[1, 3], [1, 0], [0, 0]])
    assert (found.whole.consistency, found.whole.error, found.whole.worth) == (*expected[2:], None)
    assert found.whole.error_in_items is None
    assert [item.facility for item in found.items] == [Fraction(2, 3), Fraction(1, 3)]
    assert [item.discrimination for item in found.items] == expected[1]


@pytest.mark.django_db
def test_part_marks_count_as_they_were_stored():
    questions = [make_question("multiple"), make_question("matching")]
    quiz = make_quiz(questions)
    versions = versions_of(questions)
    rows = [("1", "1"), ("0.5", "0.6666"), ("0", "0.3333")]
    hand_in(quiz, [[answered(v, Decimal(m)) for v, m in zip(versions, row, strict=True)] for row in rows])
    found = analyse_quiz(quiz=quiz)
    expected = measures([[Fraction(mark) for mark in row] for row in rows])
    assert [item.facility for item in found.items] == expected[0]
    assert [item.discrimination for item in found.items] == expected[1]
    assert (found.whole.consistency, found.whole.error) == expected[2:]


@pytest.mark.django_db
def test_drawn_questions_are_measured_over_those_who_saw_them():
    """Against a plain recount, and consistency by KR-21."""
    category = make_category()
    questions = [make_question("single", category=category) for _n in range(6)]
    quiz = make_quiz(draws=[(category, 3)])
    versions = versions_of(questions)
    rng = random.Random(4)
    people = []
    for _n in range(25):
        ability = rng.random()
        drawn = rng.sample(versions, 3)
        people.append([answered(version, float(rng.random() < ability)) for version in drawn])
    hand_in(quiz, people)
    found = analyse_quiz(quiz=quiz)
    assert len(found.items) == 6
    for item in found.items:
        sums = Sums()
        for row in people:
            own = {version.pk: int(mark) for version, mark, _answer in row}
            if item.version.pk in own:
                x, y = own[item.version.pk], sum(own.values()) - own[item.version.pk]
                sums.add(1, x, x * x, y, y * y, x * y)
        assert (item.n, item.facility, item.discrimination) == (sums.n, sums.mean, sums.correlation)
    every = [int(mark) for row in people for _version, mark, _answer in row]
    totals = [sum(int(mark) for _version, mark, _answer in row) for row in people]
    mean, middle = Fraction(sum(every), len(every)), Fraction(sum(totals), len(totals))
    spread = sum((total - middle) ** 2 for total in totals) / len(totals)
    assert (found.whole.method, found.whole.n) == ("KR-21", 25)
    assert found.whole.consistency == Fraction(3, 2) * (1 - 3 * mean * (1 - mean) / spread)  # KR-21 as it was published


@pytest.mark.django_db
def test_drawn_questions_of_different_worth_have_no_consistency():
    easy, hard = make_category(), make_category()
    pool = {shelf: [make_question("single", category=shelf) for _n in range(2)] for shelf in (easy, hard)}
    quiz = make_quiz(draws=[{"category": easy, "points": 1}, {"category": hard, "points": 2}])
    enrolment, step = make_quiz_duty(quiz)
    for place in range(4):
        versions = versions_of([pool[easy][place % 2], pool[hard][place // 2]])
        duty = make_enrolment(make_employee(enrolment.employee.unit), enrolment.run)
        store(quiz, duty, step, [answered(v, place % 2) for v in versions], points=[1, 2])
    whole = analyse_quiz(quiz=quiz).whole
    assert (whole.n, whole.consistency, whole.problem) == (4, None, "unequal")
    assert "分值也不同" in whole.problem_text


# --- whose answers count -----------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_the_first_attempt_counts_and_no_later_one():
    questions = [make_question("single") for _n in range(2)]
    quiz = make_quiz(questions)
    versions = versions_of(questions)
    first, *_others = hand_in(
        quiz, [[answered(v, m) for v, m in zip(versions, row, strict=True)] for row in ([1, 0], [0, 0])]
    )
    later = STARTED + dt.timedelta(days=1)
    store(quiz, first.enrolment, first.step, [answered(v, 1) for v in versions], at=later, number=2)
    # the same person in the run of another month: met the quiz before
    enrolment, step = make_quiz_duty(quiz, employee=first.enrolment.employee)
    store(quiz, enrolment, step, [answered(v, 1) for v in versions], at=later)
    found = analyse_quiz(quiz=quiz)
    assert (found.people, [item.facility for item in found.items]) == (2, [Fraction(1, 2), 0])


@pytest.mark.django_db
@pytest.mark.parametrize(("state", "people"), [("submitted", 2), ("voided", 1), ("open", 1)])
def test_only_what_is_handed_in_and_stands_counts(state, people):
    question = make_question("single")
    quiz = make_quiz([question])
    version = versions_of([question])[0]
    hand_in(quiz, [[answered(version, 1)]])
    enrolment, step = make_quiz_duty(quiz)
    store(quiz, enrolment, step, [answered(version, 0)], state=state)
    assert analyse_quiz(quiz=quiz).people == people


@pytest.mark.django_db
def test_after_a_voided_attempt_the_next_is_the_first():
    enrolment, step = make_quiz_duty()
    attempt = make_attempt(enrolment, step)
    later = STARTED + dt.timedelta(hours=1)
    void_attempt(attempt=submit_attempt(attempt=attempt, at=later), by=None, at=later, reason="停电")
    second = make_attempt(enrolment, step, at=later)
    for response in second.responses.all():
        Response.objects.filter(pk=response.pk).update(answer=right_answer(response.question_version))
    submit_attempt(attempt=second, at=later)
    found = analyse_quiz(quiz=second.quiz)
    assert (found.people, [item.facility for item in found.items]) == (1, [1, 1, 1])


@pytest.mark.django_db
def test_an_attempt_without_any_answer_is_left_out_and_an_open_question_counts_as_wrong():
    questions = [make_question("single") for _n in range(2)]
    quiz = make_quiz(questions)
    one, two = versions_of(questions)
    hand_in(quiz, [[answered(one, 1), (two, 0, None)], [(one, 0, None), (two, 0, None)]])
    found = analyse_quiz(quiz=quiz)
    assert (found.people, found.empty, found.whole.n) == (1, 1, 1)
    assert [(item.n, item.unanswered, item.facility) for item in found.items] == [(1, 0, 1), (1, 1, 0)]


@pytest.mark.django_db
def test_a_new_version_of_a_question_starts_anew():
    questions = [make_question("single") for _n in range(2)]
    quiz = make_quiz(questions)
    hand_in(quiz, [[answered(v, 1) for v in versions_of(questions)] for _n in range(3)])
    changed = questions[0]
    changed.text_zh = "换一种问法？"
    changed.save()
    new = publish_version(question=changed, at=STARTED + dt.timedelta(days=1))
    found = analyse_quiz(quiz=quiz)
    assert [(item.version.pk == new.pk, item.n) for item in found.items_now] == [(True, 0), (False, 3)]
    assert [(item.version.number, item.n) for item in found.items_before] == [(1, 3)]
    assert (found.people, found.whole.n, found.whole.problem) == (3, 0, "nobody")
    before = analyse_quiz(quiz=quiz, until=STARTED + dt.timedelta(hours=1))
    assert (before.whole.n, len(before.items_before)) == (3, 0)
    assert analyse_quiz(quiz=quiz, until=STARTED).people == 0


@pytest.mark.django_db
def test_what_the_quiz_no_longer_asks_speaks_neither_for_nor_against_it():
    questions = [make_question("single") for _n in range(3)]
    quiz = make_quiz(questions)
    hand_in(
        quiz,
        [
            [answered(v, m) for v, m in zip(versions_of(questions), row, strict=True)]
            for row in ([1, 1, 0], [0, 0, 1]) * 3
        ],
    )
    assert [item.is_negative for item in analyse_quiz(quiz=quiz).items_now] == [False, False, True]
    quiz.draws.get(question=questions[2]).delete()
    found = analyse_quiz(quiz=quiz)
    assert (len(found.items_now), len(found.items_before), found.whole.n) == (2, 1, 0)
    assert "negative" not in [reason.code for reason in gate_of(found).reasons]


@pytest.mark.django_db
def test_another_quiz_with_the_same_question_is_not_mixed_in():
    question = make_question("single")
    version = versions_of([question])[0]
    one, other = make_quiz([question]), make_quiz([question])
    hand_in(one, [[answered(version, 1)]])
    hand_in(other, [[answered(version, 0)]] * 2)
    assert [analyse_quiz(quiz=quiz).items[0].facility for quiz in (one, other)] == [1, 0]
    assert list(quizzes_asking(question)) == sorted([one, other], key=lambda quiz: quiz.name)


# --- which answers are chosen --------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_answers_are_counted_for_each_choice():
    questions = [
        make_question(kind, key=f"K-{n}") for n, kind in enumerate(["single", "multiple", "true_false", "numerical"])
    ]
    quiz = make_quiz(questions)
    single, multiple, yes_no, number = versions_of(questions)
    ids = [[option["id"] for option in version.content["options"]] for version in (single, multiple, yes_no)]
    rows = [
        [(single, 1, ids[0][0]), (multiple, 1, ids[1][:2]), (yes_no, 1, ids[2][0]), (number, 1, "64")],
        [(single, 0, ids[0][1]), (multiple, 0, [ids[1][0], ids[1][3]]), (yes_no, 0, ids[2][1]), (number, 0, "1")],
        [(single, 0, ids[0][1]), (multiple, 0, None), (yes_no, 1, ids[2][0]), (number, 0, "1")],
    ]
    hand_in(quiz, rows)
    found = analyse_quiz(quiz=quiz).items
    assert [[option.chosen for option in item.options] for item in found] == [[1, 2, 0], [2, 1, 0, 1], [2, 1], []]
    assert [option.text("zh-hans") for option in found[0].options] == ["微笑问候", "低头看手机", "转身离开"]
    assert [item.unanswered for item in found] == [0, 1, 0, 0]


# --- advice ----------------------------------------------------------------------------------------------------------------------
def item(n=100, facility="0.7", discrimination=0.4, key="Q-1", kind="single"):
    version = QuestionVersion(content={"kind": kind})
    version.question = Question(key=key)
    value = None if facility is None else Fraction(facility)
    return Item(version=version, asked_now=True, n=n, unanswered=0, facility=value, discrimination=discrimination)


@pytest.mark.parametrize(
    ("numbers", "advice"),
    [
        ({}, "fine"),
        ({"n": 29}, "few"),
        ({"n": 0, "facility": None, "discrimination": None}, "few"),
        ({"facility": "0.96"}, "too_easy"),
        ({"facility": "0.95"}, "fine"),
        ({"facility": "1", "discrimination": None}, "too_easy"),
        ({"facility": "0.29"}, "too_hard"),
        ({"facility": "0.30"}, "fine"),
        ({"discrimination": 0.19}, "weak"),
        ({"discrimination": 0.2}, "fine"),
        ({"discrimination": -0.01}, "negative"),
        ({"facility": "0.1", "discrimination": -0.2}, "negative"),
        ({"discrimination": None}, "unknown"),
    ],
)
def test_advice_names_the_first_thing_to_mend(numbers, advice):
    assert item(**numbers).advice == advice


def test_advice_is_said_in_both_languages():
    for numbers, zh, en in [
        ({"discrimination": -0.3}, "正确答案", "marked as right"),
        ({"n": 6}, "30", "30 answers"),
        ({"discrimination": 0.1}, "错误选项", "wrong answers"),
        ({"discrimination": 0.1, "kind": "numerical"}, "换一种问法", "something else"),
    ]:
        for language, words in [("zh-hans", zh), ("en", en)]:
            with translation.override(language):
                assert words in item(**numbers).advice_text


# --- the gate -----------------------------------------------------------------------------------------------------------------------
def analysis(items=None, **whole):
    values = {"n": 100, "items": 10, "points": 10, "same_items": True, "consistency": Fraction(7, 10), "error": 1.0}
    values |= {"worth": 1, **whole}
    return Analysis(quiz=None, people=100, empty=0, whole=Whole(**values), items=[item()] if items is None else items)


@pytest.mark.parametrize(
    ("found", "codes"),
    [
        (analysis(), []),
        (analysis(n=99), ["people"]),
        (analysis(consistency=Fraction(6999, 10000)), ["consistency"]),
        (analysis(consistency=None, problem="unequal"), ["no_consistency"]),
        (analysis(n=0, consistency=None, problem="nobody"), ["people"]),
        (analysis([item(), item(discrimination=-0.001, key="Q-2")]), ["negative"]),
        (analysis([item(), item(discrimination=-0.5, n=4)]), []),
        (analysis([item(discrimination=0.0)]), []),
        (analysis([item(facility="1", discrimination=None)]), []),
        (analysis([replace(item(discrimination=-0.5), asked_now=False)]), []),
        (analysis([item(discrimination=-0.5)], n=3, consistency=Fraction(1, 10)), ["people", "negative"]),
        (analysis([item(discrimination=-0.5)], n=50, consistency=Fraction(1, 10)), ["people", "consistency", "negative"]),
    ],
)  # fmt: skip
def test_the_gate_of_pay(found, codes):
    gate = gate_of(found)
    assert [reason.code for reason in gate.reasons] == codes
    assert gate.passes == (not codes)


def test_reasons_can_be_kept_and_said_again_in_either_language():
    found = analysis([item(discrimination=-0.5)], n=50, consistency=Fraction(69, 100))
    kept = json.loads(json.dumps([[reason.code, reason.values] for reason in gate_of(found).reasons]))
    with translation.override("en"):
        assert [Reason(*one).text for one in kept] == [
            "50 people have answered it as it now is; 100 are needed.",
            "Its consistency is 0.69; at least 0.70 is needed.",
            "Question Q-1 has negative discrimination: people who do well elsewhere get it wrong more often.",
        ]
    with translation.override("zh-hans"):
        assert all("区分度" in Reason(*one).text for one in kept[2:])


@pytest.mark.django_db
def test_the_gate_opens_for_a_good_quiz_and_closes_with_one_turned_question():
    rng = random.Random(1)
    rows = []
    for _n in range(100):
        level = rng.random()
        rows.append([int(level > (place + 1) / 9 + rng.uniform(-0.15, 0.15)) for place in range(8)])
    assert pay_gate(quiz=quiz_of_marks(rows)).passes
    turned = [[*row[:3], 1 - row[3], *row[4:]] for row in rows]
    assert "negative" in [reason.code for reason in pay_gate(quiz=quiz_of_marks(turned)).reasons]


@pytest.mark.django_db
def test_an_analysis_asks_as_often_for_one_attempt_as_for_many(django_assert_num_queries):
    category = make_category()
    questions = [make_question("single", category=category) for _n in range(4)]
    quiz = make_quiz(questions[:1], draws=[(category, 2)])
    versions = versions_of(questions)
    enrolment, step = make_quiz_duty(quiz)
    for place in itertools.count():
        with django_assert_num_queries(5):
            assert analyse_quiz(quiz=quiz).people == place
        if place == 20:
            break
        duty = make_enrolment(make_employee(enrolment.employee.unit), enrolment.run)
        store(quiz, duty, step, [answered(v, place % 2) for v in versions[:3]])


@pytest.mark.django_db
def test_a_quiz_without_anything_is_analysed_all_the_same():
    found = analyse_quiz(quiz=make_quiz())
    assert (found.people, found.items, found.whole.problem) == (0, [], "nobody")
