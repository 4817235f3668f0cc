"""Signing in and out, taking up a one-time link, one's own account, finding people."""

from __future__ import annotations

import math

from axes.handlers.proxy import AxesProxyHandler
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import Resolver404, resolve, reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe
from wagtail.models import Locale, Page

from people.domain import invitations, search, sign_ins
from people.domain.access import actor_of, binds, require
from people.domain.sign_ins import why_closed
from people.forms import ChangePasswordForm, NewPasswordForm, SignInForm
from people.models import User
from people.sign_in import own_path

BACKEND = "people.sign_in.EmployeeNumberBackend"


# --- in and out ------------------------------------------------------------------------------------------------------


class SignIn(LoginView):
    """The one door with a password."""

    form_class = SignInForm
    template_name = "people/sign_in.html"
    redirect_authenticated_user = True

    def get_redirect_url(self):
        """Only a path of this site, and not the doors themselves (TRUST SC-24)."""
        path = own_path(self.request, self.request.POST.get("next") or self.request.GET.get("next"))
        doors = (reverse("people:sign_in"), reverse("people:sign_out"), "/invitation/")
        return "" if path.startswith(doors) else path

    def get_context_data(self, **kwargs):
        signed_out = "signed-out" in self.request.GET
        return super().get_context_data(signed_out=signed_out, **kwargs)


@login_not_required
@never_cache
def locked_out(request: HttpRequest, response=None, credentials=None) -> HttpResponse:
    """Too many wrong passwords: how long to wait, in words. The throttle puts this in place of the answer."""
    until = AxesProxyHandler.get_implementation().locked_until(request, credentials)
    seconds = max(1, math.ceil((until - timezone.now()).total_seconds())) if until else 60
    minutes = math.ceil(seconds / 60)
    wait = ngettext("Try again in about %(n)d minute.", "Try again in about %(n)d minutes.", minutes) % {"n": minutes}
    words = {"wait": wait, "next": own_path(request, request.POST.get("next"))}
    answer = render(request, "people/locked_out.html", words, status=429)
    answer["Retry-After"] = str(seconds)
    return answer


