# What `cmake --install` writes: the library, the headers and what find_package(Treadle) needs.

include(CMakePackageConfigHelpers)
set(package "${CMAKE_INSTALL_LIBDIR}/cmake/Treadle")

install(TARGETS Treadle EXPORT TreadleTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT TreadleTargets NAMESPACE Treadle:: DESTINATION "${package}")
install(DIRECTORY include/treadle include/treadle-c "${PROJECT_BINARY_DIR}/include/treadle"
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h" PATTERN "*.td" PATTERN "*.inc" PATTERN CMakeFiles EXCLUDE)

configure_package_config_file(tools/cmake/TreadleConfig.cmake.in TreadleConfig.cmake
  INSTALL_DESTINATION "${package}")
write_basic_package_version_file(TreadleConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/TreadleConfig.cmake"
  "${PROJECT_BINARY_DIR}/TreadleConfigVersion.cmake" DESTINATION "${package}")
