"""Conversations: `Chat` turns messages into ids by a checkpoint's own template, and keeps a session in step with them."""

import os
from collections import deque
from collections.abc import Generator, Iterable
from typing import Any, Literal

from treadle._capi import Status, TreadleError
from treadle._tokenizer import ChatTokenizer, Message, TextStream
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
        self._tokenizer = ChatTokenizer(tokenizer_dir, model.info["token_count"], two_bos)
        self._stops = frozenset(model.info["eos_ids"] or self._tokenizer.eos_ids)
        self._system: list[Message] = [] if system is None else [{"role": "system", "content": system}]
        self.model = model
        self.messages: list[Message] = list(self._system)
        self.session = model.session(loops=loops, context=context)
        self._held: list[int] = []  # the ids that the session holds
        self._latest = object()  # stands for the stream that has begun last
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

        The answer joins `messages` as it comes, and stays where it is broken off. A stream that `reset` or another one
        has followed raises INVALID_ARGUMENT where it is continued, and changes nothing.
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
        stream = self._latest = object()
        self._run(ids[self._rewind(ids[:-1]) : -1])
        if self._needs_marks:
            self._take_mark()

        answer = {"role": "assistant", "content": ""}
        self.messages = [*messages, answer]
        text, pending, ended, count = TextStream(self._tokenizer.decode), ids[-1], False, 0
        for token in tokens:
            self._held.append(pending)  # has been run, for this token to come of it
            self._mark_period()
            pending, ended, count = token, token in stops, count + 1
            if not ended and (piece := text.push(token)):
                answer["content"] += piece
                yield piece
                self._check_latest(stream)
        if not count:  # none was asked for
            self._held.append(pending)
        if piece := text.finish():
            answer["content"] += piece
            yield piece
            self._check_latest(stream)
        if count < max_new_tokens and not ended:
            raise TreadleError(
                Status.FULL,
                f"the context of {context} tokens is full: the answer ends after {count} of its own; reset() begins anew",
            )

    def reset(self) -> None:
        """Forgets what has been said, but for the system message."""
        self.session.reset()
        self.messages = list(self._system)
        self._held.clear()
        self._marks.clear()
        self._latest = object()

    def _check_latest(self, stream: object) -> None:
        """The session and the messages are those of the stream that has begun last."""
        if stream is not self._latest:
            raise TreadleError(
                Status.INVALID_ARGUMENT, "this answer is over: the conversation has gone on or begun anew since"
            )

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
        held = self.session.position
        del self._held[held:]
        common = 0
        while common < min(len(ids), len(self._held)) and ids[common] == self._held[common]:
            common += 1
        if common < held:  # more than `_held` where a call was interrupted
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
