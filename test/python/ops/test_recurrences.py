"""Convolutions over tokens and the gated delta rule in both forms, compiled, against the reference."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pairwise import Row, covering_rows
from single_op import SingleOp, Weight, check, run
from treadle import reference

Compile = Callable[..., None]


def normal(seed: int, *shape: int) -> NDArray:
    return np.random.default_rng(seed).normal(size=shape)


def some(count: int) -> NDArray[np.bool_]:
    """A mask without the first token and every seventh."""
    position = np.arange(count)
    return (position > 0) & (position % 7 != 6)


CONVOLUTIONS = covering_rows(
    {
        "size": [(21, 37), (150, 70)],
        "taps": (2, 4, 5),
        "name": ("silu", "identity"),
        "masked": (True, False),
    },
    lambda row: True,
)


@pytest.mark.parametrize("row", CONVOLUTIONS, ids=str)
def test_causal_conv(row: Row, compile_library: Compile, tmp_path: Path) -> None:
    (count, columns), taps, name = row["size"], row["taps"], row["name"]
    op = SingleOp(
        f"""%y = treadle.causal_conv %x, %w, %ring, %mask at %position valid %valid
      {{activation = #treadle.activation<{name}>}} : ($x, $w, $ring, $mask, index, index) -> $y""",
        columns,
        {"x": normal(1, count, columns)},
        {"w": Weight(normal(2, columns, taps))},
        {"ring": f"ring, {taps - 1}x{columns}xf32"},
    )
    mask = some(count) if row["masked"] else np.ones(count, bool)

    def expected(x: NDArray, w: NDArray) -> NDArray:
        return reference.causal_conv(x, w, mask, name=None if name == "identity" else name)

    check(op, expected, compile_library, tmp_path, mask)


def test_nothing_stands_before_the_sequence(compile_library: Compile, tmp_path: Path) -> None:
    """Whatever a caller leaves in the ring of an empty session."""
    op = SingleOp(
        """%y = treadle.causal_conv %x, %w, %ring, %mask at %position valid %valid
      {activation = #treadle.activation<identity>} : ($x, $w, $ring, $mask, index, index) -> $y""",
        20,
        {"x": normal(1, 21, 20)},
        {"w": Weight(normal(2, 20, 4))},
        {"ring": "ring, 3x20xf32"},
    )
    with op.library(compile_library, tmp_path) as model:
        for first in (1, 2, 3, 21):
            session = model.session(poison=True)
            session.set_states({"ring": np.full((3, 20), 7.0)})
            found = [session.forward(ids, logits="all") for ids in np.split(np.arange(21), [first]) if len(ids)]
            assert op.outputs(np.concatenate(found)).tobytes() == run(op, model).tobytes()


RULES = covering_rows(
    {
        # Heads, key heads, key width, value width, rows. Of the last, a GPU's chunks have 16 rows.
        "size": [(4, 2, 7, 9, 21), (2, 2, 16, 32, 150), (6, 2, 13, 70, 150), (2, 1, 20, 150, 90)],
        "masked": (True, False),
        "decay": (0.0, 0.1, 60.0),
        "form": ("auto", "chunked"),
    },
    lambda row: True,
)


@pytest.mark.parametrize("row", RULES, ids=str)
def test_gated_delta_rule(row: Row, compile_library: Compile, tmp_path: Path, on_device: dict[str, Any]) -> None:
    (heads, key_heads, d, e, count), form = row["size"], row["form"]
    if on_device:
        # Fewer rows, since the CPU runs its threads one by one; of several chunks.
        count = min(count, 90 if form == "chunked" else 24)
    op = SingleOp(
        f"""%y = treadle.gated_delta_rule %q, %k, %v, %beta, %decay, %s, %mask at %position valid %valid
      {{heads = {heads} : i64, key_heads = {key_heads} : i64}}
      : ($q, $k, $v, $beta, $decay, $s, $mask, index, index) -> $y""",
        heads * e,
        {
            "q": reference.l2_norm(normal(1, count, key_heads * d), 1e-6, key_heads),
            "k": reference.l2_norm(normal(2, count, key_heads * d), 1e-6, key_heads),
            "v": normal(3, count, heads * e),
            "beta": np.random.default_rng(4).uniform(size=(count, heads)),
            "decay": -row["decay"] * np.random.default_rng(5).uniform(size=(count, heads)),
        },
        states={"s": f"fixed, {heads}x{d}x{e}xf32"},
    )
    mask = some(count) if row["masked"] else np.ones(count, bool)
    rule = reference.gated_delta_rule_chunked if form == "chunked" else reference.gated_delta_rule

    def expected(q: NDArray, k: NDArray, v: NDArray, beta: NDArray, decay: NDArray) -> NDArray:
        keys, values = (count, key_heads, d), (count, heads, e)
        return rule(q.reshape(keys), k.reshape(keys), v.reshape(values), beta, decay, mask=mask)[0]

    check(op, expected, compile_library, tmp_path, mask, keeps_bits=form != "chunked", recurrence_form=form, **on_device)


def test_the_forms_differ(compile_library: Compile, tmp_path: Path) -> None:
    """Or the option would have no effect."""
    text = """%y = treadle.gated_delta_rule %k, %k, %v, %beta, %decay, %s, %mask at %position valid %valid
      {heads = 1 : i64, key_heads = 1 : i64} : ($k, $k, $v, $beta, $decay, $s, $mask, index, index) -> $y"""
    rows = {"k": reference.l2_norm(normal(2, 40, 8), 1e-6), "v": normal(3, 40, 8)}
    rows |= {"beta": np.full((40, 1), 0.5), "decay": np.full((40, 1), -0.1)}
    op = SingleOp(text, 8, rows, states={"s": "fixed, 1x8x8xf32"})
    found = []
    for form in ("sequential", "chunked"):
        (tmp_path / form).mkdir()
        with op.library(compile_library, tmp_path / form, recurrence_form=form) as model:
            found.append(model.session().forward(np.arange(40), logits="all"))
    assert 0 < np.abs(found[0] - found[1]).max() < 1e-5


def test_where_chunks_end(compile_library: Compile, tmp_path: Path, on_device: dict[str, Any]) -> None:
    """At multiples of their rows.

    Masked tokens in front leave no trace, so that only where chunks end can tell a cut behind them.
    """
    chunk = 32 if on_device else 64
    text = """%y = treadle.gated_delta_rule %k, %k, %v, %beta, %decay, %s, %mask at %position valid %valid
      {heads = 1 : i64, key_heads = 1 : i64} : ($k, $k, $v, $beta, $decay, $s, $mask, index, index) -> $y"""
    count, absent = 2 * chunk, chunk * 3 // 4
    rows = {"k": reference.l2_norm(normal(2, count, 8), 1e-6), "v": normal(3, count, 8)}
    rows |= {"beta": np.full((count, 1), 0.5), "decay": np.full((count, 1), -0.1)}
    op = SingleOp(text, 8, rows, states={"s": "fixed, 1x8x8xf32"})
    mask = np.arange(count) >= absent
    options = {"recurrence_form": "chunked", "rows": [1, count]} | on_device
    with op.library(compile_library, tmp_path, **options) as model:
        whole = run(op, model, mask)
        assert run(op, model, mask, (absent, count - absent)).tobytes() == whole.tobytes()
        assert run(op, model, mask, (chunk, *[chunk // 4] * 4)).tobytes() != whole.tobytes()
