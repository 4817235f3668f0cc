from django.urls import path

from kpi.views import home as views

urlpatterns = [path("performance/", views.home, name="home")]
