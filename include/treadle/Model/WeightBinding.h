//===- WeightBinding.h - Stored tensors and the names of a family -*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_MODEL_WEIGHTBINDING_H
#define TREADLE_MODEL_WEIGHTBINDING_H

#include "treadle/Model/TensorSource.h"
#include "treadle/Support/Error.h"
#include <map>
#include <optional>

namespace mlir {
class ModuleOp;
} // namespace mlir

namespace treadle {

class Family;
class WeightOp;

/// The tensors of a checkpoint by the names that their family gives them.
struct NamedTensors {
  std::map<std::string, const Tensor *> byName;
  std::vector<const Tensor *> unknown; ///< in the order of the files

  /// The tensor of that canonical name, or null.
  const Tensor *find(llvm::StringRef name) const;

  /// The first whose canonical name matches a pattern (NamePattern.h), or null. Ask so whether
  /// there are biases, for instance: then one that is missing elsewhere is found missing, while of
  /// one layer's word for all the biases of the others would be left out.
  const Tensor *findAny(llvm::StringRef pattern) const;
};

/// Another form in which a tensor may be stored: under another name or, where `axis` is given, in
/// parts. There is a part for each index of that dimension, in front of which there are only ones.
struct StoredForm {
  std::string name;             ///< canonical; `#` stands for the number of a part
  std::optional<unsigned> axis; ///< the dimension that counts the parts
  bool isTransposed = false;    ///< a part has its other dimensions the other way round

  std::string getPart(int64_t number) const;
};

/// The shape of a tensor, stored as it is or in another form, as if it were stored as it is.
std::optional<llvm::SmallVector<int64_t>>
findShape(const NamedTensors &tensors, llvm::StringRef name, llvm::ArrayRef<StoredForm> forms);

/// Fails where two tensors claim one name.
llvm::Expected<NamedTensors> nameTensors(const Family &family, const TensorSource &source);

/// How one source tensor of a weight is read: its dimensions of size `shape` are put into `order`,
/// and the result is read row-major.
struct SourceView {
  llvm::SmallVector<int64_t> shape, order;
};
SourceView getSourceView(WeightOp weight);

/// Whether a tensor can be a source of the weight. Dimensions of size 1 may be missing or be there
/// on both sides, but for a matrix without a view.
llvm::Error checkTensor(const Tensor &tensor, WeightOp weight);

/// Replaces the canonical names in the module's weights by the names of the
/// stored tensors. Missing tensors, wrong shapes and element types, and copies
/// of a tied matrix that hold other numbers are errors; tensors that no weight
/// reads are listed in one warning.
llvm::Error bindWeights(mlir::ModuleOp module, const Family &family, const TensorSource &source,
                        WarningHandler warn = nullptr);

} // namespace treadle

#endif // TREADLE_MODEL_WEIGHTBINDING_H
