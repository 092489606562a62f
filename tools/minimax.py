#!/usr/bin/env -S python3 -I
# SPDX-License-Identifier: Apache-2.0
"""Coefficients of include/escapement/internal/float_math.h.

Each function there uses a polynomial in s, r or x, fitted here by Remez
exchange to the least maximal error relative to the function's value.
Coefficients become floats one at a time, from the lowest power up, and the
remaining ones are fitted again, so that rounding costs almost no accuracy.

    minimax.py            prints every table, highest power first, with its error
    minimax.py --check    fails unless every coefficient is in the header
"""

import pathlib
import sys

import numpy
from mpmath import mp, mpf

mp.dps = 50
GRID = 800
HEADER = pathlib.Path(__file__).parent.parent / "include/escapement/internal/float_math.h"


def nearest_float(value):
    return mpf(float(numpy.float32(float(value))))


def evaluate(coefficients, x):
    return mp.polyval(coefficients[::-1], x)


def extrema(error, wanted):
    """Indices of `wanted` extrema of alternating sign, the largest there are."""
    index = []
    for j, e in enumerate(error):
        if index and (e > 0) == (error[index[-1]] > 0):
            if abs(e) > abs(error[index[-1]]):
                index[-1] = j
        else:
            index.append(j)
    while len(index) > wanted + 1:
        pairs = range(len(index) - 1)
        weakest = min(pairs, key=lambda i: max(abs(error[index[k]]) for k in (i, i + 1)))
        del index[weakest : weakest + 2]
    if len(index) == wanted + 1:
        index.pop(0 if abs(error[index[0]]) < abs(error[index[-1]]) else -1)
    return index


class Fit:
    """Polynomial close to f on [low, high]; None marks a coefficient yet free.
    The error is multiplied by weight(x); without one it is relative to f."""

    def __init__(self, f, low, high, coefficients, weight=None):
        nodes = (mp.cos(mp.pi * i / (GRID - 1)) for i in range(GRID))
        self.x = [(low + high) / 2 - (high - low) / 2 * node for node in nodes]
        self.f = [f(x) for x in self.x]
        self.weight = [weight(x) for x in self.x] if weight else [1 / f for f in self.f]
        self.coefficients = list(coefficients)

    def free(self):
        return [i for i, c in enumerate(self.coefficients) if c is None]

    def error(self, p):
        points = zip(self.x, self.f, self.weight)
        return [(evaluate(p, x) - f) * weight for x, f, weight in points]

    def solve(self, reference):
        """Coefficients whose weighted error alternates on `reference`."""
        free = self.free()
        size = len(free) + 1
        a, b = mp.matrix(size, size), mp.matrix(size, 1)
        p = [c or mpf(0) for c in self.coefficients]
        for row, j in enumerate(reference):
            for column, i in enumerate(free):
                a[row, column] = self.x[j] ** i
            a[row, size - 1] = (-1) ** row / self.weight[j]
            b[row] = self.f[j] - evaluate(p, self.x[j])
        for i, value in zip(free, mp.lu_solve(a, b)):
            p[i] = value
        return p

    def remez(self):
        count = len(self.free()) + 1
        spread = [(1 - mp.cos(mp.pi * (i + mpf(1) / 2) / count)) / 2 for i in range(count)]
        reference = [int(mp.nint((GRID - 1) * t)) for t in spread]
        best = None
        for _ in range(20):
            p = self.solve(reference)
            error = self.error(p)
            largest = max(map(abs, error))
            if best is None or largest < best[0]:
                best = (largest, p)
            exchanged = extrema(error, count)
            if exchanged == reference or len(exchanged) < count:
                break
            reference = exchanged
        return best[1]

    def round(self):
        """Makes every coefficient a float; returns the final error."""
        while self.free():
            p = self.remez()
            i = self.free()[0]
            self.coefficients[i] = nearest_float(p[i])
        return max(map(abs, self.error(self.coefficients)))


