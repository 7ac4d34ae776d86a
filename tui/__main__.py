"""The program's entry: full-screen without arguments, a command with them."""

from __future__ import annotations

import sys


def main() -> None:
    """Open the screen, or run the command that the arguments name, and exit with its code."""
    arguments = sys.argv[1:]
    if arguments:
        from tui.cli import main as run_command

        sys.exit(run_command(arguments))
    from tui.start import open_screen

    sys.exit(open_screen())


if __name__ == "__main__":
    main()
