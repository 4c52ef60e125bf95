"""Access tokens for SASL OAUTHBEARER, by the client credentials grant. Shell: aiohttp.

Source: RFC 6749 section 4.4 (client authentication by HTTP Basic, section 2.3.1), RFC 7628. aiokafka asks for a token
at each new connection; one is kept until shortly before it expires.
"""

from __future__ import annotations

import ssl
import time
from base64 import b64encode
from urllib.parse import quote_plus

import aiohttp
import msgspec
from aiokafka.abc import AbstractTokenProvider

from callgraph.errors import UnreachableError

_RENEW_BEFORE_SECONDS = 60.0
_TIMEOUT_SECONDS = 10.0


class _Grant(msgspec.Struct):
    access_token: str
    expires_in: float = 300.0


class TokenProvider(AbstractTokenProvider):  # type: ignore[misc]
    """Asks the token endpoint, and keeps what it says while it lasts."""

    def __init__(
        self, url: str, *, client_id: str, client_secret: str, scope: str, context: ssl.SSLContext | None = None
    ) -> None:
        self._url = url
        self._context = context or ssl.create_default_context()
        # Both are form-encoded before they are joined (RFC 6749 2.3.1).
        pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}".encode()
        self._headers = {"Authorization": f"Basic {b64encode(pair).decode()}"}
        self._form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
        self._token = ""
        self._good_until = 0.0

    async def token(self) -> str:
        """Return a token that is still good for a while. Raises UnreachableError."""
        if time.monotonic() >= self._good_until:
            grant = await self._ask()
            self._token = grant.access_token
            self._good_until = time.monotonic() + max(grant.expires_in - _RENEW_BEFORE_SECONDS, grant.expires_in / 2)
        return self._token

    async def _ask(self) -> _Grant:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=self._headers) as session,
                session.post(self._url, data=self._form, ssl=self._context) as response,
            ):
                body = await response.read()
                response.raise_for_status()
                return msgspec.json.decode(body, type=_Grant)
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as error:
            raise UnreachableError(
                f"cannot get an access token from {self._url!r}: {error} "
                "(check kafka.sasl.token_url, username and password)"
            ) from error
