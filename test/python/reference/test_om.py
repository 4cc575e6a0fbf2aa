"""The Om reference as a whole."""

import math
from pathlib import Path

import numpy as np
import pytest
from cases import Case
from cases.om import CASES, TYPICAL
from judge import relative_error
from numpy.typing import NDArray
from treadle.reference import Om
from treadle.reference.om_config import READ, TOKEN, WRITE, Kind

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture
def case() -> Case:
    return TYPICAL


@pytest.fixture
def model(case: Case, tmp_path: Path) -> Om:
    model = case.reference(case.write(tmp_path)[1])
    assert isinstance(model, Om)
    return model


class Stream:
    """A sequence token by token: read rows once a segment, then tokens, then write rows, over what is remembered."""

    def __init__(self, model: Om):
        c = model.config
        self.model, self.states = model, model.initial_states()
        self.context = [c.pad_token_id] * c.context_len
        self.begin()

    def begin(self) -> None:
        self.memory: dict[str, NDArray] = {}
        self.mask = np.zeros(0, bool)
        for layer, state in enumerate(self.states):
            self.run(layer, state, READ, 0)

    def run(self, layer: int, x: NDArray, kind: Kind, first: int) -> NDArray:
        rows = self.model.rows_of(((kind, slice(None)),), len(self.mask), self.mask, first, len(x))
        return self.model.passes(layer, x, rows, self.remember)

    def remember(self, name: str, rows: NDArray) -> NDArray:
        self.memory[name] = np.concatenate([self.memory[name], rows]) if name in self.memory else rows
        return self.memory[name]

    def end(self) -> None:
        s, layers = self.model.config.state_len, range(self.model.config.num_layers)
        first = s + len(self.mask)
        self.states = [self.model.written(l, self.run(l, self.states[l], WRITE, first)) for l in layers]

    def token(self, token: int, mask: bool) -> NDArray:
        c = self.model.config
        if len(self.mask) == c.segment_len:
            self.end()
            self.begin()
        seen = self.context[len(self.context) - c.context_len :]
        # A masked token stands in no later n-gram: -1 there, and itself only where it is the last.
        x = self.embed(seen, token, mask)
        self.context.append(token if mask else -1)
        self.mask = np.append(self.mask, mask)
        for layer in range(c.num_layers):
            x = self.model.layer(layer, x, self.run(layer, x, TOKEN, c.state_len + len(self.mask) - 1))
        return self.model.head(x)[0]

    def embed(self, seen: list[int], token: int, mask: bool) -> NDArray:
        return self.model.embed(np.array([*seen, token]), np.array([mask]))


@each_case
@pytest.mark.parametrize("masked", [False, True])
def test_token_by_token_is_the_whole_matrix(case: Case, masked: bool, model: Om) -> None:
    ids, mask = case.ids[:33], case.mask[:33] if masked else np.ones(33, bool)
    stream = Stream(model)
    found = np.stack([stream.token(id, m) for id, m in zip(ids, mask)])
    # States pass through the layers again in each segment, and rounding errors with them.
    assert relative_error(found, model.window(ids, mask)) < 1e-11


