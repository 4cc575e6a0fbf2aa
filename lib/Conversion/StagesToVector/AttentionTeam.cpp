//===- AttentionTeam.cpp - attention for many threads ---------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// What Attention.cpp computes, for a machine that has many threads for one row. Keys are
// taken in the same spans, which are merged in the same order, but of a span all that is
// known lies in memory between loops, whose iterations have nothing to do with each other:
//
//   for panels of keys, halves:    dots[panel, half] = sum of q . k over every other word
//   for panels of keys:            scores[panel] = scale * (dots[panel, 0] + dots[panel, 1]) + bias
//   for heads:                     m = max scores
//   for panels of keys:            e = exp(scores[panel] - m)
//   for heads:                     l = sum e, and what is merged of maxima and sums
//   for keys mod 16, 16 columns:   o[key, columns] = sum of e v over the panels
//   for heads, 16 columns:         weighted += sum of o over keys mod 16
//
// All of them run for some heads of a group at once, which share what they load. A key of
// weight 0, as one that is excluded, enters no sum: its value may be anything, NaN too.
//
// Where rows are few and spans may be several, each span is a part of the tile, for a block of
// its own, that keeps m, l and the sum of o; another kernel merges them, in the same order by
// the same operations.
//

#include "AttentionEmitter.h"

#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace treadle;

/// Query heads that run together: each has four numbers of a dot product in a thread's registers,
/// and 6 KB of memory.
static constexpr int64_t mostHeads = 4;

/// Sums of 16 lanes that memory holds for each head, while slices of keys are summed; as many as
/// dot products of a span in halves, and as many as a block of 256 threads has quads.
static constexpr int64_t numPartials = 64;

/// Loads that are asked for before the first of them is used. A part of a tile, of which there are
/// few, has a multiprocessor for itself; whole tiles share one, and the registers of it.
static int64_t getLoadsUnderWay(SpanRole role) { return role == SpanRole::one ? 8 : 4; }

namespace {
/// Keys [begin, end), of which `origin` is the first of a panel: of the span, or of the only key's.
struct KeySpan {
  Value origin, begin, end;
  Value wholePanels, panels; // their number, from `origin` on
  bool isOneKey;
};

/// Sums over vectors of columns of the values, and how many of them run together.
struct ValueShape {
  explicit ValueShape(AttentionOp op)
      : width(op.getValues().getType().getShape()[1] / op.getKvHeads()),
        vectors(llvm::divideCeilSigned(width, numLanes)),
        atOnce(std::min(vectors, numPartials / numLanes)),
        rounds(llvm::divideCeilSigned(vectors, atOnce)) {}
  int64_t width, vectors, atOnce, rounds;
  /// Vectors of a round.
  int64_t ofRound(int64_t round) const { return std::min(atOnce, vectors - round * atOnce); }
};

class TeamAttention {
public:
  TeamAttention(StageKernel &kernel, AttentionOp op);

  void emit();

private:
  void emitHeads();
  void emitAllSpans(Value place);
  void emitOneSpan(Value place);
  void mergeSpans(Value place);
  Lane firstLane();
  Lane secondLane();
  KeySpan spanFrom(Value begin, Value place);
  KeySpan ownSpan(Value place);
  Value knownAt(Value unit, Value slot);
  void keep(Value lanes, Value slot);
  void emitSpan(Lane lane, const KeySpan &span);
  void emitDots(Lane lane, const KeySpan &span);
  void addDots(Lane lane, const KeySpan &span, Value half, bool isWhole);
  void emitScores(Lane lane, const KeySpan &span);
  void emitExponentials(const KeySpan &span);
  void emitScales(const KeySpan &span);
  void emitPartials(Lane lane, const KeySpan &span, int64_t round);
  void mergePartials(int64_t round);
  void emitResults();
  void storeQuotient(Value weighted, Value sum, Value column, Value lanes);

