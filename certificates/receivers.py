"""Publishing a design in the content admin freezes its next version."""

from django.dispatch import receiver
from django.utils import timezone
from wagtail.signals import published

from certificates.domain.issuing import publish_design
from certificates.models import CertificateDesign


@receiver(published, sender=CertificateDesign)
def freeze_design(sender, instance, **kwargs):
    publish_design(design=instance, at=timezone.now())
