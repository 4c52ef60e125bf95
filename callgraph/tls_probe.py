"""What TLS says of a listener, by a handshake of our own: librdkafka only says that it failed. Shell: sockets.

In: HOST:PORT and the TLS settings. Out: why the certificate is not accepted, or whether TLS is spoken at all.
Source: RFC 8446, RFC 6125; the texts are OpenSSL's X509_verify_cert_error_string.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Mapping
from typing import Any

from callgraph.settings import TlsSettings

_SECONDS = 2.0


def why_untrusted(server: str, tls: TlsSettings) -> str:
    """Return why the certificate of a server is not accepted; empty: it is, or the server does not answer."""
    with contextlib.suppress(OSError):
        try:
            _shake_hands(server, _verifying(tls))
        except ssl.SSLCertVerificationError as error:
            return error.verify_message.rstrip(".")
    return ""


def certificate_end(server: str, tls: TlsSettings) -> float | None:
    """Return when the certificate of a server expires, in seconds since the epoch; None: it speaks no TLS we trust."""
    with contextlib.suppress(OSError):
        if certificate := _shake_hands(server, _verifying(tls)):
            return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))
    return None


def speaks_tls(server: str) -> bool:
    """Tell whether a server answers a TLS handshake, whoever it is."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        _shake_hands(server, context)
    except OSError:
        return False
    return True


def _verifying(tls: TlsSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca_file or None)
    context.check_hostname = tls.check_hostname
    return context


def _shake_hands(server: str, context: ssl.SSLContext) -> Mapping[str, Any] | None:
    """Return the certificate of the server, None where it was not verified."""
    host, _, port = server.rpartition(":")
    host = host.strip("[]")
    with (
        socket.create_connection((host, int(port)), timeout=_SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=host) as encrypted,
    ):
        return encrypted.getpeercert()
