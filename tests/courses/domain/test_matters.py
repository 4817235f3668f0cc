import datetime as dt

import pytest
from django.utils import translation

from core.models import Event
from courses.domain import exceptions, matters
from courses.domain.catching_up import catch_up
from courses.domain.matters import Look, find_matters
from courses.models import Enrolment, EnrolmentChange, Matter, PlanLine, Programme, Tally
from people.domain.access import Actor
from people.models import Employee, Placement
from tests.factories.courses import (
    NOVEMBER,
    local,
    make_audience,
    make_course,
    make_enrolment,
    make_programme,
    make_run,
)
from tests.factories.people import grant, make_employee, make_leave, make_position, make_unit, make_user

pytestmark = pytest.mark.django_db

# November 2026: the 1st is a Sunday, the 30th a Monday. The run is due on the 30th and takes work until 31 December.
AT = local(2026, 11, 26, 9)
TODAY = AT.date()


def day(number, month=11):
    return dt.date(2026, month, number)


@pytest.fixture
def root():
    return make_unit()


@pytest.fixture
def sales():
    return make_position(title="营业员", job_family="销售")


@pytest.fixture
def run(root, sales):
    """An open run of November for whoever has a position in sales."""
    course = make_course(title_zh="礼仪", title_en="Manners")
    audience = make_audience(root, {"job_families": ["销售"]})
    make_programme(audience, plan=[(course, NOVEMBER)])
    run = make_run(course)
    PlanLine.objects.update(opened_at=run.opens_at)
    return run


def _seen():
    fields = ("kind", "employee", "run", "enrolment", "proposal", "state", "data")
    return list(Matter.objects.order_by("pk").values_list(*fields))


def _person(root, sales, **fields):
    return make_employee(unit=root, position=sales, **fields)


# --- late joiners -----------------------------------------------------------------------------------------------------
def test_who_joins_too_late_waits_for_next_month(run, root, sales):
    late = _person(root, sales, hired_on=day(25))
    _person(root, sales, hired_on=day(25), state="suspended")
    make_employee(unit=root, position=make_position(job_family="行政"), hired_on=day(25))  # in no audience
    make_enrolment(_person(root, sales), run)

    assert find_matters(at=AT) == Look(found=1, open=1)
    data = {"since": "2026-11-25", "hired": True, "joiner_days": 7}
    assert _seen() == [("late_joiner", late.pk, run.pk, None, "next_month", "open", data)]


def test_who_joins_in_time_is_no_matter_because_catching_up_gives_the_duty(run, root, sales):
    _person(root, sales, hired_on=day(10))
    assert find_matters(at=local(2026, 11, 12)) == Look()


def test_who_moves_into_the_audience_too_late_waits_too(run, root, sales):
    moved = _person(root, sales, starts_on=day(25))
    find_matters(at=AT)
    data = {"since": "2026-11-25", "hired": False, "joiner_days": 7}
    assert _seen() == [("late_joiner", moved.pk, run.pk, None, "next_month", "open", data)]


def test_a_rule_that_was_widened_late_is_no_matter_of_its_people(run, root, sales):
    _person(root, sales)  # here for years
    assert find_matters(at=AT) == Look()


def test_after_the_due_day_a_late_joiner_is_no_matter_any_more(run, root, sales):
    _person(root, sales, hired_on=day(25))
    find_matters(at=AT)
    assert find_matters(at=local(2026, 12, 1, 3)) == Look(gone=1)
    assert Matter.objects.get().state == "gone"


