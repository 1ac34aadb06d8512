"""Who may ask the page's server for something, and what: looked at before anything else is.

A page of another site can make its own name mean 127.0.0.1 (DNS rebinding) and then talk to any
server on this computer as if it were its own. Its name stands in every request, so requests
for other names than ours are refused; so are addresses that no one means.
"""

import re
from collections.abc import Collection
from http.client import responses
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tornado import httputil

HERE = ("127.0.0.1", "localhost")
LONGEST_ADDRESS = 2000
LONGEST_VALUE = 200
ID = re.compile(r"[A-Za-z0-9 .+-]{0,60}")


class Guard(httputil.HTTPServerConnectionDelegate):
    """Stands before the application of a server.

    Parameters
    ----------
    application : HTTPServerConnectionDelegate
        What answers the requests that are let through.
    names : collection of str
        Hosts that the server goes by, without port.
    port : int
        Of the server.
    """

    def __init__(
        self,
        application: httputil.HTTPServerConnectionDelegate,
        names: Collection[str],
        port: int,
    ):
        self.application = application
        self.allowed = {f"{_in_address(name)}:{port}".lower() for name in names}

    def start_request(
        self, server_conn: object, request_conn: httputil.HTTPConnection
    ) -> httputil.HTTPMessageDelegate:
        inner = self.application.start_request(server_conn, request_conn)
        return _Request(self, inner, request_conn)

    def on_close(self, server_conn: object) -> None:
        self.application.on_close(server_conn)

    def refusal(self, address: str, headers: httputil.HTTPHeaders) -> tuple[int, str] | None:
        """Say why a request is refused: status and reason; None if it is not."""
        host = headers.get("Host", "").lower()
        if host not in self.allowed:
            return 403, f"this server is {' or '.join(sorted(self.allowed))}"
        for origin in headers.get_list("Origin"):
            if urlsplit(origin).netloc.lower() not in self.allowed:
                return 403, "pages of other sites have no business here"
        if not is_sane_address(address):
            return 400, "the address is too long, or names what no star is called"
        return None


def is_sane_address(address: str) -> bool:
    """Return whether path and query of an address can be meant."""
    if len(address) > LONGEST_ADDRESS or not address.isascii():
        return False
    try:
        given = parse_qsl(urlsplit(address).query, keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return False
    for name, value in given:
        if len(value) > LONGEST_VALUE or not value.isascii():
            return False
        if name == "id" and not ID.fullmatch(value):
            return False
    return True


def _in_address(name: str) -> str:
    return f"[{name}]" if ":" in name else name


class _Request(httputil.HTTPMessageDelegate):
    """One request: passed on, or answered here."""

    def __init__(
        self,
        guard: Guard,
        inner: httputil.HTTPMessageDelegate,
        connection: httputil.HTTPConnection,
    ):
        self.guard, self.inner, self.connection = guard, inner, connection
        self.refused = False

    def headers_received(self, start_line: Any, headers: httputil.HTTPHeaders) -> Any:
        refusal = self.guard.refusal(start_line.path, headers)
        if refusal is None:
            return self.inner.headers_received(start_line, headers)
        self.refused = True
        self._answer(*refusal)
        return None

    def _answer(self, status: int, reason: str) -> None:
        body = f"{reason}\n".encode()
        headers = httputil.HTTPHeaders(
            {
                "Content-Type": "text/plain; charset=utf-8",
                "Content-Length": str(len(body)),
                "X-Content-Type-Options": "nosniff",
                "Connection": "close",
            }
        )
        phrase = responses.get(status, "")
        line = httputil.ResponseStartLine("HTTP/1.1", status, phrase)
        self.connection.write_headers(line, headers, body)
        self.connection.finish()

    def data_received(self, chunk):
        return None if self.refused else self.inner.data_received(chunk)

    def finish(self):
        if not self.refused:
            self.inner.finish()

    def on_connection_close(self):
        self.inner.on_connection_close()
