"""Checks a roster file and, if asked, applies it: the same import as on the page, for scripts and nightly transfers."""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone, translation

from core.jobs import run_job
from core.models import Job
from people.domain.roster import (
    AnotherApplying,
    EffectiveDayAhead,
    FaultsRemain,
    NextStep,
    OwnRecordInside,
    SameFileApplying,
    request_apply,
    upload_roster,
)
from people.domain.roster_words import words_of_fault, words_of_note, words_of_problem
from people.models import OrgUnit, RosterChange, RosterImport, User

FINE, FAULTY, UNREADABLE = 0, 1, 2
SHOWN = 200  # faults printed; the JSON has them all
COUNTS = ("new", "changed", "moved", "left", "unchanged", "refused")


class Command(BaseCommand):
    help = (
        "Check a roster (CSV or XLSX) and print the counts and the faults. Without --apply nothing is changed. "
        "Exit code: 0 applied or clean, 1 faults (or not applied), 2 unreadable."
    )

    def add_arguments(self, parser):
        parser.add_argument("file", help="the roster: CSV (UTF-8, GB18030) or XLSX")
        parser.add_argument("--mode", choices=RosterImport.Mode.values, default="changes")
        parser.add_argument(
            "--missing",
            choices=RosterImport.Missing.values,
            default="keep",
            help="what becomes of people of the unit who are not in a full file",
        )
        parser.add_argument("--effective-on", metavar="DAY", help="first day of new posts, like 2026-11-01 (today)")
        parser.add_argument("--unit", metavar="CODE", help="only people of this unit and below (the whole house)")
        parser.add_argument("--user", metavar="NAME", help="the user in whose name it is done")
        parser.add_argument("--apply", action="store_true", help="apply what the check found")
        parser.add_argument("--all-or-nothing", action="store_true", help="apply nothing if a row is refused")
        parser.add_argument("--confirm-stop", action="store_true", help="apply although very many would leave or move")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--language", choices=["zh-hans", "en"], help="of the words (the site's)")

    def handle(self, *, language, **options):
        with translation.override(language or translation.get_language() or "zh-hans"):
            code = self.run(**options)
        if code:
            sys.exit(code)

    def run(self, *, file, mode, missing, effective_on, unit, user, apply, all_or_nothing, confirm_stop, **options):
        now = timezone.now()
        try:
            day = dt.date.fromisoformat(effective_on) if effective_on else timezone.localdate(now)
        except ValueError as error:
            raise CommandError("--effective-on: write the day like 2026-11-01.") from error
        settings = {
            "mode": mode,
            "missing": missing,
            "effective_on": day,
            "all_or_nothing": all_or_nothing,
            "scope": self._scope(unit),
            "by": self._user(user),
            "at": now,
        }
        try:
            roster = None
            with transaction.atomic():
                roster = _checked(Path(file), settings)
                report = _report(roster)
                if not apply or roster.state != RosterImport.State.CHECKED:
                    transaction.set_rollback(True)
        except OSError as error:
            return self._say(options, {"problem": str(error), "cure": "", "counts": {}, "faults": []}, UNREADABLE)
        except EffectiveDayAhead as error:
            raise CommandError("--effective-on: the day has not come yet.") from error
        except SameFileApplying as error:
            raise CommandError("This very file is being applied at the moment.") from error
        finally:
            if roster is not None and not RosterImport.objects.filter(pk=roster.pk).exists():
                roster.file.storage.delete(roster.file.name)
        if roster.problem:
            return self._say(options, report, UNREADABLE)
        if apply:
            report["applied"], report["why_not"] = self._apply(roster, confirm_stop, settings["by"])
            if report["applied"]:
                report = {**_report(roster), **{key: report[key] for key in ("applied", "why_not")}}
            return self._say(options, report, FAULTY if report["counts"]["refused"] or not report["applied"] else FINE)
        return self._say(options, report, FAULTY if report["counts"]["refused"] else FINE)

    def _scope(self, code: str | None) -> OrgUnit | None:
        if code:
            try:
                return OrgUnit.objects.get(code=code)
            except OrgUnit.DoesNotExist as error:
                raise CommandError(f"--unit: there is no unit with the code {code}.") from error
        roots = list(OrgUnit.objects.filter(depth=1)[:2])
        return roots[0] if len(roots) == 1 else None

    def _user(self, name: str | None) -> User | None:
        if not name:
            return None
        try:
            return User.objects.get(username=name)
        except User.DoesNotExist as error:
            raise CommandError(f"--user: there is no user called {name}.") from error

    def _apply(self, roster: RosterImport, confirm_stop: bool, by: User | None) -> tuple[bool, str]:
        """Apply; (done, why not)."""
        if roster.needs_second:
            if not confirm_stop:
                return False, "stop"
            # Who runs the command line is trusted with the machine; the event says that nobody else agreed.
            RosterImport.objects.filter(pk=roster.pk).update(needs_second=False)
            roster.refresh_from_db()
        try:
            step = request_apply(roster=roster, by=by, at=timezone.now())
        except (FaultsRemain, OwnRecordInside, AnotherApplying) as refusal:
            return False, {"FaultsRemain": "faults", "OwnRecordInside": "own", "AnotherApplying": "busy"}[
                type(refusal).__name__
            ]
        if step is not NextStep.APPLYING:
            return False, "moved_on"
        run_job(roster.job_id)
        roster.refresh_from_db()
        return (
            roster.state == RosterImport.State.APPLIED,
            "" if roster.state == RosterImport.State.APPLIED else "failed",
        )

    def _say(self, options: dict, report: dict, code: int) -> int:
        if options["json"]:
            self.stdout.write(json.dumps(report, ensure_ascii=False, indent=1, default=str))
            return code
        if report.get("problem"):
            self.stderr.write(f"{report['problem']} {report['cure']}")
            return code
        for note in report["notes"]:
            self.stdout.write(note)
        counts = report["counts"]
        self.stdout.write("  ".join(f"{name} {counts[name]}" for name in COUNTS))
        for fault in report["faults"][:SHOWN]:
            place = ":".join(str(part) for part in (fault["sheet"], fault["row"], fault["column"]) if part)
            self.stdout.write(f"{place}  {fault['value']!r}  {fault['problem']} {fault['cure']}")
        if len(report["faults"]) > SHOWN:
            self.stdout.write(f"… {len(report['faults']) - SHOWN} more")
        why = {
            "stop": "Not applied: very many would leave or move. Look at it, then add --confirm-stop.",
            "faults": "Not applied: rows are refused and --all-or-nothing was asked for.",
            "own": "Not applied: the file changes the record of the very user in whose name it would be done.",
            "busy": "Not applied: another roster is being applied.",
            "moved_on": "Not applied: the data changed meanwhile. Run the command again.",
            "failed": "Stopped in the middle; what was done is kept. Go on from the roster page, or look at the log.",
        }.get(report.get("why_not", ""))
        if why:
            self.stderr.write(why)
        elif report.get("applied"):
            self.stdout.write("Applied.")
        return code


def _checked(path: Path, settings: dict) -> RosterImport:
    """Upload and check in the caller's transaction, so that a check without --apply leaves nothing behind."""
    with path.open("rb") as file:
        roster = upload_roster(file=file, file_name=path.name, **settings)
    run_job(roster.job_id)
    roster.refresh_from_db()
    if roster.state == RosterImport.State.UPLOADED:
        job = Job.objects.get(pk=roster.job_id)
        raise CommandError(f"The check did not come to its end. {job.error}")
    return roster


def _report(roster: RosterImport) -> dict:
    report = {
        "file": roster.file_name,
        "counts": {name: roster.counts.get(name, 0) for name in COUNTS},
        "rows": roster.counts.get("rows", 0),
        "notes": [words_of_note(note) for note in roster.notes],
        "needs_second": roster.needs_second,
        "faults": [],
        "applied": False,
        "why_not": "",
    }
    if roster.problem:
        return {**report, **words_of_problem(roster.problem), "code": roster.problem["code"]}
    for change in roster.changes.filter(outcome=RosterChange.Outcome.REFUSED).order_by("row").iterator():
        for fault in change.faults:
            report["faults"].append(
                {
                    "sheet": change.sheet,
                    "row": change.row,
                    "employee_no": change.employee_no,
                    "code": fault["code"],
                    **words_of_fault(fault),
                }
            )
    return report
