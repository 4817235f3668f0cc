"""What stands in for a mail server where there is none."""

import logging

from django.core.mail.backends.base import BaseEmailBackend

log = logging.getLogger(__name__)


class NoMail(BaseEmailBackend):
    """Sends nothing and says so: no page may claim that a link is on its way by e-mail."""

    def send_messages(self, email_messages):
        log.warning("no mail server is set up (EMAIL_HOST=none): messages not sent: %s", len(email_messages))
        return 0
