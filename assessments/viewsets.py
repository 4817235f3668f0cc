"""The question bank in the content admin."""

from __future__ import annotations

import django_filters
from django import forms
from django.contrib.contenttypes.models import ContentType
from django.db.models import (
    CharField,
    Count,
    Exists,
    F,
    Func,
    IntegerField,
    OuterRef,
    Prefetch,
    QuerySet,
    Subquery,
)
from django.db.models.functions import Cast, Coalesce
from django.urls import path, reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from taggit.models import Tag
from wagtail.admin.filters import WagtailFilterSet
from wagtail.admin.forms.choosers import BaseFilterForm
from wagtail.admin.panels import ObjectList
from wagtail.admin.ui.tables import Column, LiveStatusTagColumn, NumberColumn
from wagtail.admin.widgets.button import HeaderButton
from wagtail.models import Revision, WorkflowState
from wagtail.snippets.views import snippets as views
from wagtail.snippets.views.chooser import ChooseResultsView, ChooseView, SnippetChooserViewSet
from wagtail.snippets.views.snippets import SnippetViewSet, SnippetViewSetGroup

from assessments.domain.bank import search_questions
from assessments.forms import CategoryForm, QuestionForm, QuizForm
from assessments.import_views import ImportPreviewView, ImportUploadView, template_download
from assessments.models import Question, QuestionCategory, Quiz, Response

ASKED_COUNTED_TO = 1000


class CountOf(Func):
    """How many rows a subquery has; the subquery is cut off where counting stops to matter."""

    template = "(SELECT COUNT(*) FROM %(expressions)s counted)"
    output_field = IntegerField()


class LinkColumn(Column):
    """A column whose words lead somewhere; ``address`` takes the object."""

    def __init__(self, name, *, address, **kwargs):
        super().__init__(name, **kwargs)
        self.address = address

    def get_value(self, instance):
        return format_html('<a href="{}">{}</a>', self.address(instance), super().get_value(instance))


def analysis_of(quiz: Quiz) -> str:
    return reverse("assessments:analysis", args=[quiz.pk])


def quizzes_asking(question: Question) -> str:
    return f"{reverse('assessments:quizzes')}?question={question.pk}"


class WithAnalysis:
    """The page of a question or quiz leads to what is known of how well it measures."""

    @cached_property
    def header_buttons(self):
        address = analysis_of(self.object) if isinstance(self.object, Quiz) else quizzes_asking(self.object)
        return [*super().header_buttons, HeaderButton(_("Item analysis"), url=address, icon_name="view")]


class QuestionEditView(WithAnalysis, views.EditView):
    """A question leads to the quizzes that ask it, each with its analysis."""


class QuizEditView(WithAnalysis, views.EditView):
    """A quiz leads to its analysis."""


class QuestionFilters(WagtailFilterSet):
    tag = django_filters.ModelChoiceFilter(
        label=_("tag"),
        queryset=Tag.objects.filter(assessments_questiontag_items__isnull=False).distinct().order_by("name"),
        field_name="tagged_items__tag",
    )

    class Meta:
        model = Question
        fields = ["category", "kind", "difficulty", "live"]


class QuestionIndexView(views.IndexView):
    is_searchable = True

    def search_queryset(self, queryset):
        return search_questions(queryset, self.search_query) if self.is_searching else queryset

    @cached_property
    def header_buttons(self):
        buttons = super().header_buttons
        if self.user_has_permission("add") and self.user_has_permission("change"):
            url = reverse(QUESTIONS.get_url_name("import"))
            buttons = [*buttons, HeaderButton(_("Import from a file"), url=url, icon_name="upload")]
        return buttons


class QuestionFilterForm(BaseFilterForm):
    """The search of the chooser: Wagtail's own index does not find Chinese words."""

    q = forms.CharField(label=_("Search"), required=False)
    category = forms.ModelChoiceField(
        label=_("category"), queryset=QuestionCategory.objects.all(), required=False, empty_label=_("All categories")
    )

    def filter(self, objects):
        objects = super().filter(objects)
        if self.cleaned_data.get("category"):
            objects = objects.filter(category=self.cleaned_data["category"])
        if self.cleaned_data.get("q"):
            self.is_searching, self.search_query = True, self.cleaned_data["q"]
            objects = search_questions(objects, self.search_query)
        return objects


class QuestionChooseView(ChooseView):
    filter_form_class = QuestionFilterForm


class QuestionChooseResultsView(ChooseResultsView):
    filter_form_class = QuestionFilterForm


class QuestionChooserViewSet(SnippetChooserViewSet):
    choose_view_class = QuestionChooseView
    choose_results_view_class = QuestionChooseResultsView


