# Errors: stable codes, cause and cure in one line; reasons to leave.

from harness import TestCase, main
from linnet import errors
from linnet.errors import Closed, LinnetError, Protocol, Refused, RpcError, Timeout


class TestErrors(TestCase):
    def test_str_is_cause_and_cure_in_one_line(self):
        error = Refused("token-expired", "the token\nexpired 3 minutes ago")
        self.assertEqual(str(error), "the token expired 3 minutes ago. Ask for a new token.")
        self.assertEqual(error.code, "token-expired")
        self.assertEqual(error.cure, "Ask for a new token.")

    def test_a_cause_that_ends_a_sentence_keeps_its_mark(self):
        self.assertEqual(str(Timeout("x", "why?", "So!")), "why? So!")
        self.assertEqual(str(Timeout("unknown-code", "it broke", "")), "it broke.")
        self.assertEqual(str(Timeout("unknown-code")), "unknown-code.")

    def test_the_four_kinds_are_linnet_errors_and_not_each_other(self):
        kinds = (Refused, Timeout, Closed, Protocol)
        for kind in kinds:
            error = kind("ws", "said")
            self.assertIsInstance(error, LinnetError)
            self.assertEqual([k for k in kinds if isinstance(error, k)], [kind])
            self.assertEqual(repr(error), kind.__name__ + "('ws', 'said')")

    def test_every_cure_is_one_sentence_or_more(self):
        for code, cure in errors.CURES.items():
            self.assertTrue(cure == "" or cure[-1] == ".", code)
            self.assertEqual(cure, " ".join(cure.split()))
            self.assertEqual(code, code.lower())

    def test_causes_that_the_task_names_have_cures(self):
        for code in (
            "bad-url-scheme",
            "host-unreachable",
            "tls-refused",
            "token-expired",
            "token-malformed",
            "missing-grant",
            "room-not-found",
            "no-rtc-v1",
            "sdp",
            "protobuf",
            "dtls-fingerprint",
            "rpc-1401",
            "payload-too-large",
            "wav-format",
            "no-audio-device",
        ):
            self.assertTrue(errors.CURES[code], code)


class TestRpcError(TestCase):
    def test_codes_and_texts_are_livekits(self):
        error = RpcError(RpcError.ErrorCode.RECIPIENT_NOT_FOUND)
        self.assertEqual((error.code, error.message), (1401, "Recipient not found"))
        self.assertIsNone(error.data)
        self.assertIn("RPC error 1401: Recipient not found. Check the identity", str(error))

    def test_an_application_may_use_its_own(self):
        error = RpcError(77, "no led", "{}")
        self.assertEqual((error.code, error.message, error.data), (77, "no led", "{}"))
        self.assertEqual(str(error), "RPC error 77: no led.")

    def test_every_built_in_code_has_a_message_and_a_cure(self):
        codes = [getattr(RpcError.ErrorCode, n) for n in dir(RpcError.ErrorCode) if n[0] != "_"]
        self.assertEqual(sorted(codes), sorted(RpcError.ErrorMessage))
        for code in codes:
            self.assertTrue(RpcError(code).message)
            self.assertTrue(RpcError(code).cure)


class TestReasons(TestCase):
    def test_names_and_numbers_agree(self):
        names = [n for n in dir(errors.DisconnectReason) if n[0] != "_"]
        self.assertEqual(len(names), 17)
        for name in names:
            self.assertEqual(errors.reason_name(getattr(errors.DisconnectReason, name)), name)

    def test_a_reason_of_the_future_has_a_name_too(self):
        self.assertEqual(errors.reason_name(99), "REASON_99")
        self.assertEqual(errors.reason_name(-1), "REASON_-1")
        self.assertEqual(errors.closed_by_server(99).code, "left")

    def test_the_end_of_a_session_says_why(self):
        error = errors.closed_by_server(errors.DisconnectReason.DUPLICATE_IDENTITY)
        self.assertIsInstance(error, Closed)
        self.assertEqual(error.code, "left-duplicate-identity")
        self.assertIn("DUPLICATE_IDENTITY", str(error))
        self.assertIn("give each its own", str(error))


if __name__ == "__main__":
    main()
