"""Courses, runs, audiences and enrolments for tests: plain rows, and pages where a test reads content."""

import datetime as dt
import itertools
import uuid

from django.utils import timezone
from wagtail.models import Locale, Page, Site

from certificates.domain.issuing import publish_design
from certificates.models import CertificateDesign
from core.periods import Month
from courses.domain import tallies
from courses.domain.month_plan import default_times
from courses.models import (
    Audience,
    Course,
    CourseCataloguePage,
    CoursePage,
    CourseRun,
    Enrolment,
    LessonPage,
    PlanLine,
    Programme,
    RunStep,
    Step,
)
from portal.models import HomePage
from tests.factories.people import make_employee, make_unit

NOVEMBER = Month(2026, 11)
PUBLISHED = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

_numbers = itertools.count(1)


def make_design(name=None):
    """A certificate design with one published version."""
    design = CertificateDesign.objects.create(name=name or f"设计{next(_numbers)}")
    publish_design(design=design, at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    return design


def make_course(steps=3, code=None, title_zh=None, title_en="", theme="other", design=None, kind="courses.lessonpage"):
    """A course record with so many required live steps, without pages."""
    number = next(_numbers)
    course = Course.objects.create(
        translation_key=uuid.uuid4(),
        code=code or f"C-{number:04d}",
        theme=theme,
        title_zh=title_zh or f"课程{number}",
        title_en=title_en or f"Course {number}",
        certificate_design=design,
    )
    for position in range(1, steps + 1):
        make_step(course, position=position, kind=kind)
    return course


def make_step(course, position=None, required=True, live=True, kind="courses.lessonpage", minutes=5):
    position = position or course.steps.count() + 1
    return Step.objects.create(
        course=course,
        translation_key=uuid.uuid4(),
        kind=kind,
        position=position,
        required=required,
        live=live,
        minutes=minutes,
        title_zh=f"第{position}课",
        title_en=f"Lesson {position}",
    )


def make_run(course=None, month=NOVEMBER, state="open", **fields):
    """A run with the default times of its month; an open (or closed) one has its steps frozen."""
    course = course or make_course()
    month = Month.parse(month) if isinstance(month, str) else month
    values = {**default_times(month), "course_version": course.version, "state": state, **fields}
    if state != "planned":
        values.setdefault("opened_at", values["opens_at"])
    run = CourseRun.objects.create(course=course, month=month, **values)
    if state != "planned":
        for step in course.steps.filter(live=True):
            RunStep.objects.create(run=run, step=step, position=step.position, required=step.required)
    return run


def make_audience(scope, rule=None, name=None):
    return Audience.objects.create(name=name or f"学习对象{next(_numbers)}", scope=scope, rule=rule or {})


def make_programme(audience, name=None, plan=()):
    """A programme; ``plan`` is a list of (course, month)."""
    programme = Programme.objects.create(name=name or f"培养计划{next(_numbers)}", audience=audience)
    for course, month in plan:
        PlanLine.objects.create(programme=programme, course=course, month=month, published_at=PUBLISHED)
    return programme


def make_enrolment(employee=None, run=None, state="assigned", unit=None, **fields):
    """One duty with its tallies. ``state="completed"`` is stamped at ``completed_at`` (default: an hour before due)."""
    run = run or make_run()
    employee = employee or make_employee(unit=make_unit(), with_user=True)
    unit = unit or employee.unit
    values = {
        "course_version": run.course_version,
        "due_at": run.due_at,
        "unit": unit,
        "unit_set": unit,
        "position_set": employee.position,
        "assigned_at": run.opens_at,
    }
    if state in ("in_progress", "completed"):
        values["started_at"] = run.opens_at
    if state == "completed":
        completed_at = fields.get("completed_at") or run.due_at - dt.timedelta(hours=1)
        values.update(
            completed_at=completed_at,
            on_time=completed_at <= fields.get("due_at", run.due_at),
            unit_done=unit,
            position_done=employee.position,
            steps_done=run.steps.filter(required=True).count(),
        )
    values.update(fields)
    values.setdefault("changed_at", values.get("completed_at") or values["assigned_at"])
    enrolment = Enrolment.objects.create(employee=employee, run=run, state=state, **values)
    tallies.recount(run=run)
    return enrolment


# --- pages --------------------------------------------------------------------------------------------------------
def make_locales():
    """The two languages: (Chinese, English)."""
    return tuple(Locale.objects.get_or_create(language_code=code)[0] for code in ("zh-hans", "en"))


def make_catalogue(language="zh-hans"):
    """A catalogue page of a language below a home page of its own."""
    make_locales()
    locale = Locale.objects.get(language_code=language)
    number = next(_numbers)
    home = HomePage(title="首页", slug=f"home-{language}-{number}", locale=locale, headline="学习")
    Page.objects.get(depth=1).add_child(instance=home)
    if language == "zh-hans":
        site = Site.objects.filter(is_default_site=True).first() or Site(hostname="testserver", is_default_site=True)
        site.root_page = home
        site.save()
    catalogue = CourseCataloguePage(title="课程", slug=f"courses-{number}", locale=locale)
    home.add_child(instance=catalogue)
    return catalogue


def make_course_page(catalogue=None, lessons=2, code=None, title=None, publish=True, **fields):
    """A course page with lessons below it, published (so that the records exist)."""
    catalogue = catalogue or make_catalogue()
    number = next(_numbers)
    page = CoursePage(
        title=title or f"课程{number}",
        slug=f"course-{number}",
        locale=catalogue.locale,
        code=code or f"P-{number:04d}",
        summary="一句话介绍。",
        live=False,
        **fields,
    )
    catalogue.add_child(instance=page)
    for lesson in range(1, lessons + 1):
        make_lesson_page(page, title=f"第{lesson}课", publish=False)
    if publish:
        for one in [page, *page.get_children().specific()]:
            one.save_revision().publish()
        page.refresh_from_db()
    return page


def make_lesson_page(course_page, title=None, body=None, publish=True, **fields):
    number = next(_numbers)
    lesson = LessonPage(
        title=title or f"课时{number}",
        slug=f"lesson-{number}",
        locale=course_page.locale,
        body=body or [{"type": "text", "value": "<p>先问候，再倾听。</p>"}],
        live=False,
        **fields,
    )
    course_page.add_child(instance=lesson)
    if publish:
        lesson.save_revision().publish()
    return lesson


def course_of(page):
    """The record behind a course page."""
    return Course.objects.get(translation_key=page.translation_key)


def local(year, month, day, hour=0, minute=0, second=0):
    """A moment in local time."""
    return timezone.make_aware(dt.datetime(year, month, day, hour, minute, second))


def duty_states(run):
    """{name: state} of the duties of a run."""
    return dict(Enrolment.objects.filter(run=run).values_list("employee__name", "state"))
