"""The year plan of a programme: a grid of months and themes that HR fills, moves, copies and publishes (PM-M01)."""

from __future__ import annotations

from copy import copy

from django.contrib import messages
from django.core import signing
from django.db.models import Count, Q
from django.http import Http404, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.periods import Month
from courses.domain import planning
from courses.domain.access import own_audiences, own_plan_lines, own_programmes
from courses.forms import PlanCourseForm, ProgrammeForm
from courses.models import Course, PlanLine, Programme
from courses.tasks import DAYS_AHEAD
from courses.views.months import _tabs, month_or_404, this_month
from people.domain.access import actor_of, binds, require

FIRST_YEAR, LAST_YEAR = 2000, 2100
UNDO = signing.TimestampSigner(salt="courses.plan.undo")
UNDO_SECONDS = 3600


# --- programmes -----------------------------------------------------------------------------------------------------
@binds("PM-M01")
@require_safe
def programmes(request):
    """The programmes, each with how far this year is planned."""
    actor = actor_of(request)
    require(actor, "PM-M01")
    year = this_month().year
    months = planning.months_of(year)
    rows = own_programmes(actor).annotate(
        months_planned=Count("plan__month", filter=Q(plan__month__in=months), distinct=True),
        drafts=Count("plan", filter=Q(plan__month__in=months, plan__published_at=None, plan__opened_at=None)),
    )
    context = {"programmes": rows, "year": year, "tabs": _tabs("programmes")}
    return render(request, "courses/programmes.html", context)


@binds("PM-M01")
@require_http_methods(["GET", "HEAD", "POST"])
def programme(request, programme_id: int | None = None):
    """A programme: its name and its audience."""
    actor = actor_of(request)
    require(actor, "PM-M01")
    found = get_object_or_404(own_programmes(actor), pk=programme_id) if programme_id else None
    # The form writes what is typed into its instance, so that is a copy.
    form = ProgrammeForm(request.POST or None, instance=copy(found), audiences=own_audiences(actor))
    seen = request.POST.get("seen") or (planning.marker(found) if found else None)
    if request.method == "POST" and form.is_valid():
        try:
            saved = planning.save_programme(
                programme=found, **form.cleaned_data, by=request.user, at=timezone.now(), seen=seen
            )
        except planning.ProgrammeChanged:
            found = get_object_or_404(own_programmes(actor), pk=programme_id)
            seen = planning.marker(found)
            form.add_error(None, _changed_words(found))
        else:
            messages.success(request, _("“%(name)s” is saved.") % {"name": saved.label})
            return HttpResponseRedirect(_address(saved.pk, this_month().year))
    context = {
        "form": form,
        "programme": found,
        "seen": seen,
        "year": this_month().year,
        "has_audiences": form.fields["audience"].queryset.exists(),
    }
    return render(request, "courses/programme.html", context, status=422 if form.errors else 200)


def _changed_words(programme: Programme) -> str:
    """What a programme says by now, for whoever was about to write over it."""
    words = _(
        "Somebody changed this programme meanwhile: it is now called “%(name)s”, is for “%(audience)s” and is %(active)s. "
        "What you typed is still here; save again to put it in the place of that."
    )
    return words % {
        "name": programme.label,
        "audience": programme.audience.label,
        "active": pgettext("programme", "active") if programme.active else _("not active"),
    }


# --- the grid -------------------------------------------------------------------------------------------------------
def _address(programme_id: int, year: int, mark: str = "") -> str:
    return reverse("courses:programme_plan", args=[programme_id, year]) + (f"#{mark}" if mark else "")


def _year_or_404(year: int) -> int:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise Http404
    return year


@binds("PM-M01")
@require_safe
def plan(request):
    """The way in: the plan of the chosen programme and year, else of the first active one and the present year."""
    actor = actor_of(request)
    require(actor, "PM-M01")
    found = own_programmes(actor).order_by("-active", "name", "pk")
    chosen = request.GET.get("programme", "")
    one = get_object_or_404(found, pk=int(chosen)) if chosen.isdecimal() and len(chosen) < 19 else found.first()
    if one is None:
        return HttpResponseRedirect(reverse("courses:programmes"))
    year = request.GET.get("year", "")
    wanted = _year_or_404(int(year)) if year.isdecimal() and len(year) == 4 else this_month().year
    return HttpResponseRedirect(_address(one.pk, wanted))


