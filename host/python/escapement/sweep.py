# SPDX-License-Identifier: Apache-2.0
"""Sweeps: specs, and their training."""
from __future__ import annotations

import json
import os
import queue
import sys
import time
from typing import Any, Callable, Generator, Mapping, Optional, Sequence, Union

import numpy as np
import xarray

from ._library import InputError, Record, Worker, array, check, encoded, ffi, fields, lib, on_thread, \
    record, released, set_number, tell, text
from .analysis import small_layers
from .results import dataset_of, owned

Progress = Callable[[Record], Optional[bool]]


# ---- keys and values as the library reads them ----


def _as_json(value: Any) -> Any:
    """NumPy's numbers and arrays, which json cannot encode."""
    if isinstance(value, np.generic) or isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no value of a spec; allowed: None, bool, int, float, "
                    "str, lists and dicts of these, NumPy arrays")


def _value(key: str, value: Any) -> str:
    """The value as YAML, of which JSON is a part; a str unchanged, as on the command line."""
    if callable(value):
        raise InputError(f"{key}: a function cannot be trained, because the library compiles its activations; "
                         "allowed: a name, or 'poly:a0,a1,...', which escapement.Activation(f).name is for a "
                         "function f that is a polynomial")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_as_json)


def pairs_of(keys: Mapping[str, Any]) -> list[str]:
    """Nested dicts as the key=value pairs of the command line.

    >>> pairs_of({"name": "mine", "train": {"rate": 0.05}, "network.layers": 4})
    ['name=mine', 'train.rate=0.05', 'network.layers=4']
    """
    pairs = []
    for key, value in keys.items():
        if isinstance(value, Mapping):
            pairs += [f"{key}.{name}={_value(f'{key}.{name}', inner)}" for name, inner in value.items()]
        elif value is not None:
            pairs.append(f"{key}={_value(key, value)}")
    return pairs


def _texts(values: Sequence[str]) -> tuple[Any, list[Any]]:
    """A C array of texts, and the objects that it points to."""
    keep = [ffi.new("char[]", encoded(value)) for value in values]
    return ffi.new("char *[]", keep), keep


# ---- the spec ----


