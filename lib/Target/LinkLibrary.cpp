//===- LinkLibrary.cpp - From object code to a shared library -------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Target/LinkLibrary.h"

#include "lld/Common/Driver.h"
#include "treadle/Support/Error.h"
#include "llvm/TargetParser/Triple.h"
#include <mutex>

LLD_HAS_DRIVER(elf)

using namespace llvm;
using namespace treadle;

/// What lib/Runtime/Api.c defines.
static constexpr StringLiteral queryFunction = "treadle_model_query";

std::string treadle::getQuerySymbol(StringRef prefix) {
  return prefix.empty() ? queryFunction.str() : (prefix + "_" + queryFunction).str();
}

std::string treadle::makeVersionScript(StringRef symbol) {
  return ("{\n  global: " + symbol + ";\n  local: *;\n};\n").str();
}

static std::vector<std::string> makeArguments(const LinkInputs &inputs, StringRef out) {
  bool isAArch64 = Triple(inputs.triple).isAArch64();
  std::vector<std::string> arguments = {
      "ld.lld", "-shared", "-o", out.str(), "-m", isAArch64 ? "aarch64linux" : "elf_x86_64",
      "-soname", inputs.soname, "--version-script", inputs.versionScript, "--hash-style=gnu",
      "--build-id=none", "--gc-sections", "-z", "noexecstack", "-z", "relro", "-z", "now",
      // The caller's process may not want threads, and libraries are small.
      "--threads=1"};
  if (inputs.symbol != queryFunction)
    arguments.push_back(("--defsym=" + inputs.symbol + "=" + queryFunction).str());
  if (!inputs.allowUndefined)
    llvm::append_range(arguments, std::array<const char *, 2>{"-z", "defs"});
  llvm::append_range(arguments, inputs.objects);
  arguments.push_back("--as-needed");
  arguments.push_back(inputs.libc);
  arguments.push_back(inputs.libm);
  return arguments;
}

/// The first complaint of the linker, without its name.
static std::string findFirstError(StringRef output) {
  size_t begin = output.find("error: ");
  if (begin == StringRef::npos)
    return "no message";
  return output.substr(begin + 7).split('\n').first.str();
}

Error treadle::linkLibrary(const LinkInputs &inputs, StringRef out) {
  std::vector<std::string> arguments = makeArguments(inputs, out);
  std::vector<const char *> pointers;
  for (const std::string &argument : arguments)
    pointers.push_back(argument.c_str());

  std::string output;
  raw_string_ostream os(output);
  // NOLINT: the linker keeps its state in globals, one link at a time in a process.
  static struct {
    std::mutex mutex;
    bool canRun = true;
  } linker;
  std::lock_guard<std::mutex> lock(linker.mutex);
  if (!linker.canRun)
    return makeError("cannot link the library: an earlier link in this process broke off and left "
                     "the linker unusable; compile in a new process");
  lld::Result result = lld::lldMain(pointers, os, os, {{lld::Gnu, &lld::elf::link}});
  linker.canRun = result.canRunAgain;
  if (result.retCode != 0)
    return makeError("cannot link the library: " + findFirstError(output));
  return Error::success();
}
