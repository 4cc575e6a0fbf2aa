"""Every option of a config shows in the logits, far above the tolerance: no test passes with an option ignored."""

from pathlib import Path

import numpy as np
import pytest
from cases import CASES, FAMILIES, Case, Flip
from judge import f32_tolerance, relative_error
from treadle import _safetensors, reference


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_flipping_an_option_shows(case: Case, tmp_path: Path) -> None:
    tensors = _safetensors.load(case.write(tmp_path)[1])

    def logits(flip: Flip, dtype: type = np.float64) -> np.ndarray:
        used = {name: tensor for name, tensor in tensors.items() if name not in flip.unused}
        model = reference.FAMILIES[case.family](flip.config, used, dtype)
        return case.logits(model, case.ids[:60], loops=flip.loops)

    expected = logits(Flip(case.config))
    tolerance = f32_tolerance(relative_error(logits(Flip(case.config), np.float32), expected))
    for option, flip in FAMILIES[case.family].flips(case).items():
        assert relative_error(logits(flip), expected) >= 10 * tolerance, option


@pytest.mark.parametrize("family", FAMILIES)
def test_every_option_is_flipped(family: str) -> None:
    cases = FAMILIES[family]
    assert set().union(*map(cases.flips, cases.CASES)) == cases.OPTIONS
