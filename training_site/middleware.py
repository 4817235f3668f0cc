"""Headers on every response, the language a person chose, and what happens when somebody is no longer signed in."""

import logging
import re
import secrets
from ipaddress import IPv4Address, IPv6Address, ip_address

from csp.constants import SELF, UNSAFE_INLINE
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from people.domain.access import actor_of, require
from people.sign_in import has_rested_too_long

log = logging.getLogger(__name__)

CMS = "/cms/"
FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT")
WITH_PORT = re.compile(r"\[(?P<six>[0-9a-fA-F:.]+)\](?::\d+)?|(?P<four>\d+\.\d+\.\d+\.\d+):\d+")

# Nothing here needs a sensor, a payment or another page's frame. A film may fill the screen.
PERMISSIONS_POLICY = ", ".join(
    [
        "fullscreen=(self)",
        *(
            f"{feature}=()"
            for feature in (
                "accelerometer",
                "autoplay",
                "browsing-topics",
                "camera",
                "clipboard-read",
                "display-capture",
                "encrypted-media",
                "gamepad",
                "geolocation",
                "gyroscope",
                "hid",
                "identity-credentials-get",
                "idle-detection",
                "local-fonts",
                "magnetometer",
                "microphone",
                "midi",
                "otp-credentials",
                "payment",
                "picture-in-picture",
                "publickey-credentials-create",
                "publickey-credentials-get",
                "screen-wake-lock",
                "serial",
                "storage-access",
                "usb",
                "window-management",
                "xr-spatial-tracking",
            )
        ),
    ]
)


def in_cms(request) -> bool:
    """The content admin, or a page drawn for its preview: Wagtail makes that one under the address of the page."""
    return request.path_info.startswith(CMS) or getattr(request, "is_preview", False)


def parsed(address: str) -> IPv4Address | IPv6Address | None:
    """An address as a web server writes it, with or without a port; None for anything else."""
    address = address.strip()
    if match := WITH_PORT.fullmatch(address):
        address = match["six"] or match["four"]
    try:
        found = ip_address(address)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        if found.scope_id:
            return None
        return found.ipv4_mapped or found
    return found


class ClientAddress:
    """Whose request it is when a web server stands in front: the right-most hop that is not ours (TRUST SC-26).

    Each server adds to the right of X-Forwarded-For whom it heard from; what stands further left was written by the one
    who asks and may be invented. Nothing is believed of a peer that is not on the list: its words are taken off before
    anybody reads them. An empty peer is a socket of this machine.
    """

    most_warnings = 20

    def __init__(self, get_response):
        self.get_response = get_response
        self.warned: set[str] = set()

    def __call__(self, request):
        meta = request.META
        peer = meta.get("REMOTE_ADDR", "")
        if settings.BEHIND_PROXY and self.is_ours(peer):
            meta["REMOTE_ADDR"] = self.client(peer, meta.get("HTTP_X_FORWARDED_FOR", ""))
        else:
            found = [meta.pop(name, None) for name in FORWARDED]
            if settings.BEHIND_PROXY and any(found):
                self.warn(peer)
        return self.get_response(request)

    def is_ours(self, address: str) -> bool:
        if not address:
            return True
        found = parsed(address)
        return found is not None and any(found in network for network in settings.TRUSTED_PROXIES)

    def client(self, peer: str, forwarded: str) -> str:
        client = peer
        for hop in reversed(forwarded.split(",")):
            nearer = parsed(hop)
            if nearer is None:
                break
            client = str(nearer)
            if not self.is_ours(client):
                break
        return client

    def warn(self, peer: str) -> None:
        if peer not in self.warned and len(self.warned) < self.most_warnings:
            self.warned.add(peer)
            log.warning("%s sends X-Forwarded-… but is not among TRUSTED_PROXIES: it is not believed", peer)


