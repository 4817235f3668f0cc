import io

import pytest
from django.urls import reverse

from courses.models import Course
from tests.factories.courses import local, make_course, make_enrolment, make_run
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

NOW = local(2026, 12, 5, 9)


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)


class World:
    """Two cities with a branch each; six people in the east, two in the west, one of them done in either."""

    def __init__(self):
        self.group = make_unit(name="集团")
        self.east, self.west = make_unit(self.group, name="东城"), make_unit(self.group, name="西城")
        self.branch, self.far = make_unit(self.east, name="东一网点"), make_unit(self.west, name="西一网点")
        self.manager = make_employee(unit=self.east, with_user=True, name="主管")
        self.run = make_run(make_course(steps=2, code="ETQ-01", title_zh="销售礼仪"))
        self.enrolments = [
            make_enrolment(
                make_employee(unit=self.branch, manager=self.manager, name=f"东{n}", employee_no=f"00{n}"),
                self.run,
                state="completed" if n == 0 else "assigned",
            )
            for n in range(6)
        ]
        self.enrolments += [
            make_enrolment(
                make_employee(unit=self.far, name=f"西{n}", employee_no=f"10{n}"),
                self.run,
                state="completed" if n == 0 else "exempt",
            )
            for n in range(2)
        ]
        self.users = {"manager": self.manager.user}
        for name, role, unit in (
            ("hr east", "hr", self.east),
            ("hr", "hr", self.group),
            ("auditor", "auditor", None),
            ("author", "author", None),
            ("employee", None, None),
        ):
            self.users[name] = make_user()
            if role:
                grant(self.users[name], role, unit)


@pytest.fixture
def world():
    return World()


@pytest.fixture
def as_(client, world):
    def sign_in(name):
        client.force_login(world.users[name])
        return client

    return sign_in


def _unit(world, unit, month="2026-11"):
    return reverse("courses:completion_unit", args=[month, unit.pk])


def _names(world, unit, month="2026-11"):
    return reverse("courses:completion_names", args=[month, unit.pk])


def _rows(response):
    return [(row.unit.name, row.own, row.now.completed, row.now.assigned) for row in response.context["rows"]]


def _people(response):
    return [row.employee.name for row in response.context["page"].rows]


def test_pm_x01_a_unit_is_seen_by_its_hr_and_by_who_sees_all(as_, world):
    for name, statuses in {
        "hr east": (404, 200, 404),
        "hr": (200, 200, 200),
        "auditor": (200, 200, 200),
        "author": (200, 200, 200),
        "manager": (404, 404, 404),
        "employee": (403, 403, 403),
    }.items():
        client = as_(name)
        units = (world.group, world.east, world.far)
        assert tuple(client.get(_unit(world, unit)).status_code for unit in units) == statuses, name


def test_pm_x01_names_are_shown_only_where_people_are_seen(as_, world):
    for name, statuses in {
        "hr east": (404, 200),
        "hr": (200, 200),
        "auditor": (200, 200),
        "author": (403, 403),
        "manager": (404, 404),
        "employee": (403, 403),
    }.items():
        client = as_(name)
        assert tuple(client.get(_names(world, unit)).status_code for unit in (world.group, world.east)) == statuses, (
            name
        )


def test_pm_x01_a_manager_sees_the_own_people_as_a_list(as_, world):
    response = as_("manager").get(reverse("courses:completion"), follow=True)
    assert _people(response) == [f"东{n}" for n in range(6)]
    assert (response.context["now"].completed, response.context["now"].assigned) == (1, 6)


def test_pm_x01_counts_over_fewer_than_five_are_hidden_from_who_sees_counts_only(as_, world):
    response = as_("author").get(_unit(world, world.group))
    assert [(row.unit.name, row.hidden) for row in response.context["rows"]] == [("东城", False), ("西城", True)]
    assert as_("author").get(_unit(world, world.west)).context["hidden"] is True
    assert as_("auditor").get(_unit(world, world.west)).context["hidden"] is False


def test_pm_x02_an_author_gets_no_file(as_, world):
    address = reverse("courses:completion_export", args=["2026-11", world.group.pk, "csv"])
    assert as_("author").get(address).status_code == 403
    response = as_("auditor").get(address)
    assert (response.status_code, response.getvalue() != b"") == (200, True)


