from django.urls import path

from certificates import views

app_name = "certificates"
urlpatterns = [
    path("certificates/", views.mine, name="mine"),
    path("certificates/<int:certificate_id>/", views.detail, name="detail"),
    path("certificates/<int:certificate_id>/pdf/", views.pdf, name="pdf"),
    path("certificates/<int:certificate_id>/badge.<str:form>", views.badge, name="badge"),
    path("certificates/<int:certificate_id>/revoke/", views.revoke, name="revoke"),
    path("certificates/print/", views.print_many, name="print"),
    path("certificates/print/<int:job_id>/", views.print_job, name="print_job"),
    path("certificates/print/<int:job_id>/file/", views.print_file, name="print_file"),
    path("verify/", views.verify, name="verify_form"),
    path("verify/<str:code>/", views.verify, name="verify"),
    path("badges/issuer.json", views.badge_issuer, name="badge_issuer"),
    path("badges/keys.json", views.badge_keys, name="badge_keys"),
    path("badges/revoked.json", views.badges_revoked, name="badges_revoked"),
]
