"""The question bank: questions as authors edit them, and their frozen versions as attempts use them."""

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from modelcluster.contrib.taggit import ClusterTaggableManager
from modelcluster.fields import ParentalKey
from modelcluster.models import ClusterableModel
from taggit.models import TaggedItemBase
from wagtail.admin.panels import FieldPanel, FieldRowPanel, InlinePanel, MultiFieldPanel
from wagtail.models import DraftStateMixin, LockableMixin, Orderable, PreviewableMixin, RevisionMixin, WorkflowMixin


class QuestionCategory(models.Model):
    """A shelf of the bank, from which quizzes draw."""

    name = models.CharField(_("name"), max_length=100)
    name_en = models.CharField(_("English name"), max_length=100, blank=True)
    slug = models.SlugField(_("short name"), max_length=60, unique=True)

    panels = [FieldRowPanel([FieldPanel("name"), FieldPanel("name_en")]), FieldPanel("slug")]

    class Meta:
        ordering = ["slug"]
        verbose_name = _("question category")
        verbose_name_plural = _("question categories")

    def __str__(self):
        return self.name_en if self.name_en and (get_language() or "").startswith("en") else self.name


class QuestionTag(TaggedItemBase):
    content_object = ParentalKey("assessments.Question", on_delete=models.CASCADE, related_name="tagged_items")


class Question(WorkflowMixin, DraftStateMixin, LockableMixin, RevisionMixin, PreviewableMixin, ClusterableModel):
    """A question as its author edits it, in both languages. Publishing freezes a QuestionVersion."""

    class Kind(models.TextChoices):
        SINGLE = "single", _("one right answer")
        MULTIPLE = "multiple", _("several right answers")
        TRUE_FALSE = "true_false", _("true or false")
        NUMERICAL = "numerical", _("a number")
        SHORT_TEXT = "short_text", _("a short text")
        MATCHING = "matching", _("matching pairs")
        ORDERING = "ordering", _("putting in order")

    class Difficulty(models.TextChoices):
        EASY = "easy", _("easy")
        MEDIUM = "medium", _("medium")
        HARD = "hard", _("hard")

    key = models.CharField(_("question number"), max_length=40, unique=True)
    category = models.ForeignKey(
        QuestionCategory, verbose_name=_("category"), on_delete=models.PROTECT, related_name="questions"
    )
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices, default=Kind.SINGLE)
    difficulty = models.CharField(_("difficulty"), max_length=8, choices=Difficulty.choices, default=Difficulty.MEDIUM)
    text_zh = models.TextField(_("question (Chinese)"))
    text_en = models.TextField(_("question (English)"), blank=True)
    feedback_zh = models.TextField(_("explanation (Chinese)"), blank=True)
    feedback_en = models.TextField(_("explanation (English)"), blank=True)
    # numerical: the right value and how far off is still right, as decimal text; unit shown behind the field
    number = models.DecimalField(_("right number"), max_digits=18, decimal_places=6, null=True, blank=True)
    tolerance = models.DecimalField(_("tolerance"), max_digits=18, decimal_places=6, null=True, blank=True)
    number_unit_zh = models.CharField(_("unit (Chinese)"), max_length=20, blank=True)
    number_unit_en = models.CharField(_("unit (English)"), max_length=20, blank=True)
    tags = ClusterTaggableManager(through=QuestionTag, blank=True, verbose_name=_("tags"))

    panels = [
        FieldRowPanel([FieldPanel("key"), FieldPanel("category")]),
        FieldRowPanel([FieldPanel("kind"), FieldPanel("difficulty")]),
        MultiFieldPanel([FieldPanel("text_zh"), FieldPanel("text_en")], heading=_("Question")),
        InlinePanel("options", heading=_("Answers"), label=_("Answer")),
        MultiFieldPanel(
            [
                FieldRowPanel([FieldPanel("number"), FieldPanel("tolerance")]),
                FieldRowPanel([FieldPanel("number_unit_zh"), FieldPanel("number_unit_en")]),
            ],
            heading=_("Right number (only for “a number”)"),
        ),
        MultiFieldPanel([FieldPanel("feedback_zh"), FieldPanel("feedback_en")], heading=_("Explanation, shown afterwards")),
        FieldPanel("tags"),
    ]

    class Meta:
        ordering = ["key"]
        verbose_name = _("question")
        verbose_name_plural = _("questions")

    def __str__(self):
        text = self.text_en if self.text_en and (get_language() or "").startswith("en") else self.text_zh
        return f"{self.key} {text}"


class AnswerOption(Orderable):
    """One answer of a question; what it means depends on the kind.

    single, multiple: an option, right or not. true_false: the two options in order true, false. short_text: an accepted
    text (a text of one language may stay empty). matching: left in ``text``, right in ``match``. ordering: the items in
    their right order. numerical: none.
    """

    question = ParentalKey(Question, on_delete=models.CASCADE, related_name="options")
    text_zh = models.CharField(_("answer (Chinese)"), max_length=500, blank=True)
    text_en = models.CharField(_("answer (English)"), max_length=500, blank=True)
    is_correct = models.BooleanField(_("right"), default=False)
    match_zh = models.CharField(_("belongs to (Chinese)"), max_length=500, blank=True)
    match_en = models.CharField(_("belongs to (English)"), max_length=500, blank=True)
    feedback_zh = models.CharField(_("why (Chinese)"), max_length=500, blank=True)
    feedback_en = models.CharField(_("why (English)"), max_length=500, blank=True)

    panels = [
        FieldRowPanel([FieldPanel("text_zh"), FieldPanel("text_en")]),
        FieldPanel("is_correct"),
        FieldRowPanel([FieldPanel("match_zh"), FieldPanel("match_en")]),
        FieldRowPanel([FieldPanel("feedback_zh"), FieldPanel("feedback_en")]),
    ]

    def __str__(self):
        return self.text_zh or self.text_en


class QuestionVersion(models.Model):
    """A question as it was published: what attempts are drawn from and marked by. Never edited.

    ``content`` is {kind, text: {zh, en}, feedback: {zh, en}, options: [{id, zh, en, correct, match_zh, match_en,
    feedback_zh, feedback_en}], number, tolerance, unit: {zh, en}}; option ids are stable within the version.
    """

    question = models.ForeignKey(Question, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    content = models.JSONField(encoder=DjangoJSONEncoder)
    content_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["question", "-number"]
        constraints = [models.UniqueConstraint(fields=["question", "number"], name="question_version_once")]

    def __str__(self):
        return f"{self.question_id} v{self.number}"
