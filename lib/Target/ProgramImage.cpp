//===- ProgramImage.cpp - What the compiler tells the runtime -------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Target/ProgramImage.h"

#include "Program.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "treadle/Support/Error.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/raw_ostream.h"
#include <cstring>

using namespace mlir;
using namespace treadle;
using llvm::Error;
using llvm::Expected;

//===----------------------------------------------------------------------===//
// Facts of the module
//===----------------------------------------------------------------------===//

Expected<ModelAttr> treadle::getModelAttr(ModuleOp module) {
  if (auto model = module->getAttrOfType<ModelAttr>("treadle.model"))
    return model;
  return makeError("expected a module with the attribute treadle.model");
}

/// What a pass noted on an entry point, or 0.
static int64_t getCount(func::FuncOp function, StringRef attribute) {
  auto count = function->getAttrOfType<IntegerAttr>(attribute);
  return count ? std::max<int64_t>(count.getInt(), 0) : 0;
}

Expected<std::vector<EntryPoint>> treadle::getEntryPoints(ModuleOp module) {
  std::vector<EntryPoint> entries;
  for (auto function : module.getOps<func::FuncOp>()) {
    auto entry = function->getAttrOfType<EntryAttr>("treadle.entry");
    if (!entry)
      continue;
    auto arenaBytes = function->getAttrOfType<IntegerAttr>("treadle.arena_bytes");
    if (!arenaBytes || arenaBytes.getInt() < 0 || entry.getRows() < 1)
      return makeError("@" + function.getName() +
                       ": expected a positive row count and treadle.arena_bytes");
    entries.push_back({function.getName().str(), entry.getKind(), entry.getRows(),
                       arenaBytes.getInt(), getCount(function, "treadle.work"),
                       getCount(function, "treadle.key_work"), getCount(function, "treadle.serial"),
                       getCount(function, "treadle.barriers")});
  }
  llvm::stable_sort(entries, [](const EntryPoint &a, const EntryPoint &b) {
    return std::pair(a.kind, a.rows) < std::pair(b.kind, b.rows);
  });
  for (EntryKind kind : {EntryKind::forward, EntryKind::head})
    if (llvm::none_of(entries, [&](const EntryPoint &entry) {
          return entry.kind == kind && entry.rows == 1;
        }))
      return makeError("expected an entry point '" + stringifyEntryKind(kind) + "' of one row");
  auto model = module->getAttrOfType<ModelAttr>("treadle.model");
  bool hasPeriod = model && model.getPeriod() > 0;
  for (EntryKind kind : {EntryKind::open, EntryKind::close}) {
    int64_t count = llvm::count_if(entries, [&](const EntryPoint &e) { return e.kind == kind; });
    if (count != int64_t(hasPeriod))
      return makeError("expected " + Twine(hasPeriod ? "one entry point '" : "no entry point '") +
                       stringifyEntryKind(kind) + "' in a model with" + (hasPeriod ? "" : "out") +
                       " a period, got " + Twine(count));
  }
  return entries;
}

//===----------------------------------------------------------------------===//
// The image
//===----------------------------------------------------------------------===//

/// Collects arrays behind a header; everything is aligned to 8 bytes.
class ImageWriter {
public:
  ImageWriter() : bytes(sizeof(treadle_program_header), '\0') {}

  template <typename T> treadle_program_span append(llvm::ArrayRef<T> elements) {
    return appendBytes(reinterpret_cast<const char *>(elements.data()), elements.size(),
                       elements.size() * sizeof(T));
  }
  treadle_program_span append(StringRef text) {
    treadle_program_span span = appendBytes(text.data(), text.size(), text.size());
    bytes.push_back('\0');
    return span;
  }
  std::string finish(const treadle_program_header &header) {
    std::memcpy(bytes.data(), &header, sizeof header);
    return std::move(bytes);
  }

private:
  treadle_program_span appendBytes(const char *data, uint64_t count, uint64_t size) {
    bytes.resize(llvm::alignTo(bytes.size(), 8), '\0');
    treadle_program_span span{bytes.size(), count};
    bytes.append(data, size);
    return span;
  }

