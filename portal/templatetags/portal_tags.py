"""How the portal words days and amounts."""

from __future__ import annotations

import datetime as dt

from django import template
from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

register = template.Library()


@register.filter
def due_words(due_at: dt.datetime, at: dt.datetime) -> str:
    """``{{ enrolment.due_at|due_words:at }}``: "due today", "due on Friday", "due on 30 November"."""
    day, today = timezone.localdate(due_at), timezone.localdate(at)
    words = {"day": formats.date_format(day, "MONTH_DAY_FORMAT"), "weekday": formats.date_format(day, "l")}
    if at > due_at:
        return _("was due on %(day)s") % words
    if day == today:
        return _("due today")
    if day - today == dt.timedelta(days=1):
        return _("due tomorrow")
    if day - today <= dt.timedelta(days=6):
        return _("due on %(weekday)s, %(day)s") % words
    return _("due on %(day)s") % words


@register.filter
def days_ago(moment: dt.datetime | dt.date, at: dt.datetime) -> str:
    """``{{ moment|days_ago:at }}``: "today", "yesterday", "12 days ago"."""
    day = timezone.localdate(moment) if isinstance(moment, dt.datetime) else moment
    number = (timezone.localdate(at) - day).days
    if number <= 0:
        return _("today")
    if number == 1:
        return _("yesterday")
    return ngettext("%(n)d day ago", "%(n)d days ago", number) % {"n": number}


@register.filter
def in_language(notice, language: str) -> str:
    """The text of a notice in the language of the page."""
    return notice.text_en if (language or "").startswith("en") else notice.text_zh
