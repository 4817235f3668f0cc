"""What the page tells a person: a line with a link, read or not."""

from django.conf import settings
from django.db import models


class Notice(models.Model):
    """One line for one user, in both languages, written once by whoever caused it (core.notices.notify)."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notices")
    text_zh = models.CharField(max_length=300)
    text_en = models.CharField(max_length=300)
    url = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField()
    read_at = models.DateTimeField(null=True)
    key = models.CharField(max_length=100, blank=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            # The same cause tells the same person once, however often the work behind it is run.
            models.UniqueConstraint(fields=["user", "key"], condition=~models.Q(key=""), name="notice_once"),
        ]

    def __str__(self):
        return self.text_en
