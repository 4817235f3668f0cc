import datetime as dt

import pytest

from core.models import Event, Job
from core.periods import end_of
from courses.domain import catching_up, exceptions, opening
from courses.domain.catching_up import (
    DONE,
    RunNotOpen,
    catch_up,
    effect_on_runs,
    events_of,
    people_of_round,
    rounds,
    waiting_people,
)
from courses.domain.queries import unit_figures
from courses.models import CourseRun, Enrolment
from people.models import Employee, Leave
from tests.factories.courses import (
    NOVEMBER,
    duty_states,
    local,
    make_audience,
    make_course,
    make_enrolment,
    make_programme,
    make_run,
)
from tests.factories.people import make_employee, make_leave, make_unit, make_user

pytestmark = pytest.mark.django_db

FIRST, LATER = local(2026, 11, 1, 8), local(2026, 11, 10, 9)


@pytest.fixture
def group():
    return make_unit(code="G", name="集团")


@pytest.fixture
def east(group):
    return make_unit(group, code="E", name="东城")


@pytest.fixture
def west(group):
    return make_unit(group, code="W", name="西城")


def _open(audience, course=None, at=FIRST):
    make_programme(audience, plan=[(course or make_course(), NOVEMBER)])
    (report,) = [one for one in opening.open_month(month=NOVEMBER, by=None, at=at).runs if one.assigned]
    return report.run


def _move(person, unit):
    person.unit = unit
    person.save()
    person.placements.update(ends_on=dt.date(2026, 11, 4))
    person.placements.create(unit=unit, starts_on=dt.date(2026, 11, 5))


# --- what it does ---------------------------------------------------------------------------------------------------
@pytest.fixture
def by():
    return make_user()


@pytest.fixture
def branch():
    return make_unit(make_unit(make_unit()))


@pytest.fixture
def open_course(branch):
    make_employee(unit=branch, name="first")
    return _open(make_audience(branch))


def test_catch_up_gives_nothing_to_who_leaves_today(open_course, branch, by):
    """The duty would be withdrawn by the next catching up, so a second one would change something."""
    make_employee(branch, name="today", state="left", left_on=dt.date(2026, 11, 10), hired_on=dt.date(2026, 11, 9))
    make_employee(branch, name="tomorrow", state="left", left_on=dt.date(2026, 11, 11), hired_on=dt.date(2026, 11, 9))

    assert catch_up(run=open_course, by=by, at=local(2026, 11, 10, 22)).joined == 1
    assert not catch_up(run=open_course, by=by, at=local(2026, 11, 10, 22)).changed
    assert duty_states(open_course) == {"first": "assigned", "tomorrow": "assigned"}


def test_catch_up_enrols_joiners_while_days_are_left(open_course, branch, by):
    make_employee(unit=branch, name="joiner", hired_on=dt.date(2026, 11, 10))

    report = catch_up(run=open_course, by=by, at=local(2026, 11, 24))

    assert (report.joined, report.waiting) == (1, 0)
    assert Enrolment.objects.get(employee__name="joiner").reason == "joined"
    assert catch_up(run=open_course, by=by, at=local(2026, 11, 24)).changed == 0


def test_catch_up_reports_who_waits_for_the_next_month(open_course, branch, by):
    late = make_employee(unit=branch, hired_on=dt.date(2026, 11, 10))

    report = catch_up(run=open_course, by=by, at=local(2026, 11, 25))

    assert (report.joined, report.waiting) == (0, 1)
    assert list(waiting_people(run=open_course, at=local(2026, 11, 25))) == [late]
    assert Event.objects.filter(chain="months", action="caught up").count() == 0


def test_catch_up_lets_the_duty_follow_its_person_until_it_is_due(open_course, by):
    person = Employee.objects.get(name="first")
    other = make_unit(make_unit())
    post = person.placements.get()
    post.ends_on = dt.date(2026, 11, 14)
    post.save()
    person.placements.create(unit=other, starts_on=dt.date(2026, 11, 15))
    Employee.objects.filter(pk=person.pk).update(unit=other)

    report = catch_up(run=open_course, by=by, at=local(2026, 11, 16))

    enrolment = Enrolment.objects.get()
    assert (report.moved, enrolment.unit, enrolment.unit_set) == (1, other, post.unit)
    assert unit_figures(unit=other, month=NOVEMBER).assigned == 1
    assert unit_figures(unit=post.unit, month=NOVEMBER).assigned == 0

    third = make_unit(make_unit())  # moved again after the due day: the duty stays
    person.placements.filter(ends_on=None).update(ends_on=dt.date(2026, 12, 1))
    person.placements.create(unit=third, starts_on=dt.date(2026, 12, 2))
    Employee.objects.filter(pk=person.pk).update(unit=third)
    assert catch_up(run=open_course, by=by, at=local(2026, 12, 3)).moved == 0


