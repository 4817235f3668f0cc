"""One roster file on its way into the platform, and what it changes."""

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from core.models import Job
from core.models.jobs import private_storage
from people.models.employees import Employee
from people.models.units import OrgUnit


class RosterImport(models.Model):
    """One uploaded roster: the file, how to read it, the counts, and where it stands.

    ``scope`` is the unit for which HR uploaded it: rows may only touch people and units in it or below; empty (only from
    the command line): the whole house. ``effective_on`` is the day from which moved people hold their new post.
    ``plan`` holds the units and positions the file needs made, with the ids already given out for them.
    ``fingerprint`` seals the data the check looked at: other data, another check. ``applied_to`` is the change up to
    which the import is applied (or undone): it moves in the transaction that applies them, so nothing is done twice.
    What may be done in which state is one table: people.domain.roster.ALLOWED.
    """

    class Mode(models.TextChoices):
        CHANGES = "changes", _("changes only")
        FULL = "full", _("full roster")

    class Missing(models.TextChoices):
        KEEP = "keep", _("keep as they are")
        SUSPEND = "suspend", _("suspend")
        LEFT = "left", _("mark as left")

    class State(models.TextChoices):
        UPLOADED = "uploaded", _("uploaded")
        CHECKED = "checked", pgettext_lazy("roster", "checked")
        UNREADABLE = "unreadable", _("unreadable")
        AWAITING_SECOND = "awaiting", _("awaiting a second person")
        APPLYING = "applying", _("being applied")
        APPLIED = "applied", pgettext_lazy("roster", "applied")
        UNDOING = "undoing", _("being undone")
        UNDONE = "undone", _("undone")
        DISCARDED = "discarded", _("discarded")

    scope = models.ForeignKey(OrgUnit, null=True, on_delete=models.PROTECT, related_name="+")
    file = models.FileField(upload_to="rosters/", storage=private_storage, null=True)
    file_name = models.CharField(max_length=255)
    file_hash = models.CharField(max_length=64, blank=True)
    mode = models.CharField(max_length=10, choices=Mode.choices, default=Mode.CHANGES)
    missing = models.CharField(max_length=10, choices=Missing.choices, default=Missing.KEEP)
    effective_on = models.DateField()
    all_or_nothing = models.BooleanField(default=False)  # one refused row blocks the others
    state = models.CharField(max_length=10, choices=State.choices, default=State.UPLOADED)
    counts = models.JSONField(default=dict)  # rows, new, changed, moved, left, unchanged, refused; people (before)
    notes = models.JSONField(
        default=list
    )  # what the reader should know: [{code, params}], worded by domain.roster_words
    problem = models.JSONField(null=True)  # why the file cannot be read at all: {code, params}
    sheet = models.CharField(max_length=100, blank=True)
    plan = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    fingerprint = models.CharField(max_length=64, blank=True)
    needs_second = models.BooleanField(default=False)  # so many would leave or move that a second person must agree
    applied_to = models.BigIntegerField(default=0)
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    uploaded_at = models.DateTimeField()
    checked_at = models.DateTimeField(null=True)
    confirmed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    confirmed_at = models.DateTimeField(null=True)
    applied_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    applied_at = models.DateTimeField(null=True)
    undone_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    undone_at = models.DateTimeField(null=True)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["-uploaded_at", "-pk"]
        constraints = [
            # The second person of the stop is another person (TRUST PM-I03).
            models.CheckConstraint(
                condition=Q(confirmed_by=None) | ~Q(confirmed_by=F("uploaded_by")), name="roster_second_person"
            ),
        ]

    def __str__(self):
        return f"{self.file_name} ({self.state})"


class RosterChange(models.Model):
    """One row of a roster that is not simply unchanged: what it does to a person, or why it is refused.

    ``before`` and ``after`` hold the values that differ; undo writes ``before`` back. Units, positions and managers are
    ids, and a new person's id is given out at the check (``employee`` then points at a record still to be made).
    ``after["post"]`` says what happens to the Placement. ``faults`` is a list of {column, value, code, params}; the
    problem and its cure are worded from the code in the language of the reader (people.domain.roster_words).
    """

    class Outcome(models.TextChoices):
        NEW = "new", pgettext_lazy("roster", "new")
        CHANGED = "changed", _("changed")
        MOVED = "moved", _("moved")
        LEFT = "left", _("left")
        REFUSED = "refused", _("refused")

    # Indexed by roster_change_outcome.
    roster = models.ForeignKey(RosterImport, on_delete=models.CASCADE, related_name="changes", db_index=False)
    sheet = models.CharField(max_length=100, blank=True)
    row = models.PositiveIntegerField(
        null=True
    )  # as the spreadsheet numbers it, the header being row 1; empty: missing from a full file
    employee_no = models.CharField(max_length=200, blank=True)
    name = models.CharField(max_length=200, blank=True)
    employee = models.ForeignKey(Employee, null=True, on_delete=models.SET_NULL, related_name="+", db_constraint=False)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    before = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    after = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    faults = models.JSONField(null=True)

    class Meta:
        ordering = ["roster", "row", "pk"]
        indexes = [models.Index(fields=["roster", "outcome", "row"], name="roster_change_outcome")]

    def __str__(self):
        return f"{self.roster_id} row {self.row}: {self.outcome}"
