import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import treadle
from treadle import _safetensors
from treadle.random_weights import BLOCK_ELEMENTS
from treadle.reference import FAMILIES
from treadle.reference.rounding import round_bf16

TINY = Path(__file__).parents[2] / "models/miniaxion/tiny.json"


def test_the_seed_settles_the_file(tmp_path: Path) -> None:
    files = [tmp_path / name for name in "abc"]
    for file, seed in zip(files, (7, 7, 8)):
        treadle.random_weights(TINY, file, seed=seed)
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()


def test_types_hold_the_same_numbers(tmp_path: Path) -> None:
    found = {}
    for dtype in ("f32", "bf16", "f16"):
        treadle.random_weights(TINY, tmp_path / dtype, dtype=dtype)
        found[dtype] = _safetensors.load(tmp_path / dtype)
    for name, exact in found["f32"].items():
        np.testing.assert_array_equal(found["bf16"][name], round_bf16(exact))
        np.testing.assert_array_equal(found["f16"][name], exact.astype(np.float16))


def test_the_container_is_the_published_one(tmp_path: Path) -> None:
    treadle.random_weights(TINY, tmp_path / "w.safetensors", dtype="f32")
    ours = _safetensors.load(tmp_path / "w.safetensors")
    with safetensors.safe_open(tmp_path / "w.safetensors", "numpy") as file:
        assert set(file.keys()) == set(ours)
        for name in file.keys():
            np.testing.assert_array_equal(file.get_tensor(name), ours[name])


def test_large_tensors_come_in_blocks(tmp_path: Path) -> None:
    config = json.loads(TINY.read_text()) | {"vocab_size": 2 * BLOCK_ELEMENTS // 48}
    (tmp_path / "config.json").write_text(json.dumps(config))
    treadle.random_weights(tmp_path, tmp_path / "w.safetensors")
    embedding = _safetensors.load(tmp_path / "w.safetensors")["token_embedding.weight"]
    assert embedding.size > BLOCK_ELEMENTS
    assert embedding.std() == pytest.approx(0.02, rel=0.01) and abs(embedding.mean()) < 1e-4
    first, second = embedding.reshape(-1)[: 2 * (embedding.size // 2)].reshape(2, -1)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.01


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"model_type": "miniaxion"}', "/n_heads: expected a value, got none"),
        ('{"model_type": "gpt2"}', "/model_type: expected {FAMILIES}, got 'gpt2'"),
        ('{"model_type": ["miniaxion"]}', "/model_type: expected {FAMILIES}, got"),
        ("[1]", "/: expected an object, got"),
        ("{", "Expecting property name"),
        ("[" * 100_000, "maximum recursion depth"),
    ],
)
def test_bad_configs(text: str, message: str, tmp_path: Path) -> None:
    config, out = tmp_path / "config.json", tmp_path / "w.safetensors"
    config.write_text(text)
    with pytest.raises(ValueError) as error:
        treadle.random_weights(config, out)
    message = message.replace("{FAMILIES}", " or ".join(FAMILIES))
    assert str(error.value).startswith(f"{config}: ") and message in str(error.value)
    assert list(tmp_path.iterdir()) == [config]


def test_bad_type(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="dtype: expected f32, bf16, f16, got 'int8'"):
        treadle.random_weights(TINY, tmp_path / "w", dtype="int8")  # type: ignore[arg-type]


def test_an_error_leaves_the_older_file(tmp_path: Path) -> None:
    def blocks() -> Any:
        yield np.zeros(2, np.float32)
        raise OSError("disk full")

    out = tmp_path / "w.safetensors"
    out.write_bytes(b"older")
    with pytest.raises(OSError, match="disk full"):
        _safetensors.save(out, {"a": ("F32", (4,))}, blocks())
    assert out.read_bytes() == b"older" and list(tmp_path.iterdir()) == [out]
