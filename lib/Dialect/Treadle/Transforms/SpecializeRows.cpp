//===- SpecializeRows.cpp - One entry point per row count -----------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "treadle/Dialect/Treadle/Transforms/Passes.h"

#include "mlir/IR/AttrTypeSubElements.h"

namespace treadle {
#define GEN_PASS_DEF_SPECIALIZEROWSPASS
#include "treadle/Dialect/Treadle/Transforms/Passes.h.inc"
} // namespace treadle

using namespace mlir;
using namespace treadle;

/// tensor<?x...> => tensor<rows x ...> in every type of `function`.
static void setRows(func::FuncOp function, int64_t rows) {
  AttrTypeReplacer replacer;
  replacer.addReplacement([rows](RankedTensorType type) -> Type {
    if (type.getRank() == 0 || !type.isDynamicDim(0))
      return type;
    SmallVector<int64_t> shape(type.getShape());
    shape[0] = rows;
    return type.clone(shape);
  });
  replacer.recursivelyReplaceElementsIn(function, /*replaceAttrs=*/true, /*replaceLocs=*/false,
                                        /*replaceTypes=*/true);
}

namespace {
struct SpecializeRows : public treadle::impl::SpecializeRowsPassBase<SpecializeRows> {
  using SpecializeRowsPassBase::SpecializeRowsPassBase;

  void runOnOperation() override {
    for (int64_t count : rows)
      if (count <= 0) {
        getOperation().emitError("expects positive row counts, got ") << count;
        return signalPassFailure();
      }
    for (auto function : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>())) {
      auto entry = function->getAttrOfType<EntryAttr>("treadle.entry");
      if (!entry || entry.getRows() != 0)
        continue;
      OpBuilder builder(function);
      for (int64_t count : rows) {
        auto clone = cast<func::FuncOp>(builder.clone(*function));
        clone.setName((function.getName() + "_" + Twine(count)).str());
        clone->setAttr("treadle.entry", EntryAttr::get(&getContext(), entry.getKind(), count));
        setRows(clone, count);
      }
      function.erase();
    }
  }
};
} // namespace
