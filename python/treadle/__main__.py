"""`python -m treadle chat OUT.so`: a conversation with a compiled model in a terminal."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import treadle

COMMANDS = "/reset begins anew, /quit or the end of the input ends"


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    try:
        return _chat(options)
    except (treadle.TreadleError, OSError, ImportError, UnicodeError) as error:
        print(f"treadle chat: error: {_one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
        return 130


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m treadle", description=__doc__, allow_abbrev=False)
    actions = parser.add_subparsers(dest="action", required=True)
    chat = actions.add_parser(
        "chat", description=f"Talks with a compiled model, a line at a time; {COMMANDS}.", allow_abbrev=False
    )
    chat.add_argument("library", metavar="OUT.so", type=Path)
    chat.add_argument(
        "--tokenizer",
        metavar="DIR",
        type=Path,
        help="the checkpoint's folder, with tokenizer.json and tokenizer_config.json (default: the library's folder)",
    )
    chat.add_argument("--weights", metavar="FILE", help="packed weights (default: OUT.weights, if the library wants any)")
    chat.add_argument("--prefix", metavar="NAME", help="the --symbol-prefix that the library was compiled with")
    chat.add_argument("--system", metavar="TEXT", help="a system message")
    chat.add_argument("--two-bos", action="store_true", help="keep a second begin-of-sequence id, if there is one")
    chat.add_argument("--loops", type=_loops, metavar="N|config", help="passes of the model's loop (default: 1)")
    chat.add_argument("--context", type=int, metavar="N", help="positions to use at most")
    chat.add_argument("-n", "--max-new-tokens", type=int, default=512, metavar="N", help="of an answer (default: 512)")
    chat.add_argument("--temperature", type=float, default=0.0, metavar="T", help="0 (default): the most probable token")
    chat.add_argument("--top-k", type=int, default=0, metavar="K")
    chat.add_argument("--top-p", type=float, default=1.0, metavar="P")
    chat.add_argument("--seed", type=int, default=0, metavar="N")
    return parser.parse_args(arguments)


def _loops(text: str) -> int | str:
    return text if text == "config" else int(text)


def _lines() -> Iterator[str]:
    """What the user says, with a prompt where that is a person."""
    if not sys.stdin.isatty():
        yield from (line.rstrip("\n") for line in sys.stdin)
        return
    while True:
        try:
            yield input("> ")
        except EOFError:
            print()
            return


def _chat(options: argparse.Namespace) -> int:
    with treadle.load(options.library, weights=options.weights, prefix=options.prefix) as model:
        chat = treadle.Chat(
            model,
            options.tokenizer or options.library.parent,
            system=options.system,
            two_bos=options.two_bos,
            loops=options.loops,
            context=options.context,
        )
        if sys.stdin.isatty():
            print(f"{model.info['name']}: {COMMANDS}")
        for line in _lines():
            if line == "/quit":
                break
            if line == "/reset":
                chat.reset()
            elif line:
                _answer(chat, line, options)
    return 0


def _answer(chat: treadle.Chat, line: str, options: argparse.Namespace) -> None:
    """Prints the answer as it comes. A person may go on after an error and after Ctrl+C, which breaks it off."""
    pieces = chat.stream(
        line,
        max_new_tokens=options.max_new_tokens,
        temperature=options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        seed=options.seed,
    )
    try:
        for piece in pieces:
            print(piece, end="", flush=True)
        print()
    except KeyboardInterrupt:
        pieces.close()
        print()
    except treadle.TreadleError as error:
        print()
        if not sys.stdin.isatty():
            raise
        print(f"error: {_one_line(error)}", file=sys.stderr)


def _one_line(error: Exception) -> str:
    """A template may say anything."""
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
