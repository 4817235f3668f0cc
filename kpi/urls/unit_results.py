from django.urls import path
from django.urls.resolvers import URLPattern

from kpi.views import unit_results as views

urlpatterns: list[URLPattern] = [
    path("hr/unit-results/", views.unit_results, name="unit_results"),
    path("hr/unit-results/compute/", views.compute, name="compute_unit_results"),
]