# --- leave ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("leaves", "proposal", "data"),
    [
        # Half of the days and less: there is time.
        ([(day(1), day(15))], None, None),
        # More than half, but eight working days are left after the return and the due day is far enough.
        ([(day(1), day(18))], None, None),
        # Back on the 20th, a Friday: seven working days are left, enough, and seven days are over before the due day.
        ([(day(1), day(19))], None, None),
        # One working day fewer.
        (
            [(day(1), day(20))],
            "exempt",
            {"first": "2026-11-01", "back_on": "2026-11-21", "days": 20, "of": 30, "working_days": 6},
        ),
        # Worked eight days at first; back on 4 December, so until the 10th.
        (
            [(day(12), day(3, 12))],
            "extend",
            {
                "first": "2026-11-12",
                "back_on": "2026-12-04",
                "days": 19,
                "of": 30,
                "working_days": 8,
                "until": "2026-12-10",
            },
        ),
        # The same, but the return leaves no seven days before the last acceptance.
        (
            [(day(12), day(27, 12))],
            "exempt",
            {"first": "2026-11-12", "back_on": "2026-12-28", "days": 19, "of": 30, "working_days": 8},
        ),
        # In two pieces.
        (
            [(day(2), day(10)), (day(16), day(24))],
            "extend",
            {
                "first": "2026-11-02",
                "back_on": "2026-11-25",
                "days": 18,
                "of": 30,
                "working_days": 7,
                "until": "2026-12-01",
            },
        ),
        # The whole window: exempt by the agreed rule, without asking.
        ([(day(1), day(30))], None, None),
    ],
)
def test_long_leave_gets_the_answer_that_fits(run, root, sales, leaves, proposal, data):
    person = _person(root, sales)
    duty = make_enrolment(person, run)
    for first, last in leaves:
        make_leave(person, first, last)
    find_matters(at=AT)
    found = [("long_leave", person.pk, run.pk, duty.pk, proposal, "open", data)] if proposal else []
    assert _seen() == found


def test_the_window_of_who_joined_begins_with_the_hire_day(run, root, sales):
    person = _person(root, sales, hired_on=day(16))
    make_enrolment(person, run)
    make_leave(person, day(18), day(28))
    find_matters(at=AT)
    [(kind, *_rest, data)] = _seen()
    assert (kind, data["days"], data["of"], data["working_days"]) == ("long_leave", 11, 15, 3)


@pytest.mark.parametrize("ended", ["done", "extended", "exempt", "voluntary"])
def test_leave_is_no_matter_where_nothing_is_owed_or_more_time_was_given(run, root, sales, ended):
    person = _person(root, sales)
    duty = make_enrolment(
        person, run, state="completed" if ended == "done" else "assigned", voluntary=ended == "voluntary"
    )
    make_leave(person, day(1), day(25))
    if ended == "extended":
        exceptions.extend_due(enrolment=duty, until=day(5, 12), by=make_user(), at=AT, reason="x")
    if ended == "exempt":
        exceptions.exempt_enrolment(enrolment=duty, by=make_user(), at=AT, reason="x")
    assert find_matters(at=AT) == Look()


def test_a_leave_that_grows_longer_is_another_matter(run, root, sales):
    person = _person(root, sales)
    make_enrolment(person, run)
    leave = make_leave(person, day(1), day(22))
    find_matters(at=AT)
    leave.ends_on = day(26)
    leave.save()
    assert find_matters(at=AT) == Look(found=1, gone=1, open=1)


# --- moved out ----------------------------------------------------------------------------------------------------------
def _move(person, position):
    Placement.objects.filter(employee=person).update(ends_on=day(19))
    Placement.objects.create(employee=person, unit=person.unit, position=position, starts_on=day(20))
    Employee.objects.filter(pk=person.pk).update(position=position)


@pytest.mark.parametrize(
    ("state", "at", "proposal"),
    [
        ("assigned", AT, "withdraw"),
        ("in_progress", AT, "keep"),
        ("assigned", local(2026, 12, 2), "keep"),  # missed already: a debt
    ],
)
def test_who_moved_out_of_the_audience_is_asked_about(run, root, sales, state, at, proposal):
    person, stays = _person(root, sales), _person(root, sales)
    duty = make_enrolment(person, run, state=state)
    make_enrolment(stays, run)
    _move(person, make_position(title="会计", job_family="行政"))
    find_matters(at=at)
    assert _seen() == [("left_audience", person.pk, run.pk, duty.pk, proposal, "open", {})]


