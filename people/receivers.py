"""What happens here when Django says that somebody signed in."""

from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.utils import timezone

from people.domain.roles import sync_groups


@receiver(user_logged_in)
def follow_the_roles(sender, user, **kwargs):
    """A role that ran out since the last sign-in opens no content admin."""
    sync_groups(user, timezone.localdate())
