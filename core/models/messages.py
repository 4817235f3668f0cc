"""Messages that leave the house: what was to be said to whom, by which channel, and how that fared."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Robot(models.Model):
    """The robot of a group chat: an address to which figures are posted. Kept by an administrator only.

    Its host must stand on the allow-list of the settings (ROBOT_HOSTS), when it is saved and when something is sent.
    """

    class Kind(models.TextChoices):
        WECOM = "wecom", _("WeCom")
        DINGTALK = "dingtalk", _("DingTalk")
        FEISHU = "feishu", _("Feishu")

    name = models.CharField(pgettext_lazy("of a thing", "name"), max_length=100)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    url = models.CharField(_("address"), max_length=500)
    secret = models.CharField(_("secret for signing"), max_length=200, blank=True)
    active = models.BooleanField(pgettext_lazy("robot", "active"), default=True)

    class Meta:
        ordering = ["name", "pk"]

    def __str__(self):
        return self.name


class Message(models.Model):
    """One message to one receiver by one channel: the log that says what became of it.

    ``key`` names the cause and the day: the same cause sends once. A message waits until ``not_before`` (quiet hours,
    or the next try), is taken by a conditional update, and ends as sent, failed (given up after several tries) or
    dropped (no longer needed). ``reference`` points to what it is about, for the pages that list messages.
    While it is being sent ``not_before`` is the moment from which another worker may take it over. ``quiet_from`` …
    ``quiet_until`` are hours of the day in which it is held back, whatever delayed it until then. ``text_other`` is the
    text in the other language: a page keeps both, because its reader may switch. Work with it through core.messaging.
    """

    class Channel(models.TextChoices):
        PAGE = "page", _("in the page")
        MAIL = "mail", _("by e-mail")
        ROBOT = "robot", _("in a group chat")

    class State(models.TextChoices):
        WAITING = "waiting", pgettext_lazy("message", "waiting")
        SENDING = "sending", pgettext_lazy("message", "being sent")
        SENT = "sent", pgettext_lazy("message", "sent")
        FAILED = "failed", pgettext_lazy("message", "failed")
        DROPPED = "dropped", pgettext_lazy("message", "dropped")

    key = models.CharField(max_length=120)
    channel = models.CharField(max_length=6, choices=Channel.choices)
    kind = models.CharField(max_length=40)  # the cause in one word: reminder, nudge, extension …
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    robot = models.ForeignKey(Robot, null=True, on_delete=models.SET_NULL, related_name="messages")
    address = models.CharField(max_length=254, blank=True)
    language = models.CharField(max_length=10, default="zh-hans")
    subject = models.CharField(max_length=200)
    text = models.TextField()
    text_other = models.TextField(blank=True)
    url = models.CharField(max_length=300, blank=True)
    reference = models.CharField(max_length=60, blank=True)
    created_at = models.DateTimeField()
    not_before = models.DateTimeField()
    quiet_from = models.TimeField(null=True)
    quiet_until = models.TimeField(null=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    tries = models.PositiveSmallIntegerField(default=0)
    outcome = models.CharField(max_length=300, blank=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["key", "channel", "user"], condition=~Q(user=None), name="message_once"),
            models.UniqueConstraint(fields=["key", "robot"], condition=~Q(robot=None), name="message_once_to_robot"),
            # A person or a robot, never both.
            models.CheckConstraint(
                condition=Q(channel="robot", user=None) | (~Q(channel="robot") & Q(user__isnull=False, robot=None)),
                name="message_has_one_receiver",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "not_before"], name="message_waiting"),
            models.Index(fields=["reference"], name="message_reference"),
        ]

    def __str__(self):
        return f"{self.channel} {self.key} {self.state}"
