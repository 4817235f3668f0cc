"""manage.py import_roster: what it prints, its exit codes, and that nothing changes without --apply."""

import io
import json

import pytest
from django.core.management import call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.models import Event
from people.imports import headings, roster_row, unit_paths
from people.models import Employee, OrgUnit, Placement, Position, RosterImport
from tests.factories.people import make_employee, make_unit
from tests.people.roster.tools import checked, counts, csv_bytes, only

pytestmark = pytest.mark.django_db
GOOD = csv_bytes(["0001", "王伟", "华信通", "总经理"], ["0002", "李娜", "华信通/华东公司", "店长", "", "0001"])
BAD = csv_bytes(["0001", "王伟", "华信通"], ["1.1E+17", "李娜", "华信通/华东公司"])


@pytest.fixture
def run(tmp_path, capsys, django_capture_on_commit_callbacks):
    def run(content, *options, name="roster.csv"):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        out, err, code = io.StringIO(), io.StringIO(), 0
        try:
            with django_capture_on_commit_callbacks(execute=True):
                call_command("import_roster", str(path), *options, stdout=out, stderr=err)
        except SystemExit as stop:
            code = stop.code
        return code, out.getvalue(), err.getvalue()

    return run


def rows():
    return [list(model.objects.values()) for model in (Employee, Placement, OrgUnit, Position, RosterImport, Event)]


def test_without_apply_nothing_changes_and_clean_is_zero(run):
    before = rows()
    code, out, _err = run(GOOD, "--language", "en")
    assert (code, rows()) == (0, before)
    assert "new 2  changed 0  moved 0  left 0  unchanged 0  refused 0" in out


def test_apply_applies_and_again_finds_everything_unchanged(run):
    code, out, _err = run(GOOD, "--apply", "--json")
    report = json.loads(out)
    assert (code, report["applied"], report["counts"]) == (0, True, only(new=2))
    assert Employee.objects.get(employee_no="0002").manager.employee_no == "0001"
    assert Event.objects.get(action="roster applied").actor is None
    code, out, _err = run(GOOD, "--apply", "--json", "--mode", "full", "--missing", "left")
    assert (code, json.loads(out)["counts"]) == (0, only(unchanged=2))


def test_faults_are_one_and_stand_in_the_json_with_place_value_and_cure(run):
    before = rows()
    code, out, _err = run(BAD, "--json", "--language", "en")
    report = json.loads(out)
    assert (code, rows()) == (1, before)
    assert report["counts"] == only(new=1, refused=1)
    (fault,) = report["faults"]
    assert fault == {
        "sheet": "",
        "row": 3,
        "employee_no": "1.1E+17",
        "code": "float",
        "column": "employee no.",
        "value": "1.1E+17",
        "problem": "The spreadsheet turned this number into 1.1E+17: digits or leading zeros are lost.",
        "cure": "Format the column as text, type the number anew and save.",
    }
    code, out, _err = run(BAD, "--apply", "--json")
    assert (code, json.loads(out)["applied"], Employee.objects.count()) == (1, True, 1)


def test_all_or_nothing_applies_nothing(run):
    code, _out, err = run(BAD, "--apply", "--all-or-nothing")
    assert (code, Employee.objects.count()) == (1, 0)
    assert "Not applied" in err


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04", b"a,b\n1,2\n", b"\x89PNG\r\n\x1a\n"])
def test_unreadable_is_two(run, content):
    before = rows()
    for options in ([], ["--apply"], ["--json"]):
        assert (run(content, *options)[0], rows()) == (2, before)


def test_pm_i03_the_stop_needs_its_own_word(run):
    group = make_unit(name="华信通")
    for number in range(9):
        make_employee(group, employee_no=f"P{number}", name="人")
    content = csv_bytes(["P0", "人", "华信通"])
    options = ["--mode", "full", "--missing", "left", "--apply"]
    code, _out, err = run(content, *options)
    assert (code, Employee.objects.filter(state="left").count()) == (1, 0)
    assert "--confirm-stop" in err
    code, _out, _err = run(content, *options, "--confirm-stop")
    assert (code, Employee.objects.filter(state="left").count()) == (0, 8)


names = st.text("王李张刘陈杨赵黄周吴欧阳娜伟静AnnBo·", min_size=1, max_size=8).filter(lambda name: name.strip("·"))
numbers = st.lists(st.from_regex(r"[0-9A-Z]{1,8}", fullmatch=True), min_size=1, max_size=12, unique=True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_exported_comes_back_unchanged(data):
    """Any house: written as a roster by us, in either encoding, and read again, it is the same house."""
    RosterImport.objects.all().delete()
    Placement.objects.all().delete()
    Employee.objects.all().delete()
    OrgUnit.objects.all().delete()
    units = [make_unit(name="集团")]
    for number in range(data.draw(st.integers(0, 5))):
        parent = OrgUnit.objects.get(pk=data.draw(st.sampled_from(units)).pk)
        units.append(make_unit(parent, name=f"单位{number}"))
    people = []
    for no in data.draw(numbers):
        position = Position.objects.get_or_create(title=data.draw(st.sampled_from(["店长", "Teller", "客户经理"])))[0]
        people.append(
            make_employee(
                data.draw(st.sampled_from(units)),
                data.draw(st.sampled_from([None, *people])),
                employee_no=no,
                name=" ".join(data.draw(names).split()),
                position=data.draw(st.sampled_from([None, position])),
                hired_on=data.draw(st.sampled_from([None, *map(_day, range(1, 5))])),
                email=data.draw(st.sampled_from(["", "a@example.com"])),
                mobile=data.draw(st.sampled_from(["", "+8613800000001", "13800000001"])),
                language=data.draw(st.sampled_from(["zh-hans", "en"])),
            )
        )
    paths = unit_paths(list(OrgUnit.objects.order_by("path")))
    written = [
        roster_row(person, paths[person.unit_id], person.manager.employee_no if person.manager else "")
        for person in Employee.objects.select_related("position", "manager")
    ]
    content = csv_bytes(
        *written, head=headings(), encoding=data.draw(st.sampled_from(["utf-8", "gb18030", "utf-8-sig"]))
    )
    assert counts(checked(content, mode="full", missing="left")) == only(unchanged=len(people))


def _day(number):
    import datetime as dt

    return dt.date(2020, number, 28)
