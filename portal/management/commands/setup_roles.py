"""Make the languages, the content tree and the authors' permissions of a new house."""

from django.core.management.base import BaseCommand

from portal.house import set_up_house


class Command(BaseCommand):
    help = (
        "Makes the languages, the home and catalogue pages and the authors' groups and permissions. Safe to run again."
    )

    def handle(self, *args, **options):
        site = set_up_house()
        if options["verbosity"] > 0:
            self.stdout.write(f"The house is set up: {site.root_page.specific.headline}")
