//===- Input.h - Where a compilation begins ---------------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_PIPELINES_INPUT_H
#define TREADLE_LIB_PIPELINES_INPUT_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "treadle/Model/Family.h"
#include "treadle/Model/ModelOptions.h"
#include "treadle/Model/TensorSource.h"
#include "treadle/Pipelines/Options.h"

namespace treadle {

/// The checkpoint that `options` name; nothing where they name none.
llvm::Expected<std::optional<TensorSource>> openWeights(const CompileOptions &options);

/// Phase `config`: the config, read and checked, against the weights if given.
llvm::Expected<ModelConfig> readModelConfig(const CompileOptions &options,
                                            const FamilyRegistry &families,
                                            const TensorSource *weights);

/// What the model phase is asked for.
ModelOptions getModelOptions(const CompileOptions &options);

/// Phase `model`: the module of `config`, its weights bound to the checkpoint.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>>
buildModelPhase(mlir::MLIRContext &context, const ModelConfig &config,
                const CompileOptions &options, const TensorSource *weights, WarningHandler warn);

/// IR as text. Its weights name the tensors of the checkpoint that they were
/// printed with, or the family's names.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> parseModule(mlir::MLIRContext &context,
                                                              llvm::StringRef file);

/// What a library is called: the name of its config, or of the checkpoint's
/// directory for a `config.json`.
std::string getModelName(llvm::StringRef config);

} // namespace treadle

#endif // TREADLE_LIB_PIPELINES_INPUT_H
