"""Quizzes: the rules of one, what it draws, and the page that makes it a step of a course."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from modelcluster.fields import ParentalKey
from modelcluster.models import ClusterableModel
from wagtail.admin.panels import FieldPanel, FieldRowPanel, InlinePanel, MultiFieldPanel
from wagtail.models import Orderable, Page

from assessments.models.questions import Question, QuestionCategory
from courses.models import CourseStep


class Quiz(ClusterableModel):
    """The rules of a quiz, one for all languages. What an attempt needs is copied to it at its start."""

    class Grading(models.TextChoices):
        HIGHEST = "highest", _("the best attempt")
        AVERAGE = "average", _("the average of all attempts")
        FIRST = "first", _("the first attempt")
        LAST = "last", _("the last attempt")

    class Review(models.TextChoices):
        ALWAYS = "always", _("right answers after every attempt")
        FINISHED = "finished", _("right answers once passed or no attempt is left")
        NEVER = "never", _("only the score")

    class Layout(models.TextChoices):
        ONE = "one", _("one question at a time")
        ALL = "all", _("all questions on one page")

    name = models.CharField(_("name of the quiz"), max_length=120, unique=True)
    pass_mark = models.PositiveSmallIntegerField(
        _("pass mark (%)"), default=80, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    attempts_allowed = models.PositiveSmallIntegerField(_("attempts (0: no limit)"), default=3)
    grading = models.CharField(_("what counts"), max_length=8, choices=Grading.choices, default=Grading.HIGHEST)
    time_limit = models.PositiveSmallIntegerField(_("time limit (minutes)"), null=True, blank=True)
    layout = models.CharField(_("layout"), max_length=4, choices=Layout.choices, default=Layout.ONE)
    shuffle_questions = models.BooleanField(_("shuffle questions"), default=True)
    shuffle_options = models.BooleanField(_("shuffle answers"), default=True)
    review = models.CharField(
        _("what is shown afterwards"), max_length=8, choices=Review.choices, default=Review.FINISHED
    )

    panels = [
        FieldPanel("name"),
        MultiFieldPanel(
            [
                FieldRowPanel([FieldPanel("pass_mark"), FieldPanel("attempts_allowed"), FieldPanel("time_limit")]),
                FieldRowPanel([FieldPanel("grading"), FieldPanel("review")]),
                FieldPanel("layout"),
                FieldRowPanel([FieldPanel("shuffle_questions"), FieldPanel("shuffle_options")]),
            ],
            heading=_("Rules"),
        ),
        InlinePanel("draws", heading=_("Questions"), label=_("Draw"), min_num=1),
    ]

    class Meta:
        ordering = ["name"]
        verbose_name = _("quiz")
        verbose_name_plural = _("quizzes")

    def __str__(self):
        return self.name

    @property
    def question_count(self) -> int:
        """How many questions an attempt has (of lines that overlap, a little fewer)."""
        return sum(draw.count for draw in self.draws.all())


class QuizDraw(Orderable):
    """One line of what a quiz draws: either one fixed question, or so many at random from a category."""

    quiz = ParentalKey(Quiz, on_delete=models.CASCADE, related_name="draws")
    question = models.ForeignKey(
        Question, verbose_name=_("fixed question"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    category = models.ForeignKey(
        QuestionCategory,
        verbose_name=_("or at random from"),
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
    )
    difficulty = models.CharField(_("difficulty"), max_length=8, choices=Question.Difficulty.choices, blank=True)
    tag = models.CharField(_("with the tag"), max_length=100, blank=True)
    count = models.PositiveSmallIntegerField(_("how many"), default=1, validators=[MinValueValidator(1)])
    points = models.PositiveSmallIntegerField(_("points each"), default=1, validators=[MinValueValidator(1)])

    panels = [
        FieldPanel("question"),
        FieldRowPanel([FieldPanel("category"), FieldPanel("difficulty"), FieldPanel("tag"), FieldPanel("count")]),
        FieldPanel("points"),
    ]

    class Meta(Orderable.Meta):
        constraints = [
            # Either a fixed question or a category to draw from.
            models.CheckConstraint(
                condition=Q(question__isnull=False, category=None, count=1) | Q(question=None, category__isnull=False),
                name="draw_fixed_or_random",
            ),
        ]

    def __str__(self):
        return str(self.question_id or self.category_id)


class QuizPage(CourseStep, Page):
    """A quiz as a step of a course: its words in one language; the rules are the Quiz's.

    Its own address shows the rules to authors only; wagtail_hooks leads learners to their quiz.
    """

    parent_page_types = ["courses.CoursePage"]
    subpage_types: list[str] = []
    template = "assessments/quiz_page.html"
    step_url_name = "assessments:quiz"
    is_test = True

    intro = models.TextField(_("introduction"), blank=True)
    quiz = models.ForeignKey(Quiz, verbose_name=_("quiz"), null=True, on_delete=models.PROTECT, related_name="pages")

    content_panels = [
        *Page.content_panels,
        FieldPanel("intro"),
        FieldPanel("quiz"),
        FieldPanel("minutes"),
        FieldPanel("required"),
    ]

    class Meta:
        verbose_name = _("quiz page")

    @classmethod
    def failed_steps(cls, enrolment) -> set[int]:
        """The steps at which an attempt was handed in and not passed; one that was taken out of the count is none."""
        return set(enrolment.attempts.filter(state="submitted", passed=False).values_list("step", flat=True))

    def get_context(self, request, *args, **kwargs):
        return {**super().get_context(request, *args, **kwargs), "course_title": self.get_parent().title}
