"""What reminders, nudges and group chats say. Everything here is said in the active language; nothing is read or written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from core.messaging import absolute_url
from core.templatetags import interface
from courses.domain.queries import Figures
from courses.models import Course, Enrolment
from people.models import Employee, OrgUnit

MOST_NAMES = 30  # in a mail; the page has them all
MOST_IN_A_LINE = 3


@dataclass(frozen=True)
class Open:
    """An unfinished duty as a reminder speaks of it. ``away_until`` and ``can_sign_in`` are about its person today."""

    enrolment: Enrolment
    steps_total: int
    away_until: dt.date | None = None
    can_sign_in: bool = True

    @property
    def employee(self) -> Employee:
        return self.enrolment.employee

    @property
    def due_on(self) -> dt.date:
        return timezone.localdate(self.enrolment.due_at)


@dataclass(frozen=True)
class Words:
    """One message in one language: a subject without names of people, a line for the page, a text for a mail."""

    subject: str
    line: str
    text: str


def due_words(due_on: dt.date, on: dt.date) -> str:
    """This function will say when something is or was due, as seen from a day."""
    if due_on == on:
        return _("due today")
    if due_on == on + dt.timedelta(days=1):
        return _("due tomorrow")
    words = {"day": interface.short_day(due_on)}
    return _("due on %(day)s") % words if due_on > on else _("was due on %(day)s") % words


def _steps_words(duty: Open) -> str:
    if not duty.enrolment.steps_done and duty.enrolment.state == Enrolment.State.ASSIGNED:
        return _("not begun")
    values = {"done": duty.enrolment.steps_done, "total": duty.steps_total}
    return _("%(done)d of %(total)d steps done") % values


def reason_words(duty: Open) -> str:
    """This function will say why a duty is not done, as far as a reminder can know."""
    if not duty.can_sign_in:
        return _("cannot sign in yet and needs an invitation from HR")
    if duty.away_until is not None:
        return _("on leave until %(day)s") % {"day": interface.short_day(duty.away_until)}
    return _steps_words(duty)


def _quoted(course: Course) -> str:
    return _("“%(course)s”") % {"course": course.title}


def _clauses(parts: Iterable[str]) -> str:
    return pgettext("between parts of a line", ", ").join(parts)


def _names(people: Sequence[Employee]) -> str:
    shown = pgettext("between names", ", ").join(one.label for one in people[:MOST_IN_A_LINE])
    more = len(people) - MOST_IN_A_LINE
    return _("%(names)s and %(number)d more") % {"names": shown, "number": more} if more > 0 else shown


# --- the digest of a day ----------------------------------------------------------------------------------------------
def _own_subject(own: Sequence[Open], on: dt.date) -> str:
    first = own[0]
    words = {"course": _quoted(first.enrolment.run.course), "due": due_words(first.due_on, on), "number": len(own)}
    if len(own) == 1:
        return _("To finish: %(course)s, %(due)s") % words
    return _("%(number)d courses to finish, the first %(due)s") % words


def _team_subject(people: int) -> str:
    return ngettext(
        "%(number)d person of your team has not finished yet",
        "%(number)d people of your team have not finished yet",
        people,
    ) % {"number": people}


def _own_lines(own: Sequence[Open], on: dt.date) -> list[str]:
    lines = []
    for duty in own:
        run = duty.enrolment.run
        parts = [f"{_quoted(run.course)}{_colon()}{due_words(duty.due_on, on)}", _steps_words(duty)]
        if duty.due_on < on:
            parts.append(_("late work counts until %(day)s") % {"day": interface.short_day(run.accept_until)})
        lines.append(f"· {_clauses(parts)}")
    return lines


def _colon() -> str:
    return pgettext("after what a line is about", ": ")


def _team_lines(team: Sequence[Open], on: dt.date) -> list[str]:
    lines = []
    for duty in team[:MOST_NAMES]:
        person = duty.employee
        words = {"name": person.label, "unit": duty.enrolment.unit.label}
        who = _("%(name)s (%(unit)s)") % words
        parts = [_quoted(duty.enrolment.run.course), due_words(duty.due_on, on), reason_words(duty)]
        lines.append(f"· {who}{_colon()}{_clauses(parts)}")
    if len(team) > MOST_NAMES:
        lines.append(_("… and %(number)d more; the page shows them all.") % {"number": len(team) - MOST_NAMES})
    return lines


def digest_words(*, receiver: Employee, own: Sequence[Open], team: Sequence[Open], on: dt.date) -> Words:
    """This function will put a person's own open duties and those of the team into one message.

    Both are sorted, the most urgent first. The subject holds no name of a person, because logs show it.
    """
    people = list(dict.fromkeys(duty.employee for duty in team))
    subjects, lines = [], []
    text = [_("Dear %(name)s,") % {"name": receiver.label}, ""]
    if own:
        subjects.append(_own_subject(own, on))
        lines.append(_own_subject(own, on))
        heading = ngettext("This course is waiting for you:", "These courses are waiting for you:", len(own))
        text += [heading, *_own_lines(own, on), "", _link(_("Go on learning"), "portal:my_month"), ""]
    if team:
        subjects.append(_team_subject(len(people)))
        lines.append(f"{_team_subject(len(people))}{_colon()}{_names(people)}")
        text += [_team_subject(len(people)) + _colon().rstrip(), *_team_lines(team, on), ""]
        text += [_link(_("Your team"), "portal:my_team"), ""]
    text.append(_("You get at most one such message a day, and none when everything is done."))
    joint = pgettext("between sentences of a line", "; ")
    return Words(subject=joint.join(subjects), line=joint.join(lines), text="\n".join(text))


def _link(words: str, view: str) -> str:
    return f"{words}{_colon()}{absolute_url(reverse(view))}"


# --- a nudge ----------------------------------------------------------------------------------------------------------
def nudge_words(*, receiver: Employee, by: str, own: Sequence[Open], on: dt.date) -> Words:
    """This function will say that somebody asks a person to finish."""
    who = _("%(name)s asks you to finish what is open.") % {"name": by}
    text = [_("Dear %(name)s,") % {"name": receiver.label}, "", who, *_own_lines(own, on), ""]
    text += [_link(_("Go on learning"), "portal:my_month")]
    subject = _own_subject(own, on)
    return Words(subject=subject, line=_("%(who)s %(what)s") % {"who": who, "what": subject}, text="\n".join(text))


# --- a group chat -----------------------------------------------------------------------------------------------------
def chat_words(*, unit: OrgUnit, courses: Sequence[tuple[Course, Figures]], due_on: dt.date, on: dt.date) -> Words:
    """This function will say the figures of a unit: counts and shares, never a name of a person."""
    title = _("%(unit)s: how far we are") % {"unit": unit.label}
    lines = []
    for course, figures in courses:
        words = {
            "course": _quoted(course),
            "due": due_words(due_on, on),
            "done": f"{figures.completed:,}",
            "total": f"{figures.assigned:,}",
            "open": f"{figures.open:,}",
            "rate": figures.rate,
        }
        if figures.open:
            lines.append(
                _("%(course)s, %(due)s: %(done)s of %(total)s done (%(rate)s%%), %(open)s still open.") % words
            )
        else:
            lines.append(_("%(course)s, %(due)s: all %(total)s done. Thank you!") % words)
    return Words(subject=title, line="", text="\n".join(lines))
