//===- Mutants.cpp - Kernels that are wrong in one place ------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What checks are worth, wrong kernels show. Every place where a kernel might be wrong gets
// a switch, so that a module is compiled once, and all its mutants are the same code with
// one switch on.
//
//===----------------------------------------------------------------------===//

#include "FakeCuda.h"

#include "treadle/Conversion/KernelsToGPU/InlinePTX.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/SmallVectorExtras.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Module.h"
#include "llvm/Transforms/Utils/BasicBlockUtils.h"

using namespace llvm;
using namespace fake;

namespace {
enum class Fault {
  barriers, ///< all of a kernel are missing
  barrier,  ///< one is
  meeting,  ///< some threads do not come to one
  bound,    ///< a comparison is off by one
  trip,     ///< a loop runs once more
  index,    ///< an access goes to the element behind
  lane,     ///< a shuffle takes the lane behind
  wait,     ///< one group of copies fewer is waited for, or nothing
  phase,    ///< another phase is waited for
  fence,    ///< one is missing, of registers or of the asynchronous proxy
  copy,     ///< a copy comes from, or goes to, the 16 bytes behind
  product   ///< a product takes its weights' halves of K in each other's place
};

struct Mutant {
  Fault fault;
  std::string kernel, place;
};
} // namespace

static std::vector<Mutant> mutants;
static int active = -1;
static bool isReached;

static StringRef nameOf(Fault fault) {
  switch (fault) {
  case Fault::barriers:
    return "barriers";
  case Fault::barrier:
    return "barrier";
  case Fault::meeting:
    return "meeting";
  case Fault::bound:
    return "bound";
  case Fault::trip:
    return "trip";
  case Fault::index:
    return "index";
  case Fault::lane:
    return "lane";
  case Fault::wait:
    return "wait";
  case Fault::phase:
    return "phase";
  case Fault::fence:
    return "fence";
  case Fault::copy:
    return "copy";
  case Fault::product:
    return "product";
  }
  return "";
}

bool fake::isMutantOn(uint32_t number, bool differs) {
  if (int(number) != active)
    return false;
  isReached |= differs;
  // Of those who meet, some are missing: in a kernel's terms, one lane of a tile.
  return mutants[number].fault != Fault::meeting || currentThread() % 16 == 0;
}

//===----------------------------------------------------------------------===//
// Barriers
//===----------------------------------------------------------------------===//

/// What a call is of, by the name of its intrinsic.
static bool isCallOf(const Instruction &instruction, StringRef intrinsic) {
  auto *call = dyn_cast<CallInst>(&instruction);
  const Function *callee = call ? call->getCalledFunction() : nullptr;
  return callee && callee->getName().contains(intrinsic);
}
static constexpr StringLiteral copyIntrinsic = "cp.async.cg.shared.global";

static bool isBarrier(const Instruction &instruction) {
  return isCallOf(instruction, "bar.warp.sync") || isCallOf(instruction, "nvvm.barrier");
}

/// The text of inline PTX, or "".
static StringRef textOf(const Instruction &instruction) {
  auto *call = dyn_cast<CallInst>(&instruction);
  return call && call->isInlineAsm() ? cast<InlineAsm>(call->getCalledOperand())->getAsmString()
                                     : StringRef();
}
static bool isGroupProduct(const Instruction &instruction) {
  return any_of(treadle::ptx::productRows,
                [&](int64_t rows) { return textOf(instruction) == treadle::ptx::multiply(rows); });
}

/// The shared memory that an address or a descriptor is made of.
static const Value *findShared(const Value *value) {
  SmallSetVector<const Value *, 8> seen;
  seen.insert(value);
  for (size_t i = 0; i < seen.size(); ++i) {
    auto *global = dyn_cast<GlobalVariable>(seen[i]);
    if (global && global->getAddressSpace() == 3)
      return global;
    if (auto *user = dyn_cast<User>(seen[i]); user && !global)
      seen.insert(user->op_begin(), user->op_end());
  }
  return value;
}

namespace {
/// What threads do on one side of a barrier, up to the next one on every way.
struct Side {
  using Memory = SmallSetVector<const Value *, 8>;
  Memory read, written;

