"""Two who settle one matter, or look for matters, at the same moment, on databases that really commit."""

import datetime as dt
from functools import partial

from courses.domain.matters import NotOpen, find_matters, settle_matter
from courses.models import Enrolment, Matter, Tally
from tests.factories.courses import local, make_enrolment, make_run
from tests.factories.people import make_employee, make_leave, make_unit, make_user

AT = local(2026, 11, 26, 9)


def _away(number=1):
    run = make_run()
    for _number in range(number):
        duty = make_enrolment(make_employee(unit=make_unit()), run)
        make_leave(duty.employee, dt.date(2026, 11, 2), dt.date(2026, 11, 25))
    return run


def test_of_two_who_settle_at_once_one_does(at_once):
    run = _away()
    find_matters(at=AT)
    matter = Matter.objects.select_related("employee", "enrolment", "run").get()
    users = [make_user(), make_user()]
    results = at_once(
        partial(settle_matter, matter=matter, settled_as="exempt", by=users[0], at=AT),
        partial(settle_matter, matter=matter, settled_as="keep", by=users[1], at=AT),
    )
    assert sorted(type(one).__name__ for one in results) == ["Matter", NotOpen.__name__]
    settled = Matter.objects.get()
    assert (Enrolment.objects.get().state == "exempt") == (settled.settled_as == "exempt")
    assert Tally.objects.get(run=run).exempt == (1 if settled.settled_as == "exempt" else 0)


def test_two_who_look_at_once_find_each_matter_once(at_once):
    _away(3)
    look = partial(find_matters, at=AT)
    results = at_once(look, look)
    assert [one.open for one in results] == [3, 3]
    assert Matter.objects.count() == 3
