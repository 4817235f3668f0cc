from django.core.management.base import BaseCommand
from django.utils import timezone

from courses.domain.matters import find_matters
from courses.domain.requests import lapse_requests


class Command(BaseCommand):
    help = (
        "Looks for what HR has to settle about duties (late joiners, long leave, moved, left, duplicates, impossible"
        " dates) and ends requests that need no answer any more. Safe to run twice."
    )

    def handle(self, *args, **options):
        at = timezone.now()
        lapsed = lapse_requests(at=at)
        look = find_matters(at=at)
        self.stdout.write(
            f"{look.found} found, {look.back} open again, {look.gone} gone; {look.open} open. {lapsed} requests lapsed."
        )
