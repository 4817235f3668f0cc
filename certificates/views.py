"""Certificates: one's own, printing many, and the public page that says whether one is genuine."""

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from certificates.domain import badges
from certificates.domain.causes import cause_of
from certificates.domain.issuing import AlreadyRevoked, GivenWith, ReasonMissing, revoke_certificate
from certificates.domain.printing import NothingToPrint, NotYours, TooManyToPrint, print_certificates, words_of
from certificates.domain.queries import (
    certificate_by_code,
    certificates_of,
    issued_in,
    masked,
    printable,
    state_of,
    visible_certificates,
)
from certificates.domain.rendering import certificate_pdf, verify_url
from certificates.forms import CodeForm, PrintForm, RevokeForm
from core.models import Job
from core.pdf import PdfToolsMissing
from core.periods import Month
from people.domain.access import actor_of, binds, require, rows_on, visible_units


def _certificate_or_404(request, certificate_id: int, row: str = "PM-K01"):
    actor = actor_of(request)
    require(actor, row)
    return get_object_or_404(visible_certificates(actor, row), pk=certificate_id)


@binds("PM-K01")
@require_safe
def mine(request):
    """One's own certificates."""
    employee = actor_of(request).employee
    page = Paginator(certificates_of(employee) if employee else [], 24).get_page(request.GET.get("page"))
    today = timezone.localdate()
    rows = [{"certificate": certificate, "state": state_of(certificate, on=today)} for certificate in page]
    return render(request, "certificates/mine.html", {"page": page, "rows": rows})


@binds("PM-K01")
@require_safe
def detail(request, certificate_id: int):
    certificate = _certificate_or_404(request, certificate_id)
    actor = actor_of(request)
    context = {
        "certificate": certificate,
        "state": state_of(certificate, on=timezone.localdate()),
        "design": certificate.design_version.content,
        "verify_url": verify_url(certificate),
        "own": actor.employee == certificate.employee,
        "may_revoke": not certificate.revoked_at and "PM-K03" in rows_on(actor, certificate.employee, ["PM-K03"]),
        "cause": cause_of(certificate, actor),
        "form": RevokeForm(),
        "badges": badges.badges_on(),
    }
    return render(request, "certificates/detail.html", context)


@binds("PM-K01")
@require_safe
def pdf(request, certificate_id: int):
    certificate = _certificate_or_404(request, certificate_id)
    if certificate.revoked_at:
        messages.error(request, _("A revoked certificate is not printed any more."))
        return redirect("certificates:detail", certificate.pk)
    try:
        content = certificate_pdf(certificate)
    except PdfToolsMissing as missing:
        messages.error(request, _("This server lacks what PDFs need: %(what)s.") % {"what": missing})
        return redirect("certificates:detail", certificate.pk)
    response = HttpResponse(content, content_type="application/pdf")
    response["Content-Disposition"] = f'attachment; filename="{certificate.number}.pdf"'
    response["Cache-Control"] = "no-store"
    return response


@binds("PM-K01")
@require_safe
def badge(request, certificate_id: int, form: str):
    """One's own certificate as an Open Badge: the signed token (jwt) or the picture that carries it (svg)."""
    certificate = _certificate_or_404(request, certificate_id)
    makers = {"jwt": (badges.signed, badges.MEDIA_TYPE), "svg": (badges.baked, "image/svg+xml")}
    if form not in makers or actor_of(request).employee != certificate.employee or not badges.badges_on():
        raise Http404
    make, media_type = makers[form]
    try:
        content = make(certificate)
    except badges.NoBadge:
        messages.error(request, _("A revoked certificate gives no badge any more."))
        return redirect("certificates:detail", certificate.pk)
    # Always as a file to keep: a picture that people made is never shown by this site as a page (TRUST MC-08).
    response = HttpResponse(content, content_type=media_type)
    response["Content-Disposition"] = f'attachment; filename="{certificate.number}.{form}"'
    response["Cache-Control"] = "no-store"
    return response


@binds("PM-K04")
@login_not_required
@require_safe
def badge_issuer(request):
    return JsonResponse(badges.issuer())


@binds("PM-K04")
@login_not_required
@require_safe
def badge_keys(request):
    if not badges.badges_on():
        raise Http404
    return JsonResponse({"keys": [badges.public_key()]})


@binds("PM-K04")
@login_not_required
@require_safe
def badges_revoked(request):
    return JsonResponse(badges.revoked())


