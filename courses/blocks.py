"""The blocks lessons are made of."""

from django.utils.translation import gettext_lazy as _
from wagtail import blocks
from wagtail.documents.blocks import DocumentChooserBlock
from wagtail.images.blocks import ImageChooserBlock


class TextBlock(blocks.RichTextBlock):
    def __init__(self, **kwargs):
        kwargs.setdefault("features", ["h2", "h3", "bold", "italic", "ol", "ul", "link", "document-link", "hr"])
        super().__init__(**kwargs)

    class Meta:
        icon = "pilcrow"
        label = _("Text")
        template = "courses/blocks/text.html"


class PictureBlock(blocks.StructBlock):
    picture = ImageChooserBlock(label=_("Picture"))
    alt = blocks.CharBlock(label=_("What it shows"), help_text=_("Read out to people who do not see the picture."))
    caption = blocks.CharBlock(label=_("Caption"), required=False)

    class Meta:
        icon = "image"
        label = _("Picture")
        template = "courses/blocks/picture.html"


class VideoBlock(blocks.StructBlock):
    video = DocumentChooserBlock(label=_("Video file (MP4 or WebM)"))
    captions = DocumentChooserBlock(label=_("Captions (WebVTT)"), required=False)
    title = blocks.CharBlock(label=_("Title"))
    transcript = blocks.TextBlock(label=_("What is said"), required=False)

    class Meta:
        icon = "media"
        label = _("Video")
        template = "courses/blocks/video.html"


class FileBlock(blocks.StructBlock):
    file = DocumentChooserBlock(label=_("File"))
    title = blocks.CharBlock(label=_("Title"))
    description = blocks.CharBlock(label=_("What it is for"), required=False)

    class Meta:
        icon = "doc-full"
        label = _("File")
        template = "courses/blocks/file.html"


class CaseBlock(blocks.StructBlock):
    """A short story from the work, a question to think about, and a way to answer it."""

    title = blocks.CharBlock(label=_("Title"))
    story = blocks.TextBlock(label=_("What happened"))
    question = blocks.TextBlock(label=_("Question"), required=False)
    answer = blocks.TextBlock(label=_("One way to answer"), required=False)

    class Meta:
        icon = "group"
        label = _("Case")
        template = "courses/blocks/case.html"


class TipBlock(blocks.TextBlock):
    class Meta:
        icon = "pick"
        label = _("Tip")
        template = "courses/blocks/tip.html"


class LessonBody(blocks.StreamBlock):
    text = TextBlock()
    picture = PictureBlock()
    video = VideoBlock()
    file = FileBlock()
    case = CaseBlock()
    tip = TipBlock()
