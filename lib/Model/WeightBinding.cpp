//===- WeightBinding.cpp - Stored tensors and the names of a family -------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Model/WeightBinding.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "treadle/Dialect/Treadle/IR/Treadle.h"
#include "treadle/Model/Family.h"
#include "treadle/Model/NamePattern.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;
using namespace treadle;

const Tensor *NamedTensors::find(llvm::StringRef name) const {
  auto it = byName.find(name.str());
  return it == byName.end() ? nullptr : it->second;
}

const Tensor *NamedTensors::findAny(llvm::StringRef pattern) const {
  for (const auto &[name, tensor] : byName)
    if (!matchName(pattern, name).empty())
      return tensor;
  return nullptr;
}

std::string StoredForm::getPart(int64_t number) const {
  std::string part = name;
  if (size_t place = part.find('#'); place != std::string::npos)
    part.replace(place, 1, std::to_string(number));
  return part;
}

std::optional<llvm::SmallVector<int64_t>> treadle::findShape(const NamedTensors &tensors,
                                                             llvm::StringRef name,
                                                             llvm::ArrayRef<StoredForm> forms) {
  if (const Tensor *tensor = tensors.find(name))
    return llvm::SmallVector<int64_t>(tensor->shape.begin(), tensor->shape.end());
  for (const StoredForm &form : forms) {
    const Tensor *first = tensors.find(form.getPart(0));
    if (!first)
      continue;
    llvm::SmallVector<int64_t> shape(first->shape.begin(), first->shape.end());
    if (!form.axis)
      return shape;
    if (form.isTransposed)
      std::reverse(shape.begin(), shape.end());
    int64_t parts = 1;
    while (tensors.find(form.getPart(parts)))
      ++parts;
    shape.insert(shape.begin(), parts);
    shape.insert(shape.begin(), *form.axis, 1);
    return shape;
  }
  return std::nullopt;
}

llvm::Expected<NamedTensors> treadle::nameTensors(const Family &family,
                                                  const TensorSource &source) {
  NamedTensors named;
  for (const Tensor &tensor : source.getTensors()) {
    std::string name = family.getCanonicalName(tensor.name, source);
    if (name.empty()) {
      named.unknown.push_back(&tensor);
      continue;
    }
    auto [it, isNew] = named.byName.insert({name, &tensor});
    if (!isNew)
      return makeError(tensor.file + ": " + tensor.name + ": expected one tensor for " + name +
                       ", got " + it->second->name + " too");
  }
  return std::move(named);
}

SourceView treadle::getSourceView(WeightOp weight) {
  if (std::optional<ViewAttr> view = weight.getView())
    return {llvm::to_vector(view->getShape()), llvm::to_vector(view->getOrder())};
  SourceView view = {llvm::to_vector(weight.getType().getShape()), {}};
  if (!view.shape.empty())
    view.shape[0] /= weight.getNumParts();
  llvm::append_range(view.order, llvm::seq<int64_t>(view.shape.size()));
  return view;
}

static llvm::SmallVector<int64_t> withoutOnes(llvm::ArrayRef<int64_t> shape) {
  return llvm::filter_to_vector(shape, [](int64_t size) { return size != 1; });
}

/// A stack of one is the matrix.
static llvm::ArrayRef<int64_t> withoutStacksOfOne(llvm::ArrayRef<int64_t> shape) {
  while (shape.size() > 2 && shape.front() == 1)
    shape = shape.drop_front();
  return shape;
}

static bool fits(const Tensor &tensor, WeightOp weight) {
  SourceView view = getSourceView(weight);
  // Of a matrix as it stands a side of size 1 says which way round it is stored.
  if (!weight.getView() && weight.getType().getPacking() == Packing::panels)
    return withoutStacksOfOne(tensor.shape) == withoutStacksOfOne(view.shape);
  return withoutOnes(tensor.shape) == withoutOnes(view.shape);
}

/// The shape that a tensor is expected to have.
static std::string describeWanted(WeightOp weight) {
  SourceView view = getSourceView(weight);
  return describeShape(view.shape) + (view.shape.empty() ? " or [1]" : "");
}

llvm::Error treadle::checkTensor(const Tensor &tensor, WeightOp weight) {
  if (!fits(tensor, weight))
    return makeError(tensor.file + ": " + quote(tensor.name) + ": expected shape " +
                     describeWanted(weight) + ", got " + describeShape(tensor.shape));
  if (!tensor.type->readable)
    return makeError(tensor.file + ": " + quote(tensor.name) +
                     ": expected dtype F32, F16, BF16 or F64, got " + tensor.type->name);
  return llvm::Error::success();
}

namespace {
/// One slot of a weight and the tensor that fills it.
struct Slot {
  WeightOp weight;
  const Tensor *tensor;
};
} // namespace

/// A file keeps all its factors one way round. Square ones tell nothing; the others decide.
static bool areTransposed(llvm::ArrayRef<Slot> slots) {
  bool someTransposed = false;
  for (auto [weight, tensor] : slots) {
    llvm::ArrayRef<int64_t> shape = WeightOp(weight).getType().getShape();
    bool plain = tensor->shape == shape;
    bool transposed = tensor->shape == llvm::ArrayRef<int64_t>{shape[1], shape[0]};
    if (plain && !transposed)
      return false;
    someTransposed |= transposed && !plain;
  }
  return someTransposed;
}

