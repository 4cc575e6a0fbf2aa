"""Conversations: `Chat` turns messages into ids by a checkpoint's own template, and keeps a session in step with them."""

import os
from collections import deque
from collections.abc import Generator, Iterable
from typing import Any, Literal

from treadle._capi import Status, TreadleError
from treadle._tokenizer import ChatTokenizer, Message
from treadle.model import Model

MARKS = 4
"""How many checkpoints a conversation keeps, of a model that cannot be truncated anywhere."""


class Chat:
    """A conversation with a model. It needs the packages `tokenizers` and `jinja2` (`pip install 'treadle[chat]'`).

        chat = treadle.Chat(model, "checkpoint")
        print(chat.send("Hello!"))

    `messages` is what has been said so far, `session` what the model holds of it. For each answer the template writes
    the whole conversation anew; of its ids, only those behind what the session holds already are run.
    """

    def __init__(
        self,
        model: Model,
        tokenizer_dir: str | os.PathLike[str],
        *,
        system: str | None = None,
        two_bos: bool = False,
        loops: int | Literal["config"] | None = None,
        context: int | None = None,
    ):
        """
        tokenizer_dir   the checkpoint's folder: tokenizer.json, and tokenizer_config.json with its chat_template
        system          what the system message says; None: there is none
        two_bos         keep both begin-of-sequence ids where the template writes one and the tokenizer adds another, as
                        some published outputs were made; otherwise there is one
        loops, context  as for `Model.session`
        """
        self._tokenizer = ChatTokenizer(tokenizer_dir, model.info["vocab_size"], two_bos)
        self._stops = frozenset(model.info["eos_ids"] or self._tokenizer.eos_ids)
        self._system: list[Message] = [] if system is None else [{"role": "system", "content": system}]
        self.model = model
        self.messages: list[Message] = list(self._system)
        self.session = model.session(loops=loops, context=context)
        self._held: list[int] = []  # the ids that the session holds
        self._period: int = model.info["period"]
        # States that truncation cannot cut are gone back to by checkpoints: (position, mark), oldest first.
        self._needs_marks = any(s["kind"] != "append" and not s["by_turn"] for s in model.info["states"])
        self._marks: deque[tuple[int, bytes]] = deque(maxlen=MARKS)

    def send(self, text: str, **options: Any) -> str:
        """Says something and returns the whole answer; `options` as for `stream`."""
        return "".join(self.stream(text, **options))

    def stream(
        self,
        text: str,
        *,
        max_new_tokens: int = 512,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        stop: int | Iterable[int] | None = None,
    ) -> Generator[str, None, None]:
        """Says something and yields the answer as it comes, in pieces of whole characters and without special tokens.

        The options are those of `Session.generate`; stop None means the end-of-text ids of the model's config. Where
        the conversation does not fit into the context, a `TreadleError` of status FULL says so: before anything has
        been run if it is the message that does not fit, after the last piece if it is the answer.

        The answer joins `messages` as far as it has come, also where it is broken off.
        """
        if not isinstance(text, str):
            raise TypeError(f"text: expected a string, got {type(text).__name__}")
        stops = self._stops if stop is None else frozenset(stop if isinstance(stop, Iterable) else [stop])
        messages = [*self.messages, {"role": "user", "content": text}]
        ids = self._tokenizer.encode_chat(messages)
        if not ids:
            raise TreadleError(Status.INVALID_ARGUMENT, "the chat template made no tokens of the conversation")
        context = self.session.context
        if context and len(ids) > context:
            raise TreadleError(
                Status.FULL,
                f"the context is full: the conversation takes {len(ids)} tokens of {context}; reset() begins anew",
            )
        # Refuses bad options; the first token of it would come from a call that runs all but the last id before.
        tokens = self.session.generate(ids[-1:], max_new_tokens, temperature, top_k, top_p, seed, stops)
        self._run(ids[self._rewind(ids[:-1]) : -1])
        if self._needs_marks:
            self._take_mark()

        new: list[int] = []
        shown = 0
        answer = ""
        try:
            for token in tokens:
                self._mark_period()
                new.append(token)
                answer = self._tokenizer.decode([token for token in new if token not in stops])
                if len(answer) > shown and not answer.endswith("\ufffd"):  # perhaps half a character
                    yield answer[shown:]
                    shown = len(answer)
        finally:
            self._held = (ids + new)[: self.session.position]
            self.messages = [*messages, {"role": "assistant", "content": answer}]
        if shown < len(answer):
            yield answer[shown:]
        if len(new) < max_new_tokens and new[-1] not in stops:
            raise TreadleError(
                Status.FULL,
                f"the context of {context} tokens is full: the answer ends after {len(new)} of its own; "
                "reset() begins anew",
            )

    def reset(self) -> None:
        """Forgets what has been said, but for the system message."""
        self.session.reset()
        self.messages = list(self._system)
        self._held.clear()
        self._marks.clear()

    #
    # The session
    #

    def _run(self, ids: list[int]) -> None:
        """Runs ids for the sake of what comes after them."""
        while ids:
            self._mark_period()
            room = self._period - self.session.since_turn if self._period else len(ids)
            self.session.forward(ids[:room], logits="none")
            self._held += ids[:room]
            ids = ids[room:]

    def _rewind(self, ids: list[int]) -> int:
        """Takes the session back to where it holds a beginning of `ids` and nothing else; returns the position."""
        common = 0
        while common < min(len(ids), len(self._held)) and ids[common] == self._held[common]:
            common += 1
        if common < len(self._held):
            common = self._go_back(common)
            del self._held[common:]
        return common

    def _go_back(self, position: int) -> int:
        """Back to `position`, or as little further as the model's states allow; returns where that is."""
        while self._marks and self._marks[-1][0] > position:
            self._marks.pop()
        try:
            self.session.truncate(position)
            return position
        except TreadleError as error:
            if error.status != Status.NEEDS_CHECKPOINT:
                raise
        while self._marks:
            start, mark = self._marks[-1]
            try:
                self.session.rollback(mark)
                return start
            except TreadleError as error:
                if error.status != Status.OVERWRITTEN:
                    raise
                self._marks.pop()
        self.session.truncate(0)
        return 0

    def _take_mark(self) -> None:
        self._marks.append((self.session.position, self.session.checkpoint()))

    def _mark_period(self) -> None:
        """At the end of a period takes the mark that outlives it."""
        if self._period and self.session.since_turn == self._period:
            self._take_mark()
