"""The connection to one API server. Shell: urllib3, and the official client for configuration, credentials and TLS.

In: paths and queries. Out: whole bodies, or a stream of bytes whose connection another thread can look at and cut.
The official client's own watch and informer are not used: they raise on a 410, spin on a 403 and keep 90 KB a pod.
Source: kubernetes/python config loaders; tcp(7) and linux/tcp.h (TCP_INFO).
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
import time
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

import msgspec
import yaml

from callgraph.errors import ConfigurationError, UnreachableError
from stream_processor.settings import WatcherSettings
from stream_processor.watch import Failure
from stream_processor.watch_messages import read_status

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_KEEPIDLE_SECONDS = 1
# A peer that is gone is noticed after eight probes: within 9 s where `Stream.ask` is called each second, else 17 s.
_SOCKET_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPIDLE_SECONDS),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 8),
]
_LAST_ACK_RECEIVED = struct.Struct("@I")
_LAST_ACK_RECEIVED_OFFSET = 56
"""Of `tcpi_last_ack_recv` in struct tcp_info: eight bytes of flags, then the thirteenth 32-bit field."""
_CHUNK_BYTES = 1 << 18
_MISSHAPEN = (ValueError, TypeError, KeyError, AttributeError)
"""What the official loader raises for a file whose parts are not what it takes them for."""


class KubeError(Exception):
    """The API server did not give what was asked; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message or failure.kind)
        self.failure = failure


class Stream:
    """An open watch."""

    def __init__(self, response: Any) -> None:
        self._response = response
        self._pieces = _pieces_of(response)
        # A second descriptor of the same connection: it stays valid whatever the reading thread does to its own.
        self._tap = socket.socket(fileno=os.dup(response.fileno()))
        self._waits = False
        self.opened_at = time.monotonic_ns()

    def read(self, *, waits: bool = True) -> bytes:
        """Wait for the next bytes; empty at the end. Raises KubeError on silence or a broken connection.

        `waits`: the caller has passed on all that it read before, so the stream counts as drained meanwhile.
        """
        import urllib3  # noqa: PLC0415  (with the client, only where an API server is watched)

        self._waits = waits
        try:
            return next(self._pieces, b"")
        except urllib3.exceptions.ReadTimeoutError as error:
            raise KubeError(Failure("silence", message=_text(error))) from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise KubeError(Failure("connection", message=_text(error))) from error
        finally:
            self._waits = False

    def is_drained(self) -> bool:
        """Tell whether the reader has taken all that arrived and waits for more."""
        return self._waits and not self.has_more()

    def has_more(self) -> bool:
        """Tell whether bytes, or the end, have arrived and are not read yet."""
        poll = select.poll()
        poll.register(self._tap, select.POLLIN | select.POLLHUP | select.POLLERR)
        return bool(poll.poll(0))

    def ask(self) -> None:
        """Have the peer's kernel acknowledge now, or a second after it last did. Harmless on a closed stream.

        To set the time of keepalive again is to start its timer again, which has run out where the silence is longer;
        left alone, it runs for TCP_KEEPINTVL. Source: tcp_sock_set_keepidle_locked, net/ipv4/tcp.c.
        """
        with contextlib.suppress(OSError):
            self._tap.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPIDLE_SECONDS)

    def silent_nanoseconds(self) -> int:
        """Return for how long the peer has acknowledged nothing."""
        info = self._tap.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_ACK_RECEIVED_OFFSET + 8)
        (milliseconds,) = _LAST_ACK_RECEIVED.unpack_from(info, _LAST_ACK_RECEIVED_OFFSET)
        return int(milliseconds) * 1_000_000

    def allow_silence(self, seconds: float) -> None:
        """Change the read timeout."""
        self._response.connection.sock.settimeout(seconds)

    def interrupt(self) -> None:
        """End the connection under a reader that waits in another thread."""
        with contextlib.suppress(OSError):  # it may be gone already
            self._tap.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection up."""
        self._waits = False
        self._response.close()
        self._tap.close()


class KubeClient:
    """An API server as a kubeconfig or the pod's own service account describes it. Used by many threads at once."""

    def __init__(self, settings: WatcherSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._api, self.context_namespace = _load_client(settings)
        self._loaded_at = time.monotonic()

    @property
    def host(self) -> str:
        """The server's address, for messages."""
        return str(self._api.configuration.host)

    def reload_credentials(self) -> None:
        """Read the token, the certificate or the plugin's answer anew; threads that ask together share one reading.

        Raises ConfigurationError; the old credentials stay in use.
        """
        asked_at = time.monotonic()
        with self._lock:
            if self._loaded_at < asked_at:
                self._api, self.context_namespace = _load_client(self._settings)
                self._loaded_at = time.monotonic()

    def get(self, path: str, query: dict[str, str], *, accept: str, read_timeout: float) -> bytes:
        """Return a whole body, compressed on the wire. Raises KubeError."""
        headers = {"Accept": accept, "Accept-Encoding": "gzip"}
        response = self._send("GET", path, query, headers=headers, read_timeout=read_timeout)
        return _read_whole(response)

    def send(self, method: Literal["GET", "POST", "PUT"], path: str, body: Any = None, *, read_timeout: float) -> bytes:
        """Send a JSON body, if any, and return the answer's. Raises KubeError."""
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        content = None if body is None else msgspec.json.encode(body)
        return _read_whole(self._send(method, path, {}, headers=headers, read_timeout=read_timeout, content=content))

    def open(self, path: str, query: dict[str, str], *, accept: str, read_timeout: float) -> Stream:
        """Open a watch. Raises KubeError."""
        return Stream(self._send("GET", path, query, headers={"Accept": accept}, read_timeout=read_timeout))

    def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        *,
        headers: dict[str, str],
        read_timeout: float,
        content: bytes | None = None,
    ) -> Any:
        import urllib3  # noqa: PLC0415  (with the client)

        with self._lock:
            api = self._api
            credentials = _credential_headers(api.configuration)
        url = api.configuration.host + path + ("?" + urlencode(query) if query else "")
        try:
            response = api.rest_client.pool_manager.request(
                method,
                url,
                headers={"User-Agent": "whocalls-watcher", **headers, **credentials},
                body=content,
                preload_content=False,
                retries=False,
                timeout=urllib3.Timeout(connect=self._settings.watch.connect_seconds, read=read_timeout),
            )
        except urllib3.exceptions.HTTPError as error:
            raise KubeError(Failure("connection", message=_text(error))) from error
        if response.status >= 300:
            raise KubeError(_read_failure(response))
        return response


