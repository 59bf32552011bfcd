"""LiveKit access tokens for a development server: HS256 JWTs from the standard library alone.

For the demo and the tests, which hold the secret of a server they started themselves. A device never holds one.
"""

import base64
import hashlib
import hmac
import json
import time


def make_token(identity, room, *, api_key, api_secret, ttl_s=6 * 3600, name=None, metadata=None,
               attributes=None, kind=None, room_config=None, now_s=None, **grants):
    """A token that lets `identity` join `room`.

    Grants are LiveKit's video grants in snake_case (`can_publish=False`, `can_update_own_metadata=True`,
    `room_join=False`); `room=None` leaves the room out; a negative `ttl_s` gives an expired token.
    """
    issued = int(time.time() if now_s is None else now_s)
    claims = {"iss": api_key, "sub": identity, "nbf": issued - 10 + min(0, ttl_s), "exp": issued + ttl_s}
    for key, value in (("name", name), ("metadata", metadata), ("attributes", attributes), ("kind", kind),
                       ("roomConfig", room_config)):
        if value is not None:
            claims[key] = value
    video = {"roomJoin": True, "room": room}
    video.update((_camel(key), value) for key, value in grants.items())
    claims["video"] = {key: value for key, value in video.items() if value is not None}
    return sign_claims(claims, api_secret)


def sign_claims(claims, api_secret, header=None):
    """Any claims as a signed token: what make_token cannot say, tests say here."""
    parts = [_part(header or {"alg": "HS256", "typ": "JWT"}), _part(claims)]
    signature = hmac.new(api_secret.encode(), b".".join(parts), hashlib.sha256).digest()
    return b".".join(parts + [_base64url(signature)]).decode("ascii")


def _part(value):
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _camel(snake):
    first, *rest = snake.split("_")
    return first + "".join(word.capitalize() for word in rest)
