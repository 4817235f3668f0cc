"""What the pages of several subjects show: each function composes the domains below and says how many queries it takes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Case, Count, IntegerField, Q, QuerySet, Value, When
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext
from wagtail.models import Page

from assessments.domain.queries import visible_attempts
from assessments.models import Attempt
from certificates.domain.queries import certificates_of, state_of
from certificates.models import Certificate
from core.models import Notice
from core.periods import Month, start_of
from core.search import han_query
from core.templatetags import interface
from courses.domain import closing
from courses.domain.access import runs_the_company
from courses.domain.comparison import LiveFigures, live_figures
from courses.domain.matters import visible_matters
from courses.domain.queries import (
    Figures,
    TeamRow,
    UnitFigures,
    duties_of,
    month_enrolments,
    people_figures,
    person_enrolments,
    person_months,
    with_last_activity,
)
from courses.domain.requests import duty_events, to_decide
from courses.models import CourseCataloguePage, CoursePage, CourseRun, Enrolment, PlanLine, RunStep
from courses.models import Matter as DutyMatter
from kpi.domain.awards import honours_of
from kpi.domain.thanks import thanks_for
from kpi.models import Award, Thanks
from people.domain.access import Actor, visible_employees, visible_units
from people.domain.queries import waiting_for_sign_in
from people.domain.roster import visible_rosters
from people.models import Employee, OrgUnit, Placement, RosterImport
from portal.models import NewsPage

_State = Enrolment.State
THANKS = 5  # that a record shows


# --- news -----------------------------------------------------------------------------------------------------------
def latest_news(language: str, number: int) -> QuerySet[NewsPage]:
    """The newest pieces of news in a language."""
    return NewsPage.objects.live().filter(locale__language_code=language).order_by("-published_on", "-pk")[:number]


# --- a team ---------------------------------------------------------------------------------------------------------
DIRECT, ALL = "direct", "all"
NEEDED, DONE, EXCUSED, CHOSEN = "needed", "done", "excused", "chosen"

_UNFINISHED = Q(state__in=[_State.ASSIGNED, _State.IN_PROGRESS])
_SHOWN = {
    NEEDED: _UNFINISHED,
    DONE: Q(state=_State.COMPLETED),
    EXCUSED: Q(state__in=[_State.EXEMPT, _State.WITHDRAWN]),
    CHOSEN: ~Q(state=_State.WITHDRAWN),
}


def team_of(actor: Actor, level: str) -> QuerySet[Employee]:
    """The people who report to the actor, directly or at any depth, through the door (PM-T05, letter T)."""
    people = visible_employees(actor, "PM-T05")
    if actor.employee is None:
        return people.none()
    return people.reporting_to(actor.employee) if level == ALL else people.filter(manager=actor.employee)


@dataclass(frozen=True)
class Team:
    """A team's month in figures: now, the month before, and how many people decide it."""

    now: Figures
    before: Figures
    deciding: int

    @property
    def change(self) -> str | None:
        return UnitFigures(unit=None, now=self.now, before=self.before).change


def team_figures(people: QuerySet[Employee], month: Month) -> Team:
    """The figures of a team. Six queries."""
    missing = month_enrolments(people=people, month=month).filter(_UNFINISHED, voluntary=False).order_by()
    return Team(
        now=people_figures(people=people, month=month),
        before=people_figures(people=people, month=month.previous),
        deciding=missing.aggregate(people=Count("employee", distinct=True))["people"],
    )


def team_duties(people: QuerySet[Employee], month: Month, shown: str, at: dt.datetime) -> QuerySet[Enrolment]:
    """The duties of a team, sorted by what is needed: overdue first, then the least far; done ones by the newest.

    What was taken by choice is a list of its own.
    """
    found = month_enrolments(people=people, month=month).filter(_SHOWN[shown], voluntary=shown == CHOSEN)
    found = found.exclude(run__state=CourseRun.State.PLANNED).select_related("certificate", "employee__unit")
    if shown == DONE:
        return found.order_by("-completed_at", "pk")
    if shown in (EXCUSED, CHOSEN):
        return found.order_by("employee__employee_no", "pk")
    overdue = Case(When(due_at__lt=at, then=Value(0)), default=Value(1), output_field=IntegerField())
    return found.annotate(urgency=overdue).order_by("urgency", "due_at", "steps_done", "employee__employee_no", "pk")


