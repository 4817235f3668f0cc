"""Fixtures of every test, and the database they run on.

Migrating an empty database takes far longer than most tests, so it is done once per set of migrations and kept as a
template in var/test-databases; each run copies it (SQLite: a file in memory-backed storage; PostgreSQL: CREATE DATABASE … TEMPLATE).
"""

import fcntl
import hashlib
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test.utils import get_unique_databases_and_mirrors

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = ROOT / "var" / "test-databases"


def _migrations_hash() -> str:
    """One hash over every migration of ours and the pinned packages: a change makes a new template."""
    digest = hashlib.sha256()
    for file in [
        *sorted(ROOT.glob("*/migrations/*.py")),
        ROOT / "core" / "append_only.py",
        ROOT / "requirements" / "run.txt",
    ]:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]


@pytest.fixture(scope="session")
def django_db_setup(request, django_test_environment, django_db_blocker):
    """Replaces pytest-django's: a copy of the migrated template instead of migrating."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with django_db_blocker.unblock():
        get_unique_databases_and_mirrors()
        close = _sqlite(worker) if connection.vendor == "sqlite" else _postgresql(worker)
    yield
    with django_db_blocker.unblock():
        close()


def _sqlite(worker: str):
    template = TEMPLATES / f"{_migrations_hash()}.sqlite3"
    TEMPLATES.mkdir(parents=True, exist_ok=True)
    with (TEMPLATES / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one process makes the template, the others wait
        if not template.exists():
            for leftover in TEMPLATES.glob("*.sqlite3*"):
                leftover.unlink()
            making = TEMPLATES / f"{template.name}.making"
            _use(str(making))
            call_command("migrate", verbosity=0)
            connection.close()
            with sqlite3.connect(making) as raw:
                raw.execute("PRAGMA journal_mode=DELETE")
            raw.close()
            making.replace(template)
    folder = tempfile.mkdtemp(prefix=f"test-db-{worker}-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    copy = Path(folder) / "test.sqlite3"
    shutil.copyfile(template, copy)
    _use(str(copy))

    def close():
        connection.close()
        shutil.rmtree(folder, ignore_errors=True)

    return close


def _postgresql(worker: str):
    template, name = f"training_{_migrations_hash()}", f"training_{os.getpid()}_{worker}"
    real = settings.DATABASES["default"]["NAME"]
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(20261122)")  # one worker makes the template, the others wait
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [template])
        if not cursor.fetchone():
            making = f"{template}_making"
            cursor.execute(f'DROP DATABASE IF EXISTS "{making}"')
            cursor.execute(f"CREATE DATABASE \"{making}\" TEMPLATE template0 ENCODING 'UTF8'")
            _use(making)
            call_command("migrate", verbosity=0)
            connection.close()
            cursor.execute(f'ALTER DATABASE "{making}" RENAME TO "{template}"')
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}"')
        cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        cursor.execute("SELECT pg_advisory_unlock(20261122)")
    _use(name)

    def close():
        connection.close()
        _use(real)
        with connection._nodb_cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    return close


def _use(name: str) -> None:
    connection.close()
    settings.DATABASES["default"]["NAME"] = name
    connection.settings_dict["NAME"] = name


@pytest.fixture
def at():
    """A fixed moment: Wednesday 18 November 2026, 10:00 in Shanghai."""
    import datetime as dt
    from zoneinfo import ZoneInfo

    return dt.datetime(2026, 11, 18, 10, 0, tzinfo=ZoneInfo("Asia/Shanghai"))


@pytest.fixture(autouse=True)
def nothing_remembered():
    """What a process keeps of rows that never change belongs to one database: the next test has rows of its own."""
    from django.core.cache import cache

    from assessments.domain import attempts
    from certificates.domain import rendering

    cache.clear()
    attempts._content.cache_clear()
    rendering._sheet.cache_clear()


@pytest.fixture(autouse=True)
def nobody_has_chosen():
    """A request leaves its person's language and time zone with the thread: the next test begins with those of the house."""
    from django.utils import timezone, translation

    translation.deactivate()
    timezone.deactivate()
