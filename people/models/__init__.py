from people.models.employees import Employee, Leave, Placement, Position
from people.models.roles import Invitation, RoleGrant
from people.models.roster import RosterChange, RosterImport
from people.models.units import OrgUnit
from people.models.users import User

__all__ = [
    "Employee",
    "Invitation",
    "Leave",
    "OrgUnit",
    "Placement",
    "Position",
    "RoleGrant",
    "RosterChange",
    "RosterImport",
    "User",
]
