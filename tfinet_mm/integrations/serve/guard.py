"""Check each request before it is answered: its host, its origin and its token."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = 'tfinet_session'
LOGIN = '/login'
OPEN = (LOGIN, '/api/health', '/static/serve.css')
"""Paths that need no token."""
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
REPORT_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""Policy of reports: they run without the server's origin, so they can't use its interface."""
FILE_POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"
HEADERS = {
    'content-security-policy': PAGE_POLICY,
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    # Without any, browsers send no origin with a form either.
    'referrer-policy': 'same-origin',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'cache-control': 'no-store',
}
"""Headers of every answer that has no others of these names."""


def host_name(host: str) -> str:
    """Return the name in a ``Host`` header, without its port; empty where there is none.

    Example:
        >>> host_name('localhost:8000'), host_name('[::1]:8000'), host_name('a.example')
        ('localhost', '::1', 'a.example')
    """
    if host.startswith('['):
        return host[1:].partition(']')[0].lower()
    return host.partition(':')[0].lower()


def is_known_host(host: str, names: Collection[str] = ()) -> bool:
    """Return whether a ``Host`` header can't be that of a stranger's name for this machine.

    Numeric addresses can't be given another meaning by a name server, names can.

    Args:
        host: The header.
        names: Names of this server besides ``localhost``.

    Example:
        >>> is_known_host('127.0.0.1:8000'), is_known_host('evil.example:8000')
        (True, False)
    """
    name = host_name(host)
    if name == 'localhost' or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def session(token: str) -> str:
    """Return the value of the cookie of a browser that has given the token."""
    return hmac.new(token.encode(), b'tfinet serve session', hashlib.sha256).hexdigest()


def same(given: str, wanted: str) -> bool:
    """Return whether two texts are equal, in a time that doesn't depend on where they differ."""
    return hmac.compare_digest(given.encode('utf-8', 'replace'), wanted.encode())


class Guard:
    """Refuse requests that come from other sites, or without the token, and add headers.

    Args:
        app: The application behind it.
        names: Names of this server besides ``localhost`` and numeric addresses.
        token: Token that each request needs; empty for none.
    """

    def __init__(self, app: App, names: Collection[str] = (), token: str = '') -> None:
        self._app, self._names, self._token = app, {name.lower() for name in names}, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application answer it."""
        if scope['type'] == 'lifespan':
            await self._app(scope, receive, send)
            return
        if scope['type'] != 'http':
            await send({'type': 'websocket.close', 'code': 1008})
            return
        headers: dict[str, str] = {}
        for key, value in scope['headers']:
            headers.setdefault(key.decode('latin-1').lower(), value.decode('latin-1'))

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message['type'] == 'http.response.start':
                there = {key.lower() for key, _ in message['headers']}
                message['headers'] = [
                    *message['headers'],
                    *(
                        (key.encode(), value.encode())
                        for key, value in HEADERS.items()
                        if key.encode() not in there
                    ),
                ]
            await send(message)

        refused = self._reason(scope, headers)
        if refused is None:
            await self._app(scope, receive, send_with_headers)
            return
        status, message, more = refused
        body = json.dumps(dict(detail=message)).encode()
        start = [(b'content-type', b'application/json'), (b'content-length', b'%d' % len(body))]
        start += [(key.encode(), value.encode()) for key, value in more.items()]
        await send_with_headers(dict(type='http.response.start', status=status, headers=start))
        await send(dict(type='http.response.body', body=body))

    def _reason(
        self, scope: Scope, headers: dict[str, str]
    ) -> tuple[int, str, dict[str, str]] | None:
        """Return why a request is refused: status, sentence and headers; None if it isn't."""
        host = headers.get('host', '')
        if not is_known_host(host, self._names):
            return (
                421,
                f'{host_name(host)[:100]!r} is no name of this server; use its address, or start '
                'it with --allow-host NAME',
                {},
            )
        if _is_foreign(scope, headers, host):
            return 403, 'the request comes from a page of another site', {}
        if not self._token or scope['path'] in OPEN or self._has_token(headers):
            return None
        if 'text/html' in headers.get('accept', '') and scope['method'] == 'GET':
            return 303, 'the token is needed', {'location': LOGIN}
        return (
            401,
            "the token is needed: curl -H 'Authorization: Bearer TOKEN'",
            {'www-authenticate': 'Bearer'},
        )

    def _has_token(self, headers: dict[str, str]) -> bool:
        kind, _, given = headers.get('authorization', '').partition(' ')
        if kind.lower() == 'bearer' and same(given.strip(), self._token):
            return True
        try:
            cookie = SimpleCookie(headers.get('cookie', '')).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and same(cookie.value, session(self._token))


def _is_foreign(scope: Scope, headers: dict[str, str], host: str) -> bool:
    """Return whether a browser sends a request for a page of another site.

    Browsers send ``Origin`` with all requests that change something, and newer ones
    ``Sec-Fetch-Site`` with all. Following a link to a page here is allowed; other programs send
    neither.
    """
    origin = headers.get('origin')
    if origin is not None and origin.partition('://')[2].lower() != host.lower():
        return True
    site = headers.get('sec-fetch-site', 'none')
    if site in ('same-origin', 'none'):
        return False
    follows_link = headers.get('sec-fetch-mode') == 'navigate' and (
        headers.get('sec-fetch-dest') == 'document' and scope['method'] == 'GET'
    )
    return not follows_link
