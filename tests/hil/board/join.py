# Runs the badge on a board that reaches the world over its serial line; see link_port.py.
# Orders come as frames of kind "c" with JSON: start, speak, data, rpc, stop.

import asyncio
import gc
import json

import micropython

from apps import badge
from linnet import compat
from linnet.device import Device
from linnet.options import RoomOptions
from linnet.port import Port
from link_port import BoardAudio, Link, LinkClock, LinkNet, report_over

_KEEP_S = 20  # of what the speaker plays


class Turns:
    """How late Python's turns come while a call runs: a sleep of 10 ms, again and again."""

    def __init__(self):
        self.worst_us = 0
        self.count = 0

    async def run(self):
        while True:
            before = compat.ticks_us()
            await asyncio.sleep_ms(10)
            late = compat.ticks_diff(compat.ticks_us(), before) - 10000
            self.count += 1
            if late > self.worst_us:
                self.worst_us = late


class Board:
    def __init__(self, link, samples):
        self.link = link
        self.samples = samples
        self.report = report_over(link)
        self.orders = []
        self.news = asyncio.Event()
        link.on("c", self.take)

    def take(self, text):
        self.orders.append(json.loads(bytes(text)))
        self.news.set()

    async def next_order(self):
        while not self.orders:
            self.news.clear()
            await self.news.wait()
        return self.orders.pop(0)

    async def run(self):
        start = await self.next_order()
        net = LinkNet(self.link, bytes(start["address"]))
        audio = self.audio = BoardAudio(self.samples, _KEEP_S)
        port = Port(net, LinkClock(start["unix_time"]), audio)
        options = RoomOptions(complexity=0, remote_tracks=2, max_message=16384, device_model="emulated board")

        async def details():
            return start["url"], start["token"]

        device = Device(port, {}, details, options, self.report)
        turns = Turns()
        watch = asyncio.create_task(turns.run())
        app = asyncio.create_task(badge.main(device))
        orders = asyncio.create_task(self.obey(device))
        try:
            await app
        finally:
            watch.cancel()
            orders.cancel()
            gc.collect()
            self.report(
                "figures",
                worst_late_us=turns.worst_us,
                turns=turns.count,
                heap_used=gc.mem_alloc(),
                heap_free=gc.mem_free(),
                mic_frames=audio.frames_captured,
                mic_missed=audio.frames_missed,
                datagrams_lost=net.datagrams_lost,
                frames_sent=self.link.sent,
            )
            kept = audio.kept()
            for at in range(0, len(kept), 1024):
                self.link.send("P", kept[at : at + 1024])

    async def obey(self, device):
        while True:
            order = await self.next_order()
            me = device.room.local_participant if device.room else None
            if order["do"] == "speak":
                self.audio.speak()
                while not self.audio.has_spoken():
                    await asyncio.sleep_ms(20)
                self.report("spoken")
            elif order["do"] == "stop":
                device.stopping.set()
            elif order["do"] == "data":
                await me.publish_data(order["text"].encode(), topic=order["topic"])
            elif order["do"] == "rpc":
                answer = await me.perform_rpc(
                    destination_identity=order["to"], method=order["method"], payload=order["payload"]
                )
                self.report("rpc_answer", payload=answer)


async def main(samples):
    link = Link()
    board = Board(link, samples)
    reader = asyncio.create_task(link.run())
    link.send("H")
    try:
        await board.run()
    finally:
        reader.cancel()
        link.send("B")


def samples_of(wav):
    """The sound of a WAV of ours: 16 kHz, mono, 16 bit, a header of 44 bytes."""
    with open(wav, "rb") as file:
        data = file.read()
    if data[:4] != b"RIFF" or data[36:40] != b"data":
        raise ValueError("not a plain WAV")
    return memoryview(data)[44:]


def run(wav):
    micropython.kbd_intr(-1)  # a frame may hold any byte
    try:
        asyncio.run(main(samples_of(wav)))
    finally:
        micropython.kbd_intr(3)