  void forHeads(function_ref<void(Value)> body) { b.loop(b.index(0), b.index(heads), 1, body); }
  /// A number of the head, on all lanes.
  Value loadOf(Value memory, Value head) { return b.load(memory, {head, b.index(0)}); }
  void storeOf(Value lanes, Value memory, Value head) {
    b.store(lanes, memory, {head, b.index(0)});
  }
  Value maximumOf(Value x, Value y) {
    Value isHigher = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, y, x);
    return arith::SelectOp::create(b, isHigher, y, x);
  }
  Value exponentialOf(Value x, Value maximum) {
    return math::ExpOp::create(b, Value(arith::SubFOp::create(b, x, maximum)));
  }
  Value at(Value base, int64_t offset) { return b.add(base, b.index(offset)); }
  Value quotient(Value number, int64_t divisor) {
    return arith::DivUIOp::create(b, number, b.index(divisor));
  }
  Value remainder(Value number, int64_t divisor) {
    return arith::RemUIOp::create(b, number, b.index(divisor));
  }
  /// Which keys of a panel belong to the span.
  Value keysOfPanel(const KeySpan &span, Value panel);
  /// The first column of the head, of the row's in all heads.
  Value columnOf(Value head, int64_t width) {
    return b.mul(b.add(b.mul(kvHead, b.index(group)), at(head, firstHead)), b.index(width));
  }

  StageKernel &kernel;
  LaneBuilder &b;
  AttentionOp op;
  Value query, mask, position, valid;
  int64_t group, keyWidth, capacity;
  ValueShape shape;
  Multiplier scoreProducts, valueProducts;
  int64_t mostAtOnce; // heads that memory is there for
  int64_t words;      // of a key: what one load brings
  int64_t halves;     // of them
  int64_t loadsUnderWay;
  Value queries;                  // [heads][columns], rounded for bf16
  Value partials;                 // [64][heads][16] dot products, or sums of values
  Value scores;                   // [32][heads][16] of the open span, then their exponentials
  Value spanMaxima, maxima, sums; // [heads][16] alike: of the open span, and running
  Value oldScales, newScales;     // [heads][16] alike: factors of what was and of the open span
  Value weighted;                 // [rounds][heads x vectors][16] running weighted sum of values
  // What runs at present.
  Value row, kvHead;
  Value unit; // of what is known of spans
  int64_t firstHead, heads;
};
} // namespace

TeamAttention::TeamAttention(StageKernel &kernel, AttentionOp op)
    : kernel(kernel), b(kernel.builder()), op(op), query(kernel.operand(op.getQuery())),
      mask(kernel.operand(op.getMask())), position(kernel.operand(op.getPosition())),
      valid(kernel.operand(op.getValid())), group(op.getHeads() / op.getKvHeads()),
      keyWidth(op.getKeys().getType().getShape()[1] / op.getKvHeads()),
      capacity(op.getKeys().getType().getShape()[0]), shape(op),
      scoreProducts(kernel, op.getKeys().getType().getElementType()),
      valueProducts(kernel, op.getValues().getType().getElementType()),
      mostAtOnce(llvm::divideCeilSigned(group, llvm::divideCeilSigned(group, mostHeads))),
      words(keyWidth / StatePanels(b, kernel.operand(op.getKeys()), keyWidth).step()),
      halves(words % 2 == 0 ? 2 : 1), loadsUnderWay(getLoadsUnderWay(kernel.role())) {
  if (kernel.role() == SpanRole::merge)
    return;
  Type f32 = b.getF32Type();
  queries = scoreProducts.allocate({mostAtOnce, int64_t(llvm::alignTo(keyWidth, numLanes))});
  partials = kernel.allocate({numPartials, mostAtOnce, numLanes}, f32);
  scores = kernel.allocate({spanKeys / numLanes, mostAtOnce, numLanes}, f32);
  for (Value *memory : {&spanMaxima, &maxima, &sums, &oldScales, &newScales})
    *memory = kernel.allocate({mostAtOnce, numLanes}, f32);
  weighted = kernel.allocate({shape.rounds, mostAtOnce * shape.atOnce, numLanes}, f32);
}

void TeamAttention::emit() {
  b.loop(kernel.begin(1), kernel.end(1), 1, [&](Value index) {
    kvHead = index;
    b.loop(kernel.begin(0), kernel.end(0), 1, [&](Value index) {
      row = index;
      for (firstHead = 0; firstHead < group; firstHead += heads) {
        heads = std::min(mostAtOnce, group - firstHead);
        emitHeads();
      }
    });
  });
}

