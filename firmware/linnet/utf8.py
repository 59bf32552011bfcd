# UTF-8 (RFC 3629), checked and cut on borders. The decoders of the two
# interpreters accept different bytes, so bytes from outside are checked here.


class Utf8:
    """A check of text that comes in pieces: False at the first byte that cannot be right,
    without waiting for the rest."""

    def __init__(self):
        self.need = 0  # continuation bytes to come; 0 at the border of a character
        self._low = 0x80  # the range of the next one
        self._high = 0xBF

    def feed(self, data):
        """True while all bytes so far can be the start of valid text."""
        need = self.need
        for b in data:
            if need:
                if not self._low <= b <= self._high:
                    return False
                self._low, self._high = 0x80, 0xBF
                need -= 1
            elif b >= 0x80:
                need = self._start(b)
                if not need:
                    return False
        self.need = need
        return True

    def _start(self, b):
        if 0xC2 <= b <= 0xDF:
            return 1
        if 0xE0 <= b <= 0xEF:
            # No overlong forms below E0 A0, no surrogates from ED A0.
            self._low = 0xA0 if b == 0xE0 else 0x80
            self._high = 0x9F if b == 0xED else 0xBF
            return 2
        if 0xF0 <= b <= 0xF4:
            # No overlong forms below F0 90, nothing over U+10FFFF (F4 8F).
            self._low = 0x90 if b == 0xF0 else 0x80
            self._high = 0x8F if b == 0xF4 else 0xBF
            return 3
        return 0


def is_utf8(data):
    """True if the bytes are whole, valid UTF-8."""
    check = Utf8()
    return check.feed(data) and not check.need


def cut(data, limit):
    """At most `limit` of the bytes of valid UTF-8, ending between two characters."""
    if len(data) <= limit:
        return data
    while limit > 0 and data[limit] & 0xC0 == 0x80:
        limit -= 1
    return data[:limit]
