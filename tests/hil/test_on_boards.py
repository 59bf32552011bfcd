"""On every board of the roster: the app layer's tests, unit tests of the core, a call in virtual time."""

from tests.hil import scripts


def test_unit_tests_of_the_core_pass_on_the_board(entry, runs):
    passed, failed, skipped = scripts.counts(runs.on_board(entry, "units"))
    assert (failed, skipped) == (0, 0) and passed >= 10


def test_codec_and_srtp_give_the_laptops_bytes(entry, runs):
    assert scripts.results(runs.on_board(entry, "units"))["units"] == runs.on_laptop()["units"]


def test_a_call_in_virtual_time_is_the_laptops_byte_for_byte(entry, runs):
    on_board = scripts.results(runs.on_board(entry, "call"))
    assert on_board["call"] == runs.on_laptop()["call"]
    assert on_board["call"]["left"]["sounding"] > 40


def test_protobuf_messages_are_the_laptops_bytes(entry, runs):
    assert scripts.results(runs.on_board(entry, "call"))["protobuf"] == runs.on_laptop()["protobuf"]


def test_the_app_layers_tests_pass_as_many_as_on_the_laptop(entry, runs):
    on_board, on_laptop = runs.on_board(entry, "app"), runs.app_on_laptop(entry)
    assert scripts.counts_by_file(on_board) == scripts.counts_by_file(on_laptop), on_board[-3000:]
    assert scripts.counts(on_board) == scripts.counts(on_laptop)
    assert scripts.counts(on_board)[0] > 400