void TeamAttention::emitHeads() {
  // The row's position; padding stands on the last token.
  Value place = b.add(position, b.minimum(row, at(valid, -1)));
  if (kernel.role() == SpanRole::merge)
    return mergeSpans(place);
  forHeads([&](Value head) {
    Value origin = columnOf(head, keyWidth);
    b.forLanes(keyWidth, [&](Value column, Value lanes) {
      Value q = b.load(query, {row, b.add(origin, column)}, lanes);
      scoreProducts.store(q, queries, {head, column});
    });
    storeOf(b.splat(excludedScore), maxima, head);
    storeOf(b.splat(0.0f), sums, head);
  });
  if (kernel.role() == SpanRole::one)
    return emitOneSpan(place);
  for (int64_t round = 0; round < shape.rounds; ++round)
    b.loop(b.index(0), b.index(heads * shape.ofRound(round)), 1, [&](Value place) {
      b.store(b.splat(0.0f), weighted, {b.index(round), place, b.index(0)});
    });
  emitAllSpans(place);
  emitResults();
}

Lane TeamAttention::firstLane() {
  return {kernel.operand(op.getKeys()), kernel.operand(op.getValues()),
          op.getBias() ? kernel.operand(op.getBias()) : Value()};
}

/// The second lane, if there is one.
Lane TeamAttention::secondLane() {
  if (!op.getLaneKeys())
    return {};
  return {kernel.operand(op.getLaneKeys()), kernel.operand(op.getLaneValues()), Value()};
}

/// Keys from `begin` on, a multiple of 512, up to that at `place`.
KeySpan TeamAttention::spanFrom(Value begin, Value place) {
  Value end = b.minimum(at(begin, spanKeys), at(place, 1));
  Value count = b.sub(end, begin);
  return {begin,
          begin,
          end,
          quotient(count, numLanes),
          quotient(at(count, numLanes - 1), numLanes),
          /*isOneKey=*/false};
}

KeySpan TeamAttention::ownSpan(Value place) {
  return {b.sub(place, remainder(place, numLanes)),
          place,
          at(place, 1),
          b.index(0),
          b.index(1),
          /*isOneKey=*/true};
}

void TeamAttention::emitAllSpans(Value place) {
  auto emitAll = [&](Lane lane) {
    b.loop(b.index(0), at(place, 1), spanKeys,
           [&](Value begin) { emitSpan(lane, spanFrom(begin, place)); });
  };
  emitAll(firstLane());
  if (Lane lane = secondLane(); lane.keys && op.getOwn())
    emitSpan(lane, ownSpan(place));
  else if (lane.keys)
    emitAll(lane);
}

