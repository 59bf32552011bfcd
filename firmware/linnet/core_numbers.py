# The numbers of csrc/include/linnet.h and csrc/port/loop.h, under their names
# without LINNET_. core.py has them all; import this file only where the
# core itself need not be there.

from .compat import const

# linnet_in
IN_TIME = const(0)
IN_DATAGRAM = const(1)
IN_LOCAL_CANDIDATE = const(2)
IN_REMOTE = const(3)
IN_REMOTE_CANDIDATE = const(4)
IN_ICE_RESTART = const(5)
IN_PUBLISH = const(6)
IN_MUTE = const(7)
IN_TRACK = const(8)
IN_CHANNEL = const(9)
IN_DATA = const(10)
IN_CLOSE_CHANNEL = const(11)
IN_CLOSE = const(12)
IN_VOLUME = const(13)
IN_HOLD = const(14)

# linnet_out
IDLE = const(0)
DATAGRAM = const(1)
LOCAL = const(2)
STATE = const(3)
SELECTED = const(4)
CHANNEL = const(5)
DATA = const(6)
FIRST_SENT = const(7)
FIRST_HEARD = const(8)
BYE = const(9)
SENDABLE = const(10)

# linnet_layer and linnet_state
ICE = const(0)
DTLS = const(1)
SCTP = const(2)
NEW = const(0)
CONNECTING = const(1)
CONNECTED = const(2)
DISCONNECTED = const(3)
FAILED = const(4)
CLOSED = const(5)

LAYER_NAMES = ("ICE", "DTLS", "SCTP")
STATE_NAMES = ("new", "connecting", "connected", "disconnected", "failed", "closed")

# linnet_error
ERR_ARG = const(-1)
ERR_PACKET = const(-2)
ERR_SPACE = const(-3)
ERR_STATE = const(-4)
ERR_AGAIN = const(-5)
ERR_CRYPTO = const(-6)
ERR_CLOSED = const(-7)
ERR_LIMIT = const(-8)
ERR_AUTH = const(-9)

# Flags of the configuration record.
DTX = const(1)
FEC = const(2)
ICE_LITE = const(4)
PREFER_GCM = const(8)

# linnet_loop_sound
LOOP_SILENT = const(0)
LOOP_PACED = const(1)
LOOP_FREE = const(2)
LOOP_DEVICE = const(3)
