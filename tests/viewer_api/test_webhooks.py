"""Webhooks are signed as Standard Webhooks defines it, and reach no address that is not public."""

import ipaddress
import socket
from typing import Any

import pytest

from spanflow.viewer_api.alerts.guarded_network import may_be_reached, networks
from spanflow.viewer_api.alerts.signature import SecretError, key_of, new_secret, signed_headers
from spanflow.viewer_api.alerts.webhook import WebhookSender
from tests.support.ports import free_port
from tests.support.webhook_receiver import webhook_receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_signature_is_that_of_the_specification() -> None:
    """https://github.com/standard-webhooks/standard-webhooks: the vector of its libraries."""
    headers = signed_headers(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_secrets() -> None:
    assert len(key_of(new_secret())) == 32
    assert new_secret() != new_secret()
    for wrong in ("", "whsec_", "whsec_c2hvcnQ=", SECRET.removeprefix("whsec_"), "whsec_!" + SECRET[7:]):
        with pytest.raises(SecretError):
            key_of(wrong)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1"),
        *("::1", "::", "fe80::1", "fc00::1", "ff02::1", "2001:db8::1"),
        # The same in other words: mapped, compatible, NAT64, 6to4 and Teredo.
        *("::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "64:ff9b:1::a00:1"),
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ],
)
def test_no_address_that_is_not_public_may_be_reached(address: str) -> None:
    assert not may_be_reached(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "64:ff9b::5db8:d822"])
def test_public_addresses_may_be_reached(address: str) -> None:
    assert may_be_reached(ipaddress.ip_address(address))


def test_the_settings_allow_others() -> None:
    allowed = networks(["10.1.0.0/16", "fd00::/8"])
    assert may_be_reached(ipaddress.ip_address("10.1.2.3"), allowed)
    assert may_be_reached(ipaddress.ip_address("::ffff:10.1.2.3"), allowed)
    assert may_be_reached(ipaddress.ip_address("fd12::1"), allowed)
    assert not may_be_reached(ipaddress.ip_address("10.2.2.3"), allowed)


async def sent(url: str, *allowed: str) -> Any:
    sender = WebhookSender(networks(allowed))
    try:
        return await sender.send(url, SECRET, "msg_1", b"{}")
    finally:
        await sender.close()


@pytest.mark.anyio
async def test_nothing_is_sent_to_an_address_that_is_refused() -> None:
    with webhook_receiver() as receiver:
        for host in ("127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "[::ffff:127.0.0.1]"):
            answer = await sent(f"http://{host}:{receiver.port}/")
            assert not answer.delivered
            assert (answer.problem or "").startswith("address_refused"), (host, answer)
        assert receiver.requests == []
        assert (await sent(receiver.url, "127.0.0.0/8")).delivered
        assert [path for path, _, _ in receiver.requests] == ["/hook/secret-path"]


@pytest.mark.anyio
async def test_a_name_counts_by_what_it_resolves_to_when_the_connection_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DNS rebinding: it was public when somebody checked it. When any of its addresses is private, none is tried."""
    answers = [[("127.0.0.1", 80)], [("93.184.216.34", 80), ("127.0.0.1", 80)], [("127.0.0.1", 80)]]

    def resolve(host: str, port: int, *rest: Any, **more: Any) -> Any:
        assert host == "rebinding.example.com"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in answers.pop(0)]

    with webhook_receiver() as receiver:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        url = f"http://rebinding.example.com:{receiver.port}/"
        assert "127.0.0.1 is not public" in (await sent(url)).problem
        assert "127.0.0.1 is not public" in (await sent(url)).problem
        # One look-up: the connection goes to the address that was checked, under the name of the address.
        assert (await sent(url, "127.0.0.1")).delivered
        assert answers == []
        assert receiver.requests[0][1]["host"] == f"rebinding.example.com:{receiver.port}"


@pytest.mark.anyio
async def test_redirects_are_not_followed() -> None:
    with webhook_receiver() as elsewhere, webhook_receiver() as receiver:
        receiver.statuses = [307]
        receiver.headers = {"Location": elsewhere.url}
        answer = await sent(receiver.url, "127.0.0.0/8")
        assert (answer.delivered, answer.status, answer.problem) == (False, 307, "status_307")
        assert elsewhere.requests == []


@pytest.mark.anyio
async def test_what_is_not_there_is_told() -> None:
    answer = await sent(f"http://127.0.0.1:{free_port()}/", "127.0.0.1")
    assert (answer.delivered, answer.problem) == (False, "unreachable: ConnectError")
