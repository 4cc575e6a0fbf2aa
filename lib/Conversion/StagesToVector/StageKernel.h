//===- StageKernel.h - One stage as a function over tiles ------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_CONVERSION_STAGESTOVECTOR_STAGEKERNEL_H
#define TREADLE_LIB_CONVERSION_STAGESTOVECTOR_STAGEKERNEL_H

#include "LaneBuilder.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "treadle/Conversion/ConstantTable.h"
#include "treadle/Conversion/StagesToVector/StagesToVector.h"

namespace treadle {

/// The memory form of a stage operand: dense for tensors, plain weights and states (bf16 as i16),
/// [N/16][K/k][16] words for panels of weights, [rows/16][columns/k][16] for those of states.
/// Scalars stay as they are.
mlir::Type getKernelType(mlir::Type type);

/// What a kernel does of a stage: all; or of attention whose spans of keys lie in parts of a tile,
/// one span, or what follows when all of them are known.
enum class SpanRole { all, one, merge };

/// The body of a kernel under construction: what the prologue of a stage computes, then a loop over
/// tiles.
///
/// It is emitted in steps. A step is one core op, several that run together, or in a purely
/// elementwise stage none. Its emitter computes the core op's result, 16 lanes at a time, and hands
/// each piece to `storeResult`, which runs the elementwise ops behind it on the lanes and stores
/// what the stage yields or a later step needs.
class StageKernel {
public:
  /// Where spans are parts, what is known of them is an argument behind the results.
  StageKernel(StageOp stage, mlir::func::FuncOp function,
              const ConvertStagesToVectorPassOptions &options, SpanRole role = SpanRole::all);

  /// Emits everything. Fails with a diagnostic where an op has no emitter.
  mlir::LogicalResult emit();

  LaneBuilder &builder() { return b; }
  const ConvertStagesToVectorPassOptions &getOptions() const { return options; }

  /// The memory (or scalar) behind an operand of an op in the stage's body.
  mlir::Value operand(mlir::Value bodyValue) const { return operands.lookup(bodyValue); }

  /// The memory of a result of the stage.
  mlir::Value result(unsigned index = 0) const { return results[index]; }

  /// Whether parts of a tile run side by side, as slices of K do.
  bool isSliced();

  /// The part of the tile that is to run; null where it is the whole. Matrices of several heights
  /// in slices have a part for each of their panels in a unit; those of one height share theirs.
  mlir::Value part() const { return currentPart; }

  SpanRole role() const { return spanRole; }

  /// What is known of spans, [tiles][spans of all lanes][numbers of a span][16]; null for a whole.
  mlir::Value spanMemory() const { return spans; }

  /// The core ops of the step.
  llvm::ArrayRef<StageCoreOpInterface> cores() const { return step->cores; }

  /// The tile's interval of an iteration dimension of the step; the whole of it in the prologue.
  mlir::Value begin(unsigned dim) const { return begins[dim]; }
  mlir::Value end(unsigned dim) const { return ends[dim]; }
  int64_t tileSize(unsigned dim) const { return step->sizes[dim]; }
  /// The extent of a dimension; of rows only where they are known.
  int64_t extent(unsigned dim) const {
    assert(!mlir::ShapedType::isDynamic(step->extents[dim]) && "rows are a number at run time");
    return step->extents[dim];
  }

  /// Whether the rows, dimension 0, are a multiple of `rowGranule`.
  bool hasWholeGranules();
  /// The extent of a dimension, whatever it is known from.
  mlir::Value limit(unsigned dim) { return limitOf(step->extents[dim]); }

  /// The tile's columns, dimension `dim`, 16 at a time: body(column, mask). The tile's size is a
  /// multiple of 16, but for the last one.
  void forColumns(unsigned dim, llvm::function_ref<void(mlir::Value, mlir::Value)> body);

  /// Scratch memory of the kernel, on the stack of the thread that runs it.
  mlir::Value allocate(llvm::ArrayRef<int64_t> shape, mlir::Type element);

