//===- Binary.cpp - The last phase: packed weights and library ------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Binary.h"

#include "GPUCode.h"
#include "GoldenVectors.h"
#include "Input.h"
#include "LibraryInfo.h"
#include "OutputFile.h"
#include "mlir/Pass/PassManager.h"
#include "treadle/Dialect/Treadle/IR/Layout.h"
#include "treadle/Model/WeightPacker.h"
#include "treadle/Support/Error.h"
#include "treadle/Target/CPU/EmitKernels.h"
#include "treadle/Target/CPU/Passes.h"
#include "treadle/Target/CPU/RequiredFeatures.h"
#include "treadle/Target/LinkLibrary.h"
#include "treadle/Target/NVPTX/Passes.h"
#include "llvm/IR/DiagnosticInfo.h"
#include "llvm/IR/DiagnosticPrinter.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace treadle;
using llvm::Error;
using llvm::Expected;

/// Without --weights-mode, weights up to this size are put into the library.
static constexpr uint64_t embedByDefault = uint64_t(64) << 20;
/// Beyond this, one library gets unwieldy, and its code may not reach its data.
static constexpr uint64_t embedAtMost = uint64_t(1) << 30;

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

/// Packs the weights into `file`, the longest step where weights are large:
/// it takes the progress bar from `from` to `to`.
static Expected<Sha256Digest> pack(const BinaryInput &input, StringRef weightsId, OutputFile &file,
                                   double from, double to) {
  PackOptions options;
  auto progress = [&](uint64_t done, uint64_t total) {
    if (input.listener.progress)
      input.listener.progress("packing weights",
                              from + (to - from) * done / std::max<uint64_t>(total, 1));
  };
  auto warn = [&](const llvm::Twine &text) {
    if (input.listener.warn)
      input.listener.warn(text.str());
  };
  options.progress = progress;
  options.warn = warn;
  Expected<Sha256Digest> digest =
      packWeights(input.module, *input.weights, weightsId, file.os(), options);
  if (!digest)
    return digest.takeError();
  if (Error error = file.flush())
    return std::move(error);
  return digest;
}

/// Whether the weights go into the library.
static Expected<WeightsImage::Mode> chooseWeightsMode(const BinaryInput &input,
                                                      uint64_t fileBytes) {
  const CompileOptions &options = input.options;
  if (layoutWeights(input.module).bytes == 0)
    return WeightsImage::Mode::none;
  if (!input.weights || options.weightsMode == "external")
    return WeightsImage::Mode::external;
  if (options.weightsMode == "embed" && fileBytes > embedAtMost)
    return makeError("--weights-mode=embed: expected at most 1 GiB of packed weights, got " +
                     llvm::Twine(fileBytes) + " bytes; use --weights-mode=external");
  if (options.weightsMode == "embed" || fileBytes <= embedByDefault)
    return WeightsImage::Mode::embed;
  return WeightsImage::Mode::external;
}

/// What the library is told of its weights, but for their content.
static Expected<WeightsImage> describeWeights(const BinaryInput &input, StringRef weightsId) {
  PackedHeader header = makePackedHeader(input.module, weightsId);
  Expected<WeightsImage::Mode> mode = chooseWeightsMode(input, header.getFileBytes());
  if (!mode)
    return mode.takeError();
  WeightsImage image;
  image.mode = *mode;
  image.fileBytes = header.getFileBytes();
  image.headerBytes = header.bytes.size();
  image.digestOffset = header.digestOffset;
  image.headerDigest = header.digest;
  return image;
}

static std::string getWeightsId(ModuleOp module, ModelAttr model) {
  return toHex(computeWeightsId(module, computeConfigDigest(model)));
}

Error treadle::emitWeights(const BinaryInput &input) {
  Expected<ModelAttr> model = getModelAttr(input.module);
  if (!model)
    return model.takeError();
  Expected<OutputFile> file = OutputFile::create(getWeightsFile(input.options));
  if (!file)
    return file.takeError();
  Expected<Sha256Digest> digest = pack(input, getWeightsId(input.module, *model), *file, 0.05, 1);
  if (!digest)
    return digest.takeError();
  return file->keep();
}

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

/// Lowers a copy of the kernels to the LLVM dialect.
static Expected<OwningOpRef<ModuleOp>> lowerKernels(const BinaryInput &input) {
  ModuleOp kernels = input.module;
  OwningOpRef<ModuleOp> lowered(kernels.clone());
  PassManager passes(lowered->getContext());
  buildKernelsToLLVMPipeline(passes, input.target);
  if (failed(passes.run(*lowered)))
    return makeError("cannot lower the kernels for " + input.target.cpu);
  return std::move(lowered);
}

