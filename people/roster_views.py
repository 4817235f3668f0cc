"""The pages of the roster import: upload, differences, applying, undoing, and the files one can take away."""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib import messages
from django.core.paginator import InvalidPage, Paginator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.notices import notify
from core.spreadsheets import SheetOut, Unreadable, download, download_sheets
from people import imports
from people.domain import roster as domain
from people.domain.access import Actor, actor_of, binds, require, visible_employees
from people.domain.roster import Action, NextStep
from people.domain.roster_words import RosterProblem, label_of, words_of_fault, words_of_note, words_of_problem
from people.models import Employee, OrgUnit, Position, RosterChange, RosterImport
from people.roster_forms import ChangeFilter, UploadForm

State, Outcome = RosterImport.State, RosterChange.Outcome
PAGE, IMPORTS = 50, 15
SHOWN = ("name", "unit", "position", "manager", "hired_on", "left_on", "state", "email", "mobile", "language")


def _roster_or_404(actor: Actor, row: str, roster_id: int) -> RosterImport:
    require(actor, row)
    found = (
        domain.visible_rosters(actor, row)
        .select_related("scope", "uploaded_by", "confirmed_by", "applied_by", "undone_by", "job")
        .filter(pk=roster_id)
        .first()
    )
    if found is None:
        raise Http404
    return found


# --- the list and the upload ----------------------------------------------------------------------------------------


@binds("PM-I01", "PM-I05")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def rosters(request: HttpRequest) -> HttpResponse:
    """Earlier imports, and the form that begins a new one."""
    actor = actor_of(request)
    if request.method == "POST":
        return _upload(request, actor)
    require(actor, "PM-I05")
    return _list(request, actor, _upload_form(actor))


def _upload_form(actor: Actor, *data) -> UploadForm | None:
    units = actor.units("HRU")
    return UploadForm(*data, units=units, today=actor.on) if actor.may("PM-I01") and units else None


def _list(request: HttpRequest, actor: Actor, form: UploadForm | None, status: int = 200) -> HttpResponse:
    found = domain.visible_rosters(actor).select_related("scope", "uploaded_by").order_by("-uploaded_at", "-pk")
    page = Paginator(found, IMPORTS).get_page(request.GET.get("page"))
    return render(
        request, "people/roster/list.html", {"form": form, "page": page, "columns": _columns()}, status=status
    )


def _columns() -> list[dict]:
    """The columns a roster may have, for the words beside the upload."""
    return [{"heading": column.column_name, "required": column.required} for column in imports.FIELDS.values()]


def _upload(request: HttpRequest, actor: Actor) -> HttpResponse:
    require(actor, "PM-I01")
    form = _upload_form(actor, request.POST, request.FILES)
    if form is None:
        raise Http404
    if form.is_valid():
        values = form.cleaned_data
        file = values.pop("file")
        try:
            roster = domain.upload_roster(
                file=file.file, file_name=file.name, by=request.user, at=timezone.now(), **values
            )
        except domain.SameFileApplying:
            form.add_error("file", _("This very file is being applied at the moment. Wait for its end."))
        else:
            return redirect("people:roster_detail", roster.pk)
    return _list(request, actor, form, status=422)


# --- one import -----------------------------------------------------------------------------------------------------


@binds("PM-I05")
@never_cache
@require_safe
def roster_detail(request: HttpRequest, roster_id: int) -> HttpResponse:
    """Where an import stands, what it would change or has changed, and what can be done now."""
    actor = actor_of(request)
    return _detail(request, actor, _roster_or_404(actor, "PM-I05", roster_id))


def _detail(request: HttpRequest, actor: Actor, roster: RosterImport, refusal: str = "", status: int = 200):
    is_hr = domain.visible_rosters(actor, "PM-I02").filter(pk=roster.pk).exists()
    words = {
        "roster": roster,
        "refusal": refusal,
        "steps": _steps(roster),
        "notes": [words_of_note(note) for note in roster.notes],
        "problem": words_of_problem(roster.problem) if roster.problem else None,
        "own_job": roster.job if roster.job and roster.job.requested_by_id == request.user.pk else None,
        "busy": roster.state in {State.UPLOADED, State.APPLYING, State.UNDOING},
        "halted": bool(roster.job) and roster.job.state in {"stopped", "failed"},
        "may": {action.value: is_hr and domain.may(roster, action) for action in Action},
        "is_uploader": roster.uploaded_by_id == request.user.pk,
        "counts": _counts(roster),
        "to_do": sum(roster.counts.get(name, 0) for name in ("new", "changed", "moved", "left")),
        "blocked": roster.all_or_nothing and roster.counts.get("refused", 0) > 0,
        "faults": domain.may(roster, Action.FAULTS) and roster.counts.get("refused", 0) > 0,
    }
    if roster.state == State.AWAITING_SECOND:
        words["second_people"] = list(domain.second_people(roster, actor.on).select_related("employee")[:8])
    if roster.counts and roster.state not in {State.UPLOADED, State.UNREADABLE, State.DISCARDED}:
        words |= _changes(request, roster)
    return render(request, "people/roster/detail.html", words, status=status)


