from django.urls import path

from kpi.views import recognition, recognition_desk, recognition_rules

urlpatterns = [
    path("honours/", recognition.honours, name="honours"),
    path("honours/thanks/<int:employee_id>/", recognition.say_thanks, name="say_thanks"),
    path("honours/thanks/<int:thanks_id>/hide/", recognition.hide_thanks, name="hide_thanks"),
    path("honours/awards/<int:award_id>/wall/", recognition.on_wall, name="on_wall"),
    path("honours/rounds/<int:round_id>/nominate/", recognition.nominate, name="nominate"),
    path("honours/rounds/<int:round_id>/vote/", recognition.vote, name="vote"),
    path("honours/nominations/<int:nomination_id>/", recognition.nomination, name="nomination"),
    path("honours/nominations/<int:nomination_id>/take-back/", recognition.take_back, name="take_back"),
    path("honours/nominations/<int:nomination_id>/object/", recognition.object_to, name="object_to"),
    path("honours/nominations/<int:nomination_id>/vote/", recognition.cast, name="cast"),
    path("hr/honours/", recognition_desk.desk, name="honours_desk"),
    path("hr/honours/new/", recognition_desk.new_programme, name="new_programme"),
    path("hr/honours/<int:programme_id>/new-round/", recognition_desk.new_round, name="new_round"),
    path("hr/honours/rounds/<int:round_id>/", recognition_desk.round_page, name="honours_round"),
    path("hr/honours/rounds/<int:round_id>/check/", recognition_desk.check_again, name="check_again"),
    path("hr/honours/rounds/<int:round_id>/begin-vote/", recognition_desk.begin_vote, name="begin_vote"),
    path("hr/honours/rounds/<int:round_id>/make-public/", recognition_desk.make_public, name="make_public"),
    path("hr/honours/rounds/<int:round_id>/grant/", recognition_desk.grant, name="grant"),
    path("hr/honours/rounds/<int:round_id>/cancel/", recognition_desk.cancel, name="cancel_round"),
    path("hr/honours/objections/<int:objection_id>/", recognition_desk.answer, name="answer_objection"),
    path("hr/honours/awards/<int:award_id>/revoke/", recognition_desk.revoke, name="revoke_award"),
    path("hr/honours/awards/<int:award_id>/photo/", recognition_desk.photo, name="award_photo"),
    path("hr/rules/versions/<int:version_id>/award/", recognition_rules.edit_award, name="edit_award"),
]
