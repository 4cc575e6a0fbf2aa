"""Train MiniAxion-0.9M on endless generated problems for a given number of minutes.

The learning rate follows the clock, so that its decay ends in time on any machine. The
weights are written every few minutes, and each time the held-out problems are scored:
a problem counts when the most likely token is right at every place of its completion.
"""

import argparse
import itertools
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tasks
import torch
import torch.distributed as dist
from model import Config, DropoutTable, MiniAxion, load, save
from optimizer import optimizers
from tokenizers import Tokenizer
from torch import Tensor
from torch.multiprocessing import spawn
from torch.nn import functional as F

HERE = Path(__file__).parent
PAD = 0
POOL = 1024
LABEL_SMOOTHING = 0.05


@dataclass(frozen=True)
class Options:
    minutes: float
    muon_rate: float = 0.012
    adam_rate: float = 1.5e-3
    warm_up_steps: int = 100
    warm_up_examples: int = 8000
    decay_share: float = 0.4
    clip_norm: float = 1.0
    batch_tokens: int = 1024
    two_loop_share: float = 0.05
    report_minutes: float = 2.0
    validation_problems: int = 100
    seed: int = 0
    fuse: bool = True


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


def cross_entropy(model: MiniAxion, hidden: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of logits[:, :-1] against labels[:, 1:], PAD labels ignored.

    The head runs only on rows that have a label; the others would be ignored.
    """
    targets = labels[:, 1:]
    counted = targets != PAD
    return F.cross_entropy(
        model.logits(hidden[:, :-1][counted]),
        targets[counted],
        ignore_index=PAD,
        label_smoothing=LABEL_SMOOTHING,
    )


@torch.no_grad()
def validate(model: MiniAxion, validation: dict[str, Batch]) -> dict[str, float]:
    """Share of the problems of each task whose whole completion is most likely."""
    scores = {}
    for task, batch in validation.items():
        with torch.compiler.set_stance("force_eager"):
            best = model.logits(model.hidden(batch.ids)).argmax(-1)[:, :-1]
        targets = batch.labels[:, 1:]
        right = ((best == targets) | (targets == PAD)).all(1)
        scores[task] = right.double().mean().item()
    return scores


@dataclass
class Progress:
    """Counts over all processes."""

    step: int = 0
    examples: int = 0
    tokens: int = 0
    mean_loss: float = 0.0

    def add(self, examples: float, tokens: float, loss: float) -> None:
        self.step += 1
        self.examples += round(examples)
        self.tokens += round(tokens)
        weight = max(0.02, 1 / self.step)
        self.mean_loss += weight * (loss - self.mean_loss)

    def line(self, minutes: float, scores: dict[str, float]) -> str:
        return (
            f"{minutes:.1f} min, step {self.step}, {self.examples} examples, "
            f"{self.tokens} tokens ({self.tokens / minutes / 60:.0f}/s), "
            f"loss {self.mean_loss:.4f}: "
            + ", ".join(f"{task} {score:.0%}" for task, score in scores.items())
        )


def sum_over_processes(model: MiniAxion, numbers: list[float]) -> list[float]:
    """Replace the gradients by their means over the processes; sum the numbers."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([*(g.flatten() for g in gradients), torch.tensor(numbers)])
    dist.all_reduce(flat)
    *means, sums = flat.split([*(g.numel() for g in gradients), len(numbers)])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient) / dist.get_world_size())
    return sums.tolist()


def learning_rate(step: int, minutes: float, options: Options) -> float:
    """Share of the peak rate: warm-up by steps, then flat, at last a linear decay."""
    decay = (options.minutes - minutes) / (options.decay_share * options.minutes)
    return min(step / options.warm_up_steps, max(0.0, decay), 1.0)


def train(model: MiniAxion, tokenizer: Tokenizer, options: Options, out: Path) -> None:
    """Runs in every process: equal weights, different problems, gradients averaged."""
    rank, processes = dist.get_rank(), dist.get_world_size()
    steppers = optimizers(model, options.muon_rate, options.adam_rate)
    groups = [group for stepper in steppers for group in stepper.param_groups]
    peaks = [group["lr"] for group in groups]
    dropout = DropoutTable(model.config.dropout)
    if options.fuse:
        model.fuse()
    validation = validation_sets(tokenizer, options.validation_problems)
    progress, report = Progress(), options.report_minutes
    loops_rng = random.Random(options.seed)
    start = time.monotonic()
    data_seed = options.seed * processes + rank
    for batch in batches(
        tokenizer, options.batch_tokens, data_seed, options.warm_up_examples
    ):
        loops = 2 if loops_rng.random() < options.two_loop_share else 1
        hidden = model.hidden(batch.ids, loops, dropout)
        loss = cross_entropy(model, hidden, batch.labels)
        model.zero_grad()
        loss.backward()
        # All processes go by the same clock: the mean of theirs.
        minutes = (time.monotonic() - start) / 60 / processes
        tokens = int((batch.ids != PAD).sum())
        minutes, examples, tokens, loss = sum_over_processes(
            model, [minutes, len(batch.ids), tokens, loss.item() / processes]
        )
        progress.add(examples, tokens, loss)
        rate = learning_rate(progress.step, minutes, options)
        for group, peak in zip(groups, peaks, strict=True):
            group["lr"] = peak * rate
        torch.nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
        for stepper in steppers:
            stepper.step()
        finished = minutes >= options.minutes
        if minutes >= report or finished:
            report += options.report_minutes
            if rank == 0:
                save(model, out)
                print(progress.line(minutes, validate(model, validation)), flush=True)
        if finished:
            return


def validation_sets(tokenizer: Tokenizer, count: int) -> dict[str, Batch]:
    """Held-out problems other than those that evaluate.py draws."""
    return {
        task: collate(encode(tokenizer, tasks.evaluation_problems(task, count, seed=1)))
        for task in tasks.TASKS
    }


def work(rank: int, meeting_point: str, args: argparse.Namespace) -> None:
    """One process. Each has one thread: threads that wait for each other at every
    operation are slow on a machine that other programs use too."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{meeting_point}",
        rank=rank,
        world_size=args.processes,
    )
    torch.manual_seed(args.seed)
    model = MiniAxion(Config.read(args.config))
    if args.start_from:
        load(model, args.start_from)
    # From here on, dropout differs between the processes.
    torch.manual_seed(args.seed * args.processes + rank)
    tokenizer = Tokenizer.from_file(str(args.tokenizer))
    options = Options(args.minutes, seed=args.seed, fuse=not args.no_fuse)
    train(model, tokenizer, options, args.out)
    dist.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=80)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-fuse", action="store_true", help="without torch.compile")
    parser.add_argument("--config", type=Path, default=HERE / "0.9m.json")
    parser.add_argument("--tokenizer", type=Path, default=HERE / "tokenizer.json")
    parser.add_argument("--start-from", type=Path, help="weights to go on from")
    parser.add_argument("--out", type=Path, default=HERE / "0.9m.safetensors")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        spawn(work, (f"{folder}/meeting", args), args.processes)


if __name__ == "__main__":
    main()
