"""Checking a roster: the rows are staged as a set, compared with what the platform holds, and only differences are kept.

Nothing about people, units or positions changes here. What comes out are RosterChange rows (one for each person who is
new, changed, moved or leaving, one for each refused row), the counts, the notes, the plan of units and positions to be
made, and the fingerprint of the data that was looked at.

Why SQL: a month's file of 300,000 rows in which 3,000 differ is compared in two seconds where it lies; row by row in
Python through the ORM it is most of an hour (docs/performance.md).
"""
# ruff: noqa: S608 - statements are put together from our own names only; every value is a parameter

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import repeat

from django.conf import settings
from django.db import transaction

from core.rows import fill
from people.domain import roster_sql as sql
from people.domain.roster_pinyin import pinyin_writer
from people.domain.roster_sql import CHANGE, DIFF, EMPLOYEE, PINYIN, PLACEMENT, STAGE, UNIT, day, differs, one, run
from people.domain.roster_units import PositionBook, UnitBook
from people.domain.roster_words import COLUMNS, Fault
from people.models import Employee, OrgUnit, RosterChange, RosterImport

Outcome = RosterChange.Outcome
State = Employee.State

NO, NAME, UNIT_AT, POSITION_AT, FAMILY, MANAGER, HIRED, LEFT, EMAIL, MOBILE, LANGUAGE = range(len(COLUMNS))

AHEAD = dt.timedelta(days=366)
STOP_AT_LEAST = 5  # people: below that no stop, however small the unit
SHOWN = 12  # names in a note


class CheckedElsewhere(Exception):
    """The import is not waiting for its check any more; what this check found is thrown away."""


