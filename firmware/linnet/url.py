# Addresses of servers: ws, wss, http and https URLs (RFC 3986, bounded).
#
# Not done: user names in URLs (a secret would end up in logs), fragments,
# non-ASCII host names, IPv6 zones. Errors never repeat the URL: somebody may
# have pasted a token into it.

from .errors import Refused

MAX_URL = 8192  # characters
_MAX_NAME, _MAX_LABEL = 253, 63  # bytes of a host name and of its parts (RFC 1035 2.3.4)

_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}
_UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_HOST = "abcdefghijklmnopqrstuvwxyz0123456789-._"
_IPV6 = "0123456789abcdef:."


class Url:
    """A parsed URL. `host` has no brackets; `path` starts with "/" and is still encoded."""

    def __init__(self, scheme, host, port, path, query):
        self.scheme = scheme
        self.host = host
        self.port = port
        self.path = path
        self.query = query

    @property
    def secure(self):
        return self.scheme in ("wss", "https")

    @property
    def authority(self):
        """The Host header: the port is left out if it is the scheme's own (RFC 9110 7.2)."""
        host = "[%s]" % self.host if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else "%s:%d" % (host, self.port)

    @property
    def target(self):
        """Path and query, as a request line wants them."""
        return self.path + "?" + self.query if self.query else self.path

    def under(self, path, pairs=()):
        """The URL of `path` below this one (any path prefix is kept), with query `pairs`."""
        base = self.path[:-1] if self.path.endswith("/") else self.path
        return Url(self.scheme, self.host, self.port, base + path, query(pairs))

    def as_http(self):
        """The same place for a plain request: ws becomes http, wss becomes https."""
        scheme = "https" if self.secure else "http"
        return Url(scheme, self.host, self.port, self.path, self.query)

    def __str__(self):
        return "%s://%s%s" % (self.scheme, self.authority, self.target)


def parse(text):
    """A Url, or Refused("bad-url-scheme"), Refused("bad-url")."""
    text = text.strip()
    if len(text) > MAX_URL:
        raise Refused("bad-url", "the URL is longer than %d characters" % MAX_URL)
    for c in text:
        if not "!" <= c <= "~":
            raise Refused("bad-url", "the URL holds a space or a character that is not ASCII")
    scheme, rest = _split_scheme(text)
    if "#" in rest:
        raise Refused("bad-url", "the URL has a fragment (#)")
    rest, _, query_text = rest.partition("?")
    authority, slash, path = rest.partition("/")
    host, port = _split_authority(authority, _PORTS[scheme])
    return Url(scheme, host, port, slash + path or "/", query_text)


def _split_scheme(text):
    scheme, mark, rest = text.partition("://")
    scheme = scheme.lower()
    if not mark:
        raise Refused("bad-url-scheme", "the URL does not start with ws:// or wss://")
    if scheme not in _PORTS:
        known = len(scheme) <= 10 and scheme.isalpha()
        what = "the URL scheme '%s'" % scheme if known else "the URL scheme"
        raise Refused("bad-url-scheme", what + " is not ws, wss, http or https")
    return scheme, rest


def _split_authority(authority, default_port):
    if "@" in authority:
        raise Refused("bad-url", "the URL holds a user name or password")
    if authority.startswith("["):
        host, mark, tail = authority[1:].partition("]")
        host = host.lower()
        if not mark or host.count(":") < 2 or not _only(host, _IPV6):
            raise Refused("bad-url", "the IPv6 address in the URL is not well formed")
        if tail and not tail.startswith(":"):
            raise Refused("bad-url", "the URL has text after the IPv6 address")
        port = tail[1:]
    else:
        host, _, port = authority.partition(":")
        host = host.lower()
        if not host or not _only(host, _HOST):
            raise Refused("bad-url", "the URL has no valid host name")
        _check_name(host[:-1] if host.endswith(".") else host)  # the last dot is the root's
    return host, _port_number(port, default_port)


def _check_name(name):
    if len(name) > _MAX_NAME:
        raise Refused("bad-url", "the host name in the URL is longer than %d bytes" % _MAX_NAME)
    for label in name.split("."):
        if not label:
            raise Refused("bad-url", "the host name in the URL has an empty part")
        if len(label) > _MAX_LABEL:
            raise Refused("bad-url", "a part of the host name in the URL is longer than %d bytes" % _MAX_LABEL)


def _port_number(text, default):
    if not text:
        return default
    if len(text) > 5 or not _only(text, "0123456789") or not 0 < int(text) < 65536:
        raise Refused("bad-url", "the port in the URL is not a number from 1 to 65535")
    return int(text)


def _only(text, allowed):
    for c in text:
        if c not in allowed:
            return False
    return True


def quote(value):
    """`value` (text or number) percent-encoded for a query: only unreserved characters stay."""
    out = []
    for byte in str(value).encode():
        c = chr(byte)
        out.append(c if c in _UNRESERVED else "%%%02X" % byte)
    return "".join(out)


def query(pairs):
    """A query string of (name, value) pairs, in their order; a value of None is left out."""
    return "&".join([quote(k) + "=" + quote(v) for k, v in pairs if v is not None])
