"""Hardware in the loop: the core and the client on boards, emulated or real, driven by mpremote."""
