"""Robots of group chats: posting to WeCom, DingTalk and Feishu as each documents it, and keeping their addresses.

The server speaks to an address that somebody typed, so it is bound hand and foot (TRUST MC-17): HTTPS only, the host on
the allow-list of the settings (ROBOT_HOSTS) both when it is saved and when something is sent, no other port, no
redirect followed, a time limit, and a small answer. The address holds the key of the robot and the secret signs: both
are write-only, no page shows them again.

Signing, from the vendors' documents:

- WeCom (群机器人): the key stands in the address; nothing is signed.
- DingTalk (自定义机器人, 加签): HMAC-SHA256 of "timestamp\\nsecret" with the secret as key, in base64, with the timestamp
  in milliseconds in the address.
- Feishu (自定义机器人, 签名校验): HMAC-SHA256 of nothing with "timestamp\\nsecret" as key, in base64, with the timestamp in
  seconds in the body.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import ssl
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from core.events import record_event
from core.models import Robot

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

TIMEOUT = 10  # seconds for each step of the conversation
DEADLINE = 20  # seconds for all of the answer
MOST_BYTES = 64 * 1024
WECOM_TEXT = 2048  # bytes of a text message, as documented
OTHER_TEXT = 18_000  # DingTalk and Feishu take about 20 KB of body

_Kind = Robot.Kind


class AddressRefused(Exception):
    """The robot's address is not one to which anything may be sent. ``code`` is a word of PROBLEMS."""

    def __init__(self, code: str):
        super().__init__(code)
        self.code = code


class PostFailed(Exception):
    """The message did not arrive. ``outcome`` is how it is stored; ``is_final``: trying again is no use."""

    def __init__(self, outcome: str, *, is_final: bool = False):
        super().__init__(outcome)
        self.outcome, self.is_final = outcome, is_final


PROBLEMS = {
    "form": _("This is no address. Copy it from the settings of the robot in the group chat."),
    "https": _("The address must begin with https://."),
    "host": _("This host is not on the list of allowed hosts (ROBOT_HOSTS in the settings of the site)."),
    "port": _("The address must not name a port or a sign-in."),
}

# What the vendors' commonest error codes mean for who looks after the robot; final ones are not tried again.
_FINAL = {
    _Kind.WECOM: {93000, 40008, 40058},
    _Kind.DINGTALK: {300001, 310000, 400013, 400101, 400102},
    _Kind.FEISHU: {19001, 19021, 19022, 19024, 9499},
}
_ADVICE: dict[tuple[str, int], StrOrPromise] = {
    (_Kind.WECOM, 93000): _("The address is not valid any more: copy it anew from the group chat."),
    (_Kind.WECOM, 45009): _("Too many messages in a minute."),
    (_Kind.DINGTALK, 300001): _("The address is not valid any more: copy it anew from the group chat."),
    (_Kind.DINGTALK, 310000): _("The security setting does not fit: check the secret, the keywords or the addresses."),
    (_Kind.DINGTALK, 400101): _("The address is not valid any more: copy it anew from the group chat."),
    (_Kind.DINGTALK, 400102): _("The robot is switched off in the group chat."),
    (_Kind.DINGTALK, 410100): _("Too many messages in a minute."),
    (_Kind.FEISHU, 19001): _("The address is not valid any more: copy it anew from the group chat."),
    (_Kind.FEISHU, 19021): _("The signature does not fit: check the secret and the clock of the server."),
    (_Kind.FEISHU, 19022): _("The server’s address is not on the list of the robot."),
    (_Kind.FEISHU, 19024): _("The message lacks a keyword that the robot asks for."),
    (_Kind.FEISHU, 11232): _("Too many messages in a minute."),
}


def advice(kind: str, detail: str) -> str:
    """This function will say what a vendor's error code means for who looks after the robot; empty when unknown."""
    number = detail.strip().split(" ", 1)[0]
    return str(_ADVICE.get((kind, int(number)), "")) if number.isdecimal() and len(number) < 10 else ""


