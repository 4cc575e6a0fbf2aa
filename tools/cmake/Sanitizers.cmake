# TREADLE_SANITIZERS: what `-fsanitize=` takes, for our own C++; the packaged MLIR is not instrumented.

set(TREADLE_SANITIZERS "" CACHE STRING "Sanitizers of Treadle's own code, e.g. address,undefined")

# treadle_sanitize(<target>): instruments one library or program.
function(treadle_sanitize target)
  if(NOT TREADLE_SANITIZERS)
    return()
  endif()
  # vptr wants the type information of MLIR's classes, which an uninstrumented MLIR lacks in part.
  # The shared runtime lets Python load the libraries with the runtime preloaded.
  set(flags -fsanitize=${TREADLE_SANITIZERS} -fno-sanitize=vptr)
  if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
    list(APPEND flags -shared-libasan)
    execute_process(COMMAND "${CMAKE_CXX_COMPILER}" -print-runtime-dir
      OUTPUT_VARIABLE runtime OUTPUT_STRIP_TRAILING_WHITESPACE)
    target_link_options(${target} PRIVATE "-Wl,-rpath,${runtime}")
  endif()
  target_compile_options(${target} PRIVATE ${flags} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(${target} PRIVATE ${flags})
endfunction()
