"""What HR does to one person's record, and the sign-ins of others."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from segno import make as make_qr

from people import mail
from people.domain import invitations, leave, moves, sign_ins
from people.domain.access import actor_of, binds, employee_or_404, require, rows_on, visible_employees
from people.domain.queries import open_link_of, reports_of, waiting_for_sign_in
from people.forms import LeaveForm, LeftForm, PostForm, ReasonForm, RecordForm, UnitFilterForm
from people.models import Employee

read_or_send = require_http_methods(["GET", "HEAD", "POST"])


def _refused(error: Exception) -> tuple[str | None, str]:
    """The field a refusal of people.domain.moves belongs to, and what to say."""
    words = {
        moves.NotHere: (None, _("This person has left. Take the person back first.")),
        moves.StillHere: (None, _("This person has not left.")),
        moves.TooEarly: ("on", _("This day lies before the present post began, or before the person left.")),
        moves.InFuture: ("on", _("This day has not come yet. Note a move on its day or after it.")),
        moves.NothingChanges: (None, _("The person holds this post already. Change the unit, position or manager.")),
        moves.ManagerCircle: (
            "manager",
            _("This manager reports to the person, directly or further down. Choose somebody else."),
        ),
        moves.ManagerHasLeft: ("manager", _("This manager has left.")),
        moves.ChangedMeanwhile: (
            None,
            _("Somebody else changed this person a moment ago. Look at the record, then decide again."),
        ),
    }
    return words[type(error)]


MOVES_REFUSE = (
    moves.NotHere,
    moves.StillHere,
    moves.TooEarly,
    moves.InFuture,
    moves.NothingChanges,
    moves.ManagerCircle,
    moves.ManagerHasLeft,
    moves.ChangedMeanwhile,
)


def _record(employee: Employee) -> str:
    return reverse("portal:person", args=[employee.pk])


def _form_page(request, template, employee, form, **words):
    words |= {"employee": employee, "form": form, "record_url": _record(employee)}
    return render(request, f"people/{template}.html", words, status=422 if form.errors else 200)


# --- the record ------------------------------------------------------------------------------------------------------


@binds("PM-P05")
@never_cache
@read_or_send
def edit(request: HttpRequest, employee_id: int) -> HttpResponse:
    employee = employee_or_404(actor_of(request), "PM-P05", employee_id)
    form = RecordForm(request.POST or None, instance=employee)
    if request.method == "POST" and form.is_valid():
        try:
            moves.change_record(employee=employee, **form.cleaned_data, by=request.user, at=timezone.now())
        except moves.ChangedMeanwhile as refusal:
            form.add_error(*_refused(refusal))
        else:
            messages.success(request, _("The record of %(name)s is saved.") % {"name": employee.label})
            return redirect(_record(employee))
    return _form_page(request, "edit", employee, form)


@binds("PM-P07")
@never_cache
@read_or_send
def move(request: HttpRequest, employee_id: int) -> HttpResponse:
    """A new unit, position or manager. Person and target unit lie in the actor's units; the manager may be anybody."""
    actor = actor_of(request)
    employee = employee_or_404(actor, "PM-P07", employee_id)
    held = {"unit": employee.unit, "position": employee.position, "manager": employee.manager, "on": actor.on}
    form = PostForm(request.POST or None, initial=held, actor=actor, row="PM-P07")
    if request.method == "POST" and form.is_valid():
        try:
            moves.move_employee(employee=employee, **form.cleaned_data, by=request.user, at=timezone.now())
        except MOVES_REFUSE as refusal:
            form.add_error(*_refused(refusal))
        else:
            messages.success(request, _("%(name)s is moved. The post before is kept.") % {"name": employee.label})
            return redirect(_record(employee))
    return _form_page(request, "move", employee, form)


@binds("PM-P08")
@never_cache
@read_or_send
def left(request: HttpRequest, employee_id: int) -> HttpResponse:
    actor = actor_of(request)
    employee = employee_or_404(actor, "PM-P08", employee_id)
    form = LeftForm(request.POST or None, initial={"on": actor.on})
    if request.method == "POST" and form.is_valid():
        try:
            moves.mark_left(employee=employee, **form.cleaned_data, by=request.user, at=timezone.now())
        except MOVES_REFUSE as refusal:
            form.add_error(*_refused(refusal))
        else:
            messages.success(request, _("%(name)s is marked as left.") % {"name": employee.label})
            return redirect(_record(employee))
    reports = list(reports_of(employee)[:6])
    return _form_page(request, "left", employee, form, reports=reports[:5], more_reports=len(reports) > 5)


