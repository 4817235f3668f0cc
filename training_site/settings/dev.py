"""A laptop: runs from a fresh clone with no variable set. Keys are made once and kept in var/."""

from django.core.management.utils import get_random_secret_key

from training_site import env
from training_site.settings.base import *  # noqa: F403
from training_site.settings.base import EVENT_CHAIN_KEY, VAR_DIR


def _kept_key(name: str) -> str:
    """The key kept in var/NAME, made at the first start."""
    file = VAR_DIR / name
    if not file.exists():
        VAR_DIR.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(get_random_secret_key(), encoding="utf-8")
    return file.read_text(encoding="utf-8")


DEBUG = env.flag("DEBUG", False)
SECRET_KEY = env.secret("SECRET_KEY") or _kept_key("secret-key")
EVENT_CHAIN_KEY = EVENT_CHAIN_KEY or _kept_key("event-chain-key")
BADGE_KEY_MADE_AT = VAR_DIR / "badge-key.pem"
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "127.0.0.1 localhost [::1]")
STYLEGUIDE = True
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
