//===- Module.cpp - From bitcode to code of the host ----------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The IR stays what it is: an address space below 256 is no other for x86, so that
// shared memory is a variable. Intrinsics of the GPU become calls, and each access of
// memory is told to the driver first, which says where on the host it goes.
//
//===----------------------------------------------------------------------===//

#include "FakeCuda.h"

#include "llvm/ADT/SmallVectorExtras.h"
#include "llvm/ExecutionEngine/Orc/ExecutionUtils.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Verifier.h"
#include "llvm/IRReader/IRReader.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/TargetSelect.h"

using namespace llvm;
using namespace fake;

fake::Module::~Module() = default;

static Error makeError(const Twine &text) { return createStringError(text); }

//===----------------------------------------------------------------------===//
// Rewriting
//===----------------------------------------------------------------------===//

namespace {
constexpr StringLiteral accessFunction = "fakeCudaAccess";
constexpr StringLiteral addFunction = "fakeCudaAdd", loadFunction = "fakeCudaLoad",
                        fenceFunction = "fakeCudaFence";

/// Sends the accesses of a function through the driver.
class Instrumenter {
public:
  explicit Instrumenter(llvm::Module &module)
      : module(module), pointer(PointerType::getUnqual(module.getContext())) {
    Type *word = Type::getInt32Ty(module.getContext());
    hook = module.getOrInsertFunction(
        accessFunction,
        FunctionType::get(
            pointer, {pointer, Type::getInt64Ty(module.getContext()), word, word, word}, false));
  }

  Error instrument(Function &function) {
    SmallVector<Instruction *> found;
    for (Instruction &instruction : instructions(function))
      found.push_back(&instruction);
    for (Instruction *instruction : found)
      if (Error error = visit(*instruction))
        return error;
    return Error::success();
  }

private:
  Error visit(Instruction &instruction) {
    IRBuilder<> b(&instruction);
    if (instruction.isAtomic())
      return replaceAtomic(b, instruction);
    if (auto *load = dyn_cast<LoadInst>(&instruction)) {
      load->setOperand(0, check(b, load->getPointerOperand(), sizeOf(b, load->getType()),
                                load->getAlign(), false));
    } else if (auto *store = dyn_cast<StoreInst>(&instruction)) {
      store->setOperand(1, check(b, store->getPointerOperand(),
                                 sizeOf(b, store->getValueOperand()->getType()), store->getAlign(),
                                 true));
    } else if (isa<AnyMemIntrinsic>(instruction)) {
      return makeError("a copy or fill of memory, which this driver does not know");
    }
    return Error::success();
  }

  /// What orders accesses of several blocks: in the form that grids use alone.
  Error replaceAtomic(IRBuilder<> &b, Instruction &instruction) {
    std::optional<SyncScope::ID> scope = getAtomicSyncScopeID(&instruction);
    if (!scope || *scope != module.getContext().getOrInsertSyncScopeID("device"))
      return makeError("an atomic access that is not of the device's scope");
    Type *word = b.getInt32Ty();
    auto call = [&](StringRef name, Type *result, ArrayRef<Value *> arguments) {
      SmallVector<Type *> types = map_to_vector(arguments, [](Value *v) { return v->getType(); });
      FunctionCallee function =
          module.getOrInsertFunction(name, FunctionType::get(result, types, false));
      instruction.replaceAllUsesWith(b.CreateCall(function, arguments));
      instruction.eraseFromParent();
      return Error::success();
    };
    auto generic = [&](Value *place) { return b.CreateAddrSpaceCast(place, pointer); };
    if (auto *fence = dyn_cast<FenceInst>(&instruction);
        fence && fence->getOrdering() == AtomicOrdering::Release)
      return call(fenceFunction, b.getVoidTy(), {});
    if (auto *add = dyn_cast<AtomicRMWInst>(&instruction);
        add && add->getOperation() == AtomicRMWInst::Add && add->getType() == word &&
        add->getOrdering() == AtomicOrdering::Monotonic)
      return call(addFunction, word, {generic(add->getPointerOperand()), add->getValOperand()});
    if (auto *load = dyn_cast<LoadInst>(&instruction);
        load && load->getType() == word && load->getOrdering() == AtomicOrdering::Acquire)
      return call(loadFunction, word, {generic(load->getPointerOperand())});
    return makeError("an atomic access, which this driver does not know");
  }