def test_the_front_door_leads_to_the_topmost_unit_of_the_newest_month(as_, world):
    assert as_("hr east").get(reverse("courses:completion")).url == _unit(world, world.east)


def test_a_unit_shows_its_children_and_itself(as_, world):
    make_enrolment(make_employee(unit=world.east), world.run)
    response = as_("hr").get(_unit(world, world.east))
    assert _rows(response) == [("东城", True, 0, 1), ("东一网点", False, 1, 6)]
    assert (response.context["now"].completed, response.context["now"].assigned) == (1, 7)


def test_rows_open_in_place(as_, world):
    address = reverse("courses:completion_rows", args=["2026-11", world.east.pk])
    response = as_("hr").get(address, {"top": world.group.pk})
    assert _rows(response) == [("东一网点", False, 1, 6)]
    assert response.context["rows"][0].depth == 2
    assert as_("hr east").get(reverse("courses:completion_rows", args=["2026-11", world.far.pk])).status_code == 404


def test_the_table_compares_with_the_month_before(as_, world):
    before = make_run(Course.objects.get(), month="2026-10")
    for enrolment in world.enrolments[:2]:
        make_enrolment(enrolment.employee, before, state="completed")
    response = as_("hr").get(_unit(world, world.group))
    assert [row.change for row in response.context["rows"]] == ["−83.4", None]  # noqa: RUF001


def test_a_course_narrows_the_figures(as_, world):
    other = make_run(make_course(code="NEG-01"))
    make_enrolment(world.enrolments[0].employee, other)
    client = as_("hr")
    assert client.get(_unit(world, world.group)).context["now"].assigned == 8
    assert client.get(_unit(world, world.group), {"course": "NEG-01"}).context["now"].assigned == 1


def test_a_unit_page_takes_the_same_queries_for_few_and_many_units(as_, world, django_assert_num_queries):
    client = as_("hr")
    address = _unit(world, world.group)
    client.get(address)
    with django_assert_num_queries(_queries(client, address)):
        client.get(address)
    few = _queries(client, address)
    for _ in range(5):
        make_enrolment(make_employee(unit=make_unit(make_unit(world.group))), world.run)
    assert _queries(client, address) == few
    assert few <= 20


def test_a_list_of_names_takes_the_same_queries_for_few_and_many_rows(as_, world):
    client = as_("hr")
    address = _names(world, world.group)
    few = _queries(client, address)
    for _ in range(40):
        make_enrolment(make_employee(unit=world.branch), world.run)
    assert _queries(client, address) == few
    assert few <= 20


def _queries(client, address):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as caught:
        assert client.get(address).status_code == 200
    return len(caught)


def test_names_are_filtered_by_state_course_and_search(as_, world):
    client, address = as_("hr"), _names(world, world.group)
    assert len(_people(client.get(address))) == 8
    assert _people(client.get(address, {"state": "on_time"})) == ["东0", "西0"]
    assert _people(client.get(address, {"state": "overdue"})) == [f"东{n}" for n in range(1, 6)]
    assert _people(client.get(address, {"state": "exempt"})) == ["西1"]
    assert _people(client.get(address, {"state": "nonsense"})) == []
    assert _people(client.get(address, {"q": "西"})) == ["西0", "西1"]
    assert _people(client.get(address, {"q": "dong"})) == [f"东{n}" for n in range(6)]
    assert _people(client.get(address, {"q": "003"})) == ["东3"]


@pytest.mark.parametrize("many", [0, 2000])
def test_names_are_paged_by_key(as_, world, monkeypatch, many):
    monkeypatch.setattr("courses.views.completion.PAGE", 3)
    monkeypatch.setattr("courses.views.completion.MANY", many)
    client, address = as_("hr"), _names(world, world.group)
    seen, after = [], ""
    for _page in range(3):
        response = client.get(address, {"after": after})
        seen += _people(response)
        after = response.context["page"].next
    assert (seen, after) == ([f"东{n}" for n in range(6)] + ["西0", "西1"], None)
    for nonsense in ("x", "-1", "9" * 30, "999999"):
        assert client.get(address, {"after": nonsense}).status_code == 200


