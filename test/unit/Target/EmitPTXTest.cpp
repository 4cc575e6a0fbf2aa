//===- EmitPTXTest.cpp - What PTX may not hold ----------------------------===//
//
// Part of the Treadle project, under the Apache License v2.0 with LLVM Exceptions.
// See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "treadle/Target/NVPTX/EmitPTX.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "treadle/InitAll.h"
#include <gtest/gtest.h>

using namespace mlir;
using namespace treadle;

static llvm::Expected<std::string> emit(const char *text) {
  DialectRegistry registry;
  registerAllDialects(registry);
  MLIRContext context(registry);
  auto module = parseSourceString<ModuleOp>(text, &context);
  EXPECT_TRUE(module);
  return emitPTX(*module->getOps<gpu::GPUModuleOp>().begin(), "sm_80");
}

TEST(EmitPTX, Kernel) {
  llvm::Expected<std::string> ptx = emit(R"(
    gpu.module @kernels {
      llvm.func @k(%x: !llvm.ptr) attributes {gpu.kernel, nvvm.kernel} {
        %a = llvm.load %x : !llvm.ptr -> f32
        %b = llvm.fmul %a, %a : f32
        %c = llvm.fadd %b, %a : f32
        llvm.store %c, %x : f32, !llvm.ptr
        llvm.return
      }
    })");
  ASSERT_TRUE(bool(ptx));
  EXPECT_NE(ptx->find(".visible .entry k("), std::string::npos);
  // Rounded twice, whatever the assembler would like.
  EXPECT_NE(ptx->find("mul.rn.f32"), std::string::npos);
  EXPECT_NE(ptx->find("add.rn.f32"), std::string::npos);
}

TEST(EmitPTX, NothingFromOutside) {
  llvm::Expected<std::string> ptx = emit(R"(
    gpu.module @kernels {
      llvm.func @__nv_expf(f32) -> f32
      llvm.func @k(%x: !llvm.ptr) attributes {gpu.kernel, nvvm.kernel} {
        %a = llvm.load %x : !llvm.ptr -> f32
        %b = llvm.call @__nv_expf(%a) : (f32) -> f32
        llvm.store %b, %x : f32, !llvm.ptr
        llvm.return
      }
    })");
  ASSERT_FALSE(bool(ptx));
  EXPECT_EQ(llvm::toString(ptx.takeError()),
            "the GPU kernels call '__nv_expf', which no library provides");
}

TEST(EmitPTX, Levels) {
  EXPECT_FALSE(bool(checkGPU("sm_80")));
  EXPECT_FALSE(bool(checkGPU("sm_90a")));
  EXPECT_FALSE(bool(checkGPU("sm_120")));
  for (const char *name : {"sm_75", "sm_80a", "sm_", "ampere", ""})
    EXPECT_EQ(llvm::toString(checkGPU(name)),
              std::string("--gpu: expected sm_80, sm_90a or a later level, got '") + name + "'");
}
