# Wrappers that keep every leaf CMakeLists.txt to a few lines.

include(Sanitizers)
include(PrecompiledHeaders)

# treadle_add_library(<name> <source>...)
# A part of libTreadle.so: an object library that lib/CMakeLists.txt links into the one shared library.
function(treadle_add_library name)
  add_library(${name} OBJECT ${ARGN})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  add_dependencies(${name} TreadleHeaders)
  treadle_sanitize(${name})
  treadle_precompile(${name})
  set_property(GLOBAL APPEND PROPERTY TREADLE_PARTS ${name})
endfunction()

# treadle_add_tablegen(<target> <file.td> [<flag> <output>]...)
# Runs mlir-tblgen once per (flag, output) pair; `-gen-x;-more` passes several flags.
function(treadle_add_tablegen target file)
  set(LLVM_TARGET_DEFINITIONS ${file})
  set(arguments ${ARGN})
  while(arguments)
    list(POP_FRONT arguments flags output)
    string(REPLACE "|" ";" flags "${flags}")
    mlir_tablegen(${output} ${flags})
  endwhile()
  add_public_tablegen_target(${target})
  add_dependencies(TreadleHeaders ${target})
endfunction()

# treadle_add_tool(<name> <source>...): a program that links libTreadle.so.
function(treadle_add_tool name)
  add_executable(${name} ${ARGN})
  add_dependencies(${name} TreadleHeaders)
  target_link_libraries(${name} PRIVATE Treadle)
  treadle_sanitize(${name})
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  set_property(GLOBAL APPEND PROPERTY TREADLE_PROGRAMS ${name})
endfunction()

# treadle_add_unit_tests(<name>Tests <source>...): a program of GoogleTest tests, which lit runs.
function(treadle_add_unit_tests name)
  add_executable(${name} ${ARGN})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/test/unit")
  add_dependencies(${name} TreadleHeaders)
  target_link_libraries(${name} PRIVATE Treadle GTest::gtest GTest::gtest_main)
  treadle_sanitize(${name})
  set_property(GLOBAL APPEND PROPERTY TREADLE_PROGRAMS ${name})
endfunction()
