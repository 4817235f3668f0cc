from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from core.periods import Month
from kpi.domain import collecting


class Command(BaseCommand):
    help = (
        "Measures training completion and assessment results of closed months: those named, else the newest ones and"
        " those never measured. Safe to run twice."
    )

    def add_arguments(self, parser):
        parser.add_argument("months", nargs="*", metavar="2026-10")

    def handle(self, *args, months, **options):
        at = timezone.now()
        try:
            chosen = [Month.parse(text) for text in months] or collecting.months_to_collect(at=at)
            for month in chosen:
                done = collecting.collect_month(month=month, by=None, at=at)
                self.stdout.write(f"{month}: {done.new} new, {done.corrected} corrected, {done.unchanged} unchanged.")
        except ValueError as error:
            raise CommandError(str(error))
        except collecting.MonthNotClosed as error:
            raise CommandError(f"{error} is not closed; close it first (manage.py close_month {error}).")
        except collecting.NoIndicator:
            raise CommandError("No indicator in use takes its values from training or from assessments.")
        if not chosen:
            self.stdout.write("No month is closed yet.")