@login_not_required
@never_cache
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Ends the session and tells the browser to forget the pages it has seen (TRUST SC-08)."""
    logout(request)
    answer = redirect(reverse("people:sign_in") + "?signed-out")
    answer["Clear-Site-Data"] = '"cache", "storage"'
    return answer


@login_not_required
@never_cache
@sensitive_post_parameters()
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """A one-time link: shows whom it is for, takes a password, signs in. Looking at it uses nothing up."""
    now = timezone.now()
    answer = _invitation(request, token, now)
    # The address is the secret: it goes nowhere. (With "no-referrer" the browser would also hide where the form came
    # from, and the check against forged requests would refuse it.)
    answer["Referrer-Policy"] = "strict-origin"
    return answer


def _invitation(request, token, now):
    try:
        link = invitations.open_invitation(token=token, at=now)
        employee = link.employee
        user = employee.user or User(username=employee.employee_no, email=employee.email, first_name=employee.name)
        if not employee.user:
            user.last_name = employee.name_latin
        form = NewPasswordForm(request.POST or None, user=user)
        if request.method == "POST" and form.is_valid():
            user = invitations.accept_invitation(token=token, password=form.cleaned_data["password"], at=now)
            return _enter(request, user)
    except (invitations.LinkUnknown, invitations.LinkUsed, invitations.LinkExpired, invitations.HasLeft) as refusal:
        reason = type(refusal).__name__
        status = 404 if reason == "LinkUnknown" else 410
        return render(request, "people/link_over.html", {"reason": reason}, status=status)
    except invitations.NameTaken:
        form.add_error(None, _("Another sign-in bears this employee number. Ask an administrator to free it."))
    words = {"form": form, "link": link, "employee": employee, "recovery": bool(employee.user_id)}
    return render(request, "people/invitation.html", words, status=422 if form.errors else 200)


def _enter(request, user):
    """Sign in who has just set a password, if the gate lets the person in today."""
    if why_closed(user, timezone.localdate()):
        messages.success(request, _("Your password is set. You can sign in from your first day at work."))
        return redirect("people:sign_in")
    user.refresh_from_db()
    login(request, user, backend=BACKEND)
    messages.success(request, _("Your password is set and you are signed in."))
    return redirect(settings.LOGIN_REDIRECT_URL)


# --- one's own account -----------------------------------------------------------------------------------------------


@binds("PM-P06")
@never_cache
@require_safe
def account(request: HttpRequest) -> HttpResponse:
    return _account(request, ChangePasswordForm(user=request.user))


def _account(request, form, status=200):
    actor = actor_of(request)
    words = {"form": form, "employee": actor.employee, "grants": actor.grants, "is_manager": actor.is_manager}
    return render(request, "people/account.html", words, status=status)


@binds("PM-P06")
@never_cache
@sensitive_post_parameters()
@require_POST
def change_password(request: HttpRequest) -> HttpResponse:
    """A new password for oneself. Every other session ends; this one goes on under a new key."""
    form = ChangePasswordForm(request.POST, user=request.user)
    if not form.is_valid():
        return _account(request, form, status=422)
    sign_ins.set_password(user=request.user, password=form.cleaned_data["password"], by=request.user, at=timezone.now())
    update_session_auth_hash(request, request.user)
    messages.success(request, _("Your password is changed. You are signed out everywhere else."))
    return redirect("people:account")


@binds("PM-P06")
@require_POST
def end_other_sessions(request: HttpRequest) -> HttpResponse:
    """Signs the person out on every other device (TRUST SC-23)."""
    sign_ins.end_sessions_of(user=request.user, by=request.user, at=timezone.now())
    update_session_auth_hash(request, request.user)
    messages.success(request, _("You are signed out everywhere else."))
    return redirect("people:account")


@login_not_required
@require_POST
def set_language(request: HttpRequest) -> HttpResponse:
    """Remembers a language in this browser and with the user, and goes on where the person was, in that language."""
    language = request.POST.get("language", "")
    back = own_path(request, request.POST.get("next")) or "/"
    if language not in dict(settings.LANGUAGES):
        return redirect(back)
    if request.user.is_authenticated and request.user.language != language:
        User.objects.filter(pk=request.user.pk).update(language=language)
    answer = redirect(_in_language(request, back, language))
    answer.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=365 * 24 * 3600,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
    )
    return answer


def _in_language(request, path: str, language: str) -> str:
    """The same page in another language: a content page's translation if there is one, else the path as it is."""
    present = translation.get_language_from_path(path)
    if present is None:
        return path
    bare, _sign, query = path.partition("?")
    try:
        with translation.override(present):
            found = resolve(bare)
            page = Page.find_for_request(request, found.args[0]) if found.url_name == "wagtail_serve" else None
    except (Resolver404, Http404, Locale.DoesNotExist):
        page = None
    if page is None:
        return path
    try:
        twin = page.get_translation_or_none(Locale.objects.get(language_code=language))
    except Locale.DoesNotExist:
        twin = None
    if twin is None or not twin.live:
        return path
    return (twin.get_url(request) or path) + (f"?{query}" if query else "")


# --- finding people --------------------------------------------------------------------------------------------------


@binds("PM-H01")
@never_cache
@require_safe
def search_people(request: HttpRequest) -> HttpResponse:
    """At most 20 cards for what was typed: as a page, as a fragment for htmx, or as the options of a person field."""
    require(actor_of(request), "PM-H01")
    now = timezone.now()
    # A person field sends what was typed under its own name and says which name that is.
    text = request.GET.get("q") or request.GET.get(request.GET.get("from", ""), "")
    if text.strip():
        try:
            search.count_search(request.user.pk, int(now.timestamp() // 60))
        except search.SearchedTooOften:
            answer = render(request, "people/_hits.html", {"too_often": True}, status=429)
            answer["Retry-After"] = str(60 - int(now.timestamp()) % 60)
            return answer
    people = list(search.search_people(text))
    words = {"people": people, "text": text.strip(), "most": search.MOST_HITS}
    if request.GET.get("as") == "options":
        return render(request, "people/_options.html", words)
    return render(request, "people/_hits.html" if request.headers.get("HX-Request") else "people/search.html", words)
