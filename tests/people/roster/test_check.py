"""What a check finds: outcomes, faults with their place, notes, the stop. It changes nothing."""

import datetime as dt

import pytest

from people.domain.roster_words import words_of_note
from people.imports import RosterFile
from people.models import Employee, OrgUnit, Placement, Position, RosterImport
from tests.factories.people import grant, make_employee, make_position, make_unit
from tests.people.roster.tools import TODAY, applied, checked, counts, csv_bytes, faults, only

pytestmark = pytest.mark.django_db


@pytest.fixture
def house():
    """A group with two companies; the boss 0001, a head of each company, two people below."""
    group = make_unit(code="G", name="华信通")
    east, south = make_unit(group, "E", name="华东公司"), make_unit(group, "S", name="华南公司")
    clerk = make_position("客户经理")
    boss = make_employee(group, employee_no="0001", name="王伟")
    east_head = make_employee(east, boss, employee_no="0002", name="李娜", position=clerk)
    south_head = make_employee(south, boss, employee_no="0003", name="张三", position=clerk)
    make_employee(east, east_head, employee_no="0004", name="赵六", position=clerk)
    make_employee(south, south_head, employee_no="0005", name="钱七", position=clerk)
    return {"G": group, "E": east, "S": south}


def test_a_check_changes_nothing_and_counts_outcomes(house):
    def everything():
        return [list(model.objects.order_by("pk").values()) for model in (Employee, Placement, OrgUnit, Position)]

    before = everything()
    roster = checked(
        csv_bytes(
            ["0001", "王伟伟", "华信通"],
            ["0002", "李娜", "华信通/华南公司"],
            ["0004", "赵六", "华东公司", "", "", "", "", "2026-11-10"],
            ["0005", "钱七", "华南公司", "客户经理", "", "0003", "2024-01-01"],
            ["0009", "孙八", "华北公司/北京", "店长", "管理", "0010", "2026-01-05", "", "a@b.cn", "13800000001", "en"],
            ["0010", "周九", "华北公司", "", "", "0001"],
            ["0011", "", "华北公司"],
        )
    )
    assert counts(roster) == {"new": 2, "changed": 1, "moved": 1, "left": 1, "unchanged": 1, "refused": 1}
    assert everything() == before
    changes = {change.employee_no: change for change in roster.changes.all()}
    boss, moved, left, new = (changes[no] for no in ("0001", "0002", "0004", "0009"))
    assert (boss.row, boss.before, boss.after) == (
        2,
        {"name": "王伟", "pinyin": "wangwei ww"},
        {"name": "王伟伟", "pinyin": "wangweiwei www"},
    )
    assert (moved.before, moved.after) == (
        {"unit": house["E"].pk},
        {"unit": house["S"].pk, "post": "turn", "starts_on": "2026-11-18"},
    )
    assert (left.before, left.after) == (
        {"state": "active", "left_on": None},
        {"state": "left", "left_on": "2026-11-10", "post": "end"},
    )
    assert (new.after["name"], new.after["manager"], new.after["starts_on"]) == (
        "孙八",
        changes["0010"].employee_id,
        "2026-01-05",
    )
    assert [(step["name"], step["path"]) for step in roster.plan["units"]] == [
        ("华北公司", "华信通/华北公司"),
        ("北京", "华信通/华北公司/北京"),
    ] or [step["name"] for step in roster.plan["units"]] == ["华北公司", "北京"]
    assert [(step["title"], step["job_family"]) for step in roster.plan["positions"]] == [("店长", "管理")]


def test_an_empty_cell_says_nothing_and_a_dash_says_none(house):
    Employee.objects.filter(employee_no="0004").update(email="z@b.cn", mobile="13800000001", language="en")
    assert counts(checked(csv_bytes(["0004", "赵六", "华东公司"]))) == only(unchanged=1)
    roster = checked(csv_bytes(["0004", "赵六", "华东公司", "-", "", "无", "", "", "-", "-"]))
    (change,) = roster.changes.all()
    assert change.after == {
        "email": "",
        "mobile": "",
        "position": None,
        "manager": None,
        "post": "turn",
        "starts_on": "2026-11-18",
    }


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (  # both of two, whatever else is in them
            [["9", "a", "华东公司"], ["8", "b", "华东公司"], ["9", "c", "华东公司"]],
            [(2, "employee_no", "duplicate"), (4, "employee_no", "duplicate")],
        ),
        ([["9", "a", "华东公司", "", "", "7777"]], [(2, "manager_no", "unknown_manager")]),
        (  # a circle within the file
            [
                ["9", "a", "华东公司", "", "", "8"],
                ["8", "b", "华东公司", "", "", "7"],
                ["7", "c", "华东公司", "", "", "9"],
            ],
            [
                (2, "manager_no", "manager_circle"),
                (3, "manager_no", "manager_circle"),
                (4, "manager_no", "manager_circle"),
            ],
        ),
        # a circle through people who are not in the file: 0001 under 0004, who is under 0002, who is under 0001
        ([["0001", "王伟", "华信通", "", "", "0004"]], [(2, "manager_no", "manager_circle")]),
        ([["9", "a", "华东公司", "", "", "", "2028-01-01"]], [(2, "hired_on", "hired_too_late")]),
        ([["0004", "赵六", "华东公司", "", "", "", "", "2028-01-01"]], [(2, "left_on", "left_too_late")]),
        ([["9", "a", "华东公司", "", "", "", "2026-05-01", "2026-04-01"]], [(2, "left_on", "left_before_hired")]),
        ([["0004", "赵六", "华东公司", "", "", "", "", "2023-12-31"]], [(2, "left_on", "left_before_hired")]),
        ([["9", "a", "华东公司//x"]], [(2, "unit", "unit_gap")]),
    ],
)
def test_faults_stand_at_their_row_and_column(house, rows, found):
    roster = checked(csv_bytes(*rows))
    assert faults(roster) == found
    assert roster.counts["refused"] == len({row for row, _column, _code in found})