class ResponseHeaders:
    """The outermost layer: gives every request a reference and every response, errors included, its headers."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.reference = secrets.token_hex(4).upper()
        # What fails before the language is known speaks the first language, not that of the request before.
        translation.activate(settings.LANGUAGE_CODE)
        response = self.get_response(request)
        headers = response.headers
        headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        headers.setdefault("X-Frame-Options", "DENY")
        headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        # Whatever is made for one person stays out of every cache. Pictures and static files set their own.
        headers.setdefault("Cache-Control", "no-store")
        if in_cms(request):
            headers["X-Frame-Options"] = "SAMEORIGIN"  # the editor shows a preview of the page in a frame of its own
        return response


class ContentSecurityPolicy(CSPMiddleware):
    """The strict policy of the settings everywhere; under the content admin what that one needs (TRUST SC-04)."""

    def get_policy_parts(self, request, response, report_only=False):
        parts = super().get_policy_parts(request, response, report_only)
        if not report_only and in_cms(request):
            parts.update = {
                "style-src-elem": [
                    SELF,
                    UNSAFE_INLINE,
                ],  # the text editor writes sheets of its own; scripts stay strict
                "img-src": ["blob:"],  # the picture just chosen, before it is uploaded
                "frame-src": [SELF],  # the preview beside the editor
                **(parts.update or {}),
            }
            parts.replace = {"frame-ancestors": [SELF], **(parts.replace or {})}
        return parts


class OwnForms:
    """Tells Django's check against forged requests that a form of a page that hides its address is ours.

    From a page with the policy "no-referrer" (the public check of a certificate) a browser says "null" for where a form
    comes from, and the check would refuse the language switch there. Its own word "same-origin", which no script and no
    other site can write, says it as well; the token is checked as always.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.headers.get("Origin") == "null" and request.headers.get("Sec-Fetch-Site") == "same-origin":
            request.META["HTTP_ORIGIN"] = f"{request.scheme}://{request.get_host()}"
        return self.get_response(request)


class RestingSessions:
    """Signs out whoever did nothing for a while (TRUST SC-21); what was typed meanwhile is kept by ``SignInRequired``."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if settings.SESSION_COOKIE_NAME in request.COOKIES and has_rested_too_long(request.session, at=timezone.now()):
            logout(request)
        return self.get_response(request)


class RememberedLanguage:
    """The language of a request.

    A content page speaks the language of its address. Elsewhere: the language chosen in this browser, the one kept with
    the user, what the browser asks for, Chinese.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        translation.activate(self.language(request))
        request.LANGUAGE_CODE = translation.get_language()
        response = self.get_response(request)
        response.headers.setdefault("Content-Language", translation.get_language() or settings.LANGUAGE_CODE)
        return response

    def language(self, request) -> str:
        return (
            translation.get_language_from_path(request.path_info)
            or _supported(request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME))
            or _supported(getattr(request.user, "language", ""))
            or translation.get_language_from_request(request)
        )


def _supported(language: str | None) -> str | None:
    if not language:
        return None
    try:
        return translation.get_supported_language_variant(language)
    except LookupError:
        return None


class SignInRequired(LoginRequiredMiddleware):
    """Every page needs a sign-in unless it says otherwise. Somebody whose session ended while typing loses nothing."""

    def process_view(self, request, view_func, view_args, view_kwargs):
        refused = super().process_view(request, view_func, view_args, view_kwargs)
        if refused is None and request.user.is_authenticated and request.path_info.startswith(CMS):
            # The groups of Wagtail say what an author may do there; whether one is an author today says our own table.
            require(actor_of(request), "PM-C09")
        return refused

    def handle_no_permission(self, request, view_func):
        if request.headers.get("HX-Request") or request.headers.get("Sec-Fetch-Dest") == "empty":
            # Asked for by a script: a sign-in page in the middle of a page helps nobody; the page says what happened.
            return HttpResponse(_("You are no longer signed in."), status=401, content_type="text/plain; charset=utf-8")
        if fields := kept_fields(request):
            return render(request, "401.html", {"fields": fields}, status=401)
        return super().handle_no_permission(request, view_func)


def kept_fields(request) -> list[tuple[str, str]]:
    """What somebody typed, to be sent once more by his own press.

    Only of a form of ours: the browser says where the form came from (Origin), and no other site can say it is us.
    Never passwords, never files.
    """
    if request.method != "POST" or request.headers.get("Origin") != f"{request.scheme}://{request.get_host()}":
        return []
    if request.FILES or any("password" in name for name in request.POST):
        return []
    return [(name, value) for name, values in request.POST.lists() if name != "csrfmiddlewaretoken" for value in values]
