# Who is in the room and what they publish: ParticipantUpdate and its relatives
# become objects and events (protocol.md 2.3).
#
# Order is by version: an older ParticipantInfo than the one we have is dropped.
# A changed sid under the same identity is a leave and a join.

from .log import INFO, log
from .participant import RemoteParticipant
from .track import KIND_AUDIO, RemoteAudioTrack, RemoteTrackPublication

_ACTIVE = 2
_DISCONNECTED = 3


def update_one(room, info, is_join=False):
    """One ParticipantInfo: about us, or about somebody else. Who was there before us is not
    announced by events (as in livekit.rtc): room.remote_participants has them."""
    identity = info.get("identity", "")
    me = room.local_participant
    if info.get("sid", "") == me.sid or identity == me.identity:
        _update_own(room, me, info)
        return
    participant = room.remote_participants.get(identity)
    if info.get("state", 0) == _DISCONNECTED:
        if participant is not None and participant.sid == info.get("sid", ""):
            _remove(room, participant, info.get("disconnect_reason", 0))
        return
    if participant is not None and participant.sid != info.get("sid", ""):
        _remove(room, participant, 0)
        participant = None
    if participant is None:
        participant = RemoteParticipant(info)
        room.remote_participants[identity] = participant
        if not is_join:
            room.emit("participant_connected", participant)
            if participant.state == _ACTIVE:
                room.emit("participant_active", participant)
    elif participant.is_newer(info):
        was_active = participant.state == _ACTIVE
        _update(room, participant, info)
        if participant.state == _ACTIVE and not was_active:
            room.emit("participant_active", participant)
    else:
        return
    _update_tracks(room, participant, info.get("tracks", []), is_join)


def _update_own(room, me, info):
    if info.get("sid", "") != me.sid or not me.is_newer(info):
        return
    _update(room, me, info)
    for track in info.get("tracks", []):
        publication = me.track_publications.get(track.get("sid", ""))
        if publication is not None:
            publication.update(track)


def _update(room, participant, info):
    old = (
        participant.name,
        participant.metadata,
        participant.attributes,
        participant.permissions,
    )
    participant.apply(info)
    if participant.name != old[0]:
        room.emit("participant_name_changed", participant, old[0], participant.name)
    if participant.metadata != old[1]:
        room.emit("participant_metadata_changed", participant, old[1], participant.metadata)
    changed = {}
    for key in list(old[2]) + list(participant.attributes):
        if old[2].get(key) != participant.attributes.get(key):
            changed[key] = participant.attributes.get(key, "")
    if changed:
        room.emit("participant_attributes_changed", changed, participant)
    if not participant.permissions == old[3]:
        room.emit("participant_permissions_changed", participant, participant.permissions)


def _remove(room, participant, reason):
    participant.disconnect_reason = reason or None
    for publication in list(participant.track_publications.values()):
        _remove_track(room, participant, publication)
    room.remote_participants.pop(participant.identity, None)
    room._rpc.on_participant_gone(participant.identity)
    room.emit("participant_disconnected", participant)
    if participant in room.active_speakers:
        room.active_speakers.remove(participant)
        room.emit("active_speakers_changed", list(room.active_speakers))


def _update_tracks(room, participant, tracks, is_join):
    seen = []
    for info in tracks:
        sid = info.get("sid", "")
        seen.append(sid)
        publication = participant.track_publications.get(sid)
        if publication is None:
            publication = RemoteTrackPublication(info, participant, room)
            participant.track_publications[sid] = publication
            if publication.kind != KIND_AUDIO:
                room._engine.negotiation.ignore(sid)
            if not is_join:
                room.emit("track_published", publication, participant)
            if sid in room._early_tracks:
                track_playing(room, sid, room._early_tracks.pop(sid))
            continue
        was_muted = publication.muted
        publication.update(info)
        if publication.muted != was_muted:
            if publication.track is not None:
                publication.track.muted = publication.muted
            event = "track_muted" if publication.muted else "track_unmuted"
            room.emit(event, participant, publication)
    for sid, publication in list(participant.track_publications.items()):
        if sid not in seen:
            _remove_track(room, participant, publication)


def _remove_track(room, participant, publication):
    if room._engine is not None:
        room._engine.negotiation.forget(publication.sid)
    _unsubscribed(room, participant, publication)
    participant.track_publications.pop(publication.sid, None)
    room.emit("track_unpublished", publication, participant)


def _unsubscribed(room, participant, publication):
    track = publication.track
    if track is not None:
        publication.track = None
        publication.subscribed = False
        track.slot = None
        room.emit("track_unsubscribed", track, publication, participant)


def find_track(room, sid):
    """(participant, publication) of a remote track sid, or (None, None)."""
    for participant in room.remote_participants.values():
        publication = participant.track_publications.get(sid)
        if publication is not None:
            return participant, publication
    return None, None


def track_playing(room, sid, slot):
    """The engine gave a track a place in the mix, or took it (slot None)."""
    participant, publication = find_track(room, sid)
    if publication is None:
        if slot is not None:
            log(INFO, "roster", "sound of a track that nobody announced yet")
            room._early_tracks[sid] = slot
        else:
            room._early_tracks.pop(sid, None)
        return
    if slot is None:
        _unsubscribed(room, participant, publication)
    elif publication.kind == KIND_AUDIO:
        track = publication.track
        if track is None:
            track = publication.track = RemoteAudioTrack(publication.info, room)
            publication.subscribed = True
            track.slot = slot
            room.emit("track_subscribed", track, publication, participant)
        track.slot = slot


def track_heard(room, sid):
    """The first authenticated packet of a track has come."""
    participant, publication = find_track(room, sid)
    if publication is not None and publication.track is not None:
        room.emit("track_heard", publication.track, publication, participant)


def speakers_changed(room, message):
    """A delta: active false removes. Loudest first."""
    for info in message.get("speakers", []):
        participant = _by_sid(room, info.get("sid", ""))
        if participant is None:
            continue
        if participant in room.active_speakers:
            room.active_speakers.remove(participant)
        participant.audio_level = info.get("level", 0.0) if info.get("active", False) else 0.0
        if info.get("active", False):
            room.active_speakers.append(participant)
    room.active_speakers.sort(key=lambda p: -p.audio_level)
    room.emit("active_speakers_changed", list(room.active_speakers))


def quality_changed(room, message):
    for info in message.get("updates", []):
        participant = _by_sid(room, info.get("participant_sid", ""))
        if participant is not None:
            participant.connection_quality = info.get("quality", 0)
            room.emit("connection_quality_changed", participant, participant.connection_quality)


def subscription_failed(room, message):
    sid = message.get("track_sid", "")
    error = message.get("err", 0)
    participant, _ = find_track(room, sid)
    if error:
        room.emit("track_subscription_failed", participant, sid, error)


def permission_changed(room, message):
    if message.get("allowed", False):
        return
    participant, publication = find_track(room, message.get("track_sid", ""))
    if publication is not None:
        _unsubscribed(room, participant, publication)


def _by_sid(room, sid):
    if room.local_participant is not None and room.local_participant.sid == sid:
        return room.local_participant
    for participant in room.remote_participants.values():
        if participant.sid == sid:
            return participant
    return None
