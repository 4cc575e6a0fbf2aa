"""`treadle.Chat` and `python -m treadle chat`, on the toys of test/Runtime and on a trained MiniAxion."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import treadle
from chat_files import BOS_TEMPLATE, CONFIG, ROOT, TEMPLATE, write_miniaxion, write_tokenizer
from treadle import Status, TreadleError
from treadle._tokenizer import ChatTokenizer, TextStream

BOS, EOS, USER, BOT = 1, 2, 3, 4


def refused(status: Status, text: str) -> Any:
    return pytest.raises(TreadleError, check=lambda error: error.status == status and text in error.message)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tokenizer(tmp_path / "tokenizer")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each call of `Session.forward` ran."""
    counts: list[int] = []
    forward = treadle.Session.forward

    def recorded(self: treadle.Session, ids: Any, *args: Any, **options: Any) -> Any:
        counts.append(len(ids))
        return forward(self, ids, *args, **options)

    monkeypatch.setattr(treadle.Session, "forward", recorded)
    return counts


def whole(chat: treadle.Chat, model: treadle.Model, **options: Any) -> list[int]:
    """What a fresh session answers to the conversation without its last answer."""
    ids = chat._tokenizer.encode_chat(chat.messages[:-1])
    with model.session() as session:
        return list(session.generate(ids, **options))


#
# Conversations
#


def test_miniaxion(compile_library: Callable[..., None], tmp_path: Path, runs: list[int]) -> None:
    model = "models/miniaxion/0.9m"
    compile_library(ROOT / f"{model}.json", weights=ROOT / f"{model}.safetensors", out=tmp_path / "m.so")
    write_miniaxion(tmp_path)
    with treadle.load(tmp_path / "m.so") as m:
        chat = treadle.Chat(m, tmp_path)
        pieces = list(chat.stream("47+85="))
        first = "".join(pieces)
        assert len(pieces) > 5 and first.endswith("132") and "<" not in first
        assert chat.messages == [{"role": "user", "content": "47+85="}, {"role": "assistant", "content": first}]
        ids = chat._tokenizer.encode_chat(chat.messages[:1])
        assert ids[0] == 1 and ids.count(1) == 1
        assert sum(runs) == chat.session.position  # the stop id has not been run

        # Special tokens are not in the text, so the model holds more of the first answer than the template writes of
        # it: what comes before stands.
        runs.clear()
        chat.send("9+9=", max_new_tokens=1)
        again = chat._tokenizer.encode_chat(chat.messages[:-1])
        assert again[: len(ids)] == ids and sum(runs) == len(again) - len(ids)
        assert chat.session.position == len(again)

        assert chat.send("1+1=") == chat._tokenizer.decode(whole(chat, m, max_new_tokens=512))
        chat.reset()
        assert chat.send("47+85=") == first


@pytest.mark.parametrize("library", ["toy.so", "toy-append.so", "turns.so", "turns-token-state.so"])
def test_only_new_ids_are_run(toys: Path, folder: Path, runs: list[int], library: str) -> None:
    with treadle.load(toys / library) as model:
        chat = treadle.Chat(model, folder)
        held = 0
        for turn, text in enumerate(["w7 w8", "w9", "w10 w11 w12", "w30"]):
            runs.clear()
            chat.send(text, max_new_tokens=5, stop=())
            ids = chat._tokenizer.encode_chat(chat.messages[:-1])
            # The last id of an answer is not run before the next turn.
            assert sum(runs) == len(ids) - held + 4, f"turn {turn}"
            held = chat.session.position
            assert held == len(ids) + 4
            answer = chat._tokenizer.decode(whole(chat, model, max_new_tokens=5, stop=()))
            assert chat.messages[-1] == {"role": "assistant", "content": answer}


