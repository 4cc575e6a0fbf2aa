"""NeoLLM's config and tensor table (docs/Families/neollm.md, Config and Tensors)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from .config_fields import ConfigFields
from .rope_scaling import rope_scaling
from .tensor_spec import TensorSpec, has_any

EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"

LayerType = Literal["linear_attention", "full_attention"]
LINEAR, FULL = LAYER_TYPES = get_args(LayerType)
FanMode = Literal["paper", "extend"]
FAN_MODES: tuple[FanMode, ...] = get_args(FanMode)
FanBias = Literal["all", "plain", "none"]
FAN_BIASES: tuple[FanBias, ...] = get_args(FanBias)

FAN_RATIO = 0.125


@dataclass(frozen=True)
class NeoLLMConfig:
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    layer_types: tuple[LayerType, ...]
    linear_conv_kernel_dim: int
    linear_num_key_heads: int
    linear_key_head_dim: int
    linear_num_value_heads: int
    linear_value_head_dim: int
    rms_norm_eps: float
    rope_theta: float
    partial_rotary_factor: float
    max_position_embeddings: int
    fan_ratio: float
    fan_mode: FanMode
    fan_bias: FanBias
    linear_attn_fan: bool
    attn_output_gate: bool
    gpas_per_layer: int
    norm_zero_centered: bool
    norm_bias: bool
    tie_word_embeddings: bool

    @classmethod
    def from_dict(
        cls, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]] | None = None
    ) -> "NeoLLMConfig":
        """The config with its open fields filled in from the weights' `shapes`, where given, and the defaults.

        A stored head counts as untied: leave the name out of `shapes` where it holds the embedding's numbers.
        """
        fields = ConfigFields(config, _infer(config, shapes) if shapes else {})
        hidden, heads = fields.integer("hidden_size"), fields.integer("num_attention_heads")
        layers = fields.integer("num_hidden_layers")
        published = [FULL if i % 4 == 3 else LINEAR for i in range(layers)]
        result = cls(
            vocab_size=fields.integer("vocab_size"),
            hidden_size=hidden,
            intermediate_size=fields.integer("intermediate_size"),
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=fields.integer("num_key_value_heads", heads),
            head_dim=fields.integer("head_dim", hidden // heads),
            layer_types=fields.choices("layer_types", LAYER_TYPES, published),
            linear_conv_kernel_dim=fields.integer("linear_conv_kernel_dim", 4),
            linear_num_key_heads=fields.integer("linear_num_key_heads", 8),
            linear_key_head_dim=fields.integer("linear_key_head_dim", 32),
            linear_num_value_heads=fields.integer("linear_num_value_heads", 16),
            linear_value_head_dim=fields.integer("linear_value_head_dim", 32),
            rms_norm_eps=fields.number("rms_norm_eps", 1e-6),
            rope_theta=fields.number("rope_theta", 10000.0),
            partial_rotary_factor=fields.number("partial_rotary_factor", 0.25),
            max_position_embeddings=fields.integer("max_position_embeddings", 512),
            fan_ratio=fields.number("fan_ratio", FAN_RATIO),
            fan_mode=fields.choice("fan_mode", *FAN_MODES),
            fan_bias=fields.choice("fan_bias", *FAN_BIASES),
            linear_attn_fan=fields.flag("linear_attn_fan", True),
            attn_output_gate=fields.flag("attn_output_gate", False),
            gpas_per_layer=fields.integer("gpas_per_layer", 2),
            norm_zero_centered=fields.flag("norm_zero_centered", True),
            norm_bias=fields.flag("norm_bias", False),
            tie_word_embeddings=fields.flag("tie_word_embeddings", True),
        )
        for key in ("attention_bias", "mlp_bias"):
            if fields.flag(key, False):
                raise ValueError(f"/{key}: expected false: no projection with a bias is known")
        rope_scaling(fields, "default")
        fields.tokens("eos_token_id", result.vocab_size)
        result._check()
        return result

    def _check(self) -> None:
        if len(self.layer_types) != self.num_hidden_layers:
            raise ValueError(
                f"/layer_types: expected one for each of {self.num_hidden_layers} layers, got {len(self.layer_types)}"
            )
        for many, few in (
            ("num_attention_heads", "num_key_value_heads"),
            ("linear_num_value_heads", "linear_num_key_heads"),
        ):
            if getattr(self, many) % getattr(self, few):
                raise ValueError(f"/{few}: {getattr(self, few)} does not divide {many} {getattr(self, many)}")
        if self.rotated < 2 or self.rotated % 2:
            raise ValueError(
                "/partial_rotary_factor: expected an even number of rotated columns, "
                f"got {self.rotated} of {self.head_dim}"
            )
        if self.periodic < 1 or self.plain < 1:
            raise ValueError(
                "/fan_ratio: expected periodic and other columns, "
                f"got {self.periodic} and {self.plain} of {self.fan_width}"
            )

    @property
    def rotated(self) -> int:
        """Columns of a head that rotate, the first ones."""
        return int(self.head_dim * self.partial_rotary_factor)

    @property
    def fan_width(self) -> int:
        """Columns that come out of a FAN layer."""
        return _fan_width(self.hidden_size, self.fan_mode, self.fan_ratio)

    @property
    def periodic(self) -> int:
        return int(self.fan_width * self.fan_ratio)

    @property
    def plain(self) -> int:
        """Columns of a FAN layer that pass."""
        return self.fan_width - 2 * self.periodic

    @property
    def key_width(self) -> int:
        return self.linear_num_key_heads * self.linear_key_head_dim

    @property
    def value_width(self) -> int:
        return self.linear_num_value_heads * self.linear_value_head_dim

    def has_fan(self, kind: LayerType) -> bool:
        return kind == FULL or self.linear_attn_fan

    def tensors(self) -> dict[str, TensorSpec]:
        """Every weight by its canonical name."""
        table = {EMBEDDING: TensorSpec((self.vocab_size, self.hidden_size), std=0.5)}
        for i, kind in enumerate(self.layer_types):
            table |= {f"model.layers.{i}.{name}": spec for name, spec in self._layer_tensors(kind).items()}
        table |= self._norm("model.norm")
        if not self.tie_word_embeddings:
            table[HEAD] = TensorSpec((self.vocab_size, self.hidden_size), std=self.hidden_size**-0.5)
        return table

    def _norm(self, name: str) -> dict[str, TensorSpec]:
        table = {f"{name}.weight": self._gain(self.hidden_size)}
        if self.norm_bias:
            table[f"{name}.bias"] = TensorSpec((self.hidden_size,), std=0.1)
        return table

    def _gain(self, size: int) -> TensorSpec:
        return TensorSpec((size,), mean=0.0 if self.norm_zero_centered else 1.0, std=0.1)

    def _layer_tensors(self, kind: LayerType) -> dict[str, TensorSpec]:
        def linear(n_in: int, n_out: int, gain: float = 1.0) -> TensorSpec:
            return TensorSpec((n_out, n_in), std=gain * n_in**-0.5)

        mixer = "self_attn" if kind == FULL else "linear_attn"
        table = self._norm("input_layernorm")
        if self.has_fan(kind):
            rows = self.periodic + self.plain
            table[f"{mixer}.fan_layer.input_linear.weight"] = linear(self.hidden_size, rows, 2.0)
            if self.fan_bias != "none":
                biased = rows if self.fan_bias == "all" else self.plain
                table[f"{mixer}.fan_layer.input_linear.bias"] = TensorSpec((biased,), std=0.3)
        width = self.fan_width if self.has_fan(kind) else self.hidden_size
        # Means over keys or what a memory holds are smaller than their operands: the output's gain makes up for it.
        if kind == FULL:
            queries, keys = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
            table |= {
                f"{mixer}.q_proj.weight": linear(width, queries * (2 if self.attn_output_gate else 1)),
                f"{mixer}.k_proj.weight": linear(width, keys),
                f"{mixer}.v_proj.weight": linear(width, keys),
                f"{mixer}.q_norm.weight": self._gain(self.head_dim),
                f"{mixer}.k_norm.weight": self._gain(self.head_dim),
                f"{mixer}.o_proj.weight": linear(queries, self.hidden_size, 2.0),
            }
        else:
            heads, channels = self.linear_num_value_heads, 2 * self.key_width + self.value_width
            table |= {
                f"{mixer}.in_proj_qkvz.weight": linear(width, channels + self.value_width),
                f"{mixer}.in_proj_ba.weight": linear(width, 2 * heads),
                f"{mixer}.conv1d.weight": TensorSpec((channels, 1, self.linear_conv_kernel_dim), std=0.5),
                f"{mixer}.dt_bias": TensorSpec((heads,), std=1.0),
                f"{mixer}.A_log": TensorSpec((heads,), mean=-2.0, std=1.0),
                f"{mixer}.norm.weight": TensorSpec((self.linear_value_head_dim,), mean=1.0, std=0.1),
                f"{mixer}.out_proj.weight": linear(self.value_width, self.hidden_size, 2.0),
            }
        table |= self._norm("post_attention_layernorm")
        table |= {
            "mlp.gate_proj.weight": linear(self.hidden_size, self.intermediate_size),
            "mlp.up_proj.weight": linear(self.hidden_size, self.intermediate_size),
            "mlp.down_proj.weight": linear(self.intermediate_size, self.hidden_size, 1.7),
            "mlp.act_fn.weight": TensorSpec((3,), mean=1 / 3, std=0.1),
            "mlp.act_fn.bias": TensorSpec((1,), std=0.1),
        }
        names = ("gpas_attn", "gpas_mlp") if self.gpas_per_layer == 2 else ("gpas",)
        return table | {f"{name}.alpha": TensorSpec((1,), mean=0.3, std=0.3) for name in names}


def _fan_width(hidden: int, mode: FanMode, ratio: float) -> int:
    return hidden if mode == "paper" else hidden + int(hidden * ratio)


def _infer(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Fields that the shapes settle. Names that are missing settle nothing: the table's check reports them."""
    found: dict[str, Any] = {
        "tie_word_embeddings": HEAD not in shapes,
        "attention_bias": has_any(shapes, r".*\.self_attn\.[qkvo]_proj\.bias"),
        "mlp_bias": has_any(shapes, r".*\.mlp\.(gate|up|down)_proj\.bias"),
        "norm_bias": has_any(shapes, r"model\.norm\.bias|.*\.(input|post_attention)_layernorm\.bias"),
    }
    kinds = {int(m[1]): m[2] for m in map(re.compile(r"model\.layers\.(\d+)\.(self|linear)_attn\.").match, shapes) if m}
    if list(sorted(kinds)) != list(range(len(kinds))) or not kinds:
        return found
    found["num_hidden_layers"] = len(kinds)
    found["layer_types"] = [FULL if kinds[i] == "self" else LINEAR for i in range(len(kinds))]
    first = {kind: next((i for i in kinds if kinds[i] == kind), None) for kind in ("self", "linear")}

    def shape(name: str, rank: int) -> tuple[int, ...] | None:
        size = shapes.get(f"model.layers.{name}", ())
        return size if len(size) == rank else None

    if len(shapes.get(EMBEDDING, ())) == 2:
        found["vocab_size"], found["hidden_size"] = shapes[EMBEDDING]
    if gate := shape("0.mlp.gate_proj.weight", 2):
        found["intermediate_size"] = gate[0]
    is_shared = has_any(shapes, r".*\.gpas\.alpha") and not has_any(shapes, r".*\.gpas_(attn|mlp)\.alpha")
    found["gpas_per_layer"] = 1 if is_shared else 2
    if first["self"] is not None:
        found |= _infer_full(f"{first['self']}.self_attn", shape)
    if first["linear"] is not None:
        found |= _infer_linear(config, f"{first['linear']}.linear_attn", shapes, shape)
    for kind, projection in (("self", "q_proj"), ("linear", "in_proj_qkvz")):
        mixer = f"{first[kind]}.{kind}_attn"
        rows, reads = shape(f"{mixer}.fan_layer.input_linear.weight", 2), shape(f"{mixer}.{projection}.weight", 2)
        if rows and reads and "hidden_size" in found:
            found |= _infer_fan(config, found["hidden_size"], rows[0], reads[1])
            break
    biases = [name for name in shapes if name.endswith(".fan_layer.input_linear.bias")]
    if biases:
        rows = shapes.get(f"{biases[0].removesuffix('bias')}weight")
        found["fan_bias"] = "plain" if rows and shapes[biases[0]][0] < rows[0] else "all"
    elif has_any(shapes, r".*\.fan_layer\.input_linear\.weight"):
        found["fan_bias"] = "none"
    return found


