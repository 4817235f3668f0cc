"""What people ask about their duties, and what HR has to settle."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from courses.models.enrolments import Enrolment
from courses.models.runs import CourseRun
from people.models import Employee


class DutyRequest(models.Model):
    """An employee asks for a later due day or to be exempt; the manager or HR decides; both stay in the record.

    HR alone exempts: there a manager may say what he thinks, the ``advice``. The newest stands here; the event chain
    keeps what was said before.
    """

    class Kind(models.TextChoices):
        EXTENSION = "extension", _("later due day")
        EXEMPTION = "exemption", _("exemption")

    class Code(models.TextChoices):
        """Why: the same codes for what is asked and for what is decided without being asked."""

        LEAVE = "leave", pgettext_lazy("reason", "leave for a part of the month")
        SICK = "sick", pgettext_lazy("reason", "unable to work")
        WORKLOAD = "workload", pgettext_lazy("reason", "urgent work")
        SECONDED = "seconded", pgettext_lazy("reason", "seconded elsewhere")
        TECHNICAL = "technical", pgettext_lazy("reason", "technical trouble")
        NOT_RELEVANT = "not_relevant", pgettext_lazy("reason", "not part of the job")
        OTHER = "other", pgettext_lazy("reason", "another reason")

    class State(models.TextChoices):
        ASKED = "asked", pgettext_lazy("request", "waiting for an answer")
        GRANTED = "granted", pgettext_lazy("request", "granted")
        REFUSED = "refused", pgettext_lazy("request", "refused")
        TAKEN_BACK = "taken_back", pgettext_lazy("request", "taken back")
        LAPSED = "lapsed", pgettext_lazy("request", "lapsed")  # the duty was done or fell away before an answer

    class Advice(models.TextChoices):
        SUPPORTED = "supported", pgettext_lazy("advice", "supported")
        NOT_SUPPORTED = "not_supported", pgettext_lazy("advice", "not supported")

    enrolment = models.ForeignKey(Enrolment, on_delete=models.PROTECT, related_name="requests")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    code = models.CharField(max_length=12, choices=Code.choices)
    text = models.CharField(max_length=300)
    until = models.DateField(null=True)  # the due day that is asked for; the one granted stands on the enrolment
    state = models.CharField(max_length=10, choices=State.choices, default=State.ASKED)
    asked_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    answer = models.CharField(max_length=300, blank=True)
    advice = models.CharField(max_length=13, choices=Advice.choices, blank=True)
    advice_text = models.CharField(max_length=300, blank=True)
    advised_at = models.DateTimeField(null=True)
    advised_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["-asked_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["enrolment"], condition=Q(state="asked"), name="one_open_request_of_a_duty"
            ),
            models.CheckConstraint(
                condition=Q(kind="extension", until__isnull=False) | Q(kind="exemption", until=None),
                name="extension_has_a_day",
            ),
            # Of an extension the manager decides himself; advice says who gave it and when, or there is none.
            models.CheckConstraint(
                condition=Q(advice="", advice_text="", advised_at=None, advised_by=None)
                | Q(kind="exemption", advised_at__isnull=False, advised_by__isnull=False) & ~Q(advice=""),
                name="advice_on_an_exemption_is_whole",
            ),
        ]

    def __str__(self):
        return f"{self.enrolment_id} {self.kind} {self.state}"


class Matter(models.Model):
    """Something about a person's duty that no agreed rule settles: put before HR with a proposed answer.

    Found by courses.domain.matters and known by its ``key``, so looking again finds the same matter. ``data`` holds what
    was seen and what the proposal needs (days, numbers, ids), by kind.
    """

    class Kind(models.TextChoices):
        LATE_JOINER = "late_joiner", _("joined too late for this month")
        LONG_LEAVE = "long_leave", _("away for most of the month")
        LEFT_AUDIENCE = "left_audience", _("moved out of the audience")
        LEAVER = "leaver", _("left with an unfinished duty")
        DUPLICATE = "duplicate", _("two records that may be one person")
        IMPOSSIBLE_DATE = "impossible_date", _("dates that cannot be right")

    class Proposal(models.TextChoices):
        ENROL = "enrol", _("give the duty now")
        NEXT_MONTH = "next_month", _("leave it for next month")
        EXTEND = "extend", _("move the due day")
        EXEMPT = "exempt", _("exempt")
        WITHDRAW = "withdraw", _("withdraw the duty")
        KEEP = "keep", _("leave it as it is")
        CORRECT = "correct", _("correct the record")

    class State(models.TextChoices):
        OPEN = "open", pgettext_lazy("matter", "open")
        SETTLED = "settled", pgettext_lazy("matter", "settled")
        GONE = "gone", pgettext_lazy("matter", "no longer there")  # looked again, and it was so no more

    key = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    employee = models.ForeignKey(Employee, on_delete=models.CASCADE, related_name="matters")
    run = models.ForeignKey(CourseRun, null=True, on_delete=models.CASCADE, related_name="+")
    enrolment = models.ForeignKey(Enrolment, null=True, on_delete=models.CASCADE, related_name="+")
    data = models.JSONField(default=dict)
    proposal = models.CharField(max_length=12, choices=Proposal.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    found_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)
    settled_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    settled_as = models.CharField(max_length=12, choices=Proposal.choices, blank=True)
    answer = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["found_at", "pk"]
        indexes = [models.Index(fields=["state", "employee"], name="matter_state")]

    def __str__(self):
        return f"{self.key} {self.state}"
