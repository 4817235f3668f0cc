from django.urls import include, path, register_converter

from courses.views import (
    audiences,
    catch_up,
    choice,
    completion,
    decisions,
    learning,
    matters,
    months,
    people_lists,
    plan,
    requests,
)


class ExportKind:
    """The two kinds of file a list is offered as."""

    regex = "csv|xlsx"

    def to_python(self, value):
        return value

    def to_url(self, value):
        return value


register_converter(ExportKind, "export_kind")

app_name = "courses"
urlpatterns = [
    path("", include("courses.reminder_urls")),
    path("learn/<int:enrolment_id>/", learning.overview, name="overview"),
    path("learn/take/<int:course_id>/", choice.take, name="take"),
    path("learn/<int:enrolment_id>/give-up/", choice.give_up, name="give_up"),
    path("learn/<int:enrolment_id>/<int:step_id>/", learning.lesson, name="lesson"),
    path("learn/<int:enrolment_id>/<int:step_id>/visit/", learning.visit, name="visit"),
    path("hr/months/", months.months, name="months"),
    path("hr/months/<str:month>/", months.month, name="month"),
    path("hr/months/<str:month>/open/", months.open_month, name="open_month"),
    path("hr/runs/<int:run_id>/close/", months.close_run, name="close_run"),
    path("hr/months/<str:month>/prepare/", months.prepare_month, name="prepare_month"),
    path("hr/plan/", plan.plan, name="plan"),
    path("hr/plan/<int:line_id>/move/", plan.move_plan_line, name="move_plan_line"),
    path("hr/plan/<int:line_id>/remove/", plan.remove_plan_line, name="remove_plan_line"),
    path("hr/plan/<int:line_id>/unpublish/", plan.unpublish_plan_line, name="unpublish_plan_line"),
    path("hr/plan/undo/<str:what>/", plan.undo_plan, name="undo_plan"),
    path("hr/programmes/", plan.programmes, name="programmes"),
    path("hr/programmes/new/", plan.programme, name="new_programme"),
    path("hr/programmes/<int:programme_id>/", plan.programme, name="programme"),
    path("hr/programmes/<int:programme_id>/plan/<int:year>/", plan.programme_plan, name="programme_plan"),
    path("hr/programmes/<int:programme_id>/plan/<int:year>/copy/", plan.copy_plan, name="copy_plan"),
    path("hr/programmes/<int:programme_id>/plan/<int:year>/publish/", plan.publish_plan, name="publish_plan"),
    path("hr/months/<str:month>/catch-up/", catch_up.catch_up, name="catch_up"),
    path(
        "hr/months/<str:month>/catch-up/<int:sequence>/<slug:what>/", catch_up.catch_up_people, name="catch_up_people"
    ),
    path("hr/audiences/", audiences.audiences, name="audiences"),
    path("hr/audiences/new/", audiences.audience, name="new_audience"),
    path("hr/audiences/<int:audience_id>/", audiences.audience, name="audience"),
    path("hr/audiences/units/<int:unit_id>/", audiences.audience_units, name="audience_units"),
    path("hr/audiences/lists/", people_lists.people_lists, name="people_lists"),
    path("hr/audiences/lists/new/", people_lists.new_people_list, name="new_people_list"),
    path("hr/audiences/lists/<int:list_id>/", people_lists.people_list, name="people_list"),
    path("hr/audiences/lists/<int:list_id>/name/", people_lists.rename_people_list, name="rename_people_list"),
    path("hr/audiences/lists/<int:list_id>/remove/", people_lists.remove_members, name="remove_members"),
    path("hr/audiences/lists/<int:list_id>/undo/", people_lists.undo_remove, name="people_list_undo"),
    path("hr/audiences/lists/<int:list_id>/delete/", people_lists.delete_people_list, name="delete_people_list"),
    path("hr/completion/", completion.completion, name="completion"),
    path("hr/completion/<str:month>/people/", completion.completion_names, name="completion_people"),
    path(
        "hr/completion/<str:month>/people/export.<export_kind:kind>",
        completion.completion_export,
        name="completion_people_export",
    ),
    path("hr/completion/<str:month>/<int:unit_id>/", completion.completion_unit, name="completion_unit"),
    path("hr/completion/<str:month>/<int:unit_id>/rows/", completion.completion_rows, name="completion_rows"),
    path("hr/completion/<str:month>/<int:unit_id>/names/", completion.completion_names, name="completion_names"),
    path(
        "hr/completion/<str:month>/<int:unit_id>/export.<export_kind:kind>",
        completion.completion_export,
        name="completion_export",
    ),
    path("", include("courses.closing_urls")),
    path("hr/exceptions/", matters.desk, name="matters"),
    path("hr/exceptions/look/", matters.look, name="look_for_matters"),
    path("hr/exceptions/settle/", matters.settle, name="settle_matters"),
    path("hr/exceptions/<int:matter_id>/undo/", matters.undo, name="undo_matter"),
    path("learn/<int:enrolment_id>/ask/", requests.ask, name="ask"),
    path("requests/", requests.requests, name="requests"),
    path("requests/<int:request_id>/take-back/", requests.take_back, name="take_back_request"),
    path("requests/<int:request_id>/grant/", requests.grant, name="grant_request"),
    path("requests/<int:request_id>/refuse/", requests.refuse, name="refuse_request"),
    path("requests/<int:request_id>/advise/", requests.advise, name="advise_request"),
    path("enrolments/<int:enrolment_id>/exempt/", decisions.Exempt.as_view(), name="exempt"),
    path("enrolments/<int:enrolment_id>/withdraw/", decisions.Withdraw.as_view(), name="withdraw"),
    path("enrolments/<int:enrolment_id>/reinstate/", decisions.Reinstate.as_view(), name="reinstate"),
    path("enrolments/<int:enrolment_id>/extend/", decisions.Extend.as_view(), name="extend"),
    path("enrolments/<int:enrolment_id>/completion/", decisions.RecordCompletion.as_view(), name="record_completion"),
]
