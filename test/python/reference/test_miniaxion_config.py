import json
from pathlib import Path
from typing import Any

import pytest
from treadle.reference.miniaxion_config import MiniAxionConfig
from treadle.reference.tensor_spec import parameter_count

PUBLISHED: dict[str, Any] = {
    "d_model": 256,
    "n_heads": 8,
    "n_layers": 6,
    "n_shared_layers": 2,
    "d_ff": 512,
    "lora_rank": 16,
    "vocab_size": 2048,
    "max_seq_len": 512,
    "dropout": 0.05,
    "weight_tying": True,
    "use_thinking_tokens": True,
    "n_thinking_steps": 2,
}


def test_published_parameter_count() -> None:
    tensors = MiniAxionConfig.from_dict(PUBLISHED).tensors()
    assert parameter_count(tensors) == 920_833
    assert len(tensors) == 6 * 16 + 3


def test_defaults() -> None:
    required = ("d_model", "n_heads", "n_layers", "d_ff", "vocab_size", "max_seq_len")
    config = MiniAxionConfig.from_dict({key: PUBLISHED[key] for key in required})
    assert config == MiniAxionConfig.from_dict(PUBLISHED)
    assert (config.n_kv_heads, config.rms_norm_eps, config.rope_theta) == (4, 1e-6, 10000.0)
    assert (config.rope_pairing, config.lora_scale, config.think_blend) == ("half", 1.0, "pass")
    for key in required:
        with pytest.raises(ValueError, match=f"/{key}: expected"):
            MiniAxionConfig.from_dict({k: PUBLISHED[k] for k in required if k != key})


@pytest.mark.parametrize(
    ("layers", "split"), [((6, 2), (2, 2, 2)), ((3, 2), (0, 2, 1)), ((5, 2), (1, 2, 2)), ((2, 2), (0, 2, 0))]
)
def test_layer_split(layers: tuple[int, int], split: tuple[int, int, int]) -> None:
    config = MiniAxionConfig.from_dict(PUBLISHED | dict(zip(("n_layers", "n_shared_layers"), layers)))
    assert tuple(len(stack) for stack in config.blocks().values()) == split


def test_shapes_fill_in_what_is_absent_or_null() -> None:
    settled = {
        "d_model": 48,
        "n_layers": 5,
        "n_shared_layers": 1,
        "n_kv_heads": 1,
        "d_ff": 70,
        "lora_rank": 3,
        "vocab_size": 90,
        "weight_tying": False,
        "use_thinking_tokens": False,
    }
    config = MiniAxionConfig.from_dict(PUBLISHED | settled)
    shapes = {name: spec.shape for name, spec in config.tensors().items()}
    open_config = {"n_heads": 8, "max_seq_len": 512} | dict.fromkeys(settled)
    assert MiniAxionConfig.from_dict(open_config, shapes) == config
    for key, value in settled.items():
        wrong = not value if isinstance(value, bool) else value + 1
        with pytest.raises(ValueError, match=f"/{key}: expected {value} as the weights have it, got {wrong}"):
            MiniAxionConfig.from_dict(open_config | {key: wrong}, shapes)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("d_model", 0, "expected an integer in 2 ... 65536, got 0"),
        ("d_ff", -4, "expected an integer in 1 ... 1048576, got -4"),
        ("vocab_size", 2.5, "expected an integer in 1 ... 16777216, got 2.5"),
        ("max_seq_len", True, "expected an integer in 1 ... 16777216, got True"),
        ("n_heads", 3, "expected an even head dimension"),
        ("n_kv_heads", 3, "3 does not divide n_heads 8"),
        ("n_shared_layers", 7, "expected at most n_layers 6, got 7"),
        ("rms_norm_eps", 0, "expected a number in 1e-20 ... 1, got 0"),
        ("rope_theta", float("nan"), "expected a number in 1 ... 1000000000000, got nan"),
        ("weight_tying", 1, "expected true or false, got 1"),
        ("rope_pairing", "split", "expected half or interleaved, got 'split'"),
        ("think_blend", "block", "expected pass or layer, got 'block'"),
    ],
)
def test_bad_values(key: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^/{key}: {message}"):
        MiniAxionConfig.from_dict(PUBLISHED | {key: value})


def test_tiny_config() -> None:
    path = Path(__file__).parents[3] / "models/miniaxion/tiny.json"
    config = MiniAxionConfig.from_dict(json.loads(path.read_text()))
    assert parameter_count(config.tensors()) < 40_000
