from django.urls import path

from portal import path_views, views

app_name = "portal"
urlpatterns = [
    path("", views.start, name="start"),
    path("my/", views.my_month, name="my_month"),
    path("team/", views.my_team, name="my_team"),
    path("team/path/", path_views.team_path, name="team_path"),
    path("hr/path/<str:month>/<int:unit_id>/", path_views.unit_path, name="unit_path"),
    path("hr/path/<str:month>/<int:unit_id>/rows/", path_views.unit_path_rows, name="unit_path_rows"),
    path("hr/", views.hr_desk, name="hr_desk"),
    path("hr/people/", views.hr_people, name="hr_people"),
    path("people/<int:employee_id>/", views.person, name="person"),
    path("search/", views.search, name="search"),
    path("notices/", views.notices, name="notices"),
]