def test_who_has_no_position_any_more_is_out_of_the_audience_too(run, root, sales):
    person = _person(root, sales)
    make_enrolment(person, run)
    _move(person, None)
    assert find_matters(at=AT) == Look(found=1, open=1)


def test_a_move_within_the_audience_is_no_matter(run, root, sales):
    person = _person(root, sales)
    make_enrolment(person, run)
    _move(person, make_position(title="客户经理", job_family="销售"))
    assert find_matters(at=AT) == Look()


def test_a_changed_rule_or_a_programme_switched_off_leaves_duties_as_they_are(run, root, sales):
    make_enrolment(_person(root, sales), run)
    Programme.objects.update(active=False)
    assert find_matters(at=AT) == Look()
    Programme.objects.update(active=True)
    audience = Programme.objects.get().audience
    audience.rule = {"job_families": ["行政"]}
    audience.save()
    assert find_matters(at=AT) == Look()


def test_who_moved_back_is_no_matter_any_more_and_is_one_again_after_the_next_move(run, root, sales):
    person = _person(root, sales)
    make_enrolment(person, run)
    other = make_position(title="会计", job_family="行政")
    Employee.objects.filter(pk=person.pk).update(position=other)
    assert find_matters(at=AT) == Look(found=1, open=1)
    Employee.objects.filter(pk=person.pk).update(position=sales)
    assert find_matters(at=AT) == Look(gone=1)
    Employee.objects.filter(pk=person.pk).update(position=other)
    assert find_matters(at=AT) == Look(back=1, open=1)
    assert Matter.objects.count() == 1


# --- leavers ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("due", "proposal"), [(None, "keep"), (local(2026, 12, 8, 23, 59, 59), "withdraw")], ids=["missed", "not due yet"]
)
def test_who_left_after_the_due_day_leaves_a_debt_unless_it_was_not_due_yet(run, root, sales, due, proposal):
    person = _person(root, sales, state="left", left_on=day(4, 12))
    duty = make_enrolment(person, run, due_at=due or run.due_at)
    find_matters(at=local(2026, 12, 10))
    data = {"left_on": "2026-12-04", "due_on": str((due or run.due_at).date() if due else day(30))}
    assert _seen() == [("leaver", person.pk, run.pk, duty.pk, proposal, "open", data)]


def test_who_is_still_here_until_the_last_day_is_no_leaver(run, root, sales):
    person = _person(root, sales, state="left", left_on=day(20, 12))
    make_enrolment(person, run)
    assert find_matters(at=local(2026, 12, 10)) == Look()


# --- records ------------------------------------------------------------------------------------------------------------
def test_two_at_work_of_one_name_and_one_number_or_address_may_be_one(root):
    first = make_employee(unit=root, name="王伟", mobile="13900000001", email="w@x.cn")
    second = make_employee(unit=root, name="王伟", mobile="13900000001", email="W@X.CN")
    third = make_employee(unit=root, name="王伟", email="w@x.cn")
    make_employee(unit=root, name="王伟", mobile="13900000002")  # another number
    make_employee(unit=root, name="王芳", mobile="13900000001")  # another name
    make_employee(unit=root, name="王伟", mobile="13900000001", state="left", left_on=day(1))
    make_employee(unit=root, name="李娜")
    make_employee(unit=root, name="李娜")  # nothing to compare
    find_matters(at=AT)
    about = {"other": first.pk, "other_no": first.employee_no}
    assert _seen() == [
        ("duplicate", second.pk, None, None, "correct", "open", {**about, "by": ["mobile", "email"]}),
        ("duplicate", third.pk, None, None, "correct", "open", {**about, "by": ["email"]}),
    ]


