from django.urls import path

from people import roster_views as views

urlpatterns = [
    path("", views.rosters, name="roster"),
    path("template/", views.roster_template, name="roster_template"),
    path("<int:roster_id>/", views.roster_detail, name="roster_detail"),
    path("<int:roster_id>/apply/", views.roster_apply, name="roster_apply"),
    path("<int:roster_id>/confirm/", views.roster_confirm, name="roster_confirm"),
    path("<int:roster_id>/check/", views.roster_check, name="roster_check"),
    path("<int:roster_id>/undo/", views.roster_undo, name="roster_undo"),
    path("<int:roster_id>/discard/", views.roster_discard, name="roster_discard"),
    path("<int:roster_id>/faults/", views.roster_faults, name="roster_faults"),
]
