"""What happens here when Django says that somebody signed in."""

from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.utils import timezone

from people.domain.roles import grants_in_force, sync_groups
from people.sign_in import begin_session


@receiver(user_logged_in)
def follow_the_roles(sender, request, user, **kwargs):
    """A role that ran out opens no content admin: neither at this sign-in nor in a session that lasts past midnight."""
    today = timezone.localdate()
    sync_groups(user, today)
    begin_session(request.session, grants=grants_in_force(today).filter(user=user), at=timezone.now())