  void add(const Instruction &instruction) {
    if (auto *load = dyn_cast<LoadInst>(&instruction))
      read.insert(getUnderlyingObject(load->getPointerOperand()));
    else if (auto *store = dyn_cast<StoreInst>(&instruction))
      written.insert(getUnderlyingObject(store->getPointerOperand()));
    else if (isCallOf(instruction, copyIntrinsic) || isCallOf(instruction, "mbarrier") ||
             textOf(instruction) == treadle::ptx::bulkCopy ||
             textOf(instruction) == treadle::ptx::waitForPhase)
      written.insert(findShared(instruction.getOperand(0)));
    else if (isGroupProduct(instruction))
      read.insert(findShared(cast<CallInst>(instruction).arg_end()[-1]));
  }
};
} // namespace

template <typename Range> static bool addUpToBarrier(Side &side, Range instructions) {
  for (Instruction &instruction : instructions) {
    if (isBarrier(instruction))
      return true;
    side.add(instruction);
  }
  return false;
}

static Side findBefore(Instruction &barrier) {
  Side side;
  SmallPtrSet<BasicBlock *, 8> seen;
  SmallVector<BasicBlock *> open;
  auto reversed = [](BasicBlock &block, BasicBlock::iterator end) {
    return reverse(make_range(block.begin(), end));
  };
  BasicBlock *block = barrier.getParent();
  if (!addUpToBarrier(side, reversed(*block, barrier.getIterator())))
    append_range(open, predecessors(block));
  while (!open.empty()) {
    BasicBlock *next = open.pop_back_val();
    if (seen.insert(next).second && !addUpToBarrier(side, reversed(*next, next->end())))
      append_range(open, predecessors(next));
  }
  return side;
}

static Side findBehind(Instruction &barrier) {
  Side side;
  SmallPtrSet<BasicBlock *, 8> seen;
  SmallVector<BasicBlock *> open;
  BasicBlock *block = barrier.getParent();
  if (!addUpToBarrier(side, make_range(std::next(barrier.getIterator()), block->end())))
    append_range(open, successors(block));
  while (!open.empty()) {
    BasicBlock *next = open.pop_back_val();
    if (seen.insert(next).second && !addUpToBarrier(side, make_range(next->begin(), next->end())))
      append_range(open, successors(next));
  }
  return side;
}

/// Barriers with nothing in between, which are one.
using Meeting = SmallVector<Instruction *>;

/// Whether one side writes what the other one uses.
static bool isNeeded(const Meeting &meeting) {
  Side before = findBefore(*meeting.front()), behind = findBehind(*meeting.back());
  auto meets = [](const Side::Memory &some, const Side::Memory &others) {
    return any_of(some, [&](const Value *memory) { return others.contains(memory); });
  };
  return meets(before.written, behind.read) || meets(before.written, behind.written) ||
         meets(before.read, behind.written);
}

static SmallVector<Meeting> findMeetings(ArrayRef<Instruction *> instructions) {
  SmallVector<Meeting> meetings;
  const Instruction *previous = nullptr;
  for (Instruction *instruction : instructions) {
    if (isBarrier(*instruction)) {
      if (!previous || previous->getParent() != instruction->getParent())
        meetings.emplace_back();
      meetings.back().push_back(instruction);
      previous = instruction;
    } else if (isa<LoadInst, StoreInst>(instruction) || isCallOf(*instruction, copyIntrinsic) ||
               isCallOf(*instruction, "mbarrier") || !textOf(*instruction).empty()) {
      previous = nullptr;
    }
  }
  return meetings;
}

//===----------------------------------------------------------------------===//
// Switches
//===----------------------------------------------------------------------===//

namespace {
class Mutator {
public:
  explicit Mutator(llvm::Module &module) : module(module) {
    LLVMContext &context = module.getContext();
    isOn = module.getOrInsertFunction(
        switchFunction,
        FunctionType::get(Type::getInt1Ty(context),
                          {Type::getInt32Ty(context), Type::getInt1Ty(context)}, false));
  }