@binds("PM-M01")
@require_http_methods(["GET", "HEAD", "POST"])
def programme_plan(request, programme_id: int, year: int):
    """A programme's year: twelve months by themes. A POST puts a course into a month."""
    actor, at = actor_of(request), timezone.now()
    require(actor, "PM-M01")
    found = get_object_or_404(own_programmes(actor), pk=programme_id)
    _year_or_404(year)
    form = None
    if request.method == "POST" or "add" in request.GET:
        form = _form(request, year)
    if request.method == "POST" and form.is_valid():
        course, month = form.cleaned_data["course"], form.cleaned_data["month"]
        try:
            line = planning.plan_course(programme=found, course=course, month=month, by=request.user, at=at)
        except planning.AlreadyPlanned:
            form.add_error("course", _("This course is already planned for this month."))
        except planning.MonthPassed:
            form.add_error("month", _("This month has passed."))
        else:
            _tell(
                request, _("“%(course)s” is a draft for %(month)s.") % _words(line), {"do": "remove", "line": line.pk}
            )
            return HttpResponseRedirect(_address(found.pk, year, f"line-{line.pk}"))
    context = {**_context(actor, found, year, at), "form": form}
    return render(request, "courses/plan.html", context, status=422 if form and form.errors else 200)


def _form(request, year: int) -> PlanCourseForm:
    months = [month for month in planning.months_of(year) if month >= this_month()]
    initial = {"month": request.GET.get("add", "")}
    theme = request.GET.get("theme", "")
    first = planning.learnable_courses().filter(theme=theme).order_by("code").first() if theme else None
    if first:
        initial["course"] = first.pk
    return PlanCourseForm(
        request.POST or None, initial=initial, months=months, courses=planning.learnable_courses().order_by("code")
    )


def _context(actor, found: Programme, year: int, at) -> dict:
    current = this_month()
    return {
        "programme": found,
        "programmes": list(own_programmes(actor).order_by("-active", "name", "pk")),
        "plan": planning.year_plan(programme=found, year=year, at=at),
        "open_months": [month for month in planning.months_of(year) if month >= current],
        "this_month": current,
        "themes": Course.Theme.choices,
        "previous_url": _address(found.pk, year - 1) if year > FIRST_YEAR else "",
        "next_url": _address(found.pk, year + 1) if year < LAST_YEAR else "",
        "days_ahead": DAYS_AHEAD,
        "tabs": _tabs("plan"),
    }


# --- changes --------------------------------------------------------------------------------------------------------
def _words(line: PlanLine) -> dict:
    return {"course": line.course.title, "month": line.month.label}


def _tell(request, text: str, undo: dict | None = None) -> None:
    """Say what happened; with what would take it back, sealed, so that nobody can make up another one."""
    tags = ""
    if undo:
        tags = "undo:" + reverse("courses:undo_plan", args=[UNDO.sign_object(undo, compress=True)])
    messages.success(request, text, extra_tags=tags)


def _answer(request, actor, found: Programme, year: int, at, mark: str = ""):
    """The plan anew: as a part of the page for a script, else as a page of its own."""
    if request.headers.get("HX-Request"):
        return render(request, "courses/_plan.html", {**_context(actor, found, year, at), "fragment": True})
    return HttpResponseRedirect(_address(found.pk, year, mark))


def _line(request, line_id: int):
    actor = actor_of(request)
    require(actor, "PM-M01")
    return actor, get_object_or_404(own_plan_lines(actor).select_related("programme__audience__scope"), pk=line_id)


def _refused(request, refusal: Exception) -> None:
    texts = {
        planning.MonthPassed: _("This month has passed."),
        planning.AlreadyPlanned: _("This course is already planned for this month."),
        planning.LineOpened: _("This course has been opened, so it stays in the plan."),
        planning.LinePrepared: _("People are enrolled ahead for it by now. Move it or take it out instead."),
        planning.LineGone: _("Somebody changed the plan a moment ago. This is how it stands now."),
    }
    messages.error(request, texts[type(refusal)])


_REFUSALS = (
    planning.MonthPassed,
    planning.AlreadyPlanned,
    planning.LineOpened,
    planning.LinePrepared,
    planning.LineGone,
)


@binds("PM-M01")
@require_POST
def move_plan_line(request, line_id: int):
    """Move a course to another month."""
    actor, line = _line(request, line_id)
    at, before = timezone.now(), line.month
    wanted = month_or_404(request.POST.get("month", ""))
    try:
        moved = planning.move_course(line=line, month=wanted, by=request.user, at=at)
    except _REFUSALS as refusal:
        _refused(request, refusal)
    else:
        if moved.month != before:
            undo = {"do": "move", "line": line.pk, "month": str(before)}
            _tell(request, _("“%(course)s” is now in %(month)s.") % _words(moved), undo)
    return _answer(request, actor, line.programme, before.year, at, f"line-{line.pk}")


@binds("PM-M01")
@require_POST
def remove_plan_line(request, line_id: int):
    """Take a course out of the plan again, as long as it has not been opened."""
    actor, line = _line(request, line_id)
    at = timezone.now()
    undo = {
        "do": "plan",
        "programme": line.programme_id,
        "course": line.course_id,
        "month": str(line.month),
        "published": line.published_at is not None,
    }
    try:
        planning.remove_course(line=line, by=request.user, at=at)
    except _REFUSALS as refusal:
        _refused(request, refusal)
    else:
        _tell(request, _("“%(course)s” is no longer planned for %(month)s.") % _words(line), undo)
    return _answer(request, actor, line.programme, line.month.year, at, f"m-{line.month}")


