"""One device in one process, for bench_call: `python -m tests.bench.devices linnet|linnet-python|...`.

Every device does the same: 16 kHz mono speech up at 24 kb/s or the peer's own default, one remote talker down.
Each prints one JSON line with the CPU seconds of the window, its peak RSS and what it sent and heard.
"""

import argparse
import asyncio
import json
import resource
import tempfile
import time
import wave

RATE = 16000


def cpu_and_rss():
    return time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def window(settle_s, seconds):
    """CPU seconds of all threads of this process in the measured window."""
    await asyncio.sleep(settle_s)
    before = time.process_time()
    start = time.monotonic()
    await asyncio.sleep(seconds)
    return (time.process_time() - before) / (time.monotonic() - start)


def report(name, cpu, **facts):
    print(json.dumps({"device": name, "cpu_per_second": cpu, "rss_kib": cpu_and_rss()[1], **facts}), flush=True)


def speech():
    with wave.open("host_sim/assets/badge_sentence.wav") as file:
        assert file.getframerate() == RATE
        return file.readframes(file.getnframes()) * 30


async def linnet(args):
    from host_sim import audio, port_host
    from linnet.options import RoomOptions
    from linnet.port import Port
    from linnet.room import Room
    from linnet.track import LocalAudioTrack

    with tempfile.NamedTemporaryFile() as said:
        with wave.open(said.name, "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes(speech())
        device = audio.WavAudio(*audio.read_wav(said.name))
    is_native = args.device != "linnet-python"
    room = Room(Port(port_host.HostNet(), port_host.HostClock(), device, media_loop=is_native))
    await room.connect(args.url, args.token, RoomOptions(tracks=(LocalAudioTrack("microphone"),),
                                                         complexity=args.complexity))
    cpu = await window(args.settle, args.seconds)
    stats = room.stats()
    own = {"loop_cpu_us": stats["cpu_us"], "turns": stats["turns"]} if is_native else {}
    report(args.device, cpu, sent=stats["rtp_sent"], heard=stats["rtp_received"],
           session_bytes=room._engine.session.memory_size, **own)
    await room.disconnect()


async def livekit(args):
    import numpy as np
    from livekit import rtc

    room = rtc.Room()
    heard = [0]
    tasks = []

    async def listen(track):
        async for _ in rtc.AudioStream(track, sample_rate=RATE, num_channels=1):
            heard[0] += 1

    @room.on("track_subscribed")
    def subscribed(track, publication, participant):
        tasks.append(asyncio.create_task(listen(track)))

    await room.connect(args.url, args.token)
    source = rtc.AudioSource(RATE, 1)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    await room.local_participant.publish_track(rtc.LocalAudioTrack.create_audio_track("microphone", source), options)

    async def talk():
        pcm = np.frombuffer(speech(), np.int16)
        while True:
            for at in range(0, len(pcm) - 320, 320):
                await source.capture_frame(rtc.AudioFrame(pcm[at : at + 320].tobytes(), RATE, 1, 320))

    tasks.append(asyncio.create_task(talk()))
    cpu = await window(args.settle, args.seconds)
    report("livekit", cpu, heard=heard[0])
    for task in tasks:
        task.cancel()
    await room.disconnect()


async def aiortc(args):
    """aiortc cannot join a LiveKit room: it calls itself in a second process (args.role) over loopback, SDP by pipe."""
    import fractions
    import sys

    import aioice.ice
    import av
    import numpy as np
    from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    pcm = np.frombuffer(speech(), np.int16)

    class Talk(MediaStreamTrack):
        kind = "audio"

        def __init__(self):
            super().__init__()
            self.at, self.start = 0, None

        async def recv(self):
            loop = asyncio.get_running_loop()
            self.start = self.start or loop.time()
            await asyncio.sleep(max(0, self.start + self.at / RATE - loop.time()))
            frame = av.AudioFrame.from_ndarray(pcm[self.at : self.at + 320].reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, self.at, fractions.Fraction(1, RATE)
            self.at += 320
            return frame

    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    pc.addTrack(Talk())
    heard = [0]
    tasks = []

    async def listen(track):
        while True:
            await track.recv()
            heard[0] += 1

    @pc.on("track")
    def on_track(track):
        tasks.append(asyncio.create_task(listen(track)))

    loop = asyncio.get_running_loop()

    async def read_line():
        return json.loads(await loop.run_in_executor(None, sys.stdin.readline))

    def write(description):
        print(json.dumps({"type": description.type, "sdp": description.sdp}), flush=True)

    if args.role == "offer":
        await pc.setLocalDescription(await pc.createOffer())
        write(pc.localDescription)
        await pc.setRemoteDescription(RTCSessionDescription(**{k: v for k, v in (await read_line()).items()}))
    else:
        await pc.setRemoteDescription(RTCSessionDescription(**{k: v for k, v in (await read_line()).items()}))
        await pc.setLocalDescription(await pc.createAnswer())
        write(pc.localDescription)
    cpu = await window(args.settle, args.seconds)
    report("aiortc", cpu, heard=heard[0])
    for task in tasks:
        task.cancel()
    await pc.close()


async def talker(args):
    """The remote talker of a room, on the livekit wheel; not measured."""
    args.settle, args.seconds = 0, args.settle + args.seconds
    await livekit(args)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("device", choices=("linnet", "linnet-python", "livekit", "aiortc", "talker"))
    parser.add_argument("--url")
    parser.add_argument("--token")
    parser.add_argument("--role", default="offer")
    parser.add_argument("--complexity", type=int, help="of Linnet's Opus encoder")
    parser.add_argument("--settle", type=float, default=4)
    parser.add_argument("--seconds", type=float, default=15)
    args = parser.parse_args()
    device = {"linnet": linnet, "linnet-python": linnet, "livekit": livekit, "aiortc": aiortc, "talker": talker}
    asyncio.run(device[args.device](args))


if __name__ == "__main__":
    main()
