"""treadle.convert: model.pt files of PyTorch, and files that only look like them."""

import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import treadle
from torch_file import EMPTY, Tensor, TorchFile, call, integer, name, state_dict, text, tuple_of
from treadle import _safetensors
from treadle._torch_pickle import ConvertError

SIX = np.arange(6, dtype="<f4")
MATRIX = Tensor((2, 3), (3, 1), 6)
HEAD, EMBEDDING = "output_head.weight", "token_embedding.weight"


def saved(*items: tuple[str, Tensor | bytes], **storages: np.ndarray) -> TorchFile:
    """A file whose storage 0 holds 0 … 5, and others by keyword: s1 is storage 1."""
    data = {"0": SIX.tobytes()} | {key[1:]: array.tobytes() for key, array in storages.items()}
    return TorchFile(state_dict(items), data)


def converted(file: TorchFile, folder: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    notes = treadle.convert(file.write(folder / "model.pt"), folder / "w.safetensors")
    return _safetensors.load(folder / "w.safetensors"), notes


def test_a_file_of_pytorch(tmp_path: Path) -> None:
    """data/state_dict.pt was written by torch.save of PyTorch 2.15: each type, a view, a parameter, a tied head."""
    notes = treadle.convert(Path(__file__).parent / "data/state_dict.pt", tmp_path / "w.safetensors")
    found = _safetensors.load(tmp_path / "w.safetensors")
    expected = {
        EMBEDDING: np.arange(6).reshape(3, 2) / 4,
        "think_gate": 0.5,
        "half": [1.5, -2],
        "bfloat": [3, -0.25],
        "double": [np.float32(0.1)],
        "view": [[4, 8], [6, 10]],
        "parameter": [1, 2],
    }
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value)
    assert sorted(notes) == [
        "double: rounded from F64 to F32",
        "mask: left out, BOOL is not a floating-point type",
        f"{HEAD}: left out, it holds the numbers of {EMBEDDING}",
    ]


def test_types_are_kept(tmp_path: Path) -> None:
    file = saved(
        ("h", Tensor((2,), (1,), 2, "1", kind="HalfStorage")),
        ("f", MATRIX),
        ("b", Tensor((1,), (1,), 1, "2", kind="BFloat16Storage")),
        s1=np.array([1, 2], "<f2"),
        s2=np.array([0x3FC0], "<u2"),
    )
    converted(file, tmp_path)
    header = (tmp_path / "w.safetensors").read_bytes()
    for expected in (b'"h":{"dtype":"F16"', b'"f":{"dtype":"F32"', b'"b":{"dtype":"BF16"'):
        assert expected in header


def test_views(tmp_path: Path) -> None:
    found, _ = converted(
        saved(
            ("transposed", Tensor((3, 2), (1, 3), 6)),
            ("column", Tensor((2, 1), (3, 10**30), 6, offset=2)),
            ("repeated", Tensor((4,), (0,), 6, offset=5)),
            ("scalar", Tensor((), (), 6, offset=4)),
        ),
        tmp_path,
    )
    np.testing.assert_array_equal(found["transposed"], SIX.reshape(2, 3).T)
    np.testing.assert_array_equal(found["column"], [[2], [5]])
    np.testing.assert_array_equal(found["repeated"], [5, 5, 5, 5])
    np.testing.assert_array_equal(found["scalar"], 4)


@pytest.mark.parametrize("same", [True, False])
def test_a_head_in_its_own_storage(tmp_path: Path, same: bool) -> None:
    head = Tensor((2, 3), (3, 1), 6, "1")
    found, notes = converted(saved((EMBEDDING, MATRIX), (HEAD, head), s1=SIX if same else SIX + 1), tmp_path)
    assert (HEAD in found) != same and len(notes) == same


def test_dictionaries_of_other_forms(tmp_path: Path) -> None:
    """A plain dict filled item by item, memo entries of both sizes, attributes, pickle 2's small integers."""
    pickled = (
        b"\x80\x02}"
        + text("a") + b"q\x00r\x01\x00\x00\x00" + MATRIX.pickled() + b"q\x02s"
        + text("b") + b"h\x02s"
        + b"}" + text("_metadata") + EMPTY + b"sb."
    )  # fmt: skip
    found, _ = converted(TorchFile(pickled, {"0": SIX.tobytes()}), tmp_path)
    assert found.keys() == {"a", "b"}


def with_value(value: Tensor | bytes) -> TorchFile:
    return saved(("weight", MATRIX), ("evil", value))


def pickle_only(data: bytes) -> TorchFile:
    return TorchFile(data, {"0": SIX.tobytes()})


