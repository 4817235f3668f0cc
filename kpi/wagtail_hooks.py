"""How Wagtail serves the wall of fame: to everybody who is signed in (PM-W05)."""

from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Paginator
from django.shortcuts import render
from wagtail import hooks

from kpi.domain.recognition_access import by_round, wall_awards
from kpi.models import HonourWallPage
from people.domain.access import actor_of, require

AWARDS = 24


@hooks.register("before_serve_page")
def serve_page(page, request, args, kwargs):
    """A sign-in first; then the words of the page and what hangs on the wall today."""
    if not isinstance(page, HonourWallPage):
        return None
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    require(actor_of(request), "PM-W05")
    shown = Paginator(wall_awards(), AWARDS).get_page(request.GET.get("page"))
    # Not called "page": that is the words; the wall is looked up anew each time and belongs to no revision.
    context = {"words": page, "page": shown, "rounds": by_round(shown.object_list)}
    return render(request, "kpi/recognition_wall.html", context)
