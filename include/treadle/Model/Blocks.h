//===- Blocks.h - Blocks that families share --------------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each block turns rows into rows and asks its scope for the weights and states
// that it needs. R stands for the rows of the entry point.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_MODEL_BLOCKS_H
#define TREADLE_MODEL_BLOCKS_H

#include "treadle/Model/ModuleBuilder.h"
#include "treadle/Model/RopeScaling.h"
#include "llvm/ADT/STLExtras.h"

namespace treadle {

/// x + y.
mlir::Value residual(const Scope &scope, mlir::Value x, mlir::Value y);

/// A fixed state as rows, and rows as a fixed state (State.cpp).
mlir::Value readState(const Scope &scope, mlir::Value state);
void writeState(const Scope &scope, mlir::Value rows, mlir::Value state);

//===----------------------------------------------------------------------===//
// Tokens in, logits out (Vocabulary.cpp)
//===----------------------------------------------------------------------===//

/// A table of `vocabulary` rows `hidden` wide. Where it is tied, the head multiplies by it as well:
/// then it is a matrix in panels; else a row lies in one piece.
mlir::Value embeddingTable(const Scope &scope, llvm::StringRef symbol, llvm::StringRef tensor,
                           int64_t vocabulary, int64_t hidden, bool isTied);

/// The rows of a table: (R) -> (R, hidden).
mlir::Value embedding(const Scope &scope, const Tokens &tokens, mlir::Value table);

/// Logits (R, vocabulary) of hidden rows. The matrix may be the embedding's.
mlir::Value languageHead(const Scope &scope, mlir::Value x, llvm::StringRef symbol,
                         llvm::StringRef tensor, int64_t vocabulary);

/// -infinity in the columns behind `vocabulary`; x itself where there are none.
mlir::Value padLogits(const Scope &scope, mlir::Value x, int64_t vocabulary);

/// What n-gram layers (Ngram.cpp) see of the text.
struct Ngrams {
  llvm::SmallVector<int64_t> windows; ///< tokens that each layer sees
  int64_t startId;                    ///< what stands before the first token
  bool isDense;                       ///< a matrix for each place in a window, or two thin ones

