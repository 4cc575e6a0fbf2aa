"""Several threads run a call together: the same bits as one, for every family, however a sequence is cut."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import treadle
from cases import FAMILIES


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_threads_give_the_same_bits(
    family: str, dtype: str, tmp_path: Path, compile_library: Callable[..., str | None]
) -> None:
    case = FAMILIES[family].TYPICAL
    config, weights = case.write(tmp_path)
    compile_library(config, weights=weights, out=tmp_path / "m.so", dtype=dtype)
    ids, mask = case.ids, case.mask
    with treadle.load(tmp_path / "m.so", threads=1) as alone:
        assert set(alone.entry_threads.values()) == {1}
        expected = alone.session(poison=True).forward(ids, mask, logits="all")
    for threads in (2, 3):
        with treadle.load(tmp_path / "m.so", threads=threads, all_threads=True) as model:
            assert set(model.entry_threads.values()) == {threads}
            s = model.session(poison=True)
            found = [s.forward(ids[:40], mask[:40], logits="all")]
            found += [s.forward(ids[i : i + 1], mask[i : i + 1], logits="all") for i in range(40, 43)]
            found.append(s.forward(ids[43:], mask[43:], logits="all"))
            assert np.concatenate(found).tobytes() == expected.tobytes()


def test_threads_are_as_many_as_are_worth_it(tmp_path: Path, compile_library: Callable[..., str | None]) -> None:
    """A token of a tiny model is done before a second thread could help; 128 rows of a larger one are not."""
    tiny = FAMILIES["llama"].TYPICAL
    wide = {"hidden_size": 512, "intermediate_size": 1024, "num_attention_heads": 8, "head_dim": 64}
    for case, expected in ((tiny, False), (replace(tiny, config=tiny.config | wide, width=512), True)):
        config, weights = case.write(tmp_path)
        compile_library(config, weights=weights, out=tmp_path / "m.so")
        with treadle.load(tmp_path / "m.so", threads=4) as model:
            assert model.entry_threads["forward", 1] == 1 or expected
            assert (model.entry_threads["forward", 128] > 1) == expected


FORWARD_ON_A_SMALL_STACK = """
import sys, threading, numpy, treadle
def forward():
    with treadle.load(sys.argv[1]) as model:
        model.session().forward(numpy.arange(150) % 30)
        print("done")
threading.stack_size(int(sys.argv[2]) * 1024)
thread = threading.Thread(target=forward)
thread.start()
thread.join()
"""


@pytest.mark.parametrize(
    ("family", "sizes"),
    [
        # Two products of 128 rows share a pass over the weights, whose sums are the most that a product keeps there.
        ("nanohammer", {"hidden_size": 640, "intermediate_size": 1280}),
        # Queries and sums of values of a tile of attention.
        ("llama", {"head_dim": 1024}),
    ],
)
def test_forward_needs_no_more_stack_than_model_h_says(
    family: str, sizes: dict[str, int], tmp_path: Path, compile_library: Callable[..., str | None]
) -> None:
    tiny = FAMILIES[family].TYPICAL
    case = replace(tiny, config=tiny.config | sizes, width=sizes.get("hidden_size", tiny.width))
    config, weights = case.write(tmp_path)
    compile_library(config, weights=weights, out=tmp_path / "m.so", dtype="bf16")

    def run(kilobytes: int) -> str:
        command = [sys.executable, "-c", FORWARD_ON_A_SMALL_STACK, tmp_path / "m.so", str(kilobytes)]
        environment = os.environ | {"PYTHONPATH": str(Path(treadle.__file__).parents[1])}
        return subprocess.run(command, env=environment, capture_output=True, text=True).stdout

    assert run(512) == "done\n"
