"""The e-mails about signing in."""

from __future__ import annotations

import logging
from smtplib import SMTPException
from urllib.parse import urljoin

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from core.site import site_name
from people.models import Invitation

log = logging.getLogger(__name__)


def link_of(token: str) -> str:
    """The address of an invitation. The host is that of the settings, never of the request (TRUST SC-25)."""
    return urljoin(settings.WAGTAILADMIN_BASE_URL, reverse("people:invitation", args=[token]))


def send_links(made: list[tuple[Invitation, str]], *, recovery: bool = False) -> int:
    """Send each link to its person's address, in the person's language, over one connection.

    Returns how many were sent; who has no address is passed over. A mail server that fails is logged and not an error
    of the page: the link is there to be handed over.
    """
    messages = []
    for invitation, token in made:
        employee = invitation.employee
        if not employee.email:
            continue
        with translation.override(employee.language):
            subject = _("Set a new password") if recovery else _("Your sign-in to %(site)s") % {"site": site_name()}
            words = {"employee": employee, "invitation": invitation, "link": link_of(token), "recovery": recovery}
            body = render_to_string("people/mail/invitation.txt", words)
        messages.append(EmailMessage(subject, body, to=[employee.email]))
    if not messages:
        return 0
    try:
        return get_connection().send_messages(messages) or 0
    except (SMTPException, OSError):
        log.exception("%s invitations could not be sent by e-mail", len(messages))
        return 0
