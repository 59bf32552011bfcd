# Access tokens (protocol.md 9) and where they come from (protocol.md 8.5).
#
# A token is read to explain, never to decide: only the server can verify the
# signature. Text of a token is in a Secret from the first line on, and no
# error or log repeats any part of it but names and numbers it is made of.

from . import compat, url
from .errors import Protocol, Refused
from .http import fetch
from .log import Secret

MAX_TOKEN = 16384  # characters
LEEWAY_S = 60  # the server's own tolerance for clocks
TIMEOUT_MS = 10000  # for one answer of a token server

# Grants that belong to a backend: on a device they are a leak.
_ADMIN_GRANTS = ("roomCreate", "roomList", "roomRecord", "roomAdmin", "ingressAdmin")


def _reveal(token):
    return token.reveal() if isinstance(token, Secret) else token


def _malformed(said):
    return Refused("token-malformed", "the token " + said)


class _Reader:
    """A JSON object of the token, read with the types that the server insists on."""

    def __init__(self, fields, where=""):
        self._fields = fields
        self._where = where

    def get(self, name, kind, default):
        value = self._fields.get(name)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise _malformed("has a claim %s%s of the wrong type" % (self._where, name))
        return value

    def time(self, name):
        """Seconds since 1970 (RFC 7519 2, NumericDate), or None."""
        value = self._fields.get(name)
        if value is None:
            return None
        try:
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return int(value)
        except (ValueError, OverflowError):  # JSON may hold a number that is none
            pass
        raise _malformed("has a claim %s that is no time" % name)


class Claims:
    """What a token says, with the permissions that the server will make of it."""

    def __init__(self, fields):
        top = _Reader(fields)
        self.issuer = top.get("iss", str, "")
        self.identity = top.get("sub", str, "") or top.get("jti", str, "")
        self.expires_at = top.time("exp")
        self.not_before = top.time("nbf")
        self.issued_at = top.time("iat")
        self.name = top.get("name", str, "")
        self.metadata = top.get("metadata", str, "")
        self.attributes = top.get("attributes", dict, {})
        self.kind = top.get("kind", str, "") or "standard"
        self.room_config = top.get("roomConfig", dict, {})
        self._read_grants(top.get("video", dict, {}), top.get("sip", dict, {}))

    def _read_grants(self, video, sip):
        grant = _Reader(video, "video.")
        self.room = grant.get("room", str, "")
        self.room_join = grant.get("roomJoin", bool, False)
        self.can_subscribe = grant.get("canSubscribe", bool, True)
        self.can_publish = grant.get("canPublish", bool, True)
        self.can_publish_data = grant.get("canPublishData", bool, self.can_publish)
        self.can_publish_sources = tuple(grant.get("canPublishSources", list, []))
        self.can_update_own_metadata = grant.get("canUpdateOwnMetadata", bool, False)
        self.can_subscribe_metrics = grant.get("canSubscribeMetrics", bool, False)
        self.can_manage_agent_session = grant.get("canManageAgentSession", bool, False)
        self.hidden = grant.get("hidden", bool, False)
        self.recorder = grant.get("recorder", bool, False)
        admin = [n for n in _ADMIN_GRANTS if grant.get(n, bool, False)]
        admin += ["sip." + n for n in ("admin", "call") if _Reader(sip, "sip.").get(n, bool, False)]
        self.admin_grants = tuple(admin)  # not empty: this token should not be on a device

    def can_publish_source(self, source):
        """May a track of this source ("microphone", "camera", ...) be published?"""
        if not self.can_publish:
            return False
        return not self.can_publish_sources or source in self.can_publish_sources

    def check(self, now):
        """Raise Refused for what will make the server refuse a join. `now` is in seconds since
        1970, 0 if this machine does not know the time: then only the grants are checked."""
        if self.expires_at is None:
            raise Refused("token-no-expiry", "the token has no expiry (exp)")
        self._check_time(now)
        if not self.identity:
            raise Refused("token-no-identity", "the token names no identity (sub)")
        if not self.room_join:
            raise Refused("missing-grant", "the token lacks the grant video.roomJoin")
        if not self.room:
            raise Refused("missing-grant", "the token lacks the grant video.room: it names no room")

    def _check_time(self, now):
        if now and now > self.expires_at + LEEWAY_S:
            ago = _duration(now - self.expires_at)
            raise Refused("token-expired", "the token expired %s ago" % ago)
        if now and self.not_before is not None and now + LEEWAY_S < self.not_before:
            ahead = _duration(self.not_before - now)
            raise Refused("token-not-yet-valid", "the token becomes valid in " + ahead)
        if now and self.issued_at is not None and now + LEEWAY_S < self.issued_at:
            ahead = _duration(self.issued_at - now)
            raise Refused("token-not-yet-valid", "the token was issued %s from now" % ahead)

    def is_fresh(self, now):
        """May a stored token still be used? No, if anything about its time is unknown."""
        if not now or self.expires_at is None or now >= self.expires_at:
            return False
        return self.not_before is None or now + LEEWAY_S >= self.not_before


def _duration(seconds):
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            n = seconds // size
            return "%d %s%s" % (n, unit, "" if n == 1 else "s")
    return "%d second%s" % (seconds, "" if seconds == 1 else "s")


