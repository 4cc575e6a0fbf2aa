//===- TinyModel.h - A model small enough to write by hand ------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TEST_UNIT_MODEL_TINYMODEL_H
#define TREADLE_TEST_UNIT_MODEL_TINYMODEL_H

#include "Files.h"
#include "mlir/IR/MLIRContext.h"
#include "treadle/Model/Model.h"
#include <map>

namespace treadle::test {

/// A MiniAxion of 0 + 1 + 1 layers with sizes that are no multiple of anything.
extern const char *const tinyConfig;

/// The families, a context, a directory and the warnings of one test.
class TinyModel {
public:
  TinyModel() { registerAllFamilies(families); }

  llvm::Expected<ModelConfig> parse(llvm::StringRef config,
                                    const TensorSource *weights = nullptr) const {
    return parseConfig(config, "c.json", families, {}, weights);
  }

  /// The module of a well-formed config.
  mlir::OwningOpRef<mlir::ModuleOp> build(llvm::StringRef config = tinyConfig,
                                          ModelOptions options = {});

  /// All tensors of the config by their canonical names, filled with numbers
  /// that tell them and their elements apart.
  std::map<std::string, StoredTensor> makeTensors(llvm::StringRef config = tinyConfig);

  /// A checkpoint of these tensors.
  TensorSource store(const std::map<std::string, StoredTensor> &tensors);

  /// Reads the config against the tensors and binds its module: the error's text.
  std::string bind(const std::map<std::string, StoredTensor> &tensors,
                   llvm::StringRef config = tinyConfig);

  mlir::MLIRContext context;
  FamilyRegistry families;
  Directory directory;
  mlir::OwningOpRef<mlir::ModuleOp> module; ///< of the last `build` or `bind`
  std::vector<std::string> warnings;        ///< of all calls, without paths

  std::function<void(const llvm::Twine &)> warn = [this](const llvm::Twine &text) {
    warnings.push_back(directory.strip(text.str()));
  };
};

} // namespace treadle::test

#endif // TREADLE_TEST_UNIT_MODEL_TINYMODEL_H
