"""Bulletins: what was frozen for them (records), and the pages that tell it (content)."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from wagtail.admin.panels import FieldPanel
from wagtail.fields import StreamField
from wagtail.models import Page

from bulletins.blocks import HEADLINE, BulletinBody
from core.periods import Month
from courses.models import MonthClose
from people.models import OrgUnit


class Bulletin(models.Model):
    """The one bulletin of a closed month and a unit; its pages, one per language, carry its translation key."""

    close = models.ForeignKey(MonthClose, on_delete=models.PROTECT, related_name="bulletins")
    unit = models.ForeignKey(OrgUnit, on_delete=models.PROTECT, related_name="+")
    translation_key = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)

    class Meta:
        ordering = ["-close__month", "unit__path"]
        constraints = [models.UniqueConstraint(fields=["close", "unit"], name="one_bulletin_of_a_month_and_unit")]

    def __str__(self):
        return f"{self.close.month} {self.unit_id}"

    @property
    def month(self) -> Month:
        return self.close.month


class Edition(models.Model):
    """The figures of a bulletin as they were computed once, from which close, and when. Append-only.

    ``figures`` is what bulletins.domain.figures.gather returned; ``digest`` the SHA-256 of its canonical form;
    ``close_digest`` that of the month close; ``chain_sequence`` and ``chain_hash`` the link of the event chain
    ``months`` by which the month was closed. A page points at an edition, so neither editing nor an older revision of it can change a
    figure. Not a version of the text: that is a revision of the page.
    """

    bulletin = models.ForeignKey(Bulletin, on_delete=models.PROTECT, related_name="editions")
    level = models.CharField(max_length=12, choices=OrgUnit.Kind.choices)
    figures = models.JSONField()
    digest = models.CharField(max_length=64)
    close_digest = models.CharField(max_length=64)
    chain_sequence = models.PositiveBigIntegerField()
    chain_hash = models.CharField(max_length=64, blank=True)
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["bulletin", "pk"]
        constraints = [models.UniqueConstraint(fields=["bulletin", "digest"], name="edition_once")]

    def __str__(self):
        return f"{self.bulletin_id}: {self.digest[:12]}"


class BulletinIndexPage(Page):
    """The list of bulletins by month, in one language."""

    parent_page_types = ["portal.HomePage"]
    subpage_types = ["bulletins.BulletinPage"]
    max_count_per_parent = 1
    template = "bulletins/index_page.html"

    class Meta:
        verbose_name = _("bulletins")


class BulletinPage(Page):
    """A bulletin in one language: words that people edit, round figures that nobody can.

    Made by bulletins.domain.composing only, so the content admin does not offer to add or copy one. ``praise`` is plain
    text, never a record of a person (TRUST MC-22): a list of {"zh", "en", "unit_zh", "unit_en"}, the same in both
    languages, written by bulletins.domain.composing after each person's month was checked.
    """

    parent_page_types = ["bulletins.BulletinIndexPage"]
    subpage_types: list[str] = []
    template = "bulletins/bulletin_page.html"
    is_creatable = False

    edition = models.ForeignKey(Edition, on_delete=models.PROTECT, related_name="+")
    body = StreamField(BulletinBody(), verbose_name=_("content"))
    praise = models.JSONField(default=list, blank=True)

    content_panels = [*Page.content_panels, FieldPanel("body")]

    class Meta:
        verbose_name = _("bulletin")

    @property
    def headline(self) -> str:
        return next((str(block.value) for block in self.body if block.block_type == HEADLINE), "")

    def get_context(self, request, *args, **kwargs):
        from bulletins.domain.reading import reading_of

        return {**super().get_context(request, *args, **kwargs), "reading": reading_of(self)}
