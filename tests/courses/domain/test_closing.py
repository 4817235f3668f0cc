"""Closing a month: begun, signed from the branches up, frozen; and nothing moves it afterwards."""

import datetime as dt

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from core.events import verify_chain
from core.models import Event
from courses.domain import catching_up, closing, exceptions, history, opening, progress
from courses.domain.queries import Figures
from courses.domain.reconciling import Report, keep_report
from courses.models import ClosedFigure, CourseRun, DutyRequest, Enrolment, Matter, MonthClose, SignOff, Tally
from people.domain.moves import move_employee
from people.domain.units import move_unit, rename_unit
from people.models import OrgUnit, RosterImport
from tests.factories.courses import (
    NOVEMBER,
    local,
    make_audience,
    make_course,
    make_enrolment,
    make_programme,
    make_run,
)
from tests.factories.people import make_employee, make_leave, make_unit, make_user

pytestmark = pytest.mark.django_db

DUE = local(2026, 12, 1, 8)  # the morning after the due day
LATER = local(2026, 12, 10, 9)


class World:
    """A group with an east and a west; two branches in the east. Six duties of one course, one of another."""

    def __init__(self):
        self.by = make_user()
        self.group = make_unit(code="G", name="集团", name_en="Group")
        self.east = make_unit(self.group, code="E", name="东城")
        self.west = make_unit(self.group, code="W", name="西城")
        self.one = make_unit(self.east, code="E1", name="东一")
        self.two = make_unit(self.east, code="E2", name="东二")
        self.empty = make_unit(self.west, code="W0", name="空")
        self.units = {unit.code: unit for unit in OrgUnit.objects.all()}
        self.run = make_run(make_course(steps=1, code="A"))
        self.other = make_run(make_course(steps=1, code="B"))
        late = self.run.due_at + dt.timedelta(hours=1)
        self.duties = [
            make_enrolment(make_employee(unit=self.one), self.run, state="completed"),
            make_enrolment(make_employee(unit=self.one), self.run),
            make_enrolment(make_employee(unit=self.two), self.run, state="completed", completed_at=late),
            make_enrolment(make_employee(unit=self.two), self.run, state="exempt", reason="leave"),
            make_enrolment(make_employee(unit=self.west), self.run, state="in_progress"),
            make_enrolment(make_employee(unit=self.west), self.run, state="withdrawn", reason="left"),
            make_enrolment(make_employee(unit=self.west), self.other, state="completed"),
        ]

    def begin(self, at=DUE):
        return closing.begin_close(month=NOVEMBER, by=self.by, at=at)

    def sign(self, close, *codes, at=DUE):
        for code in codes:
            closing.sign_off(close=close, unit=self.units[code], by=self.by, at=at)

    def close(self, at=DUE):
        close = self.begin(at)
        self.sign(close, "E1", "E2", "E", "W", "G", at=at)
        assert closing.close_month(close=close, by=self.by, at=at)
        return close


@pytest.fixture
def world():
    return World()


def _stand(close=None):
    return {one.unit.code: one.standing for one in closing.signing(month=NOVEMBER, close=close).values()}


def _actions():
    return list(Event.objects.filter(chain="months").values_list("action", flat=True))


def _signed():
    return list(SignOff.objects.order_by("pk").values())


def _frozen(close):
    return list(ClosedFigure.objects.filter(close=close).values_list(*closing._SEALED).order_by("pk"))


# --- beginning --------------------------------------------------------------------------------------------------------
def test_begin_waits_for_the_due_day_of_every_course_and_happens_once(world):
    due = world.run.due_at
    with pytest.raises(closing.NotDueYet):
        world.begin(at=due)
    close = world.begin(at=due + dt.timedelta(seconds=1))
    assert world.begin(at=LATER) == close
    assert (close.state, close.begun_at, close.begun_by) == ("signing", due + dt.timedelta(seconds=1), world.by)
    assert _actions() == ["close begun"]


def test_begin_needs_a_course_that_was_opened():
    make_run(state="planned")
    with pytest.raises(closing.NothingToClose):
        closing.begin_close(month=NOVEMBER, by=None, at=DUE)


