import datetime as dt

import pytest

from core.events import verify_chain
from core.models import Event
from courses.domain import exceptions
from courses.models import EnrolmentChange, StepCompletion, Tally
from tests.factories.courses import local, make_enrolment, make_run
from tests.factories.people import make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

AT = local(2026, 11, 10, 9)
HR = {"at": AT, "reason": "产假"}


@pytest.fixture
def by():
    return make_user()


def _tally(enrolment):
    return Tally.objects.values_list("assigned", "started", "completed", "exempt", "withdrawn").get(run=enrolment.run)


def test_exempt_enrolment_takes_the_duty_out_of_the_denominator(by):
    enrolment = exceptions.exempt_enrolment(enrolment=make_enrolment(), by=by, **HR)

    event = Event.objects.get(chain="completions")
    assert (enrolment.state, enrolment.reason, enrolment.reason_text, enrolment.decided_by) == (
        "exempt",
        "hr",
        "产假",
        by,
    )
    assert _tally(enrolment) == (0, 0, 0, 1, 0)
    assert (event.action, event.before, event.after, event.reason, event.actor) == (
        "exempted",
        {"state": "assigned"},
        {"state": "exempt"},
        "产假",
        by,
    )
    assert verify_chain("completions") == (1, None)


def test_withdraw_and_reinstate_bring_the_duty_back_as_far_as_it_was(by):
    enrolment = make_enrolment(state="in_progress")
    gone = exceptions.withdraw_enrolment(enrolment=enrolment, by=by, **HR)
    assert (gone.state, _tally(gone)) == ("withdrawn", (0, 0, 0, 0, 1))

    back = exceptions.reinstate_enrolment(enrolment=gone, by=by, **HR)
    assert (back.state, _tally(back)) == ("in_progress", (1, 1, 0, 0, 0))


@pytest.mark.parametrize("state", ["completed", "exempt", "withdrawn"])
@pytest.mark.parametrize("decide", [exceptions.exempt_enrolment, exceptions.withdraw_enrolment])
def test_a_duty_that_is_not_unfinished_cannot_be_excused(decide, state, by):
    enrolment = make_enrolment(state=state)
    with pytest.raises(exceptions.NotPossibleNow):
        decide(enrolment=enrolment, by=by, **HR)
    assert not Event.objects.filter(chain="completions").exists()


def test_a_decision_on_a_duty_that_changed_meanwhile_is_refused(by):
    enrolment = make_enrolment()
    exceptions.exempt_enrolment(enrolment=make_enrolment(), by=by, **HR)
    type(enrolment).objects.filter(pk=enrolment.pk).update(state="in_progress")
    with pytest.raises(exceptions.NotPossibleNow):
        exceptions.exempt_enrolment(enrolment=enrolment, by=by, **HR)


@pytest.mark.parametrize(
    "decide", [exceptions.exempt_enrolment, exceptions.withdraw_enrolment, exceptions.reinstate_enrolment]
)
def test_a_decision_needs_a_reason(decide, by):
    with pytest.raises(exceptions.ReasonMissing):
        decide(enrolment=make_enrolment(), by=by, at=AT, reason="  ")


def test_extend_due_moves_the_due_time_to_the_end_of_the_day(by):
    enrolment = exceptions.extend_due(enrolment=make_enrolment(), until=dt.date(2026, 12, 10), by=by, **HR)
    assert enrolment.due_at == local(2026, 12, 10, 23, 59, 59)
    event = Event.objects.get(chain="completions")
    assert (event.action, list(event.after)) == ("extended", ["due_at"])


@pytest.mark.parametrize("until", [dt.date(2026, 11, 30), dt.date(2026, 11, 1), dt.date(2027, 1, 1)])
def test_extend_due_refuses_a_day_that_is_no_extension_or_after_acceptance(until, by):
    with pytest.raises(exceptions.DueRefused):
        exceptions.extend_due(enrolment=make_enrolment(), until=until, by=by, **HR)


def test_record_past_completion_stamps_the_past_day_and_gives_no_certificate(by):
    enrolment = exceptions.record_past_completion(enrolment=make_enrolment(), on=dt.date(2026, 11, 3), by=by, **HR)

    assert (enrolment.state, enrolment.reason, enrolment.on_time, enrolment.completed_at, enrolment.certificate) == (
        "completed",
        "past",
        True,
        local(2026, 11, 3, 23, 59, 59),
        None,
    )
    assert _tally(enrolment) == (1, 1, 1, 0, 0)
    assert list(StepCompletion.objects.values_list("how", flat=True)) == ["hr"] * 3
    assert Event.objects.get(chain="completions").action == "past training recorded"


def test_record_past_completion_refuses_the_future(by):
    with pytest.raises(exceptions.DayRefused):
        exceptions.record_past_completion(enrolment=make_enrolment(), on=dt.date(2026, 11, 11), by=by, **HR)


def _in_run(enrolment, state):
    type(enrolment.run).objects.filter(pk=enrolment.run_id).update(state=state)
    return enrolment


PAST_DAY = {"on": dt.date(2026, 11, 3)}
LATER = {"until": dt.date(2026, 12, 10)}


@pytest.mark.parametrize(
    ("decide", "more", "state", "after"),
    [
        (exceptions.exempt_enrolment, {}, "assigned", "exempt"),
        (exceptions.withdraw_enrolment, {}, "assigned", "withdrawn"),
        (exceptions.reinstate_enrolment, {}, "exempt", "assigned"),
        (exceptions.record_past_completion, PAST_DAY, "assigned", "completed"),
    ],
)
def test_pm_t03_pm_t07_a_closed_run_takes_corrections_and_a_planned_one_none(decide, more, state, after, by):
    corrected = decide(enrolment=_in_run(make_enrolment(state=state), "closed"), by=by, **more, **HR)
    change = EnrolmentChange.objects.filter(enrolment=corrected).last()
    assert (corrected.state, change.state, change.at, change.reason_text, change.decided_by) == (
        after,
        after,
        AT,
        "产假",
        by,
    )
    planned = _in_run(make_enrolment(state=state), "planned")
    with pytest.raises(exceptions.NotPossibleNow):
        decide(enrolment=planned, by=by, **more, **HR)


