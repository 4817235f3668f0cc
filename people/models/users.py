"""The sign-in."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _


class User(AbstractUser):
    """A sign-in: name and password. What a person is in the company is the Employee record; a user may have none.

    ``session_epoch`` is part of every session: raising it ends all of them at the next request (TRUST MC-13).
    Django's staff and superuser flags give no right in this platform; Wagtail groups only open the content admin.
    """

    language = models.CharField(_("language"), max_length=10, blank=True)
    session_epoch = models.PositiveIntegerField(default=0)
    failed_sign_ins = models.PositiveIntegerField(default=0, editable=False)  # wrong passwords since the last right one

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")

    def __str__(self):
        return self.get_full_name() or self.username

    def _get_session_auth_hash(self, secret=None):
        hashed = super()._get_session_auth_hash(secret)  # type: ignore[misc]  # Django has it, its stubs do not
        return f"{hashed}.{self.session_epoch}"
