//===- Model.h - From config and weights to the model phase -----*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The front of the compiler, in the order of use:
//
//   FamilyRegistry families;
//   registerAllFamilies(families);
//   source = TensorSource::open(weights);                     // where there are weights
//   config = readConfig(path, families, configOptions, &source);
//   module = buildModel(context, config, modelOptions);       // canonical tensor names
//   bindWeights(module, *config.family, source, warn);        // stored tensor names
//   header = makePackedHeader(module, libraryId);
//   packWeights(module, source, libraryId, os, packOptions);
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_MODEL_MODEL_H
#define TREADLE_MODEL_MODEL_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "treadle/Model/Family.h"
#include "treadle/Model/ModelConfig.h"
#include "treadle/Model/TensorSource.h"
#include "treadle/Model/WeightBinding.h"
#include "treadle/Model/WeightPacker.h"

namespace treadle {

/// How weight matrices are stored, and with them keys and values.
enum class Storage { f32, bf16 };

struct ModelOptions {
  Storage storage = Storage::f32;
  /// Positions to compile for; 0: those of the config, at most 4096.
  int64_t maxContext = 0;
  /// Largest trip count of a run-time loop; a model without one has 1.
  int64_t maxLoops = 4;
};

/// Builds the `model` phase: symbols, `@forward`, `@head` and `treadle.model`
/// on the module. The module verifies. The context has loaded nothing that the
/// caller must know of.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>>
buildModel(mlir::MLIRContext &context, const ModelConfig &config, const ModelOptions &options = {});

/// Numbers in the weights of a module, a tied matrix counted once.
int64_t countParameters(mlir::ModuleOp module);

} // namespace treadle

#endif // TREADLE_MODEL_MODEL_H
