"""The exceptions desk: what no agreed rule settles about duties, each with a proposed answer as one button."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Count, Q
from django.http import Http404, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from core.jobs import start_job
from courses.domain import exceptions, matters
from courses.domain.access import hr_units
from courses.models import Matter
from people.domain.access import actor_of, binds, require, visible_employees

PAGE = 50
IN_THE_REQUEST = 2000  # among more people than this a job looks
OPEN, SETTLED, EVERYTHING = "open", "settled", "all"
PROPOSED = "proposed"


@binds("PM-M04")
@never_cache
@require_safe
def desk(request):
    """What is open in my units, by kind; or what was settled, newest first, with the way back."""
    actor = actor_of(request)
    require(actor, "PM-M04")
    visible = matters.visible_matters(actor, "PM-M04")
    show = SETTLED if request.GET.get("show") == SETTLED else OPEN
    kind = request.GET.get("kind", "")
    kind = kind if kind in Matter.Kind.values else ""
    text = " ".join(request.GET.get("q", "").replace("\x00", "").split())[:60]
    still_open = visible.filter(state=Matter.State.OPEN).order_by()
    counts = dict(still_open.values_list("kind").annotate(number=Count("pk")))
    found = visible.filter(state=Matter.State.SETTLED if show == SETTLED else Matter.State.OPEN)
    found = found.order_by("-settled_at", "-pk") if show == SETTLED else found.order_by("found_at", "kind", "pk")
    if kind:
        found = found.filter(kind=kind)
    if text:
        found = found.filter(_named(text))
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    listed = list(page.object_list)
    mine = set()
    if actor.may("PM-M05") and listed:
        ids = {one.employee_id for one in listed}
        mine = set(visible_employees(actor, "PM-M05").filter(pk__in=ids).values_list("pk", flat=True))
    rows = [_row(one, may_settle=one.employee_id in mine) for one in listed]
    total = sum(counts.values())
    context = {
        "show": show,
        "kind": kind,
        "text": text,
        "page": page,
        "rows": rows,
        "total": total,
        "is_hr": bool(hr_units(actor)),
        "several": bool(kind) and show == OPEN and any(row["may_settle"] for row in rows),
        "other_ways": _ways(kind, rows),
        "tabs": _tabs(counts, total, kind if show == OPEN else None),
    }
    return render(request, "courses/matters.html", context)


def _named(text: str) -> Q:
    """People whose name, pinyin or number fits (what a list of people is searched by)."""
    small = text.lower().replace(" ", "")
    return (
        Q(employee__name__icontains=text)
        | Q(employee__pinyin__icontains=small)
        | Q(employee__employee_no__startswith=text)
    )


def _tabs(counts: dict, total: int, kind: str | None) -> list[dict]:
    tabs = [{"label": _("All open"), "count": total, "active": kind == "", "url": "?"}]
    for one in Matter.Kind:
        if counts.get(one.value) or kind == one.value:
            tabs.append(
                {
                    "label": capfirst(str(one.label)),
                    "count": counts.get(one.value, 0),
                    "active": kind == one.value,
                    "url": f"?kind={one.value}",
                }
            )
    tabs.append({"label": _("Settled"), "active": kind is None, "url": f"?show={SETTLED}"})
    return tabs


def _row(matter: Matter, *, may_settle: bool) -> dict:
    row = {
        "matter": matter,
        "employee": matter.employee,
        "kind": capfirst(str(matter.get_kind_display())),
        "words": matters.describe(matter),
        "may_settle": may_settle,
        "to_correct": matter.proposal == Matter.Proposal.CORRECT,
    }
    if matter.state == Matter.State.SETTLED:
        row["answer"] = matters.answer_label(matter, matter.settled_as)
        row["may_undo"] = may_settle and matters.may_undo(matter)
        return row
    answers = [
        {"value": f"{matter.pk}:{answer}", "label": matters.answer_label(matter, answer), "answer": answer}
        for answer in matters.answers_to(matter)
    ]
    # To correct a record is work on its page: the proposal leads there, and saying that it is done is one of the answers.
    row["first"], row["others"] = (None, answers) if row["to_correct"] else (answers[0], answers[1:])
    return row


def _ways(kind: str, rows: list[dict]) -> list[tuple[str, str]]:
    """The ways in which several matters of a kind can be settled alike; a due day is each one's own."""
    if not kind:
        return []
    own = {Matter.Proposal.EXTEND.value}
    ways: dict[str, str] = {}
    for row in rows:
        for answer in [one for one in (row.get("first"), *row.get("others", ())) if one]:
            if answer["answer"] not in own:
                ways.setdefault(answer["answer"], answer["label"])
    return list(ways.items())


