"""`ppim COMMAND ...`, `python -m ppim COMMAND ...` and the scripts of a clone start here."""
import signal
import sys

_NOT_HERE = ("error: wanted Linux (or a Mac, where ppim has not been tried), found Windows, which lacks the file locks "
             "and signals that runs rely on; install WSL 2 (`wsl --install`) and ppim in there")


def start(*command: str) -> int:
    """The exit code of a command, whose name may be given in part; signals that ask to stop end it in one line."""
    if sys.platform == "win32":
        sys.exit(_NOT_HERE)
    from ppim import stopping  # names signals that Windows has not

    stopping.install(stopping.leave)
    for stream in filter(None, (sys.stdout, sys.stderr)):  # a closed one is None
        stream.reconfigure(errors="backslashreplace")  # names of files and classes may be no text
    from ppim.cli import main

    code = main([*command, *sys.argv[1:]])
    stopping.install(signal.SIG_IGN)  # what is left of the process ends by itself
    return code


if __name__ == "__main__":
    sys.exit(start())