def team_rows(enrolments: Iterable[Enrolment], at: dt.datetime) -> list[TeamRow]:
    """The rows of one page of a team's list. Two queries."""
    enrolments = list(enrolments)
    totals = dict(
        RunStep.objects.filter(run__in={one.run_id for one in enrolments}, required=True)
        .order_by()
        .values_list("run_id")
        .annotate(number=Count("pk"))
    )
    last_done = dict(
        with_last_activity(Enrolment.objects.filter(pk__in=[one.pk for one in enrolments]))
        .order_by()
        .values_list("pk", "last_done_at")
    )
    return [
        TeamRow(
            enrolment=one,
            steps_total=totals.get(one.run_id, 0),
            last_done_at=last_done.get(one.pk),
            is_overdue=one.is_overdue(at),
        )
        for one in enrolments
    ]


# --- the HR desk ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Matter:
    """Something that waits for HR: what it is, how many, and where it is settled (empty: not by this person)."""

    title: str
    text: str
    count: int
    url: str
    icon: str


def desk_units(actor: Actor) -> list[OrgUnit]:
    """The topmost units whose figures the actor sees on the desk: those of the HR role, or the roots. One query."""
    if "AUD" in actor.roles:
        return list(OrgUnit.objects.filter(depth=1))
    return actor.units("HRU")


class DeskRow:
    """One row of the desk's table: a unit right below, or what counts in the top unit itself."""

    def __init__(self, figures: LiveFigures, *, own: bool = False):
        self.unit, self.now, self.before, self.change = figures.unit, figures.now, figures.before, figures.change
        self.is_small = figures.is_small
        self.own = own
        self.has_children = figures.unit.numchild > 0 and not own


def unit_rows(unit: OrgUnit, month: Month, at: dt.datetime) -> tuple[LiveFigures, list[DeskRow]]:
    """A unit's figures, and a row for what counts in the unit itself and for each unit right below.

    Beside the month before at the same point. Four queries at most.
    """
    below = list(OrgUnit.objects.filter(path__startswith=unit.path, depth=unit.depth + 1))
    own, *children = live_figures(unit=unit, units=[unit, *below], month=month, at=at)
    now, before, ended = own.now, own.before, own.ended
    for child in children:
        now, before, ended = now - child.now, before - child.before, ended - child.ended
    rows = [DeskRow(child) for child in children]
    if children and now:
        rows.insert(0, DeskRow(LiveFigures(unit, now, before, ended, own.same_point), own=True))
    return own, rows


def people_without_sign_in(actor: Actor, at: dt.datetime) -> QuerySet[Employee]:
    """People in the actor's scope who work here and cannot sign in yet."""
    return waiting_for_sign_in(visible_employees(actor, "PM-T05"), at)


def people_without_post(actor: Actor) -> QuerySet[Employee]:
    """People in scope without a unit, or without a manager where somebody must be (not at the very top)."""
    found = visible_employees(actor, "PM-T05").filter(state=Employee.State.ACTIVE)
    return found.filter(Q(unit=None) | (Q(manager=None) & Q(unit__depth__gt=1))).select_related("unit", "position")


def lines_to_open(actor: Actor, month: Month) -> QuerySet[PlanLine]:
    """Plan lines of this or an earlier month, of audiences in the actor's units, whose people are not enrolled yet."""
    units = visible_units(actor, "PM-I05")
    return PlanLine.objects.filter(
        month__lte=month,
        month__gte=month.previous,
        opened_at=None,
        published_at__isnull=False,
        programme__active=True,
        programme__audience__scope__in=units.order_by().values("pk"),
    )


def imports_waiting(actor: Actor) -> QuerySet[RosterImport]:
    """Roster files that were read and not applied yet."""
    waiting = [RosterImport.State.UPLOADED, RosterImport.State.CHECKED, RosterImport.State.AWAITING_SECOND]
    return visible_rosters(actor).filter(state__in=waiting)


