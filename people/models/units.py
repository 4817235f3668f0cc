"""The tree of organisation units."""

from django.db import models
from django.utils.translation import get_language, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from treebeard.mp_tree import MP_Node, MP_NodeManager, MP_NodeQuerySet


class OrgUnitQuerySet(MP_NodeQuerySet):
    def under(self, unit):
        """The unit itself and every unit below it."""
        return self.filter(path__startswith=unit.path)

    def above(self, unit):
        """The unit itself and every unit on the way up to the root."""
        steps = [unit.path[:end] for end in range(OrgUnit.steplen, len(unit.path) + 1, OrgUnit.steplen)]
        return self.filter(path__in=steps)


class OrgUnitManager(MP_NodeManager.from_queryset(OrgUnitQuerySet)):  # type: ignore[misc]  # treebeard has no types
    def get_queryset(self):
        # Not super(): treebeard's manager names its own queryset class there.
        return OrgUnitQuerySet(self.model, using=self._db).order_by("path")


class OrgUnit(MP_Node):
    """A group, province, city, branch or department: a node of the unit tree, of any depth.

    Not the reporting tree: who is whose manager stands on the employee. ``code`` is the unit's name to other systems
    and stays when the unit is renamed or moved.
    """

    class Kind(models.TextChoices):
        GROUP = "group", pgettext_lazy("a unit", "group")
        PROVINCE = "province", _("province")
        CITY = "city", _("city")
        BRANCH = "branch", _("branch")
        DEPARTMENT = "department", _("department")

    code = models.CharField(_("code"), max_length=40, unique=True)
    name = models.CharField(_("name"), max_length=100)
    name_en = models.CharField(_("English name"), max_length=100, blank=True)
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices, default=Kind.DEPARTMENT)

    objects = OrgUnitManager()

    class Meta:
        verbose_name = _("unit")
        verbose_name_plural = _("units")

    def __str__(self):
        return self.label

    @property
    def label(self) -> str:
        """The name in the active language."""
        return self.name_en if self.name_en and (get_language() or "").startswith("en") else self.name

    def contains(self, other: "OrgUnit") -> bool:
        """Is the other unit this one or below it?"""
        return other.path.startswith(self.path)