  /// The same for what nobody needs behind the step. Steps share it, so that one with a long
  /// prologue needs no more than its largest part: a dimension may be larger than asked for.
  mlir::Value allocateForStep(llvm::ArrayRef<int64_t> shape, mlir::Type element);

  /// Memory that holds `values` and is never written.
  mlir::Value constantTable(mlir::DenseElementsAttr values);

  /// Lanes of results of core ops at one place.
  using Lanes = llvm::SmallDenseMap<mlir::Value, mlir::Value, 4>;

  /// Stores at (row, column) what follows, elementwise, from `lanes` of results of the step and
  /// from what stands in memory.
  void storeResults(const Lanes &lanes, mlir::Value row, mlir::Value column, mlir::Value mask = {});

  /// The same for one result of the step's only core op, or for a purely elementwise stage.
  void storeResult(mlir::Value lanes, mlir::Value row, mlir::Value column, mlir::Value mask = {},
                   unsigned index = 0);

private:
  struct Step {
    llvm::SmallVector<StageCoreOpInterface> cores;
    bool isPrologue;
    llvm::SmallVector<int64_t> extents, sizes; // of iteration dimensions and the step's tile
  };
  /// Memory that a step has for itself while it runs.
  struct StepMemory {
    mlir::Value memory;
    bool isTaken;
  };
  /// A value of the body that is stored as soon as the results in `parts` are there, all of one
  /// step; without a step it is made of inputs alone.
  struct Stored {
    mlir::Value value, memory;
    llvm::SmallVector<mlir::Value> parts;
    std::optional<unsigned> step;
  };

  void planSteps();
  void addStep(llvm::ArrayRef<StageCoreOpInterface> cores);
  void planParts();
  mlir::LogicalResult emitSteps(bool isPrologue);
  int64_t shareOf(const Step &of, unsigned dim);
  void planStores();
  void planScratch(mlir::Value value);
  void planStore(mlir::Value value, mlir::Value memory);
  void storeWhole(const Stored &stored);
  /// Stores lanes of f32 in memory of f32 or bf16.
  void storeLanes(mlir::Value lanes, mlir::Value memory, mlir::ValueRange place, mlir::Value mask);
  mlir::Value limitOf(int64_t extent);
  /// Sets the interval of the step: the whole in the prologue, else from the current tile.
  void beginStep(const Step &next);

  /// for tile in [first, end): leaves the builder inside, with the tile's intervals set.
  void openTileLoop(mlir::Value first, mlir::Value end);

  /// The lanes at (row, column) of a value of the body: an input, or an elementwise op's result.
  /// `known` holds what is computed already and receives what is computed on the way.
  mlir::Value evaluate(mlir::Value bodyValue, mlir::Value row, mlir::Value column, mlir::Value mask,
                       Lanes &known);

