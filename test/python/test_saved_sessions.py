"""What `Session.load` refuses, on one library of every family: nothing that is altered, cut, or another's.

A refusal says why and leaves the session as it was. Bytes that nobody could have saved are refused even where their
digest is right; what cannot be told from the truth does no harm.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import treadle
from cases import FAMILIES, Case
from numpy.typing import NDArray
from treadle import Status, TreadleError
from treadle.random_weights import random_weights

# lib/Runtime/Serialize.c: struct format and place of each field of the header. States follow it.
FIELDS = {
    "magic": "8s",
    "format": "I",
    "header_size": "I",
    "library_id": "32s",
    "weights_digest": "32s",
    "position": "q",
    "forgotten": "q",
    "context": "q",
    "row": "q",
    "loops": "I",
    "open": "I",
    "payload_size": "Q",
    "digest": "32s",
}
LAYOUT = struct.Struct("<" + "".join(FIELDS.values()))
PLACES = {name: struct.calcsize("<" + "".join(list(FIELDS.values())[:i])) for i, name in enumerate(FIELDS)}
ELEMENT_BYTES = {"f32": 4, "bf16": 2, "i32": 4, "u8": 1}
OTHER_LENGTH = 5


class Saved:
    """A blob of a session that stands within a period."""

    def __init__(self, case: Case, folder: Path, compile_library: Callable[..., str | None]):
        self.case, self.folder, self._compile = case, folder, compile_library
        self.config, weights = case.write(folder)
        self.model = self.library("m", weights)
        self.period = self.model.info["period"]
        self.loops = self.model.info["max_loops"]
        # Past one turn, if there are any.
        self.length = self.period + self.period // 2 if self.period else 20
        session = self.session(self.length)
        self.blob, self.row = session.save(), session.since_turn
        self.states = self._places(session)

    def library(self, name: str, weights: Path, **options: Any) -> treadle.Model:
        out = self.folder / f"{name}.so"
        self._compile(self.config, weights=weights, out=out, **options)
        return treadle.load(out)

    def session(self, length: int, **options: Any) -> treadle.Session:
        session = self.model.session(**{"loops": self.loops, "poison": True, **options})
        if length:
            session.forward(np.resize(self.case.ids, length), logits="none")
        return session

    def _places(self, session: treadle.Session) -> dict[str, int]:
        """Where each state begins in the blob."""
        places, place = dict[str, int](), LAYOUT.size
        elements = {state["name"]: state["element"] for state in self.model.info["states"]}
        for name, values in session.states().items():
            places[name] = place
            place += values.size * ELEMENT_BYTES[elements[name]]
        assert place == len(self.blob)
        return places

    def facts(self, session: treadle.Session) -> tuple[object, ...]:
        states = {name: values.tobytes() for name, values in session.states().items()}
        return session.position, session.since_turn, session.forgotten, states

    def header(self, blob: bytes) -> dict[str, Any]:
        return dict(zip(FIELDS, LAYOUT.unpack_from(blob)))

    def sealed(self, fields: Mapping[str, object] = {}, payload: bytes | None = None) -> bytes:  # noqa: B006
        """The blob with other fields, and a digest that is right."""
        header = self.header(self.blob) | dict(fields) | {"digest": bytes(32)}
        payload = self.blob[LAYOUT.size :] if payload is None else payload
        header["digest"] = hashlib.sha256(LAYOUT.pack(*header.values()) + payload).digest()
        return LAYOUT.pack(*header.values()) + payload

    def altered(self, place: int, content: bytes) -> bytes:
        """The blob with other states from `place` on, and a digest that is right."""
        blob = self.blob[:place] + content + self.blob[place + len(content) :]
        return self.sealed(payload=blob[LAYOUT.size :])

    def refuses(self, blob: bytes, status: Status, text: str, session: treadle.Session | None = None) -> None:
        session = session or self.session(OTHER_LENGTH)
        before = self.facts(session)
        with pytest.raises(TreadleError) as error:
            session.load(blob)
        assert error.value.status == status and text in error.value.message, error.value
        assert self.facts(session) == before


@pytest.fixture(scope="module", params=[family.TYPICAL for family in FAMILIES.values()], ids=lambda case: case.name)
def saved(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, compile_library: Callable[..., str | None]
) -> Iterator[Saved]:
    found = Saved(request.param, tmp_path_factory.mktemp(request.param.name), compile_library)
    yield found
    found.model.close()


#
# Damage
#


def test_a_whole_one_is_taken(saved: Saved) -> None:
    assert saved.sealed() == saved.blob
    session = saved.session(OTHER_LENGTH)
    session.load(saved.blob)
    assert (session.position, session.since_turn) == (saved.length, saved.row)
    assert session.save() == saved.blob


def test_cut(saved: Saved) -> None:
    """At the ends of every field and state, and next to them."""
    ends = {*PLACES.values(), *saved.states.values(), len(saved.blob)}
    sizes = {size for end in ends for size in (end - 1, end, end + 1) if 0 <= size < len(saved.blob)}
    for size in sorted(sizes):
        saved.refuses(saved.blob[:size], Status.CORRUPT, "something else" if size < LAYOUT.size else "is cut")
    for more in (b"\0", bytes(64), saved.blob):
        saved.refuses(saved.blob + more, Status.CORRUPT, "is cut")


def test_flipped_bits(saved: Saved) -> None:
    """Each of the header, and one of each byte at the ends of a state."""
    ends = [place for start in saved.states.values() for place in (start - 1, start) if place >= LAYOUT.size]
    bits = [*range(8 * LAYOUT.size), *(8 * place + place % 8 for place in (*ends, len(saved.blob) - 1))]
    session = saved.session(OTHER_LENGTH)
    before = saved.facts(session)
    for bit in bits:
        blob = bytearray(saved.blob)
        blob[bit // 8] ^= 1 << bit % 8
        with pytest.raises(TreadleError) as error:
            session.load(blob)
        statuses = (Status.CORRUPT, Status.MISMATCH) if bit // 8 in range(8, 12) else (Status.CORRUPT,)
        assert error.value.status in statuses and error.value.message, bit
    assert saved.facts(session) == before


#
# Others' sessions
#


def test_what_is_of_others(saved: Saved) -> None:
    """Of another model, of the same in another dtype, of other weights."""
    other = saved.folder / "other.safetensors"
    random_weights(saved.config, other, saved.case.seed + 1, "f32")
    weights = saved.folder / "w.safetensors"
    ids = saved.case.ids[:9]
    for model, text in (
        (saved.library("bf16", weights, dtype="bf16"), "of another model"),
        (saved.library("other", other), "of other weights"),
    ):
        with model, model.session(loops=saved.loops) as session:
            session.forward(ids, logits="none")
            saved.refuses(session.save(), Status.MISMATCH, text)
            saved.refuses(saved.blob, Status.MISMATCH, text, session)


def test_another_number_of_loops(saved: Saved) -> None:
    for loops in range(1, saved.loops):
        text = f"expects a saved session of {loops} loops, got {saved.loops}"
        saved.refuses(saved.blob, Status.MISMATCH, text, saved.session(OTHER_LENGTH, loops=loops))


def test_a_context_that_is_too_small(saved: Saved) -> None:
    """Where there are periods, sessions have none."""
    session = saved.session(OTHER_LENGTH, context=saved.length - 1)
    if saved.period:
        session.load(saved.blob)
        assert session.position == saved.length
    else:
        text = f"holds {saved.length} tokens, but this session's context is {saved.length - 1}"
        saved.refuses(saved.blob, Status.MISMATCH, text, session)


#
# Forgeries: the digest is right
#


def flipped(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:]


def test_forged_origins(saved: Saved) -> None:
    header = saved.header(saved.blob)
    for fields, status, text in (
        ({"magic": b"TRDLMARK"}, Status.CORRUPT, "something else"),
        ({"format": header["format"] + 1}, Status.MISMATCH, f"of format {header['format']}"),
        ({"header_size": LAYOUT.size + 8}, Status.CORRUPT, "is cut"),
        ({"payload_size": header["payload_size"] + 1}, Status.CORRUPT, "is cut"),
        ({"payload_size": 2**64 - 1}, Status.CORRUPT, "is cut"),
        ({"library_id": flipped(header["library_id"])}, Status.MISMATCH, "of another model"),
        ({"weights_digest": flipped(header["weights_digest"])}, Status.MISMATCH, "of other weights"),
        ({"loops": 0}, Status.MISMATCH, "loops"),
        ({"loops": saved.loops + 1}, Status.MISMATCH, "loops"),
        ({"loops": 2**32 - 1}, Status.MISMATCH, "loops"),
    ):
        saved.refuses(saved.sealed(fields), status, text)


def test_forged_places(saved: Saved) -> None:
    length, row, most = saved.length, saved.row, 2**63 - 1
    places: list[dict[str, int]] = [
        {"position": -1},
        {"position": -most - 1},
        {"position": row - 1},
        {"row": -1},
        {"row": row - 1},
        {"row": row + 1},
        {"row": most},
        {"row": 0},
        {"row": row - 1, "position": length - 1},
        {"row": row + 1, "position": length + 1},
        {"row": 0, "position": 0},
        {"row": -1, "position": -1},
        {"open": 0},
        {"open": 2},
        {"open": 2**32 - 1},
        {"row": 0, "open": 0},
        {"forgotten": -1},
        {"forgotten": most},
        {"context": -1},
        {"context": most},
    ]
    if saved.period:
        places += [{"row": saved.period}, {"row": saved.period, "position": saved.period}, {"position": most}]
        places += [{"forgotten": 1}, {"context": 1}]
    else:
        places += [{"position": length + 1}, {"context": 0}, {"context": length - 1}]
    for fields in places:
        saved.refuses(saved.sealed(fields), Status.CORRUPT, "contradicts itself")
    if not saved.period:
        for position in (saved.model.info["context"] + 1, most):
            fields = {"position": position, "row": position}
            saved.refuses(saved.sealed(fields), Status.MISMATCH, f"holds {position} tokens, but this session's context")


def test_states_of_another_size(saved: Saved) -> None:
    """An element more or less at the end of each state, such as a carried id."""
    payload = saved.blob[LAYOUT.size :]
    for place in (*saved.states.values(), len(saved.blob)):
        place -= LAYOUT.size
        for changed in (payload[:place] + bytes(4) + payload[place:], payload[: max(place - 4, 0)] + payload[place:]):
            if len(changed) != len(payload):
                blob = saved.sealed({"payload_size": len(changed)}, changed)
                saved.refuses(blob, Status.CORRUPT, "contradicts itself")


def test_tokens_that_do_not_exist(saved: Saved) -> None:
    """They would become places in a table."""
    lead = next(state["lead"] for state in saved.model.info["states"] if state["name"] == "mask")
    first = saved.length - saved.row
    for row in (0, saved.row // 2, saved.row - 1):
        text = f"an impossible token at position {first + row}"
        for bad in (-1, saved.model.info["vocab_size"], 2**31 - 1, -(2**31)):
            blob = saved.altered(saved.states["ids"] + 4 * row, struct.pack("<i", bad))
            saved.refuses(blob, Status.CORRUPT, text)
        for bad in (2, 255):
            saved.refuses(saved.altered(saved.states["mask"] + lead + row, bytes([bad])), Status.CORRUPT, text)


def test_a_forgery_does_no_harm(saved: Saved) -> None:
    """Whatever else the states hold: numbers, NaN, carried ids of no token."""
    kinds = {state["name"]: state for state in saved.model.info["states"]}
    ends = dict(zip(saved.states, [*list(saved.states.values())[1:], len(saved.blob)]))
    free = [name for name in saved.states if name not in ("ids", "mask")]
    ids: NDArray = saved.case.ids[: 2 * saved.period or 9]
    for byte in (0x7F, 0x80, 0xFF):
        blob = bytearray(saved.blob)
        for name in free:
            blob[saved.states[name] : ends[name]] = bytes([byte]) * (ends[name] - saved.states[name])
        session = saved.session(OTHER_LENGTH)
        session.load(saved.sealed(payload=bytes(blob[LAYOUT.size :])))
        assert session.position == saved.length and session.forward(ids, logits="all").shape[0] == len(ids)
    for name in free:
        if (kinds[name]["kind"], kinds[name]["element"]) != ("fixed", "i32"):
            continue
        count = (ends[name] - saved.states[name]) // 4
        logits = []
        for carried in (-1, saved.model.info["vocab_size"], 2**31 - 1, -(2**31)):
            session = saved.session(OTHER_LENGTH)
            session.load(saved.altered(saved.states[name], struct.pack("<i", carried) * count))
            logits.append(session.forward(ids, logits="all").tobytes())
        assert len(set(logits)) == 1