@pytest.mark.parametrize("library", ["toy.so", "toy-append.so", "turns.so", "turns-token-state.so"])
def test_what_was_said_is_changed(toys: Path, folder: Path, runs: list[int], library: str) -> None:
    options: dict[str, Any] = {"max_new_tokens": 6, "stop": ()}
    with treadle.load(toys / library) as model:
        chat = treadle.Chat(model, folder)
        chat.send("w7 w8 w9", **options)
        chat.send("w13", **options)
        prompt = len(chat._tokenizer.encode_chat(chat.messages[:-1]))

        def change(index: int) -> int:
            """Another message in the place of that one, and no other after it but a new one. Returns how many of the
            tokens held before were of use."""
            runs.clear()
            chat.messages[index:] = [{**chat.messages[index], "content": "w20 w21"}]
            chat.send("w14", **options)
            kept = chat.session.position - sum(runs)
            answer = chat._tokenizer.decode(whole(chat, model, **options))
            assert chat.messages[-1]["content"] == answer
            assert chat.session.position == len(chat._tokenizer.encode_chat(chat.messages[:-1])) + 5
            return kept

        # To the answer's beginning, or to a mark: the one before the answer, that of the last period's start.
        assert prompt == 17
        assert change(-1) == {"toy.so": 16, "toy-append.so": 17, "turns.so": 17, "turns-token-state.so": 16}[library]
        chat.send("w15 w15", **options)
        assert change(1) == {"toy.so": 5, "toy-append.so": 6, "turns.so": 0, "turns-token-state.so": 0}[library]
        assert change(0) == (1 if library == "toy-append.so" else 0)
        for _ in range(5 if model.info["period"] else 1):
            chat.send("w15", **options)
            change(-1)


def test_the_context_is_full(toys: Path, folder: Path) -> None:
    with treadle.load(toys / "toy.so") as model:
        chat = treadle.Chat(model, folder, context=12)
        with refused(Status.FULL, "the conversation takes 13 tokens of 12; reset() begins anew"):
            chat.send("w7 " * 10)
        assert chat.messages == [] and chat.session.position == 0
        pieces = []
        with refused(Status.FULL, "the context of 12 tokens is full: the answer ends after 9 of its own"):
            for piece in chat.stream("w7", stop=()):
                pieces.append(piece)
        assert chat.session.position == 12
        assert chat.messages[-1] == {"role": "assistant", "content": "".join(pieces)} and len(pieces) > 3
        chat.reset()
        assert chat.messages == [] and chat.send("w7", max_new_tokens=4, stop=())
    with treadle.load(toys / "turns.so") as model:
        chat = treadle.Chat(model, folder)
        chat.send("w7 " * 100, max_new_tokens=100, stop=())
        assert chat.session.position > 200


