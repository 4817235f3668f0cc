"""A company small enough to know everybody: one group, two branches, eight people, one course in both languages."""

import datetime as dt
import io
from dataclasses import dataclass
from decimal import Decimal

from django.urls import reverse
from django.utils import timezone
from openpyxl import Workbook

from assessments.domain.bank import publish_version
from assessments.models import AnswerOption, Question, QuestionCategory, Quiz, QuizDraw, QuizPage
from certificates.domain.issuing import publish_design
from certificates.models import CertificateDesign
from core.periods import Month
from courses.domain.opening import open_month
from courses.models import (
    Audience,
    Course,
    CourseCataloguePage,
    CoursePage,
    Enrolment,
    LessonPage,
    MonthClose,
    PlanLine,
    Programme,
    Step,
)
from people.domain.roles import grant_role
from people.models import Employee, OrgUnit, RoleGrant, User
from portal.house import set_up_house
from tests.browser.visitor import Visitor
from tests.factories.people import make_employee, make_position, make_unit

CODE = "LST-01"
TITLE = {"zh-hans": "先听后说", "en": "Listen first"}
LESSONS = {
    "zh-hans": [
        ("迎接", "客户进门三秒之内抬头、微笑、问候。先看人，再看单子。"),
        ("倾听", "听完再说。用自己的话复述一遍，客户就知道您听懂了。"),
    ],
    "en": [
        ("Welcome", "Look up, smile and greet within three seconds. First the person, then the paper."),
        ("Listening", "Let people finish. Say it back in your own words, and they know you understood."),
    ],
}
QUIZ_TITLE = {"zh-hans": "结课测验", "en": "Final quiz"}

# kind, question, options (text, right?) or pairs or items; in both languages
QUESTIONS = [
    (
        "single",
        ("客户进门时先做什么？", "A customer comes in. What comes first?"),
        [("抬头问候", "Look up and greet", True), ("继续填单", "Finish the form", False)],
    ),
    (
        "multiple",
        ("哪些做法说明您在听？", "Which of these show that you are listening?"),
        [
            ("复述要点", "Saying it back", True),
            ("记下数字", "Noting figures", True),
            ("抢先回答", "Answering early", False),
        ],
    ),
    ("numerical", ("几秒之内问候客户？", "Within how many seconds do you greet?"), Decimal(3)),
    (
        "matching",
        ("把做法和效果连起来。", "Match what you do with what it does."),
        [("微笑", "A smile", "放松", "Ease"), ("复述", "Saying it back", "清楚", "Clarity")],
    ),
    (
        "ordering",
        ("按先后排列。", "Put these in order."),
        [("问候", "Greet"), ("倾听", "Listen"), ("建议", "Advise")],
    ),
]


@dataclass
class Company:
    """Who is who, and what they work with."""

    language: str
    month: Month
    root: OrgUnit
    east: OrgUnit
    west: OrgUnit
    hr: User
    author: User
    moderator: User
    manager: Employee
    colleague: Employee  # reports to the manager and can sign in
    neighbour: Employee  # of the other branch
    course: Course
    quiz: Quiz

    @property
    def steps(self) -> list[Step]:
        return list(self.course.steps.order_by("position"))

    def lesson_page(self, number: int, language: str | None = None) -> LessonPage:
        return LessonPage.objects.get(
            translation_key=self.steps[number].translation_key, locale__language_code=language or self.language
        )


def found_company(language: str) -> Company:
    """Everything that is there before HR opens the browser: house, people, roles, one published course."""
    now = timezone.now()
    set_up_house()
    root = make_unit(code="G", name="江城服务集团", name_en="Riverside Service Group")
    east = make_unit(root, code="E", kind="branch", name="东街网点", name_en="East Street branch")
    west = make_unit(root, code="W", kind="branch", name="西街网点", name_en="West Street branch")
    clerk = make_position("客户顾问", "Customer adviser", "一线")
    head = make_position("网点负责人", "Branch head", "管理")

    def person(number, name, latin, unit, position, manager=None, sign_in=True):
        employee = make_employee(
            unit=unit,
            manager=manager,
            with_user=sign_in,
            position=position,
            employee_no=number,
            name=name,
            name_latin=latin,
            language=language,
            email=f"{number}@riverside.example",
        )
        if sign_in:
            User.objects.filter(pk=employee.user_id).update(language=language)
        return employee

    hr = person("0001", "何秀兰", "He Xiulan", root, head).user
    author = person("0002", "宋知微", "Song Zhiwei", root, head).user
    moderator = person("0003", "陆远", "Lu Yuan", root, head).user
    manager = person("0101", "高建国", "Gao Jianguo", east, head)
    colleague = person("0102", "沈月", "Shen Yue", east, clerk, manager)
    west_head = person("0201", "唐宁", "Tang Ning", west, head, sign_in=False)
    neighbour = person("0202", "白帆", "Bai Fan", west, clerk, west_head, sign_in=False)
    grant_role(user=hr, role=RoleGrant.Role.HR, unit=root, by=None, at=now)
    grant_role(user=author, role=RoleGrant.Role.AUTHOR, by=None, at=now)
    grant_role(user=moderator, role=RoleGrant.Role.MODERATOR, by=None, at=now)
    course, quiz = _course(now)
    return Company(
        language=language,
        month=Month.of(timezone.localdate(now)),
        root=root,
        east=east,
        west=west,
        hr=hr,
        author=author,
        moderator=moderator,
        manager=manager,
        colleague=colleague,
        neighbour=neighbour,
        course=course,
        quiz=quiz,
    )


