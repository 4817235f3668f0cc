"""Sharing money out: exact fractions in, whole fen out, nothing lost and nothing made (DOMAIN T-02).

Knows people only as claims: what each is owed by the rule (``raw``, exact, in fen), at least (``floor``) and at most
(``cap``). The order in which things happen, stated once:

1. Everybody's part is ``raw`` times one ratio. Whoever would get more than the cap gets the cap, whoever would get less
   than the floor gets the floor, and what that frees or takes changes the ratio of the others, until nobody is beyond.
   In each round the side that moves more money is held first (ties: both); so the result is the one ratio at which the
   parts, each held within its limits, add up to the amount. It does not depend on the order of the list.
2. Every part is floored to the fen.
3. The fen that are left over go one each to the largest remainders; of equal remainders to the lower key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any

from core.money import half_up

CAP, FLOOR, FREE = "cap", "floor", ""


class CannotBeShared(Exception):
    """The amount cannot be shared out within the limits: ``amount`` lies outside ``least`` to ``most`` (fen; None: no limit)."""

    def __init__(self, amount: int, least: int, most: int | None):
        super().__init__(f"{amount} lies outside {least}–{most}")
        self.amount, self.least, self.most = amount, least, most


@dataclass(frozen=True, slots=True)
class Claim:
    """What one is owed: exact fen, and the limits. ``key`` decides between equal remainders, the lower one first."""

    key: Any
    raw: Fraction
    floor: int = 0
    cap: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What one gets: the floored share, the left-over fen, and the limit it was held at."""

    share: int
    extra: int = 0
    bound: str = FREE

    @property
    def paid(self) -> int:
        return self.share + self.extra


@dataclass(frozen=True)
class Shared:
    """The parts in the order of the claims, and the ratio at which what is not held at a limit was paid."""

    parts: list[Part]
    ratio: Fraction

    @property
    def paid(self) -> int:
        return sum(part.paid for part in self.parts)


@dataclass(frozen=True)
class Group:
    """One unit in a sharing-out of two steps: its own weight, and the people in it."""

    key: Any
    weight: Fraction
    claims: Sequence[Claim]


def share_out(amount: int, claims: Sequence[Claim]) -> Shared:
    """This function will share exactly ``amount`` fen out among the claims. Raises CannotBeShared."""
    least, most = _limits(claims)
    if amount < least or (most is not None and amount > most):
        raise CannotBeShared(amount, least, most)
    numbers, scale = _whole([claim.raw for claim in claims])
    held: dict[int, str] = {}
    free, left = list(range(len(claims))), amount
    while True:
        total = sum(numbers[i] for i in free)
        over = [i for i in free if (cap := claims[i].cap) is not None and numbers[i] * left > cap * total]
        under = [i for i in free if numbers[i] * left < claims[i].floor * total]
        if not over and not under:
            break
        # All in parts of ``total``, so that no fraction is needed.
        cut = sum(numbers[i] * left - (claims[i].cap or 0) * total for i in over)
        lifted = sum(claims[i].floor * total - numbers[i] * left for i in under)
        for side, kind, moves in ((over, CAP, cut >= lifted), (under, FLOOR, lifted >= cut)):
            for i in side if moves else ():
                held[i] = kind
                left -= _limit(claims[i], kind)
        free = [i for i in free if i not in held]
    if not total:  # nobody left is owed anything: floors are paid all the same
        held |= {i: FLOOR for i in free if claims[i].floor}
    parts = [Part(_limit(claim, held[i]), 0, held[i]) if i in held else Part(0) for i, claim in enumerate(claims)]
    if total:
        shared = _to_the_fen([(numbers[i] * left, claims[i].key) for i in free], total, left)
        for i, part in zip(free, shared, strict=True):
            parts[i] = part
    return Shared(parts, _ratio(left, total, scale, amount, claims))


