"""Forms: what authors type in the content admin, and what learners send from a question."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext as _
from wagtail.admin.forms.models import WagtailAdminModelForm

from assessments import shapes
from assessments.domain.bank import QuestionFaulty, draw_problem, validate_question
from assessments.models import AnswerOption, Question
from courses.models import LessonPage, Step


# --- from a learner -----------------------------------------------------------------------------------------------------
def answer_from(post, position: int, kind: str):
    """The answer to one question of an attempt from posted fields, in the shape of its kind, unchecked.

    Fields are named q<position>. An order counts as answered only when the person set it (q<position>.set), because
    there is always some order on the screen.
    """
    name = f"q{position}"
    if kind == shapes.MULTIPLE:
        return post.getlist(name)
    if kind == shapes.ORDERING:
        return post.getlist(name) if post.get(f"{name}.set") else None
    if kind == shapes.MATCHING:
        return {key[len(name) + 1 :]: post[key] for key in post if key.startswith(f"{name}.")}
    return post.get(name)


def moved(order: list[str], move: str) -> list[str]:
    """The order after one press of "up", "down" or "keep": ``up:id``. What does not fit leaves it as it is."""
    direction, _colon, id = move.partition(":")
    order = list(order)
    if id in order and direction in {"up", "down"}:
        here = order.index(id)
        there = here - 1 if direction == "up" else here + 1
        if 0 <= there < len(order):
            order[here], order[there] = order[there], order[here]
    return order


# --- from an author -----------------------------------------------------------------------------------------------------
class QuestionForm(WagtailAdminModelForm):
    """A draft may be unfinished; to be published or sent for approval it must be a question that can be asked."""

    def clean(self):
        super().clean()
        options = self.formsets["options"]
        if self.is_deferred_validation or self.errors or not options.is_valid():
            return self.cleaned_data
        fields = {field.name for field in Question._meta.concrete_fields}
        question = Question(**{name: value for name, value in self.cleaned_data.items() if name in fields})
        rows = [form for form in options.forms if form.has_changed() or form.instance.pk]
        rows = [form for form in rows if not form.cleaned_data.get("DELETE")]
        rows.sort(key=lambda form: form.cleaned_data.get("ORDER") or 0)
        texts = [field.name for field in AnswerOption._meta.concrete_fields if field.name not in {"id", "question"}]
        question.options = [
            AnswerOption(
                **{name: form.cleaned_data[name] for name in texts if name in form.cleaned_data}, sort_order=place
            )
            for place, form in enumerate(rows)
        ]
        try:
            validate_question(content=question.content())
        except QuestionFaulty as problem:
            for fault in problem.faults:
                self._place(fault, rows, options)
        return self.cleaned_data

    def _place(self, fault, rows, options):
        """Put a fault where the author can mend it."""
        if fault.option is not None and fault.field in rows[fault.option].fields:
            rows[fault.option].add_error(fault.field, fault.message)
            self.add_error(
                None, _("Answer %(number)d: %(problem)s") % {"number": fault.option + 1, "problem": fault.message}
            )
        elif fault.field in self.fields:
            self.add_error(fault.field, fault.message)
        else:
            options.non_form_errors().append(fault.message)
            self.add_error(None, fault.message)


class QuizForm(WagtailAdminModelForm):
    """A quiz is saved only when the bank holds what it draws."""

    def clean(self):
        super().clean()
        draws = self.formsets["draws"]
        if not draws.is_valid():
            return self.cleaned_data
        taken = set()
        for form in draws.forms:
            values = form.cleaned_data
            if not values or values.get("DELETE"):
                continue
            question, category = values.get("question"), values.get("category")
            if question and category:
                self._refuse(form, "category", _("Choose either a question or a category, not both."))
                continue
            if question and values.get("count") != 1:
                self._refuse(form, "count", _("A fixed question is asked once: write 1."))
            if question and question.pk in taken:
                self._refuse(form, "question", _("This question stands here twice."))
            taken.add(question.pk if question else None)
            problem = draw_problem(
                question=question,
                category=category,
                difficulty=values.get("difficulty") or "",
                tag=values.get("tag") or "",
                count=values.get("count") or 1,
            )
            if problem:
                self._refuse(form, "question" if question or not category else "count", problem)
        return self.cleaned_data

    def _refuse(self, form, field, message):
        form.add_error(field, message)
        self.add_error(None, message)


class CategoryForm(WagtailAdminModelForm):
    """Lessons are chosen by course and title."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if "review_step" in self.fields:
            self.fields["review_step"] = LessonChoiceField(
                queryset=Step.objects.filter(live=True, kind=LessonPage._meta.label_lower)
                .select_related("course")
                .order_by("course__code", "position"),
                required=False,
                label=self.fields["review_step"].label,
                help_text=self.fields["review_step"].help_text,
            )


class LessonChoiceField(forms.ModelChoiceField):
    def label_from_instance(self, step):
        return f"{step.course.code} {step.course.title} – {step.title}"


class QuestionFileForm(forms.Form):
    file = forms.FileField(label="")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["file"].label = _("File with questions")
        self.fields["file"].help_text = _("An Excel workbook (.xlsx) or CSV, made from the template; at most 5 MB.")
        self.fields["file"].widget.attrs["accept"] = ".xlsx,.csv"
