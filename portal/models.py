"""Pages that show several subjects at once and belong to the content tree."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from wagtail.admin.panels import FieldPanel
from wagtail.fields import RichTextField
from wagtail.models import Page


class HomePage(Page):
    """The front door in one language: what this is, the news, the courses."""

    parent_page_types = ["wagtailcore.Page"]
    subpage_types = [
        "courses.CourseCataloguePage",
        "portal.NewsPage",
        "bulletins.BulletinIndexPage",
        "kpi.HonourWallPage",
    ]
    template = "portal/home_page.html"

    headline = models.CharField(_("headline"), max_length=120)
    lead = models.TextField(_("lead"), max_length=400, blank=True)
    body = RichTextField(_("text"), blank=True)

    content_panels = [*Page.content_panels, FieldPanel("headline"), FieldPanel("lead"), FieldPanel("body")]

    class Meta:
        verbose_name = _("home page")


class NewsPage(Page):
    """A piece of news."""

    parent_page_types = ["portal.HomePage"]
    subpage_types: list[str] = []
    template = "portal/news_page.html"

    published_on = models.DateField(_("date"))
    summary = models.CharField(_("summary"), max_length=300)
    body = RichTextField(_("text"))

    content_panels = [*Page.content_panels, FieldPanel("published_on"), FieldPanel("summary"), FieldPanel("body")]

    class Meta:
        verbose_name = _("news")
