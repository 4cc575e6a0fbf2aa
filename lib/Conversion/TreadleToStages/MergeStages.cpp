//===- MergeStages.cpp - One stage out of several -------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "MergeStages.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace treadle;

Value StageMerger::getArgument(Value input, Attribute access) {
  Block &body = region.front();
  for (auto [known, knownAccess, argument] : llvm::zip(inputs, accesses, body.getArguments()))
    if (known == input && knownAccess == access)
      return argument;
  inputs.push_back(input);
  accesses.push_back(access);
  return body.addArgument(input.getType(), input.getLoc());
}

void StageMerger::add(StageOp stage, bool isPrologue) {
  IRMapping mapping;
  for (auto [input, access, argument] :
       llvm::zip(stage.getInputs(), stage.getAccesses().getAsRange<AccessAttr>(),
                 stage.getBody()->getArguments())) {
    SmallVector<int64_t> whole(access.getDims().size(), AccessAttr::all);
    Value known = yielded.lookup(input);
    if (!known)
      known = getArgument(input, isPrologue ? AccessAttr::get(stage.getContext(), whole) : access);
    mapping.map(argument, known);
  }
  for (Operation &op : stage.getBody()->without_terminator())
    builder.clone(op, mapping);
  for (auto [result, value] :
       llvm::zip(stage.getResults(), stage.getBody()->getTerminator()->getOperands()))
    yielded[result] = mapping.lookup(value);
}

/// Drops ops whose results nobody needs and inputs that nobody reads.
void StageMerger::eraseUnused() {
  Block &body = region.front();
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(body)))
    if (isOpTriviallyDead(&op))
      op.erase();
  for (unsigned i = inputs.size(); i-- > 0;)
    if (body.getArgument(i).use_empty()) {
      body.eraseArgument(i);
      inputs.erase(inputs.begin() + i);
      accesses.erase(accesses.begin() + i);
    }
}

StageOp StageMerger::create(OpBuilder &at, Location location, ArrayAttr iterations,
                            ArrayRef<OpResult> results) {
  SmallVector<Type> types;
  SmallVector<Value> values;
  SmallVector<Attribute> resultAccesses;
  for (OpResult result : results) {
    types.push_back(result.getType());
    values.push_back(yielded.lookup(result));
    resultAccesses.push_back(
        cast<StageOp>(result.getOwner()).getResultAccesses()[result.getResultNumber()]);
  }
  YieldOp::create(builder, location, values);
  eraseUnused();
  auto stage = StageOp::create(at, location, types, inputs, iterations, at.getArrayAttr(accesses),
                               at.getArrayAttr(resultAccesses), TileAttr(), DenseI64ArrayAttr());
  stage.getBodyRegion().takeBody(region);
  return stage;
}

/// True if each tile of `later` takes of `input`, a result of `earlier`, what that tile yields.
static bool isTakenElementwise(StageOp earlier, StageOp later, unsigned input) {
  unsigned number = cast<OpResult>(later.getInputs()[input]).getResultNumber();
  return later.getAccesses()[input] == earlier.getResultAccesses()[number] &&
         llvm::none_of(later.getBody()->getArgument(input).getUsers(),
                       llvm::IsaPred<StageCoreOpInterface>);
}

/// True if `later` can run where `earlier` stands. Collects references that must move there first.
static bool canMoveUp(StageOp earlier, StageOp later, SmallVectorImpl<Operation *> &references) {
  auto isThere = [&](Value value) {
    Operation *op = value.getDefiningOp();
    return !op || op->getBlock() != earlier->getBlock() || op->isBeforeInBlock(earlier);
  };
  for (auto [i, input] : llvm::enumerate(later.getInputs())) {
    Operation *op = input.getDefiningOp();
    if (isThere(input) || (op == earlier && isTakenElementwise(earlier, later, i)))
      continue;
    if (!isa<GetWeightOp>(op) || !llvm::all_of(op->getOperands(), isThere))
      return false;
    references.push_back(op);
  }
  return true;
}

FailureOr<StageOp> treadle::mergeUp(RewriterBase &rewriter, StageOp earlier, StageOp later,
                                    ArrayAttr iterations) {
  SmallVector<Operation *> references;
  if (!canMoveUp(earlier, later, references))
    return failure();
  for (Operation *reference : references)
    rewriter.moveOpBefore(reference, earlier);

  StageMerger merger(rewriter.getContext());
  merger.add(earlier);
  merger.add(later);
  SmallVector<OpResult> results;
  for (StageOp stage : {earlier, later})
    llvm::copy_if(stage->getResults(), std::back_inserter(results), [&](OpResult result) {
      return llvm::any_of(result.getUsers(), [&](Operation *user) { return user != later; });
    });
  rewriter.setInsertionPoint(earlier);
  Location location = rewriter.getFusedLoc({earlier.getLoc(), later.getLoc()});
  StageOp merged = merger.create(rewriter, location, iterations, results);
  for (auto [old, result] : llvm::zip(results, merged.getResults()))
    rewriter.replaceAllUsesWith(old, result);
  rewriter.eraseOp(later);
  rewriter.eraseOp(earlier);
  return merged;
}

bool treadle::hasFewRows(StageOp stage, int64_t most) {
  SmallVector<Type> types(stage->getOperandTypes());
  llvm::append_range(types, stage->getResultTypes());
  auto hasFew = [most](Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    return !tensor || tensor.getRank() == 0 ||
           (!tensor.isDynamicDim(0) && tensor.getDimSize(0) <= most);
  };
  return llvm::all_of(types, hasFew);
}
