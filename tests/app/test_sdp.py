# Our offers have what livekit-server needs (protocol.md 3.5), and whatever comes
# back is read or refused with Protocol("sdp").

from answers import AIORTC, DIGEST, FINGERPRINT, HOST, REJECTING, answer_to, direction_of, sections_of
from harness import TestCase, main
from linnet import sdp
from linnet.errors import Protocol


def badge():
    """The sections of a badge: microphone, two receivers, data."""
    local = sdp.LocalDescription()
    local.add("audio", "sendonly", "TRcid", 12345678)
    local.add("audio", "recvonly")
    local.add("audio", "recvonly")
    local.add("application", "sendrecv")
    return local


def offer_of(local):
    return local.offer("ufrg", "p" * 22, DIGEST)


class TestOffer(TestCase):
    def setUp(self):
        self.local = badge()
        self.text = offer_of(self.local)
        self.sections = sections_of(self.text)

    def test_lines_end_with_crlf_and_the_head_comes_first(self):
        lines = self.text.split("\r\n")
        self.assertEqual(lines[0], "v=0")
        self.assertEqual(lines[1], "o=- 1 1 IN IP4 127.0.0.1")
        self.assertEqual(lines[2:4], ["s=-", "t=0 0"])
        self.assertEqual(lines[-1], "")
        self.assertNotIn("\n", self.text.replace("\r\n", ""))

    def test_the_group_names_every_mid_in_order(self):
        mids = [attributes["mid"][0] for _, attributes in self.sections]
        self.assertIn("a=group:BUNDLE " + " ".join(mids) + "\r\n", self.text)
        self.assertEqual(mids, ["0", "1", "2", "3"])
        self.assertLess(self.text.index("a=group"), self.text.index("m="))

    def test_every_section_has_one_mid_and_one_direction(self):
        for kind, attributes in self.sections:
            with self.subTest(kind=kind, mid=attributes["mid"]):
                self.assertEqual(len(attributes["mid"]), 1)
                self.assertIsNotNone(direction_of(attributes))

    def test_every_section_has_the_same_transport(self):
        for name, value in (
            ("ice-ufrag", "ufrg"),
            ("ice-pwd", "p" * 22),
            ("fingerprint", "sha-256 " + FINGERPRINT),
            ("setup", "actpass"),
        ):
            for _, attributes in self.sections:
                self.assertEqual(attributes[name], [value])

    def test_a_sending_section_has_its_cid_in_msid_before_its_only_ssrc(self):
        kind, attributes = self.sections[0]
        self.assertEqual((kind, direction_of(attributes)), ("audio", "sendonly"))
        self.assertEqual(attributes["msid"], ["linnet TRcid"])
        self.assertEqual(attributes["ssrc"], ["12345678 cname:linnet"])
        self.assertLess(self.text.index("a=msid:"), self.text.index("a=ssrc:"))

    def test_a_receiving_section_names_no_source(self):
        for _, attributes in self.sections[1:3]:
            self.assertEqual(direction_of(attributes), "recvonly")
            self.assertNotIn("msid", attributes)
            self.assertNotIn("ssrc", attributes)

    def test_audio_has_rtcp_mux_opus_and_its_fmtp_verbatim(self):
        for _, attributes in self.sections[:3]:
            self.assertIn("rtcp-mux", attributes)
            self.assertEqual(attributes["rtpmap"], ["111 opus/48000/2"])
            self.assertEqual(attributes["fmtp"], ["111 minptime=10;useinbandfec=1"])
            self.assertIn("1 urn:ietf:params:rtp-hdrext:ssrc-audio-level", attributes["extmap"])

    def test_data_has_port_and_the_size_that_we_take(self):
        kind, attributes = self.sections[3]
        self.assertEqual(kind, "application")
        self.assertEqual(attributes["sctp-port"], ["5000"])
        self.assertEqual(attributes["max-message-size"], ["65536"])
        self.assertIn("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", self.text)

    def test_the_next_offer_has_a_higher_version_and_the_same_places(self):
        self.local.add("audio", "recvonly")
        again = offer_of(self.local)
        self.assertIn("o=- 1 2 IN IP4 127.0.0.1\r\n", again)
        before = [(kind, a["mid"]) for kind, a in self.sections]
        after = [(kind, a["mid"]) for kind, a in sections_of(again)]
        self.assertEqual(after[:4], before)
        self.assertEqual(after[4], ("audio", ["4"]))

    def test_a_section_without_a_job_stays_and_is_inactive(self):
        self.local.sections[0].direction = "inactive"
        self.local.sections[0].cid = ""
        attributes = sections_of(offer_of(self.local))[0][1]
        self.assertEqual(direction_of(attributes), "inactive")
        self.assertEqual(attributes["mid"], ["0"])
        self.assertNotIn("ssrc", attributes)

    def test_our_own_offer_can_be_read(self):
        read = sdp.parse(self.text)
        self.assertEqual(read.fingerprint, DIGEST)
        self.assertEqual([s.direction for s in read.sections][:2], ["sendonly", "recvonly"])
        self.assertEqual(read.section("0").track_id, "TRcid")
        self.assertEqual(read.section("0").ssrc, 12345678)
        self.assertIsNone(read.section("9"))


