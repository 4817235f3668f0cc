from django.templatetags.static import static
from django.utils.html import format_html
from wagtail import hooks


@hooks.register("insert_global_admin_js", order=-100)
def start_widgets():
    return format_html('<script src="{}"></script>', static("js/cms-start.js"))


@hooks.register("insert_global_admin_css")
def house_colours():
    return format_html('<link rel="stylesheet" href="{}">', static("css/cms.css"))


@hooks.register("construct_help_menu")
def no_foreign_news(request, menu_items):
    """What leads out of the house is no help to an author."""
    menu_items[:] = [item for item in menu_items if not item.url.startswith("http")]
