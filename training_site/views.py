"""Pages of the site as a whole: health, language, errors."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse
from django.shortcuts import render


@login_not_required
def csrf_failed(request, reason=""):
    return render(request, "403_csrf.html", status=403)


@login_not_required
def healthz(request):
    return HttpResponse("ok", content_type="text/plain; charset=utf-8")
