"""Reads settings from the environment and refuses what it does not understand.

A secret may be given directly (``SECRET_KEY=...``) or as a file (``SECRET_KEY_FILE=/run/secrets/key``).
"""

import os
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

Network = IPv4Network | IPv6Network
TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


class SettingRefused(Exception):
    """A variable of the environment holds a value that has no meaning; the message names it and the cure."""


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, default)


def flag(name: str, default: bool) -> bool:
    value = os.environ.get(name)
    if value is None:
        return default
    if value.lower() in TRUE:
        return True
    if value.lower() in FALSE:
        return False
    raise SettingRefused(f"{name}={value!r}: write 1 or 0.")


def number(name: str, default: int) -> int:
    value = os.environ.get(name)
    if value is None:
        return default
    if not value.isascii() or not value.isdigit():
        raise SettingRefused(f"{name}={value!r}: write a whole number.")
    return int(value)


def choice(name: str, allowed: list[str]) -> str:
    """One of the allowed words; the first is the default."""
    value = os.environ.get(name, allowed[0])
    if value not in allowed:
        raise SettingRefused(f"{name}={value!r}: write one of {', '.join(allowed)}.")
    return value


def words(name: str, default: str = "") -> list[str]:
    """A list separated by commas or spaces."""
    return text(name, default).replace(",", " ").split()


def networks(name: str, default: str = "") -> list[Network]:
    """A list of addresses and networks (``10.0.0.5 172.18.0.0/16``)."""
    found: list[Network] = []
    for word in words(name, default):
        try:
            found.append(ip_network(word))
        except ValueError as error:
            raise SettingRefused(
                f"{name}: {word!r} is not an address (10.0.0.5) or a network (172.18.0.0/16)."
            ) from error
    return found


def secret(name: str) -> str | None:
    """The value of NAME, or the content of the file named by NAME_FILE; None when neither is set."""
    file_name = os.environ.get(f"{name}_FILE")
    if file_name:
        try:
            return Path(file_name).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingRefused(f"{name}_FILE={file_name!r}: the file cannot be read ({error.strerror}).") from error
    return os.environ.get(name)


def database(name: str, default_file: Path) -> dict:
    """A Django database from an address: postgres://user:password@host:port/name or sqlite:///file.

    Without a value: SQLite in ``default_file``. The SQLite options are what keeps an acknowledged write on the
    disk and many writers from refusing each other (docs/decisions/0004).
    """
    url = secret(name) or f"sqlite:///{default_file}"
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": unquote(parts.path[1:]) if parts.path != "/:memory:" else ":memory:",
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": (
                    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                    "PRAGMA mmap_size=134217728; PRAGMA journal_size_limit=27103364; PRAGMA cache_size=-20000;"
                ),
            },
        }
    if parts.scheme in {"postgres", "postgresql"}:
        options = dict(parse_qsl(parts.query))
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path[1:]),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": options.pop("host", parts.hostname or ""),
            "PORT": str(parts.port or ""),
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": options,
        }
    raise SettingRefused(f"{name}: {parts.scheme!r} is not known; write postgres://… or sqlite:///….")
