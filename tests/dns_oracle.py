"""What scapy makes of a DNS message, put into the words of DnsAnswer: an opinion that shares no code with ours."""

from __future__ import annotations

from scapy.layers.dns import DNS

from callgraph.addresses import canonical_address
from tests.wire_bytes import AAAA, ANY, CNAME, HTTPS, SRV, SVCB, A

_SERVERS = {A, AAAA, SRV, SVCB, HTTPS, ANY}


def ask_scapy(octets):
    """Return (question, addresses, cnames, targets, ttl), or None where nothing follows from the message."""
    message = DNS(octets)
    question = message.qd[0]
    if not message.qr or message.opcode or message.rcode or question.qclass != 1 or question.qtype not in _SERVERS:
        return None
    name = _text(question.qname)
    answers = [record for record in message.an if record.rclass == 1]
    cnames = _follow(name, answers)
    end = cnames[-1] if cnames else name
    wanted = {A, AAAA, SRV, SVCB, HTTPS} if question.qtype == ANY else {question.qtype}
    used = [record for record in answers if _text(record.rrname) == end and record.type in wanted]
    facts = [fact for record in used for fact in _facts(record)]
    targets = {target for _, target, _ in facts if target}
    if targets:
        additionals = [record for record in message.ar if record.type in (A, AAAA) and record.rclass == 1]
        facts += [fact for record in additionals if _text(record.rrname) in targets for fact in _facts(record)]
    addresses = {address for address, _, _ in facts if address}
    if not addresses and not targets:
        return None
    return name, tuple(sorted(addresses)), tuple(cnames), tuple(sorted(targets)), min(ttl for _, _, ttl in facts)


def _follow(name, answers):
    links = {}
    for record in answers:
        if record.type == CNAME:
            links.setdefault(_text(record.rrname), _text(record.rdata))
    cnames = []
    while name in links:
        name = links[name]
        cnames.append(name)
    return cnames


def _facts(record):
    if record.type in (A, AAAA):
        return [(canonical_address(record.rdata), "", record.ttl)]
    if record.type == SRV:
        return [("", _text(record.target), record.ttl)]
    hints = [value for parameter in record.svc_params if parameter.key in (4, 6) for value in parameter.value]
    target = _text(record.target_name) or _text(record.rrname)
    return [("", target, record.ttl), *((canonical_address(hint), "", record.ttl) for hint in hints)]


def _text(name):
    return name.decode("ascii").lower().removesuffix(".")
