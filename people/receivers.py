"""What happens here when Django says that somebody signed in."""

import datetime as dt

from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.utils import timezone

from people.domain.roles import grants_in_force, sync_groups


@receiver(user_logged_in)
def follow_the_roles(sender, request, user, **kwargs):
    """A role that ran out opens no content admin: neither at this sign-in nor in a session that lasts past midnight."""
    today = timezone.localdate()
    sync_groups(user, today)
    last_days = [grant.until for grant in grants_in_force(today).filter(user=user) if grant.until]
    if last_days:
        over = timezone.make_aware(dt.datetime.combine(min(last_days) + dt.timedelta(days=1), dt.time()))
        left = int((over - timezone.now()).total_seconds())
        if left < settings.SESSION_COOKIE_AGE:
            request.session.set_expiry(left)