def _pieces_of(response: Any) -> Iterator[bytes]:
    """Yield what a body consists of, as it comes.

    A chunk is taken with what ends it: left in the kernel, that would look like the next chunk, which may be a minute
    away. `read1` leaves it there after every chunk that is larger than its buffer.
    """
    if response.chunked:
        yield from response.read_chunked(_CHUNK_BYTES)
    else:
        yield from iter(partial(response.read1, _CHUNK_BYTES), b"")


def own_namespace() -> str:
    """Return the namespace that this pod runs in, or nothing outside a cluster."""
    try:
        return _NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _load_client(settings: WatcherSettings) -> tuple[Any, str]:
    """Load the configuration as kubectl does, the pod's own first. Returns the client and the context's namespace."""
    from kubernetes import client, config  # noqa: PLC0415  (46 MB, only where an API server is watched)

    configuration = type.__call__(client.Configuration)
    namespace = own_namespace() or "default"
    try:
        if not settings.kubeconfig and not settings.context and _runs_in_cluster():
            config.load_incluster_config(client_configuration=configuration)
        else:
            _load_kubeconfig(config, settings, configuration)
            namespace = _context_namespace(config, settings)
    except (config.ConfigException, yaml.YAMLError, OSError, *_MISSHAPEN) as error:
        raise ConfigurationError(
            f"cannot load {settings.kubeconfig or 'the Kubernetes configuration'!r}: {' '.join(str(error).split())} "
            "(set watcher.kubeconfig, or watcher.objects_file for a file of objects)"
        ) from error
    api = client.ApiClient(configuration)
    api.rest_client.pool_manager.connection_pool_kw.update(socket_options=_SOCKET_OPTIONS, maxsize=16, block=False)
    return api, namespace


def _runs_in_cluster() -> bool:
    return "KUBERNETES_SERVICE_HOST" in os.environ and _NAMESPACE_FILE.with_name("token").exists()


def _load_kubeconfig(config: Any, settings: WatcherSettings, configuration: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # auth plugins warn of what their users cannot change
        config.load_kube_config(
            config_file=settings.kubeconfig or None,
            context=settings.context or None,
            client_configuration=configuration,
            persist_config=False,
        )


def _context_namespace(config: Any, settings: WatcherSettings) -> str:
    contexts, current = config.list_kube_config_contexts(config_file=settings.kubeconfig or None)
    chosen = next((context for context in contexts if context["name"] == settings.context), current)
    return str(chosen["context"].get("namespace") or "default")


def _credential_headers(configuration: Any) -> dict[str, str]:
    """Return the headers that carry a token; certificates are in the TLS layer. Raises KubeError.

    The pod's own token is read again by the loader's hook, at most once a minute.
    """
    from kubernetes.config import ConfigException  # noqa: PLC0415  (with the client)

    try:
        settings = configuration.auth_settings().values()
    except (ConfigException, OSError, ValueError) as error:
        raise KubeError(Failure("connection", message=f"cannot read the credentials: {error}")) from error
    # A token file written by hand may end in a line break, which a header must not hold.
    headers = {setting["key"]: setting["value"].strip() for setting in settings if setting["in"] == "header"}
    return {name: value for name, value in headers.items() if value}


def _read_whole(response: Any) -> bytes:
    import urllib3  # noqa: PLC0415  (with the client)

    try:
        data: bytes = response.read(decode_content=True)
    except urllib3.exceptions.ReadTimeoutError as error:
        raise KubeError(Failure("silence", message=_text(error))) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise KubeError(Failure("connection", message=_text(error))) from error
    finally:
        response.release_conn()
    return data


def _text(error: Exception) -> str:
    """Return what an exception says; urllib3 puts its cause beside the sentence."""
    return str(error.args[0]) if error.args and isinstance(error.args[0], str) else str(error)


def _read_failure(response: Any) -> Failure:
    try:
        retry_after = float(response.headers.get("Retry-After") or 0)
    except ValueError:
        retry_after = 0.0
    try:
        body = _read_whole(response)
    except KubeError:
        body = b""
    return read_status(body, kind="status", code=response.status, retry_after=retry_after)


def wait_until_reachable(client: KubeClient, seconds: float) -> None:
    """Wait for any answer of the server, even a refusal. Raises UnreachableError."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            client.get("/version", {}, accept="application/json", read_timeout=seconds)
        except KubeError as error:
            if error.failure.kind == "status":
                return
            if time.monotonic() >= deadline:
                raise UnreachableError(
                    f"cannot reach the Kubernetes API at {client.host} within {seconds:g} s: {error} "
                    "(check watcher.kubeconfig and watcher.context)"
                ) from error
            time.sleep(0.2)
        else:
            return