def _steps(roster: RosterImport) -> list[dict]:
    """The four plain steps, and where this import is on them."""
    at = {
        State.UPLOADED: 1,
        State.UNREADABLE: 1,
        State.CHECKED: 2,
        State.AWAITING_SECOND: 2,
        State.APPLYING: 3,
        State.APPLIED: 4,
        State.UNDOING: 3,
        State.UNDONE: 4,
        State.DISCARDED: 4,
    }[State(roster.state)]
    labels = [_("File"), pgettext("roster", "Check"), _("Differences"), pgettext("roster", "Done")]
    return [
        {"label": label, "state": "done" if place < at else "current" if place == at else "locked"}
        for place, label in enumerate(labels)
    ]


def _counts(roster: RosterImport) -> list[dict]:
    words = {
        "new": (pgettext("roster", "new"), _("come into the platform")),
        "changed": (_("changed"), _("get other data")),
        "moved": (_("moved"), _("get another unit, position or manager")),
        "left": (_("leaving"), _("leave or are suspended")),
        "unchanged": (_("unchanged"), _("are as the platform has them")),
        "refused": (_("refused"), _("rows need a hand first")),
    }
    return [
        {"outcome": name, "value": roster.counts.get(name, 0), "label": label, "note": note}
        for name, (label, note) in words.items()
    ]


def _changes(request: HttpRequest, roster: RosterImport) -> dict:
    """The page of differences that was asked for, in words."""
    counts = roster.counts
    tabs = [
        {"outcome": outcome.value, "label": label, "count": counts.get(outcome.value, 0)}
        for outcome, label in (
            (Outcome.REFUSED, _("Refused")),
            (Outcome.NEW, pgettext("roster", "New")),
            (Outcome.CHANGED, _("Changed")),
            (Outcome.MOVED, pgettext("roster", "Moved")),
            (Outcome.LEFT, _("Leaving")),
        )
    ]
    form = ChangeFilter(request.GET)
    asked = request.GET.get("outcome")
    first = next((tab["outcome"] for tab in tabs if tab["count"]), Outcome.NEW.value)
    outcome = asked if asked in Outcome.values else first
    search = form.cleaned_data["q"] if form.is_valid() else ""
    found = roster.changes.filter(outcome=outcome).order_by("row", "pk")
    if search:
        found = found.filter(Q(employee_no__startswith=search) | Q(name__contains=search))
    page = Paginator(found, PAGE)
    if not search:
        page.count = counts.get(outcome, 0)  # known already; counting 300,000 rows is not needed
    try:
        shown = page.page(request.GET.get("page") or 1)
    except InvalidPage:
        shown = page.page(1)
    for tab in tabs:
        tab["url"] = f"?outcome={tab['outcome']}"
        tab["active"] = tab["outcome"] == outcome
    lines = _lines(list(shown.object_list))
    filter_form = ChangeFilter(initial={"q": search, "outcome": outcome})
    return {
        "tabs": tabs,
        "outcome": outcome,
        "page": shown,
        "lines": lines,
        "filter": filter_form,
        "search": search,
        "clear_url": f"?outcome={outcome}",
    }


def _lines(changes: list[RosterChange]) -> list[dict]:
    """The differences of some changes in words; ids are looked up together, three questions for the page."""
    ids: dict[str, set[int]] = {"unit": set(), "position": set(), "manager": set()}
    for change in changes:
        for values in (change.before or {}, change.after or {}):
            for key, wanted in ids.items():
                if values.get(key):
                    wanted.add(values[key])
    names = {
        "unit": {unit.pk: unit.label for unit in OrgUnit.objects.filter(pk__in=ids["unit"])},
        "position": {position.pk: position.label for position in Position.objects.filter(pk__in=ids["position"])},
        "manager": domain.names_of(ids["manager"]),
    }
    if changes:
        plan = changes[0].roster.plan
        for step in plan.get("units", ()):
            names["unit"].setdefault(step["id"], step["name"])
        for step in plan.get("positions", ()):
            names["position"].setdefault(step["id"], step["title"])
        names["manager"] |= {
            pk: f"{name} ({no})"
            for pk, name, no in _still_new(changes[0].roster, ids["manager"] - names["manager"].keys())
        }
    return [
        {
            "change": change,
            "faults": [words_of_fault(fault) for fault in change.faults or ()],
            "differences": [] if change.outcome == Outcome.REFUSED else _differences(change, names),
        }
        for change in changes
    ]