def closing_matters(actor: Actor, at: dt.datetime) -> list[Matter]:
    """Months that HR can begin to close, sign or close for good. Two queries, and three for a month being signed."""
    units = actor.units("HRU")
    runs_months = runs_the_company(actor)
    months = closing.months_to_close(at=at)
    found = []
    if runs_months and (waiting := [month for month, close in months if close is None]):
        number = len(waiting)
        title = ngettext("%(n)d month can be closed", "%(n)d months can be closed", number) % {"n": number}
        text = _("Every course of it is due. Begin with %(month)s.") % {"month": waiting[0].label}
        found.append(Matter(title, text, number, reverse("courses:close_month", args=[waiting[0]]), "check"))
    for month, close in months:
        if close is None:
            continue
        stand = closing.signing(month=month, close=close).values()
        mine = [one for one in stand if not one.is_signed and any(unit.contains(one.unit) for unit in units)]
        words = {"month": month.label, "n": len(mine)}
        url = reverse("courses:close_month", args=[month])
        if mine:
            title = ngettext(
                "%(month)s: %(n)d unit waits for a signature",
                "%(month)s: %(n)d units wait for a signature",
                len(mine),
            )
            text = _("A month is signed from the branches up, and then closed for good.")
            found.append(Matter(title % words, text, len(mine), url, "edit"))
        elif runs_months and all(one.is_signed for one in stand):
            text = _("Every unit is signed. Closing freezes and seals the figures.")
            found.append(Matter(_("%(month)s can be closed for good") % words, text, 1, url, "check"))
    return found


def open_matters(actor: Actor, month: Month, at: dt.datetime) -> list[Matter]:
    """What waits for HR, only what there is. Six queries."""
    is_hr = "HRU" in actor.roles
    found = []
    if actor.may("PM-T04") and (number := to_decide(actor, at).count()):
        title = ngettext("%(n)d request waits for an answer", "%(n)d requests wait for an answer", number) % {
            "n": number
        }
        text = _("Somebody asks for more time, or to be excused.")
        found.append(Matter(title, text, number, reverse("courses:requests"), "question"))
    if number := visible_matters(actor, "PM-M04").filter(state=DutyMatter.State.OPEN).count():
        title = ngettext("%(n)d exception to settle", "%(n)d exceptions to settle", number) % {"n": number}
        text = _("Late joiners, long leave, people who moved or left: each with a proposed answer.")
        found.append(Matter(title, text, number, reverse("courses:matters"), "list"))
    if number := imports_waiting(actor).count():
        title = ngettext("%(n)d roster file is waiting", "%(n)d roster files are waiting", number) % {"n": number}
        text = _("Checked, but not applied yet. Look at the differences, then apply or discard it.")
        found.append(Matter(title, text, number, reverse("people:roster"), "upload"))
    if number := lines_to_open(actor, month).count():
        title = ngettext("%(n)d planned course is not open", "%(n)d planned courses are not open", number) % {
            "n": number
        }
        text = _("Its month has come. Opening it gives the people of the plan their duty.")
        url = reverse("courses:month", args=[month]) if is_hr else ""
        found.append(Matter(title, text, number, url, "month"))
    if is_hr:
        found += closing_matters(actor, at)
    if number := people_without_sign_in(actor, at).count():
        title = ngettext("%(n)d person cannot sign in yet", "%(n)d people cannot sign in yet", number) % {"n": number}
        text = _("They need an invitation: a link by e-mail or on a printed sheet.")
        found.append(Matter(title, text, number, f"{reverse('portal:hr_people')}?gap=sign-in", "user"))
    if number := people_without_post(actor).count():
        title = ngettext(
            "%(n)d person has no unit or no manager", "%(n)d people have no unit or no manager", number
        ) % {"n": number}
        text = _("Nobody sees how they are doing until that is put right.")
        found.append(Matter(title, text, number, f"{reverse('portal:hr_people')}?gap=post", "unit"))
    return found


# --- a person's record ------------------------------------------------------------------------------------------------
@dataclass
class Record:
    """What of a person's record the reader may see; a part that may not be seen is None."""

    months: list | None = None
    duties: list | None = None
    attempts: list[Attempt] | None = None
    certificates: list | None = None
    placements: list[Placement] | None = None
    leaves: list | None = None
    honours: list[Award] | None = None
    thanks: list[Thanks] = field(default_factory=list)
    events: list[dict] = field(default_factory=list)


