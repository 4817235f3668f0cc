from django.templatetags.static import static
from django.utils.html import format_html
from wagtail import hooks


@hooks.register("insert_global_admin_js", order=-100)
def start_widgets():
    return format_html('<script src="{}"></script>', static("js/cms-start.js"))
