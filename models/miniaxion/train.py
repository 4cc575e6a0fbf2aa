"""Train MiniAxion-0.9M on endless generated problems for a given number of minutes.

The learning rate follows the clock, so that its decay ends in time on any machine. The
weights are written every few minutes, and each time the held-out problems are scored:
a problem counts when the most likely token is right at every place of its completion.
"""

import argparse
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path

import tasks
import torch
from batches import PAD, Batch, batches, collate, encode
from model import Config, DropoutTable, MiniAxion, load, save
from optimizer import optimizers
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

HERE = Path(__file__).parent
LABEL_SMOOTHING = 0.05


@dataclass(frozen=True)
class Options:
    """Rates are peaks; `decay_share` is the last part of the time, in which they fall.

    `warm_up_examples` are the sums that tasks.training_problems begins with.
    """

    minutes: float
    muon_rate: float = 0.006
    muon_decay: float = 0.1
    adam_rate: float = 1e-3
    warm_up_steps: int = 100
    warm_up_examples: int = 8000
    decay_share: float = 0.9
    clip_norm: float = 1.0
    batch_tokens: int = 1024
    two_loop_share: float = 0.05
    report_minutes: float = 2.0
    validation_problems: int = 100
    seed: int = 0


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


def validation_sets(tokenizer: Tokenizer, count: int) -> dict[str, Batch]:
    """Held-out problems, drawn with another seed than those of evaluate.py."""
    return {
        task: collate(encode(tokenizer, tasks.evaluation_problems(task, count, seed=1)))
        for task in tasks.TASKS
    }


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


def learning_rate(step: int, minutes: float, options: Options) -> float:
    """Share of the peak rate: warm-up by steps, then flat, at last a linear decay."""
    decay = (options.minutes - minutes) / (options.decay_share * options.minutes)
    return min(step / options.warm_up_steps, max(0.0, decay), 1.0)


def train(model: MiniAxion, tokenizer: Tokenizer, options: Options, out: Path) -> None:
    """Write the weights with the lowest running loss so far at every report."""
    steppers = optimizers(
        model, options.muon_rate, options.muon_decay, options.adam_rate
    )
    groups = [group for stepper in steppers for group in stepper.param_groups]
    peaks = [group["lr"] for group in groups]
    dropout = DropoutTable(model.config.dropout)
    validation = validation_sets(tokenizer, options.validation_problems)
    loops_rng = random.Random(options.seed)
    report, examples, tokens = options.report_minutes, 0, 0
    running_loss, best_loss = 0.0, math.inf
    training = batches(
        tokenizer, options.batch_tokens, options.seed, options.warm_up_examples
    )
    start = time.monotonic()
    for step, batch in enumerate(training, 1):
        minutes = (time.monotonic() - start) / 60
        rate = learning_rate(step, minutes, options)
        for group, peak in zip(groups, peaks, strict=True):
            group["lr"] = peak * rate
        loops = 2 if loops_rng.random() < options.two_loop_share else 1
        hidden = model.hidden(batch.ids, loops, dropout)
        loss = cross_entropy(model, hidden, batch.labels)
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
        for stepper in steppers:
            stepper.step()
        examples += len(batch.ids)
        tokens += int((batch.ids != PAD).sum())
        running_loss += max(0.02, 1 / step) * (loss.item() - running_loss)
        finished = minutes >= options.minutes
        if minutes >= report or finished:
            report += options.report_minutes
            if running_loss < best_loss:
                best_loss = running_loss
                save(model, out)
            scores = validate(model, validation)
            print(
                f"{minutes:.1f} min, step {step}, {examples} examples, "
                f"{tokens} tokens ({tokens / minutes / 60:.0f}/s), "
                f"loss {running_loss:.4f}: "
                + ", ".join(f"{task} {score:.0%}" for task, score in scores.items()),
                flush=True,
            )
        if finished:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-fuse", action="store_true", help="without torch.compile")
    parser.add_argument("--config", type=Path, default=HERE / "0.9m.json")
    parser.add_argument("--tokenizer", type=Path, default=HERE / "tokenizer.json")
    parser.add_argument("--start-from", type=Path, help="weights to go on from")
    parser.add_argument("--out", type=Path, default=HERE / "0.9m.safetensors")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    model = MiniAxion(Config.read(args.config))
    if args.start_from:
        load(model, args.start_from)
    if not args.no_fuse:
        model.fuse()
    tokenizer = Tokenizer.from_file(str(args.tokenizer))
    train(model, tokenizer, Options(args.minutes, seed=args.seed), args.out)


if __name__ == "__main__":
    main()
