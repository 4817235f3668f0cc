"""Computes a pay run again from what went into it and compares every byte."""

import sys

from django.core.management.base import BaseCommand, CommandError

from core.money import format_yuan
from kpi.domain.pay_proofs import prove
from kpi.models import PayRun


class Command(BaseCommand):
    help = "Compute a pay run again and compare every line, sum and hash. Exit code 1 when anything differs."

    def add_arguments(self, parser):
        parser.add_argument("code")

    def handle(self, *, code, **options):
        runs = PayRun.objects.select_related("cycle", "version__rule", "scope", "follows", "corrects")
        run = runs.filter(code=code).first()
        if run is None:
            raise CommandError(f"There is no pay run with the code {code}.")
        proof = prove(run)
        self.stdout.write(f"{run.code}: {run.lines_count} lines, {format_yuan(run.total_fen)} yuan, {run.state}")
        self.stdout.write(f"inputs {run.inputs_hash}")
        self.stdout.write(f"lines  {run.lines_hash}")
        for fault in proof.faults:
            self.stdout.write(fault)
        if not proof.is_sound:
            sys.exit(1)
        self.stdout.write("Computed again: the same bytes.")