/// Lowers a copy of the schedules, without the GPU kernels, to the LLVM dialect.
static Expected<OwningOpRef<ModuleOp>> lowerSchedules(const BinaryInput &input) {
  ModuleOp gpuModule = input.gpuModule;
  OwningOpRef<ModuleOp> lowered(gpuModule.clone());
  PassManager passes(lowered->getContext());
  passes.addPass(createLowerLaunchesPass());
  buildKernelsToLLVMPipeline(passes, input.target);
  if (failed(passes.run(*lowered)))
    return makeError("cannot lower the schedules of GPU kernels");
  return std::move(lowered);
}

/// Adds the schedules of the entry points to `module`.
static Error addSchedules(const BinaryInput &input, llvm::ArrayRef<EntryPoint> entries,
                          const llvm::TargetMachine &machine, llvm::Module &module) {
  Expected<OwningOpRef<ModuleOp>> lowered = lowerSchedules(input);
  if (!lowered)
    return lowered.takeError();
  Expected<std::unique_ptr<llvm::Module>> schedules =
      translateSchedules(**lowered, entries, input.target, machine, module.getContext());
  if (!schedules)
    return schedules.takeError();
  if (llvm::Linker::linkModules(module, std::move(*schedules)))
    return makeError("cannot link the schedules of GPU kernels");
  return Error::success();
}

/// LLVM's own messages would go to the terminal, and its errors end the process.
static void collectDiagnostics(const llvm::DiagnosticInfo *info, void *firstError) {
  auto *error = static_cast<std::string *>(firstError);
  if (info->getSeverity() != llvm::DS_Error || !error->empty())
    return;
  llvm::raw_string_ostream os(*error);
  llvm::DiagnosticPrinterRawOStream printer(os);
  info->print(printer);
}

static Error dumpModule(const CompileOptions &options, const llvm::Module &module) {
  if (options.dumpPhases.empty())
    return Error::success();
  std::string text;
  llvm::raw_string_ostream(text) << module;
  return writeOutputFile(getDumpFile(options, "binary.ll"), text);
}

