from django.urls import path
from django.urls.resolvers import URLPattern

from kpi.models import Look
from kpi.views import looks
from kpi.views import review_cycles as cycles
from kpi.views import review_results as results
from kpi.views import reviews as views

_RESULT = {"about": Look.About.RESULT}

urlpatterns: list[URLPattern] = [
    path("performance/reviews/", views.mine, name="my_reviews"),
    path("performance/reviews/looks/", looks.looks, _RESULT, name="result_looks"),
    path("performance/reviews/looks/<int:employee_id>/", looks.looks, _RESULT, name="result_looks_of"),
    path("performance/reviews/ratings/<int:rating_id>/", views.rate, name="rate"),
    path("performance/reviews/team/<int:cycle_id>/", views.team, name="team_reviews"),
    path("performance/reviews/<int:review_id>/", views.review, name="review"),
    path("performance/reviews/<int:review_id>/colleagues/", views.colleagues, name="review_colleagues"),
    path("performance/reviews/<int:review_id>/hand-over/", views.hand_over, name="hand_over_review"),
    path("performance/reviews/<int:review_id>/acknowledge/", views.acknowledge, name="acknowledge_review"),
    path("performance/reviews/<int:review_id>/object/", views.contest, name="appeal"),
    path("hr/reviews/", cycles.cycles, name="cycles"),
    path("hr/reviews/new/", cycles.cycle_new, name="cycle_new"),
    path("hr/reviews/<int:cycle_id>/", cycles.board, name="cycle"),
    path("hr/reviews/<int:cycle_id>/change/", cycles.cycle_change, name="cycle_change"),
    path("hr/reviews/<int:cycle_id>/deadlines/", cycles.deadlines, name="cycle_deadlines"),
    path("hr/reviews/<int:cycle_id>/people/", cycles.people, name="cycle_people"),
    path("hr/reviews/<int:cycle_id>/remind/", cycles.remind, name="cycle_remind"),
    path("hr/reviews/<int:cycle_id>/do/<slug:step>/", cycles.step, name="cycle_step"),
    path("hr/reviews/<int:cycle_id>/groups/", results.groups, name="calibration_groups"),
    path("hr/reviews/groups/<int:group_id>/", results.group, name="calibration_group"),
    path("hr/reviews/groups/<int:group_id>/do/<slug:step>/", results.group_step, name="calibration_step"),
    path("hr/reviews/results/<int:review_id>/adjust/", results.adjust, name="adjust_review"),
    path("hr/reviews/results/<int:review_id>/give-back/", results.give_back, name="give_back_grade"),
    path("hr/reviews/objections/", results.objections, name="appeals"),
    path("hr/reviews/objections/<int:appeal_id>/", results.decide, name="decide_appeal"),
]