  Value *sizeOf(IRBuilder<> &b, Type *type) {
    return b.getInt64(module.getDataLayout().getTypeStoreSize(type));
  }

  Value *check(IRBuilder<> &b, Value *place, Value *bytes, Align alignment, bool isWrite) {
    if (place->getType() != pointer)
      place = b.CreateAddrSpaceCast(place, pointer);
    return b.CreateCall(hook, {place, bytes, b.getInt32(alignment.value()), b.getInt32(isWrite),
                               b.getInt32(sites++)});
  }

  llvm::Module &module;
  PointerType *pointer;
  FunctionCallee hook;
  uint32_t sites = 0;
};
} // namespace

/// Gives what only a GPU has the driver's functions. What threads do together is told the site of
/// the call:
///
///   call @llvm.nvvm.x(operands)  =>  call @fake.llvm.nvvm.x(operands[, site])
static Error replaceIntrinsics(llvm::Module &module) {
  uint32_t site = 0;
  Type *word = Type::getInt32Ty(module.getContext());
  for (Function &function : make_early_inc_range(module)) {
    if (!function.isDeclaration() || !function.getName().starts_with("llvm.nvvm."))
      continue;
    std::string name = function.getName().str();
    if (!function.use_empty() && !findFunction(name))
      return makeError("the intrinsic " + name + ", which this driver does not know");
    FunctionType *type = function.getFunctionType();
    SmallVector<Type *> types(type->params());
    if (function.isConvergent())
      types.push_back(word);
    Function *own = Function::Create(FunctionType::get(type->getReturnType(), types, false),
                                     Function::ExternalLinkage, "fake." + name, module);
    for (User *user : make_early_inc_range(function.users())) {
      auto *call = cast<CallInst>(user);
      SmallVector<Value *> operands(call->args());
      if (function.isConvergent())
        operands.push_back(ConstantInt::get(word, site++));
      IRBuilder<> b(call);
      call->replaceAllUsesWith(b.CreateCall(own, operands));
      call->eraseFromParent();
    }
    function.eraseFromParent();
  }
  return Error::success();
}

static std::string adapterOf(StringRef kernel) { return ("adapter." + kernel).str(); }

/// void adapter(void **arguments): calls the kernel as its type asks for.
static void addAdapter(llvm::Module &module, Function &kernel) {
  LLVMContext &context = module.getContext();
  auto *pointer = PointerType::getUnqual(context);
  Function *adapter =
      Function::Create(FunctionType::get(Type::getVoidTy(context), {pointer}, false),
                       Function::ExternalLinkage, adapterOf(kernel.getName()), module);
  IRBuilder<> b(BasicBlock::Create(context, "", adapter));
  SmallVector<Value *> arguments;
  for (Argument &argument : kernel.args()) {
    Value *place = b.CreateLoad(
        pointer, b.CreateConstGEP1_64(pointer, adapter->getArg(0), argument.getArgNo()));
    Type *type = argument.getType();
    // A parameter of one bit takes a byte.
    Value *value = type->isIntegerTy(1) ? b.CreateTrunc(b.CreateLoad(b.getInt8Ty(), place), type)
                                        : b.CreateLoad(type, place);
    arguments.push_back(value);
  }
  b.CreateCall(&kernel, arguments);
  b.CreateRetVoid();
}

/// Every global gets a name that the driver finds it by.
static void exportGlobals(llvm::Module &module) {
  for (GlobalVariable &global : module.globals()) {
    global.setLinkage(GlobalValue::ExternalLinkage);
    global.setUnnamedAddr(GlobalValue::UnnamedAddr::None);
  }
}

/// The functions that a constant is used in, and those that call them.
static void findUsers(Value &value, SmallPtrSetImpl<Function *> &functions) {
  for (User *user : value.users()) {
    auto *instruction = dyn_cast<Instruction>(user);
    if (!instruction)
      findUsers(*user, functions);
    else if (functions.insert(instruction->getFunction()).second)
      findUsers(*instruction->getFunction(), functions);
  }
}

//===----------------------------------------------------------------------===//
// Compiling
//===----------------------------------------------------------------------===//

