"""How Wagtail serves the pages of this app: to everybody who is signed in (PM-C02)."""

from django.contrib.auth.views import redirect_to_login
from django.shortcuts import render
from wagtail import hooks

from bulletins.domain.queries import published
from bulletins.models import BulletinIndexPage, BulletinPage
from people.domain.access import actor_of, require


@hooks.register("before_serve_page")
def serve_page(page, request, args, kwargs):
    """A sign-in first; the list is answered here, a bulletin by Wagtail."""
    if not isinstance(page, BulletinIndexPage | BulletinPage):
        return None
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    actor = actor_of(request)
    require(actor, "PM-C02")
    if isinstance(page, BulletinIndexPage):
        found = [(one, one.get_url(request)) for one in published(page.locale.language_code)]
        context = {"page": page, "bulletins": found, "may_make": actor.may("PM-M01")}
        return render(request, "bulletins/index_page.html", context)
    return None
