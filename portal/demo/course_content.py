"""The courses of the demo company: pages in both languages, question bank and quizzes, from the files in content/."""

from __future__ import annotations

import datetime as dt
import io
import tomllib
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from django.core.files.base import ContentFile
from django.core.files.images import ImageFile
from wagtail.models import Locale, Page

from assessments.domain.bank import publish_version
from assessments.models import AnswerOption, Question, QuestionCategory, Quiz, QuizDraw, QuizPage
from certificates.models import CertificateDesign
from core.models import File, Picture
from core.spreadsheets import SheetOut, write_xlsx
from courses.domain.publishing import sync_course
from courses.models import Course, CourseCataloguePage, CoursePage, LessonPage, Step

CONTENT = Path(__file__).parent / "content"
LANGUAGES = {"zh": "zh-hans", "en": "en"}
DRAWN = 10  # questions in a quiz

QUIZ_WORDS = {
    "zh": (
        "测验",
        "共{count}题，限时20分钟，{mark}分及格，可以考三次，取最好成绩。每答一题就保存一题，中途离开也不会丢。",
    ),
    "en": (
        "Quiz",
        "{count} questions, 20 minutes, pass mark {mark} %. You have three attempts and the best one counts. "
        "Every answer is saved as you give it, so you can leave and come back.",
    ),
}
SHEET_WORDS = {
    "zh": {
        "file": "练习记录表",
        "title": "《{course}》练习记录表",
        "what": "打印出来放在手边：学完以后，一周内每条各用一次，记下当时的情境和效果。",
        "header": ["学完后我能……", "日期", "当时的客户和情境", "我怎么做的", "效果如何", "同事或主管签名"],
    },
    "en": {
        "file": "practice-log",
        "title": "Practice log: {course}",
        "what": "Print it and keep it at hand: use each line once in the week after the course and note what happened.",
        "header": [
            "After the course I can …",
            "Date",
            "Customer and situation",
            "What I did",
            "How it went",
            "Signed by",
        ],
    },
}


@dataclass
class DemoCourse:
    """A course as its files describe it, and the record made of it."""

    slug: str
    words: dict
    questions: dict
    course: Course | None = None
    quiz: Quiz | None = None
    categories: dict[str, QuestionCategory] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)


def read_courses() -> list[DemoCourse]:
    """This function will read every course that is there, in the order of the folders' course codes."""
    found = []
    for folder in sorted(CONTENT.iterdir()):
        words, questions = folder / "course.toml", folder / "questions.toml"
        if words.exists() and questions.exists():
            found.append(
                DemoCourse(
                    slug=folder.name,
                    words=tomllib.loads(words.read_text(encoding="utf-8")),
                    questions=tomllib.loads(questions.read_text(encoding="utf-8")),
                )
            )
    # Etiquette first: it is what everybody begins with. Then by theme as the year goes.
    order = ["etiquette", "six-steps", "products", "negotiation", "cases", "talents"]
    return sorted(found, key=lambda one: (order.index(one.words["theme"]), one.slug))


def build_course(*, demo: DemoCourse, design: CertificateDesign, at: dt.datetime) -> DemoCourse:
    """This function will make a course from its files: question bank, quiz, and its pages in both languages, published."""
    _question_bank(demo, at)
    demo.quiz = _quiz(demo)
    keys = _Keys()
    for language, code in LANGUAGES.items():
        _pages(demo, language, Locale.objects.get(language_code=code), design, keys, at)
    demo.course = sync_course(CoursePage.objects.filter(translation_key=keys["course"]).first())
    for shelf in demo.questions["categories"]:
        step = Step.objects.get(translation_key=keys[shelf["lesson"]])
        QuestionCategory.objects.filter(pk=demo.categories[shelf["slug"]].pk).update(review_step=step)
    return demo


class _Keys(dict):
    """Translation keys by name, made at the first mention: both languages of a page get the same."""

    def __missing__(self, name: str) -> uuid.UUID:
        self[name] = uuid.uuid4()
        return self[name]


