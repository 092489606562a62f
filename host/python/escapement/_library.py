# SPDX-License-Identifier: Apache-2.0
"""libescapement in this process: its functions, failures as exceptions, and C values as Python's.

The library is the one beside this file (a wheel, a build tree), else the system's; the environment
variable ESCAPEMENT_LIBRARY names another.
"""
from __future__ import annotations

import _thread
import contextlib
import enum
import logging
import os
import pathlib
import queue
import sys
import types
import warnings
from typing import Any, Callable, Iterator

import numpy as np

try:
    from . import _declarations
except ImportError as missing:
    raise ImportError("escapement: this folder is the source, without the declarations that a build "
                      "makes; use the package of a build tree (BUILD/python) or an installed one"
                      ) from missing
from ._declarations import ffi

# h5py and this library may share one HDF5, which serves one thread at a time. h5py is loaded here,
# so that its lock is there before the first call, and HDF5's clean-up at exit stays h5py's.
try:
    from h5py._objects import phil as _h5py_lock
except ImportError:
    _h5py_lock = None
try:
    from xarray.backends.locks import HDF5_LOCK as _xarray_lock  # around netCDF4, which has none
except ImportError:
    _xarray_lock = None

Status = enum.IntEnum("Status", {
    name.removeprefix("ESC_"): value for value, name in
    sorted(ffi.typeof("esc_status").elements.items())})
Status.__doc__ = "How a call of the library ended; the program's exit status follows from it."


# ---- failures ----


class EscapementError(Exception):
    """A failure of the library. The text is the library's own message, the one that the program
    prints.

    Attributes
    ----------
    status : Status
    """

    status = Status.LIBRARY_FAILED


class InputError(EscapementError, ValueError):
    """A spec, an option, a file or an array that is not allowed; the message says what is."""

    status = Status.BAD_INPUT


class CheckFailedError(EscapementError):
    """A check that was asked for failed."""

    status = Status.CHECK_FAILED


class FileError(EscapementError, OSError):
    """Reading or writing failed; the message says what is saved."""

    status = Status.IO_FAILED


class OutOfMemoryError(EscapementError, MemoryError):
    """Less memory than the call needs; nothing was started."""

    status = Status.NO_MEMORY


class LibraryError(EscapementError):
    """A call of a library that escapement stands on failed."""

    status = Status.LIBRARY_FAILED


class DeviceError(EscapementError):
    """The GPU failed, or there is none."""

    status = Status.DEVICE_FAILED


class Interrupted(EscapementError):
    """A run was stopped by its progress function; with an output all is saved."""

    status = Status.INTERRUPTED


class OutOfTimeError(EscapementError, TimeoutError):
    """A run was stopped at ``max_seconds``; with an output all is saved."""

    status = Status.OUT_OF_TIME


_ERRORS = {error.status: error for error in (
    InputError, CheckFailedError, FileError, OutOfMemoryError, LibraryError, DeviceError, Interrupted,
    OutOfTimeError)}


def failure(status: int) -> EscapementError:
    """The exception of a status, with the message of this thread's last failure."""
    return _ERRORS.get(Status(status), EscapementError)(text(lib.esc_error_message()))


def check(status: int) -> None:
    """Raises the failure that `status` stands for, if it is one."""
    if status != Status.OK:
        raise failure(status)


class EscapementWarning(UserWarning):
    """A reason to doubt numbers, or a note on how they were made, in the library's words."""


log = logging.getLogger("escapement")


def warn(message: str) -> None:
    """Warns at the line of the program that called the package."""
    here, frame, level = os.path.dirname(__file__), sys._getframe(), 0
    while frame and os.path.dirname(frame.f_code.co_filename) == here:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, EscapementWarning, stacklevel=level + 1)


def tell(line: str) -> None:
    """A message of the library: a warning, or a note for the log."""
    if line.startswith("warning: "):
        warn(line.removeprefix("warning: "))
    else:
        log.info(line)


# ---- the library ----


def _load() -> Any:
    beside = pathlib.Path(__file__).with_name(_declarations.soname)
    named = os.environ.get("ESCAPEMENT_LIBRARY") or (str(beside) if beside.exists() else None)
    library = ffi.dlopen(named or _declarations.soname)
    found = ffi.string(library.esc_library_version()).decode()
    wanted = _declarations.constants["ESC_VERSION_STRING"]
    if found != wanted:
        raise ImportError(f"escapement: {named or _declarations.soname} is version {found}; this "
                          f"package is for version {wanted}")
    return library


@ffi.callback("void(void *)")
def _lock_hdf5(_context: Any) -> None:
    for lock in (_xarray_lock, _h5py_lock):
        if lock is not None:
            lock.acquire()


@ffi.callback("void(void *)")
def _unlock_hdf5(_context: Any) -> None:
    for lock in (_h5py_lock, _xarray_lock):
        if lock is not None:
            lock.release()


lib = _load()
constants = _declarations.constants
lib.esc_hdf5_guard_set(ffi.new("esc_hdf5_guard *", {"lock": _lock_hdf5, "unlock": _unlock_hdf5}))


