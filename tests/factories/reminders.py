"""A branch whose duties are due on a day, and the mornings around it on which somebody is reminded."""

import datetime as dt

from django.utils import timezone

from core.messaging import deliver_due
from courses.domain.ladders import set_up_ladder
from courses.domain.reminders import send_reminders
from courses.models import ReminderDue
from people.models import Employee
from tests.factories.courses import local, make_course, make_enrolment, make_run
from tests.factories.people import make_employee, make_unit

# The run of November 2026 is due on the 30th.
DUE = dt.date(2026, 11, 30)


def morning(days: int) -> dt.datetime:
    """Nine o'clock so many days from the due day."""
    day = DUE + dt.timedelta(days=days)
    return local(day.year, day.month, day.day, 9)


class House:
    """A branch: chief > manager > staff. Each has a sign-in and an address."""

    def __init__(self):
        self.group = make_unit(name="集团")
        self.branch = make_unit(self.group, name="东一网点")
        self.chief = self.person("总监", unit=self.group)
        self.manager = self.person("主管", manager=self.chief)
        self.run = make_run(make_course(steps=4, code="ETQ-01", title_zh="销售礼仪", title_en="Sales etiquette"))
        self.ladder = set_up_ladder()

    def person(self, name, unit=None, **fields):
        values = {"with_user": True, "email": f"p{Employee.objects.count()}@example.com", **fields}
        return make_employee(unit=unit or self.branch, name=name, **values)

    def staff(self, name="王伟", state="assigned", run=None, due_at=None, steps_done=0, **fields):
        employee = self.person(name, manager=fields.pop("manager", self.manager), **fields)
        more = {"steps_done": steps_done} | ({"due_at": due_at} if due_at else {})
        if state == "completed":
            more.pop("steps_done")
        return make_enrolment(employee, run or self.run, state=state, **more)

    def told(self):
        """{(who the duty is of, days, to): who was told}"""
        return {(row.enrolment.employee.name, row.days, row.to): row.employee.name for row in ReminderDue.objects.all()}


def send(days, hour=9):
    at = morning(days).replace(hour=hour)
    return send_reminders(on=timezone.localdate(at), at=at)


def deliver(at):
    return deliver_due(at=at, clock=lambda: at)
