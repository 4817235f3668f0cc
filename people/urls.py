from django.urls import include, path

from people import record_views, role_views, unit_views, views

app_name = "people"
urlpatterns = [
    path("sign-in/", views.SignIn.as_view(), name="sign_in"),
    path("sign-out/", views.sign_out, name="sign_out"),
    path("invitation/<str:token>/", views.invitation, name="invitation"),
    path("language/", views.set_language, name="set_language"),
    path("account/", views.account, name="account"),
    path("account/password/", views.change_password, name="change_password"),
    path("account/sessions/end/", views.end_other_sessions, name="end_other_sessions"),
    path("people/search/", views.search_people, name="search"),
    path("people/<int:employee_id>/edit/", record_views.edit, name="edit"),
    path("people/<int:employee_id>/move/", record_views.move, name="move"),
    path("people/<int:employee_id>/leave/", record_views.leaves, name="leave"),
    path("people/<int:employee_id>/leave/<int:leave_id>/remove/", record_views.remove_leave, name="remove_leave"),
    path("people/<int:employee_id>/left/", record_views.left, name="left"),
    path("people/<int:employee_id>/rehire/", record_views.rehire, name="rehire"),
    path("people/<int:employee_id>/suspend/", record_views.suspend, name="suspend"),
    path("people/<int:employee_id>/sign-in/", record_views.person_sign_in, name="person_sign_in"),
    path("people/<int:employee_id>/sign-in/invite/", record_views.invite, name="invite"),
    path("people/<int:employee_id>/sign-in/recover/", record_views.recovery_link, name="recovery_link"),
    path("people/<int:employee_id>/sign-in/lock/", record_views.lock, name="lock"),
    path("people/<int:employee_id>/sign-in/unlock/", record_views.unlock, name="unlock"),
    path("people/<int:employee_id>/sign-in/end/", record_views.end_sessions, name="end_sessions"),
    path("hr/invitations/", record_views.invite_many, name="invitations"),
    path("hr/roster/", include("people.roster_urls")),
    path("roles/", role_views.roles, name="roles"),
    path("roles/grant/", role_views.grant, name="grant_role"),
    path("roles/<int:grant_id>/revoke/", role_views.revoke, name="revoke_role"),
    path("units/", unit_views.units, name="units"),
    path("units/<int:unit_id>/", unit_views.unit, name="unit"),
    path("units/<int:unit_id>/edit/", unit_views.rename, name="unit_edit"),
    path("units/<int:unit_id>/add/", unit_views.add, name="unit_add"),
    path("units/<int:unit_id>/move/", unit_views.move, name="unit_move"),
]