@binds("PM-M05")
@require_POST
def look(request):
    """Look again now, at the people of the actor's units: at once, or by a job when they are very many."""
    actor = actor_of(request)
    require(actor, "PM-M05")
    if visible_employees(actor, "PM-M05").count() > IN_THE_REQUEST:
        with transaction.atomic():
            job = start_job(kind="courses.look_for_matters", arguments={}, by=request.user, at=timezone.now())
        return HttpResponseRedirect(reverse("core:job", args=[job.pk]))
    seen = matters.find_matters(at=timezone.now(), scope=hr_units(actor))
    if seen.changed:
        words = _("Looked again: %(new)d new, %(gone)d no longer there.")
        messages.success(request, words % {"new": seen.found + seen.back, "gone": seen.gone})
    else:
        messages.info(request, _("Looked again: nothing has changed."))
    return HttpResponseRedirect(reverse("courses:matters"))


@binds("PM-M05")
@require_POST
def settle(request):
    """Settle one matter by its button, or the chosen ones of a kind alike."""
    actor = actor_of(request)
    require(actor, "PM-M05")
    if "one" in request.POST:
        return _settle_one(request, actor, request.POST["one"])
    return _settle_several(request, actor)


def _settle_one(request, actor, pressed: str):
    text, _colon, answer = pressed.partition(":")
    matter = matters.matter_or_404(actor, "PM-M05", _id_or_404(text))
    reason = request.POST.get(f"reason-{matter.pk}", "").replace("\x00", "")
    try:
        settled = matters.settle_matter(
            matter=matter, settled_as=answer, by=request.user, at=timezone.now(), reason=reason
        )
    except (matters.NotOpen, exceptions.NotPossibleNow, exceptions.DueRefused):
        messages.error(
            request,
            _("This cannot be settled so any more: something has changed meanwhile. Look again and decide anew."),
        )
    except (matters.NotAnAnswer, matters.OwnMatter) as error:
        raise Http404 from error
    else:
        words = {"name": matter.employee.label, "answer": matters.answer_label(matter, answer)}
        undo = reverse("courses:undo_matter", args=[matter.pk])
        tags = f"undo:{undo}" if matters.may_undo(settled) else ""
        messages.success(request, _("Settled for %(name)s: %(answer)s.") % words, extra_tags=tags)
    return _back(request)


def _settle_several(request, actor):
    ids = [_id_or_404(text) for text in request.POST.getlist("matter")[:PAGE]]
    answer, reason = request.POST.get("answer", PROPOSED), request.POST.get("reason", "").replace("\x00", "")
    if not ids:
        messages.info(request, _("Nobody was chosen. Tick the people first."))
        return _back(request)
    chosen = list(matters.visible_matters(actor, "PM-M05").filter(pk__in=ids).order_by("pk"))
    if len(chosen) != len(set(ids)):
        raise Http404
    done = left = 0
    for matter in chosen:  # at most a page of them; each is a decision of its own, with its own events
        try:
            matters.settle_matter(
                matter=matter,
                settled_as=matter.proposal if answer == PROPOSED else answer,
                by=request.user,
                at=timezone.now(),
                reason=reason,
            )
        except (matters.NotOpen, matters.NotAnAnswer, exceptions.NotPossibleNow, exceptions.DueRefused):
            left += 1
        except matters.OwnMatter as error:
            raise Http404 from error
        else:
            done += 1
    if done:
        words = ngettext("%(number)d matter is settled.", "%(number)d matters are settled.", done)
        messages.success(request, words % {"number": done})
    if left:
        words = ngettext(
            "%(number)d could not be settled so: something has changed meanwhile.",
            "%(number)d could not be settled so: something has changed meanwhile.",
            left,
        )
        messages.error(request, words % {"number": left})
    return _back(request)


@binds("PM-M05")
@require_POST
def undo(request, matter_id: int):
    """Take a settlement back: the duty is as it was, and the matter is open again."""
    matter = matters.matter_or_404(actor_of(request), "PM-M05", matter_id)
    try:
        matters.undo_settlement(matter=matter, by=request.user, at=timezone.now())
    except matters.NotOpen:
        messages.info(request, _("This was taken back already."))
    except matters.NotUndoable:
        messages.error(
            request, _("This cannot be taken back here: the duty has changed since. Decide on the person's record.")
        )
    except matters.OwnMatter as error:
        raise Http404 from error
    else:
        messages.success(request, _("Taken back for %(name)s. It is open again.") % {"name": matter.employee.label})
    return _back(request)


def _id_or_404(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or len(text) > 18:
        raise Http404
    return int(text)


def _back(request):
    kind = request.POST.get("kind", "")
    url = reverse("courses:matters")
    return HttpResponseRedirect(f"{url}?kind={kind}" if kind in Matter.Kind.values else url)