def test_a_row_written_off_may_close_another_circle_and_then_goes_too(house):
    """0002 under 0004 would be fine if 0004 left for 0003; but that row is refused, and so the circle is there."""
    roster = checked(
        csv_bytes(
            ["0002", "李娜", "华东公司", "", "", "0004"],
            ["0004", "赵六", "华东公司", "", "", "0009"],
            ["0009", "孙八", "华东公司", "", "", "0004"],
        )
    )
    assert faults(roster) == [(row, "manager_no", "manager_circle") for row in (2, 3, 4)]


def test_the_boss_may_change_places_with_someone_below(house):
    roster = applied(csv_bytes(["0001", "王伟", "华信通", "", "", "0002"], ["0002", "李娜", "华信通", "", "", "-"]))
    assert faults(roster) == []
    assert Employee.objects.get(employee_no="0001").manager.employee_no == "0002"


def test_a_refused_manager_does_not_take_the_team_along(house):
    roster = applied(
        csv_bytes(["8", "b", "", "", "", ""], ["9", "a", "华东公司", "", "", "8"], ["7", "c", "华东公司", "", "", "9"])
    )
    assert (faults(roster), counts(roster)) == ([(2, "unit", "missing")], only(new=2, refused=1))
    assert {"code": "manager_refused", "params": {"count": 1}} in roster.notes
    assert list(Employee.objects.filter(employee_no__in="79").values_list("employee_no", "manager__employee_no")) == [
        ("7", "9"),
        ("9", None),
    ]


def test_a_manager_who_has_left_is_refused_for_new_reports_only(house):
    gone = make_employee(house["E"], employee_no="0006", state="left", left_on=dt.date(2026, 1, 1))
    make_employee(house["E"], gone, employee_no="0007", name="旧")
    roster = checked(
        csv_bytes(["0007", "旧", "华东公司", "", "", "0006"], ["0004", "赵六", "华东公司", "", "", "0006"])
    )
    assert faults(roster) == [(3, "manager_no", "manager_left")]


def test_a_move_before_the_present_post_began_is_refused(house):
    row = ["0004", "赵六", "华南公司"]
    assert faults(checked(csv_bytes(row), on=dt.date(2023, 12, 31))) == [(2, "", "post_began_later")]
    assert counts(checked(csv_bytes(row), on=dt.date(2024, 1, 1))) == only(moved=1)


def test_a_last_day_before_the_present_post_is_refused(house):
    make_employee(
        house["E"], employee_no="0006", name="新", hired_on=dt.date(2020, 1, 1), starts_on=dt.date(2026, 1, 1)
    )
    roster = checked(csv_bytes(["0006", "新", "华东公司", "", "", "", "", "2025-12-31"]))
    assert faults(roster) == [(2, "left_on", "left_before_post")]


# --- scope ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def hr(house):
    person = make_employee(house["E"], employee_no="0050", name="人事", with_user=True)
    grant(person.user, "hr", house["E"])
    return person


def test_pm_i02_hr_changes_people_of_their_own_units_only(house, hr):
    content = csv_bytes(
        ["0004", "赵六六", "上海"],  # below the scope: made
        ["0005", "钱七七", "华东公司"],  # would pull somebody in from the neighbour
        ["0003", "张三", "华南公司"],  # names the neighbour's unit
        ["0002", "李娜", "华信通"],  # names the unit above
        ["0060", "新人", "华信通/华东公司", "", "", "0001"],  # a manager outside is fine
    )
    roster = checked(content, scope=house["E"], by=hr.user)
    assert faults(roster) == [
        (3, "employee_no", "person_outside"),
        (4, "unit", "unit_outside"),
        (5, "unit", "unit_outside"),
    ]
    assert counts(roster) == only(new=1, moved=1, refused=3)
    assert "钱" not in str(roster.changes.get(row=4).before)


def test_pm_i02_nobody_changes_their_own_record(house, hr):
    roster = checked(csv_bytes(["0050", "人事", "上海"]), scope=house["E"], by=hr.user)
    assert faults(roster) == [(2, "employee_no", "own_record")]
    same = checked(csv_bytes(["0050", "人事", "华东公司"]), scope=house["E"], by=hr.user)
    assert counts(same) == only(unchanged=1)