def test_call_off_is_possible_until_somebody_signs(world):
    close = world.begin()
    closing.call_off_close(close=close, by=world.by, at=DUE)
    assert (MonthClose.objects.count(), _actions()) == (0, ["close begun", "close called off"])
    with pytest.raises(closing.NotBegun):
        world.sign(close, "E1")
    close = world.begin()
    world.sign(close, "E1")
    with pytest.raises(closing.SignedAlready):
        closing.call_off_close(close=close, by=world.by, at=DUE)


# --- signing ----------------------------------------------------------------------------------------------------------
def test_a_unit_is_signed_after_all_right_below_that_have_duties(world):
    close = world.begin()
    assert _stand(close) == {"G": "waiting", "E": "waiting", "E1": "ready", "E2": "ready", "W": "ready"}
    with pytest.raises(closing.BelowNotSigned) as refusal:
        world.sign(close, "E")
    assert [unit.code for unit in refusal.value.units] == ["E1", "E2"]
    world.sign(close, "E1", "E2")
    assert _stand(close) == {"G": "waiting", "E": "ready", "E1": "signed", "E2": "signed", "W": "ready"}
    with pytest.raises(closing.NothingToSign):
        world.sign(close, "W0")
    sign = closing.sign_off(close=close, unit=world.west, by=world.by, at=LATER, note=" 两人休假 ")
    assert (sign.figures, sign.note, sign.by, sign.at, sign.signed_from) == (
        {"assigned": 2, "completed": 1, "on_time": 1, "exempt": 0, "withdrawn": 1},
        "两人休假",
        world.by,
        LATER,
        None,
    )


def test_signing_twice_changes_nothing_and_figures_that_changed_are_signed_anew(world):
    close = world.begin()
    world.sign(close, "E1", "E2", "E")
    world.sign(close, "E1", at=LATER)
    assert _actions() == ["close begun", "unit signed", "unit signed", "unit signed"]
    exceptions.exempt_enrolment(enrolment=world.duties[1], by=world.by, at=LATER, reason="产假")
    assert _stand(close) == {"G": "waiting", "E": "waiting", "E1": "changed", "E2": "signed", "W": "ready"}
    world.sign(close, "E1", at=LATER)
    assert _stand(close)["E"] == "changed"
    world.sign(close, "E", at=LATER)
    assert SignOff.objects.get(unit=world.east).figures["exempt"] == 2
    assert SignOff.objects.count() == 3


def test_sign_below_signs_in_one_act_and_says_so_in_each_row(world):
    close = world.begin()
    world.sign(close, "E1")
    assert closing.sign_below(close=close, unit=world.group, by=world.by, at=LATER, note="代签") == 3
    rows = SignOff.objects.order_by("unit__code").values_list("unit__code", "signed_from__code", "note")
    assert list(rows) == [("E", "G", "代签"), ("E1", None, ""), ("E2", "G", "代签"), ("W", "G", "代签")]
    assert closing.sign_below(close=close, unit=world.group, by=world.by, at=LATER) == 0
    event = Event.objects.filter(chain="months").last()
    assert (event.action, event.after["unit"], event.after["units"]) == ("signed below", "G", ["E", "E2", "W"])
    assert _stand(close)["G"] == "ready"


def test_take_back_is_possible_while_nobody_above_has_signed(world):
    close = world.begin()
    world.sign(close, "E1", "E2", "E")
    with pytest.raises(closing.SignedAbove) as refusal:
        closing.take_back(close=close, unit=world.one, by=world.by, at=LATER)
    assert refusal.value.unit == world.east
    closing.take_back(close=close, unit=world.east, by=world.by, at=LATER)
    closing.take_back(close=close, unit=world.one, by=world.by, at=LATER)
    with pytest.raises(closing.NotSigned):
        closing.take_back(close=close, unit=world.one, by=world.by, at=LATER)
    assert _stand(close) == {"G": "waiting", "E": "waiting", "E1": "ready", "E2": "signed", "W": "ready"}


