from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from core.periods import Month
from courses.domain import closing
from courses.models import MonthClose
from people.models import OrgUnit


class Command(BaseCommand):
    help = (
        "Closes a month. Alone it says what is open; --begin, --sign-all and --close do the three acts, together or one "
        "by one. Safe to run twice. --verify checks a closed month (exit code 1 when something does not match)."
    )

    def add_arguments(self, parser):
        parser.add_argument("month", help="like 2026-11")
        parser.add_argument("--begin", action="store_true", help="begin closing; every course of the month must be due")
        parser.add_argument("--sign-all", action="store_true", help="sign every unit that is not signed")
        parser.add_argument(
            "--close", action="store_true", help="freeze and seal the figures; every root must be signed"
        )
        parser.add_argument("--verify", action="store_true", help="check figures, signatures, chain and history")

    def handle(self, *, begin, sign_all, close, verify, **options):
        try:
            month = Month.parse(options["month"])
        except ValueError as error:
            raise CommandError(str(error)) from error
        try:
            if begin:
                closing.begin_close(month=month, by=None, at=timezone.now())
                self.stdout.write(f"{month}: begun")
            if sign_all:
                self._sign(self._found(month))
            if close:
                fresh = closing.close_month(close=self._found(month), by=None, at=timezone.now())
                self.stdout.write(f"{month}: {'closed' if fresh else 'was closed before'}")
        except closing.NotDueYet as refusal:
            raise CommandError(f"{month}: a course is not due yet.") from refusal
        except closing.NothingToClose as refusal:
            raise CommandError(f"{month}: no course was opened, so there is nothing to close.") from refusal
        except closing.MonthClosed:
            self.stdout.write(f"{month}: was closed before")
        except closing.BelowNotSigned as refusal:
            raise CommandError(f"{month}: not signed: {self._codes(refusal.units)}") from refusal
        except closing.FiguresChanged as refusal:
            codes = self._codes(refusal.units)
            raise CommandError(f"{month}: changed since signed, sign them anew (--sign-all): {codes}") from refusal
        if verify:
            self._verify(self._found(month))
        elif not (begin or sign_all or close):
            self._say(month)

    def _found(self, month) -> MonthClose:
        close = MonthClose.objects.filter(month=month).first()
        if close is None:
            raise CommandError(f"{month}: closing has not begun (--begin).")
        return close

    @staticmethod
    def _codes(units) -> str:
        return ", ".join(unit.code for unit in units[:20]) + (" …" if len(units) > 20 else "")

    def _sign(self, close):
        at = timezone.now()
        with_duties = closing.month_figures(month=close.month)
        for root in OrgUnit.objects.filter(depth=1):
            if root.pk in with_duties:
                closing.sign_below(close=close, unit=root, by=None, at=at)
                closing.sign_off(close=close, unit=root, by=None, at=at)
        stand = closing.signing(month=close.month, close=close).values()
        self.stdout.write(f"{close.month}: {sum(one.is_signed for one in stand)} of {len(stand)} units signed")

    def _verify(self, close):
        if close.state != MonthClose.State.CLOSED:
            raise CommandError(f"{close.month}: is not closed.")
        found = closing.verify_close(close=close)
        for what in ("figures", "chain", "signatures", "history"):
            self.stdout.write(f"{close.month}: {what} {'sound' if getattr(found, what) else 'DO NOT MATCH'}")
        if not found.sound:
            raise CommandError(f"{close.month}: does not match what was sealed.")

    def _say(self, month):
        close = MonthClose.objects.filter(month=month).first()
        self.stdout.write(f"{month}: {close.state if close else 'not begun'}")
        for item in closing.checklist(month=month, at=timezone.now()):
            self.stdout.write(f"  {item.key}: {item.count}{' (blocks)' if item.blocks and item.count else ''}")
        self.stdout.write(f"  drift: {len(closing.drift(month=month))}")
