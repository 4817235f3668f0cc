"""Addresses of closing a month, the closed month, and figures of any day (included by courses.urls, same names)."""

from django.urls import path

from courses.views import as_of, closed_month, closing

urlpatterns = [
    path("hr/months/<str:month>/close/", closing.close_page, name="close_month"),
    path("hr/months/<str:month>/close/begin/", closing.begin_close, name="begin_close"),
    path("hr/months/<str:month>/close/call-off/", closing.call_off_close, name="call_off_close"),
    path("hr/months/<str:month>/close/recount/", closing.recount_month, name="recount_month"),
    path("hr/months/<str:month>/close/finish/", closing.finish_close, name="finish_close"),
    path("hr/months/<str:month>/close/<int:unit_id>/sign/", closing.sign_unit, name="sign_unit"),
    path("hr/months/<str:month>/close/<int:unit_id>/sign-below/", closing.sign_below, name="sign_below"),
    path(
        "hr/months/<str:month>/close/<int:unit_id>/take-back/",
        closing.take_back_signature,
        name="take_back_signature",
    ),
    path("hr/months/<str:month>/close/<int:unit_id>/take-back-below/", closing.take_back_below, name="take_back_below"),
    path("months/<str:month>/closed/", closed_month.closed_month, name="closed_month"),
    path("months/<str:month>/closed/<int:unit_id>/", closed_month.closed_month, name="closed_unit"),
    path(
        "months/<str:month>/closed/<int:unit_id>/export.<export_kind:kind>",
        closed_month.closed_export,
        name="closed_export",
    ),
    path(
        "months/<str:month>/closed/adjustments.<export_kind:kind>",
        closed_month.closed_changes_export,
        name="closed_changes_export",
    ),
    path("months/<str:month>/closed/<int:unit_id>/check/", closed_month.check_seal, name="check_seal"),
    path("months/<str:month>/closed/<int:unit_id>/report/", closed_month.closed_report, name="closed_report"),
    path("months/reports/<int:job_id>/", closed_month.closed_report_job, name="closed_report_job"),
    path("months/reports/<int:job_id>/file/", closed_month.closed_report_file, name="closed_report_file"),
    path("months/<str:month>/as-of/", as_of.as_of, name="as_of"),
]
