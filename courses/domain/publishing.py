"""Keeps the records of courses and steps equal to the live pages, and finds the page for a record."""

from __future__ import annotations

from django.apps import apps
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from wagtail.models import Locale, Page

from courses.models import Course, CoursePage, CourseStep, Step

_FIRST_LANGUAGE = settings.LANGUAGE_CODE  # whose tree gives the order, the code and the theme


def sync_course(course_page: Page) -> Course | None:
    """This function will make a course and its steps equal to the live pages behind them, in every language.

    Pages of one translation key are one course; the steps are the live children that are CourseSteps. Titles come from
    each language's live page and stay when it goes; order, minutes and whether a step is required come from the first
    language that has the page. ``version`` rises when the set of required steps changes. A step whose pages are gone is
    kept, not live. Code, theme and certificate of the first language are copied to the others. Returns None while no
    language was ever published (or the page is not a course).
    """
    with transaction.atomic():
        pages = _in_language_order(
            CoursePage.objects.filter(translation_key=course_page.translation_key).select_related("locale")
        )
        live = [page for page in pages if page.live]
        course = Course.objects.filter(translation_key=course_page.translation_key).first()
        if course is None:
            if not live:
                return None
            course = Course(translation_key=course_page.translation_key)
        if live:
            source = live[0]
            course.code, course.theme = source.code, source.theme
            course.certificate_design_id = source.certificate_design_id
            course.by_choice, course.test_out = source.by_choice, source.test_out
            for page in live:
                _set_title(course, page)
            _copy_to_translations(source, pages)
        was_new = course.pk is None
        course.save()
        before, after = _sync_steps(course, live)
        if before != after and not was_new:
            course.version += 1
            course.save(update_fields=["version"])
    return course


def sync_courses_at(paths: list[str]) -> None:
    """This function will sync the courses whose page, or a page below it, lies at one of these places of the tree."""
    steps = {path[:end] for path in paths for end in range(Page.steplen, len(path) + 1, Page.steplen)}
    seen = set()
    for page in CoursePage.objects.filter(path__in=steps):
        if page.translation_key not in seen:
            seen.add(page.translation_key)
            sync_course(page)


def _in_language_order(pages) -> list:
    return sorted(pages, key=lambda page: (page.locale.language_code != _FIRST_LANGUAGE, page.locale.language_code))


def _set_title(record: Course | Step, page: Page) -> None:
    field = "title_en" if page.locale.language_code.startswith("en") else "title_zh"
    setattr(record, field, page.title)


def _copy_to_translations(source: CoursePage, pages: list[CoursePage]) -> None:
    names = ("code", "theme", "certificate_design_id", "by_choice", "test_out")
    values = {name: getattr(source, name) for name in names}
    others = [page.pk for page in pages if page.pk != source.pk]
    CoursePage.objects.filter(pk__in=others).update(**values)


def _sync_steps(course: Course, live: list[CoursePage]) -> tuple[set, set]:
    """Write the steps; return the sets of required live steps before and after."""
    known = {step.translation_key: step for step in Step.objects.filter(course=course)}
    before = {key for key, step in known.items() if step.live and step.required}
    found: dict = {}  # translation key -> the pages that are live, in language order, in the order of the first tree
    for course_page in live:
        for page in course_page.get_children().live().select_related("locale").specific():
            if isinstance(page, CourseStep):
                found.setdefault(page.translation_key, []).append(page)
    strangers = Step.objects.filter(translation_key__in=found.keys()).exclude(course=course)
    known.update({step.translation_key: step for step in strangers})  # pages that were moved here from another course
    for position, (key, pages) in enumerate(found.items(), start=1):
        step = known.get(key) or Step(translation_key=key)
        step.course, step.position, step.live = course, position, True
        step.kind = pages[0]._meta.label_lower
        step.minutes, step.required = pages[0].minutes, pages[0].required
        for page in pages:
            _set_title(step, page)
        step.save()
        known[key] = step
    gone = [step.pk for key, step in known.items() if key not in found]
    Step.objects.filter(pk__in=gone).update(live=False)
    return before, {key for key in found if known[key].required}


# --- from a record to its page ------------------------------------------------------------------------------------
def course_pages(*, courses: list[Course], language: str) -> dict[int, CoursePage]:
    """This function will return {course id: its live page}, in the language if there is one, else in another."""
    keys = {course.translation_key: course.pk for course in courses}
    pages = CoursePage.objects.filter(translation_key__in=keys, live=True).select_related("locale", "picture")
    found: dict[int, CoursePage] = {}
    for page in _best_last(pages, language):
        found[keys[page.translation_key]] = page
    return found


def step_page(*, step: Step, language: str) -> Page | None:
    """This function will return the page of a step: in the language, else in another, live ones first.

    A page that was taken offline after the run opened is still returned (what is owed does not change), one that was
    never published is not. None when no page is left.
    """
    model = apps.get_model(step.kind)
    pages = model.objects.filter(translation_key=step.translation_key, first_published_at__isnull=False)
    return next(reversed(_best_last(pages.select_related("locale"), language)), None)


def _best_last(pages, language: str) -> list:
    """Live after not live, then the wanted language after the others."""
    return sorted(pages, key=lambda page: (page.live, page.locale.language_code == language, page.pk))


def missing_translations() -> list[tuple[Page, list[Locale]]]:
    """This function will return the course and step pages that are not live in some language, with those languages."""
    locales = list(Locale.objects.order_by("pk"))
    courses = CoursePage.objects.order_by("path")
    pages: list[Page] = []
    for course_page in courses.select_related("locale"):
        pages.append(course_page)
        pages += [page for page in course_page.get_children().specific() if isinstance(page, CourseStep)]
    languages: dict = {}
    for page in pages:
        languages.setdefault(page.translation_key, {})[page.locale_id] = page
    found, seen = [], set()
    for page in pages:
        if page.translation_key in seen:
            continue
        seen.add(page.translation_key)
        has = languages[page.translation_key]
        missing = [locale for locale in locales if locale.pk not in has or not has[locale.pk].live]
        if missing:
            found.append((page, missing))
    return found


def unpublished_drafts() -> list[Page]:
    """This function will return the pages of courses with changes that nobody has published, the newest first."""
    paths = Q(pk__in=[])
    for path in CoursePage.objects.values_list("path", flat=True):
        paths |= Q(path__startswith=path)
    pages = Page.objects.filter(paths, has_unpublished_changes=True).select_related("locale")
    return list(pages.order_by("-latest_revision_created_at").specific())
