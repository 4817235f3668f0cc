"""Applying and taking back: every person once, nothing unseen, everything as it was before."""

import datetime as dt

import pytest

from core.events import verify_chain
from core.jobs import run_job, stop_job
from core.models import Event, Job
from people.domain import roster as domain
from people.domain import roster_apply
from people.domain.moves import mark_left, move_employee
from people.models import Employee, Leave, OrgUnit, Placement, Position, RosterChange, RosterImport
from tests.factories.people import grant, make_employee, make_leave, make_position, make_unit
from tests.people.roster.tools import (
    AT,
    applied,
    apply,
    checked,
    counts,
    csv_bytes,
    faults,
    only,
    person,
    settle,
    undo,
    uploaded,
)

pytestmark = pytest.mark.django_db
State = RosterImport.State


@pytest.fixture
def house():
    group = make_unit(code="G", name="华信通")
    east, south = make_unit(group, "E", name="华东公司"), make_unit(group, "S", name="华南公司")
    clerk = make_position("客户经理")
    boss = make_employee(group, employee_no="0001", name="王伟", with_user=True)
    head = make_employee(east, boss, employee_no="0002", name="李娜", position=clerk, with_user=True)
    make_employee(east, head, employee_no="0004", name="赵六", position=clerk, with_user=True)
    make_employee(south, boss, employee_no="0005", name="钱七", position=clerk)
    return {"G": group, "E": east, "S": south}


def snapshot():
    """Everything an import can touch, as rows."""
    return {
        model.__name__: sorted(map(str, model.objects.values_list()))
        for model in (Employee, Placement, OrgUnit, Position)
    }


ALL_KINDS = csv_bytes(
    ["0001", "王伟伟", "华信通", "总经理", "管理", "", "2015-01-05", "", "wang@example.com", "13800000001", "en"],
    ["0002", "李娜", "华信通/华南公司", "店长", "", "0005"],
    ["0004", "赵六", "华东公司", "", "", "", "", "2026-11-10"],
    ["0005", "钱七", "华南公司", "客户经理", "", "0001", "2024-01-01"],
    ["0009", "孙八", "华北公司/北京", "店长", "管理", "0010", "2026-01-05", "", "a@b.cn", "13800000002", "en"],
    ["0010", "周九", "华北公司", "", "", "0002"],
    ["0011", "", "华北公司"],
)


def test_an_import_writes_people_posts_units_and_positions(house):
    roster = applied(ALL_KINDS)
    assert roster.state == State.APPLIED
    assert counts(roster) == {"new": 2, "changed": 0, "moved": 2, "left": 1, "unchanged": 1, "refused": 1}
    assert person("0001") == {
        "name": "王伟伟",
        "state": "active",
        "unit": "华信通",
        "position": "总经理",
        "manager": None,
        "hired_on": dt.date(2015, 1, 5),
        "left_on": None,
        "email": "wang@example.com",
        "mobile": "13800000001",
        "language": "en",
        "posts": [
            ("华信通", None, None, "2024-01-01", "2026-11-17"),
            ("华信通", "总经理", None, "2026-11-18", None),
        ],
    }
    assert person("0002")["posts"] == [
        ("华东公司", "客户经理", "0001", "2024-01-01", "2026-11-17"),
        ("华南公司", "店长", "0005", "2026-11-18", None),
    ]
    left = person("0004")
    assert (left["state"], left["left_on"], left["posts"]) == (
        "left",
        dt.date(2026, 11, 10),
        [("华东公司", "客户经理", "0002", "2024-01-01", "2026-11-10")],
    )
    assert person("0009") == {
        "name": "孙八",
        "state": "active",
        "unit": "北京",
        "position": "店长",
        "manager": "0010",
        "hired_on": dt.date(2026, 1, 5),
        "left_on": None,
        "email": "a@b.cn",
        "mobile": "13800000002",
        "language": "en",
        "posts": [("北京", "店长", "0010", "2026-01-05", None)],
    }
    assert person("0010")["posts"] == [("华北公司", None, "0002", "2026-11-18", None)]
    assert Employee.objects.get(employee_no="0009").pinyin == "sunba sb"
    assert Position.objects.get(title="店长").job_family == "管理"
    assert OrgUnit.find_problems() == ([], [], [], [], [])