# --- the question bank ----------------------------------------------------------------------------------------------
def _question_bank(demo: DemoCourse, at: dt.datetime) -> None:
    for shelf in demo.questions["categories"]:
        demo.categories[shelf["slug"]] = QuestionCategory.objects.create(
            name=shelf["name"]["zh"], name_en=shelf["name"]["en"], slug=shelf["slug"]
        )
    for words in demo.questions["questions"]:
        question = Question(
            key=words["key"],
            category=demo.categories[words["category"]],
            kind=words["kind"],
            difficulty=words["difficulty"],
            text_zh=words["text"]["zh"],
            text_en=words["text"]["en"],
            feedback_zh=words["feedback"]["zh"],
            feedback_en=words["feedback"]["en"],
            first_published_at=at,
            last_published_at=at,
        )
        if words["kind"] == "numerical":
            question.number = Decimal(str(words["answer"]))
            question.tolerance = Decimal(str(words.get("tolerance", 0)))
            unit = words.get("unit") or {"zh": "", "en": ""}
            question.number_unit_zh, question.number_unit_en = unit["zh"], unit["en"]
        question.options = [AnswerOption(sort_order=place, **values) for place, values in enumerate(_options(words))]
        question.tags.add(demo.words["code"])
        question.save()
        publish_version(question=question, at=at)


def _options(words: dict) -> list[dict]:
    kind = words["kind"]
    if kind in {"single", "multiple"}:
        return [
            {
                "text_zh": option["zh"],
                "text_en": option["en"],
                "is_correct": option.get("correct", False),
                "feedback_zh": option.get("feedback", {}).get("zh", ""),
                "feedback_en": option.get("feedback", {}).get("en", ""),
            }
            for option in words["options"]
        ]
    if kind == "true_false":
        return [
            {"text_zh": "正确", "text_en": "True", "is_correct": words["answer"]},
            {"text_zh": "错误", "text_en": "False", "is_correct": not words["answer"]},
        ]
    if kind == "short_text":
        accepted_zh, accepted_en = words["accepted"]["zh"], words["accepted"]["en"]
        longest = max(len(accepted_zh), len(accepted_en))
        pad = [""] * longest
        return [
            {"text_zh": zh, "text_en": en, "is_correct": True}
            for zh, en in zip([*accepted_zh, *pad][:longest], [*accepted_en, *pad][:longest], strict=True)
        ]
    if kind == "matching":
        return [
            {
                "text_zh": pair["left"]["zh"],
                "text_en": pair["left"]["en"],
                "match_zh": pair["right"]["zh"],
                "match_en": pair["right"]["en"],
            }
            for pair in words["pairs"]
        ]
    if kind == "ordering":
        return [{"text_zh": item["zh"], "text_en": item["en"]} for item in words["items"]]
    return []


def _quiz(demo: DemoCourse) -> Quiz:
    """Ten questions, spread over the shelves as evenly as they can be filled."""
    stock = {slug: category.questions.count() for slug, category in demo.categories.items()}
    counts = dict.fromkeys(stock, 0)
    while sum(counts.values()) < min(DRAWN, sum(stock.values())):
        slug = min((slug for slug in stock if counts[slug] < stock[slug]), key=lambda slug: counts[slug])
        counts[slug] += 1
    quiz = Quiz(
        name=f"{demo.words['code']} {demo.words['title']['zh']}",
        pass_mark=80,
        attempts_allowed=3,
        time_limit=20,
        review=Quiz.Review.FINISHED,
    )
    quiz.draws = [
        QuizDraw(sort_order=place, category=demo.categories[slug], count=count)
        for place, (slug, count) in enumerate(counts.items())
        if count
    ]
    quiz.save()
    return quiz


