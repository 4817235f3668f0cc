"""Signing in: who a typed name means, how passwords are hashed, which are refused, and how fast one may guess."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import urlsplit

from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_failure_limit
from django.conf import settings
from django.contrib.auth import password_validation
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ValidationError
from django.db.models import Max, Sum
from django.http import HttpRequest
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_variables

from people.domain.queries import pinyin_of
from people.domain.sign_ins import MOST_FAILURES, count_failure, forget_failures, user_called, why_closed
from people.models import OrgUnit, RoleGrant, User


class Argon2Hasher(Argon2PasswordHasher):
    """Argon2id with 19 MiB, two passes, one lane: the OWASP minimum, a tenth of Django's default (TRUST SC-33)."""

    memory_cost = 19 * 1024
    time_cost = 2
    parallelism = 1


class EmployeeNumberBackend(ModelBackend):
    """Lets a person in by employee number, e-mail address or user name, and only through the gate (TRUST SC-39).

    The gate is asked again at every request of a session, because the session's user is loaded here: who is suspended,
    leaves or is locked is out at the next click.
    """

    @sensitive_variables("password")
    def authenticate(self, request, username=None, password=None, **kwargs):
        if username is None or password is None:
            return None
        user = user_called(plain_text(username))
        if user is None:
            User().set_password(password)  # an unknown name takes as long as a known one
            return None
        if not user.check_password(password):
            count_failure(user)
            return None
        if user.failed_sign_ins >= MOST_FAILURES or not self.user_can_authenticate(user):
            return None
        forget_failures(user)
        return user

    def user_can_authenticate(self, user):
        return why_closed(user, timezone.localdate()) is None

    def get_user(self, user_id):
        user = User.objects.select_related("employee__unit", "employee__position").filter(pk=user_id).first()
        return user if user and self.user_can_authenticate(user) else None


def plain_text(typed: str) -> str:
    """A typed name without spaces around it, full-width letters and digits made plain."""
    return unicodedata.normalize("NFKC", typed).strip()[:254]


# --- how fast one may guess ------------------------------------------------------------------------------------------


def throttled_name(request, credentials) -> str:
    """The account under which wrong passwords are counted: the same however the person is named."""
    typed = (credentials or {}).get("username") or request.POST.get("username") or ""
    names = request.__dict__.setdefault("_throttled_names", {})
    if typed not in names:
        user = user_called(plain_text(typed))
        names[typed] = user.username if user else plain_text(typed)
    return names[typed]


def pause_after(failures: int, limit: int) -> dt.timedelta:
    """How long to wait after so many wrong passwords: 1 minute at the limit, doubled by each more, up to an hour."""
    return dt.timedelta(minutes=min(2 ** max(failures - limit, 0), 60))


class GrowingPause(AxesDatabaseHandler):
    """Refuses an account at an address for a while that grows with every wrong password (TRUST SC-38).

    It never refuses a whole address: behind one may stand a whole branch.
    """

    def is_locked(self, request, credentials=None):
        return self.locked_until(request, credentials) is not None

    def locked_until(self, request, credentials=None) -> dt.datetime | None:
        limit = get_failure_limit(request, credentials)
        for attempts in self.get_user_attempts(request, credentials):
            seen = attempts.aggregate(failures=Sum("failures_since_start"), last=Max("attempt_time"))
            if (seen["failures"] or 0) >= limit:
                until = seen["last"] + pause_after(seen["failures"], limit)
                if until > (request.axes_attempt_time or timezone.now()):
                    return until
        return None


# --- which passwords are refused -------------------------------------------------------------------------------------


class MinimumLengthValidator(password_validation.MinimumLengthValidator):
    """Django's, in words of ours: its own sentence is missing from its Chinese catalogue."""

    def get_error_message(self):
        return ngettext(
            "The password is too short: it needs at least %(least)d character.",
            "The password is too short: it needs at least %(least)d characters.",
            self.min_length,
        ) % {"least": self.min_length}


class MaximumLengthValidator:
    """At most 256 characters: enough for any sentence, too little to keep the hasher busy (TRUST SC-30)."""

    most = 256

    def validate(self, password, user=None):
        if len(password) > self.most:
            raise ValidationError(self.get_help_text(), code="password_too_long")

    def get_help_text(self):
        return ngettext(
            "The password may have at most %(most)d character.",
            "The password may have at most %(most)d characters.",
            self.most,
        ) % {"most": self.most}