def _infer_full(mixer: str, shape: Any) -> dict[str, Any]:
    norm = shape(f"{mixer}.q_norm.weight", 1)
    o, q, k = (shape(f"{mixer}.{name}_proj.weight", 2) for name in "oqk")
    if not (norm and o and q and k):
        return {}
    return {
        "head_dim": norm[0],
        "num_attention_heads": o[1] // norm[0],
        "num_key_value_heads": k[0] // norm[0],
        "attn_output_gate": q[0] == 2 * o[1],
    }


def _infer_linear(
    config: Mapping[str, Any], mixer: str, shapes: Mapping[str, tuple[int, ...]], shape: Any
) -> dict[str, Any]:
    log, norm, conv = shape(f"{mixer}.A_log", 1), shape(f"{mixer}.norm.weight", 1), shape(f"{mixer}.conv1d.weight", 3)
    found: dict[str, Any] = {"linear_attn_fan": has_any(shapes, r".*\.linear_attn\.fan_layer\..*")}
    if log and norm and conv:
        found |= {
            "linear_num_value_heads": log[0],
            "linear_value_head_dim": norm[0],
            "linear_conv_kernel_dim": conv[2],
        }
        # Where the key width divides into heads is the config's to say.
        keys, width = (conv[0] - log[0] * norm[0]) // 2, config.get("linear_key_head_dim")
        heads = config.get("linear_num_key_heads") or (keys // width if width else 8)
        found |= {"linear_num_key_heads": heads, "linear_key_head_dim": keys // heads}
    return found


def _infer_fan(config: Mapping[str, Any], hidden: int, rows: int, width: int) -> dict[str, Any]:
    """`rows` go in, `width` columns come out: the mode, and a ratio where the given or the default one does not fit."""
    mode: FanMode = "paper" if width == hidden else "extend"
    ratio, periodic = config.get("fan_ratio") or FAN_RATIO, width - rows
    found: dict[str, Any] = {"fan_mode": mode}
    if _fan_width(hidden, mode, ratio) != width or int(width * ratio) != periodic:
        least, most = periodic / width, (periodic + 1) / width
        if mode == "extend":
            least, most = max(least, width / hidden - 1), min(most, (width + 1) / hidden - 1)
        found["fan_ratio"] = (least + most) / 2
    return found
