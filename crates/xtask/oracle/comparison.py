"""The statistics of comparisons as SciPy has them: one JSON file a function.

    python comparison.py DIRECTORY

What SciPy lacks is computed from its definition, in another way than ours: Holm's correction as the closed test of
Bonferroni's, and the analysis of variance by least squares in fractions. The same SciPy writes the same bytes.
"""

import itertools
import json
import math
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import scipy
from scipy import stats


def losses(random, n, spread=0.02):
    return [float(x) for x in 3.5 + spread * random.standard_normal(n)]


def of_test(result):
    interval = result.confidence_interval(0.95)
    return {
        "statistic": float(result.statistic),
        "degrees_of_freedom": float(result.df),
        "p_value": float(result.pvalue),
        "interval": [float(interval.low), float(interval.high)],
    }


def t_test(random):
    cases = []
    for n in (2, 3, 4, 5, 8, 30):
        for centre in (0.0, 0.01, 0.3, 100.0):
            values = [float(x) for x in centre + 0.05 * random.standard_normal(n)]
            cases.append({"values": values, **of_test(stats.ttest_1samp(values, 0.0))})
    return "ttest_1samp(values, 0)", cases


def welch(random):
    cases = []
    for n, m in ((2, 2), (3, 3), (3, 5), (10, 4), (2, 40)):
        for shift, spread in ((0.0, 0.02), (0.05, 0.02), (0.05, 0.4), (3.0, 1e-4)):
            a, b = losses(random, n), [x + shift for x in losses(random, m, spread)]
            cases.append({"a": a, "b": b, **of_test(stats.ttest_ind(b, a, equal_var=False))})
    return "ttest_ind(b, a, equal_var=False)", cases


def wilcoxon(random):
    cases = []
    for n in (6, 7, 10, 25, 40):
        for shift in (0.0, 0.5, 2.0):
            differences = [float(x) for x in shift + random.standard_normal(n)]
            p_value = stats.wilcoxon(differences, method="exact").pvalue
            cases.append({"differences": differences, "p_value": float(p_value)})
    # Equal magnitudes: SciPy then goes through all signs.
    for n in (6, 8, 11):
        for shift in (0, 1, 2):
            differences = [float(x) for x in shift + random.integers(-3, 4, n)]
            differences = [x if x != 0 else 1.5 for x in differences]
            every = stats.PermutationMethod(n_resamples=np.inf)
            p_value = stats.wilcoxon(differences, method=every).pvalue
            cases.append({"differences": differences, "p_value": float(p_value)})
    return "wilcoxon(differences), exact, or over all signs where magnitudes are equal", cases


def holm(random):
    """A hypothesis is rejected where every set of hypotheses that it is in is, by Bonferroni."""
    cases = []
    for m in (1, 2, 3, 5, 8):
        for power in (1, 4):
            p = random.random(m) ** power
            if m == 5:
                p[3] = p[1]
            sets = [s for size in range(1, m + 1) for s in itertools.combinations(range(m), size)]
            corrected = [
                max(min(1.0, len(s) * min(p[j] for j in s)) for s in sets if i in s) for i in range(m)
            ]
            cases.append({"p_values": [float(x) for x in p], "corrected": [float(x) for x in corrected]})
    return "the closed test of Bonferroni's tests", cases


def residual(columns, values):
    """The squares that are left of the values after the best fit of some columns, exactly: by Gram and Schmidt."""
    rest, basis = values, []
    for column in columns:
        for other in basis:
            column = minus(column, other)
        basis.append(column)
        rest = minus(rest, column)
    return sum(x * x for x in rest)


def minus(vector, direction):
    """A vector without its part along a direction."""
    share = sum(x * y for x, y in zip(vector, direction)) / sum(y * y for y in direction)
    return [x - share * y for x, y in zip(vector, direction)]


def factorial(random):
    """The sum of squares of an effect is what the fit loses without it; noise is what keys and seeds leave over."""
    cases = []
    for levels in ((2, 3), (3, 2, 4), (2, 2, 2, 3)):
        keys = len(levels) - 1  # the last axis is the seeds'
        grid = list(itertools.product(*map(range, levels)))
        cells = [
            3.0 + 0.3 * c[0] - 0.05 * c[0] * c[1] + 0.01 * c[-1] + 0.02 * float(random.standard_normal())
            for c in grid
        ]

        def columns(effect):
            """Contrasts of each level with the last, multiplied over the axes of the effect."""
            contrasts = [
                [[int(c[axis] == level) - int(c[axis] == levels[axis] - 1) for c in grid] for level in range(levels[axis] - 1)]
                for axis in effect
            ]
            ones = [Fraction(1)] * len(grid)
            return [[Fraction(math.prod(xs)) for xs in zip(ones, *chosen)] for chosen in itertools.product(*contrasts)]

        def left(effects):
            return residual([column for e in effects for column in columns(e)], [Fraction(x) for x in cells])

        model = [e for size in range(keys + 1) for e in itertools.combinations(range(keys), size)] + [(keys,)]
        noise = left(model)
        noise_degrees = len(grid) - sum(len(columns(e)) for e in model)
        effects = []
        for effect in model[1:]:
            degrees = len(columns(effect))
            squares = left([e for e in model if e != effect]) - noise
            f = float(squares / degrees / (noise / noise_degrees))
            effects.append(
                {
                    "axes": list(effect),
                    "degrees_of_freedom": degrees,
                    "sum_of_squares": float(squares),
                    "f": f,
                    "p_value": float(stats.f.sf(f, degrees, noise_degrees)),
                }
            )
        cases.append(
            {
                "levels": list(levels),
                "cells": cells,
                "noise": float(noise),
                "noise_degrees_of_freedom": noise_degrees,
                "effects": effects,
            }
        )
    return "least squares with and without each effect; f.sf", cases


FUNCTIONS = [t_test, welch, wilcoxon, holm, factorial]


def main():
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for seed, function in enumerate(FUNCTIONS):
        relation, cases = function(np.random.default_rng(seed))
        head = {"scipy": scipy.__version__, "relation": relation}
        head = json.dumps(head)[1:-1]
        lines = ",\n".join(json.dumps(case) for case in cases)
        (directory / f"{function.__name__}.json").write_text(f'{{{head}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
