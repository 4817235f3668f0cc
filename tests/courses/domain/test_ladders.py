"""The ladder itself: its steps, its hours, and two who change it at once."""

import datetime as dt

import pytest

from core.models import Event
from courses.domain import ladders
from courses.domain.ladders import InQuietHours, StepTwice, StepValues, save_ladder, set_up_ladder
from courses.models import Ladder
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db

HOURS = {"send_at": dt.time(9), "quiet_from": dt.time(20), "quiet_until": dt.time(8), "active": True}


def test_setting_up_makes_one_ladder_with_the_usual_steps(house):
    assert set_up_ladder() == house.ladder
    assert Ladder.objects.count() == 1
    assert set(house.ladder.steps.values_list("days", "to")) == set(ladders.USUAL_STEPS)


def test_saving_keeps_rows_that_stay_and_writes_one_event(house, at):
    kept = house.ladder.steps.get(days=-3, to="employee").pk
    by = make_user()
    steps = [StepValues(-3, "employee", False), StepValues(2, "manager")]
    save_ladder(ladder=house.ladder, steps=steps, by=by, at=at, **HOURS)
    rows = house.ladder.steps.order_by("days").values_list("days", "to", "by_mail")
    assert list(rows) == [(-3, "employee", False), (2, "manager", True)]
    assert house.ladder.steps.get(days=-3).pk == kept
    save_ladder(ladder=house.ladder, steps=steps, by=by, at=at, **HOURS)  # the same again says nothing new
    [event] = Event.objects.filter(chain="reminders")
    assert (event.action, event.after["steps"]) == (
        "ladder changed",
        [[-3, "employee", False], [2, "manager", True]],
    )


def test_a_step_twice_and_a_digest_in_the_quiet_hours_are_refused(house, at):
    with pytest.raises(StepTwice):
        save_ladder(ladder=house.ladder, steps=[StepValues(1, "manager")] * 2, by=None, at=at, **HOURS)
    for time in (dt.time(7, 59), dt.time(20), dt.time(23)):
        with pytest.raises(InQuietHours):
            save_ladder(ladder=house.ladder, steps=[], by=None, at=at, **{**HOURS, "send_at": time})
    assert house.ladder.steps.count() == len(ladders.USUAL_STEPS)


def test_who_saves_steps_does_not_undo_that_somebody_switched_the_reminders_off(house, at):
    read = Ladder.objects.get()
    Ladder.objects.update(active=False, quiet_from=dt.time(19))  # by somebody else, at the same moment
    saved = save_ladder(
        ladder=read, steps=[StepValues(2, "manager")], by=None, at=at, **{**HOURS, "send_at": dt.time(10)}
    )
    hours = (False, dt.time(10), dt.time(19), dt.time(8))
    assert list(Ladder.objects.values_list("active", "send_at", "quiet_from", "quiet_until")) == [hours]
    assert (saved.active, saved.send_at, saved.quiet_from, saved.quiet_until) == hours
    [event] = Event.objects.filter(chain="reminders")
    assert [(told["active"], told["hours"]) for told in (event.before, event.after)] == [
        (False, ["09:00", "19:00", "08:00"]),
        (False, ["10:00", "19:00", "08:00"]),
    ]


def test_two_who_change_hours_at_the_same_moment_do_not_put_the_digest_into_the_quiet_hours(house, at):
    read = Ladder.objects.get()
    Ladder.objects.update(quiet_from=dt.time(17))
    with pytest.raises(InQuietHours):
        save_ladder(ladder=read, steps=[], by=None, at=at, **{**HOURS, "send_at": dt.time(18)})
    assert house.ladder.steps.count() == len(ladders.USUAL_STEPS)


def test_who_saves_a_ladder_does_not_bring_back_one_that_was_removed(house, at):
    read = Ladder.objects.get()
    Ladder.objects.all().delete()
    with pytest.raises(Ladder.DoesNotExist):
        save_ladder(ladder=read, steps=[], by=None, at=at, **HOURS)
    assert not Ladder.objects.exists()
