"""Compiles every catalogue of the project, without needing gettext installed."""

import os
from pathlib import Path

import polib
from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Compile the translations (.po to .mo)."
    requires_system_checks = []

    def handle(self, **options):
        for source in sorted(Path(settings.BASE_DIR).glob("*/locale/*/LC_MESSAGES/django.po")):
            # written beside it and moved: a server that starts at this moment must not read half a file
            made = source.with_suffix(f".mo.{os.getpid()}")
            polib.pofile(str(source)).save_as_mofile(str(made))
            made.replace(source.with_suffix(".mo"))
