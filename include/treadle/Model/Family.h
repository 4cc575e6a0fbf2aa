//===- Family.h - What makes a model family ---------------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A family is data (its fields and the names of its tensors) and one function
// that builds its module from blocks. Nothing outside lib/Model/Families asks
// which family a model is of.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_MODEL_FAMILY_H
#define TREADLE_MODEL_FAMILY_H

#include "treadle/Model/ModelConfig.h"
#include "treadle/Model/WeightBinding.h"
#include <memory>

namespace treadle {

class ModuleBuilder;

/// What every library says of its model (see `treadle.model`).
struct ModelFacts {
  int64_t vocabulary; ///< columns of the logits
  int64_t hidden;
  int64_t capacity = 0; ///< positions that the config allows; of no matter with a period
  int64_t loops = 1;    ///< passes that the config asks for
  bool hasLoop = false; ///< whether a run-time loop is there at all
  int64_t period = 0;   ///< positions after which the append states begin anew; 0: never
  llvm::SmallVector<int64_t> eos;
  /// Ids that may be run, where some of the last columns stand for none.
  std::optional<int64_t> tokens = std::nullopt;
};

class Family {
public:
  virtual ~Family() = default;

  /// The `model_type` of its configs.
  virtual llvm::StringRef getName() const = 0;

  /// Its keys, without the inert ones that all families share.
  virtual std::vector<Field> getFields() const = 0;

  /// The canonical name of a stored tensor, or an empty string for one that the
  /// family does not know.
  virtual std::string getCanonicalName(llvm::StringRef name, const TensorSource &source) const = 0;

  /// Whether the matrix of that canonical name may be stored as K x N.
  virtual bool mayBeTransposed(llvm::StringRef) const { return false; }

  /// Tensors that may be stored though no weight of a module reads them, with the
  /// tensor whose numbers they then repeat (canonical names).
  virtual std::vector<std::pair<std::string, std::string>> getCopies() const { return {}; }

  /// Other forms in which a tensor of that canonical name may be stored, best first.
  virtual std::vector<StoredForm> getStoredForms(llvm::StringRef) const { return {}; }

  /// Whether a stored tensor (canonical name) only repeats what the others say.
  virtual bool isRedundant(llvm::StringRef) const { return false; }

  /// Sets the fields that the stored tensors settle.
  virtual void infer(const NamedTensors &tensors, const ConfigValues &given,
                     ConfigValues &found) const = 0;

  /// Supplies defaults that depend on other fields, and checks fields against
  /// each other.
  virtual llvm::Error complete(ModelConfig &config) const = 0;

  /// Checks stored tensors that only repeat what the completed config says.
  virtual llvm::Error checkRedundant(const ModelConfig &config, const NamedTensors &tensors) const {
    return llvm::Error::success();
  }

  virtual ModelFacts getFacts(const ModelConfig &config) const = 0;

  /// Facts of its own, for `--info`.
  virtual llvm::json::Object getInfo(const ModelConfig &config) const = 0;

  /// Builds `@forward` and `@head`, with a period `@open` and `@close`, and declares the symbols
  /// that they use.
  virtual void build(ModuleBuilder &builder, const ModelConfig &config) const = 0;
};

/// Sets the field `key`, whether the head is the embedding's matrix, given their canonical names:
/// it is where no head is stored and, unless the config says otherwise, where it holds the same
/// numbers.
void inferTying(const NamedTensors &tensors, const ConfigValues &given, llvm::StringRef key,
                const std::pair<std::string, std::string> &headAndTable, ConfigValues &found);

/// The families that a compiler knows.
class FamilyRegistry {
public:
  void add(std::unique_ptr<Family> family) { families.push_back(std::move(family)); }
  const Family *find(llvm::StringRef name) const;
  llvm::ArrayRef<std::unique_ptr<Family>> getFamilies() const { return families; }

private:
  std::vector<std::unique_ptr<Family>> families;
};

/// Adds every family of this project.
void registerAllFamilies(FamilyRegistry &registry);

/// One function per family of lib/Model/Families.
std::unique_ptr<Family> createLlama();
std::unique_ptr<Family> createMiniAxion();
std::unique_ptr<Family> createNanoHammer();
std::unique_ptr<Family> createNeoLLM();
std::unique_ptr<Family> createOm();

} // namespace treadle

#endif // TREADLE_MODEL_FAMILY_H
