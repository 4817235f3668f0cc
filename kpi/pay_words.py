"""What the pay pages say: refusals with their cure, steps of a run, why somebody was left out, how a line came about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext, pgettext_lazy

from core.money import format_yuan, half_up, read_exact
from kpi.domain import pay_bases, pay_runs
from kpi.domain.distribution import CannotBeShared
from kpi.domain.pay_computing import AttendanceTooUneven
from kpi.domain.pay_corrections import CorrectionOpen, NothingToAdjust, ReserveTooSmall
from kpi.domain.pay_inputs import CHECKS, NO_BASE, PAID_ELSEWHERE, PREPARES
from kpi.domain.rules import InForceMissing
from kpi.models import PayLine, PayRun

State = PayRun.State

REFUSALS = (
    pay_runs.NotInThisState,
    pay_runs.RunExists,
    pay_runs.CycleNotPublished,
    pay_runs.WrongScope,
    pay_runs.AmountMissing,
    pay_runs.NobodyToPay,
    pay_runs.NotThePreparer,
    pay_runs.SamePerson,
    pay_runs.PaidByIt,
    pay_runs.NotAChecker,
    pay_runs.VarianceNotSigned,
    pay_runs.ReasonMissing,
    pay_runs.RowsChanged,
    CannotBeShared,
    AttendanceTooUneven,
    CorrectionOpen,
    ReserveTooSmall,
    NothingToAdjust,
    InForceMissing,
    pay_bases.AppliedAlready,
    pay_bases.NothingToApply,
)

_PLAIN: dict[type[Exception], Promise] = {
    pay_runs.CycleNotPublished: gettext_lazy(
        "The results of this cycle are not published yet. Publish them first: nobody is paid on a result that cannot be read."
    ),
    pay_runs.WrongScope: gettext_lazy(
        "The unit does not lie within this cycle or this pay rule. Choose a unit that both are for."
    ),
    pay_runs.AmountMissing: gettext_lazy("The rule shares out a given amount. Write how much money there is first."),
    pay_runs.NobodyToPay: gettext_lazy(
        "There is nobody to pay. Check that bases were taken in for the people of this unit, and that no other run of the cycle pays them."
    ),
    pay_runs.NotThePreparer: gettext_lazy("Only who prepares this run changes it. Take it over first."),
    pay_runs.SamePerson: gettext_lazy("Who prepares a run does not check it. Another person is needed."),
    pay_runs.PaidByIt: gettext_lazy(
        "You are paid by this run, so somebody else must do this. Nobody prepares, checks or corrects the own pay."
    ),
    pay_runs.NotAChecker: gettext_lazy("This person holds no duty to check pay of this unit. Choose another one."),
    pay_runs.VarianceNotSigned: gettext_lazy(
        "Look at the difference to the last run and sign it first. Computing again takes the signature off."
    ),
    pay_runs.ReasonMissing: gettext_lazy("Write why, in a sentence that the people concerned can read."),
    AttendanceTooUneven: gettext_lazy(
        "The days of the period differ too much between people. Give everybody days of the same number, for example of 21."
    ),
    NothingToAdjust: gettext_lazy(
        "There is nothing to pay: the new result is not better than the paid one, or it was adjusted already."
    ),
    InForceMissing: gettext_lazy(
        "This version of the pay rule was not published and in force on the last day of the cycle. Unannounced rules pay nobody."
    ),
    pay_bases.AppliedAlready: gettext_lazy("This file was taken in already. A file counts once."),
    pay_bases.NothingToApply: gettext_lazy("No row of the file says anything new, so there is nothing to take in."),
}

STATE_NOW: dict[str, Promise] = {
    State.DRAFT: gettext_lazy("It is a draft now."),
    State.COMPUTED: gettext_lazy("It is computed now."),
    State.SUBMITTED: gettext_lazy("It waits for the checker now."),
    State.APPROVED: gettext_lazy("It is approved now."),
    State.EXPORTED: gettext_lazy("Its file went to payroll."),
    State.CLOSED: gettext_lazy("It is closed."),
}


def refusal_words(error: Exception) -> str:
    """This function will say a refusal of the domain in words with its cure."""
    if isinstance(error, pay_runs.NotInThisState):
        now = str(STATE_NOW.get(error.state, ""))
        return two_sentences(_("This is not possible in the step the run is in."), now)
    if isinstance(error, pay_runs.RunExists):
        code = error.run.code if error.run else ""
        return _("There is a run for this already: %(code)s. Open that one.") % {"code": code}
    if isinstance(error, pay_runs.RowsChanged):
        return _("The rows are not the ones that were computed (%(fault)s). Compute again and tell the auditor.") % {
            "fault": error.fault
        }
    if isinstance(error, CorrectionOpen):
        return _(
            "This pay is being corrected in the run %(code)s already. Have that one approved, or discard it, and then correct anew."
        ) % {"code": error.run.code}
    if isinstance(error, ReserveTooSmall):
        return _(
            "The correction needs %(needed)s yuan, and %(left)s are left of the reserve. Ask for more money in a run of its own."
        ) % {
            "needed": format_yuan(error.needed),
            "left": format_yuan(error.left),
        }
    if isinstance(error, CannotBeShared):
        return _cannot_share(error)
    return str(_PLAIN[type(error)])


def two_sentences(first: str, second: str) -> str:
    """Two sentences after each other, with the space that the language writes between them."""
    return _("%(first)s %(second)s") % {"first": first, "second": second} if second else first


def _cannot_share(error: CannotBeShared) -> str:
    amount = format_yuan(error.amount)
    if error.amount < error.least:
        return _(
            "%(amount)s yuan are less than the floors of everybody together (%(least)s). Give more money or lower the floor."
        ) % {
            "amount": amount,
            "least": format_yuan(error.least),
        }
    return _(
        "%(amount)s yuan cannot be paid out: with everybody at the cap it is %(most)s. Give less money or raise the cap."
    ) % {
        "amount": amount,
        "most": format_yuan(error.most or 0),
    }


WHY_LEFT_OUT: dict[str, Promise] = {
    PREPARES: gettext_lazy("prepares this run"),
    CHECKS: gettext_lazy("is asked to check this run"),
    NO_BASE: gettext_lazy("has no base"),
    PAID_ELSEWHERE: gettext_lazy("is paid by another run of the cycle"),
}


def why_left_out(code: str, *, settled: bool) -> str:
    """This function will say why somebody is not in a run, with the cure while there is one."""
    if code == NO_BASE and not settled:
        return _("has no base: take one in and compute again")
    return str(WHY_LEFT_OUT.get(code, code))


# --- how a line came about ----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Step:
    """One step of the calculation: what it is, the figure, where it comes from."""

    label: str
    value: str
    note: str = ""


def coefficient_words(value) -> str:
    """A coefficient with at least two places: 1.20, 1.0525."""
    text = f"{value:.4f}"
    while text.endswith("0") and len(text.partition(".")[2]) > 2:
        text = text[:-1]
    return text


def exact_words(value: Fraction, places: int = 4) -> str:
    """An exact number to so many places, half up, for reading only."""
    scaled = half_up(value * 10**places)
    sign = "-" if scaled < 0 else ""
    whole, part = divmod(abs(scaled), 10**places)
    return f"{sign}{whole:,}.{part:0{places}d}"


def steps_of(line: PayLine) -> list[Step]:
    """This function will say step by step how every fen of a line came about: base x coefficients x attendance x ratio."""
    raw, ratio = read_exact(line.raw), read_exact(line.pool.ratio or "0/1")
    exact = raw * ratio
    if line.review is not None:
        note = _("grade %(grade)s, %(total)s points") % {"grade": line.review.grade, "total": line.review.total}
    else:
        note = _("no review in this cycle: what the rule says for that")
    steps = [
        Step(_("Base of the period"), format_yuan(line.base_fen), _("as payroll gave it")),
        Step(_("Individual coefficient"), f"× {coefficient_words(line.coefficient)}", note),
        Step(_("Unit coefficient"), f"× {coefficient_words(line.unit_coefficient)}", line.pool.unit.label),
        Step(
            _("Attendance"),
            f"× {line.attendance}",
            _("days attended of the days of the period"),
        ),
        Step(_("Before sharing"), exact_words(raw / 100, 2), _("exact to the last fraction; shown here to the fen")),
    ]
    if line.adjusts_id:
        return steps
    steps.append(
        Step(
            _("Ratio of the pool"),
            f"× {exact_words(ratio, 6)}",
            _("what the money of the pool is to the claims of everybody in it: %(ratio)s") % {"ratio": line.pool.ratio},
        )
    )
    if line.bound == PayLine.Bound.CAP:
        steps.append(
            Step(
                _("Cap"),
                format_yuan(line.share_fen),
                _("it would have been %(sum)s; what lies above goes to the others")
                % {"sum": exact_words(exact / 100, 2)},
            )
        )
    elif line.bound == PayLine.Bound.FLOOR:
        steps.append(
            Step(
                _("Floor"),
                format_yuan(line.share_fen),
                _("it would have been %(sum)s") % {"sum": exact_words(exact / 100, 2)},
            )
        )
    else:
        steps.append(
            Step(
                _("Your share, without fractions of a fen"),
                format_yuan(line.share_fen),
                _("exactly %(sum)s") % {"sum": exact_words(exact / 100, 6)},
            )
        )
        if line.extra_fen:
            steps.append(
                Step(
                    _("One fen more"),
                    f"+ {format_yuan(line.extra_fen)}",
                    _(
                        "left over by the fractions of all; given to the largest fractions, of equal ones to the lower employee number"
                    ),
                )
            )
    return steps


def joined(parts: Iterable[str]) -> str:
    """Parts of a list with the comma of the language."""
    return pgettext("between names", ", ").join(parts)


# --- where a run stands -------------------------------------------------------------------------------------------------
EVENT_WORDS: dict[str, Promise] = {
    "pay run begun": pgettext_lazy("pay run", "Begun"),
    "pay run changed": pgettext_lazy("pay run", "Money or checker changed"),
    "pay run taken over": pgettext_lazy("pay run", "Taken over by another preparer"),
    "pay run computed": pgettext_lazy("pay run", "Computed"),
    "pay variance signed": pgettext_lazy("pay run", "Difference to the last run signed"),
    "pay run submitted": pgettext_lazy("pay run", "Submitted"),
    "pay run approved": pgettext_lazy("pay run", "Approved"),
    "pay run sent back": pgettext_lazy("pay run", "Sent back"),
    "pay run exported": pgettext_lazy("pay run", "File for payroll made"),
    "pay run closed": pgettext_lazy("pay run", "Closed"),
    "pay line adjusted": pgettext_lazy("pay run", "A line adjusted"),
}


@dataclass(frozen=True)
class NextAct:
    """The one next act of a run: its words, and the form that does it (empty: somebody else's move)."""

    title: str
    text: str
    act: str = ""


def next_act(run: PayRun, *, mine: bool, checks: bool, paid_by_it: bool, amount: int | None, rule_mode: str) -> NextAct:
    """This function will say what comes next in a run, for who looks: the preparer (``mine``) or a checker (``checks``)."""
    checker = checks and not paid_by_it
    if run.state == State.DRAFT and amount is None and rule_mode != "open" and not run.follows_id:
        text = _("Write how much is to be shared out, the reserve included.")
        return NextAct(_("Give the money"), text, "money" if mine else "")
    if run.state == State.DRAFT:
        text = _(
            "Bases, attendance and results are taken as they are known now. It can be computed as often as you like."
        )
        return NextAct(_("Compute it"), text, "compute" if mine else "")
    if run.state == State.COMPUTED and run.kind == PayRun.Kind.REGULAR and not run.variance_signed_by_id:
        text = _("Compare with the last run and sign that you have; then it can be submitted.")
        return NextAct(_("Look at the difference"), text, "variance" if mine else "")
    if run.state == State.COMPUTED:
        text = _("From then on its figures stand still, and another person checks them.")
        return NextAct(pgettext("pay run", "Submit it"), text, "submit" if mine else "")
    if run.state == State.SUBMITTED:
        text = _("Another person than the preparer, who is not paid by it, approves it or sends it back.")
        return NextAct(_("Check it"), text, "check" if checker else "")
    if run.state == State.APPROVED:
        text = _("It carries a number, control totals and a hash. Making it again gives the same content.")
        return NextAct(_("Make the file for payroll"), text, "export" if mine else "")
    if run.state == State.EXPORTED:
        text = _("Take payroll’s answers in, then the checker closes the run for good.")
        return NextAct(_("Close it"), text, "close" if checker else "answers" if mine else "")
    text = _("Nothing of it changes any more. What turns out to be wrong is corrected beside it.")
    return NextAct(pgettext("pay run", "Closed"), text)
