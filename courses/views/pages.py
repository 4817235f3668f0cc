"""Pages of the content tree as signed-in people see them: the catalogue, a course, a lesson."""

from __future__ import annotations

from django.contrib.auth.views import redirect_to_login
from django.http import HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from core.periods import Month
from courses.domain import choice
from courses.domain.access import own_enrolment_of_course, own_enrolments_of_courses
from courses.domain.progress import accepts_work
from courses.domain.queries import duty_of
from courses.models import Course, CourseCataloguePage, CoursePage, Enrolment, LessonPage, Step
from courses.rendering import lesson_html, step_url
from courses.views.choice import refusal_words
from people.domain.access import actor_of, require


def serve(page, request):
    """The answer for a page of ours, or None to let Wagtail serve it. Everybody must be signed in (PM-C02)."""
    if not isinstance(page, CourseCataloguePage | CoursePage | LessonPage):
        return None
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    actor = actor_of(request)
    require(actor, "PM-C02")
    if isinstance(page, CourseCataloguePage):
        return _catalogue(request, actor, page)
    if isinstance(page, CoursePage):
        return _course(request, actor, page)
    return _lesson(request, actor, page)


def _catalogue(request, actor, page: CourseCataloguePage):
    pages = CoursePage.objects.child_of(page).live().select_related("picture").order_by("path")
    pages = list(pages.prefetch_related("picture__renditions"))
    keys = [one.translation_key for one in pages]
    courses = {
        course.translation_key: course
        for course in Course.objects.filter(translation_key__in=keys).prefetch_related("steps")
    }
    enrolments, at = own_enrolments_of_courses(actor, keys), timezone.now()
    cards = []
    for one in pages:
        course = courses.get(one.translation_key)
        steps = [step for step in course.steps.all() if step.live] if course else []
        enrolment = enrolments.get(one.translation_key)
        cards.append(
            {
                "page": one,
                "theme": one.get_theme_display(),
                "url": reverse("courses:overview", args=[enrolment.pk])
                if enrolment and _is_current(enrolment, at)
                else one.get_url(request),
                "minutes": sum(step.minutes for step in steps),
                "steps": len(steps),
                "enrolment": enrolment,
                "test_out": course is not None and course.test_out,
            }
        )
    themes = list(Course.Theme)
    cards.sort(key=lambda card: themes.index(card["page"].theme))
    context = {"page": page, "cards": cards, "count": len(cards), "at": at}
    return render(request, "courses/catalogue_page.html", context)


def _is_current(enrolment: Enrolment, at) -> bool:
    """Is it of this month, or still to be done? Else the page of the course is shown, where it can be taken again."""
    if enrolment.run.month == Month.of(timezone.localdate(at)):
        return True
    return enrolment.state != Enrolment.State.COMPLETED and accepts_work(run=enrolment.run, at=at)


def _course(request, actor, page: CoursePage):
    enrolment = own_enrolment_of_course(actor, page.translation_key)
    duty, offer, at = None, choice.Offer(refusal=choice.NotByChoice()), timezone.now()
    course = Course.objects.select_related("certificate_design").filter(translation_key=page.translation_key).first()
    if course and actor.employee is not None:
        offer = choice.offer_of(employee=actor.employee, course=course, at=at)
    if enrolment:
        duty = duty_of(enrolment, at=at)
        if offer.may_take and not duty.is_done:  # what ran out in an earlier month is history
            duty = None
    steps = Step.objects.filter(course__translation_key=page.translation_key, live=True).order_by("position")
    context = {
        "page": page,
        "course": course,
        "duty": duty,
        "offer": offer,
        "refusal_words": refusal_words(offer.refusal) if offer.refusal else "",
        "steps": [{"label": step.title, "state": "open", "minutes": step.minutes, "step": step} for step in steps],
        "minutes": sum(step.minutes for step in steps),
        "may_read_lessons": actor.may("PM-C01"),
        "lessons": page.get_children().live().order_by("path") if actor.may("PM-C01") else [],
    }
    return render(request, "courses/course_page.html", context)


def _lesson(request, actor, page: LessonPage):
    course_page = page.get_parent()
    enrolment = own_enrolment_of_course(actor, course_page.translation_key)
    if enrolment:
        run_step = enrolment.run.steps.filter(step__translation_key=page.translation_key).select_related("step").first()
        if run_step:
            return HttpResponseRedirect(step_url(enrolment, run_step.step))
    if not actor.may("PM-C01"):
        return HttpResponseRedirect(course_page.get_url(request))
    context = {"page": page, "course_page": course_page, "text": lesson_html(page)}
    return render(request, "courses/lesson_page.html", context)