def test_pm_x02_the_file_holds_the_list_with_numbers_as_text(as_, world):
    world.enrolments[0].employee.name = "=cmd()"
    world.enrolments[0].employee.save()
    address = reverse("courses:completion_export", args=["2026-11", world.group.pk, "csv"])
    response = as_("hr").get(address, {"state": "on_time"})
    lines = b"".join(response.streaming_content).decode("utf-8-sig").splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("2026-11,ETQ-01,销售礼仪,集团 / 东城 / 东一网点,000,'=cmd()")


def test_pm_x02_the_workbook_says_its_scope(as_, world):
    import python_calamine

    address = reverse("courses:completion_people_export", args=["2026-11", "xlsx"])
    response = as_("manager").get(address)
    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(b"".join(response.streaming_content)))
    rows = book.get_sheet_by_name("2026-11").to_python()
    assert [row[5] for row in rows[1:]] == [f"东{n}" for n in range(6)]
    assert len(book.sheet_names) == 2


@pytest.mark.parametrize("month", ["2026-13", "x", "2026-1"])
def test_a_month_that_is_none_is_missing(as_, world, month):
    assert as_("hr").get(_unit(world, world.group, month)).status_code == 404


# --- live rates ---------------------------------------------------------------------------------------------------------
def test_a_unit_says_the_same_point_of_the_month_before(as_, world, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: local(2026, 11, 20, 12))
    before = make_run(Course.objects.get(), month="2026-10")
    for enrolment, day in zip(world.enrolments[:3], (5, 19, 30), strict=True):
        make_enrolment(enrolment.employee, before, state="completed", completed_at=local(2026, 10, day))
    client = as_("hr")
    client.cookies["django_language"] = "en"
    response = client.get(_unit(world, world.group))
    own = response.context["own"]
    assert (own.before.completed, own.ended.completed, own.before.assigned) == (2, 3, 3)
    assert "At the same point of October 2026, 2 of 3 were done" in response.text
    assert "as it stood as long before its due day" in response.text
    # Small units: counts instead of shares and points.
    assert [(row.time_words, row.before_words) for row in response.context["rows"]] == [
        ("1 of 6", "2 of 3"),
        ("1 of 1", ""),
    ]


def test_units_beside_are_those_one_may_see(as_, world):
    client = as_("hr")
    client.cookies["django_language"] = "en"
    response = client.get(_unit(world, world.east))
    assert [(one.unit.name, one.now.assigned) for one in response.context["beside"].units] == [("东城", 6), ("西城", 1)]
    assert "东城 has 6 duties." in response.text
    assert client.get(_unit(world, world.group)).context["beside"] is None
    assert as_("hr east").get(_unit(world, world.east)).context["beside"] is None


def test_pm_x01_units_beside_of_fewer_than_five_are_hidden_from_who_sees_counts_only(as_, world):
    assert [one.unit.name for one in as_("author").get(_unit(world, world.east)).context["beside"].units] == ["东城"]


def test_nobody_missing_is_a_number_everywhere(as_, world):
    done = make_unit(world.group, name="全部完成")
    make_enrolment(make_employee(unit=done), world.run, state="completed")
    text = as_("hr").get(_unit(world, world.group)).text
    assert f'<a href="{_names(world, done)}">0</a>' in text
    assert ">无<" not in text


def test_the_page_of_the_group_asks_at_most_two_queries_more_for_the_same_point(as_, world, monkeypatch):
    client, address = as_("hr"), _unit(world, world.group)
    without = _queries(client, address)
    make_enrolment(world.enrolments[0].employee, make_run(Course.objects.get(), month="2026-10"), state="completed")
    monkeypatch.setattr("django.utils.timezone.now", lambda: local(2026, 11, 20, 12))
    assert _queries(client, address) == without + 2


def test_a_month_under_way_is_not_drawn_as_a_fall(as_, world, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: local(2026, 11, 20, 12))
    make_enrolment(world.enrolments[0].employee, make_run(Course.objects.get(), month="2026-10"), state="completed")
    client = as_("hr")
    assert client.get(_unit(world, world.group)).context["series_values"][-2:] == [100, None]
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    assert as_("hr").get(_unit(world, world.group)).context["series_values"][-2:] == [100, 28.5]
