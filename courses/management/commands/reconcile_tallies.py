from django.core.management.base import BaseCommand
from django.utils import timezone

from courses.domain.reconciling import keep_report, reconcile, runs_to_count


class Command(BaseCommand):
    help = "Recounts the running counts of every run that is not closed (or of all) and mends what differs."

    def add_arguments(self, parser):
        parser.add_argument("--all", action="store_true", help="closed runs too")

    def handle(self, *args, **options):
        report = reconcile(runs=runs_to_count(closed=options["all"]), at=timezone.now())
        for place in report.places:
            self.stdout.write(f"{place['run']}: unit {place['unit']}: {place['kept']} -> {place['counted']}")
        if report.differences > len(report.places):
            self.stdout.write(f"and {report.differences - len(report.places)} more")
        self.stdout.write(
            f"{report.differences} difference{'' if report.differences == 1 else 's'} in {report.runs} runs"
        )
        if report.failed:
            self.stderr.write(f"{report.failed} runs could not be counted; the log says why")
        keep_report(report)
