"""A bulletin on paper: A4, the same parts in the same order as on its page."""

from __future__ import annotations

from django.core.cache import cache
from django.template.loader import render_to_string
from django.utils import translation

from bulletins.domain.reading import reading_of
from bulletins.models import BulletinPage
from core.pdf import lay_out

KEPT_FOR = 7 * 24 * 3600


def bulletin_pdf(page: BulletinPage) -> bytes:
    """This function will return a bulletin as a PDF in the language of its page.

    Laying out takes a second or two and a published revision never changes, so its PDF is kept in the cache.
    """
    revision = page.live_revision_id if page.live else None
    key = f"bulletin-{page.pk}-{revision}-{page.edition_id}"
    made = cache.get(key) if revision else None
    if made is None:
        with translation.override(page.locale.language_code):
            made = lay_out(
                render_to_string("bulletins/sheet.html", {"page": page, "reading": reading_of(page), "on_paper": True}),
                cut_fonts=True,
            )
        if revision:
            cache.set(key, made, KEPT_FOR)
    return made
