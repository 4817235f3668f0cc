from django.urls import path

from kpi.views import rules

urlpatterns = [
    path("rules/", rules.my_rules, name="rules"),
    path("rules/<int:version_id>/", rules.rule, name="rule"),
    path("rules/<int:version_id>/acknowledge/", rules.acknowledge, name="rule_acknowledge"),
    path("rules/<int:version_id>/readers/", rules.readers, name="rule_readers"),
    path("rules/<int:version_id>/readers/remind/", rules.remind, name="rule_remind"),
    path("hr/rules/", rules.hr_rules, name="hr_rules"),
    path("hr/rules/new/", rules.new_rule, name="new_rule"),
    path("hr/rules/<int:rule_id>/", rules.hr_rule, name="hr_rule"),
    path("hr/rules/<int:rule_id>/propose/", rules.propose, name="rule_propose"),
    path("hr/rules/versions/<int:version_id>/", rules.rule_version, name="rule_version"),
    path("hr/rules/versions/<int:version_id>/text/", rules.edit_text, name="rule_text"),
    path("hr/rules/versions/<int:version_id>/consult/", rules.consult, name="rule_consult"),
    path("hr/rules/versions/<int:version_id>/note/", rules.note, name="rule_note"),
    path("hr/rules/versions/<int:version_id>/publish/", rules.publish, name="rule_publish"),
    path("hr/rules/versions/<int:version_id>/withdraw/", rules.withdraw, name="rule_withdraw"),
]
