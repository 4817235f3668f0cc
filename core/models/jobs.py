"""Long work that people watch: one row says what is done, how far it is and who runs it."""

from django.conf import settings
from django.core.files.storage import storages
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils.translation import gettext_lazy as _


def private_storage():
    """Where files that only a checked view may hand out are kept."""
    return storages["private"]


class Job(models.Model):
    """A piece of long work, done in chunks.

    The effect of a chunk and the ``cursor`` that says so are committed together, so a job that is stopped at any moment
    goes on where it was and does nothing twice. ``lease`` is the number of the run that owns the job: a worker takes
    the job by raising it in a conditional update, and a worker whose number is old finds that out at its next chunk.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        STOPPED = "stopped", _("stopped")

    kind = models.CharField(max_length=60)
    arguments = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    started = models.BooleanField(default=False)
    cursor = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    lease = models.PositiveIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True)
    stop_requested = models.BooleanField(default=False)
    finished_at = models.DateTimeField(null=True)
    result = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    error = models.TextField(blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    # what the job made: handed out only by a view that checks who asks
    file = models.FileField(upload_to="jobs/", storage=private_storage, null=True)

    class Meta:
        indexes = [models.Index(fields=["state", "heartbeat_at"], name="job_state")]

    def __str__(self):
        return f"{self.kind} #{self.pk} {self.state}"

    @property
    def ended(self) -> bool:
        return self.state in {self.State.DONE, self.State.FAILED, self.State.STOPPED}

    @property
    def percent(self) -> int:
        """How far it is, floored: 100 only when it is done."""
        if self.state == self.State.DONE:
            return 100
        return min(99, self.cursor * 100 // self.total) if self.total else 0
