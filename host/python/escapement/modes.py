# SPDX-License-Identifier: Apache-2.0
"""Several modes on the exact block reduction (arXiv 2605.01288): escape times, their shift between closure
levels split by layer, and the Jacobian of a plateau. Time is flow time; modes and layers count from 0.
"""
from __future__ import annotations

from typing import Any, Callable, Optional

import numpy as np

from ._library import InputError, Record, check, common_shape, fields, ffi, lib, numbers, on_thread, record, \
    released, set_number
from .theory import Activation, ActivationLike, gathered

LEVELS = ("diagonal", "rotated", "exact")


def _level(name: str) -> int:
    if name not in LEVELS:
        raise InputError(f"level {name!r}; allowed: {', '.join(LEVELS)}")
    return LEVELS.index(name)


def _given(amplitudes: Any, scales: Any) -> tuple[np.ndarray, np.ndarray]:
    """Amplitudes (..., modes) and scales (..., layers, modes), broadcast."""
    amplitudes, scales = np.atleast_1d(numbers("amplitudes", amplitudes)), numbers("scales", scales, 1)
    scales = scales[:, None] if scales.ndim == 1 else scales
    modes, layers = amplitudes.shape[-1], scales.shape[-2]
    if not 1 <= modes <= lib.ESC_BLOCK_MODES_MAX or not 2 <= layers <= lib.ESC_LAYERS_MAX:
        raise InputError(f"{modes} modes, {layers} layers; allowed: 1 to {lib.ESC_BLOCK_MODES_MAX} and "
                         f"2 to {lib.ESC_LAYERS_MAX}")
    if scales.shape[-1] not in (1, modes):
        raise InputError(f"scales: of {scales.shape[-1]} modes; allowed: 1 or {modes}, as amplitudes has")
    shape = common_shape(amplitudes=amplitudes.shape[:-1], scales=scales.shape[:-2])
    return np.broadcast_to(amplitudes, (*shape, modes)), np.broadcast_to(scales, (*shape, layers, modes))


def _set_start(problem: Any, amplitudes: np.ndarray, scales: np.ndarray) -> None:
    """Amplitudes (modes) and scales (layers, modes) of one network."""
    layers, modes = scales.shape
    problem.modes, problem.layers = modes, layers
    problem.amplitude[0:modes] = amplitudes.tolist()
    for k in range(modes):
        problem.scale[k][0:layers] = scales[:, k].tolist()


def _problem(activation: Activation, amplitudes: Any, scales: Any, level: str) -> Any:
    """esc_block_problem of one network, which the activation must outlive."""
    amplitudes, scales = _given(amplitudes, scales)
    if amplitudes.ndim > 1:
        raise InputError(f"shapes {amplitudes.shape} and {scales.shape}; allowed: one network, amplitudes "
                         "(modes) and scales (layers, modes)")
    problem = ffi.new("esc_block_problem *")
    problem.activation, problem.level = activation._activation[0], _level(level)
    _set_start(problem, amplitudes, scales)
    return problem


def _times(problem: Any, out: Any) -> None:
    on_thread(lambda: check(lib.esc_block_times_compute(problem, out)))


def blocks(activation: ActivationLike, amplitudes: Any, scales: Any, *, level: str = "exact",
           threshold: float = 0.0) -> Record:
    """Escape times of several modes on the exact block reduction.

    Parameters
    ----------
    amplitudes : array_like (..., modes)
        a_k; a number: one mode.
    scales : array_like (..., layers, modes)
        s_{l,k}(0); an array (layers,) or (layers, 1) serves every mode.
    level : {"diagonal", "rotated", "exact"}
        The coordinates that move.
    threshold : float
        Of the loss, whose passage is timed too; 0: none.

    Returns
    -------
    Record
        The fields of ``esc_block_times``: escape, hermite, decoupled (..., modes), loss, their
        errors, and note; activation, its name and, of a function, the fit. NaN: the event does not happen.
    """
    problem, out = ffi.new("esc_block_problem *"), ffi.new("esc_block_times *")
    problem.level = _level(level)
    activation = Activation(activation)
    problem.activation = activation._activation[0]
    set_number(problem, "threshold", threshold)
    amplitudes, scales = _given(amplitudes, scales)
    *shape, modes = amplitudes.shape

    def row() -> dict[str, Any]:
        return {name: value[:modes] if isinstance(value, np.ndarray) else value
                for name, value in fields(out).items()}
    blank, found = row(), []
    for index in np.ndindex(*shape):
        _set_start(problem, amplitudes[index], scales[index])
        _times(problem, out)
        found.append(row())
    return gathered(found, tuple(shape), blank, activation)


