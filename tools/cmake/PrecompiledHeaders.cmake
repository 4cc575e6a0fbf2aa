# MLIR's headers are most of what a source of ours costs to compile: parse them once.

option(TREADLE_PRECOMPILED_HEADERS "Precompile MLIR's headers; OFF shows whether a source misses one" ON)

# treadle_precompile(<target>): lets a part of libTreadle.so use them.
function(treadle_precompile target)
  if(NOT TREADLE_PRECOMPILED_HEADERS)
    return()
  endif()
  if(NOT TARGET TreadlePrecompiled)
    set(source "${PROJECT_BINARY_DIR}/TreadlePrecompiled.cpp")
    file(WRITE "${source}.new" "")
    file(COPY_FILE "${source}.new" "${source}" ONLY_IF_DIFFERENT)
    add_library(TreadlePrecompiled OBJECT "${source}")
    set_target_properties(TreadlePrecompiled PROPERTIES POSITION_INDEPENDENT_CODE ON)
    treadle_sanitize(TreadlePrecompiled)
    target_precompile_headers(TreadlePrecompiled PRIVATE
      <mlir/Dialect/Arith/IR/Arith.h>
      <mlir/Dialect/Func/IR/FuncOps.h>
      <mlir/Dialect/MemRef/IR/MemRef.h>
      <mlir/Dialect/SCF/IR/SCF.h>
      <mlir/Dialect/Vector/IR/VectorOps.h>
      <mlir/IR/BuiltinOps.h>
      <mlir/IR/PatternMatch.h>
      <mlir/Pass/Pass.h>
      <mlir/Transforms/GreedyPatternRewriteDriver.h>)
  endif()
  target_precompile_headers(${target} REUSE_FROM TreadlePrecompiled)
endfunction()