def of_square(f, at_zero):
    """s -> f(sqrt(s)), with its limit."""
    return lambda s: f(mp.sqrt(s)) if s else mpf(at_zero)


def tanh_deficit(z):
    """(tanh z - z sech^2 z) / (z^3 sech^2 z): positive terms only."""
    return (mp.sinh(2 * z) / 2 - z) / z**3


def sin_deficit(z):
    return (mp.sin(z) - z * mp.cos(z)) / z**3


def erf_deficit(z):
    return (mp.erf(z) - z * 2 / mp.sqrt(mp.pi) * mp.exp(-z * z)) / z**3


def erf_root(x):
    """1 - erf x = root^4: far smoother than erf itself."""
    return mp.erfc(x) ** mpf("0.25")


def tables():
    """(name, function, interval, coefficients with what is fixed, weight)."""
    one, half, root_pi = mpf(1), mpf(1) / 2, mp.sqrt(mp.pi)
    turn = (mp.pi / 4 * mpf("1.001")) ** 2  # the reduction may overshoot pi/4 a little
    octave = mp.log(2) / 2 * mpf("1.0001")
    return [
        ("exp(r)", mp.exp, (-octave, octave), [one, one] + [None] * 5, None),
        ("log(1 + f) / f", lambda f: mp.log1p(f) / f if f else one,
         (mp.sqrt(half) - 1, mp.sqrt(mpf(2)) - 1), [one, -half] + [None] * 7, None),
        ("sin(r) / r, s = r^2", of_square(lambda r: mp.sin(r) / r, 1),
         (mpf(0), turn), [one] + [None] * 3, None),
        ("cos(r), s = r^2", of_square(mp.cos, 1), (mpf(0), turn), [one, -half] + [None] * 3, None),
        ("r / tanh(r), s = r^2", of_square(lambda r: r / mp.tanh(r), 1),
         (mpf(0), (octave / 2) ** 2), [one] + [None] * 2, None),
        ("erf(x) / x - 1, s = x^2", of_square(lambda x: mp.erf(x) / x - 1, 2 / root_pi - 1),
         (mpf(0), one), [None] * 6, of_square(lambda x: x / mp.erf(x), root_pi / 2)),
        ("(1 - erf x)^(1/4)", erf_root, (one, mpf("3.93")), [None] * 8,
         lambda x: 4 * erf_root(x) ** 3 / mp.erf(x)),
        ("(tanh z - z sech^2 z) / (z^3 sech^2 z), s = z^2", of_square(tanh_deficit, mpf(2) / 3),
         (mpf(0), one), [None] * 5, None),
        ("(sin z - z cos z) / z^3, s = z^2", of_square(sin_deficit, mpf(1) / 3),
         (mpf(0), one), [None] * 4, None),
        ("(erf z - z erf' z) / z^3, s = z^2", of_square(erf_deficit, 4 / (3 * root_pi)),
         (mpf(0), one), [None] * 7, None),
    ]


def literal(value):
    """The float as C writes it, without trailing zeros."""
    mantissa, exponent = float(value).hex().split("p")
    return f"{mantissa.rstrip('0').rstrip('.')}p{exponent}f"


def main(check):
    header = HEADER.read_text() if check else ""
    missing = 0
    for name, f, (low, high), coefficients, weight in tables():
        fit = Fit(f, low, high, coefficients, weight)
        error = fit.round()
        fitted = [literal(p) for p, given in zip(fit.coefficients, coefficients) if given is None]
        print(f"{name} on [{mp.nstr(low, 6)}, {mp.nstr(high, 6)}]: error {mp.nstr(error, 2)}")
        print("  " + ", ".join(fitted[::-1]))
        missing += sum(text not in header for text in fitted if check)
    if missing:
        sys.exit(f"{missing} coefficients do not stand in {HEADER}")


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
