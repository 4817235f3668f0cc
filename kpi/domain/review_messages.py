"""What reviews tell people: in their page and by mail, in both languages, true when it goes out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from core import messaging
from core.batches import batches
from core.messaging import absolute_url, message_kind
from core.models import Message
from core.templatetags.interface import moment
from courses.domain.ladders import general_ladder, quiet_hours
from courses.domain.reminder_messages import messages_to
from courses.domain.reminder_words import Words
from kpi.models import Rating, Review, ReviewCycle
from people.models import Employee

NEWS = "review"
DUE = "rating_due"
_LANGUAGES = ("zh-hans", "en")
_AT_ONCE = 500

# Makes the one line that a person is told, in the active language.
Say = Callable[[], str]


def tell(
    *, people: Iterable[tuple[Employee, Say]], key: str, kind: str, url: str, subject: Say, at: dt.datetime
) -> None:
    """This function will queue one message for each person's page and one by mail, the mail outside quiet hours.

    ``people`` come with their ``user`` loaded; who has no sign-in is told nothing here. ``key`` names the cause: the same
    cause tells a person once.
    """
    quiet = quiet_hours(general_ladder())
    for some in batches(people, _AT_ONCE):
        made: list[Message] = []
        for employee, say in some:
            made += _messages(employee, say, key=key, kind=kind, url=url, subject=subject, quiet=quiet, at=at)
        messaging.queue(messages=made, at=at)


def _messages(
    employee: Employee, say: Say, *, key: str, kind: str, url: str, subject: Say, quiet, at: dt.datetime
) -> list[Message]:
    if employee.user is None or not employee.user.is_active:
        return []
    words = {}
    for language in _LANGUAGES:
        with translation.override(language):
            line = say()
            words[language] = Words(subject(), line, f"{line}\n\n{absolute_url(url)}")
    return messages_to(key=key, kind=kind, receiver=employee, words=words, url=url, by_mail=True, quiet=quiet, at=at)


# --- the words --------------------------------------------------------------------------------------------------------------
def tell_announced(cycle: ReviewCycle, people: Iterable[Employee], at: dt.datetime) -> None:
    """This function will tell people that their review comes, and by which rule."""

    def say() -> str:
        return _(
            "Your review “%(cycle)s” is announced. It goes by the published rule “%(rule)s”. Please read the rule first."
        ) % {
            "cycle": cycle.label,
            "rule": cycle.version.rule.label,
        }

    tell(
        people=((one, say) for one in people),
        key=f"review-announced-{cycle.pk}",
        kind=NEWS,
        url=reverse("kpi:my_reviews"),
        subject=lambda: _("Your review is announced"),
        at=at,
    )


def due_key(on: dt.date) -> str:
    """What names the reminders of a day: a person is reminded once a day, whoever asks."""
    return f"rating-due-{on.isoformat()}"


def tell_due(ratings: Iterable[Rating], at: dt.datetime) -> int:
    """This function will tell raters what they are asked for; returns how many people. Ratings come with what they name."""
    found: dict[int, list[Rating]] = {}
    for rating in ratings:
        found.setdefault(rating.rater_id, []).append(rating)
    people = [(rows[0].rater, _due_words(rows)) for rows in found.values()]
    tell(
        people=people,
        key=due_key(timezone.localdate(at)),
        kind=DUE,
        url=reverse("kpi:my_reviews"),
        subject=lambda: _("Ratings wait for you"),
        at=at,
    )
    return sum(1 for employee, _say in people if employee.user is not None)


def until(rating: Rating) -> dt.datetime:
    """The last moment at which a rating is taken."""
    cycle = rating.review.cycle
    return {
        Rating.Role.SELF: cycle.self_until,
        Rating.Role.MANAGER: cycle.manager_until,
        Rating.Role.PEER: cycle.peers_until,
    }[Rating.Role(rating.role)]


def _due_words(rows: list[Rating]) -> Say:
    first = min(rows, key=until)

    def say() -> str:
        words = {"number": len(rows), "cycle": first.review.cycle.label, "until": moment(until(first))}
        if len(rows) == 1 and first.role == Rating.Role.SELF:
            return _("“%(cycle)s”: please rate yourself until %(until)s.") % words
        if len(rows) == 1:
            words["name"] = first.review.employee.label
            return _("“%(cycle)s”: please rate %(name)s until %(until)s.") % words
        return (
            ngettext(
                "“%(cycle)s”: %(number)d rating waits for you, the first until %(until)s.",
                "“%(cycle)s”: %(number)d ratings wait for you, the first until %(until)s.",
                len(rows),
            )
            % words
        )

    return say


def tell_published(cycle: ReviewCycle, reviews: Iterable[Review], at: dt.datetime) -> None:
    """This function will tell people that their result is there and until when they can object.

    Nothing of the result itself is said: a mail is read over shoulders. Reviews come with employee and user.
    """
    tell(
        people=((one.employee, _published_words(cycle, one)) for one in reviews),
        key=f"review-published-{cycle.pk}-{at.timestamp():.0f}",
        kind=NEWS,
        url=reverse("kpi:my_reviews"),
        subject=lambda: _("Your review is published"),
        at=at,
    )


def _published_words(cycle: ReviewCycle, review: Review) -> Say:
    return lambda: (
        _("The result of your review “%(cycle)s” is published. You can object until %(until)s.")
        % {
            "cycle": cycle.label,
            "until": moment(review.object_until),
        }
    )


def tell_decided(review: Review, *, upheld: bool, at: dt.datetime) -> None:
    """This function will tell a person that the objection is decided. ``review`` is the one that stands now."""

    def say() -> str:
        words = {"cycle": review.cycle.label}
        if upheld:
            return _("Your objection in “%(cycle)s” was upheld. A new result is published.") % words
        return _("Your objection in “%(cycle)s” was decided. Read the answer.") % words

    tell(
        people=[(review.employee, say)],
        key=f"appeal-decided-{review.pk}-{at.timestamp():.0f}",
        kind=NEWS,
        url=reverse("kpi:review", args=[review.pk]),
        subject=lambda: _("Your objection is decided"),
        at=at,
    )


def _due_now(messages: list[Message], at: dt.datetime) -> dict[int, Message]:
    """The reminders with what is still asked by now; without those to people of whom nothing is asked any more."""
    rows: dict[int, list[Rating]] = {}
    for some in batches({one.user_id for one in messages}, _AT_ONCE):
        for rating in _open_ratings(some):
            if until(rating) >= at and rating.rater.user_id is not None:
                rows.setdefault(rating.rater.user_id, []).append(rating)
    return dict(_said_anew(messages, rows))


def _open_ratings(users: list[int | None]) -> Iterable[Rating]:
    return Rating.objects.filter(
        rater__user__in=users, submitted_at=None, review__cycle__state=ReviewCycle.State.OPEN
    ).select_related("review__cycle", "review__employee", "rater")


def _said_anew(messages: list[Message], rows: dict[int, list[Rating]]) -> Iterator[tuple[int, Message]]:
    for message in messages:
        theirs = rows.get(message.user_id or 0)
        if not theirs:
            continue
        say, lines = _due_words(theirs), {}
        for one in _LANGUAGES:
            with translation.override(one):
                lines[one] = say()
        same: dict[str, Any] = {"key": message.key, "kind": message.kind, "language": message.language}
        same["subject"] = message.subject
        if message.channel == Message.Channel.PAGE:
            yield (
                message.pk,
                messaging.page(
                    **same,
                    user_id=message.user_id or 0,
                    text_zh=lines["zh-hans"],
                    text_en=lines["en"],
                    url=message.url,
                ),
            )
        else:
            own = lines.get(message.language, lines["zh-hans"])
            yield (
                message.pk,
                messaging.mail(
                    **same,
                    user_id=message.user_id or 0,
                    address=message.address,
                    text=f"{own}\n\n{absolute_url(message.url)}",
                    url=message.url,
                ),
            )


message_kind(NEWS, title=gettext_lazy("News of a review"))
message_kind(DUE, title=gettext_lazy("Ratings that are due"), renew=_due_now)
