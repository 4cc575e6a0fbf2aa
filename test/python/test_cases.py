from itertools import combinations, product

import numpy as np
from cases import CASES, FACTORS
from pairwise import covering_rows


def test_every_two_options_meet() -> None:
    factors = {"a": (0, 1, 2), "b": "xy", "c": (True, False), "d": (1, 2, 3, 4)}
    rows = covering_rows(factors, lambda row: not (row.get("a") == 2 and row.get("b") == "y"))
    for p, q in combinations(factors, 2):
        met = {(row[p], row[q]) for row in rows}
        assert met == set(product(factors[p], factors[q])) - ({(2, "y")} if (p, q) == ("a", "b") else set())
    assert len(rows) < 20


def test_the_set_of_cases() -> None:
    assert len(CASES) >= 12 and len({case.name for case in CASES}) == len(CASES)
    for key in ("rope_pairing", "rope_theta", "think_blend", "lora_scale", "rms_norm_eps", "weight_tying"):
        assert {case.config[key] for case in CASES} == set(FACTORS[key])
    assert {case.loops for case in CASES} == {1, 2, 3, 4}
    odd = [case for case in CASES if case.config["d_model"] % 16]
    assert len(CASES) // 3 <= len(odd) <= 2 * len(CASES) // 3


def test_windows() -> None:
    for case in CASES:
        assert 60 <= len(case.ids) < case.config["max_seq_len"]
        assert case.ids.min() >= 0 and case.ids.max() < case.config["vocab_size"]
        assert not case.mask[:2].any() and 0.8 < case.mask[2:].mean() < 1
        np.testing.assert_array_equal(case.ids, case.ids)
    assert max(len(case.ids) for case in CASES) > 128 + 16
