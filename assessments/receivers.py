"""Wagtail says that a question was published; its version is frozen then."""

import logging

from django.dispatch import receiver
from django.utils import timezone
from wagtail.signals import published

from assessments.domain.bank import QuestionFaulty, publish_version
from assessments.models import Question

log = logging.getLogger(__name__)


@receiver(published, sender=Question, dispatch_uid="assessments.freeze_version")
def freeze_version(sender, instance, **kwargs):
    """Publish through the form checks first; what slips past it (a schedule, a workflow over an old draft) is not drawn."""
    if not instance.live:
        return
    try:
        publish_version(question=instance, at=instance.last_published_at or timezone.now())
    except QuestionFaulty as problem:
        log.error("question %s was published but cannot be asked: %s", instance.key, problem)
