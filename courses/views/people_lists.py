"""Lists of people for audiences: made, filled by employee numbers, looked through, and thinned out (PM-M01)."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from courses.audience_forms import PasteForm, PeopleListForm
from courses.domain import people_lists as lists
from courses.domain.access import own_audiences, own_lists
from courses.models import PeopleList
from courses.views.audiences import scopes_of
from courses.views.months import _tabs
from people.domain.access import Actor, actor_of, binds, require, visible_employees

PAGE = 50
UNDO = "people_list_undo"


def _mine(request, list_id: int) -> tuple[Actor, PeopleList]:
    actor = actor_of(request)
    require(actor, "PM-M01")
    return actor, get_object_or_404(own_lists(actor), pk=list_id)


def _back(found: PeopleList) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("courses:people_list", args=[found.pk]))


@binds("PM-M01", "PM-T01")
@require_safe
def people_lists(request):
    """The lists of the own units: how many are on each, and which audiences ask for it."""
    actor = actor_of(request)
    require(actor, "PM-M01")
    found, mine = list(own_lists(actor)), {one.pk for one in own_audiences(actor)}
    using = lists.audiences_using(found)
    numbers = lists.members_by_list(lists=found, people=visible_employees(actor, "PM-T01"))
    rows = [
        {
            "list": one,
            "number": numbers.get(one.pk, 0),
            "audiences": [audience for audience in using[one.pk] if audience.pk in mine],
        }
        for one in found
    ]
    return render(request, "courses/people_lists.html", {"rows": rows, "tabs": _tabs("audiences")})


@binds("PM-M01")
@require_http_methods(["GET", "HEAD", "POST"])
def new_people_list(request):
    """A new list: its name and its unit."""
    actor = actor_of(request)
    require(actor, "PM-M01")
    form = PeopleListForm(request.POST or None, scopes=scopes_of(actor))
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        made = lists.make_list(name=data["name"], scope=data["scope"], by=request.user, at=timezone.now())
        messages.success(request, _("“%(name)s” is made. Now paste the employee numbers.") % {"name": made.name})
        return _back(made)
    return render(request, "courses/people_list_new.html", {"form": form}, status=422 if form.errors else 200)


@binds("PM-M01", "PM-T01")
@require_http_methods(["GET", "HEAD", "POST"])
def people_list(request, list_id: int):
    """One list: who is on it, and a field to paste employee numbers into."""
    actor, found = _mine(request, list_id)
    people = visible_employees(actor, "PM-T01")
    form, faults = PasteForm(request.POST or None), []
    if request.method == "POST" and form.is_valid():
        text = form.cleaned_data["numbers"]
        try:
            added = lists.add_by_number(people_list=found, text=text, people=people, by=request.user, at=timezone.now())
        except lists.TooManyNumbers:
            form.add_error(
                "numbers",
                _("These are more than %(most)d numbers. Paste them in several parts.") % {"most": lists.MOST_AT_ONCE},
            )
        else:
            _say(request, added)
            if not added.faults:
                return _back(found)
            faults, form = added.faults, PasteForm(initial={"numbers": added.left_over})
    members = lists.members_of(people_list=found, people=people)
    query = " ".join(request.GET.get("q", "").split())[:60]
    shown = lists.search_members(members=members, text=query) if query else members
    mine = {one.pk for one in own_audiences(actor)}
    using = lists.audiences_using([found])[found.pk]
    context = {
        "list": found,
        "form": form,
        "faults": faults,
        "page": Paginator(shown, PAGE).get_page(request.GET.get("page")),
        "number": members.count(),
        "hidden": found.members.count() - members.count(),
        "query": query,
        "audiences": [one for one in using if one.pk in mine],
        "is_used": bool(using),
    }
    return render(request, "courses/people_list.html", context, status=422 if form.errors or faults else 200)


def _say(request, added: lists.Added) -> None:
    if added.employees:
        text = ngettext("%(number)d person was added.", "%(number)d people were added.", len(added.employees))
        messages.success(request, text % {"number": len(added.employees)})
    if added.already:
        text = ngettext(
            "%(number)d person was on the list before.", "%(number)d people were on the list before.", added.already
        )
        messages.info(request, text % {"number": added.already})


@binds("PM-M01")
@require_POST
def rename_people_list(request, list_id: int):
    """Another name for a list."""
    _actor, found = _mine(request, list_id)
    form = PeopleListForm(request.POST, instance=PeopleList(pk=found.pk, name=found.name, scope=found.scope), scopes=[])
    if not form.is_valid():
        messages.error(request, _("Write a name of at most 100 characters; the list keeps its old one."))
    elif lists.rename_list(people_list=found, name=form.cleaned_data["name"], by=request.user, at=timezone.now()):
        messages.success(request, _("The list is now called “%(name)s”.") % {"name": found.name})
    return _back(found)


@binds("PM-M01", "PM-T01")
@require_POST
def remove_members(request, list_id: int):
    """Take chosen people off a list; they can be put back."""
    actor, found = _mine(request, list_id)
    chosen = [int(one) for one in request.POST.getlist("member") if one.isdecimal() and len(one) < 16]
    people = visible_employees(actor, "PM-T01").filter(pk__in=chosen)
    removed = lists.remove_from_list(people_list=found, employees=people, by=request.user, at=timezone.now())
    if not removed:
        messages.info(request, _("Nobody was chosen, so nothing has changed."))
        return _back(found)
    request.session[UNDO] = {"list": found.pk, "people": removed}
    text = ngettext("%(number)d person was taken off.", "%(number)d people were taken off.", len(removed))
    undo = reverse("courses:people_list_undo", args=[found.pk])
    messages.success(request, text % {"number": len(removed)}, extra_tags=f"undo:{undo}")
    return _back(found)


@binds("PM-M01", "PM-T01")
@require_POST
def undo_remove(request, list_id: int):
    """Put back whom one took off a moment ago."""
    actor, found = _mine(request, list_id)
    kept = request.session.pop(UNDO, None) or {}
    ids = kept.get("people", []) if kept.get("list") == found.pk else []
    people = visible_employees(actor, "PM-T01").filter(pk__in=ids)
    number = lists.add_again(people_list=found, employees=people, by=request.user, at=timezone.now())
    if number:
        text = ngettext("%(number)d person is on the list again.", "%(number)d people are on the list again.", number)
        messages.success(request, text % {"number": number})
    else:
        messages.info(request, _("There was nothing left to take back."))
    return _back(found)


@binds("PM-M01")
@require_POST
def delete_people_list(request, list_id: int):
    """Delete a list that no audience asks for."""
    _actor, found = _mine(request, list_id)
    name = found.name
    try:
        lists.delete_list(people_list=found, by=request.user, at=timezone.now())
    except lists.ListInUse:
        messages.error(
            request, _("“%(name)s” is used by an audience. Take it out of the audience first.") % {"name": name}
        )
        return _back(found)
    messages.success(request, _("“%(name)s” is deleted.") % {"name": name})
    return HttpResponseRedirect(reverse("courses:people_lists"))