def test_catch_up_withdraws_leavers_and_takes_them_back(open_course, by):
    Employee.objects.filter(name="first").update(state="left", left_on=dt.date(2026, 11, 12))
    gone = catch_up(run=open_course, by=by, at=local(2026, 11, 15))
    assert (gone.withdrawn, duty_states(open_course)) == (1, {"first": "withdrawn"})
    assert Enrolment.objects.get().reason == "left"

    Employee.objects.filter(name="first").update(state="active", left_on=None)
    back = catch_up(run=open_course, by=by, at=local(2026, 11, 16))
    assert (back.returned, duty_states(open_course)) == (1, {"first": "assigned"})


def test_an_extended_duty_of_a_leaver_is_withdrawn_by_the_rule_and_returns_with_its_person(open_course, by):
    until = dt.date(2026, 12, 5)
    exceptions.extend_due(enrolment=Enrolment.objects.get(), until=until, by=by, at=local(2026, 11, 5), reason="项目")
    Employee.objects.filter(name="first").update(state="left", left_on=dt.date(2026, 11, 12))
    catch_up(run=open_course, by=None, at=local(2026, 11, 15))
    gone = Enrolment.objects.get()
    assert (gone.state, gone.reason, gone.reason_text, gone.decided_by) == ("withdrawn", "left", "", None)

    Employee.objects.filter(name="first").update(state="active", left_on=None)
    assert catch_up(run=open_course, by=None, at=local(2026, 11, 16)).returned == 1
    back = Enrolment.objects.get()
    assert (back.state, back.due_at) == ("assigned", end_of(until))


def test_catch_up_keeps_what_a_leaver_has_done(branch, by):
    run = make_run()
    make_enrolment(make_employee(unit=branch, name="done"), run, state="completed")
    Employee.objects.filter(name="done").update(state="left", left_on=dt.date(2026, 11, 12))

    assert catch_up(run=run, by=by, at=local(2026, 11, 15)).withdrawn == 0
    assert duty_states(run) == {"done": "completed"}


def test_catch_up_exempts_for_leave_and_takes_back_when_the_leave_goes(open_course, by):
    leave = make_leave(Employee.objects.get(name="first"), dt.date(2026, 11, 1), dt.date(2026, 11, 30))
    away = catch_up(run=open_course, by=by, at=local(2026, 11, 5))
    assert (away.exempted, away.joined, duty_states(open_course)) == (1, 0, {"first": "exempt"})

    leave.delete()
    back = catch_up(run=open_course, by=by, at=local(2026, 11, 6))
    assert (back.returned, duty_states(open_course)) == (1, {"first": "assigned"})


@pytest.mark.parametrize(("state", "problem"), [("planned", RunNotOpen), ("closed", opening.RunClosed)])
def test_catch_up_refuses_a_run_that_is_not_open(state, problem, by):
    with pytest.raises(problem):
        catch_up(run=make_run(state=state), by=by, at=FIRST)


# --- what it would do, and what it did ------------------------------------------------------------------------------
@pytest.fixture
def story(group, east, west):
    """A run of the east and what happened to its people since: {what: the people to whom catching up should do it}."""
    kinds = ("stays", "mover", "leaver", "returner", "rehired", "out", "away", "done", "begun")
    people = {name: make_employee(unit=east, name=name) for name in kinds}
    branch = make_unit(east, code="B")
    away_all_month = make_leave(people["returner"], dt.date(2026, 11, 1), dt.date(2026, 11, 30))
    run = _open(make_audience(east))
    people["rehired"].state, people["rehired"].left_on = "left", dt.date(2026, 11, 3)
    people["rehired"].save()
    catch_up(run=run, by=None, at=local(2026, 11, 4, 9))

    people["rehired"].state, people["rehired"].left_on = "active", None
    people["rehired"].save()
    Leave.objects.filter(pk=away_all_month.pk).update(ends_on=dt.date(2026, 11, 8))
    _move(people["mover"], branch)
    _move(people["out"], west)
    people["leaver"].state, people["leaver"].left_on = "left", dt.date(2026, 11, 6)
    people["leaver"].save()
    make_leave(people["away"], dt.date(2026, 11, 1), dt.date(2026, 11, 30))
    make_leave(people["begun"], dt.date(2026, 11, 1), dt.date(2026, 11, 30))
    Enrolment.objects.filter(run=run, employee=people["begun"]).update(state="in_progress", started_at=FIRST)
    people["joiner"] = make_employee(unit=east, name="joiner", hired_on=dt.date(2026, 11, 9))
    people["joined_away"] = make_employee(unit=east, name="joined_away", hired_on=dt.date(2026, 11, 9))
    make_leave(people["joined_away"], dt.date(2026, 11, 9), dt.date(2026, 11, 30))
    people["moved_in"] = make_employee(unit=east, name="moved_in")
    people["late"] = make_employee(unit=east, name="late", hired_on=dt.date(2026, 11, 28))
    return run


