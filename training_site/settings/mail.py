"""Where e-mail goes: the mail server of the environment; without one, nowhere that looks like delivered."""

from training_site import env

EMAIL_HOST = env.text("EMAIL_HOST").strip()
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.secret("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_SSL = env.flag("EMAIL_USE_SSL", False)
# Mail leaves this machine sealed unless somebody says otherwise; on the machine itself there is nobody to seal it from.
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", not EMAIL_USE_SSL and EMAIL_HOST not in {"", "localhost", "127.0.0.1", "::1"})
EMAIL_PORT = env.number("EMAIL_PORT", 465 if EMAIL_USE_SSL else 587 if EMAIL_USE_TLS else 25)
EMAIL_TIMEOUT = env.number("EMAIL_TIMEOUT", 10)

if EMAIL_USE_TLS and EMAIL_USE_SSL:
    raise env.SettingRefused(
        "EMAIL_USE_TLS and EMAIL_USE_SSL are both on: choose EMAIL_USE_TLS for port 587 or EMAIL_USE_SSL for port 465."
    )
if not 1 <= EMAIL_PORT <= 65535:
    raise env.SettingRefused(f"EMAIL_PORT={EMAIL_PORT}: write a number from 1 to 65535.")
if EMAIL_TIMEOUT < 1:
    raise env.SettingRefused("EMAIL_TIMEOUT=0: write how many seconds to wait for the mail server, at least 1.")
if EMAIL_HOST and bool(EMAIL_HOST_USER) != bool(EMAIL_HOST_PASSWORD):
    raise env.SettingRefused(
        "EMAIL_HOST_USER and EMAIL_HOST_PASSWORD go together: set both, or none if the mail server asks for neither."
    )

NO_MAIL = EMAIL_HOST.lower() == "none"  # said in so many words: this house hands its links over on paper
if NO_MAIL:
    EMAIL_HOST = ""
EMAIL_BACKEND = env.text("EMAIL_BACKEND")
if not EMAIL_BACKEND:
    if EMAIL_HOST:
        EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    elif NO_MAIL:
        EMAIL_BACKEND = "training_site.mail.NoMail"
# Mail servers refuse a sender that is not theirs; who signs in there by address may send as that address.
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL") or (
    EMAIL_HOST_USER if "@" in EMAIL_HOST_USER else "training@localhost"
)
SERVER_EMAIL = DEFAULT_FROM_EMAIL
