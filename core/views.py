"""Watching a job one asked for, and the gate through which every picture goes."""

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from django.http import FileResponse, Http404, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_safe

from core.jobs import KINDS, resume_job, stop_job
from core.models import Job, Picture, Rendition

ENDED = {Job.State.DONE, Job.State.FAILED, Job.State.STOPPED}

# Nothing else is ever sent as a picture; the type comes from this table, never from what the file says it is.
PICTURE_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
}


def _binds(*rows: str) -> Callable[[Any], Any]:
    """What people.domain.access.binds does for the apps above: say under which rows of the table a view stands."""

    def mark(view):
        view.permission_rows = rows
        return view

    return mark


@_binds("PM-N01")  # one's own jobs are part of what the platform tells oneself (S for every role)
@require_http_methods(["GET", "HEAD", "POST"])
def job(request, job_id: int):
    """How far a job is. Only for the person who asked for it; to everybody else it does not exist."""
    found = get_object_or_404(Job, pk=job_id, requested_by=request.user)
    if request.method == "POST":
        (resume_job if request.POST.get("do") == "resume" else stop_job)(found)
        return HttpResponseRedirect(_own_path(request) or reverse("core:job", args=[found.pk]))
    kind = KINDS.get(found.kind)
    result_url = kind.url(found) if kind and found.state == Job.State.DONE else ""
    context = {"job": found, "title": kind.title if kind else "", "result_url": result_url}
    if not request.headers.get("HX-Request"):
        return render(request, "core/job.html", context)
    response = render(request, "components/progress.html", context)
    if found.state in ENDED:
        # The page that shows the job is loaded anew: it knows best how to show what came out. Its own page leads on.
        on_own_page = urlsplit(request.headers.get("HX-Current-URL", "")).path == request.path
        if on_own_page and result_url:
            response["HX-Redirect"] = result_url
        else:
            response["HX-Refresh"] = "true"
    return response


def _own_path(request) -> str:
    address = request.POST.get("next", "")
    good = url_has_allowed_host_and_scheme(address, {request.get_host()}, require_https=request.is_secure())
    return address if good else ""


@_binds("PM-C06")
@require_safe
def picture(request, path: str):
    """A picture of the content, for anybody signed in (TRUST MC-16).

    The path is only a key: what is sent is the file of a row of ours that has exactly this name, so a path can reach no
    other file. Files offered for download are not here: Wagtail's own view checks and serves them under /files/.
    """
    content_type = PICTURE_TYPES.get(PurePosixPath(path).suffix.lower())
    if content_type is None or "\x00" in path:  # PostgreSQL refuses to be asked for a NUL
        raise Http404
    row = Rendition.objects.filter(file=path).first() or Picture.objects.filter(file=path).first()
    if row is None:
        raise Http404
    try:
        content = row.file.open("rb")
    except OSError:
        raise Http404
    response = FileResponse(content, content_type=content_type)
    # A changed picture gets a new name, so a browser may keep what it has; a shared cache may not.
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response
