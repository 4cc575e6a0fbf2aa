"""Look-ups by tokens of compiled libraries against the reference."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from single_op import SingleOp, Weight, check
from treadle import reference


@pytest.mark.parametrize("packing", ["plain", "panels"])
@pytest.mark.parametrize("element", reference.STORAGES)
@pytest.mark.parametrize(("count", "columns"), [(5, 1), (21, 37), (150, 48), (40, 66)])
def test_embedding(
    count: int,
    columns: int,
    element: reference.Storage,
    packing: str,
    compile_library: Callable[..., None],
    tmp_path: Path,
) -> None:
    """Row i is that of token i."""
    table = np.random.default_rng(count).normal(size=(count, columns))
    op = SingleOp(
        "%y = treadle.embedding %ids, %table : (tensor<?xi32>, $table) -> $y",
        columns,
        {"x": table},
        {"table": Weight(table, packing, element)},
    )
    check(
        op,
        lambda x, table: reference.embedding(np.arange(count), table, element),
        compile_library,
        tmp_path,
        tolerance=0,
    )


@pytest.mark.parametrize("packing", ["plain", "panels"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("element", ["f32", "bf16"])
@pytest.mark.parametrize(("count", "width", "window"), [(5, 3, 1), (40, 16, 3), (21, 37, 4), (20, 50, 2)])
def test_ngram_embedding(
    count: int,
    width: int,
    window: int,
    element: str,
    masked: bool,
    packing: str,
    compile_library: Callable[..., None],
    tmp_path: Path,
) -> None:
    """Before the first token stands a history of zeros: token 0."""
    mask = np.arange(count) % 4 != 1 if masked else None
    table = np.random.default_rng(count).normal(size=(count, width))
    op = SingleOp(
        f"""
        treadle.append %ids, %tokens at %position valid %valid : tensor<?xi32>, $tokens
        %y = treadle.ngram_embedding %table, %tokens, %mask, %history at %position valid %valid {{window = {window} : i64}}
          : ($table, $tokens, $mask, $history, index, index) -> $y
        """,
        window * width,
        {"x": table},
        {"table": Weight(table, packing, element)},
        {"tokens": "append, $capacityxi32", "history": f"fixed, {max(window - 1, 1)}xi32"},
    )

    def expected(x: NDArray, table: NDArray) -> NDArray:
        ids = np.arange(count) if mask is None else np.where(mask, np.arange(count), -1)
        return reference.ngram_embedding(np.concatenate([np.zeros(window - 1, int), ids]), table, window, element)

    check(op, expected, compile_library, tmp_path, mask, tolerance=0)
