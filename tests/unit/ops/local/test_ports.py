"""Ports are free, distinct, and kept over restarts."""

from __future__ import annotations

import socket

from reclens.ops.local.ports import GRPC_OFFSET, LOOPBACK, free_ports, is_free, keep_or_draw


def test_a_port_that_is_listened_on_is_not_free():
    with socket.socket() as server:
        server.bind((LOOPBACK, 0))
        server.listen()
        assert not is_free(server.getsockname()[1])


def test_drawn_ports_are_distinct_and_below_the_ephemeral_range():
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert max(ports) + GRPC_OFFSET < 32768


def test_a_wanted_port_is_kept_where_it_is_free_and_replaced_where_it_is_taken():
    free, taken = free_ports(2)
    with socket.socket() as server:
        server.bind((LOOPBACK, taken))
        server.listen()
        chosen = keep_or_draw({"redis": free, "s3": taken, "gateway": None})
    assert chosen["redis"] == free
    assert chosen["s3"] != taken
    assert len(set(chosen.values())) == 3


def test_a_port_whose_grpc_partner_is_taken_is_replaced():
    (port,) = free_ports(1)
    with socket.socket() as server:
        server.bind((LOOPBACK, port + GRPC_OFFSET))
        server.listen()
        assert keep_or_draw({"s3": port})["s3"] != port