@binds("PM-P08")
@never_cache
@read_or_send
def rehire(request: HttpRequest, employee_id: int) -> HttpResponse:
    actor = actor_of(request)
    employee = employee_or_404(actor, "PM-P08", employee_id)
    held = {"unit": employee.unit, "position": employee.position, "manager": employee.manager, "on": actor.on}
    form = PostForm(request.POST or None, initial=held, actor=actor, row="PM-P07")
    if request.method == "POST" and form.is_valid():
        try:
            moves.rehire(employee=employee, **form.cleaned_data, by=request.user, at=timezone.now())
        except MOVES_REFUSE as refusal:
            form.add_error(*_refused(refusal))
        else:
            messages.success(request, _("%(name)s is back.") % {"name": employee.label})
            return redirect(_record(employee))
    return _form_page(request, "rehire", employee, form)


@binds("PM-P05")
@never_cache
@read_or_send
def suspend(request: HttpRequest, employee_id: int) -> HttpResponse:
    """Bars a person from signing in, or lets the person in again; the post stays."""
    employee = employee_or_404(actor_of(request), "PM-P05", employee_id)
    form = ReasonForm(request.POST or None)
    change = moves.reinstate if employee.state == Employee.State.SUSPENDED else moves.suspend
    if request.method == "POST" and form.is_valid():
        try:
            change(employee=employee, reason=form.cleaned_data["reason"], by=request.user, at=timezone.now())
        except MOVES_REFUSE as refusal:
            form.add_error(*_refused(refusal))
        else:
            if employee.state == Employee.State.SUSPENDED:
                messages.success(request, _("%(name)s is suspended and signed out.") % {"name": employee.label})
            else:
                messages.success(request, _("%(name)s is reinstated.") % {"name": employee.label})
            return redirect(_record(employee))
    return _form_page(request, "suspend", employee, form)


@binds("PM-P05")
@never_cache
@read_or_send
def leaves(request: HttpRequest, employee_id: int) -> HttpResponse:
    """The leave of one person: the list and a form that adds one."""
    employee = employee_or_404(actor_of(request), "PM-P05", employee_id)
    form = LeaveForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            leave.add_leave(employee=employee, **form.cleaned_data, by=request.user, at=timezone.now())
        except leave.LeaveOverlaps:
            form.add_error("starts_on", _("The person is away on some of these days already."))
        except leave.LeaveTooLong:
            form.add_error("ends_on", _("A leave of more than three years is not noted here."))
        else:
            messages.success(request, _("The leave is noted."))
            return redirect("people:leave", employee.pk)
    return _form_page(request, "leave", employee, form, leaves=employee.leaves.order_by("-starts_on"))


@binds("PM-P05")
@require_POST
def remove_leave(request: HttpRequest, employee_id: int, leave_id: int) -> HttpResponse:
    employee = employee_or_404(actor_of(request), "PM-P05", employee_id)
    found = employee.leaves.filter(pk=leave_id).first()
    if found is None:
        raise Http404
    try:
        leave.remove_leave(leave=found, by=request.user, at=timezone.now())
    except leave.LeaveGone:
        pass  # somebody else has just done the same: it is gone, as asked
    messages.success(request, _("The leave is removed."))
    return redirect("people:leave", employee.pk)


# --- the sign-in of another person -----------------------------------------------------------------------------------


def _others_sign_in(request, employee_id: int) -> Employee:
    """The person whose sign-in is looked after; one's own is on the account page."""
    employee = employee_or_404(actor_of(request), "PM-P09", employee_id)
    if employee.user_id == request.user.pk:
        raise Http404
    return employee


@binds("PM-P09")
@never_cache
@require_safe
def person_sign_in(request: HttpRequest, employee_id: int) -> HttpResponse:
    """How somebody signs in: whether yet, since when, and what can be done about it."""
    actor = actor_of(request)
    employee = _others_sign_in(request, employee_id)
    user = employee.user
    open_link = open_link_of(employee, timezone.now())
    closed = sign_ins.why_closed(user, actor.on) if user else sign_ins.why_closed_to(employee, actor.on)
    words = {
        "employee": employee,
        "record_url": _record(employee),
        "sign_in": user,
        "open_link": open_link,
        "closed": sign_ins.Closed(closed) if closed else None,
        "too_many_failures": bool(user) and user.failed_sign_ins >= sign_ins.MOST_FAILURES,
        "allowed": rows_on(actor, employee, ["PM-P05", "PM-P09", "PM-P10"]),
    }
    return render(request, "people/person_sign_in.html", words)


@binds("PM-P05")
@never_cache
@require_POST
def invite(request: HttpRequest, employee_id: int) -> HttpResponse:
    """Makes the first link of a person and shows it, once."""
    employee = employee_or_404(actor_of(request), "PM-P05", employee_id)
    try:
        made = invitations.invite(employee=employee, by=request.user, at=timezone.now())
    except invitations.HasSignIn:
        messages.warning(request, _("%(name)s can sign in already.") % {"name": employee.label})
        return redirect("people:person_sign_in", employee.pk)
    except invitations.HasLeft:
        messages.warning(request, _("%(name)s has left or is suspended.") % {"name": employee.label})
        return redirect("people:person_sign_in", employee.pk)
    return _sheet(request, [made], back=reverse("people:person_sign_in", args=[employee.pk]))


