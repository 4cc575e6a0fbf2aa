"""MiniAxion as a PyTorch user would write it for speed, eager and with a KV cache, checked and timed.

    miniaxion_eager.py CONFIG WEIGHTS decode|prefill LENGTH TOKENS REPEATS THREADS

Compares its logits with treadle.reference in float64 first, then prints one JSON object: samples in seconds of what
model-bench measures under the same names.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from treadle.reference import FAMILIES

TOLERANCE = 2e-5
SHORTEST_SAMPLE = 2e-3


class LowRank(nn.Module):
    def __init__(self, inputs: int, outputs: int, rank: int):
        super().__init__()
        self.down = nn.Linear(inputs, rank, bias=False)
        self.up = nn.Linear(rank, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.down(x))


class Attention(nn.Module):
    def __init__(self, c: dict, positions: int):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = c["n_heads"], c["n_kv_heads"], c["d_model"] // c["n_heads"]
        width, kv_width = c["d_model"], c["n_kv_heads"] * self.head_dim
        self.q_proj = LowRank(width, width, c["lora_rank"])
        self.k_proj = LowRank(width, kv_width, c["lora_rank"])
        self.v_proj = LowRank(width, kv_width, c["lora_rank"])
        self.o_proj = LowRank(width, width, c["lora_rank"])
        cache = torch.zeros(2, 1, self.kv_heads, positions, self.head_dim)
        self.register_buffer("cache", cache, persistent=False)

    def forward(self, x: Tensor, position: int, cos: Tensor, sin: Tensor) -> Tensor:
        """x (rows, width) -> (rows, width)"""
        rows = len(x)
        q = rotate(self.q_proj(x).view(1, rows, self.heads, self.head_dim).transpose(1, 2), cos, sin)
        k = rotate(self.k_proj(x).view(1, rows, self.kv_heads, self.head_dim).transpose(1, 2), cos, sin)
        keys, values = self.cache
        keys[:, :, position : position + rows] = k
        values[:, :, position : position + rows] = (
            self.v_proj(x).view(1, rows, self.kv_heads, self.head_dim).transpose(1, 2)
        )
        end = position + rows
        y = F.scaled_dot_product_attention(
            q, keys[:, :, :end], values[:, :, :end], is_causal=rows > 1, enable_gqa=True
        )  # fmt: skip
        return self.o_proj(y.transpose(1, 2).reshape(rows, -1))


class MLP(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        self.gate_proj = LowRank(c["d_model"], c["d_ff"], c["lora_rank"])
        self.up_proj = LowRank(c["d_model"], c["d_ff"], c["lora_rank"])
        self.down_proj = LowRank(c["d_ff"], c["d_model"], c["lora_rank"])

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, c: dict, positions: int):
        super().__init__()
        self.norm1 = nn.RMSNorm(c["d_model"], eps=c["rms_norm_eps"])
        self.attn = Attention(c, positions)
        self.norm2 = nn.RMSNorm(c["d_model"], eps=c["rms_norm_eps"])
        self.ffn = MLP(c)

    def forward(self, x: Tensor, position: int, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x), position, cos, sin)
        return x + self.ffn(self.norm2(x))


class MiniAxion(nn.Module):
    """One pass of the shared blocks, as the published model generates."""

    def __init__(self, c: dict, positions: int):
        super().__init__()
        alone = c["n_layers"] - c["n_shared_layers"]
        sizes = {"entry": alone // 2, "shared": c["n_shared_layers"], "exit": alone - alone // 2}
        self.token_embedding = nn.Embedding(c["vocab_size"], c["d_model"])
        self.think_gate = nn.Parameter(torch.zeros(()))
        for name, size in sizes.items():
            self.add_module(f"{name}_layers", nn.ModuleList(Block(c, positions) for _ in range(size)))
        self.final_norm = nn.RMSNorm(c["d_model"], eps=c["rms_norm_eps"])
        self.blocks = [*self.entry_layers, *self.shared_layers, *self.exit_layers]
        head_dim = c["d_model"] // c["n_heads"]
        angles = torch.outer(
            torch.arange(positions, dtype=torch.float64),
            c["rope_theta"] ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim),
        )
        self.register_buffer("cos", angles.cos().float(), persistent=False)
        self.register_buffer("sin", angles.sin().float(), persistent=False)

    def forward(self, ids: Tensor, position: int) -> Tensor:
        """ids (rows): one token at any position, or many from 0 on -> logits of the last (vocab)"""
        x = self.token_embedding(ids)
        cos, sin = self.cos[position : position + len(ids)], self.sin[position : position + len(ids)]
        for block in self.blocks:
            x = block(x, position, cos, sin)
        return F.linear(self.final_norm(x[-1]), self.token_embedding.weight)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def worst_error(model: MiniAxion, config: dict, tensors: dict[str, Tensor], ids: Tensor) -> float:
    """Of the logits behind a prefill of 16 tokens and the decoded ones after it."""
    arrays = {name: tensor.numpy().astype(np.float64) for name, tensor in tensors.items()}
    expected = FAMILIES["miniaxion"](config, arrays).forward(ids.numpy())[0][15:]
    found = [model(ids[:16], 0), *(model(ids[i : i + 1], i) for i in range(16, len(ids)))]
    return float(np.abs(torch.stack(found).numpy() - expected).max() / np.abs(expected).max())


@torch.inference_mode()
def main(config_path: str, weights: str, kind: str, length: int, tokens: int, repeats: int, threads: int) -> None:
    torch.set_num_threads(threads)
    config = {"rms_norm_eps": 1e-6, "rope_theta": 10000.0} | json.loads(Path(config_path).read_text())
    tensors = {name: tensor.float() for name, tensor in load_file(weights).items()}
    model = MiniAxion(config, length + tokens).eval()
    model.load_state_dict(tensors)
    ids = torch.arange(length + tokens) * 7 % config["vocab_size"]
    error = worst_error(model, config, tensors, ids[:24]) if len(ids) >= 24 else None
    if error is not None and not error <= TOLERANCE:
        sys.exit(f"expected the reference's logits within {TOLERANCE}, got an error of {error:.2e}")

    def work() -> None:
        if kind == "prefill":
            model(ids[:length], 0)
        else:
            for i in range(length, length + tokens):
                model(ids[i : i + 1], i)

    def sample() -> float:
        start, rounds, elapsed = time.perf_counter(), 0, 0.0
        while elapsed < SHORTEST_SAMPLE:
            work()
            rounds += 1
            elapsed = time.perf_counter() - start
        return elapsed / rounds

    model(ids[:length], 0)
    work()
    seconds = [sample() for _ in range(repeats)]
    print(json.dumps({"seconds": seconds, "error": error, "version": torch.__version__.partition("+")[0]}))


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))
