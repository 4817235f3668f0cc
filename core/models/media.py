"""Pictures and files used in content: our own models, so that fields can be added without moving anything."""

from django.db import models
from wagtail.documents.models import AbstractDocument, Document
from wagtail.images.models import AbstractImage, AbstractRendition, Image


class Picture(AbstractImage):
    """A picture used in a page. Its ``description`` is the text read out in place of the picture."""

    admin_form_fields = Image.admin_form_fields


class Rendition(AbstractRendition):
    """A picture cut or scaled for one use."""

    image = models.ForeignKey(Picture, on_delete=models.CASCADE, related_name="renditions")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["image", "filter_spec", "focal_point_key"], name="rendition_once"),
        ]


class File(AbstractDocument):
    """A file offered in a page: a checklist, a sheet, a film."""

    admin_form_fields = Document.admin_form_fields
