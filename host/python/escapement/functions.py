# SPDX-License-Identifier: Apache-2.0
"""Python functions as activations of theory: each is sampled once and fitted by one polynomial, or by
polynomials on intervals. The library evaluates the fit, and calls nothing back.
"""
from __future__ import annotations

from typing import Any, Callable, Iterator, NamedTuple, Optional

import numpy as np
from numpy.polynomial import chebyshev, polynomial

from ._library import InputError, Record, check, ffi, lib

TERMS = lib.ESC_POLYNOMIAL_TERMS_MAX
EPSILON = float(np.finfo(float).eps)
GOAL, TOLERANCE = 4e-15, 1e-13  # error of a fit over the largest value near; the second for noisy values
RANGE = 16.0 * np.pi / 3        # of |z|, where it must be smooth; not round: no corner is at a piece's end
OCTAVES = 60                    # the pieces end at RANGE * 2**OCTAVES at most
HALVINGS = 9                    # of an interval: functions with a corner, also of sigma'', are refused


class Piece(NamedTuple):
    """sigma(z) = sum_k coefficients[k] ((z - centre) / width)**k from z = start on."""

    start: float
    centre: float
    width: float
    coefficients: np.ndarray


# ---- values of the function ----


def _scalars(function: Callable[[Any], Any], z: np.ndarray) -> np.ndarray:
    values = []
    for one in z.tolist():
        try:
            values.append(function(one))
        except OverflowError:
            values.append(np.inf)
    try:
        return np.array(values, float).reshape(z.shape)
    except (TypeError, ValueError) as error:
        raise InputError(f"the activation {name_of(function)}: of a number it returns "
                         f"{type(values[0]).__name__}; allowed: a real number") from error


def name_of(function: Callable[[Any], Any]) -> str:
    """As a message shows it."""
    return getattr(function, "__name__", None) or repr(function)


