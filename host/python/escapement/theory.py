# SPDX-License-Identifier: Apache-2.0
"""Theory (arXiv 2605.01288) as functions of arrays: no network is trained.

Time is flow time: steps times the learning rate. Layers and modes count from 0.

An activation is a name ("tanh", "poly:0,1,0,-0.3"), a sequence of coefficients a_0, a_1, ... of a
polynomial, or a Python function of a number or an array, which is sampled once and fitted by polynomials to
1e-13. Training takes names and coefficients only: the library compiles the activations that it trains.
"""
from __future__ import annotations

from typing import Any, Callable, Optional, Sequence, Union

import numpy as np

from . import functions
from ._library import InputError, Record, check, common_shape, encoded, fields, ffi, lib, numbers, \
    printed, set_number, text

ActivationLike = Union["Activation", str, Sequence[float], Callable[[Any], Any]]


class Activation:
    """An activation: a name, the coefficients of a polynomial, or a Python function.

    Parameters
    ----------
    activation : str, sequence of float, callable or Activation
        A function gets an array of floats, or one float at a time where it refuses arrays. It must be real,
        finite for z from -16.76 to 16.76 and smooth (all derivatives) to 1e-13 of its values; of functions
        with a corner there is "relu" only. Its exceptions pass through. Nothing is called afterwards.

    Attributes
    ----------
    function : callable or None
    fitted : Record or None
        Of a function, what stands for it: kind ("polynomial" or "piecewise polynomials"), pieces, error
        (the largest, over the values near) and range (of z, beyond which theory that needs it is refused).

    Raises
    ------
    InputError

    Examples
    --------
    >>> import numpy as np
    >>> tanh = Activation("tanh")
    >>> bool(np.allclose(tanh([0.0, 1.0]), np.tanh([0.0, 1.0])))
    True
    >>> Activation([0, 1, 0, -0.3]).name
    'poly:0.0,1.0,0.0,-0.3'
    >>> Activation(lambda z: z - 0.3 * z**3).name
    'poly:0.0,1.0,0.0,-0.3'
    >>> Activation(np.arctan).fitted.kind
    'piecewise polynomials'
    """

    def __init__(self, activation: ActivationLike) -> None:
        self._activation = ffi.new("esc_activation *")
        self.function: Optional[Callable[[Any], Any]] = None
        self.fitted: Optional[Record] = None
        if isinstance(activation, Activation):
            self.__dict__.update(activation.__dict__)
        elif isinstance(activation, str):
            check(lib.esc_activation_from_text(encoded(activation), self._activation))
        elif callable(activation):
            self.function = activation
            self._activation, self._keep, self.fitted = functions.fit(activation)
        else:
            given = [float(a) for a in activation]
            check(lib.esc_activation_from_coefficients(len(given), given, self._activation))

    @property
    def name(self) -> str:
        """The name that a spec has. A function that is a polynomial has one too; of another it is
        "function NAME", which no spec takes."""
        if self.fitted and self.fitted.kind != "polynomial":
            return f"function {functions.name_of(self.function)}"
        return printed(lib.esc_activation_print, self._activation, size=lib.ESC_ACTIVATION_NAME_MAX)

    def __str__(self) -> str:
        """The name, and how a function was fitted."""
        if not self.fitted:
            return self.name
        count = f"{self.fitted.pieces} polynomials" if self.fitted.pieces > 1 else "a polynomial"
        return f"{self.name} (a function, fitted by {count}, error {self.fitted.error:.1e})"

    @property
    def is_odd(self) -> bool:
        """sigma(-z) = -sigma(z)."""
        return lib.esc_activation_is_odd(self._activation)

    def __repr__(self) -> str:
        return f"Activation({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Activation) or self.name != other.name:
            return False
        return not self.name.startswith("function ") or self.function is other.function

    def __hash__(self) -> int:
        return hash(self.name)

    def _evaluate(self, z: Any, field: str) -> Any:
        given = np.asarray(z, float)
        values = [getattr(lib.esc_activation_evaluate(self._activation, x), field)
                  for x in given.ravel().tolist()]
        return np.array(values).reshape(given.shape)[()]

    def __call__(self, z: Any) -> Any:
        """sigma(z), of the shape of `z`."""
        return self._evaluate(z, "value")

    def derivative(self, z: Any) -> Any:
        """sigma'(z), of the shape of `z`."""
        return self._evaluate(z, "derivative")

    def deficit(self, z: Any) -> Any:
        """kappa(z) = sigma(z) - z sigma'(z), of the shape of `z`."""
        return self._evaluate(z, "deficit")


def classify(activation: ActivationLike) -> Record:
    """Class and constants of an activation.

    Returns
    -------
    Record
        The fields of ``esc_classification`` (class, a, q, aq, c1, c1_error, moment, correction,
        escapes), meaning, warnings, a tuple of the assumptions that fail, and activation, its name and, of a
        function, the fit. Taylor coefficients a of a function are 0 where they are below their error.

    Examples
    --------
    >>> found = classify("tanh")
    >>> found["class"], found.q, round(found.c1, 6)
    ('B', 3, 0.605706)
    >>> round(classify(np.tanh).c1, 6)
    0.605706
    """
    activation, out = Activation(activation), ffi.new("esc_classification *")
    check(lib.esc_activation_classify(activation._activation, out))
    found = fields(out)
    warned = printed(lib.esc_classification_warn, out)
    return Record(**{**found, "class": text(lib.esc_class_name(out.class_)),
                     "meaning": text(lib.esc_class_meaning(out.class_)),
                     "warnings": tuple(warned.split("; ")) if warned else (),
                     "activation": str(activation)})


