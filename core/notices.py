"""Telling a person something in the page."""

import datetime as dt

from core.models import Notice


def notify(*, user, text_zh: str, text_en: str, at: dt.datetime, url: str = "", key: str = "") -> None:
    """This function will put one line in a user's notices, in both languages.

    ``key`` names the cause (``certificate-12``): the same cause tells the same user once. A person without a sign-in
    (``user`` is None) is told nothing.
    """
    if user is None:
        return
    if key:
        Notice.objects.get_or_create(
            user=user, key=key, defaults={"text_zh": text_zh, "text_en": text_en, "url": url, "created_at": at}
        )
    else:
        Notice.objects.create(user=user, text_zh=text_zh, text_en=text_en, url=url, created_at=at)
