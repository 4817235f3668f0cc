"""Robots of group chats, against a receiver on this machine that checks the signatures by itself."""

import base64
import hashlib
import hmac
import json
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from core import robots
from core.models import Event, Robot
from core.robots import AddressRefused, PostFailed, check_address, masked, post, save_robot, switch_robot
from tests.factories.people import make_user

SECRET = "SEC-of-the-robot"
HOSTS = ["qyapi.weixin.qq.com", "oapi.dingtalk.com", "open.feishu.cn"]


class Receiver(HTTPServer):
    """Keeps every request, and answers as it is told."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests, self.status, self.answer, self.headers = [], 200, {"errcode": 0, "errmsg": "ok"}, {}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, self.headers["Host"], json.loads(body)))
        answer = self.server.answer
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST

    def log_message(self, *args):
        pass


@pytest.fixture
def receiver(monkeypatch, settings):
    """Stands in for the vendors: the address stays https and on the list; only the line ends here, without TLS."""
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def connect(host):
        assert host in HOSTS
        return HTTPConnection("127.0.0.1", server.server_port, timeout=5)

    monkeypatch.setattr(robots, "_connect", connect)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def _robot(kind, secret=SECRET):
    url = {
        "wecom": "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=abc-123",
        "dingtalk": "https://oapi.dingtalk.com/robot/send?access_token=t0ken",
        "feishu": "https://open.feishu.cn/open-apis/bot/v2/hook/xyz",
    }[kind]
    return Robot(name="r", kind=kind, url=url, secret=secret)


def _say(robot, at, text="113 of 113 are done.", url="https://training.example.com/hr/"):
    post(robot=robot, title="November", text=text, url=url, at=at)


def test_wecom_posts_text_to_the_address_with_its_key(receiver, at):
    _say(_robot("wecom"), at)
    [(path, _host, body)] = receiver.requests
    assert path == "/cgi-bin/webhook/send?key=abc-123"
    assert body == {
        "msgtype": "text",
        "text": {"content": "November\n113 of 113 are done.\nhttps://training.example.com/hr/"},
    }


def test_wecom_keeps_to_its_2048_bytes_and_keeps_the_link(receiver, at):
    _say(_robot("wecom"), at, text="\n".join(["营业部网点完成情况"] * 200))
    [(_path, _host, body)] = receiver.requests
    content = body["text"]["content"]
    assert len(content.encode()) <= 2048
    assert content.endswith("营业部网点完成情况…\nhttps://training.example.com/hr/")


def test_dingtalk_signs_timestamp_and_secret_in_the_query(receiver, at):
    _say(_robot("dingtalk"), at)
    [(path, _host, body)] = receiver.requests
    query = parse_qs(urlsplit(path).query)
    moment = query["timestamp"][0]
    assert int(moment) == int(at.timestamp() * 1000)
    right = base64.b64encode(hmac.digest(SECRET.encode(), f"{moment}\n{SECRET}".encode(), hashlib.sha256)).decode()
    assert (urlsplit(path).path, query["access_token"], query["sign"]) == ("/robot/send", ["t0ken"], [right])
    assert body["text"]["content"].startswith("November\n")


def test_dingtalk_escapes_plus_and_slash_of_the_signature(at):
    """In a query a bare + is a space: of many moments some give one, and it must come back as it was."""
    from datetime import timedelta

    for minute in range(60):
        query, _body = robots._signed(_robot("dingtalk"), "access_token=t", {}, at + timedelta(minutes=minute))
        moment = parse_qs(query)["timestamp"][0]
        right = base64.b64encode(hmac.digest(SECRET.encode(), f"{moment}\n{SECRET}".encode(), "sha256")).decode()
        assert parse_qs(query)["sign"] == [right]
        assert "+" not in query


def test_feishu_signs_nothing_with_timestamp_and_secret_as_key_in_the_body(receiver, at):
    receiver.answer = {"code": 0, "msg": "success", "data": {}}
    _say(_robot("feishu"), at)
    [(path, _host, body)] = receiver.requests
    moment = body["timestamp"]
    assert moment == str(int(at.timestamp()))
    right = base64.b64encode(hmac.digest(f"{moment}\n{SECRET}".encode(), b"", hashlib.sha256)).decode()
    assert (path, body["sign"], body["msg_type"]) == ("/open-apis/bot/v2/hook/xyz", right, "post")
    assert body["content"]["post"]["zh_cn"] == {
        "title": "November",
        "content": [
            [{"tag": "text", "text": "113 of 113 are done."}],
            [{"tag": "a", "text": "https://training.example.com/hr/", "href": "https://training.example.com/hr/"}],
        ],
    }


@pytest.mark.parametrize("kind", ["dingtalk", "feishu"])
def test_without_a_secret_nothing_is_signed(receiver, at, kind):
    receiver.answer = {"errcode": 0, "code": 0}
    _say(_robot(kind, secret=""), at)
    [(path, _host, body)] = receiver.requests
    assert ("sign" in path, "sign" in body) == (False, False)


@pytest.mark.parametrize(
    ("kind", "answer", "outcome", "final"),
    [
        (
            "wecom",
            {"errcode": 93000, "errmsg": "invalid webhook url"},
            "robot-refused: 93000 invalid webhook url",
            True,
        ),
        ("wecom", {"errcode": 45009, "errmsg": "freq"}, "robot-refused: 45009 freq", False),
        ("dingtalk", {"errcode": 310000, "errmsg": "sign not match"}, "robot-refused: 310000 sign not match", True),
        ("feishu", {"code": 19021, "msg": "sign match fail"}, "robot-refused: 19021 sign match fail", True),
        ("feishu", {"StatusCode": 1, "StatusMessage": "no"}, "robot-refused: 1 no", False),
        ("feishu", {"hello": 1}, "robot-refused: -1 the answer has no error code", False),
        ("wecom", b"<html>", "robot-refused: -1 the answer is no JSON object", False),
        ("wecom", b'{"errcode":0,"x":"' + b"x" * 70_000 + b'"}', "robot-refused: the answer is too long", False),
    ],
)
def test_an_error_in_a_good_looking_answer_is_a_failure(receiver, at, kind, answer, outcome, final):
    receiver.answer = answer
    with pytest.raises(PostFailed) as failed:
        _say(_robot(kind), at)
    assert (failed.value.outcome, failed.value.is_final) == (outcome, final)


@pytest.mark.parametrize(("status", "final"), [(302, True), (404, True), (429, False), (500, False)])
def test_other_answers_fail_and_no_redirect_is_followed(receiver, at, status, final):
    receiver.status = status
    receiver.headers = {"Location": f"http://127.0.0.1:{receiver.server_port}/elsewhere"}
    with pytest.raises(PostFailed) as failed:
        _say(_robot("wecom"), at)
    assert (failed.value.outcome, failed.value.is_final) == (f"robot-refused: HTTP {status}", final)
    assert len(receiver.requests) == 1


def test_a_server_that_does_not_answer_is_tried_later(monkeypatch, at):
    monkeypatch.setattr(robots, "_connect", lambda host: HTTPConnection("127.0.0.1", 9, timeout=1))
    with pytest.raises(PostFailed) as failed:
        _say(_robot("wecom"), at)
    assert failed.value.outcome.startswith("robot-unreachable: ConnectionRefusedError")
    assert failed.value.is_final is False


# --- addresses --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=a", "https"),
        ("https://169.254.169.254/latest/meta-data/", "host"),
        ("https://localhost/x", "host"),
        ("https://qyapi.weixin.qq.com.example.com/x", "host"),
        ("https://example.com/qyapi.weixin.qq.com", "host"),
        ("https://qyapi.weixin.qq.com@example.com/x", "host"),
        ("https://example.com#@qyapi.weixin.qq.com/x", "form"),
        ("https://user:secret@qyapi.weixin.qq.com/x", "port"),
        ("https://qyapi.weixin.qq.com:8443/x", "port"),
        ("https://qyapi.weixin.qq.com:99999/x", "form"),
        ("https://qyapi.weixin.qq.com", "form"),
        ("https://qyapi.weixin.qq.com\\@example.com/x", "form"),
        ("https://qyapi.weixin.qq.com/a b", "form"),
        ("https://qyapi.weixin.qq.com/a\r\nHost: example.com", "form"),
        ("ftp://qyapi.weixin.qq.com/x", "form"),
        ("file:///etc/passwd", "form"),
        ("https://qyapi.weixin.qq.com./x", "host"),
        ("https://ｑyapi.weixin.qq.com/x", "form"),
        ("", "form"),
    ],
)
def test_mc_17_a_foreign_address_is_refused_when_saved_and_when_sent(db, receiver, at, url, code):
    with pytest.raises(AddressRefused) as refused:
        check_address(url)
    assert refused.value.code == code
    with pytest.raises(AddressRefused):
        save_robot(robot=Robot(name="r", kind="wecom"), url=url, secret="", by=None, at=at)
    assert not Robot.objects.exists()
    with pytest.raises(AddressRefused):
        _say(Robot(name="r", kind="wecom", url=url), at)
    assert receiver.requests == []


def test_mc_17_a_host_taken_off_the_list_gets_nothing_any_more(receiver, at, settings):
    settings.ROBOT_HOSTS = ["open.feishu.cn"]
    with pytest.raises(AddressRefused):
        _say(_robot("wecom"), at)
    assert receiver.requests == []


def test_an_address_is_shown_without_its_key():
    assert masked("https://oapi.dingtalk.com/robot/send?access_token=abcdefgh1234") == "oapi.dingtalk.com/…1234"


# --- keeping ----------------------------------------------------------------------------------------------------------
def test_neither_key_nor_secret_is_written_into_the_chain(db, at):
    by = make_user()
    robot = save_robot(robot=_robot("dingtalk"), url=_robot("dingtalk").url, secret=SECRET, by=by, at=at)
    robot.name = "new name"
    save_robot(robot=robot, url="", secret=None, by=by, at=at)
    assert switch_robot(robot=robot, active=False, by=by, at=at)
    assert not switch_robot(robot=robot, active=False, by=by, at=at)
    robot.refresh_from_db()
    assert (robot.name, robot.url, robot.secret, robot.active) == ("new name", _robot("dingtalk").url, SECRET, False)
    events = Event.objects.filter(chain="robots").order_by("sequence")
    assert [event.action for event in events] == ["added", "changed", "switched off"]
    written = json.dumps([event.after for event in events])
    assert ("t0ken" in written, SECRET in written) == (False, False)


def test_a_secret_can_be_removed(db, at):
    robot = save_robot(robot=_robot("feishu"), url=_robot("feishu").url, secret=SECRET, by=None, at=at)
    save_robot(robot=robot, url="", secret="", by=None, at=at)
    assert Robot.objects.get().secret == ""


def test_who_saves_a_robot_does_not_undo_that_somebody_switched_it_off(db, at):
    address = _robot("feishu").url
    robot = save_robot(robot=_robot("feishu"), url=address, secret=SECRET, by=None, at=at)
    read = Robot.objects.get(pk=robot.pk)
    switch_robot(robot=robot, active=False, by=None, at=at)
    Robot.objects.filter(pk=robot.pk).update(name="renamed", secret="another")  # by somebody else, at the same moment
    read.name = "new name"
    saved = save_robot(robot=read, url="", secret=None, by=None, at=at)
    assert list(Robot.objects.values_list("name", "url", "secret", "active")) == [
        ("new name", address, "another", False)
    ]
    assert saved.active is False
    event = Event.objects.filter(chain="robots").order_by("sequence").last()
    assert (event.action, event.before) == (
        "changed",
        {"name": "renamed", "kind": "feishu", "host": "open.feishu.cn"},
    )


def test_who_saves_a_robot_does_not_bring_back_one_that_was_removed(db, at):
    robot = save_robot(robot=_robot("feishu"), url=_robot("feishu").url, secret=SECRET, by=None, at=at)
    Robot.objects.all().delete()
    with pytest.raises(Robot.DoesNotExist):
        save_robot(robot=robot, url="", secret=None, by=None, at=at)
    assert not Robot.objects.exists()