def test_sign_ins_follow_and_who_left_is_signed_out(house):
    epochs = dict(Employee.objects.filter(user__isnull=False).values_list("employee_no", "user__session_epoch"))
    applied(ALL_KINDS)
    boss = Employee.objects.get(employee_no="0001").user
    assert (boss.email, boss.first_name) == ("wang@example.com", "王伟伟")
    after = dict(Employee.objects.filter(user__isnull=False).values_list("employee_no", "user__session_epoch"))
    assert {no for no in after if after[no] != epochs[no]} == {"0004"}


def test_au_01_one_event_with_counts_and_the_hash_of_the_file(house):
    roster = applied(ALL_KINDS)
    (event,) = Event.objects.filter(chain="roster")
    assert (event.action, event.subject_id) == ("roster applied", str(roster.pk))
    assert event.after["sha256"] == roster.file_hash
    assert {name: event.after[name] for name in counts(roster)} == counts(roster)
    assert verify_chain("roster") == (1, None)


def test_fl_3_the_same_file_again_finds_everything_unchanged_and_changes_nothing(house):
    applied(ALL_KINDS)
    before = snapshot()
    again = applied(ALL_KINDS)
    assert counts(again) == only(unchanged=6, refused=1)
    assert snapshot() == before
    full = applied(ALL_KINDS, mode="full", missing="left")
    assert counts(full) == only(unchanged=6, refused=1)
    assert snapshot() == before


def test_a_move_on_the_day_the_post_began_puts_the_post_right(house):
    applied(csv_bytes(["0005", "钱七", "华东公司"]))
    applied(csv_bytes(["0005", "钱七", "华信通"]))
    assert person("0005")["posts"] == [
        ("华南公司", "客户经理", "0001", "2024-01-01", "2026-11-17"),
        ("华信通", "客户经理", "0001", "2026-11-18", None),
    ]


def test_who_had_left_comes_back_with_a_new_post(house):
    applied(csv_bytes(["0005", "钱七", "华南公司", "", "", "", "", "2026-10-31"]))
    roster = applied(csv_bytes(["0005", "钱七", "华东公司", "", "", "0002"]))
    assert {"code": "back", "params": {"count": 1}} in roster.notes
    found = person("0005")
    assert (found["state"], found["left_on"], found["hired_on"]) == ("active", None, dt.date(2026, 11, 18))
    assert found["posts"] == [
        ("华南公司", "客户经理", "0001", "2024-01-01", "2026-10-31"),
        ("华东公司", "客户经理", "0002", "2026-11-18", None),
    ]


def test_who_was_marked_as_left_by_mistake_the_same_day_goes_on_as_before(house):
    before = person("0005")
    applied(csv_bytes(["0005", "钱七", "华南公司", "", "", "", "", "2026-11-18"]))
    row = ["0005", "钱七", "华南公司"]
    applied(csv_bytes(row))
    assert person("0005") == before
    applied(csv_bytes([*row, "", "", "", "", "2026-11-18"]))
    moved = checked(csv_bytes(["0005", "钱七", "华东公司"]))
    assert faults(moved) == [(2, "left_on", "back_too_early")]


def test_a_last_day_may_be_corrected(house):
    applied(csv_bytes(["0005", "钱七", "华南公司", "", "", "", "", "2026-10-31"]))
    roster = applied(csv_bytes(["0005", "钱七", "华南公司", "", "", "", "", "2026-11-15"]))
    assert counts(roster) == only(changed=1)
    assert (person("0005")["left_on"], person("0005")["posts"][0][4]) == (dt.date(2026, 11, 15), "2026-11-15")
    undo(roster)
    assert person("0005")["posts"][0][4] == "2026-10-31"


