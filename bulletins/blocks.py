"""The parts of a bulletin: words that are edited, and places where figures stand that nobody can edit."""

from django.utils.translation import gettext_lazy as _
from wagtail import blocks

# The places for figures, in the order in which a new bulletin shows them.
FIGURES = ("key_figures", "verdict", "funnel", "ranking", "listed", "comparison", "praise")
HEADLINE, WORDS = "headline", "words"


def _place(name: str, label) -> blocks.StaticBlock:
    """A place in the page for figures. The block itself holds nothing: they come from the page's edition."""
    return blocks.StaticBlock(
        label=label,
        icon="table",
        template=f"bulletins/blocks/{name}.html",
        admin_text=_("The figures stand here. They were frozen when the bulletin was made and cannot be edited."),
    )


class BulletinBody(blocks.StreamBlock):
    headline = blocks.CharBlock(
        label=_("Headline"),
        max_length=200,
        icon="title",
        template="bulletins/blocks/headline.html",
        help_text=_("The month in one sentence."),
    )
    words = blocks.TextBlock(
        label=_("Words of the author"),
        icon="pilcrow",
        template="bulletins/blocks/words.html",
        help_text=_("Plain text; an empty line begins a paragraph. Name people only to praise them."),
    )
    text = blocks.RichTextBlock(
        label=_("Text"),
        icon="doc-full",
        features=["h2", "h3", "bold", "italic", "ol", "ul", "link", "document-link", "hr"],
        template="bulletins/blocks/text.html",
    )
    key_figures = _place("key_figures", _("Key figures"))
    verdict = _place("verdict", _("What the figures say"))
    funnel = _place("funnel", _("Funnel plot"))
    ranking = _place("ranking", _("Ranked units"))
    listed = _place("listed", _("Units too small to rank"))
    comparison = _place("comparison", _("Against the month closed before"))
    praise = _place("praise", _("Praise"))

    class Meta:
        block_counts = {
            HEADLINE: {"min_num": 1, "max_num": 1},
            WORDS: {"max_num": 1},
            **{name: {"min_num": 1, "max_num": 1} for name in FIGURES},
        }
