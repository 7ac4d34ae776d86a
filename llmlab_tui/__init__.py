"""Starts llmlab-tui. Importing it puts the folder of tui, engine, data and checkpoints first on the import path.

So a user's ``data.py`` or ``engine/`` on PYTHONPATH or in the current folder never replaces one of the four packages.
"""

import os
import sys

__version__ = "0.1.0"

_here = os.path.dirname(os.path.abspath(__file__))
_installed = os.path.isdir(os.path.join(_here, "engine"))  # in a wheel the four packages lie inside this one
_root = _here if _installed else os.path.dirname(_here)
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    # python -m put the current folder first: a numbers.py there would replace the standard library's.
    _current = sys.path.pop(0)
    if os.path.realpath(_current) == os.path.realpath(os.path.dirname(_here)):
        # This package was found through the current folder, so the processes that it starts need it on the path.
        _path = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.path.dirname(_here) + (os.pathsep + _path if _path else "")
sys.path.insert(0, _root)
