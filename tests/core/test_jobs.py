"""A job goes on where it was after any stop, and no item is done twice."""

import datetime as dt

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.utils import timezone

from core import jobs, tasks
from core.events import record_event
from core.jobs import JobKind, JobProblem, every_night, job_kind, next_job, resume_job, run_job, start_job, stop_job
from core.management.commands import run_worker
from core.models import Job, Notice
from people.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def write_lines(monkeypatch):
    """A kind whose items are rows of a table, so that what is rolled back is seen."""
    monkeypatch.setattr(jobs, "KINDS", {})
    user = User.objects.create(username="u")

    @job_kind("test.write", title="Writing")
    class Write(JobKind):
        trouble: dict = {}

        def start(self, job):
            return 5

        def chunk(self, job):
            Notice.objects.create(user=user, text_zh=str(job.cursor), text_en="", created_at=job.created_at)
            if job.cursor in self.trouble:
                self.trouble.pop(job.cursor)(job)
            return 1

        def finish(self, job):
            return {"lines": Notice.objects.count()}

    return jobs.KINDS["test.write"]


@pytest.fixture
def job(write_lines, at):
    return start_job(kind="test.write", arguments={}, by=None, at=at)


def _lines():
    return sorted(Notice.objects.values_list("text_zh", flat=True))


def _state(job):
    job.refresh_from_db()
    return job.state, job.cursor, job.total, job.result


def test_job_runs_to_its_end(job):
    run_job(job.pk)
    assert _state(job) == ("done", 5, 5, {"lines": 5})
    assert (_lines(), job.percent) == (list("01234"), 100)


def test_finished_job_is_not_run_again(job):
    run_job(job.pk)
    run_job(job.pk)
    assert _lines() == list("01234")


class Killed(BaseException):
    """The process died: nothing handles it."""


def _die(job):
    raise Killed


def test_fl_2_killed_job_is_taken_over_and_goes_on_where_it_was(job, write_lines, at):
    write_lines.trouble = {2: _die}
    with pytest.raises(Killed):
        run_job(job.pk, clock=lambda: at)
    assert _state(job) == ("running", 2, 5, None)
    assert next_job(at + dt.timedelta(seconds=59)) is None
    assert next_job(at + dt.timedelta(seconds=61)) == job.pk
    run_job(job.pk, clock=lambda: at + dt.timedelta(seconds=61))
    assert (_state(job), _lines()) == (("done", 5, 5, {"lines": 5}), list("01234"))


def test_worker_that_lost_its_lease_commits_nothing(job, write_lines, at):
    write_lines.trouble = {2: lambda job: Job.objects.filter(pk=job.pk).update(lease=job.lease + 1)}
    run_job(job.pk, clock=lambda: at)
    assert (_state(job)[:2], _lines()) == (("running", 2), ["0", "1"])


def test_job_stops_when_asked_and_resumes(job, write_lines):
    write_lines.trouble = {2: stop_job}
    run_job(job.pk)
    assert _state(job) == ("stopped", 3, 5, None)
    assert resume_job(job)
    run_job(job.pk)
    assert (_state(job), _lines()) == (("done", 5, 5, {"lines": 5}), list("01234"))


def _problem(job):
    raise JobProblem("The disk is full.")


def _fault(job):
    raise ValueError("ours")


@pytest.mark.parametrize(("trouble", "words"), [(_problem, "The disk is full."), (_fault, "")])
def test_failed_job_says_why_and_can_be_resumed(job, write_lines, trouble, words):
    write_lines.trouble = {3: trouble}
    run_job(job.pk)
    assert _state(job) == ("failed", 3, 5, None)
    assert (job.error, _lines()) == (words, list("012"))
    resume_job(job)
    run_job(job.pk)
    assert (_state(job)[0], _lines()) == ("done", list("01234"))