/// The part's span of each lane, if the row reaches it.
void TeamAttention::emitOneSpan(Value place) {
  auto runIf = [&](arith::CmpIPredicate predicate, Value other, function_ref<void()> body) {
    Value condition = arith::CmpIOp::create(b, predicate, kernel.part(), other);
    auto ifOp = scf::IfOp::create(b, condition, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(ifOp.thenBlock());
    body();
  };
  Value last = quotient(place, spanKeys);
  Value begin = b.mul(kernel.part(), b.index(spanKeys));
  Lane lane = secondLane();
  runIf(arith::CmpIPredicate::ule, last, [&] {
    unit = kernel.part();
    emitSpan(firstLane(), spanFrom(begin, place));
    unit = at(kernel.part(), getNumSpans(op));
    if (lane.keys && !op.getOwn())
      emitSpan(lane, spanFrom(begin, place));
  });
  if (!lane.keys || !op.getOwn())
    return;
  runIf(arith::CmpIPredicate::eq, last, [&] {
    unit = b.index(getNumSpans(op));
    emitSpan(lane, ownSpan(place));
  });
}

void TeamAttention::emitSpan(Lane lane, const KeySpan &span) {
  emitDots(lane, span);
  emitScores(lane, span);
  forHeads([&](Value head) {
    ValueRange highest = b.loop(b.index(0), span.panels, 1, b.splat(excludedScore),
                                [&](Value panel, ValueRange highest) -> SmallVector<Value> {
                                  Value score = b.load(scores, {panel, head, b.index(0)});
                                  return {maximumOf(highest[0], score)};
                                });
    storeOf(b.broadcast(b.reduceMax(highest[0])), spanMaxima, head);
  });
  emitExponentials(span);
  emitScales(span);
  for (int64_t round = 0; round < shape.rounds; ++round) {
    emitPartials(lane, span, round);
    mergePartials(round);
  }
}

//===----------------------------------------------------------------------===//
// Scores
//===----------------------------------------------------------------------===//

Value TeamAttention::keysOfPanel(const KeySpan &span, Value panel) {
  Value key = b.add(span.origin, b.mul(panel, b.index(numLanes)));
  Value before = b.maskBelow(b.sub(span.end, key));
  if (!span.isOneKey)
    return before;
  Value isOutside = b.maskBelow(b.sub(span.begin, key));
  return arith::XOrIOp::create(b, before, isOutside); // of lanes that are below the end
}

/// Panels that the span fills are read as a whole; of the last one, what is there.
void TeamAttention::emitDots(Lane lane, const KeySpan &span) {
  Value whole = b.mul(span.wholePanels, b.index(halves));
  if (!span.isOneKey)
    b.loop(b.index(0), whole, 1, [&](Value half) { addDots(lane, span, half, /*isWhole=*/true); });
  b.loop(whole, b.mul(span.panels, b.index(halves)), 1,
         [&](Value half) { addDots(lane, span, half, /*isWhole=*/false); });
}

/// q . k over every other word, for the 16 keys of a panel and all heads.
void TeamAttention::addDots(Lane lane, const KeySpan &span, Value half, bool isWhole) {
  Value panel = quotient(half, halves), first = remainder(half, halves);
  Value present = isWhole ? Value() : keysOfPanel(span, panel);
  Value memoryPanel = b.add(quotient(span.origin, numLanes), panel);
  Value origin = b.mul(kvHead, b.index(keyWidth));
  StatePanels state(b, lane.keys, keyWidth);
  int64_t count = words / halves, atOnce = std::gcd(count, loadsUnderWay);
  SmallVector<Value> zeros(heads, b.splat(0.0f));
  ValueRange dots =
      b.loop(b.index(0), b.index(count), atOnce, zeros, [&](Value begin, ValueRange before) {
        SmallVector<Value> columns, keys, next(before);
        for (int64_t i = 0; i < atOnce; ++i) {
          Value word = b.add(b.mul(at(begin, i), b.index(halves)), first);
          Value column = b.mul(word, b.index(state.step()));
          llvm::append_range(keys, state.load(memoryPanel, b.add(origin, column), present));
          for (int64_t c = 0; c < state.step(); ++c)
            columns.push_back(at(column, c));
        }
        for (auto [column, lanes] : llvm::zip_equal(columns, keys))
          for (auto [head, sum] : llvm::enumerate(next)) {
            Value q = memref::LoadOp::create(b, queries, ValueRange{b.index(head), column});
            sum = b.fma(b.broadcast(q), lanes, sum);
          }
        return next;
      });
  for (auto [head, dot] : llvm::enumerate(dots))
    b.store(dot, partials, {half, b.index(head), b.index(0)});
}

void TeamAttention::emitScores(Lane lane, const KeySpan &span) {
  VectorType bytes = b.lanes(b.getI8Type());
  Value noFlags = arith::ConstantOp::create(b, b.getZeroAttr(bytes));
  b.loop(b.index(0), span.panels, 1, [&](Value panel) {
    Value key = b.add(span.origin, b.mul(panel, b.index(numLanes)));
    Value present = keysOfPanel(span, panel);
    Value flags = b.load(mask, {key}, present);
    Value isAttended = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, flags, noFlags);
    Value included = arith::AndIOp::create(b, present, isAttended);
    for (int64_t head = 0; head < heads; ++head) {
      Value half = b.mul(panel, b.index(halves));
      Value dot = b.load(partials, {half, b.index(head), b.index(0)});
      if (halves == 2)
        dot = arith::AddFOp::create(b, dot,
                                    b.load(partials, {at(half, 1), b.index(head), b.index(0)}));
      Value score = arith::MulFOp::create(b, dot, b.splat(op.getScale().convertToFloat()));
      if (lane.bias) {
        Value column = b.add(columnOf(b.index(head), capacity), key);
        score = arith::AddFOp::create(b, score, b.load(lane.bias, {row, column}, present));
      }
      score = arith::SelectOp::create(b, included, score, b.splat(excludedScore));
      b.store(score, scores, {panel, b.index(head), b.index(0)});
    }
  });
}

