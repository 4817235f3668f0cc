from django.urls import path, re_path
from django.urls.resolvers import URLPattern

from kpi.models import Look
from kpi.views import looks, own_pay, pay, pay_files, pay_parts, pay_rules

_PAY = {"about": Look.About.PAY}

urlpatterns: list[URLPattern] = [
    path("pay/", pay.pay, name="pay"),
    path("pay/checks/", pay.pay_checks, name="pay_checks"),
    path("pay/new/", pay.new_pay_run, name="new_pay_run"),
    path("pay/files/", pay_files.pay_files, name="pay_files"),
    path("pay/files/<int:upload_id>/", pay_files.pay_file, name="pay_file"),
    path("pay/files/<int:upload_id>/apply/", pay_files.apply_pay_file, name="apply_pay_file"),
    path("pay/files/template/<slug:kind>/", pay_files.pay_template, name="pay_template"),
    path("pay/runs/<int:run_id>/", pay.pay_run, name="pay_run"),
    path("pay/runs/<int:run_id>/change/", pay.change_pay, name="change_pay"),
    path("pay/runs/<int:run_id>/compute/", pay.compute_pay, name="compute_pay"),
    path("pay/runs/<int:run_id>/take-over/", pay.take_over_pay, name="take_over_pay"),
    path("pay/runs/<int:run_id>/discard/", pay.discard_pay, name="discard_pay"),
    path("pay/runs/<int:run_id>/variance/", pay.pay_variance, name="pay_variance"),
    path("pay/runs/<int:run_id>/submit/", pay.submit_pay, name="submit_pay"),
    path("pay/runs/<int:run_id>/approve/", pay.approve_pay, name="approve_pay"),
    path("pay/runs/<int:run_id>/send-back/", pay.send_back_pay, name="send_back_pay"),
    path("pay/runs/<int:run_id>/close/", pay.close_pay, name="close_pay"),
    path("pay/runs/<int:run_id>/follow/", pay.follow_pay, name="follow_pay"),
    re_path(r"^pay/runs/(?P<run_id>[0-9]{1,18})/export\.(?P<kind>csv|xlsx)$", pay.export_pay, name="export_pay"),
    path("pay/runs/<int:run_id>/lines/", pay_parts.pay_lines, name="pay_lines"),
    path("pay/runs/<int:run_id>/receipt/", pay_parts.pay_receipt, name="pay_receipt"),
    path("pay/runs/<int:run_id>/what-if/", pay_parts.pay_what_if, name="pay_what_if"),
    path("pay/runs/<int:run_id>/answers/", pay_files.pay_answers, name="pay_answers"),
    path("pay/runs/<int:run_id>/corrections/", pay_parts.pay_corrections, name="pay_corrections"),
    path("pay/runs/<int:run_id>/corrections/<int:review_id>/", pay_parts.adjust_pay, name="adjust_pay"),
    path("pay/lines/<int:line_id>/", pay_parts.pay_line, name="pay_line"),
    path("pay/lines/<int:line_id>/correct/", pay_parts.correct_pay, name="correct_pay"),
    path("pay/looks/<int:employee_id>/", looks.looks, _PAY, name="pay_looks_of"),
    path("performance/pay/", own_pay.my_pay, name="my_pay"),
    path("performance/pay/looks/", looks.looks, _PAY, name="pay_looks"),
    path("performance/pay/<int:line_id>/", own_pay.my_pay_line, name="my_pay_line"),
    path("hr/rules/versions/<int:version_id>/pay/", pay_rules.edit_pay, name="edit_pay"),
]
