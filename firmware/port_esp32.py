# What only ESP32 boards have: Wi-Fi and its addresses, settings in NVS, the I2S device of
# the media loop, pins. Written for MicroPython's ESP32 port; not run on a board here.

import asyncio
import socket
import time

import esp32
import machine
import network
from linnet.compat import const
from linnet.core_numbers import LOOP_DEVICE
from linnet.errors import Refused
from linnet.port import LoopAudio
from port_mpy import certificates

_JOIN_MS = const(20000)
_NTP_MS = const(3000)
_1900_TO_2000 = const(3155673600)
_MAX_VALUE = const(4000)  # bytes that NVS keeps under one key
_SET_UP = "At the REPL: import main_board; main_board.settings(wifi_ssid=..., wifi_key=...)"
_CA_FILE = "/ca.pem"


# This port's socket module has no inet_pton() and inet_ntop(), and gives no IPv6 name of a datagram.


def _octets(text):
    return bytes([int(part) for part in text.split(".")])


def _text(ip):
    if len(ip) == 4:
        return ".".join([str(octet) for octet in ip])
    return ":".join(["%02x%02x" % (ip[i], ip[i + 1]) for i in range(0, 16, 2)])


class Esp32Machine:
    """Names of sockets are (text, port) here. Authorities are in /ca.pem (boards/esp32/authorities.py)."""

    def __init__(self, wlan):
        self._wlan = wlan

    def local_addresses(self):
        return [_octets(self._wlan.ifconfig()[0])]

    def name_of(self, ip, port):
        return _text(ip), port

    def addr_of(self, name):
        return _octets(name[0]), name[1]

    def prepare_datagrams(self, sock, family):
        pass

    def authorities(self):
        return certificates(_CA_FILE)


class NvsStore:
    """linnet.port.Store in the board's NVS, which is encrypted where flash encryption is on."""

    def __init__(self, space="linnet"):
        self._nvs = esp32.NVS(space)
        self._buffer = bytearray(_MAX_VALUE)

    def get(self, key, default=None):
        try:
            n = self._nvs.get_blob(key, self._buffer)
        except OSError:
            return default
        return self._buffer[:n].decode()

    def set(self, key, value):
        if value is not None:
            self._nvs.set_blob(key, value.encode())
        else:
            try:
                self._nvs.erase_key(key)
            except OSError:
                pass  # it was not there
        self._nvs.commit()


class I2sAudio(LoopAudio):
    """linnet.port.LoopAudio: the media loop drives the board's I2S itself (csrc/port/i2s_esp32.c)."""

    loop_sound = loop_speaker_sound = LOOP_DEVICE

    def __init__(self, rate):
        self.rate = rate


async def join_wifi(store):
    """A WLAN that has an address. Raises Refused with what is missing."""
    name = store.get("wifi_ssid")
    if not name:
        raise Refused("host-unreachable", "no Wi-Fi is set up", _SET_UP)
    wlan = network.WLAN(network.STA_IF)
    try:
        wlan.active(True)
        if wlan.isconnected():
            return wlan
        wlan.disconnect()  # the port tries by itself after a loss, and refuses a second attempt meanwhile
        wlan.config(pm=network.WLAN.PM_NONE)  # a radio that naps between beacons is heard
        wlan.connect(name, store.get("wifi_key", ""))
    except (OSError, RuntimeError) as error:  # the port has RuntimeError for what it has no words for
        raise Refused("host-unreachable", "the Wi-Fi does not start: %s" % error, "Another attempt may do.")
    for _ in range(_JOIN_MS // 100):
        if wlan.isconnected():
            return wlan
        await asyncio.sleep_ms(100)
    wlan.disconnect()
    raise Refused("host-unreachable", "the Wi-Fi %s does not take this board in" % name,
                  "Check its name and key, and the distance.")


def keep_firmware():
    """This application is well: an update that never says so is undone at the next start."""
    try:
        esp32.Partition.mark_app_valid_cancel_rollback()
    except OSError:
        pass  # there is nothing to go back to


async def set_clock(server="pool.ntp.org"):
    """Ask an NTP server for the time (RFC 5905), because certificates have dates. False if none answered."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        where = socket.getaddrinfo(server, 123)[0][-1]  # blocks the loop: nothing is under way yet
        query = bytearray(48)
        query[0] = 0x1B
        sock.sendto(query, where)
        for _ in range(_NTP_MS // 50):
            await asyncio.sleep_ms(50)
            try:
                answer = sock.recv(48)
            except OSError:
                continue
            seconds = int.from_bytes(answer[40:44], "big")
            year, month, day, hour, minute, second, weekday, _ = time.gmtime(seconds - _1900_TO_2000)
            machine.RTC().datetime((year, month, day, weekday, hour, minute, second, 0))
            return True
    except OSError:
        pass
    finally:
        sock.close()
    return False
