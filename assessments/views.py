"""The quiz as employees take it, and its results as they and the people around them may see them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings
from django.contrib import messages
from django.http import Http404, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from assessments import shapes
from assessments.domain import marking, queries
from assessments.domain.attempts import (
    AlreadyPassed,
    AttemptClosed,
    AttemptsUsedUp,
    CompletionStands,
    NotAccepted,
    QuizNotReady,
    ReasonMissing,
    Standing,
    StartRefused,
    save_answer,
    settle_attempt,
    settle_attempts,
    standing_of,
    start_attempt,
    submit_attempt,
    void_attempt,
)
from assessments.forms import answer_from, moved
from assessments.models import Attempt, Quiz, Response
from core.templatetags.interface import percent_words
from people.domain.access import actor_of, binds, require, visible_employees


# --- words ----------------------------------------------------------------------------------------------------------------
def points_words(points: Decimal) -> str:
    """Points without needless places: 3, 2.5, 0.66."""
    text = format(points, ".2f") if points == points.quantize(Decimal("0.01")) else format(points, ".4f")[:-2]
    return text.rstrip("0").rstrip(".")


def refusal_words(refusal: StartRefused | None, standing: Standing) -> str:
    """Why no attempt can be started, in words that help."""
    if isinstance(refusal, AttemptsUsedUp):
        return _("All attempts are used. Ask your HR desk if you need another one.")
    if isinstance(refusal, NotAccepted):
        return _("This month’s course does not take quizzes at the moment.")
    if isinstance(refusal, QuizNotReady):
        return _("This quiz is not ready yet. The people who write it have to finish it; please come back later.")
    return ""


@dataclass(frozen=True)
class Rule:
    icon: str
    text: str


def rules_in_words(quiz: Quiz, standing: Standing) -> list[Rule]:
    """The rules of a quiz, one short line each."""
    count = quiz.question_count
    found = [Rule("question", ngettext("%(count)d question", "%(count)d questions", count) % {"count": count})]
    if quiz.time_limit:
        text = ngettext(
            "%(count)d minute, counted from the start even if you close the page",
            "%(count)d minutes, counted from the start even if you close the page",
            quiz.time_limit,
        )
        found.append(Rule("clock", text % {"count": quiz.time_limit}))
    else:
        found.append(Rule("clock", _("No time limit: you can pause and go on later")))
    found.append(Rule("check", _("Passed with %(mark)s %% or more") % {"mark": quiz.pass_mark}))
    if quiz.attempts_allowed:
        text = ngettext("%(left)d of %(all)d attempt left", "%(left)d of %(all)d attempts left", quiz.attempts_allowed)
        text = text % {"left": standing.left, "all": quiz.attempts_allowed}
    else:
        text = _("As many attempts as you like")
    if quiz.attempts_allowed != 1:
        text = _("%(attempts)s; %(grading)s counts") % {"attempts": text, "grading": quiz.get_grading_display()}
    found.append(Rule("list", text))
    return found


# --- before: the rules, and the start -----------------------------------------------------------------------------------------
@require_http_methods(["GET", "POST"])
@binds("PM-Q03")
def quiz(request, enrolment_id, step_id):
    """The rules in words and where one stands; starting is a POST."""
    enrolment, step = queries.own_quiz_step_or_404(actor_of(request), "PM-Q03", enrolment_id, step_id)
    now = timezone.now()
    if request.method == "POST":
        try:
            attempt = start_attempt(enrolment=enrolment, step=step, at=now)
        except AlreadyPassed:
            messages.info(request, _("You have passed this quiz already."))
            return redirect("assessments:quiz", enrolment.pk, step.pk)
        except StartRefused as refusal:
            standing = standing_of(enrolment=enrolment, step=step, at=now)
            messages.warning(request, refusal_words(refusal, standing))
            return redirect("assessments:quiz", enrolment.pk, step.pk)
        return redirect("assessments:attempt", attempt.pk)
    settle_attempts(enrolment=enrolment, step=step, at=now)
    standing = standing_of(enrolment=enrolment, step=step, at=now)
    context = {
        "enrolment": enrolment,
        "step": step,
        "intro": queries.intro_of(step, get_language()),
        "standing": standing,
        "rules": rules_in_words(standing.quiz, standing) if standing.quiz else [],
        "refusal": refusal_words(standing.refusal, standing),
        "counting": percent_words(standing.counting),
        "past": [PastAttempt.of(attempt) for attempt in reversed(standing.attempts)],
    }
    return render(request, "assessments/quiz.html", context)


@dataclass(frozen=True)
class PastAttempt:
    """A line in the list of attempts made."""

    pk: int
    number: int
    at: object
    percent: str
    passed: bool
    voided: bool

    @classmethod
    def of(cls, attempt: Attempt) -> PastAttempt:
        own = attempt.percent is not None and attempt.percent >= attempt.rules["pass_mark"]
        voided = attempt.state == Attempt.State.VOIDED
        return cls(attempt.pk, attempt.number, attempt.submitted_at, percent_words(attempt.percent), own, voided)


# --- during -----------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class PaletteItem:
    position: int
    answered: bool
    current: bool


@require_http_methods(["GET", "POST"])
@binds("PM-Q04", "PM-Q05")
def attempt(request, attempt_id):
    """The open quiz: one question or all of them. The plain form saves and goes on; the script saves while one answers."""
    actor, now = actor_of(request), timezone.now()
    row = "PM-Q05" if request.method == "POST" else "PM-Q04"
    found = settle_attempt(attempt=queries.attempt_or_404(actor, row, attempt_id), at=now)
    if found.state != Attempt.State.OPEN:
        return redirect("assessments:result", found.pk)
    if request.method == "POST":
        return _save_and_go(request, actor, found, now)
    responses = queries.responses_of(found)
    one = found.rules["layout"] == Quiz.Layout.ONE
    position = _position(request.GET.get("q"), responses)
    shown = [response for response in responses if response.position == position] if one else responses
    context = {
        **_frame(found, responses, now),
        "one": one,
        "position": position,
        "palette": [PaletteItem(r.position, r.answer is not None, one and r.position == position) for r in responses],
        "questions": [(response.position, response.points, _shown(response), _note(response)) for response in shown],
        "answered": sum(response.answer is not None for response in responses),
    }
    return render(request, "assessments/attempt.html", context)


def _frame(found: Attempt, responses: list[Response], now) -> dict:
    """What every page of an open attempt shows: its name, how many questions, the clock."""
    seconds = max(0, int((found.deadline_at - now).total_seconds())) if found.deadline_at else None
    return {
        "attempt": found,
        "step": found.step,
        "total": len(responses),
        "csrf_cookie_name": settings.CSRF_COOKIE_NAME,
        "timed": bool(found.rules["time_limit"]),
        "seconds_left": seconds,
        "minutes_left": None if seconds is None else -(-seconds // 60),
        "clock": None if seconds is None else f"{seconds // 60}:{seconds % 60:02d}",
    }


def _position(asked: str | None, responses: list[Response]) -> int:
    """The question asked for, or the first one without an answer."""
    if asked and asked.isascii() and asked.isdigit() and len(asked) < 5 and 1 <= int(asked) <= len(responses):
        return int(asked)
    return next((response.position for response in responses if response.answer is None), 1)


def _shown(response: Response) -> shapes.ShownQuestion:
    return shapes.shown_question(
        response.question_version.content,
        order=response.option_order,
        answer=response.answer,
        language=get_language(),
    )


def _note(response: Response) -> str:
    """A hint about the form of an answer, never about whether it is right."""
    content = response.question_version.content
    if content["kind"] == shapes.NUMERICAL and response.answer:
        return number_note(content, response.answer)
    return ""


def number_note(content: dict, answer: str) -> str:
    try:
        marking.parse_number(answer, unit=content["unit"])
    except marking.NotANumber:
        return _("This cannot be read as a number. Write it with digits, for example 12 or 0.5.")
    return ""


def _save_and_go(request, actor, found: Attempt, now):
    """Keep every answer of the posted form, then go where the pressed button says."""
    move_at, _colon, move = request.POST.get("move", "").partition(":")
    last = None
    for text in request.POST.getlist("position")[:200]:
        if not (text.isascii() and text.isdigit() and len(text) < 5):
            continue
        last = int(text)
        response = queries.own_response_or_404(actor, found.pk, last)
        given = answer_from(request.POST, last, response.content["kind"])
        if move_at == text and response.content["kind"] == shapes.ORDERING:
            given = moved(request.POST.getlist(f"q{last}") or response.option_order, move)
        try:
            save_answer(response=response, answer=given, at=now)
        except AttemptClosed:
            return _closed(request, found, now)
        except marking.AnswerRefused:
            messages.error(
                request,
                _("The answer to question %(number)d could not be read; please answer it again.") % {"number": last},
            )
            return redirect(f"{found_url(found)}?q={last}")
    go = request.POST.get("go", "")
    if move_at:
        return redirect(
            f"{found_url(found)}?q={move_at if move_at.isdigit() else ''}#q{move_at if move_at.isdigit() else ''}"
        )
    if go == "review":
        return redirect("assessments:review", found.pk)
    if go == "stay" or last is None:
        return redirect(f"{found_url(found)}?q={last or ''}")
    total = found.responses.count()
    wanted = {"next": last + 1, "previous": max(1, last - 1)}.get(go) or (
        int(go) if go.isascii() and go.isdigit() else last
    )
    if wanted > total:
        return redirect("assessments:review", found.pk)
    return redirect(f"{found_url(found)}?q={wanted}")


def found_url(found: Attempt) -> str:
    return reverse("assessments:attempt", args=[found.pk])


def _closed(request, found: Attempt, now):
    settle_attempt(attempt=found, at=now)
    messages.info(request, _("This attempt has ended. What was saved before has been marked."))
    return redirect("assessments:result", found.pk)


@require_POST
@binds("PM-Q05")
def answer(request, attempt_id, position):
    """One answer, saved as it is given. Answers in JSON: {saved, at, seconds_left, note}."""
    actor, now = actor_of(request), timezone.now()
    response = queries.own_response_or_404(actor, attempt_id, position)
    content = response.content
    given = answer_from(request.POST, position, content["kind"])
    try:
        save_answer(response=response, answer=given, at=now)
    except AttemptClosed:
        text = _("This attempt has ended. What was saved before has been marked.")
        return JsonResponse(
            {"closed": True, "url": reverse("assessments:result", args=[attempt_id]), "text": text}, status=409
        )
    except marking.AnswerRefused:
        text = _("This answer could not be read. Please answer the question again.")
        return JsonResponse({"refused": True, "text": text}, status=400)
    seconds = max(0, int((response.deadline_at - now).total_seconds())) if response.deadline_at else None
    note = (
        number_note(content, given.strip()) if content["kind"] == shapes.NUMERICAL and given and given.strip() else ""
    )
    at = formats.time_format(timezone.localtime(now), "H:i")
    return JsonResponse({"saved": True, "at": at, "seconds_left": seconds, "note": note})


@require_GET
@binds("PM-Q04")
def review(request, attempt_id):
    """Before handing in: what is answered and what is not."""
    actor, now = actor_of(request), timezone.now()
    found = settle_attempt(attempt=queries.attempt_or_404(actor, "PM-Q04", attempt_id), at=now)
    if found.state != Attempt.State.OPEN:
        return redirect("assessments:result", found.pk)
    responses = queries.responses_of(found)
    language = get_language()
    lines = [
        {
            "position": response.position,
            "text": shapes.in_language(response.question_version.content["text"], language),
            "given": shapes.given_answer(response.question_version.content, response.answer, language),
        }
        for response in responses
    ]
    context = {
        **_frame(found, responses, now),
        "lines": lines,
        "missing": [line for line in lines if not line["given"]],
    }
    return render(request, "assessments/review.html", context)


@require_POST
@binds("PM-Q05")
def submit(request, attempt_id):
    """Hand in. Twice is once."""
    found = queries.attempt_or_404(actor_of(request), "PM-Q05", attempt_id)
    submit_attempt(attempt=found, at=timezone.now())
    return redirect("assessments:result", found.pk)


# --- afterwards -----------------------------------------------------------------------------------------------------------------
@require_GET
@binds("PM-Q06", "PM-Q07")
def result(request, attempt_id):
    """The result in words first; then what to read again; then the answers, as far as the reader may see them."""
    actor, now = actor_of(request), timezone.now()
    found = settle_attempt(attempt=queries.attempt_or_404(actor, "PM-Q06", attempt_id), at=now)
    own = actor.employee is not None and found.enrolment.employee_id == actor.employee.pk
    if found.state == Attempt.State.OPEN:
        if own:
            return redirect("assessments:attempt", found.pk)
        raise Http404  # a result exists only after the end (TRUST PM-Q06)
    standing = standing_of(enrolment=found.enrolment, step=found.step, at=now)
    responses = queries.responses_of(found)
    released = queries.answers_released(found, standing) if own else _may_see_answers(actor, found)
    if found.state == Attempt.State.VOIDED:
        released = released and not own
    context = {
        "attempt": found,
        "enrolment": found.enrolment,
        "step": found.step,
        "own": own,
        "standing": standing,
        "voided": found.state == Attempt.State.VOIDED,
        "percent": percent_words(found.percent),
        "counting": percent_words(standing.counting),
        "pass_mark": found.rules["pass_mark"],
        "only_this_counts": len(standing.attempts) < 2 or found.rules["grading"] == Quiz.Grading.HIGHEST,
        "points": points_words(found.score) if found.score is not None else "–",
        "max_points": points_words(found.max_score),
        "by_time": found.ended == Attempt.End.TIME,
        "unanswered": sum(response.answer is None for response in responses),
        "to_read": queries.what_to_read(found, responses) if own and found.state != Attempt.State.VOIDED else [],
        "answers": _answers(responses) if released else [],
        "answers_later": own and not released and found.rules["review"] == Quiz.Review.FINISHED,
        "refusal": refusal_words(standing.refusal, standing),
        "past": [PastAttempt.of(one) for one in queries.earlier_attempts(found) if one.state != Attempt.State.OPEN],
        "may_void": _may_void(actor, found, standing),
    }
    return render(request, "assessments/result.html", context)


def _may_see_answers(actor, found: Attempt) -> bool:
    return visible_employees(actor, "PM-Q07").filter(pk=found.enrolment.employee_id).exists()


def _may_void(actor, found: Attempt, standing: Standing) -> bool:
    if found.state == Attempt.State.VOIDED or standing.done or not actor.may("PM-Q14"):
        return False
    return visible_employees(actor, "PM-Q14").filter(pk=found.enrolment.employee_id).exists()


@dataclass(frozen=True)
class ReviewLine:
    answer: queries.ReviewedAnswer
    points: str
    worth: str


def _answers(responses: list[Response]) -> list[ReviewLine]:
    return [
        ReviewLine(
            one,
            points_words(one.score if one.score is not None else Decimal(0)),
            points_words(Decimal(one.points)),
        )
        for one in queries.reviewed_answers(responses, get_language())
    ]


@require_POST
@binds("PM-Q14")
def void(request, attempt_id):
    """HR takes an attempt out of the count, with a reason."""
    actor = actor_of(request)
    require(actor, "PM-Q14")
    found = queries.attempt_or_404(actor, "PM-Q14", attempt_id)
    try:
        void_attempt(attempt=found, by=request.user, at=timezone.now(), reason=request.POST.get("reason", "")[:2000])
    except ReasonMissing:
        messages.error(request, _("Write the reason: it stays on record."))
    except CompletionStands:
        messages.error(request, _("The step is already complete, and a completion is never taken away."))
    else:
        messages.success(request, _("The attempt no longer counts. The person may try again."))
    return redirect("assessments:result", found.pk)
