"""The steps of a pay run: which act is possible in which of them, what is refused, and the one way to move a run."""

from __future__ import annotations

from typing import Any

from kpi.models import PayRun
from people.models import User

State, Kind = PayRun.State, PayRun.Kind

# Which act is possible in which state; everything not written is refused (TRUST PM-S1).
ALLOWED: dict[str, frozenset[str]] = {
    "set_amount": frozenset({State.DRAFT, State.COMPUTED}),
    "compute": frozenset({State.DRAFT, State.COMPUTED}),
    "discard": frozenset({State.DRAFT, State.COMPUTED}),
    "take_over": frozenset({State.DRAFT, State.COMPUTED}),
    "sign_variance": frozenset({State.COMPUTED}),
    "submit": frozenset({State.COMPUTED}),
    "approve": frozenset({State.SUBMITTED}),
    "send_back": frozenset({State.SUBMITTED}),
    "export": frozenset({State.APPROVED, State.EXPORTED, State.CLOSED}),
    "close": frozenset({State.EXPORTED}),
    "answer": frozenset({State.EXPORTED, State.CLOSED}),
    "correct": frozenset({State.APPROVED, State.EXPORTED, State.CLOSED}),
    "follow": frozenset({State.APPROVED, State.EXPORTED, State.CLOSED}),
}
SETTLED = (State.APPROVED, State.EXPORTED, State.CLOSED)


class NotInThisState(Exception):
    """The run is in another step than this act needs; ``state`` is the one it is in by now."""

    def __init__(self, state: str):
        super().__init__(state)
        self.state = state


class RunExists(Exception):
    """There is a run of this cycle for this unit already."""

    def __init__(self, run: PayRun | None):
        super().__init__(run)
        self.run = run


class CycleNotPublished(Exception):
    """Results that are not published pay nobody."""


class WrongScope(Exception):
    """The unit does not lie within the cycle, or the pay rule is of another unit."""


class AmountMissing(Exception):
    """The rule shares out a given amount, and none was given."""


class NobodyToPay(Exception):
    """Nothing was computed, or there is nobody to pay."""


class NotThePreparer(Exception):
    """Only who prepares a run changes it; anybody else takes it over first."""


class SamePerson(Exception):
    """Who prepared a run does not check it (TRUST MC-15)."""


class PaidByIt(Exception):
    """Who prepares or checks a run is not paid by it (TRUST MC-15)."""


class NotAChecker(Exception):
    """The person asked to check holds no such duty for this unit."""


class VarianceNotSigned(Exception):
    """The difference to the last run must be looked at and signed before the run is submitted."""


class ReasonMissing(Exception):
    """Words are needed here."""


class RowsChanged(Exception):
    """The rows of the run are not the ones that were computed; ``fault`` names the first."""

    def __init__(self, fault: str):
        super().__init__(fault)
        self.fault = fault


def allowed(run: PayRun, act: str) -> bool:
    """This function will say whether an act is possible in the run's state."""
    return run.state in ALLOWED[act]


def require_allowed(run: PayRun, act: str) -> None:
    """This function will refuse an act that the run's state does not allow. Raises NotInThisState."""
    if not allowed(run, act):
        raise NotInThisState(run.state)


def require_own(run: PayRun, act: str, by: User) -> None:
    """This function will refuse who does not prepare the run, or a state that does not allow the act."""
    require_allowed(run, act)
    if run.prepared_by_id != by.pk:
        raise NotThePreparer


def move(run: PayRun, act: str, **values: Any) -> None:
    """This function will change a run's row if its state still allows the act. Raises NotInThisState for who comes second."""
    if not PayRun.objects.filter(pk=run.pk, state__in=ALLOWED[act]).update(**values):
        raise NotInThisState(PayRun.objects.filter(pk=run.pk).values_list("state", flat=True).first() or "")


def own_move(run: PayRun, act: str, by: User, **values: Any) -> None:
    """This function will do the same for what only the preparer does. Raises NotThePreparer too."""
    mine = PayRun.objects.filter(pk=run.pk, state__in=ALLOWED[act], prepared_by=by)
    if not mine.update(**values):
        state, preparer = PayRun.objects.filter(pk=run.pk).values_list("state", "prepared_by").first() or ("", None)
        raise NotThePreparer if state in ALLOWED[act] and preparer != by.pk else NotInThisState(state)
