import pytest

from core.models import Robot
from courses.models import GroupChat
from tests.factories.reminders import House


@pytest.fixture
def house(settings):
    """The house of tests.factories.reminders; what is queued waits for the worker."""
    settings.JOBS = "worker"
    return House()


@pytest.fixture
def chat(house):
    robot = Robot.objects.create(name="r", kind="wecom", url="https://qyapi.weixin.qq.com/x?key=k")
    return GroupChat.objects.create(unit=house.branch, robot=robot)
