"""Models that remember more than keys and values stay close to float64 over thousands of tokens."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import treadle
from cases import FAMILIES, Case
from error_curve import decoded, error_curve
from judge import f32_tolerance

LONG = {name: family.LONG for name, family in FAMILIES.items() if hasattr(family, "LONG")}


@pytest.mark.parametrize("case", LONG.values(), ids=LONG.keys())
def test_4096_tokens_one_by_one(
    case: Case,
    compile_library: Callable[..., None],
    tmp_path: Path,
    report_curves: Callable[..., None],
    report_error: Callable[[str, float, float], None],
) -> None:
    config, weights = case.write(tmp_path)
    compile_library(config, weights=weights, out=tmp_path / "m.so", max_context=case.context)
    ids = np.random.default_rng(case.seed).integers(0, case.config["vocab_size"], 4096)
    expected = case.logits(case.reference(weights), ids)
    single = error_curve(case.logits(case.reference(weights, np.float32), ids), expected)
    with treadle.load(tmp_path / "m.so") as model:
        curve = error_curve(decoded(model.session(), ids), expected)
    report_curves(case.name, {"library": curve, "NumPy float32": single})
    worst, rounding = (max(error for _, error in points) for points in (curve, single))
    report_error(f"f32 {case.name}, 4096 tokens one by one", worst, f32_tolerance(rounding))
