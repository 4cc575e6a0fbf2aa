import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .config_fields import ConfigFields
from .rope_scaling import Llama3Scaling, rope_scaling
from .tensor_spec import TensorSpec, has_any

EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"


@dataclass(frozen=True)
class DecoderConfig:
    """Keys and tensors of a dense decoder (docs/Families/llama.md, Config and Tensors)."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    rms_norm_eps: float
    rope_theta: float
    scaling: Llama3Scaling | None
    attention_bias: bool
    mlp_bias: bool
    tie_word_embeddings: bool

    @classmethod
    def from_dict(
        cls, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]] | None = None
    ) -> "DecoderConfig":
        """The config with its open fields filled in from the weights' `shapes`, where given, and the defaults.

        A stored head counts as untied: leave the name out of `shapes` where it holds the embedding's numbers.
        """
        return cls(**decoder_fields(config, ConfigFields(config, infer(config, shapes) if shapes else {})))

    def layers(self) -> list[str]:
        return [f"model.layers.{i}" for i in range(self.num_hidden_layers)]

    def tensors(self) -> dict[str, TensorSpec]:
        """Every weight by its canonical name.

        The embedding keeps a usual size, 0.02: it is normalised before anything reads it, and there rms_norm_eps
        counts.
        """
        table = {EMBEDDING: TensorSpec((self.vocab_size, self.hidden_size), std=0.02)}
        for layer in self.layers():
            table |= {f"{layer}.{name}": spec for name, spec in self.layer_tensors().items()}
        table["model.norm.weight"] = self._norm()
        if not self.tie_word_embeddings:
            table[HEAD] = TensorSpec((self.vocab_size, self.hidden_size), std=self.hidden_size**-0.5)
        return table

    def layer_tensors(self) -> dict[str, TensorSpec]:
        hidden, inner = self.hidden_size, self.intermediate_size
        q, kv = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        # A mean over keys and silu(a) * b are smaller than their operands: the gains of what follows make up for it.
        linears = {
            "self_attn.q_proj": (hidden, q, 1.0, self.attention_bias),
            "self_attn.k_proj": (hidden, kv, 1.0, self.attention_bias),
            "self_attn.v_proj": (hidden, kv, 1.0, self.attention_bias),
            "self_attn.o_proj": (q, hidden, 2.0, self.attention_bias),
            "mlp.gate_proj": (hidden, inner, 1.0, self.mlp_bias),
            "mlp.up_proj": (hidden, inner, 1.0, self.mlp_bias),
            "mlp.down_proj": (inner, hidden, 1.7, self.mlp_bias),
        }
        table = {f"{name}.weight": self._norm() for name in ("input_layernorm", "post_attention_layernorm")}
        for name, (n_in, n_out, gain, biased) in linears.items():
            table[f"{name}.weight"] = TensorSpec((n_out, n_in), std=gain * n_in**-0.5)
            if biased:
                table[f"{name}.bias"] = TensorSpec((n_out,), std=0.3)
        return table

    def _norm(self) -> TensorSpec:
        return TensorSpec((self.hidden_size,), mean=1.0, std=0.1)


def decoder_fields(
    config: Mapping[str, Any],
    fields: ConfigFields,
    defaults: Mapping[str, Any] | None = None,
    scaling: Llama3Scaling | None = None,
) -> dict[str, Any]:
    """The fields of `DecoderConfig`, checked. `defaults` and `scaling` hold where the config says nothing; a null for
    `rope_scaling` says that there is none."""
    least = {"rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": False} | dict(defaults or {})
    values: dict[str, Any] = {
        key: fields.integer(key, least.get(key))
        for key in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    }
    hidden, heads = values["hidden_size"], values["num_attention_heads"]
    values["num_key_value_heads"] = fields.integer("num_key_value_heads", least.get("num_key_value_heads", heads))
    values["head_dim"] = fields.integer("head_dim", max(1, hidden // heads))
    values["max_position_embeddings"] = fields.integer("max_position_embeddings", least.get("max_position_embeddings"))
    fields.choice("hidden_act", "silu")
    for key in ("rms_norm_eps", "rope_theta"):
        values[key] = fields.number(key, least[key])
    values["scaling"] = rope_scaling(fields, "llama3", "default") if "rope_scaling" in config else scaling
    fields.tokens("eos_token_id", values["vocab_size"])
    for key in ("attention_bias", "mlp_bias", "tie_word_embeddings"):
        values[key] = fields.flag(key, least.get(key, False))

    if heads % values["num_key_value_heads"]:
        raise ValueError(
            f"/num_key_value_heads: {values['num_key_value_heads']} does not divide num_attention_heads {heads}"
        )
    is_open = config.get("head_dim") is None and not fields.is_inferred("head_dim")
    if values["head_dim"] % 2 or (is_open and hidden % heads):
        raise ValueError(
            f"/head_dim: expected an even head width, got {values['head_dim']}, with hidden_size {hidden} over {heads} "
            "heads"
        )
    return values


def infer(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Fields that the shapes settle. Names that are missing settle nothing: the table's check reports them."""
    found: dict[str, Any] = {}
    if config.get("tie_word_embeddings") is None or HEAD not in shapes:
        found["tie_word_embeddings"] = HEAD not in shapes
    if len(shapes.get(EMBEDDING, ())) == 2:
        found["vocab_size"], found["hidden_size"] = shapes[EMBEDDING]

    layers = {m[0] for m in map(re.compile(r"model\.layers\.\d+").match, shapes) if m}
    if layers:
        first = "model.layers.0"
        found["num_hidden_layers"] = len(layers)
        found["attention_bias"] = has_any(shapes, r".*\.self_attn\.[qkvo]_proj\.bias")
        found["mlp_bias"] = has_any(shapes, r".*\.mlp\.(gate|up|down)_proj\.bias")
        gate, q, k = (
            shapes.get(f"{first}.{name}.weight", ()) for name in ("mlp.gate_proj", "self_attn.q_proj", "self_attn.k_proj")
        )
        if len(gate) == 2:
            found["intermediate_size"] = gate[0]
        heads = config.get("num_attention_heads")
        if len(q) == 2 and len(k) == 2 and type(heads) is int and heads > 0 and q[0] % heads == 0:
            found["head_dim"] = q[0] // heads
            found["num_key_value_heads"] = k[0] // found["head_dim"]
    return found
