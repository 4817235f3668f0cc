from django.core.management.base import BaseCommand
from django.utils import timezone

from courses.domain.catching_up import catch_up
from courses.models import CourseRun


class Command(BaseCommand):
    help = "Brings every open run up to date with the roster: joiners, leave, movers, leavers. Safe to run twice."

    def handle(self, *args, **options):
        runs = CourseRun.objects.filter(state=CourseRun.State.OPEN).select_related("course")
        for run in runs.order_by("month", "course__code"):
            report = catch_up(run=run, by=None, at=timezone.now())
            self.stdout.write(
                f"{run}: {report.joined} joined, {report.waiting} next month, {report.exempted} exempt,"
                f" {report.moved} moved, {report.withdrawn} withdrawn, {report.returned} returned"
            )
