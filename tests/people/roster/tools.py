"""Rosters for tests: made from tables of words, taken through the import as the pages and the command do."""

import csv
import datetime as dt
import io
from zoneinfo import ZoneInfo

from core.jobs import run_job
from people.domain import roster as domain
from people.models import Employee, OrgUnit, RosterImport

AT = dt.datetime(2026, 11, 18, 10, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
TODAY = dt.date(2026, 11, 18)
HEAD = [
    "employee_no",
    "name",
    "unit",
    "position",
    "job_family",
    "manager_no",
    "hired_on",
    "left_on",
    "email",
    "mobile",
    "language",
]


def csv_bytes(*rows, head=HEAD, encoding="utf-8") -> bytes:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(head)
    for row in rows:
        writer.writerow([*row, *[""] * (len(head) - len(row))])
    return file.getvalue().encode(encoding)


def uploaded(content: bytes, *, mode="changes", missing="keep", on=TODAY, scope=None, by=None, whole=False, at=AT):
    """Without a scope: the only root, as the command does."""
    roots = list(OrgUnit.objects.filter(depth=1)[:2])
    scope = scope or (roots[0] if len(roots) == 1 else None)
    return domain.upload_roster(
        file=io.BytesIO(content),
        file_name="roster.csv",
        scope=scope,
        mode=mode,
        missing=missing,
        effective_on=on,
        all_or_nothing=whole,
        by=by,
        at=at,
    )


def checked(content: bytes, **options) -> RosterImport:
    roster = uploaded(content, **options)
    run_job(roster.job_id)  # the test's transaction never commits, so nothing has run it yet
    roster.refresh_from_db()
    return roster


def applied(content: bytes, **options) -> RosterImport:
    roster = checked(content, **options)
    apply(roster, by=options.get("by"))
    return roster


def apply(roster, by=None, at=AT):
    step = domain.request_apply(roster=roster, by=by, at=at)
    settle(roster)
    return step


def undo(roster, by=None, at=AT):
    domain.request_undo(roster=roster, by=by, at=at)
    settle(roster)


def settle(roster):
    """Run the job of the import, as the commit would."""
    roster.refresh_from_db()
    run_job(roster.job_id)
    roster.refresh_from_db()


def counts(roster) -> dict:
    return {name: roster.counts[name] for name in ("new", "changed", "moved", "left", "unchanged", "refused")}


def only(**values) -> dict:
    return {**dict.fromkeys(("new", "changed", "moved", "left", "unchanged", "refused"), 0), **values}


def faults(roster) -> list[tuple]:
    """(row, column, code) of every fault, in order."""
    return [
        (change.row, fault["column"], fault["code"])
        for change in roster.changes.filter(outcome="refused")
        for fault in change.faults
    ]


def person(no: str) -> dict:
    """A person with the history of posts, as words."""
    found = Employee.objects.select_related("unit", "position", "manager").get(employee_no=no)
    return {
        "name": found.name,
        "state": str(found.state),
        "unit": found.unit and found.unit.name,
        "position": found.position and found.position.title,
        "manager": found.manager and found.manager.employee_no,
        "hired_on": found.hired_on,
        "left_on": found.left_on,
        "email": found.email,
        "mobile": found.mobile,
        "language": found.language,
        "posts": posts(found),
    }


def posts(employee) -> list[tuple]:
    return [
        (
            post.unit.name,
            post.position and post.position.title,
            post.manager and post.manager.employee_no,
            post.starts_on.isoformat(),
            post.ends_on and post.ends_on.isoformat(),
        )
        for post in employee.placements.select_related("unit", "position", "manager")
    ]
