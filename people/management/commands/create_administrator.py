"""Makes the first administrator: a sign-in with the administrator role and no default password."""

import getpass
import sys

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from people.domain.roles import grant_role
from people.models import RoleGrant, User


class Command(BaseCommand):
    help = "Make a sign-in with the administrator role. The password is asked for; it is never an argument."

    def add_arguments(self, parser):
        parser.add_argument("username", help="the name to sign in with")
        parser.add_argument("--name", default="", help="the person's name")
        parser.add_argument("--email", default="")
        parser.add_argument("--password-stdin", action="store_true", help="read the password from one line of input")

    def handle(self, *args, username, name, email, password_stdin, **options):
        if User.objects.filter(username=username).exists():
            raise CommandError(f"There is a sign-in {username!r} already. An administrator can give it the role.")
        user = User(username=username, first_name=name, email=email)
        try:
            user.full_clean(exclude=["password"])
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        password = sys.stdin.readline().rstrip("\r\n") if password_stdin else self.ask(user)
        try:
            validate_password(password, user)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        with transaction.atomic():
            user.set_password(password)
            user.save()
            grant_role(user=user, role=RoleGrant.Role.ADMIN, by=None, at=timezone.now())
        self.stdout.write(f"{username} is an administrator and can sign in.")

    def ask(self, user) -> str:
        """Ask twice at the terminal, until both are the same and good."""
        while True:
            password = getpass.getpass("Password (at least 15 characters): ")
            try:
                validate_password(password, user)
            except ValidationError as error:
                self.stderr.write(" ".join(error.messages))
                continue
            if getpass.getpass("Once more: ") == password:
                return password
            self.stderr.write("The two differ.")
