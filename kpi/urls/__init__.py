"""One module of addresses for each part of the app."""

from kpi.urls import development, home, measures, pay, recognition, reviews, rules, scorecards, unit_results

app_name = "kpi"
urlpatterns = [
    *home.urlpatterns,
    *rules.urlpatterns,
    *measures.urlpatterns,
    *scorecards.urlpatterns,
    *unit_results.urlpatterns,
    *reviews.urlpatterns,
    *pay.urlpatterns,
    *recognition.urlpatterns,
    *development.urlpatterns,
]