def test_take_back_below_takes_back_what_was_given_in_that_act(world):
    close = world.begin()
    world.sign(close, "E1")
    closing.sign_below(close=close, unit=world.east, by=world.by, at=DUE)
    closing.sign_below(close=close, unit=world.group, by=world.by, at=DUE)
    assert closing.take_back_below(close=close, unit=world.group, by=world.by, at=LATER) == 2  # E and W
    assert set(SignOff.objects.values_list("unit__code", flat=True)) == {"E1", "E2"}
    world.sign(close, "E")
    with pytest.raises(closing.SignedAbove):
        closing.take_back_below(close=close, unit=world.east, by=world.by, at=LATER)


def test_signing_takes_the_same_queries_for_few_and_many_units(world, django_assert_num_queries):
    for count in (1, 12):
        for _number in range(count):
            make_enrolment(make_employee(unit=make_unit(world.two)), world.run)
        with django_assert_num_queries(3):
            closing.signing(month=NOVEMBER, close=MonthClose(pk=1))


# --- the checklist ----------------------------------------------------------------------------------------------------
def test_the_checklist_counts_what_is_open_in_the_scope(world):
    person = world.duties[1].employee
    make_programme(make_audience(world.east), plan=[(make_course(), NOVEMBER)])
    DutyRequest.objects.create(enrolment=world.duties[1], kind="exemption", code="sick", text="住院", asked_at=DUE)
    Matter.objects.create(
        key="m", kind="long_leave", employee=person, enrolment=world.duties[1], proposal="exempt", found_at=DUE
    )
    RosterImport.objects.create(
        scope=world.east, uploaded_at=DUE, state="checked", mode="changes", missing="keep", effective_on=DUE.date()
    )
    Tally.objects.filter(run=world.run, unit=world.one).update(exempt=5)
    close = world.begin()
    world.sign(close, "E2", "W")
    exceptions.reinstate_enrolment(enrolment=world.duties[3], by=world.by, at=LATER, reason="提前返岗")

    def counts(scope=None, at=LATER):
        return {one.key: one.count for one in closing.checklist(month=NOVEMBER, at=at, scope=scope)}

    east = {
        "not_opened": 1, "not_due": 0, "requests": 1, "matters": 1, "imports": 1, "changed": 1,
        "unsigned": 2,
    }  # fmt: skip
    assert counts() == {**east, "unsigned": 3}
    assert counts([world.east]) == east
    assert counts([world.west]) == dict.fromkeys(east, 0)
    assert counts(at=world.run.due_at)["not_due"] == 2
    blocking = [one.key for one in closing.checklist(month=NOVEMBER, at=LATER) if one.blocks]
    assert blocking == ["not_due", "changed", "unsigned"]
    assert closing.drift(month=NOVEMBER) == [(world.run.pk, world.one.pk)]
    assert closing.recount_month(month=NOVEMBER) == 1
    assert closing.drift(month=NOVEMBER) == []


def test_counting_again_is_kept_for_the_month_and_a_clean_night_counts_too(world):
    Tally.objects.filter(run=world.run, unit=world.one).update(exempt=5)
    keep_report(Report(at=DUE, runs=9, differences=2, failed=0))  # of all months: says nothing of this one
    assert closing.newest_count(month=NOVEMBER) is None
    counted = closing.count_again(month=NOVEMBER, at=LATER)
    assert (counted.at, counted.differences, closing.drift(month=NOVEMBER)) == (LATER, 1, [])
    assert closing.newest_count(month=NOVEMBER) == counted
    assert closing.newest_count(month=NOVEMBER.next) is None
    night = Report(at=LATER + dt.timedelta(hours=9), runs=9, differences=0, failed=0)
    keep_report(night)
    assert closing.newest_count(month=NOVEMBER) == night
    CourseRun.objects.filter(pk=world.run.pk).update(state="closed")  # not counted at night any more
    assert closing.newest_count(month=NOVEMBER) == counted


def test_months_to_close_are_those_all_due_and_not_closed(world):
    make_run(month="2026-12")
    assert closing.months_to_close(at=world.run.due_at) == []
    assert closing.months_to_close(at=DUE) == [(NOVEMBER, None)]
    close = world.close()
    assert closing.months_to_close(at=LATER) == []
    assert closing.closed_month(NOVEMBER) == close


