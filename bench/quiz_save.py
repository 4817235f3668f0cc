"""Saving quiz answers over HTTP by 50 people at once, against a bare upsert in the same server (E3).

Both are asked of the same granian server with the same middleware, by the same signed-in people over kept connections.
The baseline knows who asks and does one INSERT … ON CONFLICT DO UPDATE, nothing else; ours finds the drawn question of one's
own attempt, checks the shape of the answer and does its conditional update. After each turn every acknowledged answer
is looked up: none may be missing, and none may have been refused.
"""

import datetime as dt
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

import _pairs

SERVED = "quiz_save_site"  # the module that the server loads; made below in the folder of the measurement
PEOPLE, QUESTIONS = 50, 10
CREATE = "CREATE TABLE bench_answer (attempt bigint, question int, value text, at timestamp, PRIMARY KEY (attempt, question))"
SITE = '''
"""The site with one more address: a bare upsert."""
import os
import django
from django.conf import settings

os.environ["DJANGO_SETTINGS_MODULE"] = "training_site.settings.test"
django.setup()
settings.ROOT_URLCONF = "quiz_save_site"

from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import JsonResponse
from django.urls import path
from training_site.urls import urlpatterns as site_patterns

UPSERT = (
    "INSERT INTO bench_answer (attempt, question, value, at) VALUES (%s, %s, %s, CURRENT_TIMESTAMP)"
    " ON CONFLICT (attempt, question) DO UPDATE SET value = excluded.value, at = excluded.at"
)


def bare(request, attempt_id, position):
    with connection.cursor() as cursor:
        cursor.execute(UPSERT, [attempt_id, position, request.POST[f"q{position}"]])
    return JsonResponse({"saved": True})


urlpatterns = [path("bare/<int:attempt_id>/answers/<int:position>/", bare), *site_patterns]
application = get_wsgi_application()
'''