/// Kernels and image as one object file.
static Error emitCode(const BinaryInput &input, llvm::ArrayRef<EntryPoint> entries, StringRef image,
                      bool embedWeights, llvm::raw_pwrite_stream &os) {
  Expected<OwningOpRef<ModuleOp>> lowered = lowerKernels(input);
  if (!lowered)
    return lowered.takeError();
  Expected<std::unique_ptr<llvm::TargetMachine>> machine = createTargetMachine(input.target);
  if (!machine)
    return machine.takeError();

  std::string firstError;
  llvm::LLVMContext context;
  context.setDiagnosticHandlerCallBack(collectDiagnostics, &firstError);
  Expected<std::unique_ptr<llvm::Module>> module =
      translateKernels(**lowered, entries, input.target, **machine, context);
  if (!module)
    return module.takeError();
  if (input.options.sanitize == "address")
    addAddressSanitizer(**module);
  if (input.gpuModule)
    if (Error error = addSchedules(input, entries, **machine, **module))
      return error;
  defineProgram(**module, image, entries, embedWeights);
  optimize(**module, **machine);
  if (Error error = dumpModule(input.options, **module))
    return error;
  if (Error error = emitObject(**module, **machine, os))
    return error;
  if (!firstError.empty())
    return makeError("cannot emit code: " + firstError);
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Library
//===----------------------------------------------------------------------===//

/// Everything that the image says beside what stands in the module.
static Expected<ProgramFacts> collectFacts(const BinaryInput &input, ModelAttr model,
                                           llvm::ArrayRef<EntryPoint> entries,
                                           const WeightsImage &weights) {
  const CPUTarget &target = input.target;
  ProgramFacts facts;
  facts.name = getModelName(input.options.config);
  facts.infoJson = makeInfoJson(input.module, model, entries, target, getGPULevels(input.options));
  facts.configDigest = computeConfigDigest(model);
  facts.libraryId = computeLibraryId(input.module, facts.configDigest,
                                     target.triple + " " + target.cpu + " " + target.features);
  facts.cpu = target.cpu;
  facts.cpuFeatures = getRequiredFeatures(target);
  Expected<std::vector<GPUCode>> gpuCode = emitGPUCode(input);
  if (!gpuCode)
    return gpuCode.takeError();
  facts.gpuCode = std::move(*gpuCode);
  facts.gpuKernels = getGPUKernels(input);
  facts.gridKernels = getGridKernels(input);
  facts.weights = weights;
  if (input.options.golden.empty())
    return facts;
  float tolerance = getStorageName(input.module) == "f32" ? 2e-5f : 2e-3f;
  Expected<std::vector<GoldenVector>> golden = readGoldenVectors(input.options.golden, tolerance);
  if (!golden)
    return golden.takeError();
  facts.golden = std::move(*golden);
  return facts;
}

/// Intermediate files of a link. They lie beside the library, where there is
/// room for embedded weights, and go away with this.
class LinkFiles {
public:
  explicit LinkFiles(StringRef library) : library(library) {}

  /// A new file; `write` fills it. Returns its name.
  Expected<std::string> add(llvm::function_ref<Error(llvm::raw_pwrite_stream &)> write) {
    Expected<OutputFile> file = OutputFile::create(library);
    if (!file)
      return file.takeError();
    if (Error error = write(file->os()))
      return std::move(error);
    if (Error error = file->flush())
      return std::move(error);
    files.push_back(std::move(*file));
    return files.back().getTemporaryName();
  }
  Expected<std::string> add(StringRef content) {
    return add([&](llvm::raw_pwrite_stream &os) {
      os << content;
      return Error::success();
    });
  }

private:
  StringRef library;
  std::vector<OutputFile> files;
};

static Error link(const BinaryInput &input, StringRef library, const RuntimeFiles &runtime,
                  std::vector<std::string> objects, LinkFiles &files, OutputFile &out) {
  const CompileOptions &options = input.options;
  LinkInputs inputs;
  inputs.objects = std::move(objects);
  inputs.triple = input.target.triple;
  inputs.soname = llvm::sys::path::filename(library).str();
  inputs.allowUndefined = !options.sanitize.empty();
  inputs.symbol = getQuerySymbol(options.symbolPrefix);
  if (Error error = files.add(makeVersionScript(inputs.symbol)).moveInto(inputs.versionScript))
    return error;
  if (Error error = files.add(runtime.runtime).moveInto(inputs.objects.emplace_back()))
    return error;
  if (input.gpuModule)
    if (Error error = files.add(runtime.cuda).moveInto(inputs.objects.emplace_back()))
      return error;
  if (Error error = files.add(runtime.libcStub).moveInto(inputs.libc))
    return error;
  if (Error error = files.add(runtime.libmStub).moveInto(inputs.libm))
    return error;
  return linkLibrary(inputs, out.getTemporaryName());
}

Error treadle::emitLibrary(const BinaryInput &input) {
  auto progress = [&](StringRef step, double done) {
    if (input.listener.progress)
      input.listener.progress(step, done);
  };
  Expected<ModelAttr> model = getModelAttr(input.module);
  if (!model)
    return model.takeError();
  Expected<std::vector<EntryPoint>> entries = getEntryPoints(input.module);
  if (!entries)
    return entries.takeError();
  std::optional<RuntimeFiles> runtime =
      getRuntimeFiles(input.target.getArch(), !input.options.sanitize.empty());
  if (!runtime)
    return makeError("this compiler has no runtime for " + input.target.getArch());

  std::string library = getLibraryFile(input.options);
  Expected<OutputFile> out = OutputFile::create(library);
  if (!out)
    return out.takeError();

  // Weights, since the image holds their digest.
  std::string weightsId = getWeightsId(input.module, *model);
  Expected<WeightsImage> weights = describeWeights(input, weightsId);
  if (!weights)
    return weights.takeError();
  std::optional<OutputFile> packed;
  if (input.weights && weights->mode != WeightsImage::Mode::none) {
    Expected<OutputFile> file = OutputFile::create(getWeightsFile(input.options));
    if (!file)
      return file.takeError();
    packed.emplace(std::move(*file));
    if (Error error = pack(input, weightsId, *packed, 0.1, 0.7).moveInto(weights->contentDigest))
      return error;
  }

  Expected<ProgramFacts> facts = collectFacts(input, *model, *entries, *weights);
  if (!facts)
    return facts.takeError();
  Expected<std::string> image = buildProgramImage(input.module, *entries, *facts);
  if (!image)
    return image.takeError();

  progress("emitting code", 0.7);
  LinkFiles files(library);
  std::vector<std::string> objects(1);
  bool embed = weights->mode == WeightsImage::Mode::embed;
  auto writeCode = [&](llvm::raw_pwrite_stream &os) {
    return emitCode(input, *entries, *image, embed, os);
  };
  if (Error error = files.add(writeCode).moveInto(objects.front()))
    return error;

  progress("linking", 0.8);
  if (embed) {
    auto writeRoom = [&](llvm::raw_pwrite_stream &os) {
      writeWeightsObject(weights->fileBytes, input.target.triple, os);
      return Error::success();
    };
    if (Error error = files.add(writeRoom).moveInto(objects.emplace_back()))
      return error;
  }
  if (Error error = link(input, library, *runtime, objects, files, *out))
    return error;
  if (embed) {
    auto report = [&](uint64_t done, uint64_t total) {
      progress("embedding weights", 0.85 + 0.15 * done / total);
    };
    if (Error error = embedWeights(out->getTemporaryName(), packed->getTemporaryName(), report))
      return error;
  }

  // The library last: where it stands, its weights stand too.
  if (packed && !embed)
    if (Error error = packed->keep())
      return error;
  return out->keep();
}
