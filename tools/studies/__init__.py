# SPDX-License-Identifier: Apache-2.0
"""The studies of runs/studies, one a module: NAME, TITLE, RUNS (result, spec, overrides), and
analyse(tables by result, fit) -> (tables, picture), where fit(result) is what
`escapement fit --json` says of it.

They read result files with xarray, and do not import the Python package: a study runs beside any build
of the program, and what it computes itself (bootstraps, integrals) checks the program from outside."""
