from django.core.management.base import BaseCommand

from courses.domain.tallies import recount
from courses.models import CourseRun


class Command(BaseCommand):
    help = "Recounts the running counts of every run that is not closed (or of all) and mends what differs."

    def add_arguments(self, parser):
        parser.add_argument("--all", action="store_true", help="closed runs too")

    def handle(self, *args, **options):
        runs = CourseRun.objects.select_related("course").exclude(state=CourseRun.State.PLANNED)
        if not options["all"]:
            runs = runs.exclude(state=CourseRun.State.CLOSED)
        number = 0
        for run in runs.order_by("month", "course__code"):
            differences = recount(run=run)
            number += len(differences)
            for difference in differences:
                self.stdout.write(f"{run}: unit {difference.unit_id}: {difference.kept} -> {difference.counted}")
        self.stdout.write(f"{number} difference{'' if number == 1 else 's'} in {runs.count()} runs")
