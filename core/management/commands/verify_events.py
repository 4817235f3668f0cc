"""Recomputes the event chains and names the first bad row; then what the chains keep a digest of."""

import sys

from django.core.management.base import BaseCommand

from core.events import SEALED, chain_names, verify_chain


class Command(BaseCommand):
    help = (
        "Check every chain of events (or the named ones), and what was sealed in them, such as closed months. "
        "Exit code 1 when a row was changed, removed or slipped in."
    )

    def add_arguments(self, parser):
        parser.add_argument("chains", nargs="*")

    def handle(self, *, chains, **options):
        sound = True
        for chain in chains or chain_names():
            count, fault = verify_chain(chain)
            if fault:
                sound = False
                self.stdout.write(f"{chain}: row {fault.sequence} {fault.what} ({count} rows before it are sound)")
            else:
                self.stdout.write(f"{chain}: {count} rows, sound")
        for what, holds in (pair for check in ([] if chains else SEALED) for pair in check()):
            sound = sound and holds
            self.stdout.write(f"{what}: {'sound' if holds else 'does not match what was sealed'}")
        if not sound:
            sys.exit(1)
