"""Who asks, as far as a browser says it: to which name, from which page, and what the answer may be used for.

A page of another site may send a request to every address that the browser reaches, this machine's own among them, and
may have its own name resolved to that address. A browser says both: the name in Host, the page in Sec-Fetch-Site and
Origin. See docs/decisions/0016.
"""

import functools
import ipaddress

from shared.serving import refusals, settings

# What every answer has.
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self'; script-src 'self'; "
        b"object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    ),
]
_CHANGING = ("POST", "PUT", "PATCH", "DELETE")
_KNOWN_HOSTS = 1_000


class Hosts:
    """The names that requests may be addressed to.

    Args:
        options: The server's settings.
    """

    def __init__(self, options: settings.Settings) -> None:
        self._names = options.allowed_hosts or ()
        self._dotless = options.allowed_hosts is None
        self._every = "*" in self._names or (options.allowed_hosts is None and not is_loopback(options.host))
        self.allow = functools.lru_cache(_KNOWN_HOSTS)(self._allow)

    def _allow(self, host: bytes) -> bool:
        """Return whether a Host field is allowed: what no site of the Internet can have as a name, or one of ours."""
        name = _name(host)
        if not name or name == "localhost" or _is_address(name):
            return True
        return self._every or (self._dotless and "." not in name) or self._is_named(name)

    def _is_named(self, name: str) -> bool:
        return any(name == each or (each[:1] == "." and name.endswith(each)) for each in self._names)

    def check(self, method: str, headers: list[tuple[bytes, bytes]]) -> None:
        """Refuse a request to another name, or from a page of another site.

        Raises:
            refusals.MisdirectedError: The name is none of ours.
            refusals.CrossSiteError: It would change or compute something, and comes from elsewhere.
        """
        host = origin = site = b""
        for name, value in headers:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value
            elif name == b"sec-fetch-site":
                site = value
        if not self.allow(host):
            raise refusals.MisdirectedError(
                f"Host: expected an address, localhost or a name of --allowed-hosts. Received: {_name(host)!r:.100}"
            )
        if method in _CHANGING and (origin or site) and not self._is_own(site, origin, host):
            page = origin.decode("latin-1")
            raise refusals.CrossSiteError(
                f"expected a request of the server's own page, or of no page. Received: Origin {page!r:.100}"
            )

    def _is_own(self, site: bytes, origin: bytes, host: bytes) -> bool:
        """Return whether a request comes from a page of this server; a browser that sends ``site`` compares itself."""
        if site:
            return site in (b"same-origin", b"none")
        from_host = origin.partition(b"://")[2].lower()
        return bool(from_host) and (from_host == host.lower() or self._is_named(_name(from_host)))


def is_loopback(host: str) -> bool:
    """Return whether an address or name to listen on is reached from this machine only.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0")]
    [True, True, True, False]
    """
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _name(host: bytes) -> str:
    """Return the name of a Host field, or an address, without its port and brackets."""
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
