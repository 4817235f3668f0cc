"""A job goes on where it was after any stop, and no item is done twice."""

import datetime as dt

import pytest

from core import jobs
from core.jobs import JobKind, JobProblem, job_kind, next_job, resume_job, run_job, start_job, stop_job
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
