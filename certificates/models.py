"""Certificates: a design laid out by an author, its frozen versions, and what was issued with them.

This app knows how to issue and print, never why: the cause (an enrolment, an award) points down to the certificate.
"""

import re

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from wagtail.admin.panels import FieldPanel, FieldRowPanel, HelpPanel, MultiFieldPanel
from wagtail.models import DraftStateMixin, PreviewableMixin, RevisionMixin

from people.models import Employee


class CertificateDesign(PreviewableMixin, DraftStateMixin, RevisionMixin, models.Model):
    """What a kind of certificate says and looks like, edited by authors.

    The sentences may hold {name}, {course}, {date}, {number} and {company}. Publishing freezes a DesignVersion; a
    certificate points at the version it was issued with, so a later change of the design alters nothing issued.
    """

    class Border(models.TextChoices):
        RIBBON = "ribbon", _("double rule")
        GUILLOCHE = "guilloche", _("guilloche")
        PLAIN = "plain", _("plain")

    name = models.CharField(_("name of the design"), max_length=100, unique=True)
    title_zh = models.CharField(_("title (Chinese)"), max_length=40, default="结业证书")
    title_en = models.CharField(_("title (English)"), max_length=80, default="Certificate of Completion")
    sentence_zh = models.TextField(
        _("sentence (Chinese)"), default="已完成课程《{course}》的全部学习并通过考核，成绩合格，特发此证。"
    )
    sentence_en = models.TextField(
        _("sentence (English)"), default="has completed the course “{course}” and passed its assessment."
    )
    issuer_zh = models.CharField(_("issuer (Chinese)"), max_length=80, default="集团培训中心")
    issuer_en = models.CharField(_("issuer (English)"), max_length=120, default="Group Training Centre")
    signatory_zh = models.CharField(_("signatory (Chinese)"), max_length=40, blank=True)
    signatory_en = models.CharField(_("signatory (English)"), max_length=80, blank=True)
    seal_text = models.CharField(_("words round the seal"), max_length=24, default="集团培训中心")
    border = models.CharField(_("border"), max_length=10, choices=Border.choices, default=Border.GUILLOCHE)
    accent = models.CharField(
        _("accent colour"),
        max_length=7,
        default="#8A6D3B",
        validators=[RegexValidator(r"^#[0-9A-Fa-f]{6}$", _("Write a colour like #8A6D3B."))],
    )
    valid_months = models.PositiveSmallIntegerField(
        _("valid for (months)"), null=True, blank=True, help_text=_("Leave empty for a certificate that never expires.")
    )

    panels = [
        FieldPanel("name"),
        HelpPanel(_("The sentences may hold {name}, {course}, {date}, {number} and {company}.")),
        MultiFieldPanel(
            [
                FieldRowPanel([FieldPanel("title_zh"), FieldPanel("title_en")]),
                FieldPanel("sentence_zh"),
                FieldPanel("sentence_en"),
            ],
            heading=_("Words"),
        ),
        MultiFieldPanel(
            [
                FieldRowPanel([FieldPanel("issuer_zh"), FieldPanel("issuer_en")]),
                FieldRowPanel([FieldPanel("signatory_zh"), FieldPanel("signatory_en")]),
                FieldPanel("seal_text"),
            ],
            heading=_("Issuer"),
        ),
        MultiFieldPanel(
            [FieldRowPanel([FieldPanel("border"), FieldPanel("accent")]), FieldPanel("valid_months")],
            heading=_("Look and validity"),
        ),
    ]

    class Meta:
        ordering = ["name"]
        verbose_name = _("certificate design")
        verbose_name_plural = _("certificate designs")

    def __str__(self):
        return self.name

    def clean(self):
        for field in ("sentence_zh", "sentence_en"):
            unknown = set(re.findall(r"\{(.*?)\}", getattr(self, field))) - set(PLACES)
            if unknown:
                raise ValidationError(
                    {field: _("Nothing is known by the name {%(name)s}.") % {"name": sorted(unknown)[0]}}
                )

    def get_preview_template(self, request, mode_name):
        return "certificates/design_preview.html"

    def get_preview_context(self, request, mode_name):
        """A sample person, so that authors see what the design gives."""
        words = {
            "name": "王晓琳",
            "course": "销售礼仪",
            "number": "2026-000001",
            "company": self.issuer_zh,
            "date": "2026年11月22日",
        }
        words_en = {
            **words, "name": "Wang Xiaolin", "course": "Sales etiquette", "company": self.issuer_en, "date": "22 November 2026",
        }  # fmt: skip
        sample = Certificate(
            number="2026-000001",
            holder="王晓琳",
            holder_latin="Wang Xiaolin",
            sentence_zh=fill(self.sentence_zh, words),
            sentence_en=fill(self.sentence_en, words_en),
            issued_at=timezone.now(),
        )
        return {"request": request, "certificate": sample, "design": self, "state": "valid"}


PLACES = ("name", "course", "date", "number", "company")


def fill(sentence: str, words: dict[str, str]) -> str:
    """Put the words in for their {names}. Plain replacement: a sentence is text, never a format to be run."""
    for name, word in words.items():
        sentence = sentence.replace("{" + name + "}", word)
    return sentence


class DesignVersion(models.Model):
    """A design as it was published: never edited. ``content`` holds every field a certificate is drawn from."""

    design = models.ForeignKey(CertificateDesign, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    content = models.JSONField(encoder=DjangoJSONEncoder)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["design", "-number"]
        constraints = [models.UniqueConstraint(fields=["design", "number"], name="design_version_once")]

    def __str__(self):
        return f"{self.design} v{self.number}"


class Certificate(models.Model):
    """One certificate of one person: the finished words, its number and check code.

    Later changes of name, course or design alter nothing here. ``code`` (128 bits of chance) opens the public page;
    knowing the number does not. Issue and revoke through certificates.domain.issuing.
    """

    number = models.CharField(_("number"), max_length=30, unique=True)
    code = models.CharField(max_length=32, unique=True)
    employee = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="certificates")
    design_version = models.ForeignKey(DesignVersion, on_delete=models.PROTECT, related_name="certificates")
    holder = models.CharField(_("holder"), max_length=100)
    holder_latin = models.CharField(max_length=100, blank=True)
    subject_zh = models.CharField(max_length=200)
    subject_en = models.CharField(max_length=200)
    sentence_zh = models.TextField()
    sentence_en = models.TextField()
    issued_at = models.DateTimeField(_("issued"))
    expires_on = models.DateField(_("valid until"), null=True)
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    revoked_reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-issued_at", "-pk"]
        verbose_name = _("certificate")
        verbose_name_plural = _("certificates")
        constraints = [
            models.CheckConstraint(
                condition=Q(revoked_at=None, revoked_reason="") | (Q(revoked_at__isnull=False) & ~Q(revoked_reason="")),
                name="revoked_with_reason",
            ),
        ]
        indexes = [models.Index(fields=["employee", "-issued_at"], name="certificate_of_employee")]

    def __str__(self):
        return self.number

    @property
    def subject(self) -> str:
        """What it was given for, in the active language."""
        return self.subject_en if (get_language() or "").startswith("en") else self.subject_zh


class NumberSeries(models.Model):
    """The last certificate number given in a year; numbers are taken by one conditional update."""

    year = models.PositiveSmallIntegerField(primary_key=True)
    last = models.PositiveIntegerField(default=0)

    def __str__(self):
        return f"{self.year}: {self.last}"
