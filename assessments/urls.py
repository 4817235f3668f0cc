from django.urls import path

from assessments import analysis_views, views

app_name = "assessments"
urlpatterns = [
    path("quiz/<int:enrolment_id>/<int:step_id>/", views.quiz, name="quiz"),
    path("attempts/<int:attempt_id>/", views.attempt, name="attempt"),
    path("attempts/<int:attempt_id>/answers/<int:position>/", views.answer, name="answer"),
    path("attempts/<int:attempt_id>/review/", views.review, name="review"),
    path("attempts/<int:attempt_id>/submit/", views.submit, name="submit"),
    path("attempts/<int:attempt_id>/result/", views.result, name="result"),
    path("attempts/<int:attempt_id>/void/", views.void, name="void"),
    path("quizzes/", analysis_views.quizzes, name="quizzes"),
    path("quizzes/<int:quiz_id>/", analysis_views.analysis, name="analysis"),
    path("quizzes/<int:quiz_id>/analysis.<str:kind>", analysis_views.analysis_export, name="analysis_export"),
]
