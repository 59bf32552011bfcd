"""Tokens a server must refuse, for the tests that must see how the refusal is told."""

import time

from host_sim.dev_token import sign_claims


def bad_tokens(server, identity, room):
    """{what is wrong: token}. Every one is refused by the server with 401, at the latest when joining."""
    now = int(time.time())
    good = server.make_token(identity, room)
    head, body, signature = good.split(".")

    def signed(**changes):
        claims = {"iss": server.api_key, "sub": identity, "nbf": now - 10, "exp": now + 600,
                  "video": {"roomJoin": True, "room": room}, **changes}
        return sign_claims({key: value for key, value in claims.items() if value is not None}, server.api_secret)

    return {
        "expired": server.make_token(identity, room, ttl_s=-3600),
        "not yet valid": signed(nbf=now + 3600, exp=now + 7200),
        "unknown key": server.make_token(identity, room, api_key="nobody"),
        "wrong secret": server.make_token(identity, room, api_secret="x" * 40),
        "changed signature": f"{head}.{body}.{signature[:-2]}{'AA' if signature[-2:] != 'AA' else 'BB'}",
        "algorithm none": sign_claims({"iss": server.api_key, "sub": identity, "exp": now + 600,
                                       "video": {"roomJoin": True, "room": room}}, "",
                                      {"alg": "none", "typ": "JWT"}).rsplit(".", 1)[0] + ".",
        "no roomJoin": server.make_token(identity, room, room_join=None),
        "no video grant": signed(video=None),
        "two parts only": f"{head}.{body}",
        "not a token": "this-is-not-a-token",
    }