def test_dates_that_contradict_each_other_are_found(run, root, sales):
    early = _person(root, sales, hired_on=day(20))
    done = make_enrolment(early, run, state="completed", completed_at=local(2026, 11, 10))
    later = _person(root, sales, hired_on=day(29))
    owed = make_enrolment(later, run)
    gone = _person(root, sales, state="left", left_on=dt.date(2026, 10, 20))
    set_late = make_enrolment(gone, run, state="completed")
    away = _person(root, sales, hired_on=day(3))
    make_enrolment(away, run)
    make_leave(away, day(1), day(2))

    find_matters(at=AT)

    assert sorted((row[1], row[3], row[4], row[6]) for row in _seen()) == [
        (
            early.pk,
            done.pk,
            "correct",
            {"what": "done_before_hired", "done_on": "2026-11-10", "hired_on": "2026-11-20"},
        ),
        (later.pk, owed.pk, "correct", {"what": "hired_later", "hired_on": "2026-11-29"}),
        (gone.pk, set_late.pk, "correct", {"what": "left_before_set", "left_on": "2026-10-20", "set_on": "2026-11-01"}),
        (
            away.pk,
            None,
            "correct",
            {"what": "leave_elsewhere", "first": "2026-11-01", "last": "2026-11-02", "hired_on": "2026-11-03"},
        ),
    ]
    assert {row[0] for row in _seen()} == {"impossible_date"}


def test_what_was_done_elsewhere_or_before_coming_back_is_no_contradiction(run, root, sales):
    past = _person(root, sales, hired_on=day(20))
    make_enrolment(past, run, state="completed", completed_at=local(2026, 11, 10), reason="past")
    back = _person(root, sales, hired_on=day(20), starts_on=dt.date(2024, 1, 1))  # worked here before
    make_enrolment(back, run, state="completed", completed_at=local(2026, 11, 10))
    make_leave(back, day(1), day(2))
    assert find_matters(at=AT) == Look()


# --- looking again --------------------------------------------------------------------------------------------------------
@pytest.fixture
def many(run, root, sales):
    """Something of each kind."""
    duties = {}
    for name in ("leave", "moved"):
        duties[name] = make_enrolment(_person(root, sales), run)
    make_leave(duties["leave"].employee, day(2), day(25))
    _move(duties["moved"].employee, make_position(title="会计", job_family="行政"))
    _person(root, sales, hired_on=day(25))
    for _number in range(2):
        make_employee(unit=root, name="王伟", mobile="13900000001")
    make_enrolment(_person(root, sales, hired_on=day(29)), run)
    return duties


def test_looking_twice_changes_nothing(many):
    assert find_matters(at=AT) == Look(found=5, open=5)
    rows = list(Matter.objects.order_by("pk").values())
    assert find_matters(at=AT + dt.timedelta(hours=1)) == Look(open=5)
    assert list(Matter.objects.order_by("pk").values()) == rows
    assert not Event.objects.exists()  # looking changes no duty


def test_looking_at_some_units_leaves_the_others_alone(root, run, sales, many):
    branch = make_unit(root)
    make_unit()  # a second root: everybody is more than these
    person = make_employee(unit=branch, position=sales, hired_on=day(25))
    assert find_matters(at=AT, scope=[branch]) == Look(found=1, open=1)
    find_matters(at=AT)
    Employee.objects.filter(pk=person.pk).update(position=None)
    assert find_matters(at=AT, scope=[branch]) == Look(gone=1)
    assert Matter.objects.filter(state="open").count() == 5


def test_looking_takes_the_same_queries_for_few_and_for_many(run, root, sales, django_assert_num_queries):
    def add():
        make_leave(make_enrolment(_person(root, sales), run).employee, day(2), day(25))
        _person(root, sales, hired_on=day(25))

    add()
    with django_assert_num_queries(20):
        assert find_matters(at=AT) == Look(found=2, open=2)
    for _number in range(5):
        add()
    with django_assert_num_queries(20):
        assert find_matters(at=AT) == Look(found=10, open=12)


def test_what_is_seen_now_takes_the_place_of_what_was_seen_before(run, root, sales):
    duty = make_enrolment(_person(root, sales), run)
    _move(duty.employee, make_position(title="会计", job_family="行政"))
    find_matters(at=AT)
    Enrolment.objects.update(state="in_progress", started_at=AT)
    assert find_matters(at=AT) == Look(open=1)
    assert Matter.objects.get().proposal == "keep"