class Check:
    """One run of the check: ``stage`` takes the rows, as often as there are some, then ``finish`` compares and writes.

    Both belong to the same connection and process: the staging tables are temporary. A check that was cut short is begun
    anew; it has changed nothing.
    """

    def __init__(self, roster: RosterImport, *, today: dt.date):
        self.roster, self.today = roster, today
        self.scope = roster.scope
        self.whole = self.scope is None or self.scope.is_root()  # people without a unit belong to a root's HR
        self.everybody = self.whole and OrgUnit.objects.filter(depth=1).count() <= 1
        self.effective = roster.effective_on.isoformat()
        self.actor = getattr(roster.uploaded_by, "employee", None)
        self.units, self.positions = UnitBook(self.scope), PositionBook()
        self.unit_ids: dict[str | None, int | None] = {}
        self.position_ids: dict[tuple, int | None] = {}
        self.staged = 0
        self.notes: list[dict] = []
        sql.make_staging()

    # --- taking the rows ------------------------------------------------------------------------------------------

    def is_alive(self) -> bool:
        """Do the staging tables of this connection still hold what was staged? (A rollback takes them away.)"""
        return sql.staged_rows() == self.staged

    def stage(self, batches: Iterable) -> int:
        """This function will put cleaned rows (people.imports.Batch) into the staging table; returns how many."""
        refused: list[tuple] = []
        count = fill(STAGE, sql.STAGE_COLUMNS, self._staged(batches, refused))
        self._keep(refused)
        self.staged += count
        return count

    def _staged(self, batches: Iterable, refused: list[tuple]) -> Iterator[tuple]:
        far = (self.today + AHEAD).isoformat()
        nothing = (None,) * (len(sql.STAGE_COLUMNS) - 3)
        for batch in batches:
            columns, faults = batch.columns, batch.faults
            units = self._units_of(columns[UNIT_AT], faults)
            positions = self._positions_of(columns[POSITION_AT], columns[FAMILY])
            for column, key, code in ((HIRED, "hired_on", "hired_too_late"), (LEFT, "left_on", "left_too_late")):
                days = columns[column] = [value or None for value in columns[column]]
                for at, written in enumerate(days):
                    if written and written > far:
                        faults.setdefault(at, []).append(Fault(key, written, code))
            rows = zip(
                batch.numbers,
                columns[NO],
                columns[NAME],
                units,
                positions,
                columns[MANAGER],
                columns[HIRED],
                columns[LEFT],
                columns[EMAIL],
                columns[MOBILE],
                [language or None for language in columns[LANGUAGE]],
                repeat(0),
                strict=False,
            )
            if not faults:
                yield from rows
                continue
            for at, row in enumerate(rows):
                if at in faults:
                    refused.append(_refusal(row[0], row[1], row[2], faults[at]))
                    yield (row[0], row[1] or None, *nothing, 1)
                else:
                    yield row

    def _units_of(self, paths: list, faults: dict[int, list[Fault]]) -> list[int | None]:
        """The units the cells of a batch mean; each different text is looked up once for the whole file."""
        known = self.unit_ids
        for path in set(paths) - known.keys():
            known[path] = self.units.find(path)[0] if path else None
        found = [known[path] for path in paths]
        if None in found:
            for at, path in enumerate(paths):
                if path and found[at] is None:
                    _unit, fault = self.units.find(path)
                    assert fault is not None  # what a text without a unit comes with
                    faults.setdefault(at, []).append(fault)
        return found

    def _positions_of(self, titles: list, families: list) -> list[int | None]:
        """The positions of a batch: None where the cell says nothing, 0 where it says there is none."""
        known = self.position_ids
        for pair in set(zip(titles, families, strict=True)) - known.keys():
            title, family = pair
            known[pair] = None if title is None else self.positions.find(title, family) if title else 0
        return [known[pair] for pair in zip(titles, families, strict=True)]

    def _keep(self, refused: list[tuple]) -> None:
        fill(sql.REFUSED, ("n", "no", "name", "faults"), iter(refused))
        refused.clear()

    # --- comparing ------------------------------------------------------------------------------------------------

    @transaction.atomic
    def finish(self, *, notes: list[dict], at: dt.datetime) -> RosterImport:
        """This function will compare the staged rows with the platform, keep what differs, and save the import as checked."""
        roster = self.roster
        self.notes = list(notes)
        RosterChange.objects.filter(roster=roster).delete()
        run(f"CREATE INDEX {STAGE}_no ON {STAGE} (no)")
        if not sql.is_sqlite():
            run(f"ANALYZE {STAGE}")
        people = self._people()
        self._refuse_duplicates()
        self._compare()
        self._refuse_rows()
        self._refuse_circles()
        self._note_refused_managers()
        unit_ids, position_ids = self._plan()
        base = self._give_ids()
        self._write_new(base, unit_ids, position_ids)
        self._write_known(base, unit_ids, position_ids)
        if roster.mode == RosterImport.Mode.FULL:
            self._write_missing()
        self._write_refused()
        counts = self._count(people)
        share = getattr(settings, "ROSTER_STOP_SHARE", 10)
        going = counts["left"] + counts["moved"]
        needs_second = going >= STOP_AT_LEAST and going * 100 > people * share
        if needs_second:
            self._note("stop", count=going, people=people, share=share)
        checked = RosterImport.objects.filter(pk=roster.pk, state=RosterImport.State.UPLOADED).update(
            state=RosterImport.State.CHECKED,
            sheet=roster.sheet,
            counts=counts,
            notes=self.notes,
            plan=roster.plan,
            needs_second=needs_second,
            fingerprint=fingerprint(roster),
            problem=None,
            checked_at=at,
            applied_to=0,
        )
        if not checked:
            raise CheckedElsewhere(roster.pk)
        sql.drop_staging()
        roster.refresh_from_db()
        return roster

    def _note(self, code: str, **params) -> None:
        self.notes.append({"code": code, "params": params})

    def _in_scope(self, column: str) -> str:
        """The SQL that says that a unit is in the scope; its one parameter is the pattern of the scope's path."""
        if self.everybody:
            return "(%s IS NULL OR TRUE)"
        inside = f"{sql.walked(column)} IN (SELECT id FROM {UNIT} WHERE path LIKE %s)"
        return f"({inside} OR {column} IS NULL)" if self.whole else f"({inside})"

    @property
    def _pattern(self) -> str | None:
        return f"{self.scope.path}%" if self.scope and not self.everybody else None

    def _people(self) -> int:
        """Who works in the scope before the import."""
        inside = self._in_scope("e.unit_id")
        return one(f"SELECT count(*) FROM {EMPLOYEE} e WHERE e.state <> 'left' AND {inside}", [self._pattern])[0]

    def _refuse_duplicates(self) -> None:
        found = sql.rows(
            f"SELECT n, no, name, fault FROM {STAGE} WHERE no IN"
            f" (SELECT no FROM {STAGE} WHERE no IS NOT NULL GROUP BY no HAVING count(*) > 1) ORDER BY no, n"
        )
        places: dict[str, list[int]] = {}
        for number, no, _name, _fault in found:
            places.setdefault(no, []).append(number)
        self._refuse(
            STAGE,
            (
                (number, no, name, Fault("employee_no", no, "duplicate", {"rows": _listed(places[no])}))
                for number, no, name, fault in found
                if not fault
            ),
        )

    def _refuse(self, table: str, found: Iterable[tuple[int, str, str, Fault]]) -> int:
        """Write rows off: put down why, and mark them in the staging tables. Each row once."""
        seen: set[int] = set()
        batch = []
        for number, no, name, fault in found:
            if number not in seen:
                seen.add(number)
                batch.append(_refusal(number, no, name, [fault]))
        self._keep(batch)
        numbers = list(seen)
        for start in range(0, len(numbers), 500):
            part = numbers[start : start + 500]
            marks = ", ".join(["%s"] * len(part))
            for marked in {STAGE, table}:
                run(f"UPDATE {marked} SET fault = 1 WHERE n IN ({marks})", part)
        return len(seen)

    def _compare(self) -> None:
        """Fill roster_diff with the rows that are not simply what the platform holds, and what is different about each.

        Empty cells say nothing; '' and position 0 say that there is none. Who leaves (a last day in the file) keeps the
        post as the platform has it. Who left and is in the file without a last day comes back.
        """
        post = (
            f"({differs('e.unit_id', 's.unit_id')}"
            " OR (s.position_id IS NOT NULL AND coalesce(e.position_id, 0) <> s.position_id)"
            " OR (s.manager_no IS NOT NULL AND CASE WHEN s.manager_no = '' THEN e.manager_id IS NOT NULL"
            f" ELSE m.id IS NULL OR {differs('e.manager_id', 'm.id')} END))"
        )
        record = (
            "(e.name <> s.name"
            f" OR (s.hired_on IS NOT NULL AND {differs('e.hired_on', 's.hired_on')})"
            " OR (s.email IS NOT NULL AND e.email <> s.email)"
            " OR (s.mobile IS NOT NULL AND e.mobile <> s.mobile)"
            " OR (s.language IS NOT NULL AND e.language <> s.language))"
        )
        wakes = "FALSE"
        if self.roster.mode == RosterImport.Mode.FULL and self.roster.missing == RosterImport.Missing.SUSPEND:
            wakes = "(e.state = 'suspended' AND s.left_on IS NULL)"
        leaves = "(s.left_on IS NOT NULL AND e.state <> 'left')"
        last_day = f"(s.left_on IS NOT NULL AND e.state = 'left' AND {differs('e.left_on', 's.left_on')})"
        returns = "(s.left_on IS NULL AND e.state = 'left')"
        moves = f"(s.left_on IS NULL AND {post})"
        known = "e.id IS NOT NULL"
        flags = ", ".join(
            f"{sql.truth(f'coalesce({known} AND {flag}, FALSE)')} AS {name}"
            for name, flag in (
                ("moves", moves),
                ("leaves", leaves),
                ("last_day", last_day),
                ("back", returns),
                ("wakes", wakes),
            )
        )
        number = "integer PRIMARY KEY" if sql.is_sqlite() else "integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
        day_type = "text" if sql.is_sqlite() else "date"
        run(
            f"CREATE TEMPORARY TABLE {DIFF} (k {number}, n integer, no text, name text, unit_id bigint,"
            f" position_id bigint, manager_no text, hired_on {day_type}, left_on {day_type}, email text, mobile text,"
            " language text, fault smallint, eid bigint, mid bigint, manager_left text, moves integer, leaves integer,"
            " last_day integer, back integer, wakes integer)"
        )
        run(
            f"INSERT INTO {DIFF} (n, no, name, unit_id, position_id, manager_no, hired_on, left_on, email, mobile, language,"
            " fault, eid, mid, manager_left, moves, leaves, last_day, back, wakes)"
            " SELECT s.n, s.no, s.name, s.unit_id, s.position_id, s.manager_no, s.hired_on, s.left_on, s.email, s.mobile,"
            f" s.language, 0, e.id, m.id, CASE WHEN m.left_on < {self._date} THEN {day('m.left_on')} END, {flags}"
            f" FROM {STAGE} s LEFT JOIN {EMPLOYEE} e ON e.employee_no = s.no"
            f" LEFT JOIN {EMPLOYEE} m ON m.employee_no = s.manager_no"
            f" WHERE s.fault = 0 AND (e.id IS NULL OR {record} OR {leaves} OR {last_day} OR {returns} OR {wakes} OR {moves})"
            " ORDER BY s.n",
            [self.effective],
        )
        if not sql.is_sqlite():
            run(f"ANALYZE {DIFF}")

    @property
    def _date(self) -> str:
        return "%s" if sql.is_sqlite() else "%s::date"

    def _refuse_rows(self) -> None:
        """Write off the rows that break a rule only the platform's data can tell."""
        effective = self.effective
        if not self.everybody:
            inside = self._in_scope("e.unit_id")
            self._refuse_where(
                f"JOIN {EMPLOYEE} e ON e.id = d.eid WHERE NOT coalesce({inside}, FALSE) AND",
                [self._pattern],
                lambda no: Fault("employee_no", no, "person_outside"),
            )
        if self.actor:
            self._refuse_where(
                "WHERE d.eid = %s AND", [self.actor.pk], lambda no: Fault("employee_no", no, "own_record")
            )
        # The manager of who leaves is not looked at.
        named = "d.manager_no <> '' AND (d.left_on IS NULL) AND (d.eid IS NULL OR d.moves = 1 OR d.back = 1)"
        self._refuse_where(
            f"WHERE {named} AND d.mid IS NULL AND NOT EXISTS (SELECT 1 FROM {STAGE} x WHERE x.no = d.manager_no) AND",
            [],
            lambda no, manager: Fault("manager_no", manager, "unknown_manager"),
            "d.manager_no",
        )
        self._refuse_where(
            f"LEFT JOIN {EMPLOYEE} e ON e.id = d.eid WHERE {named} AND d.manager_left IS NOT NULL"
            # …unless the manager comes back with this very file, or was the manager before
            f" AND NOT EXISTS (SELECT 1 FROM {DIFF} x WHERE x.eid = d.mid AND x.back = 1)"
            f" AND (e.id IS NULL OR {differs('e.manager_id', 'd.mid')}) AND",
            [],
            lambda no, manager, left: Fault("manager_no", manager, "manager_left", {"left_on": left}),
            "d.manager_no, d.manager_left",
        )
        hired, left = "coalesce(d.hired_on, e.hired_on)", "coalesce(d.left_on, e.left_on)"
        self._refuse_where(
            f"JOIN {EMPLOYEE} e ON e.id = d.eid WHERE d.back = 0 AND {left} < {hired} AND",
            [],
            lambda no, first, last: Fault("left_on", last, "left_before_hired", {"left_on": last, "hired_on": first}),
            f"{day(hired)}, {day(left)}",
        )
        newest = f"(SELECT max(p.starts_on) FROM {PLACEMENT} p WHERE p.employee_id = d.eid)"
        self._refuse_where(
            f"WHERE (d.leaves = 1 OR d.last_day = 1) AND {newest} > d.left_on AND",
            [],
            lambda no, last, starts: Fault("left_on", last, "left_before_post", {"starts_on": starts}),
            f"{day('d.left_on')}, {day(newest)}",
        )
        self._refuse_where(
            f"WHERE d.moves = 1 AND d.back = 0 AND {newest} > {self._date} AND",
            [effective],
            lambda no, starts: Fault("", effective, "post_began_later", {"starts_on": starts}),
            day(newest),
        )
        self._refuse_where(
            f"JOIN {EMPLOYEE} e ON e.id = d.eid WHERE d.back = 1 AND d.moves = 1 AND e.left_on >= {self._date} AND",
            [effective],
            lambda no, last: Fault("left_on", "", "back_too_early", {"left_on": last}),
            day("e.left_on"),
        )

    def _refuse_where(self, tail: str, params: list, fault, more: str = "") -> None:
        """Write off the rows of roster_diff that a condition finds; ``fault`` words it from the number and ``more``.

        ``tail`` is joins and the condition, open at its end.
        """
        columns = f", {more}" if more else ""
        found = sql.paged(
            f"SELECT d.k, d.n, d.no, d.name{columns} FROM (SELECT * FROM {DIFF} WHERE k > %s) d {tail} d.fault = 0"
            " ORDER BY d.k",
            tuple(params),
        )
        self._refuse(DIFF, ((n, no, name, fault(no, *rest)) for _k, n, no, name, *rest in found))

    def _refuse_circles(self) -> None:
        """Write off the rows that would make people each other's managers in a circle, through other people or not.

        Only who is somebody's manager can stand in a circle, so of 300,000 people some thousands are looked at. A row
        that is written off leaves its person under the old manager, which may close another circle: hence the loop.
        """
        changed = "d.fault = 0 AND d.left_on IS NULL AND d.manager_no IS NOT NULL AND (d.eid IS NULL OR d.moves = 1)"
        proposed = {
            no: (number, name, manager or None, old)
            for number, no, name, manager, old in sql.rows(
                f"SELECT d.n, d.no, d.name, d.manager_no, o.employee_no FROM {DIFF} d"
                f" LEFT JOIN {EMPLOYEE} e ON e.id = d.eid LEFT JOIN {EMPLOYEE} o ON o.id = e.manager_id"
                f" WHERE {changed} AND (d.no IN (SELECT manager_no FROM {DIFF} WHERE manager_no <> '')"
                f" OR d.eid IN (SELECT manager_id FROM {EMPLOYEE}))"
            )
        }
        if not proposed:
            return
        above = {no: manager for no, (_number, _name, manager, _old) in proposed.items()}
        self._add_known_managers(above)
        while circles := _circles(above, proposed):
            found = []
            for circle in circles:
                shown = " → ".join([*circle[:6], "…"] if len(circle) > 6 else [*circle, circle[0]])
                for no in circle:
                    if no in proposed:
                        number, name, manager, old = proposed.pop(no)
                        found.append(
                            (number, no, name, Fault("manager_no", manager or "", "manager_circle", {"circle": shown}))
                        )
                        above[no] = old
            self._refuse(DIFF, found)
            self._add_known_managers(above)

    def _add_known_managers(self, above: dict[str, str | None]) -> None:
        """Follow managers upwards through the platform's data until everybody above is known."""
        wanted = {manager for manager in above.values() if manager and manager not in above}
        while wanted:
            found: dict[str, str | None] = dict.fromkeys(wanted)
            numbers = list(wanted)
            for start in range(0, len(numbers), 800):
                part = numbers[start : start + 800]
                marks = ", ".join(["%s"] * len(part))
                found.update(
                    sql.rows(
                        f"SELECT e.employee_no, m.employee_no FROM {EMPLOYEE} e"
                        f" LEFT JOIN {EMPLOYEE} m ON m.id = e.manager_id WHERE e.employee_no IN ({marks})",
                        part,
                    )
                )
            above.update(found)
            wanted = {manager for manager in found.values() if manager and manager not in above}

    def _note_refused_managers(self) -> None:
        """Rows whose manager is in the file only in a refused row go in without that manager; the reader is told."""
        waiting = (
            f"fault = 0 AND mid IS NULL AND manager_no <> ''"
            f" AND NOT EXISTS (SELECT 1 FROM {DIFF} x WHERE x.no = {DIFF}.manager_no AND x.fault = 0 AND x.eid IS NULL)"
        )
        if not one(f"SELECT count(*) FROM {DIFF} WHERE mid IS NULL AND manager_no <> '' AND fault = 0")[0]:
            return
        run(f"CREATE INDEX {DIFF}_no ON {DIFF} (no)")
        count, leavers = one(f"SELECT count(*), count(left_on) FROM {DIFF} WHERE {waiting}")
        if count:
            run(f"UPDATE {DIFF} SET manager_no = NULL WHERE {waiting}")
        if count > leavers:
            self._note("manager_refused", count=count - leavers)

    def _plan(self) -> tuple[dict[int, int], dict[int, int]]:
        """Give ids to the units and positions that have to be made for the rows that go in."""
        used_units = {
            row[0] for row in sql.rows(f"SELECT DISTINCT unit_id FROM {DIFF} WHERE fault = 0 AND unit_id < 0")
        }
        used_positions = {
            row[0] for row in sql.rows(f"SELECT DISTINCT position_id FROM {DIFF} WHERE fault = 0 AND position_id < 0")
        }
        unit_ids, position_ids = self.units.reserve(used_units), self.positions.reserve(used_positions)
        self.roster.plan = {"units": self.units.plan, "positions": self.positions.plan}
        for table, ids in (("unit_id", unit_ids), ("position_id", position_ids)):
            for start in range(0, len(ids), 300):
                part = list(ids.items())[start : start + 300]
                cases = " ".join(["WHEN %s THEN %s"] * len(part))
                marks = ", ".join(["%s"] * len(part))
                run(
                    f"UPDATE {DIFF} SET {table} = CASE {table} {cases} END WHERE {table} IN ({marks})",
                    [number for pair in part for number in pair] + [number for number, _pk in part],
                )
        if self.units.plan:
            shown = [step["path"] for step in self.units.plan[:SHOWN]] + ["…"] * (len(self.units.plan) > SHOWN)
            self._note("new_units", count=len(self.units.plan), units=shown)
        if self.positions.plan:
            shown = [step["title"] for step in self.positions.plan[:SHOWN]] + ["…"] * (len(self.positions.plan) > SHOWN)
            self._note("new_positions", count=len(self.positions.plan), positions=shown)
        if self.positions.differing:
            titles = list(self.positions.differing)
            self._note("other_family", positions=titles[:SHOWN] + ["…"] * (len(titles) > SHOWN))
        return unit_ids, position_ids

    def _give_ids(self) -> int:
        """Ids for the new people: base + k. One block, so each row is written once, manager and all."""
        most = one(f"SELECT coalesce(max(k), 0) FROM {DIFF} WHERE eid IS NULL AND fault = 0")[0]
        return sql.reserve_ids(Employee, most).start - 1 if most else 0

    # --- writing down what differs ----------------------------------------------------------------------------------

    def _write_new(self, base: int, unit_ids, position_ids) -> None:
        """One change for each new person, written by the database from the staging table; only the pinyin is made here."""
        run(f"CREATE TEMPORARY TABLE {PINYIN} (k integer PRIMARY KEY, pinyin text)")
        write = pinyin_writer()
        fresh = sql.paged(f"SELECT k, name FROM {DIFF} WHERE k > %s AND eid IS NULL AND fault = 0 ORDER BY k")
        if not sql.is_sqlite():
            fresh = iter(list(fresh))  # a COPY and a query cannot share the connection
        if not fill(PINYIN, ("k", "pinyin"), ((k, write(name)) for k, name in fresh)):
            return
        starts = day(f"coalesce(d.hired_on, CASE WHEN d.left_on < {self._date} THEN d.left_on ELSE {self._date} END)")
        document = sql.json_object(
            {
                "name": "d.name",
                "pinyin": "p.pinyin",
                "unit": "d.unit_id",
                "position": "nullif(d.position_id, 0)",
                "manager": f"coalesce(d.mid, f.k + {base})",
                "hired_on": day("d.hired_on"),
                "left_on": day("d.left_on"),
                "state": "CASE WHEN d.left_on IS NULL THEN 'active' ELSE 'left' END",
                "email": "coalesce(d.email, '')",
                "mobile": "coalesce(d.mobile, '')",
                "language": "coalesce(d.language, 'zh-hans')",
                "post": "'begin'",
                "starts_on": starts,
            }
        )
        run(
            f'INSERT INTO {CHANGE} (roster_id, sheet, "row", employee_no, name, employee_id, outcome, "after")'
            f" SELECT %s, %s, d.n, d.no, d.name, d.k + {base}, 'new', {document}"
            f" FROM {DIFF} d JOIN {PINYIN} p ON p.k = d.k"
            f" LEFT JOIN {DIFF} f ON f.no = d.manager_no AND f.eid IS NULL AND f.fault = 0 AND d.mid IS NULL"
            " WHERE d.fault = 0 AND d.eid IS NULL ORDER BY d.k",
            [self.roster.pk, self.roster.sheet, self.effective, self.effective],
        )

    def _write_known(self, base: int, unit_ids, position_ids) -> None:
        """One change for each person who is known and differs: what was and what will be, only where they differ."""
        write = pinyin_writer()
        batch: list[RosterChange] = []
        back = 0
        for row in sql.paged(
            "SELECT d.k, d.n, d.no, d.name, d.unit_id, d.position_id, d.manager_no, coalesce(d.mid, f.k + "
            f"{base}), {day('d.hired_on')}, {day('d.left_on')}, d.email, d.mobile, d.language, d.eid, d.moves, d.leaves,"
            f" d.last_day, d.back, d.wakes, e.name, e.unit_id, e.position_id, e.manager_id, {day('e.hired_on')},"
            f" {day('e.left_on')}, e.email, e.mobile, e.language, e.state, e.pinyin,"
            f" (SELECT {day('p.starts_on')} FROM {PLACEMENT} p WHERE p.employee_id = e.id AND p.ends_on IS NULL)"
            f" FROM (SELECT * FROM {DIFF} WHERE k > %s) d JOIN {EMPLOYEE} e ON e.id = d.eid"
            f" LEFT JOIN {DIFF} f ON f.no = d.manager_no AND f.eid IS NULL AND f.fault = 0 AND d.mid IS NULL"
            " WHERE d.fault = 0 ORDER BY d.k"
        ):
            change = self._difference(row, write)
            if change is None:
                continue
            back += bool(row[17])
            batch.append(change)
            if len(batch) >= 2000:
                RosterChange.objects.bulk_create(batch, batch_size=500)
                batch.clear()
        RosterChange.objects.bulk_create(batch, batch_size=500)
        if back:
            self._note("back", count=back)

    def _difference(self, row: tuple, write) -> RosterChange | None:
        (
            _k, number, no, name, unit, position, manager_no, manager, hired, left, email, mobile, language, pk,
            moves, leaves, last_day, back, wakes,
            e_name, e_unit, e_position, e_manager, e_hired, e_left, e_email, e_mobile, e_language, e_state, e_pinyin,
            post_began,
        ) = row  # fmt: skip
        effective = self.effective
        before, after = {}, {}

        def put(key, old, new):
            if old != new:
                before[key], after[key] = old, new

        put("name", e_name, name)
        if e_name != name:
            put("pinyin", e_pinyin, write(name))
        if hired is not None:
            put("hired_on", e_hired, hired)
        for key, old, new in (
            ("email", e_email, email),
            ("mobile", e_mobile, mobile),
            ("language", e_language, language),
        ):
            if new is not None:
                put(key, old, new)
        outcome = Outcome.CHANGED
        if moves or back:
            put("unit", e_unit, unit)
            if position is not None:
                put("position", e_position, position or None)
            if manager_no is not None:
                put("manager", e_manager, manager if manager_no else None)
            if {"unit", "position", "manager"} & after.keys() and not back:
                outcome = Outcome.MOVED
                after["post"] = "begin" if post_began is None else "amend" if post_began == effective else "turn"
                after["starts_on"] = effective
        if leaves:
            outcome = Outcome.LEFT
            put("state", e_state, State.LEFT.value)
            put("left_on", e_left, left)
            after["post"] = "end"
        if last_day:
            put("left_on", e_left, left)
            after["post"] = "shift"
        if back:
            put("state", e_state, State.ACTIVE.value)
            put("left_on", e_left, None)
            if effective > e_left:
                if hired is None:
                    put("hired_on", e_hired, effective)  # the rules for joiners hold again, as for people.domain.moves
                after["post"], after["starts_on"] = "begin", effective
            else:
                after["post"] = "reopen"
        if wakes:
            put("state", e_state, State.ACTIVE.value)
        if not after:
            return None
        return RosterChange(
            roster=self.roster,
            sheet=self.roster.sheet,
            row=number,
            employee_no=no,
            name=name,
            employee_id=pk,
            outcome=outcome,
            before=before,
            after=after,
        )

    def _write_missing(self) -> None:
        """Full file: what becomes of the people of the scope who are not in it. Nobody marks themselves."""
        missing = self.roster.missing
        inside = self._in_scope("e.unit_id")
        states = "'active', 'suspended'" if missing == RosterImport.Missing.LEFT else "'active'"
        own = self.actor.pk if self.actor else 0
        absent = (
            f"FROM {EMPLOYEE} e WHERE e.state IN ({states}) AND {inside}"
            f" AND (e.hired_on IS NULL OR e.hired_on <= {self._date})"  # who comes later is not expected yet
            f" AND NOT EXISTS (SELECT 1 FROM {STAGE} s WHERE s.no = e.employee_no)"
        )
        params = [self._pattern, self.effective]
        if missing == RosterImport.Missing.KEEP:
            count = one(f"SELECT count(*) {absent}", params)[0]
            if count:
                self._note("missing_kept", count=count)
            return
        if own and one(f"SELECT count(*) {absent} AND e.id = %s", [*params, own])[0]:
            self._note("self_missing")
        if missing == RosterImport.Missing.SUSPEND:
            before, after = {"state": "e.state"}, {"state": "'suspended'"}
            extra: list = []
        else:
            # The last day is the effective day; whose post began later (a date in the past was chosen) that day.
            last = (
                f"coalesce((SELECT CASE WHEN p.starts_on > {self._date} THEN p.starts_on END FROM {PLACEMENT} p"
                f" WHERE p.employee_id = e.id AND p.ends_on IS NULL), {self._date})"
            )
            before = {"state": "e.state", "left_on": "NULL"}
            after = {"state": "'left'", "left_on": day(last), "post": "'end'"}
            extra = [self.effective, self.effective]
        run(
            f'INSERT INTO {CHANGE} (roster_id, sheet, "row", employee_no, name, employee_id, outcome, "before", "after")'
            f" SELECT %s, '', NULL, e.employee_no, e.name, e.id, 'left', {sql.json_object(before)},"
            f" {sql.json_object(after)} {absent} AND e.id <> %s ORDER BY e.employee_no",
            [self.roster.pk, *extra, *params, own],
        )

    def _write_refused(self) -> None:
        faults = "faults" if sql.is_sqlite() else "faults::jsonb"
        run(
            f'INSERT INTO {CHANGE} (roster_id, sheet, "row", employee_no, name, outcome, faults)'
            f" SELECT %s, %s, n, no, name, 'refused', {faults} FROM {sql.REFUSED} ORDER BY n",
            [self.roster.pk, self.roster.sheet],
        )

    def _count(self, people: int) -> dict[str, int]:
        found = dict(
            sql.rows(f"SELECT outcome, count(*) FROM {CHANGE} WHERE roster_id = %s GROUP BY outcome", [self.roster.pk])
        )
        counts = {outcome.value: found.get(outcome.value, 0) for outcome in Outcome}
        unlisted = one(f'SELECT count(*) FROM {CHANGE} WHERE roster_id = %s AND "row" IS NULL', [self.roster.pk])[0]
        listed = sum(counts.values()) - unlisted
        after, other = 'c."after"', 'o."after"'
        reports = one(
            f"SELECT count(*) FROM {EMPLOYEE} e JOIN {CHANGE} c ON c.employee_id = e.manager_id AND c.roster_id = %s"
            f" AND c.outcome = 'left' WHERE e.state <> 'left' AND {sql.value(after, 'state')} = 'left'"
            f" AND NOT EXISTS (SELECT 1 FROM {CHANGE} o WHERE o.roster_id = %s AND o.employee_id = e.id"
            f" AND (o.outcome = 'left' OR {sql.has(other, 'manager')}))",
            [self.roster.pk, self.roster.pk],
        )[0]
        if counts["left"] and reports:
            self._note("reports_stay", count=reports)
        return {
            "rows": self.staged,
            **counts,
            "unchanged": self.staged - listed,
            "missing": unlisted,
            "people": people,
        }


