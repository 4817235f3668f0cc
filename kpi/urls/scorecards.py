from django.urls import path
from django.urls.resolvers import URLPattern

from kpi.views import scorecards as views

urlpatterns: list[URLPattern] = [
    path("performance/cards/<int:card_id>/", views.card, name="card"),
]
