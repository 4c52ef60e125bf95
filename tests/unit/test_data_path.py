"""The whole line in one process: captured bytes in, the text of the graph out. Every step is one pure function."""

import json
from collections import Counter

import msgspec
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from callgraph.codec import decode, encode
from callgraph.records import BatchCounters, CallBatch, DnsAnswerBatch, Edge, InventoryRecord, WatermarkRecord
from capture_agent.dns import parse_dns
from capture_agent.observe import observe_answer
from capture_agent.packet import LINK_ETHERNET, parse_packet
from sink_exporter.graph import build_graph
from sink_exporter.render_text import render_text
from sink_exporter.render_yaml import render_yaml
from stream_processor.attribution import Attribution, Origin
from stream_processor.calls import gather_calls
from stream_processor.fold import fold, with_exemplars
from stream_processor.inventory import Inventory
from stream_processor.kube_types import decode_object
from stream_processor.projection import Projector
from stream_processor.settings import AttributionSettings
from whocalls.offline import ALL_IS_KNOWN, build_inventory, map_observations
from whocalls.shop import CALLS, NAMESPACE, START, service_of, shop_objects

SECOND = 10**9
AT = int(START.timestamp()) * SECOND + 10 * SECOND


def captured_answer() -> bytes:
    """Frontend, at 10.244.1.16, asked for cartservice; the resolver answers with the Service's address."""
    name = f"cartservice.{NAMESPACE}.svc.cluster.local"
    answer = DNSRR(rrname=name, type="A", ttl=30, rdata=service_of("cartservice").address)
    message = DNS(id=4711, qr=1, aa=1, qd=DNSQR(qname=name, qtype="A"), an=answer)
    return bytes(Ether() / IP(src="10.96.0.10", dst="10.244.1.16") / UDP(sport=53, dport=40_000) / message)


def shop_records(settings: AttributionSettings) -> list:
    projector = Projector("prod", settings)
    objects = (decode_object(json.dumps(item).encode()) for item in shop_objects()["items"])
    return [record for item in objects if (record := projector.apply("ADDED", item, AT)) is not None]


def test_from_captured_bytes_to_the_text_of_the_graph():
    packet = parse_packet(captured_answer(), LINK_ETHERNET)
    answer = parse_dns(packet.payload)
    observation = observe_answer(packet, answer, AT)
    batch = DnsAnswerBatch(
        cluster="prod",
        node="node-1",
        boot_id="boot",
        sequence=0,
        sent_at=AT,
        observations=(observation,),
        counters=BatchCounters(received=1, published=1),
    )

    received = decode(encode(batch), DnsAnswerBatch)
    settings = AttributionSettings()
    inventory = Inventory(settings)
    for record in [*shop_records(settings), WatermarkRecord(cluster="prod", at=ALL_IS_KNOWN, source="file")]:
        inventory.apply(decode(encode(InventoryRecord(object=record)), InventoryRecord).object)
    attribution = Attribution(inventory, settings)
    attribution.offer(received, Origin("dns-answers", 0, 17), now=AT)
    calls = gather_calls(attribution.advance(now=AT), floor=lambda origin: origin.offset)
    (call,) = decode(encode(CallBatch(calls=tuple(calls))), CallBatch).calls
    edge = decode(encode(with_exemplars(fold(None, call))), Edge)

    graph = build_graph([edge])
    assert render_text(graph) == f"frontend in namespace {NAMESPACE} calls:\n  - cartservice\n"
    assert "kind: CallGraph" in render_yaml(graph)
    assert edge.evidence == ("dns",)
    assert edge.dns_names == (f"cartservice.{NAMESPACE}.svc.cluster.local",)
    assert edge.exemplars == ("dns-answers/0/17",)
    assert edge.first_seen == edge.last_seen == AT


def test_the_offline_line_gives_the_same_graph_and_counts_what_it_leaves_out():
    settings = AttributionSettings()
    packet = parse_packet(captured_answer(), LINK_ETHERNET)
    observation = observe_answer(packet, parse_dns(packet.payload), AT)
    stranger = msgspec.structs.replace(observation, client_address="10.244.1.99")
    refused: Counter[str] = Counter()
    inventory = build_inventory(shop_records(settings), settings, cluster="prod")
    edges = map_observations([observation, stranger], inventory, settings, cluster="prod", refused=refused)
    assert render_text(build_graph(edges)) == f"frontend in namespace {NAMESPACE} calls:\n  - cartservice\n"
    assert sum(refused.values()) == 1


def test_the_shops_truth_names_only_services_that_exist():
    assert all(service_of(server) for servers in CALLS.values() for server in servers)
