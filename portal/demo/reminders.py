"""What the demo company was told in the last weeks: digests, a nudge, a mail that came back, and a robot that is off."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from smtplib import SMTPRecipientsRefused
from typing import TYPE_CHECKING

from django.core.mail.backends.base import BaseEmailBackend
from django.utils import timezone

from core.messaging import deliver_due
from core.models import Message, Robot
from core.robots import save_robot
from courses.domain import group_chats, nudging, reminders
from courses.models import Enrolment
from people.models import Employee
from portal.demo import company as story

if TYPE_CHECKING:
    from portal.demo.builder import Builder

DAYS = 28
# Made up: nothing answers to this key, and the robot is switched off.
WEBHOOK = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=00000000-0000-0000-0000-00000000demo"


class Postman(BaseEmailBackend):
    """Takes every mail and brings it nowhere; one address is unknown to it."""

    def __init__(self, unknown: str):
        super().__init__()
        self.unknown = unknown

    def send_messages(self, email_messages):
        for message in email_messages:
            if self.unknown in message.to:
                raise SMTPRecipientsRefused({self.unknown: (550, b"5.1.1 unknown user")})
        return len(email_messages)


def tell_the_last_weeks(builder: Builder) -> None:
    """Every morning of four weeks the ladder does its work, and the mail goes to a postman who keeps it to himself."""
    admin, unit = builder.users[story.ADMIN], builder.units[story.CAST[story.MANAGER][0]]
    robot = Robot(name="网点工作群", kind=Robot.Kind.WECOM, active=False)
    save_robot(robot=robot, url=WEBHOOK, secret=None, by=admin, at=builder.beginning)
    group_chats.add_group_chat(robot=robot, unit=unit, by=admin, at=builder.beginning)
    late = Enrolment.objects.filter(run__month=builder.month.previous, voluntary=False, employee__user__isnull=False)
    late = late.unfinished().exclude(employee__employee_no__in=story.CAST_NUMBERS.values()).exclude(employee__email="")
    unknown = late.order_by("employee__employee_no").values_list("employee__email", flat=True).first() or ""
    postman = Postman(unknown)
    for back in range(DAYS, -1, -1):
        day = builder.today - dt.timedelta(days=back)
        at = timezone.make_aware(dt.datetime.combine(day, dt.time(9)))
        if at > builder.now:
            break
        reminders.send_reminders(on=day, at=at)
        _deliver(at, postman)
        afternoon = at + dt.timedelta(hours=7)
        if back == 2:
            _nudge(builder, afternoon)
            _deliver(afternoon, postman)


def bring_the_mail(builder: Builder) -> None:
    """The postman takes what still waits, each at the moment it was due: nothing of the story is sent or printed."""
    waiting = Message.objects.filter(state=Message.State.WAITING, not_before__lte=builder.now)
    moments = waiting.order_by("not_before").values_list("not_before", flat=True).distinct()
    for at in [*moments, builder.now]:
        _deliver(at, Postman(""))


def _deliver(at: dt.datetime, postman: Postman) -> None:
    with _without_log():
        while deliver_due(at=at, clock=lambda: at, connection=postman):
            pass


@contextmanager
def _without_log() -> Iterator[None]:
    """That a mail of the story came back is no warning about this site."""
    log = logging.getLogger("core.messaging")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _nudge(builder: Builder, at: dt.datetime) -> None:
    """The manager nudges the people of the branch who have not finished this month."""
    if at < timezone.make_aware(dt.datetime.combine(builder.month.first_day, dt.time(9))):
        return
    manager = builder.people[story.CAST_NUMBERS[story.MANAGER]]
    people = nudging.people_with_open_duties(
        people=Employee.objects.filter(manager=manager).exclude(employee_no__in=story.CAST_NUMBERS.values()),
        enrolments=nudging.open_in_month(builder.month),
    )
    nudging.nudge(people=people, by=builder.users[story.MANAGER], at=at)