def inspect(token):
    """The Claims of a token (str or Secret), or Refused("token-malformed")."""
    text = _reveal(token)
    if not isinstance(text, str) or not text:
        raise _malformed("is empty")
    if len(text) > MAX_TOKEN:
        raise _malformed("is longer than %d characters" % MAX_TOKEN)
    parts = text.split(".")
    if len(parts) != 3:
        raise _malformed("has %d parts instead of 3" % len(parts))
    _object(parts[0], "header")
    claims = _object(parts[1], "payload")
    if not _bytes(parts[2], "signature"):
        raise _malformed("has no signature")
    return Claims(claims)


def _bytes(part, what):
    try:
        return compat.b64url_decode(part)
    except ValueError:
        pass
    raise _malformed("has a %s that is not base64url" % what)


def _object(part, what):
    data = _bytes(part, what)
    try:
        value = compat.json_loads(data.decode())
        if isinstance(value, dict):
            return value
    except ValueError:  # UnicodeError is one
        pass
    raise _malformed("has a %s that is not a JSON object" % what)


class ConnectionDetails:
    """Where to connect and with what: a URL and a token, which is a Secret."""

    def __init__(self, server_url, participant_token):
        self.server_url = server_url
        self.participant_token = Secret(participant_token)

    def __repr__(self):
        return "ConnectionDetails(%r, ***)" % self.server_url


class LiteralTokenSource:
    """One URL and one token that the application has already."""

    def __init__(self, server_url, participant_token):
        self._details = ConnectionDetails(server_url, participant_token)

    async def fetch(self, port, **options):
        """The same ConnectionDetails each time; the options mean nothing here."""
        return self._details


class EndpointTokenSource:
    """A token server (protocol.md 8.5), asked with POST and JSON. Its answer is kept until the
    token in it expires, or the options change."""

    def __init__(self, endpoint, headers=(), timeout_ms=TIMEOUT_MS):
        self._url = url.parse(endpoint).as_http()
        self._headers = tuple([(k, Secret(v)) for k, v in _pairs(headers)])
        self._timeout_ms = timeout_ms
        self._kept = None
        self._kept_for = None

    async def fetch(self, port, **options):
        """ConnectionDetails for the options room_name, participant_name,
        participant_identity, participant_metadata, participant_attributes (a dict),
        agent_name, agent_metadata, room_config (a dict), each of them optional.

        Raises what Net.stream_open raises, Timeout("http-timeout"),
        Refused("token-source-refused") for an answer that says no, and
        Protocol("token-source-answer") for one that makes no sense."""
        body = _request_body(options)
        if self._kept and self._kept_for == body and self._is_fresh(port.clock):
            return self._kept
        self.forget()
        headers = [(k, v.reveal()) for k, v in self._headers]
        headers.append(("Content-Type", "application/json"))
        response = await fetch(
            port.net,
            "POST",
            self._url,
            headers,
            compat.json.dumps(body).encode(),
            timeout_ms=self._timeout_ms,
            clock=port.clock,
        )
        details = _read_answer(response)
        self._kept = details
        self._kept_for = body
        return details

    def forget(self):
        """Drop the kept answer: the next fetch() asks again."""
        self._kept = None
        self._kept_for = None

    def _is_fresh(self, clock):
        return inspect(self._kept.participant_token).is_fresh(clock.unix_time())


class TokenSource:
    """The ways to get a token, by name as in the LiveKit SDKs."""

    @staticmethod
    def literal(server_url, participant_token):
        return LiteralTokenSource(server_url, participant_token)

    @staticmethod
    def endpoint(endpoint, headers=(), timeout_ms=TIMEOUT_MS):
        return EndpointTokenSource(endpoint, headers, timeout_ms)


def _pairs(headers):
    return headers.items() if isinstance(headers, dict) else headers


_PLAIN_OPTIONS = (
    "room_name",
    "participant_name",
    "participant_identity",
    "participant_metadata",
    "participant_attributes",
)


def _request_body(options):
    for name in options:
        if name not in _PLAIN_OPTIONS + ("agent_name", "agent_metadata", "room_config"):
            raise Refused("bad-argument", "a token source has no option " + name)
    body = {n: options[n] for n in _PLAIN_OPTIONS if options.get(n) is not None}
    config = dict(options.get("room_config") or {})
    if options.get("agent_name"):
        agent = {"agent_name": options["agent_name"]}
        if options.get("agent_metadata"):
            agent["metadata"] = options["agent_metadata"]
        config["agents"] = [agent]
    if config:
        body["room_config"] = config
    return body


def _read_answer(response):
    if 300 <= response.status < 400:
        raise Refused("http-redirect", "the token server redirects (%d)" % response.status)
    if not 200 <= response.status < 300:
        said = response.text()
        cause = "the token server answered %d%s" % (response.status, ": " + said if said else "")
        raise Refused("token-source-refused", cause)
    try:
        answer = compat.json_loads(response.body.decode())
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise Protocol("token-source-answer", "the token server's answer is not a JSON object")
    server_url = _first_text(answer, ("server_url", "serverUrl", "serverURL"))
    token = _first_text(answer, ("participant_token", "participantToken"))
    url.parse(server_url)
    inspect(token)
    return ConnectionDetails(server_url, token)


def _first_text(answer, names):
    for name in names:
        value = answer.get(name)
        if isinstance(value, str) and value:
            return value
    raise Protocol("token-source-answer", "the token server's answer has no " + names[0])