class TestAnswers(TestCase):
    def test_livekits_answer_with_a_track_in_the_second_receiver(self):
        text = answer_to(offer_of(badge()), {"2": ("TR_AMx", 4010203040)}, candidates=(HOST,))
        answer = sdp.parse(text)
        self.assertEqual(answer.setup, "active")
        self.assertEqual(answer.fingerprint, DIGEST)
        self.assertFalse(answer.lite)
        self.assertEqual(len(answer.sections), 4)
        mic, free, talker, data = answer.sections
        self.assertEqual(mic.direction, "recvonly")
        self.assertEqual((free.direction, free.track_id, free.ssrc), ("sendonly", "", 0))
        self.assertEqual((talker.track_id, talker.ssrc), ("TR_AMx", 4010203040))
        self.assertEqual(talker.stream_id, "PA_x|TR_AMx")
        self.assertEqual(talker.payload_types, {111: "opus/48000/2"})
        self.assertEqual(mic.extensions["urn:ietf:params:rtp-hdrext:ssrc-audio-level"], 1)
        self.assertEqual((data.kind, data.max_message), ("application", 65535))
        candidate = mic.candidates[0]
        self.assertEqual((candidate.ip, candidate.port), (bytes((192, 0, 2, 10)), 7882))
        self.assertEqual(candidate.ufrag, answer.ufrag)

    def test_aiortcs_answer_with_several_hashes_and_an_ipv6_candidate(self):
        answer = sdp.parse(AIORTC)
        self.assertEqual(answer.fingerprint, DIGEST)
        self.assertEqual((answer.ufrag, answer.pwd), ("9pLS", "fTDcQVAs7WDfpxkTqwTsJZ"))
        found = [(c.ip, c.port, c.kind) for c in answer.sections[0].candidates]
        self.assertEqual(
            found,
            [
                (bytes((192, 0, 2, 7)), 52410, 0),
                (bytes((0x20, 1, 0x0D, 0xB8)) + bytes(11) + b"\x07", 41032, 0),
                (bytes((198, 51, 100, 4)), 52410, 1),
            ],
        )

    def test_a_rejected_section_is_known_and_the_next_one_speaks_for_the_transport(self):
        answer = sdp.parse(REJECTING)
        self.assertTrue(answer.lite)
        self.assertTrue(answer.sections[0].rejected)
        self.assertFalse(answer.sections[1].rejected)
        self.assertEqual((answer.ufrag, answer.setup), ("abcd", "passive"))
        self.assertEqual(answer.sections[1].max_message, 65536)

    def test_line_feeds_alone_are_read_too(self):
        self.assertEqual(sdp.parse(AIORTC.replace("\r", "")).ufrag, "9pLS")

    def test_a_description_without_a_sha256_fingerprint_is_refused_when_it_is_asked_for(self):
        for instead in ("sha-1 AA:BB", "sha-256 AA:BB", "sha-256", "", "sha-256 " + "+1:" * 31 + "+1"):
            with self.subTest(fingerprint=instead):
                answer = sdp.parse(REJECTING.replace("sha-256 " + FINGERPRINT, instead))
                with self.assertRaises(Protocol) as raised:
                    self.assertIsNone(answer.fingerprint)
                self.assertEqual(raised.exception.code, "sdp")