  int64_t history() const { return windows.empty() ? 0 : *llvm::max_element(windows) - 1; }
};

/// x and, for each window of k tokens up to the row's, a linear map of their rows of a table that
/// is `hidden` wide, oldest first: tensors `ngram_embs.<i>.ngram_{down,up}_proj.weight` of rank
/// hidden / k, or `convs.<i>.{weight,bias}`. (R, hidden) -> (R, hidden). Reads the state `ids`.
mlir::Value ngramLayers(const Scope &scope, const Tokens &tokens, mlir::Value x, mlir::Value table,
                        const Ngrams &ngrams);

/// At the end of a period: keeps the ids that n-grams of the next one see.
void carryNgrams(const Scope &scope, const Turn &turn, const Ngrams &ngrams);

//===----------------------------------------------------------------------===//
// Linear maps and norms (Linear.cpp, Norm.cpp)
//===----------------------------------------------------------------------===//

/// Tensor `<tensor>.weight`, and `<tensor>.bias` where `bias`: (R, K) -> (R, outputs).
mlir::Value linear(const Scope &scope, mlir::Value x, llvm::StringRef symbol,
                   llvm::StringRef tensor, int64_t outputs, bool bias = false);

/// The same for several inputs of one type, with the matrix read once.
llvm::SmallVector<mlir::Value> jointLinear(const Scope &scope, mlir::ValueRange inputs,
                                           llvm::StringRef symbol, llvm::StringRef tensor,
                                           int64_t outputs, bool bias = false);

/// y = scale * B (A x) with A: rank x K, B: outputs x rank.
struct LowRank {
  int64_t rank;
  double scale;
};

/// Tensors `<tensor>.down.weight` and `<tensor>.up.weight`: (R, K) -> (R, outputs).
mlir::Value lowRankLinear(const Scope &scope, mlir::Value x, llvm::StringRef symbol,
                          llvm::StringRef tensor, int64_t outputs, LowRank factors);

/// A matrix for each head, a tensor (1, heads, inputs, outputs). All heads read the same row x
/// (R, inputs), or each its own columns (R, heads * inputs) -> (R, heads * outputs).
mlir::Value headLinear(const Scope &scope, mlir::Value x, llvm::StringRef symbol,
                       llvm::StringRef tensor, int64_t heads, int64_t inputs, int64_t outputs);

/// Layer norm of each head by tensors `<tensor>.weight` and `<tensor>.bias` (heads, C / heads):
/// (R, C) -> (R, C).
mlir::Value headNorm(const Scope &scope, mlir::Value x, llvm::StringRef symbol,
                     llvm::StringRef tensor, double eps, int64_t heads);

/// Tensor `<tensor>.weight`, to which `offset` is added: (R, C) -> (R, C). With groups, each is
/// normalised on its own, and all share the tensor's C / groups entries.
mlir::Value rmsNorm(const Scope &scope, mlir::Value x, llvm::StringRef symbol,
                    llvm::StringRef tensor, double eps, double offset = 0, int64_t groups = 1);

/// Tensors `<tensor>.weight` and `<tensor>.bias`, in the same way.
mlir::Value layerNorm(const Scope &scope, mlir::Value x, llvm::StringRef symbol,
                      llvm::StringRef tensor, double eps, double offset = 0, int64_t groups = 1);

/// A learned cubic of each row, every power normalised: tensors `<tensor>.weight` (3) and
/// `<tensor>.bias`.
mlir::Value polyNorm(const Scope &scope, mlir::Value x, llvm::StringRef symbol,
                     llvm::StringRef tensor, double eps);

/// x * (1 - silu of the scalar `tensor`).
mlir::Value gpas(const Scope &scope, mlir::Value x, llvm::StringRef symbol, llvm::StringRef tensor);

/// factor * x.
mlir::Value scale(const Scope &scope, mlir::Value x, mlir::Value factor);

/// Columns [offset, offset + size) of each group: (R, groups * C) -> (R, groups * size).
mlir::Value sliceColumns(const Scope &scope, mlir::Value x, int64_t groups, int64_t offset,
                         int64_t size);

//===----------------------------------------------------------------------===//
// FAN layers (Fan.cpp)
//===----------------------------------------------------------------------===//

enum class FanBias { all, plain, none };

/// A linear map to `periodic` + `plain` columns, the first of which become cosines and sines.
struct FanLayer {
  int64_t periodic, plain;
  FanBias bias; ///< of all columns before the waves, of those that pass, or none