def open_this_month(company: Company) -> dict[str, Enrolment]:
    """What HR does at the desk, done at once: the course for everybody of the east branch, by employee number."""
    audience = Audience.objects.create(name="一线", name_en="Front line", scope=company.root, rule={"units": ["E"]})
    programme = Programme.objects.create(name="每月一课", name_en="One a month", audience=audience)
    PlanLine.objects.create(
        programme=programme, course=company.course, month=company.month, published_at=timezone.now()
    )
    open_month(month=company.month, by=company.hr, at=timezone.now())
    return {one.employee.employee_no: one for one in Enrolment.objects.select_related("employee", "run")}


def _course(now: dt.datetime) -> tuple[Course, Quiz]:
    design = CertificateDesign.objects.create(name="结业证书")
    publish_design(design=design, at=now)
    category = QuestionCategory.objects.create(name="倾听", name_en="Listening", slug="listening")
    quiz = Quiz(
        name="先听后说",
        pass_mark=80,
        time_limit=20,
        shuffle_questions=False,
        shuffle_options=False,
        layout=Quiz.Layout.ONE,
    )
    quiz.draws = [
        QuizDraw(sort_order=place, question=_question(number, category, now))
        for place, number in enumerate(range(len(QUESTIONS)))
    ]
    quiz.save()
    pages: dict[str, list] = {}
    for language in ("zh-hans", "en"):
        first = pages.get("zh-hans")

        def add(parent, page, place, first=first):
            if first:
                page.translation_key = first[place].translation_key
            parent.add_child(instance=page)
            return page

        catalogue = CourseCataloguePage.objects.get(locale__language_code=language)
        same = {"locale": catalogue.locale, "live": False}
        course_page = add(
            catalogue,
            CoursePage(
                title=TITLE[language],
                slug="listen-first",
                code=CODE,
                summary=LESSONS[language][0][1],
                outcomes="\n".join(text for _title, text in LESSONS[language]),
                certificate_design=design,
                **same,
            ),
            0,
        )
        made = [course_page]
        for number, (title, text) in enumerate(LESSONS[language], start=1):
            body = [
                {"type": "text", "value": f"<p>{text}</p>" * 6},
                {"type": "tip", "value": text},
            ]
            made.append(
                add(
                    course_page, LessonPage(title=title, slug=f"lesson-{number}", intro=text, body=body, **same), number
                )
            )
        made.append(add(course_page, QuizPage(title=QUIZ_TITLE[language], slug="quiz", quiz=quiz, **same), len(made)))
        for page in (*made[1:], course_page):
            page.save_revision().publish()
        pages[language] = made
    course = Course.objects.get(code=CODE)
    QuestionCategory.objects.filter(pk=category.pk).update(review_step=course.steps.get(position=2))
    return course, quiz


def _question(number: int, category: QuestionCategory, now: dt.datetime) -> Question:
    kind, (text_zh, text_en), answer = QUESTIONS[number]
    question = Question(
        key=f"LST-{number + 1:03d}",
        kind=kind,
        category=category,
        text_zh=text_zh,
        text_en=text_en,
        feedback_zh=LESSONS["zh-hans"][1][1],
        feedback_en=LESSONS["en"][1][1],
    )
    if kind == "numerical":
        question.number, question.tolerance = answer, Decimal(0)
        question.number_unit_zh, question.number_unit_en = "秒", "seconds"
        answer = []
    elif kind == "matching":
        answer = [{"text_zh": zh, "text_en": en, "match_zh": to, "match_en": to_en} for zh, en, to, to_en in answer]
    elif kind == "ordering":
        answer = [{"text_zh": zh, "text_en": en} for zh, en in answer]
    else:
        answer = [{"text_zh": zh, "text_en": en, "is_correct": right} for zh, en, right in answer]
    question.options = [AnswerOption(sort_order=place, **values) for place, values in enumerate(answer)]
    question.save()
    publish_version(question=question, at=now)
    return question


# --- roster files -----------------------------------------------------------------------------------------------------
HEADINGS = {
    "zh-hans": ["工号", "姓名", "部门", "岗位", "上级工号", "入职日期", "邮箱", "语言"],
    "en": ["employee_no", "name", "unit", "position", "manager_no", "hired_on", "email", "language"],
}


def roster_file(company: Company, rows: list[list]) -> dict:
    """A roster as HR has it: in Chinese a CSV as Excel saves it (GB18030), in English a workbook. For set_input_files."""
    heading = HEADINGS[company.language]
    if company.language == "zh-hans":
        text = "\r\n".join(",".join(line) for line in [heading, *rows])
        return {"name": "花名册.csv", "mimeType": "text/csv", "buffer": text.encode("gb18030")}
    book = Workbook()
    for line in [heading, *rows]:
        book.active.append(line)
    out = io.BytesIO()
    book.save(out)
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return {"name": "roster.xlsx", "mimeType": kind, "buffer": out.getvalue()}


def close_in_pages(hr: Visitor, month: Month) -> None:
    """HR takes the one next step that the page offers until the month is closed: begin, sign the branches, sign, close."""
    hr.open(reverse("courses:close_month", args=[month]))
    for _press in range(5):
        if MonthClose.objects.filter(month=month, state=MonthClose.State.CLOSED).exists():
            break
        hr.press("main .card--primary form button.button--large")
    assert MonthClose.objects.get(month=month).state == MonthClose.State.CLOSED
