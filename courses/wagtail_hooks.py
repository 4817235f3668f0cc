"""The content admin as authors need it: their courses first, nothing about users or settings (TRUST MC-22, PM-C10)."""

from django.urls import path, reverse
from django.utils.translation import gettext_lazy as _
from wagtail import hooks
from wagtail.admin.menu import MenuItem

from courses.views import authoring
from courses.views.pages import serve

# What nobody edits here: settings (sites, locales, workflows, collections) and reports about people rather than content.
HIDDEN = {"settings"}
HIDDEN_REPORTS = {"site-history", "page-types-usage"}


@hooks.register("before_serve_page")
def serve_course_pages(page, request, serve_args, serve_kwargs):
    return serve(page, request)


@hooks.register("register_admin_urls")
def register_urls():
    return [
        path("courses/", authoring.course_tree, name="courses_tree"),
        path("reports/courses/", authoring.course_report, name="courses_report"),
    ]


class CoursesMenuItem(MenuItem):
    def is_shown(self, request):
        return request.user.has_perm("wagtailadmin.access_admin")


@hooks.register("register_admin_menu_item")
def register_courses_menu_item():
    return CoursesMenuItem(_("Courses"), reverse("courses_tree"), name="courses", icon_name="openquote", order=90)


@hooks.register("register_reports_menu_item")
def register_course_report_menu_item():
    return CoursesMenuItem(
        _("Translations and drafts of courses"),
        reverse("courses_report"),
        name="course-report",
        icon_name="globe",
        order=100,
    )


@hooks.register("construct_main_menu")
def hide_settings(request, menu_items):
    menu_items[:] = [item for item in menu_items if item.name not in HIDDEN]


@hooks.register("construct_settings_menu")
def empty_settings(request, menu_items):
    menu_items[:] = []


@hooks.register("construct_reports_menu")
def hide_reports(request, menu_items):
    menu_items[:] = [item for item in menu_items if item.name not in HIDDEN_REPORTS]
