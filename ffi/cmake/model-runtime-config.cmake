# find_package(model-runtime): the library as it is installed. It is found relative to this file, so the installed tree may be moved.
#
# Targets:
#   model-runtime::model-runtime  the shared library, which most programs want
#   model-runtime::static         the archive with everything it needs; a program can have one Rust archive
#
# Both bring the include directory of model_runtime.h and model_runtime.hpp.

get_filename_component(_model_runtime_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

# Found anew each time: another prefix must not get what an earlier run has kept.
foreach(_model_runtime_kind IN ITEMS so a)
    unset(_model_runtime_${_model_runtime_kind} CACHE)
    find_file(_model_runtime_${_model_runtime_kind} "libmodel_runtime.${_model_runtime_kind}"
        PATHS "${_model_runtime_prefix}" PATH_SUFFIXES lib "lib/${CMAKE_LIBRARY_ARCHITECTURE}" lib64
        NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH)
    mark_as_advanced(_model_runtime_${_model_runtime_kind})
endforeach()

if(EXISTS "${_model_runtime_prefix}/include/model_runtime.h" AND (_model_runtime_so OR _model_runtime_a))
    include("${CMAKE_CURRENT_LIST_DIR}/model-runtime-targets.cmake")
    model_runtime_targets("${_model_runtime_prefix}/include" "${_model_runtime_so}" "${_model_runtime_a}")
else()
    set(model-runtime_FOUND FALSE)
    set(model-runtime_NOT_FOUND_MESSAGE
        "include/model_runtime.h or libmodel_runtime is missing in ${_model_runtime_prefix}, where this package was installed")
endif()
