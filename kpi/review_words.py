"""What pages say of reviews: states as they are lived, problems with their cure, refusals."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from core.templatetags.interface import moment
from kpi.domain import reviews
from kpi.domain.ratings import RatingWrong
from kpi.models import Rating, Review, ReviewCycle

_State, _Cycle = Review.State, ReviewCycle.State

# Chips: which mark goes with which state (components/chip.html).
_KINDS = {
    _State.DRAFTED: "assigned",
    _State.SELF_DONE: "progress",
    _State.MANAGER_DONE: "progress",
    _State.CALIBRATED: "progress",
    _State.PUBLISHED: "assigned",
    _State.ACKNOWLEDGED: "done",
    _State.CONTESTED: "late",
    _State.UPHELD: "done",
    _State.REJECTED: "neutral",
    _State.FINAL: "done",
    _State.SUPERSEDED: "neutral",
}


def state_chip(review: Review) -> dict[str, str]:
    """Where a review stands: {kind, label}. After the deadlines nothing is waited for any more; it is missing."""
    label = str(review.get_state_display())
    state, cycle = review.state, review.cycle.state
    if cycle == _Cycle.ANNOUNCED:
        label = pgettext("review", "announced")
    elif cycle not in (_Cycle.DRAFT, _Cycle.OPEN):
        if review.scorecard_id is None:
            return {"kind": "neutral", "label": _("no result: nothing was measured or rated")}
        if state == _State.DRAFTED:
            label = _("no rating came in")
        elif state == _State.SELF_DONE:
            label = _("no rating by the manager")
    return {"kind": _KINDS[_State(state)], "label": label}


def cycle_chip(cycle: ReviewCycle) -> dict[str, str]:
    kind = {_Cycle.DRAFT: "neutral", _Cycle.CLOSED: "done", _Cycle.PUBLISHED: "done"}.get(
        _Cycle(cycle.state), "progress"
    )
    return {"kind": kind, "label": str(cycle.get_state_display())}


def problem_words(word: str) -> str:
    """A problem of a cycle, with its cure."""
    return {
        "not_a_card_of_employees": _("The rule is no scorecard of employees. Choose another rule version."),
        "scope_not_of_rule": _("The rule is not for this unit. Choose the rule’s unit or one below it."),
        "months_out_of_order": _("The last month lies before the first. Put the months in order."),
        "snapshot_before_months": _("The day of the snapshot lies before the months. Choose a day in them or after."),
        "deadlines_out_of_order": _(
            "The deadlines are out of order: first the own rating, then the colleagues’, then the manager’s."
        ),
        "appeal_days": _("Give between 1 and 60 days to object."),
        "version_not_published": _("The rule version is not published. Nothing is reviewed on an unannounced version."),
        "version_not_in_force": _(
            "The rule version is not the one in force over all the months. Choose another version, or make a cycle of its own "
            "for each."
        ),
        "snapshot_in_future": _("The day of the snapshot is still to come. Announce on that day or later."),
        "deadline_over": _("The deadline for the own rating is over. Give a later one."),
        "time_cut_short": _("A deadline is earlier than it was. Once announced, people are only given more time."),
        "months_not_over": _("The months are not over. Compute the cards when they are."),
        "ratings_missing": _("Ratings are missing and their deadlines are not over. Remind people, or wait."),
    }[word]


def refused_words(word: str) -> str:
    """Why somebody cannot be asked to rate."""
    return {
        "self": _("That is the person under review."),
        "manager": _("The manager rates anyway."),
        "already": _("Asked already."),
        "no_sign_in": _("Has no sign-in and could not rate."),
        "gone": _("Does not work here at present."),
        "too_many": _("Ten colleagues at most are asked."),
    }[word]


def fault_words(word: str) -> str:
    """What is wrong with one part of a rating."""
    return {
        "missing": _("Choose 1 to 5."),
        "out_of_range": _("Choose 1 to 5."),
        "comment_missing": _("A 1 or a 5 needs a few words: what have you seen?"),
        "too_long": _("That is too long: 1,000 characters at most."),
        "reason_missing": _("Give a reason."),
    }[word]


def faults_of(error: RatingWrong) -> dict[str, str]:
    """{code of the line or "comment": words}."""
    return {code: fault_words(word) for code, word in error.faults}


def hand_words(word: str) -> str:
    """What somebody did to a result, so that another person decides."""
    return {
        "rater": _("you rated this person"),
        "manager": _("you are the manager of this review"),
        "calibrator": _("you calibrated this result"),
        "publisher": _("you published this result"),
    }[word]


def star_words() -> list[tuple[int, str]]:
    """The scale, from the best."""
    return [
        (5, _("far beyond what is asked")),
        (4, _("more than is asked")),
        (3, _("what is asked")),
        (2, _("less than is asked")),
        (1, _("far less than is asked")),
    ]


def role_words(rating: Rating) -> str:
    """Whose rating this is, as a heading."""
    return {
        Rating.Role.SELF: _("Own rating"),
        Rating.Role.MANAGER: _("Manager’s rating"),
        Rating.Role.PEER: _("Colleague’s rating"),
    }[Rating.Role(rating.role)]


def still_open_words(error: reviews.StillOpen) -> list[str]:
    words = []
    if error.contested:
        words.append(_("Objections that are not decided: %(number)d. Decide them first.") % {"number": error.contested})
    if error.until:
        words.append(_("People can still object until %(until)s.") % {"until": moment(error.until)})
    if error.unpublished:
        words.append(_("Results that wait to be published: %(number)d.") % {"number": error.unpublished})
    return words
