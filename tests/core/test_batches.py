import pytest

from core.batches import batches


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], []), ([1], [[1]]), ([1, 2], [[1, 2]]), ((n for n in range(5)), [[0, 1], [2, 3], [4]])],
)
def test_batches_are_as_long_as_asked_for_and_the_last_one_shorter(values, expected):
    assert list(batches(values, 2)) == expected