  int64_t width() const { return 2 * periodic + plain; }
};

/// Tensors `<tensor>.weight` and `<tensor>.bias`: (R, K) -> (R, width).
mlir::Value fanLayer(const Scope &scope, mlir::Value x, llvm::StringRef symbol,
                     llvm::StringRef tensor, const FanLayer &fan);

//===----------------------------------------------------------------------===//
// Attention (Attention.cpp, Rotary.cpp)
//===----------------------------------------------------------------------===//

/// Angles per position of `pairs` rotated pairs, as 64-bit fixed-point turns:
/// round(a_j / 2 pi * 2^64) mod 2^64, where a_j = theta^(-j / pairs), scaled.
llvm::SmallVector<int64_t> rotaryTurns(int64_t pairs, double theta,
                                       const std::optional<RopeScaling> &scaling = std::nullopt);

/// The same for any angles of at most a turn per position.
llvm::SmallVector<int64_t> turnsOf(llvm::ArrayRef<long double> angles);

/// cos and sin of the rows' angles: (R, 2, pairs).
mlir::Value rotaryTable(const Scope &scope, const Tokens &tokens, int64_t pairs, double theta,
                        const std::optional<RopeScaling> &scaling = std::nullopt);

/// The same for the static `rows` of a turn that stand at `position`, or where `like` is given for
/// its rows; `reversed` as in `treadle.rotary_table`.
mlir::Value rotaryTable(const Scope &scope, mlir::Value like, int64_t rows, mlir::Value position,
                        llvm::ArrayRef<int64_t> turns, bool reversed = false);

struct AttentionShape {
  int64_t heads;
  int64_t kvHeads;
  int64_t headDim;
  RopePairing pairing;
};

/// A second key and value of each token, which enter the same softmax.
struct AttentionLane {
  mlir::Value k, v;
  bool own; ///< whether a token sees only its own, or all up to it
};

/// Rotates q and k, appends k and v to the states `k` and `v`, and attends to
/// all keys so far, scaled by 1 / sqrt(headDim). A lane has the states `lane_k` and `lane_v`.
/// q: (R, heads * headDim), k and v: (R, kvHeads * headDim) -> like q.
mlir::Value rotaryAttention(const Scope &scope, const Tokens &tokens, mlir::Value rotary,
                            mlir::Value q, mlir::Value k, mlir::Value v,
                            const AttentionShape &shape,
                            const std::optional<AttentionLane> &lane = std::nullopt);

//===----------------------------------------------------------------------===//
// A state stream: a sum over tokens, and cells that work on it (StateStream.cpp)
//===----------------------------------------------------------------------===//

enum class Accumulation { sum, mean, none };

/// How tokens enter the sum and leave it.
struct StateStream {
  int64_t width; ///< of a state
  Accumulation accumulation;
  RopePairing pairing; ///< which columns rotate together
  int64_t lag;         ///< a token reads the state of that many tokens before
};

/// Appends the sum over all tokens of x, each rotated by its position, to the state `integral`.
/// Returns what each token reads: (R, width) -> (R, width). `rotary` has width / 2 pairs.
mlir::Value accumulate(const Scope &scope, const Tokens &tokens, mlir::Value x, mlir::Value rotary,
                       const StateStream &stream);

/// What tokens read, zeros for the first `lag`, rotated back by each one's position.
mlir::Value readBack(const Scope &scope, const Tokens &tokens, mlir::Value state,
                     mlir::Value rotary, const StateStream &stream);

struct StateCell {
  int64_t heads, inner; ///< `inner`: width of a head's MLP
  double eps;
  Activation activation;
  bool perHead;    ///< whether each head has matrices of its own
  bool normsState; ///< whether the norm behind the MLP is of the new state, or of its change
  bool normBias, mlpBias;
};

/// s + step * norm(mlp(norm(s))), or norm(s + step * mlp(norm(s))), over each head of each row:
/// (R, C) -> (R, C). Tensors `<tensor>.pre_norm`, `mlp.0`, `mlp.2`, `post_norm` and `step_size`.
/// The matrices are f32 whatever the storage: states do not lose bits from layer to layer.
mlir::Value stateCell(const Scope &scope, mlir::Value s, llvm::StringRef tensor,
                      const StateCell &cell);

//===----------------------------------------------------------------------===//
// Multi-pass attention (MultiPass.cpp)
//===----------------------------------------------------------------------===//

/// How a pass rotates its queries and keys.
struct PassRotation {
  mlir::Value table; ///< of the rows: (R, 2, pairs)
  RopePairing pairing;
};

/// One pass: an attention of every head over the rows so far, whose result is the input of the
/// next. Widths are those of a head.
struct AttentionPass {
  int64_t keyWidth;                     ///< of queries and keys, in each branch
  int64_t valueWidth;                   ///< of the result
  double scale;                         ///< of the scores
  int64_t iterations = 1;               ///< > 1: the result is the query again (Hopfield)
  std::optional<PassRotation> rotation; ///< none: positions do not count
};

/// Attention in several passes, with projections for each kind of rows: tensors
/// `attn_modules.<p>.proj_{q,k,v}<kind>.weights`, and with options
///
///   iterations     `attn_modules.<p>.proj_hidden<kind>.weights`, before the others
///   normalize      `attn_modules.<p>.norm_{q,k,v}<kind>.{weight,bias}`: layer norm of each head
///   contextual     `attn_modules.<p>.cope_emb`: contextual positions (CoPE)
///   differential   two branches of queries and keys, whose results are subtracted:
///                  `lambda_{q,k}{1,2}`, `out_norms.<h>.{weight,bias}`, `cope_emb_{1,2}`; and
///                  `proj_modules<kind>.<p>.weights` between passes
///   outputWidth    `proj_out<kind>.weights`: a head's width behind the last pass
struct MultiPassAttention {
  int64_t heads;
  llvm::SmallVector<AttentionPass> passes;
  double eps;
  bool normalize = false, contextual = false, differential = false;
  std::optional<int64_t> outputWidth;

