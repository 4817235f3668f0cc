"""Certificate designs in the content admin, with a picture of what they give."""

from django.utils.translation import gettext_lazy as _
from wagtail.snippets.models import register_snippet
from wagtail.snippets.views.snippets import SnippetViewSet

from certificates.models import CertificateDesign


class CertificateDesignViewSet(SnippetViewSet):
    model = CertificateDesign
    icon = "form"
    menu_label = _("Certificate designs")
    menu_order = 320
    add_to_admin_menu = True
    list_display = ["name", "title_zh", "title_en", "border", "valid_months"]
    search_fields = ["name", "title_zh", "title_en"]
    copy_view_enabled = False
    add_to_reference_index = False


register_snippet(CertificateDesignViewSet)
