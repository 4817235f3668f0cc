"""What every page knows: which parts of the site the person may open, and how many notices are unread."""

from __future__ import annotations

from django.urls import reverse
from django.utils import translation
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _

from core.models import Notice
from people.domain.access import Actor, actor_of
from portal.dashboards import catalogue_page

CMS = "/cms/"


def navigation(request) -> dict:
    """The main areas for this person and the number of unread notices: asked only by pages that show them, once."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated or request.path_info.startswith(CMS):
        return {}
    return {
        "navigation": SimpleLazyObject(lambda: _once(request, "_navigation", lambda: _items(request))),
        # A function: templates call it, and it gives a plain number, which plural forms need.
        "notice_count": lambda: _once(request, "_notice_count", lambda: _unread(user)),
    }


def _once(request, name: str, make):
    if not hasattr(request, name):
        setattr(request, name, make())
    return getattr(request, name)


def _unread(user) -> int:
    return Notice.objects.filter(user=user, read_at=None).count()


def _items(request) -> list[dict]:
    items = items_for(actor_of(request))
    catalogue = catalogue_page(translation.get_language())
    if catalogue and (url := catalogue.get_url(request)):
        items.append({"url": url, "label": _("Courses"), "icon": "book"})
    here = request.path_info
    for item in items:
        paths = (item["url"], *item.get("also", ()))
        item["fits"] = max((len(path) for path in paths if here.startswith(path)), default=0)
    nearest = max((item["fits"] for item in items), default=0)  # /hr/rules/ is of Performance, not of the HR desk
    for item in items:
        item["active"] = bool(nearest) and item["fits"] == nearest
    return items


def items_for(actor: Actor) -> list[dict]:
    """The areas of a person's roles, the most needed first."""
    items: list[dict] = []
    if actor.employee is not None:
        own = ("/learn/", "/quiz/", "/attempts/", "/certificates/")
        items.append({"url": reverse("portal:my_month"), "label": _("My month"), "icon": "month", "also": own})
    if actor.is_manager:
        items.append({"url": reverse("portal:my_team"), "label": _("My team"), "icon": "team", "also": ("/requests/",)})
    if actor.may("PM-I05"):
        also = ("/units/",) if actor.is_manager else ("/units/", "/requests/")
        items.append({"url": reverse("portal:hr_desk"), "label": _("HR desk"), "icon": "desk", "also": also})
    if actor.may("PM-F05"):
        also = ("/rules/", "/honours/", "/my/measures/", "/my/pay/", "/hr/rules/", "/hr/measures/", "/hr/indicators/")
        items.append(
            {
                "url": reverse("kpi:home"),
                "label": _("Performance"),
                "icon": "star",
                "also": (*also, "/hr/reviews/", "/hr/honours/", "/hr/development/", "/pay/"),
            }
        )
    if actor.may("PM-C03"):
        items.append({"url": reverse("wagtailadmin_home"), "label": _("Edit content"), "icon": "edit"})
    if actor.may("PM-P12"):
        items.append(
            {"url": reverse("people:roles"), "label": _("Administration"), "icon": "user", "also": ("/robots/",)}
        )
    return items
