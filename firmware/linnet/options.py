# What a Room may be told before it connects, in one flat object; every default
# suits a voice badge.

import sys

from .compat import IS_MICROPYTHON

VERSION = "0.1.0"
PROTOCOL = 18  # signalling features; channels.py keeps the rule that 18 asks for
SDK_ESP32 = 14


def client_info(device_model="Linnet"):
    """ClientInfo (protocol.md 1.4). client_protocol 0: RPC v1, data streams v1."""
    return {
        "sdk": SDK_ESP32,
        "version": VERSION,
        "protocol": PROTOCOL,
        "os": "micropython" if IS_MICROPYTHON else sys.platform,
        "os_version": ".".join([str(n) for n in sys.version_info[:3]]),
        "device_model": device_model,
    }


class RoomOptions:
    """Options of a join. `auto_subscribe` as in livekit.rtc; the others are a device's own."""

    def __init__(
        self,
        auto_subscribe=True,
        remote_tracks=3,
        bitrate=0,
        complexity=None,
        dtx=False,
        fec=False,
        playout_delay_ms=0,
        max_message=65536,
        send_buffer=0,
        recv_buffer=0,
        max_signal_message=262144,
        connect_timeout_ms=15000,
        early_reoffer=True,
        device_model="Linnet",
        tracks=(),
    ):
        self.tracks = tuple(tracks)  # LocalAudioTracks published by the join itself
        self.auto_subscribe = auto_subscribe
        self.remote_tracks = remote_tracks  # remote tracks that can sound at once
        self.bitrate = bitrate  # bit/s of the microphone; 0: the core's choice for the rate
        self.complexity = complexity  # Opus, 0 to 10; None: the core's choice
        self.dtx = dtx
        self.fec = fec
        self.playout_delay_ms = playout_delay_ms
        self.max_message = max_message  # bytes of the largest data message taken
        self.send_buffer = send_buffer  # bytes of data under way; 0: one message of max_message
        self.recv_buffer = recv_buffer
        self.max_signal_message = max_signal_message
        self.connect_timeout_ms = connect_timeout_ms
        self.early_reoffer = early_reoffer  # ask for a track's section before the server does
        self.client_info = client_info(device_model)