  void mutate(Function &kernel);

private:
  /// A new mutant, by its number.
  static uint32_t add(Fault fault, const Instruction &place);
  /// Whether it is on. `differs` says whether it does anything else here; null: it always does.
  Value *addSwitch(IRBuilder<> &b, uint32_t mutant, Value *differs = nullptr);
  void skip(ArrayRef<Meeting> meetings);
  void moveBound(ICmpInst &compare);
  void addTrip(ICmpInst &compare, BinaryOperator &next);
  void moveIndex(Instruction &access, unsigned operand, uint64_t bytes, Fault fault = Fault::index);
  void waitForFewer(CallInst &wait);
  void leaveOut(Fault fault, CallInst &call);
  void waitForOther(CallInst &wait);
  void swapHalves(CallInst &product, unsigned first);
  void moveLane(CallInst &shuffle);

  llvm::Module &module;
  FunctionCallee isOn;
};
} // namespace

uint32_t Mutator::add(Fault fault, const Instruction &place) {
  std::string text;
  raw_string_ostream(text) << place;
  mutants.push_back({fault, place.getFunction()->getName().str(), StringRef(text).trim().str()});
  return uint32_t(mutants.size() - 1);
}

Value *Mutator::addSwitch(IRBuilder<> &b, uint32_t mutant, Value *differs) {
  return b.CreateCall(isOn, {b.getInt32(mutant), differs ? differs : b.getTrue()});
}

/// None of the barriers of a meeting, or not for all who meet there; none at all.
void Mutator::skip(ArrayRef<Meeting> meetings) {
  if (meetings.empty())
    return;
  // Before there are ways around them.
  auto needed = map_to_vector(meetings, isNeeded);
  uint32_t all = add(Fault::barriers, *meetings.front().front());
  for (auto [meeting, isNeeded] : zip(meetings, needed)) {
    Instruction &first = *meeting.front();
    IRBuilder<> b(&first);
    Value *isGone = addSwitch(b, all);
    if (isNeeded) {
      isGone = b.CreateOr(isGone, addSwitch(b, add(Fault::barrier, first)));
      isGone = b.CreateOr(isGone, addSwitch(b, add(Fault::meeting, first)));
    }
    Value *isThere = b.CreateNot(isGone);
    for (Instruction *barrier : meeting)
      barrier->moveBefore(SplitBlockAndInsertIfThen(isThere, barrier, false)->getIterator());
  }
}

/// a < b  =>  a <= b, and the other way.
void Mutator::moveBound(ICmpInst &compare) {
  IRBuilder<> b(compare.getNextNode());
  Value *mutated = b.CreateICmp(compare.getFlippedStrictnessPredicate(), compare.getOperand(0),
                                compare.getOperand(1));
  Value *differs = b.CreateXor(mutated, &compare);
  Value *isWrong = addSwitch(b, add(Fault::bound, compare), differs);
  Value *either = b.CreateSelect(isWrong, mutated, &compare);
  compare.replaceUsesWithIf(
      either, [&](Use &use) { return use.getUser() != either && use.getUser() != differs; });
}

/// A loop that ends at i + step == n goes on to n + step.
void Mutator::addTrip(ICmpInst &compare, BinaryOperator &next) {
  IRBuilder<> b(&compare);
  Value *isWrong = addSwitch(b, add(Fault::trip, compare));
  Value *farther = b.CreateAdd(compare.getOperand(1), next.getOperand(1));
  compare.setOperand(1, b.CreateSelect(isWrong, farther, compare.getOperand(1)));
}

/// The element behind the one that is meant.
void Mutator::moveIndex(Instruction &access, unsigned operand, uint64_t bytes, Fault fault) {
  IRBuilder<> b(&access);
  Value *isWrong = addSwitch(b, add(fault, access));
  Value *distance = b.CreateSelect(isWrong, b.getInt64(bytes), b.getInt64(0));
  access.setOperand(operand, b.CreatePtrAdd(access.getOperand(operand), distance));
}