class Sweep:
    """One sweep: thousands of networks that differ in seed, small layers and scale.

    Keys, defaults and ranges are those of a spec file (``escapement.keys()``); a section is a dict.
    Values that are not allowed raise `InputError` with the library's message.

    Parameters
    ----------
    name : str
        Of the sweep, in results and pictures.
    network, teacher, init, train, escape, sweep, record : dict
        Sections of the spec.

    Examples
    --------
    >>> sweep = Sweep(network={"layers": 4, "width": 8}, train={"rate": 0.05, "batch": 32, "steps": 400},
    ...               escape={"thresholds": [0.1]},
    ...               sweep={"seeds": 2, "groups": [{"bottleneck": 3, "scales": [0.3, 0.2]}]})
    >>> sweep.members
    4
    >>> Sweep(network={"depth": 4})
    Traceback (most recent call last):
    escapement.InputError: argument 1: 'network.depth' is an unknown key; allowed: layers, \
width, inputs, activation
    """

    def __init__(self, *, name: Optional[str] = None, network: Optional[Mapping[str, Any]] = None,
                 teacher: Optional[Mapping[str, Any]] = None, init: Optional[Mapping[str, Any]] = None,
                 train: Optional[Mapping[str, Any]] = None, escape: Optional[Mapping[str, Any]] = None,
                 sweep: Optional[Mapping[str, Any]] = None, record: Optional[Mapping[str, Any]] = None,
                 **others: Any) -> None:
        sections = {"name": name, "network": network, "teacher": teacher, "init": init, "train": train,
                    "escape": escape, "sweep": sweep, "record": record}
        values, _keep = _texts(pairs_of({**sections, **others}))
        self._set(lambda out: lib.esc_spec_build(len(values), values, out))

    def _set(self, make: Callable[[Any], int]) -> None:
        out = ffi.new("esc_spec **")
        check(make(out))
        self._spec = ffi.gc(out[0], lib.esc_spec_free)
        self.report: Optional[Record] = None

    @classmethod
    def from_yaml(cls, source: Union[str, os.PathLike], *overrides: str, **keys: Any) -> "Sweep":
        """The sweep of a YAML file, or of YAML text (a str with a line break).

        Parameters
        ----------
        source : path or str
        *overrides : str
            ``"train.batch=128"``, as on the command line.
        **keys
            The same as sections: ``train={"batch": 128}``.
        """
        sweep = cls.__new__(cls)
        values, _keep = _texts([*overrides, *pairs_of(keys)])
        if isinstance(source, str) and "\n" in source:
            given = os.fsencode(source)
            sweep._set(lambda out: lib.esc_spec_parse(b"spec", given, len(given), len(values), values, out))
        else:
            sweep._set(lambda out: lib.esc_spec_load(encoded(source), len(values), values, out))
        return sweep

    def replace(self, *overrides: str, **keys: Any) -> "Sweep":
        """This sweep with other values of some keys, given as to `from_yaml`."""
        return Sweep.from_yaml(self.to_yaml(), *overrides, **keys)

    def to_yaml(self) -> str:
        """The whole spec with every default filled in; `from_yaml` reads it back to the same sweep."""
        resolved = lib.esc_spec_resolved(self._spec)
        if not resolved:
            raise MemoryError("the resolved spec")
        try:
            return text(resolved)
        finally:
            lib.free(resolved)

    @property
    def name(self) -> str:
        """Name of the sweep."""
        return text(lib.esc_spec_name(self._spec))

    @property
    def members(self) -> int:
        """The number of networks, groups times scales times seeds."""
        return lib.esc_spec_count_members(self._spec)

    def __repr__(self) -> str:
        return f"<escapement.Sweep: {self.members} members>\n{self.to_yaml()}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sweep) and self.to_yaml() == other.to_yaml()

    def __hash__(self) -> int:
        return hash(self.to_yaml())

    def __reduce__(self) -> tuple[Any, ...]:
        return Sweep.from_yaml, (self.to_yaml(),)

    # ---- training ----

    def dry_run(self, output: Union[str, os.PathLike, None] = None, **options: Any) -> Record:
        """Work and cost of `run` with these options: members, bytes, seconds, and the escape
        steps that theory expects. Trains nothing and changes no file.

        Returns
        -------
        Record
            The fields of ``esc_dry_run``; ``cells`` is a list of Records, one for each scale of each
            group, each with ``threshold_step`` (thresholds).
        """
        checked = _Options(self, output, options)
        lines: list[str] = []
        on_message = ffi.callback("void(void *, const char *)",
                                  lambda _context, line: lines.append(text(line)))
        checked.struct.callbacks.message = on_message
        dry = ffi.new("esc_dry_run *")
        with released(dry, lib.esc_dry_run_free):
            on_thread(lambda: check(lib.esc_sweep_dry_run(self._spec, checked.struct, dry)))
            found = record(dry)
            found.cells = [_cell(dry.cell[i], dry.thresholds) for i in range(dry.cells)]
        for line in lines:
            tell(line)
        return found

    def run(self, output: Union[str, os.PathLike, None] = None, *, backend: Optional[str] = None,
            path: Optional[str] = None, precision: Optional[str] = None, threads: int = 0,
            slots: int = 0, device: Optional[int] = None, devices: Union[str, Sequence, None] = None,
            shard: Optional[tuple[int, int]] = None, resume: bool = False, force: bool = False,
            earlier: Union[str, os.PathLike, None] = None,
            worker: Union[str, os.PathLike, None] = None, checkpoint_seconds: Optional[float] = None,
            max_seconds: float = 0, quiet: bool = False,
            progress: Union[bool, Progress] = False) -> xarray.Dataset:
        """Trains the sweep, or with `resume` what is left of it. Other Python threads run meanwhile.

        Ctrl-C stops the run with a checkpoint and raises KeyboardInterrupt: with an `output`, `run`
        with ``resume=True``, or the program, continues it. A member's numbers are a function of the
        spec and its seed alone, whatever the options.

        Parameters
        ----------
        output : path, optional
            The result file. None: no files are written.
        backend : {"auto", "cpu", "cuda", "reference"}
        path, precision : str
            As the program's options; precision of backend cuda.
        threads, slots : int
            Threads, and networks trained at a time; 0: what suits the machine.
        device : int
            Index of the GPU.
        devices : str or sequence
            A worker process for each: ``"0,1"``, ``[0, 1]``, ``["cpu", "cpu"]``. Needs an `output`
            and the program.
        shard : (int, int)
            ``(i, n)``: only members i, i + n, ...
        resume, force : bool
            Continue what is at `output`, or replace it.
        earlier : path
            An earlier result whose members are not trained again.
        worker : path
            The program that `devices` starts; None: ``escapement`` in the PATH.
        checkpoint_seconds, max_seconds : float
            Seconds between two checkpoints; seconds after which the run stops (`OutOfTimeError`).
        quiet : bool
            No notes in the logger "escapement". Warnings are `EscapementWarning`.
        progress : bool or callable
            True: a bar (tqdm, where it is installed). A function is called on this thread, several
            times a second, with a Record (members, escaped, ..., seconds); False from it stops the
            run, and an exception of it too.

        Returns
        -------
        xarray.Dataset
            Variables, coordinates and attributes of the result file. `report` has the run's sums.
        """
        options = {
            "backend": backend, "path": path, "precision": precision, "threads": threads,
            "slots": slots, "device": device, "devices": devices, "shard": shard, "resume": resume,
            "force": force, "earlier": earlier, "worker": worker, "checkpoint_seconds": checkpoint_seconds,
            "max_seconds": max_seconds, "quiet": quiet}
        run = _Run(self, _Options(self, output, options), progress)
        run.wait()
        return self._finished(run, output)

    def snapshots(self, output: Union[str, os.PathLike, None] = None, *,
                  progress: Union[bool, Progress] = False,
                  **options: Any) -> Generator[Record, None, xarray.Dataset]:
        """Trains the sweep as `run` does, and yields each snapshot as soon as it is recorded.

        Training does not wait for the loop: snapshots are kept in memory until they are yielded.
        Closing the generator, which leaving the loop early does, stops the run, with a checkpoint where
        there is an `output`.

        Parameters
        ----------
        output, progress, **options
            As of `run`; not `devices`, whose snapshots are in other processes. A resumed run yields the
            snapshots after its checkpoint.

        Yields
        ------
        Record
            member (index in the sweep), seed, bottleneck, small_layers (from 1), scale, step, is_end (the
            member has finished), and the observables by the names of a result: numbers, or arrays
            (layers) or (interfaces).

        Returns
        -------
        xarray.Dataset
            The result, as the value of ``yield from``.

        Examples
        --------
        >>> sweep = Sweep(network={"layers": 3, "width": 8}, train={"rate": 0.05, "batch": 32, "steps": 40},
        ...               escape={"thresholds": [1e-9], "smoothing": "none"}, record={"every": 20},
        ...               sweep={"seeds": 1, "groups": [{"bottleneck": 3, "scales": [0.3]}]})
        >>> [(found.member, found.step, found.is_end) for found in sweep.snapshots(backend="cpu")]
        [(0, 0, False), (0, 20, False), (0, 40, False), (0, 40, True)]
        """
        if options.get("devices") is not None:
            raise InputError("devices: its snapshots are in other processes; allowed: run")
        run = _Run(self, _Options(self, output, options), progress)
        yield from run.snapshots()
        return self._finished(run, output)

    def _finished(self, run: "_Run", output: Any) -> xarray.Dataset:
        self.report = record(run.report)
        found = dataset_of(owned(run.results))
        if output is not None:
            found.encoding["source"] = os.path.abspath(self.report.output)
        return found