class TestCandidates(TestCase):
    def test_what_cannot_be_used_is_none(self):
        good = "candidate:1 1 udp 2130706431 192.0.2.1 7882 typ host"
        self.assertIsNotNone(sdp.parse_candidate(good))
        self.assertIsNotNone(sdp.parse_candidate("a=" + good))
        for text in (
            "",
            "candidate:",
            good[:-5],
            good.replace("192.0.2.1", "5d9e6f4a-1.local"),
            good.replace("192.0.2.1", "192.0.2"),
            good.replace("192.0.2.1", "192.0.2.256"),
            good.replace("192.0.2.1", "192.0.2.\u00b2"),
            good.replace("192.0.2.1", "2001:db8::-1"),
            good.replace("192.0.2.1", "2001:db8::+1"),
            good.replace("192.0.2.1", "2001:db8::1::2"),
            good.replace("192.0.2.1", "1:2:3:4:5:6:7:8:9"),
            good.replace("192.0.2.1", "1:2:3:4:5:6:7::8"),
            good.replace("192.0.2.1", "1:2:3:4:5::6:7:8:9"),
            good.replace("192.0.2.1", ":1"),
            good.replace("7882", "65536"),
            good.replace("7882", "-1"),
            good.replace("7882", "\u00b2"),
            good.replace("2130706431", "4294967296"),
            good.replace("2130706431", "99999999999"),
            good.replace("typ host", "typ carrier"),
            good.replace("typ", "kind"),
            "candidate:1 x udp 1 192.0.2.1 1 typ host",
        ):
            with self.subTest(text=text):
                self.assertIsNone(sdp.parse_candidate(text))

    def test_addresses_are_packed(self):
        for text, packed in (
            ("0.0.0.0", bytes(4)),
            ("255.1.2.3", bytes((255, 1, 2, 3))),
            ("::", bytes(16)),
            ("::1", bytes(15) + b"\x01"),
            ("fe80::", b"\xfe\x80" + bytes(14)),
            ("1:2:3:4:5:6:7:8", bytes((0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8))),
            ("2001:DB8::a:B", bytes((0x20, 1, 0x0D, 0xB8)) + bytes(8) + bytes((0, 10, 0, 11))),
        ):
            self.assertEqual(sdp.parse_ip(text), packed)

    def test_kind_transport_and_component_are_told_apart(self):
        relay = "candidate:1 2 TCP 41819902 2001:db8::1 3478 typ relay raddr 10.0.0.1 rport 1"
        candidate = sdp.parse_candidate(relay)
        self.assertEqual((candidate.kind, candidate.transport, candidate.component), (3, "tcp", 2))


class TestBounds(TestCase):
    def refuses(self, text):
        with self.assertRaises(Protocol) as raised:
            sdp.parse(text)
        self.assertEqual(raised.exception.code, "sdp")

    def test_size_lines_and_sections_have_limits(self):
        line = "a=x:" + "y" * 60 + "\n"
        sdp.parse("v=0\n" + line * 1000)
        self.refuses("v=0\n" + line * 1100)
        self.refuses("v=0\n" + "\n" * 5000)
        section = "m=audio 9 UDP 111\n"
        self.assertEqual(len(sdp.parse("v=0\n" + section * 64).sections), 64)
        self.refuses("v=0\n" + section * 65)

    def test_what_is_no_description_is_refused(self):
        for text in ("", "v=1\r\n", "o=- 1 1 IN IP4 0.0.0.0\r\n", "{}", "\0", "v=0\nm=audio 9\n"):
            with self.subTest(text=text):
                self.refuses(text)

    def test_numbers_out_of_range_are_refused(self):
        for line in (
            "m=audio 65536 UDP 0",
            "m=audio -1 UDP 0",
            "m=audio \u00b2 UDP 0",
            "a=ssrc:4294967296 cname:x",
            "a=ssrc:\u00b9 cname:x",
            "a=ssrc: cname:x",
            "a=rtpmap:128 opus/48000/2",
            "a=rtpmap:111",
            "a=extmap:256 urn:x",
            "a=extmap:1",
            "a=max-message-size:x",
        ):
            with self.subTest(line=line):
                self.refuses("v=0\nm=audio 9 UDP 111\n" + line + "\n")


def read_all(text):
    """Everything that the program asks a description for."""
    answer = sdp.parse(text)
    return answer.fingerprint, answer.ufrag, answer.pwd, answer.setup


class TestMutations(TestCase):
    def reads_or_refuses(self, text):
        try:
            read_all(text)
            return 1
        except Protocol as error:
            self.assertEqual(error.code, "sdp")
            return 0

    def texts(self):
        yield answer_to(offer_of(badge()), {"1": ("TR_A", 77)}, candidates=(HOST,))
        yield AIORTC
        yield REJECTING

    def test_truncations_at_every_length_are_read_or_refused(self):
        for text in self.texts():
            read = 0
            for n in range(len(text)):
                read += self.reads_or_refuses(text[:n])
            self.assertGreater(read, 20)
            self.assertLess(read, len(text))

    def test_any_single_changed_character_is_read_or_refused(self):
        # The characters that numbers, addresses and lists are likely to trip over.
        for text in self.texts():
            for at in range(len(text)):
                for c in (":\u00b2", "-", "_", " \n", "+", "\u0663", "0")[at % 7]:
                    self.reads_or_refuses(text[:at] + c + text[at + 1 :])


if __name__ == "__main__":
    main()
