# Generated from csrc/proto/linnet.proto by csrc/proto/gen_schema.py: do not edit.
#
# MESSAGES[i] is a message: its name at index 0, then of the field with number n the
# name at 2n - 1 and at 2n its kind + label << LABEL + (index of the nested message,
# else 0) << SUB. A number that is not used has None and 0. A label from ONEOF on is
# ONEOF + the index of the group in ONEOFS. A map is a repeated message with the
# fields key and value. All of it is constant, so a frozen module keeps it in flash.

from .compat import const

LABEL = const(4)
SUB = const(9)

# Kinds, 4 bits. The signed ones come first.
I32 = const(1)  # also enums
I64 = const(2)
U32 = const(3)
U64 = const(4)
BOOL = const(5)
FLOAT = const(6)
BYTES = const(7)
STRING = const(8)
MSG = const(9)

# Labels, 5 bits.
PLAIN = const(0)  # absent means the default
OPTIONAL = const(1)  # absent means absent; a single message is always so
REPEATED = const(2)
MAP = const(3)
ONEOF = const(4)

# What the native codec takes by number; each is MESSAGES[number - 1].
ROOTS = (
    "SignalRequest",
    "SignalResponse",
    "WrappedJoinRequest",
    "JoinRequest",
    "DataPacket",
    "EncryptedPacketPayload",
)

# (name, members) of every oneof.
ONEOFS = (
    (  # 0: SignalRequest
        "message",
        (
            "offer",
            "answer",
            "trickle",
            "add_track",
            "mute",
            "subscription",
            "track_setting",
            "leave",
            "subscription_permission",
            "sync_state",
            "simulate",
            "update_metadata",
            "ping_req",
            "update_audio_track",
            "publish_data_track_request",
            "unpublish_data_track_request",
            "update_data_subscription",
        ),
    ),
    (  # 1: SignalResponse
        "message",
        (
            "join",
            "answer",
            "offer",
            "trickle",
            "update",
            "track_published",
            "leave",
            "mute",
            "speakers_changed",
            "room_update",
            "connection_quality",
            "stream_state_update",
            "subscription_permission_update",
            "refresh_token",
            "track_unpublished",
            "reconnect",
            "pong_resp",
            "subscription_response",
            "request_response",
            "track_subscribed",
            "room_moved",
            "media_sections_requirement",
            "subscribed_audio_codec_update",
            "publish_data_track_response",
            "unpublish_data_track_response",
            "data_track_subscriber_handles",
        ),
    ),
    (  # 2: SimulateScenario
        "scenario",
        (
            "speaker_update",
            "node_failure",
            "migration",
            "server_leave",
            "switch_candidate_protocol",
            "subscriber_bandwidth",
            "disconnect_signal_on_resume",
            "disconnect_signal_on_resume_no_messages",
            "leave_request_full_reconnect",
        ),
    ),
    (  # 3: RequestResponse
        "request",
        (
            "trickle",
            "add_track",
            "mute",
            "update_metadata",
            "update_audio_track",
            "publish_data_track",
            "unpublish_data_track",
        ),
    ),
    (  # 4: DataTrackFrameEncoding
        "value",
        (
            "well_known",
            "custom",
        ),
    ),
    (  # 5: DataTrackSchemaEncoding
        "value",
        (
            "well_known",
            "custom",
        ),
    ),
    (  # 6: DataPacket
        "value",
        (
            "user",
            "sip_dtmf",
            "transcription",
            "chat_message",
            "rpc_request",
            "rpc_ack",
            "rpc_response",
            "stream_header",
            "stream_chunk",
            "stream_trailer",
            "encrypted_packet",
        ),
    ),
    (  # 7: EncryptedPacketPayload
        "value",
        (
            "user",
            "chat_message",
            "rpc_request",
            "rpc_ack",
            "rpc_response",
            "stream_header",
            "stream_chunk",
            "stream_trailer",
        ),
    ),
    (  # 8: RpcResponse
        "value",
        (
            "payload",
            "error",
            "compressed_payload",
        ),
    ),
    (  # 9: DataStream.Header
        "content_header",
        (
            "text_header",
            "byte_header",
        ),
    ),
)