def _still_new(roster: RosterImport, ids: set[int]) -> Iterator[tuple[int, str, str]]:
    """Managers who come into the platform with this very import."""
    if not ids:
        return iter(())
    found = roster.changes.filter(employee_id__in=ids, outcome=Outcome.NEW)
    return iter(found.values_list("employee_id", "name", "employee_no"))


def _differences(change: RosterChange, names: dict[str, dict]) -> list[dict]:
    before, after = change.before or {}, change.after or {}
    return [
        {
            "label": label_of(key),
            "before": _worded(key, before.get(key), names),
            "after": _worded(key, after[key], names),
        }
        for key in SHOWN
        if key in after and not (change.outcome == Outcome.NEW and (key in {"name", "state"} or not after[key]))
    ]


def _worded(key: str, value, names: dict[str, dict]) -> str:
    if value in (None, ""):
        return ""
    if key in names:
        return names[key].get(value, "–")
    if key == "state":
        return str(Employee.State(value).label)
    if key == "language":
        return str(dict(Employee._meta.get_field("language").choices).get(value, value))
    if key in {"hired_on", "left_on"}:
        return date_format(timezone.datetime.fromisoformat(value), "DATE_FORMAT")
    return str(value)


# --- what can be done with it ---------------------------------------------------------------------------------------


def _refused(request: HttpRequest, actor: Actor, roster: RosterImport, text: str) -> HttpResponse:
    """The page again, with why not; the state is read anew, it may have moved under the hands of somebody else."""
    fresh = _roster_or_404(actor, "PM-I05", roster.pk)
    return _detail(request, actor, fresh, refusal=text, status=409)


def _reason(error: Exception) -> str:
    """A refusal in words that say what to do next."""
    if isinstance(error, domain.ChangedSince):
        names = ", ".join(error.names) + (" …" if error.count > len(error.names) else "")
        return ngettext(
            "Nothing was taken back: %(count)s person was changed after the import: %(names)s. Put them right by hand.",
            "Nothing was taken back: %(count)s people were changed after the import: %(names)s. Put them right by hand.",
            error.count,
        ) % {"count": error.count, "names": names}
    return {
        domain.WrongState: _("This cannot be done any more: somebody was faster. Below you see how things stand."),
        domain.FaultsRemain: _("Nothing was applied: you chose all or nothing, and some rows are refused."),
        domain.OwnRecordInside: _("The import changes your own record, so another HR person has to do this."),
        domain.AnotherApplying: _("Another roster for the same units is being applied. Try again when it is done."),
        domain.SamePerson: _("You uploaded this file yourself; the second person has to be somebody else."),
    }[type(error)]


_REFUSALS = (
    domain.WrongState,
    domain.FaultsRemain,
    domain.OwnRecordInside,
    domain.AnotherApplying,
    domain.SamePerson,
    domain.ChangedSince,
)


def _answer(request: HttpRequest, actor: Actor, roster: RosterImport, step) -> HttpResponse:
    """Take a step of the domain and go back to the page of the import."""
    try:
        came = step()
    except _REFUSALS as error:
        return _refused(request, actor, roster, _reason(error))
    if came is NextStep.CHECKING_AGAIN:
        messages.warning(
            request, _("The data changed after the check. Nothing was applied; look at the differences once more.")
        )
    elif came is NextStep.AWAITING_SECOND:
        _tell_second_people(roster, actor)
        messages.info(request, _("A second HR person must agree now. They have been told."))
    return redirect("people:roster_detail", roster.pk)


def _tell_second_people(roster: RosterImport, actor: Actor) -> None:
    for user in domain.second_people(roster, actor.on)[:50]:
        notify(
            user=user,
            text_zh=f"花名册“{roster.file_name[:80]}”会让很多人离职或调动，需要您作为第二人确认。",
            text_en=f"The roster “{roster.file_name[:80]}” would make many people leave or move: it needs your agreement.",
            url=reverse("people:roster_detail", args=[roster.pk]),
            at=timezone.now(),
            key=f"roster-second-{roster.pk}-{roster.fingerprint[:12]}",
        )


@binds("PM-I02")
@require_POST
def roster_apply(request: HttpRequest, roster_id: int) -> HttpResponse:
    actor = actor_of(request)
    roster = _roster_or_404(actor, "PM-I02", roster_id)
    return _answer(
        request, actor, roster, lambda: domain.request_apply(roster=roster, by=request.user, at=timezone.now())
    )


@binds("PM-I03")
@require_POST
def roster_confirm(request: HttpRequest, roster_id: int) -> HttpResponse:
    actor = actor_of(request)
    roster = _roster_or_404(actor, "PM-I03", roster_id)
    return _answer(
        request, actor, roster, lambda: domain.confirm_roster(roster=roster, by=request.user, at=timezone.now())
    )


