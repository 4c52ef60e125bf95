"""Tokens from an endpoint that runs in the test."""

import asyncio
import base64

import pytest
from aiohttp import web

from callgraph.errors import UnreachableError
from stream_processor.oauth_token import TokenProvider


class Issuer:
    """A token endpoint that remembers what it was asked."""

    def __init__(self, *, expires_in=3600, status=200):
        self.asked = []
        self._expires_in = expires_in
        self._status = status

    async def answer(self, request):
        self.asked.append((request.headers["Authorization"], dict(await request.post())))
        body = {"access_token": f"token-{len(self.asked)}", "expires_in": self._expires_in}
        return web.json_response(body, status=self._status)


def ask(issuer, times=1, secret="s3cret/+", scope="kafka"):
    async def run():
        page = web.Application()
        page.router.add_post("/token", issuer.answer)
        runner = web.AppRunner(page)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        url = f"http://127.0.0.1:{port}/token"
        provider = TokenProvider(url, client_id="processor", client_secret=secret, scope=scope)
        try:
            return [await provider.token() for _ in range(times)]
        finally:
            await runner.cleanup()

    return asyncio.run(run())


def test_the_client_proves_itself_with_its_secret_and_asks_for_its_scope():
    issuer = Issuer()
    assert ask(issuer) == ["token-1"]
    ((authorization, form),) = issuer.asked
    assert base64.b64decode(authorization.removeprefix("Basic ")) == b"processor:s3cret%2F%2B"
    assert form == {"grant_type": "client_credentials", "scope": "kafka"}


def test_a_token_is_kept_while_it_lasts():
    assert ask(Issuer(), times=3) == ["token-1"] * 3


def test_a_token_that_has_expired_is_asked_for_again():
    assert ask(Issuer(expires_in=0), times=2) == ["token-1", "token-2"]


def test_no_scope_is_not_asked_for():
    issuer = Issuer()
    ask(issuer, scope="")
    assert issuer.asked[0][1] == {"grant_type": "client_credentials"}


def test_a_refusal_is_one_sentence():
    with pytest.raises(
        UnreachableError, match=r"cannot get an access token from 'http://.*401.*kafka\.sasl\.token_url"
    ):
        ask(Issuer(status=401))
