"""The page of the group: figures of every unit below, against counting them through the tree (SPEED D1), and lists (D3).

20,000 people (with --full 300,000) take one course a month for a year, in a tree of 1, 31, 350 and 3,000 units.
"""

from __future__ import annotations

import datetime as dt
import random
import uuid

import _pairs

_pairs.site()

from django.contrib.auth import get_user_model  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.urls import reverse  # noqa: E402
from django.utils import timezone  # noqa: E402

from core.periods import Month  # noqa: E402
from courses.domain import opening, tallies  # noqa: E402
from courses.domain.comparison import live_figures  # noqa: E402
from courses.domain.queries import figures_of_units, month_enrolments, month_series, page_after  # noqa: E402
from courses.models import Audience, Course, CourseRun, Enrolment, PlanLine, Programme, Step  # noqa: E402
from people.models import Employee, OrgUnit, RoleGrant  # noqa: E402

LAST = Month(2026, 10)
MONTHS = [LAST.plus(-back) for back in range(11, -1, -1)]
CHANCE = random.Random(7)


def company(people: int) -> OrgUnit:
    """The tree, the people and a year of months with about nineteen of twenty done."""
    units = [OrgUnit(code="G", name="集团", depth=1, path="0001", numchild=31)]
    levels = [[units[0]]]
    for depth, number in ((2, 31), (3, 350), (4, 3000)):
        parents, level = levels[-1], []
        for place in range(number):
            parent, below = parents[place % len(parents)], place // len(parents) + 1
            step = OrgUnit._int2str(below).rjust(OrgUnit.steplen, "0")
            level.append(OrgUnit(code=f"U{depth}{place}", name=f"单位{place}", depth=depth, path=parent.path + step))
            parent.numchild = max(parent.numchild, below)
        levels.append(level)
        units += level
    OrgUnit.objects.bulk_create(units, batch_size=500)
    leaves = list(OrgUnit.objects.filter(depth=4).values_list("pk", flat=True))
    Employee.objects.bulk_create(
        (
            Employee(
                employee_no=f"{n:07d}",
                name=f"员工{n % 9973}",
                unit_id=CHANCE.choice(leaves),
                hired_on=dt.date(2020, 1, 1),
            )
            for n in range(people)
        ),
        batch_size=5000,
    )
    group = OrgUnit.objects.get(depth=1)
    programme = Programme.objects.create(name="全员", audience=Audience.objects.create(name="全员", scope=group))
    for number, month in enumerate(MONTHS):
        course = Course.objects.create(translation_key=uuid.uuid4(), code=f"C{number}", title_zh=f"课程{number}")
        Step.objects.create(course=course, translation_key=uuid.uuid4(), kind="courses.lessonpage", position=1)
        PlanLine.objects.create(programme=programme, course=course, month=month, published_at=timezone.now())
        opens = timezone.make_aware(dt.datetime.combine(month.first_day, dt.time()))
        opening.open_month(month=month, by=None, at=opens)
        run = CourseRun.objects.get(course=course)
        with transaction.atomic():
            done = opens + dt.timedelta(days=10)
            ids = Enrolment.objects.filter(run=run).values_list("pk", flat=True)
            left = [pk for pk in ids if CHANCE.random() < 0.05]
            for start in range(0, len(left), 5000):
                Enrolment.objects.filter(pk__in=left[start : start + 5000]).update(reason_text="open")
            Enrolment.objects.filter(run=run, reason_text="").update(
                state="completed", started_at=done, completed_at=done, on_time=True, unit_done=group
            )
            tallies.recount(run=run)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    else:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    return group


THROUGH_THE_TREE = """
    SELECT child.id, run.month, count(*), sum(CASE WHEN e.state = 'completed' THEN 1 ELSE 0 END),
           sum(CASE WHEN e.on_time THEN 1 ELSE 0 END)
    FROM people_orgunit child
    JOIN people_orgunit below ON below.path >= child.path AND below.path < child.path || '~'
    JOIN courses_enrolment e ON e.unit_id = below.id
    JOIN courses_courserun run ON run.id = e.run_id
    WHERE child.depth = 2 AND e.state NOT IN ('exempt', 'withdrawn')
    GROUP BY child.id, run.month
"""


def page_queries(group: OrgUnit) -> None:
    """What the page of a unit asks: itself and its children beside the month before at the same point, and its year."""
    live_figures(unit=group, units=[group, *group.get_children()], month=LAST, at=timezone.now())
    month_series(unit=group, last=LAST)


def main(full: bool) -> None:
    people = 300_000 if full else 20_000
    group = company(people)
    named = f"{people:,} people"

    with CaptureQueriesContext(connection) as caught:
        page_queries(group)
    statements = [query["sql"] for query in caught]

    def counted_through_the_tree():
        with connection.cursor() as cursor:
            cursor.execute(THROUGH_THE_TREE)
            rows = cursor.fetchall()
        assert {(row[0], str(row[1])): (row[2], row[3]) for row in rows} == expected

    def read_from_the_tallies():
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                cursor.fetchall()

    expected = {
        (figures.unit.pk, str(month)): (figures.now.assigned, figures.now.completed)
        for month in MONTHS
        for figures in figures_of_units(units=group.get_children(), month=month)
        if figures.now.assigned
    }
    timed = _pairs.pairs(counted_through_the_tree, read_from_the_tallies, n=7)
    _pairs.row(
        "D1",
        f"page of the group, {named}, twelve months: SQL against GROUP BY through the tree",
        timed,
        goal="<= 1/500",
    )

    user = get_user_model().objects.create_user("hr", password=None)
    RoleGrant.objects.create(user=user, role="hr", unit=group, starts_on=dt.date(2020, 1, 1))
    client = Client()
    client.force_login(user)

    def page(name, *arguments):
        address = reverse(name, args=arguments)

        def get():
            for _time in range(5):
                assert client.get(address).status_code == 200

        get()
        return get

    timed = _pairs.pairs(page("courses:programmes"), page("courses:completion_unit", LAST, group.pk), n=7)
    _pairs.row("D1", f"page of the group, {named}: whole request against a page without figures", timed, goal="<= 2")

    enrolments = month_enrolments(people=Employee.objects.all(), month=LAST, unit=group)
    deep = Enrolment.objects.get(run__month=LAST, employee__employee_no=f"{people - 100:07d}").pk

    def listed(after):
        def get():
            for _time in range(5):
                assert len(page_after(enrolments, after=after, many=True).rows) == 50

        get()
        return get

    timed = _pairs.pairs(listed(None), listed(deep), n=7)
    _pairs.row("D3", f"list of names, {named}: the last page against the first", timed, goal="<= 1.5")


if __name__ == "__main__":
    _pairs.run(main)
