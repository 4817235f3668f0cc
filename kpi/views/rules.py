"""Rules: read and acknowledged by those they concern, drafted, consulted and published by two people of HR."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import IntegrityError
from django.http import Http404, HttpResponseRedirect
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.templatetags.interface import day
from courses.domain.access import own_audiences
from courses.domain.nudging import Skip, TooManyAtOnce
from kpi.domain import rule_access as door
from kpi.domain import rule_reminders, rule_words, rules
from kpi.domain.parameters import ParametersWrong
from kpi.models import ConsultationNote, Rule, RuleVersion
from kpi.rule_forms import CommentForm, NoteForm, PublishForm, RuleForm, TextForm
from people.domain.access import Actor, actor_of, binds, require, visible_employees

PAGE = 50
MOST_NAMES = 8  # in one sentence about who was not reminded

_State, _Kind = RuleVersion.State, ConsultationNote.Kind

SKIPPED = {
    Skip.AWAY: gettext_lazy("on leave today"),
    Skip.NO_SIGN_IN: gettext_lazy("cannot sign in yet"),
    Skip.TODAY: gettext_lazy("reminded today already"),
    Skip.WEEK: gettext_lazy("reminded three times in seven days"),
}
CHIPS = {_State.DRAFT: "neutral", _State.CONSULTING: "progress", _State.PUBLISHED: "done"}


# --- for everybody ----------------------------------------------------------------------------------------------------
@binds("PM-F05")
@never_cache
@require_safe
def my_rules(request):
    """The rules that are for me: to read, read, and in consultation."""
    actor = actor_of(request)
    require(actor, "PM-F05")
    mine = door.my_versions(actor.employee, actor.on)
    context = {
        "to_read": [one for one in mine if one.is_to_read],
        "read": [one for one in mine if not one.is_to_read and not one.is_consulting],
        "consulting": [one for one in mine if one.is_consulting],
        "has_desk": _has_desk(actor),
        "today": actor.on,
    }
    return render(request, "kpi/rules_mine.html", context)


def _has_desk(actor: Actor) -> bool:
    try:
        door.require_desk(actor)
    except PermissionDenied:
        return False
    return True


@binds("PM-F05", "PM-F04")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def rule(request, version_id: int):
    """One version to read: the text, what it says in figures, what changed, who decided it. POST says what I think of it."""
    actor = actor_of(request)
    version = door.readable_version_or_404(actor, version_id)
    form = CommentForm(request.POST or None)
    is_mine = actor.employee is not None and rules.is_for(rule=version.rule, employee=actor.employee, on=actor.on)
    if request.method == "POST":
        if not is_mine:
            raise Http404
        if form.is_valid():
            values = {"kind": _Kind.COMMENT, "text": form.cleaned_data["text"]}
            try:
                rules.add_note(version=version, by=request.user, at=timezone.now(), **values)
            except rules.NotInConsultation:
                messages.error(request, _("The consultation is over, so this was not added."))
            else:
                messages.success(request, _("Thank you. HR sees what you wrote and answers on this page."))
            return HttpResponseRedirect(f"{reverse('kpi:rule', args=[version.pk])}#consultation")
    before = door.published_before([version]).get(version.pk)
    must = is_mine and rules.must_acknowledge(version, actor.employee, actor.on)
    read = rules.acknowledged_at(version=version, employees=[actor.employee]) if actor.employee else {}
    governs = rules.version_in_force(version.rule, actor.on)
    names = rule_words.indicator_names([version, *([before] if before else [])])
    context = {
        "version": version,
        "lines": rule_words.lines_of(version, names=names),
        "before": before,
        "changes": rule_words.changes_between(before, version) if before else [],
        "notes": version.notes.select_related("by__employee"),
        "form": form,
        "is_mine": is_mine,
        "must": must,
        "acknowledged_at": next(iter(read.values()), None),
        "governs": governs,
        "others": version.rule.versions.filter(state=_State.PUBLISHED).exclude(pk=version.pk),
        "may_see_readers": version.state == _State.PUBLISHED
        and actor.may("PM-F06")
        and door.readers(actor, version).exists(),
        "on_desk": _has_desk(actor) and door.desk_rules(actor).filter(pk=version.rule_id).exists(),
        "today": actor.on,
    }
    return render(request, "kpi/rules_read.html", context, status=422 if form.errors else 200)


@binds("PM-F04")
@require_POST
def acknowledge(request, version_id: int):
    """I have read it. Only for oneself: the person comes from the session."""
    actor = actor_of(request)
    require(actor, "PM-F04")
    version = door.readable_version_or_404(actor, version_id)
    if actor.employee is None:
        raise Http404
    try:
        rules.acknowledge(version=version, employee=actor.employee, by=request.user, at=timezone.now())
    except (rules.NotConcerned, rules.NotPublished) as refused:
        raise Http404 from refused
    text = _("You have acknowledged “%(name)s”. It stays here to be read again.")
    messages.success(request, text % {"name": version.rule.label})
    return HttpResponseRedirect(reverse("kpi:rules"))


# --- who has read it --------------------------------------------------------------------------------------------------
@binds("PM-F06")
@never_cache
@require_safe
def readers(request, version_id: int):
    """Who has acknowledged and who has not: by unit for HR and auditors, and by name."""
    actor = actor_of(request)
    version = door.published_for_readers_or_404(actor, version_id)
    people = door.readers(actor, version)
    tops = door.reading_units(actor, version)
    unit = _chosen_unit(request, actor, version, tops)
    if unit is not None:
        people = people.filter(unit__path__startswith=unit.path)
    show = "read" if request.GET.get("show") == "read" else "missing"
    read = people.filter(pk__in=rules.acknowledged_of(version, actor.on).order_by().values("pk"))
    missing = people.filter(pk__in=rules.missing_of(version, actor.on).order_by().values("pk"))
    listed = (read if show == "read" else missing).select_related("unit", "position").order_by("employee_no")
    page = Paginator(listed, PAGE).get_page(request.GET.get("page"))
    employees = list(page.object_list)
    when = rules.acknowledged_at(version=version, employees=employees) if show == "read" else {}
    reminded = rule_reminders.reminded_today(version=version, employees=employees, on=actor.on)
    numbers = {"read": read.count(), "missing": missing.count()}
    current = rules.current_versions(RuleVersion.objects.filter(pk=version.pk), on=actor.on).exists()
    context = {
        "version": version,
        "unit": unit,
        "above": list(_path(unit, tops)) if unit else [],
        "rows": door.reading_by_unit(version=version, people=people, below=unit) if unit else [],
        "page": page,
        "listed": [{"employee": one, "at": when.get(one.pk), "is_reminded": one.pk in reminded} for one in employees],
        "show": show,
        "numbers": numbers,
        "total": numbers["read"] + numbers["missing"],
        "tabs": [_tab(request, "missing", numbers, show), _tab(request, "read", numbers, show)],
        "is_current": current,
        "may_remind": current and actor.may("PM-M03") and numbers["missing"] > 0,
        "most": rule_reminders.MOST_AT_ONCE,
        "on_desk": _has_desk(actor) and door.desk_rules(actor).filter(pk=version.rule_id).exists(),
    }
    return render(request, "kpi/rules_readers.html", context)


def _tab(request, name: str, numbers: dict[str, int], show: str) -> dict:
    labels = {"missing": _("Not yet read"), "read": _("Acknowledged")}
    query = request.GET.copy()
    query.pop("page", None)
    query["show"] = name
    return {
        "label": labels[name],
        "url": f"?{query.urlencode()}",
        "active": name == show,
        "count": f"{numbers[name]:,}",
    }


def _chosen_unit(request, actor: Actor, version: RuleVersion, tops: list):
    """The unit of the address, if it is one whose figures the actor may see; otherwise the topmost one."""
    wanted = request.GET.get("unit", "")
    if not wanted:
        return tops[0] if tops else None
    if not wanted.isdecimal() or len(wanted) > 18:
        raise Http404
    unit = door.unit_of_readers(version, int(wanted))
    if unit is None or not any(top.contains(unit) for top in tops):
        raise Http404
    return unit


def _path(unit, tops: list):
    """The units from the topmost one that may be seen down to this one."""
    top = next(one for one in tops if one.contains(unit))
    for one in door.units_above(unit):
        if top.contains(one):
            yield {"label": one.label, "url": f"?unit={one.pk}"}


@binds("PM-F06", "PM-M03")
@require_POST
def remind(request, version_id: int):
    """Remind one person, or everybody shown who has not acknowledged. Anybody out of reach is as if there were no such person."""
    actor = actor_of(request)
    require(actor, "PM-M03")
    version = door.published_for_readers_or_404(actor, version_id, "PM-M03")
    people = visible_employees(actor, "PM-M03")
    back = reverse("kpi:rule_readers", args=[version.pk])
    if employee := request.POST.get("employee"):
        if not employee.isdecimal() or len(employee) > 18:
            raise Http404
        people = people.filter(pk=int(employee))
        if not people.exists():
            raise Http404
    if wanted := request.POST.get("unit"):
        unit = door.unit_of_readers(version, int(wanted)) if wanted.isdecimal() and len(wanted) < 19 else None
        if unit is None:
            raise Http404
        people = people.filter(unit__path__startswith=unit.path)
        back = f"{back}?unit={unit.pk}"
    try:
        report = rule_reminders.remind(version=version, people=people, by=request.user, at=timezone.now())
    except TooManyAtOnce as refused:
        text = _("These are %(number)s people; at most %(most)s are reminded at once. Choose a unit further down.")
        values = {"number": f"{refused.people:,}", "most": rule_reminders.MOST_AT_ONCE}
        messages.error(request, text % values)
    except rule_reminders.NothingToRead:
        messages.error(request, _("A later version is in force, so nobody is reminded of this one."))
    else:
        _say_reminded(request, report)
    return HttpResponseRedirect(back)


def _say_reminded(request, report: rule_reminders.Reminded) -> None:
    if report.reminded:
        number = len(report.reminded)
        text = ngettext("%(number)d person was reminded.", "%(number)d people were reminded.", number)
        messages.success(request, text % {"number": number})
    if report.skipped:
        words = pgettext("between names", ", ").join(
            _("%(name)s (%(reason)s)") % {"name": one.label, "reason": SKIPPED[reason]}
            for one, reason in report.skipped[:MOST_NAMES]
        )
        if (more := len(report.skipped) - MOST_NAMES) > 0:
            words = _("%(names)s and %(number)d more") % {"names": words, "number": more}
        messages.info(request, _("Not reminded: %(names)s.") % {"names": words})
    if not report.reminded and not report.skipped:
        messages.info(request, _("Nobody is left who has not read it."))


# --- the desk ---------------------------------------------------------------------------------------------------------
@binds(*door.WORK_ROWS)
@require_safe
def hr_rules(request):
    """The rules of my units by kind: what is in force, what is announced, what is being worked on."""
    actor = actor_of(request)
    door.require_desk(actor)
    found = list(door.desk_rules(actor).select_related("scope", "audience").order_by("family", "code"))
    versions: dict[int, list[RuleVersion]] = {}
    for version in RuleVersion.objects.filter(rule__in=found).order_by("-number"):
        versions.setdefault(version.rule_id, []).append(version)
    families = []
    for family in Rule.Family:
        rows = [_row(one, versions.get(one.pk, []), actor) for one in found if one.family == family]
        if rows:
            families.append({"label": FAMILIES[family], "rows": rows})
    context = {"families": families, "may_make": bool(door.families_of(actor)), "today": actor.on}
    return render(request, "kpi/rules_desk.html", context)


FAMILIES = {
    Rule.Family.SCORECARD: gettext_lazy("Scorecards"),
    Rule.Family.PAY: gettext_lazy("Pay rules"),
    Rule.Family.AWARD: gettext_lazy("Award rules"),
}


def _row(rule: Rule, versions: list[RuleVersion], actor: Actor) -> dict:
    published = [one for one in versions if one.state == _State.PUBLISHED]
    return {
        "rule": rule,
        "in_force": next((one for one in published if one.effective_from <= actor.on), None),
        "announced": [one for one in reversed(published) if one.effective_from > actor.on],
        "in_work": next((one for one in versions if one.state != _State.PUBLISHED), None),
    }


@binds(*door.WORK_ROWS)
@require_http_methods(["GET", "HEAD", "POST"])
def new_rule(request):
    """A new rule with its first draft."""
    actor = actor_of(request)
    door.require_desk(actor)
    families = door.families_of(actor)
    if not families:
        raise PermissionDenied
    scopes = door.scopes_of(actor)
    form = RuleForm(request.POST or None, families=families, scopes=scopes, audiences=own_audiences(actor))
    if request.method == "POST" and form.is_valid():
        data, at = form.cleaned_data, timezone.now()
        if not door.may_make(actor, data["family"], data["scope"]):
            form.add_error("scope", _("You cannot make rules of this kind for this unit. Choose another one."))
        else:
            try:
                made = rules.make_rule(by=request.user, at=at, **data)
                version = rules.propose_version(rule=made, by=request.user, at=at)
            except IntegrityError:
                form.add_error("code", _("Another rule has this code. Choose another one."))
            except rules.AudienceElsewhere:
                form.add_error("audience", _("This audience is of another unit. Choose one of the unit, or everybody."))
            else:
                messages.success(
                    request, _("“%(name)s” is made. Write its text and its figures.") % {"name": made.label}
                )
                return _to(version)
    return render(request, "kpi/rules_new.html", {"form": form}, status=422 if form.errors else 200)


def _to(version: RuleVersion) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("kpi:rule_version", args=[version.pk]))


@binds(*door.WORK_ROWS)
@require_safe
def hr_rule(request, rule_id: int):
    """One rule: for whom it is, and all its versions."""
    actor = actor_of(request)
    found = door.desk_rule_or_404(actor, rule_id)
    versions = list(found.versions.select_related("proposed_by__employee", "published_by__employee"))
    governs = next((one for one in versions if one.state == _State.PUBLISHED and one.effective_from <= actor.on), None)
    context = {
        "rule": found,
        "people": rules.people_of(found, actor.on).count(),
        "versions": [{"version": one, "chip": _chip(one, governs, actor)} for one in versions],
        "may_propose": door.may_propose(actor, found) and not any(one.state != _State.PUBLISHED for one in versions),
    }
    return render(request, "kpi/rules_rule.html", context)


def _chip(version: RuleVersion, governs: RuleVersion | None, actor: Actor) -> dict:
    if version.state != _State.PUBLISHED:
        return {"kind": CHIPS[version.state], "label": version.get_state_display()}
    if governs is not None and version.pk == governs.pk:
        return {"kind": "done", "label": _("in force")}
    if version.effective_from is not None and version.effective_from > actor.on:
        return {"kind": "assigned", "label": _("announced")}
    return {"kind": "neutral", "label": _("replaced")}


@binds(*door.WORK_ROWS)
@require_POST
def propose(request, rule_id: int):
    """Begin the next version: a copy of the newest."""
    actor = actor_of(request)
    found = door.desk_rule_or_404(actor, rule_id)
    if not door.may_propose(actor, found):
        raise PermissionDenied
    try:
        version = rules.propose_version(rule=found, by=request.user, at=timezone.now())
    except rules.InWork:
        messages.error(request, _("A version is being worked on already; there is one at a time."))
        return HttpResponseRedirect(reverse("kpi:hr_rule", args=[found.pk]))
    messages.success(
        request, _("Version %(number)d is begun as a copy of the newest one.") % {"number": version.number}
    )
    return _to(version)


@binds(*door.WORK_ROWS)
@never_cache
@require_safe
def rule_version(request, version_id: int):
    """One version on the desk: its step, what is still missing, what changed, the consultation, publishing."""
    actor = actor_of(request)
    version = door.desk_version_or_404(actor, version_id)
    return _version_page(request, actor, version)


def _version_page(request, actor: Actor, version: RuleVersion, *, publish=None, note=None, status: int = 200):
    before = door.published_before([version]).get(version.pk)
    names = rule_words.indicator_names([version, *([before] if before else [])])
    may_propose = door.may_propose(actor, version.rule)
    may_publish = door.may_publish(actor, version.rule)
    in_work = version.state != _State.PUBLISHED
    earliest = rules.earliest_effect(version=version, on=actor.on) if in_work else None
    kinds = [_Kind.ANSWER, _Kind.MEETING] if version.state == _State.CONSULTING else [_Kind.MEETING]
    context = {
        "version": version,
        "steps": _steps(version),
        "faults": _faults(version) if in_work else [],
        "lines": rule_words.lines_of(version, names=names),
        "before": before,
        "changes": rule_words.changes_between(before, version) if before else [],
        "notes": version.notes.select_related("by__employee"),
        "edit_url": _edit_url(version) if in_work and may_propose else "",
        "may_propose": in_work and may_propose,
        "may_publish": version.state == _State.CONSULTING and may_publish,
        "is_another": rules.may_publish(version=version, by=request.user),
        "earliest": earliest,
        "publish_form": publish or PublishForm(initial={"effective_from": earliest, "seen": version.revision}),
        "note_form": note or NoteForm(kinds=kinds),
        "people": rules.people_of(version.rule, actor.on).count(),
        "has_notes": version.notes.exists(),
        "is_sound": in_work or rules.seal_of(version).is_sound,
        "today": actor.on,
    }
    if not in_work:
        context["read"] = rules.acknowledged_of(version, actor.on).count()
        context["may_see_readers"] = actor.may("PM-F06") and door.readers(actor, version).exists()
    return render(request, "kpi/rules_version.html", context, status=status)


def _steps(version: RuleVersion) -> list[dict]:
    labels = (
        (_State.DRAFT, _("Draft")),
        (_State.CONSULTING, pgettext("step of a rule", "Consultation")),
        (_State.PUBLISHED, pgettext("step of a rule", "Published")),
    )
    order = [state for state, _label in labels]
    now = order.index(version.state)
    steps = []
    for place, (_state, label) in enumerate(labels):
        done = place < now or version.state == _State.PUBLISHED
        steps.append({"label": label, "state": "done" if done else "current" if place == now else "open"})
    if version.published_at:
        steps[2]["note"] = day(version.published_at)
    return steps


def _faults(version: RuleVersion) -> list[str]:
    """What is missing before anybody can be asked about it, in words."""
    found = []
    if not version.text_zh.strip():
        found.append(_("The Chinese text is missing."))
    if not version.parameters:
        found.append(_("The figures are missing."))
        return found
    try:
        rules.check_parameters(rule=version.rule, parameters=version.parameters)
    except ParametersWrong as wrong:
        found += [words for _place, words in wrong.faults]
    return list(dict.fromkeys(found))


def _edit_url(version: RuleVersion) -> str:
    """Where the parameters are edited: a page of each family."""
    try:
        return reverse(f"kpi:edit_{version.rule.family}", args=[version.pk])
    except NoReverseMatch:
        return ""


def _drafted(request, version_id: int) -> tuple[Actor, RuleVersion]:
    """A version that the actor may draft."""
    actor = actor_of(request)
    version = door.desk_version_or_404(actor, version_id)
    if not door.may_propose(actor, version.rule):
        raise PermissionDenied
    return actor, version


@binds(*door.WORK_ROWS)
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def edit_text(request, version_id: int):
    """The text in both languages and the days of notice."""
    _actor, version = _drafted(request, version_id)
    if version.state == _State.PUBLISHED:
        messages.info(request, _("This version is published and changes no more. Begin a new one."))
        return _to(version)
    start = {
        "text_zh": version.text_zh,
        "text_en": version.text_en,
        "notice_days": version.notice_days,
        "seen": version.revision,
    }
    form = TextForm(request.POST or None, initial=start)
    if request.method == "POST" and form.is_valid():
        try:
            rules.change_draft(version=version, by=request.user, at=timezone.now(), **form.cleaned_data)
        except rules.ChangedMeanwhile:
            form.add_error(
                None, _("Somebody else changed this version meanwhile. Copy what you wrote and open this page again.")
            )
        except rules.NotInWork:
            form.add_error(None, _("This version was published or withdrawn meanwhile; nothing was saved."))
        else:
            messages.success(request, _("Saved."))
            return _to(version)
    context = {"form": form, "version": version}
    return render(request, "kpi/rules_text.html", context, status=422 if form.errors else 200)


@binds(*door.WORK_ROWS)
@require_POST
def consult(request, version_id: int):
    """Put a draft to consultation."""
    _actor, version = _drafted(request, version_id)
    try:
        rules.begin_consultation(version=version, by=request.user, at=timezone.now())
    except (rules.TextMissing, ParametersWrong):
        messages.error(request, _("Something is still missing; it is listed on this page."))
    except (rules.NotInWork, rules.ChangedMeanwhile):
        messages.error(request, _("This version has changed meanwhile. Look at it again."))
    else:
        messages.success(
            request, _("The consultation has begun. Those it concerns find it under “Rules” and can comment.")
        )
    return _to(version)


@binds(*door.WORK_ROWS)
@require_POST
def note(request, version_id: int):
    """Write a meeting or an answer into the record of the consultation."""
    actor, version = _drafted(request, version_id)
    kinds = [_Kind.ANSWER, _Kind.MEETING] if version.state == _State.CONSULTING else [_Kind.MEETING]
    form = NoteForm(request.POST, kinds=kinds)
    if not form.is_valid():
        return _version_page(request, actor, version, note=form, status=422)
    try:
        rules.add_note(version=version, by=request.user, at=timezone.now(), **form.cleaned_data)
    except rules.NotInConsultation:
        messages.error(request, _("The consultation is over, so this was not added."))
    else:
        messages.success(request, _("Added to the record."))
    return HttpResponseRedirect(f"{reverse('kpi:rule_version', args=[version.pk])}#consultation")


@binds(*door.WORK_ROWS)
@require_POST
def publish(request, version_id: int):
    """Publish a version in consultation, drafted by another person, from a day on."""
    actor = actor_of(request)
    version = door.desk_version_or_404(actor, version_id)
    if not door.may_publish(actor, version.rule):
        raise PermissionDenied
    form = PublishForm(request.POST)
    if form.is_valid():
        try:
            rules.publish_version(version=version, by=request.user, at=timezone.now(), **form.cleaned_data)
        except rules.TooEarly as refused:
            text = _(
                "Choose %(day)s or a later day: the days of notice lie in between, and it comes after the version before."
            )
            form.add_error("effective_from", text % {"day": day(refused.earliest)})
        except rules.NotAnother:
            messages.error(request, _("You proposed this version or changed it last. Another person publishes it."))
            return _to(version)
        except (rules.NotInWork, rules.ChangedMeanwhile):
            messages.error(request, _("This version has changed meanwhile. Read it again, then publish it."))
            return _to(version)
        except (rules.TextMissing, ParametersWrong):
            messages.error(request, _("Something is still missing; it is listed on this page."))
            return _to(version)
        else:
            messages.success(
                request,
                _("“%(name)s” is published, in force from %(day)s on. Everybody it concerns is asked to read it.")
                % {"name": version.rule.label, "day": day(form.cleaned_data["effective_from"])},
            )
            return _to(version)
    return _version_page(request, actor, version, publish=form, status=422)


@binds(*door.WORK_ROWS)
@require_POST
def withdraw(request, version_id: int):
    """Delete a version nobody has said anything about yet."""
    _actor, version = _drafted(request, version_id)
    try:
        rules.withdraw_draft(version=version, by=request.user, at=timezone.now())
    except rules.HasNotes:
        messages.error(request, _("Something was said about this version, and that stays. Change it instead."))
        return _to(version)
    except (rules.NotInWork, rules.ChangedMeanwhile):
        messages.error(request, _("This version has changed meanwhile. Look at it again."))
        return _to(version)
    messages.success(request, _("Version %(number)d was withdrawn.") % {"number": version.number})
    return HttpResponseRedirect(reverse("kpi:hr_rule", args=[version.rule_id]))
