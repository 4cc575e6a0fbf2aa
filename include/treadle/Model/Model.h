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
//   module = buildModel(context, config, modelOptions, warn); // canonical tensor names
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
#include "treadle/Model/ModelOptions.h"
#include "treadle/Model/TensorSource.h"
#include "treadle/Model/WeightBinding.h"
#include "treadle/Model/WeightPacker.h"

namespace treadle {

/// Builds the `model` phase: symbols, `@forward`, `@head` and `treadle.model`
/// on the module. Loads the dialects that it needs. Warns of a context that is
/// longer than the config's.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> buildModel(mlir::MLIRContext &context,
                                                             const ModelConfig &config,
                                                             const ModelOptions &options = {},
                                                             WarningHandler warn = nullptr);

/// Numbers in the weights of a module, a tied matrix counted once.
int64_t countParameters(mlir::ModuleOp module);

} // namespace treadle

#endif // TREADLE_MODEL_MODEL_H
