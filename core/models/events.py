"""The event chain: what was done, to what, by whom and why, sealed so that a later change is found."""

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models


class ChainHead(models.Model):
    """The newest link of one chain. Its row is the lock under which the next link is added (TRUST AU-04)."""

    chain = models.CharField(max_length=40, primary_key=True)
    sequence = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="")

    def __str__(self):
        return f"{self.chain} #{self.sequence}"


class Event(models.Model):
    """One change of state of one subject. Added in the transaction that makes the change; never edited or deleted.

    ``hash`` is the HMAC-SHA-256 (key: EVENT_CHAIN_KEY) of the previous hash and the canonical form of this row, so an
    edit, a deletion, an insertion or a swap breaks the chain at that row. Write through core.events.record_event.
    """

    chain = models.CharField(max_length=40)
    sequence = models.PositiveBigIntegerField()
    at = models.DateTimeField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    action = models.CharField(max_length=60)
    subject_type = models.CharField(max_length=60)
    subject_id = models.CharField(max_length=60)
    before = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    after = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    reason = models.TextField(blank=True)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["chain", "sequence"]
        constraints = [
            # A chain has no two links of one number: two writers cannot both extend the same head.
            models.UniqueConstraint(fields=["chain", "sequence"], name="event_sequence_once"),
        ]
        indexes = [models.Index(fields=["subject_type", "subject_id"], name="event_subject")]

    def __str__(self):
        return f"{self.chain} #{self.sequence} {self.action}"