class RepetitionValidator:
    """Refuses one character or a short piece said over and over, and runs along the keyboard or the alphabet."""

    rows = ("12345678901234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm")

    def validate(self, password, user=None):
        text = password.casefold()
        steps = [a + b for a, b in zip(text, text[1:], strict=False)]
        along = sum(any(step in row or step[::-1] in row for row in self.rows) for step in steps)
        if re.fullmatch(r"(.{1,4}?)\1+.{0,3}", text, re.DOTALL) or (steps and along >= 0.7 * len(steps)):
            raise ValidationError(
                _("This password repeats itself or runs along the keyboard. Take words that only you put together."),
                code="password_repeats",
            )

    def get_help_text(self):
        return _("It may not be one piece repeated or a run along the keyboard.")


class OwnNameValidator:
    """Refuses a password with one's own name, number or address in it, or the company's name (TRUST SC-31).

    Names count as written, in Latin letters and in pinyin. ``words`` adds further words of the company.
    """

    def __init__(self, words=()):
        self.words = tuple(words)

    def validate(self, password, user=None):
        text = _letters(password)
        own = _words_of(user) if user else set()
        company = {*self.words}
        for name, name_en in OrgUnit.objects.filter(depth=1).values_list("name", "name_en"):
            company |= {name, name_en, _full_pinyin(name)}
        for word in own | company:
            word = _letters(word)
            # Two Chinese characters are a name, two Latin letters are in every sentence.
            if len(word) >= (2 if not word.isascii() else 4) and word in text:
                raise ValidationError(
                    _("Your name, your number and the company’s name must not be part of the password."),
                    code="password_has_own_name",
                )

    def get_help_text(self):
        return _("Your name, your number and the company’s name must not be part of it.")


def _letters(text: str) -> str:
    """Only the letters and digits, small and plain, so that ``Wang-Wei`` is found in ``wángwei`` and ``WANGWEI``."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(char for char in plain if char.isalnum())


def _full_pinyin(name: str) -> str:
    return pinyin_of(name).partition(" ")[0]


def _words_of(user: User) -> set[str]:
    names, addresses = {user.username, user.first_name, user.last_name}, {user.email}
    employee = getattr(user, "employee", None)
    if employee:
        names |= {employee.employee_no, employee.name, employee.name_latin, employee.mobile}
        addresses |= {employee.email}
    return names | {_full_pinyin(name) for name in names} | {address.partition("@")[0] for address in addresses}


# --- how long a session lasts (TRUST SC-21) ----------------------------------------------------------------------------
_DUTIES = {  # the roles that reach other people's records and pay across units
    RoleGrant.Role.HR,
    RoleGrant.Role.PAY_MAKER,
    RoleGrant.Role.PAY_CHECKER,
    RoleGrant.Role.AUDITOR,
    RoleGrant.Role.ADMIN,
}
_NOTE_EVERY = 60  # seconds; a session is not written at every request


def begin_session(session: SessionBase, *, grants: Iterable[RoleGrant], at: dt.datetime) -> None:
    """This function will say how long a new session may rest, and when it ends however much it is used.

    A change of roles ends every session (SC-22), so this stays true; one that ends with a day is the end of the session.
    """
    grants = list(grants)
    rest = settings.SESSION_REST_WITH_DUTY if _DUTIES & {grant.role for grant in grants} else settings.SESSION_REST
    session["rest"] = int(rest.total_seconds())
    session["used_at"] = int(at.timestamp())
    last_days = [grant.until for grant in grants if grant.until]
    ends = [timezone.make_aware(dt.datetime.combine(day + dt.timedelta(days=1), dt.time())) for day in last_days]
    session.set_expiry(min([at + dt.timedelta(seconds=settings.SESSION_COOKIE_AGE), *ends]))


def has_rested_too_long(session: SessionBase, *, at: dt.datetime) -> bool:
    """This function will say whether a session was unused for longer than it may be; if not, note that it is used now."""
    used, now = session.get("used_at"), int(at.timestamp())
    if used is None:
        return False
    if now - used > session["rest"]:
        return True
    if now - used >= _NOTE_EVERY:
        session["used_at"] = now
    return False


# --- back to where one was -------------------------------------------------------------------------------------------


def own_path(request: HttpRequest, address: str | None) -> str:
    """The path of an address if it lies on this site, else nothing (TRUST SC-24)."""
    if not address or not url_has_allowed_host_and_scheme(address, {request.get_host()}, request.is_secure()):
        return ""
    parts = urlsplit(address)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return path if path.startswith("/") and not path.startswith("//") else ""
