"""Every option of a config shows in the logits, far above the tolerance: no test passes with an option ignored."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import CASES, FACTORS, Case
from judge import f32_tolerance, relative_error
from treadle import _safetensors
from treadle.reference import MiniAxion

OPTIONS = ("rope_pairing", "rope_theta", "lora_scale", "rms_norm_eps", "think_blend")


def flips(case: Case) -> dict[str, tuple[dict[str, Any], int, str | None]]:
    """What can change without new tensors: config, loops and the tensor that is no longer used."""
    config, loops = case.config, case.loops
    thinks = config["use_thinking_tokens"] and loops > 1
    found: dict[str, tuple[dict[str, Any], int, str | None]] = {}
    for option in OPTIONS:
        if option != "think_blend" or thinks:
            first, second = FACTORS[option]
            found[option] = (config | {option: second if config[option] == first else first}, loops, None)
    if config["use_thinking_tokens"]:
        found["loops"] = (config, loops % 4 + 1, None)
    if thinks:
        found["use_thinking_tokens"] = (config | {"use_thinking_tokens": False}, loops, "think_gate")
    if not config["weight_tying"]:
        found["weight_tying"] = (config | {"weight_tying": True}, loops, "output_head.weight")
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_flipping_an_option_shows(case: Case, tmp_path: Path) -> None:
    tensors = _safetensors.load(case.write(tmp_path)[1])
    ids = case.ids[:60]

    def logits(config: dict[str, Any], loops: int, unused: str | None = None, dtype: type = np.float64) -> np.ndarray:
        used = {name: tensor for name, tensor in tensors.items() if name != unused}
        return MiniAxion(config, used, dtype).forward(ids, n_think_loops=loops)[0]

    expected = logits(case.config, case.loops)
    tolerance = f32_tolerance(relative_error(logits(case.config, case.loops, dtype=np.float32), expected))
    for option, flipped in flips(case).items():
        assert relative_error(logits(*flipped), expected) >= 10 * tolerance, option


def test_every_option_is_flipped() -> None:
    assert set().union(*map(flips, CASES)) == {*OPTIONS, "loops", "use_thinking_tokens", "weight_tying"}
