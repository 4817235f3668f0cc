"""Attempts at a quiz and what was answered."""

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from assessments.models.questions import QuestionVersion
from assessments.models.quizzes import Quiz
from courses.models import Enrolment, Step


class Attempt(models.Model):
    """One try of one person at a quiz, under the rules as they stood at its start.

    ``rules`` is the quiz copied at the start: {pass_mark, time_limit, grading, attempts_allowed, layout, review}. Time,
    score and limits are the server's. ``score`` and ``max_score`` are points; ``percent`` is floored to 0.01.
    """

    class State(models.TextChoices):
        OPEN = "open", _("under way")
        SUBMITTED = "submitted", _("submitted")
        VOIDED = "voided", _("voided")

    class End(models.TextChoices):
        PERSON = "person", _("by the person")
        TIME = "time", _("by the server when time was up")

    enrolment = models.ForeignKey(Enrolment, on_delete=models.PROTECT, related_name="attempts")
    step = models.ForeignKey(Step, on_delete=models.PROTECT, related_name="+")
    quiz = models.ForeignKey(Quiz, on_delete=models.PROTECT, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    rules = models.JSONField(encoder=DjangoJSONEncoder)
    started_at = models.DateTimeField()
    deadline_at = models.DateTimeField(null=True)
    submitted_at = models.DateTimeField(null=True)
    ended = models.CharField(max_length=6, choices=End.choices, blank=True)
    score = models.DecimalField(max_digits=8, decimal_places=4, null=True)
    max_score = models.DecimalField(max_digits=8, decimal_places=4)
    percent = models.DecimalField(max_digits=5, decimal_places=2, null=True)
    passed = models.BooleanField(null=True)

    class Meta:
        ordering = ["enrolment", "step", "number"]
        constraints = [
            models.UniqueConstraint(fields=["enrolment", "step", "number"], name="attempt_number_once"),
            # One open attempt per person and quiz: two tabs share it.
            models.UniqueConstraint(fields=["enrolment", "step"], condition=Q(state="open"), name="attempt_one_open"),
        ]
        indexes = [models.Index(fields=["state", "deadline_at"], name="attempt_deadline")]

    def __str__(self):
        return f"{self.enrolment_id}/{self.step_id} #{self.number}"


class Response(models.Model):
    """One drawn question of an attempt and what was answered, saved as it is given.

    ``answer`` depends on the kind: single, true_false: an option id; multiple: a list of ids; numerical, short_text: the
    text as typed; matching: {left id: right id}; ordering: a list of ids. ``option_order`` is the order shown.
    """

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="responses")
    position = models.PositiveSmallIntegerField()
    question_version = models.ForeignKey(QuestionVersion, on_delete=models.PROTECT, related_name="responses")
    option_order = models.JSONField(default=list)
    points = models.PositiveSmallIntegerField(default=1)
    answer = models.JSONField(null=True)
    saved_at = models.DateTimeField(null=True)
    score = models.DecimalField(max_digits=8, decimal_places=4, null=True)

    class Meta:
        ordering = ["attempt", "position"]
        constraints = [models.UniqueConstraint(fields=["attempt", "position"], name="response_position_once")]

    def __str__(self):
        return f"{self.attempt_id}.{self.position}"
