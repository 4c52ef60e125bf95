"""A Kubernetes API server for tests, over real HTTP on a free port of the loopback. Shell: aiohttp in a thread.

Resource versions, watch history and 410, bookmarks, paging, streaming lists, gzip, refusals by right and by token, cut
and frozen connections, Leases. What it answers is held to exchanges recorded from a real one.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from aiohttp import web
from multidict import CIMultiDict

from tests import fake_api_reviews
from tests.fake_api_store import PREFIXES, Json, Selection, StatusError, Store
from tests.fake_api_switches import Switches
from tests.fake_api_watch import OpenWatch, metadata_only

T = TypeVar("T")
CLONE_NEWNET = 0x40000000  # linux/sched.h
GZIP_BYTES = 128 * 1024
"""The size from which a real server compresses a list."""


class Asked(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]


class FakeApiServer:
    """The server. Its methods may be called from any thread."""

    def __init__(
        self, *, history: int = 1000, certificate: Path | None = None, host: str = "127.0.0.1", netns: str = ""
    ) -> None:
        """`certificate`: a PEM file with a key and a certificate, to speak TLS. `netns`: where its sockets are."""
        self.store = Store(history=history)
        self.switches = Switches()
        self.asked: list[Asked] = []
        self.port = 0
        self._host = host
        self._netns = netns
        self._certificate = certificate
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fake-api", daemon=True)
        self._runner: web.AppRunner | None = None
        self._watches: set[OpenWatch] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def start(self) -> None:
        """Listen; after a stop, on the port of before."""
        self._await(self._start())

    def stop(self) -> None:
        """Close every connection and stop listening; the objects stay."""
        self._await(self._stop())

    def write_kubeconfig(self, folder: Path, *, token: str = "", namespace: str = "default") -> str:
        """Write a kubeconfig for this server; return its path."""
        user = {"token": token} if token else {}
        cluster = {"server": f"http://{self._host}:{self.port}"}
        if self._certificate:
            cluster = {"server": f"https://{self._host}:{self.port}", "certificate-authority": str(self._certificate)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake", "namespace": namespace}}],
            "clusters": [{"name": "fake", "cluster": cluster}],
            "users": [{"name": "fake", "user": user}],
        }
        path = folder / "kubeconfig.yaml"
        path.write_text(json.dumps(config), encoding="utf-8")
        return str(path)

    def put(self, *objects: Json) -> list[Json]:
        """Create or replace objects."""
        return self._change(lambda: [self.store.put(obj) for obj in objects])

    def remove(self, resource: str, name: str, *, namespace: str = "") -> Json:
        """Delete an object at once."""
        return self._change(lambda: self.store.remove(resource, namespace, name))

    def compact(self) -> None:
        """Forget the history: who resumes a watch is told 410, unless at the newest version."""
        self._change(self._move_on_and_forget)

    def cut(self, *resources: str) -> None:
        """Break the open watches, of some resources or all, as a killed server does."""
        self._call(lambda: self._cut(resources))

    def freeze(self, *resources: str) -> None:
        """Keep connections open and say nothing any more; "*" is the whole server."""
        self.switches.frozen |= set(resources)

    def thaw(self) -> None:
        """Go on after a freeze."""
        self.switches.frozen.clear()
        self._change(lambda: None)

    def deny(self, resource: str, *verbs: str, namespace: str | None = None) -> None:
        """Refuse a resource with 403, everywhere or in one namespace; open watches go on, as in a real server."""
        self.switches.denied |= {(verb, resource, namespace) for verb in verbs or ("list", "watch")}

    def grant(self, resource: str) -> None:
        """Take a refusal back."""
        self.switches.denied = {entry for entry in self.switches.denied if entry[1] != resource}

    def count(self, resource: str, *, watch: bool | None = None) -> int:
        """Count the requests for a resource so far."""
        return sum(
            asked.path.endswith(f"/{resource}") and watch in (None, asked.query.get("watch") == "true")
            for asked in list(self.asked)
        )

    def open_watches(self, resource: str) -> int:
        """Count the watches of a resource that are open now."""
        return self._call(lambda: sum(watch.resource == resource for watch in self._watches))

    # -- inside the loop's thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        if self._netns:
            enter_namespace(self._netns)
        self._loop.run_forever()

    def _call(self, function: Callable[[], T]) -> T:
        async def run() -> T:
            return function()

        return self._await(run())

    def _change(self, function: Callable[[], T]) -> T:
        def run() -> T:
            result = function()
            self._wake_watches()
            return result

        return self._call(run)

    def _await(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _start(self) -> None:
        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        tls = None
        if self._certificate:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(self._certificate)
        site = web.TCPSite(self._runner, self._host, self.port, reuse_address=True, ssl_context=tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        self._cut(())
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None

    def _cut(self, resources: tuple[str, ...]) -> None:
        for watch in list(self._watches):
            if (not resources or watch.resource in resources) and watch.transport is not None:
                watch.transport.abort()
                watch.changed.set()

    def _wake_watches(self) -> None:
        for watch in self._watches:
            watch.changed.set()

    def _move_on_and_forget(self) -> None:
        self.store.revision += 1
        self.store.forget_history()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(Asked(request.method, request.path, dict(request.query), dict(request.headers)))
        while "*" in self.switches.frozen:  # noqa: ASYNC110  (the switch is turned from another thread)
            await asyncio.sleep(0.02)
        try:
            return await self._answer(request)
        except StatusError as error:
            headers = {"Retry-After": "1"} if error.code in (429, 504) else {}
            return _json(error.body, status=error.code, headers=headers)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        user = self._authenticate(request)
        if request.path == "/version":
            return _json({"major": "1", "minor": "36", "gitVersion": "v1.36.2"})
        if request.path.startswith(fake_api_reviews.PREFIX):
            return _json(fake_api_reviews.answer_review(await request.json(), self.switches), status=201)
        resource, namespace, name = _parse_path(request.path)
        if self.switches.failures.get(resource):
            code = self.switches.failures[resource].pop(0)
            raise StatusError(code, "InternalError", f"failing as told, with {code}")
        verb = _verb(request, name)
        self._authorize(user, verb, resource, namespace)
        if verb in ("list", "watch"):
            return await self._serve(request, verb, _selection(request, resource, namespace))
        return _json(await self._serve_one(request, verb, resource, (namespace or "", name)), verb=verb)

    async def _serve_one(self, request: web.Request, verb: str, resource: str, key: tuple[str, str]) -> Json:
        if verb == "get":
            return self.store.get(resource, *key)
        body = await request.json() if verb != "delete" else {}
        body |= {"kind": PREFIXES[resource][2], "apiVersion": PREFIXES[resource][1]}
        if verb == "update" and request.path.endswith("/status"):
            body = self.store.get(resource, *key) | {"status": body["status"]}
        made = {"create": self.store.create, "update": self.store.replace}
        result = self.store.remove(resource, *key) if verb == "delete" else made[verb](body)
        self._wake_watches()
        return result

    async def _serve(self, request: web.Request, verb: str, selection: Selection) -> web.StreamResponse:
        partial = "as=PartialObjectMetadata" in request.headers.get("Accept", "")
        version = _parse_version(request.query.get("resourceVersion", ""))
        if verb == "watch":
            return await self._watch(request, selection, version=version)
        if version > self.store.revision:
            await asyncio.sleep(self.switches.future_seconds)
            raise _too_large(version, self.store.revision)
        limit = 0 if request.query.get("resourceVersion") == "0" else int(request.query.get("limit") or 0)
        page = self.store.page(selection, limit=limit, token=request.query.get("continue", ""))
        kind = PREFIXES[selection.resource][2]
        page |= {"kind": f"{kind}List", "apiVersion": PREFIXES[selection.resource][1]}
        if partial:
            page |= {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
        page["items"] = [metadata_only(item) if partial else _without_kind(item) for item in page["items"]]
        response = _json(page)
        if "gzip" in request.headers.get("Accept-Encoding", "") and len(response.body) >= GZIP_BYTES:
            response.enable_compression(web.ContentCoding.gzip)
        return response

    async def _watch(self, request: web.Request, selection: Selection, *, version: int) -> web.StreamResponse:
        streams_list = self._asks_for_stream(request)
        watch = OpenWatch(request, selection, store=self.store, switches=self.switches)
        self._watches.add(watch)
        try:
            return await watch.serve(version, streams_list=streams_list)
        finally:
            self._watches.discard(watch)

    def _asks_for_stream(self, request: web.Request) -> bool:
        if request.query.get("sendInitialEvents") != "true" or self.switches.watch_list == "ignored":
            return False
        if self.switches.watch_list == "forbidden":
            raise _bad_list_option(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
            )
        if request.query.get("resourceVersionMatch") != "NotOlderThan":
            raise _bad_list_option(
                "resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            )
        return True

    def _authenticate(self, request: web.Request) -> str:
        if not self.switches.users:
            return "system:anonymous"
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token not in self.switches.users:
            raise StatusError(401, "Unauthorized", "Unauthorized")
        return self.switches.users[token]

    def _authorize(self, user: str, verb: str, resource: str, namespace: str | None) -> None:
        denied = self.switches.denied
        if (verb, resource, None) in denied or (verb, resource, namespace) in denied:
            group = PREFIXES[resource][1].rpartition("/")[0]
            where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
            what = f'cannot {verb} resource "{resource}" in API group "{group}" {where}'
            details = {"group": group, "kind": resource} if group else {"kind": resource}
            raise StatusError(403, "Forbidden", f'{resource} is forbidden: User "{user}" {what}', details=details)


def enter_namespace(name: str) -> None:
    """Move this thread, and no other, into a network namespace: setns(2), which Python offers from 3.12 on."""
    with Path("/run/netns", name).open("rb") as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter the network namespace {name!r}")


def _parse_path(path: str) -> tuple[str, str | None, str]:
    """Read a path: resource, namespace, name."""
    for resource, (prefix, _, _) in PREFIXES.items():
        if not path.startswith(prefix + "/"):
            continue
        parts = path.removeprefix(prefix + "/").split("/")
        namespace = parts[1] if parts[0] == "namespaces" and len(parts) > 2 else None
        parts = parts[2:] if namespace else parts
        if parts[0] == resource:
            return resource, namespace, parts[1] if len(parts) > 1 else ""
    raise StatusError(404, "NotFound", "the server could not find the requested resource")


def _verb(request: web.Request, name: str) -> str:
    if request.method == "GET" and not name:
        return "watch" if request.query.get("watch") in ("true", "1") else "list"
    return {"GET": "get", "POST": "create", "PUT": "update", "DELETE": "delete"}[request.method]


def _selection(request: web.Request, resource: str, namespace: str | None) -> Selection:
    return Selection(
        resource, namespace, _pairs(request.query.get("labelSelector")), _pairs(request.query.get("fieldSelector"))
    )


def _pairs(text: str | None) -> dict[str, str]:
    return dict(part.split("=", 1) for part in (text or "").replace("==", "=").split(",") if part)


def _parse_version(text: str) -> int:
    if text and not text.isdigit():
        problem = f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise StatusError(400, "BadRequest", f"invalid resource version: resourceVersion: {problem}")
    return int(text or 0)


def _too_large(version: int, current: int) -> StatusError:
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Timeout: Too large resource version: {version}, current: {current}"
    return StatusError(504, "Timeout", message, details={"causes": [cause], "retryAfterSeconds": 1})


def _bad_list_option(option: str, problem: str) -> StatusError:
    cause = {"reason": "FieldValueForbidden", "message": f"Forbidden: {problem}", "field": option}
    message = f'ListOptions.meta.k8s.io "" is invalid: {option}: Forbidden: {problem}'
    return StatusError(
        422, "Invalid", message, details={"group": "meta.k8s.io", "kind": "ListOptions", "causes": [cause]}
    )


def _without_kind(obj: Json) -> Json:
    return {name: value for name, value in obj.items() if name not in ("kind", "apiVersion")}


def _json(body: Json, *, status: int = 200, headers: dict[str, str] | None = None, verb: str = "") -> web.Response:
    all_headers = CIMultiDict({"Cache-Control": "no-cache, private", "Content-Type": "application/json"})
    all_headers.update(headers or {})
    return web.Response(body=json.dumps(body).encode(), status=201 if verb == "create" else status, headers=all_headers)