def attribution(activation: ActivationLike, amplitudes: Any, scales: Any, *, lower: str = "diagonal",
                level: str = "exact", tolerance: float = 0.0,
                progress: Optional[Callable[[int, int], None]] = None) -> Record:
    """The shift of the escape times between two closure levels, split by layer: dt_k/dlambda integrated
    along F_lambda(y) = (1 - lambda) P F(P y) + lambda F(y), with P the mask of the lower level.

    Takes seconds to minutes for one network; the cost grows steeply with its modes.

    Parameters
    ----------
    amplitudes : array_like (modes)
        a_k.
    scales : array_like (layers, modes)
        s_{l,k}(0); an array (layers,) or (layers, 1) serves every mode.
    lower, level : {"diagonal", "rotated", "exact"}
        The levels at lambda = 0 and 1.
    tolerance : float
        Error of the parts over the shift; 0: 1e-5.
    progress : callable
        Gets the points of lambda that are done and about how many there will be.

    Returns
    -------
    Record
        before, after (modes): escape times at lambda 0 and 1; scales (modes): the part of the shift that
        the diagonal coordinates have; layers (layers - 1, modes): the parts of the off-diagonal
        coordinates of each layer but the last; residual (modes): the shift without these parts and
        jumps; error, node_error (modes); converged; jumps: Records with from, to (of lambda) and size
        (modes). The path: lambda (points), escape, derivative (points, modes). activation, as of `blocks`.

    Raises
    ------
    InputError
        For relu, which has no second derivative, and where a mode does not escape.
    """
    activation = Activation(activation)
    homotopy, out = ffi.new("esc_homotopy *"), ffi.new("esc_attribution *")
    homotopy.problem = _problem(activation, amplitudes, scales, level)[0]
    homotopy.lower = _level(lower)
    set_number(homotopy, "tolerance", tolerance)
    report = ffi.callback("void(void *, int, int)", lambda _context, done, expected:
                          progress(done, expected)) if progress else ffi.NULL
    with released(out, lib.esc_attribution_free):
        on_thread(lambda: check(lib.esc_attribution_compute(homotopy, report, ffi.NULL, out)))
        return _attribution(homotopy.problem.modes, homotopy.problem.layers, out, activation)


def _attribution(modes: int, layers: int, out: Any, activation: Activation) -> Record:
    found, points = record(out), [record(out.point[i]) for i in range(out.points)]
    parts = found.channel[:modes, :layers].T
    jumps = [Record(**{"from": jump["from"], "to": jump.to, "size": jump.size[:modes]})
             for jump in found.jump[:found.jumps]]
    return Record(**{
        "before": found["from"][:modes], "after": found.to[:modes], "scales": parts[0], "layers": parts[1:],
        "residual": found.residual[:modes], "error": found.error[:modes],
        "node_error": found.node_error[:modes], "converged": found.converged, "jumps": jumps,
        "lambda": np.array([point["lambda"] for point in points]),
        "escape": np.array([point.escape[:modes] for point in points]),
        "derivative": np.array([point.derivative[:modes] for point in points]),
        "activation": str(activation)})


def plateau_spectrum(activation: ActivationLike, amplitudes: Any, scales: Any, *,
                     level: str = "exact") -> Record:
    """The Jacobian of a plateau in the off-diagonal coordinates theta and omega of layers 1 and 2, at the
    start and at half the first escape time, and Duhamel's form of each coordinate.

    Parameters
    ----------
    amplitudes : array_like (modes), scales : array_like (layers, modes)
        As of `attribution`; at least 2 modes and 3 layers.
    level : {"rotated", "exact"}

    Returns
    -------
    Record
        time (2); gain, growth, abscissa, holds (2): loop gain, growth rate and spectral abscissa, and
        whether the hypotheses of the Schur-Perron criterion hold; min_damping, min_coupling,
        off_diagonal, asymmetry (2), relative to the largest entry. modes (pairs, 2): the modes of each
        coordinate; theta_until, omega_until (pairs): time up to which Duhamel's form is within 10%.
        activation, as of `blocks`.
    """
    activation = Activation(activation)
    problem, times = _problem(activation, amplitudes, scales, level), ffi.new("esc_block_times *")
    out = ffi.new("esc_plateau_spectrum *")
    _times(problem, times)
    on_thread(lambda: check(lib.esc_plateau_spectrum_compute(problem, times, out)))
    found = record(out)
    until = [one.until for one in found.duhamel[:2 * out.pairs]]
    return Record(time=found.time, **{name: np.array([schur[name] for schur in found.schur])
                                      for name in vars(found.schur[0])},
                  modes=np.array([_modes(out, i) for i in range(out.pairs)]),
                  theta_until=np.array(until[:out.pairs]), omega_until=np.array(until[out.pairs:]),
                  activation=str(activation))


def _modes(spectrum: Any, index: int) -> list[int]:
    pair = ffi.new("int[2]")
    lib.esc_plateau_spectrum_modes(spectrum, index, pair)
    return list(pair)
