//===- IndependentLoops.h - Loops that many threads share ------*- C++ -*--===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TREADLE_LIB_CONVERSION_KERNELSTOGPU_INDEPENDENTLOOPS_H
#define TREADLE_LIB_CONVERSION_KERNELSTOGPU_INDEPENDENTLOOPS_H

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace treadle {

/// How often `loop` runs, where that is known: from some number to one that is as much larger, too.
std::optional<int64_t> getTrips(mlir::scf::ForOp loop);

/// Whether the iterations of `loop` may run in any order and at the same time: it carries nothing,
/// and what an iteration stores lies at places that move with the iteration, maybe within the reach
/// of loops inside, and that no other iteration loads or stores.
bool isIndependent(mlir::scf::ForOp loop);

/// Whether each lane keeps to itself in `loop`, and all of its vectors in memory are whole rows of
/// 16 numbers, such as panels of weights are made of, or lie at multiples of 16 in rows of such.
bool isOfPanelRows(mlir::scf::ForOp loop);

} // namespace treadle

#endif // TREADLE_LIB_CONVERSION_KERNELSTOGPU_INDEPENDENTLOOPS_H
