from django.urls import path

from bulletins import views

app_name = "bulletins"
urlpatterns = [
    path("hr/bulletins/", views.desk, name="desk"),
    path("hr/bulletins/<str:month>/<int:unit_id>/", views.workspace, name="workspace"),
    path("hr/bulletins/<str:month>/<int:unit_id>/make/", views.make, name="make"),
    path("hr/bulletins/<str:month>/<int:unit_id>/publish/", views.publish, name="publish"),
    path("hr/bulletins/<str:month>/<int:unit_id>/offline/", views.take_offline, name="take_offline"),
    path("hr/bulletins/<str:month>/<int:unit_id>/words/", views.write, name="write"),
    path("hr/bulletins/<str:month>/<int:unit_id>/draft.pdf", views.draft_pdf, name="draft_pdf"),
    path("bulletins/<int:page_id>/bulletin.pdf", views.pdf, name="pdf"),
]
