"""Bulletins as HR makes them (PM-M01), and the printed form of published ones for everybody (PM-C02)."""

from __future__ import annotations

from functools import wraps

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from bulletins.blocks import HEADLINE, WORDS
from bulletins.domain import composing, figures
from bulletins.domain.printing import bulletin_pdf
from bulletins.domain.queries import desk_lines
from bulletins.domain.reading import reading_of
from bulletins.forms import MakeForm, WriteForm
from bulletins.models import Bulletin, BulletinPage
from core.pdf import PdfToolsMissing
from core.periods import Month
from courses.domain.authoring import LANGUAGES
from courses.models import MonthClose
from people.domain.access import actor_of, binds, require, unit_or_404, visible_employees
from people.models import OrgUnit

CHINESE, ENGLISH = LANGUAGES


def _month_or_404(text: str) -> Month:
    try:
        return Month.parse(text)
    except ValueError as error:
        raise Http404 from error


def _address(name: str, month: Month, unit: OrgUnit) -> str:
    return reverse(f"bulletins:{name}", args=[month, unit.pk])


def _bulletin(month: Month, unit: OrgUnit) -> Bulletin | None:
    """The bulletin of a month and unit that has its pages (they may have been deleted in the content admin)."""
    found = Bulletin.objects.filter(close__month=month, unit=unit).select_related("close", "unit").first()
    return found if found and len(composing.pages_of(found)) == len(LANGUAGES) else None


def _bulletin_or_404(month: Month, unit: OrgUnit) -> Bulletin:
    found = _bulletin(month, unit)
    if found is None:
        raise Http404
    return found


def _of_one_unit(view):
    """For the pages of one month and unit: HR only, for units of the role; anything else is not there."""

    @wraps(view)
    def find(request, month: str, unit_id: int):
        unit = unit_or_404(actor_of(request), "PM-M01", unit_id)
        return view(request, _month_or_404(month), unit)

    return find


@binds("PM-M01")
@require_safe
@never_cache
def desk(request):
    """Every closed month of the actor's units with its bulletin."""
    actor = actor_of(request)
    require(actor, "PM-M01")
    units = actor.units("HRU")
    lines = desk_lines(units=units, language=translation.get_language())
    return render(request, "bulletins/desk.html", {"lines": lines, "several": len(units) > 1})


@binds("PM-M01")
@require_safe
@never_cache
@_of_one_unit
def workspace(request, month: Month, unit: OrgUnit):
    """One bulletin: made here, looked at in both languages, then published."""
    close = MonthClose.objects.filter(month=month, state=MonthClose.State.CLOSED).first()
    context = {"month": month, "unit": unit, "close": close}
    if close is None:
        return render(request, "bulletins/not_closed.html", context)
    found = figures.levels(close=close, unit=unit)
    bulletin = _bulletin(month, unit)
    if bulletin is None:
        form = MakeForm(levels=found, initial={"level": figures.usual_level(found)})
        return render(request, "bulletins/make.html", {**context, "form": form, "levels": found})
    pages = composing.pages_of(bulletin)
    code = request.GET.get("language", translation.get_language())
    if code not in pages:
        raise Http404
    page = pages[code]
    draft = page.get_latest_revision_as_object()
    context |= {
        "page": page,
        "draft": draft,
        "article": _article(draft),
        "code": code,
        "tabs": [
            {
                "label": label,
                "url": f"{_address('workspace', month, unit)}?language={one}",
                "active": one == code,
                "count": None,
            }
            for one, label in ((CHINESE, "中文"), (ENGLISH, "English"))
        ],
        "form": MakeForm(levels=found, initial={"level": draft.edition.level}),
        "live_url": page.get_url(request) if page.live else "",
    }
    return render(request, "bulletins/workspace.html", context)


def _article(page: BulletinPage) -> SafeString:
    """The bulletin as readers will see it, in the language of the page whatever the reader's own is."""
    with translation.override(page.locale.language_code):
        return render_to_string("bulletins/_article.html", {"page": page, "reading": reading_of(page)})