@pytest.mark.parametrize(("missing", "state"), [("suspend", "suspended"), ("left", "left")])
def test_missing_people_are_suspended_or_left_and_come_back_with_the_next_file(house, missing, state):
    options = {"mode": "full", "missing": missing, "scope": house["E"]}
    here = [["0002", "李娜", "华东公司"]]
    applied(csv_bytes(*here), **options)
    assert person("0004")["state"] == state
    assert person("0004")["posts"][0][4] == ("2026-11-18" if state == "left" else None)
    assert person("0005")["state"] == "active"  # outside the scope
    again = applied(csv_bytes(*here), **options)
    assert counts(again) == only(unchanged=1)
    applied(csv_bytes(*here, ["0004", "赵六", "华东公司"]), **options)
    assert person("0004")["state"] == "active"
    assert len(person("0004")["posts"]) == 1


def test_refused_rows_do_not_block_the_others_unless_all_or_nothing_is_chosen(house):
    assert applied(ALL_KINDS).state == State.APPLIED
    roster = checked(csv_bytes(["0020", "a", "华东公司"], ["0021", "", "华东公司"]), whole=True)
    before = snapshot()
    with pytest.raises(domain.FaultsRemain):
        apply(roster)
    assert snapshot() == before


def test_the_plan_is_made_with_the_ids_given_out_at_the_check(house):
    roster = checked(ALL_KINDS)
    given = {change.employee_no: change.employee_id for change in roster.changes.filter(outcome="new")}
    make_employee(house["E"], employee_no="0099")  # somebody comes in between and gets another id
    assert apply(roster) == domain.NextStep.CHECKING_AGAIN
    given = {change.employee_no: change.employee_id for change in roster.changes.filter(outcome="new")}
    apply(roster)
    assert dict(Employee.objects.filter(employee_no__in=given).values_list("employee_no", "pk")) == given


# --- nothing unseen -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["name", "move", "unit", "position", "new"])
def test_when_the_data_moved_on_nothing_is_applied_and_the_file_is_checked_again(house, change):
    roster = checked(ALL_KINDS)
    if change == "name":
        Employee.objects.filter(employee_no="0001").update(name="王大伟")
    elif change == "move":
        move_employee(
            employee=Employee.objects.get(employee_no="0005"),
            unit=house["E"],
            position=None,
            manager=None,
            on=dt.date(2026, 11, 1),
            by=None,
            at=AT,
        )
    elif change == "unit":
        OrgUnit.objects.filter(pk=house["S"].pk).update(name="南方公司")
    elif change == "position":
        make_position("店长")
    else:
        make_employee(house["E"], employee_no="0009")
    before = snapshot()
    assert apply(roster) == domain.NextStep.CHECKING_AGAIN
    assert roster.state == State.CHECKED
    assert roster.notes[0]["code"] == "moved_on"
    assert snapshot() == before
    assert apply(roster) == domain.NextStep.APPLYING
    assert roster.state == State.APPLIED


def test_who_is_changed_while_the_import_runs_is_left_alone_and_reported(house):
    roster = checked(ALL_KINDS)
    domain.request_apply(roster=roster, by=None, at=AT)
    Employee.objects.filter(employee_no="0002").update(position=None)
    make_employee(house["E"], employee_no="0009", name="先来")
    settle(roster)
    assert roster.state == State.APPLIED
    assert counts(roster) == {"new": 1, "changed": 0, "moved": 1, "left": 1, "unchanged": 1, "refused": 3}
    assert {"code": "lost", "params": {"count": 2}} in roster.notes
    assert [fault for fault in faults(roster) if fault[2] == "moved_on"] == [(3, "", "moved_on"), (6, "", "moved_on")]
    assert person("0002")["unit"] == "华东公司"
    assert person("0009")["name"] == "先来"


# --- chunks ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(roster_apply, "CHUNK", 2)
    monkeypatch.setattr("people.tasks.apply_chunk", lambda **given: roster_apply.apply_chunk(**given, size=2))
    monkeypatch.setattr("people.tasks.undo_chunk", lambda **given: roster_apply.undo_chunk(**given, size=2))


