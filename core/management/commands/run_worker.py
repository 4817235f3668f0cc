"""Does the long work and the work by the clock, until it is told to stop (SIGTERM, Ctrl-C)."""

import signal
import threading
import time

from django.core.management.base import BaseCommand
from django.db import close_old_connections
from django.utils import timezone

from core.jobs import PERIODIC, log, next_job, run_job


class Command(BaseCommand):
    help = "Run the jobs that wait and the work by the clock. Several may run at once."

    def add_arguments(self, parser):
        parser.add_argument("--once", action="store_true", help="do what is there, then leave")

    def handle(self, *, once, **options):
        stop = threading.Event()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: stop.set())
            signal.signal(signal.SIGINT, lambda *_: stop.set())
        last = {function: -float("inf") for _period, function in PERIODIC}
        while not stop.is_set():
            close_old_connections()
            for period, function in PERIODIC:
                if time.monotonic() - last[function] >= period.total_seconds():
                    last[function] = time.monotonic()
                    try:
                        function(timezone.now())
                    except Exception:
                        log.exception("%s failed; it is tried again later", function.__name__)
            job_id = next_job(timezone.now())
            if job_id is not None:
                run_job(job_id)
            elif once:
                return
            else:
                stop.wait(0.5)
