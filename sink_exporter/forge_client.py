"""The proposal of a branch, made or renewed through the API of its forge. Shell: HTTP, by the standard library.

The token goes into a header of requests to the configured API and nowhere else: redirects are not followed, and no
error quotes a header. Source: RFC 9110 section 15.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, TypeVar

import msgspec

from callgraph.errors import UnreachableError, WhocallsError
from sink_exporter.forges import ApiRequest, Forge, Place, Proposal

T = TypeVar("T")

_SECONDS = 30.0
_MOST_BYTES = 32 * 2**20
_MOST_PAGES = 20
_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


class ForgeError(WhocallsError):
    """The API refuses what it was asked to do."""


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would take the token along."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Make no request."""


class ForgeClient:
    """Speaks of one branch with one API; the token is read anew for each request."""

    def __init__(self, forge: Forge, place: Place, *, read_token: Callable[[], str]) -> None:
        self._forge = forge
        self._place = place
        self._read_token = read_token
        self._opener = urllib.request.build_opener(_StayHere)

    def propose(self, title: str, text: str, *, head: str, renewed: bool) -> Proposal:
        """See that the branch is proposed: the open proposal is kept, and told anew where it was renewed.

        One that somebody closed unmerged, and that proposed this very commit, stays closed: it is returned as it is.
        Raises UnreachableError and ForgeError.
        """
        found = self._find()
        for proposal in found:
            if proposal.state == "open":
                return self._update(proposal, title, text) if renewed else proposal
        for proposal in found:
            if proposal.state == "closed" and proposal.head == head:
                return proposal
        return self._ask(self._forge.create(self._place, title, text), self._forge.read_one)

    def _update(self, proposal: Proposal, title: str, text: str) -> Proposal:
        request = self._forge.update(self._place, proposal.number, title=title, text=text)
        return self._ask(request, self._forge.read_one)

    def _find(self) -> list[Proposal]:
        """Return the branch's proposals up to the page with an open one."""
        found: list[Proposal] = []
        for page in range(1, _MOST_PAGES + 1):
            rows, ours = self._ask(self._forge.find(self._place, page), self._read)
            found += ours
            if rows < self._forge.page_rows or any(proposal.state == "open" for proposal in ours):
                break
        return found

    def _read(self, answer: bytes) -> tuple[int, list[Proposal]]:
        return self._forge.read(answer, self._place)

    def _ask(self, request: ApiRequest, read: Callable[[bytes], T]) -> T:
        what = f"{request.method} {self._place.api_url}{request.path.partition('?')[0]}"
        try:
            with self._opener.open(self._prepare(request), timeout=_SECONDS) as answer:
                return read(answer.read(_MOST_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(what, error) from None
        except msgspec.DecodeError as error:
            raise ForgeError(f"{what} is answered with no proposal: {error} (is it the URL of the API?)") from None
        except (OSError, HTTPException) as error:
            raise UnreachableError(f"{what} gets no answer: {error} (check exporter.git.proposal)") from None

    def _prepare(self, request: ApiRequest) -> urllib.request.Request:
        headers = self._forge.headers(self._read_token()) | {"User-Agent": "whocalls"}
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        return urllib.request.Request(  # noqa: S310  (`locate` lets http and https through, and no other scheme)
            self._place.api_url + request.path,
            method=request.method,
            data=None if request.body is None else json.dumps(request.body).encode(),
            headers=headers,
        )


def _refusal(what: str, error: urllib.error.HTTPError) -> WhocallsError:
    told = " ".join(error.read(2000).decode("utf-8", "replace").split())[:300]
    sentence = f"{what} is answered with {error.code} {error.reason}: {told or 'nothing more'}"
    if error.code in _LATER or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnreachableError(f"{sentence} (it is tried again at the next interval)")
    if error.code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
        return ForgeError(f"{sentence} (may the token write pull requests of this repository?)")
    return ForgeError(f"{sentence} (check exporter.git.proposal)")