def _meanwhile(monkeypatch, act):
    """Do something after looking has read what is known, before it writes."""
    make = Matter.objects.bulk_create

    def first(*args, **kwargs):
        act()
        return make(*args, **kwargs)

    monkeypatch.setattr(Matter.objects, "bulk_create", first)


def test_a_matter_that_is_settled_while_others_look_stays_settled(run, root, sales, monkeypatch):
    duty = make_enrolment(_person(root, sales), run)
    _move(duty.employee, make_position(title="会计", job_family="行政"))
    find_matters(at=AT)
    Enrolment.objects.update(state="in_progress", started_at=AT)  # so the proposal changes
    hr = make_user()
    _meanwhile(monkeypatch, lambda: _settle("left_audience", "keep", hr, reason="转岗"))
    assert find_matters(at=AT) == Look()
    fields = ("state", "settled_as", "settled_by", "settled_at", "answer", "proposal")
    assert Matter.objects.values_list(*fields).get() == ("settled", "keep", hr.pk, AT, "转岗", "withdraw")


def test_a_matter_that_is_settled_anew_while_others_look_is_not_opened_again(many, monkeypatch):
    find_matters(at=AT)
    hr, later = make_user(), AT + dt.timedelta(minutes=1)
    settled = _settle("impossible_date", "correct", hr)

    def think_again():
        opened = matters.undo_settlement(matter=settled, by=hr, at=later)
        matters.settle_matter(matter=opened, settled_as="keep", by=hr, at=later)

    _meanwhile(monkeypatch, think_again)
    assert find_matters(at=AT) == Look(open=4)
    fields = ("state", "settled_as", "settled_by", "settled_at")
    assert Matter.objects.filter(kind="impossible_date").values_list(*fields).get() == ("settled", "keep", hr.pk, later)


# --- settling -------------------------------------------------------------------------------------------------------------
def _matter(kind):
    return matters.visible_matters(Actor(user=_auditor(), on=TODAY), "PM-M04").get(kind=kind)


def _auditor():
    user = make_user()
    grant(user, "auditor")
    return user


def _settle(kind, settled_as, by, **values):
    return matters.settle_matter(matter=_matter(kind), settled_as=settled_as, by=by, at=AT, **values)


def test_settling_exempts_with_one_event_each_and_words_in_both_languages(many, run):
    hr = make_user()
    find_matters(at=AT)
    matter = _settle("long_leave", "exempt", hr)
    duty = Enrolment.objects.get(pk=many["leave"].pk)
    text = "当月大部分时间请假 / away for most of the month"
    assert (duty.state, duty.reason, duty.reason_text, duty.decided_by) == ("exempt", "hr", text, hr)
    assert (matter.state, matter.settled_as, matter.settled_by, matter.settled_at, matter.answer) == (
        "settled",
        "exempt",
        hr,
        AT,
        "",
    )
    events = Event.objects.filter(chain="completions").order_by("sequence")
    assert list(events.values_list("action", "subject_type", "actor", "reason")) == [
        ("exempted", "courses.enrolment", hr.pk, text),
        ("matter settled", "courses.matter", hr.pk, text),
    ]
    assert find_matters(at=AT) == Look(open=4)  # it stays settled


def test_settling_by_more_time_moves_the_due_day(run, root, sales):
    duty = make_enrolment(_person(root, sales), run)
    make_leave(duty.employee, day(12), day(3, 12))
    find_matters(at=AT)
    matter = _settle("long_leave", "extend", make_user(), reason="返岗后补学")
    duty.refresh_from_db()
    assert (duty.due_at, duty.reason_text, matter.answer) == (
        local(2026, 12, 10, 23, 59, 59),
        "返岗后补学",
        "返岗后补学",
    )
    assert find_matters(at=AT) == Look()
    with pytest.raises(matters.NotUndoable):
        matters.undo_settlement(matter=matter, by=make_user(), at=AT)