  int64_t getBranches() const { return differential ? 2 : 1; }
};

/// The passes of rows of one kind, whose tensors have the suffix `kind`. Rows of other kinds that
/// ran before are attended to as well. (R, inputs) -> (R, heads * width).
mlir::Value multiPassAttention(const Scope &scope, const Place &place, mlir::Value x,
                               llvm::StringRef symbol, llvm::StringRef tensor,
                               const MultiPassAttention &attention, llvm::StringRef kind);

//===----------------------------------------------------------------------===//
// Multi-layer perceptrons (Mlp.cpp)
//===----------------------------------------------------------------------===//

/// What an MLP does between, or in, its layers.
///
///   relu ... swish     <2 i>.{weight,bias}, the activation between two; swish has a slope, 1.beta
///   swiglu, geglu      every layer is gated: act(x W + b) (x V + c), <i>.{W,b,V,c}, stored K x N;
///                      swiglu has slopes, <i>.swish.beta
///   ffnglu ...         (act(x W1) (x V)) W2, stored K x N, without biases
enum class MlpKind { relu, gelu, abs, swish, swiglu, geglu, ffnglu, ffngeglu, ffnswiglu };

struct Mlp {
  MlpKind kind;
  int64_t hidden, outputs;
  bool hasInner = false; ///< three layers of hidden / 2 instead of two of hidden
};

/// (R, inputs) -> (R, outputs).
mlir::Value mlp(const Scope &scope, mlir::Value x, llvm::StringRef symbol, llvm::StringRef tensor,
                const Mlp &shape);

/// down(silu(gate(x)) * up(x)) with tensors `<tensor>.gate_proj`, `up_proj` and `down_proj`, the
/// middle `inner` wide: (R, K) -> (R, K).
mlir::Value gatedMLP(const Scope &scope, mlir::Value x, llvm::StringRef tensor, int64_t inner,
                     bool bias = false);

//===----------------------------------------------------------------------===//
// Gates (Gates.cpp)
//===----------------------------------------------------------------------===//

/// silu(gate) * up.
mlir::Value siluGate(const Scope &scope, mlir::Value gate, mlir::Value up);

/// act(gate) * x.
mlir::Value gateWith(const Scope &scope, mlir::Value gate, mlir::Value x, Activation activation);

/// again ? g x + (1 - g) origin : x, with g = sigmoid of the scalar `tensor`.
mlir::Value gateBlend(const Scope &scope, mlir::Value x, mlir::Value origin, mlir::Value again,
                      llvm::StringRef symbol, llvm::StringRef tensor);

//===----------------------------------------------------------------------===//
// Gated delta nets (GatedDeltaNet.cpp)
//===----------------------------------------------------------------------===//

struct GatedDeltaNet {
  int64_t keyHeads, keyDim;     ///< of queries and keys
  int64_t valueHeads, valueDim; ///< neighbouring ones share a key head
  int64_t taps;                 ///< tokens that the convolution sees
  double eps;                   ///< of the norm of the results

  int64_t keyWidth() const { return keyHeads * keyDim; }
  int64_t valueWidth() const { return valueHeads * valueDim; }
};

/// A convolution and a gated delta rule of its results, up to the output projection: tensors
/// `<tensor>.in_proj_qkvz`, `in_proj_ba`, `conv1d`, `dt_bias`, `A_log`, `norm`; states `conv` and
/// `delta`. (R, K) -> (R, valueWidth).
mlir::Value gatedDeltaNet(const Scope &scope, const Tokens &tokens, mlir::Value x,
                          llvm::StringRef tensor, const GatedDeltaNet &net);

} // namespace treadle

#endif // TREADLE_MODEL_BLOCKS_H
