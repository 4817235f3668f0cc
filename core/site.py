"""What this site is called."""

from django.conf import settings
from django.utils.translation import get_language


def site_name() -> str:
    """The name of the site in the language of the moment, as the house gave it (SITE_NAME, SITE_NAME_EN)."""
    return settings.SITE_NAME_EN if (get_language() or "").startswith("en") else settings.SITE_NAME