@pytest.mark.parametrize(("settled_as", "state"), [("withdraw", "withdrawn"), ("keep", "assigned")])
def test_settling_who_moved_out_withdraws_or_keeps(many, settled_as, state):
    find_matters(at=AT)
    _settle("left_audience", settled_as, make_user())
    duty = Enrolment.objects.get(pk=many["moved"].pk)
    assert (duty.state, duty.reason) == (state, "moved" if state == "withdrawn" else "plan")
    assert find_matters(at=AT) == Look(open=4)


def test_settling_a_late_joiner_gives_the_duty_or_waits(many, run, root, sales):
    other = _person(root, sales, hired_on=day(26))
    find_matters(at=AT)
    hr = make_user()
    first, second = matters.visible_matters(Actor(user=_auditor(), on=TODAY), "PM-M04").filter(kind="late_joiner")
    matters.settle_matter(matter=first, settled_as="next_month", by=hr, at=AT)
    assert not Enrolment.objects.filter(employee=first.employee).exists()
    settled = matters.settle_matter(matter=second, settled_as="enrol", by=hr, at=AT)
    duty = Enrolment.objects.get(employee=other)
    assert (settled.enrolment, duty.reason, duty.decided_by, duty.state) == (duty, "joined", hr, "assigned")
    assert Tally.objects.get(run=run, unit=root).assigned == 4
    assert catch_up(run=run, by=None, at=AT).changed == 0


def test_a_corrected_record_is_asked_about_again_only_while_it_is_still_so(many):
    find_matters(at=AT)
    _settle("impossible_date", "correct", make_user())
    assert find_matters(at=AT) == Look(back=1, open=5)
    Employee.objects.filter(hired_on=day(29)).update(hired_on=day(2))
    assert find_matters(at=AT) == Look(gone=1, open=4)
    _settle("duplicate", "keep", make_user())
    assert find_matters(at=AT) == Look(open=3)


def test_a_matter_takes_only_its_own_answers(many):
    find_matters(at=AT)
    for kind, answer in (("late_joiner", "exempt"), ("duplicate", "withdraw"), ("left_audience", "enrol")):
        with pytest.raises(matters.NotAnAnswer):
            _settle(kind, answer, make_user())
    assert Matter.objects.filter(state="open").count() == 5


def test_pm_m05_nobody_settles_a_matter_about_himself(many):
    find_matters(at=AT)
    person = many["leave"].employee
    person.user = make_user()
    person.save()
    for act in (
        lambda matter: matters.settle_matter(matter=matter, settled_as="exempt", by=person.user, at=AT),
        lambda matter: matters.undo_settlement(matter=matter, by=person.user, at=AT),
    ):
        with pytest.raises(matters.OwnMatter):
            act(_matter("long_leave"))


def test_a_matter_is_settled_once(many):
    find_matters(at=AT)
    stale = _matter("long_leave")
    _settle("long_leave", "exempt", make_user())
    with pytest.raises(matters.NotOpen):
        matters.settle_matter(matter=stale, settled_as="keep", by=make_user(), at=AT)


def test_a_duty_that_changed_meanwhile_keeps_the_matter_open(many):
    find_matters(at=AT)
    exceptions.withdraw_enrolment(enrolment=many["leave"], by=make_user(), at=AT, reason="x")
    with pytest.raises(exceptions.NotPossibleNow):
        _settle("long_leave", "exempt", make_user())
    assert _matter("long_leave").state == "open"
    assert find_matters(at=AT) == Look(gone=1, open=4)


# --- taking back ----------------------------------------------------------------------------------------------------------
LATER = AT + dt.timedelta(hours=2)


