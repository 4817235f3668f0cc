from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from core.periods import Month
from courses.domain.preparing import RunBegun, prepare_month
from courses.tasks import BATCH


class Command(BaseCommand):
    help = (
        "Enrols the people of a month's published plan ahead; nobody sees it before the month opens. Safe to run twice."
    )

    def add_arguments(self, parser):
        parser.add_argument("month", help="like 2026-12")

    def handle(self, *args, **options):
        try:
            month = Month.parse(options["month"])
        except ValueError as error:
            raise CommandError(str(error)) from error
        try:
            report = prepare_month(month=month, by=None, at=timezone.now(), batch=BATCH)
        except RunBegun as error:
            raise CommandError(f"{month} has begun: use open_month.") from error
        for run in report.runs:
            self.stdout.write(
                f"{run.run.course.code} {month}: {run.people} enrolled ahead, {run.exempt} of them exempt;"
                f" now {run.enrolled + run.returned} came in, {run.withdrawn} dropped out, {run.moved} moved"
            )
        for refusal in report.refused:
            self.stderr.write(f"{refusal.course.code} {month}: not prepared ({type(refusal.problem).__name__})")
        if not report.runs and not report.refused:
            self.stdout.write(f"Nothing is left to prepare for {month}.")
