"""What a roster import has to say: faults of rows, why a file cannot be used, and notes. Kept as codes, worded late.

A fault is stored as {column, value, code, params}, so that each reader gets problem and cure in their own language.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from django.utils.translation import get_language, gettext_lazy, gettext_noop, pgettext_lazy
from django.utils.translation import gettext as _

from core.spreadsheets import Unreadable

# The columns in the order in which we write them; the words stand in people.imports.
COLUMNS = (
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
)
REQUIRED = ("employee_no", "name", "unit")

LABELS = {
    "employee_no": gettext_lazy("employee no."),
    "name": pgettext_lazy("a person", "name"),
    "unit": gettext_lazy("unit"),
    "position": gettext_lazy("position"),
    "job_family": gettext_lazy("job family"),
    "manager_no": gettext_lazy("manager’s employee no."),
    "manager": gettext_lazy("manager"),
    "hired_on": gettext_lazy("hired on"),
    "left_on": gettext_lazy("last day"),
    "email": gettext_lazy("e-mail"),
    "mobile": gettext_lazy("mobile"),
    "language": gettext_lazy("language"),
    "state": gettext_lazy("state"),
}

FAULTS: dict[str, tuple[str, str]] = {
    # --- the cell -----------------------------------------------------------------------------------------------
    "missing": (gettext_noop("The cell is empty."), gettext_noop("Fill it in: no person is kept without it.")),
    "control": (
        gettext_noop("The cell holds a character that cannot be seen or kept."),
        gettext_noop("Type the value anew instead of copying it."),
    ),
    "too_long": (gettext_noop("Longer than %(limit)s characters."), gettext_noop("Shorten it.")),
    "float": (
        gettext_noop("The spreadsheet turned this number into %(shown)s: digits or leading zeros are lost."),
        gettext_noop("Format the column as text, type the number anew and save."),
    ),
    "date_in_text": (
        gettext_noop("The spreadsheet turned this into a date."),
        gettext_noop("Format the column as text, type the value anew and save."),
    ),
    "bad_number": (
        gettext_noop("An employee number has letters, digits and - _ . / # @ only."),
        gettext_noop("Take out the spaces and other characters."),
    ),
    "bad_name": (gettext_noop("A name has at least one letter."), gettext_noop("Write the name as it is spoken.")),
    "bad_date": (
        gettext_noop("This is not a date."),
        gettext_noop("Write it like 2026-01-05, 2026/1/5 or 2026年1月5日."),
    ),
    "no_such_day": (gettext_noop("There is no such day."), gettext_noop("Look at month and day once more.")),
    "bare_serial": (
        gettext_noop("The cell holds a bare number where a date is wanted."),
        gettext_noop("Format the column as a date, or write it like 2026-01-05."),
    ),
    "bad_email": (gettext_noop("This is not an e-mail address."), gettext_noop("Write it like name@example.com.")),
    "bad_mobile": (
        gettext_noop("A mobile number has 5 to 20 digits, with + in front for another country."),
        gettext_noop("Write the digits only."),
    ),
    "bad_language": (
        gettext_noop("The platform does not speak this language."),
        gettext_noop("Write 中文 or English (zh or en)."),
    ),
    "broken_quotes": (
        gettext_noop("The quotation marks of this line do not fit together."),
        gettext_noop('A quotation mark inside a cell is written twice: "". Save the file from the spreadsheet again.'),
    ),
    "short_row": (
        gettext_noop("The row has %(found)s of %(expected)s cells; the file may be cut off here."),
        gettext_noop("Save and send the file once more, or complete the row."),
    ),
    "long_row": (
        gettext_noop("The row has %(found)s cells, more than the %(expected)s headings."),
        gettext_noop("Put cells that hold the delimiter between quotation marks."),
    ),
    # --- the row ------------------------------------------------------------------------------------------------
    "duplicate": (
        gettext_noop("The same number stands in rows %(rows)s."),
        gettext_noop("Keep one row for each person; nobody can tell which of them is right."),
    ),
    "own_manager": (
        gettext_noop("A person cannot be their own manager."),
        gettext_noop("Write the manager’s number, or - for nobody."),
    ),
    "unknown_manager": (
        gettext_noop("There is no such employee, neither in the file nor in the platform."),
        gettext_noop("Correct the manager’s number, or add the manager to the file."),
    ),
    "manager_left": (
        gettext_noop("This manager left on %(left_on)s."),
        gettext_noop("Write the number of the present manager."),
    ),
    "manager_circle": (
        gettext_noop("These people would be each other’s managers in a circle: %(circle)s."),
        gettext_noop("Correct the manager of one of them."),
    ),
    "hired_too_late": (
        gettext_noop("The first day lies more than a year ahead."),
        gettext_noop("Look at the year; people who come later are added later."),
    ),
    "too_long_ago": (gettext_noop("The day lies before 1940."), gettext_noop("Look at the year.")),
    "left_too_late": (
        gettext_noop("The last day lies more than a year ahead."),
        gettext_noop("Look at the year; leave it empty for who stays."),
    ),
    "left_before_hired": (
        gettext_noop("The last day (%(left_on)s) lies before the first (%(hired_on)s)."),
        gettext_noop("Correct one of the two days."),
    ),
    "left_before_post": (
        gettext_noop("The last day lies before the present post began (%(starts_on)s)."),
        gettext_noop("Correct the day, or put the history right by hand first."),
    ),
    "post_began_later": (
        gettext_noop("The present post began on %(starts_on)s, after the day from which the change would hold."),
        gettext_noop("Upload the file with a later effective day."),
    ),
    "back_too_early": (
        gettext_noop("The person was here until %(left_on)s and cannot begin another post before the day after."),
        gettext_noop("Upload the file with a later effective day."),
    ),
    # --- units and scope ------------------------------------------------------------------------------------------
    "unit_gap": (
        gettext_noop("A part of the path is empty."),
        gettext_noop("Write the units one after the other, like 华东公司/上海/徐汇营业厅."),
    ),
    "unit_too_deep": (
        gettext_noop("The path has more than %(limit)s parts."),
        gettext_noop("Leave out what is not a unit."),
    ),
    "unit_twice": (
        gettext_noop("Several units are called so at the same place."),
        gettext_noop("Write the code of the unit instead of its path."),
    ),
    "unit_outside": (
        gettext_noop("This unit is not one of yours: you are HR for %(scope)s."),
        gettext_noop("Take the row out, or let the HR of that unit upload it."),
    ),
    "too_many_units": (
        gettext_noop("The file would make more than %(limit)s new units."),
        gettext_noop("Look at the unit column: each different text becomes a unit."),
    ),
    "person_outside": (
        gettext_noop("This person belongs to a unit for which you are not HR."),
        gettext_noop("Let the HR of that unit move the person, or HR further up upload the row."),
    ),
    "own_record": (
        gettext_noop("This row would change your own record."),
        gettext_noop("Ask another HR person to upload it."),
    ),
    "moved_on": (
        gettext_noop("Somebody changed this person after the check."),
        gettext_noop("Upload the file again and look at the differences."),
    ),
}

PROBLEMS: dict[str, tuple[str, str]] = {
    "no_header": (
        gettext_noop("No row of the file names its columns."),
        gettext_noop("Put these headings into the first row: 工号 (employee_no), 姓名 (name), 部门 (unit)."),
    ),
    "missing_columns": (
        gettext_noop("The file has no column for: %(columns)s."),
        gettext_noop("Add the column; the template shows all headings."),
    ),
    "double_columns": (
        gettext_noop("Several columns are for the same thing: %(columns)s."),
        gettext_noop("Keep one of them."),
    ),
    "no_rows": (
        gettext_noop("The file has headings but no row below them."),
        gettext_noop("Choose the file that holds the people."),
    ),
    "file_gone": (
        gettext_noop("The uploaded file is no longer there."),
        gettext_noop("Upload it again."),
    ),
}

NOTES: dict[str, str] = {
    "read_csv": gettext_noop("Read as CSV: %(encoding)s, separated by “%(delimiter)s”."),
    "read_xlsx": gettext_noop("Read from the sheet “%(sheet)s”."),
    "header_row": gettext_noop("The headings stand in row %(row)s; what is above was left out."),
    "other_sheets": gettext_noop("Other sheets were not read: %(sheets)s."),
    "ignored_columns": gettext_noop("These columns mean nothing to the platform and were left out: %(columns)s."),
    "merged": gettext_noop("The sheet has merged cells; each row below takes the value of the first."),
    "new_units": gettext_noop("Units that will be made (%(count)s): %(units)s."),
    "new_positions": gettext_noop("Positions that will be made (%(count)s): %(positions)s."),
    "other_family": gettext_noop("These positions keep the job family they have: %(positions)s."),
    "manager_refused": gettext_noop(
        "People whose manager’s own row is refused: %(count)s. Their manager stays as it is until that row is right."
    ),
    "missing_kept": gettext_noop("People of the unit who are not in the file: %(count)s. They stay as they are."),
    "self_missing": gettext_noop(
        "Who uploaded the file is not in it; nobody marks themselves, so that record stays as it is."
    ),
    "back": gettext_noop("People who had left, are in the file and come back: %(count)s."),
    "reports_stay": gettext_noop("People who report to somebody who leaves: %(count)s. Give them another manager."),
    "stop": gettext_noop(
        "%(count)s of %(people)s people would leave, be suspended or move. That is more than %(share)s %%, so a second"
        " HR person must agree."
    ),
    "moved_on": gettext_noop(
        "The data changed after the check, so nothing was applied and the file was checked again. Look at the"
        " differences once more."
    ),
    "lost": gettext_noop("People whom somebody else changed meanwhile, and who were left alone: %(count)s."),
    "kept_people": gettext_noop("Not taken back, because other records rest on them by now: %(people)s."),
    "kept_units": gettext_noop("These units stay, because something else is in them by now: %(units)s."),
}


@dataclass(frozen=True)
class Fault:
    """What is wrong with one cell (or, without a column, with the row)."""

    column: str
    value: str
    code: str
    params: dict = field(default_factory=dict)

    def as_json(self) -> dict:
        return {"column": self.column, "value": self.value[:200], "code": self.code, "params": self.params}


class RosterProblem(Exception):
    """The file cannot be used as a roster at all: no heading, no rows. ``code`` is one of PROBLEMS."""

    def __init__(self, code: str, **params):
        super().__init__(code)
        self.code, self.params = code, params


def label_of(column: str) -> str:
    """This function will return what a column is called in the active language."""
    return str(LABELS[column]) if column in LABELS else ""


def words_of_fault(fault: dict) -> dict[str, str]:
    """This function will put a stored fault into words: column, value, problem and cure in the active language."""
    problem, cure = FAULTS[fault["code"]]
    params = fault.get("params") or {}
    return {
        "column": label_of(fault["column"]),
        "value": fault["value"],
        "problem": _(problem) % params if params else _(problem),
        "cure": _(cure) % params if params else _(cure),
    }


def words_of_problem(problem: dict) -> dict[str, str]:
    """This function will put into words why a file cannot be used: problem and cure."""
    params = problem.get("params") or {}
    if problem["code"] in PROBLEMS:
        what, cure = PROBLEMS[problem["code"]]
        if "columns" in params:
            params = {"columns": ", ".join(label_of(column) or column for column in params["columns"])}
        return {"problem": _(what) % params, "cure": _(cure) % params}
    error = Unreadable(problem["code"], **params)
    return {"problem": error.problem, "cure": error.cure}


def words_of_note(note: dict) -> str:
    """This function will put a note into words."""
    params = {
        name: ("、" if _is_chinese() else ", ").join(map(str, value)) if isinstance(value, list) else value
        for name, value in (note.get("params") or {}).items()
    }
    return _(NOTES[note["code"]]) % params


def _is_chinese() -> bool:
    return (get_language() or "").startswith("zh")
