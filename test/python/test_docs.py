"""The examples of docs/HowTo/UseFromPython.md, run in order."""

import doctest
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import treadle
from chat_files import write_miniaxion

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/HowTo/UseFromPython.md"


def test_examples(compile_library: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(re.findall(r"```pycon\n(.*?)```", PAGE.read_text(), re.DOTALL))
    (tmp_path / "models").symlink_to(ROOT / "models")
    write_miniaxion(tmp_path / "checkpoint")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(treadle, "compile", compile_library)
    test = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    assert len(test.examples) > 30
    problems: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF).run(test, out=problems.append)
    assert not problems, "".join(problems)