def person_record(actor: Actor, employee: Employee, allowed: frozenset[str], at: dt.datetime) -> Record:
    """A person's record as far as the reader may see it (rows_on). Fourteen queries at most."""
    record = Record()
    today = timezone.localdate(at)
    if "PM-T05" in allowed:
        record.months = _years(person_months(employee=employee, last=Month.of(today), months=24, at=at))
        record.placements = list(
            Placement.objects.filter(employee=employee)
            .select_related("unit", "position", "manager")
            .order_by("-starts_on")
        )
    if "PM-P05" in allowed or (actor.employee and actor.employee.pk == employee.pk):
        record.leaves = list(employee.leaves.order_by("-starts_on"))
    if "PM-T01" in allowed:
        record.duties = duties_of(
            person_enrolments(employee=employee).exclude(run__state=CourseRun.State.PLANNED), at=at
        )
    if "PM-Q06" in allowed:
        record.attempts = list(
            visible_attempts(actor, "PM-Q06")
            .filter(enrolment__employee=employee, state=Attempt.State.SUBMITTED)
            .select_related("enrolment__run__course", "step")
            .order_by("-submitted_at")
        )
    if "PM-K01" in allowed:
        record.certificates = [
            {"certificate": one, "state": state_of(one, on=today)} for one in certificates_of(employee)
        ]
    if "PM-W08" in allowed:
        is_me = actor.employee is not None and actor.employee.pk == employee.pk
        record.honours = list(honours_of(employee))
        record.thanks = list(thanks_for(employee, hidden=is_me)[:THANKS])
    record.events = _timeline(employee, record)
    return record


def _years(cells: list) -> list[tuple[int, list]]:
    """The months by year, the newest year first, each with its twelve places (None where there is no cell)."""
    years: dict[int, list] = {}
    for cell in cells:
        years.setdefault(cell.month.year, [None] * 12)[cell.month.month - 1] = cell
    found = sorted(years.items(), reverse=True)
    return [
        (year, row)
        for year, row in found
        if any(cell and (cell.assigned or cell.exempt or cell.by_choice) for cell in row)
    ]


def _timeline(employee: Employee, record: Record) -> list[dict]:
    """Everything that happened, newest first, in the form of the timeline component."""
    events: list[dict] = []
    for one in record.placements or []:
        first = record.placements[-1] is one
        words = {"unit": one.unit.label, "position": one.position.label if one.position else "–"}
        events.append(
            {
                "at": one.starts_on,
                "title": _("Began as %(position)s at %(unit)s") % words
                if first
                else _("Moved: %(position)s at %(unit)s") % words,
                "who": _("Manager: %(name)s") % {"name": one.manager.label} if one.manager else "",
            }
        )
    for one in record.leaves or []:
        events.append(
            {
                "at": one.starts_on,
                "title": _("On leave until %(day)s") % {"day": interface.day(one.ends_on)},
                "text": one.reason,
            }
        )
    if record.duties:
        events += duty_events(enrolments=[duty.enrolment for duty in record.duties])
    passing = {one.enrolment_id: one for one in record.attempts or [] if one.passed}
    told = set()
    for duty in record.duties or []:
        if not duty.is_done:
            continue
        enrolment, attempt = duty.enrolment, passing.get(duty.enrolment.pk)
        words = [enrolment.run.month.label, _("in time") if enrolment.on_time else _("late, but done")]
        if enrolment.voluntary:
            words[1] = pgettext("how a course was taken", "by choice")
        if duty.tested_out:
            words.append(_("tested out"))
        if attempt:
            words.append(_("quiz %(percent)s") % {"percent": interface.percent_words(attempt.percent)})
            told.add(attempt.pk)
        if enrolment.certificate and record.certificates is not None:
            words.append(_("certificate no. %(number)s") % {"number": enrolment.certificate.number})
            told.add(enrolment.certificate.number)
        events.append(
            {
                "at": enrolment.completed_at,
                "title": _("Completed “%(course)s”") % {"course": duty.course.title},
                "text": " · ".join(words),
                "kind": "done" if enrolment.on_time or enrolment.voluntary else "late",
                "url": _address("certificates:detail", enrolment.certificate_id)
                if enrolment.certificate and record.certificates is not None
                else "",
            }
        )
    for attempt in record.attempts or []:
        if attempt.pk in told:
            continue
        words = {"percent": interface.percent_words(attempt.percent), "course": attempt.enrolment.run.course.title}
        title = (
            _("Quiz passed with %(percent)s: “%(course)s”")
            if attempt.passed
            else _("Quiz not passed yet, %(percent)s: “%(course)s”")
        )
        events.append(
            {
                "at": attempt.submitted_at,
                "title": title % words,
                "kind": "done" if attempt.passed else "neutral",
                "url": _address("assessments:result", attempt.pk),
            }
        )
    for award in record.honours or []:
        events += _honour_events(award, record)
        if award.certificate is not None:
            told.add(award.certificate.number)
    for row in record.certificates or []:
        certificate: Certificate = row["certificate"]
        if certificate.number not in told:
            events.append(
                {
                    "at": certificate.issued_at,
                    "title": _("Certificate no. %(number)s") % {"number": certificate.number},
                    "text": certificate.subject,
                    "kind": "honour",
                    "url": _address("certificates:detail", certificate.pk),
                }
            )
    if employee.left_on and record.placements is not None:
        events.append({"at": employee.left_on, "title": _("Left the company"), "kind": "neutral"})
    return sorted(events, key=lambda event: _moment(event["at"]), reverse=True)


