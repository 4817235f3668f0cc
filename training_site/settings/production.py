"""Production: every secret is given, cookies are bound to the host, plain HTTP is refused."""

from training_site import env
from training_site.settings.base import *  # noqa: F403
from training_site.settings.base import BEHIND_PROXY, EVENT_CHAIN_KEY, STORAGES
from training_site.settings.mail import EMAIL_BACKEND

DEBUG = False
STYLEGUIDE = False
SECRET_KEY = env.secret("SECRET_KEY") or ""
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")

for _name, _value in (
    ("SECRET_KEY", SECRET_KEY),
    ("EVENT_CHAIN_KEY", EVENT_CHAIN_KEY),
    ("ALLOWED_HOSTS", ALLOWED_HOSTS),
):
    if not _value:
        raise env.SettingRefused(
            f"{_name} is not set. Production does not start without it; see docs/en/administrator.md."
        )

if not EMAIL_BACKEND:
    raise env.SettingRefused(
        "EMAIL_HOST is not set: nobody would get an invitation by e-mail. Write the name of the mail server (localhost if "
        "this machine sends mail itself), or EMAIL_HOST=none to hand the links over on paper; see docs/en/administrator.md."
    )

SECURE_SSL_REDIRECT = env.flag("SECURE_SSL_REDIRECT", True)
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SECURE_HSTS_SECONDS = env.number("SECURE_HSTS_SECONDS", 31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.flag("SECURE_HSTS_INCLUDE_SUBDOMAINS", False)
if BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_NAME = "__Host-session"
CSRF_COOKIE_SECURE = True
CSRF_COOKIE_NAME = "__Host-csrf"
STORAGES["staticfiles"] = {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}
