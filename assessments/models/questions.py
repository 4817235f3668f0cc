"""The question bank: questions as authors edit them, and their frozen versions as attempts use them."""

from decimal import Decimal

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import translation
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from modelcluster.contrib.taggit import ClusterTaggableManager
from modelcluster.fields import ParentalKey
from modelcluster.models import ClusterableModel
from taggit.models import TaggedItemBase
from wagtail.admin.panels import FieldPanel, FieldRowPanel, InlinePanel, MultiFieldPanel
from wagtail.models import DraftStateMixin, LockableMixin, Orderable, PreviewableMixin, RevisionMixin, WorkflowMixin

from assessments import shapes
from core.models.jobs import private_storage


class QuestionCategory(models.Model):
    """A shelf of the bank, from which quizzes draw."""

    name = models.CharField(_("name of the category"), max_length=100)
    name_en = models.CharField(_("English name"), max_length=100, blank=True)
    slug = models.SlugField(_("short name"), max_length=60, unique=True)
    review_step = models.ForeignKey(
        "courses.Step",
        verbose_name=_("lesson to read again"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text=_("Offered after a quiz to people who missed a question of this category."),
    )

    panels = [
        FieldRowPanel([FieldPanel("name"), FieldPanel("name_en")]),
        FieldPanel("slug"),
        FieldPanel("review_step"),
    ]

    class Meta:
        ordering = ["slug"]
        verbose_name = _("question category")
        verbose_name_plural = _("question categories")

    def __str__(self):
        return self.label

    @property
    def label(self) -> str:
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
    kind = models.CharField(_("question kind"), max_length=12, choices=Kind.choices, default=Kind.SINGLE)
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
        MultiFieldPanel([FieldPanel("text_zh"), FieldPanel("text_en")], heading=_("Question text")),
        InlinePanel("options", heading=_("Answers"), label=_("Answer")),
        MultiFieldPanel(
            [
                FieldRowPanel([FieldPanel("number"), FieldPanel("tolerance")]),
                FieldRowPanel([FieldPanel("number_unit_zh"), FieldPanel("number_unit_en")]),
            ],
            heading=_("Right number (only for “a number”)"),
        ),
        MultiFieldPanel(
            [FieldPanel("feedback_zh"), FieldPanel("feedback_en")], heading=_("Explanation, shown afterwards")
        ),
        FieldPanel("tags"),
    ]

    class Meta:
        ordering = ["key"]
        verbose_name = _("question")
        verbose_name_plural = _("questions")

    def __str__(self):
        text = self.text_en if self.text_en and (get_language() or "").startswith("en") else self.text_zh
        return f"{self.key} {text}"

    def content(self) -> dict:
        """The question in the shape of a version (see assessments.shapes), with only what its kind uses and without ids."""
        options = []
        if self.kind != self.Kind.NUMERICAL:
            # read in the order of the form, also from a question that is not saved yet
            for place, option in enumerate(sorted(self.options.all(), key=lambda option: option.sort_order or 0)):
                options.append(option.content(self.kind, place))
        number = self.kind == self.Kind.NUMERICAL
        return {
            "kind": self.kind,
            "text": {"zh": self.text_zh.strip(), "en": self.text_en.strip()},
            "feedback": {"zh": self.feedback_zh.strip(), "en": self.feedback_en.strip()},
            "options": options,
            "number": _plain(self.number) if number else None,
            "tolerance": _plain(self.tolerance or Decimal(0)) if number else None,
            "unit": {"zh": self.number_unit_zh.strip(), "en": self.number_unit_en.strip()}
            if number
            else {"zh": "", "en": ""},
        }

    @property
    def approved_schedule(self):
        """Is a publication set for later? A list brings the answer along, so that it does not ask for each row."""
        return self._approved_schedule if hasattr(self, "_approved_schedule") else super().approved_schedule

    @property
    def preview_modes(self):
        return settings.LANGUAGES

    def get_preview_template(self, request, mode_name):
        return "assessments/question_preview.html"

    def get_preview_context(self, request, mode_name):
        content = self.content()
        for place, option in enumerate(content["options"]):
            option |= {"id": f"left-{place}", "match_id": f"right-{place}"}
        order = [option["id"] for option in content["options"]]
        if self.kind == self.Kind.MATCHING:
            order += [option["match_id"] for option in content["options"]]
        return {
            **super().get_preview_context(request, mode_name),
            "question": shapes.shown_question(content, order=order, answer=None, language=mode_name),
            "position": 1,
            "right_answer": shapes.right_answer(content, mode_name),
            "feedback": shapes.in_language(content["feedback"], mode_name),
        }

    def serve_preview(self, request, mode_name):
        """The question as a learner sees it, in the language of the mode, with the right answer below."""
        with translation.override(mode_name or settings.LANGUAGE_CODE):
            return super().serve_preview(request, mode_name or settings.LANGUAGE_CODE).render()


def _plain(number: Decimal | None) -> str | None:
    """A decimal as plain text, the same for 5, 5.0 and 5.000000."""
    if number is None:
        return None
    text = format(Decimal(number), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


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

    def content(self, kind: str, place: int) -> dict:
        """The option in the shape of a version, with only what the kind uses."""
        texts = {"zh": self.text_zh.strip(), "en": self.text_en.strip()}
        if kind == Question.Kind.TRUE_FALSE and not texts["zh"] and not texts["en"]:
            texts = dict(shapes.FALSE_WORDS if place else shapes.TRUE_WORDS)
        choice, matching = kind in shapes.CHOICES, kind == Question.Kind.MATCHING
        return {
            **texts,
            "correct": self.is_correct if choice else True,
            "match_zh": self.match_zh.strip() if matching else "",
            "match_en": self.match_en.strip() if matching else "",
            "feedback_zh": self.feedback_zh.strip() if choice else "",
            "feedback_en": self.feedback_en.strip() if choice else "",
        }


class QuestionVersion(models.Model):
    """A question as it was published: what attempts are drawn from and marked by. Never edited.

    ``content`` is described in assessments.shapes; its option ids are random and stable within the version.
    ``content_hash`` is over the content without ids: publishing the same words again makes no new version.
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


class QuestionImport(models.Model):
    """One uploaded workbook of questions: kept between its check and its application, applied at most once."""

    class State(models.TextChoices):
        CHECKED = "checked", _("checked")
        APPLIED = "applied", _("applied")

    file = models.FileField(upload_to="questions/", storage=private_storage)
    file_name = models.CharField(max_length=255)
    state = models.CharField(max_length=10, choices=State.choices, default=State.CHECKED)
    counts = models.JSONField(default=dict)  # new, changed, unchanged, refused
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    uploaded_at = models.DateTimeField()
    applied_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-uploaded_at", "-pk"]

    def __str__(self):
        return f"{self.file_name} ({self.state})"