MESSAGES = (
    (
        "SignalRequest",  # 0
        "offer", MSG + (ONEOF + 0 << LABEL) + (25 << SUB),
        "answer", MSG + (ONEOF + 0 << LABEL) + (25 << SUB),
        "trickle", MSG + (ONEOF + 0 << LABEL) + (27 << SUB),
        "add_track", MSG + (ONEOF + 0 << LABEL) + (45 << SUB),
        "mute", MSG + (ONEOF + 0 << LABEL) + (49 << SUB),
        "subscription", MSG + (ONEOF + 0 << LABEL) + (53 << SUB),
        "track_setting", MSG + (ONEOF + 0 << LABEL) + (55 << SUB),
        "leave", MSG + (ONEOF + 0 << LABEL) + (16 << SUB),
        None, 0,
        None, 0,
        "subscription_permission", MSG + (ONEOF + 0 << LABEL) + (56 << SUB),
        "sync_state", MSG + (ONEOF + 0 << LABEL) + (19 << SUB),
        "simulate", MSG + (ONEOF + 0 << LABEL) + (22 << SUB),
        None, 0,
        "update_metadata", MSG + (ONEOF + 0 << LABEL) + (37 << SUB),
        "ping_req", MSG + (ONEOF + 0 << LABEL) + (23 << SUB),
        "update_audio_track", MSG + (ONEOF + 0 << LABEL) + (50 << SUB),
        None, 0,
        "publish_data_track_request", MSG + (ONEOF + 0 << LABEL) + (62 << SUB),
        "unpublish_data_track_request", MSG + (ONEOF + 0 << LABEL) + (64 << SUB),
        "update_data_subscription", MSG + (ONEOF + 0 << LABEL) + (73 << SUB),
    ),
    (
        "SignalResponse",  # 1
        "join", MSG + (ONEOF + 1 << LABEL) + (9 << SUB),
        "answer", MSG + (ONEOF + 1 << LABEL) + (25 << SUB),
        "offer", MSG + (ONEOF + 1 << LABEL) + (25 << SUB),
        "trickle", MSG + (ONEOF + 1 << LABEL) + (27 << SUB),
        "update", MSG + (ONEOF + 1 << LABEL) + (36 << SUB),
        "track_published", MSG + (ONEOF + 1 << LABEL) + (46 << SUB),
        None, 0,
        "leave", MSG + (ONEOF + 1 << LABEL) + (16 << SUB),
        "mute", MSG + (ONEOF + 1 << LABEL) + (49 << SUB),
        "speakers_changed", MSG + (ONEOF + 1 << LABEL) + (39 << SUB),
        "room_update", MSG + (ONEOF + 1 << LABEL) + (31 << SUB),
        "connection_quality", MSG + (ONEOF + 1 << LABEL) + (41 << SUB),
        "stream_state_update", MSG + (ONEOF + 1 << LABEL) + (60 << SUB),
        None, 0,
        "subscription_permission_update", MSG + (ONEOF + 1 << LABEL) + (58 << SUB),
        "refresh_token", STRING + (ONEOF + 1 << LABEL),
        "track_unpublished", MSG + (ONEOF + 1 << LABEL) + (47 << SUB),
        None, 0,
        "reconnect", MSG + (ONEOF + 1 << LABEL) + (10 << SUB),
        "pong_resp", MSG + (ONEOF + 1 << LABEL) + (24 << SUB),
        "subscription_response", MSG + (ONEOF + 1 << LABEL) + (59 << SUB),
        "request_response", MSG + (ONEOF + 1 << LABEL) + (43 << SUB),
        "track_subscribed", MSG + (ONEOF + 1 << LABEL) + (48 << SUB),
        "room_moved", MSG + (ONEOF + 1 << LABEL) + (32 << SUB),
        "media_sections_requirement", MSG + (ONEOF + 1 << LABEL) + (28 << SUB),
        "subscribed_audio_codec_update", MSG + (ONEOF + 1 << LABEL) + (51 << SUB),
        "publish_data_track_response", MSG + (ONEOF + 1 << LABEL) + (63 << SUB),
        "unpublish_data_track_response", MSG + (ONEOF + 1 << LABEL) + (65 << SUB),
        "data_track_subscriber_handles", MSG + (ONEOF + 1 << LABEL) + (70 << SUB),
    ),
    (
        "WrappedJoinRequest",  # 2
        "compression", I32 + (PLAIN << LABEL),
        "join_request", BYTES + (PLAIN << LABEL),
    ),
    (
        "JoinRequest",  # 3
        "client_info", MSG + (OPTIONAL << LABEL) + (8 << SUB),
        "connection_settings", MSG + (OPTIONAL << LABEL) + (7 << SUB),
        "metadata", STRING + (PLAIN << LABEL),
        "participant_attributes", MSG + (MAP << LABEL) + (6 << SUB),
        "add_track_requests", MSG + (REPEATED << LABEL) + (45 << SUB),
        "publisher_offer", MSG + (OPTIONAL << LABEL) + (25 << SUB),
        "reconnect", BOOL + (PLAIN << LABEL),
        "reconnect_reason", I32 + (PLAIN << LABEL),
        "participant_sid", STRING + (PLAIN << LABEL),
        "sync_state", MSG + (OPTIONAL << LABEL) + (19 << SUB),
    ),
    (
        "DataPacket",  # 4
        "kind", I32 + (PLAIN << LABEL),
        "user", MSG + (ONEOF + 6 << LABEL) + (77 << SUB),
        None, 0,
        "participant_identity", STRING + (PLAIN << LABEL),
        "destination_identities", STRING + (REPEATED << LABEL),
        "sip_dtmf", MSG + (ONEOF + 6 << LABEL) + (78 << SUB),
        "transcription", MSG + (ONEOF + 6 << LABEL) + (79 << SUB),
        None, 0,
        "chat_message", MSG + (ONEOF + 6 << LABEL) + (81 << SUB),
        "rpc_request", MSG + (ONEOF + 6 << LABEL) + (82 << SUB),
        "rpc_ack", MSG + (ONEOF + 6 << LABEL) + (83 << SUB),
        "rpc_response", MSG + (ONEOF + 6 << LABEL) + (84 << SUB),
        "stream_header", MSG + (ONEOF + 6 << LABEL) + (88 << SUB),
        "stream_chunk", MSG + (ONEOF + 6 << LABEL) + (90 << SUB),
        "stream_trailer", MSG + (ONEOF + 6 << LABEL) + (91 << SUB),
        "sequence", U32 + (PLAIN << LABEL),
        "participant_sid", STRING + (PLAIN << LABEL),
        "encrypted_packet", MSG + (ONEOF + 6 << LABEL) + (76 << SUB),
    ),
    (
        "EncryptedPacketPayload",  # 5
        "user", MSG + (ONEOF + 7 << LABEL) + (77 << SUB),
        None, 0,
        "chat_message", MSG + (ONEOF + 7 << LABEL) + (81 << SUB),
        "rpc_request", MSG + (ONEOF + 7 << LABEL) + (82 << SUB),
        "rpc_ack", MSG + (ONEOF + 7 << LABEL) + (83 << SUB),
        "rpc_response", MSG + (ONEOF + 7 << LABEL) + (84 << SUB),
        "stream_header", MSG + (ONEOF + 7 << LABEL) + (88 << SUB),
        "stream_chunk", MSG + (ONEOF + 7 << LABEL) + (90 << SUB),
        "stream_trailer", MSG + (ONEOF + 7 << LABEL) + (91 << SUB),
    ),
    (
        "JoinRequest.ParticipantAttributesEntry",  # 6
        "key", STRING + (OPTIONAL << LABEL),
        "value", STRING + (OPTIONAL << LABEL),
    ),
    (
        "ConnectionSettings",  # 7
        "auto_subscribe", BOOL + (PLAIN << LABEL),
        "adaptive_stream", BOOL + (PLAIN << LABEL),
        "subscriber_allow_pause", BOOL + (OPTIONAL << LABEL),
        "disable_ice_lite", BOOL + (PLAIN << LABEL),
        "auto_subscribe_data_track", BOOL + (OPTIONAL << LABEL),
    ),
    (
        "ClientInfo",  # 8
        "sdk", I32 + (PLAIN << LABEL),
        "version", STRING + (PLAIN << LABEL),
        "protocol", I32 + (PLAIN << LABEL),
        "os", STRING + (PLAIN << LABEL),
        "os_version", STRING + (PLAIN << LABEL),
        "device_model", STRING + (PLAIN << LABEL),
        "browser", STRING + (PLAIN << LABEL),
        "browser_version", STRING + (PLAIN << LABEL),
        None, 0,
        "network", STRING + (PLAIN << LABEL),
        "other_sdks", STRING + (PLAIN << LABEL),
        "client_protocol", I32 + (PLAIN << LABEL),
        "capabilities", I32 + (REPEATED << LABEL),
    ),
    (
        "JoinResponse",  # 9
        "room", MSG + (OPTIONAL << LABEL) + (29 << SUB),
        "participant", MSG + (OPTIONAL << LABEL) + (33 << SUB),
        "other_participants", MSG + (REPEATED << LABEL) + (33 << SUB),
        "server_version", STRING + (PLAIN << LABEL),
        "ice_servers", MSG + (REPEATED << LABEL) + (11 << SUB),
        "subscriber_primary", BOOL + (PLAIN << LABEL),
        "alternative_url", STRING + (PLAIN << LABEL),
        "client_configuration", MSG + (OPTIONAL << LABEL) + (13 << SUB),
        "server_region", STRING + (PLAIN << LABEL),
        "ping_timeout", I32 + (PLAIN << LABEL),
        "ping_interval", I32 + (PLAIN << LABEL),
        "server_info", MSG + (OPTIONAL << LABEL) + (12 << SUB),
        "sif_trailer", BYTES + (PLAIN << LABEL),
        "enabled_publish_codecs", MSG + (REPEATED << LABEL) + (15 << SUB),
        "fast_publish", BOOL + (PLAIN << LABEL),
    ),
    (
        "ReconnectResponse",  # 10
        "ice_servers", MSG + (REPEATED << LABEL) + (11 << SUB),
        "client_configuration", MSG + (OPTIONAL << LABEL) + (13 << SUB),
        "server_info", MSG + (OPTIONAL << LABEL) + (12 << SUB),
        "last_message_seq", U32 + (PLAIN << LABEL),
    ),
    (
        "ICEServer",  # 11
        "urls", STRING + (REPEATED << LABEL),
        "username", STRING + (PLAIN << LABEL),
        "credential", STRING + (PLAIN << LABEL),
    ),
    (
        "ServerInfo",  # 12
        "edition", I32 + (PLAIN << LABEL),
        "version", STRING + (PLAIN << LABEL),
        "protocol", I32 + (PLAIN << LABEL),
        "region", STRING + (PLAIN << LABEL),
        "node_id", STRING + (PLAIN << LABEL),
        "debug_info", STRING + (PLAIN << LABEL),
        "agent_protocol", I32 + (PLAIN << LABEL),
    ),
    (
        "ClientConfiguration",  # 13
        None, 0,
        None, 0,
        "resume_connection", I32 + (PLAIN << LABEL),
        "disabled_codecs", MSG + (OPTIONAL << LABEL) + (14 << SUB),
        "force_relay", I32 + (PLAIN << LABEL),
    ),
    (
        "DisabledCodecs",  # 14
        "codecs", MSG + (REPEATED << LABEL) + (15 << SUB),
        "publish", MSG + (REPEATED << LABEL) + (15 << SUB),
    ),
    (
        "Codec",  # 15
        "mime", STRING + (PLAIN << LABEL),
        "fmtp_line", STRING + (PLAIN << LABEL),
    ),
    (
        "LeaveRequest",  # 16
        "can_reconnect", BOOL + (PLAIN << LABEL),
        "reason", I32 + (PLAIN << LABEL),
        "action", I32 + (PLAIN << LABEL),
        "regions", MSG + (OPTIONAL << LABEL) + (17 << SUB),
    ),
    (
        "RegionSettings",  # 17
        "regions", MSG + (REPEATED << LABEL) + (18 << SUB),
    ),
    (
        "RegionInfo",  # 18
        "region", STRING + (PLAIN << LABEL),
        "url", STRING + (PLAIN << LABEL),
        "distance", I64 + (PLAIN << LABEL),
    ),
    (
        "SyncState",  # 19
        "answer", MSG + (OPTIONAL << LABEL) + (25 << SUB),
        "subscription", MSG + (OPTIONAL << LABEL) + (53 << SUB),
        "publish_tracks", MSG + (REPEATED << LABEL) + (46 << SUB),
        "data_channels", MSG + (REPEATED << LABEL) + (20 << SUB),
        "offer", MSG + (OPTIONAL << LABEL) + (25 << SUB),
        "track_sids_disabled", STRING + (REPEATED << LABEL),
        "datachannel_receive_states", MSG + (REPEATED << LABEL) + (21 << SUB),
        "publish_data_tracks", MSG + (REPEATED << LABEL) + (63 << SUB),
        "data_subscription", MSG + (OPTIONAL << LABEL) + (73 << SUB),
    ),
    (
        "DataChannelInfo",  # 20
        "label", STRING + (PLAIN << LABEL),
        "id", U32 + (PLAIN << LABEL),
        "target", I32 + (PLAIN << LABEL),
    ),
    (
        "DataChannelReceiveState",  # 21
        "publisher_sid", STRING + (PLAIN << LABEL),
        "last_seq", U32 + (PLAIN << LABEL),
    ),
    (
        "SimulateScenario",  # 22
        "speaker_update", I32 + (ONEOF + 2 << LABEL),
        "node_failure", BOOL + (ONEOF + 2 << LABEL),
        "migration", BOOL + (ONEOF + 2 << LABEL),
        "server_leave", BOOL + (ONEOF + 2 << LABEL),
        "switch_candidate_protocol", I32 + (ONEOF + 2 << LABEL),
        "subscriber_bandwidth", I64 + (ONEOF + 2 << LABEL),
        "disconnect_signal_on_resume", BOOL + (ONEOF + 2 << LABEL),
        "disconnect_signal_on_resume_no_messages", BOOL + (ONEOF + 2 << LABEL),
        "leave_request_full_reconnect", BOOL + (ONEOF + 2 << LABEL),
    ),
    (
        "Ping",  # 23
        "timestamp", I64 + (PLAIN << LABEL),
        "rtt", I64 + (PLAIN << LABEL),
    ),
    (
        "Pong",  # 24
        "last_ping_timestamp", I64 + (PLAIN << LABEL),
        "timestamp", I64 + (PLAIN << LABEL),
    ),
    (
        "SessionDescription",  # 25
        "type", STRING + (PLAIN << LABEL),
        "sdp", STRING + (PLAIN << LABEL),
        "id", U32 + (PLAIN << LABEL),
        "mid_to_track_id", MSG + (MAP << LABEL) + (26 << SUB),
    ),
    (
        "SessionDescription.MidToTrackIdEntry",  # 26
        "key", STRING + (OPTIONAL << LABEL),
        "value", STRING + (OPTIONAL << LABEL),
    ),
    (
        "TrickleRequest",  # 27
        "candidateInit", STRING + (PLAIN << LABEL),
        "target", I32 + (PLAIN << LABEL),
        "final", BOOL + (PLAIN << LABEL),
    ),
    (
        "MediaSectionsRequirement",  # 28
        "num_audios", U32 + (PLAIN << LABEL),
        "num_videos", U32 + (PLAIN << LABEL),
    ),
    (
        "Room",  # 29
        "sid", STRING + (PLAIN << LABEL),
        "name", STRING + (PLAIN << LABEL),
        "empty_timeout", U32 + (PLAIN << LABEL),
        "max_participants", U32 + (PLAIN << LABEL),
        "creation_time", I64 + (PLAIN << LABEL),
        None, 0,
        "enabled_codecs", MSG + (REPEATED << LABEL) + (15 << SUB),
        "metadata", STRING + (PLAIN << LABEL),
        "num_participants", U32 + (PLAIN << LABEL),
        "active_recording", BOOL + (PLAIN << LABEL),
        "num_publishers", U32 + (PLAIN << LABEL),
        None, 0,
        "version", MSG + (OPTIONAL << LABEL) + (30 << SUB),
        "departure_timeout", U32 + (PLAIN << LABEL),
        "creation_time_ms", I64 + (PLAIN << LABEL),
    ),
    (
        "TimedVersion",  # 30
        "unix_micro", I64 + (PLAIN << LABEL),
        "ticks", I32 + (PLAIN << LABEL),
    ),
    (
        "RoomUpdate",  # 31
        "room", MSG + (OPTIONAL << LABEL) + (29 << SUB),
    ),
    (
        "RoomMovedResponse",  # 32
        "room", MSG + (OPTIONAL << LABEL) + (29 << SUB),
        "token", STRING + (PLAIN << LABEL),
        "participant", MSG + (OPTIONAL << LABEL) + (33 << SUB),
        "other_participants", MSG + (REPEATED << LABEL) + (33 << SUB),
    ),
    (
        "ParticipantInfo",  # 33
        "sid", STRING + (PLAIN << LABEL),
        "identity", STRING + (PLAIN << LABEL),
        "state", I32 + (PLAIN << LABEL),
        "tracks", MSG + (REPEATED << LABEL) + (44 << SUB),
        "metadata", STRING + (PLAIN << LABEL),
        "joined_at", I64 + (PLAIN << LABEL),
        None, 0,
        None, 0,
        "name", STRING + (PLAIN << LABEL),
        "version", U32 + (PLAIN << LABEL),
        "permission", MSG + (OPTIONAL << LABEL) + (35 << SUB),
        "region", STRING + (PLAIN << LABEL),
        "is_publisher", BOOL + (PLAIN << LABEL),
        "kind", I32 + (PLAIN << LABEL),
        "attributes", MSG + (MAP << LABEL) + (34 << SUB),
        "disconnect_reason", I32 + (PLAIN << LABEL),
        "joined_at_ms", I64 + (PLAIN << LABEL),
        "kind_details", I32 + (REPEATED << LABEL),
        "data_tracks", MSG + (REPEATED << LABEL) + (66 << SUB),
        "client_protocol", I32 + (PLAIN << LABEL),
        "capabilities", I32 + (REPEATED << LABEL),
    ),
    (
        "ParticipantInfo.AttributesEntry",  # 34
        "key", STRING + (OPTIONAL << LABEL),
        "value", STRING + (OPTIONAL << LABEL),
    ),
    (
        "ParticipantPermission",  # 35
        "can_subscribe", BOOL + (PLAIN << LABEL),
        "can_publish", BOOL + (PLAIN << LABEL),
        "can_publish_data", BOOL + (PLAIN << LABEL),
        None, 0,
        None, 0,
        None, 0,
        "hidden", BOOL + (PLAIN << LABEL),
        None, 0,
        "can_publish_sources", I32 + (REPEATED << LABEL),
        "can_update_metadata", BOOL + (PLAIN << LABEL),
        None, 0,
        "can_subscribe_metrics", BOOL + (PLAIN << LABEL),
        "can_manage_agent_session", BOOL + (PLAIN << LABEL),
    ),
    (
        "ParticipantUpdate",  # 36
        "participants", MSG + (REPEATED << LABEL) + (33 << SUB),
    ),
    (
        "UpdateParticipantMetadata",  # 37
        "metadata", STRING + (PLAIN << LABEL),
        "name", STRING + (PLAIN << LABEL),
        "attributes", MSG + (MAP << LABEL) + (38 << SUB),
        "request_id", U32 + (PLAIN << LABEL),
    ),
    (
        "UpdateParticipantMetadata.AttributesEntry",  # 38
        "key", STRING + (OPTIONAL << LABEL),
        "value", STRING + (OPTIONAL << LABEL),
    ),
    (
        "SpeakersChanged",  # 39
        "speakers", MSG + (REPEATED << LABEL) + (40 << SUB),
    ),
    (
        "SpeakerInfo",  # 40
        "sid", STRING + (PLAIN << LABEL),
        "level", FLOAT + (PLAIN << LABEL),
        "active", BOOL + (PLAIN << LABEL),
    ),
    (
        "ConnectionQualityUpdate",  # 41
        "updates", MSG + (REPEATED << LABEL) + (42 << SUB),
    ),
    (
        "ConnectionQualityInfo",  # 42
        "participant_sid", STRING + (PLAIN << LABEL),
        "quality", I32 + (PLAIN << LABEL),
        "score", FLOAT + (PLAIN << LABEL),
    ),
    (
        "RequestResponse",  # 43
        "request_id", U32 + (PLAIN << LABEL),
        "reason", I32 + (PLAIN << LABEL),
        "message", STRING + (PLAIN << LABEL),
        "trickle", MSG + (ONEOF + 3 << LABEL) + (27 << SUB),
        "add_track", MSG + (ONEOF + 3 << LABEL) + (45 << SUB),
        "mute", MSG + (ONEOF + 3 << LABEL) + (49 << SUB),
        "update_metadata", MSG + (ONEOF + 3 << LABEL) + (37 << SUB),
        "update_audio_track", MSG + (ONEOF + 3 << LABEL) + (50 << SUB),
        None, 0,
        "publish_data_track", MSG + (ONEOF + 3 << LABEL) + (62 << SUB),
        "unpublish_data_track", MSG + (ONEOF + 3 << LABEL) + (64 << SUB),
    ),
    (
        "TrackInfo",  # 44
        "sid", STRING + (PLAIN << LABEL),
        "type", I32 + (PLAIN << LABEL),
        "name", STRING + (PLAIN << LABEL),
        "muted", BOOL + (PLAIN << LABEL),
        "width", U32 + (PLAIN << LABEL),
        "height", U32 + (PLAIN << LABEL),
        None, 0,
        None, 0,
        "source", I32 + (PLAIN << LABEL),
        None, 0,
        "mime_type", STRING + (PLAIN << LABEL),
        "mid", STRING + (PLAIN << LABEL),
        None, 0,
        None, 0,
        "disable_red", BOOL + (PLAIN << LABEL),
        "encryption", I32 + (PLAIN << LABEL),
        "stream", STRING + (PLAIN << LABEL),
        "version", MSG + (OPTIONAL << LABEL) + (30 << SUB),
        "audio_features", I32 + (REPEATED << LABEL),
    ),
    (
        "AddTrackRequest",  # 45
        "cid", STRING + (PLAIN << LABEL),
        "name", STRING + (PLAIN << LABEL),
        "type", I32 + (PLAIN << LABEL),
        None, 0,
        None, 0,
        "muted", BOOL + (PLAIN << LABEL),
        None, 0,
        "source", I32 + (PLAIN << LABEL),
        None, 0,
        None, 0,
        "sid", STRING + (PLAIN << LABEL),
        None, 0,
        "disable_red", BOOL + (PLAIN << LABEL),
        "encryption", I32 + (PLAIN << LABEL),
        "stream", STRING + (PLAIN << LABEL),
        None, 0,
        "audio_features", I32 + (REPEATED << LABEL),
    ),
    (
        "TrackPublishedResponse",  # 46
        "cid", STRING + (PLAIN << LABEL),
        "track", MSG + (OPTIONAL << LABEL) + (44 << SUB),
    ),
    (
        "TrackUnpublishedResponse",  # 47
        "track_sid", STRING + (PLAIN << LABEL),
    ),
    (
        "TrackSubscribed",  # 48
        "track_sid", STRING + (PLAIN << LABEL),
    ),
    (
        "MuteTrackRequest",  # 49
        "sid", STRING + (PLAIN << LABEL),
        "muted", BOOL + (PLAIN << LABEL),
    ),
    (
        "UpdateLocalAudioTrack",  # 50
        "track_sid", STRING + (PLAIN << LABEL),
        "features", I32 + (REPEATED << LABEL),
    ),
    (
        "SubscribedAudioCodecUpdate",  # 51
        "track_sid", STRING + (PLAIN << LABEL),
        "subscribed_audio_codecs", MSG + (REPEATED << LABEL) + (52 << SUB),
    ),
    (
        "SubscribedAudioCodec",  # 52
        "codec", STRING + (PLAIN << LABEL),
        "enabled", BOOL + (PLAIN << LABEL),
    ),
    (
        "UpdateSubscription",  # 53
        "track_sids", STRING + (REPEATED << LABEL),
        "subscribe", BOOL + (PLAIN << LABEL),
        "participant_tracks", MSG + (REPEATED << LABEL) + (54 << SUB),
    ),
    (
        "ParticipantTracks",  # 54
        "participant_sid", STRING + (PLAIN << LABEL),
        "track_sids", STRING + (REPEATED << LABEL),
    ),
    (
        "UpdateTrackSettings",  # 55
        "track_sids", STRING + (REPEATED << LABEL),
        None, 0,
        "disabled", BOOL + (PLAIN << LABEL),
        None, 0,
        None, 0,
        None, 0,
        None, 0,
        "priority", U32 + (PLAIN << LABEL),
    ),
    (
        "SubscriptionPermission",  # 56
        "all_participants", BOOL + (PLAIN << LABEL),
        "track_permissions", MSG + (REPEATED << LABEL) + (57 << SUB),
    ),
    (
        "TrackPermission",  # 57
        "participant_sid", STRING + (PLAIN << LABEL),
        "all_tracks", BOOL + (PLAIN << LABEL),
        "track_sids", STRING + (REPEATED << LABEL),
        "participant_identity", STRING + (PLAIN << LABEL),
    ),
    (
        "SubscriptionPermissionUpdate",  # 58
        "participant_sid", STRING + (PLAIN << LABEL),
        "track_sid", STRING + (PLAIN << LABEL),
        "allowed", BOOL + (PLAIN << LABEL),
    ),
    (
        "SubscriptionResponse",  # 59
        "track_sid", STRING + (PLAIN << LABEL),
        "err", I32 + (PLAIN << LABEL),
    ),
    (
        "StreamStateUpdate",  # 60
        "stream_states", MSG + (REPEATED << LABEL) + (61 << SUB),
    ),
    (
        "StreamStateInfo",  # 61
        "participant_sid", STRING + (PLAIN << LABEL),
        "track_sid", STRING + (PLAIN << LABEL),
        "state", I32 + (PLAIN << LABEL),
    ),
    (
        "PublishDataTrackRequest",  # 62
        "pub_handle", U32 + (PLAIN << LABEL),
        "name", STRING + (PLAIN << LABEL),
        "encryption", I32 + (PLAIN << LABEL),
        "frame_encoding", MSG + (OPTIONAL << LABEL) + (67 << SUB),
        "schema", MSG + (OPTIONAL << LABEL) + (69 << SUB),
    ),
    (
        "PublishDataTrackResponse",  # 63
        "info", MSG + (OPTIONAL << LABEL) + (66 << SUB),
    ),
    (
        "UnpublishDataTrackRequest",  # 64
        "pub_handle", U32 + (PLAIN << LABEL),
    ),
    (
        "UnpublishDataTrackResponse",  # 65
        "info", MSG + (OPTIONAL << LABEL) + (66 << SUB),
    ),
    (
        "DataTrackInfo",  # 66
        "pub_handle", U32 + (PLAIN << LABEL),
        "sid", STRING + (PLAIN << LABEL),
        "name", STRING + (PLAIN << LABEL),
        "encryption", I32 + (PLAIN << LABEL),
        "frame_encoding", MSG + (OPTIONAL << LABEL) + (67 << SUB),
        "schema", MSG + (OPTIONAL << LABEL) + (69 << SUB),
    ),
    (
        "DataTrackFrameEncoding",  # 67
        "well_known", I32 + (ONEOF + 4 << LABEL),
        "custom", STRING + (ONEOF + 4 << LABEL),
    ),
    (
        "DataTrackSchemaEncoding",  # 68
        "well_known", I32 + (ONEOF + 5 << LABEL),
        "custom", STRING + (ONEOF + 5 << LABEL),
    ),
    (
        "DataTrackSchemaId",  # 69
        "name", STRING + (PLAIN << LABEL),
        "encoding", MSG + (OPTIONAL << LABEL) + (68 << SUB),
    ),
    (
        "DataTrackSubscriberHandles",  # 70
        "sub_handles", MSG + (MAP << LABEL) + (72 << SUB),
    ),
    (
        "DataTrackSubscriberHandles.PublishedDataTrack",  # 71
        "publisher_identity", STRING + (PLAIN << LABEL),
        "publisher_sid", STRING + (PLAIN << LABEL),
        "track_sid", STRING + (PLAIN << LABEL),
    ),
    (
        "DataTrackSubscriberHandles.SubHandlesEntry",  # 72
        "key", U32 + (OPTIONAL << LABEL),
        "value", MSG + (OPTIONAL << LABEL) + (71 << SUB),
    ),
    (
        "UpdateDataSubscription",  # 73
        "updates", MSG + (REPEATED << LABEL) + (74 << SUB),
    ),
    (
        "UpdateDataSubscription.Update",  # 74
        "track_sid", STRING + (PLAIN << LABEL),
        "subscribe", BOOL + (PLAIN << LABEL),
        "options", MSG + (OPTIONAL << LABEL) + (75 << SUB),
    ),
    (
        "DataTrackSubscriptionOptions",  # 75
        "target_fps", U32 + (OPTIONAL << LABEL),
    ),
    (
        "EncryptedPacket",  # 76
        "encryption_type", I32 + (PLAIN << LABEL),
        "iv", BYTES + (PLAIN << LABEL),
        "key_index", U32 + (PLAIN << LABEL),
        "encrypted_value", BYTES + (PLAIN << LABEL),
    ),
    (
        "UserPacket",  # 77
        None, 0,
        "payload", BYTES + (PLAIN << LABEL),
        None, 0,
        "topic", STRING + (OPTIONAL << LABEL),
        None, 0,
        None, 0,
        None, 0,
        "id", STRING + (OPTIONAL << LABEL),
        "start_time", U64 + (OPTIONAL << LABEL),
        "end_time", U64 + (OPTIONAL << LABEL),
        "nonce", BYTES + (PLAIN << LABEL),
    ),
    (
        "SipDTMF",  # 78
        None, 0,
        None, 0,
        "code", U32 + (PLAIN << LABEL),
        "digit", STRING + (PLAIN << LABEL),
    ),
    (
        "Transcription",  # 79
        None, 0,
        "transcribed_participant_identity", STRING + (PLAIN << LABEL),
        "track_id", STRING + (PLAIN << LABEL),
        "segments", MSG + (REPEATED << LABEL) + (80 << SUB),
    ),
    (
        "TranscriptionSegment",  # 80
        "id", STRING + (PLAIN << LABEL),
        "text", STRING + (PLAIN << LABEL),
        "start_time", U64 + (PLAIN << LABEL),
        "end_time", U64 + (PLAIN << LABEL),
        "final", BOOL + (PLAIN << LABEL),
        "language", STRING + (PLAIN << LABEL),
    ),
    (
        "ChatMessage",  # 81
        "id", STRING + (PLAIN << LABEL),
        "timestamp", I64 + (PLAIN << LABEL),
        "edit_timestamp", I64 + (OPTIONAL << LABEL),
        "message", STRING + (PLAIN << LABEL),
        "deleted", BOOL + (PLAIN << LABEL),
        "generated", BOOL + (PLAIN << LABEL),
    ),
    (
        "RpcRequest",  # 82
        "id", STRING + (PLAIN << LABEL),
        "method", STRING + (PLAIN << LABEL),
        "payload", STRING + (PLAIN << LABEL),
        "response_timeout_ms", U32 + (PLAIN << LABEL),
        "version", U32 + (PLAIN << LABEL),
        "compressed_payload", BYTES + (PLAIN << LABEL),
    ),
    (
        "RpcAck",  # 83
        "request_id", STRING + (PLAIN << LABEL),
    ),
    (
        "RpcResponse",  # 84
        "request_id", STRING + (PLAIN << LABEL),
        "payload", STRING + (ONEOF + 8 << LABEL),
        "error", MSG + (ONEOF + 8 << LABEL) + (85 << SUB),
        "compressed_payload", BYTES + (ONEOF + 8 << LABEL),
    ),
    (
        "RpcError",  # 85
        "code", U32 + (PLAIN << LABEL),
        "message", STRING + (PLAIN << LABEL),
        "data", STRING + (PLAIN << LABEL),
    ),
    (
        "DataStream.TextHeader",  # 86
        "operation_type", I32 + (PLAIN << LABEL),
        "version", I32 + (PLAIN << LABEL),
        "reply_to_stream_id", STRING + (PLAIN << LABEL),
        "attached_stream_ids", STRING + (REPEATED << LABEL),
        "generated", BOOL + (PLAIN << LABEL),
    ),
    (
        "DataStream.ByteHeader",  # 87
        "name", STRING + (PLAIN << LABEL),
    ),
    (
        "DataStream.Header",  # 88
        "stream_id", STRING + (PLAIN << LABEL),
        "timestamp", I64 + (PLAIN << LABEL),
        "topic", STRING + (PLAIN << LABEL),
        "mime_type", STRING + (PLAIN << LABEL),
        "total_length", U64 + (OPTIONAL << LABEL),
        None, 0,
        None, 0,
        "attributes", MSG + (MAP << LABEL) + (89 << SUB),
        "text_header", MSG + (ONEOF + 9 << LABEL) + (86 << SUB),
        "byte_header", MSG + (ONEOF + 9 << LABEL) + (87 << SUB),
        "inline_content", BYTES + (OPTIONAL << LABEL),
        "compression", I32 + (PLAIN << LABEL),
    ),
    (
        "DataStream.Header.AttributesEntry",  # 89
        "key", STRING + (OPTIONAL << LABEL),
        "value", STRING + (OPTIONAL << LABEL),
    ),
    (
        "DataStream.Chunk",  # 90
        "stream_id", STRING + (PLAIN << LABEL),
        "chunk_index", U64 + (PLAIN << LABEL),
        "content", BYTES + (PLAIN << LABEL),
        "version", I32 + (PLAIN << LABEL),
    ),
    (
        "DataStream.Trailer",  # 91
        "stream_id", STRING + (PLAIN << LABEL),
        "reason", STRING + (PLAIN << LABEL),
        "attributes", MSG + (MAP << LABEL) + (92 << SUB),
    ),
    (
        "DataStream.Trailer.AttributesEntry",  # 92
        "key", STRING + (OPTIONAL << LABEL),
        "value", STRING + (OPTIONAL << LABEL),
    ),
)
