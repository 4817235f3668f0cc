"""Whose request it is behind a web server in front: forged headers change nothing (TRUST SC-26)."""

from ipaddress import ip_network

import pytest
from axes.models import AccessAttempt
from django.http import HttpResponse
from django.test import override_settings

from tests.factories.people import make_employee, make_unit
from training_site.env import SettingRefused, networks
from training_site.middleware import ClientAddress

DOOR = "/sign-in/"
HOUSE = [ip_network("127.0.0.1"), ip_network("::1"), ip_network("10.9.0.0/16")]
behind = override_settings(BEHIND_PROXY=True, TRUSTED_PROXIES=HOUSE)


def seen(rf, peer, forwarded=None):
    """The address that the views are told."""
    found = []
    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    ask = ClientAddress(lambda request: found.append(request.META["REMOTE_ADDR"]) or HttpResponse())
    ask(rf.get("/", REMOTE_ADDR=peer, **headers))
    return found[0]


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("", "203.0.113.9", "203.0.113.9"),  # a socket of this machine
        ("", None, ""),
        ("::1", "2001:db8::7", "2001:db8::7"),
        ("::ffff:127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9, 10.9.4.4", "203.0.113.9"),  # two servers of ours in a row
        ("127.0.0.1", "10.9.4.4", "10.9.4.4"),  # one of ours asks by itself
        ("127.0.0.1", "203.0.113.9:51234", "203.0.113.9"),
        ("127.0.0.1", "[2001:db8::7]:51234", "2001:db8::7"),
    ],
)
@behind
def test_sc_26_the_client_is_the_right_most_hop_that_is_not_ours(rf, peer, forwarded, address):
    assert seen(rf, peer, forwarded) == address


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("127.0.0.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "127.0.0.1, 203.0.113.9", "203.0.113.9"),  # claims to be a server of ours
        ("127.0.0.1", "6.6.6.6, 10.9.4.4, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "6.6.6.6, 203.0.113.9, 10.9.4.4", "203.0.113.9"),
        ("127.0.0.1", "6.6.6.6,<script>,203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "6.6.6.6, unknown", "127.0.0.1"),  # no address: the last one that is known
        ("127.0.0.1", "6.6.6.6, fe80::1%eth0", "127.0.0.1"),
        ("127.0.0.1", "6.6.6.6, 10.9.4.4 ,", "127.0.0.1"),
        ("198.51.100.7", "6.6.6.6", "198.51.100.7"),  # reached us past the server in front
        ("198.51.100.7", "127.0.0.1", "198.51.100.7"),
        ("what?", "6.6.6.6", "what?"),
    ],
)
@behind
def test_sc_26_what_a_client_writes_changes_nothing(rf, peer, forwarded, address):
    assert seen(rf, peer, forwarded) == address


@pytest.mark.parametrize("peer", ["127.0.0.1", "198.51.100.7", ""])
@override_settings(BEHIND_PROXY=False, TRUSTED_PROXIES=HOUSE)
def test_sc_26_without_a_server_in_front_only_the_peer_counts(rf, peer):
    assert seen(rf, peer, "6.6.6.6") == peer


@pytest.mark.parametrize(("peer", "secure"), [("127.0.0.1", True), ("10.9.4.4", True), ("198.51.100.7", False)])
@override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"))
@behind
def test_sc_26_https_is_believed_of_servers_of_ours_only(rf, peer, secure):
    found = []
    ask = ClientAddress(lambda request: found.append(request.is_secure()) or HttpResponse())
    ask(rf.get("/", REMOTE_ADDR=peer, HTTP_X_FORWARDED_PROTO="https"))
    assert found == [secure]


@behind
def test_sc_26_the_log_names_a_server_that_is_not_on_the_list_once(rf, caplog):
    ask = ClientAddress(lambda request: HttpResponse())
    for peer in ("172.18.0.2", "172.18.0.2", "172.18.0.3"):
        ask(rf.get("/", REMOTE_ADDR=peer, HTTP_X_FORWARDED_PROTO="https"))
    ask(rf.get("/", REMOTE_ADDR="172.18.0.4"))
    assert [record.getMessage() for record in caplog.records] == [
        f"{peer} sends X-Forwarded-… but is not among TRUSTED_PROXIES: it is not believed"
        for peer in ("172.18.0.2", "172.18.0.3")
    ]


@pytest.mark.django_db
@behind
def test_sc_26_sc_38_guesses_are_counted_for_the_real_address(client):
    make_employee(make_unit(), employee_no="00123", with_user=True)

    def guess(address, forged):
        words = {"username": "00123", "password": "wrong"}
        return client.post(
            DOOR, words, REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR=f"{forged}, {address}"
        ).status_code

    assert [guess("203.0.113.9", f"6.6.6.{number}") for number in range(5)] == [200, 200, 200, 200, 429]
    assert guess("203.0.113.9", "203.0.113.77") == 429  # another name for himself does not help
    assert guess("203.0.113.77", "203.0.113.9") == 200  # and nobody else is shut out by him
    assert set(AccessAttempt.objects.values_list("ip_address", flat=True)) == {"203.0.113.9", "203.0.113.77"}


def test_trusted_proxies_are_addresses_and_networks(monkeypatch):
    monkeypatch.setenv("TRUSTED_PROXIES", "127.0.0.1, 10.9.0.0/16 ::1")
    assert networks("TRUSTED_PROXIES") == [ip_network("127.0.0.1"), ip_network("10.9.0.0/16"), ip_network("::1")]
    monkeypatch.setenv("TRUSTED_PROXIES", "proxy.example.com")
    with pytest.raises(SettingRefused, match="'proxy.example.com' is not an address"):
        networks("TRUSTED_PROXIES")
