"""Events of the content tree that we do not own: each ends in one call of courses.domain.publishing."""

from django.db.models.signals import post_delete
from django.dispatch import receiver
from wagtail.models import Page
from wagtail.signals import page_published, page_unpublished, post_page_move

from courses import rendering
from courses.domain.publishing import sync_course, sync_courses_at


@receiver([page_published, page_unpublished])
def page_changed(sender, instance, **kwargs):
    sync_courses_at([instance.path])
    if instance.live:
        rendering.prepare(instance)


@receiver(post_page_move)
def page_moved(sender, instance, parent_page_before, parent_page_after, **kwargs):
    sync_courses_at([instance.path, parent_page_before.path, parent_page_after.path])


@receiver(post_delete, sender=Page)
def page_deleted(sender, instance, **kwargs):
    sync_course(instance)
    sync_courses_at([instance.path])