//===----------------------------------------------------------------------===//
// Softmax
//===----------------------------------------------------------------------===//

void TeamAttention::emitExponentials(const KeySpan &span) {
  b.loop(b.index(0), span.panels, 1, [&](Value panel) {
    for (int64_t head = 0; head < heads; ++head) {
      SmallVector<Value> place = {panel, b.index(head), b.index(0)};
      Value score = b.load(scores, place);
      Value isExcluded =
          arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, score, b.splat(excludedScore));
      Value e = exponentialOf(score, loadOf(spanMaxima, b.index(head)));
      e = arith::SelectOp::create(b, isExcluded, b.splat(0.0f), e);
      valueProducts.store(e, scores, place);
    }
  });
}

/// Merges the span's maximum and sum into the running ones.
void TeamAttention::emitScales(const KeySpan &span) {
  forHeads([&](Value head) {
    ValueRange partial = b.loop(b.index(0), span.panels, 1, b.splat(0.0f),
                                [&](Value panel, ValueRange sum) -> SmallVector<Value> {
                                  Value e = b.load(scores, {panel, head, b.index(0)});
                                  return {arith::AddFOp::create(b, sum[0], e)};
                                });
    Value sum = b.broadcast(b.reduceSum(partial[0]));
    if (kernel.role() == SpanRole::one) {
      keep(loadOf(spanMaxima, head), head);
      keep(sum, at(head, heads));
      return;
    }
    Value oldMaximum = loadOf(maxima, head), spanMaximum = loadOf(spanMaxima, head);
    Value maximum = maximumOf(oldMaximum, spanMaximum);
    Value oldScale = exponentialOf(oldMaximum, maximum);
    Value newScale = exponentialOf(spanMaximum, maximum);
    Value oldSum = arith::MulFOp::create(b, loadOf(sums, head), oldScale);
    Value newSum = arith::MulFOp::create(b, sum, newScale);
    storeOf(maximum, maxima, head);
    storeOf(arith::AddFOp::create(b, oldSum, newSum), sums, head);
    storeOf(oldScale, oldScales, head);
    storeOf(newScale, newScales, head);
  });
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

/// For each key mod 16 and each vector of columns of a round: the chain of its keys.
void TeamAttention::emitPartials(Lane lane, const KeySpan &span, int64_t round) {
  int64_t vectors = shape.ofRound(round), first = round * shape.atOnce;
  Value whole = b.sub(span.wholePanels, remainder(span.wholePanels, loadsUnderWay));
  b.loop(b.index(0), b.index(numLanes * vectors), 1, [&](Value place) {
    Value slice = quotient(place, vectors);
    Value column = b.mul(at(remainder(place, vectors), first), b.index(numLanes));
    Value lanes =
        shape.width % numLanes == 0 ? Value() : b.maskBelow(b.sub(b.index(shape.width), column));
    Value origin = b.add(b.mul(kvHead, b.index(shape.width)), column);
    auto addPanels = [&](Value panel, int64_t count, bool areWhole, ValueRange before) {
      SmallVector<Value> values, next(before);
      for (int64_t i = 0; i < count; ++i) {
        Value key = b.add(b.add(span.origin, slice), b.mul(at(panel, i), b.index(numLanes)));
        if (!areWhole) // one behind the end has no weight
          key = b.minimum(key, at(span.end, -1));
        if (span.isOneKey)
          key = span.begin;
        values.push_back(b.load(lane.values, {key, origin}, lanes));
      }
      for (int64_t i = 0; i < count; ++i)
        for (auto [head, sum] : llvm::enumerate(next)) {
          Value e =
              memref::LoadOp::create(b, scores, ValueRange{at(panel, i), b.index(head), slice});
          Value isNothing = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, e, b.f32(0.0f));
          Value longer = b.fma(b.broadcast(e), values[i], sum);
          sum = arith::SelectOp::create(b, isNothing, sum, longer);
        }
      return next;
    };
    SmallVector<Value> sums(heads, b.splat(0.0f));
    if (!span.isOneKey)
      sums = llvm::to_vector(
          b.loop(b.index(0), whole, loadsUnderWay, sums, [&](Value panel, ValueRange before) {
            return addPanels(panel, loadsUnderWay, /*areWhole=*/true, before);
          }));
    ValueRange all = b.loop(span.isOneKey ? b.index(0) : whole, span.panels, 1, sums,
                            [&](Value panel, ValueRange before) {
                              return addPanels(panel, 1, /*areWhole=*/false, before);
                            });
    for (auto [head, sum] : llvm::enumerate(all))
      b.store(sum, partials, {place, b.index(head), b.index(0)});
  });
}