def test_streaming(toys: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with treadle.load(toys / "toy.so") as model:
        chat = treadle.Chat(model, folder, system="w35")
        assert chat.messages == [{"role": "system", "content": "w35"}]
        # Broken off: what has come stands in the conversation, and it goes on from there.
        stream = chat.stream("w7", stop=())
        pieces = [next(stream), next(stream)]
        stream.close()
        assert chat.messages[-1] == {"role": "assistant", "content": "".join(pieces)}
        chat.send("w8", max_new_tokens=3, stop=())
        assert chat.messages[-1]["content"] == chat._tokenizer.decode(whole(chat, model, max_new_tokens=3, stop=()))
        chat.reset()
        assert chat.messages == [{"role": "system", "content": "w35"}]
        with pytest.raises(TypeError, match="expected a string"):
            chat.send(7)  # type: ignore[arg-type]
        with refused(Status.INVALID_ARGUMENT, "max_new_tokens"):
            chat.send("w7", max_new_tokens=-1)
        assert len(chat.messages) == 1 and chat.session.position == 0

    # A character of several ids comes whole, and one that is never finished at the end.
    tokenizer = ChatTokenizer(write_miniaxion(tmp_path / "bytes"), 2048)
    euro = list(tokenizer._tokenizer.encode("€", add_special_tokens=False).ids)
    assert len(euro) == 3
    with treadle.load(toys / "toy.so") as model:
        chat = treadle.Chat(model, folder)
        chat._tokenizer.decode = tokenizer.decode  # type: ignore[method-assign]
        answer = [*euro, euro[0], *euro, *euro[:2]]
        monkeypatch.setattr(treadle.Session, "generate", lambda *_: iter(answer))
        pieces = list(chat.stream("w7", max_new_tokens=len(answer)))
        assert pieces == ["€", "\ufffd€", "\ufffd"]


def test_a_stream_that_is_over(toys: Path, folder: Path) -> None:
    options: dict[str, Any] = {"max_new_tokens": 6, "stop": (), "temperature": 5.0, "seed": 3}
    over = refused(Status.INVALID_ARGUMENT, "this answer is over")
    for library in ("toy.so", "toy-append.so", "turns.so"):
        with treadle.load(toys / library) as model:
            chat = treadle.Chat(model, folder)

            def check(chat: treadle.Chat = chat, model: treadle.Model = model) -> None:
                chat.send("w9", **options)
                answer = chat._tokenizer.decode(whole(chat, model, **options))
                assert chat.messages[-1]["content"] == answer
                assert chat.session.position == len(chat._tokenizer.encode_chat(chat.messages[:-1])) + 5

            # Two at a time: the first answer ends where the second question is put.
            first, second = chat.stream("w7", **options), chat.stream("w8", **options)
            said = next(first)
            next(second)
            assert [message["content"] for message in chat.messages[:3]] == ["w7", said, "w8"]
            with over:
                next(first)
            assert len([*second]) > 1
            check()
            # Closed late, or continued after a reset.
            late = [chat.stream("w10 w11", **options) for _ in range(2)]
            next(late[0])
            check()
            late[0].close()
            check()
            next(late[1])
            chat.reset()
            assert chat.messages == []
            with over:
                next(late[1])
            assert chat.messages == [] and chat.session.position == 0
            check()
            # A refused question ends no answer.
            chat.reset()
            stream = chat.stream("w7", **options)
            next(stream)
            with refused(Status.INVALID_ARGUMENT, "max_new_tokens"):
                chat.send("w8", max_new_tokens=-1)
            assert len([*stream]) > 1


def test_what_is_held_is_asked_of_the_session(toys: Path, folder: Path) -> None:
    with treadle.load(toys / "toy.so") as model:
        chat = treadle.Chat(model, folder)
        for disturb in (lambda: chat.session.forward([11, 12]), chat.session.reset):
            chat.send("w7", max_new_tokens=5, stop=())
            disturb()
            chat.send("w8", max_new_tokens=5, stop=())
            answer = chat._tokenizer.decode(whole(chat, model, max_new_tokens=5, stop=()))
            assert chat.messages[-1]["content"] == answer
        assert chat.send("w7", max_new_tokens=0) == ""
        assert chat._held == chat._tokenizer.encode_chat(chat.messages[:-1])


def test_long_answers_are_decoded_piece_by_piece(tmp_path: Path) -> None:
    tokenizer = ChatTokenizer(write_miniaxion(tmp_path), 2048)
    text = "Grüße — 漢字, 🙂🙂 and  two spaces\n" * 20
    ids = list(tokenizer._tokenizer.encode(text, add_special_tokens=False).ids)
    # Special tokens say nothing, bytes that are no character are not waited for any longer than one may take.
    euro = tokenizer._tokenizer.encode("€", add_special_tokens=False).ids[0]
    ids += [1] * 40 + ids[:9] + [euro] * 40 + ids[:9]
    longest = 0

    def decode(window: Any) -> str:
        nonlocal longest
        longest = max(longest, len(window))
        return tokenizer.decode(window)

    stream = TextStream(decode)
    pieces = [stream.push(token) for token in ids] + [stream.finish()]
    assert "".join(pieces) == tokenizer.decode(ids) and longest <= 32
    assert not any("\ufffd" in piece for piece in pieces[: len(ids) - 49 - 9])

    words = ChatTokenizer(write_tokenizer(tmp_path / "words"), 37)
    stream = TextStream(words.decode)
    assert [stream.push(token) for token in (7, 2, 8, 9)] == ["w7", "", " w8", " w9"]


def test_stop_ids(toys: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with treadle.load(toys / "toy.so") as model:
        chat = treadle.Chat(model, folder)
        assert chat._stops == {2, 5}  # the config's; w5 is no special token, but ends the text and is no part of it
        monkeypatch.setattr(treadle.Session, "generate", lambda *_: iter([9, 5]))
        assert chat.send("w7") == "w9"
    with treadle.load(toys / "turns.so") as model:
        assert model.info["eos_ids"] == [] and treadle.Chat(model, folder)._stops == {EOS}


#
# Templates
#


@pytest.mark.parametrize("template", [TEMPLATE, BOS_TEMPLATE])
@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize("add_bos", [None, False, True])
@pytest.mark.parametrize("two", [False, True])
def test_bos(tmp_path: Path, template: str, adds: bool, add_bos: bool | None, two: bool) -> None:
    config = CONFIG | {"chat_template": template} | ({} if add_bos is None else {"add_bos_token": add_bos})
    tokenizer = ChatTokenizer(write_tokenizer(tmp_path, config, adds_bos=adds), 37, two_bos=two)
    ids = tokenizer.encode_chat([{"role": "user", "content": "w7"}])
    written, added = template == BOS_TEMPLATE, adds if add_bos is None else add_bos
    count = written + added if two else min(1, written + added)
    assert ids == [BOS] * count + [USER, 7, EOS, BOT]


def render(folder: Path, template: Any, **config: Any) -> list[int]:
    tokenizer = ChatTokenizer(write_tokenizer(folder, CONFIG | config | {"chat_template": template}), 37)
    return tokenizer.encode_chat([{"role": "user", "content": "w7", "tags": {"b": 1, "a": "<é>"}}])


@contextmanager
def limited_memory() -> Iterator[None]:
    """A gibibyte more than there is now."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_what_templates_expect(tmp_path: Path) -> None:
    assert render(tmp_path, "{{ 'w9' if messages[0].tags | tojson == '{\"b\": 1, \"a\": \"<é>\"}' }}") == [9]
    assert render(tmp_path, "{{ 'w9' if strftime_now('%Y') | int > 2020 }}") == [9]
    assert render(tmp_path, "{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}w9 {% endfor %}") == [9, 9]
    assert render(tmp_path, "{% if true %}\n  {% set x = 'w8' %}\n{{ x }}{% endif %}") == [8]
    assert render(tmp_path, "{% if tools is not none or documents is not none %}w8 {% endif %}w9") == [9]
    assert render(tmp_path, "{% generation %}w8 {{ 'w9' }}{% endgeneration %}") == [8, 9]
    assert render(tmp_path, "{{ pad_token }} {{ eos_token }}", pad_token="w6") == [6, EOS]
    assert render(tmp_path, [{"name": "tool_use", "template": "w5"}, {"name": "default", "template": "w6"}]) == [6]
    (tmp_path / "chat_template.jinja").write_text("w31")
    assert render(tmp_path, None) == [31]


def test_bad_templates(tmp_path: Path) -> None:
    with refused(Status.INVALID_ARGUMENT, "roles must alternate"):
        render(tmp_path, "{{ raise_exception('roles must alternate') }}")
    with refused(Status.CORRUPT, "tokenizer_config.json: expected a chat template in Jinja"):
        render(tmp_path, "{% for %}")
    for secret in ("''.__class__.__mro__", "messages.append(1)", "1 / 0", "messages + 1"):
        with refused(Status.INVALID_ARGUMENT, "the chat template of"):
            render(tmp_path, f"{{{{ {secret} }}}}")
    for endless in (
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for i in range(9999) %}{% for j in range(9999) %}w9 {% endfor %}{% endfor %}",
    ):
        with refused(Status.INVALID_ARGUMENT, "the chat template of"):
            render(tmp_path, endless)
    tracer = sys.gettrace()
    with refused(Status.INVALID_ARGUMENT, "expected a template that ends within"):
        render(tmp_path, "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}w9")
    assert sys.gettrace() is tracer
    if "asan" not in os.environ.get("LD_PRELOAD", ""):  # which ends the process where memory does
        doubled = "{% set x = namespace(y='w9') %}{% for i in range(99) %}{% set x.y = x.y ~ x.y %}{% endfor %}{{ x.y }}"
        with refused(Status.INVALID_ARGUMENT, "the chat template of"), limited_memory():
            render(tmp_path, doubled)
    with refused(Status.CORRUPT, "expected a chat template in Jinja"):
        render(tmp_path, "{% if x %}" * 400 + "{% endif %}" * 400)
    with refused(Status.INVALID_ARGUMENT, "expected Unicode characters, got half of a surrogate pair"):
        render(tmp_path, "w9 {{ '\\ud800' }}")
    assert render(tmp_path, "w9 {{ bos_token }}", bos_token="\ud800") == [9]
    for template, found in [(None, "none"), (7, "int"), ([{"name": "rag", "template": "w5"}], "none")]:
        with refused(Status.UNSUPPORTED, f"expected the text of a chat_template, found {found}"):
            render(tmp_path, template)


def test_an_empty_prompt(toys: Path, tmp_path: Path) -> None:
    write_tokenizer(tmp_path, CONFIG | {"chat_template": ""})
    with treadle.load(toys / "toy.so") as model, refused(Status.INVALID_ARGUMENT, "made no tokens"):
        treadle.Chat(model, tmp_path).send("w7")


#
# Files
#


def test_bad_files(tmp_path: Path) -> None:
    with refused(Status.IO, "expected a folder with tokenizer.json and tokenizer_config.json"):
        ChatTokenizer(tmp_path / "none", 37)
    with refused(Status.IO, "tokenizer.json: no such file"):
        ChatTokenizer(tmp_path, 37)
    write_tokenizer(tmp_path, size=38)
    with refused(Status.MISMATCH, "expected ids below 37, the model's vocabulary, got 37"):
        ChatTokenizer(tmp_path, 37)
    ChatTokenizer(tmp_path, 38)
    config = tmp_path / "tokenizer_config.json"
    for text, status, message in [
        ('{"chat_template": ', Status.CORRUPT, "tokenizer_config.json: expected JSON"),
        ("[" * 100_000, Status.CORRUPT, "tokenizer_config.json: expected JSON"),
        ("[1]", Status.CORRUPT, "expected a JSON object, got list"),
        ('{"a": ' + "1" * 5000 + "}", Status.CORRUPT, "tokenizer_config.json: expected JSON"),
    ]:
        config.write_text(text)
        with refused(status, message):
            ChatTokenizer(tmp_path, 38)
    config.write_bytes(b'"\xff"')
    with refused(Status.IO, "can't decode"):
        ChatTokenizer(tmp_path, 38)
    config.unlink()
    with refused(Status.IO, "tokenizer_config.json: no such file"):
        ChatTokenizer(tmp_path, 38)
    for text in ("{", "[]", "{}", json.dumps({"model": {"type": "BPE"}})):
        (tmp_path / "tokenizer.json").write_text(text)
        with refused(Status.CORRUPT, "tokenizer.json: expected a tokenizer"):
            ChatTokenizer(tmp_path, 38)


def test_truncation_of_the_file_is_left_out(tmp_path: Path) -> None:
    file = write_tokenizer(tmp_path) / "tokenizer.json"
    content = json.loads(file.read_text())
    content["truncation"] = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    content["padding"] = {
        "strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "<unk>",
    }  # fmt: skip
    file.write_text(json.dumps(content))
    assert ChatTokenizer(tmp_path, 37).encode_chat([{"role": "user", "content": "w7"}]) == [USER, 7, EOS, BOT]


@pytest.mark.parametrize("package", ["tokenizers", "jinja2"])
def test_without_the_packages(toys: Path, folder: Path, package: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "import treadle\n"
        f"model = treadle.load({str(toys / 'toy.so')!r})\n"
        "model.session().forward([1, 2])\n"
        f"treadle.Chat(model, {str(folder)!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert f"ImportError: treadle.Chat needs the package {package}: pip install 'treadle[chat]'" in done.stderr


#
# The command
#


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT / "python")}


def command(*arguments: object, said: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "treadle", *map(str, arguments)],
        input=said,
        capture_output=True,
        text=True,
        env=environment(),
    )


def test_command(toys: Path, folder: Path) -> None:
    library = toys / "toy.so"
    with treadle.load(library) as model:
        chat = treadle.Chat(model, folder, loops=2)
        answers = [chat.send(text, max_new_tokens=6) for text in ("w7", "w8")]
    options = ["chat", library, "--tokenizer", folder, "--loops=2", "-n6"]
    done = command(*options, said="w7\n\nw8\n/reset\nw7\n/quit\nw9\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [*answers, answers[0]]

    done = command(*options, "--context=12", said="w7\n" + "w8 " * 20)
    assert done.returncode == 1 and "treadle chat: error: the context is full" in done.stderr
    assert done.stdout.startswith(answers[0])


def test_errors_of_the_command_are_one_line(toys: Path, tmp_path: Path) -> None:
    template = "{{ raise_exception('no\nuser') if 'w7' in messages[0].content }}"
    write_tokenizer(tmp_path, CONFIG | {"chat_template": template})
    for said in (b"w7\n", b"w8 \xff\n"):
        done = subprocess.run(
            [sys.executable, "-m", "treadle", "chat", toys / "toy.so", f"--tokenizer={tmp_path}"],
            input=said,
            capture_output=True,
            env=environment() | {"LANG": "C.UTF-8"},
        )
        assert done.returncode == 1
        assert done.stderr.startswith(b"treadle chat: error: ") and done.stderr.count(b"\n") == 1


def test_mistakes_at_the_command(toys: Path, tmp_path: Path) -> None:
    done = command("chat", toys / "toy.so")
    assert done.returncode == 1 and "treadle chat: error:" in done.stderr and "tokenizer.json: no such file" in done.stderr
    done = command("chat", tmp_path / "none.so")
    assert done.returncode == 1 and "No such file" in done.stderr
    assert command().returncode == 2 and command("chat", "--tok=x", "m.so").returncode == 2
    help = command("chat", "--help").stdout
    assert "/reset begins anew" in help and "--two-bos" in help
