"""What the content admin gets from here, and where the address of a quiz page leads."""

from django.contrib.auth.views import redirect_to_login
from django.http import Http404
from django.shortcuts import redirect
from django.utils import timezone
from wagtail import hooks
from wagtail.snippets.models import register_snippet

from assessments.domain.queries import own_duty_with
from assessments.models import QuizPage
from assessments.viewsets import QuestionBankGroup
from people.domain.access import Actor

register_snippet(QuestionBankGroup)


@hooks.register("before_serve_page")
def lead_to_own_quiz(page, request, serve_args, serve_kwargs):
    """A learner is led to the quiz of the newest duty that has it, authors and auditors see the page, others the course."""
    if not isinstance(page, QuizPage):
        return None
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    actor = Actor(user=request.user, on=timezone.localdate())
    duty = own_duty_with(actor, page)
    if duty is not None:
        return redirect("assessments:quiz", *duty)
    if actor.may("PM-C01"):
        return None
    course_url = page.get_parent().get_url(request)
    if course_url is None:
        raise Http404
    return redirect(course_url)