def _problem(activation: Activation, scales: np.ndarray) -> Any:
    """An esc_escape_problem without numbers: layers, and amplitude and `to` of 1. The activation must outlive
    it: the fit of a function is not copied."""
    if not 2 <= scales.shape[-1] <= lib.ESC_LAYERS_MAX:
        raise InputError(f"scales: {scales.shape[-1]} layers; allowed: 2 to {lib.ESC_LAYERS_MAX}")
    return ffi.new("esc_escape_problem *", {"activation": activation._activation[0],
                                            "layers": scales.shape[-1], "amplitude": 1, "to": 1})


def escape_time(activation: ActivationLike, scales: Any, amplitude: Any = 1.0, to: Any = 0.5,
                layer: int = 0) -> Record:
    """Time until the scale of a layer reaches `to` on the symmetric manifold, three ways.

    Parameters
    ----------
    activation : str, coefficients, function or Activation
    scales : array_like (..., layers)
        s_l(0).
    amplitude, to : array_like (...)
        a, and s*; broadcast with `scales` without its last axis.
    layer : int

    Returns
    -------
    Record
        ode (the reduced ODE), closed (leading order), corrected (next order), drive,
        escaped_at_start and undecided (no ode, but a crossing is not excluded), arrays (...); NaN where
        there is no time. note: the reasons, an object array. activation: its name and, of a function, the
        fit.

    Examples
    --------
    >>> scales = 0.1 / 2.0 ** np.arange(3)
    >>> escape_time("tanh", np.repeat(scales[:, None], 3, axis=1)).ode.round(4).tolist()
    [14.7568, 31.3867, 64.4636]
    """
    scales, amplitude, to = numbers("scales", scales, 1), numbers("amplitude", amplitude), numbers("to", to)
    activation = Activation(activation)
    problem, out = _problem(activation, scales), ffi.new("esc_escape_times *")
    set_number(problem, "layer", layer)
    shape = common_shape(scales=scales.shape[:-1], amplitude=amplitude.shape, to=to.shape)
    amplitude, to = np.broadcast_to(amplitude, shape), np.broadcast_to(to, shape)
    scales = np.broadcast_to(scales, (*shape, scales.shape[-1]))
    blank, found = fields(out), []
    for index in np.ndindex(shape):
        problem.scale[0:problem.layers] = scales[index].tolist()
        problem.amplitude, problem.to = amplitude[index], to[index]
        check(lib.esc_escape_times_compute(problem, out))
        found.append(fields(out))
    return gathered(found, shape, blank, activation)


def gathered(rows: list[dict[str, Any]], shape: tuple[int, ...], blank: dict[str, Any],
             activation: Activation) -> Record:
    """One array (shape, shape of the field) for each field; texts as an object array; and the activation as a
    text. `blank` is a row whose values do not count: an empty grid has its fields too."""
    def gather(name: str) -> np.ndarray:
        values, example = [row[name] for row in rows], np.asarray(blank[name])
        if isinstance(blank[name], str):
            texts = np.empty(len(values), object)
            texts[:] = values
            return texts.reshape(shape)[()]
        return np.array(values, example.dtype).reshape(shape + example.shape)[()]
    return Record(**{name: gather(name) for name in blank}, activation=str(activation))


def trajectory(activation: ActivationLike, scales: Any, times: Any, amplitude: float = 1.0) -> Record:
    """The reduced ODE at given times.

    Parameters
    ----------
    scales : array_like (..., layers)
        s_l(0).
    times : array_like (times)
        Ascending, from 0 on.
    amplitude : array_like (...)
        a.

    Returns
    -------
    Record
        scale (..., times, layers), and loss (..., times), the population loss; activation, as of
        `escape_time`.
    """
    scales, amplitude = numbers("scales", scales, 1), numbers("amplitude", amplitude)
    times = np.ascontiguousarray(numbers("times", times, 1))
    if times.ndim != 1:
        raise InputError(f"times: has {times.ndim} dimensions; allowed: 1")
    activation = Activation(activation)
    problem = _problem(activation, scales)
    shape = common_shape(scales=scales.shape[:-1], amplitude=amplitude.shape)
    amplitude = np.broadcast_to(amplitude, shape)
    scales = np.broadcast_to(scales, (*shape, scales.shape[-1]))
    scale, loss = np.empty((*shape, *times.shape, scales.shape[-1])), np.empty((*shape, *times.shape))
    for index in np.ndindex(shape):
        problem.scale[0:problem.layers] = scales[index].tolist()
        problem.amplitude = amplitude[index]
        check(lib.esc_trajectory_compute(problem, len(times), *(
            ffi.from_buffer("double[]", part) for part in (times, scale[index], loss[index]))))
    return Record(scale=scale, loss=loss, activation=str(activation))