namespace {
/// What a kernel needs, by name, until it is asked for.
struct Description {
  Kernel kernel;
  std::vector<std::pair<std::string, uint64_t>> shared, constants;
  bool isReady = false;
};

class CompiledModule : public fake::Module {
public:
  static Expected<std::unique_ptr<fake::Module>> create(MemoryBufferRef ir, bool hasMutants);
  Kernel *find(const std::string &name) override;

private:
  Error describe(llvm::Module &module);
  Error compile(std::unique_ptr<llvm::Module> module, std::unique_ptr<LLVMContext> context);
  uint8_t *lookup(StringRef symbol);

  std::map<std::string, Description> kernels;
  std::unique_ptr<orc::LLJIT> jit;
};
} // namespace

/// Before anything is rewritten.
Error CompiledModule::describe(llvm::Module &module) {
  const DataLayout &layout = module.getDataLayout();
  for (Function &function : module) {
    if (function.getCallingConv() != CallingConv::PTX_Kernel)
      continue;
    Kernel kernel;
    kernel.name = function.getName().str();
    for (Argument &argument : function.args())
      kernel.argumentBytes.push_back(layout.getTypeStoreSize(argument.getType()));
    auto readBound = [&](StringRef name, unsigned &bound) {
      StringRef text = function.getFnAttribute(name).getValueAsString();
      return text.empty() || !text.split(',').first.getAsInteger(10, bound);
    };
    if (!readBound("nvvm.reqntid", kernel.threads) ||
        !readBound("nvvm.maxntid", kernel.mostThreads))
      return makeError("a block size that is no number");
    if ((kernel.threads || kernel.mostThreads) &&
        !readBound("nvvm.minctasm", kernel.residentBlocks))
      return makeError("a number of blocks that is none");
    unsigned registers = 0, registersOfAll = 65536;
    if (!readBound("nvvm.maxnreg", registers))
      return makeError("a number of registers that is none");
    if (registers)
      kernel.residentBlocks =
          std::min(kernel.residentBlocks,
                   registersOfAll / (registers * std::max(kernel.threads, kernel.mostThreads)));
    kernels[kernel.name].kernel = kernel;
  }
  for (GlobalVariable &global : module.globals()) {
    SmallPtrSet<Function *, 4> users;
    findUsers(global, users);
    uint64_t size = layout.getTypeAllocSize(global.getValueType());
    for (Function *user : users) {
      auto kernel = kernels.find(user->getName().str());
      if (kernel == kernels.end())
        continue;
      bool isShared = global.getAddressSpace() == 3;
      (isShared ? kernel->second.shared : kernel->second.constants)
          .push_back({global.getName().str(), size});
    }
  }
  return Error::success();
}

Error CompiledModule::compile(std::unique_ptr<llvm::Module> module,
                              std::unique_ptr<LLVMContext> context) {
  Expected<orc::JITTargetMachineBuilder> host = orc::JITTargetMachineBuilder::detectHost();
  if (!host)
    return host.takeError();
  host->setCodeGenOptLevel(CodeGenOptLevel::Less);
  host->getOptions().AllowFPOpFusion = FPOpFusion::Strict;
  if (Error error = orc::LLJITBuilder().setJITTargetMachineBuilder(*host).create().moveInto(jit))
    return error;
  module->setTargetTriple(jit->getTargetTriple());
  module->setDataLayout(jit->getDataLayout());

  orc::SymbolMap symbols;
  auto define = [&](StringRef name, void *function) {
    symbols[jit->mangleAndIntern(name)] = {orc::ExecutorAddr::fromPtr(function),
                                           JITSymbolFlags::Exported | JITSymbolFlags::Callable};
  };
  define(accessFunction, reinterpret_cast<void *>(access));
  define(switchFunction, reinterpret_cast<void *>(isMutantOn));
  define(addFunction, reinterpret_cast<void *>(addAtomically));
  define(loadFunction, reinterpret_cast<void *>(loadAcquire));
  define(fenceFunction, reinterpret_cast<void *>(fenceRelease));
  for (Function &function : *module)
    if (function.getName().starts_with("fake."))
      define(function.getName(), findFunction(function.getName().drop_front(5).str()));
  orc::JITDylib &library = jit->getMainJITDylib();
  if (Error error = library.define(orc::absoluteSymbols(std::move(symbols))))
    return error;
  auto process = orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(
      jit->getDataLayout().getGlobalPrefix());
  if (!process)
    return process.takeError();
  library.addGenerator(std::move(*process));
  return jit->addIRModule(orc::ThreadSafeModule(std::move(module), std::move(context)));
}

