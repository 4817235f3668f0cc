"""Mails by the SMTP backend of Django, against a receiver on this machine that speaks the protocol by itself."""

import datetime as dt
import email.policy
import socket
import threading
from email import message_from_bytes
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest
from django.utils import translation

from core import messaging
from core.messaging import Delivered, deliver_all, deliver_due, outcome_words, queue
from core.models import Message
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db
State = Message.State


class Receiver(ThreadingTCPServer):
    """Keeps every mail with its envelope and every command; refuses the addresses it is told to."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Session)
        self.mails, self.verbs, self.refused = [], [], {}

    @property
    def port(self):
        return self.server_address[1]


class _Session(StreamRequestHandler):
    timeout = 10

    def handle(self):
        self._say("220 receiver")
        sender, receivers = "", []
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            verb = line.split(" ", 1)[0].upper()
            self.server.verbs.append(verb)
            if verb == "EHLO":
                self._say("250-receiver\r\n250 8BITMIME")
            elif verb == "MAIL":
                sender, receivers = _address(line), []
                self._say("250 ok")
            elif verb == "RCPT":
                answer = self.server.refused.get(_address(line))
                receivers += [] if answer else [_address(line)]
                self._say(answer or "250 ok")
            elif verb == "DATA":
                self._say("354 go on")
                self.server.mails.append((sender, receivers, self._data()))
                self._say("250 taken")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")  # RSET

    def _data(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        return b"".join(lines)

    def _say(self, words):
        self.wfile.write(f"{words}\r\n".encode())


def _address(line):
    return line[line.index("<") + 1 : line.index(">")]


@pytest.fixture(autouse=True)
def house(settings):
    settings.JOBS = "worker"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_USE_TLS, settings.EMAIL_USE_SSL = "127.0.0.1", False, False
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_TIMEOUT = 5
    settings.DEFAULT_FROM_EMAIL = "training@example.com"
    settings.WAGTAILADMIN_BASE_URL = "https://training.example.com"


@pytest.fixture
def receiver(settings):
    server = Receiver()
    settings.EMAIL_PORT = server.port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def closed_port(settings):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings.EMAIL_PORT = probe.getsockname()[1]
        yield settings.EMAIL_PORT  # bound and not listening: nobody else gets it, and it refuses


SUBJECT = "待完成：“销售礼仪” (Sales etiquette)，11月30日截止；另有2门课程，请在月底之前完成"
TEXT = "Ann 王，您好：\n\n.以下课程等您完成 / is waiting for you:\n· “销售礼仪”\n\n继续学习：https://training.example.com/my/"


def _mail(at, address, key="digest"):
    user = make_user(email=address)
    values = {"language": "zh-hans", "subject": SUBJECT, "text": TEXT, "url": "/my/"}
    queue(messages=[messaging.mail(key=key, kind="test", user_id=user.pk, address=address, **values)], at=at)
    return Message.objects.get(address=address)


def _round(at):
    return deliver_due(at=at, clock=lambda: at)


def _fate(message):
    message.refresh_from_db()
    return message.state, message.tries, message.outcome


def test_a_mail_in_both_languages_arrives_as_it_was_written(receiver, at):
    row = _mail(at, "wang@example.com")
    assert _round(at) == Delivered(sent=1)
    [(sender, receivers, content)] = receiver.mails
    assert (sender, receivers) == ("training@example.com", ["wang@example.com"])
    assert max(len(line) for line in content.split(b"\r\n")) <= 998
    assert content.partition(b"\r\n\r\n")[0].isascii()
    # A long subject may begin on the line after its name: the space of the fold is none of the subject (RFC 5322).
    found = message_from_bytes(content, policy=email.policy.default)
    assert {name: str(found[name]).strip() for name in ("Message-ID", "Subject", "From", "To", "Auto-Submitted")} == {
        "Message-ID": f"<message-{row.pk}-{int(at.timestamp())}@training.example.com>",
        "Subject": SUBJECT,
        "From": "training@example.com",
        "To": "wang@example.com",
        "Auto-Submitted": "auto-generated",
    }
    assert found["Date"] is not None
    assert found.get_content_type() == "text/plain"
    assert found.get_content().replace("\r\n", "\n").rstrip("\n") == TEXT
    assert _fate(row) == (State.SENT, 1, "")


def test_the_mails_of_a_round_go_through_one_connection(receiver, at):
    for number in range(3):
        _mail(at, f"p{number}@example.com")
    assert _round(at) == Delivered(sent=3)
    assert [receivers for _sender, receivers, _content in receiver.mails] == [[f"p{n}@example.com"] for n in range(3)]
    assert (receiver.verbs.count("EHLO"), receiver.verbs[-1]) == (1, "QUIT")


def test_a_mail_that_comes_twice_has_the_same_name(receiver, at):
    row = _mail(at, "wang@example.com")
    _round(at)
    Message.objects.filter(pk=row.pk).update(state=State.SENDING)  # its worker died before writing that it was sent
    _round(at + messaging.LEASE)
    names = [message_from_bytes(content)["Message-ID"] for _sender, _receivers, content in receiver.mails]
    assert (len(names), len(set(names))) == (2, 1)


def test_an_unknown_address_is_given_up_with_words_and_the_others_get_their_mail(receiver, at):
    receiver.refused = {"gone@example.com": "550 5.1.1 no such user", "full@example.com": "452 4.2.2 mailbox full"}
    gone, full, good = (_mail(at, f"{name}@example.com") for name in ("gone", "full", "good"))
    assert _round(at) == Delivered(sent=1, put_off=1, failed=1)
    assert [_fate(row) for row in (gone, full, good)] == [
        (State.FAILED, 1, "refused: 550 5.1.1 no such user"),
        (State.WAITING, 1, "refused: 452 4.2.2 mailbox full"),
        (State.SENT, 1, ""),
    ]
    assert [receivers for _sender, receivers, _content in receiver.mails] == [["good@example.com"]]
    with translation.override("en"):
        assert outcome_words(gone) == "The mail server refused it. Check the address. (550 5.1.1 no such user)"
    with translation.override("zh-hans"):
        assert outcome_words(gone).startswith("邮件服务器拒收")


def test_a_closed_port_puts_one_mail_off_and_it_arrives_when_the_server_is_back(closed_port, at, request):
    rows = [_mail(at, f"p{number}@example.com") for number in range(3)]
    done = deliver_all(at=at)
    assert (done.sent, done.put_off, done.failed, done.unreachable) == (0, 1, 0, True)
    tried, *others = sorted(rows, key=lambda row: _fate(row)[1], reverse=True)
    assert (tried.state, tried.tries) == (State.WAITING, 1)
    assert tried.outcome.startswith("unreachable: ")
    assert "Connection refused" in tried.outcome
    assert [_fate(row) for row in others] == [(State.WAITING, 0, "")] * 2
    receiver = request.getfixturevalue("receiver")
    assert _round(tried.not_before + dt.timedelta(seconds=1)) == Delivered(sent=3)
    assert len(receiver.mails) == 3