@binds("PM-M01")
@require_POST
@_of_one_unit
def make(request, month: Month, unit: OrgUnit):
    """Make the bulletin, or bring its draft up to date; the button says whether it is published at once."""
    back = HttpResponseRedirect(_address("workspace", month, unit))
    close = MonthClose.objects.filter(month=month, state=MonthClose.State.CLOSED).first()
    if close is None:
        messages.error(request, _("This month is not closed. Bulletins are made of closed months."))
        return back
    form = MakeForm(request.POST, levels=figures.levels(close=close, unit=unit))
    if not form.is_valid():
        messages.error(request, _("Choose which units to compare."))
        return back
    at_once = "publish" in request.POST
    try:
        made = composing.compose(
            month=month,
            unit=unit,
            level=form.cleaned_data["level"],
            by=request.user,
            at=timezone.now(),
            publish=at_once,
        )
    except (figures.MonthNotClosed, figures.NothingOwed, figures.NoSuchLevel):
        messages.error(request, _("Nobody in this unit owed anything in this month, so there is nothing to tell."))
    except composing.PageLocked:
        _say_locked(request)
    except composing.HouseNotSetUp:
        messages.error(
            request,
            _("A home page is missing in one of the languages. Ask the administrator to run “manage.py setup_roles”."),
        )
    else:
        if at_once:
            messages.success(
                request,
                _("The bulletin is published. Everybody who signs in can read it."),
                extra_tags=_undo(month, unit),
            )
        elif made.is_new:
            messages.success(
                request, _("The bulletin is made as a draft. Look at it in both languages, then publish it.")
            )
        else:
            messages.success(request, _("The draft is up to date with what you chose."))
    return back


def _undo(month: Month, unit: OrgUnit) -> str:
    return f"undo:{_address('take_offline', month, unit)}"


def _say_locked(request) -> None:
    messages.error(
        request, _("An author has locked this page in the content admin. Ask them to unlock it, then try again.")
    )


@binds("PM-M01")
@require_POST
@_of_one_unit
def publish(request, month: Month, unit: OrgUnit):
    """Publish the newest draft in both languages."""
    try:
        composing.publish(bulletin=_bulletin_or_404(month, unit), by=request.user, at=timezone.now())
    except composing.PageLocked:
        _say_locked(request)
    except composing.FiguresLeftOut:
        messages.error(
            request,
            _(
                "An author took a part with figures out of the draft. “Bring the draft up to date” below puts it back; then"
                " publish."
            ),
        )
    else:
        messages.success(
            request, _("The bulletin is published. Everybody who signs in can read it."), extra_tags=_undo(month, unit)
        )
    return HttpResponseRedirect(_address("workspace", month, unit))


@binds("PM-M01")
@require_POST
@_of_one_unit
def take_offline(request, month: Month, unit: OrgUnit):
    """Take a published bulletin back; it stays as a draft."""
    try:
        composing.take_offline(bulletin=_bulletin_or_404(month, unit), by=request.user, at=timezone.now())
    except composing.PageLocked:
        _say_locked(request)
    except composing.NotPublished:
        messages.info(request, _("The bulletin is not published."))
    else:
        messages.success(request, _("The bulletin is taken back. It stays here as a draft."))
    return HttpResponseRedirect(_address("workspace", month, unit))


@binds("PM-M01")
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@_of_one_unit
def write(request, month: Month, unit: OrgUnit):
    """Headline, free text and praise in both languages. Figures are not to be edited."""
    bulletin = _bulletin_or_404(month, unit)
    pages = composing.pages_of(bulletin)
    drafts = {code: page.get_latest_revision_as_object() for code, page in pages.items()}
    praised = [f"{one['name']} ({one['unit']})" for one in reading_of(drafts[CHINESE]).praise]
    initial = {
        "headline_zh": composing.text_of(drafts[CHINESE], HEADLINE),
        "headline_en": composing.text_of(drafts[ENGLISH], HEADLINE),
        "text_zh": composing.text_of(drafts[CHINESE], WORDS),
        "text_en": composing.text_of(drafts[ENGLISH], WORDS),
        "kept": list(range(len(praised))),
        "seen": composing.marker(pages),
    }
    form = WriteForm(request.POST or None, initial=initial, praised=praised)
    if request.method == "POST" and form.is_valid() and _save(request, form, bulletin):
        messages.success(request, _("Saved as a draft. Publish it to let everybody see it."))
        return HttpResponseRedirect(_address("workspace", month, unit))
    context = {"form": form, "month": month, "unit": unit, "title": drafts[CHINESE].title}
    return render(request, "bulletins/write.html", context, status=422 if form.errors else 200)


