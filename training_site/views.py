"""Pages of the site as a whole: health and errors."""

import logging
import sys

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.csrf import requires_csrf_token
from django.views.decorators.http import require_safe

from training_site.middleware import kept_fields

log = logging.getLogger(__name__)


@require_safe
@login_not_required
def healthz(request):
    return HttpResponse("ok", content_type="text/plain; charset=utf-8")


@login_not_required
def nowhere(request, *args):
    """Screens of Wagtail that this site does not have: users, groups, sites, what each of them did, a second sign-in.

    In the content admin stands content, not people (TRUST MC-22).
    """
    raise Http404


# --- errors ---------------------------------------------------------------------------------------------------------
# 400 and 500 stand on nothing: no sign-in, no database, no context processor, both languages at once.
@login_not_required
def bad_request(request, exception=None):
    return HttpResponse(render_to_string("400.html"), status=400)


@login_not_required
def server_error(request):
    reference = getattr(request, "reference", "")
    kind = sys.exc_info()[0]
    log.error("reference %s: %s %s: %s", reference, request.method, request.path, kind.__name__ if kind else "error")
    return HttpResponse(render_to_string("500.html", {"reference": reference}), status=500)


@login_not_required
@requires_csrf_token
def permission_denied(request, exception=None):
    return render(request, "403.html", status=403)


@login_not_required
@requires_csrf_token
def page_not_found(request, exception=None):
    return render(request, "404.html", status=404)


@login_not_required
@requires_csrf_token
def csrf_failed(request, reason=""):
    """The safety mark of a form was old, often after a new sign-in in another tab: what was typed can be sent again."""
    return render(request, "403_csrf.html", {"fields": kept_fields(request)}, status=403)
