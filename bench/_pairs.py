"""Shared by the measurements: two things timed beside each other, and the row of the table that says how they compare.

Numbers of one machine on one day prove little, so every measurement is a ratio: the baseline and ours in turns, A B A B …, in
one run, and the median of the ratios of the pairs. A script looks like this:

    import _pairs

    _pairs.site()                                   # a database of its own; Django is set up after this line
    from people.domain...                           # so these come after it

    def main(full: bool) -> None:
        timed = _pairs.pairs(baseline, ours, n=5)   # callables; each returns nothing, or the seconds it measured itself
        _pairs.row("A2", "first import, 10,000 rows", timed, goal="<= 1/60")

    if __name__ == "__main__":
        _pairs.run(main)

``bin/bench`` runs every bench/NAME.py on SQLite and on PostgreSQL; a script that measures no database says so in a line
``DATABASES = ("sqlite",)``. A file whose name begins with an underscore is not a measurement.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import json
import operator
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MEASURES = {"<=": operator.le, ">=": operator.ge, "=": operator.eq}


@dataclass(frozen=True)
class Pairs:
    """What was measured: seconds of each run of the baseline and of ours, in the order of the pairs."""

    baseline: list[float]
    ours: list[float]

    @property
    def ratios(self) -> list[float]:
        """Ours ÷ baseline, pair by pair."""
        return [mine / theirs for theirs, mine in zip(self.baseline, self.ours, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the ratios of the pairs: the number that counts."""
        return statistics.median(self.ratios)

    @property
    def baseline_s(self) -> float:
        return statistics.median(self.baseline)

    @property
    def ours_s(self) -> float:
        return statistics.median(self.ours)


def pairs(
    baseline: Callable[[], float | None],
    ours: Callable[[], float | None],
    n: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> Pairs:
    """Run both in turns, ``n`` times each. ``clock=time.process_time`` measures the processor instead of the wall.

    A callable that prepares something first returns the seconds of what counts; otherwise the whole call is timed.
    """
    measured: tuple[list[float], list[float]] = ([], [])
    for _turn in range(n):
        for function, seconds in ((baseline, measured[0]), (ours, measured[1])):
            gc.collect()
            start = clock()
            own = function()
            seconds.append(own if isinstance(own, float) else clock() - start)
    return Pairs(*measured)


def readable(value: float | str) -> str:
    """Seconds as s, ms or µs; a text as it is."""
    if isinstance(value, str):
        return value
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} s"


def row(
    goal_id: str,
    what: str,
    timed: Pairs | None = None,
    *,
    goal: str,
    baseline: float | str | None = None,
    ours: float | str | None = None,
    ratio: float | None = None,
) -> bool:
    """Print one row of the table, and hand it to bin/bench. Returns whether the goal is met.

    ``goal`` is a measure and a number, "<= 0.01", "<= 1/60", ">= 40", "= 0", of the ratio ours ÷ baseline. With
    ``timed`` the other three are taken from it; a measurement of something else than time (bytes, queries) gives them
    itself, seconds as numbers, anything else as finished text ("48 kB").
    """
    if timed is not None:
        baseline = timed.baseline_s if baseline is None else baseline
        ours = timed.ours_s if ours is None else ours
        ratio = timed.ratio if ratio is None else ratio
    measure, limit = goal.split()
    met = MEASURES[measure](ratio, float(Fraction(limit)))
    line = {
        "goal": goal_id,
        "what": what,
        "database": database(),
        "baseline": readable(baseline if baseline is not None else ""),
        "ours": readable(ours if ours is not None else ""),
        "ratio": f"{ratio:.3g}",
        "wanted": goal,
        "met": met,
    }
    spread = f" ({min(timed.ratios):.3g} to {max(timed.ratios):.3g})" if timed else ""
    print(
        f"{goal_id:4} {what}: {line['baseline']} -> {line['ours']}, ratio {line['ratio']}{spread}, "
        f"goal {goal}: {'met' if met else 'NOT MET'}",
        flush=True,
    )
    if os.environ.get("BENCH_ROWS"):
        with Path(os.environ["BENCH_ROWS"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return met


def database() -> str:
    """The word for the database in the table."""
    return "PostgreSQL" if os.environ.get("DATABASE_URL", "").startswith("postgres") else "SQLite"


def site(**environment: str) -> Path:
    """Set Django up on an empty, migrated database of its own, and return the folder that holds its files.

    DATABASE_URL chooses PostgreSQL; the database it names must be empty or one that an earlier measurement used, and is
    emptied. The folder and the SQLite file in it are deleted at the end. ``environment`` sets further variables.
    """
    sys.path.insert(0, str(ROOT))
    folder = Path(tempfile.mkdtemp(prefix="training-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a run that is ended tidies up too
    os.environ.update({"VAR_DIR": str(folder), "MEDIA_ROOT": str(folder / "media"), **environment})
    os.environ["DJANGO_SETTINGS_MODULE"] = "training_site.settings.test"
    import django

    django.setup()
    from django.core.management import call_command

    if database() == "PostgreSQL":
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    print(f"[{database()}] making a database …", file=sys.stderr, flush=True)
    call_command("migrate", verbosity=0)
    return folder


def run(main: Callable[[bool], None]) -> None:
    """The command line of every measurement: ``--full`` for the sizes of the goals where a quick run takes smaller ones."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--full", action="store_true", help="the full sizes of the goals")
    main(parser.parse_args().full)
