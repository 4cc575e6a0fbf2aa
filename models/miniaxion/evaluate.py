"""Evaluate MiniAxion on held-out prompts: a compiled library, or PyTorch weights.

    evaluate.py miniaxion.so
    evaluate.py --torch 0.9m.safetensors

Decoding is greedy at one think loop. An answer is right when the text between <ANS> and
</ANS> is exactly the expected one. The majority column is what always giving the most
frequent answer of the same prompts would score.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import tasks
from tokenizers import Tokenizer

HERE = Path(__file__).parent
MAX_NEW_TOKENS = 128
DISJOINT_CHECK_EXAMPLES = 100_000
# The published model's card gives only the average over its tasks.
PUBLISHED_AVERAGE = 0.169

# Prompt ids to the ids generated after them.
Answer = Callable[[list[int]], list[int]]


@dataclass(frozen=True)
class Score:
    accuracy: float
    majority: float


def compiled(library: Path) -> Answer:
    """Answers of a library that treadle-compile made."""
    import treadle

    session = treadle.load(str(library)).session()

    def answer(prompt_ids: list[int]) -> list[int]:
        session.reset()
        return list(
            session.generate(
                prompt_ids, max_new_tokens=MAX_NEW_TOKENS, temperature=0.0
            )
        )

    return answer


def pytorch(weights: Path, config: Path, end: int) -> Answer:
    """Answers of the training code, which runs the whole window for each token."""
    import torch
    from model import Config, MiniAxion, load

    # One thread: the operations are too small to share.
    torch.set_num_threads(1)
    model = MiniAxion(Config.read(config))
    load(model, weights)

    @torch.no_grad()
    def answer(prompt_ids: list[int]) -> list[int]:
        ids = list(prompt_ids)
        while len(ids) < len(prompt_ids) + MAX_NEW_TOKENS and ids[-1] != end:
            hidden = model.hidden(torch.tensor([ids]))
            ids.append(int(model.logits(hidden[0, -1]).argmax()))
        return ids[len(prompt_ids) :]

    return answer


def answer_text(generated: str) -> str | None:
    """What stands between <ANS> and </ANS>."""
    match = re.search(r"<ANS>(.*?)</ANS>", generated, re.DOTALL)
    return match and match[1]


def evaluate(
    problems: list[tasks.Problem], tokenizer: Tokenizer, answer: Answer
) -> Score:
    right = 0
    for problem in problems:
        ids = answer(tokenizer.encode(problem.prompt).ids)
        text = answer_text(tokenizer.decode(ids, skip_special_tokens=False))
        right += text == problem.answer
    [(_, most)] = Counter(problem.answer for problem in problems).most_common(1)
    return Score(right / len(problems), most / len(problems))


def check_disjoint(sets: dict[str, list[tasks.Problem]], seed: int = 0) -> None:
    """Fail unless each prompt has operands that no training problem has.

    The hash decides this for every problem; here it is seen on drawn ones too.
    """
    trained = tasks.training_problems(seed)
    seen = set()
    for problem in islice(trained, DISJOINT_CHECK_EXAMPLES):
        seen.add(problem.prompt)
        seen.update(problem.facts)
    for problem in (problem for problems in sets.values() for problem in problems):
        held_out = {fact for fact in problem.facts if tasks.is_held_out(fact)}
        if not held_out or held_out & seen or problem.prompt in seen:
            raise AssertionError(f"{problem.prompt!r} shares operands with training")


def print_table(scores: dict[str, Score]) -> None:
    """A Markdown table with the average in its last row."""

    def average(values: list[float]) -> float:
        return sum(values) / len(values)

    print("| task | accuracy | majority guess | published |")
    print("|---|---:|---:|---:|")
    for task, score in scores.items():
        print(f"| {task} | {score.accuracy:.1%} | {score.majority:.1%} | – |")
    accuracy = average([score.accuracy for score in scores.values()])
    majority = average([score.majority for score in scores.values()])
    print(
        f"| **average** | **{accuracy:.1%}** | {majority:.1%} | "
        f"{PUBLISHED_AVERAGE:.1%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("library", type=Path, nargs="?", help="a compiled model")
    source.add_argument("--torch", type=Path, help="weights to run with PyTorch")
    parser.add_argument("--count", type=int, default=200, help="prompts of each task")
    parser.add_argument("--config", type=Path, default=HERE / "0.9m.json")
    parser.add_argument("--tokenizer", type=Path, default=HERE / "tokenizer.json")
    args = parser.parse_args()

    tokenizer = Tokenizer.from_file(str(args.tokenizer))
    sets = {task: tasks.evaluation_problems(task, args.count) for task in tasks.TASKS}
    check_disjoint(sets)
    if args.torch:
        answer = pytorch(args.torch, args.config, tokenizer.token_to_id("<EOS>"))
    else:
        answer = compiled(args.library)
    scores = {}
    for task, problems in sets.items():
        scores[task] = evaluate(problems, tokenizer, answer)
        print(f"{task}: {scores[task].accuracy:.1%}", file=sys.stderr)
    print_table(scores)


if __name__ == "__main__":
    main()
