from itertools import combinations, product

import numpy as np
import pytest
from cases import CASES, FAMILIES
from pairwise import covering_rows
from treadle import reference


def test_every_two_options_meet() -> None:
    factors = {"a": (0, 1, 2), "b": "xy", "c": (True, False), "d": (1, 2, 3, 4)}
    rows = covering_rows(factors, lambda row: not (row.get("a") == 2 and row.get("b") == "y"))
    for p, q in combinations(factors, 2):
        met = {(row[p], row[q]) for row in rows}
        assert met == set(product(factors[p], factors[q])) - ({(2, "y")} if (p, q) == ("a", "b") else set())
    assert len(rows) < 20


def test_every_family_has_cases() -> None:
    assert set(FAMILIES) == set(reference.FAMILIES)
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_set_of_cases(family: str) -> None:
    cases = FAMILIES[family].CASES
    assert len(cases) >= 12 and {case.family for case in cases} == {family}
    for key, levels in FAMILIES[family].FACTORS.items():
        found = [case.config[key] for case in cases if key in case.config]
        assert not found or all(level in found for level in levels), key
    odd = [case for case in cases if case.width % 16]
    assert len(cases) // 3 <= len(odd) <= 2 * len(cases) // 3


def test_windows() -> None:
    for case in CASES:
        assert 60 <= len(case.ids) < case.context
        assert case.ids.min() >= 0 and case.ids.max() < case.config["vocab_size"]
        assert not case.mask[:2].any() and 0.8 < case.mask[2:].mean() < 1
        np.testing.assert_array_equal(case.ids, case.ids)


@pytest.mark.parametrize("family", FAMILIES)
def test_windows_pass_two_row_counts(family: str) -> None:
    assert max(len(case.ids) for case in FAMILIES[family].CASES) > 256 + 16
