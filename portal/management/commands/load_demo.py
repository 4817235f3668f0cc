"""Build the made-up company with its year, or print its sign-ins."""

import datetime as dt
import time

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from people.models import OrgUnit, RoleGrant, User
from portal.demo import company as story
from portal.demo.builder import PASSPHRASE, build_demo

PARTS = {
    story.EMPLOYEE: "employee        员工",
    story.MANAGER: "manager         主管",
    story.HR: "HR              人力资源",
    story.AUTHOR: "author          内容作者",
    story.MODERATOR: "moderator       内容审核",
    story.AUDITOR: "auditor         审计",
    story.ADMIN: "administrator   管理员",
}


class Command(BaseCommand):
    help = "Builds the demo company: units, people, courses and twelve months of learning. Never in production."

    def add_arguments(self, parser):
        parser.add_argument("--if-empty", action="store_true", help="do nothing if there are units already")
        parser.add_argument("--accounts", action="store_true", help="only print the sign-ins of the demo company")
        parser.add_argument("--people", type=int, default=400, help="about how many people (default 400)")
        parser.add_argument("--today", type=dt.date.fromisoformat, help="the last day of the story (YYYY-MM-DD)")

    def handle(self, *args, **options):
        if options["accounts"]:
            return self.print_accounts()
        if settings.SETTINGS_MODULE.endswith(".production"):
            raise CommandError("The demo company has well-known passwords and is never loaded in production.")
        if OrgUnit.objects.exists():
            if options["if_empty"]:
                return None
            raise CommandError("There are units already. The demo company needs an empty database.")
        if options["people"] < 1:
            raise CommandError("--people must be at least 1.")
        now = timezone.now()
        if options["today"]:
            now = timezone.make_aware(dt.datetime.combine(options["today"], dt.time(11, 20)))
        self.stdout.write("Building the demo company …")
        began = time.monotonic()
        say = self.stdout.write if options["verbosity"] > 1 else lambda text: None
        build_demo(people=options["people"], now=now, say=say)
        self.stdout.write(f"The demo company is ready ({time.monotonic() - began:.0f} s).")
        return None

    def print_accounts(self):
        """The sign-ins that exist; nothing in a house that is not the demo."""
        known = set(
            User.objects.filter(username__in=story.CAST_NUMBERS.values(), employee__email__endswith=story.DOMAIN)
            .exclude(password__startswith="!")  # noqa: S106
            .values_list("username", flat=True)
        )
        lines = [f"  {PARTS[part]}: {number}" for part, number in story.CAST_NUMBERS.items() if number in known]
        checkers = RoleGrant.objects.filter(role=RoleGrant.Role.PAY_CHECKER).values_list("user__username", flat=True)
        lines += [f"  second HR       人力资源（复核绩效工资）: {number}" for number in checkers if lines]
        if lines:
            self.stdout.write("Sign in with an employee number / 用工号登录：")
            self.stdout.write("\n".join(lines))
            self.stdout.write(f"  passphrase      密码: {PASSPHRASE}")
