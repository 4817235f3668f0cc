"""The tests: fast hashing, jobs in the request, mail in memory. DATABASE_URL chooses PostgreSQL."""

import atexit
import shutil
import tempfile
from pathlib import Path

from training_site.settings.base import *  # noqa: F403
from training_site.settings.base import DATABASES, STORAGES

DEBUG = False
SECRET_KEY = "for-tests-only-" + "x" * 40
EVENT_CHAIN_KEY = "for-tests-only"
ALLOWED_HOSTS = ["testserver", "127.0.0.1", "localhost"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
MEDIA_ROOT = Path(tempfile.mkdtemp(prefix="test-media-"))
PRIVATE_ROOT = Path(tempfile.mkdtemp(prefix="test-private-"))
STORAGES["private"]["OPTIONS"]["location"] = PRIVATE_ROOT
for _folder in (MEDIA_ROOT, PRIVATE_ROOT):  # they go with the process
    atexit.register(shutil.rmtree, _folder, ignore_errors=True)
JOBS = "immediate"
BADGE_KEY_MADE_AT = PRIVATE_ROOT / "badge-key.pem"
STYLEGUIDE = True
WHITENOISE_AUTOREFRESH = True
WHITENOISE_USE_FINDERS = True
DATABASES["default"].setdefault("TEST", {})
