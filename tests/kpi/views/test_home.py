import pytest
from django.urls import reverse

from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

MINE = ["kpi:my_reviews", "kpi:my_pay", "kpi:my_measures", "kpi:my_plan", "kpi:honours", "kpi:rules"]


@pytest.mark.parametrize(
    ("role", "names"),
    [
        (None, []),
        ("pay_maker", ["kpi:pay"]),
        ("pay_checker", ["kpi:pay_checks", "kpi:pay"]),
        ("hr", ["kpi:cycles", "kpi:measures", "kpi:hr_rules", "kpi:honours_desk", "kpi:development", "kpi:pay"]),
        ("auditor", ["kpi:cycles", "kpi:measures", "kpi:pay"]),
    ],
)
def test_pm_f05_the_front_door_leads_to_what_the_person_may_open(client, role, names):
    unit = make_unit()
    employee = make_employee(unit=unit, user=make_user())
    if role:
        grant(employee.user, role, None if role == "auditor" else unit)
    client.force_login(employee.user)
    page = client.get(reverse("kpi:home"))
    assert [way.url for way in page.context["mine"]] == [reverse(name) for name in MINE]
    assert [way.url for way in page.context["work"]] == [reverse(name) for name in names]
    for way in (*page.context["mine"], *page.context["work"]):
        assert client.get(way.url).status_code == 200
