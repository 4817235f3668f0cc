import datetime as dt
from decimal import Decimal

import pytest
from django.urls import reverse

from core.periods import Month
from kpi.domain import development
from kpi.models import CourseForIndicator, DevelopmentItem, Review, ReviewCycle, Scorecard, ScorecardLine
from tests.factories.courses import local, make_course
from tests.factories.kpi import T01, make_indicators, make_published_version
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db
AT = local(2026, 10, 5)


class House:
    """An employee with a published card that lost points on satisfaction, the manager, and HR of the unit."""

    def __init__(self):
        self.unit = make_unit(make_unit())
        self.boss = make_employee(unit=self.unit, user=make_user())
        self.employee = make_employee(unit=self.unit, user=make_user(), manager=self.boss)
        self.hr = make_employee(user=make_user())
        grant(self.hr.user, "hr", self.unit)
        self.stranger = make_employee(unit=make_unit(), user=make_user())
        self.course = make_course(title_en="Complaints", title_zh="投诉处理")
        self.indicator = make_indicators()["satisfaction"]
        development.name_courses(indicator=self.indicator, courses=[self.course])
        version = make_published_version(T01, scope=self.unit)
        card = Scorecard.objects.create(
            version=version, employee=self.employee, first_month=Month(2026, 7), last_month=Month(2026, 9), bonus=0,
            earned=Decimal("92.85"), total=Decimal("92.85"), grade="B", coefficient=Decimal("1.1"), computed_at=AT,
        )  # fmt: skip
        ScorecardLine.objects.create(
            scorecard=card, position=1, code="satisfaction", name_zh="客户满意度", name_en="Customer satisfaction",
            kind="curve", state="counted", weight=20, weight_counted=20, points=Decimal("17.20"),
        )  # fmt: skip
        cycle = ReviewCycle.objects.create(
            name="三季度", kind="quarterly", scope=self.unit, version=version, first_month=Month(2026, 7),
            last_month=Month(2026, 9), snapshot_on=dt.date(2026, 9, 30), self_until=AT, peers_until=AT,
            manager_until=AT,
        )  # fmt: skip
        Review.objects.create(
            cycle=cycle, employee=self.employee, state="published", unit=self.unit, manager=self.boss, scorecard=card,
            total=card.total, grade="B", coefficient=Decimal("1.1"), published_at=AT, object_until=AT, changed_at=AT,
        )  # fmt: skip


@pytest.fixture
def house():
    return House()


def test_pm_d01_who_sees_a_plan(client, house):
    own, of_other = reverse("kpi:my_plan"), reverse("kpi:person_plan", args=[house.employee.pk])
    for who, address, status in (
        (house.employee, own, 200),
        (house.employee, of_other, 302),
        (house.boss, of_other, 200),
        (house.hr, of_other, 200),
        (house.stranger, of_other, 404),
    ):
        client.force_login(who.user)
        assert client.get(address).status_code == status


def test_a_lost_point_becomes_a_planned_course_and_back(client, house):
    client.force_login(house.employee.user)
    page = client.get(reverse("kpi:my_plan"), headers={"accept-language": "en"}).content.decode()
    assert "“Customer satisfaction” lost 2.80 of 20.00 points." in page
    assert "Complaints" in page
    added = client.post(
        reverse("kpi:plan_add", args=[house.employee.pk]),
        {"course": house.course.pk, "indicator": house.indicator.pk},
    )
    assert added.headers["Location"] == reverse("kpi:my_plan")
    item = DevelopmentItem.objects.get()
    assert (item.employee, item.course, item.line.code, item.state) == (
        house.employee,
        house.course,
        "satisfaction",
        "planned",
    )
    page = client.get(reverse("kpi:my_plan"), headers={"accept-language": "en"}).content.decode()
    assert "Everything that helps with it stands in the plan or is done." in page
    client.post(reverse("kpi:plan_drop", args=[house.employee.pk, item.pk]))
    item.refresh_from_db()
    assert item.state == "declined"


def test_pm_d02_nobody_plans_for_strangers_and_nothing_that_is_not_offered(client, house):
    address = reverse("kpi:plan_add", args=[house.employee.pk])
    values = {"course": house.course.pk, "indicator": house.indicator.pk}
    client.force_login(house.stranger.user)
    assert client.post(address, values).status_code == 404
    client.force_login(house.boss.user)
    assert client.post(address, {**values, "course": make_course().pk}).status_code == 404
    assert not DevelopmentItem.objects.exists()
    assert client.post(address, values).headers["Location"] == reverse("kpi:person_plan", args=[house.employee.pk])


def test_pm_f03_hr_says_which_course_helps(client, house):
    other = make_course()
    address = reverse("kpi:development_courses", args=[house.indicator.pk])
    field = f"i{house.indicator.pk}-courses"
    client.force_login(house.employee.user)
    assert client.get(reverse("kpi:development")).status_code == 403
    assert client.post(address, {field: [other.pk]}).status_code == 403
    client.force_login(house.hr.user)
    assert client.get(reverse("kpi:development")).status_code == 200
    client.post(address, {field: [other.pk]})
    assert list(CourseForIndicator.objects.values_list("indicator__code", "course")) == [("satisfaction", other.pk)]


def test_pm_f07_too_few_people_say_nothing_about_a_course(client, house):
    client.force_login(house.hr.user)
    address = reverse("kpi:development_effect", args=[house.indicator.pk, house.course.pk])
    page = client.get(address, headers={"accept-language": "en"})
    assert "Too few people to say" in page.content.decode()