HOSTILE: dict[str, tuple[TorchFile, str]] = {
    "os.system": (with_value(call("os", "system", text("touch owned"))), "found 'os.system'"),
    "eval": (with_value(call("builtins", "eval", text("1"))), "found 'builtins.eval'"),
    "getattr of an allowed module": (with_value(call("torch", "load", text("x"))), "found 'torch.load'"),
    "call of a storage class": (with_value(call("torch", "FloatStorage", integer(1 << 60))), "found a call of"),
    "call of a tensor": (with_value(MATRIX.pickled() + b")R"), "found a call of a TensorRef"),
    "newobj": (with_value(name("collections", "OrderedDict") + b")\x81"), "found b'\\x81'"),
    "attributes of a tensor": (with_value(MATRIX.pickled() + b"}b"), "expected a dict on the stack"),
    "foreign persistent id": (with_value(text("0") + b"Q"), "expected a storage, found '0'"),
    "storage of no class": (
        with_value(tuple_of([text("storage"), text("x"), text("0"), text("cpu"), integer(6)]) + b"Q"),
        "expected a storage, found a tuple",
    ),
    "negative size of storage": (with_value(Tensor((1,), (1,), -6)), "expected a storage, found a tuple"),
    "missing storage": (with_value(Tensor((1,), (1,), 6, "7")), "'evil': expected a member data/7, found none"),
    "storage outside": (with_value(Tensor((1,), (1,), 6, "../data.pkl")), "expected a member data/../data.pkl"),
    "storage too small": (
        with_value(Tensor((1,), (1,), 1 << 61)),
        "data/0: expected 9223372036854775808 bytes, found 24",
    ),
    "storage of another type": (with_value(Tensor((1,), (1,), 6, kind="DoubleStorage")), "expected 48 bytes, found 24"),
    "view past the end": (with_value(Tensor((2, 3), (3, 1), 6, offset=1)), "expected a view within the 6 elements"),
    "view that unfolds": (with_value(Tensor((1 << 40, 1 << 40), (0, 0), 6)), "expected a view within the 6 elements"),
    "sizes that overflow": (with_value(Tensor((1 << 62, 4), (1, 1), 6)), "expected a view within the 6 elements"),
    "negative offset": (with_value(Tensor((1,), (1,), 6, offset=-1)), "expected a positive shape"),
    "negative stride": (with_value(Tensor((2,), (-1,), 6, offset=1)), "expected a positive shape"),
    "negative size": (with_value(Tensor((-1,), (1,), 6)), "expected a positive shape"),
    "no size": (with_value(Tensor((0,), (1,), 6)), "expected a positive shape"),
    "many dimensions": (with_value(Tensor((1,) * 65, (1,) * 65, 6)), "at most 8 dimensions, found 65 and 65"),
    "stride missing": (with_value(Tensor((2, 3), (3,), 6)), "found 2 and 1"),
    "text as an offset": (
        with_value(call("torch._utils", "_rebuild_tensor_v2", text("s"), text("0"), b")", b")")),
        "found a call of 'torch._utils._rebuild_tensor_v2'",
    ),
    "fraction in a shape": (
        pickle_only(saved(("w", Tensor((1,), (1,), 6))).pickle.replace(integer(1), b"G" + struct.pack(">d", 1))),
        "expected integers as a tensor's offset, shape and strides",
    ),
    "many views": (
        saved(*((f"w{i}", Tensor((1 << 14,), (1,), 1 << 14, "1")) for i in range(9)), s1=np.zeros(1 << 14, "<f4")),
        "twice the file",
    ),
    "not a tensor": (with_value(b"K\x05"), "'evil': expected a tensor, found a int"),
    "dictionary within": (with_value(EMPTY), "'evil': expected a tensor, found a dict"),
    "deep tuples": (with_value(b")" + b"\x85" * 100_000), "'evil': expected a tensor, found a tuple"),
    "deep key": (
        pickle_only(b"\x80\x02}(" + b")" + b"\x85" * 100_000 + b"Nu."),
        "expected text as a key, found a tuple",
    ),
    "name twice": (saved(("w", MATRIX), ("w", MATRIX)), "expected distinct keys, found 'w' twice"),
    "reserved name": (saved(("__metadata__", MATRIX)), "expected a tensor's name, found '__metadata__'"),
    "name with a line break": (saved(("a\nb", MATRIX)), "expected a tensor's name, found 'a\\nb'"),
    "no name": (saved(("", MATRIX)), "expected a tensor's name, found ''"),
    "no dictionary": (pickle_only(b"\x80\x02N."), "expected a state dict, found None"),
    "nothing": (pickle_only(b"\x80\x02}."), "expected at least one floating-point tensor, found none"),
    "integers only": (saved(("n", Tensor((6,), (1,), 6, kind="IntStorage"))), "found none"),
    "too large for float32": (
        saved(("d", Tensor((1,), (1,), 1, "1", kind="DoubleStorage")), s1=np.array([1e300])),
        "'d': expected values within float32",
    ),
    "sizes beyond printing": (with_value(Tensor(((1 << 126) - 1,) * 8, (1,) * 8, 6)), "expected a positive shape"),
    "large pickle": (
        pickle_only(b"\x80\x02" + b"}" * (5 << 20) + b"."),
        "expected at most 4194304 bytes, found 5242883",
    ),
    "protocol 4": (pickle_only(b"\x80\x04}."), "at byte 0: expected pickle protocol 2, found 4"),
    "cut short": (pickle_only(saved(("w", MATRIX)).pickle[:-1]), "expected 1 more bytes, found 0"),
    "huge text": (pickle_only(b"\x80\x02X\xff\xff\xff\xff."), "at byte 2: expected 4294967295 more bytes"),
    "text that is no UTF-8": (pickle_only(b"\x80\x02X\x01\x00\x00\x00\xff."), "expected UTF-8 text"),
    "endless name": (pickle_only(b"\x80\x02c" + b"a" * 1000), "expected a name of at most 255 bytes"),
    "empty stack": (pickle_only(b"\x80\x02R."), "expected a value on the stack, found none"),
    "no mark": (pickle_only(b"\x80\x02}t."), "expected a mark on the stack, found none"),
    "key without value": (pickle_only(b"\x80\x02}(Nu."), "expected pairs of key and value"),
    "unknown memo": (pickle_only(b"\x80\x02j\xff\xff\xff\xff."), "found no number 4294967295"),
    "big-endian": (
        TorchFile(state_dict([("w", MATRIX)]), {"0": SIX.tobytes()}, [("byteorder", b"big")]),
        "byteorder: expected little",
    ),
    "member twice": (TorchFile(state_dict([("w", MATRIX)]), {"0": SIX.tobytes()}, [("data/0", b"")]), "found two"),
    "two pickles": (TorchFile(b"", extra=[("model/data.pkl", b"")]), "expected one member */data.pkl, found 2"),
    "compressed": (TorchFile(state_dict([]), {"0": bytes(1 << 20)}, compression=zipfile.ZIP_DEFLATED), "uncompressed"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_pickles(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file, message = HOSTILE[kind]
    check_refused(file.write(tmp_path / "model.pt"), message)


def check_refused(model: Path, message: str) -> None:
    """One line that begins with the file; nothing is written."""
    with pytest.raises(ConvertError) as error:
        treadle.convert(model, model.parent / "w.safetensors")
    line = str(error.value)
    assert line.startswith(f"{model}: ") and "\n" not in line and message in line and len(line) < 500
    assert list(model.parent.iterdir()) == [model]


def tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))


def rewritten(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(change(saved(("weight", MATRIX)).write(path).read_bytes()))

    return write


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "found no archive"),
    "text": (lambda path: path.write_bytes(b"import os\n"), "found no archive"),
    "before 1.6": (
        lambda path: path.write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."),
        "found the pickle format of PyTorch before 1.6",
    ),
    "tar": (tar, "found a tar archive"),
    "truncated": (rewritten(lambda data: data[:-40]), "found a damaged one"),
    "no pickle": (lambda path: zipfile.ZipFile(path, "w").close(), "expected one member */data.pkl, found 0"),
    "a byte of a storage": (rewritten(lambda data: data.replace(SIX.tobytes(), SIX[::-1].tobytes())), "Bad CRC-32"),
    "an encrypted member": (
        rewritten(lambda data: data.replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0")),
        "encrypted",
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_other_files(kind: str, tmp_path: Path) -> None:
    write, message = FILES[kind]
    write(tmp_path / "model.pt")
    check_refused(tmp_path / "model.pt", message)


def test_members_that_overlap(tmp_path: Path) -> None:
    """Every member's entry says that it begins at the same place: together they are larger than the file."""
    model = TorchFile(state_dict([]), {str(i): bytes(4096) for i in range(4)}).write(tmp_path / "model.pt")
    data = bytearray(model.read_bytes())
    start, count = data.rfind(b"PK\x01\x02"), 0
    while (start := data.rfind(b"PK\x01\x02", 0, start + 1)) >= 0 and count < 4:
        data[start + 20 : start + 28] = struct.pack("<II", len(data) // 2, len(data) // 2)
        count += 1
    model.write_bytes(data)
    check_refused(model, f"expected members within the file's {len(data)} bytes")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        treadle.convert(tmp_path / "model.pt", tmp_path / "w.safetensors")


def test_no_damage_gets_through(tmp_path: Path) -> None:
    """A file with bytes changed or missing converts, or is refused in one line."""
    model, out = tmp_path / "model.pt", tmp_path / "w.safetensors"
    whole = saved((EMBEDDING, MATRIX), (HEAD, MATRIX), ("view", Tensor((3, 2), (1, 3), 6))).write(model).read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        data = bytearray(whole)
        for place in generator.integers(0, len(data), generator.integers(1, 4)):
            data[place] = generator.integers(0, 256)
        model.write_bytes(data[: generator.integers(0, len(data))] if generator.random() < 0.2 else data)
        try:
            treadle.convert(model, out)
        except ConvertError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 200
