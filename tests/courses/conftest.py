import threading

import pytest
from django.db import connection

from tests import conftest as databases


@pytest.fixture
def own_database(django_db_setup, django_db_blocker):
    """A database of its own that really commits, for races between threads.

    (pytest-django's transactional tests empty every table afterwards, which the append-only tables refuse.)
    """
    before = connection.settings_dict["NAME"]
    with django_db_blocker.unblock():
        close = databases._sqlite("race") if connection.vendor == "sqlite" else databases._postgresql("race")
        yield
        close()
        databases._use(before)


@pytest.fixture
def at_once(own_database):
    """Runs functions at the same moment, each in its own thread, and returns their results or exceptions in order."""

    def run(*functions):
        gate, results = threading.Barrier(len(functions)), [None] * len(functions)

        def call(place, function):
            gate.wait()
            try:
                results[place] = function()
            except Exception as problem:  # noqa: BLE001
                results[place] = problem
            finally:
                connection.close()

        threads = [threading.Thread(target=call, args=pair) for pair in enumerate(functions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    return run