EXPECTED = {
    "joined": ["joiner", "moved_in"],
    "moved": ["mover", "out"],
    "exempted": ["away", "joined_away"],
    "withdrawn": ["leaver"],
    "returned": ["rehired", "returner"],
}


def _names(people):
    return sorted(people.values_list("name", flat=True))


def test_the_preview_is_what_catching_up_then_does(story, east):
    before = list(Enrolment.objects.order_by("pk").values())
    preview = catching_up.preview_catch_up(run=story, at=LATER)
    assert {what: _names(getattr(preview, what)) for what in DONE} == EXPECTED
    assert _names(preview.stay) == ["out"]
    assert before == list(Enrolment.objects.order_by("pk").values()), "looking changes nothing"

    report = catch_up(run=story, by=None, at=LATER)
    assert {what: getattr(report, what) for what in DONE} == {what: len(names) for what, names in EXPECTED.items()}
    after = catching_up.preview_catch_up(run=story, at=LATER)
    assert {what: _names(getattr(after, what)) for what in DONE} == {what: [] for what in DONE}
    assert catch_up(run=story, by=None, at=LATER + dt.timedelta(hours=1)).changed == 0


def test_who_is_hired_too_late_waits_in_both(story, east):
    at = local(2026, 11, 28, 9)
    waiting = _names(catching_up.preview_catch_up(run=story, at=at).waiting)
    assert waiting == ["joined_away", "joiner", "late", "moved_in"]
    assert catch_up(run=story, by=None, at=at).waiting == len(waiting)


def test_each_round_names_the_people_behind_its_counts(story, east, django_assert_num_queries):
    catch_up(run=story, by=None, at=LATER)
    events = list(events_of(runs=[story]))
    everybody = Employee.objects.all()
    with django_assert_num_queries(1):
        newest, oldest = rounds(events=events, runs=[story], people=everybody)
    assert (newest.at, newest.counts, newest.waiting) == (
        LATER,
        {what: len(names) for what, names in EXPECTED.items()},
        0,
    )
    for what, names in EXPECTED.items():
        assert _names(people_of_round(event=newest.event, what=what, people=everybody)) == names
    assert oldest.counts == {what: int(what == "withdrawn") for what in DONE}
    assert _names(people_of_round(event=oldest.event, what="withdrawn", people=everybody)) == ["rehired"]


def test_pm_t01_a_round_counts_the_people_one_may_see(story, east):
    catch_up(run=story, by=None, at=LATER)
    some = Employee.objects.filter(name__in=["joiner", "out"])
    (newest, _oldest) = rounds(events=events_of(runs=[story]), runs=[story], people=some)
    assert newest.counts == {"joined": 1, "moved": 1, "exempted": 0, "withdrawn": 0, "returned": 0}


def test_who_moved_out_of_the_audience_keeps_the_duty(story, east, west):
    catch_up(run=story, by=None, at=LATER)
    duty = Enrolment.objects.get(run=story, employee__name="out")
    assert (duty.state, duty.unit, duty.reason) == ("assigned", west, "plan")
    assert _names(catching_up.preview_catch_up(run=story, at=LATER).stay) == ["out"]


def test_a_duty_withdrawn_before_the_opening_returns_with_its_person(group, east):
    one, other = make_employee(unit=east, name="back"), make_employee(unit=east, name="decided")
    run = _open(make_audience(east))
    Enrolment.objects.filter(run=run).update(state="withdrawn", reason="moved", changed_at=FIRST)
    hr = make_employee(unit=group, with_user=True).user
    Enrolment.objects.filter(employee=other).update(decided_by=hr)
    assert _names(catching_up.preview_catch_up(run=run, at=LATER).returned) == ["back"]
    assert catch_up(run=run, by=None, at=LATER).returned == 1
    states = dict(Enrolment.objects.values_list("employee__name", "state"))
    assert states == {"back": "assigned", "decided": "withdrawn"}
    Enrolment.objects.filter(employee=one).update(state="withdrawn", reason="moved", changed_at=LATER)
    assert catch_up(run=run, by=None, at=local(2026, 11, 28, 9)).returned == 0, "too late for this month"


