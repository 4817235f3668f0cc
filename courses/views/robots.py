"""Robots of group chats, for administrators (PM-G01): keep them, try them, switch them off, say whose figures they tell."""

from __future__ import annotations

from django.contrib import messages as toasts
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.messaging import outcome_words
from core.models import Robot
from core.robots import PROBLEMS, AddressRefused, masked, save_robot, switch_robot
from courses.domain import group_chats
from courses.models import GroupChat
from courses.reminder_forms import ChatForm, RobotForm
from people.domain.access import actor_of, binds, require
from people.models import OrgUnit

MOST_OFFERED = 300  # units offered while typing


@binds("PM-G01")
@never_cache
@require_safe
def robots(request):
    require(actor_of(request), "PM-G01")
    rows = [
        {"robot": robot, "address": masked(robot.url), "units": [chat.unit for chat in robot.group_chats.all()]}
        for robot in Robot.objects.prefetch_related("group_chats__unit")
    ]
    last = group_chats.last_messages_of_robots()
    for row in rows:
        row["last"] = last.get(row["robot"].pk)
        row["outcome"] = outcome_words(row["last"]) if row["last"] else ""
    return render(request, "courses/robots.html", {"rows": rows})


@binds("PM-G01")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def robot(request, robot_id: int | None = None):
    """One robot: add it, change it, try it, and whose figures it tells."""
    require(actor_of(request), "PM-G01")
    found = get_object_or_404(Robot, pk=robot_id) if robot_id else None
    form = RobotForm(request.POST or None, instance=found)
    if request.method == "POST" and form.is_valid():
        is_new = found is None
        try:
            saved = save_robot(
                robot=form.save(commit=False),
                url=form.cleaned_data["address"],
                secret=form.new_secret,
                by=request.user,
                at=timezone.now(),
            )
        except AddressRefused as refused:
            form.add_error("address", PROBLEMS[refused.code])
        else:
            words = _("The robot is added. Send a test message, then choose whose figures it tells.")
            toasts.success(request, words if is_new else _("“%(name)s” is saved.") % {"name": saved.name})
            return redirect("courses:robot", saved.pk)
    return _page(request, found, form, ChatForm())


def _page(request, found: Robot | None, form: RobotForm, chat_form: ChatForm) -> HttpResponse:
    context = {
        "robot": found,
        "form": form,
        "chat_form": chat_form,
        "address": masked(found.url) if found else "",
        "chats": list(found.group_chats.select_related("unit").order_by("unit__path")) if found else [],
        "units": OrgUnit.objects.order_by("path")[:MOST_OFFERED] if found else [],
    }
    return render(request, "courses/robot.html", context, status=422 if form.errors or chat_form.errors else 200)


@binds("PM-G01")
@require_POST
def switch(request, robot_id: int):
    require(actor_of(request), "PM-G01")
    found = get_object_or_404(Robot, pk=robot_id)
    active = request.POST.get("active") == "1"
    switch_robot(robot=found, active=active, by=request.user, at=timezone.now())
    words = _("“%(name)s” is switched on.") if active else _("“%(name)s” is switched off; nothing is sent to it.")
    toasts.success(request, words % {"name": found.name})
    return redirect("courses:robot", found.pk)


@binds("PM-G01")
@require_POST
def try_robot(request, robot_id: int):
    """Send a test message at once and say what came back."""
    require(actor_of(request), "PM-G01")
    found = get_object_or_404(Robot, pk=robot_id)
    if not found.active:
        toasts.error(request, _("The robot is switched off. Switch it on first."))
        return redirect("courses:robot", found.pk)
    message = group_chats.try_robot(robot=found, by=request.user, at=timezone.now())
    if message.state == message.State.SENT:
        toasts.success(request, _("The test message arrived. Look into the group chat."))
    else:
        toasts.error(request, _("The test message did not arrive: %(why)s") % {"why": outcome_words(message)})
    return redirect("courses:robot", found.pk)


@binds("PM-G01")
@require_POST
def add_chat(request, robot_id: int):
    """Let a robot tell the figures of a unit."""
    require(actor_of(request), "PM-G01")
    found = get_object_or_404(Robot, pk=robot_id)
    form = ChatForm(request.POST)
    if not form.is_valid():
        return _page(request, found, RobotForm(instance=found), form)
    unit = form.cleaned_data["unit"]
    try:
        with transaction.atomic():
            group_chats.add_group_chat(robot=found, unit=unit, by=request.user, at=timezone.now())
    except IntegrityError:
        toasts.info(request, _("The robot tells the figures of %(unit)s already.") % {"unit": unit.label})
    else:
        toasts.success(request, _("The robot now tells the figures of %(unit)s.") % {"unit": unit.label})
    return redirect("courses:robot", found.pk)


@binds("PM-G01")
@require_POST
def remove_chat(request, robot_id: int, chat_id: int):
    """Stop telling the figures of a unit."""
    require(actor_of(request), "PM-G01")
    found = get_object_or_404(Robot, pk=robot_id)
    chat = get_object_or_404(GroupChat.objects.select_related("unit"), pk=chat_id, robot=found)
    group_chats.remove_group_chat(chat=chat, by=request.user, at=timezone.now())
    toasts.success(request, _("The robot no longer tells the figures of %(unit)s.") % {"unit": chat.unit.label})
    return redirect("courses:robot", found.pk)
