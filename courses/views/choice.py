"""Taking a course by choice, and giving it up again: always one's own (PM-M02)."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from courses.domain import choice
from courses.domain.access import own_enrolment_or_404
from courses.domain.publishing import course_pages
from courses.models import Course, Enrolment
from people.domain.access import actor_of, binds, require


def refusal_words(refusal: choice.ChoiceRefused) -> str:
    """Why a course cannot be taken by choice, and what helps."""
    if isinstance(refusal, choice.AlreadyOwed):
        return _("You have this course on record for this month already: look in “My month”.")
    if isinstance(refusal, choice.PlannedLater):
        return _("HR has planned this course for this month and opens it soon. Then you can take it.")
    if isinstance(refusal, choice.NotReady):
        return _("This course cannot be taken at the moment: nothing of it is published, or this month is closed.")
    return _("This course is not offered by choice. When it is planned for you, it appears in “My month”.")


@binds("PM-M02")
@require_POST
def take(request, course_id: int):
    """Take a course by choice; the undo of giving one up posts here as well."""
    actor = actor_of(request)
    require(actor, "PM-M02")
    if actor.employee is None:
        raise Http404
    course = get_object_or_404(Course, pk=course_id)
    try:
        enrolment = choice.take_course(employee=actor.employee, course=course, by=request.user, at=timezone.now())
    except choice.ChoiceRefused as refusal:
        messages.error(request, refusal_words(refusal))
        return HttpResponseRedirect(_page_of(course))
    messages.success(
        request,
        _("“%(course)s” is yours to take, by choice.") % {"course": course.title},
        extra_tags=f"undo:{reverse('courses:give_up', args=[enrolment.pk])}",
    )
    return HttpResponseRedirect(reverse("courses:overview", args=[enrolment.pk]))


@binds("PM-M02")
@require_POST
def give_up(request, enrolment_id: int):
    """Give up what one took by choice. What was done is kept for the next time."""
    actor = actor_of(request)
    require(actor, "PM-M02")
    enrolment = own_enrolment_or_404(actor, enrolment_id)
    course = enrolment.run.course
    try:
        choice.give_up(enrolment=enrolment, by=request.user, at=timezone.now())
    except choice.NotGivenUp:
        messages.error(request, _not_given_up_words(enrolment))
        return HttpResponseRedirect(reverse("courses:overview", args=[enrolment.pk]))
    messages.success(
        request,
        _("“%(course)s” is given up. What you did is kept in case you take it again.") % {"course": course.title},
        extra_tags=f"undo:{reverse('courses:take', args=[course.pk])}",
    )
    return HttpResponseRedirect(_page_of(course))


def _not_given_up_words(enrolment: Enrolment) -> str:
    if enrolment.voluntary:
        return _("This course is finished, so there is nothing to give up.")
    return _("You owe this course this month, so it cannot be given up. If there is a reason, ask your manager or HR.")


def _page_of(course: Course) -> str:
    """Where the course is shown in the catalogue; one's month when its page is gone."""
    page = course_pages(courses=[course], language=get_language()).get(course.pk)
    return (page.url if page else None) or reverse("portal:my_month")