# --- closing ----------------------------------------------------------------------------------------------------------
def test_close_freezes_every_run_and_unit_with_its_place_and_seals_them(world):
    close = world.close()
    rows = ClosedFigure.objects.order_by("path", "run").values_list(
        "unit_code", "parent__code", "depth", "run__course__code", "assigned", "completed", "on_time", "exempt",
        "withdrawn",
    )  # fmt: skip
    assert list(rows) == [
        ("G", None, 1, "A", 4, 2, 1, 1, 1),
        ("G", None, 1, "B", 1, 1, 1, 0, 0),
        ("E", "G", 2, "A", 3, 2, 1, 1, 0),
        ("E1", "E", 3, "A", 2, 1, 1, 0, 0),
        ("E2", "E", 3, "A", 1, 1, 0, 1, 0),
        ("W", "G", 2, "A", 1, 0, 0, 0, 1),
        ("W", "G", 2, "B", 1, 1, 1, 0, 0),
    ]
    assert (close.state, close.closed_at, close.closed_by) == ("closed", DUE, world.by)
    assert (close.digest, 7) == closing.digest_of(close)
    event = closing.closing_event(close)
    assert (event.after["digest"], event.after["figures"], event.after["month"]) == (close.digest, 7, "2026-11")
    assert (event.after["totals"]["assigned"], event.after["totals"]["completed"]) == (5, 3)
    assert verify_chain("months")[1] is None
    assert closing.verify_close(close=close) == closing.Verification(close, True, True, True, True)


def test_close_again_changes_nothing(world):
    close = world.close()
    stale = MonthClose(pk=close.pk, month=NOVEMBER)
    events, figures = _actions(), _frozen(close)
    assert closing.close_month(close=stale, by=world.by, at=LATER) is False
    assert (stale.state, stale.closed_at, _actions(), _frozen(close)) == ("closed", DUE, events, figures)


def test_close_needs_every_root_signed(world):
    close = world.begin()
    world.sign(close, "E1", "E2", "E", "W")
    with pytest.raises(closing.BelowNotSigned) as refusal:
        closing.close_month(close=close, by=world.by, at=LATER)
    assert [unit.code for unit in refusal.value.units] == ["G"]
    make_enrolment(make_employee(unit=make_unit(code="H")), world.run)
    world.sign(close, "G")
    with pytest.raises(closing.BelowNotSigned) as refusal:
        closing.close_month(close=close, by=world.by, at=LATER)
    assert [unit.code for unit in refusal.value.units] == ["H"]
    assert ClosedFigure.objects.count() == 0


def test_close_names_the_units_whose_figures_changed_since_they_were_signed(world):
    close = world.begin()
    world.sign(close, "E1", "E2", "E", "W", "G")
    exceptions.exempt_enrolment(enrolment=world.duties[4], by=world.by, at=LATER, reason="借调")
    with pytest.raises(closing.FiguresChanged) as refusal:
        closing.close_month(close=close, by=world.by, at=LATER)
    assert [unit.code for unit in refusal.value.units] == ["G", "W"]
    world.sign(close, "W", "G", at=LATER)
    assert closing.close_month(close=close, by=world.by, at=LATER)


def test_close_recounts_first_and_does_not_freeze_a_drift(world):
    close = world.begin()
    Tally.objects.filter(run=world.run, unit__in=[world.one, world.east, world.group]).update(exempt=3)
    world.sign(close, "E1", "E2", "E", "W", "G")
    with pytest.raises(closing.FiguresChanged) as refusal:
        closing.close_month(close=close, by=world.by, at=LATER)
    assert [unit.code for unit in refusal.value.units] == ["G", "E", "E1"]
    assert closing.drift(month=NOVEMBER) == []  # put right, though the month was refused


def test_close_also_freezes_what_was_taken_by_choice(world):
    make_enrolment(make_employee(unit=world.one), world.run, state="completed", voluntary=True, reason="choice")
    close = world.close()
    figures = ClosedFigure.objects.get(close=close, run=world.run, unit=world.group)
    assert (figures.assigned, figures.voluntary, figures.voluntary_done) == (4, 1, 1)


