"""A token endpoint on loopback: the client credentials grant and nothing else. Shell: a thread, a socket.

Source: RFC 6749 sections 2.3.1 (the client says who it is by HTTP Basic), 4.4 (the grant) and 5 (the answers).
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote_plus

from tests.certificates import Certificate, TokenSigner

SECONDS = 300


class TokenEndpoint:
    """Gives a signed token to each client that knows its secret; `granted` counts them by client."""

    def __init__(self, signer: TokenSigner, clients: dict[str, str], *, certificate: Certificate | None = None) -> None:
        self.granted: dict[str, int] = dict.fromkeys(clients, 0)
        self.signer = signer
        self.clients = clients
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.endpoint = self  # type: ignore[attr-defined]
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate, certificate.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def do_POST(self) -> None:
        endpoint: TokenEndpoint = self.server.endpoint
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        client, secret = self._credentials()
        if asked.get("grant_type") != ["client_credentials"]:
            self._answer(400, {"error": "unsupported_grant_type"})
        elif client not in endpoint.clients or endpoint.clients[client] != secret:
            self._answer(401, {"error": "invalid_client", "error_description": "who are you?"})
        else:
            endpoint.granted[client] += 1
            token = endpoint.signer.sign(client, audience=asked.get("scope", ["none"])[0], seconds=SECONDS)
            self._answer(200, {"access_token": token, "token_type": "Bearer", "expires_in": SECONDS})

    def _credentials(self) -> tuple[str, str]:
        scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
        client, _, secret = base64.b64decode(credentials if scheme == "Basic" else "").decode().partition(":")
        return unquote_plus(client), unquote_plus(secret)

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