class QuestionViewSet(SnippetViewSet):
    model = Question
    icon = "help"
    menu_label = _("Questions")
    edit_handler = ObjectList(Question.panels, base_form_class=QuestionForm)
    index_view_class = QuestionIndexView
    edit_view_class = QuestionEditView
    chooser_viewset_class = QuestionChooserViewSet
    search_fields = ["key", "text_zh", "text_en"]
    filterset_class = QuestionFilters
    list_per_page = 50
    ordering = ["key"]
    list_display = [
        "__str__",
        Column("category", label=_("Category"), sort_key="category__slug"),
        Column("kind", label=_("Question kind"), accessor="get_kind_display", sort_key="kind"),
        Column("difficulty", label=_("Difficulty"), accessor="get_difficulty_display", sort_key="difficulty"),
        LinkColumn("in_quizzes", label=_("Quizzes"), accessor="in_quizzes", address=quizzes_asking),
        Column("asked", label=_("Times asked"), accessor=lambda question: asked_words(question.asked)),
        LiveStatusTagColumn(),
    ]

    def get_queryset(self, request):
        return with_usage(with_status(Question.objects.select_related("category")))

    def get_urlpatterns(self):
        return [
            *super().get_urlpatterns(),
            path("import/", ImportUploadView.as_view(), name="import"),
            path("import/template/", template_download, name="import_template"),
            path("import/<int:pk>/", ImportPreviewView.as_view(), name="import_preview"),
        ]


def with_status(questions: QuerySet[Question]) -> QuerySet[Question]:
    """Each question with what its status is told from; Wagtail's list would ask twice for each row."""
    revisions = Revision.objects.filter(
        content_type=ContentType.objects.get_for_model(Question),
        object_id=Cast(OuterRef("pk"), CharField()),
        approved_go_live_at__isnull=False,
    )
    states = WorkflowState.objects.active().select_related("current_task_state__task")
    return questions.annotate(_approved_schedule=Exists(revisions)).prefetch_related(
        Prefetch("_workflow_states", queryset=states, to_attr="_current_workflow_states")
    )


def with_usage(questions: QuerySet[Question]) -> QuerySet[Question]:
    """Each question with the quizzes that name it or may draw it, and how often it was asked (counted to a thousand)."""
    asked = Response.objects.filter(question_version__question=OuterRef("pk")).order_by().values("pk")
    named = Quiz.objects.filter(draws__question=OuterRef("pk"))
    drawn = Quiz.objects.filter(draws__category=OuterRef("category"))
    by_hand = named.order_by().values("draws__question").annotate(found=Count("pk", distinct=True)).values("found")
    by_chance = drawn.order_by().values("draws__category").annotate(found=Count("pk", distinct=True)).values("found")
    return questions.annotate(
        asked=CountOf(Subquery(asked[: ASKED_COUNTED_TO + 1])),
        by_hand=Coalesce(Subquery(by_hand), 0),
        by_chance=Coalesce(Subquery(by_chance), 0),
    ).annotate(in_quizzes=F("by_hand") + F("by_chance"))


def asked_words(count: int) -> str:
    return f"{ASKED_COUNTED_TO}+" if count > ASKED_COUNTED_TO else str(count)


class QuestionCategoryViewSet(SnippetViewSet):
    model = QuestionCategory
    icon = "folder-open-inverse"
    menu_label = _("Categories")
    edit_handler = ObjectList(QuestionCategory.panels, base_form_class=CategoryForm)
    list_display = [
        "__str__",
        "slug",
        Column("review_step", label=_("lesson to read again"), accessor="review_step"),
        NumberColumn("published", label=_("Published questions"), accessor="published"),
    ]
    search_fields = ["name", "name_en", "slug"]

    def get_queryset(self, request):
        published = Question.objects.filter(category=OuterRef("pk"), live=True).order_by().values("category")
        count = Subquery(published.annotate(found=Count("pk")).values("found"))
        return QuestionCategory.objects.select_related("review_step").annotate(published=Coalesce(count, 0))


class QuizViewSet(SnippetViewSet):
    model = Quiz
    icon = "list-ul"
    menu_label = _("Quizzes")
    edit_handler = ObjectList(Quiz.panels, base_form_class=QuizForm)
    edit_view_class = QuizEditView
    list_display = [
        "name",
        "pass_mark",
        "attempts_allowed",
        "time_limit",
        LinkColumn(
            "analysis", label=_("Item analysis"), accessor=lambda quiz: _("Open the analysis"), address=analysis_of
        ),
    ]
    search_fields = ["name"]


QUESTIONS = QuestionViewSet()


class QuestionBankGroup(SnippetViewSetGroup):
    items = (QUESTIONS, QuestionCategoryViewSet(), QuizViewSet())
    menu_icon = "help"
    menu_label = _("Question bank")
    menu_name = "question-bank"
    menu_order = 250