/// weighted = weighted * oldScale + (sum of partials) * newScale
void TeamAttention::mergePartials(int64_t round) {
  int64_t vectors = shape.ofRound(round);
  b.loop(b.index(0), b.index(heads * vectors), 1, [&](Value place) {
    Value head = quotient(place, vectors), vector = remainder(place, vectors);
    ValueRange sum = b.loop(
        b.index(0), b.index(numLanes), 1, b.splat(0.0f),
        [&](Value slice, ValueRange sum) -> SmallVector<Value> {
          Value partial = b.add(b.mul(slice, b.index(vectors)), vector);
          return {arith::AddFOp::create(b, sum[0], b.load(partials, {partial, head, b.index(0)}))};
        });
    if (kernel.role() == SpanRole::one)
      return keep(sum[0], at(place, 2 * heads + heads * round * shape.atOnce));
    SmallVector<Value> total = {b.index(round), place, b.index(0)};
    Value old = arith::MulFOp::create(b, b.load(weighted, total), loadOf(oldScales, head));
    Value added = arith::MulFOp::create(b, sum[0], loadOf(newScales, head));
    b.store(arith::AddFOp::create(b, old, added), weighted, total);
  });
}

/// y = weighted / sum; 0 where no key was left.
void TeamAttention::storeQuotient(Value weighted, Value sum, Value column, Value lanes) {
  Value isEmpty = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, sum, b.splat(0.0f));
  Value y = arith::DivFOp::create(b, weighted, sum);
  kernel.storeResult(arith::SelectOp::create(b, isEmpty, b.splat(0.0f), y), row, column, lanes);
}

void TeamAttention::emitResults() {
  for (int64_t head = 0; head < heads; ++head) {
    Value origin = columnOf(b.index(head), shape.width);
    for (int64_t round = 0; round < shape.rounds; ++round) {
      int64_t begin = round * shape.atOnce * numLanes, vectors = shape.ofRound(round);
      int64_t end = std::min(begin + vectors * numLanes, shape.width);
      b.loop(b.index(begin), b.index(end), numLanes, [&](Value column) {
        Value lanes = shape.width % numLanes == 0
                          ? Value()
                          : b.maskBelow(b.sub(b.index(shape.width), column));
        Value vector = quotient(b.sub(column, b.index(begin)), numLanes);
        Value y = b.load(weighted, {b.index(round), at(vector, head * vectors), b.index(0)});
        storeQuotient(y, loadOf(sums, b.index(head)), b.add(origin, column), lanes);
      });
    }
  }
}

//===----------------------------------------------------------------------===//
// Spans of other blocks
//===----------------------------------------------------------------------===//

/// Of each head, the maximum, the sum and the weighted sums.
static int64_t numbersOfSpan(AttentionOp op) {
  return op.getHeads() / op.getKvHeads() * (2 + ValueShape(op).vectors);
}

int64_t treadle::getNumSpans(AttentionOp op) {
  return llvm::divideCeilSigned(op.getKeys().getType().getShape()[0], spanKeys);
}

