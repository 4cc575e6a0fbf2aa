"""What a masked token brings leaves no trace in the rows of others, whatever it is: NaN too."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from single_op import CUTS, SingleOp, Weight, run

COUNT = 150
MASK = (np.arange(COUNT) > 1) & (np.arange(COUNT) % 7 != 5)

AT = "at %position valid %valid"
KEYS = f"""
treadle.append %k, %keys {AT} : $k, $keys
treadle.append %v, %values {AT} : $v, $values
"""
HEADS = "{heads = 2 : i64, kv_heads = 1 : i64, scale = 0.5 : f32"
KEY_VALUE = {"keys": "append, $capacityx10xf32, panels", "values": "append, $capacityx10xf32"}

# Text, columns of the result and of each activation, states, weights.
OPS: dict[str, tuple[str, int, dict[str, int], dict[str, str], dict[str, Weight]]] = {
    "attention": (
        f"""{KEYS}
        %y = treadle.attention %q, %keys, %values, %mask {AT} {HEADS}}}
          : ($q, $keys, $values, $mask, index, index) -> $y
        """,
        20,
        {"q": 20, "k": 10, "v": 10},
        KEY_VALUE,
        {},
    ),
    **{
        f"attention of {lane}": (
            f"""{KEYS}
            treadle.append %o, %other_keys {AT} : $o, $other_keys
            treadle.append %o, %others {AT} : $o, $others
            %y = treadle.attention %q, %keys, %values, %mask {AT} lane %other_keys, %others {HEADS}{attribute}}}
              : ($q, $keys, $values, $mask, index, index, $other_keys, $others) -> $y
            """,
            20,
            {"q": 20, "k": 10, "v": 10, "o": 10},
            KEY_VALUE | {"other_keys": KEY_VALUE["keys"], "others": KEY_VALUE["values"]},
            {},
        )
        for lane, attribute in (("two lanes", ""), ("an own lane", ", own"))
    },
    "cope_bias": (
        f"""{KEYS}
        %b = treadle.cope_bias %q, %z, %keys, %mask {AT} {{heads = 1 : i64}}
          : ($q, $z, $keys, $mask, index, index) -> tensor<?xCAPACITYxf32>
        %y = treadle.attention %q, %keys, %values, %mask {AT} bias %b
               {{heads = 1 : i64, kv_heads = 1 : i64, scale = 0.5 : f32}}
          : ($q, $keys, $values, $mask, index, index, tensor<?xCAPACITYxf32>) -> $y
        """.replace("CAPACITY", str(2 * COUNT)),
        10,
        {"q": 10, "k": 10, "v": 10, "z": 40},
        KEY_VALUE,
        {},
    ),
    "causal_conv": (
        f"""
        %y = treadle.causal_conv %x, %w, %ring, %mask {AT} {{activation = #treadle.activation<silu>}}
          : ($x, $w, $ring, $mask, index, index) -> $y
        """,
        37,
        {"x": 37},
        {"ring": "ring, 3x37xf32"},
        {"w": Weight(np.random.default_rng(1).normal(size=(37, 4)))},
    ),
    "running_sum": (
        f"""
        treadle.running_sum %x, %sums, %mask {AT} : $x, $sums, $mask
        %y = treadle.read_rows %sums {AT} {{lag = 0 : i64}} : ($sums, index, index) -> $y
        """,
        37,
        {"x": 37},
        {"sums": "append, $capacityx37xf32"},
        {},
    ),
    "gated_delta_rule": (
        f"""
        %y = treadle.gated_delta_rule %q, %k, %v, %beta, %decay, %s, %mask {AT}
               {{heads = 2 : i64, key_heads = 1 : i64}}
          : ($q, $k, $v, $beta, $decay, $s, $mask, index, index) -> $y
        """,
        18,
        {"q": 7, "k": 7, "v": 18, "beta": 2, "decay": 2},
        {"s": "fixed, 2x7x9xf32"},
        {},
    ),
}


@pytest.mark.filterwarnings("ignore:.*holds NaN or infinity")
@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, {}) for name in OPS), ("gated_delta_rule", {"recurrence_form": "chunked"})],
    ids=lambda value: value if isinstance(value, str) else "-".join(value.values()) or "plain",
)
def test_masked_tokens_leave_no_trace(
    name: str, options: dict[str, str], compile_library: Callable[..., None], tmp_path: Path
) -> None:
    leave_no_trace(name, CUTS, compile_library, tmp_path, **options)


@pytest.mark.filterwarnings("ignore:.*holds NaN or infinity")
def test_masked_tokens_leave_no_trace_in_chunks_on_a_gpu(
    compile_library: Callable[..., None], tmp_path: Path, driver_file: Path
) -> None:
    load = {"device": "cuda", "cuda_driver": driver_file}
    options = {"recurrence_form": "chunked", "target": "cpu,cuda", "gpu": "emulated", "load": load}
    leave_no_trace("gated_delta_rule", [(37, 70)], compile_library, tmp_path, **options)


def leave_no_trace(
    name: str, cuts: Sequence[Sequence[int]], compile_library: Callable[..., None], tmp_path: Path, **options: Any
) -> None:
    text, columns, inputs, states, weights = OPS[name]
    generator = np.random.default_rng(2)
    # Token COUNT + i stands for the i-th, and is NaN.
    rows = {
        name: np.concatenate([generator.uniform(-0.5, 0, (COUNT, width)), np.full((COUNT, width), np.nan)])
        for name, width in inputs.items()
    }
    op = SingleOp(text, columns, rows, weights, states)
    ids = np.arange(COUNT)
    with op.library(compile_library, tmp_path, **options) as model:
        for lengths in ((COUNT,), *cuts):
            clean, spoiled = (
                run(op, model, MASK, lengths, tokens) for tokens in (ids, np.where(MASK, ids, COUNT + ids))
            )
            assert np.isfinite(clean).all()
            assert spoiled[MASK].tobytes() == clean[MASK].tobytes(), lengths