class Samples:
    """The function on arrays: called with an array, or number by number where it refuses arrays or does not
    return one value for each number. Its own exceptions pass through."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self.takes_arrays = self._agrees(np.array([-1.5, -0.25, 0.5, 2.0]))

    def _agrees(self, z: np.ndarray) -> bool:
        """Whether the function takes arrays; InputError where it mixes their numbers."""
        try:
            with np.errstate(all="ignore"):
                together = np.asarray(self.function(z.copy()))
                alone = [np.asarray(self.function(z[i:i + 1].copy())) for i in range(z.size)]
        except (TypeError, ValueError):
            return False
        if together.shape != z.shape or together.dtype.kind not in "fiub":
            return False
        if any(one.shape != (1,) or not np.allclose(one, value, rtol=1e-6, atol=1e-300, equal_nan=True)
               for one, value in zip(alone, together)):
            raise InputError(f"the activation {name_of(self.function)}: a value depends on the other numbers "
                             "of the array; allowed: a function of each number")
        return True

    def __call__(self, z: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(self.function(z.copy()), float) if self.takes_arrays \
                else _scalars(self.function, z)


# ---- fits on one interval ----


def _cosines(rows: int, nodes: int) -> np.ndarray:
    """T_j at the Chebyshev nodes: cos(j (2i + 1) pi / (2 nodes)), the angle reduced exactly."""
    index = np.outer(np.arange(rows), 2 * np.arange(nodes) + 1) % (4 * nodes)
    return np.cos(np.pi * index / (2 * nodes))


def _series(values: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """Coefficients of the Chebyshev series through the values at the nodes."""
    series = 2 / len(values) * (cosines @ values)
    series[0] /= 2
    return series


def _monomials(degree: int) -> np.ndarray:
    """Row j: T_j in powers of t."""
    rows = np.zeros((degree + 1, degree + 1))
    for j in range(degree + 1):
        rows[j, :j + 1] = chebyshev.cheb2poly([0] * j + [1])
    return rows


COSINES, WIDE_COSINES = _cosines(2 * TERMS, 2 * TERMS), _cosines(64, 64)
NODES, WIDE_NODES = ((row - row[::-1]) / 2 for row in (COSINES[1], WIDE_COSINES[1]))  # exactly symmetric
MONOMIALS, WIDE_MONOMIALS = _monomials(TERMS - 1), _monomials(31)
POWERS = NODES[:, None] ** np.arange(TERMS)


class Trial(NamedTuple):
    """A polynomial of t through values at NODES."""

    coefficients: np.ndarray
    error: float
    is_noisy: bool  # halving the interval would not help

    @property
    def is_good(self) -> bool:
        return self.error <= GOAL or self.is_noisy and self.error <= TOLERANCE


def _fit(values: np.ndarray, scale: float) -> Trial:
    """The error is relative to `scale` or the largest value; terms below rounding are 0."""
    scale = max(scale, float(np.abs(values).max()))
    if scale == 0:
        return Trial(np.zeros(1), 0.0, False)
    series = _series(values, COSINES)
    tail = np.abs(series[TERMS:])
    is_noisy = bool(tail[:TERMS // 2].max() < 8 * tail[TERMS // 2:].max())
    series[np.abs(series) < 2 * EPSILON * scale] = 0
    fitted = series[:TERMS] @ MONOMIALS
    return Trial(fitted, float(np.abs(POWERS @ fitted - values).max() / scale), is_noisy)


def _is_symmetric(values: np.ndarray, sign: int) -> bool:
    """Whether they are `sign` times themselves in reverse order, to rounding."""
    return bool(np.abs(values - sign * values[::-1]).max() <= 32 * EPSILON * np.abs(values).max())


class Fitter:
    """Pieces of one function."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function, self.sample, self.error = function, Samples(function), 0.0
        near = self._values(0.0, 1.0)
        half = np.linspace(0, RANGE, 33)
        z = np.concatenate([-half[:0:-1], half])
        far = self.sample(z)
        if not np.isfinite(far).all():
            raise InputError(f"the activation {name_of(function)}: is {far[~np.isfinite(far)][0]} at z = "
                             f"{z[~np.isfinite(far)][0]:.4g}; allowed: finite for |z| <= {RANGE:.4g}")
        self.scale = float(np.abs(near).max())
        start = float(self.sample(np.zeros(1))[0])
        self.start = 0.0 if abs(start) <= 8 * EPSILON * self.scale else start  # sigma(0)
        self.is_odd = _is_symmetric(near, -1) and _is_symmetric(far, -1)
        self.is_even = not self.is_odd and _is_symmetric(near, 1) and _is_symmetric(far, 1)

    def _values(self, centre: float, width: float) -> np.ndarray:
        return self.sample(centre + width * NODES)

    def _symmetric(self, coefficients: np.ndarray) -> np.ndarray:
        """Those of a fit around 0, exactly odd or even where the function is, and exact at 0."""
        coefficients = coefficients.copy()
        if self.is_odd:
            coefficients[::2] = 0
        if self.is_even:
            coefficients[1::2] = 0
        coefficients[0] = self.start
        return coefficients

    # ---- one polynomial ----

    def polynomial(self) -> Optional[np.ndarray]:
        """Its coefficients where the function is one, to rounding; else None."""
        trial = _fit(self._values(0.0, 1.0), 0.0)
        if not trial.is_good:
            return None
        fitted = self._symmetric(trial.coefficients)
        fitted[np.abs(fitted) < 8 * EPSILON * np.abs(fitted).max(initial=0)] = 0
        rounded = np.array([float(f"{a:.14e}") for a in fitted])  # 0.1, not 0.09999999999999999
        z = np.concatenate([sign * np.geomspace(0.1, 1000, 40) for sign in (-1, 1)])
        size = polynomial.polyval(np.abs(z), np.abs(rounded)) + EPSILON * self.scale
        far = np.abs(polynomial.polyval(z, rounded) - self.sample(z)) / size
        if not (far <= 10 * TOLERANCE).all():
            return None
        self.error = max(trial.error, float(far.max()))
        return rounded[:1 + int(np.flatnonzero(rounded).max(initial=0))]

    # ---- polynomials on intervals ----

    def _piece(self, left: float, right: float) -> Optional[Piece]:
        """None where it is not resolved."""
        centre, width = (left + right) / 2, (right - left) / 2
        values = self._values(centre, width)
        if not np.isfinite(values).all():
            return None
        trial = _fit(values, 0.1 * self.scale)
        if not trial.is_good:
            return None
        self.error = max(self.error, trial.error)
        return Piece(left, centre, width,
                     self._symmetric(trial.coefficients) if centre == 0 else trial.coefficients)

    def _pieces(self, left: float, right: float, halvings: int) -> list[Piece]:
        """Of an interval, halved where it is not resolved; [] where that does not help."""
        piece = self._piece(left, right)
        if piece or not halvings:
            return [piece] if piece else []
        middle = (left + right) / 2
        parts = []
        for half in ((left, middle), (middle, right)):
            found = self._pieces(*half, halvings - 1)
            if not found:
                return []
            parts += found
        return parts

    def _refuse(self, left: float, right: float) -> InputError:
        """Where halving does not help: the narrowest interval, and the error there."""
        for depth in range(HALVINGS - 1, -1, -1):
            middle = (left + right) / 2
            left, right = (middle, right) if self._pieces(left, middle, depth) else (left, middle)
        return self._refuse_piece(left, right)

    def _refuse_piece(self, left: float, right: float) -> InputError:
        """The exception for an interval that no polynomial fits."""
        values = self._values((left + right) / 2, (right - left) / 2)
        if not np.isfinite(values).all():
            problem = "is not finite"
        else:
            problem = f"is not smooth (a polynomial misses it by {_fit(values, 0.1 * self.scale).error:.1e})"
        return InputError(
            f"the activation {name_of(self.function)}: {problem} near z = {(left + right) / 2:.3g}; allowed: "
            f"functions with all derivatives, computed to {TOLERANCE:g}; of those with a corner only 'relu'")

    def _inner(self) -> list[Piece]:
        """On |z| <= RANGE: one piece around 0, then doubled intervals on both sides."""
        width, middle = RANGE / 8, None
        while not middle and width > RANGE / 16 / 2**HALVINGS:
            width /= 2
            middle = self._piece(-width, width)
        if not middle:
            raise self._refuse_piece(-width, width)
        right, left = [], []
        while width < RANGE:
            left = self._resolved(-2 * width, -width) + left
            right += self._resolved(width, 2 * width)
            width *= 2
        return [*left, middle, *right]

    def _resolved(self, left: float, right: float) -> list[Piece]:
        found = self._pieces(left, right, HALVINGS)
        if not found:
            raise self._refuse(left, right)
        return found

    def _line(self, piece: Piece) -> Optional[np.ndarray]:
        """Value at the centre and slope, where the piece is a line."""
        line = np.zeros(2)
        line[:min(2, len(piece.coefficients))] = piece.coefficients[:2]
        off = np.abs(piece.coefficients[2:]).sum()
        size = max(np.abs(line).max(), 0.1 * self.scale)
        if off > TOLERANCE * size:
            return None
        line[np.abs(line) < TOLERANCE * size] = 0
        return line

    def _outer(self, side: int) -> tuple[list[Piece], Optional[Piece]]:
        """Beyond RANGE on a side: pieces outwards, and the tail: the line that the function becomes, or None
        where the pieces end before."""
        pieces: list[Piece] = []
        for octave in range(OCTAVES):
            near = RANGE * 2**octave
            interval = (near, 2 * near) if side > 0 else (-2 * near, -near)
            found = self._pieces(*interval, 5 if octave < 2 else 1)  # at first also what oscillates
            if not found:
                return pieces, None
            line = self._line(found[0]) if len(found) == 1 else None
            if line is not None:
                return pieces, Piece(near if side > 0 else -np.inf, found[0].centre, found[0].width, line)
            pieces += found if side > 0 else found[::-1]
        return pieces, None

    def pieces(self) -> tuple[list[Piece], tuple[float, float]]:
        """All, from -infinity on, and the range in which the function is known."""
        inner = self._inner()
        (left, low), (right, high) = self._outer(-1), self._outer(1)
        unknown = np.array([np.nan])
        start = min([piece.start for piece in left], default=-float(RANGE))
        end = max([piece.centre + piece.width for piece in right], default=float(RANGE))
        low = low or Piece(-np.inf, 0.0, 1.0, unknown)
        high = high or Piece(end, 0.0, 1.0, unknown)
        reach = (-np.inf if np.isfinite(low.coefficients).all() else start,
                 np.inf if np.isfinite(high.coefficients).all() else end)
        return [low, *left[::-1], *inner, *right, high], reach

    # ---- Taylor coefficients ----

    def taylor(self) -> tuple[np.ndarray, np.ndarray]:
        """a_0, ... and bounds on their errors: for each the most accurate of Chebyshev series on intervals
        around 0 of several widths."""
        best, error = np.zeros(TERMS), np.full(TERMS, np.inf)
        for width in 2.0 ** -np.arange(6):
            for k, a, bound in self._taylor_within(width):
                if bound < error[k]:
                    best[k], error[k] = a, bound
        for odd, symmetric in ((0, self.is_odd), (1, self.is_even)):
            if symmetric:
                best[odd::2] = error[odd::2] = 0
        return best, np.where(np.isfinite(error), error, np.abs(best) + 1)

    def _taylor_within(self, width: float) -> Iterator[tuple[int, float, float]]:
        values = self.sample(width * WIDE_NODES)
        series = _series(values, WIDE_COSINES)
        noise = max(np.abs(series[32:]).max(), EPSILON * np.abs(values).max())
        last = 1 + int(np.flatnonzero(np.abs(series) > 4 * noise).max(initial=0))
        if last > 32:
            return
        for k in range(min(TERMS, last)):
            powers = WIDE_MONOMIALS[:last, k]
            yield (k, float(series[:last] @ powers) / width**k,
                   4 * noise * np.abs(powers).sum() / width**k)


