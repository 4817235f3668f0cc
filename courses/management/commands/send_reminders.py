import datetime as dt

from django.core.management.base import BaseCommand
from django.utils import timezone

from core.messaging import deliver_all
from courses.domain import reminders


class Command(BaseCommand):
    help = "Tells today's reminders: one digest a person, figures to group chats, then sends what waits. Safe to run twice."

    def add_arguments(self, parser):
        parser.add_argument("--on", type=dt.date.fromisoformat, help="as if it were this day (YYYY-MM-DD)")
        parser.add_argument("--dry-run", action="store_true", help="only say who would be told, and change nothing")

    def handle(self, *args, on, dry_run, **options):
        at = timezone.now()
        on = on or timezone.localdate(at)
        if dry_run:
            found = reminders.preview(on=on, at=at)
            for line in found.lines:
                whom = "the manager, as they cannot sign in" if line.without_sign_in else line.step.to
                self.stdout.write(
                    f"due {line.due_on}, day {line.step.days:+d}: {line.people} people told of {line.duties} duties ({whom})"
                )
            self.stdout.write(
                f"{found.people} people and {len(found.chats)} group chats would be told; nothing was changed."
            )
            return
        report = reminders.send_reminders(on=on, at=at)
        self.stdout.write(
            f"{report.rows} steps reached, {report.people} people told ({report.mails} by mail), {report.chats} group chats"
        )
        done = deliver_all(at=at)
        self.stdout.write(f"{done.sent} messages sent, {done.failed} failed")
        if done.unreachable:
            self.stdout.write("The mail server does not answer: the mails wait, and the worker tries them again.")