@binds("PM-I04")
@require_POST
def roster_undo(request: HttpRequest, roster_id: int) -> HttpResponse:
    actor = actor_of(request)
    roster = _roster_or_404(actor, "PM-I04", roster_id)
    return _answer(
        request, actor, roster, lambda: domain.request_undo(roster=roster, by=request.user, at=timezone.now())
    )


@binds("PM-I01")
@require_POST
def roster_check(request: HttpRequest, roster_id: int) -> HttpResponse:
    """Check the same file against the data as it is now."""
    actor = actor_of(request)
    roster = _roster_or_404(actor, "PM-I01", roster_id)
    return _answer(
        request, actor, roster, lambda: domain.check_again(roster=roster, by=request.user, at=timezone.now())
    )


@binds("PM-I01")
@require_POST
def roster_discard(request: HttpRequest, roster_id: int) -> HttpResponse:
    actor = actor_of(request)
    roster = _roster_or_404(actor, "PM-I01", roster_id)
    try:
        domain.discard_roster(roster=roster, by=request.user, at=timezone.now())
    except domain.WrongState as error:
        return _refused(request, actor, roster, _reason(error))
    messages.success(request, _("The file was put aside. Nothing was changed."))
    return redirect("people:roster")


# --- files to take away ---------------------------------------------------------------------------------------------


def _kind(request: HttpRequest) -> str:
    return "csv" if request.GET.get("kind") == "csv" else "xlsx"


@binds("PM-I05")
@never_cache
@require_safe
def roster_faults(request: HttpRequest, roster_id: int) -> HttpResponse:
    """The refused rows in their own columns, each with its reasons: to put right and upload again."""
    actor = actor_of(request)
    roster = _roster_or_404(actor, "PM-I05", roster_id)
    if not domain.may(roster, Action.FAULTS):
        return _refused(request, actor, roster, _reason(domain.WrongState()))
    reasons = {}
    refused = roster.changes.filter(outcome=Outcome.REFUSED, row__isnull=False)
    for row, faults in refused.values_list("row", "faults").iterator():
        words = [words_of_fault(fault) for fault in faults]
        reasons[row] = "\n".join(
            f"{word['column']}: {word['problem']} {word['cure']}"
            if word["column"]
            else f"{word['problem']} {word['cure']}"
            for word in words
        )
    try:
        with roster.file.open("rb") as file, imports.open_roster(file) as opened:
            width = len(opened.header.cells)
            header = [*opened.header.cells, imports.REASONS]

            def rows() -> Iterator[list]:
                for number, cells in opened.raw_rows():
                    if number in reasons:
                        padded = [*cells[:width], *[""] * (width - len(cells))]
                        yield [*padded, reasons.pop(number)]
                for reason in reasons.values():  # lines that could not be taken apart
                    yield [*[""] * width, reason]

            return download(
                kind=_kind(request),
                name=f"roster-{roster.pk}-refused",
                title=pgettext("roster", "Refused rows"),
                header=header,
                rows=rows(),
                widths=[*[16] * width, 60],
            )
    except (OSError, Unreadable, RosterProblem, ValueError):
        return _refused(request, actor, roster, _("The uploaded file is no longer there, so its rows cannot be shown."))


@binds("PM-I01", "PM-P02")
@never_cache
@require_safe
def roster_template(request: HttpRequest) -> HttpResponse:
    """An empty roster with headings in both languages and a sheet of notes; with ``people=1`` the present people in it."""
    actor = actor_of(request)
    require(actor, "PM-I01")
    rows: Iterator[list] = iter(())
    name = "roster-template"
    if request.GET.get("people"):
        rows, name = _present_roster(actor), f"roster-{actor.on:%Y-%m-%d}"
    header, widths = imports.headings(), [14, 14, 44, 18, 14, 14, 14, 14, 28, 16, 12]
    if _kind(request) == "csv":
        return download(kind="csv", name=name, title="", header=header, rows=rows)
    sheets = [
        SheetOut(_("Roster"), header=header, rows=rows, widths=widths),
        SheetOut(_("Notes"), notes=imports.template_notes()),
    ]
    return download_sheets(name=name, sheets=sheets)


def _present_roster(actor: Actor) -> Iterator[list]:
    """Everybody whom the actor may write about, as rows that change nothing when they are uploaded again."""
    units = list(OrgUnit.objects.order_by("path"))
    paths = imports.unit_paths(units)
    people = (
        visible_employees(actor, "PM-I02")
        .exclude(state=Employee.State.LEFT)
        .exclude(unit=None)
        .select_related("position", "manager")
        .order_by("employee_no")
    )
    for person in people.iterator(chunk_size=2000):
        yield imports.roster_row(person, paths[person.unit_id], person.manager.employee_no if person.manager else "")