  std::string bytes;
};

/// The element types that StateType::verify lets through.
static uint32_t getElement(Type type) {
  if (type.isF32())
    return TREADLE_PROGRAM_ELEMENT_F32;
  if (type.isBF16())
    return TREADLE_PROGRAM_ELEMENT_BF16;
  if (type.isInteger(32))
    return TREADLE_PROGRAM_ELEMENT_I32;
  assert(type.isInteger(8) && "expected a verified state");
  return TREADLE_PROGRAM_ELEMENT_U8;
}

static uint32_t getEntryKind(EntryKind kind) {
  switch (kind) {
  case EntryKind::forward:
    return TREADLE_PROGRAM_ENTRY_FORWARD;
  case EntryKind::head:
    return TREADLE_PROGRAM_ENTRY_HEAD;
  case EntryKind::open:
    return TREADLE_PROGRAM_ENTRY_OPEN;
  case EntryKind::close:
    return TREADLE_PROGRAM_ENTRY_CLOSE;
  }
  llvm_unreachable("covered switch");
}

static uint32_t getStateKind(StateKind kind) {
  switch (kind) {
  case StateKind::append:
    return TREADLE_PROGRAM_STATE_APPEND;
  case StateKind::fixed:
    return TREADLE_PROGRAM_STATE_FIXED;
  case StateKind::ring:
    return TREADLE_PROGRAM_STATE_RING;
  }
  llvm_unreachable("covered switch");
}

/// How many rows append states have.
struct RowCounts {
  RowCounts(ModelAttr model, llvm::ArrayRef<EntryPoint> entries)
      : tokens(model.getPeriod() ? model.getPeriod() : model.getCapacity()) {
    for (const EntryPoint &entry : entries)
      if (entry.kind == EntryKind::open)
        lead = entry.rows;
      else if (entry.kind == EntryKind::close)
        trail = entry.rows;
  }

  int64_t tokens;              ///< of the capacity or the period
  int64_t lead = 0, trail = 0; ///< what `open` and `close` have
};

/// The runtime counts on it: a position of the session, or of the open period, is a
/// row of every append state.
static Error checkRows(StateOp op, const RowCounts &rows) {
  int64_t lead = op.getLead(), got = op.getType().getShape().front();
  if (lead != 0 && lead != rows.lead)
    return makeError("@" + op.getSymName() + ": expected a lead of 0 or " + Twine(rows.lead) +
                     ", the rows of 'open', got " + Twine(lead));
  int64_t least = lead + rows.tokens, most = least + rows.trail;
  if (got == least || got == most)
    return Error::success();
  if (rows.trail == 0)
    return makeError("@" + op.getSymName() + ": expected " + Twine(least) +
                     " rows, the capacity of the model, got " + Twine(got));
  return makeError("@" + op.getSymName() + ": expected " + Twine(least) +
                   " rows (its lead and the period), or " + Twine(most) +
                   " with those of 'close', got " + Twine(got));
}

