from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

# Django's own words, said our way: the catalogue of this app comes before Django's.
SAID_OUR_WAY = [
    gettext_noop("This field is required."),
    gettext_noop("Enter a whole number."),
    gettext_noop("Enter a valid date."),
    gettext_noop("Enter a valid email address."),
    gettext_noop("Select a valid choice. That choice is not one of the available choices."),
    gettext_noop("The submitted file is empty."),
    gettext_noop("No file was submitted. Check the encoding type on the form."),
]


class TrainingSiteConfig(AppConfig):
    name = "training_site"
    verbose_name = _("Training site")

    def ready(self):
        from training_site.cms import make_strict

        make_strict()