@pytest.mark.parametrize("state", ["planned", "closed"])
def test_pm_t04_the_due_day_moves_in_open_runs_only(state, by):
    with pytest.raises(exceptions.NotPossibleNow):
        exceptions.extend_due(enrolment=_in_run(make_enrolment(), state), by=by, **LATER, **HR)


@pytest.mark.parametrize(
    ("decide", "more"),
    [
        (exceptions.exempt_enrolment, {}),
        (exceptions.withdraw_enrolment, {}),
        (exceptions.extend_due, LATER),
    ],
)
def test_the_event_keeps_the_code_beside_the_reason(decide, more, by):
    decide(enrolment=make_enrolment(), by=by, code="leave", **more, **HR)
    event = Event.objects.get(chain="completions")
    assert (event.after["code"], event.reason) == ("leave", "产假")
    with pytest.raises(ValueError, match="nonsense"):
        decide(enrolment=make_enrolment(), by=by, code="nonsense", **more, **HR)


def test_what_was_taken_by_choice_cannot_be_exempt(by):
    with pytest.raises(exceptions.NotPossibleNow):
        exceptions.exempt_enrolment(enrolment=make_enrolment(voluntary=True), by=by, **HR)


def test_enrol_late_gives_one_person_the_duty_once(by):
    run, person = make_run(), make_employee(unit=make_unit())
    enrolment = exceptions.enrol_late(run=run, employee=person, by=by, **HR)
    assert (enrolment.state, enrolment.reason, enrolment.due_at, enrolment.unit, enrolment.decided_by) == (
        "assigned",
        "joined",
        run.due_at,
        person.unit,
        by,
    )
    assert _tally(enrolment) == (1, 0, 0, 0, 0)
    assert Event.objects.get(chain="completions").action == "enrolled"
    with pytest.raises(exceptions.NotPossibleNow):
        exceptions.enrol_late(run=run, employee=person, by=by, **HR)


def _beside(enrolment):
    return Tally.objects.values_list("assigned", "started", "withdrawn", "voluntary").get(run=enrolment.run)


def test_enrol_late_takes_up_a_duty_that_hr_withdrew(by):
    duty = exceptions.withdraw_enrolment(enrolment=make_enrolment(state="in_progress"), by=by, **HR)
    again = exceptions.enrol_late(run=duty.run, employee=duty.employee, by=by, **HR)
    assert (again.pk, again.state, again.reason, again.decided_by) == (duty.pk, "in_progress", "joined", by)
    assert _beside(again) == (1, 1, 0, 0)
    assert Event.objects.order_by("sequence").last().before == {"state": "withdrawn", "voluntary": False}
    gone = exceptions.undo_enrol_late(enrolment=again, by=by, **HR)
    assert (gone.state, _beside(gone)) == ("withdrawn", (0, 0, 1, 0))


def test_enrol_late_leaves_what_a_rule_withdrew(by):
    duty = make_enrolment(state="withdrawn", reason="left")
    with pytest.raises(exceptions.NotPossibleNow):
        exceptions.enrol_late(run=duty.run, employee=duty.employee, by=by, **HR)


@pytest.mark.parametrize(
    ("state", "owed", "beside"),
    [
        ("in_progress", (1, 1, 0, 0), (0, 0, 0, 1)),
        ("completed", (1, 1, 0, 0), (0, 0, 0, 1)),
        ("withdrawn", (1, 0, 0, 0), (0, 0, 0, 0)),  # given up
    ],
)
def test_enrol_late_makes_a_choice_owed_and_taking_it_back_makes_it_a_choice_again(by, state, owed, beside):
    chosen = make_enrolment(voluntary=True, state=state, reason="choice")
    duty = exceptions.enrol_late(run=chosen.run, employee=chosen.employee, by=by, **HR)
    assert (duty.voluntary, duty.decided_by, _beside(duty)) == (False, by, owed)
    later = AT + dt.timedelta(hours=1)
    back = exceptions.undo_enrol_late(enrolment=duty, by=by, at=later, reason="误操作")
    kept = ("voluntary", "state", "reason", "reason_text", "decided_by")
    assert [getattr(back, name) for name in kept] == [True, state, "choice", "", None]
    assert (back.changed_at, _beside(back)) == (later, beside)
    assert EnrolmentChange.objects.filter(enrolment=back).last().voluntary
    with pytest.raises(exceptions.NotPossibleNow):
        exceptions.undo_enrol_late(enrolment=duty, by=by, at=later, reason="误操作")


@pytest.mark.parametrize("state", ["planned", "closed"])
def test_enrol_late_needs_an_open_run(state, by):
    with pytest.raises(exceptions.NotPossibleNow):
        exceptions.enrol_late(run=make_run(state=state), employee=make_employee(unit=make_unit()), by=by, **HR)


def test_the_due_day_of_what_was_taken_by_choice_is_not_moved(by):
    enrolment = make_enrolment(voluntary=True)
    with pytest.raises(exceptions.NotPossibleNow):
        exceptions.extend_due(enrolment=enrolment, by=by, **LATER, **HR)
    enrolment.refresh_from_db()
    assert (enrolment.due_at, enrolment.decided_by) == (enrolment.run.due_at, None)