/// `weights` is the layout of the weights, where initial values are.
static Expected<treadle_program_state> describeState(StateOp op, SlotLayout place,
                                                     const RowCounts &rows, const Layout &weights,
                                                     ImageWriter &image) {
  StateType type = op.getType();
  llvm::ArrayRef<int64_t> row = type.getRowShape();
  if (type.getKind() == StateKind::append)
    if (Error error = checkRows(op, rows))
      return std::move(error);
  if (type.getKind() == StateKind::ring && rows.lead)
    return makeError("@" + op.getSymName() +
                     ": expected no ring in a model with a period: its rows would begin anew at "
                     "a turn");
  if (op.getSlots().size() > TREADLE_PROGRAM_MAX_SLOT_RANK ||
      row.size() > TREADLE_PROGRAM_MAX_ROW_RANK)
    return makeError("@" + op.getSymName() + ": expected at most 3 slot and 4 row dimensions");

  treadle_program_state state{};
  state.name = image.append(op.getSymName());
  state.kind = getStateKind(type.getKind());
  state.element = getElement(type.getElementType());
  state.slot_rank = op.getSlots().size();
  state.row_rank = row.size();
  llvm::copy(op.getSlots(), state.slot_dims);
  llvm::copy(row, state.row_dims);
  state.pass_dim = op.getLoopSlot() ? *op.getLoopSlot() : -1;
  state.rows = type.getKind() == StateKind::fixed ? 1 : type.getShape().front();
  state.offset = place.offset;
  state.slot_stride = place.stride;
  bool isPacked = type.getPacking() == Packing::panels;
  state.panel_rows = isPacked ? panelWidth : 1;
  state.panel_depth = isPacked ? getPanelDepth(type.getElementType()) : 1;
  state.row_stride = getSlotBytes(type) / llvm::alignTo(state.rows, state.panel_rows);
  state.by_turn = op.getByTurn();
  state.lead = op.getLead();
  if (auto initial = op.getInitialAttr()) {
    state.start = TREADLE_PROGRAM_START_WEIGHTS;
    // Of the state's shape, plain and f32, so its slots have the same stride.
    state.initial = weights.symbols.lookup(initial.getAttr()).offset;
  } else if (op.getFill()) {
    state.start = TREADLE_PROGRAM_START_FILL;
    state.fill = int32_t(*op.getFill());
  }
  return state;
}

/// The table of states, and where in it `ids` and `mask` are.
struct StateTable {
  std::vector<treadle_program_state> states;
  uint32_t ids = 0, mask = 0;
  uint64_t bytes = 0;
};

/// The runtime keeps every session's ids and mask. A model that reads neither
/// does not declare them; then they lie behind its own states.
static Expected<uint32_t> findOrAppend(StateTable &table, StringRef name, uint32_t element,
                                       uint64_t elementBytes, const RowCounts &rows,
                                       ModuleOp module, ImageWriter &image) {
  uint32_t index = 0;
  int64_t count = rows.lead + rows.tokens + rows.trail;
  for (auto op : module.getOps<StateOp>()) {
    if (op.getSymName() == name) {
      // The runtime writes it by itself, so it must be exactly what the runtime writes.
      auto expected = StateType::get(module.getContext(), StateKind::append, {count},
                                     IntegerType::get(module.getContext(), 8 * elementBytes));
      if (op.getType() != expected || !op.getSlots().empty() ||
          op.getLead() != uint64_t(rows.lead)) {
        std::string text;
        llvm::raw_string_ostream(text) << expected;
        return makeError("@" + name + ": expected " + text + " without slots, of lead " +
                         Twine(rows.lead) + ", since the runtime writes it");
      }
      return index;
    }
    ++index;
  }
  treadle_program_state state{};
  state.name = image.append(name);
  state.kind = TREADLE_PROGRAM_STATE_APPEND;
  state.element = element;
  state.pass_dim = -1;
  state.rows = count;
  state.lead = rows.lead;
  state.offset = table.bytes;
  state.row_stride = elementBytes;
  state.panel_rows = 1;
  state.panel_depth = 1;
  state.slot_stride = llvm::alignTo(state.rows * elementBytes, slotAlignment);
  table.bytes += state.slot_stride;
  table.states.push_back(state);
  return table.states.size() - 1;
}

static Expected<StateTable> describeStates(ModuleOp module, const RowCounts &rows,
                                           ImageWriter &image) {
  StateTable table;
  Layout layout = layoutStates(module), weights = layoutWeights(module);
  table.bytes = layout.bytes;
  for (auto op : module.getOps<StateOp>()) {
    Expected<treadle_program_state> state =
        describeState(op, layout.symbols[op.getSymNameAttr()], rows, weights, image);
    if (!state)
      return state.takeError();
    table.states.push_back(*state);
  }
  RowCounts tokens = rows;
  tokens.lead = tokens.trail = 0;
  Expected<uint32_t> ids =
      findOrAppend(table, "ids", TREADLE_PROGRAM_ELEMENT_I32, 4, tokens, module, image);
  if (!ids)
    return ids.takeError();
  Expected<uint32_t> mask =
      findOrAppend(table, "mask", TREADLE_PROGRAM_ELEMENT_U8, 1, rows, module, image);
  if (!mask)
    return mask.takeError();
  table.ids = *ids;
  table.mask = *mask;
  return table;
}

