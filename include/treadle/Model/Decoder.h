//===- Decoder.h - The dense decoder that many models build on --*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Pre-norm layers of grouped rotary attention and a gated MLP, with the keys and
// the tensor names that Hugging Face gives them. A family takes all of it, or
// adds what is its own.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_MODEL_DECODER_H
#define TREADLE_MODEL_DECODER_H

#include "treadle/Model/Blocks.h"
#include "treadle/Model/Family.h"

namespace treadle {

/// The fields below, typed.
struct Decoder {
  explicit Decoder(const ConfigValues &values);

  int64_t vocabulary, hidden, inner, layers, context;
  AttentionShape attention;
  double eps, theta;
  std::optional<RopeScaling> scaling;
  bool attentionBias, mlpBias, isTied;
  llvm::SmallVector<int64_t> eos;

  ModelFacts getFacts() const;
  llvm::json::Object getInfo() const;
};

/// What the names of all tensors of layers begin with.
inline constexpr llvm::StringLiteral decoderLayersName = "model.layers";

/// A key of `defaults` need not be given.
std::vector<Field>
getDecoderFields(llvm::ArrayRef<std::pair<llvm::StringRef, ConfigValue>> defaults = {});

/// Defaults that depend on other fields, and what fields must agree on. `scaling` holds where the
/// config does not name any.
llvm::Error completeDecoder(ModelConfig &config, std::optional<RopeScaling> scaling = std::nullopt);

/// The canonical name of a tensor of the decoder, or an empty string.
std::string getDecoderName(llvm::StringRef name);

/// The head, which may repeat the embedding's numbers, and the embedding.
std::vector<std::pair<std::string, std::string>> getDecoderCopies();

/// What the embedding says, whether it is the head too, and whether there are biases: of a decoder
/// whatever its layers are. Returns the embedding, or null.
const Tensor *inferDecoderBasics(const NamedTensors &tensors, const ConfigValues &given,
                                 ConfigValues &found);

void inferDecoder(const NamedTensors &tensors, const ConfigValues &given, ConfigValues &found);

/// Rows of the embedding: (R) -> (R, hidden).
mlir::Value decoderEmbedding(const Scope &scope, const Tokens &tokens, const Decoder &c);

/// The angles of q and k: (R, 2, headDim / 2).
mlir::Value decoderRotary(const Scope &scope, const Tokens &tokens, const Decoder &c);

/// x + attention(norm(x)), then x + mlp(norm(x)): (R, hidden) -> (R, hidden). A `lane` holds one
/// more row for each token, which gets keys and values as x does, and nothing else.
struct DecoderLane {
  mlir::Value rows; ///< (R, hidden)
  bool own;         ///< as in AttentionLane
};
mlir::Value decoderLayer(const Scope &scope, const Tokens &tokens, mlir::Value rotary,
                         mlir::Value x, const Decoder &c,
                         const std::optional<DecoderLane> &lane = std::nullopt);

/// The norm behind the last layer.
mlir::Value decoderNorm(const Scope &scope, mlir::Value x, const Decoder &c);

/// `@head`: the matrix of its own, or the embedding's.
void buildDecoderHead(ModuleBuilder &builder, const Decoder &c);

} // namespace treadle

#endif // TREADLE_MODEL_DECODER_H
