//===- EmitKernels.h - From kernels to object code --------------*- C++ -*-===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The steps of the `binary` phase, in order: translate, define the program
// (LinkLibrary.h), optimise, emit.
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_TARGET_CPU_EMITKERNELS_H
#define TREADLE_TARGET_CPU_EMITKERNELS_H

#include "treadle/Target/CPU/CPUTarget.h"
#include "treadle/Target/ProgramImage.h"
#include "llvm/IR/Module.h"
#include "llvm/Target/TargetMachine.h"
#include <memory>

namespace treadle {

/// A code generator for `target`: position-independent, most optimised, and
/// never fusing a multiplication and an addition that the program kept apart.
llvm::Expected<std::unique_ptr<llvm::TargetMachine>> createTargetMachine(const CPUTarget &target);

/// Translates kernels in the LLVM dialect. Every function becomes internal;
/// entry points get the promises that Program.h makes of their arguments.
llvm::Expected<std::unique_ptr<llvm::Module>>
translateKernels(mlir::ModuleOp module, llvm::ArrayRef<EntryPoint> entries, const CPUTarget &target,
                 const llvm::TargetMachine &machine, llvm::LLVMContext &context);

/// Translates the schedules of `entries`, which launch GPU kernels, and gives them their names.
llvm::Expected<std::unique_ptr<llvm::Module>> translateSchedules(mlir::ModuleOp module,
                                                                 llvm::ArrayRef<EntryPoint> entries,
                                                                 const CPUTarget &target,
                                                                 const llvm::TargetMachine &machine,
                                                                 llvm::LLVMContext &context);

/// Marks every function of `module` for the address sanitizer, which
/// `optimize` then applies.
void addAddressSanitizer(llvm::Module &module);

/// The passes of LLVM that kernels gain from, and the address sanitizer on functions that ask for
/// it.
void optimize(llvm::Module &module, llvm::TargetMachine &machine);

/// Writes an object file.
llvm::Error emitObject(llvm::Module &module, llvm::TargetMachine &machine,
                       llvm::raw_pwrite_stream &os);

} // namespace treadle

#endif // TREADLE_TARGET_CPU_EMITKERNELS_H
