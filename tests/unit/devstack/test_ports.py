"""Choosing ports."""

import socket
from collections.abc import Iterator

import pytest

from ddpm.devstack.ports import HOST, choose, free_ports, is_free


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as listener:
        yield listener.getsockname()[1]


def test_preferred_port_is_taken_when_free() -> None:
    (port,) = free_ports(1)
    assert choose(port) == port


def test_another_port_is_taken_when_the_preferred_one_is_busy(taken: int) -> None:
    assert not is_free(taken)
    assert choose(taken) != taken


def test_a_listener_on_all_interfaces_is_in_the_way_too() -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104 -- that is the case under test
        assert not is_free(listener.getsockname()[1])


def test_several_ports_are_different_and_out_of_the_range_of_outgoing_connections() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(port < 32_768 for port in ports)
