"""Roster import against stock django-import-export, against the least a database can do, and in memory (A1 to A5).

Stock: a ModelResource over the same model with foreign-key widgets, row by row, the real run only (its screens run all of it
twice). Limit: the bare statements into tables of their own with the columns of SPEED's baseline (no history, no report, no
undo): COPY with ids given in staging on PostgreSQL, executemany and an upsert of what differs on SQLite. Ours is the
whole way: upload, reading and cleaning, comparing, the differences kept for the preview and for undo, applying with placements
and one event. Quick runs take 10,000 and 30,000 rows; --full takes the 300,000 of the goals.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import os
import random
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import _pairs

HEAD = "工号 姓名 部门路径 职务 入职日期 邮箱 手机 上级工号".split()
SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢"
GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉萍红建国文辉力志海波斌宇浩凯丹莉玲梅琳雪琴云洁婷晶欣怡佳慧颖倩"
)
TITLES = (
    "客户经理 大堂经理 综合柜员 理财经理 网点主任 副主任 运营主管 风险经理 科技专员 内审专员 培训专员 人事专员".split()
)
PROVINCES, CITIES, BRANCHES = 31, 11, 9  # about 3,000 branches


def people(count: int, changed: int = 0):
    """So many people of a made-up company; ``changed``: how many times a different hundredth got another mobile."""
    chance = random.Random(7)
    for number in range(count):
        name = chance.choice(SURNAMES) + chance.choice(GIVEN) + (chance.choice(GIVEN) if chance.random() < 0.75 else "")
        p, c, b = chance.randrange(PROVINCES), chance.randrange(CITIES), chance.randrange(BRANCHES)
        hired = dt.date(1990, 1, 1) + dt.timedelta(days=chance.randrange(12_000))
        manager = f"E{chance.randint(1, max(1, number // 10)):07d}" if number >= 50 else ""
        mobile = 13_000_000_000 + chance.randrange(10**9) + (number % 100 < changed)
        yield [
            f"E{number + 1:07d}",
            name,
            f"集团总部/第{p}分公司/第{p}-{c}中心/第{p}-{c}-{b}营业部",
            chance.choice(TITLES),
            hired.isoformat(),
            f"e{number + 1}@staff.example.cn",
            str(mobile),
            manager,
        ]


def write_roster(path: Path, count: int, changed: int = 0) -> Path:
    if not path.exists():
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEAD)
            writer.writerows(people(count, changed))
    return path


def write_workbook(path: Path, count: int) -> Path:
    import xlsxwriter

    with xlsxwriter.Workbook(path, {"constant_memory": True}) as book:
        sheet = book.add_worksheet("花名册")
        for number, row in enumerate([HEAD, *people(count)]):
            for column, cell in enumerate(row):
                sheet.write_string(number, column, cell)
    return path


# --- ours -----------------------------------------------------------------------------------------------------------


class Ours:
    """The import as the page does it, without the browser."""

    def __init__(self):
        from django.db import connection

        self.connection = connection

    def make_units(self) -> None:
        """Units and positions are there before, as they are for the baselines."""
        from django.db import transaction

        from people.domain import roster_units as units

        with transaction.atomic():
            book, positions = units.UnitBook(None), units.PositionBook()
            paths = {
                f"集团总部/第{p}分公司/第{p}-{c}中心/第{p}-{c}-{b}营业部"
                for p in range(PROVINCES)
                for c in range(CITIES)
                for b in range(BRANCHES)
            }
            book.reserve({book.find(path)[0] for path in sorted(paths)})
            positions.reserve({positions.find(title, None) for title in TITLES})
            units.make_units(book.plan)
            units.make_positions(positions.plan)

    def empty(self) -> None:
        """A house without people, as before a first import; the statistics of the database know it."""
        from people.models import Employee, Placement, RosterChange, RosterImport

        tables = [model._meta.db_table for model in (Placement, RosterChange, RosterImport, Employee)]
        with self.connection.cursor() as cursor:
            if self.connection.vendor == "postgresql":
                cursor.execute(f"TRUNCATE {', '.join(tables)} CASCADE")
            else:
                for table in tables:
                    cursor.execute(f"DELETE FROM {table}")
        self.settle()

    def settle(self) -> None:
        """Leave no work of the last turn for the next one."""
        with self.connection.cursor() as cursor:
            cursor.execute(
                "CHECKPOINT" if self.connection.vendor == "postgresql" else "PRAGMA wal_checkpoint(TRUNCATE)"
            )

    def take(self, path: Path) -> float:
        """Import a file from upload to applied; the seconds it took."""
        from django.utils import timezone

        from people.domain.roster import request_apply, upload_roster
        from people.models import OrgUnit

        start = time.perf_counter()
        with path.open("rb") as file:
            roster = upload_roster(
                file=file,
                file_name=path.name,
                scope=OrgUnit.objects.get(depth=1),
                mode="changes",
                missing="keep",
                effective_on=timezone.localdate(),
                all_or_nothing=False,
                by=None,
                at=timezone.now(),
            )
        roster.refresh_from_db()
        request_apply(roster=roster, by=None, at=timezone.now())
        roster.refresh_from_db()
        seconds = time.perf_counter() - start
        assert roster.state == "applied", (roster.state, roster.job.error)
        assert not roster.counts["refused"], roster.counts
        self.counts = roster.counts
        return seconds


# --- the stock way --------------------------------------------------------------------------------------------------


def stock(path: Path, count: int) -> float:
    """Seconds django-import-export takes for the first rows of a file, into the same model."""
    import tablib
    from import_export import fields, resources, widgets

    from people.models import Employee, OrgUnit, Position

    class EmployeeResource(resources.ModelResource):
        employee_no = fields.Field("employee_no", HEAD[0])
        name = fields.Field("name", HEAD[1])
        unit = fields.Field("unit", HEAD[2], widget=widgets.ForeignKeyWidget(OrgUnit, "name"))
        position = fields.Field("position", HEAD[3], widget=widgets.ForeignKeyWidget(Position, "title"))
        hired_on = fields.Field("hired_on", HEAD[4], widget=widgets.DateWidget("%Y-%m-%d"))
        email = fields.Field("email", HEAD[5])
        mobile = fields.Field("mobile", HEAD[6])
        manager = fields.Field("manager", HEAD[7], widget=widgets.ForeignKeyWidget(Employee, "employee_no"))

        class Meta:
            model = Employee
            import_id_fields = ["employee_no"]
            fields = ["employee_no", "name", "unit", "position", "hired_on", "email", "mobile", "manager"]

    start = time.perf_counter()
    with path.open(encoding="utf-8", newline="") as file:
        data = tablib.Dataset().load(file.read(), format="csv")
    data = data[:count]
    rows = tablib.Dataset(headers=HEAD)
    for row in data:
        rows.append([*row[:2], row[2].rpartition("/")[2], *row[3:]])
    result = EmployeeResource().import_data(rows, dry_run=False, raise_errors=True, use_transactions=True)
    assert result.totals["new"] + result.totals["skip"] + result.totals["update"] == count
    return time.perf_counter() - start


# --- the least ------------------------------------------------------------------------------------------------------

COLUMNS = "no, name, org_id, title_id, hired_on, email, mobile"
TEXTS = (
    "no varchar(20), name varchar(60), path varchar(200), title varchar(60), hired_on date,"
    " email varchar(120), mobile varchar(20), mgr varchar(20)"
)


class Limit:
    """Bare statements into tables of their own."""

    def __init__(self, folder: Path, path: Path):
        self.postgresql = _pairs.database() == "PostgreSQL"
        if self.postgresql:
            from django.db import connection

            connection.ensure_connection()
            import psycopg

            self.connection = psycopg.connect(connection.connection.info.dsn, autocommit=True)
        else:
            import sqlite3

            self.connection = sqlite3.connect(folder / "limit.sqlite3", isolation_level=None)
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "temp_store=MEMORY", "cache_size=-200000"):
                self.connection.execute(f"PRAGMA {pragma}")
        self.reset(path)

    def reset(self, path: Path) -> None:
        run = self.connection.execute
        key = (
            "bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"
            if self.postgresql
            else "integer PRIMARY KEY AUTOINCREMENT"
        )
        defer = " DEFERRABLE INITIALLY DEFERRED"
        for table in ("bench_employee", "bench_org", "bench_title"):
            run(f"DROP TABLE IF EXISTS {table}")
        run(f"CREATE TABLE bench_org (id {key}, path varchar(200) NOT NULL UNIQUE)")
        run(f"CREATE TABLE bench_title (id {key}, name varchar(60) NOT NULL UNIQUE)")
        run(
            f"CREATE TABLE bench_employee (id {key}, no varchar(20) NOT NULL UNIQUE, name varchar(60) NOT NULL,"
            f" org_id bigint NOT NULL REFERENCES bench_org{defer}, title_id bigint NOT NULL REFERENCES bench_title{defer},"
            " hired_on date NOT NULL, email varchar(120) NOT NULL, mobile varchar(20) NOT NULL,"
            f" manager_id bigint REFERENCES bench_employee{defer})"
        )
        for column in ("org_id", "title_id", "manager_id"):
            run(f"CREATE INDEX bench_employee_{column} ON bench_employee ({column})")
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            next(rows)
            found = {(row[2], row[3]) for row in rows}
        mark = "%s" if self.postgresql else "?"
        with self.connection.cursor() if self.postgresql else io.StringIO() as cursor:
            many = cursor.executemany if self.postgresql else self.connection.executemany
            many(f"INSERT INTO bench_org (path) VALUES ({mark})", sorted({(unit,) for unit, _title in found}))
            many(f"INSERT INTO bench_title (name) VALUES ({mark})", sorted({(title,) for _unit, title in found}))

    def take(self, path: Path) -> float:
        start = time.perf_counter()
        (self._copy if self.postgresql else self._executemany)(path)
        return time.perf_counter() - start

    def _copy(self, path: Path) -> None:
        with self.connection.transaction(), self.connection.cursor() as cursor:
            run = cursor.execute
            run(f"CREATE TEMP TABLE stg ({TEXTS}) ON COMMIT DROP")
            with cursor.copy("COPY stg FROM STDIN (FORMAT csv, HEADER true)") as copy, path.open("rb") as file:
                while block := file.read(1 << 20):
                    copy.write(block)
            run("ANALYZE stg")
            run(
                "CREATE TEMP TABLE ids ON COMMIT DROP AS SELECT s.no,"
                " coalesce(e.id, nextval(pg_get_serial_sequence('bench_employee', 'id'))) AS id, e.id IS NULL AS fresh"
                " FROM stg s LEFT JOIN bench_employee e ON e.no = s.no"
            )
            run("ANALYZE ids")
            rows = (
                "SELECT i.id, s.no, s.name, o.id AS org_id, t.id AS title_id, s.hired_on, s.email, s.mobile, m.id AS manager_id"
                " FROM stg s JOIN ids i ON i.no = s.no JOIN bench_org o ON o.path = s.path"
                " JOIN bench_title t ON t.name = s.title LEFT JOIN ids m ON m.no = s.mgr"
            )
            run(f"INSERT INTO bench_employee (id, {COLUMNS}, manager_id) OVERRIDING SYSTEM VALUE {rows} WHERE i.fresh")
            pairs = "name org_id title_id hired_on email mobile manager_id".split()
            run(
                f"UPDATE bench_employee e SET {', '.join(f'{name} = x.{name}' for name in pairs)} FROM ({rows} WHERE NOT i.fresh) x"
                f" WHERE e.id = x.id AND ({', '.join(f'e.{name}' for name in pairs)})"
                f" IS DISTINCT FROM ({', '.join(f'x.{name}' for name in pairs)})"
            )

    def _executemany(self, path: Path) -> None:
        run = self.connection.execute
        run("BEGIN IMMEDIATE")
        units = dict(run("SELECT path, id FROM bench_org"))
        titles = dict(run("SELECT name, id FROM bench_title"))
        run("CREATE TEMP TABLE stg (no, name, org_id, title_id, hired_on, email, mobile, mgr)")
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            next(rows)
            self.connection.executemany(
                "INSERT INTO stg VALUES (?,?,?,?,?,?,?,?)",
                ((r[0], r[1], units[r[2]], titles[r[3]], r[4], r[5], r[6], r[7] or None) for r in rows),
            )
        names = "name org_id title_id hired_on email mobile".split()
        run(
            f"INSERT INTO bench_employee ({COLUMNS}) SELECT {', '.join('s.' + name for name in COLUMNS.split(', '))} FROM stg s"
            " LEFT JOIN bench_employee e ON e.no = s.no WHERE e.id IS NULL"
            f" OR ({', '.join('e.' + name for name in names)}) IS NOT ({', '.join('s.' + name for name in names)})"
            f" ON CONFLICT (no) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in names)}"
        )
        run(
            "UPDATE bench_employee SET manager_id = m.id FROM stg s JOIN bench_employee m ON m.no = s.mgr"
            " WHERE bench_employee.no = s.no AND bench_employee.manager_id IS NOT m.id"
        )
        run("COMMIT")
        run("DROP TABLE stg")
        run("PRAGMA wal_checkpoint(TRUNCATE)")


# --- memory ---------------------------------------------------------------------------------------------------------


def anonymous_mb() -> float:
    """The process's own memory now; pages of the database file that the system maps in are not counted."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def remember(path: Path) -> None:
    """In a process of its own: the peak while a file is imported, over what the program needs anyway."""
    _pairs.site()
    ours = Ours()
    ours.make_units()
    write = path.with_suffix(".warm.csv")
    write_roster(write, 200)
    ours.take(write)
    ours.empty()
    base, peak, stop = anonymous_mb(), [0.0], threading.Event()

    def watch():
        while not stop.wait(0.01):
            peak[0] = max(peak[0], anonymous_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    ours.take(path)
    stop.set()
    watcher.join()
    print(json.dumps({"base": base, "peak": peak[0]}))


def peak_of(path: Path) -> tuple[float, float]:
    output = subprocess.run(
        [sys.executable, __file__, "--remember", str(path)], check=True, capture_output=True, text=True, env=os.environ
    ).stdout
    found = json.loads(output.splitlines()[-1])
    return found["base"], found["peak"]


def calamine_peak(path: Path) -> float:
    script = (
        "import sys, python_calamine as c\n"
        "n = sum(1 for _row in c.CalamineWorkbook.from_path(sys.argv[1]).get_sheet_by_index(0).iter_rows())\n"
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(int(peak.split()[1]) / 1024)"
    )
    output = subprocess.run(
        [sys.executable, "-c", script, str(path)], check=True, capture_output=True, text=True
    ).stdout
    return float(output)


def main(full: bool) -> None:
    folder = _pairs.site()
    postgresql = _pairs.database() == "PostgreSQL"
    goal = "A1" if postgresql else "A2"
    ours = Ours()
    ours.make_units()
    big, turns = (300_000, 3) if full else (30_000, 5)
    stock_rows = 10_000 if full else 1_000

    small = write_roster(folder / "small.csv", 10_000)

    def stock_way() -> float:
        ours.empty()
        return stock(small, stock_rows) / stock_rows

    def our_way() -> float:
        ours.empty()
        return ours.take(small) / 10_000

    ours.empty()
    ours.take(small)  # both ways once before, so that imports and caches are nobody's advantage
    timed = _pairs.pairs(stock_way, our_way, n=5)
    _pairs.row(
        goal,
        "first import of 10,000 rows, against django-import-export: a row",
        timed,
        goal="<= 1/40" if postgresql else "<= 1/60",
    )

    roster = write_roster(folder / "big.csv", big)
    limit = Limit(folder, roster)

    def bare_first() -> float:
        limit.reset(roster)
        return limit.take(roster)

    def our_first() -> float:
        ours.empty()
        return ours.take(roster)

    first = _pairs.pairs(bare_first, our_first, n=turns)
    _pairs.row(
        goal,
        f"first import of {big:,} rows, against the bare statements",
        first,
        goal="<= 2.5" if postgresql else "<= 3",
    )

    turn = {"bare": 0, "ours": 0}

    def again(who: str, take) -> float:
        turn[who] += 1
        ours.settle()
        return take(write_roster(folder / f"changed-{turn[who]}.csv", big, turn[who]))

    monthly = _pairs.pairs(lambda: again("bare", limit.take), lambda: again("ours", ours.take), n=turns)
    assert ours.counts["changed"] == big // 100, ours.counts
    _pairs.row(
        "A3", f"the month's file, {big:,} rows of which 1 % differ, against the bare statements", monthly, goal="<= 2.5"
    )
    _pairs.row(
        "A3",
        f"the month's file, against the first import of {big:,} rows",
        baseline=first.ours_s,
        ours=monthly.ours_s,
        ratio=monthly.ours_s / first.ours_s,
        goal="<= 0.5",
    )

    book = write_workbook(folder / "big.xlsx", big)

    def read_and_csv() -> float:
        import python_calamine

        start = time.perf_counter()
        sum(1 for _row in python_calamine.CalamineWorkbook.from_path(str(book)).get_sheet_by_index(0).iter_rows())
        return time.perf_counter() - start + our_first()

    def from_xlsx() -> float:
        ours.empty()
        return ours.take(book)

    xlsx = _pairs.pairs(read_and_csv, from_xlsx, n=turns)
    _pairs.row("A4", f"XLSX of {big:,} rows, against calamine's reading + the CSV import", xlsx, goal="<= 1.15")

    def openpyxl_reads() -> None:
        import openpyxl

        sum(1 for _row in openpyxl.load_workbook(book, read_only=True).worksheets[0].iter_rows(values_only=True))

    read = _pairs.pairs(openpyxl_reads, from_xlsx, n=1 if full else 3)
    _pairs.row("A4", f"XLSX of {big:,} rows imported, against openpyxl's reading alone", read, goal="<= 0.5")

    base, peak = peak_of(roster)
    tenth = peak_of(write_roster(folder / "tenth.csv", big // 10))[1]
    _pairs.row(
        "A5",
        f"memory: CSV of {big:,} rows, over the program's own + 60 MB",
        baseline=f"{base + 60:.0f} MB",
        ours=f"{peak:.0f} MB",
        ratio=peak / (base + 60),
        goal="<= 1",
    )
    _pairs.row(
        "A5",
        f"memory: CSV of {big:,} rows, against a tenth of them",
        baseline=f"{tenth:.0f} MB",
        ours=f"{peak:.0f} MB",
        ratio=peak / tenth,
        goal="<= 1.2",
    )
    alone = calamine_peak(book)
    over = peak_of(book)
    _pairs.row(
        "A5",
        f"memory: XLSX of {big:,} rows, over the program's own, against calamine alone",
        baseline=f"{alone:.0f} MB",
        ours=f"{over[1] - over[0]:.0f} MB",
        ratio=(over[1] - over[0]) / alone,
        goal="<= 1.25",
    )


if __name__ == "__main__":
    if "--remember" in sys.argv:
        remember(Path(sys.argv[-1]))
    else:
        _pairs.run(main)