def test_fl_2_an_import_stopped_in_the_middle_goes_on_where_it_was(house, small_chunks, monkeypatch):
    roster = checked(ALL_KINDS)
    domain.request_apply(roster=roster, by=None, at=AT)
    done = []

    def stop_after_the_first(**given):
        done.append(roster_apply.apply_chunk(**given, size=2))
        stop_job(Job.objects.get(pk=given["roster"].job_id))
        return done[-1]

    monkeypatch.setattr("people.tasks.apply_chunk", stop_after_the_first)
    settle(roster)
    assert (roster.state, roster.job.state, done) == (State.APPLYING, "stopped", [2])
    assert Employee.objects.filter(employee_no__in=["0009", "0010"]).count() == 2  # the new ones come first
    assert person("0001")["name"] == "王伟"
    monkeypatch.setattr("people.tasks.apply_chunk", lambda **given: roster_apply.apply_chunk(**given, size=2))
    domain.request_apply(roster=roster, by=None, at=AT)
    settle(roster)
    assert (roster.state, person("0001")["name"]) == (State.APPLIED, "王伟伟")
    assert Event.objects.filter(chain="roster").count() == 1
    assert Placement.objects.filter(employee__employee_no="0009").count() == 1


def test_fl_3_a_chunk_that_is_run_again_does_nothing_twice(house):
    roster = checked(ALL_KINDS)
    domain.request_apply(roster=roster, by=None, at=AT)
    first, second = (RosterImport.objects.get(pk=roster.pk) for _copy in range(2))
    roster_apply.prepare_apply(roster=first)
    second.refresh_from_db()
    assert roster_apply.apply_chunk(roster=first, at=AT) == 5
    before = snapshot()
    with pytest.raises(roster_apply.NotAtThisPoint):
        roster_apply.apply_chunk(roster=second, at=AT)
    second.refresh_from_db()
    assert roster_apply.apply_chunk(roster=second, at=AT) == 0
    roster_apply.prepare_apply(roster=second)
    assert snapshot() == before


def test_a_fault_in_the_middle_of_a_chunk_leaves_nothing_of_it(house, monkeypatch):
    roster = checked(ALL_KINDS)
    before = {name: rows for name, rows in snapshot().items() if name in {"Employee", "Placement"}}
    monkeypatch.setattr(roster_apply._Chunk, "follow_users", lambda self: 1 / 0)
    apply(roster)
    after = {name: rows for name, rows in snapshot().items() if name in {"Employee", "Placement"}}
    assert (roster.state, roster.job.state, after) == (State.APPLYING, "failed", before)
    monkeypatch.undo()
    apply(roster)
    assert (roster.state, person("0001")["name"]) == (State.APPLIED, "王伟伟")


def test_the_right_is_asked_again_when_the_job_begins(house):
    hr = make_employee(house["G"], employee_no="0050", with_user=True)
    role = grant(hr.user, "hr", house["G"])
    roster = checked(ALL_KINDS, by=hr.user)
    domain.request_apply(roster=roster, by=hr.user, at=AT)
    role.delete()
    before = snapshot()
    settle(roster)
    assert (roster.state, snapshot()) == (State.CHECKED, before)


def test_the_same_file_cannot_come_in_while_it_is_applied(house):
    roster = checked(ALL_KINDS)
    domain.request_apply(roster=roster, by=None, at=AT)
    with pytest.raises(domain.SameFileApplying):
        uploaded(ALL_KINDS)
    other = checked(csv_bytes(["0005", "钱八", "华南公司"]))
    with pytest.raises(domain.AnotherApplying):
        domain.request_apply(roster=other, by=None, at=AT)
    settle(roster)
    assert roster.state == State.APPLIED
    assert uploaded(ALL_KINDS)


# --- taking back ----------------------------------------------------------------------------------------------------


def test_pm_i04_taking_back_puts_everything_as_it_was(house, small_chunks):
    before = snapshot()
    roster = applied(ALL_KINDS, mode="full", missing="left")
    assert snapshot() != before
    undo(roster)
    assert roster.state == State.UNDONE
    assert snapshot() == before
    assert OrgUnit.find_problems() == ([], [], [], [], [])
    assert [event.action for event in Event.objects.filter(chain="roster")] == ["roster applied", "roster undone"]
    assert verify_chain("roster") == (2, None)
    again = applied(ALL_KINDS, mode="full", missing="left")
    assert again.state == State.APPLIED


