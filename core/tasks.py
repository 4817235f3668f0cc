"""By the clock: delivering messages, the nightly check of the event chains, and forgetting sessions that have ended."""

from __future__ import annotations

import datetime as dt
import logging
import time
from importlib import import_module

from django.conf import settings

from core.events import SEALED, chain_names, verify_chain
from core.jobs import every, every_night
from core.messaging import deliver_all

log = logging.getLogger(__name__)


@every_night("core.verify_events")
def verify_events_at_night(now: dt.datetime) -> dict:
    """Recompute every chain of events, as the command verify_events does; a broken one is an ERROR (TRUST AU-07)."""
    rows, faults = 0, []
    for chain in chain_names():
        count, fault = verify_chain(chain)
        rows += count
        if fault:
            faults.append({"chain": chain, "sequence": fault.sequence, "what": fault.what})
            log.error(
                "The event chain %s is broken: row %s %s; the %s rows before it are sound. Somebody changed the database "
                "by hand, or EVENT_CHAIN_KEY is another one. Keep the database as it is and compare it with a backup.",
                chain,
                fault.sequence,
                fault.what,
                count,
            )
    for what, sound in (pair for check in SEALED for pair in check()):
        if not sound:
            faults.append({"sealed": what})
            log.error("The %s does not match what was sealed. Somebody changed the database by hand.", what)
    if not faults:
        log.info("every event chain is sound: %s rows", rows)
    return {"rows": rows, "faults": faults}


@every_night("core.forget_sessions")
def forget_ended_sessions(now: dt.datetime) -> dict:
    """Delete the sessions that have ended: they open nothing and only fill the database."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    return {}


@every(dt.timedelta(minutes=1))
def deliver_messages(now: dt.datetime) -> None:
    """Send what waits and is due: lines for the page, mails, messages to group chats (core/messaging.py).

    Round after round while there is something, but not so long that other work has to wait for it.
    """
    end = time.monotonic() + 30
    deliver_all(at=now, is_over=lambda: time.monotonic() >= end)
