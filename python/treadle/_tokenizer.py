"""A checkpoint's tokenizer: tokenizer.json, and the chat template of tokenizer_config.json.

Both are run by libraries that are imported on demand, `tokenizers` and `jinja2`; the package works without them.
"""

import datetime
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from treadle._capi import Status, TreadleError

Message = Mapping[str, Any]
"""{"role": "system", "user" or "assistant", "content": text}, and what else a template asks for."""

MAX_TEXT = 16 << 20
"""Characters of a conversation, far more than any context takes."""

MAX_STEPS = 10_000_000
"""Lines of Python that a template may run, as Jinja makes them: seconds, where published ones take microseconds."""

MAX_PENDING = 16
"""How many ids may wait for the rest of a character, which has four bytes at most."""


class ChatTokenizer:
    """Text to ids and back as the checkpoint in `folder` has it.

    vocab_size  of the model: no id may reach it
    two_bos     keep the second begin-of-sequence id where the template writes one and the tokenizer adds another
    """

    def __init__(self, folder: str | os.PathLike[str], vocab_size: int, two_bos: bool = False):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise TreadleError(
                Status.IO, f"{folder}: expected a folder with tokenizer.json and tokenizer_config.json, found none"
            )
        self._two_bos = two_bos
        self._tokenizer = _load_tokenizer(self.folder / "tokenizer.json", vocab_size)
        config_file = self.folder / "tokenizer_config.json"
        config = _read_config(config_file)
        self._special = {
            key: text for key, value in config.items() if key.endswith("_token") and (text := _content(value)) is not None
        }
        self._template = _compile_template(*_find_template(config, config_file))
        bos = self._special.get("bos_token")
        self._bos = None if bos is None else self._tokenizer.token_to_id(bos)
        self._leading = self._find_leading(config.get("add_bos_token"))

    @property
    def eos_ids(self) -> list[int]:
        """The end-of-sequence id of the tokenizer, if it names one."""
        eos = self._special.get("eos_token")
        token = None if eos is None else self._tokenizer.token_to_id(eos)
        return [] if token is None else [token]

    def encode_chat(self, messages: Sequence[Message]) -> list[int]:
        """The ids of a conversation, up to where the assistant's next message begins."""
        text = self._render(messages)
        ids = list(self._tokenizer.encode(text, add_special_tokens=False).ids)
        leading = self._leading
        if not self._two_bos and leading and leading[-1] == self._bos and ids[:1] == [self._bos]:
            leading = leading[:-1]
        return leading + ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def _find_leading(self, add_bos: object) -> list[int]:
        """What the tokenizer puts before a text; `add_bos` (true or false in the config) overrules it."""
        encoding = self._tokenizer.encode("a", add_special_tokens=True)
        added = itertools.takewhile(lambda pair: pair[1], zip(encoding.ids, encoding.special_tokens_mask))
        leading = [token for token, _ in added]
        if isinstance(add_bos, bool) and self._bos is not None:
            leading = [token for token in leading if token != self._bos] + [self._bos] * add_bos
        return leading

    def _render(self, messages: Sequence[Message]) -> str:
        pieces: list[str] = []
        size = 0
        try:
            with _at_most(MAX_STEPS):
                for piece in self._template.generate(
                    messages=messages, tools=None, documents=None, add_generation_prompt=True, **self._special
                ):
                    pieces.append(piece)
                    size += len(piece)
                    if size > MAX_TEXT:
                        raise ValueError(f"expected a text of at most {MAX_TEXT} characters, got more")
        except Exception as error:  # whatever goes wrong in somebody else's code
            said = str(error) or type(error).__name__
            raise TreadleError(Status.INVALID_ARGUMENT, f"the chat template of {self.folder}: {said:.300}") from None
        text = "".join(pieces)
        if not _is_unicode(text):
            raise TreadleError(
                Status.INVALID_ARGUMENT, "the conversation: expected Unicode characters, got half of a surrogate pair"
            )
        return text


