import pytest

from portal.house import set_up_house
from tests.factories.bulletins import make_closed_month
from tests.factories.people import grant, make_employee


@pytest.fixture
def house(db):
    """Home pages and the site, in both languages."""
    return set_up_house()


@pytest.fixture
def closed(house):
    """October, closed: (close, the group, five cities, the last of 29 people)."""
    return make_closed_month([(100, 92), (50, 47), (100, 94), (200, 150), (29, 29)])


@pytest.fixture
def hr(closed):
    """The HR person of the group, with a sign-in."""
    employee = make_employee(unit=closed[1], with_user=True)
    grant(employee.user, "hr", closed[1])
    employee.user.refresh_from_db()
    return employee.user
