"""Tokenizers for the tests of `treadle.Chat`."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

ROOT = Path(__file__).parents[2]

# <user> words </s> <bot> words </s> ...
TEMPLATE = (
    "{%- for m in messages -%}{{ '<user> ' if m.role == 'user' else '<bot> ' }}{{ m.content }} </s> {% endfor -%}"
    "{%- if add_generation_prompt -%}<bot>{%- endif -%}"
)
BOS_TEMPLATE = "{{ bos_token }} " + TEMPLATE

CONFIG = {"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": False}, "chat_template": TEMPLATE}


def words(size: int) -> list[str]:
    """The vocabulary: <s> is 1, </s> is 2, which ends the text of the toys, w7 is 7."""
    special = {0: "<unk>", 1: "<s>", 2: "</s>", 3: "<user>", 4: "<bot>"}
    return [special.get(i, f"w{i}") for i in range(size)]


def write_tokenizer(folder: Path, config: Any = CONFIG, size: int = 37, adds_bos: bool = False) -> Path:
    """A checkpoint's folder with one id for each word."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: i for i, word in enumerate(words(size))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>", "<user>", "<bot>"])
    if adds_bos:
        # One that ends texts as well must not end the prompt.
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return folder


def write_miniaxion(folder: Path) -> Path:
    """The folder of a checkpoint of models/miniaxion that continues what it is told."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").symlink_to(ROOT / "models/miniaxion/tokenizer.json")
    template = (
        "{{ bos_token }}{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}"
        "{% endfor %}"
    )
    config = {"bos_token": "<BOS>", "eos_token": "<EOS>", "chat_template": template}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder
