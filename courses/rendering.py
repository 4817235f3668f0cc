"""The HTML of lessons, made once for each published revision and kept (SPEED 6)."""

from django.apps import apps
from django.core.cache import cache
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.safestring import SafeString

from courses.models import CoursePage, Enrolment, LessonPage, Step

KEPT_FOR = 7 * 24 * 3600


def lesson_html(page: LessonPage) -> SafeString:
    """The text of a lesson, in the language of its page; the same for everybody, so it is taken from the cache."""
    if not page.live_revision_id:
        return _render(page)
    key = f"lesson-{page.pk}-{page.live_revision_id}-{page.last_published_at:%Y%m%d%H%M%S%f}"
    html = cache.get(key)
    if html is None:
        html = _render(page)
        cache.set(key, html, KEPT_FOR)
    return html


def _render(page: LessonPage) -> SafeString:
    with translation.override(page.locale.language_code):
        return render_to_string("courses/_lesson_text.html", {"page": page})


def prepare(page) -> None:
    """Make what reading a page needs (pictures in their sizes, its HTML) when it is published: a GET writes nothing."""
    if isinstance(page, LessonPage):
        lesson_html(page)
    elif isinstance(page, CoursePage) and page.picture_id:
        render_to_string("courses/_cover.html", {"page": page, "priority": False})


def step_url(enrolment: Enrolment, step: Step) -> str:
    """Where a learner opens this kind of step. The page type says so (CourseStep.step_url_name)."""
    return reverse(apps.get_model(step.kind).step_url_name, args=[enrolment.pk, step.pk])