# --- the address ------------------------------------------------------------------------------------------------------
def check_address(url: str) -> SplitResult:
    """This function will take an address apart, or raise AddressRefused: https, an allowed host, nothing else."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url or len(url) > 500:
        raise AddressRefused("form")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressRefused("form")
    if parts.scheme != "https":
        raise AddressRefused("https" if parts.scheme == "http" else "form")
    if not parts.hostname or len(parts.path) < 2:
        raise AddressRefused("form")
    if parts.hostname not in {host.lower() for host in settings.ROBOT_HOSTS}:
        raise AddressRefused("host")
    if parts.username is not None or parts.password is not None or port not in {None, 443}:
        raise AddressRefused("port")
    return parts


def masked(url: str) -> str:
    """This function will return what of an address may be shown: its host and its last four characters."""
    return f"{urlsplit(url).hostname or ''}/…{url[-4:]}"


# --- posting ----------------------------------------------------------------------------------------------------------
def post(*, robot: Robot, title: str, text: str, url: str, at: dt.datetime) -> None:
    """This function will post a message to a group chat; ``at`` is the present moment, which is part of the signature.

    Raises AddressRefused or PostFailed. An answer of 200 with an error code in it is a failure as well.
    """
    parts = check_address(robot.url)
    query, body = _signed(robot, parts.query, _body(robot.kind, title, text, url), at)
    path = parts.path + (f"?{query}" if query else "")
    status, answer = _exchange(parts.hostname or "", path, json.dumps(body, ensure_ascii=False).encode())
    if 300 <= status < 400:
        raise PostFailed(f"robot-refused: HTTP {status}", is_final=True)  # a redirect is never followed
    if status != 200:
        raise PostFailed(f"robot-refused: HTTP {status}", is_final=400 <= status < 500 and status != 429)
    code, words = _verdict(answer)
    if code != 0:
        raise PostFailed(f"robot-refused: {code} {words}", is_final=code in _FINAL[_Kind(robot.kind)])


def _body(kind: str, title: str, text: str, url: str) -> dict:
    """The message in the vendor's words: plain text, so that no name in it is taken for markup or for a mention."""
    if kind == _Kind.FEISHU:
        lines: list[list[dict]] = [[{"tag": "text", "text": line}] for line in _cut(text, OTHER_TEXT).split("\n")]
        if url:
            lines.append([{"tag": "a", "text": url, "href": url}])
        return {"msg_type": "post", "content": {"post": {"zh_cn": {"title": title, "content": lines}}}}
    tail = f"\n{url}" if url else ""
    limit = (WECOM_TEXT if kind == _Kind.WECOM else OTHER_TEXT) - len(tail.encode())
    return {"msgtype": "text", "text": {"content": _cut(f"{title}\n{text}", limit) + tail}}


def _cut(text: str, limit: int) -> str:
    """At most so many bytes, whole lines as far as possible."""
    if len(text.encode()) <= limit:
        return text
    short = text.encode()[: limit - 3].decode("utf-8", "ignore")
    return (short.rpartition("\n")[0] or short) + "…"


def _signed(robot: Robot, query: str, body: dict, at: dt.datetime) -> tuple[str, dict]:
    """The query and the body with the vendor's signature, where the robot has a secret."""
    if not robot.secret or robot.kind == _Kind.WECOM:
        return query, body
    if robot.kind == _Kind.DINGTALK:
        moment = str(int(at.timestamp() * 1000))
        sign = _hmac(key=robot.secret, message=f"{moment}\n{robot.secret}")
        return urlencode([*parse_qsl(query, keep_blank_values=True), ("timestamp", moment), ("sign", sign)]), body
    moment = str(int(at.timestamp()))
    return query, {"timestamp": moment, "sign": _hmac(key=f"{moment}\n{robot.secret}", message=""), **body}


