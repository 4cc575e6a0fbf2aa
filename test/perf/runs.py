"""Run lists: which work of which models is measured.

    {"runs": [{"model": "models/om/356m.json", "dtypes": ["f32", "bf16"], "work": ["decode 16", "prefill 512", "open"],
               "threads": 1, "tokens": 8, "repeats": 15, "loops": 1}]}

`decode N` decodes `tokens` tokens behind N others, `prefill N` runs N tokens from an empty session, `open` opens the
library, `compile` compiles it without weights. `threads` and `repeats` are what the command line asks for, if it does.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ELEMENT_BYTES = {"f32": 4, "bf16": 2}
WITH_LENGTH = ("decode", "prefill")
WITHOUT_LENGTH = ("open", "compile")

_DEFAULTS = {"threads": 1, "tokens": 16, "repeats": 15, "loops": 1}


@dataclass(frozen=True)
class Run:
    """One kind of work of one model, stored in one type."""

    model: Path
    dtype: str
    kind: str
    length: int
    threads: int
    tokens: int
    repeats: int
    loops: int

    @property
    def name(self) -> str:
        threads = f", {self.threads} threads" if self.threads > 1 else ""
        return f"{self.model.parent.name}/{self.model.stem} {self.dtype} {self.work}{threads}"

    @property
    def work(self) -> str:
        return f"{self.kind} {self.length}" if self.length else self.kind

    @property
    def context(self) -> int:
        """Positions that the library needs."""
        return self.length + self.tokens if self.kind == "decode" else self.length


def read_runs(path: Path) -> list[Run]:
    """The runs of a list. Raises ValueError with the file and JSON pointer of a mistake."""
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    try:
        _require(isinstance(content, dict) and set(content) == {"runs"}, "", "an object with 'runs' alone", content)
        _require(isinstance(content["runs"], list), "/runs", "a list", content["runs"])
        return [run for i, entry in enumerate(content["runs"]) for run in _runs_of(entry, f"/runs/{i}")]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _require(condition: bool, where: str, expected: str, got: object) -> None:
    if not condition:
        raise ValueError(f"{where or '/'}: expected {expected}, got {json.dumps(got):.60}")


def _runs_of(entry: object, where: str) -> Iterator[Run]:
    _require(isinstance(entry, dict), where, "an object", entry)
    known = {"model", "dtypes", "work", *_DEFAULTS}
    for key in entry:
        _require(key in known, f"{where}/{key}", "one of " + ", ".join(sorted(known)), key)
    for key in ("model", "dtypes", "work"):
        _require(key in entry, where, f"'{key}'", sorted(entry))
    numbers = {key: entry.get(key, default) for key, default in _DEFAULTS.items()}
    for key, number in numbers.items():
        _require(type(number) is int and number > 0, f"{where}/{key}", "a positive integer", number)
    _require(isinstance(entry["model"], str), f"{where}/model", "a config file", entry["model"])
    for key in ("dtypes", "work"):
        _require(isinstance(entry[key], list), f"{where}/{key}", "a list", entry[key])
    for i, dtype in enumerate(entry["dtypes"]):
        _require(dtype in [*ELEMENT_BYTES], f"{where}/dtypes/{i}", " or ".join(ELEMENT_BYTES), dtype)
        for j, work in enumerate(entry["work"]):
            kind, length = _work(work, f"{where}/work/{j}")
            yield Run(Path(entry["model"]), dtype, kind, length, **numbers)


def _work(text: object, where: str) -> tuple[str, int]:
    kind, _, length = text.partition(" ") if isinstance(text, str) else ("", "", "")
    if kind in WITH_LENGTH and length.isdecimal() and int(length):
        return kind, int(length)
    expected = "'decode N', 'prefill N', 'open' or 'compile'"
    _require(kind in WITHOUT_LENGTH and not length, where, expected, text)
    return kind, 0
