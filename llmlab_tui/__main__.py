"""The program's entry: full-screen without arguments, a command with them."""

import os
import signal
import sys
import threading

from llmlab_tui import __version__


def main() -> None:
    """Open the screen, or run the command that the arguments name, and exit with its code."""
    arguments = sys.argv[1:]
    # The Python processes that libraries start do not import from the current folder either.
    os.environ["PYTHONSAFEPATH"] = "1"
    if "OMP_WAIT_POLICY" not in os.environ:
        # GNU OpenMP's threads spin for milliseconds at every barrier. Two trainings that share two cores then block
        # each other to a fiftieth of their speed; this short a spin costs a lone training nothing. Read at load time.
        os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    if arguments:
        from engine.runs.worker import WORK
        from tui.command.cli import app
        from tui.command.cli import main as run_command

        app.version = __version__
        code = run_command(arguments)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt has nothing left to end, and would be reported
        # Work that a stop did not reach still runs, and so do threads of torch that connect ranks.
        if "RANK" not in os.environ and not any(thread.name == WORK for thread in threading.enumerate()):
            sys.exit(code)
    else:
        from tui.start import open_screen

        try:
            code = open_screen()
        except Exception:
            sys.excepthook(*sys.exc_info())
            code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # at once: torch must not be taken down below a thread that still computes, or the process aborts


if __name__ == "__main__":
    main()
