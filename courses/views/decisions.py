"""What HR and managers decide about one duty of one person, reached from the person's record."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django import forms
from django.contrib import messages
from django.http import HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from django.views import View
from django.views.decorators.http import require_http_methods

from courses.decision_forms import CodedForm, DecisionForm, ExtendForm, PastForm
from courses.domain import exceptions
from courses.domain.access import enrolment_or_404
from courses.models import CourseRun, Enrolment
from people.domain.access import actor_of


@dataclass(frozen=True)
class Words:
    """How a decision is worded: the title, what it means, the button, and what is said afterwards."""

    title: str
    lead: str
    action: str
    done: str


@method_decorator(require_http_methods(["GET", "HEAD", "POST"]), name="dispatch")
class Decision(View):
    """A form with a reason; deciding is one call of courses.domain.exceptions."""

    permission_rows: tuple[str, ...] = ()
    words: Words
    kind = ""
    # A closed run stands still but for corrections: they show as adjustments of its month.
    run_states: tuple[str, ...] = (CourseRun.State.OPEN, CourseRun.State.CLOSED)

    def dispatch(self, request, *args, enrolment_id: int, **kwargs):
        self.enrolment = enrolment_or_404(actor_of(request), self.permission_rows[0], enrolment_id)
        self.at = timezone.now()
        return super().dispatch(request, *args, **kwargs)

    def make_form(self, data=None) -> forms.Form:
        return DecisionForm(data)

    def decide(self, **values) -> Enrolment:
        raise NotImplementedError

    def is_possible(self) -> bool:
        return self.enrolment.state in {Enrolment.State.ASSIGNED, Enrolment.State.IN_PROGRESS}

    def get(self, request):
        return self._page(self.make_form())

    def post(self, request):
        form = self.make_form(request.POST)
        if not form.is_valid():
            return self._page(form, status=422)
        try:
            self.decide(enrolment=self.enrolment, by=request.user, at=self.at, **form.cleaned_data)
        except exceptions.NotPossibleNow:
            messages.error(request, _("This is no longer possible: the duty has changed meanwhile, or is closed."))
        except exceptions.ReasonMissing:
            form.add_error("reason", _("Please say why."))
            return self._page(form, status=422)
        except exceptions.DueRefused:
            form.add_error("until", _("Choose a day after the present due day and before the last acceptance."))
            return self._page(form, status=422)
        except exceptions.DayRefused:
            form.add_error("on", _("This day has not come yet."))
            return self._page(form, status=422)
        else:
            values = {"name": self.enrolment.employee.label, "course": self.enrolment.run.course.title}
            messages.success(request, self.words.done % values)
        return HttpResponseRedirect(self._record_url())

    def _record_url(self) -> str:
        return reverse("portal:person", args=[self.enrolment.employee_id])

    def _page(self, form, status: int = 200):
        context = {
            "form": form,
            "enrolment": self.enrolment,
            "employee": self.enrolment.employee,
            "course": self.enrolment.run.course,
            "words": self.words,
            "kind": self.kind,
            "possible": self.is_possible() and self.enrolment.run.state in self.run_states,
            "is_correction": self.enrolment.run.state == CourseRun.State.CLOSED,
            "record_url": self._record_url(),
            "at": self.at,
        }
        return render(self.request, "courses/decision.html", context, status=status)


class Exempt(Decision):
    permission_rows = ("PM-T03",)
    kind = "exempt"
    words = Words(
        gettext_lazy("Exempt from this course"),
        gettext_lazy("The duty leaves the denominator and is shown beside it as exempt. It can be reinstated."),
        gettext_lazy("Exempt"),
        gettext_lazy("%(name)s is exempt from “%(course)s”."),
    )

    def make_form(self, data=None):
        return CodedForm(data)

    def is_possible(self):
        return super().is_possible() and not self.enrolment.voluntary

    def decide(self, **values):
        return exceptions.exempt_enrolment(**values)


class Withdraw(Decision):
    permission_rows = ("PM-T03",)
    kind = "withdraw"
    words = Words(
        gettext_lazy("Withdraw this duty"),
        gettext_lazy("For a duty that should not have been set. It can be reinstated."),
        gettext_lazy("Withdraw"),
        gettext_lazy("“%(course)s” is withdrawn for %(name)s."),
    )

    def make_form(self, data=None):
        return CodedForm(data)

    def decide(self, **values):
        return exceptions.withdraw_enrolment(**values)


class Reinstate(Decision):
    permission_rows = ("PM-T03",)
    kind = "reinstate"
    words = Words(
        gettext_lazy("Reinstate this duty"),
        gettext_lazy("The duty is owed again, as far as it was, and counts in the denominator."),
        gettext_lazy("Reinstate"),
        gettext_lazy("“%(course)s” is owed by %(name)s again."),
    )

    def is_possible(self):
        return self.enrolment.state in {Enrolment.State.EXEMPT, Enrolment.State.WITHDRAWN}

    def decide(self, **values):
        return exceptions.reinstate_enrolment(**values)


class Extend(Decision):
    permission_rows = ("PM-T04",)
    kind = "extend"
    run_states = (CourseRun.State.OPEN,)
    words = Words(
        gettext_lazy("Extend the due day"),
        gettext_lazy("Work done by the end of the new day counts as in time."),
        gettext_lazy("Extend"),
        gettext_lazy("The due day of “%(course)s” is extended for %(name)s."),
    )

    def is_possible(self):
        return super().is_possible() and not self.enrolment.voluntary

    def make_form(self, data=None):
        return ExtendForm(
            data,
            earliest=timezone.localdate(self.enrolment.due_at) + dt.timedelta(days=1),
            latest=timezone.localdate(self.enrolment.run.accept_until),
        )

    def decide(self, **values):
        return exceptions.extend_due(**values)


class RecordCompletion(Decision):
    permission_rows = ("PM-T07",)
    kind = "record"
    words = Words(
        gettext_lazy("Record past training"),
        gettext_lazy(
            "For training that was done elsewhere. The open steps are recorded as done by HR; no certificate."
        ),
        pgettext_lazy("decision", "Record"),
        gettext_lazy("“%(course)s” is recorded as done by %(name)s."),
    )

    def make_form(self, data=None):
        return PastForm(data, today=timezone.localdate(self.at))

    def decide(self, **values):
        return exceptions.record_past_completion(**values)
