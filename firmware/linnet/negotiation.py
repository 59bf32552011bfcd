# Offers, answers and candidates of the one peer connection (protocol.md 3.2, 3.3, 11).
#
# Two rules keep this quiet and quick:
# - one offer is outstanding at a time, and none is made twice for the same
#   state (a client that re-offers without adding a section runs in a storm of
#   800 offers a second against a server that asks for sections);
# - a wanted track without an msid is asked for as soon as the server allows
#   it, not when the server's own debounce of 150 ms is over.

from . import sdp
from .compat import const, json_loads, rand_bytes
from .errors import Protocol
from .log import DEBUG, INFO, log
from .receivers import Receivers

_GONE_KEPT = const(31)
_MAX_CANDIDATES = const(32)  # of one description; a server sends two to eight


class Negotiation:
    """The state of offers and sections. `engine` gives local(), send_offer(), drain(),
    track_playing(), session and driver."""

    def __init__(self, engine):
        self._engine = engine
        options = engine.options
        self.receivers = Receivers(engine, options.remote_tracks)
        # A section that was just freed may not bring the next track yet: the server
        # then asks for another one although a slot is free.
        self._most_sections = 2 * options.remote_tracks
        self._early = options.early_reoffer
        self._setup = "actpass"
        self.local = sdp.LocalDescription(options.max_message)
        self._offer_id = 0
        self._offered = 0  # sections in the newest offer; more may have been added since
        self._answered_id = 0
        self._ssrc = int.from_bytes(rand_bytes(4), "big")  # the last one given to a microphone
        self._remote_ufrag = ""
        self._waiting_candidates = []
        self._known_candidates = set()
        self._wanted = set()
        self._refused = set()  # track sids that are not to be heard
        self._gone = []  # the last track sids that ended: an answer may be older than that news
        self._told = set()  # track sids for which there was no room, and that was said
        self._tried = set()
        self._dirty = False
        self._required = None  # audio sections the server asked for while an offer was outstanding
        self.offers_sent = 0
        self.tracks_over_limit = 0

    # --- sections ---

    def add_microphone(self, cid):
        """A sending section for the track `cid`: one that an earlier track left, or a new one."""
        # Upwards from a random start: the core takes none that it may have had before.
        self._ssrc = (self._ssrc + 1 + rand_bytes(1)[0]) & 0xFFFFFFFF or 1
        ssrc = self._ssrc
        for section in self.local.sections:
            if section.kind == "audio" and section.direction == "inactive" and not section.cid:
                section.direction, section.cid, section.ssrc = "sendonly", cid, ssrc
                return section
        return self.local.add("audio", "sendonly", cid, ssrc)

    def remove_microphone(self, cid):
        for section in self.local.sections:
            if section.cid == cid:
                section.direction, section.cid, section.ssrc = "inactive", "", 0

    def _sections(self):
        return self.local.audio("recvonly")

    def _add_sections(self, n):
        """Add at most n receive sections, within the limit; the number added."""
        n = max(0, min(n, self._most_sections - len(self._sections())))
        for _ in range(n):
            self.local.add("audio", "recvonly")
        return n

    # --- offers ---

    def first_offer(self):
        """The offer that rides in the join request."""
        self._add_sections(min(self.receivers.cap, 3))
        self.local.add("application", "sendrecv")
        return self._make_offer()

    def _make_offer(self):
        fingerprint, ufrag, pwd = self._engine.local()
        self._offer_id += 1
        self._dirty = False
        self._required = None
        self.offers_sent += 1
        self._offered = len(self.local.sections)
        text = self.local.offer(ufrag, pwd, fingerprint, self._setup)
        return {"type": "offer", "sdp": text, "id": self._offer_id}

    def outstanding(self):
        return self._offer_id != self._answered_id

    def renegotiate(self):
        """Offer the sections as they are now; later, if an offer is still outstanding."""
        if self.outstanding():
            self._dirty = True
            return
        offer = self._make_offer()
        self._engine.send_offer(offer["sdp"], offer["id"])

    def _missing(self):
        return [
            sid for sid in sorted(self._wanted - self._refused) if not self.receivers.brings(sid)
        ]

    def _ask_for_missing(self, reason):
        """Re-offer for wanted tracks that have no section yet, at most once per state."""
        missing = self._missing()
        if not missing or self.outstanding():
            return
        room = min(self.receivers.free_slots(), len(missing))
        if room < len(missing):
            self._say_no_room(missing[room:])
        free = len(self._sections()) - self.receivers.sections()
        free += self._add_sections(room - free)
        if room <= 0 or free <= 0:
            return
        state = (len(self.local.sections), tuple(missing), reason)
        if state in self._tried:
            log(DEBUG, "negotiation", "not offering twice for the same state")
            return
        self._tried.add(state)
        self.renegotiate()

    def _say_no_room(self, sids):
        """Each track is told about once, until it ends."""
        for sid in sids:
            if sid not in self._told:
                self._told.add(sid)
                self.tracks_over_limit += 1
                log(INFO, "negotiation", "more tracks than this device plays:", sid)
                self._engine.tell("limit", sid)

    # --- what the server says ---

    def on_answer(self, message):
        number = message.get("id", 0)
        if number and number != self._offer_id:
            log(INFO, "negotiation", "dropped the answer to an older offer")
            return
        if not self.outstanding():
            log(INFO, "negotiation", "dropped a second answer")
            return
        answer = sdp.parse(message.get("sdp", ""))
        if len(answer.sections) != self._offered:
            raise Protocol("sdp", "the answer has another number of sections than the offer")
        self._answered_id = self._offer_id
        self._apply_transport(answer)
        self._apply_microphone(answer)
        self._apply_receivers(answer, message.get("mid_to_track_id", {}))
        self._engine.drain()
        if self._dirty:
            self.renegotiate()
        elif self._required is not None:
            self._follow_requirement()
        elif self._early:
            self._ask_for_missing("early")

    def _apply_transport(self, answer):
        engine = self._engine
        now = engine.driver.now()
        if not answer.ufrag or not answer.pwd:
            raise Protocol("sdp", "the answer has no ICE credentials")
        if answer.ufrag != self._remote_ufrag:
            if answer.setup not in ("active", "passive"):
                raise Protocol("sdp", "the answer chose no DTLS role")
            # A peer that is active sends the ClientHello: we are its server.
            engine.session.set_remote(
                now,
                answer.ufrag,
                answer.pwd,
                answer.fingerprint,
                answer.setup == "active",
                True,
                answer.lite,
                _largest_message(answer),
            )
            self._remote_ufrag = answer.ufrag
            waiting, self._waiting_candidates = self._waiting_candidates, []
            self._known_candidates = set()
            for candidate in waiting:
                self._add_candidate(candidate)
        for section in answer.sections:
            for candidate in section.candidates:
                self._add_candidate(candidate)

    def _apply_microphone(self, answer):
        session = self._engine.session
        now = self._engine.driver.now()
        for i in range(len(answer.sections)):
            mine, theirs = self.local.sections[i], answer.sections[i]
            if mine.cid and not theirs.rejected:
                if theirs.direction not in ("recvonly", "sendrecv"):
                    log(INFO, "negotiation", "the server does not receive our track yet")
                    continue
                session.publish(
                    now,
                    mine.ssrc,
                    _opus_number(theirs),
                    theirs.extensions.get(sdp._LEVEL_URI, 0),
                    theirs.extensions.get(sdp._MID_URI, 0),
                    mine.mid,
                )
                return
        session.unpublish(now)

    def _apply_receivers(self, answer, mid_to_track):
        coming = {}
        for i in range(len(answer.sections)):
            mine, theirs = self.local.sections[i], answer.sections[i]
            if mine.kind != "audio" or mine.direction != "recvonly":
                continue
            sid = mid_to_track.get(mine.mid) or theirs.track_id
            sends = theirs.direction in ("sendonly", "sendrecv") and not theirs.rejected
            if sid in self._refused or sid in self._gone:
                sends = False
            if sid and theirs.ssrc and sends:
                coming[mine.mid] = (sid, theirs.ssrc, _opus_number(theirs))
        self.receivers.replace(coming)
        self._say_no_room(self.receivers.waiting())

    def on_trickle(self, message):
        text = message.get("candidateInit", "")
        if not text:
            return
        try:
            line = json_loads(text).get("candidate", None) or ""
            candidate = sdp.parse_candidate(line)
        except (ValueError, AttributeError):
            raise Protocol("sdp", "a trickled candidate is not the JSON of one")
        if candidate is None:
            return
        if not self._remote_ufrag:
            if len(self._waiting_candidates) < _MAX_CANDIDATES:
                self._waiting_candidates.append(candidate)
        else:
            self._add_candidate(candidate)
            self._engine.drain()

    def _add_candidate(self, candidate):
        if candidate.transport != "udp" or candidate.component != 1:
            return
        key = (candidate.ip, candidate.port)
        if key in self._known_candidates or len(self._known_candidates) == _MAX_CANDIDATES:
            return
        self._known_candidates.add(key)
        self._engine.session.add_remote_candidate(
            self._engine.driver.now(),
            candidate.ip,
            candidate.port,
            candidate.priority,
            candidate.kind,
        )

    def on_allowed(self, message):
        """subscription_permission_update: the server (no longer) lets us hear a track."""
        sid = message.get("track_sid", "")
        if not message.get("allowed", False):
            self._forget(sid)
        elif sid and sid not in self._wanted:
            self._wanted.add(sid)
            if self._early:
                self._ask_for_missing("early")

    def on_requirement(self, message):
        """media_sections_requirement: audio sections to add; all zero means re-offer now."""
        self._required = message.get("num_audios", 0)
        if not self.outstanding():
            self._follow_requirement()

    def _follow_requirement(self):
        more, self._required = self._required, None
        missing = self._missing()
        if more == 0:
            self._ask_for_missing("required")
        elif missing and self._add_sections(min(more, self.receivers.free_slots())):
            self.renegotiate()
        else:
            self._say_no_room(missing)

    # --- what the application wants ---

    def set_wanted(self, sid, wanted):
        """The application (un)subscribed; the server is told by the caller."""
        if wanted:
            self._refused.discard(sid)
        else:
            self._forget(sid)
            self._refused.add(sid)

    def ignore(self, sid):
        """This track is none that a device can play."""
        self._refused.add(sid)

    def forget(self, sid):
        """A track is gone (unpublished, or its participant left)."""
        self._gone = self._gone[-_GONE_KEPT:] + [sid]
        self._forget(sid)
        self._refused.discard(sid)

    def _forget(self, sid):
        self._wanted.discard(sid)
        self._told.discard(sid)
        self.receivers.clear_track(sid)
        self.receivers.fill()
        self._tried = set([s for s in self._tried if sid not in s[1]])
        if self._remote_ufrag:
            self._ask_for_missing("early")


def _largest_message(answer):
    """Bytes that the peer takes in one data message."""
    for section in answer.sections:
        if section.kind == "application" and not section.rejected:
            return section.max_message or 0xFFFFFFFF  # RFC 8841 6.1: 0 is no limit
    return 0


def _opus_number(section):
    for number, name in section.payload_types.items():
        if name.startswith("opus/48000"):
            return number
    raise Protocol("sdp", "the answer left no Opus in an audio section")