  StageOp stage;
  mlir::func::FuncOp function;
  const ConvertStagesToVectorPassOptions &options;
  LaneBuilder b;
  mlir::IRMapping operands;
  llvm::SmallVector<Step> steps;
  llvm::SmallVector<Stored> stores; // in the order of the body
  llvm::SmallVector<StepMemory> stepMemories;
  llvm::DenseMap<mlir::Operation *, unsigned> stepOf; // by core op
  llvm::SmallVector<mlir::Value> results, tileBegins, tileEnds, begins, ends;
  const Step *step = nullptr;
  SpanRole spanRole;
  mlir::Value spans;
  mlir::Value currentPart;
  int64_t numParts = 1;
  mlir::Value openRows; // their number; null where it is known at compile time
};

/// The parts of each tile of a kernel. They count as tiles of their own where it is called.
int64_t getNumParts(mlir::func::FuncOp kernel);

/// Emits a step of `kernel`, chosen by its first core op. Fails with a diagnostic where an op has
/// no emitter.
mlir::LogicalResult emitStep(StageKernel &kernel);

// One emitter per core op; each in a file of its own.
void emitAddScaled(StageKernel &kernel, AddScaledOp op);
void emitAppend(StageKernel &kernel, AppendOp op);
void emitAttention(StageKernel &kernel, AttentionOp op);
void emitCarryIds(StageKernel &kernel, CarryIdsOp op);
void emitCausalConv(StageKernel &kernel, CausalConvOp op);
void emitConcat(StageKernel &kernel, ConcatOp op);
void emitCopeBias(StageKernel &kernel, CopeBiasOp op);
void emitDifferential(StageKernel &kernel, DifferentialOp op);
void emitElementwise(StageKernel &kernel);
void emitEmbedding(StageKernel &kernel, EmbeddingOp op);
void emitFan(StageKernel &kernel, FanOp op);
void emitGatedDeltaRule(StageKernel &kernel, GatedDeltaRuleOp op);
void emitJointLinear(StageKernel &kernel, JointLinearOp op);
void emitL2Norm(StageKernel &kernel, L2NormOp op);
void emitLayerNorm(StageKernel &kernel, LayerNormOp op);
void emitLinears(StageKernel &kernel);
void emitNgramEmbedding(StageKernel &kernel, NgramEmbeddingOp op);
void emitPolyNorm(StageKernel &kernel, PolyNormOp op);
void emitReadRows(StageKernel &kernel, ReadRowsOp op);
void emitReadState(StageKernel &kernel, ReadStateOp op);
void emitRMSNorm(StageKernel &kernel, RMSNormOp op);
void emitRope(StageKernel &kernel, RopeOp op);
void emitRotaryTable(StageKernel &kernel, RotaryTableOp op);
void emitRunningSum(StageKernel &kernel, RunningSumOp op);
void emitSlice(StageKernel &kernel, SliceOp op);
void emitWriteState(StageKernel &kernel, WriteStateOp op);

/// Attention in loops that many threads share (AttentionTeam.cpp).
void emitTeamAttention(StageKernel &kernel, AttentionOp op);

/// Keys of one span of attention; partial results of spans are merged.
constexpr int64_t spanKeys = 512;

/// The spans of a lane of keys.
int64_t getNumSpans(AttentionOp op);

/// Memory for all spans of `stage` if its attention has several, and rows are so few that spans
/// should be parts of its tiles, for blocks of their own; null otherwise.
mlir::MemRefType getSpanMemory(StageOp stage);

/// Rows of a chunk of the gated delta rule, 16 or more; 0 where they run one after another.
int64_t getChunkRows(GatedDeltaRuleOp op, const ConvertStagesToVectorPassOptions &options);

/// The gated delta rule in chunks of rows (see `emitGatedDeltaRule`).
void emitDeltaChunks(StageKernel &kernel, GatedDeltaRuleOp op);

/// Columns from which on a row is long: on a machine with many threads it has slices.
constexpr int64_t longRow = 1024;

/// Adds 16 columns of a row, some of which may be masked off, to some sums.
using AddColumns = llvm::function_ref<llvm::SmallVector<mlir::Value>(
    mlir::Value column, mlir::Value mask, mlir::ValueRange sums)>;

/// `count` sums over the columns of a row, each of 16 partials by column mod 16. Where products
/// have slices, a long row has some, too: slice s of 16 takes the vectors of columns s, s + 16,
/// ..., and slices are added in order, so that many threads may share the row.
llvm::SmallVector<mlir::Value> sumColumns(StageKernel &kernel, int64_t columns, int64_t count,
                                          AddColumns addColumns);

struct CosSin {
  mlir::Value cos, sin;
};
/// cos and sin of angles given as 64-bit fixed-point turns (lanes of i64).
CosSin emitCosSinOfTurns(LaneBuilder &b, mlir::Value turns);
/// cos and sin of angles in radians, of any size.
CosSin emitCosSin(StageKernel &kernel, mlir::Value radians);

/// act(x) on lanes.
mlir::Value emitActivation(LaneBuilder &b, Activation activation, mlir::Value x);

/// The lanes of one elementwise op at (row, column), from those of its operands: lanes of
/// activations and vectors, the memory of scalar weights, scalars.
mlir::Value emitLanes(LaneBuilder &b, mlir::Operation *op, llvm::ArrayRef<mlir::Value> operands,
                      mlir::Value row, mlir::Value column);

} // namespace treadle

#endif // TREADLE_LIB_CONVERSION_STAGESTOVECTOR_STAGEKERNEL_H
