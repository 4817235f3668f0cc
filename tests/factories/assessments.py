"""Questions, quizzes and attempts for tests: published questions, quizzes as steps of a run, attempts through the domain."""

import datetime as dt
import itertools
import random
from decimal import Decimal

from wagtail.models import Locale, Page

from assessments.domain.attempts import start_attempt
from assessments.domain.bank import publish_version
from assessments.models import AnswerOption, Question, QuestionCategory, Quiz, QuizDraw, QuizPage
from courses.models import RunStep, Step
from tests.factories.courses import make_course, make_enrolment, make_run

STARTED = dt.datetime(2026, 11, 10, 2, 0, tzinfo=dt.UTC)  # 10:00 in Shanghai, inside the November run
QUIZ_KIND = "assessments.quizpage"

_numbers = itertools.count(1)

# What an option is made of, per kind: (text, match) pairs; the first of "single" is right, the first two of "multiple".
OPTIONS = {
    "single": [("微笑问候", ""), ("低头看手机", ""), ("转身离开", "")],
    "multiple": [("听完再说", ""), ("用姓氏称呼", ""), ("打断对方", ""), ("边听边走开", "")],
    "true_false": [("正确", ""), ("错误", "")],
    "numerical": [],
    "short_text": [("您好", ""), ("你好", "")],
    "matching": [("倾听", "弄清需求"), ("复述", "避免误会"), ("致谢", "留下好感")],
    "ordering": [("问候", ""), ("倾听", ""), ("建议", ""), ("送别", "")],
}
RIGHT = {"single": {0}, "multiple": {0, 1}, "true_false": {0}}


def make_category(slug=None, name=None, review_step=None):
    number = next(_numbers)
    return QuestionCategory.objects.create(
        slug=slug or f"category-{number}", name=name or f"分类{number}", review_step=review_step
    )


def build_question(kind="single", category=None, key=None, options=None, right=None, **fields):
    """A question with its answers, not saved. ``options``: (text, match) pairs; ``right``: places of the right ones."""
    number = next(_numbers)
    values = {
        "text_zh": f"第{number}题：怎样做？",
        "text_en": f"Question {number}: what to do?",
        "feedback_zh": "先看人，再办事。",
    }
    if kind == "numerical":
        values |= {
            "number": Decimal("64"),
            "tolerance": Decimal("0.5"),
            "number_unit_zh": "元",
            "number_unit_en": "yuan",
        }
    question = Question(
        key=key or f"Q-{number:04d}",
        kind=kind,
        category=category or make_category(),
        live=False,
        **{**values, **fields},
    )
    right = RIGHT.get(kind, set()) if right is None else right
    question.options = [
        AnswerOption(
            text_zh=text, match_zh=match, is_correct=place in right, sort_order=place, feedback_zh=f"理由{place}"
        )
        for place, (text, match) in enumerate(OPTIONS[kind] if options is None else options)
    ]
    return question


def make_question(kind="single", published=True, **fields):
    """A question in the bank; a published one has its version."""
    question = build_question(kind, **fields)
    question.live = published
    question.save()
    if published:
        publish_version(question=question, at=STARTED)
    return question


def make_quiz(questions=(), draws=(), **fields):
    """A quiz of fixed questions, then of ``draws``: (category, count) or dicts of QuizDraw fields."""
    values = {"name": f"测验{next(_numbers)}", "shuffle_questions": False, "shuffle_options": False, **fields}
    quiz = Quiz.objects.create(**values)
    lines = [{"question": question} for question in questions]
    lines += [draw if isinstance(draw, dict) else {"category": draw[0], "count": draw[1]} for draw in draws]
    for place, line in enumerate(lines):
        QuizDraw.objects.create(quiz=quiz, sort_order=place, **line)
    return quiz


def make_quiz_step(quiz=None, course=None, required=True, intro="", title="结课测验"):
    """A quiz as a step of a course: the record, and a live page that names the quiz."""
    course = course or make_course(steps=0)
    position = course.steps.count() + 1
    page = make_quiz_page(quiz, title=title, intro=intro)
    return Step.objects.create(
        course=course,
        translation_key=page.translation_key,
        kind=QUIZ_KIND,
        position=position,
        required=required,
        title_zh=title,
        title_en="Final quiz",
    )


def make_quiz_page(quiz=None, parent=None, title="结课测验", language="zh-hans", **fields):
    """A live quiz page, below the root unless a parent is given."""
    locale = Locale.objects.get_or_create(language_code=language)[0]
    # a test that commits leaves a database without its root page
    parent = (
        parent or Page.get_first_root_node() or Page.add_root(instance=Page(title="Root", slug="root", locale=locale))
    )
    page = QuizPage(title=title, slug=f"quiz-{next(_numbers)}", locale=locale, quiz=quiz, **fields)
    return parent.add_child(instance=page)


def make_quiz_duty(quiz=None, employee=None, lessons=0, design=None, month=None, **quiz_fields):
    """(enrolment, step): a person's duty in an open November run whose last step is a quiz of three easy questions."""
    if quiz is None:
        quiz = make_quiz([make_question("single") for _n in range(3)], **quiz_fields)
    course = make_course(steps=lessons, design=design)
    step = make_quiz_step(quiz, course=course)
    run = make_run(course) if month is None else make_run(course, month=month)
    if not RunStep.objects.filter(run=run, step=step).exists():
        RunStep.objects.create(run=run, step=step, position=step.position, required=step.required)
    return make_enrolment(employee=employee, run=run), step


def make_attempt(enrolment=None, step=None, at=STARTED, seed=1, **quiz_fields):
    """A started attempt, drawn by a fixed chance."""
    if enrolment is None:
        enrolment, step = make_quiz_duty(**quiz_fields)
    return start_attempt(enrolment=enrolment, step=step, at=at, rng=random.Random(seed))


def right_answer(version):
    """The fully right answer to a question version, in the shape of its kind."""
    content = version.content
    kind, options = content["kind"], content["options"]
    if kind in ("single", "true_false"):
        return next(option["id"] for option in options if option["correct"])
    if kind == "multiple":
        return [option["id"] for option in options if option["correct"]]
    if kind == "matching":
        return {option["id"]: option["match_id"] for option in options}
    if kind == "ordering":
        return [option["id"] for option in options]
    return content["number"] if kind == "numerical" else options[0]["zh"]


def wrong_answer(version):
    """An answer that earns nothing."""
    content = version.content
    kind, options = content["kind"], content["options"]
    if kind in ("single", "true_false"):
        return next(option["id"] for option in options if not option["correct"])
    if kind == "multiple":
        return [option["id"] for option in options if not option["correct"]]
    if kind == "matching":
        shifted = [*options[1:], options[0]]
        return {option["id"]: other["match_id"] for option, other in zip(options, shifted, strict=True)}
    if kind == "ordering":
        ids = [option["id"] for option in options]
        return ids[1:] + ids[:1]
    return "1" if kind == "numerical" else "不知道"


def answer_all(attempt, right=True, at=STARTED, only=None):
    """Answer every question of an attempt directly in the rows: all right or all wrong, or only the first ``only`` right."""
    for response in attempt.responses.select_related("question_version"):
        good = right if only is None else response.position <= only
        version = response.question_version
        response.answer = right_answer(version) if good else wrong_answer(version)
        response.saved_at = at
        response.save(update_fields=["answer", "saved_at"])
