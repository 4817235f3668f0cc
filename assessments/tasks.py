"""By the clock: quizzes whose time is up are handed in, whether or not anybody is looking."""

from __future__ import annotations

import datetime as dt
import logging

from assessments.domain.attempts import expire_due_attempts
from core.jobs import every

log = logging.getLogger(__name__)


@every(dt.timedelta(seconds=30))
def submit_expired_attempts(now: dt.datetime) -> None:
    """Submit every attempt whose time is up, as the command of that name does; what fails is logged attempt by attempt."""
    submitted, failed = expire_due_attempts(at=now)
    if submitted or failed:
        log.info("attempts whose time was up: %s submitted, %s failed", submitted, failed)