class Person(threading.Thread):
    """One connection: answers one question after the other, again and again, until the count is done."""

    def __init__(self, port: int, prefix: str, known: dict, count: int, turn: int, gate: threading.Barrier):
        super().__init__()
        self.port, self.prefix, self.known, self.count, self.turn, self.gate = port, prefix, known, count, turn, gate
        self.seconds: list[float] = []
        self.last: dict[int, str] = {}  # question -> the answer acknowledged last
        self.refused = 0

    def run(self):
        token = "a" * 32
        headers = {
            "Cookie": f"sessionid={self.known['session']}; csrftoken={token}",
            "X-CSRFToken": token,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        line.connect()
        line.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.gate.wait()
        for number in range(self.count):
            question = number % QUESTIONS + 1
            options = self.known["options"][question - 1]
            answer = options[(number // QUESTIONS + self.turn) % len(options)]
            start = time.perf_counter()
            address = f"/{self.prefix}/{self.known['attempt']}/answers/{question}/"
            line.request("POST", address, urlencode({f"q{question}": answer}), headers)
            response = line.getresponse()
            body = response.read()
            self.seconds.append(time.perf_counter() - start)
            if response.status == 200 and json.loads(body)["saved"]:
                self.last[question] = answer
            else:
                self.refused += 1
        line.close()


def main(full: bool) -> None:
    folder = _pairs.site()
    sys.path.insert(0, str(_pairs.ROOT))
    from django.db import connection, transaction

    with transaction.atomic():
        people = _people()

    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_answer")
        cursor.execute(CREATE)
    connection.close()
    (folder / f"{SERVED}.py").write_text(SITE, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": f"{_pairs.ROOT}:{folder}"}
    command = [
        str(Path(sys.executable).parent / "granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "2", "--blocking-threads", "4", "--no-ws", "--log-level", "error", f"{SERVED}:application",
    ]  # fmt: skip
    server = subprocess.Popen(command, env=environment, cwd=folder, start_new_session=True)
    try:
        _wait_for(port)
        _measure(port, people, 100 if full else 20)
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # it waits for kept connections to end, and nothing here needs a farewell
        server.wait()


def _measure(port: int, people: list[dict], count: int) -> None:
    slow: dict[str, list[float]] = {"bare": [], "attempts": []}
    bad = {"refused": 0, "missing": 0}
    turn = 0

    def ask(prefix: str) -> float:
        nonlocal turn
        turn += 1
        gate = threading.Barrier(PEOPLE + 1)
        threads = [Person(port, prefix, known, count, turn, gate) for known in people]
        for thread in threads:
            thread.start()
        gate.wait()
        start = time.perf_counter()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - start
        times = sorted(second for thread in threads for second in thread.seconds)
        slow[prefix].append(times[len(times) * 95 // 100])
        if prefix == "attempts":
            bad["refused"] += sum(thread.refused for thread in threads)
            bad["missing"] += _missing(threads)
        return seconds

    for prefix in slow:  # both warm
        ask(prefix)
    for kept in slow.values():
        kept.clear()
    timed = _pairs.pairs(lambda: ask("bare"), lambda: ask("attempts"), n=5)
    asked = PEOPLE * count
    _pairs.row(
        "E3",
        f"quiz answers, {PEOPLE} connections, {asked:,} a turn",
        timed,
        goal="<= 10/7",  # of the seconds: at least 0.7 of the answers a second
        baseline=f"{asked / timed.baseline_s:,.0f}/s",
        ours=f"{asked / timed.ours_s:,.0f}/s",
    )
    _pairs.row("E3", "the same, 95th percentile", _pairs.Pairs(slow["bare"], slow["attempts"]), goal="<= 2")
    _pairs.row(
        "E3",
        "acknowledged answers that are missing",
        goal="= 0",
        baseline="–",
        ours=str(bad["missing"]),
        ratio=bad["missing"],
    )
    _pairs.row("E3", "answers refused", goal="= 0", baseline="–", ours=str(bad["refused"]), ratio=bad["refused"])


def _missing(threads: list[Person]) -> int:
    from assessments.models import Response

    answers = Response.objects.values_list("attempt", "position", "answer")
    stored = {(attempt, position): answer for attempt, position, answer in answers}
    return sum(
        stored[thread.known["attempt"], question] != answer
        for thread in threads
        for question, answer in thread.last.items()
    )


def _people() -> list[dict]:
    """Fifty people, signed in, each with an open attempt of ten questions."""
    from django.test import Client
    from django.utils import timezone

    from assessments.domain.attempts import start_attempt
    from core.periods import Month
    from tests.factories.assessments import make_category, make_question, make_quiz, make_quiz_duty
    from tests.factories.courses import make_enrolment
    from tests.factories.people import make_employee, make_unit

    now = timezone.now()
    unit, category = make_unit(), make_category()
    for _number in range(QUESTIONS * 2):
        make_question("single", category=category)
    quiz = make_quiz(draws=[(category, QUESTIONS)], time_limit=240)
    first, step = make_quiz_duty(
        quiz, employee=make_employee(unit, with_user=True), month=Month.of(timezone.localdate(now))
    )
    duties = [first] + [make_enrolment(make_employee(unit, with_user=True), first.run) for _n in range(PEOPLE - 1)]
    found = []
    for duty in duties:
        client = Client()
        client.force_login(duty.employee.user)
        attempt = start_attempt(enrolment=duty, step=step, at=now)
        options = [response.option_order for response in attempt.responses.all()]
        found.append({"session": client.cookies["sessionid"].value, "attempt": attempt.pk, "options": options})
    return found


def _wait_for(port: int) -> None:
    end = dt.datetime.now() + dt.timedelta(seconds=60)
    while dt.datetime.now() < end:
        try:
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            line.request("GET", "/healthz")
            if line.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise SystemExit("the server did not start")


if __name__ == "__main__":
    _pairs.run(main)
