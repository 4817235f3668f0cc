"""Views, forms, reports, exports and tables reach people only through the domain's doors (TRUST MC-01)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = ("portal", "bulletins", "kpi", "assessments", "courses", "certificates", "people", "core", "training_site")

PERSON_BOUND = {
    "Employee",
    "Placement",
    "Leave",
    "Invitation",
    "RosterChange",
    "Enrolment",
    "StepCompletion",
    "Certificate",
    "Attempt",
    "Response",
    "EnrolmentChange",
    "DutyRequest",
    "Matter",
    "ReminderDue",
    "Nudge",
    "Message",
}
MANAGERS = {"objects", "_default_manager", "_base_manager"}
SHORTCUTS = {"get_object_or_404", "get_list_or_404"}


def front_files() -> list[Path]:
    """The files in which a request is answered."""
    names = ("views.py", "forms.py", "reports.py", "exports.py", "tables.py", "filters.py", "context.py")
    found = []
    for app in APPS:
        for file in (ROOT / app).rglob("*.py"):
            parts = file.relative_to(ROOT).parts
            in_folder = {"views", "reports", "templatetags"} & set(parts[:-1])
            # "audience_forms.py" counts, "reviews.py" of a domain does not.
            named = file.name in names or file.name.endswith(tuple(f"_{name}" for name in names))
            if named or file.name == "wagtail_hooks.py" or in_folder:
                found.append(file)
    return sorted(found)


def direct_uses(source: str) -> list[tuple[int, str]]:
    """Every place where a person-bound model is asked directly: Employee.objects, get_object_or_404(Employee, …)."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in MANAGERS:
            name = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
            if name in PERSON_BOUND:
                found.append((node.lineno, f"{name}.{node.attr}"))
        elif isinstance(node, ast.Call) and node.args:
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            first = node.args[0]
            if called in SHORTCUTS and isinstance(first, ast.Name) and first.id in PERSON_BOUND:
                found.append((node.lineno, f"{called}({first.id})"))
    return found


def test_mc_01_there_are_files_to_look_at():
    assert len(front_files()) > 15


@pytest.mark.parametrize("file", front_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_mc_01_no_person_is_reached_past_the_door(file):
    assert direct_uses(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("Employee.objects.get(pk=1)", [(1, "Employee.objects")]),
        ("models.Enrolment.objects.all()", [(1, "Enrolment.objects")]),
        ("get_object_or_404(Certificate, pk=1)", [(1, "get_object_or_404(Certificate)")]),
        ("OrgUnit.objects.all()", []),
        ("visible_employees(actor, 'PM-P01').get(pk=1)", []),
    ],
)
def test_mc_01_the_scan_finds_what_it_is_for(source, found):
    assert direct_uses(source) == found
