"""Who holds which role, and giving and taking back roles."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from people.domain import roles as domain
from people.domain.access import actor_of, binds, require, visible_employees
from people.forms import GrantForm
from people.models import RoleGrant


def _grants(actor):
    """The roles in force that the actor may see; sign-ins without a record only by who sees everybody."""
    grants = domain.grants_in_force(actor.on)
    if "A" in actor.letters("PM-P13"):
        return grants
    mine = Q(user=actor.user)
    return grants.filter(mine | Q(user__employee__in=visible_employees(actor, "PM-P13").order_by().values("pk")))


@binds("PM-P13")
@never_cache
@require_safe
def roles(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    return _page(request, actor, GrantForm(actor=actor) if actor.may("PM-P12") else None)


def _page(request, actor, form):
    role = request.GET.get("role", "")
    grants = _grants(actor)
    if role in RoleGrant.Role.values:
        grants = grants.filter(role=role)
    page = Paginator(grants, 50).get_page(request.GET.get("page"))
    words = {"page": page, "form": form, "role": role, "kinds": RoleGrant.Role.choices, "me": actor.user.pk}
    return render(request, "people/roles.html", words, status=422 if form and form.errors else 200)


@binds("PM-P12")
@never_cache
@require_POST
def grant(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    require(actor, "PM-P12")
    form = GrantForm(request.POST, actor=actor)
    if not form.is_valid():
        return _page(request, actor, form)
    person, values = form.cleaned_data["person"], form.cleaned_data
    try:
        domain.grant_role(
            user=person.user,
            role=values["role"],
            unit=values["unit"],
            until=values["until"],
            by=request.user,
            at=timezone.now(),
        )
    except domain.OwnRole:
        form.add_error("person", _("Nobody gives a role to himself. Another administrator can."))
    except domain.UnitMissing:
        form.add_error("unit", _("This role is held for a unit. Choose one."))
    except domain.UnitNotMeant:
        form.add_error("unit", _("This role is for the whole house. Leave the unit empty."))
    except domain.AlreadyOver:
        form.add_error("until", _("This day is over already."))
    except domain.HeldAlready:
        form.add_error("role", _("The person has this role there already, or for a unit above."))
    except domain.DutiesClash:
        form.add_error("role", _("Nobody both prepares and checks the pay of the same people."))
    else:
        words = {"name": person.label, "role": RoleGrant.Role(values["role"]).label}
        messages.success(request, _("%(name)s now has the role %(role)s and is asked to sign in again.") % words)
        return redirect("people:roles")
    return _page(request, actor, form)


@binds("PM-P12")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def revoke(request: HttpRequest, grant_id: int) -> HttpResponse:
    """Asks once more, then takes the role back."""
    actor = actor_of(request)
    require(actor, "PM-P12")
    found = domain.grants_in_force(actor.on).filter(pk=grant_id).first()
    if found is None or found.user_id == actor.user.pk:
        raise Http404
    if request.method != "POST":
        return render(request, "people/revoke.html", {"grant": found})
    try:
        domain.revoke_role(grant=found, by=request.user, at=timezone.now())
    except domain.GrantGone:
        pass  # another administrator was faster: it is as asked
    messages.success(request, _("The role is taken back and the person’s sessions are ended."))
    return redirect("people:roles")
