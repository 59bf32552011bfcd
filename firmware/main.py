# The program of the device. On a board it runs after boot.py, without arguments; on
# MicroPython's unix port:
#
#     micropython firmware/main.py --url wss://host --token ... --wav in.wav --out out.wav
#
# Edit apps/badge.py, or name an app of your own: this file only finds out where it is.

import sys

if __name__ == "__main__":
    if sys.platform in ("linux", "darwin"):
        if "/" in __file__:
            sys.path.insert(0, __file__.rpartition("/")[0])  # the folder of this file, before the frozen ones
        try:
            import main_unix
        except KeyboardInterrupt:
            sys.exit(130)
        main_unix.main(sys.argv[1:])
    else:
        import main_board

        main_board.main()
