"""What the platform measures itself from a closed month."""

import datetime as dt
from decimal import Decimal as D

import pytest

from core.events import verify_chain
from core.models import Event
from core.periods import Month
from courses.domain import closing, exceptions, progress
from kpi.domain import collecting, measures
from kpi.models import Measure
from people.models import Employee
from tests.factories.assessments import answer_all, make_question, make_quiz, make_quiz_step
from tests.factories.courses import NOVEMBER, local, make_course, make_enrolment, make_run
from tests.factories.kpi import make_indicators
from tests.factories.people import make_employee, make_unit

pytestmark = pytest.mark.django_db

CLOSED_AT = local(2026, 12, 1, 9)
COLLECTED_AT = local(2026, 12, 2, 3)


class World:
    """A group with two branches; a course with a quiz of four questions and one with a lesson, both in November."""

    def __init__(self, **quiz):
        self.indicators = make_indicators()
        self.group = make_unit(code="G")
        self.one, self.two = make_unit(self.group, code="B1"), make_unit(self.group, code="B2")
        self.quiz = make_quiz([make_question("single") for _n in range(4)], pass_mark=50, **quiz)
        course = make_course(steps=0)
        self.step = make_quiz_step(self.quiz, course=course)
        self.tested = make_run(course)
        self.read = make_run(make_course(steps=1))

    def person(self, unit=None):
        return make_employee(unit=unit or self.one, with_user=True)

    def duty(self, person, run=None, **fields):
        return make_enrolment(person, run or self.tested, **fields)

    def attempt(self, duty, right, day=10):
        from assessments.domain.attempts import start_attempt, submit_attempt

        at = local(2026, 11, day, 10)
        attempt = start_attempt(enrolment=duty, step=self.step, at=at)
        answer_all(attempt, only=right, at=at)
        return submit_attempt(attempt=attempt, at=at + dt.timedelta(minutes=5))

    def close(self):
        close = closing.begin_close(month=NOVEMBER, by=None, at=CLOSED_AT)
        closing.sign_below(close=close, unit=self.group, by=None, at=CLOSED_AT)
        closing.sign_off(close=close, unit=self.group, by=None, at=CLOSED_AT)
        closing.close_month(close=close, by=None, at=CLOSED_AT)
        return close

    def collect(self, at=COLLECTED_AT):
        return collecting.collect_month(month=NOVEMBER, by=None, at=at)


def values(code, subject="employee"):
    """{subject id: (value, numerator, denominator, n)} in force."""
    rows = measures.in_force().filter(indicator__code=code, **{f"{subject}__isnull": False})
    return {row[0]: row[1:] for row in rows.values_list(subject, "value", "numerator", "denominator", "n")}


def test_collect_month_measures_training_of_people_and_units():
    world = World()
    ann, bob, eve = world.person(), world.person(), world.person(world.two)
    done = world.duty(ann, state="completed")
    open_one = world.duty(ann, world.read)
    world.duty(bob, state="exempt")
    world.duty(eve, world.read, state="completed")
    world.duty(eve, voluntary=True, state="completed")  # by choice: beside the denominator
    close = world.close()

    collected = world.collect()

    assert (collected.new, collected.corrected) == (5, 0)
    assert values("training") == {ann.pk: (D("50"), D(1), D(2), None), eve.pk: (D("100"), D(1), D(1), None)}
    assert values("training", "org_unit") == {
        world.group.pk: (D("66.6666"), D(2), D(3), None),
        world.one.pk: (D("50"), D(1), D(2), None),
        world.two.pk: (D("100"), D(1), D(1), None),
    }
    assert Measure.objects.get(employee=ann).evidence == {"enrolments": [done.pk, open_one.pk]}
    assert Measure.objects.get(org_unit=world.group).evidence == {"close": close.pk, "at_close": [2, 3]}
    events = Event.objects.filter(chain="measures").order_by("sequence")
    assert [(one.action, one.subject_id, one.after["count"]) for one in events] == [
        ("people of a month measured", str(close.pk), 2),
        ("units of a month measured", str(close.pk), 3),
    ]
    assert verify_chain("measures") == (2, None)


@pytest.mark.parametrize(
    ("grading", "value", "counted"),
    [("highest", "75", [1]), ("average", "58.33", [0, 1, 2]), ("first", "25", [0]), ("last", "75", [2])],
)
def test_collect_month_counts_a_quiz_as_the_quiz_grades_it(grading, value, counted):
    world = World(grading=grading, attempts_allowed=3)
    ann = world.person()
    duty = world.duty(ann)
    made = []
    for day, right in ((10, 1), (11, 3), (12, 3)):
        attempt = world.attempt(duty, right, day) if not made or made[-1].passed is False else None
        if attempt is None:  # a passed quiz is not taken again: told directly
            from assessments.models import Attempt

            last = made[-1]
            attempt = Attempt.objects.create(
                enrolment=duty,
                step=world.step,
                quiz=world.quiz,
                number=last.number + 1,
                state="submitted",
                rules=last.rules,
                started_at=last.started_at,
                submitted_at=last.submitted_at,
                score=3,
                max_score=4,
                percent=D("75"),
                passed=True,
            )
        made.append(attempt)
    world.close()

    world.collect()

    assert values("exam") == {ann.pk: (D(value), None, None, 1)}
    assert Measure.objects.get(employee=ann, indicator__code="exam").evidence == {
        "attempts": [made[place].pk for place in counted],
        "quizzes": [world.quiz.pk],
        "enrolments": [duty.pk],
    }


