# Tracks and their publications, with the names of livekit.rtc.
#
# A track is sound; a publication is what the room knows about it. A device has
# one microphone, so one LocalAudioTrack can be published at a time.

from .errors import Refused

# No const() here: MicroPython would put the number in place of the name in the classes, too.
KIND_UNKNOWN = 0
KIND_AUDIO = 1
KIND_VIDEO = 2

SOURCE_UNKNOWN = 0
SOURCE_CAMERA = 1
SOURCE_MICROPHONE = 2
SOURCE_SCREENSHARE = 3
SOURCE_SCREENSHARE_AUDIO = 4

STATE_UNKNOWN = 0
STATE_ACTIVE = 1
STATE_PAUSED = 2


class TrackKind:
    KIND_UNKNOWN, KIND_AUDIO, KIND_VIDEO = KIND_UNKNOWN, KIND_AUDIO, KIND_VIDEO


class TrackSource:
    SOURCE_UNKNOWN = SOURCE_UNKNOWN
    SOURCE_CAMERA = SOURCE_CAMERA
    SOURCE_MICROPHONE = SOURCE_MICROPHONE
    SOURCE_SCREENSHARE = SOURCE_SCREENSHARE
    SOURCE_SCREENSHARE_AUDIO = SOURCE_SCREENSHARE_AUDIO


def kind_of(info):
    """livekit.rtc's TrackKind of a TrackInfo; the wire has audio 0, video 1, data 2."""
    return {0: KIND_AUDIO, 1: KIND_VIDEO}.get(info.get("type", 0), KIND_UNKNOWN)


class Track:
    """Base of both directions."""

    kind = KIND_AUDIO

    def __init__(self, name, source):
        self.sid = ""
        self.name = name
        self.source = source
        self.muted = False
        self.stream_state = STATE_ACTIVE


class LocalAudioTrack(Track):
    """Our own sound. Made here, published with LocalParticipant.publish_track() or with
    RoomOptions(tracks=...), which costs no round trip of its own."""

    def __init__(self, name, source=SOURCE_MICROPHONE):
        super().__init__(name, source)
        self.cid = ""
        self._room = None

    @staticmethod
    def create_audio_track(name, source=SOURCE_MICROPHONE):
        return LocalAudioTrack(name, source)

    def mute(self):
        """Stop sending at once; the room is told."""
        self._set_muted(True)

    def unmute(self):
        self._set_muted(False)

    def _set_muted(self, muted):
        if self.muted != muted:
            self.muted = muted
            if self._room is not None:
                self._room._own.mute(self, muted)


class TrackPublishOptions:
    """As in livekit.rtc: `source`, and `dtx`, which has to be that of RoomOptions. Everything
    else may be given as what it is anyway: nothing, 0 or False."""

    def __init__(self, **wanted):
        self.wanted = wanted


def apply_publish_options(track, options, room_options):
    """Take over what publish options say about a track, or raise Refused("bad-argument").
    livekit.rtc's own are taken, too."""
    if hasattr(options, "ListFields"):
        wanted = {field.name: value for field, value in options.ListFields()}
    elif isinstance(options, TrackPublishOptions):
        wanted = options.wanted
    else:
        raise Refused("bad-argument", "options of a track are TrackPublishOptions")
    source = wanted.get("source", 0) or track.source
    if source in (SOURCE_CAMERA, SOURCE_SCREENSHARE):
        raise Refused("bad-argument", "sound is published, but the source is one of pictures")
    for name, value in wanted.items():
        if name == "dtx" and bool(value) != bool(room_options.dtx):
            cure = "Connect with RoomOptions(dtx=%s)." % bool(value)
            raise Refused("bad-argument", "dtx is chosen when the room is joined", cure)
        if name not in ("source", "dtx") and value:
            cure = "Leave it away; RoomOptions has bitrate, fec and dtx."
            raise Refused("bad-argument", "a device does not publish with the option " + name, cure)
    track.source = source


class RemoteAudioTrack(Track):
    """Sound of somebody else. `slot` is where the core plays it, None while it does not."""

    def __init__(self, info, room):
        super().__init__(info.get("name", ""), info.get("source", 0))
        self.sid = info["sid"]
        self.muted = info.get("muted", False)
        self.slot = None
        self._room = room

    def set_volume(self, volume):
        """Loudness of this track in the speaker mix: 0.0 is silence, 1.0 as it comes, at most 4.0."""
        self._room._set_track_volume(self, volume)

    def stats(self):
        """Counters of the core for this track, or None while it does not play."""
        return self._room._track_stats(self)


class TrackPublication:
    """What the room knows about a track."""

    def __init__(self, info):
        self.track = None
        self.update(info)

    def update(self, info):
        self.info = info
        self.sid = info.get("sid", "")
        self.name = info.get("name", "")
        self.kind = kind_of(info)
        self.source = info.get("source", 0)
        self.muted = info.get("muted", False)
        self.mime_type = info.get("mime_type", "")
        self.encryption_type = info.get("encryption", 0)


class LocalTrackPublication(TrackPublication):
    """A published track of ours."""


class RemoteTrackPublication(TrackPublication):
    """A track of somebody else, subscribed or not."""

    def __init__(self, info, participant, room):
        super().__init__(info)
        self.subscribed = False
        self.participant = participant
        self._room = room

    def set_subscribed(self, subscribed):
        """Ask the server for this track, or to stop it."""
        self._room._subscribe(self, subscribed)
