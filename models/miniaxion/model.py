"""MiniAxion in PyTorch, for training only. Parameters are named as in the weight file.

Entry blocks, shared blocks that may run several times, exit blocks; every projection is
a product of two matrices of rank `lora_rank`, and the head is the embedding transposed.
"""

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

INIT_STD = 0.02
INIT_GATE = 0.5


@dataclass(frozen=True)
class Config:
    """The keys of the config file that training reads."""

    d_model: int
    n_heads: int
    n_kv_heads: int
    n_layers: int
    n_shared_layers: int
    d_ff: int
    lora_rank: int
    vocab_size: int
    max_seq_len: int
    dropout: float
    rms_norm_eps: float
    rope_theta: float

    @classmethod
    def read(cls, path: Path) -> "Config":
        values = json.loads(path.read_text())
        return cls(**{field.name: values[field.name] for field in fields(cls)})

    @property
    def head_dim(self) -> int:
        return self.d_model // self.n_heads


# Cosines and sines (rows, head_dim), causal mask (rows, rows) to add to scores.
Tables = tuple[Tensor, Tensor, Tensor]


class LowRank(nn.Module):
    """y = up(down(x)), without bias."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(inputs, rank, bias=False)
        self.up = nn.Linear(rank, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.down(x))


def position_tables(config: Config) -> Tables:
    """Tables for max_seq_len rows. Cosines stand twice, sines once negated."""
    half, rows = config.head_dim // 2, config.max_seq_len
    inverse = config.rope_theta ** (-torch.arange(half) / half)
    angles = torch.outer(torch.arange(rows), inverse)
    cos, sin = angles.cos(), angles.sin()
    future = torch.full((rows, rows), -torch.inf).triu(1)
    return torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1), future


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the half-split pairs (j, j + head_dim / 2) of x (..., rows, head_dim)."""
    return x * cos + x.roll(x.shape[-1] // 2, -1) * sin


class Attention(nn.Module):
    """Causal grouped attention; query head h reads key head h // (heads / kv heads)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        width, rank = config.d_model, config.lora_rank
        kv_width = config.n_kv_heads * config.head_dim
        self.q_proj = LowRank(width, width, rank)
        self.k_proj = LowRank(width, kv_width, rank)
        self.v_proj = LowRank(width, kv_width, rank)
        self.o_proj = LowRank(width, width, rank)

    def forward(self, x: Tensor, tables: Tables) -> Tensor:
        cos, sin, mask = tables
        q, k, v = (
            projection(x).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        rows, groups = x.shape[1], k.shape[1]
        # Query heads of a group stand one after another in one matrix.
        q = q.unflatten(1, (groups, -1)).flatten(2, 3)
        scores = q @ k.transpose(2, 3) * self.head_dim**-0.5
        scores = scores.unflatten(2, (-1, rows)) + mask
        y = scores.softmax(-1).flatten(2, 3) @ v
        y = y.unflatten(2, (-1, rows)).flatten(1, 2)
        return self.o_proj(y.transpose(1, 2).flatten(2))


class GatedMlp(nn.Module):
    """down(silu(gate(x)) * up(x))"""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, inner, rank = config.d_model, config.d_ff, config.lora_rank
        self.gate_proj = LowRank(width, inner, rank)
        self.up_proj = LowRank(width, inner, rank)
        self.down_proj = LowRank(inner, width, rank)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class DropoutTable:
    """Dropout factors, 0 or 1 / (1 - rate), cut at random places from a long table.

    Drawing fresh ones took a seventh of the training time on a CPU.
    """

    def __init__(self, rate: float, size: int = 1 << 24) -> None:
        self.factors = (torch.rand(size) >= rate) / (1 - rate)

    def draw(self, *shape: int) -> Tensor:
        count = math.prod(shape)
        start = 16 * int(torch.randint((len(self.factors) - count) // 16, ()))
        return self.factors[start : start + count].view(shape)


class Block(nn.Module):
    """Pre-norm attention and MLP, each added to the stream."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.norm1 = nn.RMSNorm(config.d_model, eps=config.rms_norm_eps)
        self.attn = Attention(config)
        self.norm2 = nn.RMSNorm(config.d_model, eps=config.rms_norm_eps)
        self.ffn = GatedMlp(config)

    def forward(self, x: Tensor, tables: Tables, drop: Tensor | None) -> Tensor:
        """`drop` (2, batch, rows, d_model) are the dropout factors of both halves."""
        attention = self.attn(self.norm1(x), tables)
        x = x + (attention if drop is None else attention * drop[0])
        mlp = self.ffn(self.norm2(x))
        return x + (mlp if drop is None else mlp * drop[1])


class MiniAxion(nn.Module):
    """The whole model; see `hidden` for the order of the blocks."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        unshared = config.n_layers - config.n_shared_layers
        entry = unshared // 2
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.entry_layers = blocks(config, entry)
        self.shared_layers = blocks(config, config.n_shared_layers)
        self.exit_layers = blocks(config, unshared - entry)
        self.final_norm = nn.RMSNorm(config.d_model, eps=config.rms_norm_eps)
        self.think_gate = nn.Parameter(torch.tensor(INIT_GATE))
        self.tables = position_tables(config)
        self.apply(initialise)

    def hidden(
        self, ids: Tensor, loops: int = 1, dropout: DropoutTable | None = None
    ) -> Tensor:
        """Normed last states (batch, rows, d_model) of ids (batch, rows).

        Dropout, if any, is after the embedding and after both halves of each block.
        """
        rows = ids.shape[1]
        cos, sin, mask = self.tables
        tables = cos[:rows], sin[:rows], mask[:rows, :rows]

        def run(layers: nn.ModuleList, x: Tensor) -> Tensor:
            for block in layers:
                drop = dropout.draw(2, *x.shape) if dropout else None
                x = block(x, tables, drop)
            return x

        x = self.token_embedding(ids)
        if dropout:
            x = x * dropout.draw(*x.shape)
        start = x = run(self.entry_layers, x)
        for loop in range(loops):
            x = run(self.shared_layers, x)
            if loop < loops - 1:
                gate = torch.sigmoid(self.think_gate)
                x = gate * x + (1 - gate) * start
        return self.final_norm(run(self.exit_layers, x))

    def fuse(self) -> None:
        """Compile the blocks; all of them share the code of the first."""
        for module in self.modules():
            if isinstance(module, Block):
                module.compile(dynamic=True)

    def logits(self, hidden: Tensor) -> Tensor:
        """The head is the embedding: (..., d_model) to (..., vocab_size)."""
        return F.linear(hidden, self.token_embedding.weight)


def blocks(config: Config, count: int) -> nn.ModuleList:
    return nn.ModuleList(Block(config) for _ in range(count))


def initialise(module: nn.Module) -> None:
    """N(0, 0.02) for matrices; norms are 1 and the gate is 0.5 already."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=INIT_STD)


def save(model: MiniAxion, path: Path) -> None:
    """Write float32 safetensors; the head is tied and not stored."""
    tensors = {name: t.contiguous() for name, t in model.state_dict().items()}
    save_file(tensors, str(path), metadata={"format": "pt"})


def load(model: MiniAxion, path: Path) -> None:
    model.load_state_dict(load_file(str(path)))