def test_collect_month_means_the_quizzes_and_folds_them_up_the_units():
    world = World()
    ann, eve, zoe = world.person(), world.person(world.two), world.person(world.two)
    second = World.__new__(World)
    second.__dict__ = dict(world.__dict__)
    second.quiz = make_quiz([make_question("single") for _n in range(4)], pass_mark=50)
    course = make_course(steps=0)
    second.step = make_quiz_step(second.quiz, course=course)
    second.tested = make_run(course)
    world.attempt(world.duty(ann), 4)
    second.attempt(second.duty(ann), 2)
    world.attempt(world.duty(eve), 3)
    world.duty(zoe)  # nobody handed it in: not measured, no zero
    excused = world.duty(world.person(), state="assigned")
    world.attempt(excused, 1)
    excused.refresh_from_db()
    exceptions.exempt_enrolment(enrolment=excused, reason="产假", by=None, at=local(2026, 11, 20))
    world.close()

    world.collect()

    assert values("exam") == {ann.pk: (D("75"), None, None, 2), eve.pk: (D("75"), None, None, 1)}
    assert values("exam", "org_unit") == {
        world.group.pk: (D("75"), None, None, 3),
        world.one.pk: (D("75"), None, None, 2),
        world.two.pk: (D("75"), None, None, 1),
    }


def test_collect_month_twice_changes_nothing():
    world = World()
    world.attempt(world.duty(world.person()), 4)
    world.close()
    first = world.collect()
    count, events = Measure.objects.count(), Event.objects.count()

    again = world.collect(COLLECTED_AT + dt.timedelta(days=1))

    assert (again.new, again.corrected, again.unchanged) == (0, 0, first.new)
    assert (Measure.objects.count(), Event.objects.count()) == (count, events)


def test_late_work_and_corrections_supersede_only_what_changed():
    world = World()
    ann, bob, eve = world.person(), world.person(), world.person(world.two)
    late = world.duty(ann, world.read)
    world.duty(bob, world.read)
    world.duty(eve, world.read, state="completed")
    world.close()
    world.collect()
    progress.complete_step(enrolment=late, step=world.read.course.steps.get(), at=local(2026, 12, 3, 9))

    again = world.collect(local(2026, 12, 4, 3))

    assert (again.people.corrected, again.people.unchanged, again.units.corrected) == (1, 2, 2)
    made = Measure.objects.get(employee=ann, supersedes__isnull=False)
    assert (made.value, made.supersedes.value, made.reason) == (D("100"), D("0"), measures.DUTIES_CHANGED)
    group = Measure.objects.get(org_unit=world.group, supersedes__isnull=False)
    assert (group.value, group.reason, group.evidence["at_close"]) == (
        D("66.6666"),
        measures.FIGURES_ADJUSTED,
        [1, 3],
    )


def test_who_owes_nothing_any_more_has_no_measure():
    world = World()
    ann = world.person()
    duty = world.duty(ann, world.read)
    world.duty(world.person(), world.read)
    world.close()
    world.collect()
    assert ann.pk in values("training")
    exceptions.exempt_enrolment(enrolment=duty, reason="病假", by=None, at=local(2026, 12, 3))

    world.collect(local(2026, 12, 4, 3))

    assert ann.pk not in values("training")
    assert Measure.objects.filter(employee=ann, value=None, reason=measures.DUTIES_CHANGED).count() == 1
    assert world.collect(local(2026, 12, 5, 3)).corrected == 0


def test_collecting_leaves_alone_what_a_person_corrected():
    world = World()
    ann = world.person()
    duty = world.duty(ann, world.read)
    world.duty(world.person(), world.read)
    world.close()
    world.collect()
    wrong = Measure.objects.get(employee=ann)
    measures.correct_measure(
        measure=wrong, value=D("100"), reason="系统故障，纸质签到为证", by=None, at=local(2026, 12, 3)
    )
    progress.complete_step(enrolment=duty, step=world.read.course.steps.get(), at=local(2026, 12, 3, 9))

    world.collect(local(2026, 12, 4, 3))

    assert Measure.objects.filter(employee=ann).count() == 2
    assert values("training")[ann.pk] == (D("100"), None, None, None)


def test_a_span_of_people_at_a_time_gives_the_same(monkeypatch):
    monkeypatch.setattr(collecting, "SPAN", 2)
    world = World()
    people = [world.person() for _n in range(5)]
    for person in people:
        world.attempt(world.duty(person), 2)
    world.close()
    world.collect()
    assert values("exam") == {person.pk: (D("50"), None, None, 1) for person in people}
    assert values("exam", "org_unit")[world.group.pk] == (D("50"), None, None, 5)


def test_collect_month_refuses_a_month_that_is_not_closed():
    world = World()
    world.duty(world.person())
    with pytest.raises(collecting.MonthNotClosed):
        world.collect()


def test_collect_month_refuses_without_an_indicator():
    world = World()
    world.duty(world.person())
    world.close()
    for one in world.indicators.values():
        one.active = False
        one.save()
    with pytest.raises(collecting.NoIndicator):
        world.collect()


def test_months_to_collect_are_the_newest_and_those_never_collected(at):
    from courses.models import MonthClose

    for number in range(1, 16):
        month = Month(2025, 1).plus(number)
        values = {"closed_at": at, "digest": "x", "newest_change": 0}
        MonthClose.objects.create(month=month, state="closed", begun_at=at, **values)
    exam = make_indicators()["exam"]
    person = make_employee(unit=make_unit())
    newest = Month(2025, 1).plus(15)
    row = measures.NewMeasure(indicator=exam, month=Month(2025, 2), value=D(1), employee=person.pk)
    measures.write_measures(rows=[row], by=None, at=at)

    found = collecting.months_to_collect(at=at)

    # the first month was collected, the second is too old for late work but was not
    assert found == [newest.plus(-back) for back in reversed(range(14))]
    assert Employee.objects.count() == 1
