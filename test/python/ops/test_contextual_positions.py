"""cope_bias, and attention with a bias, of compiled libraries against the reference."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from single_op import SingleOp, check
from treadle import reference

# Rows, heads, width of a key, width of a value, contextual positions.
SHAPES = [(5, 1, 4, 4, 3), (37, 3, 7, 5, 12), (150, 2, 16, 17, 40)]
shapes = pytest.mark.parametrize(("count", "heads", "width", "value_width", "places"), SHAPES)


def some(count: int) -> NDArray[np.bool_]:
    """Without the first token and every fifth."""
    return (np.arange(count) > 0) & (np.arange(count) % 5 != 3)


def attending(count: int, heads: int, width: int, value_width: int, places: int) -> SingleOp:
    """Attention with a contextual bias: what lies behind a row is unspecified in the bias alone."""
    text = """
      treadle.append %k, %keys at %position valid %valid : $k, $keys
      treadle.append %v, %values at %position valid %valid : $v, $values
      %b = treadle.cope_bias %q, %z, %keys, %mask at %position valid %valid {heads = HEADS : i64}
        : ($q, $z, $keys, $mask, index, index) -> tensor<?xCOLUMNSxf32>
      %y = treadle.attention %q, %keys, %values, %mask at %position valid %valid bias %b
             {heads = HEADS : i64, kv_heads = HEADS : i64, scale = 0.5 : f32}
        : ($q, $keys, $values, $mask, index, index, tensor<?xCOLUMNSxf32>) -> $y
    """
    generator = np.random.default_rng(count)
    columns = {"q": width, "k": width, "v": value_width, "z": places}
    rows = {name: generator.normal(size=(count, heads * size)) for name, size in columns.items()}
    # Keys last: whoever reads behind them leaves the session's memory.
    sizes = {"values": value_width, "keys": width}
    states = {name: f"append, $capacityx{heads * size}xf32" for name, size in sizes.items()}
    states["keys"] += ", panels"
    text = text.replace("HEADS", str(heads)).replace("COLUMNS", str(heads * count))
    return SingleOp(text, heads * value_width, rows, states=states)


@shapes
@pytest.mark.parametrize("masked", [False, True])
def test_contextual_positions(
    count: int,
    heads: int,
    width: int,
    value_width: int,
    places: int,
    masked: bool,
    compile_library: Callable[..., None],
    tmp_path: Path,
    on_device: dict[str, Any],
) -> None:
    mask = some(count) if masked else None

    def expected(q: NDArray, k: NDArray, v: NDArray, z: NDArray) -> NDArray:
        q, k, v, z = (rows.reshape(count, heads, -1) for rows in (q, k, v, z))
        bias = reference.cope_bias(q, z, k, mask=mask)
        return reference.attention(q, k, v, mask=mask, scale=0.5, bias=bias)

    check(attending(count, heads, width, value_width, places), expected, compile_library, tmp_path, mask, **on_device)


def test_extreme_gates_stay_inside_the_table(compile_library: Callable[..., None], tmp_path: Path) -> None:
    """Gates of 0 and 1, and NaN: each reads the table, never what lies beside it."""
    op = attending(20, 1, 4, 4, 3)
    op.rows["q"][:10] *= 1e4
    op.rows["k"][15] = np.nan
    with op.library(compile_library, tmp_path) as model:
        found = op.outputs(model.session(poison=True).forward(np.arange(20), logits="all"))
    assert np.isfinite(found[:15]).all() and np.isnan(found[15:]).all()


def test_a_bias_counts(compile_library: Callable[..., None], tmp_path: Path, on_device: dict[str, Any]) -> None:
    """A large bias on one key makes a row answer that key's value, in each head on another."""
    count, heads = 21, 2
    bias = np.zeros((count, heads, count))
    chosen = np.arange(count)[:, None] // [2, 3]
    bias[np.arange(count)[:, None], np.arange(heads), chosen] = 1e3
    generator = np.random.default_rng(3)
    op = SingleOp(
        """
        treadle.append %k, %keys at %position valid %valid : $k, $keys
        treadle.append %k, %values at %position valid %valid : $k, $values
        %y = treadle.attention %q, %keys, %values, %mask at %position valid %valid bias %b
               {heads = 2 : i64, kv_heads = 1 : i64, scale = 0.5 : f32}
          : ($q, $keys, $values, $mask, index, index, $b) -> $y
        """,
        heads * 6,
        {
            "q": generator.normal(size=(count, heads * 6)),
            "k": generator.normal(size=(count, 6)),
            "b": bias.reshape(count, -1),
        },
        states={"keys": "append, $capacityx6xf32, panels", "values": "append, $capacityx6xf32"},
    )
    check(op, lambda q, k, b: k[chosen], compile_library, tmp_path, **on_device)