@pytest.mark.parametrize(
    "rows",
    [
        [["0005", "钱七", "华南公司", "", "", "", "", "2026-10-31"]],
        [["0005", "钱七", "华东公司", "-", "", "-"], ["0004", "赵六六", "华东公司", "", "", "", "2020-01-01"]],
        [
            ["0060", "新", "华东/新", "新岗"],
            ["0061", "新二", "华东/新", "", "", "0060"],
            ["0002", "李娜", "华东公司", "", "", "0061"],
        ],
    ],
)
def test_taking_back_each_kind(house, rows):
    before = snapshot()
    roster = applied(csv_bytes(*rows))
    undo(roster)
    assert snapshot() == before


def test_taking_back_a_return(house):
    applied(csv_bytes(["0005", "钱七", "华南公司", "", "", "", "", "2026-10-31"]))
    before = snapshot()
    undo(applied(csv_bytes(["0005", "钱七", "华东公司"])))
    assert snapshot() == before
    applied(csv_bytes(["0002", "李娜", "华东公司", "", "", "", "", "2026-11-18"]))
    before = snapshot()
    undo(applied(csv_bytes(["0002", "李娜", "华东公司"])))  # the same day: the post is opened again
    assert snapshot() == before


def test_nothing_is_taken_back_when_somebody_was_changed_since_and_they_are_named(house):
    roster = applied(ALL_KINDS)
    Employee.objects.filter(employee_no="0009").update(mobile="1")
    mark_left(employee=Employee.objects.get(employee_no="0002"), on=dt.date(2026, 11, 18), by=None, at=AT)
    before = snapshot()
    with pytest.raises(domain.ChangedSince) as refused:
        undo(roster)
    assert (refused.value.names, refused.value.count) == (["李娜 (0002)", "孙八 (0009)"], 2)
    roster.refresh_from_db()
    assert (roster.state, snapshot()) == (State.APPLIED, before)


def test_a_leaver_or_mover_since_blocks_taking_the_post_back(house):
    roster = applied(csv_bytes(["0005", "钱七", "华东公司"]))
    mark_left(employee=Employee.objects.get(employee_no="0005"), on=dt.date(2026, 11, 18), by=None, at=AT)
    with pytest.raises(domain.ChangedSince):
        undo(roster)


def test_new_people_on_whom_something_rests_stay_and_are_named(house):
    roster = applied(ALL_KINDS)
    make_leave(Employee.objects.get(employee_no="0009"), dt.date(2026, 11, 20), dt.date(2026, 11, 21))
    undo(roster)
    assert roster.state == State.UNDONE
    # 0010 is the manager of who stays, so 0010 stays as well; their units and positions too
    assert set(Employee.objects.values_list("employee_no", flat=True)) == {
        "0001",
        "0002",
        "0004",
        "0005",
        "0009",
        "0010",
    }
    notes = {note["code"]: note["params"] for note in roster.notes}
    assert notes["kept_people"] == {"people": ["孙八 (0009)", "周九 (0010)"]}
    assert sorted(notes["kept_units"]["units"]) == ["北京", "华北公司"]
    assert person("0009")["manager"] == "0010"
    assert Leave.objects.count() == 1
    assert person("0002")["unit"] == "华东公司"


def test_an_unfinished_undo_goes_on(house, small_chunks, monkeypatch):
    before = snapshot()
    roster = applied(ALL_KINDS)

    def fail(**given):
        raise RuntimeError("power")

    monkeypatch.setattr("people.tasks.undo_chunk", fail)
    undo(roster)
    assert (roster.state, roster.job.state) == (State.UNDOING, "failed")
    monkeypatch.setattr("people.tasks.undo_chunk", lambda **given: roster_apply.undo_chunk(**given, size=2))
    domain.request_undo(roster=roster, by=None, at=AT)
    settle(roster)
    assert (roster.state, snapshot()) == (State.UNDONE, before)


def test_an_import_of_nothing_is_applied_and_taken_back_without_harm(house):
    roster = applied(csv_bytes(["0005", "钱七", "华南公司"]))
    assert (roster.state, counts(roster)) == (State.APPLIED, only(unchanged=1))
    undo(roster)
    assert roster.state == State.UNDONE
    assert not RosterChange.objects.filter(roster=roster).exists()
    run_job(roster.job_id)
