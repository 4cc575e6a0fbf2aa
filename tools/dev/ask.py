#!/usr/bin/env python3
"""Asks a compiled MiniAxion: `ask.py OUT.so tokenizer.json [PROMPT]` prints its thinking steps and answer."""

import re
import sys
import time
from pathlib import Path

import treadle
from tokenizers import Tokenizer

DEFAULT_PROMPT = "47+85="


def main(library: Path, tokenizer_file: str, prompt: str = DEFAULT_PROMPT) -> None:
    tokenizer = Tokenizer.from_file(tokenizer_file)
    with treadle.load(library) as model, model.session() as session:
        ids = tokenizer.encode(prompt).ids
        start = time.perf_counter()
        reply = list(session.generate(ids, max_new_tokens=128))
        seconds = time.perf_counter() - start
    text = tokenizer.decode(reply, skip_special_tokens=False)

    print(f"\nprompt   {prompt}")
    thought = re.search(r"<THINK>(.*?)</THINK>", text, re.DOTALL)
    for step in re.split(r"<STEP>", thought[1])[1:] if thought else []:
        print(f"  step   {step.strip()}")
    answer = re.search(r"<ANS>(.*?)(</ANS>|$)", text, re.DOTALL)
    print(f"answer   {answer[1].strip() if answer else text}")
    print(f"\nspeed    {len(reply) / seconds:,.0f} tokens/s, {len(reply)} tokens")
    print(f"library  {library} ({library.stat().st_size / 1e6:.1f} MB, weights included)")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
