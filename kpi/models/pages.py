"""The one page of the content tree that belongs to this app. It holds words; the awards on it are looked up when it is read."""

from django.utils.translation import gettext_lazy as _
from wagtail.admin.panels import FieldPanel
from wagtail.fields import RichTextField
from wagtail.models import Page


class HonourWallPage(Page):
    """The wall of fame in one language: an introduction; below it hangs what was granted (never part of the page)."""

    parent_page_types = ["portal.HomePage"]
    subpage_types: list[str] = []
    max_count_per_parent = 1
    template = "kpi/recognition_wall.html"

    intro = RichTextField(_("introduction"), blank=True, features=["bold", "italic", "link"])

    content_panels = [*Page.content_panels, FieldPanel("intro")]

    class Meta:
        verbose_name = _("wall of fame")
