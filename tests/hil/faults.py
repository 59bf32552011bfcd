"""What can be wrong with a rig, apart from what is tested: one exception, stable codes, each with its cure."""

# code -> exit code of `python -m tests.hil`. 1 is a failed test, 2 a wrong command line.
EXITS = {
    "bad-roster": 3,
    "no-such-board": 4,
    "toolchain-missing": 5,
    "emulator-missing": 6,
    "driver-missing": 7,
    "build-failed": 8,
    "board-busy": 9,
    "no-answer": 10,
    "rebooted": 11,
    "link-broken": 12,
    "timed-out": 13,
}
# A second try may help with these, and only with these: they say nothing about what was tested.
INFRASTRUCTURE = ("no-answer", "link-broken")


class RigFault(Exception):
    """`code` is a key of EXITS, `cause` says what happened, `cure` what a person can do."""

    def __init__(self, code, cause, cure):
        super().__init__(f"{cause}. {cure}")
        self.code = code
        self.cause = cause
        self.cure = cure

    @property
    def exit_code(self):
        return EXITS[self.code]
