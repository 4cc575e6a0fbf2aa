from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from .activation import Activation
from .config_fields import ConfigFields
from .decoder_config import DecoderConfig, decoder_fields, infer
from .rope import PAIRINGS, Pairing
from .rope_scaling import LLAMA_3_2
from .tensor_spec import TensorSpec, has_any

Sharing = Literal["shared", "per_head"]
Accumulate = Literal["sum", "mean", "none"]
PostNorm = Literal["update", "state"]
Visibility = Literal["past", "own"]

TOKEN_TO_STATE = "model.token_to_state"

PUBLISHED: dict[str, Any] = {
    "vocab_size": 128256,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
}


@dataclass(frozen=True)
class NanoHammerConfig(DecoderConfig):
    """Keys and open fields of docs/Families/nanohammer.md."""

    state_hidden_size: int
    num_state_heads: int
    state_rope_theta: float
    state_norm_eps: float
    state_mlp_ratio: int
    state_mlp_sharing: Sharing
    state_accumulate: Accumulate
    state_pairing: Pairing
    state_lag: int
    state_post_norm: PostNorm
    state_visibility: Visibility
    state_act: Activation
    state_norm_bias: bool
    state_mlp_bias: bool
    token_to_state_bias: bool
    state_projection_bias: bool

    @classmethod
    def from_dict(
        cls, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]] | None = None
    ) -> "NanoHammerConfig":
        fields = ConfigFields(config, _infer(config, shapes) if shapes else {})
        result = cls(
            **decoder_fields(config, fields, PUBLISHED, LLAMA_3_2),
            state_hidden_size=fields.integer("state_hidden_size", 512),
            num_state_heads=fields.integer("num_state_heads", 16),
            state_rope_theta=fields.number("state_rope_theta", 10000.0),
            state_norm_eps=fields.number("state_norm_eps", 1e-5),
            state_mlp_ratio=fields.integer("state_mlp_ratio", 2),
            state_mlp_sharing=fields.choice("state_mlp_sharing", *get_args(Sharing)),
            state_accumulate=fields.choice("state_accumulate", *get_args(Accumulate)),
            state_pairing=fields.choice("state_pairing", *reversed(PAIRINGS)),
            state_lag=fields.integer("state_lag", 1),
            state_post_norm=fields.choice("state_post_norm", *get_args(PostNorm)),
            state_visibility=fields.choice("state_visibility", *get_args(Visibility)),
            state_act=fields.choice("state_act", "silu", "gelu"),
            state_norm_bias=fields.flag("state_norm_bias", True),
            state_mlp_bias=fields.flag("state_mlp_bias", True),
            token_to_state_bias=fields.flag("token_to_state_bias", False),
            state_projection_bias=fields.flag("state_projection_bias", False),
        )
        size, heads = result.state_hidden_size, result.num_state_heads
        if size % 2:
            raise ValueError(f"/state_hidden_size: expected an even size, got {size}")
        if size % heads:
            raise ValueError(f"/num_state_heads: {heads} does not divide state_hidden_size {size}")
        return result

    @property
    def state_head_dim(self) -> int:
        return self.state_hidden_size // self.num_state_heads

    def tensors(self) -> dict[str, TensorSpec]:
        table = super().tensors()
        # The embedding is small, and the state a sum over all tokens.
        projection = TensorSpec((self.state_hidden_size, self.hidden_size), std=20 * self.hidden_size**-0.5)
        table[f"{TOKEN_TO_STATE}.weight"] = projection
        if self.token_to_state_bias:
            table[f"{TOKEN_TO_STATE}.bias"] = TensorSpec((self.state_hidden_size,), std=0.2)
        return table

    def layer_tensors(self) -> dict[str, TensorSpec]:
        heads, width, inner = self.num_state_heads, self.state_head_dim, self.state_head_dim * self.state_mlp_ratio
        stack = (heads,) if self.state_mlp_sharing == "per_head" else ()
        table = super().layer_tensors()
        for name in ("state_cell.pre_norm", "state_cell.post_norm"):
            table[f"{name}.weight"] = TensorSpec((width,), mean=1.0, std=0.1)
            if self.state_norm_bias:
                table[f"{name}.bias"] = TensorSpec((width,), std=0.3)
        for name, n_in, n_out in (("state_cell.mlp.0", width, inner), ("state_cell.mlp.2", inner, width)):
            table[f"{name}.weight"] = TensorSpec((*stack, n_out, n_in), std=1.5 * n_in**-0.5)
            if self.state_mlp_bias:
                table[f"{name}.bias"] = TensorSpec((*stack, n_out), std=0.3)
        table["state_cell.step_size"] = TensorSpec((heads,), mean=1.0, std=0.3)
        table["state_projection.weight"] = TensorSpec(
            (self.hidden_size, self.state_hidden_size), std=self.state_hidden_size**-0.5
        )
        if self.state_projection_bias:
            table["state_projection.bias"] = TensorSpec((self.hidden_size,), std=0.3)
        return table


def _infer(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Fields that the shapes settle; see `decoder_config.infer`."""
    found = infer({"num_attention_heads": PUBLISHED["num_attention_heads"]} | dict(config), shapes)
    cell = "model.layers.0.state_cell"
    if len(shapes.get(f"{TOKEN_TO_STATE}.weight", ())) == 2:
        found["state_hidden_size"] = shapes[f"{TOKEN_TO_STATE}.weight"][0]
    if f"{cell}.step_size" in shapes:
        found["num_state_heads"] = shapes[f"{cell}.step_size"][0]
    first = shapes.get(f"{cell}.mlp.0.weight", ())
    if len(first) in (2, 3):
        found["state_mlp_sharing"] = "shared" if len(first) == 2 else "per_head"
        found["state_mlp_ratio"] = first[-2] // first[-1]
    return found | {
        "token_to_state_bias": f"{TOKEN_TO_STATE}.bias" in shapes,
        "state_mlp_bias": has_any(shapes, r".*\.state_cell\.mlp\.[02]\.bias"),
        "state_norm_bias": has_any(shapes, r".*\.state_cell\.(pre|post)_norm\.bias"),
        "state_projection_bias": has_any(shapes, r".*\.state_projection\.bias"),
    }
