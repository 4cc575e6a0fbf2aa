"""treadle.compile: what it passes on, returns and raises."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import treadle
from treadle import _safetensors

CONFIG = Path(__file__).parents[2] / "models/miniaxion/tiny.json"

Compile = Callable[..., str | None]


@pytest.mark.parametrize("stored", ["bf16", "f16"])
@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_weights_are_the_same_numbers_however_they_are_stored(
    stored: Literal["bf16", "f16"], dtype: str, compile_library: Compile, tmp_path: Path
) -> None:
    short, wide = tmp_path / "short.safetensors", tmp_path / "wide.safetensors"
    treadle.random_weights(CONFIG, short, dtype=stored)
    tensors = _safetensors.load(short)
    _safetensors.save(wide, {name: ("F32", values.shape) for name, values in tensors.items()}, tensors.values())
    for weights in (short, wide):
        compile_library(CONFIG, weights, weights.with_suffix(".weights"), dtype, pack=True)
    assert short.with_suffix(".weights").read_bytes() == wide.with_suffix(".weights").read_bytes()


@pytest.mark.parametrize("option", ["out", "weights", "dtype", "cpu", "symbol_prefix"])
def test_an_empty_text_is_no_value(option: str, compile_library: Compile) -> None:
    with pytest.raises(treadle.CompileError, match=f"^{option}: expected a value, got an empty text$"):
        compile_library(CONFIG, **{option: ""})


@pytest.mark.parametrize("option", ["max_context", "max_loops"])
def test_zero_is_no_default(option: str, compile_library: Compile) -> None:
    with pytest.raises(treadle.CompileError, match=f"^{option}: expected a positive number, got 0$"):
        compile_library(CONFIG, to="model", **{option: 0})


def test_text_of_a_phase(compile_library: Compile) -> None:
    text = compile_library(CONFIG, dtype="bf16", to="model")
    assert text is not None and "!treadle.weight<97x48xbf16, panels>" in text


def test_phase_into_a_file_and_from_it(compile_library: Compile, tmp_path: Path) -> None:
    model = tmp_path / "model.mlir"
    assert compile_library(CONFIG, to="model", out=model) is None
    text = compile_library(model, from_phase="model", to="program", rows=[1, 4])
    assert text is not None and "@forward_4(" in text


def test_error_is_the_compilers_line(compile_library: Compile, tmp_path: Path) -> None:
    out = tmp_path / "m.so"
    with pytest.raises(treadle.CompileError, match="^--dtype: int8 is not supported yet; use f32 or bf16$"):
        compile_library(CONFIG, out=out, dtype="int8")
    with pytest.raises(treadle.CompileError, match="none.safetensors: "):
        compile_library(CONFIG, weights="none.safetensors", out=out)
    with pytest.raises(treadle.CompileError, match="without a NUL"):
        compile_library("a\0b")
    assert not list(tmp_path.iterdir())


def test_warnings_are_pythons(compile_library: Compile) -> None:
    with pytest.warns(UserWarning, match="--max-context: 1000 is more than the 192 positions"):
        compile_library(CONFIG, max_context=1000, to="model")
    with warnings.catch_warnings(action="error"), pytest.raises(UserWarning):
        compile_library(CONFIG, max_context=1000, to="model")


def test_progress(compile_library: Compile) -> None:
    seen: list[float] = []
    compile_library(CONFIG, to="stages", progress=lambda step, done: seen.append(done))
    assert seen == sorted(seen) and seen[0] == 0 and seen[-1] == 1


def test_exception_of_progress_comes_through(compile_library: Compile) -> None:
    def fail(step: str, done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compile_library(CONFIG, to="model", progress=fail)


def test_no_compiler(tmp_path: Path) -> None:
    with pytest.raises(treadle.CompileError, match="cannot load the compiler"):
        treadle.compile(CONFIG, library=tmp_path / "libTreadle.so")
