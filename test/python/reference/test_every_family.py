"""What holds for the reference of each family."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from cases import CASES, FAMILIES, Case
from judge import BF16_TOLERANCE, bf16_tolerance, relative_error, typical_error
from treadle import reference

ROOT = Path(__file__).parents[3]

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
each_family = pytest.mark.parametrize("case", [f.TYPICAL for f in FAMILIES.values()], ids=lambda case: case.family)


@pytest.fixture
def weights(case: Case, tmp_path: Path) -> Path:
    return case.write(tmp_path)[1]


@each_case
def test_rounding_to_bf16_can_be_judged(case: Case, weights: Path) -> None:
    """Evaluated in float32, the reference meets the bars that bf16 libraries are held to; without rounding it fails
    the tight one, so that one would notice a library that rounds otherwise."""
    rounded = case.reference(weights, storage="bf16")
    single = case.reference(weights, np.float32, "bf16")
    unrounded = case.reference(weights)

    short = case.short_windows
    expected = case.logits(rounded, short)
    assert typical_error(case.logits(single, short), expected) < BF16_TOLERANCE / 10
    assert typical_error(case.logits(unrounded, short), expected) > BF16_TOLERANCE

    ids = case.ids[:64]
    expected = case.logits(rounded, ids)
    cost = relative_error(expected, case.logits(unrounded, ids))
    assert relative_error(case.logits(single, ids), expected) < bf16_tolerance(cost)


@each_family
def test_float32_stays_float32(case: Case, weights: Path) -> None:
    for storage in ("f32", "bf16"):
        assert case.logits(case.reference(weights, np.float32, storage), case.ids[:5]).dtype == np.float32


@each_family
def test_batches_and_masks(case: Case, weights: Path) -> None:
    model = case.reference(weights)
    ids = case.ids[:24].reshape(3, 8)
    mask = np.ones_like(ids)
    mask[1, :3] = 0
    together = case.logits(model, ids, mask)
    assert together.shape == (3, 8, case.vocabulary)
    assert model.forward(ids)[1] is None
    for row, row_mask, logits in zip(ids, mask, together):
        np.testing.assert_array_equal(case.logits(model, row, row_mask), logits)

    # A masked token is never attended and enters no state: what it is does not show in later rows.
    other = ids.copy()
    other[1, :3] = (other[1, :3] + 1) % model.config.vocab_size
    changed = case.logits(model, other, mask)
    np.testing.assert_array_equal(changed[1, 3:], together[1, 3:])
    assert relative_error(changed[1, :3], together[1, :3]) > 0.01
    assert relative_error(case.logits(model, ids)[1], together[1]) > 0.01


@each_family
def test_loss_by_hand(case: Case, weights: Path) -> None:
    """Cross-entropy of each row against the next label, the ignored ones left out, smoothed."""
    model = case.reference(weights)
    smoothing, ignored = model.label_smoothing, model.ignore_index
    ids, labels = case.ids[:6], np.array([3, 5, ignored, 2, ignored, 7])
    logits, loss = model.forward(ids, labels=labels)
    terms = []
    for row, label in zip(logits[:-1], labels[1:]):
        log_p = row - math.log(sum(math.exp(x) for x in row))
        if label != ignored:
            terms.append(-(1 - smoothing) * log_p[label] - (smoothing and smoothing * sum(log_p) / len(log_p)))
    assert len(terms) == 3 and loss == pytest.approx(sum(terms) / 3, rel=1e-12)


@each_family
def test_bad_windows(case: Case, weights: Path) -> None:
    model = case.reference(weights)
    with pytest.raises(ValueError, match="expected token ids in 0 ... "):
        model.forward(np.array([0, model.config.vocab_size]))
    with pytest.raises(ValueError, match="expected token ids in 0 ... "):
        model.forward(np.array([-1]))
    if not case.is_endless:
        with pytest.raises(ValueError, match="expected at most .* tokens"):
            model.forward(np.zeros(case.context + 1, int))


@each_family
def test_bad_tensors(case: Case, weights: Path) -> None:
    model = case.reference(weights)
    tensors = model._weights
    name = list(tensors)[len(tensors) // 2]
    with pytest.raises(ValueError, match=f"{name}: expected a tensor of shape .* got none"):
        type(model)(case.config, {n: t for n, t in tensors.items() if n != name})
    with pytest.raises(ValueError, match=f"{name}: expected a tensor of shape .* got shape"):
        type(model)(case.config, tensors | {name: tensors[name][None]})


@pytest.mark.parametrize(
    ("family", "field", "value", "kind", "stored"),
    [
        ("llama", "attention_bias", True, "self_attn.*bias", "model.layers.1.self_attn.v_proj.bias"),
        ("llama", "mlp_bias", True, "mlp.*bias", "model.layers.1.mlp.down_proj.bias"),
        ("nanohammer", "state_norm_bias", True, "_norm.bias", "model.layers.1.state_cell.post_norm.bias"),
        ("nanohammer", "state_mlp_bias", True, "mlp.[02].bias", "model.layers.1.state_cell.mlp.2.bias"),
        ("nanohammer", "state_projection_bias", True, "projection.bias", "model.layers.1.state_projection.bias"),
        ("neollm", "norm_bias", True, "norm.bias", "model.layers.1.input_layernorm.bias"),
        ("neollm", "fan_bias", "plain", "input_linear.bias", "model.layers.0.linear_attn.fan_layer.input_linear.bias"),
    ],
)
def test_one_tensor_speaks_for_its_kind(family: str, field: str, value: object, kind: str, stored: str) -> None:
    config = json.loads((ROOT / f"models/{family}/tiny.json").read_text())
    config.pop(field, None)
    read = reference.FAMILIES[family].Config.from_dict
    all_of_them = {name: spec.shape for name, spec in read(config | {field: value}).tensors().items()}
    found = {name: shape for name, shape in all_of_them.items() if name == stored or not re.search(kind, name)}
    assert stored in found and len(all_of_them) > len(found)
    assert read(config, found).tensors().keys() == all_of_them.keys()