@pytest.mark.parametrize(
    ("kind", "settled_as", "states"),
    [
        ("long_leave", "exempt", ["assigned", "exempt", "assigned"]),
        ("left_audience", "withdraw", ["assigned", "withdrawn", "assigned"]),
        ("left_audience", "keep", ["assigned"]),
        ("late_joiner", "enrol", ["assigned", "withdrawn"]),
        ("late_joiner", "next_month", []),
        ("duplicate", "keep", []),
    ],
)
def test_undoing_brings_the_duty_back_and_the_matter_is_open_again(many, kind, settled_as, states):
    find_matters(at=AT)
    hr = make_user()
    settled = _settle(kind, settled_as, hr)
    undone = matters.undo_settlement(matter=settled, by=hr, at=LATER)
    assert (undone.state, undone.settled_as, undone.settled_by) == ("open", "", None)
    duty = undone.enrolment_id or 0
    assert list(EnrolmentChange.objects.filter(enrolment=duty).values_list("state", flat=True)) == states
    assert Event.objects.order_by("sequence").last().action == "matter reopened"
    with pytest.raises(matters.NotOpen):
        matters.undo_settlement(matter=settled, by=hr, at=LATER)


def test_a_late_joiner_can_be_given_the_duty_again_after_it_was_taken_back(many):
    find_matters(at=AT)
    hr = make_user()
    matters.undo_settlement(matter=_settle("late_joiner", "enrol", hr), by=hr, at=LATER)
    settled = matters.settle_matter(matter=_matter("late_joiner"), settled_as="enrol", by=hr, at=LATER)
    assert (settled.state, settled.enrolment.state) == ("settled", "assigned")


def test_undoing_makes_what_was_taken_by_choice_a_choice_again(many, run):
    find_matters(at=AT)
    hr, matter = make_user(), _matter("late_joiner")
    make_enrolment(matter.employee, run, voluntary=True, reason="choice")
    settled = _settle("late_joiner", "enrol", hr)
    assert not settled.enrolment.voluntary
    undone = matters.undo_settlement(matter=settled, by=hr, at=LATER)
    duty = undone.enrolment
    assert (duty.voluntary, duty.state, duty.reason, duty.decided_by) == (True, "assigned", "choice", None)


def test_a_settlement_stands_once_the_duty_has_changed_again(many):
    find_matters(at=AT)
    hr = make_user()
    settled = _settle("long_leave", "exempt", hr)
    exceptions.reinstate_enrolment(enrolment=settled.enrolment, by=hr, at=LATER, reason="x")
    with pytest.raises(matters.NotUndoable):
        matters.undo_settlement(matter=settled, by=hr, at=LATER)
    assert _matter("long_leave").state == "settled"


# --- words ----------------------------------------------------------------------------------------------------------------
def test_every_matter_is_told_in_words(many, run, root, sales):
    leaver = _person(root, sales, state="left", left_on=day(4, 12))
    make_enrolment(leaver, run)
    find_matters(at=AT)
    find_matters(at=local(2026, 12, 10))
    root.name_en = "Group"
    root.save()
    with translation.override("en"):
        told = {one.kind: matters.describe(one) for one in matters.visible_matters(Actor(_auditor(), TODAY), "PM-M04")}
        labels = {
            one.kind: [matters.answer_label(one, answer) for answer in matters.answers_to(one)]
            for one in matters.visible_matters(Actor(_auditor(), TODAY), "PM-M04")
        }
    first = Employee.objects.filter(name="王伟").first()
    assert told == {
        "late_joiner": "Hired on 25 November 2026, with fewer than 7 days left to the due day (30 November 2026).",
        "long_leave": "Away from 2 November 2026, back on 26 November 2026: 24 of 30 days. 3 working days are left.",
        "left_audience": "The duty was set as 营业员, Group; the post is now 会计, Group, to which this course is not given.",
        "leaver": "Left on 4 December 2026 with the duty unfinished; it was due on 30 November 2026.",
        "duplicate": f"The same name and the same mobile number as employee no. {first.employee_no}.",
        "impossible_date": "Owes this course already, but is hired from 29 November 2026.",
    }
    assert labels == {
        "late_joiner": ["Leave it for next month", "Give the duty now"],
        "long_leave": ["Exempt", "Move the due day to 2 December", "Leave it as it is"],
        "left_audience": ["Leave it as it is", "Withdraw the duty"],
        "leaver": ["Keep it as a debt", "Withdraw the duty"],
        "duplicate": ["The record is corrected", "They are two people"],
        "impossible_date": ["The record is corrected", "Withdraw the duty", "It is right as it is"],
    }
