import pytest

from tests.factories.honours import House


@pytest.fixture
def house():
    return House()
