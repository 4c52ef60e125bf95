"""Frames and DNS messages, byte by byte, as the RFCs draw them; every field can be made wrong."""

from __future__ import annotations

import ipaddress
import struct

A, NS, CNAME, SOA, PTR, AAAA, SRV, OPT, SVCB, HTTPS, ANY = 1, 2, 5, 6, 12, 28, 33, 41, 64, 65, 255
IN, CHAOS = 1, 3
RESPONSE, AUTHORITATIVE, TC, RECURSION = 0x8000, 0x0400, 0x0200, 0x0180
NXDOMAIN, SERVFAIL = 3, 2

RESOLVER, CLIENT = "10.96.0.10", "10.244.0.9"
RESOLVER6, CLIENT6 = "fd00:96::a", "fd00:244::9"
MAC = bytes.fromhex("020000000002020000000001")


def name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".") if label) + b"\0"


def labels(*parts, end=b"\0"):
    return b"".join(bytes([len(part)]) + part for part in parts) + end


def pointer(target):
    return struct.pack("!H", 0xC000 | target)


QUESTION_POINTER = pointer(12)


def record(owner, kind, data, *, ttl=30, record_class=IN, size=None):
    return owner + struct.pack("!HHIH", kind, record_class, ttl, len(data) if size is None else size) + data


def address(text):
    return ipaddress.ip_address(text).packed


def a(owner, text, **more):
    return record(owner, A, address(text), **more)


def aaaa(owner, text, **more):
    return record(owner, AAAA, address(text), **more)


def cname(owner, target, **more):
    return record(owner, CNAME, target, **more)


def srv(owner, target, *, port=80, **more):
    return record(owner, SRV, struct.pack("!HHH", 0, 100, port) + target, **more)


def https(owner, target, *parameters, priority=1, kind=HTTPS, **more):
    values = b"".join(struct.pack("!HH", key, len(value)) + value for key, value in parameters)
    return record(owner, kind, struct.pack("!H", priority) + target + values, **more)


def message(
    question="svc.ns.svc.cluster.local",
    answers=(),
    *,
    kind=A,
    flags=RESPONSE | RECURSION,
    authorities=(),
    additionals=(),
    counts=None,
    question_class=IN,
    message_id=0x1234,
):
    wire = name(question) if isinstance(question, str) else question
    counts = counts or (1, len(answers), len(authorities), len(additionals))
    head = struct.pack("!HHHHHH", message_id, flags, *counts)
    return head + wire + struct.pack("!HH", kind, question_class) + b"".join((*answers, *authorities, *additionals))


def answer(question="svc.ns.svc.cluster.local", to="10.96.0.20", **more):
    return message(question, [a(QUESTION_POINTER, to)], **more)


def udp(payload, *, source=53, destination=40000, length=None):
    return struct.pack("!HHHH", source, destination, 8 + len(payload) if length is None else length, 0) + payload


def tcp(payload=b"", *, source=53, destination=40000, flags=0x18, sequence=1000, offset=5, options=b""):
    offset = offset + len(options) // 4
    head = struct.pack("!HHIIBBHHH", source, destination, sequence, 0, offset << 4, flags, 64240, 0, 0)
    return head + options + payload


def ipv4(
    payload, *, protocol=17, source=RESOLVER, destination=CLIENT, options=b"", fragment=0, length=None, first=None
):
    head = 20 + len(options)
    first = 0x40 | head // 4 if first is None else first
    length = head + len(payload) if length is None else length
    fields = struct.pack("!BBHHHBBH", first, 0, length, 7, fragment, 64, protocol, 0)
    return fields + address(source) + address(destination) + options + payload


def ipv6(payload, *, following=17, source=RESOLVER6, destination=CLIENT6, length=None):
    length = len(payload) if length is None else length
    return struct.pack("!IHBB", 6 << 28, length, following, 64) + address(source) + address(destination) + payload


def ethernet(payload, *, kind=0x0800, tags=()):
    return MAC + b"".join(struct.pack("!HH", tag, 100) for tag in tags) + struct.pack("!H", kind) + payload


def vxlan(frame, *, port=4789):
    inner = struct.pack("!BxxxI", 0x08, 42 << 8) + frame
    return ethernet(ipv4(udp(inner, source=51000, destination=port), source="192.168.1.10", destination="192.168.1.11"))


def geneve(inner, *, protocol=0x6558, options=b""):
    head = struct.pack("!BBHI", len(options) // 4, 0, protocol, 42 << 8) + options
    return ethernet(ipv4(udp(head + inner, source=51000, destination=6081)))


def dns_frame(payload=None, **more):
    return ethernet(ipv4(udp(answer() if payload is None else payload, **more)))


def prefixed(*messages):
    return b"".join(struct.pack("!H", len(each)) + each for each in messages)
