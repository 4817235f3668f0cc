from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CoursesConfig(AppConfig):
    name = "courses"
    verbose_name = _("Courses")

    def ready(self):
        from courses import receivers  # noqa: F401

        # What waits in the queue asks these for its words right before it goes out.
        from courses.domain import digests, group_chats, nudging  # noqa: F401
