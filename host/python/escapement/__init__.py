# SPDX-License-Identifier: Apache-2.0
"""escapement: trains thousands of small teacher-student networks at once, finds the step at which each
escapes its saddle, and compares it with theory (arXiv 2605.01288).

>>> import escapement
>>> sweep = escapement.Sweep(network={"layers": 4, "width": 8},
...                          train={"rate": 0.05, "batch": 64, "steps": 400},
...                          escape={"thresholds": [0.08], "smoothing": 0.9},
...                          sweep={"seeds": 2, "groups": [{"bottleneck": 2, "scales": [0.5, 0.3]}]})
>>> results = sweep.run(backend="cpu")
>>> results.sizes["member"]
4
"""
from ._library import CheckFailedError, DeviceError, EscapementError, EscapementWarning, \
    FileError, InputError, Interrupted, LibraryError, OutOfMemoryError, OutOfTimeError, \
    Record, Status, constants
from .analysis import fit, fit_points, plateau, plateau_verdicts
from .modes import attribution, blocks, plateau_spectrum
from .plotting import plot
from .results import compare, merge, open, save, weights
from .sweep import Sweep, keys
from .theory import Activation, classify, escape_time, trajectory

for _error in (CheckFailedError, DeviceError, EscapementError, FileError, InputError, Interrupted,
               LibraryError, OutOfMemoryError, OutOfTimeError):
    _error.__module__ = __name__  # the name under which programs catch it

__version__ = constants["ESC_VERSION_STRING"]
__all__ = [
    "Activation", "CheckFailedError", "DeviceError", "EscapementError", "EscapementWarning",
    "FileError", "InputError", "Interrupted", "LibraryError", "OutOfMemoryError", "OutOfTimeError",
    "Record", "Status", "Sweep", "attribution", "blocks", "classify", "compare", "escape_time", "fit",
    "fit_points", "keys", "merge", "open", "plateau", "plateau_spectrum", "plateau_verdicts", "plot",
    "save", "trajectory", "weights"]