def pay_at(price: Fraction, claims: Sequence[Claim]) -> Shared:
    """This function will pay every claim ``raw`` times a price, within its limits: an open pool.

    The exact sum is rounded to the fen once, half up, and handed out like any other amount.
    """
    bounds, exact = [], []
    for claim in claims:
        value, bound = claim.raw * price, FREE
        if claim.cap is not None and value > claim.cap:
            value, bound = Fraction(claim.cap), CAP
        elif value < claim.floor:
            value, bound = Fraction(claim.floor), FLOOR
        exact.append(value)
        bounds.append(bound)
    numbers, scale = _whole(exact)
    amount = half_up(Fraction(sum(numbers), scale))
    shared = _to_the_fen([(n, claim.key) for n, claim in zip(numbers, claims, strict=True)], scale, amount)
    return Shared(
        [Part(part.share, part.extra, bound) for part, bound in zip(shared, bounds, strict=True)], Fraction(price)
    )


def pay_at_most(amount: int, claims: Sequence[Claim]) -> Shared:
    """This function will pay every claim in full if the amount is enough, else share the amount out: a ceiling."""
    whole = pay_at(Fraction(1), claims)
    return whole if whole.paid <= amount else share_out(amount, claims)


def share_in_two_steps(amount: int, groups: Sequence[Group]) -> tuple[list[Part], list[Shared]]:
    """This function will share an amount out among groups by their weights, and each group's part among its people.

    A group never gets less than the floors of its people, nor more than their caps: what one group cannot take goes to
    the others. Returns each group's part and how it was shared, in the order given. Raises CannotBeShared.
    """
    claims = []
    for group in groups:
        least, most = _limits(group.claims)
        claims.append(Claim(group.key, group.weight, least, most))
    units = share_out(amount, claims)
    return units.parts, [share_out(part.paid, group.claims) for part, group in zip(units.parts, groups, strict=True)]


def _limit(claim: Claim, kind: str) -> int:
    return (claim.cap or 0) if kind == CAP else claim.floor


def _limits(claims: Sequence[Claim]) -> tuple[int, int | None]:
    """The least and the most that the claims can be paid together. Who is owed nothing gets the floor and no more."""
    least, most = 0, 0
    unlimited = False
    for claim in claims:
        if claim.floor < 0 or claim.raw < 0 or (claim.cap is not None and claim.cap < claim.floor):
            raise ValueError(claim)
        least += claim.floor
        if not claim.raw:
            most += claim.floor
        elif claim.cap is None:
            unlimited = True
        else:
            most += claim.cap
    return least, None if unlimited else most


def _whole(values: Sequence[Fraction]) -> tuple[list[int], int]:
    """The values as whole numbers over one denominator."""
    scale = lcm(*{value.denominator for value in values}) if values else 1
    return [value.numerator * (scale // value.denominator) for value in values], scale


def _to_the_fen(values: Sequence[tuple[int, Any]], denominator: int, amount: int) -> list[Part]:
    """Floor each value/denominator; the fen missing from the amount go to the largest remainders, ties to the lower key."""
    shares = [number // denominator for number, _key in values]
    remainders = [number % denominator for number, _key in values]
    missing = amount - sum(shares)
    extra = set(sorted(range(len(values)), key=lambda i: (-remainders[i], values[i][1]))[:missing])
    return [Part(share, int(i in extra)) for i, share in enumerate(shares)]


def _ratio(left: int, total: int, scale: int, amount: int, claims: Sequence[Claim]) -> Fraction:
    """What one raw fen was paid at: of those between their limits, or of all where everybody stands at one."""
    if total:
        return Fraction(left * scale, total)
    raw = sum((claim.raw for claim in claims), Fraction(0))
    return Fraction(amount) / raw if raw else Fraction(0)


def number_order(number: str) -> tuple:
    """This function will return the key by which employee numbers are put in order: 99 before 100, 007 before 7."""
    parts, digits = [], ""
    for sign in [*number, ""]:
        if sign.isascii() and sign.isdigit() and sign:
            digits += sign
            continue
        if digits:
            parts.append((0, int(digits), ""))
            digits = ""
        if sign:
            parts.append((1, 0, sign))
    return (*parts, (-1, 0, number))
