"""Every address of the site. Each view is bound to rows of the permission table or stands on the public list."""

from django.conf import settings
from django.conf.urls.i18n import i18n_patterns
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path, re_path
from wagtail import views as wagtail_views
from wagtail.admin import urls as wagtailadmin_urls
from wagtail.documents import urls as wagtaildocs_urls
from wagtail.urls import serve_pattern

from training_site import views
from training_site.styleguide import styleguide

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("", include("people.urls")),
    path("", include("courses.urls")),
    path("", include("assessments.urls")),
    path("", include("certificates.urls")),
    path("", include("bulletins.urls")),
    path("", include("kpi.urls")),
    path("", include("portal.urls")),
    path("", include("core.urls")),
    re_path(r"^cms/(users|groups|sites|login|password_reset|test404|failwhale)/", views.nowhere, name="nowhere"),
    re_path(r"^cms/reports/site-history/", views.nowhere, name="nowhere"),  # who did what and when
    path("cms/", include(wagtailadmin_urls)),
    path("files/", include(wagtaildocs_urls)),
]

if settings.STYLEGUIDE:
    urlpatterns += [path("styleguide/", styleguide, name="styleguide")]

# Pages of the content tree. Each page type decides in serve() who may read it.
urlpatterns += i18n_patterns(
    re_path(serve_pattern, login_not_required(wagtail_views.serve), name="wagtail_serve"),
)

handler400 = views.bad_request
handler403 = views.permission_denied
handler404 = views.page_not_found
handler500 = views.server_error
