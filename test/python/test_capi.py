"""The ctypes mirror of include/treadle-c/model.h says what the header says."""

import ctypes
import json
import re
import subprocess
from pathlib import Path

from treadle import Status, _capi

INCLUDE = Path(__file__).parents[2] / "include"
HEADER = (INCLUDE / "treadle-c/model.h").read_text()

STRUCTS = {
    "treadle_open_params": _capi.OpenParams,
    "treadle_session_params": _capi.SessionParams,
    "treadle_sample_params": _capi.SampleParams,
    "treadle_state_value": _capi.StateValue,
    "treadle_model_info": _capi.ModelInfo,
    "treadle_entry_info": _capi.EntryInfo,
    "treadle_state_info": _capi.StateInfo,
    "treadle_session_info": _capi.SessionInfo,
    "treadle_state_shape": _capi.StateShape,
    "treadle_selftest_report": _capi.SelfTestReport,
    "treadle_model_api": _capi.Table,
}

NUMBERS = {
    "TREADLE_MODEL_ABI": _capi.MODEL_ABI,
    "TREADLE_LOOPS_CONFIG": _capi.LOOPS_CONFIG,
    "TREADLE_OPEN_ALL_THREADS": _capi.OPEN_ALL_THREADS,
    "TREADLE_SESSION_POISON": _capi.SESSION_POISON,
    "TREADLE_MAX_STATE_RANK": _capi.MAX_STATE_RANK,
    **{f"TREADLE_STATUS_{status.name}": int(status) for status in Status},
    **{f"TREADLE_LOGITS_{name.upper()}": number for name, number in _capi.LOGITS.items()},
    **{f"TREADLE_ON_FULL_{name.upper()}": number for name, number in _capi.ON_FULL.items()},
    **{f"TREADLE_MARK_{name.upper()}": number for name, number in _capi.MARKS.items()},
    **{f"TREADLE_WEIGHTS_{name.upper()}": number for number, name in enumerate(_capi.WEIGHTS_MODES)},
    **{f"TREADLE_ENTRY_{name.upper()}": number for number, name in enumerate(_capi.ENTRY_KINDS)},
    **{f"TREADLE_STATE_{name.upper()}": number for number, name in enumerate(_capi.STATE_KINDS)},
    **{f"TREADLE_ELEMENT_{name.upper()}": number for number, name in enumerate(_capi.ELEMENTS)},
}


def test_numbers_and_layouts(tmp_path: Path) -> None:
    expected = dict(NUMBERS)
    for name, struct in STRUCTS.items():
        expected[f"sizeof({name})"] = ctypes.sizeof(struct)
        for field, *_ in struct._fields_:
            expected[f"offsetof({name}, {field})"] = getattr(struct, field).offset
            expected[f"sizeof((({name} *)0)->{field})"] = getattr(struct, field).size
    lines = "".join(f'  printf("%s\\"{e}\\": %lld", separator, (long long)({e})), separator = ",";\n' for e in expected)
    source = tmp_path / "numbers.c"
    source.write_text(
        f'#include "treadle-c/model.h"\n#include <stdio.h>\nint main(void) {{\n  const char *separator = "{{";\n{lines}'
        '  puts("}");\n}\n'
    )
    subprocess.run(["clang-22", f"-I{INCLUDE}", source, "-o", tmp_path / "numbers"], check=True)
    found = subprocess.run([tmp_path / "numbers"], check=True, capture_output=True).stdout
    assert json.loads(found) == expected


def test_nothing_is_missing() -> None:
    assert set(re.findall(r"typedef struct \w+ \{.*?\} (\w+);", HEADER, re.DOTALL)) == set(STRUCTS)
    for name, struct in STRUCTS.items():
        body = re.search(rf"typedef struct {name} \{{(.*?)\n\}} {name};", HEADER, re.DOTALL)
        assert body
        code = re.sub(r"/\*.*?\*/", "", body[1], flags=re.DOTALL)
        members = [
            re.search(r"\(\*(\w+)\)|(\w+)(\[\w+\])?$", member.strip()) for member in code.split(";") if member.strip()
        ]
        assert [match and (match[1] or match[2]) for match in members] == [field for field, *_ in struct._fields_], name
    enums = " ".join(re.findall(r"enum \{(.*?)\};", HEADER, re.DOTALL))
    assert set(re.findall(r"TREADLE_\w+(?= = )", enums)) <= set(NUMBERS)
