from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from core.periods import Month
from courses.domain.month_plan import plan_lines
from courses.domain.opening import open_month, preview_run
from courses.models import CourseRun


class Command(BaseCommand):
    help = "Opens every course run that the plan has for a month. Safe to run twice."

    def add_arguments(self, parser):
        parser.add_argument("month", help="like 2026-11")
        parser.add_argument("--dry-run", action="store_true", help="say what would happen and change nothing")

    def handle(self, *args, **options):
        try:
            month = Month.parse(options["month"])
        except ValueError as error:
            raise CommandError(str(error)) from error
        at = timezone.now()
        if options["dry_run"]:
            self._preview(month, max(timezone.localdate(at), month.first_day))
            return
        report = open_month(month=month, by=None, at=at)
        for run in report.runs:
            self.stdout.write(
                f"{run.run.course.code} {month}: {'opened' if run.opened else 'open already'},"
                f" {run.assigned} assigned, {run.exempt} exempt, {run.waiting} next month"
            )
        for refusal in report.refused:
            self.stderr.write(f"{refusal.course.code} {month}: not opened ({type(refusal.problem).__name__})")
        if not report.runs and not report.refused:
            self.stdout.write(f"Nothing is planned for {month}.")

    def _preview(self, month, on):
        by_course: dict = {}
        for line in plan_lines(month=month).filter(opened_at=None):
            by_course.setdefault(line.course, []).append(line)
        for course, lines in by_course.items():
            run = CourseRun.objects.filter(course=course, month=month).first()
            counts = preview_run(course=course, month=month, run=run, lines=lines, on=on)
            self.stdout.write(
                f"{course.code} {month}: would assign {counts.enters},"
                f" exempt {counts.exempt}, {counts.waits} next month"
            )
        if not by_course:
            self.stdout.write(f"Nothing is left to open for {month}.")
