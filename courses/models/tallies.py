"""Running counts by run and unit: what pages read instead of counting."""

from django.db import models
from django.db.models import F, Q

from courses.models.runs import CourseRun
from people.models import OrgUnit


class Tally(models.Model):
    """How many duties of a run count in a unit or anywhere below it.

    Kept for every level of the tree by courses.domain.tallies, in the transaction that changes an enrolment, so a page
    of any unit reads one row. ``assigned`` is the denominator (exempt and withdrawn are beside it, not in it);
    ``completed`` = on time + late. ``voluntary`` counts courses taken by choice, ``voluntary_done`` those completed.
    """

    run = models.ForeignKey(CourseRun, on_delete=models.CASCADE, related_name="tallies")
    unit = models.ForeignKey(OrgUnit, on_delete=models.CASCADE, related_name="tallies")
    assigned = models.IntegerField(default=0)
    started = models.IntegerField(default=0)  # in progress or completed
    completed = models.IntegerField(default=0)
    on_time = models.IntegerField(default=0)
    exempt = models.IntegerField(default=0)
    withdrawn = models.IntegerField(default=0)
    voluntary = models.IntegerField(default=0)
    voluntary_done = models.IntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "unit"], name="tally_once"),
            models.CheckConstraint(
                condition=Q(
                    on_time__gte=0, completed__gte=F("on_time"), started__gte=F("completed"), assigned__gte=F("started")
                )
                & Q(exempt__gte=0, withdrawn__gte=0, voluntary_done__gte=0, voluntary__gte=F("voluntary_done")),
                name="tally_adds_up",
            ),
        ]

    def __str__(self):
        return f"{self.run_id}/{self.unit_id}: {self.completed} of {self.assigned}"

    @property
    def late(self) -> int:
        return self.completed - self.on_time

    @property
    def open(self) -> int:
        return self.assigned - self.completed
