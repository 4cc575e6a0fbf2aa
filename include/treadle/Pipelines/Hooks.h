//===- Hooks.h - Passes that plugins add ------------------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A plugin is an MLIR pass plugin (mlir/Tools/Plugins/PassPlugin.h), so that
// treadle-opt can load it too, which also exports
//
//   extern "C" void treadleRegisterHooks(treadle::HookRegistry &hooks) {
//     hooks.add(treadle::Hook::stagesEnd,
//               [](mlir::OpPassManager &passes) { passes.addPass(createMyPass()); });
//   }
//
// The registry belongs to one compilation; plugins keep nothing between two.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_PIPELINES_HOOKS_H
#define TREADLE_PIPELINES_HOOKS_H

#include "mlir/Pass/PassManager.h"
#include "treadle/Pipelines/Phases.h"
#include "llvm/Support/Error.h"
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace treadle {

class HookRegistry {
public:
  using Builder = std::function<void(mlir::OpPassManager &)>;

  /// Adds passes at a hook, after those that are there.
  void add(Hook hook, Builder builder) { builders.emplace_back(hook, std::move(builder)); }

  /// Adds everything registered for `hook` to `passes`.
  void populate(Hook hook, mlir::OpPassManager &passes) const;

private:
  std::vector<std::pair<Hook, Builder>> builders;
};

/// Loads a plugin (for the life of the process) and lets it fill the registry.
llvm::Error loadPlugin(llvm::StringRef file, HookRegistry &hooks);

} // namespace treadle

#endif // TREADLE_PIPELINES_HOOKS_H