void Mutator::waitForFewer(CallInst &wait) {
  // Before the instruction changes, which says what it was.
  IRBuilder<> b(&wait);
  auto *count = cast<ConstantInt>(wait.getArgOperand(0));
  Value *isWrong = addSwitch(b, add(Fault::wait, wait));
  auto *fewer = cast<CallInst>(wait.clone());
  fewer->setArgOperand(0, b.getInt32(uint32_t(count->getZExtValue()) + 1));
  Instruction *then, *otherwise;
  SplitBlockAndInsertIfThenElse(isWrong, &wait, &then, &otherwise);
  fewer->insertBefore(then->getIterator());
  wait.moveBefore(otherwise->getIterator());
}

/// What waits or fences. Where it hands registers on, they stay what they are.
void Mutator::leaveOut(Fault fault, CallInst &call) {
  IRBuilder<> b(&call);
  Value *isThere = b.CreateNot(addSwitch(b, add(fault, call)));
  Instruction *then = SplitBlockAndInsertIfThen(isThere, &call, false);
  Instruction *behind = call.getNextNode();
  BasicBlock *before = then->getParent()->getSinglePredecessor();
  call.moveBefore(then->getIterator());
  if (call.getType()->isVoidTy())
    return;
  // The switch stands in front of the block that all go to.
  IRBuilder<> ofBefore(before->getTerminator()), ofBehind(behind);
  Value *own = PoisonValue::get(call.getType());
  for (unsigned i = 0, e = call.arg_size(); i < e; ++i)
    own = ofBefore.CreateInsertValue(own, call.getArgOperand(i), i);
  PHINode *either = PHINode::Create(call.getType(), 2, "", behind->getParent()->begin());
  call.replaceAllUsesWith(either);
  either->addIncoming(&call, then->getParent());
  either->addIncoming(own, before);
}

void Mutator::waitForOther(CallInst &wait) {
  IRBuilder<> b(&wait);
  Value *isWrong = addSwitch(b, add(Fault::phase, wait));
  wait.setArgOperand(1, b.CreateXor(wait.getArgOperand(1), b.CreateZExt(isWrong, b.getInt32Ty())));
}

/// Of four words of weights, the first of which is an operand.
void Mutator::swapHalves(CallInst &product, unsigned first) {
  IRBuilder<> b(&product);
  Value *half = product.getArgOperand(first), *other = product.getArgOperand(first + 2);
  Value *isWrong = addSwitch(b, add(Fault::product, product), b.CreateICmpNE(half, other));
  product.setArgOperand(first, b.CreateSelect(isWrong, other, half));
  product.setArgOperand(first + 2, b.CreateSelect(isWrong, half, other));
}

/// Of what a select takes, whether it does; null: there is no other way.
static Value *isTaken(IRBuilder<> &b, Instruction &value) {
  auto *select = value.hasOneUse() ? dyn_cast<SelectInst>(value.user_back()) : nullptr;
  if (!select || select->getCondition() == &value)
    return nullptr;
  b.SetInsertPoint(select);
  Value *condition = select->getCondition();
  return select->getTrueValue() == &value ? condition : b.CreateNot(condition);
}

/// The value of the lane behind the one that is meant.
void Mutator::moveLane(CallInst &shuffle) {
  IRBuilder<> b(shuffle.getNextNode());
  auto *mutated = cast<CallInst>(b.Insert(shuffle.clone()));
  mutated->moveBefore(shuffle.getIterator());
  b.SetInsertPoint(mutated);
  mutated->setArgOperand(2, b.CreateAdd(shuffle.getArgOperand(2), b.getInt32(1)));
  b.SetInsertPoint(shuffle.getNextNode());
  Value *taken = isTaken(b, shuffle);
  Value *differs = shuffle.getType()->isFloatTy() ? b.CreateFCmpUNE(mutated, &shuffle)
                                                  : b.CreateICmpNE(mutated, &shuffle);
  Value *matters = taken ? b.CreateAnd(differs, taken) : differs;
  Value *isWrong = addSwitch(b, add(Fault::lane, shuffle), matters);
  Value *either = b.CreateSelect(isWrong, mutated, &shuffle);
  shuffle.replaceUsesWithIf(
      either, [&](Use &use) { return use.getUser() != either && use.getUser() != differs; });
}

