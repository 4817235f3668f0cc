from django.urls import path

from core import views

app_name = "core"
urlpatterns = [
    path("jobs/<int:job_id>/", views.job, name="job"),
    path("media/<path:path>", views.picture, name="picture"),
]
