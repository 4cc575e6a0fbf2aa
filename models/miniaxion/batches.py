"""Batches of encoded problems for training."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

import tasks
import torch
from tokenizers import Tokenizer
from torch import Tensor

PAD = 0
POOL = 1024


@dataclass(frozen=True)
class Batch:
    """ids and labels (batch, rows); labels are PAD on prompts and padding."""

    ids: Tensor
    labels: Tensor


def encode(
    tokenizer: Tokenizer, problems: list[tasks.Problem]
) -> list[tuple[list[int], list[int]]]:
    """Prompt ids, with <BOS> first, and completion ids, with <EOS> last."""
    prompts = tokenizer.encode_batch([p.prompt for p in problems])
    completions = tokenizer.encode_batch(
        [p.completion for p in problems], add_special_tokens=False
    )
    end = tokenizer.token_to_id("<EOS>")
    return [
        (prompt.ids, [*completion.ids, end])
        for prompt, completion in zip(prompts, completions, strict=True)
    ]


def collate(examples: list[tuple[list[int], list[int]]]) -> Batch:
    width = max(len(prompt) + len(completion) for prompt, completion in examples)
    ids = torch.full((len(examples), width), PAD)
    labels = torch.full_like(ids, PAD)
    for row, (prompt, completion) in enumerate(examples):
        start, end = len(prompt), len(prompt) + len(completion)
        ids[row, :end] = torch.tensor(prompt + completion)
        labels[row, start:end] = torch.tensor(completion)
    return Batch(ids, labels)


def batches(
    tokenizer: Tokenizer, tokens: int, seed: int, warm_up: int
) -> Iterator[Batch]:
    """Endless batches of about `tokens` tokens, padding included.

    A pool of problems is sorted by length so that little of a batch is padding; its
    batches come in random order.
    """
    rng = random.Random(f"batches {seed}")
    problems = tasks.training_problems(seed, warm_up)
    while True:
        examples = encode(tokenizer, list(itertools.islice(problems, POOL)))
        examples.sort(key=lambda example: len(example[0]) + len(example[1]))
        pool: list[Batch] = []
        while examples:
            width = len(examples[-1][0]) + len(examples[-1][1])
            count = max(1, tokens // width)
            pool.append(collate(examples[-count:]))
            del examples[-count:]
        rng.shuffle(pool)
        yield from pool
