# TREADLE_SANITIZERS: what `-fsanitize=` takes, for our own C and C++; the packaged MLIR is not instrumented.

set(TREADLE_SANITIZERS "" CACHE STRING "Sanitizers of Treadle's own code, e.g. address,undefined")

# Flags of compiler and linker, also for the programs that tests build, and the runtime that Python has to
# preload to load a library that is instrumented.
set(TREADLE_SANITIZE_FLAGS "")
set(TREADLE_SANITIZER_RUNTIME "" CACHE INTERNAL "")
# MLIR is not instrumented: memory that it hands us must not count as poisoned. It also frees nothing at exit,
# and LLVM gives threads a signal stack of its own, which the sanitizer would unmap as if it were its.
set(TREADLE_ASAN_OPTIONS "allow_user_poisoning=0:detect_leaks=0:use_sigaltstack=0" CACHE INTERNAL "")
if(TREADLE_SANITIZERS)
  # vptr wants the type information of MLIR's classes, which an uninstrumented MLIR lacks in part.
  set(TREADLE_SANITIZE_FLAGS -fsanitize=${TREADLE_SANITIZERS} -fno-sanitize=vptr
    -fno-sanitize-recover=all -fno-omit-frame-pointer)
  set(runtime libasan.so)
  if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
    set(runtime libclang_rt.asan-${CMAKE_SYSTEM_PROCESSOR}.so)
  endif()
  execute_process(COMMAND "${CMAKE_CXX_COMPILER}" -print-file-name=${runtime}
    OUTPUT_VARIABLE runtime OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(TREADLE_SANITIZER_RUNTIME "${runtime}" CACHE INTERNAL "")
  if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
    get_filename_component(folder "${TREADLE_SANITIZER_RUNTIME}" DIRECTORY)
    list(APPEND TREADLE_SANITIZE_FLAGS -shared-libasan -Wl,-rpath,${folder})
  endif()
endif()

# treadle_sanitize(<target>): instruments one library or program.
function(treadle_sanitize target)
  set(compile ${TREADLE_SANITIZE_FLAGS})
  list(FILTER compile EXCLUDE REGEX "^-Wl,|^-shared-libasan")
  target_compile_options(${target} PRIVATE ${compile})
  target_link_options(${target} PRIVATE ${TREADLE_SANITIZE_FLAGS})
endfunction()
