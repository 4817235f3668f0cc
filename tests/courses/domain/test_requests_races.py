"""Two who decide about one request at the same moment, on databases that really commit."""

import datetime as dt

from core.models import Event
from courses.domain import requests
from courses.models import DutyRequest, Enrolment, Tally
from tests.factories.courses import local, make_enrolment, make_run
from tests.factories.people import make_employee, make_unit, make_user

AT = local(2026, 11, 20, 9)
LATER = local(2026, 11, 21, 15)


def _ask(duty, kind="extension"):
    until = dt.date(2026, 12, 10) if kind == "extension" else None
    asked = {"kind": kind, "code": "workload", "text": "年终盘点", "until": until}
    return requests.ask(enrolment=duty, by=duty.employee.user, at=AT, **asked)


def test_pm_t04_of_two_who_decide_at_once_one_does(at_once):
    """A manager grants and HR refuses at the same moment: one answer, and a duty that agrees with it."""
    unit = make_unit()
    manager = make_employee(unit=unit, with_user=True)
    duty = make_enrolment(make_employee(unit=unit, manager=manager, with_user=True), make_run())
    asked, hr = _ask(duty), make_user()

    def decide(function, user, **values):
        return lambda: function(request=asked, by=user, at=LATER, **values).state

    results = at_once(decide(requests.grant, manager.user), decide(requests.refuse, hr, answer="不行"))
    final = DutyRequest.objects.get().state
    assert sorted(map(str, results), key=len) == sorted(["", final], key=len)
    assert [type(one) for one in results if not isinstance(one, str)] == [requests.NotWaiting]
    moved = Enrolment.objects.get(pk=duty.pk).due_at == local(2026, 12, 10, 23, 59, 59)
    assert moved == (final == "granted")
    assert Event.objects.filter(chain="completions").count() == (3 if moved else 2)


def test_pm_t03_of_two_who_grant_at_once_one_does(at_once):
    duty = make_enrolment(make_employee(unit=make_unit(), with_user=True), make_run())
    asked, users = _ask(duty, kind="exemption"), [make_user(), make_user()]
    results = at_once(*(lambda u=user: requests.grant(request=asked, by=u, at=LATER).state for user in users))
    assert sorted(type(one).__name__ for one in results) == ["NotWaiting", "str"]
    assert Tally.objects.values_list("assigned", "exempt").get(run=duty.run) == (0, 1)
