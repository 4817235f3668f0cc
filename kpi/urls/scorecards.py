from django.urls import path
from django.urls.resolvers import URLPattern

from kpi.views import scorecards as views

urlpatterns: list[URLPattern] = [
    path("performance/cards/<int:card_id>/", views.card, name="card"),
    path("hr/rules/versions/<int:version_id>/scorecard/", views.edit_scorecard, name="edit_scorecard"),
    path("hr/rules/versions/<int:version_id>/preview/", views.preview_scorecard, name="preview_scorecard"),
]