static treadle_program_weights describeWeights(const WeightsImage &from) {
  treadle_program_weights weights{};
  switch (from.mode) {
  case WeightsImage::Mode::none:
    weights.mode = TREADLE_PROGRAM_WEIGHTS_NONE;
    return weights;
  case WeightsImage::Mode::embed:
    weights.mode = TREADLE_PROGRAM_WEIGHTS_EMBED;
    break;
  case WeightsImage::Mode::external:
    weights.mode = TREADLE_PROGRAM_WEIGHTS_EXTERNAL;
    break;
  }
  weights.file_size = from.fileBytes;
  weights.header_size = from.headerBytes;
  weights.digest_offset = from.digestOffset;
  llvm::copy(from.headerDigest, weights.header_digest);
  llvm::copy(from.contentDigest, weights.content_digest);
  return weights;
}

static treadle_program_golden describeGolden(const GoldenVector &from, ImageWriter &image) {
  treadle_program_golden golden{};
  golden.ids = image.append(llvm::ArrayRef(from.ids));
  golden.mask = image.append(llvm::ArrayRef(from.mask));
  golden.logits = image.append(llvm::ArrayRef(from.logits));
  golden.loops = from.loops;
  golden.tolerance = from.tolerance;
  return golden;
}

/// Golden vectors come from a file, so they are checked against the model.
static Error checkGolden(const GoldenVector &golden, ModelAttr model) {
  uint64_t count = golden.ids.size();
  if (count == 0)
    return makeError("expected golden ids, got none");
  if (!model.getPeriod() && count > uint64_t(model.getCapacity()))
    return makeError("expected 1 to " + llvm::Twine(model.getCapacity()) + " golden ids, got " +
                     llvm::Twine(count));
  for (int32_t id : golden.ids)
    if (id < 0 || id >= model.getVocabulary())
      return makeError("expected golden ids from 0 to " + llvm::Twine(model.getVocabulary() - 1) +
                       ", got " + llvm::Twine(id));
  if (!golden.mask.empty() && golden.mask.size() != count)
    return makeError("expected a golden mask of " + llvm::Twine(count) + " entries, got " +
                     llvm::Twine(golden.mask.size()));
  if (golden.logits.size() != count * model.getVocabulary())
    return makeError("expected golden logits of " + llvm::Twine(count) + " x " +
                     llvm::Twine(model.getVocabulary()) + ", got " +
                     llvm::Twine(golden.logits.size()) + " in all");
  if (golden.loops < 1 || golden.loops > model.getMaxLoops())
    return makeError("expected golden loops of 1 to " + llvm::Twine(model.getMaxLoops()) +
                     ", got " + llvm::Twine(golden.loops));
  return Error::success();
}