def _refusal(number: int, no: str | None, name: str | None, faults: list[Fault]) -> tuple:
    words = json.dumps([fault.as_json() for fault in faults], ensure_ascii=False)
    return number, (no or "")[:200], (name or "")[:200], words


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:5])) + (" …" if len(numbers) > 5 else "")


def _circles(above: dict[str, str | None], proposed: dict) -> list[list[str]]:
    """The circles among people and their managers that run through a proposed link; each as its members in order."""
    found: list[list[str]] = []
    done: set[str] = set()
    for start in above:
        way: dict[str, int] = {}
        person: str | None = start
        while person is not None and person not in done and person not in way:
            way[person] = len(way)
            person = above.get(person)
        if person is not None and person in way:
            circle = list(way)[way[person] :]
            if any(no in proposed for no in circle):
                found.append(circle)
        done.update(way)
    return found


def fingerprint(roster: RosterImport) -> str:
    """This function will seal the data against which a roster is checked: the people of its scope, units, positions.

    Two checks of one file with the same seal have the same outcome. (Managers outside the scope are not in it: what is
    applied is compared row by row again.) The text of a row is put together by the database, a page at a time.
    """
    digest = hashlib.sha256(str(roster.scope_id).encode())
    scope = roster.scope
    inside, params = "", []
    if scope is not None and not (scope.is_root() and OrgUnit.objects.filter(depth=1).count() == 1):
        unit = sql.walked("e.unit_id")
        inside = f" AND ({unit} IN (SELECT id FROM {UNIT} WHERE path LIKE %s)"
        inside += " OR e.unit_id IS NULL)" if scope.is_root() else ")"
        params = [f"{scope.path}%"]
    columns = [field.column for field in Employee._meta.concrete_fields if field.name not in {"pinyin", "user"}]
    names = ", ".join(f"e.{column}" for column in columns)
    person = f"printf('{'%s|' * len(columns)}', {names})" if sql.is_sqlite() else f"concat_ws('|', {names})"
    person = person.replace("%", "%%")  # the text of a statement with parameters
    _seal_pages(digest, f"SELECT e.id AS id, {person} AS x FROM {EMPLOYEE} e WHERE e.id > %s{inside}", params)
    _seal_pages(digest, f"SELECT id, path||'|'||name||'|'||name_en||'|'||code AS x FROM {UNIT} WHERE id > %s", [])
    _seal_pages(digest, f"SELECT id, title||'|'||title_en||'|'||job_family AS x FROM {sql.POSITION} WHERE id > %s", [])
    return digest.hexdigest()


def _seal_pages(digest, page: str, params: list) -> None:
    joined = "group_concat(x, '\n')" if sql.is_sqlite() else "md5(string_agg(x, E'\\n' ORDER BY id))"
    after = -1
    while True:
        last, text = one(f"SELECT max(id), {joined} FROM ({page} ORDER BY id LIMIT 20000) t", [after, *params])
        if last is None:
            return
        digest.update(text.encode())
        after = last
