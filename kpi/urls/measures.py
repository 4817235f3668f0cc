from django.urls import path
from django.urls.resolvers import URLPattern

from kpi.views import measures as views

urlpatterns: list[URLPattern] = [
    path("hr/measures/", views.measures, name="measures"),
    path("hr/measures/collect/", views.collect, name="collect_measures"),
    path("hr/measures/indicators/<int:indicator_id>/", views.indicator, name="indicator"),
    path("hr/measures/files/", views.measure_imports, name="measure_imports"),
    path("hr/measures/files/template/", views.measure_template, name="measure_template"),
    path("hr/measures/files/<int:import_id>/", views.measure_import, name="measure_import"),
    path("hr/measures/files/<int:import_id>/apply/", views.apply_measures, name="apply_measures"),
    path("hr/measures/files/<int:import_id>/undo/", views.undo_measures, name="undo_measures"),
    path("hr/measures/files/<int:import_id>/check/", views.check_measures, name="check_measures"),
    path("hr/measures/files/<int:import_id>/discard/", views.discard_measures, name="discard_measures"),
    path("hr/measures/files/<int:import_id>/faults/", views.measure_faults, name="measure_faults"),
    path("hr/indicators/", views.indicators, name="indicators"),
    path("hr/indicators/new/", views.edit_indicator, name="new_indicator"),
    path("hr/indicators/<int:indicator_id>/", views.edit_indicator, name="edit_indicator"),
    path("my/measures/", views.my_measures, name="my_measures"),
    path("people/<int:employee_id>/measures/", views.person_measures, name="person_measures"),
    path("measures/<int:measure_id>/", views.measure, name="measure"),
    path("measures/<int:measure_id>/correct/", views.correct_measure, name="correct_measure"),
]