def test_immediate_job_runs_after_the_commit(write_lines, at, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        job = start_job(kind="test.write", arguments={}, by=None, at=at)
        assert _lines() == []
    assert _state(job)[0] == "done"


def test_unknown_kind_is_refused(at):
    with pytest.raises(KeyError):
        start_job(kind="no.such", arguments={}, by=None, at=at)


# --- work by the clock ----------------------------------------------------------------------------------------------
@pytest.fixture
def nightly(monkeypatch):
    """Work of the night that notes when it was done, and fails when told to."""
    monkeypatch.setattr(jobs, "PERIODIC", [])

    class Nightly:
        done, trouble = [], None

    @every_night("test.nightly")
    def work(now):
        if Nightly.trouble:
            raise Nightly.trouble
        Nightly.done.append(now)
        return {"time": len(Nightly.done)}

    Nightly.look = staticmethod(work)
    return Nightly


def test_nightly_work_is_looked_at_every_hour(nightly):
    assert [(dt.timedelta(hours=1), nightly.look)] == jobs.PERIODIC


def test_nightly_work_is_done_once_a_night_whatever_is_started_anew(nightly, at):
    # the fixed moment is ten in the morning: a worker that slept through the night makes up for it
    hours = [0, 1, 16.9, 17, 18, 40.9, 41, 100]
    for hour in hours:
        nightly.look(at + dt.timedelta(hours=hour))
    assert nightly.done == [at + dt.timedelta(hours=hour) for hour in (0, 17, 41, 100)]
    assert list(Job.objects.values_list("kind", "state", "result", "created_at", "finished_at")) == [
        ("test.nightly", "done", {"time": 4}, at, nightly.done[-1])
    ]
    assert next_job(at + dt.timedelta(days=9)) is None


def test_nightly_work_that_failed_is_tried_again(nightly, at):
    nightly.trouble = ValueError("broken")
    with pytest.raises(ValueError, match="broken"):
        nightly.look(at)
    nightly.trouble = None
    nightly.look(at + dt.timedelta(hours=1))
    assert nightly.done == [at + dt.timedelta(hours=1)]


def test_worker_goes_on_after_work_by_the_clock_that_fails(nightly, monkeypatch, caplog):
    monkeypatch.setattr(run_worker, "PERIODIC", jobs.PERIODIC)
    monkeypatch.setattr(run_worker, "close_old_connections", lambda: None)  # the test's own is in use
    nightly.trouble = ValueError("broken")
    call_command("run_worker", once=True)
    assert [record.getMessage() for record in caplog.records] == ["work failed; it is tried again later"]


def test_worker_knows_the_work_of_every_app():
    assert {function.__name__: period for period, function in jobs.PERIODIC} | {
        "catch_up_with_the_roster": dt.timedelta(hours=1),
        "follow_moved_units": dt.timedelta(minutes=1),
        "submit_expired_attempts": dt.timedelta(seconds=30),
        "verify_events_at_night": dt.timedelta(hours=1),
        "forget_ended_sessions": dt.timedelta(hours=1),
        "reconcile_tallies_at_night": dt.timedelta(hours=1),
    } == {function.__name__: period for period, function in jobs.PERIODIC}


def test_au_07_chains_are_checked_at_night_and_a_broken_one_is_an_error(at, caplog, settings):
    user = User.objects.create(username="u")
    record_event(chain="roles", action="granted", subject=user, actor=None, at=at)
    record_event(chain="roster", action="applied", subject=user, actor=None, at=at)
    tasks.verify_events_at_night(at)
    assert Job.objects.get(kind="core.verify_events").result == {"rows": 2, "faults": []}
    assert caplog.records == []

    settings.EVENT_CHAIN_KEY = "another"
    tasks.verify_events_at_night(at + dt.timedelta(days=1))
    what = "content does not match its seal"
    assert Job.objects.get(kind="core.verify_events").result == {
        "rows": 0,
        "faults": [{"chain": chain, "sequence": 1, "what": what} for chain in ("roles", "roster")],
    }
    assert [(record.levelname, record.getMessage().split(";")[0]) for record in caplog.records] == [
        ("ERROR", f"The event chain {chain} is broken: row 1 {what}") for chain in ("roles", "roster")
    ]


def test_ended_sessions_are_forgotten_at_night(at):
    for key, expires in {
        "ended": timezone.now() - dt.timedelta(days=1),
        "open": timezone.now() + dt.timedelta(days=1),
    }.items():
        Session.objects.create(session_key=key, session_data="", expire_date=expires)
    tasks.forget_ended_sessions(at)
    assert list(Session.objects.values_list("session_key", flat=True)) == ["open"]
