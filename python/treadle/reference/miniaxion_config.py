"""MiniAxion's config and tensor table (docs/Families/miniaxion.md, Config and Tensors)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from .config_fields import ConfigFields
from .rope import PAIRINGS, Pairing
from .tensor_spec import TensorSpec

EMBEDDING = "token_embedding.weight"
HEAD = "output_head.weight"

Blend = Literal["pass", "layer"]
BLENDS: tuple[Blend, ...] = get_args(Blend)


@dataclass(frozen=True)
class MiniAxionConfig:
    d_model: int
    n_heads: int
    n_kv_heads: int
    n_layers: int
    n_shared_layers: int
    d_ff: int
    lora_rank: int
    vocab_size: int
    max_seq_len: int
    weight_tying: bool
    use_thinking_tokens: bool
    rms_norm_eps: float
    rope_theta: float
    rope_pairing: Pairing
    lora_scale: float
    think_blend: Blend

    @classmethod
    def from_dict(
        cls, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]] | None = None
    ) -> "MiniAxionConfig":
        """The config with its open fields filled in from the weights' `shapes`, where given, and the defaults.

        A stored head counts as untied: leave the name out of `shapes` where it holds the embedding's numbers.
        """
        fields = ConfigFields(config, _infer(config, shapes) if shapes else {})
        n_heads = fields.integer("n_heads")
        result = cls(
            d_model=fields.integer("d_model"),
            n_heads=n_heads,
            n_kv_heads=fields.integer("n_kv_heads", max(1, n_heads // 2)),
            n_layers=fields.integer("n_layers"),
            n_shared_layers=fields.integer("n_shared_layers", 2),
            d_ff=fields.integer("d_ff"),
            lora_rank=fields.integer("lora_rank", 16),
            vocab_size=fields.integer("vocab_size"),
            max_seq_len=fields.integer("max_seq_len"),
            weight_tying=fields.flag("weight_tying", True),
            use_thinking_tokens=fields.flag("use_thinking_tokens", True),
            rms_norm_eps=fields.number("rms_norm_eps", 1e-6),
            rope_theta=fields.number("rope_theta", 10000.0),
            rope_pairing=fields.choice("rope_pairing", *PAIRINGS),
            lora_scale=fields.number("lora_scale", 1.0),
            think_blend=fields.choice("think_blend", *BLENDS),
        )
        fields.integer("n_thinking_steps", 2)  # of no matter where the passes are given
        fields.tokens("eos_token_id", result.vocab_size)
        result._check()
        return result

    def _check(self) -> None:
        if self.d_model % (2 * self.n_heads):
            raise ValueError(
                f"/n_heads: expected an even head dimension, got d_model {self.d_model} over {self.n_heads} heads"
            )
        if self.n_heads % self.n_kv_heads:
            raise ValueError(f"/n_kv_heads: {self.n_kv_heads} does not divide n_heads {self.n_heads}")
        if self.n_shared_layers > self.n_layers:
            raise ValueError(f"/n_shared_layers: expected at most n_layers {self.n_layers}, got {self.n_shared_layers}")

    @property
    def head_dim(self) -> int:
        return self.d_model // self.n_heads

    @property
    def n_entry_layers(self) -> int:
        return (self.n_layers - self.n_shared_layers) // 2

    @property
    def n_exit_layers(self) -> int:
        return self.n_layers - self.n_shared_layers - self.n_entry_layers

    def blocks(self) -> dict[str, list[str]]:
        """Names of the blocks of each stack, in the order they are stored."""
        sizes = {
            "entry_layers": self.n_entry_layers,
            "shared_layers": self.n_shared_layers,
            "exit_layers": self.n_exit_layers,
        }
        return {stack: [f"{stack}.{i}" for i in range(n)] for stack, n in sizes.items()}

    def tensors(self) -> dict[str, TensorSpec]:
        """Every weight by its canonical name.

        The embedding keeps the published size, 0.02: it is normalised before anything reads it, and there
        rms_norm_eps counts.
        """
        table = {EMBEDDING: TensorSpec((self.vocab_size, self.d_model), std=0.02)}
        if self.use_thinking_tokens:
            table["think_gate"] = TensorSpec((), mean=0.5, std=0.1)
        for stack in self.blocks().values():
            for block in stack:
                table |= {f"{block}.{name}": spec for name, spec in self._block_tensors().items()}
        table["final_norm.weight"] = self._norm()
        if not self.weight_tying:
            table[HEAD] = TensorSpec((self.vocab_size, self.d_model), std=self.d_model**-0.5)
        return table

    def _norm(self) -> TensorSpec:
        return TensorSpec((self.d_model,), mean=1.0, std=0.1)

    def _block_tensors(self) -> dict[str, TensorSpec]:
        kv = self.n_kv_heads * self.head_dim
        # A mean over keys and silu(a) * b are smaller than their operands: the gains of what follows make up for it.
        linears = {
            "attn.q_proj": (self.d_model, self.d_model, 1.0),
            "attn.k_proj": (self.d_model, kv, 1.0),
            "attn.v_proj": (self.d_model, kv, 1.0),
            "attn.o_proj": (self.d_model, self.d_model, 2.0),
            "ffn.gate_proj": (self.d_model, self.d_ff, 1.0),
            "ffn.up_proj": (self.d_model, self.d_ff, 1.0),
            "ffn.down_proj": (self.d_ff, self.d_model, 1.7),
        }
        table = {"norm1.weight": self._norm(), "norm2.weight": self._norm()}
        for name, (n_in, n_out, gain) in linears.items():
            table[f"{name}.down.weight"] = TensorSpec((self.lora_rank, n_in), std=n_in**-0.5)
            up_std = gain / self.lora_scale * self.lora_rank**-0.5
            table[f"{name}.up.weight"] = TensorSpec((n_out, self.lora_rank), std=up_std)
        return table


def _infer(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Fields that the shapes settle. Names that are missing settle nothing: the table's check reports them."""
    found: dict[str, Any] = {"weight_tying": HEAD not in shapes, "use_thinking_tokens": "think_gate" in shapes}
    if len(shapes.get(EMBEDDING, ())) == 2:
        found["vocab_size"], found["d_model"] = shapes[EMBEDDING]

    blocks = {m[0] for m in map(re.compile(r"(entry|shared|exit)_layers\.\d+").match, shapes) if m}
    if blocks:
        found["n_layers"] = len(blocks)
        found["n_shared_layers"] = sum(block.startswith("shared") for block in blocks)
        block = min(blocks)
        gate, k = (shapes.get(f"{block}.{name}.up.weight", ()) for name in ("ffn.gate_proj", "attn.k_proj"))
        if len(gate) == 2:
            found["d_ff"], found["lora_rank"] = gate
        n_heads = config.get("n_heads")
        if len(k) == 2 and "d_model" in found and type(n_heads) is int and n_heads > 0:
            found["n_kv_heads"] = k[0] * n_heads // found["d_model"]
    return found
