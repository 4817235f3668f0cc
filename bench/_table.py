"""Prints the rows that were measured as one table and puts them into docs/performance.md, between its markers.

Rows that were not measured again stay, so that ``bin/bench certificates`` renews only the certificates' part.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sqlite3
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- table -->", "<!-- /table -->"
HEAD = ("goal", "what is measured", "database", "baseline", "ours", "ours ÷ baseline", "wanted", "met")


def main(full: bool, names: list[str]) -> None:
    measured = [json.loads(line) for line in Path(os.environ["BENCH_ROWS"]).read_text(encoding="utf-8").splitlines()]
    if not measured:
        sys.exit("Nothing was measured.")
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    old, after = rest.split(END)
    rows = {_key(cells): cells for cells in _rows(old)}
    again = {(row["goal"], row["database"]) for row in measured}
    rows = {key: cells for key, cells in rows.items() if (cells[0], cells[2]) not in again}
    for row in measured:
        cells = (
            row["goal"], row["what"], row["database"], row["baseline"], row["ours"], row["ratio"],
            row["wanted"].replace("<=", "≤").replace(">=", "≥"), "yes" if row["met"] else "**no**",
        )  # fmt: skip
        rows[_key(cells)] = cells
    table = "\n".join(_line(cells) for cells in (HEAD, ("---",) * len(HEAD), *sorted(rows.values(), key=_order)))
    command = " ".join(["bin/bench", *(["--full"] if full else []), *names])
    PAGE.write_text(
        f"{before}{BEGIN}\n{table}\n\nLast run: `{command}`, on {_machine()}.\n{END}{after}", encoding="utf-8"
    )
    print(f"\n{table}\n")


def _rows(text: str) -> list[tuple[str, ...]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in lines[2:]]


def _key(cells) -> tuple[str, ...]:
    return tuple(cells[:3])


def _order(cells) -> tuple:
    letter, number = re.match(r"([A-Z]+)(\d*)", cells[0]).groups()
    return letter, int(number or 0), cells[2] != "SQLite"


def _line(cells) -> str:
    return f"| {' | '.join(cells)} |"


def _machine() -> str:
    """The machine in general words: what a reader needs to judge the absolute numbers, and no more."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    server = os.environ.get("BENCH_SERVER", "")
    databases = [f"SQLite {sqlite3.sqlite_version}"]
    if found := re.search(r"PostgreSQL\)? (\d+)", server):
        databases.append(f"PostgreSQL {found[1]}")
    return (
        f"{os.cpu_count()} processor cores ({platform.machine()}), {memory:.0f} GB of memory, Linux, "
        f"Python {platform.python_version()}, {', '.join(databases)}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    every = {file.stem for file in Path(__file__).parent.glob("[a-z]*.py")}
    main(given.full, [] if set(given.names) == every else given.names)