@each_case
def test_against_a_plain_transcription(case: Case, model: Om) -> None:
    """One head, row and key at a time, rotation by complex numbers, matrices as they are stored."""
    c, w = model.config, model._weights
    ids = case.ids[:25]

    def norm(x: NDArray, name: str, h: int | None = None) -> NDArray:
        scale, shift = (w[f"{name}.{part}"] if h is None else w[f"{name}.{part}"][h] for part in ("weight", "bias"))
        return np.array([(row - row.mean()) / math.sqrt(row.var() + 1e-5) for row in x]) * scale + shift

    def act(x: NDArray, name: str = c.activation, beta: float = 1.0) -> NDArray:
        functions = {
            "relu": lambda u: max(u, 0.0),
            "abs": abs,
            "gelu": lambda u: u * (1 + math.erf(u / math.sqrt(2))) / 2,
            "swish": lambda u: u / (1 + math.exp(-beta * u)),
            "sigmoid": lambda u: 1 / (1 + math.exp(-u)),
        }
        return np.vectorize(functions[name])(x)

    def mlp(x: NDArray, name: str) -> NDArray:
        if c.activation.startswith("ffn"):
            inner = {"ffnglu": "sigmoid", "ffngeglu": "gelu", "ffnswiglu": "swish"}[c.activation]
            return (act(x @ w[f"{name}.W1"], inner) * (x @ w[f"{name}.V"])) @ w[f"{name}.W2"]
        count = 3 if c.mlp_1221 else 2
        for i in range(count):
            if c.activation in ("swiglu", "geglu"):
                part = f"{name}.{i}"
                gate, value = x @ w[f"{part}.W"] + w[f"{part}.b"], x @ w[f"{part}.V"] + w[f"{part}.c"]
                swiglu = c.activation == "swiglu"
                x = (act(gate, "swish", w[f"{part}.swish.beta"]) if swiglu else act(gate, "gelu")) * value
            else:
                x = x @ w[f"{name}.{2 * i}.weight"].T + w[f"{name}.{2 * i}.bias"]
                if i < count - 1:
                    x = act(x, c.activation, w.get(f"{name}.1.beta", 1.0))
        return x

    def rotate(x: NDArray, p: int, positions: NDArray) -> NDArray:
        rotary, width = c.position_embedders[p], x.shape[1]
        if rotary is None or c.num_iters[p] > 1:
            return x
        out = x.copy()
        if rotary.style == "om":
            pairs = [(2 * i, 2 * i + 1) for i in range(math.ceil(width * rotary.pct) // 2)]
            angles = [(positions + 1) * rotary.base ** (-2.0 * (i + 1)) for i in range(len(pairs))]
        else:
            pairs = [(j, j + width // 2) for j in range(width // 2)]
            angles = [positions * rotary.base ** (-2.0 * j / width) for j in range(len(pairs))]
        for pair, angle in zip(pairs, angles):
            z = (x[:, pair] @ [1, 1j]) * np.exp(1j * angle)
            out[:, pair] = np.stack([z.real, z.imag], axis=1)
        return out

    def attend(q: NDArray, k: NDArray, v: NDArray, p: int, positions: NDArray, table: NDArray | None) -> NDArray:
        turned_q, turned_k = rotate(q, p, positions), rotate(k, p, positions)
        beta = c.betas[p] or 1 / math.sqrt(q.shape[1])
        out = []
        for i in range(len(q)):
            scores = turned_k[: i + 1] @ turned_q[i] * beta
            if table is not None:
                gates = (1 + np.tanh(k[: i + 1] @ q[i] / 2)) / 2
                for j in range(i + 1):
                    at = min(gates[j:].sum(), table.shape[1] - 1)
                    low, high = table[:, math.floor(at)] @ q[i], table[:, math.ceil(at)] @ q[i]
                    scores[j] += high * (at - math.floor(at)) + low * (1 - at + math.floor(at))
            e = np.exp(scores - scores.max())
            out.append(e / e.sum() @ v[: i + 1])
        return np.array(out)

    def head(layer: int, h: int, x: NDArray, kinds: list[tuple[str, int, int]], positions: NDArray) -> NDArray:
        def project(name: str, y: NDArray, norm_name: str = "") -> NDArray:
            parts = []
            for kind, begin, end in kinds:
                z = y[begin:end] @ w[name.format(kind)][0, h]
                parts.append(norm(z, norm_name.format(kind), h) if norm_name else z)
            return np.concatenate(parts)

        stem = f"layers.{layer}.attn.attn"
        y = x
        for p in range(c.passes):
            name = f"{stem}.attn_modules.{p}"
            normed = f"{name}.norm_" if c.attn_normalize else ""
            of = {part: (f"{name}.proj_{part}{{}}.weights", normed and f"{normed}{part}{{}}") for part in "qkv"}
            if c.num_iters[p] > 1:
                y = project(f"{name}.proj_hidden{{}}.weights", y)
            k, v = project(of["k"][0], y, of["k"][1]), project(of["v"][0], y, of["v"][1])
            for _ in range(c.num_iters[p]):
                q = project(of["q"][0], y, of["q"][1])
                if not c.diff_attn:
                    y = attend(q, k, v, p, positions, w[f"{name}.cope_emb"][0, h] if c.cope else None)
                    continue
                half = q.shape[1] // 2
                a, b = (
                    attend(q[:, s], k[:, s], v, p, positions, w[f"{name}.cope_emb_{n}"][0, h] if c.cope else None)
                    for n, s in ((1, slice(None, half)), (2, slice(half, None)))
                )
                init = 0.8 - 0.6 * math.exp(-0.3 * layer)
                one, two = ((w[f"{name}.lambda_q{n}"][h] @ w[f"{name}.lambda_k{n}"][h]).item() for n in (1, 2))
                y = norm(a - (math.exp(one) - math.exp(two) + init) * b, f"{name}.out_norms.{h}") * (1 - init)
                if p < c.passes - 1:
                    y = project(f"{stem}.proj_modules{{}}.{p}.weights", y)
        return project(f"{stem}.proj_out{{}}.weights", y) if c.has_out_projection else y

    context = [c.pad_token_id] * (max(c.init_convs, default=1) - 1)
    e = w["embedder.weight"][[*context, *ids]]
    x = e.copy()
    for i, k in enumerate(c.init_convs):
        for t in range(k - 1, len(e)):
            if c.init_conv_mode == "conv":
                taps = w[f"convs.{i}.weight"]
                x[t] += sum(taps[:, :, j] @ e[t - k + 1 + j] for j in range(k)) + w[f"convs.{i}.bias"]
            else:
                grams = np.concatenate(e[t - k + 1 : t + 1])
                x[t] += w[f"ngram_embs.{i}.ngram_up_proj.weight"] @ w[f"ngram_embs.{i}.ngram_down_proj.weight"] @ grams
    x = x[len(context) :]

    states = [w[f"layers.{layer}.attn.init_state"][0] for layer in range(c.num_layers)]
    hidden, s = [], c.state_len
    for start in range(0, len(ids), c.segment_len):
        y = x[start : start + c.segment_len]
        n, new = len(y), []
        read, write = ("_state", "_state") if c.state_proj == "shared" else ("_state_start", "_state_end")
        kinds = [(read, 0, s), ("", s, s + n), (write, s + n, n + 2 * s)]
        last = range(s + n, n + 2 * s)
        positions = np.array([*range(s + n), *(reversed(last) if c.write_pos == "reversed" else last)])
        for layer in range(c.num_layers):
            name, rows = f"layers.{layer}", np.concatenate([states[layer], y, states[layer]])
            joined = np.concatenate([head(layer, h, rows, kinds, positions) for h in range(c.num_heads)], axis=1)
            state = joined[s + n :] @ w[f"{name}.attn.proj_out_state.weight"].T
            new.append(norm(state, f"{name}.state_norm") if c.state_norm else state)
            x1 = y + joined[s : s + n] @ w[f"{name}.attn.proj_out.weight"].T
            if not c.diff_attn or not c.diff_skip_attn_norm:
                x1 = norm(x1, f"{name}.attn_norm")
            inner = mlp(x1, f"{name}.mlp")
            widened = layer == c.num_layers - 1 and c.final_mlp_multiplier != 1
            y = norm(inner if widened else inner + x1, f"{name}.mlp_norm")
        hidden.append(y)
        states = new
    logits = np.concatenate(hidden) @ w["proj_out.weight"].T
    if c.proj_out_bias:
        logits = logits + w["proj_out.bias"]
    logits[:, c.vocab_size :] = -np.inf
    # What the transcription rounds otherwise grows with each segment, too.
    assert relative_error(model.window(ids, None), logits) < 1e-10


#
# The published call
#


def test_calls_of_whole_segments_are_one_call(model: Om, case: Case) -> None:
    c = model.config
    n, context = c.segment_len, [c.pad_token_id] * c.context_len
    ids = np.array([*context, *case.ids[: 2 * n + 3]])
    whole, states = model.call(ids)
    assert whole.shape == (2 * n + 3, c.vocab_adj) and len(states) == c.num_layers
    assert {state.shape for state in states} == {(c.state_len, c.dim_input)}
    np.testing.assert_array_equal(whole, model.window(case.ids[: 2 * n + 3], None))

    pieces, carried = [], []
    for start, end in ((0, n), (n, 2 * n), (2 * n, 2 * n + 3)):
        logits, carried = model.call(ids[start : end + c.context_len], carried)
        pieces.append(logits)
    # NumPy's products round by the number of rows.
    assert relative_error(np.concatenate(pieces), whole) < 1e-12
    np.testing.assert_allclose(np.array(carried), np.array(states), rtol=0, atol=1e-12)


def test_the_next_token_writes_no_short_segment(model: Om, case: Case) -> None:
    c = model.config
    n = c.segment_len
    ids = np.array([*[c.pad_token_id] * c.context_len, *case.ids[: n + 2]])
    whole, written = model.call(ids)
    last, states = model.call(ids, next_token=True)
    np.testing.assert_array_equal(last, whole[-1])
    _, before = model.call(ids[: n + c.context_len], next_token=True)
    for layer in range(c.num_layers):
        np.testing.assert_allclose(states[layer], before[layer], rtol=0, atol=1e-12)
        assert np.abs(states[layer] - written[layer]).max() > 0.01


def test_a_cut_inside_a_segment_starts_another(model: Om, case: Case) -> None:
    c = model.config
    ids = np.array([*[c.pad_token_id] * c.context_len, *case.ids[: c.segment_len]])
    whole, _ = model.call(ids)
    _, states = model.call(ids[: 3 + c.context_len])
    rest, _ = model.call(ids[3:], states)
    assert relative_error(rest, whole[3:]) > 0.01


def test_bad_calls(model: Om) -> None:
    c = model.config
    with pytest.raises(ValueError, match=f"expected at least {c.context_len + 1} ids"):
        model.call(np.zeros(c.context_len, int))
    with pytest.raises(ValueError, match="expected token ids in 0"):
        model.call(np.full(c.context_len + 1, c.vocab_size))


def test_unknown_logits_are_ruled_out(model: Om, case: Case) -> None:
    logits = model.window(case.ids[:9], None)
    assert model.config.vocab_size < logits.shape[1] == case.vocabulary
    assert np.isneginf(logits[:, model.config.vocab_size :]).all()
    assert np.isfinite(logits[:, : model.config.vocab_size]).all()