# ---- the library's activation ----


class Fit(NamedTuple):
    """The library's activation of a function."""

    activation: Any                   # esc_activation *
    keep: tuple[Any, ...]             # memory that it points to
    how: Record


def fit(function: Callable[[Any], Any]) -> Fit:
    """A function as an activation of theory.

    Raises
    ------
    InputError
        For a function that is not real, finite on |z| <= 16.76 and smooth to 1e-13. Exceptions of the function
        pass through.
    """
    fitter, out = Fitter(function), ffi.new("esc_activation *")
    coefficients = fitter.polynomial()
    if coefficients is not None:
        check(lib.esc_activation_from_coefficients(len(coefficients), coefficients.tolist(), out))
        return Fit(out, (), Record(kind="polynomial", pieces=1, error=fitter.error, range=(-np.inf, np.inf)))
    pieces, reach = fitter.pieces()
    listed = ffi.new("esc_activation_piece[]", [
        {"from": piece.start, "centre": piece.centre, "width": piece.width,
         "terms": len(piece.coefficients), "coefficient": piece.coefficients.tolist()} for piece in pieces])
    taylor, error = fitter.taylor()
    table = ffi.new("esc_activation_pieces *", {
        "count": len(pieces), "piece": listed, "odd": fitter.is_odd, "taylor": taylor.tolist(),
        "taylor_error": error.tolist()})
    check(lib.esc_activation_from_pieces(table, out))
    return Fit(out, (table, listed),
               Record(kind="piecewise polynomials", pieces=len(pieces), error=fitter.error, range=reach))
