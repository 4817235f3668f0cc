"""People, units and sign-ins for tests: plain rows, made directly, with values that look real."""

import datetime as dt
import itertools

from people.domain.queries import pinyin_of
from people.models import Employee, Leave, OrgUnit, Placement, Position, RoleGrant, User

PASSWORD = "a long walk by the river"
HIRED = dt.date(2024, 1, 1)

_numbers = itertools.count(1)
_KINDS = ("group", "province", "city", "branch", "department")


def make_unit(parent=None, code=None, kind=None, name=None, name_en=""):
    """A unit under ``parent`` (a new root without one). The kind follows the depth unless given."""
    number = next(_numbers)
    depth = parent.depth if parent else 0
    values = {
        "code": code or f"U{number:05d}",
        "kind": kind or _KINDS[min(depth, 4)],
        "name": name or f"单位{number}",
        "name_en": name_en,
    }
    if parent is None:
        return OrgUnit.add_root(**values)
    return OrgUnit.objects.get(pk=parent.pk).add_child(**values)


def make_position(title=None, title_en="", job_family=""):
    """A position; the same title twice is the same position."""
    title = title or f"岗位{next(_numbers)}"
    return Position.objects.get_or_create(title=title, defaults={"title_en": title_en, "job_family": job_family})[0]


def make_user(username=None, password=PASSWORD, **fields):
    """A sign-in. ``password=None`` leaves it without a usable one."""
    return User.objects.create_user(username=username or f"user{next(_numbers)}", password=password, **fields)


def make_employee(
    unit=None,
    manager=None,
    with_user=False,
    position=None,
    employee_no=None,
    name=None,
    hired_on=HIRED,
    starts_on=None,
    user=None,
    password=PASSWORD,
    **fields,
):
    """An employee with the Placement that says the same (none without a unit).

    ``starts_on`` is the first day of the placement (default: the hire day). ``state="left"`` needs ``left_on``, which
    also ends the placement. ``with_user=True`` adds a sign-in named by the employee number.
    """
    number = next(_numbers)
    employee_no = employee_no or f"{number:06d}"
    name = name or f"员工{number}"
    if with_user and user is None:
        user = make_user(username=employee_no, password=password, first_name=name)
    employee = Employee.objects.create(
        employee_no=employee_no,
        name=name,
        pinyin=pinyin_of(name),
        unit=unit,
        manager=manager,
        position=position,
        hired_on=hired_on,
        user=user,
        **fields,
    )
    if unit is not None:
        Placement.objects.create(
            employee=employee,
            unit=unit,
            position=position,
            manager=manager,
            starts_on=starts_on or hired_on or HIRED,
            ends_on=employee.left_on,
        )
    return employee


def make_leave(employee, starts_on, ends_on, reason=""):
    return Leave.objects.create(employee=employee, starts_on=starts_on, ends_on=ends_on, reason=reason)


def grant(user, role, unit=None, starts_on=HIRED, until=None, granted_by=None):
    """A role of a user, as stored. ``role`` is a RoleGrant.Role value: "hr" needs a unit, "admin" has none."""
    return RoleGrant.objects.create(
        user=user, role=role, unit=unit, starts_on=starts_on, until=until, granted_by=granted_by
    )
