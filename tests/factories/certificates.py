"""Designs and certificates for tests."""

from certificates.domain.issuing import issue_certificate, publish_design
from certificates.models import CertificateDesign


def make_design(at, name="结业证书", **fields):
    """A published design."""
    design = CertificateDesign.objects.create(name=name, **fields)
    publish_design(design=design, at=at)
    return design


def make_certificate(employee, at, design=None, subject_zh="销售礼仪", subject_en="Sales etiquette"):
    design = design or CertificateDesign.objects.first() or make_design(at)
    return issue_certificate(employee=employee, design=design, subject_zh=subject_zh, subject_en=subject_en, at=at)
