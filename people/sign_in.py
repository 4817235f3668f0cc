"""Signing in: who a typed name means, how passwords are hashed and which are refused."""

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2Hasher(Argon2PasswordHasher):
    """Argon2id with 19 MiB, two passes, one lane: the OWASP minimum, about a tenth of Django's default (TRUST SC-33)."""

    memory_cost = 19 * 1024
    time_cost = 2
    parallelism = 1


class EmployeeNumberBackend(ModelBackend):
    pass


class MaximumLengthValidator:
    pass


class OwnNameValidator:
    pass
