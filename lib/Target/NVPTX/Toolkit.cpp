//===- Toolkit.cpp - The CUDA toolkit's assembler -------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Target/NVPTX/Toolkit.h"

#include "treadle/Support/Error.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/Regex.h"

using namespace llvm;
using namespace treadle;

Expected<std::string> treadle::findAssembler() {
  if (ErrorOr<std::string> path = sys::findProgramByName("ptxas"))
    return *path;
  return makeError(
      "--target: 'cuda' needs ptxas of the CUDA toolkit, 12 or later, in PATH; install "
      "the toolkit, or the Python package nvidia-cuda-nvcc, and add its bin folder");
}

//===----------------------------------------------------------------------===//
// What the assembler says
//===----------------------------------------------------------------------===//

/// The number before `unit` in a line of comma-separated figures, or 0.
static int64_t figure(StringRef line, StringRef unit) {
  SmallVector<StringRef> matches;
  int64_t value = 0;
  if (Regex(("([0-9]+) " + unit).str()).match(line, &matches))
    to_integer(matches[1], value);
  return value;
}

std::vector<KernelResources> treadle::parseResources(StringRef output) {
  std::vector<KernelResources> kernels;
  SmallVector<StringRef> lines, name;
  output.split(lines, '\n');
  const Regex entry("Compiling entry function '([^']+)'");
  for (StringRef line : lines) {
    if (entry.match(line, &name))
      kernels.emplace_back().kernel = name[1].str();
    if (kernels.empty())
      continue;
    KernelResources &kernel = kernels.back();
    if (line.contains("bytes stack frame")) {
      // Of the kernel, and behind it of the functions that it calls.
      kernel.stackBytes += figure(line, "bytes stack frame");
      kernel.spillBytes += figure(line, "bytes spill stores") + figure(line, "bytes spill loads");
    }
    if (line.contains(" registers")) {
      kernel.registers = figure(line, "registers");
      kernel.sharedBytes = figure(line, "bytes smem");
    }
  }
  return kernels;
}

std::vector<std::string> treadle::parseRemarks(StringRef output) {
  std::vector<std::string> remarks;
  SmallVector<StringRef> lines;
  output.split(lines, '\n');
  const Regex number("\\(C[0-9]+\\) ");
  for (StringRef line : lines)
    if (number.match(line))
      remarks.push_back(line.str());
  return remarks;
}

/// The first line that tells of an error, or the first of all.
static StringRef findError(StringRef output) {
  SmallVector<StringRef> lines;
  output.split(lines, '\n', /*MaxSplit=*/-1, /*KeepEmpty=*/false);
  for (StringRef line : lines)
    if (line.contains("error") || line.contains("fatal"))
      return line;
  return lines.empty() ? "no message" : lines.front();
}

//===----------------------------------------------------------------------===//
// The assembler
//===----------------------------------------------------------------------===//

namespace {
/// A file in the system's folder for such, gone with this.
class TemporaryFile {
public:
  static Expected<TemporaryFile> create(StringRef suffix) {
    SmallString<128> path;
    if (std::error_code code = sys::fs::createTemporaryFile("treadle", suffix, path))
      return makeError("cannot make a temporary file: " + code.message());
    return TemporaryFile(path);
  }
  TemporaryFile(TemporaryFile &&other) : path(std::move(other.path)) { other.path.clear(); }
  ~TemporaryFile() {
    if (!path.empty())
      sys::fs::remove(path);
  }

  StringRef getPath() const { return path; }
  Error write(StringRef content) {
    std::error_code code;
    raw_fd_ostream os(path, code);
    if (!code)
      os << content;
    os.flush();
    if (code || (code = os.error()))
      return makeError(path + ": " + code.message());
    return Error::success();
  }
  Expected<std::string> read() {
    ErrorOr<std::unique_ptr<MemoryBuffer>> buffer = MemoryBuffer::getFile(path);
    if (!buffer)
      return makeError(path + ": " + buffer.getError().message());
    return (*buffer)->getBuffer().str();
  }

private:
  explicit TemporaryFile(StringRef path) : path(path) {}

  std::string path;
};
} // namespace

Expected<GPUCode> treadle::assemble(StringRef assembler, StringRef gpu, std::string ptx) {
  GPUCode code;
  code.gpu = gpu.str();
  code.ptx = std::move(ptx);
  SmallVector<TemporaryFile, 3> files; // PTX, cubin, messages
  for (StringRef suffix : {"ptx", "cubin", "txt"}) {
    Expected<TemporaryFile> file = TemporaryFile::create(suffix);
    if (!file)
      return file.takeError();
    files.push_back(std::move(*file));
  }
  if (Error error = files[0].write(code.ptx))
    return error;

  // Products and sums stay apart where the program keeps them apart.
  std::string architecture = "--gpu-name=" + code.gpu;
  StringRef arguments[] = {assembler,       architecture,       "--verbose",       "--fmad=false",
                           "--output-file", files[1].getPath(), files[0].getPath()};
  std::optional<StringRef> redirects[] = {StringRef(), files[2].getPath(), files[2].getPath()};
  std::string message;
  int status = sys::ExecuteAndWait(assembler, arguments, std::nullopt, redirects,
                                   /*SecondsToWait=*/0, /*MemoryLimit=*/0, &message);
  std::string output;
  if (Error error = files[2].read().moveInto(output))
    return error;
  if (status != 0)
    return makeError(assembler + ": " + gpu + ": " +
                     (message.empty() ? findError(output) : message));
  code.kernels = parseResources(output);
  code.remarks = parseRemarks(output);
  if (Error error = files[1].read().moveInto(code.cubin))
    return error;
  if (!StringRef(code.cubin)
           .starts_with("\x7f"
                        "ELF"))
    return makeError(assembler + ": " + gpu + ": expected an ELF file, got " +
                     Twine(code.cubin.size()) + " bytes that are none; is this NVIDIA's ptxas?");
  return code;
}