def _hmac(*, key: str, message: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), message.encode(), hashlib.sha256).digest()).decode()


def _connect(host: str) -> HTTPConnection:
    return HTTPSConnection(host, 443, timeout=TIMEOUT, context=ssl.create_default_context())


def _exchange(host: str, path: str, body: bytes) -> tuple[int, bytes]:
    """Send one request and return the status and the answer. http.client follows no redirect and reads no proxy."""
    connection = _connect(host)
    try:
        headers = {"Content-Type": "application/json; charset=utf-8", "Connection": "close"}
        connection.request("POST", path, body=body, headers=headers)
        with connection.getresponse() as response:
            return response.status, _read(response) if response.status == 200 else b""
    except (OSError, HTTPException) as trouble:
        raise PostFailed(f"robot-unreachable: {type(trouble).__name__} {trouble}")
    finally:
        connection.close()


def _read(response) -> bytes:
    """The answer piece by piece, neither too long nor for too long."""
    end, parts, length = time.monotonic() + DEADLINE, [], 0
    while piece := response.read1(8192):
        parts.append(piece)
        length += len(piece)
        if length > MOST_BYTES:
            raise PostFailed("robot-refused: the answer is too long")
        if time.monotonic() > end:
            raise PostFailed("robot-unreachable: the answer takes too long")
    return b"".join(parts)


def _verdict(answer: bytes) -> tuple[int, str]:
    """The vendor's error code (0: it arrived) and words: errcode of WeCom and DingTalk, code or StatusCode of Feishu."""
    try:
        found = json.loads(answer)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return -1, "the answer is no JSON object"
    for name, words in (("errcode", "errmsg"), ("code", "msg"), ("StatusCode", "StatusMessage")):
        if isinstance(found.get(name), int):
            return found[name], " ".join(str(found.get(words, "")).split())[:200]
    return -1, "the answer has no error code"


# --- keeping them -----------------------------------------------------------------------------------------------------
def save_robot(*, robot: Robot, url: str, secret: str | None, by, at: dt.datetime) -> Robot:
    """This function will add or change a robot: name and kind as they stand on it, address and secret as given.

    An empty ``url`` and a ``secret`` of None keep what is there; an empty secret removes it. Whether a robot that is
    there is on or off stays as it is (switch_robot). One event on the chain ``robots``, in which neither address nor
    secret is written. Raises AddressRefused, or Robot.DoesNotExist when it was removed meanwhile.
    """
    values = {"name": robot.name, "kind": robot.kind}
    if url or robot.pk is None:
        check_address(url)
        values["url"] = url
    if secret is not None:
        values["secret"] = secret
    with transaction.atomic():
        before = None
        if robot.pk is None:
            for name, value in values.items():
                setattr(robot, name, value)
            robot.save()
        else:
            found = Robot.objects.select_for_update().get(pk=robot.pk)
            before = {"name": found.name, "kind": found.kind, "host": urlsplit(found.url).hostname}
            Robot.objects.filter(pk=robot.pk).update(**values)
            robot.refresh_from_db()
        record_event(
            chain="robots",
            action="changed" if before else "added",
            subject=robot,
            actor=by,
            at=at,
            before=before,
            after={
                "name": robot.name,
                "kind": robot.kind,
                "host": urlsplit(robot.url).hostname,
                "address": "new" if url else "kept",
                "secret": "kept" if secret is None else "new" if secret else "none",
            },
        )
    return robot


def switch_robot(*, robot: Robot, active: bool, by, at: dt.datetime) -> bool:
    """This function will switch a robot on or off; False when it was so already. One event on the chain ``robots``."""
    with transaction.atomic():
        changed = Robot.objects.filter(pk=robot.pk, active=not active).update(active=active)
        if changed:
            action = "switched on" if active else "switched off"
            record_event(chain="robots", action=action, subject=robot, actor=by, at=at, after={"active": active})
    return bool(changed)