def _honour_events(award: Award, record: Record) -> list[dict]:
    """An honour, and that it was revoked if it was."""
    words = {"name": award.label}
    shown = award.certificate_id and record.certificates is not None
    given = {
        "at": award.granted_at,
        "title": _("Honoured: “%(name)s”") % words,
        "text": award.said,
        "kind": "honour",
        "url": _address("certificates:detail", award.certificate_id) if shown else "",
    }
    if award.revoked_at is None:
        return [given]
    title = _("Honour revoked: “%(name)s”") % words
    return [given, {"at": award.revoked_at, "title": title, "text": award.revoked_reason, "kind": "neutral"}]


def _moment(at: dt.date | dt.datetime) -> dt.datetime:
    """A date counts as its first second, so that what happened on the day comes above it."""
    if isinstance(at, dt.datetime):
        return at
    return start_of(at)


def _address(name: str, *args) -> str:
    return reverse(name, args=args)


# --- search -----------------------------------------------------------------------------------------------------------
MOST_COURSES = 12


def search_courses(text: str, language: str) -> list[CoursePage]:
    """Courses whose words fit, one page each: in the reader's language where there is one. Three queries.

    A code or a part of a title is found as it is typed (a word index cuts SAF-01 in two, on one database only), whole
    words of title, summary and outcomes by the index.
    """
    query = han_query(text)[:200]
    if not query:
        return []
    pages = CoursePage.objects.live().select_related("locale", "picture")
    named = pages.filter(Q(code__istartswith=text) | Q(title__icontains=text)).order_by("code", "path")[:40]
    found: dict = {}
    for page in [*named, *pages.search(query, operator="and")[:40]]:
        kept = found.get(page.translation_key)
        if kept is None or page.locale.language_code == language:
            found[page.translation_key] = page
    strangers = [key for key, page in found.items() if page.locale.language_code != language]
    if strangers:
        own = CoursePage.objects.live().filter(translation_key__in=strangers, locale__language_code=language)
        found.update({page.translation_key: page for page in own.select_related("locale", "picture")})
    return list(found.values())[:MOST_COURSES]


# --- notices ----------------------------------------------------------------------------------------------------------
def notices_of(user) -> QuerySet[Notice]:
    return Notice.objects.filter(user=user)


def mark_read(*, user, at: dt.datetime, notice_id: int | None = None) -> int:
    """This function will mark one notice of a user, or all, as read and return how many were unread."""
    unread = notices_of(user).filter(read_at=None)
    if notice_id is not None:
        unread = unread.filter(pk=notice_id)
    return unread.update(read_at=at)


def catalogue_page(language: str) -> Page | None:
    """The list of courses in a language."""
    return CourseCataloguePage.objects.live().filter(locale__language_code=language).order_by("path").first()