/// i + step of a loop: what its latch compares with where it ends.
static BinaryOperator *findStep(ICmpInst &compare) {
  auto *next = dyn_cast<BinaryOperator>(compare.getOperand(0));
  bool isStep = compare.isEquality() && next && next->getOpcode() == Instruction::Add &&
                isa<PHINode>(next->getOperand(0)) && isa<ConstantInt>(next->getOperand(1));
  return isStep ? next : nullptr;
}

void Mutator::mutate(Function &kernel) {
  SmallVector<Instruction *> found;
  for (Instruction &instruction : instructions(kernel))
    found.push_back(&instruction);
  SmallVector<Meeting> meetings = findMeetings(found);
  auto bytesOf = [&](Type *type) { return module.getDataLayout().getTypeStoreSize(type); };
  SmallVector<CallInst *> waits, groupWaits, fences;
  for (Instruction *instruction : found) {
    auto *call = dyn_cast<CallInst>(instruction);
    if (auto *load = dyn_cast<LoadInst>(instruction)) {
      moveIndex(*load, 0, bytesOf(load->getType()));
    } else if (auto *store = dyn_cast<StoreInst>(instruction)) {
      moveIndex(*store, 1, bytesOf(store->getValueOperand()->getType()));
    } else if (auto *compare = dyn_cast<ICmpInst>(instruction)) {
      if (BinaryOperator *next = findStep(*compare))
        addTrip(*compare, *next);
      else if (compare->isRelational())
        moveBound(*compare);
    } else if (isCallOf(*instruction, "shfl.sync.idx")) {
      moveLane(*call);
    } else if (isCallOf(*instruction, copyIntrinsic)) {
      for (unsigned operand : {0, 1})
        moveIndex(*call, operand, /*bytes=*/16, Fault::copy);
    } else if (isCallOf(*instruction, "mma.m16n8k16")) {
      swapHalves(*call, 0);
    } else if (isGroupProduct(*instruction)) {
      swapHalves(*call, call->arg_size() - 5);
    } else if (textOf(*instruction) == treadle::ptx::bulkCopy) {
      for (unsigned operand : {0, 1})
        moveIndex(*call, operand, /*bytes=*/16, Fault::copy);
    } else if (textOf(*instruction) == treadle::ptx::waitForPhase) {
      waitForOther(*call);
      groupWaits.push_back(call);
    } else if (textOf(*instruction) == treadle::ptx::waitForProducts) {
      groupWaits.push_back(call);
    } else if (isCallOf(*instruction, "fence.proxy.async") ||
               textOf(*instruction) == treadle::ptx::fenceRegisters) {
      fences.push_back(call);
    } else if (isCallOf(*instruction, "cp.async.wait.group")) {
      waits.push_back(call);
    }
  }
  // Last, since they split blocks.
  skip(meetings);
  for (CallInst *wait : waits)
    waitForFewer(*wait);
  for (CallInst *wait : groupWaits)
    leaveOut(Fault::wait, *wait);
  for (CallInst *fence : fences)
    leaveOut(Fault::fence, *fence);
}

void fake::addMutants(llvm::Module &module) {
  mutants.clear();
  Mutator mutator(module);
  SmallVector<Function *> kernels;
  for (Function &function : module)
    if (!function.isDeclaration())
      kernels.push_back(&function);
  for (Function *kernel : kernels)
    mutator.mutate(*kernel);
}

//===----------------------------------------------------------------------===//
// Steering
//===----------------------------------------------------------------------===//

extern "C" {

/// The mutants of the module that was compiled last, a line each: what is wrong, the kernel,
/// and the instruction.
const char *fakeCudaMutants() {
  static std::string text;
  text.clear();
  for (const Mutant &mutant : mutants)
    text += (nameOf(mutant.fault) + "\t" + mutant.kernel + "\t" + mutant.place + "\n").str();
  return text.c_str();
}

/// From now on kernels are this mutant, by its line; -1: none.
void fakeCudaMutate(int number) {
  active = number;
  isReached = false;
}

/// Whether a kernel came to where the present mutant is wrong.
int fakeCudaReached() { return isReached; }

} // extern "C"