/// What no weight reads may be a copy of a tied matrix: then it repeats its numbers.
static llvm::Error checkCopies(const Family &family, const TensorSource &source,
                               const NamedTensors &tensors, llvm::DenseSet<const Tensor *> &read) {
  for (const auto &[copyName, originalName] : family.getCopies()) {
    const Tensor *copy = tensors.find(copyName), *original = tensors.find(originalName);
    if (!copy || !original || !read.insert(copy).second)
      continue;
    int64_t difference;
    bool equal = haveEqualNumbers(*copy, *original, &difference);
    source.releasePages();
    if (equal)
      continue;
    return makeError(copy->file + ": " + copy->name + ": expected the numbers of " +
                     original->name + ", which the config ties it to, got others from element " +
                     llvm::Twine(difference) + " on");
  }
  return llvm::Error::success();
}

/// The view of one part of what `whole` is the view of.
static SourceView getPartView(const SourceView &whole, const StoredForm &form) {
  unsigned dropped = *form.axis + 1, rank = whole.shape.size() - dropped;
  SourceView part;
  part.shape.assign(whole.shape.begin() + dropped, whole.shape.end());
  if (form.isTransposed)
    std::reverse(part.shape.begin(), part.shape.end());
  for (int64_t dim : llvm::drop_begin(whole.order, dropped))
    part.order.push_back(form.isTransposed ? rank - 1 - (dim - dropped) : dim - dropped);
  return part;
}

/// Lets the weight read its tensors in the form in which the first of them is stored.
static void chooseForm(WeightOp weight, const Family &family, const NamedTensors &tensors) {
  llvm::StringRef first = cast<StringAttr>(weight.getSources()[0]).getValue();
  if (tensors.find(first))
    return;
  std::vector<StoredForm> forms = family.getStoredForms(first);
  auto stored =
      llvm::find_if(forms, [&](const StoredForm &form) { return tensors.find(form.getPart(0)); });
  if (stored == forms.end())
    return;
  size_t index = stored - forms.begin();
  SourceView view = getSourceView(weight);
  int64_t parts = stored->axis ? view.shape[*stored->axis] : 1;
  llvm::SmallVector<std::string> names;
  for (auto name : weight.getSources().getAsValueRange<StringAttr>())
    for (int64_t part = 0; part < parts; ++part)
      names.push_back(family.getStoredForms(name)[index].getPart(part));
  llvm::SmallVector<llvm::StringRef> sources(names.begin(), names.end());
  weight.setSourcesAttr(Builder(weight.getContext()).getStrArrayAttr(sources));
  if (!stored->axis)
    return;
  SourceView part = getPartView(view, *stored);
  weight.setViewAttr(ViewAttr::get(weight.getContext(), part.shape, part.order));
}

static void warnOfUnread(const llvm::DenseSet<const Tensor *> &read, const TensorSource &source,
                         WarningHandler warn) {
  constexpr size_t maxNamed = 8;
  std::string names;
  size_t count = 0;
  for (const Tensor &tensor : source.getTensors()) {
    if (read.contains(&tensor) || ++count > maxNamed)
      continue;
    names += (names.empty() ? "" : ", ") + quote(tensor.name);
  }
  if (count > maxNamed)
    names += " and " + std::to_string(count - maxNamed) + " more";
  if (count && warn)
    warn(source.getPath() + ": the model does not use " + names);
}

llvm::Error treadle::bindWeights(ModuleOp module, const Family &family, const TensorSource &source,
                                 WarningHandler warn) {
  llvm::Expected<NamedTensors> tensors = nameTensors(family, source);
  if (!tensors)
    return tensors.takeError();

  llvm::DenseSet<const Tensor *> read;
  llvm::SmallVector<Slot> fixed, turnable;
  for (auto weight : module.getOps<WeightOp>()) {
    chooseForm(weight, family, *tensors);
    llvm::SmallVector<llvm::StringRef> names;
    for (auto name : weight.getSources().getAsValueRange<StringAttr>()) {
      const Tensor *tensor = tensors->find(name);
      if (!tensor)
        return makeError(source.getPath() + ": " + name + ": expected a tensor of shape " +
                         describeWanted(weight) + ", got none");
      (family.mayBeTransposed(name) ? turnable : fixed).push_back({weight, tensor});
      names.push_back(tensor->name);
      read.insert(tensor);
    }
    weight.setSourcesAttr(Builder(module.getContext()).getStrArrayAttr(names));
  }

  bool transposed = areTransposed(turnable);
  for (Slot &slot : fixed)
    if (llvm::Error error = checkTensor(*slot.tensor, slot.weight))
      return error;
  for (Slot &slot : turnable) {
    if (llvm::ArrayRef<int64_t> shape = slot.weight.getType().getShape(); transposed)
      slot.weight.setViewAttr(ViewAttr::get(module.getContext(), {shape[1], shape[0]}, {1, 0}));
    if (llvm::Error error = checkTensor(*slot.tensor, slot.weight))
      return error;
  }

  if (llvm::Error error = checkCopies(family, source, *tensors, read))
    return error;
  for (const auto &[name, tensor] : tensors->byName)
    if (family.isRedundant(name))
      read.insert(tensor);
  warnOfUnread(read, source, warn);
  return llvm::Error::success();
}