@binds("PM-K03")
@require_POST
def revoke(request, certificate_id: int):
    certificate = _certificate_or_404(request, certificate_id, "PM-K03")
    form = RevokeForm(request.POST)
    if form.is_valid():
        try:
            revoke_certificate(
                certificate=certificate, by=request.user, at=timezone.now(), reason=form.cleaned_data["reason"]
            )
            messages.success(request, _("Certificate %(number)s is revoked.") % {"number": certificate.number})
        except AlreadyRevoked:
            messages.info(request, _("Certificate %(number)s was revoked before.") % {"number": certificate.number})
        except GivenWith as given:
            messages.error(
                request,
                _("The certificate was given with “%(cause)s”. Who takes that back revokes the certificate with it.")
                % {"cause": given.cause.label},
            )
        except ReasonMissing:
            messages.error(request, _("Revoking needs a reason."))
    else:
        messages.error(request, _("Revoking needs a reason."))
    return redirect("certificates:detail", certificate.pk)


# --- printing many ----------------------------------------------------------------------------------------------------


@binds("PM-K01")
def print_many(request):
    """GET: choose by month and unit. POST with ``certificate``: print the ticked ones (from a team's list)."""
    actor = actor_of(request)
    units = visible_units(actor, "PM-K01").order_by("path")
    if request.method == "POST" and ("certificate" in request.POST or "chosen" in request.POST):
        return _start(request, _numbers(request.POST.getlist("certificate")), request.POST.get("form", "pdf"))
    month = Month.of(timezone.localdate())
    if request.method == "POST" or request.GET:
        form = PrintForm(request.POST or request.GET, units=units)
    else:
        form = PrintForm(initial={"month": month, "form": "pdf"}, units=units)
    found = None
    if form.is_bound and form.is_valid():
        found = printable(
            issued_in(visible_certificates(actor), month=form.cleaned_data["month"], unit=form.cleaned_data["unit"])
        )
        if request.method == "POST":
            return _start(request, found.values_list("pk", flat=True), form.cleaned_data["form"])
    context = {"form": form, "count": None if found is None else found.count(), "units": units}
    return render(request, "certificates/print.html", context)


def _numbers(values: list[str]) -> list[int]:
    """Ids from a form; what is not a number is an id nobody has."""
    return [int(value) if value.isascii() and value.isdigit() and len(value) < 18 else -1 for value in values]


def _start(request, ids, form: str):
    try:
        job = print_certificates(
            ids=ids, form=form if form in {"pdf", "zip"} else "pdf", by=actor_of(request), at=timezone.now()
        )
    except NotYours:
        raise Http404
    except (NothingToPrint, TooManyToPrint) as refusal:
        messages.error(request, words_of(refusal))
        return redirect("certificates:print")
    return redirect("certificates:print_job", job.pk)


def _own_print_or_404(request, job_id: int) -> Job:
    return get_object_or_404(Job, pk=job_id, kind="certificates.print", requested_by=request.user)


@binds("PM-K01")
@require_safe
def print_job(request, job_id: int):
    return render(request, "certificates/print_job.html", {"job": _own_print_or_404(request, job_id)})


@binds("PM-K01")
@require_safe
def print_file(request, job_id: int):
    """The printed file, for the person who asked, as long as they may still see all that is in it."""
    job = _own_print_or_404(request, job_id)
    if not job.file:
        raise Http404
    actor = actor_of(request)
    ids = job.arguments["ids"]
    if visible_certificates(actor).filter(pk__in=ids).count() != len(ids):
        raise PermissionDenied
    name = _("certificates") + f"-{timezone.localtime(job.created_at):%Y%m%d-%H%M}.{job.arguments['form']}"
    response = FileResponse(job.file.open(), as_attachment=True, filename=name)
    response["Cache-Control"] = "no-store"
    return response


# --- the public page --------------------------------------------------------------------------------------------------


@binds("PM-K04")
@login_not_required
@never_cache
@require_safe
def verify(request, code: str = ""):
    """Says of a certificate whether it is valid, expired or revoked; the name is masked. Needs the code, not the number."""
    if not code and request.GET:
        form = CodeForm(request.GET)
        if form.is_valid():
            return _no_referrer(redirect("certificates:verify", form.cleaned_data["code"]))
        return _no_referrer(render(request, "certificates/verify.html", {"form": form}))
    certificate = certificate_by_code(code) if code else None
    context = {"form": CodeForm(), "code": code, "certificate": certificate}
    if certificate:
        context["state"] = state_of(certificate, on=timezone.localdate())
        context["holder"] = masked(certificate.holder)
        context["holder_latin"] = masked(certificate.holder_latin)
        context["design"] = certificate.design_version.content
    status = 404 if code and not certificate else 200
    return _no_referrer(render(request, "certificates/verify.html", context, status=status))


def _no_referrer(response):
    """The address holds the code: no other site learns it (TRUST SC-05)."""
    response["Referrer-Policy"] = "no-referrer"
    return response