def keys() -> list[Record]:
    """The keys of a spec: path, default_value or default_rule, unit, help, allowed."""
    found = []
    for index in range(lib.esc_spec_count_keys()):
        key = ffi.new("esc_spec_key *")
        check(lib.esc_spec_describe_key(index, key))
        found.append(record(key))
    return found


def _cell(cell: Any, thresholds: int) -> Record:
    found = record(cell)
    found.threshold_step = array(cell.threshold_step, ffi.typeof("double"), thresholds)
    return found


# ---- options ----


def _command_line(sweep: Sweep, output: Any, options: Mapping[str, Any]) -> str:
    """How to do this again in Python, for the result's provenance; the spec is an attribute."""
    arguments = [] if output is None else [repr(os.fspath(output))]
    arguments += [f"{name}={value!r}" for name, value in options.items()
                  if value is not None and (value or name == "device")]
    return f"escapement.Sweep({sweep.name!r}).run({', '.join(arguments)})"


FLAGS = ("resume", "force", "quiet")


class _Options:
    """esc_run_options, with the texts that it borrows."""

    def __init__(self, sweep: Sweep, output: Any, given: Mapping[str, Any]) -> None:
        self.struct, self._keep = ffi.new("esc_run_options *"), []
        lib.esc_run_options_init(self.struct)
        values = dict(given)
        self._set_text("output", output)
        self._set_text("command_line", _command_line(sweep, output, given))
        self._set_text("from", values.pop("earlier", None))
        devices = values.pop("devices", None)
        if devices is not None and not isinstance(devices, str):
            devices = ",".join(map(str, devices))
        self._set_text("devices", devices)
        for name in ("backend", "path", "precision", "worker"):
            self._set_text(name, values.pop(name, None))
        device, shard = values.pop("device", None), values.pop("shard", None)
        if device is not None:
            set_number(self.struct, "device", device)
        if shard is not None:
            self._set_shard(shard)
        set_number(self.struct, "seconds_max", values.pop("max_seconds", 0), "max_seconds")
        if values.get("checkpoint_seconds") is None:
            values.pop("checkpoint_seconds", None)
        for name, value in values.items():
            if name not in (*FLAGS, "threads", "slots", "checkpoint_seconds"):
                raise TypeError(f"no option {name!r}")
            if name in FLAGS and not isinstance(value, (bool, np.bool_)):
                raise InputError(f"{name}: is {value!r}; allowed: True or False")
            set_number(self.struct, name, value)

    def _set_shard(self, shard: Any) -> None:
        try:
            index, count = shard
        except (TypeError, ValueError):
            raise InputError(f"shard: is {shard!r}; allowed: (i, n) with i from 0 to n - 1") from None
        set_number(self.struct, "shard", index)
        set_number(self.struct, "shards", count)
        if not 0 <= index < count:  # the library's 0 shards are all members
            raise InputError(f"shard: is {index} of {count}; allowed: from 0 to the number of shards - 1")

    def _set_text(self, field: str, value: Any) -> None:
        if value is not None:
            self._keep.append(ffi.new("char[]", encoded(value)))
            setattr(self.struct, field, self._keep[-1])