def test_the_clock_keeps_when_it_looked_and_a_fault_in_one_run_does_not_hold_up_the_others(
    group, east, monkeypatch, caplog
):
    make_employee(unit=east)
    first = _open(make_audience(east))
    second = _open(make_audience(east))
    joiner = make_employee(unit=east, hired_on=dt.date(2026, 11, 2))
    real = catching_up.catch_up

    def failing(*, run, **values):
        if run.pk == first.pk:
            raise ValueError("broken")
        return real(run=run, **values)

    monkeypatch.setattr(catching_up, "catch_up", failing)
    assert catching_up.looked_last_at() is None
    for hours in (0, 1):
        catching_up.catch_up_by_the_clock(at=LATER + dt.timedelta(hours=hours))
    assert list(Enrolment.objects.filter(employee=joiner).values_list("run", flat=True)) == [second.pk]
    assert catching_up.looked_last_at() == LATER + dt.timedelta(hours=1)
    assert Job.objects.get().result == {"runs": 1, "changed": 0, "failed": 1}
    assert "could not be brought up to date" in caplog.text


def test_a_changed_rule_says_who_enters_and_who_stays_in_each_open_run(group, east, west):
    make_employee(unit=east, name="east")
    make_employee(unit=west, name="west")
    both = make_employee(unit=east, name="both")
    audience = make_audience(group, {"units": ["E"]})
    course = make_course()
    run = _open(audience, course)
    make_programme(make_audience(group, {"hired_from": "2026-11-01"}), plan=[(course, NOVEMBER)])
    Employee.objects.filter(pk=both.pk).update(hired_on=dt.date(2026, 11, 1))
    opening.open_month(month=NOVEMBER, by=None, at=FIRST)
    (effect,) = effect_on_runs(audience=audience, rule={"units": ["W"]}, at=LATER)
    assert (effect.run, _names(effect.enters), _names(effect.stays), effect.takes_joiners) == (
        run,
        ["west"],
        ["east"],  # not "both": another audience of the run still selects this one
        True,
    )
    (late,) = effect_on_runs(audience=audience, rule={"units": ["W"]}, at=local(2026, 11, 28, 9))
    assert late.takes_joiners is False
    assert effect_on_runs(audience=audience, rule={"units": ["W"]}, at=local(2026, 12, 1, 9)) == []
    audience.refresh_from_db()
    assert audience.rule == {"units": ["E"]}
    assert CourseRun.objects.count() == 1


def test_who_took_the_course_by_choice_enters_with_a_changed_rule_and_joins(group, east, west):
    make_employee(unit=east)
    people = {name: make_employee(unit=west, name=name) for name in ("chose", "gave up", "away", "refused", "plain")}
    audience = make_audience(group, {"units": ["E"]})
    run = _open(audience)
    chosen = {"run": run, "voluntary": True, "reason": "choice", "assigned_at": local(2026, 11, 2)}
    make_enrolment(people["chose"], **chosen)
    make_enrolment(people["gave up"], state="withdrawn", **chosen)
    make_enrolment(people["away"], **chosen)
    make_enrolment(people["refused"], state="withdrawn", decided_by=make_user(), **chosen)
    make_leave(people["away"], dt.date(2026, 11, 1), dt.date(2026, 11, 30))
    rule = {"units": ["E", "W"]}

    (effect,) = effect_on_runs(audience=audience, rule=rule, at=LATER)
    assert (_names(effect.enters), _names(effect.stays)) == (["away", "chose", "gave up", "plain"], [])

    audience.rule = rule
    audience.save()
    report = catch_up(run=run, by=None, at=LATER)
    everybody = Employee.objects.all()
    (round_,) = rounds(events=events_of(runs=[run]), runs=[run], people=everybody)
    assert {what: number for what, number in round_.counts.items() if number} == {"joined": 3, "exempted": 1}
    assert (report.joined, report.exempted, report.changed) == (3, 1, 4)
    joined = people_of_round(event=round_.event, what="joined", people=everybody)
    assert _names(joined) == ["chose", "gave up", "plain"]