class TextStream:
    """The text of ids that come one by one, in pieces of whole characters. Each piece is decoded behind the ids of the
    one before, since decoders treat the beginning of a text apart, and so takes no longer the longer the text is."""

    def __init__(self, decode: Callable[[Sequence[int]], str]):
        self._decode = decode
        self._ids: list[int] = []
        self._context = 0  # how many of them have been said

    def push(self, token: int) -> str:
        """What can be said now; nothing where it may end in half a character."""
        self._ids.append(token)
        return self._take(len(self._ids) - self._context >= MAX_PENDING)

    def finish(self) -> str:
        """What has not been said."""
        return self._take(True)

    def _take(self, as_it_is: bool) -> str:
        said, text = self._decode(self._ids[: self._context]), self._decode(self._ids)
        if len(text) > len(said) and (as_it_is or not text.endswith("\ufffd")):
            self._ids = self._ids[self._context :]
            self._context = len(self._ids)
            return text[len(said) :]
        if as_it_is:
            del self._ids[self._context :]
        return ""


#
# Files
#


def _import(module: str) -> Any:
    try:
        return __import__(module)
    except ImportError:
        raise ImportError(f"treadle.Chat needs the package {module}: pip install 'treadle[chat]'") from None


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise TreadleError(Status.IO, f"{path}: no such file; it belongs to the checkpoint's tokenizer") from None
    except (OSError, UnicodeDecodeError) as error:
        raise TreadleError(Status.IO, f"{path}: {error}") from None


def _load_tokenizer(path: Path, vocab_size: int) -> Any:
    tokenizers = _import("tokenizers")
    text = _read(path)
    try:
        tokenizer = tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # of no narrower type
        raise TreadleError(Status.CORRUPT, f"{path}: expected a tokenizer of the tokenizers library: {error}") from None
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if largest >= vocab_size:
        raise TreadleError(
            Status.MISMATCH,
            f"{path}: expected ids below {vocab_size}, the model's vocabulary, got {largest}: "
            "it is the tokenizer of another model",
        )
    # What a file asks for to make batches would cut or fill up a conversation.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise TreadleError(Status.CORRUPT, f"{path}: expected JSON: {error}") from None
    if not isinstance(config, dict):
        raise TreadleError(Status.CORRUPT, f"{path}: expected a JSON object, got {type(config).__name__}")
    return config


def _content(token: object) -> str | None:
    """A special token is written as its text, or as an object with more about it."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) and _is_unicode(token) else None


def _is_unicode(text: str) -> bool:
    """Whether no half of a surrogate pair is in it, which JSON and a terminal can bring in and no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _find_template(config: Mapping[str, Any], path: Path) -> tuple[str, Path]:
    """The template, and the file that it stands in: the config, where it may be one of several with names, or a file
    beside it."""
    template = config.get("chat_template")
    if isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    beside = path.with_name("chat_template.jinja")
    if template is None and beside.exists():
        return _read(beside), beside
    if not isinstance(template, str):
        found = "none" if template is None else type(template).__name__
        raise TreadleError(
            Status.UNSUPPORTED,
            f"{path}: expected the text of a chat_template, found {found}: this model is not one to chat with",
        )
    return template, path


#
# Templates
#


def _compile_template(text: str, path: Path) -> Any:
    """With what templates of published checkpoints expect; sandboxed, since a template is code of somebody else's."""
    jinja2 = _import("jinja2")
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """{% generation %} ... {% endgeneration %} marks what training is to learn; here it is what it encloses."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda pattern: datetime.datetime.now().strftime(pattern)
    try:
        return environment.from_string(text)
    except Exception as error:  # also of Python's compiler, to which Jinja hands on what it makes
        said = str(error) or type(error).__name__
        raise TreadleError(Status.CORRUPT, f"{path}: expected a chat template in Jinja: {said:.300}") from None


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Unlike Jinja's own, it does not escape what HTML would not take."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


@contextmanager
def _at_most(steps: int) -> Iterator[None]:
    """Ends functions that are called inside after so many lines of Python: loops of loops need not write anything."""
    left = steps

    def count(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(f"expected a template that ends within {steps} steps, got more")
        return count

    outer = sys.gettrace()
    sys.settrace(count)
    try:
        yield
    finally:
        sys.settrace(outer)


def _raise_exception(message: object) -> None:
    from jinja2 import TemplateError

    raise TemplateError(str(message))