def test_t_00_holds_for_the_closed_figures(at):
    group = make_unit()
    people = [make_employee(unit=group) for _number in range(120)]
    for person in people[:4]:
        make_leave(person, NOVEMBER.first_day, NOVEMBER.last_day)
    course = make_course(steps=1)
    make_programme(make_audience(group), plan=[(course, NOVEMBER)])
    for person in people[117:]:
        person.hired_on = NOVEMBER.last_day + dt.timedelta(days=1)
        person.save()
    (report,) = opening.open_month(month=NOVEMBER, by=None, at=local(2026, 11, 1, 8)).runs
    step = course.steps.get()
    for enrolment in Enrolment.objects.filter(state="assigned").order_by("pk")[:111]:
        progress.complete_step(enrolment=enrolment, step=step, at=at)
    close = closing.begin_close(month=NOVEMBER, by=None, at=DUE)
    closing.sign_off(close=close, unit=group, by=None, at=DUE)
    closing.close_month(close=close, by=None, at=DUE)
    (unit,) = closing.closed_units(close=close).values()
    assert (unit.closed.assigned, unit.closed.completed, unit.closed.rate) == (113, 111, "98.2")
    assert unit.adjusted == unit.closed
    assert report.run.month == close.month


# --- a closed month does not move -------------------------------------------------------------------------------------
def test_a_closed_month_does_not_move_whatever_happens_after(world, at):
    close = world.close()
    frozen, digest = _frozen(close), close.digest
    signed = _signed()
    exceptions.exempt_enrolment(enrolment=world.duties[1], by=world.by, at=LATER, reason="借调")
    step = world.run.course.steps.get()
    progress.complete_step(enrolment=world.duties[4], step=step, at=LATER)
    move_unit(unit=world.two, under=world.west, by=world.by, at=LATER)
    rename_unit(unit=world.west, name="新西城", name_en="", kind="city", by=world.by, at=LATER)
    person = world.duties[0].employee
    move_employee(employee=person, unit=world.west, position=None, manager=None, on=LATER.date(), by=world.by, at=LATER)
    make_enrolment(make_employee(unit=world.east), world.run, assigned_at=LATER)
    for run in (world.run, world.other):
        catching_up.catch_up(run=run, by=world.by, at=LATER)
        opening.close_run(run=run, by=world.by, at=local(2027, 1, 1, 1))
    closing.recount_month(month=NOVEMBER)
    for act in (
        lambda: closing.sign_off(close=close, unit=world.west, by=world.by, at=LATER),
        lambda: closing.sign_below(close=close, unit=world.group, by=world.by, at=LATER),
        lambda: closing.take_back(close=close, unit=world.group, by=world.by, at=LATER),
        lambda: closing.take_back_below(close=close, unit=world.group, by=world.by, at=LATER),
        lambda: closing.call_off_close(close=close, by=world.by, at=LATER),
    ):
        with pytest.raises(closing.MonthClosed):
            act()
    close.refresh_from_db()
    assert (_frozen(close), close.digest, _signed()) == (frozen, digest, signed)
    assert closing.verify_close(close=close).sound
    # the closed tree, with what came since beside it: E1 lost one to exemption, W has one done, E one more to do
    units = {one.code: one for one in closing.closed_units(close=close).values()}
    assert {code: (one.closed.completed, one.closed.assigned) for code, one in units.items()} == {
        "G": (3, 5), "E": (2, 3), "E1": (1, 2), "E2": (1, 1), "W": (1, 2),
    }  # fmt: skip
    assert {code: (one.adjusted.completed, one.adjusted.assigned) for code, one in units.items()} == {
        "G": (4, 5), "E": (2, 3), "E1": (1, 1), "E2": (1, 1), "W": (2, 2),
    }  # fmt: skip
    assert [one.label for one in units.values()] == ["集团", "东城", "东一", "东二", "西城"]


