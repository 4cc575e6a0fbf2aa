"""Covering sets: few rows in which every two values of different factors meet."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product
from typing import Any

Row = dict[str, Any]
Pair = frozenset[tuple[str, int]]
"""Two factors with the index of a level each."""


def pairs_of(row: Mapping[str, int]) -> set[Pair]:
    return {frozenset(pair) for pair in combinations(row.items(), 2)}


def covering_rows(factors: Mapping[str, Sequence[Any]], allowed: Callable[[Row], bool]) -> list[Row]:
    """Rows with one level per factor that cover every pair of levels some allowed row has. Greedy, always the same.

    `allowed` judges partial rows too: it may look only at the factors that are there.
    """
    levels = {name: range(len(values)) for name, values in factors.items()}

    def fits(row: Mapping[str, int]) -> bool:
        return allowed({name: factors[name][i] for name, i in row.items()})

    missing = [
        {a: i, b: j} for a, b in combinations(levels, 2) for i, j in product(levels[a], levels[b]) if fits({a: i, b: j})
    ]
    rows: list[Row] = []
    while missing:
        row = dict(missing[0])
        left = {pair for partial in missing for pair in pairs_of(partial)}
        for name in (n for n in levels if n not in row):
            choices = [i for i in levels[name] if fits(row | {name: i})]
            # Ties go to different levels in different rows, so that values are used about equally often.
            row[name] = max(
                choices, key=lambda i: (len(pairs_of(row | {name: i}) & left), (i + len(rows)) % len(choices))
            )
        covered = pairs_of(row)
        missing = [partial for partial in missing if not pairs_of(partial) <= covered]
        rows.append({name: factors[name][row[name]] for name in factors})
    return rows
