import pytest
from django.urls import reverse

from tests.factories.kpi import AWARD, make_published_version
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

MINE = ["kpi:my_reviews", "kpi:my_pay", "kpi:my_measures", "kpi:my_plan", "kpi:honours", "kpi:rules"]


@pytest.mark.parametrize(
    ("role", "names"),
    [
        (None, []),
        ("pay_maker", ["kpi:pay"]),
        ("pay_checker", ["kpi:pay_checks", "kpi:pay"]),
        (
            "hr",
            [
                "kpi:cycles",
                "kpi:unit_results",
                "kpi:measures",
                "kpi:hr_rules",
                "kpi:honours_desk",
                "kpi:development",
                "kpi:pay",
            ],
        ),  # fmt: skip
        ("auditor", ["kpi:cycles", "kpi:measures", "kpi:unit_results", "kpi:pay"]),
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


def test_many_rules_to_read_stand_on_one_line_with_their_names(client):
    unit = make_unit()
    employee = make_employee(unit=unit, user=make_user())
    client.force_login(employee.user)
    client.cookies["django_language"] = "en"
    made = []
    for number in (1, 2, 3):
        made.append(make_published_version(AWARD, scope=unit, code=f"R{number}", family="award"))
        page = client.get(reverse("kpi:home"))
        todo = [(way.url, way.title) for way in page.context["todo"]]
        if number < 3:
            assert sorted(url for url, _title in todo) == [reverse("kpi:rule", args=[one.pk]) for one in made]
    assert todo == [(reverse("kpi:rules"), "3 rules to read and confirm")]
    assert page.context["todo"][0].text == ", ".join(one.rule.label for one in made)