# --- pages ----------------------------------------------------------------------------------------------------------
def _pages(
    demo: DemoCourse, language: str, locale: Locale, design: CertificateDesign, keys: _Keys, at: dt.datetime
) -> None:
    words = demo.words
    catalogue = CourseCataloguePage.objects.get(locale=locale)
    page = CoursePage(
        title=words["title"][language],
        slug=words["slug"],
        locale=locale,
        translation_key=keys["course"],
        code=words["code"],
        theme=words["theme"],
        summary=words["summary"][language],
        outcomes="\n".join(line[language] for line in words["outcomes"]),
        picture=_picture(demo, words["image"], words["image_alt"], words["title"]),
        certificate_design=design,
        test_out=words.get("test_out", False),
        live=False,
        first_published_at=at,
    )
    catalogue.add_child(instance=page)
    last = len(words["lessons"]) - 1
    steps: list[Page] = []
    for place, lesson in enumerate(words["lessons"]):
        body = [_block(demo, block, language) for block in lesson["blocks"]]
        if place == last:
            body.append({"type": "file", "value": _practice_log(demo, language)})
        steps.append(
            LessonPage(
                title=lesson["title"][language],
                slug=lesson["slug"],
                locale=locale,
                translation_key=keys[lesson["slug"]],
                intro=lesson["intro"][language],
                minutes=lesson["minutes"],
                body=body,
                live=False,
                first_published_at=at,
            )
        )
    title, intro = QUIZ_WORDS[language]
    steps.append(
        QuizPage(
            title=title,
            slug="quiz",
            locale=locale,
            translation_key=keys["quiz"],
            intro=intro.format(count=demo.quiz.question_count, mark=demo.quiz.pass_mark),
            quiz=demo.quiz,
            minutes=10,
            live=False,
            first_published_at=at,
        )
    )
    for step in steps:
        page.add_child(instance=step)
        step.save_revision(changed=False).publish()
    # Published last, so that the course's record is brought up to date once and not with every lesson.
    page.save_revision(changed=False).publish()


def _block(demo: DemoCourse, block: dict, language: str) -> dict:
    kind = block["kind"]
    if kind in {"text", "tip"}:
        return {"type": kind, "value": block[language].strip()}
    if kind == "case":
        fields = ("title", "story", "question", "answer")
        return {"type": "case", "value": {name: block[name][language].strip() for name in fields if name in block}}
    if kind == "image":
        alt = block["alt"][language]
        caption = block.get("caption", {}).get(language, "")
        picture = _picture(demo, block["file"], block["alt"], block.get("caption", demo.words["title"]))
        return {"type": "picture", "value": {"picture": picture.pk, "alt": alt, "caption": caption}}
    raise ValueError(f"{demo.slug}: no block is called {kind}")


def _picture(demo: DemoCourse, name: str, description: dict, title: dict) -> Picture:
    """The drawing as a picture of the library, once for both languages; a page says in its own what it shows."""
    if name not in demo.pictures:
        picture = Picture(
            title=f"{title['zh']} / {title['en']}"[:255], description=f"{description['zh']} / {description['en']}"[:255]
        )
        picture.file = ImageFile(io.BytesIO((CONTENT / demo.slug / name).read_bytes()), name=f"{demo.slug}-{name}")
        picture.save()
        demo.pictures[name] = picture
    return demo.pictures[name]


def _practice_log(demo: DemoCourse, language: str) -> dict:
    """A sheet to print: what the course teaches, with room to note where it was used."""
    words = SHEET_WORDS[language]
    title = words["title"].format(course=demo.words["title"][language])
    buffer = io.BytesIO()
    rows = [[line[language], "", "", "", "", ""] for line in demo.words["outcomes"]]
    write_xlsx(buffer, [SheetOut(title[:31], words["header"], rows, widths=[44, 12, 28, 28, 20, 16])])
    file = File(title=title)
    file.file = ContentFile(
        buffer.getvalue(), name=f"{demo.words['slug']}-{words['file'] if language == 'en' else 'lianxi'}.xlsx"
    )
    file.save()
    return {"file": file.pk, "title": title, "description": words["what"]}
