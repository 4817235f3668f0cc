from tests.courses.conftest import at_once, own_database  # noqa: F401  (fixtures of the races)