Expected<std::unique_ptr<fake::Module>> CompiledModule::create(MemoryBufferRef ir,
                                                               bool hasMutants) {
  static const bool once = [] {
    InitializeNativeTarget();
    InitializeNativeTargetAsmPrinter();
    return true;
  }();
  (void)once;
  auto context = std::make_unique<LLVMContext>();
  SMDiagnostic problem;
  std::unique_ptr<llvm::Module> parsed = parseIR(ir, problem, *context);
  if (!parsed)
    return makeError(problem.getMessage());
  llvm::Module &module = *parsed;
  auto result = std::make_unique<CompiledModule>();
  if (Error error = result->describe(module))
    return std::move(error);
  if (hasMutants)
    addMutants(module);
  replaceTensorCode(module);
  if (Error error = replaceIntrinsics(module))
    return std::move(error);
  exportGlobals(module);
  Instrumenter instrumenter(module);
  SmallVector<Function *> functions; // without the adapters to come
  for (Function &function : module)
    if (!function.isDeclaration())
      functions.push_back(&function);
  for (Function *pointer : functions) {
    Function &function = *pointer;
    // What takes the place of inline PTX has memory of its own.
    Error error = instrumenter.instrument(function);
    if (!error)
      error = replaceInlinePTX(function);
    if (error)
      return makeError("kernel " + function.getName() + " holds " + toString(std::move(error)));
    bool isKernel = function.getCallingConv() == CallingConv::PTX_Kernel;
    function.setCallingConv(CallingConv::C);
    function.removeFnAttr("target-cpu");
    function.removeFnAttr("target-features");
    // What is on the host in place of an address has other promises.
    function.removeFnAttr(Attribute::Memory);
    function.addFnAttr("frame-pointer", "none");
    if (isKernel)
      addAdapter(module, function);
  }
  std::string message;
  raw_string_ostream os(message);
  if (verifyModule(module, &os))
    return makeError(message);
  if (Error error = result->compile(std::move(parsed), std::move(context)))
    return std::move(error);
  return result;
}

uint8_t *CompiledModule::lookup(StringRef symbol) {
  Expected<orc::ExecutorAddr> address = jit->lookup(symbol);
  if (address)
    return address->toPtr<uint8_t *>();
  consumeError(address.takeError());
  return nullptr;
}

Kernel *CompiledModule::find(const std::string &name) {
  auto found = kernels.find(name);
  if (found == kernels.end())
    return nullptr;
  Description &description = found->second;
  Kernel &kernel = description.kernel;
  if (description.isReady)
    return &kernel;
  auto addGlobals = [&](const auto &from, std::vector<Global> &to) {
    for (const auto &[symbol, size] : from)
      to.push_back({lookup(symbol), size, symbol.c_str()});
  };
  addGlobals(description.shared, kernel.shared);
  addGlobals(description.constants, kernel.constants);
  kernel.run = reinterpret_cast<void (*)(void **)>(lookup(adapterOf(name)));
  description.isReady = kernel.run != nullptr;
  return description.isReady ? &kernel : nullptr;
}

/// Tests of the driver give it text, which ends with a NUL.
static Expected<StringRef> findIR(const void *image) {
  auto *bytes = static_cast<const char *>(image);
  if (*bytes == ';')
    return StringRef(bytes);
  // The wrapper: five words, of which the third and fourth say where the bitcode is.
  auto word = [&](unsigned i) { return support::endian::read32le(bytes + 4 * i); };
  if (word(0) != 0x0b17c0de)
    return makeError("no bitcode in a wrapper that tells its size");
  return StringRef(bytes + word(2), word(3));
}

Expected<std::shared_ptr<fake::Module>> fake::compile(const void *image, bool hasMutants) {
  static std::map<std::pair<std::string, bool>, std::shared_ptr<fake::Module>> compiled;
  Expected<StringRef> ir = findIR(image);
  if (!ir)
    return ir.takeError();
  // A buffer of its own, whose NUL the parser wants.
  auto [place, isNew] = compiled.try_emplace({ir->str(), hasMutants});
  if (!isNew)
    return place->second;
  MemoryBufferRef buffer(place->first.first, "kernels");
  Expected<std::unique_ptr<fake::Module>> created = CompiledModule::create(buffer, hasMutants);
  if (!created) {
    compiled.erase(place);
    return created.takeError();
  }
  return place->second = std::move(*created);
}
