"""manage.py submit_expired_attempts: what the worker does every 30 seconds, by hand. Safe to run twice."""

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from assessments.domain.attempts import expire_due_attempts


class Command(BaseCommand):
    help = "Submits the quiz attempts whose time is up."

    def handle(self, *args, **options):
        submitted, failed = expire_due_attempts(at=timezone.now())
        self.stdout.write(f"submitted: {submitted}")
        if failed:
            raise CommandError(f"{failed} attempts could not be submitted; the log says why")