Expected<std::string> treadle::buildProgramImage(ModuleOp module,
                                                 llvm::ArrayRef<EntryPoint> entries,
                                                 const ProgramFacts &facts) {
  Expected<ModelAttr> model = getModelAttr(module);
  if (!model)
    return model.takeError();

  ImageWriter image;
  treadle_program_header header{};
  header.magic = TREADLE_PROGRAM_MAGIC;
  header.format = TREADLE_PROGRAM_FORMAT;
  header.header_size = sizeof header;
  header.name = image.append(StringRef(facts.name));
  header.info_json = image.append(StringRef(facts.infoJson));
  SmallVector<int32_t> eos(model->getEos().asArrayRef());
  header.eos_ids = image.append(llvm::ArrayRef<int32_t>(eos));

  std::vector<treadle_program_entry> entryTable;
  for (const EntryPoint &entry : entries) {
    if (entry.kind == EntryKind::open)
      header.open_entry = entryTable.size();
    if (entry.kind == EntryKind::close)
      header.close_entry = entryTable.size();
    GridKernel grid = facts.gridKernels.lookup(entry.function);
    entryTable.push_back({getEntryKind(entry.kind), uint32_t(entry.rows),
                          uint64_t(entry.arenaBytes), uint64_t(entry.work), uint64_t(entry.keyWork),
                          uint64_t(entry.serial), uint64_t(entry.barriers), grid.number,
                          grid.threads});
  }
  header.entries = image.append(llvm::ArrayRef(entryTable));

  Expected<StateTable> states = describeStates(module, RowCounts(*model, entries), image);
  if (!states)
    return states.takeError();
  header.states = image.append(llvm::ArrayRef(states->states));
  header.state_bytes = states->bytes;
  header.ids_state = states->ids;
  header.mask_state = states->mask;

  std::vector<treadle_program_golden> golden;
  for (const GoldenVector &vector : facts.golden) {
    if (Error error = checkGolden(vector, *model))
      return error;
    golden.push_back(describeGolden(vector, image));
  }
  header.golden = image.append(llvm::ArrayRef(golden));

  std::vector<treadle_program_cpu_feature> features;
  for (const CPUFeature &feature : facts.cpuFeatures)
    features.push_back({image.append(feature.name), feature.leaf, feature.subleaf, feature.reg,
                        feature.bit, feature.xcr0});
  header.cpu_features = image.append(llvm::ArrayRef(features));
  header.cpu = image.append(StringRef(facts.cpu));

  std::vector<treadle_program_gpu_code> gpuCode;
  for (const GPUCode &code : facts.gpuCode)
    gpuCode.push_back({image.append(StringRef(code.gpu)), image.append(StringRef(code.cubin)),
                       image.append(StringRef(code.ptx))});
  header.gpu_code = image.append(llvm::ArrayRef(gpuCode));
  std::vector<treadle_program_span> gpuKernels;
  for (const std::string &kernel : facts.gpuKernels)
    gpuKernels.push_back(image.append(StringRef(kernel)));
  header.gpu_kernels = image.append(llvm::ArrayRef(gpuKernels));

  llvm::copy(facts.configDigest, header.config_digest);
  llvm::copy(facts.libraryId, header.library_id);
  header.vocab_size = model->getVocabulary();
  header.token_count = model->getTokenCount();
  header.hidden_size = model->getHidden();
  header.context = model->getCapacity();
  header.config_context = model->getConfigCapacity();
  header.period = model->getPeriod();
  header.max_loops = model->getMaxLoops();
  header.config_loops = model->getConfigLoops();
  header.weights = describeWeights(facts.weights);
  return image.finish(header);
}

//===----------------------------------------------------------------------===//
// Ids
//===----------------------------------------------------------------------===//

/// The sources of a weight are names in somebody's file, so they stay out.
Sha256Digest treadle::computeWeightsId(ModuleOp module, const Sha256Digest &configDigest) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << llvm::toStringRef(configDigest);
  for (auto weight : module.getOps<WeightOp>()) {
    os << weight.getSymName() << ' ' << weight.getType() << ' ';
    llvm::interleave(weight.getSlots(), os, "x");
    os << '\n';
  }
  return Sha256::hash(text);
}

Sha256Digest treadle::computeLibraryId(ModuleOp module, const Sha256Digest &configDigest,
                                       StringRef device) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << llvm::toStringRef(computeWeightsId(module, configDigest)) << TREADLE_PROGRAM_FORMAT << ' '
     << device << '\n';
  for (auto state : module.getOps<StateOp>()) {
    os << state.getSymName() << ' ' << state.getType() << ' ';
    llvm::interleave(state.getSlots(), os, "x");
    os << ' ' << state.getLead() << '\n';
  }
  return Sha256::hash(text);
}