@binds("PM-P10")
@never_cache
@require_POST
def recovery_link(request: HttpRequest, employee_id: int) -> HttpResponse:
    """Makes the link by which a person who lost the password sets a new one. Identity is checked by the giver."""
    employee = employee_or_404(actor_of(request), "PM-P10", employee_id)
    if employee.user_id == request.user.pk:
        raise Http404  # one's own password is changed with the old one, on the account page
    try:
        made = invitations.recover(employee=employee, by=request.user, at=timezone.now())
    except invitations.NoSignIn:
        messages.warning(request, _("%(name)s has no sign-in yet and needs an invitation.") % {"name": employee.label})
        return redirect("people:person_sign_in", employee.pk)
    except invitations.HasLeft:
        messages.warning(request, _("%(name)s has left or is suspended.") % {"name": employee.label})
        return redirect("people:person_sign_in", employee.pk)
    back = reverse("people:person_sign_in", args=[employee.pk])
    return _sheet(request, [made], back=back, recovery=True)


@binds("PM-P09")
@require_POST
def lock(request: HttpRequest, employee_id: int) -> HttpResponse:
    return _on_sign_in(request, employee_id, sign_ins.lock_sign_in, _("The sign-in is locked and every session ended."))


@binds("PM-P09")
@require_POST
def unlock(request: HttpRequest, employee_id: int) -> HttpResponse:
    return _on_sign_in(request, employee_id, sign_ins.unlock_sign_in, _("The sign-in is open again."))


@binds("PM-P09")
@require_POST
def end_sessions(request: HttpRequest, employee_id: int) -> HttpResponse:
    return _on_sign_in(request, employee_id, sign_ins.end_sessions_of, _("Every session of this person is ended."))


def _on_sign_in(request, employee_id, change, done):
    employee = _others_sign_in(request, employee_id)
    if employee.user is None:
        raise Http404
    try:
        change(user=employee.user, by=request.user, at=timezone.now())
    except sign_ins.AlreadySo:
        pass  # a second press, or a colleague a moment before: it is as asked
    messages.success(request, done)
    return redirect("people:person_sign_in", employee.pk)


# --- inviting many ---------------------------------------------------------------------------------------------------


@binds("PM-P05")
@never_cache
@read_or_send
def invite_many(request: HttpRequest) -> HttpResponse:
    """Who cannot sign in yet, by unit; a press makes a printed sheet with one link for each chosen person."""
    actor, now = actor_of(request), timezone.now()
    require(actor, "PM-P05")
    waiting = waiting_for_sign_in(visible_employees(actor, "PM-P05"), now)
    if request.method == "POST":
        chosen = _chosen(request)
        people = list(waiting.filter(pk__in=chosen)[: invitations.MOST_AT_ONCE + 1])
        known = visible_employees(actor, "PM-P05").filter(pk__in=chosen).count()
        if known != len(chosen):
            raise Http404  # one person out of reach refuses the whole sheet
        made = invitations.invite_many(employees=people, unit=actor.units("HRU")[0], by=request.user, at=now)
        if made:
            return _sheet(request, made, back=reverse("people:invitations"))
        messages.warning(request, _("Choose at least one person who cannot sign in yet."))
        return redirect("people:invitations")
    form = UnitFilterForm(request.GET or None, actor=actor, row="PM-P05")
    unit = form.cleaned_data["unit"] if form.is_bound and form.is_valid() else None
    if unit:
        waiting = waiting.in_unit(unit)
    page = Paginator(waiting.order_by("unit__path", "employee_no"), 50).get_page(request.GET.get("page"))
    return render(request, "people/invitations.html", {"page": page, "form": form, "unit": unit})


def _chosen(request) -> set[int]:
    """The ids of the ticked people; anything that is not a number was not sent by our page."""
    values = request.POST.getlist("person")
    if len(values) > invitations.MOST_AT_ONCE or not all(value.isascii() and value.isdigit() for value in values):
        raise Http404
    return {int(value) for value in values}


def _sheet(request, made, *, back: str, recovery: bool = False) -> HttpResponse:
    """The links just made, to copy, to print and to scan: shown this once, for only their hashes are kept."""
    sent = mail.send_links(made, recovery=recovery)
    cards = []
    for invitation, token in made:
        link = mail.link_of(token)
        picture = make_qr(link, error="m").svg_data_uri(border=2, dark="#1F1B16", light="#FFFFFF")
        cards.append({"employee": invitation.employee, "link": link, "qr": picture})
    sent_words = ""
    if sent:
        sent_words = ngettext("%(n)d link was also sent by e-mail.", "%(n)d links were also sent by e-mail.", sent) % {
            "n": sent
        }
    words = {"cards": cards, "until": made[0][0].expires_at, "sent": sent_words, "back": back, "recovery": recovery}
    answer = render(request, "people/sheet.html", words)
    answer["Referrer-Policy"] = "strict-origin"
    return answer
