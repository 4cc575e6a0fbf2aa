"""Train the 2048-entry BPE tokenizer on the training problems; write tokenizer.json."""

import argparse
import itertools
from pathlib import Path

import tasks
import words
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

VOCAB_SIZE = 2048
# In the order of their ids, from 0.
SPECIAL_TOKENS = (
    *("<PAD>", "<BOS>", "<EOS>", "<UNK>"),
    *("<THINK>", "</THINK>", "<STEP>", "<ANS>", "</ANS>"),
)
CORPUS_PROBLEMS = 60_000
# Less often than any word of the problems, so that those are merged first.
COMMON_REPEATS = 2


def train_tokenizer(seed: int = 0) -> Tokenizer:
    """A byte-level BPE in which each digit is a token; encoding prepends <BOS>."""
    tokenizer = Tokenizer(models.BPE(unk_token="<UNK>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    problems = itertools.islice(tasks.training_problems(seed), CORPUS_PROBLEMS)
    prompts = (problem.prompt for problem in problems)
    common = (f" {word}" for word in words.COMMON_WORDS * COMMON_REPEATS)
    tokenizer.train_from_iterator(itertools.chain(prompts, common), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<BOS> $A",
        special_tokens=[("<BOS>", tokenizer.token_to_id("<BOS>"))],
    )
    if tokenizer.get_vocab_size() != VOCAB_SIZE:
        raise ValueError(
            f"expected {VOCAB_SIZE} entries, got {tokenizer.get_vocab_size()}: "
            "the corpus has too few words"
        )
    return tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).with_name("tokenizer.json")
    parser.add_argument("--out", type=Path, default=default)
    args = parser.parse_args()
    train_tokenizer().save(str(args.out))


if __name__ == "__main__":
    main()