class Worker:
    """A function on a new thread. Unlike threading.Thread.start, which waits, `begin` cannot be
    interrupted by Ctrl-C half-way: afterwards it is known whether the thread is there."""

    def __init__(self, function: Callable[[], Any], at_end: Callable[[], Any]) -> None:
        self.function, self.at_end = function, at_end
        self.value: Any = None
        self.error: BaseException | None = None
        self.begun = self.ended = False

    def begin(self) -> None:
        """Starts the thread, once."""
        if self.begun:
            return
        try:
            self.begun = True  # signals are handled behind the next call, not before it
            _thread.start_new_thread(self._run, ())
        except RuntimeError:
            self.begun = False
            raise

    def _run(self) -> None:
        try:
            self.value = self.function()
        except BaseException as error:  # for the thread that waits
            self.error = error
        self.ended = True
        self.at_end()

    @property
    def is_running(self) -> bool:
        return self.begun and not self.ended


def on_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function of the library that uses OpenMP, called on a new thread.

    OpenMP keeps its threads for each thread that calls it, and a child of fork has none of them: the
    threads of Python never call OpenMP, so that their children can.
    """
    end: queue.SimpleQueue = queue.SimpleQueue()
    worker = Worker(lambda: function(*arguments), lambda: end.put(None))
    interrupted, waiting = None, True
    while waiting:
        try:
            worker.begin()
            end.get()
            waiting = False
        except KeyboardInterrupt as stop:  # not before the library has let go of its arguments
            interrupted, waiting = stop, worker.is_running
    if interrupted or worker.error:
        raise interrupted or worker.error
    return worker.value


# ---- values ----


def encoded(given: Any) -> bytes:
    """A text or path as bytes, for the library's functions; their texts end at the first NUL byte."""
    try:
        value = os.fsencode(given)
    except UnicodeEncodeError as error:
        raise InputError(f"{given!r}: {error}") from error
    if b"\0" in value:
        raise InputError(f"{given!r}: has a NUL byte")
    return value


def numbers(name: str, given: Any, dimensions: int = 0) -> np.ndarray:
    """An array of floats with at least so many dimensions."""
    try:
        found = np.asarray(given, float)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: {error}; allowed: an array of numbers") from error
    if found.ndim < dimensions:
        raise InputError(f"{name}: has {found.ndim} dimensions; allowed: at least {dimensions}")
    return found


def common_shape(**shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that arrays of these shapes broadcast to."""
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        given = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise InputError(f"shapes that do not broadcast: {given}") from None


def set_number(struct: Any, name: str, value: Any, shown: str = "") -> None:
    """A number as a field of a struct."""
    try:
        setattr(struct, name, value)
    except OverflowError as error:
        raise InputError(f"{shown or name}: is {value!r}, out of range") from error
    except TypeError as error:
        raise TypeError(f"{shown or name}: is {value!r}; {error}") from error


def text(pointer: Any) -> str:
    """A C text; "" of NULL."""
    return ffi.string(pointer).decode(errors="replace") if pointer else ""


def printed(function: Callable[..., Any], *arguments: Any, size: int = 1024) -> str:
    """The text that a function of the library writes into a buffer, its last two arguments."""
    buffer = ffi.new("char[]", size)
    function(*arguments, buffer, size)
    return text(buffer)


class Record(types.SimpleNamespace):
    """Named values: attributes, or items by name."""

    def __getitem__(self, name: str) -> Any:
        try:
            return vars(self)[name]
        except KeyError:
            raise KeyError(name) from None

    def keys(self) -> Iterator[str]:
        """The names in order; ``dict(record)`` has the values too."""
        return iter(vars(self))

    def __repr__(self) -> str:
        width = max((len(name) for name in vars(self)), default=0)
        return "\n".join(f"{name:<{width}}  {value!r}" for name, value in vars(self).items())


def enumerator(kind: Any, value: int) -> str:
    """The name of an enumerator as a word: ESC_CLASS_B of esc_class is "b"."""
    names = [n for n in kind.elements.values()]
    prefix = os.path.commonprefix(names)
    return kind.elements[value][prefix.rfind("_") + 1:].lower().replace("_", " ")


def plain(value: Any, kind: Any) -> Any:
    """A field of a struct in Python's types: texts, numbers, NumPy arrays (copied), Records."""
    if kind.kind == "primitive":
        return value
    if kind.kind == "enum":
        return enumerator(kind, int(value))
    if kind.kind == "struct":
        return record(value)
    if kind.kind == "array":
        if kind.item.cname == "char":
            return text(value)
        if kind.item.kind == "struct":
            return [record(item) for item in value]
        return array(value, kind.item, kind.length)
    return text(value) if kind.item.cname == "char" else None


def array(pointer: Any, item: Any, length: int) -> np.ndarray:
    """A copy of `length` numbers (of rows, where `item` is an array)."""
    shape = [length]
    while item.kind == "array":
        shape.append(item.length)
        item = item.item
    dtype = np.dtype({"double": np.float64, "int": np.int32, "int64_t": np.int64}[item.cname])
    size = int(np.prod(shape)) * dtype.itemsize
    return np.frombuffer(ffi.buffer(ffi.cast("char *", pointer), size), dtype).reshape(shape).copy() \
        if size else np.empty(shape, dtype)


def fields(struct: Any) -> dict[str, Any]:
    """The fields of a struct by name; pointers to other things than texts are left out."""
    kind = ffi.typeof(struct)
    kind = kind.item if kind.kind == "pointer" else kind
    return {name.rstrip("_"): plain(getattr(struct, name), field.type) for name, field in kind.fields
            if field.type.kind != "pointer" or field.type.item.cname == "char"}


def record(struct: Any) -> Record:
    """A struct as a Record."""
    return Record(**fields(struct))


@contextlib.contextmanager
def released(struct: Any, free: Callable[[Any], None]) -> Iterator[Any]:
    """A struct whose arrays the library frees at the end."""
    try:
        yield struct
    finally:
        free(struct)