def _save(request, form: WriteForm, bulletin: Bulletin) -> bool:
    """Write what the form says; what is refused becomes an error of its field."""
    values = form.cleaned_data
    try:
        composing.write(
            bulletin=bulletin,
            wording={
                CHINESE: composing.Wording(values["headline_zh"], values["text_zh"]),
                ENGLISH: composing.Wording(values["headline_en"], values["text_en"]),
            },
            kept=values.get("kept", []),
            added=values["numbers"],
            people=visible_employees(actor_of(request), "PM-T01"),
            seen=values["seen"],
            by=request.user,
            at=timezone.now(),
        )
    except composing.NotPraiseworthy as refused:
        for text in _refusals(refused):
            form.add_error("numbers", text)
    except composing.ChangedMeanwhile:
        form.add_error(
            None,
            _("Somebody else saved this bulletin meanwhile. Copy what you wrote, open this page again and add it."),
        )
    except composing.PageLocked:
        form.add_error(
            None, _("An author has locked this page in the content admin. Ask them to unlock it, then try again.")
        )
    return not form.errors


def _refusals(refused: composing.NotPraiseworthy) -> list[str]:
    def words(text: str, numbers: list[str]) -> str:
        return text % {"numbers": ", ".join(numbers)}

    found = []
    if numbers := refused.unknown:
        text = ngettext(
            "No person with this number is in your units: %(numbers)s.",
            "No people with these numbers are in your units: %(numbers)s.",
            len(numbers),
        )
        found.append(words(text, numbers))
    if numbers := refused.owed_nothing:
        text = ngettext(
            "This person owed nothing here in this month: %(numbers)s.",
            "These people owed nothing here in this month: %(numbers)s.",
            len(numbers),
        )
        found.append(words(text, numbers))
    if numbers := refused.not_in_time:
        text = ngettext(
            "This person has not finished everything of this month in time: %(numbers)s.",
            "These people have not finished everything of this month in time: %(numbers)s.",
            len(numbers),
        )
        found.append(words(text, numbers))
    return found


# --- on paper -------------------------------------------------------------------------------------------------------
@binds("PM-M01")
@require_safe
@never_cache
@_of_one_unit
def draft_pdf(request, month: Month, unit: OrgUnit):
    """The newest draft on paper, in the language asked for."""
    pages = composing.pages_of(_bulletin_or_404(month, unit))
    page = pages.get(request.GET.get("language", translation.get_language()))
    if page is None:
        raise Http404
    draft = page.get_latest_revision_as_object()
    draft.live = False  # what is not published is not kept
    return _pdf(request, draft, month, _address("workspace", month, unit))


@binds("PM-C02")
@require_safe
def pdf(request, page_id: int):
    """A published bulletin on paper."""
    require(actor_of(request), "PM-C02")
    live = BulletinPage.objects.live().select_related("locale", "edition__bulletin__close")
    page = get_object_or_404(live, pk=page_id)
    return _pdf(request, page, page.edition.bulletin.month, page.get_url(request))


def _pdf(request, page: BulletinPage, month: Month, back: str):
    try:
        made = bulletin_pdf(page)
    except PdfToolsMissing:
        messages.error(
            request, _("PDFs cannot be made here yet: tools of the system are missing. The page can be printed.")
        )
        return HttpResponseRedirect(back)
    name = f"bulletin-{month}-{page.locale.language_code}.pdf"
    return HttpResponse(
        made, content_type="application/pdf", headers={"Content-Disposition": f'inline; filename="{name}"'}
    )
