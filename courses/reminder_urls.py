"""The addresses of reminders, messages and robots; part of those of courses."""

from django.urls import path

from courses.views import reminders, robots

urlpatterns = [
    path("hr/reminders/", reminders.ladder, name="ladder"),
    path("hr/messages/", reminders.messages, name="messages"),
    path("hr/messages/<int:message_id>/retry/", reminders.retry_message, name="retry_message"),
    path("nudge/", reminders.nudge, name="nudge"),
    path("team/nudge/", reminders.nudge_team, name="nudge_team"),
    path("hr/completion/<str:month>/people/nudge/", reminders.nudge_names, name="nudge_people"),
    path("hr/completion/<str:month>/<int:unit_id>/names/nudge/", reminders.nudge_names, name="nudge_unit"),
    path("robots/", robots.robots, name="robots"),
    path("robots/new/", robots.robot, name="new_robot"),
    path("robots/<int:robot_id>/", robots.robot, name="robot"),
    path("robots/<int:robot_id>/switch/", robots.switch, name="switch_robot"),
    path("robots/<int:robot_id>/test/", robots.try_robot, name="try_robot"),
    path("robots/<int:robot_id>/units/add/", robots.add_chat, name="add_chat"),
    path("robots/<int:robot_id>/units/<int:chat_id>/remove/", robots.remove_chat, name="remove_chat"),
]
