"""TRUST PG-07: random companies of up to 40 people; the door equals the naive reading for every row and role."""

import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from people.domain.access import RULES, visible_employees
from people.models import Employee
from tests.factories.people import grant, make_employee, make_unit
from tests.people.world import LEFT_ON, TODAY, NaiveReading, actor_for

_numbers = itertools.count(1)
ROLES = ["hr", "pay_maker", "pay_checker", "author", "moderator", "auditor", "admin"]


@st.composite
def companies(draw):
    """Parents of units; of each person unit, manager (anybody, circles too) and state; the grants of the actor."""
    units = [None] + [draw(st.integers(0, i - 1)) for i in range(1, draw(st.integers(1, 12)))]
    size = draw(st.integers(2, 40))
    people = [
        (
            draw(st.one_of(st.none(), st.integers(0, len(units) - 1))),
            draw(st.one_of(st.none(), st.integers(0, size - 1))),
            draw(st.sampled_from(["active", "active", "active", "suspended", "left"])),
        )
        for _person in range(size)
    ]
    grants = draw(
        st.lists(st.tuples(st.sampled_from(ROLES), st.integers(0, len(units) - 1), st.booleans()), max_size=3)
    )
    return units, people, grants


class ForestTest(TestCase):
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(companies(), st.sampled_from(sorted(RULES)))
    def test_pg_07_the_door_equals_the_naive_reading(self, company, another_row):
        units, people, grants = company
        made_units = []
        for parent in units:
            made_units.append(make_unit(made_units[parent] if parent is not None else None))
        made = []
        for unit, _manager, state in people:
            made.append(
                make_employee(
                    made_units[unit] if unit is not None else None,
                    employee_no=f"F{next(_numbers)}",
                    with_user=not made,
                    password=None,
                    state=state if made else "active",
                    left_on=LEFT_ON if made and state == "left" else None,
                )
            )
        for employee, (_unit, manager, _state) in zip(made, people, strict=True):
            if manager is not None and made[manager] != employee:
                Employee.objects.filter(pk=employee.pk).update(manager=made[manager])
        for role, unit, over in grants:
            of_a_unit = role in {"hr", "pay_maker", "pay_checker"}
            grant(made[0].user, role, made_units[unit] if of_a_unit else None, until=LEFT_ON if over else None)
        actor = actor_for(made[0], TODAY)
        naive = NaiveReading(actor)
        for row in {"PM-P01", "PM-P05", "PM-P08", "PM-P09", "PM-T01", "PM-T02", "PM-X01", another_row}:
            found = sorted(visible_employees(actor, row).values_list("pk", flat=True))
            assert found == sorted(naive.visible(row)), row
