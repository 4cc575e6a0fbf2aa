import ast
import sys
from pathlib import Path

from treadle import reference

FILES = sorted(Path(reference.__file__).parent.glob("*.py"))


def test_the_reference_stands_alone() -> None:
    """Compiled libraries are judged against it: it shares no code with them."""
    allowed = {"numpy", *sys.stdlib_module_names}
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= allowed, file
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 1 or (node.module or "").split(".")[0] in allowed, file