# ---- a run, and its events ----


class _Run:
    """A run on a new thread. Its messages and progress pass through a queue to the thread that
    waits, so that warnings, the progress function and Ctrl-C are that thread's."""

    def __init__(self, sweep: Sweep, options: _Options, progress: Union[bool, Progress]) -> None:
        self.sweep, self.options = sweep, options
        self.show, self.close = _progress_of(progress)
        self.events: queue.SimpleQueue = queue.SimpleQueue()
        self.latest: dict[str, Any] = {}  # progress
        self.pending = False  # an event for it is in the queue
        self.raised: Optional[BaseException] = None  # while waiting
        self.stopped = False

        self.report, self.results = ffi.new("esc_run_report *"), ffi.new("esc_results **")

    def wait(self) -> None:
        """Until the run has ended. An exception meanwhile (Ctrl-C, a warning as an error, one of the
        progress function) stops the run first."""
        self._end(self._worker())

    def snapshots(self) -> Generator[Record, None, None]:
        """The run's snapshots; an exception meanwhile, or closing the generator, stops the run."""
        worker = self._worker()
        self._listen_to_snapshots()
        try:
            worker.begin()
            yield from self._arriving()
        except BaseException as raised:
            lib.esc_stop_request(self.stop)
            self.raised = raised
        self._end(worker)

    def _worker(self) -> Worker:
        out = ffi.new("esc_stop **")
        check(lib.esc_stop_create(out))
        self.stop = self.options.struct.stop = ffi.gc(out[0], lib.esc_stop_free)
        self._listen()
        return Worker(self._train, lambda: self.events.put(("end", None)))

    def _end(self, worker: Worker) -> None:
        """Joins the thread, closes the bar, and raises an exception of the meantime."""
        waiting = not worker.ended
        while waiting:
            try:
                waiting = self._stop_on_exception(worker)
            except BaseException as raised:  # a second Ctrl-C
                lib.esc_stop_request(self.stop)
                self.raised, waiting = self.raised or raised, worker.is_running
        self.close()
        if (self.raised or worker.error) and self.results[0]:
            lib.esc_results_free(self.results[0])
        self._raise(worker.error)

    def _stop_on_exception(self, worker: Worker) -> bool:
        """Whether to go on waiting, which the run's end or an exception have interrupted."""
        try:
            worker.begin()
            self._follow()
            return False
        except BaseException as raised:
            lib.esc_stop_request(self.stop)
            self.raised = self.raised or raised
            return worker.is_running  # else its last event may have been lost with the exception

    def _train(self) -> None:
        """On the run's thread."""
        check(lib.esc_sweep_run(self.sweep._spec, self.options.struct, self.report, self.results))

    def _listen(self) -> None:
        """Callbacks, on the run's thread; they live as long as this object."""
        def on_message(_context: Any, line: Any) -> None:
            self.events.put(("message", text(line)))

        def on_progress(_context: Any, progress: Any) -> bool:
            self.latest = fields(progress)
            if not self.pending:
                self.pending = True
                self.events.put(("progress", None))
            return True

        self.callbacks = [ffi.callback("void(void *, const char *)", on_message)]
        self.options.struct.callbacks.message = self.callbacks[0]
        if self.show:
            self.callbacks.append(ffi.callback("bool(void *, const esc_progress *)", on_progress))
            self.options.struct.callbacks.progress = self.callbacks[1]

    def _listen_to_snapshots(self) -> None:
        def on_snapshot(_context: Any, snapshot: Any) -> None:
            self.events.put(("snapshot", _snapshot(snapshot)))

        self.callbacks.append(ffi.callback("void(void *, const esc_snapshot *)", on_snapshot))
        self.options.struct.callbacks.snapshot = self.callbacks[-1]

    def _follow(self) -> None:
        for _snapshot_left in self._arriving():
            pass

    def _arriving(self) -> Generator[Record, None, None]:
        """The snapshots until the run's end; other events are handled."""
        while True:
            kind, value = self.events.get()
            if kind == "end":
                return
            if kind == "snapshot":
                yield value
            else:
                self._handle(kind, value)

    def _handle(self, kind: str, value: Any) -> None:
        if kind == "progress":
            self.pending = False
            if self.show(_flat(self.latest)) is False and not self.stopped:
                self.stopped = True
                lib.esc_stop_request(self.stop)
        else:
            tell(value)

    def _raise(self, error: Optional[BaseException]) -> None:
        if isinstance(self.raised, KeyboardInterrupt):
            raise KeyboardInterrupt(str(error or "the run had ended")) from error
        if self.raised or error:
            raise self.raised or error


