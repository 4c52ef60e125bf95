"""A made-up cluster of any size, as records, as the API server's JSON, and as what its agents see. Seeded.

100 pods a node, 10 pods a Deployment, one Service for each. The pods of a Deployment run one program, so all of them
call the same 12 Services: half of the observations are DNS answers with the cluster IP, half are connections to a pod
behind it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from msgspec.structs import replace

from callgraph.codec import decode, encode
from callgraph.records import (
    AddressInterval,
    ConnectionBatch,
    ConnectionObservation,
    ContainerPort,
    DnsAnswerBatch,
    DnsObservation,
    Endpoint,
    EndpointSliceRecord,
    KubeObject,
    NodeRecord,
    ObservationBatch,
    Owner,
    PodRecord,
    ReplicaSetRecord,
    ServicePort,
    ServiceRecord,
)

CLUSTER = "bench"
SECOND = 1_000_000_000
BORN = 1_767_225_600 * SECOND
PODS_A_NODE, PODS_A_WORKLOAD, TARGETS = 100, 10, 12
_TEMPLATE_HASH = "66b6c48dd5"


def make_records(pods: int) -> Iterator[KubeObject]:
    """Yield the inventory's records of a cluster."""
    for number in range(0, pods, PODS_A_NODE):
        yield _node(number // PODS_A_NODE)
    for workload in range(pods // PODS_A_WORKLOAD):
        yield from _workload(workload)


def make_replacements(pods: int, seed: int, count: int) -> Iterator[list[KubeObject]]:
    """Yield what the inventory is told when pods are replaced: the end of one, another, and its Service's slice.

    The address of the ended pod is the other's, on the same node: what was seen since is its own.
    """
    rng = random.Random(seed)
    for _ in range(count):
        old = rng.randrange(pods)
        workload = old // PODS_A_WORKLOAD
        owner = Owner(kind="ReplicaSet", name=f"app-{workload}-{_TEMPLATE_HASH}", uid=_uid("rs", workload))
        ended, heir = _pod(old, workload, owner), _pod(old, workload, owner)
        at = BORN + 1800 * SECOND
        over = tuple(replace(each, to_at=at) for each in ended.addresses)
        new = tuple(replace(each, from_at=at + SECOND) for each in heir.addresses)
        uid = _uid(f"heir-{seed}", old)
        siblings = [each for each in range(workload * PODS_A_WORKLOAD, (workload + 1) * PODS_A_WORKLOAD) if each != old]
        yield [
            replace(ended, addresses=over, ended_at=at),
            replace(heir, addresses=new, created_at=at, uid=uid, name=f"{heir.name}-{seed}"),
            _slice(workload, siblings),
        ]


def make_batches(pods: int, *, batches: int, size: int = 500, seed: int = 1) -> Iterator[ObservationBatch]:
    """Yield batches as a consumer decodes them: each string an object of its own."""
    rng = random.Random(seed)
    for number in range(batches):
        node = rng.randrange(max(1, pods // PODS_A_NODE))
        seen_at = BORN + 3600 * SECOND + number * 1_000_000
        batch = _batch(rng, pods, node, number, seen_at, size)
        yield decode(encode(batch, "msgpack"), ObservationBatch)  # type: ignore[arg-type]  # (a union of types is one, too)


def pod_json(number: int, *, padding: str = "x" * 5900) -> bytes:
    """Return one pod as the API server lists it: 8 KB, most of them of no use here."""
    workload = number // PODS_A_WORKLOAD
    return _POD_JSON % {
        b"name": _pod_name(number).encode(),
        b"namespace": _namespace(workload).encode(),
        b"uid": _uid("pod", number).encode(),
        b"replicaset": f"app-{workload}-{_TEMPLATE_HASH}".encode(),
        b"owner": _uid("rs", workload).encode(),
        b"app": f"app-{workload}".encode(),
        b"node": f"node-{number // PODS_A_NODE}".encode(),
        b"host": _address(192, number // PODS_A_NODE).encode(),
        b"address": _address(10, number).encode(),
        b"padding": padding.encode(),
    }


def _batch(rng: random.Random, pods: int, node: int, number: int, seen_at: int, size: int) -> ObservationBatch:
    ends = [_call(rng, pods, node) for _ in range(size)]
    common = {"cluster": CLUSTER, "node": f"node-{node}", "boot_id": "b", "sequence": number, "sent_at": seen_at}
    if number % 2:
        return DnsAnswerBatch(**common, observations=tuple(_answer(*each, seen_at) for each in ends))
    return ConnectionBatch(**common, observations=tuple(_connection(*each, seen_at) for each in ends))


def _call(rng: random.Random, pods: int, node: int) -> tuple[int, int, int]:
    pod = node * PODS_A_NODE + rng.randrange(min(PODS_A_NODE, pods))
    workload = (pod // PODS_A_WORKLOAD * 7 + rng.randrange(TARGETS) * 131) % (pods // PODS_A_WORKLOAD)
    return pod, workload, workload * PODS_A_WORKLOAD + rng.randrange(PODS_A_WORKLOAD)


def _answer(pod: int, workload: int, _: int, seen_at: int) -> DnsObservation:
    return DnsObservation(
        observed_at=seen_at,
        network_transport="udp",
        client_address=_address(10, pod),
        server_address="172.20.0.10",
        dns_question_name=f"app-{workload}.{_namespace(workload)}.svc.cluster.local",
        dns_question_type="A",
        addresses=(_address(172, workload),),
        ttl_seconds=30,
    )


def _connection(pod: int, _: int, server: int, seen_at: int) -> ConnectionObservation:
    return ConnectionObservation(
        observed_at=seen_at,
        network_transport="tcp",
        client_address=_address(10, pod),
        server_address=_address(10, server),
        server_port=8080,
        evidence="syn",
    )


def _workload(number: int) -> Iterator[KubeObject]:
    namespace, name = _namespace(number), f"app-{number}"
    replicaset = Owner(kind="ReplicaSet", name=f"{name}-{_TEMPLATE_HASH}", uid=_uid("rs", number))
    yield ReplicaSetRecord(
        cluster=CLUSTER,
        namespace=namespace,
        name=replicaset.name,
        uid=replicaset.uid,
        owner=Owner(kind="Deployment", name=name, uid=_uid("deployment", number)),
        labels={"pod-template-hash": _TEMPLATE_HASH},
    )
    pods = list(range(number * PODS_A_WORKLOAD, (number + 1) * PODS_A_WORKLOAD))
    for pod in pods:
        yield _pod(pod, number, replicaset)
    yield ServiceRecord(
        cluster=CLUSTER,
        namespace=namespace,
        name=name,
        uid=_uid("service", number),
        addresses=(_address(172, number),),
        selector={"app": name},
        ports=(ServicePort(port=80, name="http", target_port="8080"),),
        from_at=BORN,
    )
    yield _slice(number, pods)


def _slice(workload: int, pods: list[int]) -> EndpointSliceRecord:
    return EndpointSliceRecord(
        cluster=CLUSTER,
        namespace=_namespace(workload),
        name=f"app-{workload}-abcde",
        uid=_uid("slice", workload),
        service=f"app-{workload}",
        endpoints=tuple(
            Endpoint(addresses=(_address(10, pod),), target_kind="Pod", target_uid=_uid("pod", pod)) for pod in pods
        ),
        ports=(ServicePort(port=8080, name="http"),),
        from_at=BORN,
    )


def _pod(number: int, workload: int, owner: Owner) -> PodRecord:
    node = number // PODS_A_NODE
    record = PodRecord(
        cluster=CLUSTER,
        namespace=_namespace(workload),
        name=_pod_name(number),
        uid=_uid("pod", number),
        node=f"node-{node}",
        addresses=(AddressInterval(address=_address(10, number), from_at=BORN + number),),
        host_addresses=(_address(192, node),),
        created_at=BORN + number,
        owner=owner,
        labels={"app": f"app-{workload}", "pod-template-hash": _TEMPLATE_HASH, "team": "checkout", "tier": "backend"},
        service_account="default",
        ports=(ContainerPort(port=8080, name="http"),),
    )
    # As a consumer decodes it, so that nothing is shared which would not be.
    return decode(encode(record, "msgpack"), PodRecord)


def _node(number: int) -> NodeRecord:
    return NodeRecord(
        cluster=CLUSTER,
        name=f"node-{number}",
        uid=_uid("node", number),
        addresses=(_address(192, number),),
        pod_cidrs=("10.0.0.0/8",),
        from_at=BORN,
    )


def _pod_name(number: int) -> str:
    return f"app-{number // PODS_A_WORKLOAD}-{_TEMPLATE_HASH}-{number:05x}"


def _namespace(workload: int) -> str:
    return f"team-{workload % 40}"


def _uid(kind: str, number: int) -> str:
    return f"{sum(map(ord, kind)):08x}-0000-4000-8000-{number:012x}"


def _address(first: int, number: int) -> str:
    return f"{first}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


_POD_JSON = b"""{"metadata":{"name":"%(name)s","namespace":"%(namespace)s","uid":"%(uid)s","resourceVersion":"1",\
"creationTimestamp":"2026-01-01T00:00:00Z","labels":{"app":"%(app)s","pod-template-hash":"66b6c48dd5"},\
"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-01-01T00:00:00Z"},"managedFields":[{"manager":"%(padding)s"}],\
"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"%(replicaset)s","uid":"%(owner)s",\
"controller":true,"blockOwnerDeletion":true}]},"spec":{"nodeName":"%(node)s","serviceAccountName":"default",\
"volumes":[{"name":"token","projected":{"sources":[{"serviceAccountToken":{"path":"token"}}]}}],"containers":[{"name":\
"app","image":"registry.example/app:1","args":["--verbose","--listen=:8080"],"env":[{"name":"A","value":"1"},{"name":\
"B","value":"2"},{"name":"C","value":"3"},{"name":"D","value":"4"}],"ports":[{"containerPort":8080,"name":"http",\
"protocol":"TCP"}],"resources":{"limits":{"cpu":"1","memory":"1Gi"},"requests":{"cpu":"100m","memory":"128Mi"}},\
"livenessProbe":{"httpGet":{"path":"/healthz","port":"http"},"periodSeconds":10},"volumeMounts":[{"name":"token",\
"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount","readOnly":true}]}],"tolerations":[{"key":"a","operator":\
"Exists"},{"key":"b","operator":"Exists"}]},"status":{"phase":"Running","hostIP":"%(host)s","hostIPs":[{"ip":\
"%(host)s"}],"podIP":"%(address)s","podIPs":[{"ip":"%(address)s"}],"startTime":"2026-01-01T00:00:01Z","qosClass":\
"Burstable","conditions":[{"type":"PodReadyToStartContainers","status":"True","lastTransitionTime":\
"2026-01-01T00:00:02Z"},{"type":"Initialized","status":"True","lastTransitionTime":"2026-01-01T00:00:02Z"},{"type":\
"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:05Z"},{"type":"ContainersReady","status":"True",\
"lastTransitionTime":"2026-01-01T00:00:05Z"},{"type":"PodScheduled","status":"True","lastTransitionTime":\
"2026-01-01T00:00:00Z"}],"containerStatuses":[{"name":"app","image":"registry.example/app:1","imageID":\
"registry.example/app@sha256:0000000000000000000000000000000000000000000000000000000000000000","containerID":\
"containerd://0000000000000000000000000000000000000000000000000000000000000000","restartCount":0,"ready":true,\
"started":true,"state":{"running":{"startedAt":"2026-01-01T00:00:03Z"}}}]}}"""
