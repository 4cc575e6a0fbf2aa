//===- Hooks.cpp - Passes that plugins add --------------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Pipelines/Hooks.h"

#include "mlir/Tools/Plugins/PassPlugin.h"
#include "treadle/Support/Error.h"
#include "llvm/Support/DynamicLibrary.h"

using namespace llvm;
using namespace treadle;

void HookRegistry::populate(Hook hook, mlir::OpPassManager &passes) const {
  for (const auto &[at, builder] : builders)
    if (at == hook)
      builder(passes);
}

Error treadle::loadPlugin(StringRef file, HookRegistry &hooks) {
  // Checks MLIR's own entry point and its version.
  Expected<mlir::PassPlugin> plugin = mlir::PassPlugin::load(file.str());
  if (!plugin)
    return makeError("--load-pass-plugin: " + file + ": " + toString(plugin.takeError()));
  sys::DynamicLibrary library = sys::DynamicLibrary::getPermanentLibrary(file.str().c_str());
  auto registerHooks = reinterpret_cast<void (*)(HookRegistry &)>(
      library.getAddressOfSymbol("treadleRegisterHooks"));
  if (!registerHooks)
    return makeError("--load-pass-plugin: " + file +
                     ": expected the function treadleRegisterHooks, which says where the "
                     "plugin's passes run");
  registerHooks(hooks);
  return Error::success();
}