def test_people_without_a_unit_belong_to_the_hr_of_a_root(house, hr):
    lost = make_employee(None, employee_no="0070", name="孤")
    row = csv_bytes(["0070", "孤", "华东公司"])
    assert faults(checked(row, scope=house["E"], by=hr.user)) == [(2, "employee_no", "person_outside")]
    roster = applied(row, scope=house["G"])
    assert counts(roster) == only(moved=1)
    lost.refresh_from_db()
    assert lost.unit == house["E"]


# --- who is missing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "found", "note"),
    [
        ("keep", only(unchanged=1), "missing_kept"),
        ("suspend", only(unchanged=1, left=2), None),
        ("left", only(unchanged=1, left=2), None),
    ],
)
def test_missing_people_of_a_full_file(house, missing, found, note):
    make_employee(house["E"], employee_no="0030", hired_on=dt.date(2026, 12, 1))  # comes later: not expected yet
    make_employee(house["E"], employee_no="0031", state="left", left_on=dt.date(2026, 1, 1))
    make_employee(house["E"], employee_no="0032")
    roster = checked(csv_bytes(["0002", "李娜", "华东公司"]), mode="full", missing=missing, scope=house["E"])
    assert counts(roster) == found
    assert [n["code"] for n in roster.notes if n["code"].startswith("missing")] == ([note] if note else [])
    assert sorted(roster.changes.values_list("employee_no", "row", "outcome")) == (
        [] if missing == "keep" else [("0004", None, "left"), ("0032", None, "left")]
    )


def test_a_refused_row_of_a_full_file_is_not_a_missing_person(house):
    roster = checked(
        csv_bytes(["0002", "李娜", "华东公司"], ["0004", "赵六", "华东公司", "", "", "", "x"]),
        mode="full",
        missing="left",
        scope=house["E"],
    )
    assert counts(roster) == only(unchanged=1, refused=1)


def test_hr_who_is_not_in_the_file_does_not_mark_themselves(house, hr):
    content = csv_bytes(["0002", "李娜", "华东公司"], ["0004", "赵六", "华东公司"])
    roster = checked(content, mode="full", missing="left", scope=house["E"], by=hr.user)
    assert counts(roster) == only(unchanged=2)
    assert {"code": "self_missing", "params": {}} in roster.notes


def test_changes_only_marks_nobody_as_missing(house):
    assert counts(checked(csv_bytes(["0002", "李娜", "华东公司"]), missing="left")) == only(unchanged=1)


# --- the stop -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("people", "moving", "share", "stops"),
    [(50, 5, 10, False), (50, 6, 10, True), (10, 4, 10, False), (50, 6, 20, False)],
)
def test_pm_i03_the_stop_comes_above_the_share_and_from_five_people_on(settings, people, moving, share, stops):
    settings.ROSTER_STOP_SHARE = share
    group = make_unit(name="华信通")
    make_unit(group, name="别处")
    for number in range(people):
        make_employee(group, employee_no=f"P{number:03d}", name="人")
    roster = checked(csv_bytes(*[[f"P{number:03d}", "人", "别处"] for number in range(moving)]), scope=group)
    assert (roster.counts["moved"], roster.needs_second) == (moving, stops)
    assert ("stop" in [note["code"] for note in roster.notes]) is stops
    for note in roster.notes:
        assert words_of_note(note)


# --- files ----------------------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_used_is_kept_with_the_reason(house):
    for content, code in (
        (b"", "empty"),
        (b"a,b\n1,2\n", "no_header"),
        (csv_bytes(), "no_rows"),
        (b"PK\x03\x04", "broken"),
    ):
        roster = checked(content)
        assert (roster.state, roster.problem["code"]) == (RosterImport.State.UNREADABLE, code)
        assert not roster.changes.exists()


def test_gb18030_and_several_steps_of_reading_come_out_the_same(house, monkeypatch):
    monkeypatch.setattr("people.tasks.STAGE_BATCHES", 1)
    whole = RosterFile.batches
    monkeypatch.setattr(RosterFile, "batches", lambda self: whole(self, size=2))
    rows = [[f"N{number}", "新人", "华东公司", "", "", "N0" if number else ""] for number in range(7)]
    roster = checked(csv_bytes(*rows, encoding="gb18030"), on=TODAY)
    assert counts(roster) == only(new=7)
    assert roster.notes[0] == {"code": "read_csv", "params": {"encoding": "GB18030", "delimiter": ","}}
    assert roster.job.cursor == roster.job.total


def test_a_check_may_be_run_again_without_doubling(house):
    from people.domain.roster import check_again
    from tests.people.roster.tools import AT, settle

    roster = checked(csv_bytes(["9", "a", "华东公司"], ["8", "", "华东公司"]))
    check_again(roster=roster, by=None, at=AT)
    settle(roster)
    assert counts(roster) == only(new=1, refused=1)
    assert roster.changes.count() == 2
