from django.urls import path

from kpi.views import development as views

urlpatterns = [
    path("performance/plan/", views.my_plan, name="my_plan"),
    path("people/<int:employee_id>/plan/", views.person_plan, name="person_plan"),
    path("people/<int:employee_id>/plan/add/", views.add, name="plan_add"),
    path("people/<int:employee_id>/plan/<int:item_id>/drop/", views.drop, name="plan_drop"),
    path("hr/development/", views.helping, name="development"),
    path("hr/development/<int:indicator_id>/", views.name_courses, name="development_courses"),
    path("hr/development/<int:indicator_id>/<int:course_id>/", views.effect, name="development_effect"),
]
