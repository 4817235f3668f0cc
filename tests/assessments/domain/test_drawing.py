import random

import pytest

from assessments.domain.drawing import NotEnoughQuestions, draw_questions
from tests.factories.assessments import make_category, make_question, make_quiz

pytestmark = pytest.mark.django_db


def drawn_ids(quiz, seen=(), seed=1):
    drawn = draw_questions(quiz=quiz, seen_questions=set(seen), rng=random.Random(seed))
    return [one.version.question_id for one in drawn]


def test_fixed_questions_come_in_their_order_with_their_points():
    first, second = make_question(), make_question()
    quiz = make_quiz(draws=[{"question": second, "points": 3}, {"question": first}])
    drawn = draw_questions(quiz=quiz, seen_questions=set(), rng=random.Random(1))
    assert [(one.version.question_id, one.points) for one in drawn] == [(second.pk, 3), (first.pk, 1)]


def test_random_lines_draw_only_published_questions_that_fit():
    category = make_category()
    fitting = {make_question(category=category, difficulty="hard").pk for _n in range(3)}
    make_question(category=category, difficulty="easy")
    make_question(category=category, difficulty="hard", published=False)
    quiz = make_quiz(draws=[{"category": category, "count": 3, "difficulty": "hard"}])
    assert set(drawn_ids(quiz)) == fitting


def test_no_question_comes_twice_however_the_lines_overlap():
    category = make_category()
    questions = [make_question(category=category) for _n in range(4)]
    quiz = make_quiz([questions[0]], draws=[(category, 2), (category, 1)])
    for seed in range(20):
        found = drawn_ids(quiz, seed=seed)
        assert sorted(found) == sorted(set(found))
        assert len(found) == 4
        assert found[0] == questions[0].pk


def test_what_was_not_seen_comes_first():
    category = make_category()
    questions = [make_question(category=category).pk for _n in range(5)]
    quiz = make_quiz(draws=[(category, 3)])
    for seed in range(20):
        assert set(drawn_ids(quiz, seen=questions[:2], seed=seed)) == set(questions[2:])
        assert set(questions[4:]) < set(drawn_ids(quiz, seen=questions[:4], seed=seed))


def test_chance_reaches_every_question():
    category = make_category()
    questions = {make_question(category=category).pk for _n in range(6)}
    quiz = make_quiz(draws=[(category, 2)])
    found = {pk for seed in range(60) for pk in drawn_ids(quiz, seed=seed)}
    assert found == questions


def test_too_few_questions_are_refused():
    category = make_category()
    make_question(category=category)
    with pytest.raises(NotEnoughQuestions):
        drawn_ids(make_quiz(draws=[(category, 2)]))
    with pytest.raises(NotEnoughQuestions):
        drawn_ids(make_quiz([make_question(published=False)]))
    with pytest.raises(NotEnoughQuestions):
        drawn_ids(make_quiz())


def test_answers_are_shuffled_when_the_quiz_says_so_and_kept_otherwise():
    question = make_question("single")
    written = [option["id"] for option in question.versions.get().content["options"]]
    kept = draw_questions(quiz=make_quiz([question]), seen_questions=set(), rng=random.Random(1))
    assert kept[0].order == written
    shuffled = make_quiz([question], shuffle_options=True)
    orders = {
        tuple(draw_questions(quiz=shuffled, seen_questions=set(), rng=random.Random(seed))[0].order)
        for seed in range(40)
    }
    assert len(orders) == 6


def test_true_and_false_are_never_shuffled():
    question = make_question("true_false")
    written = [option["id"] for option in question.versions.get().content["options"]]
    quiz = make_quiz([question], shuffle_options=True)
    for seed in range(10):
        assert draw_questions(quiz=quiz, seen_questions=set(), rng=random.Random(seed))[0].order == written


def test_an_order_to_find_is_never_shown_in_the_right_order():
    question = make_question("ordering", options=[("一", ""), ("二", ""), ("三", "")])
    right = [option["id"] for option in question.versions.get().content["options"]]
    for seed in range(40):
        order = draw_questions(quiz=make_quiz([question]), seen_questions=set(), rng=random.Random(seed))[0].order
        assert sorted(order) == sorted(right)
        assert order != right


def test_questions_are_shuffled_when_the_quiz_says_so():
    questions = [make_question() for _n in range(4)]
    quiz = make_quiz(questions, shuffle_questions=True)
    assert len({tuple(drawn_ids(quiz, seed=seed)) for seed in range(40)}) > 10
