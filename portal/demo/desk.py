"""What HR and the manager find to decide in the demo: requests of people, and matters that no rule settles."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from courses.domain import requests
from courses.domain.matters import find_matters, settle_matter, visible_matters
from courses.models import CourseRun, DutyRequest, Enrolment, Matter, PlanLine
from people.domain.access import Actor
from people.domain.leave import add_leave
from people.domain.moves import change_record, move_employee
from people.models import Employee, Position
from portal.demo import company as story

if TYPE_CHECKING:
    from portal.demo.builder import Builder

_Code = DutyRequest.Code
_WORDS = (
    (_Code.WORKLOAD, "月底盘点，人手不够 / Stocktaking at the end of the month, and we are short of people"),
    (_Code.SECONDED, "支援城南网点开业 / Helping to open the new branch in the south"),
    (_Code.NOT_RELEVANT, "我的岗位不接待客户 / My post does not deal with customers"),
    (_Code.TECHNICAL, "手机送修，看不了视频 / My phone is being repaired"),
)


def fill_the_desk(builder: Builder) -> None:
    """Ask, answer, make what is hard to settle happen, look for it, and settle one."""
    _ask(builder)
    _trouble(builder)
    at = builder.now
    find_matters(at=at)
    hr = builder.users[story.HR]
    mine = visible_matters(Actor(user=hr, on=builder.today), "PM-M05").filter(state=Matter.State.OPEN)
    if first := mine.filter(kind=Matter.Kind.LONG_LEAVE, proposal=Matter.Proposal.EXEMPT).order_by("pk").first():
        settle_matter(matter=first, settled_as=first.proposal, by=hr, at=at, reason="产假 / parental leave")


def _owing(builder: Builder) -> list[Enrolment]:
    """Unfinished duties of this month, one of a person, of people who can sign in and are not in the light."""
    owed = Enrolment.objects.filter(run__month=builder.month, run__state=CourseRun.State.OPEN, voluntary=False)
    owed = owed.unfinished().filter(employee__state=Employee.State.ACTIVE, employee__user__isnull=False)
    owed = owed.exclude(employee__employee_no__in=story.CAST_NUMBERS.values()).exclude(employee__reports__isnull=False)
    found: dict[int, Enrolment] = {}
    for one in owed.select_related("employee__user", "employee__unit", "run__course").order_by("-pk"):
        found.setdefault(one.employee_id, one)
    return list(found.values())


def _ask(builder: Builder) -> None:
    """Two wait for the manager, one for HR with the manager's advice; one was granted, with a day earlier than asked, and one refused."""
    manager, hr = builder.people[story.CAST_NUMBERS[story.MANAGER]], builder.users[story.HR]
    owing = _owing(builder)
    near = [one for one in owing if one.employee.manager_id == manager.pk][:4]
    far = [one for one in owing if one.employee.manager_id != manager.pk][:2]
    asked = []
    for place, duty in enumerate([*near, *far]):
        at = builder.now - dt.timedelta(hours=30 - 3 * place)
        days = requests.days_to_ask_for(duty, at)
        code, text = _WORDS[place % len(_WORDS)]
        excused = code == _Code.NOT_RELEVANT or days is None
        asked.append(
            requests.ask(
                enrolment=duty,
                kind=DutyRequest.Kind.EXEMPTION if excused else DutyRequest.Kind.EXTENSION,
                code=code,
                text=text,
                until=None if excused or days is None else min(days[0] + dt.timedelta(days=9), days[1]),
                by=duty.employee.user,
                at=at,
            )
        )
    for one in asked:
        if one.kind == DutyRequest.Kind.EXEMPTION and one.enrolment.employee.manager_id == manager.pk:
            at, text = (
                builder.now - dt.timedelta(hours=3),
                "这个岗位每天接触客户，用得上 / The post meets customers every day",
            )
            requests.advise(request=one, advice=DutyRequest.Advice.NOT_SUPPORTED, text=text, by=manager.user, at=at)
    extensions = [one for one in asked if one.until]
    if len(extensions) > 2:
        later, earlier = extensions[-1], extensions[-2]
        at, answer = builder.now - dt.timedelta(hours=2), "可以，请在此之前完成 / Yes, please be done by then"
        until = max(earlier.until - dt.timedelta(days=3), requests.days_to_ask_for(earlier.enrolment, at)[0])
        requests.grant(request=earlier, until=until, answer=answer, by=hr, at=at)
        requests.refuse(request=later, answer="营业厅有公用平板可用 / There is a tablet at the branch", by=hr, at=at)


def _trouble(builder: Builder) -> None:
    """Long leave, a move out of the audience, two records of one name, a leave before the first day at work."""
    by, at, month = builder.users[story.HR], builder.now, builder.month
    branch = builder.units[story.CAST[story.MANAGER][0]]
    far = [one for one in _owing(builder) if one.employee.unit_id != branch.pk][2:]
    calm = [one for one in far if not one.employee.leaves.exists()]
    first = month.first_day
    spans = (
        (first + dt.timedelta(days=1), first + dt.timedelta(days=24)),
        (first + dt.timedelta(days=2), first + dt.timedelta(days=26)),
        (first + dt.timedelta(days=11), month.last_day + dt.timedelta(days=4)),
    )
    for duty, (begins, ends) in zip(calm, spans, strict=False):
        reason = "产假 / parental leave"
        add_leave(employee=duty.employee, starts_on=begins, ends_on=ends, reason=reason, by=by, at=at)
    front = calm[len(spans) :]
    counter = [one for one in front if one.run.course_id in _counter_courses(builder)]
    office = Position.objects.exclude(job_family__in=story.FRONT_LINE).exclude(title__endswith="经理").first()
    for duty in counter[:2]:
        person = duty.employee
        move_employee(
            employee=person, unit=person.unit, position=office, manager=person.manager, on=builder.today, by=by, at=at
        )
    _double(builder)
    newest = Employee.objects.filter(state=Employee.State.ACTIVE, hired_on__gt=month.previous.first_day)
    if joiner := newest.order_by("-hired_on", "pk").first():
        eve = joiner.hired_on - dt.timedelta(days=1)
        days = {"starts_on": eve - dt.timedelta(days=1), "ends_on": eve}
        add_leave(employee=joiner, reason="事假 / personal leave", by=by, at=at, **days)


def _counter_courses(builder: Builder) -> set[int]:
    """The courses that only the front line owes this month."""
    lines = PlanLine.objects.filter(month=builder.month)
    everybody = lines.filter(programme__name_en="One course a month").values("course")
    return set(lines.exclude(course__in=everybody).values_list("course_id", flat=True))


def _double(builder: Builder) -> None:
    """Two of one name with one mobile number."""
    seen: dict[str, Employee] = {}
    active = Employee.objects.filter(state=Employee.State.ACTIVE).exclude(mobile="").exclude(reports__isnull=False)
    for person in active.exclude(employee_no__in=story.CAST_NUMBERS.values()).order_by("employee_no"):
        other = seen.setdefault(person.name, person)
        if other is not person:
            values = {name: getattr(person, name) for name in ("name", "name_latin", "email", "language")}
            by, at = builder.users[story.HR], builder.now
            change_record(employee=person, mobile=other.mobile, by=by, at=at, **values)
            return