MemRefType treadle::getSpanMemory(StageOp stage) {
  auto op = dyn_cast_if_present<AttentionOp>(stage.getCore().getOperation());
  if (!op || ShapedType::isDynamic(stage.getRows()) || stage.getRows() >= rowGranule)
    return {};
  int64_t spans = getNumSpans(op);
  if (spans == 1)
    return {};
  // Before attention the part with the row's key appends it; nothing stands behind but what is
  // elementwise, of the result and of what the stage takes.
  for (StageCoreOpInterface core : stage.getCores()) {
    if (StageOp::isPrologue(core) || core.getOperation() == op)
      continue;
    auto append = dyn_cast<AppendOp>(core.getOperation());
    if (!append || append.getPosition() != op.getPosition() || stage.getRows() != 1)
      return {};
  }
  SetVector<Operation *> behind;
  for (Value yielded : stage.getBody()->getTerminator()->getOperands()) {
    BackwardSliceOptions options;
    options.inclusive = true;
    options.filter = [&](Operation *other) {
      return other->getBlock() == stage.getBody() && other != op.getOperation();
    };
    (void)getBackwardSlice(yielded, &behind, options);
  }
  if (llvm::any_of(behind, llvm::IsaPred<StageCoreOpInterface>))
    return {};
  int64_t lanes = op.getLaneKeys() && !op.getOwn() ? 2 : 1;
  int64_t units = spans * lanes + (op.getLaneKeys() && op.getOwn() ? 1 : 0);
  return MemRefType::get(
      {stage.getRows() * int64_t(op.getKvHeads()), units, numbersOfSpan(op), numLanes},
      Float32Type::get(op.getContext()));
}

/// A number of a span, on 16 lanes, of the heads that run at present.
Value TeamAttention::knownAt(Value unit, Value slot) {
  Value tile = b.add(b.mul(row, b.index(op.getKvHeads())), kvHead);
  Value place = at(slot, firstHead * (2 + shape.vectors));
  return b.load(kernel.spanMemory(), {tile, unit, place, b.index(0)});
}

void TeamAttention::keep(Value lanes, Value slot) {
  Value tile = b.add(b.mul(row, b.index(op.getKvHeads())), kvHead);
  Value place = at(slot, firstHead * (2 + shape.vectors));
  b.store(lanes, kernel.spanMemory(), {tile, unit, place, b.index(0)});
}

/// What emitScales and mergePartials do span by span, for each vector of columns.
void TeamAttention::mergeSpans(Value place) {
  Value spans = at(quotient(place, spanKeys), 1);
  auto emitColumns = [&](Value head, Value column, Value target, Value lanes) {
    Value vector = quotient(column, numLanes);
    Value round = quotient(vector, shape.atOnce), first = b.mul(round, b.index(shape.atOnce));
    Value ofRound = b.minimum(b.index(shape.atOnce), b.sub(b.index(shape.vectors), first));
    Value slot = b.add(b.mul(head, ofRound), b.sub(vector, first));
    slot = at(b.add(slot, b.mul(first, b.index(heads))), 2 * heads);
    auto merge = [&](Value unit, ValueRange before) -> SmallVector<Value> {
      Value oldMaximum = before[0], spanMaximum = knownAt(unit, head);
      Value maximum = maximumOf(oldMaximum, spanMaximum);
      Value oldScale = exponentialOf(oldMaximum, maximum);
      Value newScale = exponentialOf(spanMaximum, maximum);
      auto add = [&](Value old, Value added) -> Value {
        return arith::AddFOp::create(b, Value(arith::MulFOp::create(b, old, oldScale)),
                                     Value(arith::MulFOp::create(b, added, newScale)));
      };
      return {maximum, add(before[1], knownAt(unit, at(head, heads))),
              add(before[2], knownAt(unit, slot))};
    };
    ValueRange all =
        b.loop(b.index(0), spans, 1, {b.splat(excludedScore), b.splat(0.0f), b.splat(0.0f)}, merge);
    if (op.getLaneKeys()) {
      Value begin = b.index(getNumSpans(op));
      all = b.loop(begin, b.add(begin, op.getOwn() ? b.index(1) : spans), 1, all, merge);
    }
    storeQuotient(all[2], all[1], target, lanes);
  };
  if (shape.width % numLanes == 0)
    return b.loop(b.index(0), b.index(heads * shape.width), numLanes, [&](Value place) {
      emitColumns(quotient(place, shape.width), remainder(place, shape.width),
                  b.add(columnOf(b.index(0), shape.width), place), {});
    });
  for (int64_t head = 0; head < heads; ++head)
    b.loop(b.index(0), b.index(shape.width), numLanes, [&](Value column) {
      emitColumns(b.index(head), column, b.add(columnOf(b.index(head), shape.width), column),
                  b.maskBelow(b.sub(b.index(shape.width), column)));
    });
}

void treadle::emitTeamAttention(StageKernel &kernel, AttentionOp op) {
  TeamAttention(kernel, op).emit();
}