def _snapshot(snapshot: Any) -> Record:
    """esc_snapshot, copied."""
    values = {text(one.name): array(one.value, ffi.typeof("double"), one.length) if one.dimension else
              one.value[0] for one in snapshot.value[0:snapshot.values]}
    return Record(member=snapshot.member, seed=snapshot.seed, bottleneck=snapshot.bottleneck,
                  small_layers=small_layers(snapshot.small_layers), scale=snapshot.scale,
                  step=snapshot.step, is_end=snapshot.is_end, **values)


def _flat(progress: Mapping[str, Any]) -> Record:
    """esc_progress with the steps beside the rest: steps_made, steps_expected, steps_are_bound."""
    steps = vars(progress["steps"])
    return Record(**{name: value for name, value in progress.items() if name != "steps"},
                  steps_made=steps["made"], steps_expected=steps["expected"],
                  steps_are_bound=steps["is_upper_bound"])


def _progress_of(progress: Union[bool, Progress]) -> tuple[Optional[Progress], Callable[[], None]]:
    """The function that gets the progress, and the one that is called at the end."""
    if callable(progress):
        return progress, lambda: None
    if not isinstance(progress, (bool, np.bool_)):
        raise TypeError(f"progress: is {progress!r}; allowed: True, False or a function")
    if not progress:
        return None, lambda: None
    try:
        import tqdm
    except ImportError:
        return _Lines(), lambda: None
    bar = _Bar(tqdm.tqdm(unit=" steps", unit_scale=True, desc="escapement"))
    return bar, bar.bar.close


def _summary(progress: Record) -> str:
    return f"{progress.escaped} escaped, {progress.censored} censored, {progress.running} running " \
        f"of {progress.members}"


class _Bar:
    """tqdm's bar of network-steps."""

    def __init__(self, bar: Any) -> None:
        self.bar = bar

    def __call__(self, progress: Record) -> None:
        self.bar.total = progress.steps_expected
        self.bar.set_postfix_str(_summary(progress), refresh=False)
        self.bar.update(progress.steps_made - self.bar.n)


class _Lines:
    """A line every ten seconds, where there is no tqdm."""

    def __init__(self) -> None:
        self.next = 0.0

    def __call__(self, progress: Record) -> None:
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + 10
            share = progress.steps_made / max(progress.steps_expected, 1)
            print(f"escapement: {share:.0%} of the steps; {_summary(progress)}", file=sys.stderr)