SQL = [
    "UPDATE courses_monthclose SET digest = 'x'",
    "UPDATE courses_monthclose SET state = 'signing', closed_at = NULL, digest = '', newest_change = NULL",
    "DELETE FROM courses_monthclose",
    "UPDATE courses_closedfigure SET completed = assigned",
    "DELETE FROM courses_closedfigure",
    "INSERT INTO courses_closedfigure (close_id, run_id, unit_id, path, depth, unit_code, unit_zh, unit_en, assigned,"
    " started, completed, on_time, exempt, withdrawn, voluntary, voluntary_done)"
    " SELECT close_id, run_id, {empty}, path, depth, unit_code, unit_zh, unit_en, 1, 1, 1, 1, 0, 0, 0, 0"
    " FROM courses_closedfigure",
    "UPDATE courses_signoff SET note = 'x'",
    "DELETE FROM courses_signoff",
    "INSERT INTO courses_signoff (close_id, unit_id, at, note, figures)"
    " SELECT close_id, {empty}, at, '', figures FROM courses_signoff",
    "DELETE FROM courses_enrolmentchange",
]


@pytest.mark.parametrize("sql", SQL)
def test_au_03_the_database_refuses_every_change_of_a_closed_month(world, sql):
    close = world.close()
    before = (_frozen(close), _signed(), list(MonthClose.objects.values()))
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql.format(empty=world.empty.pk))
    assert (_frozen(close), _signed(), list(MonthClose.objects.values())) == before


def test_a_month_that_is_being_signed_may_still_change_in_the_database(world):
    close = world.begin()
    world.sign(close, "W")
    SignOff.objects.update(note="x")
    SignOff.objects.all().delete()
    MonthClose.objects.all().delete()


def test_undoing_a_roster_keeps_a_unit_of_which_a_closed_month_speaks(world):
    from people.domain.roster_units import remove_unused_units

    close = world.close()
    Enrolment.objects.filter(unit=world.two).update(unit=world.one, changed_at=LATER)
    Tally.objects.all().delete()
    assert remove_unused_units([world.two.pk, world.empty.pk]) == ["东二"]
    assert closing.verify_close(close=close).sound


# --- tampering ---------------------------------------------------------------------------------------
def test_verify_finds_figures_signatures_and_seals_that_were_changed_behind_the_triggers(world):
    close = world.close()
    drop = [
        f"DROP TRIGGER {name}{f' ON {table}' if connection.vendor == 'postgresql' else ''}"
        for name, table in (
            [("courses_closedfigure_append_only", "courses_closedfigure")]
            if connection.vendor == "postgresql"
            else [("courses_closedfigure_no_update", "courses_closedfigure")]
        )
        + [("closed_sign_off_no_update", "courses_signoff"), ("closed_month_no_update", "courses_monthclose")]
    ]
    with connection.cursor() as cursor:
        for sql in drop:
            cursor.execute(sql)
    SignOff.objects.filter(unit=world.west).update(note="换过")
    assert closing.verify_close(close=close) == closing.Verification(close, True, True, False, True)
    SignOff.objects.filter(unit=world.west).update(note="")
    ClosedFigure.objects.filter(unit=world.one).update(completed=2)
    assert closing.verify_close(close=close) == closing.Verification(close, False, True, True, False)
    digest, _number = closing.digest_of(close)
    MonthClose.objects.update(digest=digest)
    close.refresh_from_db()
    assert closing.verify_close(close=close) == closing.Verification(close, True, False, True, False)


def test_verify_events_names_a_closed_month_that_does_not_match(world, capsys):
    world.close()
    call_command("verify_events")
    assert "closed month 2026-11: sound" in capsys.readouterr().out
    names = {
        "sqlite": "DROP TRIGGER courses_closedfigure_no_update",
        "postgresql": "DROP TRIGGER courses_closedfigure_append_only ON courses_closedfigure",
    }
    with connection.cursor() as cursor:
        cursor.execute(names[connection.vendor])
    ClosedFigure.objects.filter(unit=world.one).update(completed=2)
    with pytest.raises(SystemExit):
        call_command("verify_events")
    assert "closed month 2026-11: does not match what was sealed" in capsys.readouterr().out


def test_figures_of_the_closed_month_are_those_of_its_history(world):
    close = world.close()
    exceptions.exempt_enrolment(enrolment=world.duties[1], by=world.by, at=LATER, reason="借调")
    for run in CourseRun.objects.all():
        found = history.figures_as_of(run=run, at=close.closed_at, newest=close.newest_change)
        rows = ClosedFigure.objects.filter(run=run).values("unit_id", *closing.COLUMNS)
        assert found == {row.pop("unit_id"): Figures(**row) for row in rows}
