"""Om's config and tensor table (docs/Families/om.md, Config and Tensors)."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from .config_fields import ConfigFields
from .tensor_spec import TensorSpec

EMBEDDING = "embedder.weight"
HEAD = "proj_out.weight"

MlpActivation = Literal["gelu", "relu", "abs", "swish", "swiglu", "geglu", "ffnglu", "ffngeglu", "ffnswiglu"]
MLP_ACTIVATIONS: tuple[MlpActivation, ...] = get_args(MlpActivation)

Kind = Literal["", "_state_start", "_state_end"]
"""Suffix of what projects the tokens, the read rows and the write rows of a segment."""
TOKEN, READ, WRITE = get_args(Kind)
SHARED = "_state"

MAX_COLUMNS = 1 << 20
"""Of all heads."""

ALIASES = {"betas": "scaling_factors", "init_convs": "init_ngrams"}


@dataclass(frozen=True)
class Rotary:
    """How the queries and keys of a pass rotate."""

    style: Literal["om", "neox"]
    pct: float
    base: float

    def angles(self, width: int) -> list[float]:
        """Angle per position of each rotated pair."""
        if self.style == "om":
            return [self.base ** (-2 * i) for i in range(1, self.rotated(width) // 2 + 1)]
        return [self.base ** (-2 * i / width) for i in range(width // 2)]

    def rotated(self, width: int) -> int:
        """Columns of a head that rotate, the first ones."""
        return math.ceil(width * self.pct) if self.style == "om" else width


@dataclass(frozen=True)
class OmConfig:
    num_layers: int
    vocab_size: int
    vocab_adj: int
    dim_input: int
    dim_hidden: int
    dims_key: tuple[int, ...]
    dims_value: tuple[int, ...]
    num_heads: int
    activation: MlpActivation
    segment_len: int
    state_len: int
    attn_normalize: bool
    cope: bool
    position_embedders: tuple[Rotary | None, ...]
    betas: tuple[float | None, ...]
    num_iters: tuple[int, ...]
    diff_attn: bool
    attn_proj_rank: int
    init_convs: tuple[int, ...]
    init_conv_mode: Literal["lowrank", "conv"]
    final_mlp_multiplier: int
    mlp_1221: bool
    state_proj: Literal["separate", "shared"]
    state_norm: bool
    proj_out_bias: bool
    write_pos: Literal["forward", "reversed"]
    diff_skip_attn_norm: bool
    pad_token_id: int

    @classmethod
    def from_dict(cls, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]] | None = None) -> "OmConfig":
        config = _canonical(config)
        fields = ConfigFields(config, _infer(config, shapes) if shapes else {})
        vocab_size, dim_input, num_heads = (fields.integer(key) for key in ("vocab_size", "dim_input", "num_heads"))
        dims_value = fields.integers("dims_value")
        passes = len(dims_value)
        result = cls(
            num_layers=fields.integer("num_layers"),
            vocab_size=vocab_size,
            vocab_adj=fields.integer("vocab_adj", -(-vocab_size // 8) * 8),
            dim_input=dim_input,
            dim_hidden=fields.integer("dim_hidden"),
            dims_key=fields.integers("dims_key"),
            dims_value=dims_value,
            num_heads=num_heads,
            activation=fields.choice("activation", *MLP_ACTIVATIONS, required=True),
            segment_len=fields.integer("segment_len"),
            state_len=fields.integer("state_len"),
            attn_normalize=fields.flag("attn_normalize", False),
            cope=fields.flag("cope", False),
            position_embedders=tuple(map(_rotary, fields.optional_objects("position_embedders", passes))),
            betas=fields.optional_numbers("betas", passes),
            num_iters=fields.integers("num_iters", [1] * passes),
            diff_attn=fields.flag("diff_attn", False),
            attn_proj_rank=fields.integer("attn_proj_rank", dim_input // num_heads),
            init_convs=fields.integers("init_convs", []),
            init_conv_mode=fields.choice("init_conv_mode", "lowrank", "conv"),
            final_mlp_multiplier=fields.integer("final_mlp_multiplier", 1),
            mlp_1221=fields.flag("mlp_1221", False),
            state_proj=fields.choice("state_proj", "separate", "shared"),
            state_norm=fields.flag("state_norm", True),
            proj_out_bias=fields.flag("proj_out_bias", False),
            write_pos=fields.choice("write_pos", "forward", "reversed"),
            diff_skip_attn_norm=fields.flag("diff_skip_attn_norm", True),
            pad_token_id=fields.token("pad_token_id", vocab_size - 1, vocab_size),
        )
        fields.tokens("eos_token_id", vocab_size)
        result._check(fields.optional_objects("position_embedders", passes))
        return result

    def _check(self, embedders: tuple[ConfigFields | None, ...]) -> None:
        passes = self.passes
        if not passes:
            raise ValueError("/dims_value: expected at least one pass")
        for key, count in (("dims_key", len(self.dims_key)), ("num_iters", len(self.num_iters))):
            if count != passes:
                raise ValueError(f"/{key}: expected one for each of {passes} passes, got {count}")
        if self.diff_attn and max(self.num_iters) > 1:
            raise ValueError("/num_iters: expected 1 in every pass with diff_attn")
        if self.mlp_1221 and self.activation.startswith("ffn"):
            raise ValueError(f"/mlp_1221: expected false with {self.activation}")
        if self.mlp_1221 and self.dim_hidden % 2:
            raise ValueError(f"/dim_hidden: expected an even number with mlp_1221, got {self.dim_hidden}")
        if self.init_conv_mode == "lowrank" and max(self.init_convs, default=1) > self.dim_input:
            raise ValueError(f"/init_convs: expected at most dim_input {self.dim_input}, got {max(self.init_convs)}")
        if self.attn_proj_rank < 1:
            raise ValueError(f"/attn_proj_rank: expected at least 1, got {self.attn_proj_rank}")
        columns = self.num_heads * self.branches * max(self.attn_proj_rank, *self.dims_key, *self.dims_value)
        if columns > MAX_COLUMNS:
            raise ValueError(f"/num_heads: expected at most {MAX_COLUMNS} columns of all heads, got {columns}")
        if self.vocab_adj < self.vocab_size:
            raise ValueError(
                f"/vocab_size: expected at most the {self.vocab_adj} rows of {EMBEDDING}, got {self.vocab_size}"
            )
        for p, (rotary, width, given) in enumerate(zip(self.position_embedders, self.dims_key, embedders)):
            if rotary is None or given is None:
                continue
            if given.integer("dim", width) != width:
                raise ValueError(f"/position_embedders/{p}/dim: expected {width}, the pass's dims_key")
            if rotary.rotated(width) % 2:
                raise ValueError(f"/position_embedders/{p}: expected an even number of rotated columns")
            if given.integer("seq_len", self.rows) < self.rows:
                raise ValueError(f"/position_embedders/{p}/seq_len: expected at least {self.rows}")

    @property
    def passes(self) -> int:
        return len(self.dims_value)

    @property
    def rows(self) -> int:
        """Rows of a full segment, and contextual positions."""
        return self.segment_len + 2 * self.state_len

    @property
    def context_len(self) -> int:
        """Ids before a segment that its n-grams reach."""
        return max(self.init_convs, default=1) - 1

    @property
    def branches(self) -> int:
        return 2 if self.diff_attn else 1

    @property
    def hidden(self) -> int:
        """Width of the rows that the head reads."""
        return self.dim_input * self.final_mlp_multiplier

    @property
    def has_out_projection(self) -> bool:
        """Whether each head's last values are projected to the rank before the heads are joined."""
        return self.diff_attn or self.dims_value[-1] != self.attn_proj_rank

    def key_width(self, p: int) -> int:
        """Columns of a head's queries and keys in one branch of pass p."""
        return self.dims_value[p] if self.is_hopfield(p) else self.dims_key[p]

    def is_hopfield(self, p: int) -> bool:
        return self.num_iters[p] > 1

    def kind(self, kind: Kind) -> str:
        """The suffix under which the tensors of a kind of rows are stored."""
        return SHARED if kind and self.state_proj == "shared" else kind

    def kinds(self) -> list[str]:
        return list(dict.fromkeys(self.kind(kind) for kind in get_args(Kind)))

    def tensors(self) -> dict[str, TensorSpec]:
        """Every weight by its canonical name."""
        D = self.dim_input
        table = {EMBEDDING: TensorSpec((self.vocab_adj, D), std=1.0)}
        for i, k in enumerate(self.init_convs):
            if self.init_conv_mode == "lowrank":
                table[f"ngram_embs.{i}.ngram_down_proj.weight"] = TensorSpec((D // k, k * D), std=(k * D) ** -0.5)
                table[f"ngram_embs.{i}.ngram_up_proj.weight"] = TensorSpec((D, D // k), std=(D // k) ** -0.5)
            else:
                table[f"convs.{i}.weight"] = TensorSpec((D, D, k), std=(k * D) ** -0.5)
                table[f"convs.{i}.bias"] = _bias(D)
        for layer in range(self.num_layers):
            m = self.final_mlp_multiplier if layer == self.num_layers - 1 else 1
            table |= {f"layers.{layer}.{name}": spec for name, spec in self._layer(m)}
        table[HEAD] = TensorSpec((self.vocab_adj, self.hidden), std=self.hidden**-0.5)
        if self.proj_out_bias:
            table["proj_out.bias"] = _bias(self.vocab_adj)
        return table

    def _layer(self, m: int) -> Iterator[tuple[str, TensorSpec]]:
        D, H = self.dim_input, self.num_heads
        yield "attn.init_state", TensorSpec((1, self.state_len, D), std=1.0)
        for p in range(self.passes):
            for name, spec in self._pass(p):
                yield f"attn.attn.attn_modules.{p}.{name}", spec
        for kind in self.kinds():
            if self.diff_attn:
                for p, width in enumerate(self.dims_value[:-1]):
                    yield f"attn.attn.proj_modules{kind}.{p}.weights", self._maps(2 * width, width)
            if self.has_out_projection:
                width = self.branches * self.dims_value[-1]
                yield f"attn.attn.proj_out{kind}.weights", self._maps(width, self.attn_proj_rank)
        columns = H * self.attn_proj_rank
        # The states stay smaller than rows, and the norms on their way have a part of their own: states pass through
        # these layers again in each segment, and rounding errors with them.
        yield "attn.proj_out.weight", TensorSpec((D, columns), std=self._mean_gain * columns**-0.5)
        yield "attn.proj_out_state.weight", TensorSpec((D, columns), std=0.5 * self._mean_gain * columns**-0.5)
        if self.state_norm:
            yield "state_norm.weight", TensorSpec((D,), std=0.1, mean=0.4)
            yield "state_norm.bias", TensorSpec((D,), std=0.8)
        norms = {"mlp_norm": m * D}
        if not (self.diff_attn and self.diff_skip_attn_norm):
            norms["attn_norm"] = D
        for name, width in norms.items():
            yield f"{name}.weight", _scale(width)
            yield f"{name}.bias", _bias(width)
        yield from self._mlp(self.dim_hidden * m, D * m)

    @property
    def _mean_gain(self) -> float:
        """What makes up for a mean over keys, which is smaller than they are; norms do where there are two branches."""
        return 1.0 if self.diff_attn else 2.0

    def _maps(self, n_in: int, n_out: int, gain: float = 1.5) -> TensorSpec:
        """A matrix for each head."""
        return TensorSpec((1, self.num_heads, n_in, n_out), std=gain * n_in**-0.5)

    def _pass(self, p: int) -> Iterator[tuple[str, TensorSpec]]:
        H, f = self.num_heads, self.branches
        dk, dv = self.key_width(p), self.dims_value[p]
        for kind in self.kinds():
            n_in, gain = (self.dim_input, 1.0) if p == 0 else (self.dims_value[p - 1], self._mean_gain)
            if self.is_hopfield(p):
                yield f"proj_hidden{kind}.weights", self._maps(n_in, dv, gain)
                n_in, gain = dv, 0.5
            for what, width in (("q", f * dk), ("k", f * dk), ("v", f * dv)):
                yield f"proj_{what}{kind}.weights", self._maps(n_in, width, gain)
                if self.attn_normalize:
                    yield f"norm_{what}{kind}.weight", TensorSpec((H, width), std=0.1, mean=0.6)
                    yield f"norm_{what}{kind}.bias", TensorSpec((H, width), std=0.8)
        if self.cope:
            for suffix in ("_1", "_2") if self.diff_attn else ("",):
                # Small: through the gates, errors of the keys before grow with it.
                yield f"cope_emb{suffix}", TensorSpec((1, H, dk, self.rows), std=0.3 * dk**-0.5)
        if self.diff_attn:
            for name, shape in (("q1", (H, 1, dk)), ("q2", (H, 1, dk)), ("k1", (H, dk, 1)), ("k2", (H, dk, 1))):
                yield f"lambda_{name}", TensorSpec(shape, std=0.6 * dk**-0.25)
            for h in range(H):
                yield f"out_norms.{h}.weight", TensorSpec((2 * dv,), std=0.1, mean=0.6)
                yield f"out_norms.{h}.bias", TensorSpec((2 * dv,), std=0.8)

    def _mlp(self, hid: int, out: int) -> Iterator[tuple[str, TensorSpec]]:
        D = self.dim_input
        if self.activation.startswith("ffn"):
            # A product of a gate and a value is smaller than either.
            for name, n_in, n_out, gain in (("W1", D, hid, 1.0), ("V", D, hid, 1.0), ("W2", hid, out, 2.0)):
                yield f"mlp.{name}", TensorSpec((n_in, n_out), std=gain * n_in**-0.5)
            return
        widths = [D, hid // 2, hid // 2, out] if self.mlp_1221 else [D, hid, out]
        gated = self.activation in ("swiglu", "geglu")
        for i, (n_in, n_out) in enumerate(zip(widths, widths[1:])):
            gain = 1.0 if i == 0 else 1.6
            if gated:
                for matrix, bias in (("W", "b"), ("V", "c")):
                    yield f"mlp.{i}.{matrix}", TensorSpec((n_in, n_out), std=gain * n_in**-0.5)
                    yield f"mlp.{i}.{bias}", _bias(n_out)
                if self.activation == "swiglu":
                    yield f"mlp.{i}.swish.beta", TensorSpec((), std=0.2, mean=1.0)
            else:
                yield f"mlp.{2 * i}.weight", TensorSpec((n_out, n_in), std=gain * n_in**-0.5)
                yield f"mlp.{2 * i}.bias", _bias(n_out)
        if self.activation == "swish":
            yield "mlp.1.beta", TensorSpec((), std=0.2, mean=1.0)


def _scale(width: int) -> TensorSpec:
    return TensorSpec((width,), std=0.1, mean=1.0)


def _bias(width: int) -> TensorSpec:
    return TensorSpec((width,), std=0.1)


def _canonical(config: Mapping[str, Any]) -> dict[str, Any]:
    """Without aliases, and without keys that say nothing."""
    config = {key: value for key, value in config.items() if value is not None}
    for key, alias in ALIASES.items():
        if alias in config:
            if key in config:
                raise ValueError(f"/{alias}: expected this or {key}, got both")
            config[key] = config.pop(alias)
    if config.get("attn_proj_rank") == -1:
        del config["attn_proj_rank"]
    return config


def _rotary(given: ConfigFields | None) -> Rotary | None:
    if given is None:
        return None
    return Rotary(
        given.choice("style", "om", "neox"),
        given.number("dim_embedding_pct", 0.5),
        given.number("base", 10000.0),
    )


def _infer(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Fields that the shapes settle. Names that are missing settle nothing: the table's check reports them."""

    def shape(name: str, rank: int) -> tuple[int, ...] | None:
        found = shapes.get(name, ())
        return found if len(found) == rank else None

    def has(part: str) -> bool:
        return any(re.search(part, name) for name in shapes)

    layer, passes = "layers.0.", "layers.0.attn.attn.attn_modules"
    ngrams = [shape(f"ngram_embs.{i}.ngram_down_proj.weight", 2) for i in range(_count(shapes, r"ngram_embs\.(\d+)\."))]
    convs = [shape(f"convs.{i}.weight", 3) for i in range(_count(shapes, r"convs\.(\d+)\."))]
    diff = has(r"\.lambda_q1$")
    found: dict[str, Any] = {
        "num_layers": _count(shapes, r"layers\.(\d+)\."),
        "diff_attn": diff,
        "cope": has(r"\.cope_emb"),
        "attn_normalize": has(r"\.norm_[qkv]"),
        "state_proj": "shared" if has(r"\.proj_[qkv]_state\.") else "separate",
        "state_norm": has(r"\.state_norm\."),
        "proj_out_bias": "proj_out.bias" in shapes,
        "init_conv_mode": "conv" if convs else "lowrank",
        "mlp_1221": has(r"\.mlp\.4\.weight$|\.mlp\.2\.W$"),
    }
    if not (convs or ngrams):
        del found["init_conv_mode"]
    table, head = shape(EMBEDDING, 2), shape(HEAD, 2)
    if table:
        found["vocab_adj"], width = table
        found["dim_input"] = width
        if head:
            found["final_mlp_multiplier"] = head[1] // width
        found["init_convs"] = [s[2] for s in convs if s] + [s[1] // width for s in ngrams if s]
    if state := shape(f"{layer}attn.init_state", 3):
        found["state_len"] = state[1]
    maps = [
        [shape(f"{passes}.{p}.proj_{what}.weights", 4) for what in "kv"]
        for p in range(_count(shapes, r"layers\.0\.attn\.attn\.attn_modules\.(\d+)\."))
    ]
    if maps and all(k and v for k, v in maps):
        f = 2 if diff else 1
        found["num_heads"] = maps[0][0][1]
        found["dims_value"] = [v[3] // f for _, v in maps]
        hopfield = [f"{passes}.{p}.proj_hidden.weights" in shapes for p in range(len(maps))]
        if not any(hopfield):
            found["dims_key"] = [k[3] // f for k, _ in maps]
        if (out := shape(f"{layer}attn.proj_out.weight", 2)) and out[1] % found["num_heads"] == 0:
            found["attn_proj_rank"] = out[1] // found["num_heads"]
    if hidden := _hidden(shapes, found["mlp_1221"]):
        last = found.get("final_mlp_multiplier", 1) if found["num_layers"] == 1 else 1
        found["dim_hidden"] = hidden // last
    return found


def _hidden(shapes: Mapping[str, tuple[int, ...]], is_1221: bool) -> int | None:
    """Inner width of the first layer's MLP."""
    for name, axis in (("0.weight", 0), ("0.W", 1), ("W1", 1)):
        found = shapes.get(f"layers.0.mlp.{name}", ())
        if len(found) == 2:
            return found[axis] * (2 if is_1221 else 1)
    return None


def _count(shapes: Mapping[str, tuple[int, ...]], pattern: str) -> int:
    """One more than the largest number at the start of a name."""
    numbers = [int(m[1]) for m in map(re.compile(pattern).match, shapes) if m]
    return max(numbers, default=-1) + 1