@binds("PM-M01")
@require_POST
def unpublish_plan_line(request, line_id: int):
    """Make a published course a draft again, as long as nobody is enrolled ahead for it."""
    actor, line = _line(request, line_id)
    at = timezone.now()
    try:
        planning.unpublish_lines(programme=line.programme, lines=[line.pk], by=request.user, at=at)
    except _REFUSALS as refusal:
        _refused(request, refusal)
    else:
        _tell(request, _("“%(course)s” is a draft for %(month)s.") % _words(line))
    return _answer(request, actor, line.programme, line.month.year, at, f"line-{line.pk}")


@binds("PM-M01")
@require_POST
def copy_plan(request, programme_id: int, year: int):
    """Copy the plan of the year before, month by month, as drafts."""
    actor, at = actor_of(request), timezone.now()
    require(actor, "PM-M01")
    found = get_object_or_404(own_programmes(actor), pk=programme_id)
    try:
        report = planning.copy_year(programme=found, year=_year_or_404(year), by=request.user, at=at)
    except planning.NothingToCopy:
        messages.info(request, _("The year %(year)d has no plan to copy.") % {"year": year - 1})
        return _answer(request, actor, found, year, at)
    made = len(report.made)
    if not made:
        messages.info(request, _("Everything that can be copied is planned already."))
        return _answer(request, actor, found, year, at)
    text = ngettext("%(n)d course was copied as a draft.", "%(n)d courses were copied as drafts.", made) % {"n": made}
    left_out = []
    if report.there:
        left_out.append(ngettext("%(n)d was there", "%(n)d were there", report.there) % {"n": report.there})
    if report.passed:
        passed = ngettext(
            "%(n)d belongs to a month that has passed", "%(n)d belong to months that have passed", report.passed
        )
        left_out.append(passed % {"n": report.passed})
    if left_out:
        text = _("%(made)s Left out: %(reasons)s.") % {"made": text, "reasons": _(", ").join(left_out)}
    _tell(
        request, text, {"do": "drafts", "programme": found.pk, "year": year, "lines": [line.pk for line in report.made]}
    )
    return _answer(request, actor, found, year, at)


@binds("PM-M01")
@require_POST
def publish_plan(request, programme_id: int, year: int):
    """Publish the drafts of the year."""
    actor, at = actor_of(request), timezone.now()
    require(actor, "PM-M01")
    found = get_object_or_404(own_programmes(actor), pk=programme_id)
    lines = planning.publish_year(programme=found, year=_year_or_404(year), by=request.user, at=at)
    if not lines:
        messages.info(request, _("Nothing is left to publish."))
        return _answer(request, actor, found, year, at)
    text = ngettext("%(n)d course is published.", "%(n)d courses are published.", len(lines)) % {"n": len(lines)}
    undo = {"do": "unpublish", "programme": found.pk, "year": year, "lines": [line.pk for line in lines]}
    _tell(request, text, undo)
    return _answer(request, actor, found, year, at)


@binds("PM-M01")
@require_POST
def undo_plan(request, what: str):
    """Take the last change back: the address holds what that means, sealed when the change was made."""
    actor, at = actor_of(request), timezone.now()
    require(actor, "PM-M01")
    try:
        undo = UNDO.unsign_object(what, max_age=UNDO_SECONDS)
    except signing.BadSignature as error:  # too old as well
        raise Http404 from error
    line = None
    if "line" in undo:
        line = own_plan_lines(actor).filter(pk=undo["line"]).select_related("programme__audience__scope").first()
        if line is None:
            raise Http404
        found, year = line.programme, line.month.year
    else:
        found = get_object_or_404(own_programmes(actor), pk=undo["programme"])
        year = undo["year"] if "year" in undo else Month.parse(undo["month"]).year
    try:
        mark = _take_back(undo, found, line, by=request.user, at=at)
    except _REFUSALS as refusal:
        _refused(request, refusal)
        mark = ""
    else:
        messages.info(request, _("Taken back."))
    return _answer(request, actor, found, year, at, mark)


def _take_back(undo: dict, found: Programme, line: PlanLine | None, *, by, at) -> str:
    """Do it, and return the mark of the page to go to."""
    if undo["do"] == "move":
        return f"line-{planning.move_course(line=line, month=Month.parse(undo['month']), by=by, at=at).pk}"
    if undo["do"] == "remove":
        planning.remove_course(line=line, by=by, at=at)
        return f"m-{line.month}"
    if undo["do"] == "plan":
        course = get_object_or_404(Course, pk=undo["course"])
        values = {"month": Month.parse(undo["month"]), "published": undo["published"]}
        return f"line-{planning.plan_course(programme=found, course=course, by=by, at=at, **values).pk}"
    if undo["do"] == "drafts":
        planning.remove_drafts(programme=found, lines=undo["lines"], by=by, at=at)
    else:
        planning.unpublish_lines(programme=found, lines=undo["lines"], by=by, at=at)
    return ""
